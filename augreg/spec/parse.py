"""Specs from plain data to steps; all errors are reported together, each with its location and a suggestion.

A spec is a mapping of options and sections (options.py), or a list, which is its `image` section. A step is a name,
or a mapping of one name to its arguments. A single value is the first argument, and a list the steps of a container;
a list in place of a step means `sequential`. Every step of the image and batch sections takes `p` and `uid`, and
those of the image section also take `test`. Any number may be a schedule (augreg/steps/schedules.py).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from augreg import lazy
from augreg.errors import AugregError, PluginError, Problem, SpecError
from augreg.named_views.declared import Group
from augreg.registry.registry import Registry
from augreg.spec.files import read
from augreg.spec.locations import path_of, with_lines
from augreg.spec.normalized import normalize_problems
from augreg.spec.options import BACKENDS, SECTIONS, Options, Spec
from augreg.spec.views_section import check_groups, read_groups
from augreg.steps import schedules
from augreg.steps.declare import RULES, Section, TransformInfo
from augreg.steps.fields import Probability, brief, convert, convert_one, hints, nearest, split_error
from augreg.steps.sizes import MOST_PROBLEMS, check_size
from augreg.steps.step import Location, Step, build, children
from augreg.steps.wording import choice
from augreg.targets.conventions import Targets

if TYPE_CHECKING:
    from augreg.spec import corrections
else:
    corrections = lazy.module("augreg.spec.corrections")  # for specs that are wrong

__all__ = ["parse"]

_MAX_DEPTH = 50
_MAX_STEPS = 10_000
_Uid = Annotated[str, Meta(pattern="^[^#/]+$")] | None


def parse(source: Any, registry: Registry, changes: Mapping[str, Any] | None = None) -> Spec:
    """The spec in a mapping, a list, a preset's name or a file; `changes` override its options and sections.

    Raises SpecError with every problem in it.
    """
    name: str | None = None
    lines: dict[Location, int] = {}
    if isinstance(source, str | Path):
        source, name, lines = read(source, registry)
        if not isinstance(source, Mapping):  # a list is the image section
            lines = {("image", *location): line for location, line in lines.items()}
    parser = _Parser(registry)
    spec = Spec(Options())
    try:
        if name is None and (isinstance(source, bytes) or not isinstance(source, Mapping | Sequence)):
            given = f"{brief(source)}{corrections.for_object(source)}"
            raise SpecError(f"a spec is a mapping, a list of steps, a preset's name or a path, got {given}")
        if changes:
            source = {**(source if isinstance(source, Mapping) else {"image": source}), **changes}
        check_size(source, levels=False)
        spec = parser.spec(source)
    except _EnoughError:
        pass
    except AugregError:
        raise
    except ValueError as error:  # too many values
        raise SpecError(name or "", f"the spec cannot be read: {error}") from None
    except Exception as error:  # Python data may be of any class, whose methods raise anything
        raise SpecError(f"the spec cannot be read: {type(error).__name__}: {error}") from error
    if parser.problems:
        raise SpecError(with_lines(parser.problems, name, lines, changes or {}))
    return spec


class _EnoughError(Exception):
    """The spec has so many problems, or steps, that it is not read any further."""


class _Parser:
    """Parses one spec; collects problems and continues.

    Methods take two locations: `location` is that in the data, which has a line in the file; `shown` is that in
    messages, which names what short forms leave out, such as `sequential` and `steps`.
    """

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.problems: list[tuple[Location, Problem]] = []
        self.section: Section = "image"
        self.count = 0

    def fail(self, location: Location, message: str, shown: Location | None = None, inside: str = "") -> None:
        path = path_of(location if shown is None else shown) + inside
        self.problems.append((location, Problem(path, message)))
        if len(self.problems) >= MOST_PROBLEMS:
            self.problems.append(((), Problem("", f"only the first {MOST_PROBLEMS} problems are listed")))
            raise _EnoughError

    def spec(self, source: Any) -> Spec:
        if not isinstance(source, Mapping):
            if not isinstance(source, Sequence) or isinstance(source, str | bytes):
                given = brief(source)
                self.fail((), f"a spec is a mapping or a list of steps, such as [horizontal_flip]; got {given}")
                return Spec(Options())
            source = {"image": source}
        options: dict[str, Any] = {}
        sections: dict[str, tuple[Step, ...]] = {}
        known = [field.name for field in fields(Options)]
        backends = tuple(dict.fromkeys((*BACKENDS, *self.registry.backends)))
        groups: tuple[Group, ...] = ()
        hints_of_keys = ""
        for key, value in source.items():
            if key == "targets":
                options[key] = self.targets(value)
            elif key == "backend" and not (isinstance(value, str) and value in backends):
                from_plugin = isinstance(value, str) and "/" in value
                unknown = self.registry.unknown(value, "backend", self.registry.backends) if from_plugin else ""
                expected = f"expected {', '.join(backends)}, got {brief(value)}{choice(value, backends)}"
                self.fail((key,), unknown or expected)
            elif key in known:
                try:
                    options[key] = convert_one(hints(Options)[key], value)
                except ValueError as error:
                    self.fail((key,), split_error(error)[1])
            elif key in SECTIONS:
                self.section = key
                sections[key] = self.steps(value, (key,), (key,))
            elif key == "views":
                self.section = "image"
                groups = read_groups(value, self)
            elif key == "$schema":  # for editors
                if not isinstance(value, str):
                    self.fail((key,), f"expected the address of a JSON Schema, got {brief(value)}")
            else:
                hint = corrections.for_option(key, value, self.registry, [*known, *SECTIONS, "views"])
                hints_of_keys += hint
                self.fail((key,), f"a spec has no option or section {brief(key)}{hint}")
        if not any(key in source or repr(key) in hints_of_keys for key in (*SECTIONS, "views")):
            self.fail((), "a spec needs a section: give 'image', a list of steps")
        for place, message in normalize_problems(sections.get("image", ())):
            whole = place == ("image",)  # that the sides differ; a step with a problem may be what normalizes
            if not (self.problems if whole else any(other == place for other, _ in self.problems)):
                self.fail(place, message)
        check_groups(groups, sections, self)
        if sections.get("batch") and "targets" in options and options["targets"].clip:
            self.fail(("batch",), "a batch of clips is not mixed: leave out 'batch', or `clip: true`")
        if not self.problems:
            sections["image"] = self.resolve_test_steps(sections.get("image", ()), ("image",))
            places = [("views", group.name, "steps") for group in groups]
            tested = [self.resolve_test_steps(group.steps, at) for group, at in zip(groups, places, strict=True)]
            groups = tuple(replace(group, steps=steps) for group, steps in zip(groups, tested, strict=True))
        return Spec(Options(**options), **sections, views=groups)

    def targets(self, value: Any) -> Targets:
        """The conventions of a spec for boxes, keypoints and masks."""
        if not isinstance(value, Mapping | None):
            self.fail(("targets",), f"expected a mapping, such as {{boxes: xyxy}}, got {brief(value)}")
            return Targets()
        values, problems = convert(Targets, "targets", value or {}, "targets")
        for problem in problems:
            self.fail(("targets", _key(problem, "targets")), problem.message, inside=problem.path, shown=())
        try:
            return Targets() if problems else Targets(**values)
        except ValueError as error:
            self.fail(("targets",), str(error))
            return Targets()

    def steps(self, items: Any, location: Location, shown: Location) -> tuple[Step, ...]:
        if items is None:
            return ()
        if not isinstance(items, Sequence) or isinstance(items, str | bytes):
            given = f"{brief(items)}{corrections.for_steps(items, self.registry)}"
            self.fail(location, f"expected a list of steps, got {given}", shown)
            return ()
        steps = [self.step(item, (*location, index), (*shown, index)) for index, item in enumerate(items)]
        seen: set[str] = set()
        for index, step in enumerate(steps):
            if step is None or step.uid is None:
                continue
            if step.uid in seen:
                message = f"the uid {step.uid!r} is used twice, so both steps would draw the same random numbers"
                self.fail((*location, index), message, (*shown, index, step.name, "uid"))
            seen.add(step.uid)
        return tuple(step for step in steps if step is not None)

    def step(self, item: Any, location: Location, shown: Location) -> Step | None:
        if len(shown) > _MAX_DEPTH:
            self.fail(location, "steps are nested too deeply", shown)
            return None
        self.count += 1
        if self.count > _MAX_STEPS:
            self.fail(location, f"a spec may have at most {_MAX_STEPS:,} steps", shown)
            raise _EnoughError
        name, arguments, location = self.name_and_arguments(item, location, shown)
        if name is None:
            return None
        try:
            cls: Any = self.registry[name]
        except (KeyError, PluginError) as error:
            self.fail(location, self.registry.unknown(name) if isinstance(error, KeyError) else str(error), shown)
            return None
        info: TransformInfo = cls.__augreg__
        if self.section not in info.sections:
            right = " or ".join(map(repr, info.sections)) + corrections.for_section(name, cls, arguments)
            self.fail(location, f"{name} cannot be used in {self.section!r}; it belongs in {right}", shown)
            return None
        shown = (*shown, name)
        known = [field.name for field in fields(cls) if field.init]
        single = arguments is not None and (not isinstance(arguments, Mapping) or schedules.is_schedule(arguments))
        if single and not known:
            given = f"{brief(arguments)}{corrections.for_single_value(cls, arguments, self.section)}"
            self.fail(location, f"{name} takes no arguments, got {given}", shown)
            return None
        if single:
            arguments = {"steps" if info.container else known[0]: arguments}
        return self.build_step(name, cls, dict(arguments or {}), location, shown, single)

    def name_and_arguments(self, item: Any, location: Location, shown: Location) -> tuple[str | None, Any, Location]:
        """The name and the arguments of a step, and the location of the arguments. The name is None on errors."""
        if isinstance(item, str):
            return item, None, location
        if isinstance(item, Mapping) and len(item) == 1:
            ((name, arguments),) = item.items()
            if isinstance(name, str):
                return name, arguments, (*location, name)
        elif isinstance(item, Sequence) and not isinstance(item, bytes):
            return "sequential", item, location
        if isinstance(item, Mapping) and item:
            names = ", ".join(brief(key) for key in list(item)[:4])
            message = f"a step is a mapping of one name to its arguments, got the keys {names}"
            message += corrections.for_keys(item, self.registry)
        else:
            message = f"a step is a name, or a mapping of one name to its arguments, got {brief(item)}"
            message += corrections.for_object(item)
        self.fail(location, message, shown)
        return None, None, location

    def build_step(
        self, name: str, cls: Any, arguments: dict[str, Any], location: Location, shown: Location, single: bool
    ) -> Step | None:
        """The step of a class and its arguments; `single` if the spec gives the first argument without its name."""
        info: TransformInfo = cls.__augreg__
        before = len(self.problems)
        scheduled, wrong = self.schedules(cls, arguments, location, shown)
        p, test, uid = info.p, None, None
        if self.section in ("image", "batch"):
            p = self.common(arguments, "p", Probability, info.p, location, shown)
            uid = self.common(arguments, "uid", _Uid, None, location, shown)
        if self.section == "image":
            test = self.test(arguments.pop("test", None), info, (*location, "test"), (*shown, "test"))
        elif arguments.pop("test", None) is not None:
            why = "batches are mixed only in training" if self.section == "batch" else "its test-time rule is fixed"
            self.fail((*location, "test"), f"{name} takes no 'test': {why}", (*shown, "test"))
        steps: dict[str, Any] = {}
        if info.container:
            if "steps" not in arguments:
                self.fail(location, f"{name} needs 'steps'{corrections.for_steps(arguments, self.registry)}", shown)
            # a single list has no key `steps` above it in the file
            inner = location if single else (*location, "steps")
            steps["steps"] = self.steps(arguments.pop("steps", None), inner, (*shown, "steps"))
        path = path_of(shown)
        known = [field.name for field in fields(cls) if field.init]
        sides = corrections.with_size(cls, arguments)
        if sides is not None:
            hint = f"did you mean {{size: {sides['size']}}}?"
            self.fail((*location, "height"), f"{name} has no fields 'height' and 'width'; {hint}", shown)
            arguments = sides
        values, problems = convert(cls, name, arguments, path, optional=tuple(steps))
        for problem in problems:
            key = _key(problem, path)
            if key not in wrong:
                message = problem.message
                if key in arguments and (single or list(arguments) == known[:1] == [key]):
                    message = corrections.with_single_value(message, cls, arguments[key], self.section)
                self.fail((*location, key), message, (), inside=problem.path)
        if len(self.problems) > before:
            return None
        try:
            step = Step(build(cls, {**steps, **values}, arguments), name, p, test, uid, scheduled)
            for epoch in schedules.turning_points(step) if scheduled else ():
                schedules.at_epoch(step, epoch)
            for function in getattr(step.transform, "functions", ()):
                if function not in self.registry.allowed:
                    hint = f"if you trust it, use from_spec(spec, registry.allow({function!r}))"
                    raise SpecError(f"{name} would run {function}, which this registry does not allow; {hint}")
        except SpecError as error:
            for problem in error.problems:
                key = _key(problem, info.name)
                self.fail((*location, key) if key else location, problem.message, (*shown, key) if key else shown)
                return None
        return step

    def schedules(
        self, cls: Any, arguments: dict[str, Any], location: Location, shown: Location
    ) -> tuple[tuple[tuple[str, Any], ...], set[str]]:
        """The arguments with schedules, and the names of those whose schedules are wrong.

        In `arguments`, each schedule is replaced by its last number.
        """
        known = hints(cls)
        if self.section in ("image", "batch"):
            known = {**known, "p": Probability}
        scheduled = []
        wrong = set()
        for key, value in arguments.items():
            if key not in known or key in ("steps", "test", "uid"):
                continue
            try:
                check_size(value)
                argument = schedules.read(value)
                if argument is value:
                    continue
                convert_number = functools.partial(convert_one, known[key], suggest=False)
                argument = schedules.convert_at_every_epoch(argument, convert_number)
            except ValueError as error:
                inside, message = split_error(error)
                self.fail((*location, key), message, (*shown, key), inside)
                wrong.add(key)
                continue
            scheduled.append((key, argument))
        arguments.update((key, schedules.resolve(argument, schedules.END)) for key, argument in scheduled)
        if "p" in wrong and self.section in ("image", "batch"):
            del arguments["p"]
        return tuple(scheduled), wrong

    def common(
        self, arguments: dict[str, Any], key: str, hint: Any, default: Any, location: Location, shown: Location
    ) -> Any:
        """An argument that all steps of a section take."""
        if key not in arguments:
            return default
        try:
            return convert_one(hint, arguments.pop(key))
        except ValueError as error:
            self.fail((*location, key), split_error(error)[1], (*shown, key))
            return default

    def test(
        self, value: Any, info: TransformInfo, location: Location, shown: Location
    ) -> str | tuple[Step, ...] | None:
        """What a step does at test time: a rule's name, steps, or None for its own rule."""
        if value is None:
            return None
        if value is False:  # YAML 1.1 reads a bare `off` as false
            value = "off"
        if isinstance(value, str):
            allowed = ["off", "same"] if info.rule in ("identity", "same") else ["off", "same", info.rule]
            if value == "identity":
                value = "off"
            if value in allowed:
                return str(value)
            if value not in self.registry:
                expected = (
                    f"the rules of {info.name} are {', '.join(allowed)}"
                    if value in RULES
                    else f"expected {', '.join(allowed)} or steps"
                )
                self.fail(
                    location, f"{expected}, got {brief(value)}{nearest(value, [*allowed, *self.registry])}", shown
                )
                return None
        return self.steps([value] if isinstance(value, str | Mapping) else value, location, shown)

    def resolve_test_steps(self, image: tuple[Step, ...], place: Location) -> tuple[Step, ...]:
        """The steps with the `test` of containers written out; this needs NumPy, so only specs that need it do it."""
        if not any(map(_test_side_to_check, image)):
            return image
        from augreg.spec.test_rules import resolve_test_steps

        resolved, problems = resolve_test_steps(image, place)
        for location, message in problems:
            self.fail(location, message)
        return resolved


def _test_side_to_check(step: Step) -> bool:
    """Whether `test` or children say what a step does at test time, or it may change the size by chance."""
    info = step.transform.__augreg__
    by_chance = (
        (0.0 < step.p < 1.0 or "p" in dict(step.schedules)) and info.kind == "geometry" and info.rule != "identity"
    )
    return step.test is not None or bool(children(step.transform)) or by_chance


def _key(problem: Problem, path: str) -> str:
    """The name of the argument in which a problem is; `path` is the path of the step."""
    return problem.path.removeprefix(path).lstrip(".").partition(".")[0].partition("[")[0]
