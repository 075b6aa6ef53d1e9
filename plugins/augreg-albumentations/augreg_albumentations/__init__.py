"""albumentations for augreg: its transforms as steps, `albumentations/Name`, and its pipelines as specs."""

import importlib

__all__ = ["from_dict", "to_dict"]


def __getattr__(name):
    if name in __all__:
        return getattr(importlib.import_module("augreg_albumentations.conversion"), name)
    raise AttributeError(f"module 'augreg_albumentations' has no attribute {name!r}")
