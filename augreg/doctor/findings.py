"""What the doctor says: findings, and the report that holds them."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["Finding", "Findings", "Report", "Severity", "guarded", "last_line"]

Severity = Literal["fault", "warning", "note"]
"""A `fault` harms training or its figures; a `warning` very likely does; a `note` is good to know."""

_ORDER = ("fault", "warning", "note")
_WIDTH = 100
_SHOWN = 8


@dataclass(frozen=True)
class Finding:
    """One thing that the doctor saw.

    `check` names the kind of finding (docs/doctor.md lists them), `where` is `train`, `validation` or `both`. `seen`
    says what was seen, with numbers; `why` says why it matters; `remedy` says what to do. `samples` are the keys of
    the dataset, or the places in the pass, that showed it: the first of them.
    """

    check: str
    severity: Severity
    where: str
    seen: str
    why: str
    remedy: str
    samples: tuple[Any, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.severity}: {self.where}: {self.check}", *_wrapped(self.seen)]
        if self.samples:
            lines += _wrapped(f"seen at: {', '.join(map(str, self.samples))}")
        lines += _wrapped(f"why: {self.why}") + _wrapped(f"do: {self.remedy}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Report:
    """What the doctor found, the worst first. Printable; `as_dict` is plain data for JSON.

    `checked` says what was looked at, `unchecked` what was not, and why. `ok` is True where there is neither a fault
    nor a warning.
    """

    findings: tuple[Finding, ...] = ()
    checked: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing was found but notes."""
        return all(finding.severity == "note" for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """Plain data: strings, numbers, lists and mappings only."""
        data = {"ok": self.ok, **asdict(self)}
        for finding in data["findings"]:
            finding["samples"] = [sample if isinstance(sample, int) else str(sample) for sample in finding["samples"]]
        return {key: list(value) if isinstance(value, tuple) else value for key, value in data.items()}

    def __str__(self) -> str:
        counts = {name: sum(finding.severity == name for finding in self.findings) for name in _ORDER}
        told = [f"{count} {name}{'s' * (count != 1)}" for name, count in counts.items() if count]
        lines = [", ".join(told) if told else "nothing found"]
        for finding in self.findings:
            lines += ["", str(finding)]
        lines += ["", *(f"checked: {line}" for line in self.checked)]
        lines += [f"not checked: {line}" for line in self.unchecked]
        return "\n".join(lines).rstrip()


class Findings:
    """Takes down findings while the examination goes on; `report` sorts them, the worst first."""

    def __init__(self) -> None:
        self._findings: list[Finding] = []
        self._checked: dict[str, None] = {}
        self._unchecked: dict[str, None] = {}

    def found(
        self, check: str, severity: Severity, where: str, seen: str, why: str, remedy: str, samples: Any = ()
    ) -> None:
        """One finding; of `samples` the first few are kept."""
        kept = tuple(_plain(sample) for sample in list(samples)[:_SHOWN])
        self._findings.append(Finding(check, severity, where, seen, why, remedy, kept))

    def checked(self, line: str) -> None:
        """Something that was looked at."""
        self._checked[line] = None

    def unchecked(self, line: str) -> None:
        """Something that could not be looked at, with the reason."""
        self._unchecked[line] = None

    def report(self) -> Report:
        """Everything so far."""
        found = sorted(self._findings, key=lambda finding: _ORDER.index(finding.severity))
        return Report(tuple(dict.fromkeys(found)), tuple(self._checked), tuple(self._unchecked))


def guarded(notebook: Findings, where: str, doing: str, work: Callable[[], Any]) -> Any:
    """What `work` returns; where it raises, a finding with the last lines of the traceback, and None."""
    import traceback

    try:
        return work()
    except Exception as error:
        last = [line for line in "".join(traceback.format_exception(error)).splitlines() if line.strip()][-6:]
        notebook.found(
            "error",
            "fault",
            where,
            f"{doing} raised {type(error).__name__}:\n" + "\n".join(last),
            "training would stop here, or the loader cannot be examined further",
            "mend the line that the traceback names, then run the doctor again",
        )
        traceback.clear_frames(error.__traceback__)  # they hold iterators, whose workers should end now
        return None


def last_line(error: BaseException) -> str:
    """What an error says, in one line: of one that comes from a worker, without the worker's traceback."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = lines[-1] if lines else ""
    name = type(error).__name__
    return told if told.startswith(name) else f"{name}: {told}"


def _plain(sample: Any) -> Any:
    return int(sample) if hasattr(sample, "__index__") and not isinstance(sample, tuple) else str(sample)


def _wrapped(text: str) -> list[str]:
    """Indented lines; the text's own line breaks stay."""
    lines = []
    for line in text.split("\n"):
        lines += textwrap.wrap(line, _WIDTH, initial_indent="  ", subsequent_indent="  ") or [""]
    return lines
