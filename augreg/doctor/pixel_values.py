"""Checks of the pixel values of images: their range, and their normalization.

Normalized twice. Let (m, s) be the mean and standard deviation of a channel on the 0..1 scale. An image x normalized
once is (x - m) / s. The inverse applied twice, (z s + m) s + m, takes a twice normalized image z back to 0..1. So the
finding requires, in every channel, that the values inverted twice lie in -0.05..1.05 and reach below 0.15 and above
0.85; that the values inverted once do not lie in 0..1; and that the values are not standardized: their mean is below
-0.3 or their standard deviation above 2. The pairs (m, s) that are tried are those in wide use, those of a Normalize
in the dataset, and the pair that the values imply if the images were normalized twice by their own mean and std.

Divided by 255 once too often: the values, inverted once, lie in 0..1.5/255 in every channel, so that the normalized
values differ by hundredths only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from augreg.doctor.findings import Findings, Severity
from augreg.doctor.statistics import LoaderStatistics
from augreg.steps.fields import MEANS, STDS

__all__ = ["KNOWN", "Normalization", "examine", "listed", "twice_normalized"]

Normalization = tuple[Sequence[float], Sequence[float]]
"""Mean and standard deviation of each channel, or of all channels, on the 0..1 scale."""
KNOWN: dict[str, Normalization] = {name: (mean, STDS[name]) for name, mean in MEANS.items()}


def examine(statistics: LoaderStatistics, where: str, own: Sequence[Normalization], findings: Findings) -> None:
    """Report what is wrong with the pixel values. `own` are the normalizations found in the dataset."""
    _invalid(statistics, where, findings)
    if statistics.low > statistics.high:  # no finite pixel value
        return
    kind = statistics.kind
    values = f"values from {statistics.low:.4g} to {statistics.high:.4g}"
    if kind == "0..255":
        findings.add(
            "not scaled",
            "fault",
            where,
            f"float images with {values}{', all whole numbers' if statistics.whole else ''}",
            "they were never divided by 255; networks and initializations expect values with a mean near 0 and a "
            "standard deviation near 1, and training diverges or is slow",
            "scale to 0..1, then normalize: torchvision's ToDtype(torch.float32, scale=True), or augreg's normalize",
        )
    elif kind == "0..1/255":
        findings.add(
            "scaled twice",
            "fault",
            where,
            f"float images with {values}; 1/255 is 0.0039",
            "they were divided by 255 twice, so the network sees only black images",
            "remove one division: ToTensor and ToDtype(scale=True) both divide",
        )
    elif kind == "integers":
        findings.add(
            "integer images",
            "note",
            where,
            f"{', '.join(statistics.dtypes)} images with {values}",
            "this saves memory and transfer time, if images are scaled and normalized on the device",
            "make sure that they are",
        )
    elif kind == "0..1":
        findings.add(
            "not normalized",
            "note",
            where,
            f"float images with {values}",
            "a pretrained network expects the normalization that it was trained with; a network trained from scratch "
            "learns a little slower without normalization",
            "normalize by mean and std, unless the network does it itself",
        )
    else:  # signed or other
        _normalized(statistics, where, own, findings)


def _invalid(statistics: LoaderStatistics, where: str, findings: Findings) -> None:
    if statistics.not_finite:
        findings.add(
            "not finite",
            "fault",
            where,
            f"{len(statistics.not_finite)} of {statistics.count} images contain NaN or infinity",
            "one such image makes the loss, and then every weight, NaN",
            "check these files, and the steps that can divide by 0 or overflow: a std of 0, a logarithm, a resize of "
            "float images",
            statistics.not_finite,
        )
    fraction = len(statistics.constant) / max(1, statistics.count)
    if statistics.constant:
        findings.add(
            "constant images",
            "fault" if fraction == 1 else "warning" if fraction > 0.1 else "note",
            where,
            f"{len(statistics.constant)} of {statistics.count} images have the same value in all pixels",
            "the files are blank, or a transform blanked them (a crop of padding only, a factor of 0)",
            "look at these images before and after the transforms",
            statistics.constant,
        )


def _normalized(statistics: LoaderStatistics, where: str, own: Sequence[Normalization], findings: Findings) -> None:
    pixels = statistics.pixels
    if len(pixels) < 16:
        return
    seen = f"mean {listed(pixels.mean(axis=0))}, std {listed(pixels.std(axis=0))}"
    pairs = {f"{mean} and {std}, found in the dataset": (mean, std) for mean, std in own} | KNOWN
    for name, (mean, std) in pairs.items():
        m, s = np.asarray(mean, float).ravel(), np.asarray(std, float).ravel()
        if len(m) not in (1, pixels.shape[1]):
            continue
        if twice_normalized(pixels, m, s):
            _report_twice(findings, "fault", where, seen, f"with the mean and std of {name}")
            return
        if _divided_twice(pixels, m, s):
            _report_divided(findings, where, seen, name, own)
            return
        if _wrong_scale(pixels, m, s):
            findings.add(
                "normalized on the wrong scale",
                "fault",
                where,
                f"values from {statistics.low:.4g} to {statistics.high:.4g}, {seen}; denormalized with the mean "
                f"and std of {name}, they lie in 0..255",
                "images on the 0..255 scale were normalized with a mean and std for the 0..1 scale",
                "scale to 0..1 before normalizing",
            )
            return
    implied = _implied(pixels)
    far = max(statistics.high, -statistics.low)
    if implied is not None and twice_normalized(pixels, *implied):
        pair = f"with mean {listed(implied[0])} and std {listed(implied[1])}, if they are those of this dataset"
        _report_twice(findings, "warning", where, seen, pair)
    elif far > 300:
        multiplied = next((name for name, pair in pairs.items() if _multiplied(pixels, *pair)), None)
        one = pixels.shape[1] == 1
        if multiplied is not None and not one:  # one channel may be of physical units in that range
            seen += f"; divided by 255 and denormalized with the mean and std of {multiplied}, they lie in 0..1"
        units = (
            "physical units, such as the Hounsfield units of CT: clip them to the window that matters, such as -150 "
            "to 250, and scale that to 0..1 or -1..1; "
        )
        scale = (
            "12 or 16 bits: divide by 4095 or 65535; then normalize by the mean and std of the dataset, unless the "
            "network does it itself"
        )
        after = "they were multiplied by 255 after normalizing: remove that multiplication"
        findings.add(
            "wide pixel values",
            "warning",
            where,
            f"values from {statistics.low:.4g} to {statistics.high:.4g}, {seen}",
            "networks and initializations expect values with a mean near 0 and a standard deviation near 1, so "
            "training diverges or is slow",
            after if multiplied is not None and not one else (units if one else "") + scale,
        )
    elif far > 20:
        findings.add(
            "wide pixel values",
            "note",
            where,
            f"values from {statistics.low:.4g} to {statistics.high:.4g}, {seen}",
            "correct only for networks that were trained on such values, as some were on images on the 0..255 scale "
            "with the mean subtracted",
            "check what the network expects; values in physical units, such as a window of CT values, must be scaled "
            "to 0..1 or -1..1",
        )


def _report_divided(findings: Findings, where: str, seen: str, name: str, own: Sequence[Normalization]) -> None:
    """Report values that are 1/255 of what they should be: divided twice, or normalized by a mean for 0..255."""
    large = [(mean, std) for mean, std in own if np.max(mean) > 2]
    cause, remedy = (
        "the images were on the 0..1 scale and were divided by 255 again before they were normalized",
        "remove the division, or set max_pixel_value=1.0 or a similar argument of the step; or, if the mean and std "
        "of the step are those of the 0..255 scale, such as 123.7 and 58.4, divide them by 255",
    )
    if large:
        mean, std = large[0]
        cause = f"the images are on the 0..1 scale, and the mean {list(mean)} and std {list(std)} are for 0..255"
        remedy = "divide mean and std by 255, or do not scale the images to 0..1 before this step"
    findings.add(
        "normalized after a second division by 255",
        "fault",
        where,
        f"{seen}; denormalized with the mean and std of {name}, all values lie in 0..1/255",
        f"{cause}, so the network sees nearly the same values in all images",
        remedy,
    )


def _wrong_scale(pixels: NDArray[np.float64], mean: NDArray[np.float64], std: NDArray[np.float64]) -> bool:
    """Whether pixels are 0..255 normalized by a mean and std for 0..1: denormalized, they fill 0..255."""
    if mean.max() > 2:
        return False
    once = pixels * std + mean
    return bool((once > -0.5).all() and (once < 255.5).all() and once.max() > 64 and pixels.max() > 100)


def _multiplied(pixels: NDArray[np.float64], mean: Sequence[float], std: Sequence[float]) -> bool:
    """Whether pixels are normalized ones times 255: divided by it and denormalized, they lie in 0..1, and fill it."""
    m, s = np.asarray(mean, float).ravel(), np.asarray(std, float).ravel()
    if len(m) not in (1, pixels.shape[1]):
        return False
    once = pixels / 255 * s + m
    return bool((once > -0.02).all() and (once < 1.02).all() and np.ptp(once) > 0.5)


def _report_twice(findings: Findings, severity: Severity, where: str, seen: str, pair: str) -> None:
    findings.add(
        "normalized twice",
        severity,
        where,
        f"{seen}; denormalized twice {pair}, the values fill 0..1, and denormalized once they do not lie in 0..1",
        "the network gets values far from 0 that vary several times more than it expects; a pretrained network loses "
        "most of its accuracy, without any error",
        "remove one normalization: often one is in the dataset's transform, and the other in the model, its "
        "processor or the training step",
    )


def twice_normalized(pixels: NDArray[np.float64], mean: NDArray[np.float64], std: NDArray[np.float64]) -> bool:
    """Whether pixels (n x channels) look twice normalized by (mean, std); the module docstring has the rule."""
    once = pixels * std + mean
    twice = once * std + mean
    low, high = np.quantile(twice, 0.001, axis=0), np.quantile(twice, 0.999, axis=0)
    fills = (low > -0.05) & (low < 0.15) & (high > 0.85) & (high < 1.05)
    proper = (once.min(axis=0) >= -0.02) & (once.max(axis=0) <= 1.02)
    standard = (pixels.mean(axis=0) >= -0.3) & (pixels.std(axis=0) <= 2.0)
    return bool((fills & ~proper & ~standard).all())


def _divided_twice(pixels: NDArray[np.float64], mean: NDArray[np.float64], std: NDArray[np.float64]) -> bool:
    once = pixels * std + mean
    return bool((once > -1e-3).all() and (once < 1.5 / 255).all() and np.ptp(pixels, axis=0).any())


def _implied(pixels: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """The (m, s) of a dataset that, normalized twice with them, has these pixels: mean -m/s and std 1/s."""
    deviation = pixels.std(axis=0)
    if (deviation < 1.5).any():
        return None
    mean = -pixels.mean(axis=0) / deviation
    return (mean, 1 / deviation) if ((mean > 0) & (mean < 1)).all() else None


def listed(values: NDArray[np.float64]) -> str:
    """Numbers with three digits each, as [0.485, 0.456]."""
    return "[" + ", ".join(f"{value:.3g}" for value in values) + "]"
