"""What a spec declares: views by name, how many of each, their steps, and what they have in common with others."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta

from augreg.steps.fields import Probability, Range, Size
from augreg.steps.step import Step, assign_paths

__all__ = ["IMAGE", "PATCH_MASK", "Group", "NamedView", "PatchMasking", "expanded", "name_problem", "with_paths"]

IMAGE: Final = "image"
"""In place of the name of a view: the image itself, before any step."""
PATCH_MASK: Final = "patch_mask"
"""The key of a view's patch mask."""
StreamKey: TypeAlias = Callable[[str], int]
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


@dataclass(frozen=True)
class PatchMasking:
    """Which patches of a view are masked.

    `size` is the side of a patch in pixels. The fraction `ratio` of the patches is masked, or one that is drawn from
    [low, high]; with `p`, in so many of the images. `random` masks single patches, exactly so many as is the
    nearest whole number. `blocks` masks rectangles, until no further one fits: at most so many. The area of each is
    drawn between `least` patches and what is left, and the ratio of its height to its width from `aspect`.
    """

    size: Size
    ratio: Range = (0.75, 0.75)
    masking: Literal["random", "blocks"] = "random"
    p: Probability = 1.0
    least: Annotated[int, Meta(ge=1, le=2**20)] = 4
    aspect: Range = (0.3, 1 / 0.3)

    def __post_init__(self) -> None:
        for name, low, high in (("ratio", 0.0, 1.0), ("aspect", 0.01, 100.0)):
            found = getattr(self, name)
            if not low <= found[0] <= found[1] <= high:
                raise ValueError(f"{name} expected numbers from {low:g} to {high:g}, got {list(found)}")


@dataclass(frozen=True)
class Group:
    """An entry of the section `views`: one view of this name, or `count` of them, which are numbered from 1.

    With `geometry`, the steps that move pixels are those of another view, with its draws, and `steps` come after
    them. With `draws`, steps draw the numbers that those of another view draw which have the same name. Both name a
    view, or a group with as many views.
    """

    name: str
    steps: tuple[Step, ...] = ()
    count: int | None = None
    geometry: str | None = None
    draws: str | None = None
    patches: PatchMasking | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its views."""
        if self.count is None:
            return (self.name,)
        return tuple(f"{self.name}_{number}" for number in range(1, self.count + 1))

    def related(self, to: str, groups: Mapping[str, Group], number: int) -> str:
        """The name of the view that the view of this number, from 0, is related to by `geometry` or `draws`.

        Raises ValueError if there is none.
        """
        known = [name for group in groups.values() for name in group.names]
        if to in known:
            found = to
        elif to not in groups:
            raise ValueError(f"there is no view {to!r}; the views are: {', '.join(known)}")
        elif groups[to].count != self.count:
            own = "one view" if self.count is None else f"{self.count} views"
            raise ValueError(
                f"{to!r} has {groups[to].count} views and {self.name!r} {own}: give `count: {groups[to].count}`, or "
                f"name one of them, such as {groups[to].names[0]}"
            )
        else:
            found = groups[to].names[number]
        if found in self.names:
            raise ValueError(f"{found!r} is this view itself; name another one")
        return found


@dataclass(frozen=True)
class NamedView:
    """One view: its name, its group, its steps with the paths that seed their draws, and what seeds its patch mask.

    `geometry` is the name of the view whose geometry it has.
    """

    name: str
    group: Group
    steps: tuple[Step, ...]
    patches_key: int
    geometry: str | None = None


def name_problem(name: object) -> str:
    """Why a view cannot have this name; "" if it can."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return "the name of a view is a word of letters, digits and _, which begins with a letter"
    return "this is the name of the image itself; give the view another one" if name == IMAGE else ""


def _prefix(name: str) -> str:
    return f"views/{name}/"


def with_paths(groups: Iterable[Group], stream_key: StreamKey) -> tuple[Group, ...]:
    """The same groups with steps that have paths, such as `views/global/rotate#0`."""
    return tuple(replace(one, steps=assign_paths(one.steps, stream_key, _prefix(one.name))) for one in groups)


def expanded(groups: Iterable[Group], stream_key: StreamKey) -> tuple[NamedView, ...]:
    """All views in order. A step draws by the path of its view, `views/global_1/rotate#0`, so that adding a view
    changes no other. `stream_key` is that of `augreg.rng`, which takes a while to import.

    Raises ValueError for a name that is not there.
    """
    by_name = {group.name: group for group in groups}
    found = []
    for group in by_name.values():
        for number, name in enumerate(group.names):
            prefix = _prefix(name if group.draws is None else group.related(group.draws, by_name, number))
            geometry = None if group.geometry is None else group.related(group.geometry, by_name, number)
            steps = assign_paths(group.steps, stream_key, prefix)
            found.append(NamedView(name, group, steps, stream_key(f"{prefix}patches"), geometry))
    return tuple(found)
