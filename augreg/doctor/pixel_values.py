"""Whether the levels of the images are what a network can learn from: their range, and their normalization.

Twice normalized. Let (m, s) be a channel's mean and standard deviation on the 0..1 scale. Images x normalized once
are (x - m) / s. Undoing that twice, (z s + m) s + m, takes images that were normalized twice back to 0..1 exactly,
and fills it. So the finding needs, in every channel: what is undone twice lies in -0.05..1.05 and reaches below 0.15
and above 0.85; what is undone once does not lie in 0..1; and the levels are not standardized as they are: the mean is
below -0.3 or the spread above 2. (m, s) are those that are in wide use, those of a Normalize that is found in the
dataset, and those that the levels themselves would imply if they were their own.

Divided by 255 too often: the levels, undone once, lie within 0..1.5/255 in every channel: a spread of hundredths.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from augreg.doctor.findings import Findings
from augreg.doctor.statistics import LoaderStatistics

__all__ = ["KNOWN", "examine", "twice_normalized"]

KNOWN: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "ImageNet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "CIFAR-10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "CIFAR-100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
    "CLIP": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "mean 0.5, std 0.5": ((0.5,), (0.5,)),
    "MNIST": ((0.1307,), (0.3081,)),
}


def examine(statistics: LoaderStatistics, where: str, given: list[tuple[Any, Any]], findings: Findings) -> None:
    """Take down what is wrong with the levels. `given` are the (mean, std) that the dataset itself names."""
    _broken(statistics, where, findings)
    if statistics.low > statistics.high:  # no finite level at all
        return
    kind = statistics.kind
    levels = f"levels from {statistics.low:.4g} to {statistics.high:.4g}"
    if kind == "0..255":
        findings.add(
            "not scaled",
            "fault",
            where,
            f"float images with {levels}{', all whole numbers' if statistics.whole else ''}",
            "they were never divided by 255; networks and initializations expect levels around 0 with a spread "
            "around 1, and training diverges or crawls",
            "scale to 0..1, then normalize: torchvision's ToDtype(torch.float32, scale=True), or augreg's normalize",
        )
    elif kind == "0..1/255":
        findings.add(
            "scaled twice",
            "fault",
            where,
            f"float images with {levels}; 1/255 is 0.0039",
            "they were divided by 255 twice: to a network they are all black",
            "leave out one of the two: ToTensor and ToDtype(scale=True) divide already",
        )
    elif kind == "integers":
        findings.add(
            "integer images",
            "note",
            where,
            f"{', '.join(statistics.dtypes)} images with {levels}",
            "that saves memory and transfer, if they are scaled and normalized on the device",
            "make sure that they are",
        )
    elif kind == "0..1":
        findings.add(
            "not normalized",
            "note",
            where,
            f"float images with {levels}",
            "a pretrained network expects the normalization that it was trained with; one trained from scratch "
            "learns a little slower without any",
            "normalize by mean and std, unless the network does it itself",
        )
    elif kind in ("signed", "other"):
        _normalized(statistics, where, given, findings)


def _broken(statistics: LoaderStatistics, where: str, findings: Findings) -> None:
    if statistics.broken:
        findings.add(
            "not finite",
            "fault",
            where,
            f"{len(statistics.broken)} of {statistics.count} images have NaN or infinite levels",
            "one such image makes the loss, and then every weight, NaN",
            "look at these files and at the steps that divide: a std of 0, a logarithm, a resize of float images",
            statistics.broken,
        )
    share = len(statistics.constant) / max(1, statistics.count)
    if statistics.constant:
        findings.add(
            "one level only",
            "fault" if share == 1 else "warning" if share > 0.1 else "note",
            where,
            f"{len(statistics.constant)} of {statistics.count} images have one level everywhere",
            "they are blank files, or a step made them so (a crop into the padding, a factor of 0)",
            "look at these images, before and after the transforms",
            statistics.constant,
        )


def _normalized(statistics: LoaderStatistics, where: str, given: list[tuple[Any, Any]], findings: Findings) -> None:
    pixels = statistics.pixels
    if len(pixels) < 16:
        return
    found = f"mean {_told(pixels.mean(axis=0))}, spread {_told(pixels.std(axis=0))}"
    pairs = {**{f"the dataset's own, {mean} and {std}": (mean, std) for mean, std in given}, **KNOWN}
    for name, (mean, std) in pairs.items():
        m, s = np.asarray(mean, float).ravel(), np.asarray(std, float).ravel()
        if len(m) not in (1, pixels.shape[1]) or not (s > 0).all():
            continue
        if twice_normalized(pixels, m, s):
            _twice(findings, "fault", where, found, f"by mean and std of {name}")
            return
        if _divided_twice(pixels, m, s):
            findings.add(
                "normalized after a second division by 255",
                "fault",
                where,
                f"{found}; undone by mean and std of {name}, all levels lie in 0..1/255",
                "the images were on the 0..1 scale, and were divided by 255 once more before they were normalized: "
                "to a network they are all the same",
                "leave out the division, or give the step max_pixel_value=1.0 or its like",
            )
            return
    implied = _implied(pixels)
    if implied is not None and twice_normalized(pixels, *implied):
        said = f"by mean {_told(implied[0])}, std {_told(implied[1])}, if these are the set's own"
        _twice(findings, "warning", where, found, said)
    elif statistics.high > 300:
        findings.add(
            "normalized on the wrong scale",
            "fault",
            where,
            f"levels from {statistics.low:.4g} to {statistics.high:.4g}, {found}",
            "levels of 0..255 were normalized by a mean and std for the 0..1 scale",
            "scale to 0..1 before normalizing",
        )
    elif statistics.high > 20:
        findings.add(
            "wide levels",
            "note",
            where,
            f"levels from {statistics.low:.4g} to {statistics.high:.4g}, {found}",
            "right for networks that were trained on 0..255 less a mean, and for no others",
            "check what the network expects",
        )


def _twice(findings: Findings, severity: Any, where: str, found: str, by: str) -> None:
    findings.add(
        "normalized twice",
        severity,
        where,
        f"{found}; undone twice {by}, the levels fill 0..1, and undone once they do not lie in it",
        "the network gets levels far from 0 with several times the spread that it expects; a pretrained one loses "
        "most of its accuracy, without any error",
        "leave out one normalize: often one is in the dataset's transform, the other in the model, its processor, or "
        "the training step",
    )


def twice_normalized(pixels: NDArray[np.float64], mean: NDArray[np.float64], std: NDArray[np.float64]) -> bool:
    """Whether levels (n x channels) look as if they were normalized by (mean, std) twice; the module says how."""
    once = pixels * std + mean
    twice = once * std + mean
    low, high = np.quantile(twice, 0.001, axis=0), np.quantile(twice, 0.999, axis=0)
    fills = (low > -0.05) & (low < 0.15) & (high > 0.85) & (high < 1.05)
    proper = (once.min(axis=0) >= -0.02) & (once.max(axis=0) <= 1.02)
    standard = (pixels.mean(axis=0) >= -0.3) & (pixels.std(axis=0) <= 2.0)
    return bool((fills & ~proper & ~standard).all())


def _divided_twice(pixels: NDArray[np.float64], mean: NDArray[np.float64], std: NDArray[np.float64]) -> bool:
    once = pixels * std + mean
    return bool((once > -1e-3).all() and (once < 1.5 / 255).all() and np.ptp(pixels) > 0)


def _implied(pixels: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """The (mean, std) with which a set of its own is normalized twice to this mean -m/s and this spread 1/s."""
    spread = pixels.std(axis=0)
    if (spread < 1.5).any():
        return None
    mean = -pixels.mean(axis=0) / spread
    return (mean, 1 / spread) if ((mean > 0) & (mean < 1)).all() else None


def _told(values: NDArray[np.float64]) -> str:
    return "[" + ", ".join(f"{value:.3g}" for value in values) + "]"
