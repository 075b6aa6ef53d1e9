"""Statistics of one pass over a loader: dtypes, sizes and pixel values of the images, and all labels."""

from __future__ import annotations

import traceback
import warnings
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augreg.doctor.arrays import channel_axis, digest
from augreg.doctor.findings import Findings, raised_by_doctor
from augreg.doctor.limits import TimeLimit
from augreg.doctor.probing import Subject, length
from augreg.doctor.samples import split_batch
from augreg.doctor.targets import Targets

__all__ = ["LoaderStatistics", "measure"]

_MOST_FAILED = 16  # batches that raise an exception, before the pass ends
_PIXELS = 256  # pixels kept of each image, evenly spaced


class LoaderStatistics:
    """Statistics of one pass. Positions are written "batch 3, image 4", counted from 0."""

    def __init__(self) -> None:
        self.count = 0
        self.dtypes: Counter[str] = Counter()
        self.shapes: Counter[tuple[int, ...]] = Counter()
        self.axes: Counter[int | None] = Counter()
        self.channels: Counter[int] = Counter()
        self.not_finite: list[str] = []  # images with NaN or infinity
        self.constant: list[str] = []
        self.low, self.high = np.inf, -np.inf
        self.whole = True  # all pixel values are whole numbers
        self.batches = 0
        self.labels: list[tuple[str, Any, int]] = []  # the place, the labels, and the number of images
        self.targets = Targets()
        self.digests: dict[bytes, str] = {}  # of images that are not constant, with their places
        self._means: list[NDArray[np.float64]] = []
        self._pixels: list[NDArray[np.float64]] = []

    @property
    def kind(self) -> str:
        """The scale of the pixel values: `integers`, `0..255`, `0..1`, `0..1/255`, `signed`, or `other`.

        `signed` means that more than 5% of the pixel values are below -0.1, as in normalized images; with a smaller
        part below 0, such as added noise or boxes erased by noise, images still count as 0..1.
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
        """The number of channels, if it is the same for all images; else None."""
        return next(iter(self.channels)) if len(self.channels) == 1 else None

    @property
    def pixels(self) -> NDArray[np.float64]:
        """Some of the finite pixels, n x channels; n is 0 if images have different numbers of channels."""
        if not self._pixels or not self.single_channels:
            return np.zeros((0, 1))
        return np.concatenate(self._pixels)

    @property
    def means(self) -> NDArray[np.float64]:
        """The channel means of each image, images x channels."""
        return np.stack(self._means) if self._means and self.single_channels else np.zeros((0, 1))

    def add(self, image: NDArray[Any], place: str) -> None:
        """Add an image of two or three axes."""
        self.count += 1
        axis = channel_axis(image.shape)
        planes = image[..., None] if axis is None else np.moveaxis(image, axis, -1)
        pixels = planes.reshape(-1, planes.shape[-1]).astype(np.float64)
        self.dtypes[image.dtype.name] += 1
        self.shapes[planes.shape[:2]] += 1
        self.axes[axis] += 1
        self.channels[planes.shape[-1]] += 1
        finite = np.isfinite(pixels)
        if not finite.all():
            self.not_finite.append(place)
            pixels = pixels[finite.all(axis=1)]
        if not len(pixels):
            return
        low, high = float(pixels.min()), float(pixels.max())
        if (pixels == pixels[0]).all():
            self.constant.append(place)
        else:
            self.digests.setdefault(digest(image), place)
        self.low, self.high = min(self.low, low) + 0.0, max(self.high, high) + 0.0  # 0 in place of -0
        self.whole = self.whole and bool((pixels == np.round(pixels)).all())
        self._means.append(pixels.mean(axis=0))
        self._pixels.append(pixels[:: max(1, len(pixels) // _PIXELS)])


def measure(
    subject: Subject,
    samples: int,
    findings: Findings,
    skip: Collection[int] = frozenset(),
    unreadable: bool = False,
) -> LoaderStatistics:
    """Run up to `samples` images through the loader, as the user would.

    A batch that raises an exception is left out and reported, except, if `unreadable` is set, as not checked only:
    the samples that raise are known then. `skip` are positions in a sample that are known not to be labels.
    """
    statistics = LoaderStatistics()
    whole = subject.plain or subject.batched
    failed: list[tuple[str, str]] = []
    with warnings.catch_warnings(), subject.twin() as twin:
        warnings.simplefilter("ignore")
        for number, batch in enumerate(_batches(twin, subject, failed)):
            if batch is TimeLimit:
                findings.limited(subject.where, f"images after the first {statistics.count}", subject.watch)
                break
            parts = split_batch(batch, whole, skip)
            statistics.batches += 1
            for place, image in enumerate(parts.images):
                if image.ndim in (2, 3):
                    statistics.add(image, f"batch {number}, image {place}")
            if parts.labels is not None:
                statistics.labels.append((f"batch {number}", parts.labels, max(1, len(parts.images))))
            statistics.targets.add(parts, number)
            if statistics.count >= samples or number + 1 >= samples:
                break
            try:
                subject.watch.step(f"{subject.where}: images from the loader", statistics.count, samples)
            except TimeLimit:
                findings.limited(subject.where, f"images after the first {statistics.count}", subject.watch)
                break
    if failed:
        count = f"{len(failed)} batch{'es' * (len(failed) > 1)}"
        stops = ", and all batches after them" if len(failed) == _MOST_FAILED else ""
        findings.unchecked(f"{subject.where}: pixel values and labels of {count} that raised an exception{stops}")
        if not unreadable:
            name, text = failed[0]
            findings.error(subject.where, f"iterating the loader raised {name} ({count} in all)", text)
    if not statistics.batches and not failed and not subject.watch.over:
        _report_empty(subject, findings)
    elif statistics.count:
        findings.checked(f"{subject.where}: pixel values of {statistics.count} images from the loader")
    else:
        findings.unchecked(f"{subject.where}: pixel values: no image was recognized in the batches of the loader")
    return statistics


def _batches(twin: Any, subject: Subject, failed: list[tuple[str, str]]) -> Iterator[Any]:
    """The batches of a loader; `TimeLimit` if the time is over while one is waited for.

    Of those that raise, the exception's name and traceback are added to `failed`.
    """
    iterator = iter(twin)
    while len(failed) < _MOST_FAILED:
        try:
            batch = next(iterator)
        except StopIteration:
            break
        except Exception as error:
            text = "".join(traceback.format_exception(error))
            if subject.watch.over:
                yield TimeLimit
                return
            if raised_by_doctor(text) or str(error).startswith("DataLoader "):
                raise  # the latter says that a worker has died
            traceback.clear_frames(error.__traceback__)
            failed.append((type(error).__name__, text))
            continue
        yield batch


def _report_empty(subject: Subject, findings: Findings) -> None:
    """Report a loader that yields no batch."""
    loader = subject.loader
    dropped = bool(getattr(loader, "drop_last", False)) and not subject.plain
    count = length(subject.dataset)
    cause = f"; the dataset has {count} samples" if count is not None else ""
    findings.add(
        "no batches",
        "fault",
        subject.where,
        f"the loader yields no batch{cause}"
        + (", and drop_last=True drops the last, incomplete batch" if dropped else ""),
        "an epoch without batches raises no error: nothing is trained, or the metric of nothing is computed",
        "check the path, the split and the filter that make the dataset; an iterator that was read once is empty "
        "afterwards: pass the loader itself"
        if not dropped or not count
        else f"use a batch size of at most {count}, or drop_last=False",
    )
