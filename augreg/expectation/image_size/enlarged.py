"""The same pipeline with larger or smaller test images: its sizes multiplied, in what `test` says of each step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from augreg.pipeline import Pipeline

__all__ = ["with_test_size"]

_SIZES = ("size", "shorter", "longer", "padding", "pixels")
"""The arguments of steps that are lengths in pixels of the image."""


def with_test_size(pipe: Pipeline, factor: float) -> Pipeline:
    """A pipeline with the same training images, and test images whose sides are `factor` times as long.

    The lengths in pixels of all steps are multiplied for testing: of resizes and crops, and of borders. Steps that
    `test` replaces by others keep their training side, and the others are enlarged.
    """
    return pipe.replace(image=[_enlarged(step, factor) for step in pipe.to_spec()["image"]])


def _enlarged(step: Any, factor: float) -> Any:
    """A step of a canonical spec, with its test-time rule in larger images."""
    (name, arguments), *_ = step.items()
    test = arguments.get("test")
    if isinstance(test, list):
        return {name: {**arguments, "test": [_multiplied(one, factor) for one in test]}}
    inside = {key: [_enlarged(one, factor) for one in arguments[key]] for key in ("steps",) if key in arguments}
    if inside:
        return {name: {**arguments, **inside}}
    larger = _multiplied(step, factor)
    if test == "off" or larger == step:
        return step
    return {name: {**arguments, "test": [larger]}}


def _multiplied(step: Any, factor: float) -> Any:
    """A step with its lengths multiplied, those of training too: it is for the test side alone."""
    (name, arguments), *_ = step.items()
    changed = {}
    for key, value in arguments.items():
        if key in ("steps", "test") and isinstance(value, list):
            changed[key] = [_multiplied(one, factor) for one in value]
        elif key in _SIZES:
            changed[key] = _times(value, factor)
    return {name: {**arguments, **changed}}


def _times(value: Any, factor: float) -> Any:
    """A number of pixels, or a list of some, multiplied and rounded; fractions and names are no lengths."""
    if isinstance(value, list | tuple):
        return [_times(one, factor) for one in value]
    whole = isinstance(value, int) and not isinstance(value, bool)
    return (max(1, round(value * factor)) if value > 0 else value) if whole else value
