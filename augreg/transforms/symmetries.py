"""The symmetries of a square: quarter turns and mirrors, which change no pixel's value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from augreg import ops
from augreg.steps.declare import transform

if TYPE_CHECKING:
    from augreg.ops import Op, Scene
    from augreg.rng import Cursor


@transform("rot90", kind="geometry")
class Rot90:
    """Turn by 0, 90, 180 or 270 degrees, each equally likely; a quarter turn swaps height and width."""

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.quarter_turns(scene, rng.integers(4))


@transform("d4", kind="geometry")
class D4:
    """Apply one of the eight symmetries of the square (four turns, mirrored or not), each equally likely.

    For images without an up and a left: satellites, microscopes. A quarter turn swaps height and width.
    """

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        which = rng.integers(8)
        turn = ops.quarter_turns(scene, which % 4)
        if which < 4:
            return turn
        return ops.Move(
            0, 0, scene.height, scene.width, turn.transpose, turn.flip_y, not turn.flip_x, label=f"{turn}, mirrored"
        )
