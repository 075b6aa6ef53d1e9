"""A test image on its way to the model: the decoded image and the ops of the test side, which may be changed."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from augreg.backends import Backend
from augreg.errors import ImageError
from augreg.execution.run import run_ops
from augreg.execution.sampling import expect
from augreg.ops import Enlarge, Move, Normalize, Op, Pad, Remap, Resize, Scene, Warp

if TYPE_CHECKING:
    from augreg.pipeline import Pipeline

__all__ = ["GEOMETRY", "PreparedImage", "channels_first", "prepared"]

GEOMETRY = (Move, Pad, Resize, Enlarge, Warp, Remap)
"""The kinds of ops that move pixels."""


@dataclass(frozen=True)
class PreparedImage:
    """An image (height x width x channels), and the ops that make the model's input of it with this backend."""

    array: NDArray[Any]
    scene: Scene
    ops: tuple[Op, ...]
    engine: Backend

    @functools.cached_property
    def values(self) -> NDArray[np.float64]:
        """The model's input, channels x height x width."""
        return channels_first(run_ops(self.ops, self.array, self.engine))

    @property
    def geometry(self) -> tuple[Op, ...]:
        """The ops that move pixels, in order."""
        return tuple(op for op in self.ops if isinstance(op, GEOMETRY))

    @property
    def others(self) -> tuple[Op, ...]:
        """The ops that change pixel values only, without the normalization."""
        return tuple(op for op in self.ops if not isinstance(op, (*GEOMETRY, Normalize)))

    @property
    def normalization(self) -> Normalize | None:
        """The op that normalizes, if one does."""
        return next((op for op in self.ops if isinstance(op, Normalize)), None)

    @property
    def size(self) -> tuple[int, int]:
        """The height and width of the model's input."""
        scene = self.scene
        for op in self.ops:
            scene = op.after(scene)
        return scene.size

    def with_ops(self, ops: Sequence[Op]) -> PreparedImage:
        """The same image with other ops."""
        return replace(self, ops=tuple(ops))

    def with_geometry(self, geometry: Sequence[Op]) -> PreparedImage:
        """With these ops in the place of the first that moves pixels, or in front if none does."""
        at = next((place for place, op in enumerate(self.ops) if isinstance(op, GEOMETRY)), 0)
        kept = [(place, op) for place, op in enumerate(self.ops) if not isinstance(op, GEOMETRY)]
        before, after = [op for place, op in kept if place < at], [op for place, op in kept if place > at or not at]
        return self.with_ops([*before, *geometry, *after])

    def with_normalization(self, normalize: Normalize | None) -> PreparedImage:
        """With this normalization in the place of that of now, or at the end if there is none."""
        new = [] if normalize is None else [normalize]
        if self.normalization is None:
            return self.with_ops([*self.ops, *new])
        return self.with_ops([one for op in self.ops for one in (new if op is self.normalization else [op])])

    def with_fields(self, **changes: Any) -> PreparedImage:
        """With other fields of the ops that have them, such as `interpolation` and `antialias`."""

        def changed(op: Op) -> Op:
            own = {name: value for name, value in changes.items() if name in op.__struct_fields__}
            return msgspec.structs.replace(op, **own) if own else op

        return self.with_ops([changed(op) if isinstance(op, Resize | Enlarge) else op for op in self.ops])


def prepared(pipe: Pipeline, image: Any) -> PreparedImage:
    """An image with the ops of the pipeline's test side, step by step, before any are merged.

    Raises ImageError for a pipeline with a step whose size is known only once it has run.
    """
    decoding = pipe.replace(image=[], batch=[], model=[], loss=[], output="numpy")
    array = np.asarray(decoding.test(image))
    scene = pipe.test.plan(image).scene
    drawn = expect(pipe.steps, scene)
    if drawn.deferred:
        raise ImageError(f"{drawn.entries[-1].path}: the size that it leaves is not known before it runs")
    return PreparedImage(array, scene, tuple(drawn.ops), pipe.test.engine)


def channels_first(array: NDArray[Any]) -> NDArray[np.float64]:
    """A height x width x channels array as channels x height x width floats."""
    return np.ascontiguousarray(array.transpose(2, 0, 1), np.float64)
