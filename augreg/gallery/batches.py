"""Mixed batches: a few photos after a batch transform, and the weights of their labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from augreg.gallery.error_text import error_text
from augreg.gallery.photos import Photo, read, samples
from augreg.gallery.step_by_step import stages
from augreg.gallery.strengths import title_of
from augreg.gallery.tiles import LONGEST, Tile, tile
from augreg.images.thumbnails import viewable
from augreg.ops import Normalize
from augreg.pipeline import Pipeline
from augreg.registry.registry import Registry
from augreg.rng import address_of
from augreg.steps.describe import flow

__all__ = ["Batch", "BatchTransformTiles", "batch_transform_tiles", "batches"]

_SIZE = (144, 192)
_LONGEST_OF_BATCH = 288
_COUNT = 4
_EPOCHS = 2
_TRIED_EPOCHS = 9
_SHARES = (0.1, 0.3, 0.5)
_TRIED_FOR_SHARES = 64
_SMALLEST_WEIGHT = 1e-3  # smaller weights are not listed

_Demo = tuple[str, NDArray[np.uint8]]


class BatchTransformTiles(NamedTuple):
    """A batch transform: some results and what they are, an image at test time, and one whole batch."""

    title: str
    strengths: tuple[Tile, ...]
    test: Tile
    batch: tuple[Tile, ...]


class Batch(NamedTuple):
    """A mixed batch of output images of a pipeline in one epoch, or the error."""

    title: str
    call: str
    tiles: tuple[Tile, ...] = ()
    error: str = ""


def batch_transform_tiles(
    name: str,
    previews: Sequence[Mapping[str, Any]],
    example: Mapping[str, Any],
    demos: Sequence[_Demo],
    registry: Registry,
) -> BatchTransformTiles:
    """Tiles of a batch transform: some shares of another image, or the previews; and a whole batch of `example`."""
    subjects, images = _same_size(demos)
    mixing = _Mixing(name, example, registry, subjects, images)
    title, strengths = "by the share of the other image", mixing.shares()
    if not strengths:
        title = title_of(previews, registry[name]) or "what it does"
        strengths = [
            _Mixing(name, preview, registry, subjects, images).changed(flow(preview).strip("{}"))
            for preview in previews or [example]
        ]
    test = tile(images[0], subjects[0], "", "left out", LONGEST)
    return BatchTransformTiles(title, tuple(strengths), test, mixing.batch())


def _same_size(demos: Sequence[_Demo]) -> tuple[list[str], NDArray[np.uint8]]:
    """Four photos, cropped to one size, and their names; sample photos are added if there are too few."""
    photos = list(demos)
    if len(photos) < _COUNT:
        known = {name for name, _ in photos}
        photos += [
            (photo.name, photo.array)
            for photo in read(samples())
            if photo.array is not None and photo.name not in known
        ]
    steps: Any = [{"resize": {"shorter": _SIZE[1]}}, {"center_crop": list(_SIZE)}]
    crop = Pipeline.from_spec({"image": steps, "output": "numpy", "channels": "rgb"})
    images = [crop.test(np.repeat(array, 3, 2) if array.shape[2] == 1 else array) for _, array in photos[:_COUNT]]
    return [Path(name).stem for name, _ in photos[:_COUNT]], np.stack(images)


class _Mixing:
    """A batch transform alone, with these arguments, on a few images of one size."""

    def __init__(
        self,
        name: str,
        arguments: Mapping[str, Any],
        registry: Registry,
        subjects: Sequence[str],
        images: NDArray[np.uint8],
    ) -> None:
        targets = {"instances": ["masks"]}
        spec = {"batch": [{name: {**arguments, "p": 1.0}}], "output": "numpy", "targets": targets}
        self.mixer = Pipeline.from_spec(spec, registry).batch
        self.copies = getattr(registry[name], "pastes_instances", False)
        self.subjects, self.images = subjects, images

    def shares(self) -> list[Tile]:
        """The first image with about 0.1, 0.3 and 0.5 of one other; empty if the shares of draws hardly differ."""
        if self.copies:
            return []
        found = []
        for epoch in range(_TRIED_FOR_SHARES):
            row = self._plan(epoch)[0]
            if sum(weight > _SMALLEST_WEIGHT for weight in row.values()) == 2:
                found.append((1.0 - row[0], epoch))
        if not found or max(found)[0] - min(found)[0] < _SHARES[-1] - _SHARES[0]:
            return []
        chosen = [min(found, key=lambda one: abs(one[0] - share))[1] for share in _SHARES]
        return [self._tile(*self.mixed(epoch), 0, "") for epoch in chosen]

    def changed(self, heading: str) -> Tile:
        """The first image that is changed, in a typical draw."""
        images, labels = self.mixed(self._typical())
        changed = next((i for i, weight in enumerate(labels.weights[:, 0]) if weight < 1.0), 0)
        return self._tile(images, labels, changed, heading)

    def batch(self) -> tuple[Tile, ...]:
        """All images, in a typical draw."""
        images, labels = self.mixed(self._typical())
        return tuple(self._tile(images, labels, place, "") for place in range(len(images)))

    def mixed(self, epoch: int) -> tuple[NDArray[np.uint8], Any]:
        """The images and labels of a batch."""
        count = len(self.images)
        masks = {"masks": _masks(count)} if self.copies else {}
        found = self.mixer({"image": self.images, "label": np.arange(count), **masks}, keys=range(count), epoch=epoch)
        return found["image"], found["label"]

    def _plan(self, epoch: int) -> list[Any]:
        """For each image, the images in it and their weights."""
        count = len(self.images)
        return self.mixer.plan(count, _SIZE, keys=range(count), epoch=epoch, dtype="uint8").source_weights()

    def _typical(self) -> int:
        """An epoch in which the first image changes, in the middle by strength: a single one may be weaker than most.

        The strength is the mean fraction that images have of other images.
        """

        def strength(epoch: int) -> tuple[bool, float]:
            if self.copies:  # depends on the masks, which a plan has not
                most = self.mixed(epoch)[1].weights.max(axis=1).tolist()
            else:
                most = [max(row.values()) for row in self._plan(epoch)]
            return most[0] == 1.0, 1.0 - sum(most) / len(most)

        ranked = sorted((*strength(epoch), epoch) for epoch in range(_TRIED_EPOCHS))
        changing = [epoch for same, _, epoch in ranked if not same] or [epoch for *_, epoch in ranked]
        return changing[len(changing) // 2]

    def _tile(self, images: NDArray[np.uint8], labels: Any, place: int, heading: str) -> Tile:
        caption = _weights([*_rows(labels)][place], self.subjects)
        return tile(images[place], self.subjects[place], heading, caption, LONGEST)


def _masks(count: int) -> NDArray[np.uint8]:
    """Masks of four objects for each image, ellipses, since sample photos have none: N x height x width x 4."""
    y, x = ((np.arange(size) + 0.5) / size for size in _SIZE)
    middles = [(0.3, 0.25), (0.7, 0.35), (0.35, 0.7), (0.75, 0.8)]
    inside = [((y[:, None] - top) / 0.22) ** 2 + ((x - left) / 0.16) ** 2 < 1 for top, left in middles]
    return np.repeat(np.stack(inside, 2)[None].astype(np.uint8), count, axis=0)


def _rows(labels: Any) -> Iterator[dict[int, float]]:
    """For each image, the images that it contains, with their weights."""
    for sources, weights in zip(labels.sources, labels.weights, strict=True):
        row: dict[int, float] = {}
        for source, weight in zip(sources.tolist(), weights.tolist(), strict=True):
            row[source] = row.get(source, 0.0) + weight
        yield row


def _weights(row: Mapping[int, float], subjects: Sequence[str]) -> str:
    return " + ".join(
        f"{weight:.2f} {subjects[source]}" for source, weight in row.items() if weight > _SMALLEST_WEIGHT
    )


def batches(pipeline: Pipeline, photos: Sequence[Photo]) -> tuple[Batch, ...]:
    """The first photos as a batch in some epochs; empty for a pipeline without batch steps."""
    shown = [(number, photo) for number, photo in enumerate(photos) if photo.array is not None][:_COUNT]
    if not pipeline.spec.batch or len(shown) < 2:
        return ()
    return tuple(_batch(pipeline, shown, epoch) for epoch in range(_EPOCHS))


def _batch(pipeline: Pipeline, shown: Sequence[tuple[int, Photo]], epoch: int) -> Batch:
    keys = [number for number, _ in shown]
    title, call = f"epoch {epoch}", f"pipe.batch(images, labels, keys={keys}, epoch={epoch})"
    try:
        images = np.stack([pipeline.train(photo.array, index=number, epoch=epoch) for number, photo in shown])
        arrays, labels = pipeline.batch(images, np.arange(len(shown)), keys=keys, epoch=epoch)
        normalize = _normalize(pipeline, shown[0], epoch)
    except Exception as error:  # images of different sizes cannot be stacked, and a plugin may raise anything
        return Batch(title, call, error=error_text(error))
    if normalize is not None:
        arrays = arrays.transpose(0, 2, 3, 1)
    subjects = [photo.label or Path(photo.name).stem for _, photo in shown]
    captions = [_weights(row, subjects) for row in _rows(labels)]
    tiles = [
        tile(viewable(array, normalize)[0], subject, "", caption, _LONGEST_OF_BATCH)
        for array, subject, caption in zip(arrays, subjects, captions, strict=True)
    ]
    return Batch(title, call, tuple(tiles))


def _normalize(pipeline: Pipeline, shown: tuple[int, Photo], epoch: int) -> Normalize | None:
    """The op that normalized the images, if any."""
    number, photo = shown
    passed = (
        stages(pipeline, photo.array, address_of(pipeline.options.seed, number, epoch))
        if photo.array is not None
        else []
    )
    return passed[-1].normalize if passed else None
