"""A step: a transform in its place, with the chance that it is applied and its word for the test side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Protocol

from augreg.errors import SpecError

if TYPE_CHECKING:
    from augreg.ops import Scene
    from augreg.rng import Cursor

Place = tuple[str | int, ...]
"""Where something stands in a spec's data: keys and indices from the top."""

__all__ = ["Step", "Transform", "as_step", "children", "place"]


class Transform(Protocol):
    """What every transform can do: draw numbers and say what is to be done.

    `sample` returns ops, or steps for the pipeline to sample in its turn, or a tuple of both; () leaves the
    image alone. It is pure: it keeps nothing and touches no pixel. A transform whose test-time rule is
    `center` or `mean_parameter`, and a container, also has `expect(scene, p)`, with the same kind of result.
    """

    def sample(self, rng: Cursor, scene: Scene) -> Any: ...


@dataclass(frozen=True)
class Step:
    """A transform, with the chance `p` that it is applied and `test`, which overrides its test-time rule.

    `test` is None (the transform's own rule), `off`, a rule's name, or a tuple of steps. `uid` names the
    step's stream of random numbers; without it, its path of names does. `name` is what its registry calls it;
    `path` and `word` are given by the pipeline that holds it. `schedules` are the arguments that change with the
    epoch, by name; `transform` and `p` have their last numbers.
    """

    transform: Any
    name: str
    p: float = 1.0
    test: str | tuple[Step, ...] | None = None
    uid: str | None = None
    schedules: tuple[tuple[str, Any], ...] = ()
    path: str = ""
    stream_key: int | None = None


def as_step(item: Step | Any) -> Step:
    """A step of a step or of a bare transform, which takes its default p."""
    if isinstance(item, Step):
        return item
    mark = getattr(item, "__augreg__", None)
    if mark is None or isinstance(item, type):
        raise SpecError(f"expected a transform or a Step, got {item!r}; @augreg.transform makes transforms")
    return Step(item, mark.name, mark.p)


def children(transform: Any) -> tuple[Step, ...]:
    """The steps that a container holds; none for other transforms."""
    return transform.steps if transform.__augreg__.container else ()


def place(steps: Iterable[Step], stream_key: Any, prefix: str = "") -> tuple[Step, ...]:
    """The same steps with paths and words, throughout the tree.

    A path is made of names with occurrence numbers, `one_of#0/rotate#1`, or of uids: inserting a step of
    another name shifts nothing. `word` hashes a path to 64 bits.
    """
    placed: list[Step] = []
    seen: dict[str, int] = {}
    for step in steps:
        count = seen.get(step.name, 0)
        seen[step.name] = count + 1
        path = f"{prefix}{step.uid or f'{step.name}#{count}'}"
        transform = step.transform
        if transform.__augreg__.container:
            transform = _with_steps(transform, place(transform.steps, stream_key, path + "/"))
        test = step.test
        if isinstance(test, tuple):
            test = place(test, stream_key, path + "/test/")
        placed.append(replace(step, transform=transform, test=test, path=path, stream_key=stream_key(path)))
    return tuple(placed)


def _with_steps(transform: Any, steps: tuple[Step, ...]) -> Any:
    arguments = {field.name: getattr(transform, field.name) for field in fields(transform)}
    return type(transform)(**{**arguments, "steps": steps})
