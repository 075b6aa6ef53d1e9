"""Ops made of other things: a function of a plugin, and a mix of branches of ops."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from augreg.ops import projective
from augreg.ops.op import Op

__all__ = [
    "BranchMix",
    "FunctionCall",
    "call",
    "mix",
]


class FunctionCall(Op, frozen=True, eq=False):
    """Run a function of a plugin: `fn(array, **params)` on a height x width x channels array.

    `fn` is importable by name. `size` is the size of its result; without one, the steps after it are deferred until
    it has run. `geometry` says that it moves pixels; then `mask(array, **params)` and
    `keypoints(points, size, **params)`, with n x 2 points (x, y) and the size before, are its functions for those
    targets. `inverse(points, size, **params)`, with the size before too, moves points of the result back.
    """

    fn: Callable[..., Any]
    params: tuple[tuple[str, Any], ...] = ()
    size: tuple[int, int] | None = None
    geometry: bool = False
    mask: Callable[..., Any] | None = None
    keypoints: Callable[..., Any] | None = None
    inverse: Callable[..., Any] | None = None

    def size_after(self, height: int, width: int) -> tuple[int, int] | None:
        return self.size

    def point_map(self, height: int, width: int) -> projective.Map | None:
        return None if self.geometry else projective.IDENTITY


class BranchMix(Op, frozen=True, eq=False):
    """Run the image through several branches of ops, and mix the results with the image.

    The result is keep * image + (1 - keep) * sum of weight * branch; the weights sum to 1. Branches keep the
    image's size and kind. It is computed in float32, and rounded once on byte images.
    """

    branches: tuple[tuple[Op, ...], ...]
    weights: tuple[float, ...]
    keep: float = 0.0

    def for_frame(self, frame: int) -> BranchMix:
        return replace(self, branches=tuple(tuple(op.for_frame(frame) for op in branch) for branch in self.branches))

    def point_map(self, height: int, width: int) -> projective.Map | None:
        parts = (op for branch in self.branches for op in branch)
        still = all(op.point_map(height, width) == projective.IDENTITY for op in parts)
        return projective.IDENTITY if still else None


def mix(branches: tuple[tuple[Op, ...], ...], weights: tuple[float, ...], keep: float) -> BranchMix:
    """Mix the image with these branches of ops."""
    return BranchMix(branches, weights, keep, label=(_mixed, branches, weights, keep))


def _mixed(branches: tuple[tuple[Op, ...], ...], weights: tuple[float, ...], keep: float) -> str:
    parts = zip(weights, branches, strict=True)
    terms = " + ".join(f"{weight:.2f} ({', '.join(map(str, branch))})" for weight, branch in parts)
    return f"{keep:.2f} kept, mixed with {terms}"


def call(
    fn: Callable[..., Any],
    params: Mapping[str, Any] | None = None,
    size: tuple[int, int] | None = None,
    geometry: bool = False,
    mask: Callable[..., Any] | None = None,
    keypoints: Callable[..., Any] | None = None,
    inverse: Callable[..., Any] | None = None,
) -> FunctionCall:
    """Run a plugin's own function: `fn(array, **params)` on height x width x channels."""
    given = tuple(sorted((params or {}).items()))
    return FunctionCall(fn, given, size, geometry, mask, keypoints, inverse, label=getattr(fn, "__name__", "call"))
