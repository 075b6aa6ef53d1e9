"""The framework of the importers: walk a pipeline, read every parameter, keep the valid steps, report the rest."""

from __future__ import annotations

import copy
import enum
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import yaml

from augreg import notebook
from augreg.errors import AugregError, SpecError
from augreg.registry.registry import Registry
from augreg.spec.parse import parse
from augreg.steps.fields import MEANS, STDS, plain
from augreg.steps.wording import shortened

__all__ = [
    "ONE_MEAN",
    "Imported",
    "Parameters",
    "SpecStep",
    "Steps",
    "Translation",
    "Translator",
    "UnsupportedError",
    "numbers",
    "pair",
]


ONE_MEAN = (
    "mean has one number, so files and PIL images keep their channels, `channels: keep`: gray ones have one; if all "
    "images are to be gray, set `channels: gray`"
)
"""What the report says of a mean that any number of channels has."""


class Imported(NamedTuple):
    """A spec, and a report with a line for every difference from the pipeline. Prints as a spec file."""

    spec: dict[str, Any]
    report: tuple[str, ...]

    def __str__(self) -> str:
        notes = "".join(f"# {line}\n" for line in self.report)
        unshared = json.loads(json.dumps(self.spec))  # YAML writes a list that occurs twice as a reference
        return notes + yaml.safe_dump(unshared, sort_keys=False, default_flow_style=None, width=100)

    def _repr_html_(self) -> str:
        """For notebooks."""
        return notebook.lines("Imported spec", str(self))


class UnsupportedError(Exception):
    """A spec cannot express a transform; the message is the reason."""


class Parameters:
    """The parameters of one transform. `finish` reports those that no method has read."""

    def __init__(self, name: str, values: Mapping[str, Any], place: str, report: list[str]) -> None:
        self.name = name
        self.place = place
        self.lost: list[str] = []
        """What the report says of parameters that are not kept."""
        self.mask_fill = 0
        """What masks show where the image shows its fill, in the whole spec."""
        self._values = dict(values)
        self._report = report
        self._unread = [key for key in values if not key.startswith("_")]

    def __contains__(self, key: str) -> bool:
        return key in self._values

    @property
    def values(self) -> Mapping[str, Any]:
        """All parameters, as they are. Does not mark any as read."""
        return self._values

    def take(self, key: str, default: Any = None) -> Any:
        """The value of a parameter, as plain data."""
        self.ignore(key)
        return plain(_decimals(self._values.get(key, default)))

    def take_objects(self, key: str) -> list[Any]:
        """The transforms or ops in a parameter, unchanged; an empty list for a name."""
        self.ignore(key)
        value = self._values.get(key) or ()
        return [] if isinstance(value, str | enum.Enum) else list(value)

    def ignore(self, *keys: str) -> None:
        """Mark parameters as read that make no difference in a spec."""
        self._unread = [key for key in self._unread if key not in keys]

    def only(self, key: str, *supported: Any, why: str = "a spec cannot express it") -> None:
        """Report a parameter unless it has one of the supported values, the first of which is its default."""
        value = self.take(key, supported[0])
        if value not in supported:
            self.lose(f"{key}={shortened(repr(value), 60)} is not kept: {why}")

    def lose(self, text: str) -> None:
        """Report that something of this transform is not kept, or only nearly."""
        self.lost.append(text)
        self.note(text)

    def note(self, text: str) -> None:
        """Report something about this transform."""
        self._report.append(f"{self.place} {self.name}: {text}")

    def finish(self) -> None:
        """Report the parameters that were not read."""
        for key in self._unread:
            self.lose(f"{key}={shortened(repr(self._values[key]), 60)} is not kept: unknown parameter")


SpecStep: TypeAlias = str | dict[str, Any] | list[Any]
"""A step as a spec has it: a name, a name with arguments, or a list of steps."""
Steps: TypeAlias = list[SpecStep]
Translator: TypeAlias = Callable[[Parameters, "Translation"], Steps]
"""Makes the steps of a spec from the parameters of one transform. Raises UnsupportedError."""


class Translation:
    """The translation of one pipeline: the options and the report so far, and the state of images at this point.

    `translators` has a translator for each class name, and `unsupported` the reasons for some classes without one;
    `fallback` translates all others. `opened` returns the class name and the parameters of a transform, or raises
    UnsupportedError. `gap` translates what would be left out, or would lose parameters that it keeps.
    """

    def __init__(
        self,
        translators: Mapping[str, Translator],
        unsupported: Mapping[str, str],
        opened: Callable[[Any], tuple[str, Mapping[str, Any]]],
        fallback: Translator | None = None,
        gap: Translator | None = None,
        registry: Registry | None = None,
    ) -> None:
        self.report: list[str] = []
        self.options: dict[str, Any] = {}
        self.floats = False  # whether images are floats from 0 to 1 at this point
        self.unscaled = False  # whether they are floats from 0 to 255
        self.tensors = False  # whether they are tensors, whatever the pipeline is called with
        self.normalized = False
        self.has_rows = False  # whether boxes or keypoints go with the images
        self.mask_fill = 0  # what masks show where the image shows its fill
        self.mask_holes: int | None = None  # and where the image is painted over, if they are erased too
        self.outermost: Mapping[str, Any] = {}  # the parameters of the outermost container
        self.mixing = False  # whether the steps are for the section `batch`
        self.registry = registry or Registry.installed()
        self._translators, self._unsupported = translators, unsupported
        self.opened, self._fallback, self._gap = opened, fallback, gap

    def steps(self, children: Iterable[Any], place: str) -> Steps:
        """The steps of these transforms, without those that a spec cannot express."""
        return [step for number, child in enumerate(children) for step in self.step(child, f"{place}[{number}]")]

    def single(self, child: Any, place: str) -> SpecStep:
        """One step for one transform, a `sequential` unless the transform is exactly one step."""
        steps = self.step(child, place)
        return steps[0] if len(steps) == 1 else {"sequential": {"steps": steps}}

    def step(self, child: Any, place: str) -> Steps:
        """The steps of one transform; an empty list if a spec cannot express it."""
        try:
            name, values = self.opened(child)
        except UnsupportedError as error:
            self.report.append(f"{place}: left out: {error}")
            return []
        params = Parameters(name, values, place, self.report)
        params.mask_fill = self.mask_fill
        reported, options = len(self.report), copy.deepcopy(self.options)
        state = self.floats, self.unscaled, self.tensors, self.normalized
        steps, why = self._translated(params)
        if why is None:
            params.finish()
        if self._gap is not None and (why is not None or params.lost):
            notes: list[str] = []
            filled = Parameters(name, values, place, notes)
            others, also = self._translated(filled, self._gap)
            filled.finish()
            if also is None and (why is not None or len(filled.lost) < len(params.lost)):
                reason = why or "; ".join(params.lost)
                del self.report[reported:]
                self.options, steps, why = options, others, None
                params.note(f"became {_name(others[0])}, a step of the plugin: natively, {reason}")
                self.report += notes
            elif why is not None and also:
                why = f"{why}; {also}"
        if why is not None:
            self.floats, self.unscaled, self.tensors, self.normalized = state
            params.note(f"left out: {why}")
            return []
        for note in getattr(child, "notes", ()):
            params.note(note)
        return steps

    def _translated(self, params: Parameters, translator: Translator | None = None) -> tuple[Steps, str | None]:
        """The steps of a transform, and why it has none."""
        if translator is None:
            known = params.name in self._unsupported
            translator = self._translators.get(params.name, None if known else self._fallback)
        try:
            if translator is None:
                raise UnsupportedError(self._unsupported.get(params.name, "augreg has no equivalent transform"))
            steps = list(translator(params, self))
            self._check(steps)
        except UnsupportedError as error:
            return [], str(error)
        except (TypeError, KeyError, ValueError, AttributeError, IndexError) as error:
            return [], f"a parameter is missing or has an unexpected value ({error})"
        return steps, None

    def _check(self, steps: Steps) -> None:
        # a size that changes by chance is refused only where no later step leads to one size
        image = [*steps, {"resize": {"size": 64}}]
        try:
            parse({"batch": steps} if self.mixing else image, self.registry)
        except SpecError as error:
            raise UnsupportedError("; ".join(problem.message for problem in error.problems)) from None

    def result(self, image: Steps, batch: Steps | None = None) -> Imported:
        """The spec of these steps; the report also has the errors of the spec as a whole."""
        spec = {"version": 1, **self.options}
        if image or not batch:
            spec["image"] = image
        if batch:
            spec["batch"] = batch
        try:
            parse(spec, self.registry)
        except AugregError as error:
            self.report += [f"the spec is not valid: {line}" for line in str(error).splitlines()]
        return Imported(spec, tuple(self.report))


def _name(step: SpecStep) -> str:
    return next(iter(step)) if isinstance(step, Mapping) else str(step)


def numbers(value: Any) -> list[float]:
    """A list of floats from a number or a list."""
    return [float(number) for number in (value if isinstance(value, list) else [value])]


_NARROW: Mapping[str, type[np.floating[Any]]] = {"float32": np.float32, "float16": np.float16}


def _decimals(value: Any) -> Any:
    """Arrays and tensors as lists. Narrow floats become the shortest decimals that give them: a float32 0.1 is 0.1.

    Published means and standard deviations keep the digits that they were published with.
    """
    if isinstance(value, list | tuple):
        return [_decimals(item) for item in value]
    if not hasattr(value, "tolist"):
        return value
    narrow = _NARROW.get(str(getattr(value, "dtype", "")).rpartition(".")[2])
    if narrow is None:
        return value.tolist()
    values = value.tolist()
    for known in (*MEANS.values(), *STDS.values()):
        if values == [float(narrow(number)) for number in known]:
            return list(known)
    return _shortest(values, narrow)


def _shortest(value: Any, narrow: type[np.floating[Any]]) -> Any:
    return [_shortest(item, narrow) for item in value] if isinstance(value, list) else float(str(narrow(value)))


def pair(value: Any) -> list[Any]:
    """[a, a] from a, and [a, b] from [a, b]."""
    return list(value) if isinstance(value, list | tuple) else [value, value]
