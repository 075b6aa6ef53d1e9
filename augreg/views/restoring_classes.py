"""Restoring classes: what a mirrored view calls left is right in the image, where the spec pairs such names.

A model that sees a mirrored image names what it sees there: its `left_eye` is the right eye of the image. So
channels, numbers and names of classes are exchanged with their partners when a prediction on a mirrored view comes
back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from augreg.errors import ImageError
from augreg.images.codecs import tensor
from augreg.targets import rows
from augreg.targets.conventions import Targets

__all__ = ["exchanged_channels", "exchanged_numbers", "partner_numbers"]


def partner_numbers(names: Sequence[str], targets: Targets) -> list[int] | None:
    """For each name, the number of the one that replaces it in a mirrored image; None if all stay.

    Raises ImageError if a name's partner is not among them.
    """
    partners = targets.partners
    places = {name: number for number, name in enumerate(names)}
    found = []
    for number, name in enumerate(names):
        partner = partners.get(name, name)
        if partner not in places:
            raise ImageError(
                f"the spec swaps {name!r} and {partner!r}, and {partner!r} is not among the names {list(names)}; "
                "name both, or leave the pair out of `targets: {swap: ..}`"
            )
        found.append(number if partner == name else places[partner])
    return None if found == list(range(len(found))) else found


def exchanged_channels(values: Any, names: Sequence[str] | None, targets: Targets, axis: int) -> Any:
    """Channels along an axis as in the mirrored image, by their names; without names they stay. Raises ImageError."""
    numbers = partner_numbers(names, targets) if names else None
    if names is None or numbers is None:
        return values
    count = values.shape[axis] if values.ndim >= -axis else 0
    if count != len(names):
        raise ImageError(
            f"there are {count} channels and {len(names)} names of classes; give classes=[..] with a name for each "
            "channel, classes=[] if none are exchanged, or key= for a map that has no classes"
        )
    if rows.is_tensor(values):
        return values.index_select(axis, tensor(np.array(numbers)).to(values.device))
    return np.take(values, numbers, axis=axis)


def exchanged_numbers(values: Any, names: Sequence[str] | None, targets: Targets) -> Any:
    """An array or a tensor of class numbers as in the mirrored image; numbers without a name stay."""
    numbers = partner_numbers(names, targets) if names else None
    if numbers is None:
        return values
    array = values.detach().cpu().numpy() if rows.is_tensor(values) else np.asarray(values)
    known = (array >= 0) & (array < len(numbers))
    found = np.where(known, np.array(numbers).astype(array.dtype)[np.where(known, array, 0)], array)
    return tensor(found).to(values.device) if rows.is_tensor(values) else found
