"""Ids of instances in mixed batches: those of another image get numbers that are not taken yet.

They are the numbers of masks and of labels under the keys that the spec has under `ids`. An id of 0 or less is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augreg.batch.label_arrays import is_integer, is_tensor
from augreg.batch.objects import Objects
from augreg.batch.placements import Placement
from augreg.batch.stacks import Stack
from augreg.errors import ImageError
from augreg.targets.conventions import Targets

__all__ = ["highest_ids", "renumbered", "shifts_of"]


def highest_ids(
    given: Mapping[Any, Any], masks: Mapping[str, Stack], objects: Iterable[Objects], targets: Targets
) -> list[int]:
    """The highest id of each image. Raises ImageError for a key without ids."""
    labels = {key: values for each in objects for key, values in each.labels.items()}
    count = masks["image"].count
    found = [0] * count
    for key in (key for key in targets.ids if given.get(key) is not None):
        if key in masks and key != "image":
            if not is_integer(masks[key].array):
                raise ImageError(f"{key}: ids of instances are integers, got {masks[key].array.dtype}")
            columns: Sequence[Any] = masks[key].array
        elif key in labels:
            columns = labels[key]
        else:
            raise ImageError(
                f"{key}: ids of instances are masks, or labels with an entry for each object: say under `targets` "
                "what it is, or leave it out of `ids`"
            )
        for i, value in enumerate(columns):
            numbers = np.asarray(value.detach().cpu() if is_tensor(value) else value)
            if numbers.size and numbers.dtype.kind not in "iu":
                raise ImageError(f"{key}[{i}]: ids of instances are integers, got {numbers.dtype}")
            numbers = numbers[numbers != targets.mask_fill] if key in masks else numbers
            found[i] = max(found[i], int(numbers.max(initial=0)))
    return found


def shifts_of(images: Sequence[Sequence[Placement]], highest: Sequence[int]) -> list[list[int]]:
    """What is added to the ids of each placement of each image: nothing for the image itself."""
    found = []
    for i, placements in enumerate(images):
        taken, shifts = highest[i], []
        own = True
        for each in placements:
            if each.source == i and own:
                own = False
                shifts.append(0)
                continue
            shifts.append(taken)
            taken += highest[each.source]
        found.append(shifts)
    return found


def renumbered(
    mask: Any, stack: Stack, images: Sequence[Sequence[Placement]], shifts: Sequence[Sequence[int]], fill: int
) -> Any:
    """A mixed mask of ids with the numbers that those of other images get. Raises ImageError if they do not fit."""
    added = np.zeros((len(images), *stack.size), np.int64)
    for i, (placements, each) in enumerate(zip(images, shifts, strict=True)):
        for placement, shift in zip(placements, each, strict=True):
            shown = placement.shown if placement.pixels is None else placement.shown & placement.pixels
            added[i][shown] = shift
    if not added.any():
        return mask
    planes = added
    if mask.ndim == 4:
        planes = added[..., None] if stack.channels_last else added[:, None]
    if is_tensor(mask):
        from augreg.batch import torch_kernels

        return torch_kernels.with_ids(mask, planes, fill)
    found = np.where((mask > 0) & (mask != fill), mask.astype(np.int64) + planes, mask)
    if int(found.max()) > np.iinfo(mask.dtype).max:
        raise ImageError(
            f"{stack.name}: the ids of the instances of a mixed image go up to {found.max()}, and {mask.dtype} to "
            f"{np.iinfo(mask.dtype).max}: give a wider dtype, such as int32"
        )
    renewed: NDArray[Any] = found.astype(mask.dtype)
    return renewed
