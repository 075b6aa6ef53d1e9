"""The base of the ops, and the types that several of them share."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from augreg.ops import projective
from augreg.ops.scene import Scene

__all__ = [
    "Interpolation",
    "Label",
    "Op",
    "PadMode",
    "ResizeInterpolation",
]

Interpolation: TypeAlias = Literal["nearest", "bilinear", "bicubic"]
ResizeInterpolation: TypeAlias = Literal[
    "nearest", "nearest_floor", "bilinear", "bicubic", "lanczos", "lanczos4", "area"
]
PadMode: TypeAlias = Literal["constant", "edge", "reflect", "symmetric", "wrap"]
Label: TypeAlias = str | tuple[Any, ...]
"""A text, or a function and its arguments, which returns it."""


class Op(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """Base of the records. `label` describes what was drawn; it is ignored in comparisons.

    It is a text, or a function and its arguments, which returns the text: it is called when the op is printed, since
    most ops never are.

    A new kind of op is a record with `size_after` and `point_map`, and a kernel in the backends. Ops that move pixels
    run on masks too: there a field `interpolation` is replaced by nearest, and a field `fill` by the mask's fill.
    Where `on_colors` is set, the kernel gets an image without its alpha, which stays as it is.
    """

    on_colors: ClassVar[bool] = False
    keeps_scene: ClassVar[bool] = False
    """Whether the scene after the op is always that before it: true of a class that overrides no method about it."""
    keeps_kind: ClassVar[bool] = False
    """Whether the scene after the op differs from that before in size and boxes at most."""
    label: Label = ""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        own = cls.after, cls.size_after, cls.point_map
        cls.keeps_scene = own == (Op.after, Op.size_after, Op.point_map)
        cls.keeps_kind = cls.after is Op.after

    def _numbers(self) -> tuple[Any, ...]:
        return msgspec.structs.astuple(replace(self, label=""))

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return self._numbers() == other._numbers()

    def __hash__(self) -> int:
        return hash((type(self), self._numbers()))

    def size_after(self, height: int, width: int) -> tuple[int, int] | None:
        """The size after the op; None if it is known only once the op has run (a `FunctionCall` without a size)."""
        return height, width

    def point_map(self, height: int, width: int) -> projective.Map | None:
        """Where the points of an image of this size go, as a map of the plane; None where no such map exists.

        The default is for ops that move nothing: the identity, or None where the size changes. What moves pixels
        overrides it. Masks, boxes and keypoints are refused for an op without a map, except `Remap` and
        `FunctionCall`, which move points by functions of their own.
        """
        return projective.IDENTITY if self.size_after(height, width) == (height, width) else None

    def moves_pixels(self, height: int, width: int) -> bool:
        """Whether it moves pixels of an image of this size, or changes the size; also where that is not known."""
        size = height, width
        return self.size_after(*size) != size or self.point_map(*size) != projective.IDENTITY

    def for_frame(self, frame: int) -> Op:
        """This op for one of the images that share a draw: noise differs between them, all else is equal."""
        return self

    def after(self, scene: Scene) -> Scene:
        """The scene after the op, with the size of `scene` if the new size is not known."""
        height, width = scene.height, scene.width
        size = self.size_after(height, width)
        if scene.boxes:
            return scene.moved(self.point_map(height, width), *(size or scene.size))
        if size is None or size == (height, width):
            return scene
        return replace(scene, height=size[0], width=size[1])

    def __str__(self) -> str:
        label = self.label
        text: str = label[0](*label[1:]) if isinstance(label, tuple) else label
        return text or type(self).__name__.lower()

    def __repr__(self) -> str:
        return repr(replace(self, label=str(self))) if isinstance(self.label, tuple) else super().__repr__()

    def __reduce__(self) -> Any:
        return replace(self, label=str(self)).__reduce__() if isinstance(self.label, tuple) else super().__reduce__()


def joined(first: Op, second: Op) -> str:
    """What an op does that stands for two."""
    return f"{first}, {second}"
