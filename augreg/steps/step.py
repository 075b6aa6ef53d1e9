"""A step: a transform in a pipeline, with the probability that it is applied and what it does at test time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any

from augreg.errors import SpecError
from augreg.steps.fields import brief, defaults

Location = tuple[str | int, ...]
"""A location in a spec's data: keys and indices from the top."""

__all__ = ["Location", "Step", "as_step", "assign_paths", "build", "children", "with_arguments"]


@dataclass(frozen=True)
class Step:
    """A transform, with the probability `p` that it is applied, and `test`, which overrides its test-time rule.

    `test` is None (the transform's own rule), `off`, the name of a rule, or a tuple of steps. `uid` names the
    step's stream of random numbers; without it, the step's path does. `name` is its name in the registry, and by
    default that of its class; the pipeline sets `path` and `stream_key`, a 64-bit hash of the path. `schedules` has
    the arguments that change with the epoch, by name; `transform` and `p` have their last values.
    """

    transform: Any
    name: str = ""
    p: float = 1.0
    test: str | tuple[Step, ...] | None = None
    uid: str | None = None
    schedules: tuple[tuple[str, Any], ...] = ()
    path: str = ""
    stream_key: int | None = None

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", as_step(self.transform).name)


def as_step(item: Step | Any) -> Step:
    """The item if it is a step; a bare transform becomes a step with its default p."""
    if isinstance(item, Step):
        return item
    info = getattr(item, "__augreg__", None)
    if info is None or not hasattr(info, "kind") or isinstance(item, type):
        raise SpecError(f"expected a transform or a Step, got {brief(item)}; {_instead(item)}")
    return Step(item, info.name, info.p)


def _instead(item: Any) -> str:
    """What to give in place of what is no transform."""
    if isinstance(item, type) and hasattr(item, "__augreg__"):
        return f"make one, {item.__name__}(..)"
    if isinstance(item, str | Mapping):
        return "names and mappings belong in the spec of a Pipeline; here, give transforms, such as Rotate(10)"
    return "@augreg.transform makes transforms"


def build(cls: Any, arguments: Mapping[str, Any], written: Mapping[str, Any] = MappingProxyType({})) -> Any:
    """An object of `cls` from arguments in canonical form; `cls(**arguments)` would convert them first.

    Raises SpecError if the class's own `check` refuses them; the message shows them as they were `written`.
    """
    transform = object.__new__(cls)
    for key, value in {**defaults(cls), **arguments}.items():
        object.__setattr__(transform, key, value)
    check_arguments(transform, written)
    return transform


def check_arguments(transform: Any, written: Mapping[str, Any]) -> None:
    """Run the `check` method of the transform's class, if it has one; its ValueError becomes a SpecError.

    If the message begins with the name of an argument, this is the location, and its value is shown as `written`.
    """
    if hasattr(transform, "check"):
        try:
            transform.check()
        except ValueError as error:
            where, message = transform.__augreg__.name, str(error)
            key = message.partition(" ")[0].strip("'")
            if key in {field.name for field in fields(transform)}:
                where += f".{key}"
                value = getattr(transform, key)
                if key in written and isinstance(value, tuple):
                    message = message.replace(f"got {list(value)}", f"got {brief(written[key])}")
            raise SpecError(where, message) from None
        except Exception as error:
            why = f"its check failed: {type(error).__name__}: {error}"
            raise SpecError(transform.__augreg__.name, why) from error


def with_arguments(transform: Any, **arguments: Any) -> Any:
    """A copy of a transform with some arguments replaced by others in canonical form."""
    kept = {field.name: getattr(transform, field.name) for field in fields(transform)}
    return build(type(transform), {**kept, **arguments})


def children(transform: Any) -> tuple[Step, ...]:
    """The steps inside a container; () for other transforms."""
    return transform.steps if transform.__augreg__.container else ()


def assign_paths(steps: Iterable[Step], stream_key: Any, prefix: str = "") -> tuple[Step, ...]:
    """The same steps with `path` and `stream_key` set, throughout the tree.

    A path is made of names with occurrence numbers, `one_of#0/rotate#1`, or of uids: inserting a step with
    another name changes no path. The function `stream_key` hashes a path to 64 bits.
    """
    result: list[Step] = []
    counts: dict[str, int] = {}
    for step in steps:
        count = counts.get(step.name, 0)
        counts[step.name] = count + 1
        path = f"{prefix}{step.uid or f'{step.name}#{count}'}"
        transform, test = step.transform, step.test
        if transform.__augreg__.container:
            transform = with_arguments(transform, steps=assign_paths(transform.steps, stream_key, path + "/"))
        if isinstance(test, tuple):
            test = assign_paths(test, stream_key, path + "/test/")
        result.append(replace(step, transform=transform, test=test, path=path, stream_key=stream_key(path)))
    return tuple(result)
