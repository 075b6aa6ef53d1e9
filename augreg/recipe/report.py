"""The report of a run of the recipe: the results of its steps, as text, as JSON and as a page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from augreg import __version__
from augreg.recipe.result import Result

__all__ = ["Report"]


@dataclass(frozen=True)
class Report:
    """The results by the names of their steps, in order; `left` names the steps that were not run after a failure."""

    name: str
    results: Mapping[str, Result] = field(default_factory=dict)
    left: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether no step failed."""
        return all(result.ok for result in self.results.values())

    def __getitem__(self, step: str) -> Result:
        return self.results[step]

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "augreg": __version__,
            "name": self.name,
            "ok": self.ok,
            "results": [result.as_dict() for result in self.results.values()],
            "left": list(self.left),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Report:
        """The report that `as_dict` gave these data for."""
        results = [Result.from_dict(each) for each in data["results"]]
        return cls(data["name"], {result.step: result for result in results}, tuple(data["left"]))

    def save(self, path: str | Path) -> None:
        """Write the page to `path`, and the data as JSON beside it. Raises ImportError without matplotlib."""
        from augreg.recipe.page import recipe_page

        path = Path(path)
        if path.suffix == ".json":
            raise ValueError(f"{path}: expected the name of an HTML page; its JSON is written beside it")
        page = recipe_page(self.name, list(self.results.values()), self.left)
        path.write_text(page, encoding="utf-8")
        path.with_suffix(".json").write_text(json.dumps(self.as_dict(), indent=1, allow_nan=False), encoding="utf-8")

    def __str__(self) -> str:
        """A line for each step, with the causes of what did not pass, and what to do next."""
        width = max(map(len, self.results), default=0)
        lines = [f"{self.name}: {'no step failed' if self.ok else 'a step failed'}"]
        for name, result in self.results.items():
            lines.append(f"  {name:{width}}  {result.verdict:7}  {result.summary}")
            lines += [f"  {'':{width}}           cause: {cause.name}: {cause.remedy}" for cause in result.causes]
        if self.left:
            lines.append(f"  not run: {', '.join(self.left)}")
        last = next((each for each in self.results.values() if not each.ok), None)
        last = last or next(reversed(list(self.results.values())), None)
        if last is not None and last.action:
            lines.append(f"  next: {last.action}")
        diff = last.evidence.get("diff") if last is not None else None
        return "\n".join([*lines, *(f"    {line}" for line in (diff or "").splitlines())])
