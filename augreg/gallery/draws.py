"""The pipeline's part of the page: each photo, its test-time picture, its draws, and all of them step by step."""

from __future__ import annotations

from typing import Any, NamedTuple

from numpy.typing import NDArray

from augreg.gallery.photos import Photo
from augreg.gallery.stages import Stage, stages
from augreg.gallery.tiles import Tile, failed, tile
from augreg.pipeline import Pipeline
from augreg.rng import locate

__all__ = ["DRAWS", "Row", "Walk", "row"]

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
    ways = [_way(pipeline, photo.name, array, None, "at test time")]
    ways += [_way(pipeline, photo.name, array, (index, epoch), f"epoch {epoch}") for epoch in range(DRAWS)]
    return Row(
        photo.name,
        f"{height}×{width}",
        tile(array, photo.name, "the photo", f"{height}×{width}", _LONGEST),
        ways[0][0],
        tuple(way[0] for way in ways[1:]),
        tuple(way[1] for way in ways if way[1].tiles),
        any(way[2] for way in ways),
    )


def _way(
    pipeline: Pipeline, name: str, array: NDArray[Any], key: tuple[int, int] | None, title: str
) -> tuple[Tile, Walk, bool]:
    """The picture as the pipeline itself makes it, the stages on the way there, and whether it is normalized."""
    call = "pipe.test(photo)" if key is None else f"pipe.train(photo, index={key[0]}, epoch={key[1]})"
    try:
        address = locate(pipeline.options.seed, *key) if key is not None else None
        walked = stages(pipeline, array, address)
        done = pipeline.test(array) if key is None else pipeline.train(array, index=key[0], epoch=key[1])
    except Exception as error:  # a plugin may raise anything, and the other pictures are still worth showing
        return failed(title, error), Walk(title, call, ()), False
    normalize = walked[-1].normalize if walked else None
    if normalize is not None:
        done = done.transpose(1, 2, 0)
    words = ", ".join(stage.words for stage in walked if stage.array is not None) or "nothing"
    start = Tile("the photo", "", f"{name}, the photo", picture=tile(array, name, "", "", _LONGEST_STAGE).picture)
    on_the_way = [_stage(stage, name) for stage in walked]
    shown = tile(done, name, title, words, _LONGEST, normalize)
    return shown, Walk(title, call, (start, *on_the_way)), normalize is not None


def _stage(stage: Stage, name: str) -> Tile:
    words = stage.words.removeprefix(stage.name).strip()
    if stage.parent:
        words = f"{words}, by {stage.parent}" if words else f"by {stage.parent}"
    if stage.array is None:
        return Tile(stage.name, words)
    return tile(stage.array, name, stage.name, words, _LONGEST_STAGE, stage.normalize)
