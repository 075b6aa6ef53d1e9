"""Specs: plain data to steps and back, with every error at once, each with its path and the nearest name.

A spec is a mapping with the options and sections below, or a list, which is the `image` section. A step is a
name, or a mapping of one name to its arguments; a bare value stands for the first argument, a bare list for the
steps of a container, and a list among steps for `sequential`. Every step of the image and batch sections takes `p`
and `uid`, those of the image section `test`; any number may be a schedule (augreg/steps/schedules.py).
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from augreg.errors import PluginError, Problem, SpecError
from augreg.registry.registry import Registry
from augreg.spec.files import Document, read
from augreg.steps import schedules
from augreg.steps.declare import RULES, Section
from augreg.steps.fields import Probability, convert, convert_one, hints, nearest, plain
from augreg.steps.step import Place, Step, children
from augreg.targets.conventions import Targets

__all__ = ["SECTIONS", "Options", "Spec", "document", "fingerprint", "parse", "unparse"]

SECTIONS: tuple[Section, ...] = ("image", "batch", "model", "loss")
BACKENDS = ("auto", "pillow", "opencv")
_DEEPEST = 50
_IMAGES_ALONE = Targets()


@dataclass(frozen=True)
class Options:
    """The options of a spec, by their names in it."""

    version: Literal[1] = 1
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    output: Literal["auto", "numpy", "torch"] = "auto"
    decode: Literal["exact"] = "exact"
    channels: Literal["rgb", "gray", "keep"] = "rgb"
    backend: Annotated[str, Meta(pattern=f"^({'|'.join(BACKENDS)}|[^/]+/.+)$")] = "auto"
    approximate: bool = False
    targets: Targets = _IMAGES_ALONE
    classes: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None


# Written out only where a spec says something, so that older specs keep their fingerprints.
_LATER = {"targets": _IMAGES_ALONE, "classes": None}


@dataclass(frozen=True)
class Spec:
    """A spec as it was understood: its options, and the steps of its sections."""

    options: Options
    image: tuple[Step, ...] = ()
    batch: tuple[Step, ...] = ()
    model: tuple[Step, ...] = ()
    loss: tuple[Step, ...] = ()


def parse(source: Any, registry: Registry) -> Spec:
    """The spec in a mapping, a list, a preset's name or a file. Raises SpecError with everything that is wrong."""
    name: str | None = None
    lines: dict[Place, int] = {}
    if isinstance(source, str | Path):
        source, name, lines = document(source, registry)
        if not isinstance(source, Mapping):  # a list is the image section
            lines = {("image", *place): line for place, line in lines.items()}
    elif isinstance(source, bytes) or not isinstance(source, Mapping | Sequence):
        raise SpecError(f"a spec is a mapping, a list of steps, a preset's name or a path, got {source!r}")
    walk = _Walk(registry)
    try:
        spec = walk.whole(source)
    except RecursionError:
        raise SpecError("the spec is nested too deeply, or contains itself") from None
    if walk.problems:
        raise SpecError(_located(walk.problems, name, lines))
    return spec


def document(source: str | Path, registry: Registry) -> Document:
    """What a preset's name or a file stands for, presets of plugins included. Raises SpecError."""
    presets = registry.presets
    return read(source, presets, lambda name: registry.unknown(name, "preset", presets))


def _located(
    problems: list[tuple[tuple[str | int, ...], Problem]], name: str | None, lines: Mapping[Any, int]
) -> list[Problem]:
    """The problems with file and line, in the order of the file."""
    found = []
    for place, problem in problems:
        while place and place not in lines:  # what is missing has no line: take its parent's
            place = place[:-1]
        found.append(problem._replace(file=name, line=lines.get(place) if name else None))
    return sorted(found, key=lambda problem: problem.line or 0)


def _path(place: Place) -> str:
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


class _Walk:
    """One walk over a spec; collects problems and goes on."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.problems: list[tuple[Place, Problem]] = []
        self.section: Section = "image"

    def fail(self, place: Place, message: str, path: str | None = None) -> None:
        self.problems.append((place, Problem(_path(place) if path is None else path, message)))

    def whole(self, source: Any) -> Spec:
        if not isinstance(source, Mapping):
            if not isinstance(source, Sequence) or isinstance(source, str | bytes):
                self.fail((), f"a spec is a mapping or a list of steps, got {source!r}")
                return Spec(Options())
            source = {"image": source}
        options: dict[str, Any] = {}
        sections: dict[str, tuple[Step, ...]] = {}
        known = [field.name for field in fields(Options)]
        for key, value in source.items():
            if key == "targets":
                options[key] = self._targets(value)
            elif key == "backend" and value not in (names := (*BACKENDS, *self.registry.backends)):
                plugins = isinstance(value, str) and "/" in value
                what = self.registry.unknown(value, "backend", self.registry.backends) if plugins else ""
                expected = f"expected {', '.join(names)}, got {value!r}{nearest(value, names)}"
                self.fail((key,), what or expected)
            elif key in known:
                try:
                    options[key] = convert_one(hints(Options)[key], value)
                except ValueError as error:
                    self.fail((key,), str(error).rpartition("\0")[2])
            elif key in SECTIONS:
                self.section = key
                sections[key] = self.steps(value, (key,), (key,))
            else:
                hint = nearest(key, [*known, *SECTIONS]) or f"; it takes {', '.join([*known, *SECTIONS])}"
                self.fail((key,), f"a spec has no section {key!r}{hint}")
        if not any(key in source for key in SECTIONS):
            self.fail((), "a spec needs a section: give 'image', a list of steps")
        self._check_normalize(sections.get("image", ()))
        if not self.problems:
            sections["image"] = self._settled(sections.get("image", ()))
        return Spec(Options(**options), **sections)

    def _targets(self, given: Any) -> Targets:
        """The conventions that a spec declares for boxes, keypoints and masks."""
        if not isinstance(given, Mapping | None):
            self.fail(("targets",), f"expected a mapping, such as {{boxes: xyxy}}, got {given!r}")
            return Targets()
        values, problems = convert(Targets, "targets", given or {}, "targets")
        for problem in problems:
            key = problem.path.removeprefix("targets.").partition(".")[0].partition("[")[0]
            self.problems.append((("targets", key), problem))
        try:
            return Targets() if problems else Targets(**values)
        except ValueError as error:
            self.fail(("targets",), str(error))
            return Targets()

    def steps(self, given: Any, place: Place, shown: Place) -> tuple[Step, ...]:
        """The steps of a list. `place` is where it stands in the data, `shown` how the path is shown."""
        if given is None:
            return ()
        if not isinstance(given, Sequence) or isinstance(given, str | bytes):
            self.fail(place, f"expected a list of steps, got {given!r}", _path(shown))
            return ()
        found = [self.step(item, (*place, index), (*shown, index)) for index, item in enumerate(given)]
        seen: set[str] = set()
        for index, step in enumerate(found):
            if step is None or step.uid is None:
                continue
            if step.uid in seen:
                message = f"the uid {step.uid!r} is given twice, and would draw the same numbers twice"
                self.fail((*place, index), message, _path((*shown, index, step.name, "uid")))
            seen.add(step.uid)
        return tuple(step for step in found if step is not None)

    def step(self, given: Any, place: Place, shown: Place) -> Step | None:
        if len(shown) > _DEEPEST:
            self.fail(place, "steps are nested too deeply", _path(shown))
            return None
        name, arguments, place = self._opened(given, place, shown)
        if name is None:
            return None
        shown = (*shown, name)
        try:
            cls: Any = self.registry[name]
        except (KeyError, PluginError) as error:
            message = self.registry.unknown(name) if isinstance(error, KeyError) else str(error)
            self.fail(place, message, _path(shown[:-1]))
            return None
        mark = cls.__augreg__
        if self.section not in mark.sections:
            wanted = " or ".join(repr(section) for section in mark.sections)
            self.fail(place, f"{name} is no step of {self.section!r}; it belongs in {wanted}", _path(shown[:-1]))
            return None
        known = [field.name for field in fields(cls) if field.init]
        container = mark.container
        bare = arguments is not None and (not isinstance(arguments, Mapping) or schedules.is_schedule(arguments))
        if bare and not known:
            self.fail(place, f"{name} takes no arguments, got {arguments!r}", _path(shown))
            return None
        if bare:
            arguments = {"steps" if container else known[0]: arguments}
        return self._made(name, cls, dict(arguments or {}), place, shown, bare)

    def _opened(self, given: Any, place: Place, shown: Place) -> tuple[str | None, Any, Place]:
        """The name, the arguments and the place of a step."""
        if isinstance(given, str):
            return given, None, place
        if isinstance(given, Mapping) and len(given) == 1:
            ((name, arguments),) = given.items()
            if isinstance(name, str):
                return name, arguments, (*place, name)
        elif isinstance(given, Sequence) and not isinstance(given, bytes):
            return "sequential", given, place
        if isinstance(given, Mapping) and given:
            names = ", ".join(repr(key) for key in list(given)[:4])
            message = f"a step is a mapping of one name to its arguments, got the keys {names}"
            if any(isinstance(key, str) and key in self.registry for key in given) and len(given) > 1:
                message += "; indent the arguments below the name"
        else:
            message = f"a step is a name, or a mapping of one name to its arguments, got {given!r}"
        self.fail(place, message, _path(shown))
        return None, None, place

    def _made(
        self, name: str, cls: Any, arguments: dict[str, Any], place: Place, shown: Place, bare: bool
    ) -> Step | None:
        mark = cls.__augreg__
        before = len(self.problems)
        found, wrong = self._schedules(cls, arguments, place, shown)
        p, test, uid = mark.p, None, None
        if self.section in ("image", "batch"):
            p = self._common(arguments, "p", Probability, mark.p, place, shown)
            uid = self._common(arguments, "uid", Annotated[str, Meta(pattern="^[^#/]+$")] | None, None, place, shown)
        if self.section == "image":
            test = self._test(arguments.pop("test", None), mark, place, shown)
        elif "test" in arguments and arguments.pop("test") is not None:
            why = "a batch is mixed in training only" if self.section == "batch" else "its rule is its own"
            self.fail((*place, "test"), f"{name} takes no 'test': {why}", _path((*shown, "test")))
        steps: dict[str, Any] = {}
        if mark.container:
            if "steps" not in arguments:
                self.fail(place, f"{name} needs 'steps'", _path(shown))
            inner = arguments.pop("steps", None)
            # a bare list stands where the mapping would: in the file it has no word `steps` above it
            steps["steps"] = self.steps(inner, place if bare else (*place, "steps"), (*shown, "steps"))
        values, problems = convert(cls, name, arguments, _path(shown), partial=mark.container)
        for problem in problems:
            key = problem.path.removeprefix(_path(shown)).lstrip(".").partition(".")[0].partition("[")[0]
            if key not in wrong:
                self.problems.append(((*place, key), problem))
        if len(self.problems) > before:
            return None
        try:
            step = Step(cls(**steps, **values), name, p, test, uid, found)
            for epoch in schedules.turning_points(step) if found else ():
                schedules.scheduled(step, epoch)
            for function in getattr(step.transform, "functions", ()):
                if function not in self.registry.allowed:
                    hint = f"give from_spec(spec, registry.allow({function!r})) if you trust it"
                    raise SpecError(f"{name} would run {function}, which this registry does not allow; {hint}")
        except SpecError as error:
            for problem in error.problems:
                self.fail(place, problem.message, _path(shown))
            return None
        return step

    def _schedules(
        self, cls: Any, arguments: dict[str, Any], place: Place, shown: Place
    ) -> tuple[tuple[tuple[str, Any], ...], set[str]]:
        """The arguments that change with the epoch, and the names of those that are wrong.

        What they come to takes their places among the arguments.
        """
        known = hints(cls)
        if self.section in ("image", "batch"):
            known = {**known, "p": Probability}
        found = []
        wrong = set()
        for key, value in arguments.items():
            if key not in known or key in ("steps", "test", "uid"):
                continue
            try:
                scheduled = schedules.read(value)
                if scheduled is value:
                    continue
                scheduled = schedules.accepted(scheduled, functools.partial(convert_one, known[key]))
            except ValueError as error:
                where, _, message = str(error).rpartition("\0")
                self.fail((*place, key), message, _path((*shown, key)) + where)
                wrong.add(key)
                continue
            found.append((key, scheduled))
        arguments.update((key, schedules.resolve(value, schedules.END)) for key, value in found)
        if "p" in wrong and "p" in known and self.section in ("image", "batch"):
            del arguments["p"]
        return tuple(found), wrong

    def _common(
        self, arguments: dict[str, Any], key: str, hint: Any, default: Any, place: Place, shown: Place
    ) -> Any:
        if key not in arguments:
            return default
        try:
            return convert_one(hint, arguments.pop(key))
        except ValueError as error:
            self.fail((*place, key), str(error).rpartition("\0")[2], _path((*shown, key)))
            return default

    def _test(self, given: Any, mark: Any, place: Place, shown: Place) -> str | tuple[Step, ...] | None:
        place, shown = (*place, "test"), (*shown, "test")
        if given is None:
            return None
        if given is False:  # what YAML 1.1 tools make of a bare `off`
            given = "off"
        if isinstance(given, str):
            allowed = ["off", "same"] if mark.rule in ("identity", "same") else ["off", "same", mark.rule]
            if given == "identity":
                given = "off"
            if given in allowed:
                return str(given)
            if given not in self.registry:
                known = (
                    f"{mark.name} has the rules {', '.join(allowed)}"
                    if given in RULES
                    else f"expected {', '.join(allowed)} or steps"
                )
                self.fail(place, f"{known}, got {given!r}{nearest(given, [*allowed, *self.registry])}", _path(shown))
                return None
        if isinstance(given, str | Mapping):
            given = [given]
        return self.steps(given, place, shown)

    def _settled(self, image: tuple[Step, ...]) -> tuple[Step, ...]:
        """The steps with their test side written out; only asked where it takes sampling, which loads NumPy."""
        if not any(step.test is not None or children(step.transform) for step in image):
            return image
        from augreg.spec.test_rules import settle

        settled, complaints = settle(image, ("image",))
        for place, message in complaints:
            self.fail(place, message)
        return settled

    def _check_normalize(self, image: tuple[Step, ...]) -> None:
        """After normalize no levels are left to color, and whether an image is normalized cannot be chance."""
        sides = []
        for steps in (_flat(image), _flat(image, testing=True)):
            normalized = False
            for place, step, certain in steps:
                kind = step.transform.__augreg__.kind
                message = ""
                if kind == "color" and normalized:
                    message = f"{step.name} works on levels, and normalize has replaced them; put it before normalize"
                elif kind == "normalize" and normalized:
                    message = "the image is normalized already; normalize once"
                elif kind == "normalize" and not certain:
                    message = "normalize must always be applied: with p: 1, outside one_of, some_of, random_order"
                normalized = normalized or kind == "normalize"
                if message and all(known != place for known, _ in self.problems):
                    self.fail(place, message)
            sides.append(normalized)
        if sides[0] != sides[1] and not self.problems:
            which = (
                "training normalizes the image and testing does not"
                if sides[0]
                else ("testing normalizes the image and training does not")
            )
            self.fail(("image",), f"{which}, so they differ in kind; `test:` may not take away or add a normalize")


def _flat(
    steps: tuple[Step, ...], certain: bool = True, testing: bool = False, place: Place = ("image",)
) -> list[tuple[Place, Step, bool]]:
    """Every step in order, with its place and whether it is certain to be done, where it stands, exactly once.

    `testing` takes the steps of `test:` where there are any.
    """
    found: list[tuple[Place, Step, bool]] = []
    for index, step in enumerate(steps):
        sure = certain and step.p == 1.0 and all(key != "p" for key, _ in step.schedules)
        here = (*place, index, step.name)
        if testing and step.test == "off":
            continue
        if testing and isinstance(step.test, tuple):
            found += _flat(step.test, certain, testing, (*here, "test"))
        elif step.transform.__augreg__.container:
            found += _flat(step.transform.steps, sure and step.name == "sequential", testing, (*here, "steps"))
        else:
            found.append((here, step, sure))
    return found


def unparse(spec: Spec) -> dict[str, Any]:
    """The canonical plain data of a spec: every default written out, ready for JSON."""
    options = {field.name: getattr(spec.options, field.name) for field in fields(Options)}
    for name, default in _LATER.items():
        if options[name] == default:
            del options[name]
    options = {name: plain(value) for name, value in options.items()}
    sections = {name: getattr(spec, name) for name in SECTIONS}
    written = {name: [_unparse_step(step) for step in steps] for name, steps in sections.items()}
    return {**options, **{name: steps for name, steps in written.items() if steps or name == "image"}}


def _unparse_step(step: Step) -> dict[str, Any]:
    mark = step.transform.__augreg__
    arguments: dict[str, Any] = {}
    for field in fields(step.transform):
        value = getattr(step.transform, field.name)
        if field.name == "steps" and mark.container:
            arguments["steps"] = [_unparse_step(child) for child in value]
        else:
            arguments[field.name] = plain(value)
    if mark.kind not in ("regularizer", "loss"):
        arguments["p"] = step.p
    if step.test is not None:
        test = step.test
        arguments["test"] = test if isinstance(test, str) else [_unparse_step(child) for child in test]
    if step.uid is not None:
        arguments["uid"] = step.uid
    arguments.update((key, schedules.written(value)) for key, value in step.schedules)
    return {step.name: arguments}


def fingerprint(data: Any) -> str:
    """The sha256 of plain data, as hexadecimal digits."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
