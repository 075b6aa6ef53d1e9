"""Mixed batches: what a batch transform makes of a few photos, and what the labels become."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from augreg.gallery.photos import Photo, read, samples
from augreg.gallery.reasons import reason
from augreg.gallery.stages import stages
from augreg.gallery.thumbnails import viewable
from augreg.gallery.tiles import Tile, tile
from augreg.ops import Normalize
from augreg.pipeline import Pipeline
from augreg.registry.registry import Registry
from augreg.rng import address_of
from augreg.steps.describe import flow

__all__ = ["Batch", "Mixed", "batches", "mixing"]

_SIZE = (144, 192)
_LONGEST = 192
_LONGEST_OF_BATCH = 288
_COUNT = 4
_EPOCHS = 3
_TRIED = 9
_LEAST = 1e-3  # a smaller share of an image is not worth a word

_Demo = tuple[str, NDArray[np.uint8]]


class Mixed(NamedTuple):
    """A batch transform in images: weak to strong, at test time, and one whole batch."""

    strengths: tuple[Tile, ...]
    test: Tile
    batch: tuple[Tile, ...]


class Batch(NamedTuple):
    """A batch of a pipeline's own images in one epoch, mixed as it would be; or why there is none."""

    title: str
    call: str
    tiles: tuple[Tile, ...] = ()
    broken: str = ""


def mixing(
    name: str,
    previews: Sequence[Mapping[str, Any]],
    given: Mapping[str, Any],
    demos: Sequence[_Demo],
    registry: Registry,
) -> Mixed:
    """A batch transform by its previews and, for a whole batch, with the arguments `given`."""
    subjects, images = _alike(demos)
    strengths = []
    for preview in previews or [given]:
        arrays, words, changed = _done(name, preview, registry, subjects, images)
        strengths.append(
            tile(arrays[changed], subjects[changed], flow(preview).strip("{}"), words[changed], _LONGEST)
        )
    arrays, words, _ = _done(name, given, registry, subjects, images)
    batch = [tile(*shown, _LONGEST) for shown in zip(arrays, subjects, [""] * _COUNT, words, strict=True)]
    return Mixed(tuple(strengths), tile(images[0], subjects[0], "", "left out", _LONGEST), tuple(batch))


def _alike(demos: Sequence[_Demo]) -> tuple[list[str], NDArray[np.uint8]]:
    """Four photos of one size, of the given ones as far as they go, and what they show."""
    found = list(demos)
    if len(found) < _COUNT:
        known = {name for name, _ in found}
        found += [
            (photo.name, photo.array)
            for photo in read(samples())
            if photo.array is not None and photo.name not in known
        ]
    shape: Any = [{"resize": {"shorter": _SIZE[1]}}, {"center_crop": list(_SIZE)}]
    crop = Pipeline.from_spec({"image": shape, "output": "numpy", "channels": "rgb"})
    images = [crop.test(np.repeat(array, 3, 2) if array.shape[2] == 1 else array) for _, array in found[:_COUNT]]
    return [Path(name).stem for name, _ in found[:_COUNT]], np.stack(images)


def _done(
    name: str,
    given: Mapping[str, Any],
    registry: Registry,
    subjects: Sequence[str],
    images: NDArray[np.uint8],
) -> tuple[NDArray[np.uint8], list[str], int]:
    """The batch after the step alone, the shares of each image in words, and the first image that changed."""
    spec = {"batch": [{name: {**given, "p": 1.0}}], "output": "numpy"}
    pipeline = Pipeline.from_spec(spec, registry)
    count = len(images)
    keys = range(count)

    def strength(epoch: int) -> tuple[bool, float]:
        """Whether the first image stays as it is, and how much an image has of others on the mean."""
        plan = pipeline.batch.plan(count, _SIZE, keys=keys, epoch=epoch, dtype="uint8")
        most = [max(row.values()) for row in plan.source_weights()]
        return most[0] == 1.0, 1.0 - sum(most) / count

    # a draw like most others: one alone may be weak where strong ones are likely
    ranked = sorted((*strength(epoch), epoch) for epoch in range(_TRIED))
    changing = [epoch for same, _, epoch in ranked if not same] or [epoch for *_, epoch in ranked]
    arrays, labels = pipeline.batch(images, np.arange(count), keys=keys, epoch=changing[len(changing) // 2])
    changed = next((i for i, own in enumerate(labels.weights[:, 0]) if own < 1.0), 0)
    return arrays, [_shares(row, subjects) for row in _rows(labels)], changed


def _rows(labels: Any) -> Iterator[dict[int, float]]:
    """For each image: which images show in it, each with its share."""
    for sources, weights in zip(labels.sources, labels.weights, strict=True):
        row: dict[int, float] = {}
        for source, weight in zip(sources.tolist(), weights.tolist(), strict=True):
            row[source] = row.get(source, 0.0) + weight
        yield row


def _shares(row: Mapping[int, float], subjects: Sequence[str]) -> str:
    return " + ".join(f"{share:.2f} {subjects[source]}" for source, share in row.items() if share > _LEAST)


def batches(pipeline: Pipeline, photos: Sequence[Photo]) -> tuple[Batch, ...]:
    """The first photos as a batch in some epochs, for a pipeline that mixes; nothing for one that does not."""
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
    except Exception as error:  # images of several sizes make no batch, and a plugin may raise anything
        return Batch(title, call, broken=reason(error))
    if normalize is not None:
        arrays = arrays.transpose(0, 2, 3, 1)
    subjects = [Path(photo.name).stem for _, photo in shown]
    words = [_shares(row, subjects) for row in _rows(labels)]
    tiles = [
        tile(viewable(array, normalize)[0], subject, "", said, _LONGEST_OF_BATCH)
        for array, subject, said in zip(arrays, subjects, words, strict=True)
    ]
    return Batch(title, call, tuple(tiles))


def _normalize(pipeline: Pipeline, shown: tuple[int, Photo], epoch: int) -> Normalize | None:
    """What turned levels into floats, if anything did."""
    number, photo = shown
    walked = (
        stages(pipeline, photo.array, address_of(pipeline.options.seed, number, epoch))
        if photo.array is not None
        else []
    )
    return walked[-1].normalize if walked else None
