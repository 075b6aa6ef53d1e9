"""Which steps have their noise in the views: `only=` names them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from augreg.steps.rules import rule_of
from augreg.steps.step import Step, children
from augreg.steps.suggestions import nearest

__all__ = ["named_paths"]


def named_paths(steps: Iterable[Step], only: str | Iterable[str]) -> tuple[str, ...]:
    """The paths of the steps with these paths or names.

    Raises ValueError for one that there is not, and for a step that is never applied because its container, which is
    not named, is left out at test time.
    """
    try:
        wanted = list(dict.fromkeys([only] if isinstance(only, str) else only))
    except TypeError:
        raise ValueError(f"only: expected names or paths of steps, such as ['rotate'], got {only!r}") from None
    known = dict(_below(steps, ()))
    found: list[str] = []
    for one in wanted:
        matching = [path for path, (step, _) in known.items() if one in (path, step.name)]
        if not matching:
            names = ", ".join(map(repr, known)) or "none"
            raise ValueError(f"only: there is no step {one!r}{nearest(one, known)}; the steps are: {names}")
        found += matching
    for path in found:
        for container in known[path][1]:
            if container.path not in found and rule_of(container) != "children":
                raise ValueError(
                    f"only: {path!r} is never applied, because {container.path!r}, which contains it, is not "
                    f"named, and does not apply it at test time: name {container.path!r} instead"
                )
    return tuple(dict.fromkeys(found))


def _below(
    steps: Iterable[Step], containers: tuple[Step, ...]
) -> Iterator[tuple[str, tuple[Step, tuple[Step, ...]]]]:
    """The steps by path, each with the containers that it is in."""
    for step in steps:
        yield step.path, (step, containers)
        yield from _below(children(step.transform), (*containers, step))
