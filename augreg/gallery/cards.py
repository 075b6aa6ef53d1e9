"""The part of the page with a card for everything that is registered, and for every plugin that failed."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from augreg.backends import backend
from augreg.gallery.inside import inside, targets, torch_is_there
from augreg.gallery.mixed import mixing
from augreg.gallery.photos import Photo, shrunk
from augreg.gallery.quantile import at_quantile, draws_nothing
from augreg.gallery.reasons import reason, without_folders
from augreg.gallery.stages import said, scene_of
from augreg.gallery.thumbnails import viewable
from augreg.gallery.tiles import Tile, tile
from augreg.ops import Normalize
from augreg.pipeline import Pipeline
from augreg.registry.registry import Registry
from augreg.steps.declare import RULES
from augreg.steps.describe import Argument, arguments, example, flow, line, sections

__all__ = ["KINDS", "Card", "Group", "failures", "groups"]

KINDS: Mapping[str, str] = {
    "geometry": "where pixels come from",
    "color": "what levels become",
    "texture": "what neighboring pixels make of each other",
    "erasing": "what is hidden",
    "choose": "steps made of steps",
    "normalize": "levels to floats",
    "mixing": "images of a batch in one another",
    "regularizer": "what is attached to a model",
    "loss": "what is added to the loss, or done to its target or to the weights",
    "broken": "what did not load",
}
_QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)
_DRAWS = 4
_SHORTER = 240  # the previews' sizes, 200 down to 24 pixels, are meant for an image of about this
_LONGEST = 192

_Demo = tuple[str, NDArray[np.uint8]]


class Card(NamedTuple):
    """A transform or a regularizer: who it is, what it does, and what a spec says in which section.

    `error` is what went wrong with its images, `wanted` what it would need to have any, and `note` why it has none.
    """

    name: str
    kind: str
    section: str = ""
    origin: str = ""
    summary: str = ""
    details: str = ""
    p: float = 1.0
    rule: str = ""
    exact: str = ""
    arguments: tuple[Argument, ...] = ()
    line: str = ""
    strengths_title: str = ""
    strengths: tuple[Tile, ...] = ()
    test: Tile | None = None
    draws_title: str = ""
    draws: tuple[Tile, ...] = ()
    error: str = ""
    wanted: str = ""
    note: str = ""


class Group(NamedTuple):
    """The cards of one kind."""

    kind: str
    about: str
    cards: tuple[Card, ...]


def failures(registry: Registry) -> tuple[tuple[str, str], ...]:
    """The plugins that did not load, and why."""
    return tuple(
        (f"{record.namespace} ({record.distribution} {record.version})", without_folders(record.error))
        for record in registry.plugins
        if record.error
    )


def groups(registry: Registry, photos: Sequence[Photo], backend_name: str) -> tuple[Group, ...]:
    """A card for every name in the registry, by kind."""
    demos = [(photo.name, shrunk(viewable(photo.array)[0], _SHORTER)) for photo in photos if photo.array is not None]
    studio = _Studio(registry, demos, backend_name)
    order = [*KINDS]
    cards = [studio.card(name) for name in registry]
    cards.sort(key=lambda card: (order.index(card.kind) if card.kind in order else len(order), card.kind))
    return tuple(
        Group(kind, KINDS.get(kind, ""), tuple(members)) for kind, members in groupby(cards, lambda card: card.kind)
    )


class _Studio:
    """Takes the images of one transform after the other, of the same photos."""

    def __init__(self, registry: Registry, demos: list[_Demo], backend_name: str) -> None:
        self.registry = registry
        self.demos = demos
        self.backend = backend_name

    def card(self, name: str) -> Card:
        origin = self._origin(name)
        try:
            cls: Any = self.registry[name]
            mark = cls.__augreg__
            summary, _, details = inspect.cleandoc(cls.__doc__).partition("\n")
            rule = "training only" if mark.kind == "loss" else RULES[mark.rule]
            card = Card(
                name, str(mark.kind), sections(cls), origin, summary, details.strip(), mark.p, rule, mark.exact,
                tuple(arguments(cls)), line(name, cls),
            )  # fmt: skip
        except Exception as error:  # a plugin may fail in any way; its card says how, and the page goes on
            return Card(name, "broken", origin=origin, error=reason(error))
        wanted = " and ".join(argument.name for argument in card.arguments if argument.default == "required")
        if wanted and not mark.preview and not mark.container:
            return card._replace(line="", wanted=wanted)
        take = {"mixing": self._mixed, "regularizer": self._inside, "loss": self._loss}.get(card.kind, self._imaged)
        try:
            return take(card, cls)
        except Exception as error:
            return card._replace(error=reason(error))

    def _origin(self, name: str) -> str:
        """Who brings a transform, unless augreg does."""
        if name in self.registry.added:
            return "added by hand"
        namespace = name.rpartition("/")[0]
        found = [record for record in self.registry.plugins if record.namespace == namespace]
        return f"{found[0].distribution} {found[0].version}" if found else ""

    def _imaged(self, card: Card, cls: Any) -> Card:
        given = example(cls)
        strengths = () if cls.__augreg__.container else tuple(self._strengths(card.name, cls))
        title = "weak to strong" if len(cls.__augreg__.preview) > 1 else "through its range, low to high"
        if len(strengths) == 1:
            title = "what it does"
        if 0 < len(strengths) < len(_QUANTILES):  # a sweep that is full passes by the photo as it is
            subject, photo = self.demos[0]
            strengths = (tile(photo, subject, "", "the photo", _LONGEST), *strengths)
        scene = scene_of(self.demos[0][1])
        others = len(self.demos) - 1
        fixed = draws_nothing(self._pipeline(card.name, given, p=1.0).steps[0].transform, scene)
        return card._replace(
            strengths_title=title,
            strengths=strengths,
            test=self._image(card.name, given, self.demos[0], None),
            draws_title="random draws" if not fixed else "other photos" if others else "in training",
            # where nothing is drawn, the same photo again would show nothing new
            draws=tuple(self._draws(card.name, given, min(_DRAWS, max(1, others)) if fixed else _DRAWS)),
        )

    def _mixed(self, card: Card, cls: Any) -> Card:
        """A batch transform on a batch of photos."""
        found = mixing(card.name, cls.__augreg__.preview, example(cls), self.demos, self.registry)
        return card._replace(
            strengths_title="weak to strong" if len(found.strengths) > 1 else "what it does",
            strengths=(found.test._replace(words="the photo"), *found.strengths),
            test=found.test,
            draws_title="one batch of four, and the shares of its labels",
            draws=found.batch,
        )

    def _inside(self, card: Card, cls: Any) -> Card:
        """A regularizer on a constant feature map."""
        if not torch_is_there():
            return card._replace(note="No images: they need torch, which is not installed.")
        found = inside(card.name, cls, cls.__augreg__.preview, example(cls), self.registry)
        return card._replace(
            strengths_title=found.about,
            strengths=found.strengths,
            test=found.test,
            draws_title="in training",
            draws=found.draws,
        )

    def _loss(self, card: Card, cls: Any) -> Card:
        """A loss step; one that changes targets shows them."""
        if not callable(getattr(cls, "target", None)) or not torch_is_there():
            return card
        about = "the target of a class among ten: the share of the class, and of each other"
        return card._replace(strengths_title=about, strengths=targets(cls, cls.__augreg__.preview))

    def _strengths(self, name: str, cls: Any) -> Iterator[Tile]:
        for given in cls.__augreg__.preview:
            shown = self._image(name, given, self.demos[0], 0)
            yield shown._replace(words=flow(given).strip("{}")) if given else shown
        if cls.__augreg__.preview:
            return
        subject, photo = self.demos[0]
        found: list[Any] = []
        for at in _QUANTILES:
            engine = backend(self.backend, self.registry.backends.get(self.backend, ""))
            array, ops = at_quantile(cls(), photo, at, engine)
            if ops not in found:  # where nothing is drawn, one image says it all
                found.append(ops)
                normalize = next((op for op in ops if isinstance(op, Normalize)), None)
                yield tile(array, subject, "", said(ops) or "nothing", _LONGEST, normalize)

    def _draws(self, name: str, given: Any, count: int) -> Iterator[Tile]:
        for number in range(1, count + 1):
            yield self._image(name, given, self.demos[number % len(self.demos)], number)

    def _image(self, name: str, given: Any, demo: _Demo, index: int | None) -> Tile:
        """A photo after a step alone, applied for certain; at test time (no index), with its own p."""
        pipeline = self._pipeline(name, given) if index is None else self._pipeline(name, given, p=1.0)
        subject, photo = demo
        height, width, channels = photo.shape
        if index is None:
            plan = pipeline.test.plan((height, width), channels=channels)
        else:
            plan = pipeline.train.plan((height, width), index, channels=channels)
        array = plan.run(photo)
        if any(isinstance(op, Normalize) for op in plan.ops):
            array = array.transpose(1, 2, 0)
        words = ", ".join(said(entry.ops) for entry in plan.entries if entry.ops)
        return tile(array, subject, "", words or ("left out" if index is None else "nothing"), _LONGEST)

    def _pipeline(self, name: str, given: Any, **common: Any) -> Pipeline:
        """A pipeline of this step alone."""
        arguments = {"steps": given} if isinstance(given, list) else given
        step = {name: {**arguments, **common}}
        return Pipeline.from_spec({"image": [step], "backend": self.backend, "output": "numpy"}, self.registry)
