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
from augreg.gallery.tiles import Tile, tile
from augreg.images.thumbnails import viewable
from augreg.ops import Normalize
from augreg.pipeline import Pipeline
from augreg.registry.registry import Registry
from augreg.rng import address_of
from augreg.steps.describe import flow

__all__ = ["Batch", "BatchTransformTiles", "batch_transform_tiles", "batches"]

_SIZE = (144, 192)
_LONGEST = 192
_LONGEST_OF_BATCH = 288
_COUNT = 4
_EPOCHS = 3
_TRIED_EPOCHS = 9
_SMALLEST_WEIGHT = 1e-3  # smaller weights are not listed

_Demo = tuple[str, NDArray[np.uint8]]


class BatchTransformTiles(NamedTuple):
    """A batch transform: weak to strong, at test time, and one whole batch."""

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
    """Tiles of a batch transform: the previews, and a whole batch with the arguments `example`."""
    subjects, images = _same_size(demos)
    strengths = []
    for preview in previews or [example]:
        arrays, captions, changed = _mix(name, preview, registry, subjects, images)
        strengths.append(
            tile(arrays[changed], subjects[changed], flow(preview).strip("{}"), captions[changed], _LONGEST)
        )
    arrays, captions, _ = _mix(name, example, registry, subjects, images)
    batch = [tile(*parts, _LONGEST) for parts in zip(arrays, subjects, [""] * _COUNT, captions, strict=True)]
    return BatchTransformTiles(tuple(strengths), tile(images[0], subjects[0], "", "left out", _LONGEST), tuple(batch))


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


def _mix(
    name: str,
    arguments: Mapping[str, Any],
    registry: Registry,
    subjects: Sequence[str],
    images: NDArray[np.uint8],
) -> tuple[NDArray[np.uint8], list[str], int]:
    """The batch after this step alone, the label weights of each image as text, and the first changed image."""
    targets = {"instances": ["masks"]}
    spec = {"batch": [{name: {**arguments, "p": 1.0}}], "output": "numpy", "targets": targets}
    pipeline = Pipeline.from_spec(spec, registry)
    count = len(images)
    keys = range(count)
    copies = getattr(registry[name], "pastes_instances", False)

    def mixed(epoch: int) -> tuple[NDArray[np.uint8], Any]:
        batch = {"image": images, "label": np.arange(count), **({"masks": _masks(count)} if copies else {})}
        found = pipeline.batch(batch, keys=keys, epoch=epoch)
        return found["image"], found["label"]

    def strength(epoch: int) -> tuple[bool, float]:
        """Whether the first image is unchanged, and the mean fraction that images have of other images."""
        if copies:  # depends on the masks, which a plan has not
            most = mixed(epoch)[1].weights.max(axis=1).tolist()
        else:
            plan = pipeline.batch.plan(count, _SIZE, keys=keys, epoch=epoch, dtype="uint8")
            most = [max(row.values()) for row in plan.source_weights()]
        return most[0] == 1.0, 1.0 - sum(most) / count

    # a typical draw: a single one may be weaker than most
    ranked = sorted((*strength(epoch), epoch) for epoch in range(_TRIED_EPOCHS))
    changing = [epoch for same, _, epoch in ranked if not same] or [epoch for *_, epoch in ranked]
    arrays, labels = mixed(changing[len(changing) // 2])
    changed = next((i for i, weight in enumerate(labels.weights[:, 0]) if weight < 1.0), 0)
    return arrays, [_weights(row, subjects) for row in _rows(labels)], changed


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
    subjects = [Path(photo.name).stem for _, photo in shown]
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
