"""augreg: image augmentation and regularization from one spec.

    import augreg
    pipe = augreg.Pipeline.from_spec("imagenet")
    x = pipe.train(photo, index=7, epoch=2)     # draws the noise
    y = pipe.test(photo)                        # applies its expectation

Names are resolved on first use, so that importing augreg costs nothing and loads no array library.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from augreg import data, doctor, errors, inspect, nn, ops, testing, training
    from augreg.declare import batch_transform, regularizer, transform
    from augreg.errors import ImageError, PluginError, SpecError
    from augreg.foreign import Call
    from augreg.importers.albumentations import from_albumentations
    from augreg.importers.timm import from_timm
    from augreg.importers.torchvision import from_torchvision
    from augreg.mixing.labels import SoftLabels
    from augreg.nn.attachment import regularize
    from augreg.pipeline import Pipeline
    from augreg.plugin import Plugin
    from augreg.registry import Registry
    from augreg.steps import Step

__all__ = [
    "Call",
    "ImageError",
    "Pipeline",
    "Plugin",
    "PluginError",
    "Registry",
    "SoftLabels",
    "SpecError",
    "Step",
    "batch_transform",
    "data",
    "doctor",
    "errors",
    "from_albumentations",
    "from_timm",
    "from_torchvision",
    "inspect",
    "nn",
    "ops",
    "regularize",
    "regularizer",
    "testing",
    "training",
    "transform",
]

__version__ = "0.1.0"

_HOMES = {
    "Call": "foreign",
    "ImageError": "errors",
    "Pipeline": "pipeline",
    "Plugin": "plugin",
    "PluginError": "errors",
    "Registry": "registry",
    "SoftLabels": "mixing.labels",
    "SpecError": "errors",
    "Step": "steps",
    "batch_transform": "declare",
    "from_albumentations": "importers.albumentations",
    "from_timm": "importers.timm",
    "from_torchvision": "importers.torchvision",
    "regularize": "nn.attachment",
    "regularizer": "declare",
    "transform": "declare",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"augreg.{_HOMES[name]}"), name)
    if name in __all__:
        return importlib.import_module(f"augreg.{name}")
    raise AttributeError(f"module 'augreg' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
