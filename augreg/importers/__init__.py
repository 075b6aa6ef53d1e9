"""Importers: pipelines of torchvision, timm and albumentations as specs, without importing these libraries.

A transform is recognized by the name of its class and read from its attributes. Every parameter is either part of the
spec or named in the report.
"""
