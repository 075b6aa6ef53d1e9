"""The section `views` of a spec: named views of one image, each with steps that come after those of `image`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Annotated, Any, Final, Protocol

from msgspec import Meta

from augreg.named_views.declared import Group, PatchMasking, name_problem
from augreg.spec.normalized import normalize_problems
from augreg.steps.fields import brief, convert, convert_one, nearest, split_error
from augreg.steps.step import Location, Step

__all__ = ["check_groups", "read_groups"]

_SECTION: Final = "views"
_KEYS: Final = tuple(field.name for field in fields(Group) if field.name != "name")
_Count = Annotated[int, Meta(ge=1, le=256)] | None
_Name = Annotated[str, Meta(min_length=1)] | None


class _Reader(Protocol):
    """The parser of the whole spec."""

    problems: list[Any]

    def fail(self, location: Location, message: str, shown: Location | None = None, inside: str = "") -> None:
        """Report a problem."""

    def steps(self, items: Any, location: Location, shown: Location) -> tuple[Step, ...]:
        """The steps of a list."""


def read_groups(value: Any, reader: _Reader) -> tuple[Group, ...]:
    """The entries of the section. Problems are reported, and left out: the rest can be checked."""
    if not isinstance(value, Mapping | None):
        reader.fail((_SECTION,), f"expected a mapping of names to views, got {brief(value)}")
        return ()
    found = [_group(name, entry, reader) for name, entry in (value or {}).items()]
    return tuple(group for group in found if group is not None)


def _group(name: Any, entry: Any, reader: _Reader) -> Group | None:
    here: Location = (_SECTION, name if isinstance(name, str) else brief(name))
    problem = name_problem(name)
    if problem:
        reader.fail(here, f"{problem}, got {brief(name)}")
        return None
    if isinstance(entry, Sequence) and not isinstance(entry, str | bytes):
        return Group(name, reader.steps(entry, here, (*here, "steps")))
    if not isinstance(entry, Mapping | None):
        reader.fail(here, f"expected a list of steps, or a mapping with `steps`, got {brief(entry)}")
        return None
    said: dict[str, Any] = {}
    for key, value in (entry or {}).items():
        if key == "steps":
            said[key] = reader.steps(value, (*here, key), (*here, key))
        elif key == "patches":
            said[key] = _patches(value, (*here, key), reader)
        elif key in _KEYS:
            try:
                said[key] = convert_one(_Count if key == "count" else _Name, value)
            except ValueError as error:
                reader.fail((*here, key), split_error(error)[1])
        else:
            hint = nearest(key, _KEYS) or f"; it takes {', '.join(_KEYS)}"
            reader.fail((*here, key), f"a view has no {brief(key)}{hint}")
    return Group(name, **said)


def _patches(value: Any, here: Location, reader: _Reader) -> PatchMasking | None:
    if value is None:
        return None
    given = value if isinstance(value, Mapping) else {"size": value}
    path = ".".join(map(str, here))
    values, problems = convert(PatchMasking, "patches", given, path)
    for problem in problems:
        inside = problem.path.removeprefix(path)
        key = inside.lstrip(".").partition(".")[0].partition("[")[0]
        reader.fail((*here, key) if key else here, problem.message, here, inside)
    if problems:
        return None
    try:
        return PatchMasking(**values)
    except ValueError as error:
        reader.fail(here, str(error))
        return None


def check_groups(groups: Sequence[Group], sections: Mapping[str, tuple[Step, ...]], reader: _Reader) -> None:
    """Report what is wrong with the views together: names that are used twice, relations, and normalize."""
    if groups and sections.get("batch"):
        reader.fail(("batch",), "a batch of several views is not mixed: leave out 'batch', or 'views'")
    uncounted = {
        location[1] for location, _ in reader.problems if location[:1] == (_SECTION,) and "count" in location
    }
    names: set[str] = set()
    for group in groups:
        twice = names.intersection(group.names)
        if twice:
            reader.fail((_SECTION, group.name), f"another view has the name {min(twice)!r} already")
        names |= set(group.names)
    by_name = {group.name: group for group in groups}
    for group in groups:
        for key in ("geometry", "draws"):
            to = getattr(group, key)
            if to is not None and not uncounted & {group.name, to, to.rpartition("_")[0]}:
                _check_relation(group, key, to, by_name, reader)
    for group in groups:
        _check_normalize(group, sections.get("image", ()), reader)


def _check_relation(group: Group, key: str, to: str, by_name: Mapping[str, Group], reader: _Reader) -> None:
    """Report a view that is not there, and one that has the same relation to a third."""
    here = (_SECTION, group.name, key)
    try:
        found = [group.related(to, by_name, number) for number in range(len(group.names))]
    except ValueError as error:
        reader.fail(here, str(error))
        return
    beyond = getattr(next(one for one in by_name.values() if found[0] in one.names), key)
    if beyond is not None:
        reader.fail(here, f"{to!r} has itself the {key} of {beyond!r}; name that one")


def _check_normalize(group: Group, image: tuple[Step, ...], reader: _Reader) -> None:
    """Report steps of a view that are in a wrong place before or after `normalize`, which may be in `image`."""
    for place, message in dict(normalize_problems((*image, *group.steps))).items():
        if place == ("image",):  # that the sides differ; a step with a problem may be what normalizes
            if not reader.problems:
                reader.fail((_SECTION, group.name, "steps"), message)
        elif isinstance(place[1], int) and place[1] >= len(image):
            where = (_SECTION, group.name, "steps", place[1] - len(image), *place[2:])
            if not any(location == where for location, _ in reader.problems):
                reader.fail(where, message)
