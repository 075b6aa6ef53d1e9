"""The symmetries of the square: rotations by multiples of 90 degrees and flips, which only move pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from augreg import lazy, ops
from augreg.steps.declare import transform

if TYPE_CHECKING:
    from augreg.ops import Op, Scene
    from augreg.rng import Cursor


@transform("transpose", kind="geometry", p=0.5, preview=({},))
class Transpose:
    """Exchange rows and columns: mirror the image across the diagonal through its top left corner."""

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.Move(0, 0, scene.height, scene.width, transpose=True, label="transpose")

    sample_columns = sample


@transform("rot90", kind="geometry")
class Rot90:
    """Rotate by 0, 90, 180 or 270 degrees, each equally likely; 90 and 270 swap height and width."""

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        return ops.quarter_turns(scene, rng.integers(4))

    sample_columns = lazy.method("augreg.columns.warps", "rot90")


@transform("d4", kind="geometry")
class D4:
    """Apply one of the eight symmetries of the square (four rotations, flipped or not), each equally likely.

    For images that have no top and no left side, such as satellite and microscope images. Rotations by 90 and 270
    degrees swap height and width.
    """

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        symmetry = rng.integers(8)
        turn = ops.quarter_turns(scene, symmetry % 4)
        if symmetry < 4:
            return turn
        return ops.Move(
            0, 0, scene.height, scene.width, turn.transpose, turn.flip_y, not turn.flip_x, label=f"{turn}, mirrored"
        )

    sample_columns = lazy.method("augreg.columns.warps", "d4")
