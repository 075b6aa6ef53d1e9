"""Checks of dense targets: the classes of pixels, their range and their size."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from augreg.doctor.findings import Findings
from augreg.doctor.targets import Mask

__all__ = ["examine"]

_OFTEN_IGNORED = (255, -1)  # what annotations often use for pixels without a class
_MOST_CLASSES = 1000


def examine(found: list[Mask], where: str, classes: int | None, ignored: Iterable[int], findings: Findings) -> None:
    """Report classes of pixels that a loss cannot use. `ignored` are the ids that the loss is known to ignore."""
    if not found:
        return
    _sizes(found, where, findings)
    whole = [mask for mask in found if _whole(mask)]
    if len(whole) < len(found):
        _maps(found, where, findings)
        return
    values, counts = _histogram(whole)
    if len(values) > _MOST_CLASSES:
        findings.unchecked(f"{where}: values of dense targets; {len(values)} different numbers are no class ids")
        return
    total = int(counts.sum())
    limits = f"0 to {classes - 1}" if classes is not None else "0 or more"
    findings.checked(f"{where}: whether the class ids of the pixels of {len(found)} dense targets are {limits}")
    if values.tolist() == [0, 255]:
        findings.add(
            "masks not scaled",
            "warning",
            where,
            f"the values of all masks are 0 and 255 only ({_percent(counts[1], total)} are 255)",
            "a binary mask that was read as an 8-bit image: cross-entropy takes 255 for a class, and a binary "
            "loss for a probability",
            "mask = mask > 127, as the dtype that the loss expects",
        )
        return
    known = {*ignored}
    wrong = values < 0
    if classes is not None:
        wrong |= values >= max(classes, 2)
    odd = [(int(v), int(n)) for v, n in zip(values[wrong], counts[wrong], strict=True) if int(v) not in known]
    often = [(value, count) for value, count in odd if value in _OFTEN_IGNORED]
    outside = [(value, count) for value, count in odd if value not in _OFTEN_IGNORED]
    if classes is None and 255 in values and 255 not in known and len(values) > 1 and values[-2] < 254:
        often += [(255, int(counts[-1]))]  # far above the other ids
    if outside:
        findings.add(
            "mask values out of range",
            "fault",
            where,
            f"pixels of dense targets have values outside {limits}: {_listed(outside, total)}",
            "cross-entropy raises an error for them, or on a GPU a device assertion far from the cause; ids between "
            "those of two classes come from a mask that was resized with interpolation, or read as a color image",
            "resize masks with the nearest neighbor; map the values of the files to 0, 1, ..",
            _places(whole, [value for value, _ in outside]),
        )
    if often:
        names = " and ".join(str(value) for value, _ in often)
        findings.add(
            "ignored pixels",
            "note",
            where,
            f"pixels of dense targets have the value {_listed(often, total)}",
            "annotations often use it for pixels without a class; torch's cross-entropy raises an error for it, "
            "unless it is told to ignore it: by default it ignores -100 only",
            f"CrossEntropyLoss(ignore_index={names}), if the loss does not do so yet",
            _places(whole, [value for value, _ in often]),
        )


def _whole(mask: Mask) -> bool:
    values = mask.values
    return values.dtype.kind in "bui" or bool(np.isfinite(values).all() and (values == np.round(values)).all())


def _histogram(masks: list[Mask]) -> tuple[np.ndarray, np.ndarray]:
    pairs = [np.unique(mask.values.astype(np.int64), return_counts=True) for mask in masks]
    values, inverse = np.unique(np.concatenate([values for values, _ in pairs]), return_inverse=True)
    counts = np.zeros(len(values), dtype=np.int64)
    np.add.at(counts, inverse, np.concatenate([counts for _, counts in pairs]))
    return values, counts


def _maps(found: list[Mask], where: str, findings: Findings) -> None:
    """Dense targets that are no class ids: depth, heatmaps, images."""
    findings.checked(f"{where}: whether {len(found)} dense targets, which are no class ids, are finite")
    places = [mask.place for mask in found if not np.isfinite(mask.values).all()]
    if places:
        findings.add(
            "dense targets not finite",
            "note",
            where,
            f"dense targets of {len(places)} images or batches contain NaN or infinity",
            "correct if it marks pixels without a value and the loss leaves them out; otherwise the loss, and then "
            "every weight, becomes NaN. A product with 0 stays NaN",
            "make sure that the loss selects the other pixels: loss[torch.isfinite(target)].mean()",
            places,
        )


def _sizes(found: list[Mask], where: str, findings: Findings) -> None:
    places = [
        f"{mask.place}: {mask.values.shape[-2:]}, image {mask.size}"
        for mask in found
        if mask.size is not None and mask.values.shape[-2:] != mask.size
    ]
    if places:
        findings.add(
            "mask sizes differ",
            "note",
            where,
            f"{len(places)} dense targets have another height and width than their images",
            "correct if the network's output has that size; otherwise image and mask were cropped or resized apart",
            "transform image and mask together",
            places,
        )


def _percent(count: int, total: int) -> str:
    percent = 100 * count / total
    return f"{percent:.3g}%" if percent >= 10 else f"{percent:.2g}%"


def _listed(pairs: list[tuple[int, int]], total: int) -> str:
    return ", ".join(f"{value} ({_percent(count, total)})" for value, count in pairs[:8])


def _places(masks: list[Mask], values: list[int]) -> list[str]:
    return [mask.place for mask in masks if np.isin(mask.values, values).any()]
