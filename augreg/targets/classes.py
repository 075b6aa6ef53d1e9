"""Classes: what a mirrored image calls left was right before, where the spec pairs such names.

The spec's `targets` has `swap`, pairs of names or of numbers, and `classes`, the names of the classes by number. In a
mirrored image names of labels, numbers of classes in labels and masks, and channels of predictions are exchanged with
their partners. The same exchange brings a prediction on a mirrored image back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augreg.errors import ImageError
from augreg.images.codecs import tensor
from augreg.targets import rows
from augreg.targets.conventions import Targets
from augreg.targets.keypoints import exchanged, has_names

__all__ = [
    "class_partners",
    "exchanged_channels",
    "exchanged_labels",
    "exchanged_numbers",
    "has_classes",
    "partner_numbers",
]


def partner_numbers(names: Sequence[str | int] | None, targets: Targets) -> list[int] | None:
    """For each name, the number of the one that replaces it in a mirrored image; None if all stay.

    The names of keypoints may be numbers. Raises ImageError if a name's partner is not among them.
    """
    names = names or ()
    partners: Mapping[Any, Any] = {**targets.partners, **targets.points}
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


def class_partners(names: Sequence[str] | None, targets: Targets) -> Mapping[int, int]:
    """The numbers of classes that are exchanged in a mirrored image: by their names, or as the spec pairs them.

    Raises ImageError if a name's partner is not among the names.
    """
    if names is None:
        return targets.numbers
    return {one: other for one, other in enumerate(partner_numbers(names, targets) or ()) if one != other}


def exchanged_channels(values: Any, names: Sequence[str] | None, targets: Targets, axis: int) -> Any:
    """Channels along an axis as in the mirrored image, by their names or numbers; others stay. Raises ImageError."""
    partners = class_partners(names, targets)
    if not partners:
        return values
    count = values.shape[axis] if values.ndim >= -axis else 0
    numbers = [partners.get(number, number) for number in range(count)]
    if names is None and not (min(partners) >= 0 and max(partners) < count):
        raise ImageError(
            f"the spec swaps {max(partners)} and {partners[max(partners)]}, and there are {count} channels; give "
            "classes=[] if none are exchanged, or key= for a map that has no classes"
        )
    if names is not None and count != len(names):
        raise ImageError(
            f"there are {count} channels and {len(names)} names of classes; give classes=[..] with a name for each "
            "channel, classes=[] if none are exchanged, or key= for a map that has no classes"
        )
    if rows.is_tensor(values):
        return values.index_select(axis, tensor(np.array(numbers)).to(values.device))
    return np.take(values, numbers, axis=axis)


def exchanged_numbers(values: Any, names: Sequence[str] | None, targets: Targets) -> Any:
    """An array or a tensor of class numbers as in the mirrored image; numbers without a partner stay.

    Raises ImageError for a number whose partner the dtype does not have.
    """
    partners = class_partners(names, targets)
    if not partners:
        return values
    array = values.detach().cpu().numpy() if rows.is_tensor(values) else np.asarray(values)
    found = _exchanged(array, partners)
    return tensor(found).to(values.device) if rows.is_tensor(values) else found[()]


def _exchanged(array: NDArray[Any], partners: Mapping[int, int]) -> NDArray[Any]:
    span = np.iinfo(array.dtype)
    pairs = [(one, other) for one, other in partners.items() if span.min <= one <= span.max]
    for one, other in pairs:
        if not span.min <= other <= span.max and (array == one).any():
            raise ImageError(
                f"the spec swaps {one} and {other}, and {array.dtype} ends at {span.max}; give a wider dtype"
            )
    pairs = [(one, other) for one, other in pairs if span.min <= other <= span.max]
    if array.dtype == np.uint8:
        table = np.arange(256, dtype=np.uint8)
        for one, other in pairs:
            table[one] = other
        return np.asarray(table[array])
    found = array.copy()
    for one, other in pairs:
        found[array == one] = other
    return found


def has_classes(labels: Any, targets: Targets) -> bool:
    """Whether these are labels that a mirrored image may exchange: names of the spec, or numbers of its classes."""
    if has_names(labels, targets.partners):
        return True
    first = labels[0] if isinstance(labels, list | tuple) and labels else labels
    return _are_numbers(first) and bool(class_partners(targets.classes, targets))


def exchanged_labels(labels: Any, targets: Targets) -> Any:
    """A label, or labels in a list, a tuple, an array or a tensor, as in the mirrored image. Others stay the same."""
    if isinstance(labels, list | tuple):
        return type(labels)([exchanged_labels(label, targets) for label in labels])
    if type(labels) is int:
        return class_partners(targets.classes, targets).get(labels, labels)
    if _are_numbers(labels):
        return exchanged_numbers(labels, targets.classes, targets)
    return exchanged(labels, targets.partners)


def _are_numbers(labels: Any) -> bool:
    """Whether this is an integer, or an array or a tensor of integers."""
    if rows.is_tensor(labels):
        return "int" in str(labels.dtype)
    return type(labels) is int or (isinstance(labels, np.ndarray | np.generic) and labels.dtype.kind in "iu")
