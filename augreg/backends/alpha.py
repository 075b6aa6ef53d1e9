"""Images with alpha: it moves with the image, and what changes colors gets the colors alone."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from augreg.backends import Backend, backend, plain
from augreg.images import buffers
from augreg.ops import BranchMix, Lookup, Normalize, Op, Pad, Paint, Scene

__all__ = ["completed", "engine_for"]

Array = NDArray[Any]
Kernel = Callable[[Any, Array], Array]

_COMPOSITE: Final = (Pad, Paint, BranchMix)  # they run other ops, which have to leave alpha alone as well


def engine_for(scene: Scene, engine: Backend) -> Backend:
    """The backend for images of this scene: one that leaves alpha as it is if their last channel is alpha."""
    return _aware(engine.name, engine.source) if scene.alpha else engine


@functools.cache
def _aware(name: str, source: str) -> Backend:
    engine = backend(name, source)
    kernels: dict[type[Op], Kernel] = dict(engine.kernels)
    found = Backend(name, kernels, source)
    parts = plain.composite_kernels(found)
    for kind, kernel in engine.kernels.items():
        if getattr(kernel, "__module__", "") == plain.__name__ and kind in _COMPOSITE:  # not a plugin's own
            kernel = parts[kind]
        if kind is Normalize:
            kernels[kind] = _normalizing(kernel, engine.kernels[Lookup])
        else:
            kernels[kind] = _coloring(kernel) if kind.on_colors else _filling(kernel)
        if kind in (Pad, Paint):
            kernels[kind] = _filled(kernels[kind], _filling(parts[kind]))
    return found


def _coloring(kernel: Kernel) -> Kernel:
    """The kernel on the colors; alpha is copied."""

    def run(op: Op, image: Array) -> Array:
        out = buffers.empty(image.shape, image.dtype)
        out[..., :-1] = kernel(op, np.ascontiguousarray(image[..., :-1]))
        out[..., -1] = image[..., -1]
        return out

    return run


def _filling(kernel: Kernel) -> Kernel:
    """The kernel with an opaque fill where only the colors of a fill are given, like Pillow."""

    def run(op: Any, image: Array) -> Array:
        return kernel(completed(op, image.shape[2], image.dtype == np.uint8), image)

    return run


def _filled(kernel: Kernel, plain_kernel: Kernel) -> Kernel:
    """A kernel that runs none of the ops that change a fill: it would not know which channel is alpha."""

    def run(op: Any, image: Array) -> Array:
        return (plain_kernel if op.fill_ops else kernel)(op, image)

    return run


def _normalizing(kernel: Kernel, lookup: Kernel) -> Kernel:
    """Numbers for the colors alone leave alpha on the 0..1 scale; the stages are for the colors."""
    color = _coloring(lookup)

    def run(op: Normalize, image: Array) -> Array:
        if op.stages:
            image = color(Lookup(op.stages), image)
        whole: Any = completed(op, image.shape[2], image.dtype == np.uint8)
        return kernel(replace(whole, stages=()), image)

    return run


def completed(op: Any, channels: int, is_bytes: bool) -> Op:
    """An op whose numbers for the colors alone are those for images with alpha: opaque, and on the 0..1 scale."""
    colors, found = channels - 1, op
    if isinstance(op, Normalize):
        if colors > 1 and colors in (len(op.mean), len(op.std)):
            found = replace(op, mean=_with_alpha(op.mean, colors, 0.0), std=_with_alpha(op.std, colors, 1.0))
    elif colors > 1 and len(getattr(op, "fill", ())) == colors:
        found = replace(op, fill=(*op.fill, 255.0 if is_bytes else 1.0))
    whole: Op = found
    return whole


def _with_alpha(numbers: tuple[float, ...], colors: int, alpha: float) -> tuple[float, ...]:
    """Numbers per color, with one for alpha; a single number is for the colors too where the others are."""
    each = numbers * colors if len(numbers) == 1 else numbers
    return (*each, alpha) if len(each) == colors else each
