"""The catalogue: cards of every step by kind, the policies of a figure, and targets on sample photos."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from augreg.backends import choose
from augreg.gallery.cards import failures, groups
from augreg.gallery.means import MEAN_DRAWS
from augreg.gallery.photos import Photo, read, samples
from augreg.gallery.policies import figure
from augreg.gallery.targets import SPEC, demonstrations
from augreg.pipeline import Pipeline
from augreg.registry.registry import Registry

__all__ = ["catalogue"]

_SMALLEST_DEMO = 64


def catalogue(
    pipeline: Pipeline, images: Sequence[Any], photos: Sequence[Photo], registry: Registry
) -> dict[str, Any]:
    """The parts of the catalogue of a registry, on these photos; `images` are what they were read from."""
    # tiny images do not show what a transform does
    large = [photo for photo in photos if photo.array is not None and min(photo.array.shape[:2]) >= _SMALLEST_DEMO]
    demos = large or read(samples())
    return {
        "groups": groups(registry, demos, _backend_of_cards(pipeline, registry)),
        "failures": failures(registry),
        "figure": figure(pipeline, demos),
        "demonstrations": demonstrations(images, pipeline.backend),
        "targets_spec": SPEC,
        "mean_draws": MEAN_DRAWS,
    }


def _backend_of_cards(pipeline: Pipeline, registry: Registry) -> str:
    """The backend of the pipeline; if it is that of a plugin that the registry of the cards lacks, the usual one."""
    name, plugins = pipeline.backend, registry.backends
    return choose("auto", plugins) if name in pipeline.registry.backends and name not in plugins else name
