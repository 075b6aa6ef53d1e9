"""Drawing the views of an image: the steps of `image`, with one draw for all views, then the steps of each view."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from augreg.backends import OpenCursor
from augreg.errors import ImageError
from augreg.execution.passes import passes
from augreg.execution.run import RunSettings, Start, step_of
from augreg.execution.sampling import Drawn, Entry, draw, expect
from augreg.named_views.declared import NamedView
from augreg.named_views.patches import PatchMask, draw_mask
from augreg.ops import Op, Scene
from augreg.rng import Address
from augreg.steps.step import Step

__all__ = ["ViewDraws", "size_of"]


class ViewDraws(msgspec.Struct, frozen=True):
    """Draws the views of one image at the address of the settings; without one, by the test-time rules.

    `shared` are the steps of `image`.
    """

    shared: tuple[Step, ...]
    views: tuple[NamedView, ...]
    settings: RunSettings

    @property
    def has_patches(self) -> bool:
        """Whether a view has a patch mask."""
        return any(view.group.patches is not None for view in self.views)

    def start(self, view: NamedView) -> Start:
        """What begins the run of a view on an image."""

        def start(scene: Scene, alone: bool) -> tuple[Sequence[Op], Drawn]:
            return self.started(self.drawn(view, scene), scene, alone)

        return start

    def started(self, drawn: Drawn, scene: Scene, alone: bool) -> tuple[Sequence[Op], Drawn]:
        """The ops that run on an image of this scene, and what they were drawn by."""
        settings = self.settings
        engine = settings.engine if alone else None
        return passes(drawn, scene, settings.approximate, settings.max_pixels, engine), drawn

    def drawn(self, view: NamedView, scene: Scene) -> Drawn:
        """What is drawn for a view of an image of this scene. Raises ImageError and SpecError."""
        if view.geometry is None:
            return self.walk((*self.shared, *view.steps), scene)
        other = next(one for one in self.views if one.name == view.geometry)
        first = self.walk(self.shared, scene)
        there = None if size_of(first) is None else self.walk(other.steps, first.scene)
        if there is None or size_of(there) is None:
            raise ImageError(
                f"{view.name} has the geometry of {other.name}, which is known only once a function has run: give "
                "its ops.call(..) a `size`"
            )
        moves, after = _moves(there, first.scene, f"{view.name} has the geometry of {other.name}")
        own = self.walk(view.steps, after)
        rule = "" if self.settings.address is not None else "as there"
        shared = Entry(f"views/{view.name}/geometry", f"geometry of {other.name}", 0, 1.0, ops=moves, rule=rule)
        entries = [*first.entries, shared, *own.entries]
        modest = first.modest and there.modest and own.modest
        return Drawn([*first.ops, *moves, *own.ops], entries, own.scene, own.deferred, modest)

    def walk(self, steps: Sequence[Step], scene: Scene) -> Drawn:
        """What these steps draw, or do at test time."""
        address, engine = self.settings.address, self.settings.engine
        return expect(steps, scene) if address is None else draw(steps, scene, address, open_cursor=_opener(engine))

    def mask(self, view: NamedView, size: tuple[int, int] | None) -> PatchMask | None:
        """The patch mask of a view of this size; None for a view without. Raises ImageError."""
        masking, address = view.group.patches, self.settings.address
        if masking is None:
            return None
        if size is None:
            raise ImageError(f"{view.name} has patches, and its size is known only once its steps have run")
        return draw_mask(
            masking, size, address if isinstance(address, Address) else None, view.patches_key, view.name
        )


def _opener(engine: Any) -> OpenCursor | None:
    cursor: OpenCursor | None = engine.cursor
    return cursor


def size_of(drawn: Drawn) -> tuple[int, int] | None:
    """The height and width after what was drawn; None if they are known only once it has run."""
    if drawn.deferred or (drawn.ops and drawn.ops[-1].size_after(*drawn.scene.size) is None):
        return None
    return drawn.scene.size


def _moves(drawn: Drawn, scene: Scene, why: str) -> tuple[list[Any], Scene]:
    """The ops of a draw that move pixels, and the scene after them. Raises ImageError for what cannot stand alone."""
    moves: list[Any] = []
    before, changed = scene, None
    for op in drawn.ops:
        if op.moves_pixels(*before.size):
            step = step_of(drawn.entries, op)
            if not op.keeps_kind or hasattr(op, "branches"):
                raise ImageError(f"{why}, and {step} there changes more than where pixels are: leave it out of one")
            if changed is not None and hasattr(op, "fill"):
                raise ImageError(
                    f"{why}, where {step} comes after {changed}, so its fill is meant for other pixel values: put "
                    f"{step} before {changed}"
                )
            moves.append(op)
            scene = op.after(scene)
        elif not op.keeps_kind:
            changed = step_of(drawn.entries, op)
        before = op.after(before)
    return moves, scene
