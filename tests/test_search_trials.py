"""The events of a study become trials and rounds: each event is read once, however many trials there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given, strategies as st

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from searching import Formula

from augreg.recipe.search import Range, Study, Trial
from augreg.recipe.search.samplers import grid, grid_points
from augreg.recipe.search.trial import Round, TrialLog


def started(number: int) -> dict[str, Any]:
    about = {"seeds": {"task": 7}, "fingerprint": "f", "spec": None}
    return {"event": "started", "trial": number, "parameters": {"x": number}, **about}


def epoch(trial: int, number: int, value: float) -> dict[str, Any]:
    return {"event": "epoch", "trial": trial, "epoch": number, "value": value}


def finished(number: int, *values: float) -> dict[str, Any]:
    end = {"state": "complete", "value": values[-1], "values": list(values), "history": {}, "error": ""}
    return {"event": "finished", "trial": number, **end}


EVENTS = [
    {"event": "study", "sampler": "random"},
    {"event": "round", "first": 0, "trials": 2, "space": {"x": {}}, "reason": ""},
    started(0),
    epoch(0, 1, 0.1),
    started(1),  # by another process
    epoch(1, 1, 0.3),
    epoch(0, 2, 0.2),
    epoch(1, 2, 0.4),
    epoch(1, 2, 0.5),  # once more after a kill
    finished(0, 0.1, 0.2),
    finished(0, 0.8, 0.9),  # by a process that was taken for dead
    {"event": "round", "first": 2, "trials": 1, "space": {"x": {}}, "reason": "x: wider"},
]


def trial(number: int, values: tuple[float, ...], **end: Any) -> Trial:
    about = {"seeds": {"task": 7}, "fingerprint": "f", "spec": None}
    return Trial(number, {"x": number}, values=values, **about, **end)


AFTER = {
    2: [],
    3: [trial(0, ())],
    9: [trial(0, (0.1, 0.2)), trial(1, (0.3, 0.5))],
    12: [trial(0, (0.1, 0.2), state="complete", value=0.2), trial(1, (0.3, 0.5))],
}


@pytest.mark.parametrize("steps", [(12,), (2, 3, 9, 12), (9, 9, 12)])
def test_trials_after_so_many_events(steps: tuple[int, ...]) -> None:
    log = TrialLog()
    for count in steps:
        assert log.trials(EVENTS[:count]) == AFTER[count]
    rounds = [Round(0, 0, 2, {"x": {}}), Round(1, 2, 1, {"x": {}}, "x: wider")]
    assert log.rounds(EVENTS) == rounds and TrialLog().rounds(EVENTS) == rounds


class Counted(Mapping[str, Any]):
    """An event that counts how often it is looked at."""

    looks = 0

    def __init__(self, event: Mapping[str, Any]) -> None:
        self._event = event

    def __getitem__(self, name: str) -> Any:
        Counted.looks += name == "event"
        return self._event[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._event)

    def __len__(self) -> int:
        return len(self._event)


def test_a_study_reads_each_event_once(monkeypatch: pytest.MonkeyPatch) -> None:
    study = Study(Formula(lambda p: p["x"], 1), {"x": Range(0.0, 1.0)}, 40, sampler="random", pruner="none")
    add = study.file.add

    def counting(event: Mapping[str, Any]) -> None:
        add(event)
        study.file._events[-1] = Counted(study.file._events[-1])  # type: ignore[call-overload]

    monkeypatch.setattr(study.file, "add", counting)
    monkeypatch.setattr(Counted, "looks", 0)
    study.run()
    assert len(study.trials) == 40 and Counted.looks == 3 * 40  # started, one epoch, finished


@given(st.integers(1, 40), st.integers(1, 3), st.integers(1, 4))
def test_the_points_of_a_grid_are_counted_as_they_are_drawn(total: int, size: int, whole: int) -> None:
    space = {"n": Range(0, whole, integer=True), **{str(k): Range(0.0, 1.0) for k in range(size)}}
    drawn = [grid(space, number, total, 0) for number in range(total + 1)]
    assert grid_points(space, total) == sum(point is not None for point in drawn)
