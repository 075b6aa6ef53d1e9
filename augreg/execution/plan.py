"""The plan: what will be done to one image, as a record that prints, pickles, compares and runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from augreg.errors import ImageError
from augreg.execution.run import RunSettings
from augreg.execution.samples import run
from augreg.execution.sampling import Drawn, Entry
from augreg.ops import Op, Scene

__all__ = ["Plan"]


class Plan(msgspec.Struct, frozen=True):
    """What will be done to an image of this scene: the ops to run, and which step drew them.

    `run(image)` does it to an image of the same size, or to a sample, a mapping. Plans pickle, compare and print.
    `deferred` are the steps after an op of unknown size; they are drawn when the plan runs.
    """

    ops: tuple[Op, ...]
    scene: Scene
    entries: tuple[Entry, ...]
    title: str
    settings: RunSettings
    deferred: tuple[Any, ...] = ()

    def run(self, image: Any) -> Any:
        """The image, or the sample, after it. Raises ImageError for another size or kind than was planned for."""
        return run(image, self._start, self.settings)

    def _start(self, scene: Scene) -> tuple[Sequence[Op], Drawn]:
        scene = msgspec.structs.replace(scene, boxes=())  # a plan is drawn for a size alone
        planned = self.scene
        if scene != planned:
            raise ImageError(f"this plan is for {_kind(planned)}, and the image is {_kind(scene)}")
        for op in self.ops:
            scene = op.after(scene)
        return self.ops, Drawn([], list(self.entries), scene, list(self.deferred))

    def __str__(self) -> str:
        scene = self.scene
        kind = {1: "gray", 3: "rgb"}.get(scene.channels, f"{scene.channels} channels")
        backend = self.settings.engine.name
        lines = [f"{self.title}: {scene.height}x{scene.width} {kind} {scene.dtype}, backend {backend}"]
        width = max((2 * entry.depth + len(entry.name) for entry in self.entries), default=0)
        for entry in self.entries:
            lines.append(f"  {'  ' * entry.depth + entry.name:{width}}  {_drawn(entry)}".rstrip())
        passes = ", then ".join(f"[{op}]" for op in self.ops) or "nothing"
        lines.append(f"  runs as {len(self.ops)} ops: {passes}")
        if self.deferred:
            lines.append("  deferred: the remaining steps are drawn once the size after the last op is known")
        return "\n".join(lines)


def _kind(scene: Scene) -> str:
    """The size and the kind of an image, for messages."""
    alpha = "" if scene.channels != 4 else " with alpha" if scene.alpha else " without alpha"
    return f"{scene.height}x{scene.width}x{scene.channels} {scene.dtype}{alpha}"


def _drawn(entry: Entry) -> str:
    """What a step drew, in words."""
    if entry.rule:
        done = ", ".join(map(str, entry.ops))
        return f"{entry.rule}{': ' if done else ''}{done}"
    if not entry.applied:
        return f"not applied (p = {entry.p:g})"
    return ", ".join(map(str, entry.ops))
