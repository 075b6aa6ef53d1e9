"""A trial of a search: what was tried, what came out, and how to make it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Round", "State", "Trial", "TrialLog"]

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


class TrialLog:
    """The trials and the rounds that events tell of. Each event is read once, as events are only ever added."""

    def __init__(self) -> None:
        self._read = 0
        self._trials: dict[int, Trial] = {}
        self._started: dict[int, Mapping[str, Any]] = {}
        self._values: dict[int, dict[int, float]] = {}
        self._rounds: list[Round] = []

    def trials(self, events: Sequence[Mapping[str, Any]]) -> list[Trial]:
        """The trials by number. The events are those of the last call, and new ones behind them."""
        self._update(events)
        return [self._trials[number] for number in sorted(self._trials)]

    def rounds(self, events: Sequence[Mapping[str, Any]]) -> list[Round]:
        """The rounds in order."""
        self._update(events)
        return list(self._rounds)

    def _update(self, events: Sequence[Mapping[str, Any]]) -> None:
        for event in events[self._read :]:
            self._add(event)
        self._read = len(events)

    def _add(self, event: Mapping[str, Any]) -> None:
        kind = event["event"]
        if kind == "round":
            space, reason = event["space"], event["reason"]
            self._rounds.append(Round(len(self._rounds), event["first"], event["trials"], space, reason))
        elif kind == "started" and event["trial"] not in self._trials:
            self._started[event["trial"]], self._values[event["trial"]] = event, {}
            self._trials[event["trial"]] = _trial(event, None, {})
        elif kind in ("epoch", "finished") and not self._trials[event["trial"]].done:
            number = event["trial"]
            if kind == "epoch":  # of a trial that went on after a kill, one epoch may come twice
                self._values[number][event["epoch"]] = event["value"]
            end = event if kind == "finished" else None
            self._trials[number] = _trial(self._started[number], end, self._values[number])


def _trial(start: Mapping[str, Any], end: Mapping[str, Any] | None, values: Mapping[int, float]) -> Trial:
    line = tuple(values[epoch] for epoch in sorted(values))
    about = {name: start[name] for name in ("parameters", "seeds", "fingerprint", "spec")}
    if end is None:
        return Trial(start["trial"], values=line, **about)
    results = {name: end[name] for name in ("state", "value", "history", "error")}
    return Trial(start["trial"], values=tuple(end["values"]), **about, **results)
