"""The pipeline's part of the page: each photo, its test-time image, its draws, and all of them step by step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from numpy.typing import NDArray

from augreg.errors import ImageError
from augreg.gallery.overlays import names_in, overlaid
from augreg.gallery.photos import Photo
from augreg.gallery.stages import Stage, stages
from augreg.gallery.thumbnails import viewable
from augreg.gallery.tiles import Tile, failed, tile
from augreg.ops import Normalize
from augreg.pipeline import Pipeline
from augreg.rng import address_of
from augreg.targets.boxes import BoxSet

__all__ = ["DRAWS", "Row", "Walk", "row", "shown"]

DRAWS = 6
_LONGEST = 336
_LONGEST_STAGE = 168


class Walk(NamedTuple):
    """One way of a photo through the pipeline, and the call that takes it."""

    title: str
    call: str
    tiles: tuple[Tile, ...]


class Row(NamedTuple):
    """One photo: as it is, at test time, as it is drawn, and step by step. `broken` says why there is none."""

    name: str
    size: str = ""
    photo: Tile | None = None
    test: Tile | None = None
    draws: tuple[Tile, ...] = ()
    walks: tuple[Walk, ...] = ()
    normalized: bool = False
    broken: str = ""


def row(pipeline: Pipeline, photo: Photo, index: int) -> Row:
    """What a pipeline does to a photo, which is sample `index` of the data set; each draw is an epoch."""
    array = photo.array
    if array is None:
        return Row(photo.name, broken=photo.broken)
    height, width = array.shape[:2]
    ways = [_way(pipeline, photo, array, None, "at test time")]
    ways += [_way(pipeline, photo, array, (index, epoch), f"epoch {epoch}") for epoch in range(DRAWS)]
    return Row(
        photo.name,
        f"{height}×{width}",
        shown(pipeline, photo, photo.sample or {}, array, "the photo", f"{height}×{width}"),
        ways[0][0],
        tuple(way[0] for way in ways[1:]),
        tuple(way[1] for way in ways if way[1].tiles),
        any(way[2] for way in ways),
    )


def shown(
    pipeline: Pipeline,
    photo: Photo,
    sample: Mapping[Any, Any],
    array: NDArray[Any],
    heading: str,
    words: str,
    normalize: Normalize | None = None,
) -> Tile:
    """A tile of what a photo became, with the masks, boxes and keypoints of its sample drawn over it."""
    if photo.sample is None:
        return tile(array, photo.name, heading, words, _LONGEST, normalize)
    try:
        over = overlaid(viewable(array, normalize)[0], sample, pipeline.options.targets, names_in(photo.sample))
    except ImageError as error:
        return failed(heading, error)
    return tile(over, photo.name, heading, words, _LONGEST)


def _way(
    pipeline: Pipeline, photo: Photo, array: NDArray[Any], key: tuple[int, int] | None, title: str
) -> tuple[Tile, Walk, bool]:
    """The image as the pipeline itself makes it, the stages on the way there, and whether it is normalized."""
    what = "photo" if photo.sample is None else "sample"
    call = f"pipe.test({what})" if key is None else f"pipe.train({what}, index={key[0]}, epoch={key[1]})"
    given = array if photo.sample is None else {**photo.sample, "image": array}
    name = photo.name
    try:
        address = address_of(pipeline.options.seed, *key) if key is not None else None
        walked = stages(pipeline, array, address, _boxes(pipeline, photo, array))
        done = pipeline.test(given) if key is None else pipeline.train(given, index=key[0], epoch=key[1])
    except Exception as error:  # a plugin may raise anything, and the other images are still worth showing
        return failed(title, error), Walk(title, call, ()), False
    normalize = walked[-1].normalize if walked else None
    sample, image = ({}, done) if photo.sample is None else (done, done["image"])
    if normalize is not None:
        image = image.transpose(1, 2, 0)
    words = ", ".join(stage.words for stage in walked if stage.array is not None) or "nothing"
    start = Tile("the photo", "", f"{name}, the photo", image=tile(array, name, "", "", _LONGEST_STAGE).image)
    on_the_way = [_stage(stage, name) for stage in walked]
    result = shown(pipeline, photo, sample, image, title, words, normalize)
    return result, Walk(title, call, (start, *on_the_way)), normalize is not None


def _boxes(pipeline: Pipeline, photo: Photo, array: NDArray[Any]) -> tuple[tuple[float, float, float, float], ...]:
    """The boxes of a photo's sample, for the steps that look at them."""
    if photo.sample is None or "boxes" not in photo.sample:
        return ()
    height, width = array.shape[:2]
    return BoxSet(photo.sample["boxes"], "sample['boxes']", pipeline.options.targets, (height, width)).for_scene()


def _stage(stage: Stage, name: str) -> Tile:
    words = stage.words.removeprefix(stage.name).strip()
    if stage.parent:
        words = f"{words}, by {stage.parent}" if words else f"by {stage.parent}"
    if stage.array is None:
        return Tile(stage.name, words)
    return tile(stage.array, name, stage.name, words, _LONGEST_STAGE, stage.normalize)
