"""Settings of `expect`, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

from augreg.expectation.means.outputs import Select, check_space

__all__ = ["Settings"]

_PARTS = ("image", "model")


@dataclass(frozen=True)
class Settings:
    """The arguments of `expect` without the model and the pipeline. Raises ValueError for those that are wrong."""

    over: tuple[str, ...]
    by: str
    samples: int
    views: int | None
    until: float | None
    max_samples: int
    space: str
    seed: int
    select: Select
    only: str | Mapping[str, Any] | Sequence[Any] | None
    batch_statistics: bool | Sequence[Any]
    multi_label: bool
    monte_carlo: tuple[str, ...]
    frame: str
    memory: int | None
    gradients: bool

    def __post_init__(self) -> None:
        check_space(self.space)
        unknown = [part for part in self.over if part not in _PARTS]
        if unknown or not self.over:
            raise ValueError(
                f'over has "image", "model" or both, got {self.over!r}; all models of a list are averaged'
            )
        if self.by not in ("samples", "moments"):
            raise ValueError(f'by is "samples" (Monte Carlo) or "moments" (one pass), got {self.by!r}')
        if self.frame not in ("test", "image"):
            raise ValueError(f'frame is "test" (the test image) or "image" (the image as given), got {self.frame!r}')
        for name in ("samples", "views", "max_samples", "memory"):
            value = getattr(self, name)
            if value is None and name in ("views", "memory"):
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a positive integer, got {value!r}")
        if self.until is not None and not (isinstance(self.until, int | float) and self.until > 0):
            raise ValueError(f"until is a standard error, which must be a positive number, got {self.until!r}")
        if not isinstance(self.seed, Integral):
            raise ValueError(f"seed must be an integer, got {self.seed!r}")
        if self.until is not None and self.max_samples < self.samples:
            raise ValueError(
                f"max_samples={self.max_samples} is less than samples={self.samples}, with which until= begins"
            )
        if self.batch_statistics is not False and "model" not in self.over:
            raise ValueError('batch_statistics= needs over="model": it is a noise of the model')
        if not isinstance(self.batch_statistics, bool | list):
            raise TypeError(
                "batch_statistics is True, for the statistics of the given batch, or a list of batches of training "
                f"images, one for each sample, got {type(self.batch_statistics).__name__}"
            )
        if self.by == "moments":
            self._check_moments()
        if self.space == "value" and self.multi_label:
            raise ValueError('multi_label=True is about classes, and space="value" is for outputs that are none')

    def _check_moments(self) -> None:
        """Raise ValueError for what one pass of moments cannot do."""
        if self.batch_statistics is not False:
            raise ValueError('batch_statistics= needs by="samples": moments use the running statistics')
        if self.gradients:
            raise ValueError('gradients=True needs by="samples": moments have none')
        if "model" not in self.over:
            raise ValueError('by="moments" is about the noise of the model; for over="image" use by="samples"')
