"""Findings, the list that collects them during an examination, and the report made of them."""

from __future__ import annotations

import re
import textwrap
import traceback
from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from augreg import notebook
from augreg.doctor.limits import TimeLimit, Watch

__all__ = ["Finding", "Findings", "Report", "Severity", "guarded", "last_line", "raised_by_doctor", "shortened"]

Severity = Literal["fault", "warning", "note"]
"""A `fault` harms training or its metrics; a `warning` very likely does; a `note` is for information."""

_ORDER = ("fault", "warning", "note")
_WIDTH = 100
_SHOWN = 8
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Finding:
    """One problem, or one observation, about a loader.

    `check` names the kind of finding (docs/doctor.md lists them). `where` is `train`, `validation` or `test`, or one
    of several loaders of a side, such as `train[0]`, or `both` for train and validation. `seen` describes the
    observation, with numbers; `why` explains its effect; `remedy` says what to do. `samples` are the first few of the
    dataset keys, or of the positions in the pass, where it was observed.
    """

    check: str
    severity: Severity
    where: str
    seen: str
    why: str
    remedy: str
    samples: tuple[int | str, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.severity}: {self.where}: {self.check}", *_wrapped(self.seen)]
        if self.samples:
            lines += _wrapped(f"seen at: {', '.join(map(str, self.samples))}")
        lines += _wrapped(f"why: {self.why}") + _wrapped(f"do: {self.remedy}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Report:
    """The result of an examination, worst findings first. Printable; `as_dict` gives plain data for JSON.

    `checked` lists what was examined, `unchecked` what was not, and why. `ok` is True if there is neither a fault
    nor a warning.
    """

    findings: tuple[Finding, ...] = ()
    checked: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether there are no findings, or only notes."""
        return all(finding.severity == "note" for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """Plain data: strings, numbers, lists and mappings only."""
        data = {"ok": self.ok, **asdict(self)}
        for finding in data["findings"]:
            finding["samples"] = list(finding["samples"])
        return {key: list(value) if isinstance(value, tuple) else value for key, value in data.items()}

    def __str__(self) -> str:
        counts = {name: sum(finding.severity == name for finding in self.findings) for name in _ORDER}
        summary = [f"{count} {name}{'s' * (count != 1)}" for name, count in counts.items() if count]
        lines = [", ".join(summary) if summary else self._nothing_found]
        for finding in self.findings:
            lines += ["", str(finding)]
        lines += ["", *(f"checked: {line}" for line in self.checked)]
        lines += [f"not checked: {line}" for line in self.unchecked]
        return "\n".join(lines).rstrip()

    @property
    def _nothing_found(self) -> str:
        return "nothing found" + "; some checks could not be made, see below" * bool(self.unchecked)

    def _repr_html_(self) -> str:
        """For notebooks."""
        header = ("severity", "where", "check", "seen", "why", "do")
        rows = ((each.severity, each.where, each.check, each.seen, each.why, each.remedy) for each in self.findings)
        below = [*(f"checked: {line}" for line in self.checked), *(f"not checked: {line}" for line in self.unchecked)]
        return notebook.table("Loader report" if self.findings else self._nothing_found, header, rows, below)


class Findings:
    """Collects findings during an examination; `report` sorts them, worst first."""

    def __init__(self) -> None:
        self._findings: list[Finding] = []
        self._checked: dict[str, None] = {}
        self._unchecked: dict[str, None] = {}
        self._limited: dict[tuple[str, str], list[str]] = {}

    def add(
        self,
        check: str,
        severity: Severity,
        where: str,
        seen: str,
        why: str,
        remedy: str,
        samples: Iterable[Any] = (),
    ) -> None:
        """Add a finding; the first few `samples` are kept."""
        kept = tuple(_plain(sample) for sample in list(samples)[:_SHOWN])
        self._findings.append(Finding(check, severity, where, seen, why, remedy, kept))

    def checked(self, line: str) -> None:
        """Record what was examined."""
        self._checked[line] = None

    def unchecked(self, line: str) -> None:
        """Record what could not be examined, and why."""
        self._unchecked[line] = None

    def limited(self, where: str, doing: str, watch: Watch) -> None:
        """Record what could not be examined since the time was over; the report is then not ok."""
        self.unchecked(f"{where}: {doing}: {watch.message}")
        self._limited.setdefault((where, watch.message), []).append(doing)

    def error(self, where: str, seen: str, text: str, samples: Iterable[Any] = ()) -> None:
        """Add an exception of the user's code; `text` is its traceback."""
        self.add(
            "error",
            "fault",
            where,
            f"{seen}:\n{_excerpt(text)}",
            "training would stop here, or the loader cannot be examined further",
            "fix the line named in the traceback, then run the doctor again",
            samples,
        )

    def report(self) -> Report:
        """Everything added so far."""
        late = [
            Finding(
                "time limit",
                "warning",
                where,
                f"{message} before this was done: {'; '.join(dict.fromkeys(stages))}",
                "what was not examined may be at fault",
                "allow more time, ask for fewer samples, or find out why samples take so long",
            )
            for (where, message), stages in self._limited.items()
        ]
        ordered = sorted([*self._findings, *late], key=lambda finding: _ORDER.index(finding.severity))
        return Report(tuple(dict.fromkeys(ordered)), tuple(self._checked), tuple(self._unchecked))


def guarded(
    findings: Findings, where: str, doing: str, work: Callable[[], _Result], watch: Watch | None = None
) -> _Result | None:
    """Return what `work` returns; if it raises, record that and return None.

    An error of the user's code is a finding, with the last lines of the traceback. An error in the doctor's own code
    says nothing about the loader: what was being done is then not checked, as it is when the time of `watch` is over.
    """
    try:
        return work()
    except Exception as error:
        text = "".join(traceback.format_exception(error))
        if isinstance(error, TimeLimit) or (watch is not None and watch.over):
            if watch is None:
                findings.unchecked(f"{where}: {doing}: {error}")
            else:
                findings.limited(where, doing, watch)
        elif raised_by_doctor(text):
            findings.unchecked(f"{where}: {doing}, which the doctor could not do: {last_line(error)}")
        else:
            findings.error(where, f"{doing} raised {type(error).__name__}", text)
            findings.unchecked(f"{where}: {doing}, which raised {type(error).__name__}")
        traceback.clear_frames(error.__traceback__)  # the frames keep loader iterators, and so workers, alive
        return None


def _excerpt(text: str) -> str:
    """The end of a traceback: the last two frames, each whole, without the carets below its line."""
    kept = [line for line in text.splitlines() if line.strip(" ^~")]
    frames = [number for number, line in enumerate(kept) if re.match(r'\s*File "', line)]
    others = [number for number in frames if not raised_by_doctor(kept[number])]
    frames = others if others and others[-1] == frames[-1] else frames
    if not frames:
        return "\n".join(kept[-6:])
    shown = kept[frames[-2:][0] :]
    return "\n".join(shown if len(shown) <= 12 else [*shown[:4], "..", *shown[-7:]])


def raised_by_doctor(text: str) -> bool:
    """Whether the innermost line of a traceback, in a worker or here, is one of this package."""
    files = re.findall(r'^\s*File "(.+)", line \d+', text, re.M)
    return bool(files) and Path(files[-1]).parent == Path(__file__).parent


def last_line(error: BaseException) -> str:
    """The message of an error in one line; for an error raised in a worker, without the worker's traceback."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    message = lines[-1] if lines else ""
    name = type(error).__name__
    return message if message.startswith(name) else f"{name}: {message}"


def shortened(names: Collection[Any], most: int) -> str:
    """The first `most` names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(str, list(names)[:most])) + more


def _plain(sample: Any) -> int | str:
    return int(sample) if hasattr(sample, "__index__") and not isinstance(sample, tuple) else str(sample)


def _wrapped(text: str) -> list[str]:
    """Indented lines of limited width; line breaks in the text are kept."""
    lines = []
    for line in text.split("\n"):
        lines += textwrap.wrap(line, _WIDTH, initial_indent="  ", subsequent_indent="  ") or [""]
    return lines
