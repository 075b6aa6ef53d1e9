"""Containers: steps that hold other steps. They draw which children are applied, and the pipeline samples those."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from augreg.steps.declare import transform
from augreg.steps.fields import Converted, Counts
from augreg.steps.step import Step
from augreg.transforms.ranges import check_weights, nearest

if TYPE_CHECKING:
    from augreg.columns.cursors import Cursors, Some
    from augreg.columns.records import Scenes
    from augreg.ops import Scene
    from augreg.rng import Cursor


@transform("sequential", kind="choose", rule="children", exact="what each child is exact for")
class Sequential:
    """Apply the steps in order; without any it does nothing."""

    steps: Converted[tuple[Step, ...]]

    def sample(self, rng: Cursor, scene: Scene) -> tuple[Step, ...]:
        return self.steps

    sample_columns = sample

    def expect(self, scene: Scene, p: float) -> tuple[Step, ...]:
        return self.steps


@transform("random_order", kind="choose", rule="children", exact="what the step is exact for, if there is only one")
class RandomOrder:
    """Apply all steps, in random order; at test time, in the order given. Without any it does nothing."""

    steps: Converted[tuple[Step, ...]]

    def sample(self, rng: Cursor, scene: Scene) -> tuple[Step, ...]:
        return tuple(self.steps[index] for index in rng.permutation(len(self.steps)))

    def sample_columns(self, rng: Cursors, scene: Scenes) -> tuple[Some, ...]:
        return rng.shuffled(self.steps)

    def expect(self, scene: Scene, p: float) -> tuple[Step, ...]:
        return self.steps


def _check_any(steps: tuple[Step, ...]) -> None:
    if not steps:
        raise ValueError("steps must be at least one, got none: add steps, or leave this out")


_Weights = tuple[Annotated[float, Meta(ge=0)], ...]


@transform("one_of", kind="choose")
class OneOf:
    """Apply one of the steps, drawn uniformly or with probabilities proportional to `weights`.

    At test time no child is applied, unless only one can be drawn; if the children change the size of the image, set
    `test:` on this step.
    """

    steps: Converted[tuple[Step, ...]]
    weights: _Weights = ()

    def check(self) -> None:
        _check_any(self.steps)
        check_weights(self.weights, len(self.steps), "steps")

    def sample(self, rng: Cursor, scene: Scene) -> tuple[Step, ...]:
        return (self.steps[rng.choice(self.weights or (1.0,) * len(self.steps))],)

    def sample_columns(self, rng: Cursors, scene: Scenes) -> tuple[Some, ...]:
        return rng.picked(self.steps, self.weights or (1.0,) * len(self.steps))


@transform("some_of", kind="choose")
class SomeOf:
    """Apply `count` different steps, drawn uniformly, in the order given.

    `count` may be a range, from which an integer is drawn uniformly. At test time no child is applied, unless all
    always are; if the children change the size of the image, set `test:` on this step.
    """

    steps: Converted[tuple[Step, ...]]
    count: Counts = (1, 1)

    def check(self) -> None:
        _check_any(self.steps)
        if self.count[1] > len(self.steps):
            most = len(self.steps)
            hint = nearest([min(count, most) for count in self.count]) if most else ""
            raise ValueError(f"count must be at most the number of steps, {most}, got {list(self.count)}{hint}")

    def sample(self, rng: Cursor, scene: Scene) -> tuple[Step, ...]:
        low, high = self.count
        if low == len(self.steps) or high == 0:  # nothing to draw
            return self.steps[:high]
        count = low + rng.integers(high - low + 1)
        return tuple(self.steps[index] for index in sorted(rng.permutation(len(self.steps))[:count]))

    def sample_columns(self, rng: Cursors, scene: Scenes) -> tuple[Any, ...]:
        low, high = self.count
        if low == len(self.steps) or high == 0:
            return self.steps[:high]
        return rng.subset(self.steps, low, high)
