"""Checks that validation images match training images: channels, layout, scale, size, order of channels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from augreg.doctor.findings import Findings, shortened
from augreg.doctor.pixel_values import KNOWN, Normalization, listed
from augreg.doctor.statistics import LoaderStatistics

__all__ = ["examine", "named"]

_SCALE = (
    "the network is validated on pixel values that it was not trained on, so the metrics are meaningless, and no "
    "error is raised",
    "scale and normalize both sides in the same way; with augreg both come from one spec",
)


def named(
    one: Sequence[Normalization], two: Sequence[Normalization], where: str, names: tuple[str, str], findings: Findings
) -> None:
    """Report a Normalize of one side whose mean and std differ from those of the other side's, if each has one."""
    first, second = _distinct(one), _distinct(two)
    if len(first) != 1 or len(second) != 1:
        return
    findings.checked(f"{where}: mean and std of Normalize")
    (mean, std), (other_mean, other_std) = first[0], second[0]
    if not (_close(mean, other_mean) and _close(std, other_std)):
        seen = f"{names[0]}: mean {listed(mean)}, std {listed(std)}; "
        seen += f"{names[1]}: mean {listed(other_mean)}, std {listed(other_std)}"
        findings.add("normalizations differ", "fault", where, seen, *_SCALE)


def _distinct(pairs: Sequence[Normalization]) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """The different pairs, on the scale of 0..1."""
    found: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
    for mean, std in pairs:
        m, s = np.asarray(mean, float).ravel(), np.asarray(std, float).ravel()
        if m.max() > 2:  # on the scale of 0..255
            m, s = m / 255, s / 255
        if not any(_close(m, other) and _close(s, deviation) for other, deviation in found):
            found.append((m, s))
    return found


def _close(one: NDArray[np.float64], two: NDArray[np.float64]) -> bool:
    same = len(one) == len(two) or 1 in (len(one), len(two))
    return same and bool(np.allclose(one, two, atol=2e-3))


def examine(
    train: LoaderStatistics,
    validation: LoaderStatistics,
    where: str,
    names: tuple[str, str],
    findings: Findings,
) -> None:
    """Report differences between the two passes. `names` are those of the two loaders."""
    if not (train.count and validation.count):
        findings.unchecked(f"{where}: whether {names[0]} and {names[1]} match; one of them has no images")
        return
    findings.checked(f"{where}: channels, layout, scale and size of {names[0]} and {names[1]}")
    first, second = names
    if train.kind != validation.kind and _deviations_differ(train, validation):
        seen = (
            f"{first}: {train.kind}, {train.low:.4g} to {train.high:.4g}; "
            f"{second}: {validation.kind}, {validation.low:.4g} to {validation.high:.4g}"
        )
        findings.add("scales differ", "fault", where, seen, *_SCALE)
    elif train.single_channels == validation.single_channels and train.kind == "signed":
        _compare_normalizations(train, validation, where, names, findings)
    if set(train.channels) != set(validation.channels):
        findings.add(
            "channels differ",
            "fault",
            where,
            f"{first}: {shortened(train.channels, 4)} channels; {second}: {shortened(validation.channels, 4)}",
            "the network accepts one number of channels",
            "read both sides in the same mode: image.convert('RGB'), or channels: rgb in an augreg spec",
        )
    elif set(train.axes) != set(validation.axes):
        findings.add(
            "layouts differ",
            "fault",
            where,
            f"channels are axis {shortened(train.axes, 4)} in {first} and "
            f"axis {shortened(validation.axes, 4)} in {second}",
            "on one side a convolution treats the channels as rows",
            "convert both to channels x height x width",
        )
    elif train.single_channels == validation.single_channels == 3:
        _compare_channel_order(train, validation, where, names, findings)
    if set(train.dtypes) != set(validation.dtypes) and train.kind == validation.kind:
        findings.add(
            "dtypes differ",
            "note",
            where,
            f"{first}: {shortened(train.dtypes, 4)}; {second}: {shortened(validation.dtypes, 4)}",
            "a model raises an error for a dtype other than that of its weights, or its results differ slightly",
            "use one dtype",
        )
    if set(train.shapes) != set(validation.shapes):
        findings.add(
            "sizes differ",
            "note",
            where,
            f"{first}: {shortened(train.shapes, 4)}; {second}: {shortened(validation.shapes, 4)} (height, width)",
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


def _compare_normalizations(
    train: LoaderStatistics, validation: LoaderStatistics, where: str, names: tuple[str, str], findings: Findings
) -> None:
    """Compare mean and std of normalized images; augmentation changes them less than these bounds."""
    one, two = train.pixels, validation.pixels
    if not (len(one) and len(two)):
        return
    shift = float(np.abs(one.mean(axis=0) - two.mean(axis=0)).max())
    low, high = np.sort([one.std(), two.std()])
    if high > 2 * low or shift > max(1.0, low):
        seen = (
            f"{names[0]}: mean {one.mean():.3g}, std {one.std():.3g}; "
            f"{names[1]}: mean {two.mean():.3g}, std {two.std():.3g}"
        )
        findings.add("normalizations differ", "warning", where, seen, *_SCALE)


def _compare_channel_order(
    train: LoaderStatistics, validation: LoaderStatistics, where: str, names: tuple[str, str], findings: Findings
) -> None:
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
                where,
                f"the first channel minus the last is {one:.3g} on average in {names[0]} and {two:.3g} in {names[1]}",
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
