"""What one pass over the user's own loader shows: the images' kinds, sizes and levels, and all labels."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augreg.doctor.findings import Findings
from augreg.doctor.images import channel_axis, split_batch
from augreg.doctor.probing import Subject

__all__ = ["Measures", "measure"]

_PIXELS = 256  # how many of an image's pixels are kept, evenly spread


class Measures:
    """The pass in numbers. Places are "batch 3, image 4", counted from 0."""

    def __init__(self) -> None:
        self.count = 0
        self.dtypes: dict[str, int] = {}
        self.shapes: dict[tuple[int, ...], int] = {}
        self.axes: dict[int | None, int] = {}
        self.channels: dict[int, int] = {}
        self.broken: list[str] = []  # images with NaN or infinity
        self.constant: list[str] = []
        self.low, self.high = np.inf, -np.inf
        self.whole = True  # all levels are whole numbers
        self.labels: list[tuple[str, Any]] = []
        self._means: list[NDArray[np.float64]] = []
        self._pixels: list[NDArray[np.float64]] = []

    @property
    def kind(self) -> str:
        """The scale of the levels: `integers`, `0..255`, `0..1`, `0..1/255`, `signed`, or `other`.

        `signed` has more than 5% of its levels below -0.1, as normalized images have; some noise, erased boxes of
        noise too, still count as 0..1.
        """
        if self.dtypes and all(np.dtype(name).kind in "bui" for name in self.dtypes):
            return "integers"
        if self.low < -0.1 and (not len(self.pixels) or (self.pixels < -0.1).mean() > 0.05):
            return "signed"
        if self.high <= 1.5 / 255 and self.high > 0:
            return "0..1/255"
        if self.high <= 1.5:
            return "0..1"
        return "0..255" if 16 < self.high <= 256 else "other"

    @property
    def single_channels(self) -> int | None:
        """How many channels the images have, where all have as many."""
        return next(iter(self.channels)) if len(self.channels) == 1 else None

    @property
    def pixels(self) -> NDArray[np.float64]:
        """Some of the finite pixels, n x channels, of images that have as many channels; else n is 0."""
        if not self._pixels or not self.single_channels:
            return np.zeros((0, 1))
        return np.concatenate(self._pixels)

    @property
    def means(self) -> NDArray[np.float64]:
        """The mean of each image's channels, images x channels."""
        return np.stack(self._means) if self._means and self.single_channels else np.zeros((0, 1))

    def add(self, image: NDArray[Any], place: str) -> None:
        """Measure one image, of two or three axes."""
        self.count += 1
        axis = channel_axis(image.shape)
        planes = image[..., None] if axis is None else np.moveaxis(image, axis, -1)
        pixels = planes.reshape(-1, planes.shape[-1]).astype(np.float64)
        _count(self.dtypes, image.dtype.name)
        _count(self.shapes, planes.shape[:2])
        _count(self.axes, axis)
        _count(self.channels, planes.shape[-1])
        finite = np.isfinite(pixels)
        if not finite.all():
            self.broken.append(place)
            pixels = pixels[finite.all(axis=1)]
        if not len(pixels):
            return
        low, high = float(pixels.min()), float(pixels.max())
        if (pixels == pixels[0]).all():
            self.constant.append(place)
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.whole = self.whole and bool((pixels == np.round(pixels)).all())
        self._means.append(pixels.mean(axis=0))
        self._pixels.append(pixels[:: max(1, len(pixels) // _PIXELS)])


def _count(counts: dict[Any, int], key: Any) -> None:
    counts[key] = counts.get(key, 0) + 1


def measure(subject: Subject, samples: int, notebook: Findings) -> Measures:
    """Run up to `samples` images through the loader, as its user would. Raises what it raises."""
    found = Measures()
    whole = subject.plain or subject.loader.batch_size is not None or subject.loader.batch_sampler is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number, batch in enumerate(subject.twin()):
            parts = split_batch(batch, whole)
            for place, image in enumerate(parts.images):
                if image.ndim in (2, 3):
                    found.add(image, f"batch {number}, image {place}")
            found.labels += [(f"batch {number}", label) for label in ([] if parts.labels is None else [parts.labels])]
            if found.count >= samples or number + 1 >= samples:
                break
    if found.count:
        notebook.checked(f"{subject.where}: levels and labels of {found.count} images, as the loader gives them")
    else:
        notebook.unchecked(f"{subject.where}: levels: no image was recognized in what the loader gives")
    return found
