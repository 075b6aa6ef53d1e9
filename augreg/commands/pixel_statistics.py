"""Pixel statistics for `augreg stats`: the work on one image, and the sums over all images.

All sums are integers (pixel values are counted), so the result depends neither on the order of the images nor on
the number of processes, and nothing is rounded before the end.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augreg.commands.input_images import Source
from augreg.errors import ImageError
from augreg.images.codecs import to_array
from augreg.pipeline import Pipeline

__all__ = ["Count", "Counts", "MeanImage"]


@dataclass(frozen=True)
class Count:
    """Count the pixel values of an image, or return its pixels; pickled for the worker processes."""

    spec: Mapping[str, Any]
    pixels: bool = False

    @functools.cached_property
    def pipeline(self) -> Pipeline:
        """The pipeline; its test-time steps are applied to an image first."""
        return Pipeline.from_spec(self.spec)

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def __call__(self, source: Source) -> NDArray[Any]:
        """Counts, channels x 256; or pixels, height x width x channels, uint8."""
        image = to_array(source.path, self.pipeline.options.channels).array
        image = self.pipeline.test(image) if self.pipeline.steps else image
        if self.pixels:
            return np.ascontiguousarray(image)
        return np.stack([np.bincount(plane.ravel(), minlength=256) for plane in np.moveaxis(image, 2, 0)])


def _same(kind: str, before: tuple[int, ...], now: tuple[int, ...]) -> None:
    if before != now:
        shapes = " and ".join("x".join(map(str, shape)) for shape in (now, before))
        raise ImageError(f"its {kind} differ from those of the other images: {shapes}")


class Counts:
    """Counts of pixel values over all images."""

    def __init__(self) -> None:
        self.images = 0
        self._counts: NDArray[np.int64] | None = None

    def add(self, counts: NDArray[Any]) -> None:
        """Add an image. Raises ImageError if its number of channels differs from that of the images before."""
        if self._counts is None:
            self._counts = np.zeros(counts.shape, np.int64)
        _same("channels", self._counts.shape[:1], counts.shape[:1])
        self._counts += counts
        self.images += 1

    @property
    def pixels(self) -> int:
        """The number of pixels so far."""
        return 0 if self._counts is None else int(self._counts[0].sum())

    def mean_and_std(self) -> tuple[list[float], list[float]]:
        """Mean and population standard deviation of each channel over all pixels, on the 0..1 scale."""
        assert self._counts is not None
        means, stds = [], []
        for row in self._counts.tolist():  # Python integers do not overflow
            count = sum(row)
            total = sum(value * times for value, times in enumerate(row))
            squares = sum(value * value * times for value, times in enumerate(row))
            means.append(total / count / 255)
            stds.append(((count * squares - total * total) / count**2) ** 0.5 / 255)
        return means, stds


class MeanImage:
    """The sum of images of one size."""

    def __init__(self) -> None:
        self.images = 0
        self._total: NDArray[np.int64] | None = None

    def add(self, image: NDArray[Any]) -> None:
        """Add an image. Raises ImageError if its size differs from that of the images before."""
        if self._total is None:
            self._total = np.zeros(image.shape, np.int64)
        _same("height, width and channels", self._total.shape, image.shape)
        self._total += image
        self.images += 1

    def mean(self) -> NDArray[np.float32]:
        """The mean image on the 0..1 scale, height x width x channels: a `mean_image` for normalize."""
        assert self._total is not None
        return (self._total / (255.0 * self.images)).astype(np.float32)
