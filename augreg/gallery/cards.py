"""The cards of the page, one for each registered transform and regularizer; and the plugins that failed."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from augreg.backends import backend
from augreg.gallery import ready_made
from augreg.gallery.batches import batch_transform_tiles
from augreg.gallery.captions import describe_ops
from augreg.gallery.error_text import error_text, hide_folders
from augreg.gallery.means import MEAN_DRAWS, mean_of_draws, with_boxes
from augreg.gallery.photos import Photo, shrunk
from augreg.gallery.step_by_step import scene_of
from augreg.gallery.strengths import title_of
from augreg.gallery.sweep import at_quantile, is_deterministic
from augreg.gallery.tiles import LONGEST, Tile, of_picture, tile, torch_installed
from augreg.images.thumbnails import viewable
from augreg.ops import Normalize
from augreg.pipeline import Pipeline
from augreg.registry.registry import Registry
from augreg.steps.describe import Argument, arguments, example, flow, line, meaning, sections

__all__ = ["KINDS", "Card", "Group", "failures", "groups"]

KINDS: Mapping[str, str] = {
    "geometry": "transforms that move pixels",
    "color": "transforms of single pixel values",
    "texture": "transforms that combine neighboring pixels",
    "erasing": "transforms that hide parts of the image",
    "choose": "steps that contain other steps",
    "normalize": "conversion of pixel values to floats",
    "mixing": "transforms that combine the images of a batch",
    "regularizer": "steps that are attached to a model",
    "loss": "steps that add to the loss, or change its target or the weights",
    "broken": "names that do not load",
}
_QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)
_DRAWS = 4
_SHORTER = 240  # the sizes in the previews, 200 to 24 pixels, are for images of about this size

_BOX = (0.3, 0.25, 0.75, 0.75)
"""A box on each photo, for the steps that see boxes: x0, y0, x1, y1 as fractions of its sides."""

_Demo = tuple[str, NDArray[np.uint8]]


class Card(NamedTuple):
    """A transform or regularizer: its name and source, its effect, its spec line, and the section of the line.

    `origin` is the plugin that it belongs to. If there are no images, `error` is the error, `required` the arguments
    that it needs and for which it has no preview, or `note` another reason. `ready_made` says that the images come
    from files. `mean` is the mean image over many draws, for transforms of single images that are random.
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
    mean: Tile | None = None
    draws_title: str = ""
    draws: tuple[Tile, ...] = ()
    error: str = ""
    required: str = ""
    note: str = ""
    ready_made: bool = False


class Group(NamedTuple):
    """The cards of one kind; `drawn_by` is the version of torch that drew images that come from files, if any do."""

    kind: str
    about: str
    cards: tuple[Card, ...]
    drawn_by: str = ""


def failures(registry: Registry) -> tuple[tuple[str, str], ...]:
    """The plugins that failed to load, and the errors."""
    return tuple(
        (f"{record.namespace} ({record.distribution} {record.version})", hide_folders(record.error))
        for record in registry.plugins
        if record.error
    )


def groups(registry: Registry, photos: Sequence[Photo], backend_name: str) -> tuple[Group, ...]:
    """A card for every name in the registry, by kind."""
    demos = [(photo.name, shrunk(viewable(photo.array)[0], _SHORTER)) for photo in photos if photo.array is not None]
    maker = _CardMaker(registry, demos, backend_name)
    order = [*KINDS]
    cards = [maker.card(name) for name in registry]
    cards.sort(key=lambda card: (order.index(card.kind) if card.kind in order else len(order), card.kind))
    return tuple(_group(kind, tuple(members)) for kind, members in groupby(cards, lambda card: card.kind))


def _group(kind: str, cards: tuple[Card, ...]) -> Group:
    from_files = any(card.ready_made for card in cards)
    return Group(kind, KINDS.get(kind, ""), cards, ready_made.made_with() if from_files else "")


class _CardMaker:
    """Makes the cards, all with the same photos."""

    def __init__(self, registry: Registry, demos: list[_Demo], backend_name: str) -> None:
        self.registry = registry
        self.demos = demos
        self.backend = backend_name

    def card(self, name: str) -> Card:
        origin = self._origin(name)
        try:
            cls: Any = self.registry[name]
            info = cls.__augreg__
            summary, _, details = inspect.cleandoc(cls.__doc__).partition("\n")
            rule = "nothing, it acts in training only" if info.kind == "loss" else meaning(cls)
            card = Card(
                name, str(info.kind), sections(cls), origin, summary, details.strip(), info.p, rule, info.exact,
                tuple(arguments(cls)), line(name, cls),
            )  # fmt: skip
        except Exception as error:  # a plugin may raise anything; its card shows the error
            return Card(name, "broken", origin=origin, error=error_text(error))
        required = " and ".join(argument.name for argument in card.arguments if argument.default == "required")
        if required and not info.preview and not info.container:
            return card._replace(line="", required=required)
        complete = {"mixing": self._batch, "regularizer": self._model_step, "loss": self._model_step}.get(
            card.kind, self._image_step
        )
        try:
            return complete(card, cls)
        except Exception as error:
            return card._replace(error=error_text(error))

    def _origin(self, name: str) -> str:
        """The plugin of a transform; empty for built-in ones."""
        if name in self.registry.added:
            return "added in code"
        namespace = name.rpartition("/")[0]
        records = [record for record in self.registry.plugins if record.namespace == namespace]
        return f"{records[0].distribution} {records[0].version}" if records else ""

    def _image_step(self, card: Card, cls: Any) -> Card:
        """A transform of single images on photos."""
        values = example(cls)
        strengths = () if cls.__augreg__.container else tuple(self._strengths(card.name, cls))
        title = title_of(cls.__augreg__.preview, cls) or "lowest to highest draw"
        if len(strengths) == 1:
            title = "what it does"
        if 0 < len(strengths) < len(_QUANTILES):  # a full sweep has no room for the original
            subject, photo = self.demos[0]
            strengths = (tile(photo, subject, "", "original", LONGEST), *strengths)
        photo = self.demos[0][1]
        height, width = photo.shape[:2]
        box = tuple([part * side for part, side in zip(_BOX, (width, height) * 2, strict=True)])
        scene = replace(scene_of(photo), boxes=(box,))
        others = len(self.demos) - 1
        step = self._pipeline(card.name, values).steps[0]
        fixed = is_deterministic(step.transform, scene)
        mean = None if fixed and step.p == 1.0 else self._mean(card.name, values)
        # without random draws, the same photo would give the same image; the mean takes the place of a draw
        draws = min(_DRAWS, max(1, others)) if fixed else _DRAWS - 1
        return card._replace(
            strengths_title=title,
            strengths=strengths,
            test=self._image(card.name, values, self.demos[0], None),
            mean=mean,
            draws_title="random draws" if not fixed else "other photos" if others else "in training",
            draws=tuple(self._draws(card.name, values, draws)),
        )

    def _batch(self, card: Card, cls: Any) -> Card:
        """A batch transform on a batch of photos."""
        tiles = batch_transform_tiles(card.name, cls.__augreg__.preview, example(cls), self.demos, self.registry)
        return card._replace(
            strengths_title=tiles.title,
            strengths=(tiles.test._replace(caption="original"), *tiles.strengths),
            test=tiles.test,
            draws_title="one batch of four images, with label weights",
            draws=tiles.batch,
        )

    def _model_step(self, card: Card, cls: Any) -> Card:
        """A regularizer on a constant feature map, or a loss step on a target: without torch, from files."""
        if not ready_made.has_pictures(cls):
            return card
        live = torch_installed()
        pictures = ready_made.drawn(card.name, cls, self.registry) if live else ready_made.read(card.name, cls)
        if pictures is None:
            return card._replace(note="No images: they need torch, which is not installed.")
        return card._replace(
            strengths_title=pictures.about,
            strengths=tuple(map(of_picture, pictures.strengths)),
            test=of_picture(pictures.test) if pictures.test else None,
            draws_title="in training",
            draws=tuple(map(of_picture, pictures.draws)),
            ready_made=not live,
        )

    def _strengths(self, name: str, cls: Any) -> Iterator[Tile]:
        for values in cls.__augreg__.preview:
            preview = self._image(name, values, self.demos[0], 0)
            yield preview._replace(caption=flow(values).strip("{}")) if values else preview
        if cls.__augreg__.preview:
            return
        subject, photo = self.demos[0]
        seen: list[Any] = []
        for at in _QUANTILES:
            engine = backend(self.backend, self.registry.backends.get(self.backend, ""))
            array, ops = at_quantile(cls(), photo, at, engine)
            if ops not in seen:  # without random draws, all images are the same
                seen.append(ops)
                normalize = next((op for op in ops if isinstance(op, Normalize)), None)
                yield tile(array, subject, "", describe_ops(ops) or "no change", LONGEST, normalize)

    def _draws(self, name: str, values: Any, count: int) -> Iterator[Tile]:
        for number in range(1, count + 1):
            yield self._image(name, values, self.demos[number % len(self.demos)], number)

    def _image(self, name: str, values: Any, demo: _Demo, index: int | None) -> Tile:
        """A photo after this step alone, with p = 1 in training; at test time (index None), with its default p."""
        pipeline = self._pipeline(name, values) if index is None else self._pipeline(name, values, p=1.0)
        subject, photo = demo
        sample = with_boxes(photo, _BOX)
        plan = pipeline.test.plan(sample) if index is None else pipeline.train.plan(sample, index)
        array = plan.run(photo)
        if any(isinstance(op, Normalize) for op in plan.ops):
            array = array.transpose(1, 2, 0)
        caption = ", ".join(describe_ops(entry.ops) for entry in plan.entries if entry.ops)
        if not caption or np.array_equal(array, photo):
            caption = "left out" if index is None and not caption else "no change"
        return tile(array, subject, "", caption, LONGEST)

    def _mean(self, name: str, values: Any) -> Tile:
        """The mean of a photo over draws of this step, with its default p."""
        subject, photo = self.demos[0]
        mean, draws, results = mean_of_draws(self._pipeline(name, values), photo, _BOX)
        words = f"{draws} draws" if draws == MEAN_DRAWS else f"{draws} draws of this size"
        caption = words if results > draws // 2 else f"{words}, {results} results"
        return tile(mean, subject, "", caption, LONGEST)._replace(alt=f"{subject}, mean of {words}")

    def _pipeline(self, name: str, values: Any, **common: Any) -> Pipeline:
        """A pipeline with this step alone."""
        values = {"steps": values} if isinstance(values, list) else values
        step = {name: {**values, **common}}
        options = {"backend": self.backend, "output": "numpy", "targets": {"boxes": "xyxy_normalized"}}
        return Pipeline.from_spec({"image": [step], **options}, self.registry)
