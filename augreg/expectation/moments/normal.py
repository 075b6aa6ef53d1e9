"""What is known of a random tensor: its mean, its variance, and more where it is affordable."""

from __future__ import annotations

import itertools
import math
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

__all__ = [
    "Cumulants",
    "Normal",
    "NormalTensor",
    "Push",
    "as_rows",
    "covariance_between",
    "from_rows",
    "pushed_twice",
]

Push = Callable[[Tensor], Tensor]
"""A linear map of k x batch x units to k x batch x units: how a change of an input changes an output."""

_numbers = itertools.count()


class Cumulants:
    """The third and fourth cumulant of each unit: by how much it is not normal. Computed when first asked for."""

    def __init__(self, compute: Callable[[], tuple[Tensor, Tensor]]) -> None:
        self._compute: Callable[[], tuple[Tensor, Tensor]] | None = compute
        self._found: tuple[Tensor, Tensor] | None = None

    def both(self) -> tuple[Tensor, Tensor]:
        """The third and the fourth."""
        if self._found is None:
            assert self._compute is not None
            self._found, self._compute = self._compute(), None
        return self._found

    def mapped(self, function: Callable[[Tensor, int], Tensor]) -> Cumulants:
        """Those behind a function, which gets each one and its order."""

        def compute() -> tuple[Tensor, Tensor]:
            third, fourth = self.both()
            return function(third, 3), function(fourth, 4)

        return Cumulants(compute)


@dataclass(eq=False)
class Normal:
    """A random tensor whose units are about normal.

    `mean` and `variance` have the tensor's shape, whose first dimension is the batch; images of a batch are
    independent. `cumulants` are None where they are zero.
    `covariance` is batch x n x n over the n units of an image, None if units count as independent. `independent` is
    whether they are so, and not only taken as such; `shared` is whether noise was drawn once for several of them, as
    by dropout of channels, and not mixed since. `noise` are the draws it depends on: a number for each, and the
    name of the module that drew.

    `parents` are the random tensors it was computed from, each with the linear map to this one; `children` counts the
    other way, and `holders` the tensors that stand for it.
    """

    mean: Tensor
    variance: Tensor
    cumulants: Cumulants | None = None
    covariance: Tensor | None = None
    parents: tuple[tuple[Normal, Push], ...] = ()
    number: int = field(default_factory=lambda: next(_numbers))
    children: int = 0
    holders: int = 0
    independent: bool = False
    shared: bool = False
    noise: frozenset[tuple[int, str]] = frozenset()

    @property
    def shape(self) -> torch.Size:
        """That of the tensor."""
        return self.mean.shape

    @property
    def third(self) -> Tensor | None:
        """The third cumulant of each unit; None for zero."""
        return None if self.cumulants is None else self.cumulants.both()[0]

    @property
    def fourth(self) -> Tensor | None:
        """The fourth cumulant of each unit; None for zero."""
        return None if self.cumulants is None else self.cumulants.both()[1]

    @property
    def units(self) -> int:
        """The number of units of one image."""
        return math.prod(self.mean.shape[1:])


class NormalTensor(Tensor):
    """A tensor that stands for a random one: it holds the mean, and `normal` holds what else is known."""

    normal: Normal

    @classmethod
    def of(cls, normal: Normal) -> NormalTensor:
        """The tensor for what is known."""
        made: NormalTensor = normal.mean.as_subclass(cls)
        made.hold(normal)
        return made

    def hold(self, normal: Normal) -> None:
        """Stand for what is known, from now on."""
        self.normal = normal
        normal.holders += 1
        weakref.finalize(self, _left, normal).atexit = False


def _left(normal: Normal) -> None:
    """Free the covariance of a tensor that is gone, unless two others, which share its noise, came from it."""
    normal.holders -= 1
    if normal.holders == 0 and normal.children < 2:
        normal.covariance = None


def as_rows(matrix: Tensor, shape: Sequence[int]) -> Tensor:
    """Batch x k x n as k x batch x shape."""
    return matrix.transpose(0, 1).reshape(matrix.shape[1], *shape)


def from_rows(rows: Tensor) -> Tensor:
    """K x batch x shape as batch x k x n."""
    return rows.flatten(2).transpose(0, 1) if rows.dim() > 2 else rows.transpose(0, 1).unsqueeze(-1)


def pushed_twice(covariance: Tensor, push: Push, shape: Sequence[int]) -> Tensor:
    """The covariance J C J^T behind a linear map J, for an input of this shape."""
    half = from_rows(push(as_rows(covariance, shape)))
    whole = from_rows(push(as_rows(half.transpose(1, 2), shape)))
    return (whole + whole.transpose(1, 2)) / 2


def covariance_between(first: Normal, second: Normal) -> Tensor | None:
    """The covariance of two random tensors, batch x n x m, from what both were computed from; None for zero.

    What was computed last is followed back: Cov(a, f(b)) = Cov(a, b) E[f']^T, which holds for normal a and b (Stein's
    lemma). Noise that was drawn on the way is independent of all that was there before.
    """
    return _between(first, second, {})


def _between(first: Normal, second: Normal, known: dict[tuple[int, int], Tensor | None]) -> Tensor | None:
    key = (first.number, second.number)
    if key not in known:
        if first is second:
            known[key] = first.covariance if first.covariance is not None else _diagonal(first)
        elif first.number > second.number:
            other = _between(second, first, known)
            known[key] = None if other is None else other.transpose(1, 2)
        else:
            total = None
            for parent, push in second.parents:
                part = _between(first, parent, known)
                if part is not None:
                    pushed = from_rows(push(as_rows(part, parent.shape)))
                    total = pushed if total is None else total + pushed
            known[key] = total
    return known[key]


def _diagonal(normal: Normal) -> Tensor:
    return torch.diag_embed(normal.variance.reshape(len(normal.mean), -1))
