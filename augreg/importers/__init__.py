"""Pipelines of other libraries as specs: torchvision, timm, albumentations. None of these is imported.

Transforms are known by the names of their classes and read by their attributes, strictly: every parameter is either
said in the spec or named in the report.
"""
