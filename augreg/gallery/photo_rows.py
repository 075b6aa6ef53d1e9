"""The rows of the page, one for each photo: the photo, its test-time image, and draws; and two runs step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from numpy.typing import NDArray

from augreg.errors import ImageError
from augreg.gallery.captions import size_of
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
_WALKED = (None, 0)  # the epochs whose runs are shown step by step; None is at test time
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


def row(pipeline: Pipeline, photo: Photo, index: int, draws: int = DRAWS, walks: bool = True) -> Row:
    """The row of a photo, which is sample `index` of the dataset; each draw is one epoch.

    Without `walks`, no run is shown step by step.
    """
    array = photo.array
    if array is None:
        return Row(photo.name, error=photo.error)
    size = size_of(*array.shape[:2])
    runs = [_run(pipeline, photo, array, index, epoch, walks and epoch in _WALKED) for epoch in (None, *range(draws))]
    return Row(
        photo.name,
        size,
        sample_tile(pipeline, photo, photo.sample or {}, array, "original", size),
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
    pipeline: Pipeline, photo: Photo, array: NDArray[Any], index: int, epoch: int | None, walk: bool
) -> tuple[Tile, Walkthrough, bool]:
    """The output image of the pipeline, the stages before it, and whether it is normalized."""
    name, title = photo.name, "at test time" if epoch is None else f"epoch {epoch}"
    value = array if photo.sample is None else {**photo.sample, "image": array}
    try:
        address = None if epoch is None else address_of(pipeline.options.seed, index, epoch)
        passed = stages(pipeline, array, address, _boxes(pipeline, photo, array))
        output = pipeline.test(value) if epoch is None else pipeline.train(value, index=index, epoch=epoch)
    except Exception as error:  # a plugin may raise anything, and the other images should still be shown
        return failed(title, error), Walkthrough(title, "", ()), False
    normalize = passed[-1].normalize if passed else None
    sample, image = ({}, output) if photo.sample is None else (output, output["image"])
    if normalize is not None:
        image = image.transpose(1, 2, 0)
    result = sample_tile(pipeline, photo, sample, image, title, _caption(passed), normalize)
    tiles: tuple[Tile, ...] = ()
    if walk:
        start = Tile("original", "", f"{name}, original", image=tile(array, name, "", "", _LONGEST_STAGE).image)
        tiles = (start, *(_stage(stage, name) for stage in passed))
    argument = "photo" if photo.sample is None else "sample"
    call = f"pipe.test({argument})" if epoch is None else f"pipe.train({argument}, index={index}, epoch={epoch})"
    return result, Walkthrough(title, call, tiles), normalize is not None


def _caption(passed: Sequence[Stage]) -> str:
    """What changed the image, without the normalization, which the page undoes."""
    before = [None, *(stage.normalize for stage in passed)]
    shown = [
        stage.caption
        for stage, earlier in zip(passed, before, strict=False)
        if stage.changed and stage.caption and stage.normalize is earlier
    ]
    return ", ".join(shown) or "no change"


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
    if stage.array is None or not stage.changed:
        return Tile(stage.name, caption if stage.array is None else "no change")
    return tile(stage.array, name, stage.name, caption, _LONGEST_STAGE, stage.normalize)
