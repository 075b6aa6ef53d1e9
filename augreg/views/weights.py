"""Which node and which draw each view has, and what it weighs."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from augreg.views.combinations import Combination

__all__ = ["Place", "is_exact", "places", "weights"]


class Place(NamedTuple):
    """The number of a view's combination of nodes, and the number of its draw there; None is the test image.

    `node` is None for a test image that is none of the combinations.
    """

    node: int | None
    draw: int | None


def places(found: Sequence[Combination], test_is_first: bool) -> Iterator[Place]:
    """The places of all views, in order; endless if anything is drawn.

    First comes the test image, in place of the first draw of the first combination if it is that one. Then come the
    other combinations, and then further draws of those in which something is drawn.
    """
    yield Place(0 if test_is_first else None, None)
    for node in range(test_is_first, len(found)):
        yield Place(node, 0)
    drawn = [node for node, one in enumerate(found) if one.drawn]
    for draw in itertools.count(1) if drawn else ():
        for node in drawn:
            yield Place(node, draw - (test_is_first and node == 0))


def weights(found: Sequence[Combination], views: Sequence[Place]) -> NDArray[np.float64]:
    """The weights of these views, the first ones of all; they sum to one.

    The views of a combination share its weight equally. A test image that is none of them stands for the first
    combination that is missing; if none is, it weighs nothing.
    """
    nodes = [len(views) - 1 if place.node is None else place.node for place in views]
    views_of = Counter(nodes)
    raw = [found[node].weight / views_of[node] if node < len(found) else 0.0 for node in nodes]
    total = math.fsum(raw)
    return np.array([value / total for value in raw], np.float64)


def is_exact(found: Sequence[Combination], views: Sequence[Place]) -> bool:
    """Whether the weighted mean over these views is the exact expectation over what training draws."""
    present = {place.node for place in views} - {None}
    return len(present) == len(found) and all(one.exact and not one.drawn for one in found)
