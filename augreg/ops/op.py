"""The base of the ops, and the types that several of them share."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

from augreg.ops import projective
from augreg.ops.scene import Scene

__all__ = [
    "Interpolation",
    "Op",
    "PadMode",
]

Interpolation: TypeAlias = Literal["nearest", "bilinear", "bicubic"]
PadMode: TypeAlias = Literal["constant", "edge", "reflect", "symmetric"]


class Op(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """Base of the records. `label` says in words what was drawn; it takes no part in comparison."""

    label: str = ""

    def _numbers(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self.__struct_fields__ if name != "label")

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return self._numbers() == other._numbers()

    def __hash__(self) -> int:
        return hash((type(self), self._numbers()))

    def size_after(self, height: int, width: int) -> tuple[int, int] | None:
        """The size it leaves; None when only running it tells (a `Call` that does not say)."""
        return height, width

    def forward(self, scene: Scene) -> projective.Map | None:
        """Where it takes points, as a map of the plane; None where no such map says so."""
        return projective.STILL if self.size_after(scene.height, scene.width) == scene.size else None

    def after(self, scene: Scene) -> Scene:
        """The scene it leaves; its size must be known, or else stays as it is."""
        size = self.size_after(scene.height, scene.width)
        if scene.boxes:
            return scene.moved(self.forward(scene), *(size or scene.size))
        if size is None or size == (scene.height, scene.width):
            return scene
        return msgspec.structs.replace(scene, height=size[0], width=size[1])

    def __str__(self) -> str:
        return self.label or type(self).__name__.lower()
