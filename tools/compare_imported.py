"""Compare imported pipelines with the original ones: statistics of images and their targets over many draws.

    python tools/compare_imported.py                  # 100 draws of each pipeline
    python tools/compare_imported.py --draws 400 --only 12

Needs albumentations 2.0.8. It runs those pipelines of tests/data/pipelines.yaml that come over whole, as
tools/imported.py says, by both libraries, on one photo. Each draw has some hundred numbers: the mean and the
deviation of each channel, the contrast of neighbors, a thumbnail of the image, one for each class of the mask, the
number of boxes, and the sums of the coordinates of boxes and points. A number is listed if its means over the draws
differ by more than chance allows (5 standard errors), by more than a hundredth of its range, and, if it is of pixel
values, by more than half a step of a byte image: Pillow's order of bilinear sums, which augreg follows, rounds down.
Boxes and points are not compared where a border shows a mirror image: albumentations adds mirrored ones there. Boxes
are not compared either where RandomGridShuffle cuts them apart: albumentations makes one of each part.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

import albumentations as A  # noqa: N812 - as its own documentation calls it
import cv2
import imported
import numpy as np
from PIL import Image

import augreg

THUMBNAIL = 6
ERRORS, PART = 5.0, 0.01  # what is listed: more standard errors than this, and more of the range
STEP = 0.5  # and more of pixel values, on the scale of bytes
MIRRORED = (2, 4)  # the border modes of OpenCV that show a mirror image


def scene(pipeline: Mapping[str, Any]) -> dict[str, Any]:
    """A photo with a mask, two boxes and three points; floats from 0 to 1 if the pipeline normalizes such images."""
    photo = np.asarray(Image.open(augreg.data.sample_photo()).convert("RGB"))  # 300 x 451
    if 1.0 in values_of(pipeline, "max_pixel_value"):
        photo = np.float32(photo / 255.0)
    mask = np.zeros(photo.shape[:2], np.uint8)
    mask[85:220, 120:300] = 1
    mask[:40] = 2
    return {
        "image": photo, "mask": mask, "boxes": [[120.0, 85.0, 300.0, 220.0], [20.0, 200.0, 110.0, 280.0]],
        "keypoints": [[172.5, 114.5], [315.5, 133.5], [240.5, 250.5]],
    }  # fmt: skip


def thumbnail(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A small copy, whose pixels are means."""
    return cv2.resize(array.astype(np.float32), (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)


def numbers(found: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of one result; the image is height x width x channels, from 0 to 255 or normalized."""
    image = np.asarray(found["image"])
    if image.ndim == 3 and image.shape[0] < 5 <= image.shape[2]:
        image = np.moveaxis(image, 0, 2)
    image = np.atleast_3d(image.astype(np.float32))
    made = {"height": image.shape[0], "width": image.shape[1]}
    for channel in range(image.shape[2]):
        made |= {f"mean {channel}": image[..., channel].mean(), f"deviation {channel}": image[..., channel].std()}
    made["contrast x"] = np.abs(np.diff(image, axis=1)).mean()
    made["contrast y"] = np.abs(np.diff(image, axis=0)).mean()
    made |= {f"image {place}": value for place, value in np.ndenumerate(thumbnail(image.mean(2)))}
    for value in (1, 2):
        where = thumbnail(np.asarray(found["mask"]) == value)
        made |= {f"mask {value} {place}": part for place, part in np.ndenumerate(where)}
    made["boxes"] = len(found["boxes"])
    for name, size in (("boxes", 4), ("keypoints", 2)):
        sums = np.asarray(found[name], dtype=np.float64).reshape(-1, size).sum(0)
        made |= {f"{name}, coordinate {axis}": value for axis, value in enumerate(sums)}
    return {key: float(value) for key, value in made.items()}


def seed_apart(transform: Any, seeds: Iterator[int] | None = None) -> None:
    """Give each transform a seed of its own: with one for all, those of albumentations draw the same numbers."""
    seeds = seeds or itertools.count(137)
    transform.set_random_seed(next(seeds))
    for child in transform.transforms if isinstance(transform, A.BaseCompose) else ():
        seed_apart(child, seeds)


def theirs(pipeline: Mapping[str, Any]) -> Callable[[int], Mapping[str, Any]]:
    """A function that draws by albumentations; boxes are xyxy and points at pixel centers, as in augreg."""
    values = dict(pipeline["transform"])
    values["bbox_params"] = {**(values["bbox_params"] or {}), "format": "pascal_voc", "label_fields": None}
    values["keypoint_params"] = {**(values["keypoint_params"] or {}), "format": "xy", "label_fields": None}
    values["keypoint_params"] |= {"remove_invisible": False}
    values["additional_targets"] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compose = A.from_dict({**pipeline, "transform": values})
    seed_apart(compose)
    given = scene(pipeline)

    def draw(number: int) -> Mapping[str, Any]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = compose(
                image=given["image"], mask=given["mask"], bboxes=np.array(given["boxes"]),
                keypoints=np.array(given["keypoints"]) - 0.5,
            )  # fmt: skip
        return {**found, "boxes": np.asarray(found["bboxes"])[:, :4], "keypoints": found["keypoints"][:, :2] + 0.5}

    return draw


def ours(pipeline: Mapping[str, Any]) -> Callable[[int], Mapping[str, Any]]:
    """A function that draws by augreg."""
    spec = augreg.from_albumentations(pipeline).spec
    targets = {**spec.get("targets", {}), "boxes": "xyxy", "keypoints": "keep"}
    pipe = augreg.Pipeline.from_spec({**spec, "targets": {**targets, "labels": []}, "output": "numpy"})
    given = scene(pipeline)
    return lambda number: pipe.train(given, index=number)


def differences(pipeline: Mapping[str, Any], draws: int) -> list[str]:
    """The numbers whose means differ, with both means and the difference in standard errors."""
    results = []
    for library in (theirs(pipeline), ours(pipeline)):
        made = [numbers(library(number)) for number in range(draws)]
        keys = sorted({key for one in made for key in one})
        results.append({key: np.array([one.get(key, 0.0) for one in made]) for key in keys})
    there, here = results
    if there.keys() != here.keys():
        return [f"only one library has {sorted(there.keys() ^ here.keys())}"]
    lines = []
    photo = np.asarray(Image.open(augreg.data.sample_photo()))
    step = STEP * float(there["deviation 0"].mean()) / float(photo[..., 0].std())
    mirrored = any(mode in MIRRORED for mode in values_of(pipeline, "border_mode"))
    shuffled = "RandomGridShuffle" in values_of(pipeline, "__class_fullname__")
    for key, first in there.items():
        if (mirrored and key.startswith(("boxes", "keypoints"))) or (shuffled and key.startswith("boxes")):
            continue
        second = here[key]
        part = PART * size_of(first, second)
        if key.startswith(("mean", "image", "deviation", "contrast")):
            part = max(part, step)
        error = np.sqrt((first.var() + second.var()) / draws)
        apart = abs(first.mean() - second.mean())
        if apart > ERRORS * error and apart > part:
            means = f"{first.mean():.4g} in albumentations, {second.mean():.4g} here"
            lines.append(f"{key}: {means}, {apart / (error + 1e-9):.1f} standard errors")
    return lines


def size_of(first: np.ndarray[Any, Any], second: np.ndarray[Any, Any]) -> float:
    """The range of a number over the draws of both libraries, or the number itself if it is larger."""
    return max(float(np.ptp(np.concatenate([first, second]))), abs(float(first.mean())))


def values_of(values: Any, key: str) -> Iterator[Any]:
    """Every value under a key, at any depth."""
    for name, value in values.items() if isinstance(values, Mapping) else enumerate(values):
        if name == key:
            yield value
        if isinstance(value, Mapping | list):
            yield from values_of(value, key)


def main() -> int:
    """Compare the pipelines that come over whole; the exit code is 1 if a number differs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--only", type=int, nargs="*", help="the numbers of pipelines")
    arguments = parser.parse_args()
    bad = compared = refused = 0
    for number, pipeline in enumerate(imported.albumentations()):
        if not pipeline["__version__"].startswith("2.") or number not in (arguments.only or [number]):
            continue
        counts = imported.count([pipeline], augreg.from_albumentations)
        if not counts.whole:
            continue
        try:
            theirs(pipeline)(0)
        except Exception as error:
            refused += 1
            print(f"{number}: albumentations refuses the photo: {error}", flush=True)
            continue
        compared += 1
        try:
            lines = differences(pipeline, arguments.draws)
        except Exception as error:
            lines = [f"{type(error).__name__}: {error}"]
        bad += bool(lines)
        print(f"{number}: {'the same' if not lines else 'DIFFERS'}", *lines, sep="\n    ", flush=True)
    print(f"{compared} pipelines over {arguments.draws} draws: {compared - bad} the same, {bad} differ")
    print(f"{refused} not compared")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
