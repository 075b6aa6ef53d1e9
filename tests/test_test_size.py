"""The size of test images at which objects look as in training: ratios by hand, and a model that depends on size."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import augreg
from augreg import ops
from augreg.errors import ImageError
from augreg.expectation.image_size.apparent_size import magnification, test_magnification as at_test_time
from augreg.expectation.image_size.enlarged import with_test_size
from augreg.ops import Scene

torch = pytest.importorskip("torch")
from augreg import expectation  # noqa: E402

NORMALIZE = {"normalize": "half"}


def crop(**arguments: Any) -> augreg.Pipeline:
    return augreg.Pipeline.from_spec(
        [{"random_resized_crop": {"size": 224, **arguments}}, "horizontal_flip", NORMALIZE]
    )


def test_the_standard_crop_of_square_photos_needs_277_pixels() -> None:
    """Without other aspect ratios, no crop is refused: E[sqrt(area)] = (2/3) (1 - 0.08^1.5) / 0.92 = 0.708."""
    report = expectation.test_size(crop(ratio=[1, 1]), draws=1024)
    assert report.ratio == pytest.approx(2 / 3 * (1 - 0.08**1.5) / 0.92 / 0.875, abs=1e-3)
    assert (report.size, report.corrected_size) == ((224, 224), (277, 277))
    assert report.pipe is not None
    assert report.pipe.test.plan((500, 500)).after.size == (277, 277)
    assert report.pipe.train.plan((500, 500), 3) == crop(ratio=[1, 1]).train.plan((500, 500), 3)
    low, high = (math.sqrt(0.08 + 0.92 * quantile) / 0.875 for quantile in (0.1, 0.9))
    assert (report.low, report.high) == pytest.approx((low, high), abs=0.01)


def test_crops_that_do_not_fit_are_drawn_again() -> None:
    """Aspect ratios refuse large areas of a square photo: E over what is accepted, by a sum over a fine grid."""
    areas = np.linspace(0.08, 1, 2001)[:, None]
    root = np.exp(np.linspace(math.log(3 / 4), math.log(4 / 3), 2001) / 2)[None]
    fits = (np.sqrt(areas) * root <= 1) & (np.sqrt(areas) / root <= 1)
    once = (np.sqrt(areas) * fits).sum() / fits.sum()
    missed = (1 - fits.mean()) ** 10  # then the whole square is taken
    expected = ((1 - missed) * once + missed) / 0.875
    assert expectation.test_size(crop(), draws=2048).ratio == pytest.approx(expected, abs=3e-3)


def test_the_ratio_is_that_of_the_images() -> None:
    """A wide photo: the crop is a fraction of the area, and the test image is one of the shorter side."""
    images = [np.zeros((100, 400, 3), np.uint8)]
    pipe = augreg.Pipeline.from_spec([{"random_resized_crop": {"size": 50, "scale": [0.04, 0.04], "ratio": [1, 1]}}])
    # training shows 40 pixels of the photo in 50, testing 100 * 0.875 in 50: as 57 / 50
    assert expectation.test_size(pipe, images=images).ratio == pytest.approx((57 / 100) / (50 / 40), rel=0.01)


def test_other_steps_count_too() -> None:
    affine = augreg.Pipeline.from_spec([{"affine": {"degrees": 0, "scale": [0.5, 1.5]}}, NORMALIZE])
    report = expectation.test_size(affine, draws=1024)
    assert report.ratio == pytest.approx(math.log(3), abs=2e-3)  # E[1 / s] for s uniform in 0.5..1.5
    assert report.pipe is None and "add a resize at test time" in report.note
    steps = ["horizontal_flip", "rotate", {"random_crop": {"size": 24, "padding": 4}}, NORMALIZE]
    rigid = augreg.Pipeline.from_spec(steps)
    assert expectation.test_size(rigid).ratio == pytest.approx(1.0)
    half = augreg.Pipeline.from_spec([{"resize": {"size": 100, "p": 0.5, "test": "off"}}, {"resize": 50}, NORMALIZE])
    assert expectation.test_size(half).ratio == pytest.approx(1.0)


def test_magnifications_by_hand() -> None:
    scene = Scene(100, 200)
    assert magnification([ops.crop(0, 0, 50, 50), ops.resize(100, 100)], scene) == pytest.approx(2.0)
    assert magnification([ops.resize(50, 400)], scene) == pytest.approx(1.0)  # the root of 1/2 times 2
    assert at_test_time(crop().steps, Scene(448, 512)) == (pytest.approx(256 / 448, rel=2e-3), (224, 224))
    doubled = ops.Warp((0.5, 0.0, 3.0, 0.0, 0.5, -7.0, 0.0, 0.0), 100, 200)  # each pixel shows half a pixel
    assert magnification([doubled], scene) == pytest.approx(2.0)
    # x / (1 + x / 100) at the output x = 100: the slope of its own inverse map is 1 / 4, in y it is 1 / 2
    tilted = ops.Warp((1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.01, 0.0), 100, 200)
    assert magnification([tilted], scene) == pytest.approx(math.sqrt(4 * 2))


@pytest.mark.parametrize(
    ("steps", "shown"),
    [
        (
            [{"random_resized_crop": {"size": 64, "test": "off"}}, {"resize": {"shorter": 70}}, {"center_crop": 60}],
            60,
        ),
        ([{"random_resized_crop": {"size": 64, "test": [{"resize": {"shorter": 70}}, {"center_crop": 60}]}}], 60),
        ([{"sequential": [{"random_resized_crop": {"size": 64}}]}, {"pad": 8}], 80),
        ([{"random_resized_crop": {"size": 64, "crop": 0.8}}], 64),
    ],
)
def test_every_length_of_the_test_side_is_enlarged(steps: list[Any], shown: int) -> None:
    pipe = augreg.Pipeline.from_spec([*steps, NORMALIZE])
    larger = with_test_size(pipe, 1.5)
    assert pipe.test.plan((300, 300)).after.size == (shown, shown)
    assert larger.test.plan((300, 300)).after.size == (shown * 3 // 2, shown * 3 // 2)
    assert larger.train.plan((300, 300), 5).ops == pipe.train.plan((300, 300), 5).ops
    now, then = (at_test_time(one.steps, Scene(300, 300))[0] for one in (pipe, larger))
    assert then / now == pytest.approx(1.5, rel=0.01)


class Matcher(torch.nn.Module):  # type: ignore[misc]
    """Tells a square from a disk of a given size: the largest response of each template, anywhere in the image."""

    def __init__(self, side: int) -> None:
        super().__init__()
        at = torch.arange(side + 6) - (side + 5) / 2
        square = (at.abs()[:, None] <= side / 2) & (at.abs()[None] <= side / 2)
        disk = at[:, None] ** 2 + at[None] ** 2 <= side**2 / math.pi  # of the same area
        templates = torch.stack([square, disk]).float()[:, None]
        templates = templates - templates.mean((2, 3), keepdim=True)
        self.templates = torch.nn.Parameter(templates / templates.norm(dim=(2, 3), keepdim=True))

    def forward(self, x: Any) -> Any:
        return torch.nn.functional.conv2d(x.mean(1, keepdim=True), self.templates).amax((2, 3))


def shapes(count: int, side: int) -> tuple[list[np.ndarray], list[int]]:
    """Squares and disks of one area on noise, anywhere near the center."""
    rng = np.random.default_rng(0)
    images, labels = [], []
    at = np.arange(96)
    for number in range(count):
        y, x = rng.integers(-8, 9, 2) + 48
        down, across = np.abs(at - y)[:, None], np.abs(at - x)[None]
        square = (down <= side / 2) & (across <= side / 2)
        disk = down**2 + across**2 <= side**2 / math.pi
        shape = square if number % 2 == 0 else disk
        noise = rng.normal(0, 50, (96, 96, 1))
        images.append(np.clip(100 + 60 * shape[..., None] + noise, 0, 255).astype(np.uint8).repeat(3, 2))
        labels.append(number % 2)
    return images, labels


def test_a_model_that_knows_one_size_is_better_at_the_corrected_size() -> None:
    """The model has seen shapes of 24 pixels, as training crops show them; the test image shows them smaller."""
    images, labels = shapes(200, 24)
    crops = {"random_resized_crop": {"size": 64, "scale": [0.25, 0.25], "ratio": [1, 1], "crop": 0.75}}
    pipe = augreg.Pipeline.from_spec([crops, NORMALIZE])
    model = Matcher(round(24 * 64 / 48)).train()  # training shows half of the sides, 48 pixels, in 64
    report = expectation.test_size(pipe, model, images, labels)
    assert model.training
    assert report.ratio == pytest.approx((64 / 0.75 / 96) / (64 / 48), rel=0.01)  # 2/3
    assert report.corrected_size == (96, 96) and report.images == 200
    assert report.accuracy is not None and report.corrected_accuracy is not None
    assert report.difference == pytest.approx(report.corrected_accuracy - report.accuracy)
    assert report.difference is not None and report.standard_error is not None
    assert report.difference > 4 * report.standard_error > 0
    pairs = np.repeat([1, -1, 0], [report.gained, report.lost, 200 - (report.gained or 0) - (report.lost or 0)])
    assert report.standard_error == pytest.approx(pairs.std(ddof=1) / math.sqrt(200))
    assert "96x96" in str(report) and "difference of the accuracies on 200 images: +" in str(report)
    assert report.as_dict()["corrected_accuracy"] == report.corrected_accuracy


def test_a_model_of_one_size_is_not_measured_at_another() -> None:
    images, labels = shapes(4, 24)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 64 * 64, 2))
    pipe = augreg.Pipeline.from_spec([{"random_resized_crop": 64}, NORMALIZE])
    report = expectation.test_size(pipe, model, images, labels, draws=64)
    assert report.accuracy is not None and report.corrected_accuracy is None and report.difference is None
    assert report.note.startswith("the model does not take images of the corrected size: mat1 and mat2 shapes")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": torch.nn.Identity()}, "give the model, images and labels"),
        ({"images": []}, "there are no images"),
        ({"images": [np.zeros((9, 9, 3), np.uint8)], "labels": [1, 2]}, "there are 1 images and 2 labels"),
        ({"images": [np.zeros((9, 9, 3), np.uint8)], "labels": [0.5]}, "labels must be class numbers"),
        ({"draws": 0}, "draws must be at least 1, got 0"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        expectation.test_size(crop(), **arguments)


def half_of(array: np.ndarray) -> np.ndarray:
    return array[: array.shape[0] // 2]


@augreg.transform("halved", kind="geometry")
class Halved:
    """Leaves a size that is known only once it ran."""

    def sample(self, rng: Any, scene: Any) -> Any:
        return ops.call(half_of, geometry=True)


def test_a_step_of_unknown_size_is_named() -> None:
    pipe = augreg.Pipeline.from_spec(["halved", {"resize": 8}], augreg.Registry.installed().add(Halved))
    with pytest.raises(ImageError, match="halved#0: the size that it leaves is not known before it runs"):
        expectation.test_size(pipe)


def test_a_step_that_is_off_at_test_time_stays_as_it_is() -> None:
    pipe = augreg.Pipeline.from_spec([{"random_resized_crop": {"size": 64, "test": "off"}}, {"resize": {"size": 70}}])
    first, second = with_test_size(pipe, 2.0).to_spec()["image"]
    assert first == pipe.to_spec()["image"][0]
    assert second["resize"]["size"] == [70, 70] and second["resize"]["test"][0]["resize"]["size"] == [140, 140]
