"""Classes: what a mirrored image calls left was right before, where the spec pairs such names.

The spec's `targets` has `swap`, pairs of names, and `classes`, the names of the classes by number. In a mirrored
image names of labels, numbers of classes in labels and masks, and channels of predictions are exchanged with their
partners. The same exchange brings a prediction on a mirrored image back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from augreg.errors import ImageError
from augreg.images.codecs import tensor
from augreg.targets import rows
from augreg.targets.conventions import Targets
from augreg.targets.keypoints import exchanged, has_names

__all__ = ["exchanged_channels", "exchanged_labels", "exchanged_numbers", "has_classes", "partner_numbers"]


def partner_numbers(names: Sequence[str] | None, targets: Targets) -> list[int] | None:
    """For each name, the number of the one that replaces it in a mirrored image; None if all stay.

    Raises ImageError if a name's partner is not among them.
    """
    names = names or ()
    partners = targets.partners
    places = {name: number for number, name in enumerate(names)}
    found = []
    for name in names:
        partner = partners.get(name, name)
        if partner not in places:
            raise ImageError(
                f"the spec swaps {name!r} and {partner!r}, and {partner!r} is not among the names {list(names)}; "
                "name both, or leave the pair out of `targets: {swap: ..}`"
            )
        found.append(places[partner])
    return None if found == list(range(len(found))) else found


def exchanged_channels(values: Any, names: Sequence[str] | None, targets: Targets, axis: int) -> Any:
    """Channels along an axis as in the mirrored image, by their names; without names they stay. Raises ImageError."""
    numbers = partner_numbers(names, targets)
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
    numbers = partner_numbers(names, targets)
    if numbers is None:
        return values
    array = values.detach().cpu().numpy() if rows.is_tensor(values) else np.asarray(values)
    known = (array >= 0) & (array < len(numbers))
    found = np.where(known, np.array(numbers).astype(array.dtype)[np.where(known, array, 0)], array)
    return tensor(found).to(values.device) if rows.is_tensor(values) else found[()]


def has_classes(labels: Any, targets: Targets) -> bool:
    """Whether these are labels that a mirrored image may exchange: names of the spec, or numbers of its classes."""
    if has_names(labels, targets.partners):
        return True
    first = labels[0] if isinstance(labels, list | tuple) and labels else labels
    return _are_numbers(first) and partner_numbers(targets.classes, targets) is not None


def exchanged_labels(labels: Any, targets: Targets) -> Any:
    """A label, or labels in a list, a tuple, an array or a tensor, as in the mirrored image. Others stay the same."""
    if isinstance(labels, list | tuple):
        return type(labels)([exchanged_labels(label, targets) for label in labels])
    if type(labels) is int:
        return int(exchanged_numbers(np.array(labels), targets.classes, targets))
    if _are_numbers(labels):
        return exchanged_numbers(labels, targets.classes, targets)
    return exchanged(labels, targets.partners)


def _are_numbers(labels: Any) -> bool:
    """Whether this is an integer, or an array or a tensor of integers."""
    if rows.is_tensor(labels):
        return "int" in str(labels.dtype)
    return type(labels) is int or (isinstance(labels, np.ndarray | np.generic) and labels.dtype.kind in "iu")
