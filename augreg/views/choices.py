"""What the steps do in one view: a node, numbers from a low-discrepancy sequence, or the test-time rule."""

from __future__ import annotations

from typing import Any

import msgspec

from augreg.execution.sampling import IMAGE, Entry, by_drawing, by_test_rule
from augreg.ops import Scene
from augreg.steps.step import Step
from augreg.views.low_discrepancy import ViewStreams
from augreg.views.nodes import is_noisy, nodes_of

__all__ = ["ViewChoices"]


class ViewChoices(msgspec.Struct, frozen=True):
    """The choices of one view: nodes by the path of their step; steps without one are drawn from `streams`.

    Steps that are not random, and those that `only` does not name, follow their test-time rules.
    """

    streams: ViewStreams
    nodes: tuple[tuple[str, int], ...]
    only: tuple[str, ...] | None = None
    epoch: int = 0

    def take(self, step: Step, scene: Scene, entry: Entry, parent: Entry | None) -> Any:
        """The ops or steps of a step in this view."""
        if not is_noisy(step, entry.path, self.only):
            return by_test_rule(step, scene, entry, parent)
        number = next((number for path, number in self.nodes if path == entry.path), None)
        found = nodes_of(step, scene) if number is not None else None
        if found is None or number is None or number >= len(found.nodes):  # after a draw that changed the size
            return by_drawing(self.streams, IMAGE, step, scene, entry, parent)
        node = found.nodes[number]
        entry.applied = node.applied
        return node.result
