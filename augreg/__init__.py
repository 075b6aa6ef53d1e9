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
    from augreg import errors, ops
    from augreg.declare import transform
    from augreg.errors import ImageError, PluginError, SpecError
    from augreg.importers.albumentations import from_albumentations
    from augreg.importers.timm import from_timm
    from augreg.importers.torchvision import from_torchvision
    from augreg.pipeline import Pipeline
    from augreg.registry import Registry
    from augreg.steps import Step

__all__ = [
    "ImageError",
    "Pipeline",
    "PluginError",
    "Registry",
    "SpecError",
    "Step",
    "errors",
    "from_albumentations",
    "from_timm",
    "from_torchvision",
    "ops",
    "transform",
]

__version__ = "0.1.0"

_HOMES = {
    "ImageError": "errors",
    "Pipeline": "pipeline",
    "PluginError": "errors",
    "Registry": "registry",
    "SpecError": "errors",
    "Step": "steps",
    "from_albumentations": "importers.albumentations",
    "from_timm": "importers.timm",
    "from_torchvision": "importers.torchvision",
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
