"""Checks that validation images match training images: channels, layout, scale, size, order of channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augreg.doctor.findings import Findings
from augreg.doctor.pixel_values import KNOWN
from augreg.doctor.statistics import LoaderStatistics

__all__ = ["examine"]

_WHERE = "both"


def examine(train: LoaderStatistics, validation: LoaderStatistics, findings: Findings) -> None:
    """Report differences between the two passes."""
    if not (train.count and validation.count):
        findings.unchecked("both: whether train and validation match; one of them has no images")
        return
    findings.checked("both: channels, layout, scale and size of train and validation")
    scale = (
        "the network is validated on pixel values that it was not trained on, so the metrics are meaningless, and "
        "no error is raised",
        "scale and normalize both sides in the same way; with augreg both come from one spec",
    )
    if train.kind != validation.kind and _deviations_differ(train, validation):
        seen = (
            f"train: {train.kind}, {train.low:.4g} to {train.high:.4g}; "
            f"validation: {validation.kind}, {validation.low:.4g} to {validation.high:.4g}"
        )
        findings.add("scales differ", "fault", _WHERE, seen, *scale)
    elif train.single_channels == validation.single_channels and train.kind == "signed":
        _compare_normalizations(train, validation, findings, scale)
    if set(train.channels) != set(validation.channels):
        findings.add(
            "channels differ",
            "fault",
            _WHERE,
            f"train: {_listed(train.channels)} channels; validation: {_listed(validation.channels)}",
            "the network accepts one number of channels",
            "read both sides in the same mode: image.convert('RGB'), or channels: rgb in an augreg spec",
        )
    elif set(train.axes) != set(validation.axes):
        findings.add(
            "layouts differ",
            "fault",
            _WHERE,
            f"channels are axis {_listed(train.axes)} in train and axis {_listed(validation.axes)} in validation",
            "on one side a convolution treats the channels as rows",
            "convert both to channels x height x width",
        )
    elif train.single_channels == validation.single_channels == 3:
        _compare_channel_order(train, validation, findings)
    if set(train.dtypes) != set(validation.dtypes) and train.kind == validation.kind:
        findings.add(
            "dtypes differ",
            "note",
            _WHERE,
            f"train: {_listed(train.dtypes)}; validation: {_listed(validation.dtypes)}",
            "a model raises an error for a dtype other than that of its weights, or its results differ slightly",
            "use one dtype",
        )
    if set(train.shapes) != set(validation.shapes):
        findings.add(
            "sizes differ",
            "note",
            _WHERE,
            f"train: {_listed(train.shapes)}; validation: {_listed(validation.shapes)} (height, width)",
            "validating at a somewhat larger size than training can improve accuracy (Touvron et al. 2019, "
            "arXiv:1906.06423); other differences reduce it",
            "nothing, if this is intended",
        )


def _deviations_differ(one: LoaderStatistics, two: LoaderStatistics) -> bool:
    """Whether standard deviations differ by more than half, unlike after augmentation; or cannot be compared."""
    if one.low > one.high or two.low > two.high:  # no finite pixel value
        return False
    if not (len(one.pixels) and len(two.pixels)):
        return True
    low, high = np.sort([one.pixels.std(), two.pixels.std()])
    return bool(high > 1.5 * low)


def _listed(counts: Mapping[Any, int]) -> str:
    shown = [str(key) for key in list(counts)[:4]]
    return ", ".join(shown) + (f" and {len(counts) - 4} more" if len(counts) > 4 else "")


def _compare_normalizations(
    train: LoaderStatistics, validation: LoaderStatistics, findings: Findings, scale: tuple[str, str]
) -> None:
    """Compare mean and std of normalized images; augmentation changes them less than these bounds."""
    one, two = train.pixels, validation.pixels
    if not (len(one) and len(two)):
        return
    shift = float(np.abs(one.mean(axis=0) - two.mean(axis=0)).max())
    low, high = np.sort([one.std(), two.std()])
    if high > 2 * low or shift > max(1.0, low):
        seen = (
            f"train: mean {one.mean():.3g}, std {one.std():.3g}; "
            f"validation: mean {two.mean():.3g}, std {two.std():.3g}"
        )
        findings.add("normalizations differ", "warning", _WHERE, seen, *scale)


def _compare_channel_order(train: LoaderStatistics, validation: LoaderStatistics, findings: Findings) -> None:
    """Report if the channels of one side are in reverse order, judged by the mean colors of the images.

    For each image the difference between its first and last channel is computed, without normalization. The order
    differs if the means of the differences have opposite signs in train and validation (by 6 standard errors each)
    and the same absolute value (within 4). Images with an unknown normalization are not compared.
    """
    if min(train.count, validation.count) < 30 or train.kind != validation.kind:
        return
    for mean, std in [*KNOWN.values()] if train.kind == "signed" else [((0.0,), (1.0,))]:
        m, s = np.asarray(mean), np.asarray(std)
        if len(m) not in (1, 3) or (train.kind == "signed" and not _is_normalization(train, validation, m, s)):
            continue
        (one, error), (two, other) = (_channel_difference(side.means * s + m) for side in (train, validation))
        apart = one * two < 0 and abs(one) > 6 * error and abs(two) > 6 * other
        if apart and abs(one + two) < 4 * float(np.hypot(error, other)):
            findings.add(
                "channel order differs",
                "warning",
                _WHERE,
                f"the first channel minus the last is {one:.3g} on average in train and {two:.3g} in validation",
                "one side seems to be RGB and the other BGR, as images from OpenCV are",
                "convert on one side: image[..., ::-1]",
            )
        return


def _is_normalization(
    train: LoaderStatistics, validation: LoaderStatistics, mean: NDArray[np.float64], std: NDArray[np.float64]
) -> bool:
    """Whether the inverse of this normalization gives values in 0..1 on both sides."""
    values = np.concatenate([train.pixels, validation.pixels]) * std + mean
    return bool(values.min() > -0.02 and values.max() < 1.02)


def _channel_difference(means: NDArray[np.float64]) -> tuple[float, float]:
    """The mean over images of first minus last channel, and its standard error."""
    differences = means[:, 0] - means[:, 2]
    return float(differences.mean()), float(differences.std() / np.sqrt(len(differences))) + 1e-12
