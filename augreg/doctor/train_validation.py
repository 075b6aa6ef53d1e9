"""Whether validation images are like the training images: channels, layout, scale, size, order of channels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from augreg.doctor.findings import Findings
from augreg.doctor.pixel_values import KNOWN
from augreg.doctor.statistics import LoaderStatistics

__all__ = ["examine"]

_WHERE = "both"


def examine(train: LoaderStatistics, validation: LoaderStatistics, findings: Findings) -> None:
    """Compare the two passes."""
    if not (train.count and validation.count):
        findings.unchecked("both: whether train and validation agree, since one of them shows no images")
        return
    findings.checked("both: channels, layout, scale and size of train and validation")
    scale = (
        "the network is validated on levels that it never saw: its figures are worthless, with no error anywhere",
        "do the same scaling and normalization on both sides; with augreg both come from one spec",
    )
    if train.kind != validation.kind and _apart(train, validation):
        seen = (
            f"train: {train.kind}, {train.low:.4g} to {train.high:.4g}; "
            f"validation: {validation.kind}, {validation.low:.4g} to {validation.high:.4g}"
        )
        findings.add("scales differ", "fault", _WHERE, seen, *scale)
    elif train.single_channels == validation.single_channels and train.kind == "signed":
        _normalizations(train, validation, findings, scale)
    if set(train.channels) != set(validation.channels):
        findings.add(
            "channels differ",
            "fault",
            _WHERE,
            f"train: {_listed(train.channels)} channels; validation: {_listed(validation.channels)}",
            "the network takes one number of channels",
            "read both sides in the same mode: image.convert('RGB'), or channels: rgb in an augreg spec",
        )
    elif set(train.axes) != set(validation.axes):
        findings.add(
            "layouts differ",
            "fault",
            _WHERE,
            f"channels are axis {_listed(train.axes)} of training images, {_listed(validation.axes)} in validation",
            "a convolution takes one of them for rows",
            "bring both to channels x height x width",
        )
    elif train.single_channels == validation.single_channels == 3:
        _order(train, validation, findings)
    if set(train.dtypes) != set(validation.dtypes) and train.kind == validation.kind:
        findings.add(
            "dtypes differ",
            "note",
            _WHERE,
            f"train: {_listed(train.dtypes)}; validation: {_listed(validation.dtypes)}",
            "a model raises for a dtype that it does not have, or results differ slightly",
            "use one dtype",
        )
    if set(train.shapes) != set(validation.shapes):
        findings.add(
            "sizes differ",
            "note",
            _WHERE,
            f"train: {_listed(train.shapes)}; validation: {_listed(validation.shapes)} (height, width)",
            "validating at a somewhat larger size than training is a known gain (Touvron et al. 2019, "
            "arXiv:1906.06423); by accident it is a loss",
            "nothing, if it is meant",
        )


def _apart(one: LoaderStatistics, two: LoaderStatistics) -> bool:
    """Whether the spreads differ by half or more, which augmentation does not do; or cannot be compared."""
    if one.low > one.high or two.low > two.high:  # no finite level at all
        return False
    if not (len(one.pixels) and len(two.pixels)):
        return True
    low, high = np.sort([one.pixels.std(), two.pixels.std()])
    return bool(high > 1.5 * low)


def _listed(counts: object) -> str:
    assert isinstance(counts, dict)
    shown = [str(key) for key in list(counts)[:4]]
    return ", ".join(shown) + (f" and {len(counts) - 4} more" if len(counts) > 4 else "")


def _normalizations(
    train: LoaderStatistics, validation: LoaderStatistics, findings: Findings, scale: tuple[str, str]
) -> None:
    """Both have negative levels: are mean and spread alike? Augmentation moves them less than these bounds."""
    one, two = train.pixels, validation.pixels
    if not (len(one) and len(two)):
        return
    shift = float(np.abs(one.mean(axis=0) - two.mean(axis=0)).max())
    low, high = np.sort([one.std(), two.std()])
    if high > 2 * low or shift > max(1.0, low):
        seen = (
            f"train: mean {one.mean():.3g}, spread {one.std():.3g}; "
            f"validation: mean {two.mean():.3g}, spread {two.std():.3g}"
        )
        findings.add("normalizations differ", "warning", _WHERE, seen, *scale)


def _order(train: LoaderStatistics, validation: LoaderStatistics, findings: Findings) -> None:
    """Whether validation's first and last channel are train's last and first, by the images' mean colors.

    First less last channel of an image, with the normalization undone, is taken for one draw. Where its mean is
    significantly of one sign in train and of the other in validation (6 standard errors each), and of one size within
    4, the order differs. Levels of an unknown normalization are not compared.
    """
    if min(train.count, validation.count) < 30 or train.kind != validation.kind:
        return
    for mean, std in [*KNOWN.values()] if train.kind == "signed" else [((0.0,), (1.0,))]:
        m, s = np.asarray(mean), np.asarray(std)
        if len(m) not in (1, 3) or (train.kind == "signed" and not _undone(train, validation, m, s)):
            continue
        (one, error), (two, other) = (_first_less_last(side.means * s + m) for side in (train, validation))
        apart = one * two < 0 and abs(one) > 6 * error and abs(two) > 6 * other
        if apart and abs(one + two) < 4 * float(np.hypot(error, other)):
            findings.add(
                "channel order differs",
                "warning",
                _WHERE,
                f"first less last channel is {one:.3g} on average in train and {two:.3g} in validation",
                "one side seems to read RGB and the other BGR, as OpenCV does",
                "convert on one side: image[..., ::-1]",
            )
        return


def _undone(
    train: LoaderStatistics, validation: LoaderStatistics, mean: NDArray[np.float64], std: NDArray[np.float64]
) -> bool:
    """Whether this normalization, undone, leaves levels in 0..1 on both sides."""
    levels = np.concatenate([train.pixels, validation.pixels]) * std + mean
    return bool(levels.min() > -0.02 and levels.max() < 1.02)


def _first_less_last(means: NDArray[np.float64]) -> tuple[float, float]:
    """The mean over images, and its standard error."""
    differences = means[:, 0] - means[:, 2]
    return float(differences.mean()), float(differences.std() / np.sqrt(len(differences))) + 1e-12
