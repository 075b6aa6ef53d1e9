"""Checks of transforms, of images or of batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from augreg.registry.registry import Registry
from augreg.testing import batch_transforms, image_transforms
from augreg.testing.step_under_test import StepUnderTest, step_under_test

__all__ = ["CHECKS", "check_transform"]

CHECKS: Mapping[str, Mapping[str, Callable[[StepUnderTest], None]]] = {
    "image": image_transforms.CHECKS,
    "batch": batch_transforms.CHECKS,
}
"""The checks by section and name; a check raises AssertionError with what is wrong."""


def check_transform(
    cls: type,
    arguments: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    *,
    name: str | None = None,
    registry: Registry | None = None,
    without: Iterable[str] = (),
) -> None:
    """Run every check on a transform or a batch transform, except those in `without`.

    `arguments` replace its previews: one mapping, or a list of them. Raises AssertionError with the check that fails
    and what is wrong, and TypeError for a class that is no transform.
    """
    tested = step_under_test(cls, arguments, name, registry)
    if tested.section not in CHECKS:
        raise TypeError(f"{tested.name} belongs to the section {tested.section}; use check_regularizer")
    tested.run(CHECKS[tested.section], without)
