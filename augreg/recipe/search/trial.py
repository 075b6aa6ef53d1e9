"""A trial of a search: what was tried, what came out, and how to make it again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Round", "State", "Trial", "rounds_of", "trials_of"]

State = Literal["running", "complete", "pruned", "failed"]


@dataclass(frozen=True)
class Round:
    """Trials that share a space: the first of them, and how many they are."""

    number: int
    first: int
    trials: int
    space: Mapping[str, Any]
    reason: str = ""


@dataclass(frozen=True)
class Trial:
    """One trial: values by path, and the result.

    `value` is the objective at its last epoch, None for a trial that failed or is running; `values` has it after each
    epoch. `history` has all that was measured, `error` why it failed. `seeds`, `fingerprint` and `spec` are what it
    was made with: `Study.run_again` makes it once more.
    """

    number: int
    parameters: Mapping[str, Any]
    state: State = "running"
    value: float | None = None
    values: tuple[float, ...] = ()
    history: Mapping[str, list[float]] = field(default_factory=dict)
    error: str = ""
    seeds: Mapping[str, int] = field(default_factory=dict)
    fingerprint: str = ""
    spec: Mapping[str, Any] | None = None

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self.state != "running"

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON, without the history of each epoch."""
        return {
            "number": self.number,
            "parameters": dict(self.parameters),
            "state": self.state,
            "value": self.value,
            "epochs": len(self.values),
            "error": self.error,
            "seeds": dict(self.seeds),
            "fingerprint": self.fingerprint,
            "spec": self.spec,
        }


def trials_of(events: Iterable[Mapping[str, Any]]) -> list[Trial]:
    """The trials that these events tell of, by number."""
    started: dict[int, Mapping[str, Any]] = {}
    finished: dict[int, Mapping[str, Any]] = {}
    values: dict[int, dict[int, float]] = {}
    for event in events:
        if event["event"] == "started":
            started.setdefault(event["trial"], event)
            values[event["trial"]] = {}
        elif event["event"] == "epoch":  # of a trial that went on after a kill, one epoch may come twice
            values[event["trial"]][event["epoch"]] = event["value"]
        elif event["event"] == "finished":
            finished.setdefault(event["trial"], event)
    return [_trial(started[number], finished.get(number), values[number]) for number in sorted(started)]


def rounds_of(events: Iterable[Mapping[str, Any]]) -> list[Round]:
    """The rounds that these events tell of, in order."""
    found = [event for event in events if event["event"] == "round"]
    return [
        Round(number, event["first"], event["trials"], event["space"], event["reason"])
        for number, event in enumerate(found)
    ]


def _trial(start: Mapping[str, Any], end: Mapping[str, Any] | None, values: Mapping[int, float]) -> Trial:
    line = tuple(values[epoch] for epoch in sorted(values))
    about = {name: start[name] for name in ("parameters", "seeds", "fingerprint", "spec")}
    if end is None:
        return Trial(start["trial"], values=line, **about)
    results = {name: end[name] for name in ("state", "value", "history", "error")}
    return Trial(start["trial"], values=tuple(end["values"]), **about, **results)
