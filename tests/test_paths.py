"""No two steps of one draw have the same random numbers: each has a path of its own, whoever returned it and when."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import augreg
from augreg import ops
from augreg.rng import address_of, stream_key
from augreg.steps.step import Step

IMAGE = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
noted: list[float] = []


@augreg.transform("note", kind="color")
class Note:
    """Write down what it draws."""

    def sample(self, rng: Any, scene: Any) -> tuple[()]:
        noted.append(rng.random())
        return ()


def same(array: Any) -> Any:
    return array


UNKNOWN = ops.call(same, geometry=True)  # only running it tells the size that it leaves


def note() -> Step:
    return Step(Note(), "note")


@augreg.transform("apart", kind="geometry")
class Apart:
    """Four steps, with ops of unknown size between them."""

    def sample(self, rng: Any, scene: Any) -> tuple[Any, ...]:
        return note(), UNKNOWN, note(), note(), UNKNOWN, note()


@augreg.transform("twice", kind="choose")
class Twice:
    """Its children two times, and a step of its own before, between and after them."""

    steps: tuple[Step, ...]

    def sample(self, rng: Any, scene: Any) -> tuple[Step, ...]:
        return (note(), *self.steps, note(), *self.steps, note())


def drawn(paths: list[str], **given: int) -> list[float]:
    """The number of each path: the second of its stream, since the first decides whether it is applied."""
    found = []
    for path in paths:
        cursor = address_of(**given).cursor(stream_key(path))
        cursor.bernoulli(0.5)
        found.append(cursor.random())
    return found


@pytest.fixture(autouse=True)
def nothing_noted() -> None:
    noted.clear()


def test_steps_after_ops_of_unknown_size_go_on_counting() -> None:
    pipeline = augreg.Pipeline([Apart()], seed=4)
    pipeline.train(IMAGE, index=2)
    assert noted == drawn([f"apart#0/note#{number}" for number in range(4)], seed=4, index=2)


def test_a_plan_counts_as_a_run_does_and_is_left_as_it_was() -> None:
    pipeline = augreg.Pipeline([Apart(), Apart()], seed=4)
    plan = pipeline.train.plan((8, 8), index=2)
    pristine = pickle.loads(pickle.dumps(plan))
    plan.run(IMAGE)
    assert noted == drawn([f"apart#{n}/note#{number}" for n in (0, 1) for number in range(4)], seed=4, index=2)
    planned = noted[:1]  # until the first op of unknown size
    plan.run(IMAGE)
    pristine.run(IMAGE)
    assert planned + noted[8:15] == planned + noted[15:] == noted[:8]
    assert str(plan) == str(pristine)
    assert plan == pristine


def test_children_that_a_container_repeats_draw_anew() -> None:
    pipeline = augreg.Pipeline([Twice(steps=(note(), Step(Twice(steps=(note(),)), "twice")))], seed=4)
    noted.clear()  # a container's children are drawn while its spec is read
    pipeline.train(IMAGE, index=2)
    assert len(noted) == len(set(noted)) == 3 + 2 * (1 + 3 + 2)


def test_a_step_that_a_sample_made_does_not_take_the_path_of_a_child() -> None:
    pipeline = augreg.Pipeline([Twice(steps=(note(),))], seed=4)
    noted.clear()
    pipeline.train(IMAGE, index=2)
    paths = ["note#0", "note#0~1", "note#2", "note#0~2", "note#4"]
    assert noted == drawn([f"twice#0/{path}" for path in paths], seed=4, index=2)


@augreg.batch_transform("note_batch")
class NoteBatch:
    """Write down what it draws for a batch."""

    def sample(self, rng: Any, count: int, scene: Any) -> tuple[()]:
        noted.append(rng.random())
        return ()


@augreg.transform("three_times", kind="choose")
class ThreeTimes:
    """Its children three times."""

    steps: tuple[Step, ...]

    def sample(self, rng: Any, scene: Any) -> tuple[Step, ...]:
        return self.steps * 3


def test_a_batch_repeats_no_draw_either() -> None:
    step = Step(NoteBatch(), "note_batch")
    pipeline = augreg.Pipeline(batch=[ThreeTimes(steps=(step,))], seed=4)
    pipeline.batch(np.zeros((2, 8, 8, 3), np.uint8), batch=5)
    assert len(noted) == len(set(noted)) == 3
    plan = pipeline.batch.plan(2, (8, 8), batch=5)
    names = ["note_batch#0", "note_batch#0~1", "note_batch#0~2"]
    assert [entry.path for entry in plan.entries[1:]] == [f"three_times#0/{name}" for name in names]
