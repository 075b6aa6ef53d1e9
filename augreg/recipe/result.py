"""The result of a step of the recipe: a verdict, the evidence, likely causes, and what to do next."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from augreg import notebook
from augreg.recipe.charts import Chart, drawn

__all__ = ["Cause", "Result", "Verdict", "plain"]

Verdict = Literal["pass", "warning", "fail"]
"""`fail`: training will not work as it should; `warning`: it may work, but look at this first."""

_WIDTH = 100


@dataclass(frozen=True)
class Cause:
    """A likely cause: its name (docs/recipe.md lists them), what shows it, and what to do."""

    name: str
    because: str
    remedy: str


@dataclass(frozen=True)
class Result:
    """The result of one step. It prints; `as_dict` gives plain data for JSON, `from_dict` reads it; `plot` draws it.

    `step` names the step; `summary` is a sentence with the verdict's reason; `evidence` has the numbers behind it;
    `causes` has the likely causes, the most certain first; `action` is what to do next; `charts` is what is plotted.
    """

    step: str
    verdict: Verdict
    summary: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    causes: tuple[Cause, ...] = ()
    action: str = ""
    charts: tuple[Chart, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the step passed, or gave a warning only."""
        return self.verdict != "fail"

    def as_dict(self) -> dict[str, Any]:
        """Plain data: strings, numbers, None, lists and mappings. None stands for a number that is not finite."""
        data: dict[str, Any] = plain(asdict(self))
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Result:
        """The result that `as_dict` gave these data for."""
        charts = (
            Chart(
                **{
                    **chart,
                    "x": tuple(chart["x"]),
                    "lines": {name: tuple(line) for name, line in chart["lines"].items()},
                    "points": tuple(chart.get("points", ())),
                    "shaded": None if chart["shaded"] is None else (chart["shaded"][0], chart["shaded"][1]),
                }
            )
            for chart in data["charts"]
        )
        causes = (Cause(**cause) for cause in data["causes"])
        return cls(**{**data, "causes": tuple(causes), "charts": tuple(charts)})

    def plot(self, axes: Any = None) -> Any:
        """Draw the charts with matplotlib, on new axes or on those given. Returns the figure."""
        if not self.charts:
            raise ValueError(f"the result of {self.step!r} has nothing to plot")
        return drawn(self.charts, f"{self.step}: {self.verdict}", axes)

    def __str__(self) -> str:
        lines = [f"{self.step}: {self.verdict}", *_wrapped(self.summary)]
        for name, value in self.evidence.items():
            line = f"{name}: {_shown(value)}"
            lines += _wrapped(line) if isinstance(value, Mapping) else [f"  {line}"]
        for cause in self.causes:
            lines += _wrapped(f"cause: {cause.name}: {cause.because}") + _wrapped(f"do: {cause.remedy}", 4)
        return "\n".join([*lines, *_wrapped(f"next: {self.action}" if self.action else "")])

    def _repr_html_(self) -> str:
        """For notebooks."""
        rows = [(name, _shown(value)) for name, value in self.evidence.items()]
        rows += [(f"cause: {cause.name}", f"{cause.because}; {cause.remedy}") for cause in self.causes]
        title = f"{self.step}: {self.verdict}"
        return notebook.table(title, ("", ""), [("", self.summary), *rows], [self.action] if self.action else [])


def plain(value: Any) -> Any:
    """Data of mappings, sequences and numbers as JSON has them; None for a number that is not finite."""
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, tuple | list):
        return [plain(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def _wrapped(text: str, indent: int = 2) -> list[str]:
    space = " " * indent
    return textwrap.wrap(text, _WIDTH, initial_indent=space, subsequent_indent=space + "  ") if text else []


def _shown(value: Any) -> str:
    """A value as text: of mappings in mappings the names, and of a list of mappings how many there are."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        deep = any(isinstance(each, Mapping) for each in value.values())
        return ", ".join(name if deep else f"{name} {_shown(each)}" for name, each in value.items()) or "none"
    if isinstance(value, Iterable) and not isinstance(value, str):
        items = list(value)
        if items and all(isinstance(each, Mapping) for each in items):
            return str(len(items))
        return ", ".join(map(_shown, items)) or "none"
    return str(value)
