"""What all importers do: walk a pipeline, read every parameter, keep what is a valid step, report the rest."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import yaml

from augreg.errors import AugregError, SpecError
from augreg.registry.registry import Registry
from augreg.spec.parse import parse
from augreg.steps.fields import plain

__all__ = ["Given", "Imported", "LeftOutError", "Rule", "Step", "Translation", "numbers", "pair"]


class Imported(NamedTuple):
    """A spec, and a line for everything that it does not say as the pipeline did. Prints as a spec file."""

    spec: dict[str, Any]
    report: tuple[str, ...]

    def __str__(self) -> str:
        notes = "".join(f"# {line}\n" for line in self.report)
        own = json.loads(json.dumps(self.spec))  # lists of its own everywhere, or YAML would write references
        return notes + yaml.safe_dump(own, sort_keys=False, default_flow_style=None, width=100)


class LeftOutError(Exception):
    """A transform cannot be said in a spec; the message says why."""


class Given:
    """The parameters of one transform. What was not read is named in the report."""

    def __init__(self, name: str, values: Mapping[str, Any], place: str, report: list[str]) -> None:
        self.name = name
        self.place = place
        self._values = dict(values)
        self._report = report
        self._unread = [key for key in values if not key.startswith("_")]

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def take(self, key: str, default: Any = None) -> Any:
        """The value of a parameter, as plain data."""
        self.ignore(key)
        value = self._values.get(key, default)
        return plain(value.tolist() if hasattr(value, "tolist") else value)

    def raw(self, key: str) -> Any:
        """The value of a parameter as it is, still to be read."""
        return self._values.get(key)

    def take_children(self, key: str) -> list[Any]:
        """A parameter that holds transforms, as they are."""
        self.ignore(key)
        return list(self._values.get(key) or ())

    def ignore(self, *keys: str) -> None:
        """These say nothing that a spec would have to say."""
        self._unread = [key for key in self._unread if key not in keys]

    def only(self, key: str, *neutral: Any, why: str = "a spec has no word for it") -> None:
        """A parameter that can be said only where it has one of these values; any other is reported."""
        value = self.take(key, neutral[0])
        if value not in neutral:
            self.note(f"{key}={_shown(value)} is not kept: {why}")

    def note(self, text: str) -> None:
        """Report something about this transform."""
        self._report.append(f"{self.place} {self.name}: {text}")

    def finish(self) -> None:
        """Report what nobody read."""
        for key in self._unread:
            self.note(f"{key}={_shown(self._values[key])} is not kept: it is not known here")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


Step = Any
Rule = Callable[[Given, "Translation"], Sequence[Step]]


class Translation:
    """One walk over a pipeline. `rules` say how each class is translated; `opened` gives (name, parameters)."""

    def __init__(self, rules: Mapping[str, Rule], opened: Callable[[Any], tuple[str, Mapping[str, Any]]]) -> None:
        self.report: list[str] = []
        self.options: dict[str, Any] = {}
        self.floats = False  # whether images are floats from 0 to 1 at this point of the pipeline
        self.normalized = False
        self.registry = Registry.installed()
        self._rules = rules
        self._opened = opened

    def steps(self, children: Iterable[Any], place: str) -> list[Step]:
        """The steps of these transforms, those that can be said."""
        found: list[Step] = []
        for number, child in enumerate(children):
            found += self.step(child, f"{place}[{number}]")
        return found

    def step(self, child: Any, place: str) -> list[Step]:
        """The steps of one transform; none if it is left out."""
        name, values = self._opened(child)
        given = Given(name, values, place, self.report)
        rule = self._rules.get(name)
        try:
            if rule is None:
                raise LeftOutError("augreg has no such transform, or none that is known to do the same")
            made = list(rule(given, self))
            self._check(made)
        except LeftOutError as why:
            given.note(f"left out: {why}")
            return []
        except (TypeError, KeyError, ValueError, AttributeError, IndexError) as why:
            given.note(f"left out: a parameter is missing or is not what this class has ({why})")
            return []
        given.finish()
        return made

    def _check(self, made: list[Step]) -> None:
        try:
            parse(made, self.registry)
        except SpecError as error:
            raise LeftOutError("; ".join(problem.message for problem in error.problems)) from None

    def result(self, image: list[Step]) -> Imported:
        """The spec of these steps, with what is wrong with them together in the report."""
        spec = {"version": 1, **self.options, "image": image}
        try:
            parse(spec, self.registry)
        except AugregError as error:
            self.report += [f"the spec is not valid as it is: {line}" for line in str(error).splitlines()]
        return Imported(spec, tuple(self.report))


def numbers(value: Any) -> list[float]:
    """A list of numbers from a number, a sequence or an array; what was float32 is rounded to what was meant."""
    value = value if isinstance(value, list) else [value]
    return [float(f"{number:.7g}") for number in value]


def pair(value: Any) -> list[Any]:
    """[a, b] of one number or of two."""
    return list(value) if isinstance(value, list | tuple) else [value, value]
