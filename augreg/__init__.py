"""augreg: image augmentation and regularization from one spec.

    import augreg
    pipe = augreg.Pipeline.from_spec("imagenet")
    x = pipe.train(photo, index=7, epoch=2)     # draws the noise
    y = pipe.test(photo)                        # applies its expectation

Names are resolved on first use, so that importing augreg costs nothing and loads no array library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from augreg import lazy

if TYPE_CHECKING:
    from augreg import (
        data as data,
        doctor as doctor,
        errors as errors,
        expectation as expectation,
        inspect as inspect,
        loss as loss,
        nn as nn,
        ops as ops,
        recipe as recipe,
        regularizers as regularizers,
        testing as testing,
        training as training,
        transforms as transforms,
    )
    from augreg.batch.labels import SoftLabels as SoftLabels
    from augreg.errors import ImageError as ImageError, PluginError as PluginError, SpecError as SpecError
    from augreg.expectation import (
        audit as audit,
        expect as expect,
        load_checkpoint as load_checkpoint,
        save_checkpoint as save_checkpoint,
        skew as skew,
    )
    from augreg.importers.albumentations import from_albumentations as from_albumentations
    from augreg.importers.timm import from_timm as from_timm
    from augreg.importers.torchvision import from_torchvision as from_torchvision
    from augreg.pipeline import Pipeline as Pipeline, regularize as regularize
    from augreg.registry.foreign import Call as Call
    from augreg.registry.plugin import Plugin as Plugin
    from augreg.registry.registry import Registry as Registry
    from augreg.steps.declare import (
        batch_transform as batch_transform,
        regularizer as regularizer,
        transform as transform,
    )
    from augreg.steps.step import Step as Step

__version__ = "0.1.0"


def _hint(name: str, known: list[str]) -> str:
    """Where a class is that is not here; lowercase names may be modules that are not imported yet."""
    if not name[:1].isupper():
        return ""
    import importlib

    from augreg.steps.other_names import of_class

    for package in ("augreg.data", "augreg.transforms", "augreg.regularizers", "augreg.training", "augreg.loss"):
        if name in dir(importlib.import_module(package)):
            return f"; it is {package}.{name}"
    return of_class(name, known)


__getattr__, __dir__, __all__ = lazy.names(
    __name__,
    {
        "batch.labels": ("SoftLabels",),
        "errors": ("ImageError", "PluginError", "SpecError"),
        "expectation": ("audit", "expect", "load_checkpoint", "save_checkpoint", "skew"),
        "importers.albumentations": ("from_albumentations",),
        "importers.timm": ("from_timm",),
        "importers.torchvision": ("from_torchvision",),
        "pipeline": ("Pipeline", "regularize"),
        "registry.foreign": ("Call",),
        "registry.plugin": ("Plugin",),
        "registry.registry": ("Registry",),
        "steps.declare": ("batch_transform", "regularizer", "transform"),
        "steps.step": ("Step",),
    },
    submodules=(
        "data",
        "doctor",
        "errors",
        "expectation",
        "inspect",
        "loss",
        "nn",
        "ops",
        "recipe",
        "regularizers",
        "testing",
        "training",
        "transforms",
    ),
    hint=_hint,
)
