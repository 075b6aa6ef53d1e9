"""Numbers of a task by their paths: `learning_rate`, or `model[0].dropout.p` in the spec.

A path names a section, the index of a step, the step, its argument, and so on in what is nested: the keys and indices
of the canonical spec. `batch_size`, `learning_rate` and `weight_decay` are numbers of the task itself.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from augreg.errors import Problem, SpecError
from augreg.pipeline import Pipeline
from augreg.recipe.search.space import Choice, Parameter, Range, Space, parameter
from augreg.recipe.task import Task
from augreg.spec.options import SECTIONS

__all__ = ["known_values", "refusal", "space_of", "with_values"]

TASK_NUMBERS = ("batch_size", "learning_rate", "weight_decay")
_PART = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")


def known_values(task: Task) -> dict[str, Any]:
    """Every path of the task, with its value now."""
    found = {name: getattr(task, name) for name in TASK_NUMBERS}
    data = {} if task.pipe is None else task.pipe.to_spec()
    for name in (*SECTIONS, "classes"):
        if data.get(name) is not None:
            found |= dict(_leaves(data[name], name))
    return found


def with_values(task: Task, values: Mapping[str, Any]) -> Task:
    """The task with these values by path. Raises SpecError with all paths that are unknown, and all wrong values."""
    problems = [Problem(path, _unknown(task, path)) for path in values if _is_unknown(task, path)]
    if problems:
        raise SpecError(problems)
    changes = {path: value for path, value in values.items() if path in TASK_NUMBERS}
    inside = {path: value for path, value in values.items() if path not in TASK_NUMBERS}
    if inside and task.pipe is not None:
        data = task.pipe.to_spec()
        for path, value in inside.items():
            _set(data, _parts(path), value)
        changes["spec"] = Pipeline.from_spec(data, task.pipe.registry)
    return task.replace(**changes)


def space_of(task: Task, given: Mapping[str, Any]) -> Space:
    """The space that a user gave for a task. Raises SpecError with every problem of its paths and ranges at once.

    A range between whole numbers is one of whole numbers where the spec takes no others. Both ends, or all choices,
    have to be values that the spec takes.
    """
    if not isinstance(given, Mapping) or not given:
        raise SpecError("space", f"expected a mapping of paths to ranges, got {given!r}")
    space: dict[str, Parameter] = {}
    problems: list[Problem] = []
    for path, written in given.items():
        if _is_unknown(task, path):
            problems.append(Problem(str(path), _unknown(task, path)))
            continue
        try:
            found = parameter(written)
        except (TypeError, ValueError) as error:
            problems.append(Problem(path, str(error)))
            continue
        found = _as_the_spec_takes_it(task, path, found)
        refusals = [why for value in _ends(found) if (why := refusal(task, path, value))]
        problems += [Problem(path, refusals[0])] if refusals else []
        space[path] = found
    if problems:
        raise SpecError(problems)
    return space


def _as_the_spec_takes_it(task: Task, path: str, found: Parameter) -> Parameter:
    """A range of whole numbers if its ends are, and the spec refuses what is between them."""
    if not isinstance(found, Range) or found.integer:
        return found
    if not (float(found.low).is_integer() and float(found.high).is_integer()):
        return found
    whole = Range(int(found.low), int(found.high), found.log, integer=True)
    between = found.low + 0.5
    return whole if refusal(task, path, between) and not refusal(task, path, int(found.low)) else found


def _ends(found: Parameter) -> tuple[Any, ...]:
    return found.values if isinstance(found, Choice) else (found.value(0.0), found.value(1.0))


def refusal(task: Task, path: str, value: Any) -> str:
    """Why a task cannot have this value at this path; "" if it can."""
    try:
        with_values(task, {path: value})
    except SpecError as error:
        return error.problems[0].message
    except (TypeError, ValueError) as error:
        return str(error)
    return ""


def _is_unknown(task: Task, path: Any) -> bool:
    if path in TASK_NUMBERS:
        return False
    if task.pipe is None or not isinstance(path, str) or not _parts(path):
        return True
    return path not in known_values(task)


def _unknown(task: Task, path: Any) -> str:
    known = list(known_values(task))
    close = difflib.get_close_matches(str(path), known, 1, 0.7)
    if close:
        return f"there is no such number; did you mean {close[0]!r}?"
    if task.pipe is None:
        return f"the task has no spec; without one there are {', '.join(known)}"
    return f"there is no such number in the spec, nor is it one of {', '.join(TASK_NUMBERS)}"


def _leaves(data: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Each value that is no mapping, by its path; lists, and what is in them."""
    if isinstance(data, Mapping):
        for name, each in data.items():
            yield from _leaves(each, f"{path}.{name}")
        return
    if "." in path or not isinstance(data, list):  # a section is no value
        yield path, data
    if isinstance(data, list):
        for index, each in enumerate(data):
            yield from _leaves(each, f"{path}[{index}]")


def _parts(path: str) -> list[str | int]:
    """The keys and indices of a path; none if it is not a path."""
    parts: list[str | int] = []
    end = 0
    for found in _PART.finditer(path):
        if found.start() != end:
            return []
        parts.append(found[1] if found[1] is not None else int(found[2]))
        end = found.end()
    return parts if end == len(path) else []


def _set(data: Any, parts: list[str | int], value: Any) -> None:
    for part in parts[:-1]:
        data = data[part]
    data[parts[-1]] = list(value) if isinstance(value, tuple) else value
