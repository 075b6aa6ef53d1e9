"""The pipeline section of the page: a row for each photo, with its test-time image, its draws, and all steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from numpy.typing import NDArray

from augreg.errors import ImageError
from augreg.gallery.overlays import names_in, overlaid
from augreg.gallery.photos import Photo
from augreg.gallery.step_by_step import Stage, stages
from augreg.gallery.tiles import Tile, failed, tile
from augreg.images.thumbnails import viewable
from augreg.ops import Normalize
from augreg.pipeline import Pipeline
from augreg.rng import address_of
from augreg.targets.boxes import BoxSet

__all__ = ["DRAWS", "Row", "Walkthrough", "row", "sample_tile"]

DRAWS = 6
_LONGEST = 336
_LONGEST_STAGE = 168


class Walkthrough(NamedTuple):
    """One run of a photo through the pipeline, step by step, and the call that does it."""

    title: str
    call: str
    tiles: tuple[Tile, ...]


class Row(NamedTuple):
    """One photo: the original, at test time, in training, and step by step; or the error of reading it."""

    name: str
    size: str = ""
    photo: Tile | None = None
    test: Tile | None = None
    draws: tuple[Tile, ...] = ()
    walkthroughs: tuple[Walkthrough, ...] = ()
    normalized: bool = False
    error: str = ""

    @property
    def failure(self) -> str:
        """Why the photo could not be read, or else the first error of the pipeline on it; empty if all went well."""
        tiles = (self.photo, self.test, *self.draws)
        return self.error or next((tile.error for tile in tiles if tile is not None and tile.error), "")


def row(pipeline: Pipeline, photo: Photo, index: int) -> Row:
    """The row of a photo, which is sample `index` of the dataset; each draw is one epoch."""
    array = photo.array
    if array is None:
        return Row(photo.name, error=photo.error)
    height, width = array.shape[:2]
    runs = [_run(pipeline, photo, array, None, "at test time")]
    runs += [_run(pipeline, photo, array, (index, epoch), f"epoch {epoch}") for epoch in range(DRAWS)]
    return Row(
        photo.name,
        f"{height}×{width}",
        sample_tile(pipeline, photo, photo.sample or {}, array, "original", f"{height}×{width}"),
        runs[0][0],
        tuple(tile for tile, _, _ in runs[1:]),
        tuple(walkthrough for _, walkthrough, _ in runs if walkthrough.tiles),
        any(normalized for _, _, normalized in runs),
    )


def sample_tile(
    pipeline: Pipeline,
    photo: Photo,
    sample: Mapping[Any, Any],
    array: NDArray[Any],
    heading: str,
    caption: str,
    normalize: Normalize | None = None,
) -> Tile:
    """A tile of an output image, with the masks, boxes and keypoints of its sample drawn over it."""
    if photo.sample is None:
        return tile(array, photo.name, heading, caption, _LONGEST, normalize)
    try:
        overlay = overlaid(viewable(array, normalize)[0], sample, pipeline.options.targets, names_in(photo.sample))
    except ImageError as error:
        return failed(heading, error)
    return tile(overlay, photo.name, heading, caption, _LONGEST)


def _run(
    pipeline: Pipeline, photo: Photo, array: NDArray[Any], key: tuple[int, int] | None, title: str
) -> tuple[Tile, Walkthrough, bool]:
    """The output image of the pipeline, the stages before it, and whether it is normalized."""
    argument = "photo" if photo.sample is None else "sample"
    call = f"pipe.test({argument})" if key is None else f"pipe.train({argument}, index={key[0]}, epoch={key[1]})"
    value = array if photo.sample is None else {**photo.sample, "image": array}
    name = photo.name
    try:
        address = address_of(pipeline.options.seed, *key) if key is not None else None
        passed = stages(pipeline, array, address, _boxes(pipeline, photo, array))
        output = pipeline.test(value) if key is None else pipeline.train(value, index=key[0], epoch=key[1])
    except Exception as error:  # a plugin may raise anything, and the other images should still be shown
        return failed(title, error), Walkthrough(title, call, ()), False
    normalize = passed[-1].normalize if passed else None
    sample, image = ({}, output) if photo.sample is None else (output, output["image"])
    if normalize is not None:
        image = image.transpose(1, 2, 0)
    caption = ", ".join(stage.caption for stage in passed if stage.array is not None) or "nothing"
    start = Tile("original", "", f"{name}, original", image=tile(array, name, "", "", _LONGEST_STAGE).image)
    steps = [_stage(stage, name) for stage in passed]
    result = sample_tile(pipeline, photo, sample, image, title, caption, normalize)
    return result, Walkthrough(title, call, (start, *steps)), normalize is not None


def _boxes(pipeline: Pipeline, photo: Photo, array: NDArray[Any]) -> tuple[tuple[float, float, float, float], ...]:
    """The boxes of the sample of a photo, for the steps that depend on them."""
    if photo.sample is None or "boxes" not in photo.sample:
        return ()
    height, width = array.shape[:2]
    return BoxSet(photo.sample["boxes"], "sample['boxes']", pipeline.options.targets, (height, width)).for_scene()


def _stage(stage: Stage, name: str) -> Tile:
    caption = stage.caption.removeprefix(stage.name).strip()
    if stage.parent:
        caption = f"{caption}, by {stage.parent}" if caption else f"by {stage.parent}"
    if stage.array is None:
        return Tile(stage.name, caption)
    return tile(stage.array, name, stage.name, caption, _LONGEST_STAGE, stage.normalize)
