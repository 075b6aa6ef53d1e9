"""Skew: how test images differ from those of a pipeline. What functions do is written with Pillow and NumPy here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import augreg
from augreg.errors import ImageError

PHOTOS = [Path(__file__).parents[1] / "gallery" / "photos" / f"{name}.jpg" for name in ("chelsea", "coffee")]
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
BILINEAR, BICUBIC, NEAREST = Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.NEAREST


def pipeline(steps: Any = (), **options: Any) -> augreg.Pipeline:
    """Resizes the shorter side to 64 and crops 56, with Pillow, whose filters are those of the functions."""
    image = [{"resize": {"shorter": 64}}, {"center_crop": 56}, {"normalize": "imagenet"}]
    return augreg.Pipeline.from_spec({"image": list(steps) or image, "backend": "pillow", **options})


def resized(path: Any, shorter: int = 64, filter: Any = BILINEAR) -> Image.Image:
    photo = Image.open(path)
    width, height = photo.size
    size = (shorter, int(shorter * height / width)) if width <= height else (int(shorter * width / height), shorter)
    return photo.resize(size, filter)


def cropped(image: Image.Image, size: int = 56) -> np.ndarray:
    left, top = round((image.width - size) / 2), round((image.height - size) / 2)
    return np.asarray(image.crop((left, top, left + size, top + size))) / 255.0


def normalized(array: np.ndarray) -> np.ndarray:
    return ((array - MEAN) / STD).transpose(2, 0, 1)


def names(skew: augreg.expectation.Skew) -> dict[str, str]:
    return {one.what: one.found for one in skew.differences}


MISTAKES: dict[str, tuple[Callable[[Any], np.ndarray], dict[str, str]]] = {
    "bicubic": (lambda path: normalized(cropped(resized(path, filter=BICUBIC))), {"resize filter": "bicubic"}),
    "nearest": (lambda path: normalized(cropped(resized(path, filter=NEAREST))), {"resize filter": "nearest"}),
    "BGR": (lambda path: normalized(cropped(resized(path))[..., ::-1]), {"channel order": "BGR"}),
    "BGR after the normalization": (
        lambda path: normalized(cropped(resized(path)))[::-1],
        {"channel order": "BGR", "normalization": "the numbers of the channels in reversed order"},
    ),
    "not normalized": (
        lambda path: cropped(resized(path)).transpose(2, 0, 1),
        {"normalization": "none, values from 0 to 1"},
    ),
    "bytes": (
        lambda path: 255 * cropped(resized(path)).transpose(2, 0, 1),
        {"normalization": "none, values from 0 to 255"},
    ),
    "normalized bytes": (
        lambda path: normalized(255 * cropped(resized(path))),
        {"normalization": "the same numbers, on values from 0 to 255"},
    ),
    "from -1 to 1": (
        lambda path: 2 * cropped(resized(path)).transpose(2, 0, 1) - 1,
        {"normalization": "that of half (mean 0.5)"},
    ),
    "other statistics": (
        lambda path: ((cropped(resized(path)) - (0.4, 0.5, 0.3)) / (0.2, 0.25, 0.4)).transpose(2, 0, 1),
        {"normalization": "about mean 0.4, 0.5, 0.3 and std 0.2, 0.25, 0.4"},
    ),
    "stretched": (
        lambda path: normalized(np.asarray(Image.open(path).resize((56, 56), BILINEAR)) / 255.0),
        {"crop": "resize to 56x56 (100.0 % x 100.0 % of the image, stretched 0.67 times in width)"},
    ),
    "stretched, then cropped": (
        lambda path: normalized(cropped(Image.open(path).resize((64, 64), BILINEAR))),
        {
            "crop": "resize to 64x64, crop 56x56 at (4, 4) (87.5 % x 87.5 % of the image, "
            "stretched 0.67 times in width)"
        },
    ),
    "a narrow margin": (
        lambda path: normalized(cropped(resized(path, 58))),
        {"crop": "resize to 58x87, crop 56x56 at (1, 16) (96.6 % x 64.4 % of the image)"},
    ),
    "no margin": (
        lambda path: normalized(cropped(resized(path, 56))),
        {"crop": "resize to 56x84, crop 56x56 at (0, 14) (100.0 % x 66.7 % of the image)"},
    ),
    "gray": (
        lambda path: normalized(cropped(resized(path).convert("L").convert("RGB"))),
        {"channel order": "gray"},
    ),
    "all at once": (
        lambda path: np.asarray(Image.open(path).resize((56, 56), BICUBIC))[..., ::-1].transpose(2, 0, 1) / 255.0,
        {
            "crop": "resize to 56x56 (100.0 % x 100.0 % of the image, stretched 0.67 times in width)",
            "resize filter": "bicubic",
            "channel order": "BGR",
            "normalization": "none, values from 0 to 1",
        },
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_and_measured(name: str) -> None:
    function, expected = MISTAKES[name]
    pipe = pipeline()
    skew = augreg.skew(pipe, function, PHOTOS[:1])
    assert names(skew) == expected
    difference = np.abs(function(PHOTOS[0]) - normalized(cropped(resized(PHOTOS[0])))).mean()
    assert skew.total.pixels == pytest.approx(difference, rel=1e-5)
    tolerance = 0.01 if name in ("gray", "other statistics") else 1e-5  # one is rounded, the other fitted
    assert skew.residual is not None and skew.residual < tolerance * max(1.0, difference)
    if len(expected) == 1:
        assert skew.differences[0].effect.pixels == pytest.approx(difference, rel=0.02)
    for what, found in expected.items():
        assert f"{what}: {found} instead of " in str(skew)


def test_a_function_that_does_the_same_has_no_skew() -> None:
    skew = augreg.skew(pipeline(), lambda path: normalized(cropped(resized(path))), PHOTOS)
    assert not skew and not skew.differences and skew.total.pixels is not None and skew.total.pixels < 1e-6
    assert str(skew).startswith("no skew")


def test_what_no_known_mistake_explains_remains() -> None:
    def function(path: Any) -> np.ndarray:
        return normalized(cropped(resized(path)))[:, ::-1]  # upside down

    skew = augreg.skew(pipeline(), function, PHOTOS)
    assert skew and skew.residual == pytest.approx(skew.total.pixels)
    assert skew.differences == (), "no other normalization explains it"
    assert "remains unexplained" in str(skew)


def test_antialiasing_is_told_from_the_filter() -> None:
    other = pipeline(
        [{"resize": {"shorter": 64, "antialias": False}}, {"center_crop": 56}, {"normalize": "imagenet"}]
    )
    assert names(augreg.skew(pipeline(), other.test, PHOTOS)) == {"antialiasing": "off"}
    assert names(augreg.skew(pipeline(), other, PHOTOS)) == {"antialiasing": "off"}


def test_another_size_is_named_with_the_crop() -> None:
    skew = augreg.skew(pipeline(), lambda path: normalized(cropped(resized(path), 64)), PHOTOS[:1])
    assert names(skew) == {"crop and size": "resize to 64x96, crop 64x64 at (0, 16) (100.0 % x 66.7 % of the image)"}
    assert skew.total.pixels is None and skew.residual == pytest.approx(0, abs=1e-6)


def test_other_layouts_and_kinds_of_images_are_understood() -> None:
    torch = pytest.importorskip("torch")
    pipe = pipeline()

    def from_array(array: Any) -> Any:
        if not isinstance(array, np.ndarray):
            raise TypeError("no array")
        return torch.from_numpy(normalized(cropped(Image.fromarray(array[..., ::-1].copy())))[None].copy())

    small = [np.asarray(resized(path)) for path in PHOTOS]
    assert names(augreg.skew(pipe, from_array, small)) == {"channel order": "BGR"}
    channels_last = augreg.skew(pipe, lambda path: cropped(resized(path)), PHOTOS)
    assert names(channels_last) == {"normalization": "none, values from 0 to 1"}
    assert channels_last.notes == (
        "the function returns height x width x channels; the pipeline, channels x height x width",
    )
    from_pillow = augreg.skew(pipe, lambda image: normalized(cropped(resized_again(image))), PHOTOS)
    assert not from_pillow


def resized_again(image: Image.Image) -> Image.Image:
    """As `resized`, of an image; a path has no size."""
    return image.resize((int(64 * image.size[0] / image.size[1]), 64), BILINEAR)


def test_the_arrays_of_the_caller_are_not_written_to() -> None:
    array = np.asarray(resized(PHOTOS[0])).copy()
    before = array.copy()

    def writes(given: Any) -> np.ndarray:
        given[:] = 0
        return np.zeros((3, 56, 56))

    assert augreg.skew(pipeline(), writes, [array])
    np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize(
    ("other", "images", "message"),
    [
        ("resize", PHOTOS, "expected a pipeline, or a function from an image to the model's input, got 'resize'"),
        (lambda image: None, PHOTOS, "the function must return an image with 1 or 3 channels, got NoneType"),
        (lambda image: np.zeros((5, 5, 5)), PHOTOS, "got ndarray of shape (5, 5, 5)"),
        (lambda image: np.full((3, 56, 56), np.nan), PHOTOS, "must return finite pixel values, got nan or infinity"),
        (lambda image: np.zeros((3, 5, 5)), [], "a function is compared by its results: give some images"),
        (lambda: None, PHOTOS, "the function takes neither kind of image; the image as given (PosixPath): TypeError"),
    ],
)
def test_what_cannot_be_compared_is_refused(other: Any, images: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError)) as raised:
        augreg.skew(pipeline(), other, images)
    assert message in str(raised.value)


def test_images_with_alpha_are_compared_with_pipelines_only() -> None:
    pipe = pipeline([{"resize": {"size": 8}}], channels="rgba")
    with pytest.raises(ValueError, match="with 1 or 3 channels, and those of the pipeline have 4: compare it with a"):
        augreg.skew(pipe, lambda path: np.zeros((3, 8, 8)), PHOTOS[:1])


def test_a_mean_image_is_compared_with_pipelines_only() -> None:
    mean = np.full((8, 8, 3), 0.5).tolist()
    pipe = pipeline([{"resize": {"size": 8}}, {"normalize": {"mean_image": mean}}])
    with pytest.raises(ValueError, match="mean image can be compared with pipelines only"):
        augreg.skew(pipe, pipe.test, PHOTOS)
    other = pipeline([{"resize": {"size": 8}}, {"normalize": {"mean": 0.5, "std": 0.5}}])
    assert names(augreg.skew(pipe, other, PHOTOS)) == {"normalization": "mean 0.5 and std 0.5"}


# Two pipelines.

OTHER = [
    {"resize": {"shorter": 56, "interpolation": "bicubic", "antialias": False}},
    {"center_crop": 56},
    {"normalize": {"mean": 0.5, "std": 0.25}},
]
EXPECTED = {
    "resize filter": ("bilinear", "bicubic"),
    "antialiasing": ("on", "off"),
    "crop": (
        "resize to 64x96, crop 56x56 at (4, 20) (87.5 % x 58.3 % of the image)",
        "resize to 56x84, crop 56x56 at (0, 14) (100.0 % x 66.7 % of the image)",
    ),
    "normalization": ("mean 0.485, 0.456, 0.406 and std 0.229, 0.224, 0.225", "mean 0.5 and std 0.25"),
}


def test_pipelines_are_compared_step_by_step() -> None:
    skew = augreg.skew(pipeline(), pipeline(OTHER), PHOTOS[:1])
    assert {one.what: (one.expected, one.found) for one in skew.differences} == EXPECTED
    alone = {
        "resize filter": normalized(cropped(resized(PHOTOS[0], filter=BICUBIC))),
        "crop": normalized(cropped(resized(PHOTOS[0], 56))),
        "normalization": ((cropped(resized(PHOTOS[0])) - 0.5) / 0.25).transpose(2, 0, 1),
    }
    ours = normalized(cropped(resized(PHOTOS[0])))
    for one in skew.differences:
        if one.what in alone:
            assert one.effect.pixels == pytest.approx(np.abs(alone[one.what] - ours).mean(), rel=1e-5), one.what
    assert skew.residual == 0.0


def test_without_images_the_differences_are_named_all_the_same() -> None:
    skew = augreg.skew(pipeline(), pipeline(OTHER))
    assert [one.what for one in skew.differences] == list(EXPECTED)
    assert skew.images == 0 and all(one.effect.pixels is None for one in skew.differences)
    assert "alone" not in str(skew)
    half = [{"resize": {"size": 64}}, {"normalize": "half"}]
    assert names(augreg.skew(pipeline(half), pipeline(half, channels="rgba"))) == {"channels": "rgba"}


def test_what_only_training_draws_is_no_skew() -> None:
    steps = [{"random_resized_crop": 56}, {"normalize": "imagenet"}]
    noisy = [
        {"random_resized_crop": {"size": 56, "scale": [0.5, 1.0]}}, "horizontal_flip",
        {"color_jitter": {"brightness": 0.4}}, {"normalize": "imagenet"}, {"cutout": 0.5},
    ]  # fmt: skip
    assert not augreg.skew(pipeline(steps), pipeline(noisy), PHOTOS)
    assert not augreg.skew(pipeline(steps), pipeline(noisy))
    assert not augreg.skew(pipeline(steps, seed=3), pipeline(steps, classes=7, batch=["mixup"]))


def test_channels_backend_and_other_steps_are_named() -> None:
    half = [{"resize": {"shorter": 64}}, {"center_crop": 56}, {"normalize": "half"}]
    assert names(augreg.skew(pipeline(half, channels="gray"), pipeline(half), PHOTOS)) == {"channels": "rgb"}
    inverted = [{"resize": {"shorter": 64}}, "invert", {"center_crop": 56}, {"normalize": "imagenet"}]
    skew = augreg.skew(pipeline(), pipeline(inverted), PHOTOS[:1])
    assert names(skew) == {"other steps": "invert"}
    values = cropped(resized(PHOTOS[0]))
    effect = np.abs(normalized(1 - values) - normalized(values)).mean()
    assert skew.differences[0].effect.pixels == pytest.approx(effect, rel=1e-5)
    pytest.importorskip("cv2")
    assert names(augreg.skew(pipeline(), pipeline(backend="opencv"), PHOTOS)) == {"backend": "opencv"}


def test_a_step_of_unknown_size_is_refused() -> None:
    from tests.test_gallery import Halve

    registry = augreg.Registry.installed().add(Halve)
    pipe = augreg.Pipeline.from_spec(["halve", {"resize": 8}, {"normalize": "imagenet"}], registry)
    with pytest.raises(ImageError, match="halve#0: the size that it leaves is not known before it runs"):
        augreg.skew(pipe, pipe.replace(backend="pillow", image=["halve", {"resize": 9}]), PHOTOS)


def test_the_change_of_predictions_is_that_of_the_model() -> None:
    torch = pytest.importorskip("torch")

    class Brightness(torch.nn.Module):  # type: ignore[misc]
        """Class 1 for bright images: logits 0 and the mean pixel value."""

        def forward(self, x: Any) -> Any:
            bright = x.mean((1, 2, 3))
            return torch.stack([torch.zeros_like(bright), bright], 1)

    model = Brightness().train()
    pipe = pipeline()
    images = [np.full((64, 64, 3), value, np.uint8) for value in (0, 80, 160, 255)]
    means = [float(((value / 255 - MEAN) / STD).mean()) for value in (0, 80, 160, 255)]
    bytes_means = [value / 255 for value in (0, 80, 160, 255)]
    probabilities, others = (1 / (1 + np.exp(-np.array(values))) for values in (means, bytes_means))
    skew = augreg.skew(pipe, lambda image: cropped(Image.fromarray(image)).transpose(2, 0, 1), images, model)
    assert model.training
    assert skew.total.total_variation == pytest.approx(np.abs(probabilities - others).mean(), rel=1e-5)
    # 0 is a tie for the model without normalization, which is class 0; 80 becomes class 1
    assert skew.total.agreement == 0.75
    assert "25.0 % of the predictions (total variation" in str(skew)
    assert skew.as_dict()["total"]["agreement"] == 0.75


def test_skew_needs_no_torch() -> None:
    import subprocess
    import sys

    program = (
        "import augreg, sys, numpy as np\n"
        "pipe = augreg.Pipeline.from_spec([{'resize': {'size': 8}}, {'normalize': 'imagenet'}])\n"
        "assert not augreg.skew(pipe, pipe.test, [np.zeros((9, 9, 3), np.uint8)])\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_noise_is_no_other_normalization_or_filter() -> None:
    noise = np.random.default_rng(2).normal(0, 0.3, (3, 56, 56))
    skew = augreg.skew(pipeline(), lambda path: normalized(cropped(resized(path))) + noise, PHOTOS)
    assert skew.differences == ()
    assert skew.residual == pytest.approx(np.abs(noise).mean(), rel=1e-5)


def test_a_pipeline_that_moves_nothing_is_compared_with_one_that_flips() -> None:
    flipped = pipeline([{"horizontal_flip": {"p": 1.0}}, {"normalize": "imagenet"}])
    array = np.asarray(resized(PHOTOS[0]))
    skew = augreg.skew(pipeline([{"normalize": "imagenet"}]), flipped, [array])
    (difference,) = skew.differences
    values = normalized(array / 255.0)
    assert difference.effect.pixels == pytest.approx(np.abs(values[..., ::-1] - values).mean(), rel=1e-5)


def test_nearest_has_no_antialiasing_to_differ_in() -> None:
    from augreg.expectation.preprocessing.guesses import Guess

    own = Guess("own", "bilinear", True, "RGB")
    assert own._replace(interpolation="nearest", antialias=False).changes(own) == 1
    assert own._replace(interpolation="bicubic", antialias=False, crop=1.0).changes(own) == 3
