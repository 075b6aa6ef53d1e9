"""Mean images on the gallery page, and images that it shows several times but contains once."""

from __future__ import annotations

import base64
import io
import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import augreg
from augreg import gallery, ops
from augreg.gallery.captions import describe_ops
from augreg.gallery.means import MEAN_DRAWS, mean_of_draws
from augreg.gallery.repeated_images import repeated_images, style_of
from augreg.images.thumbnails import thumbnail
from augreg.registry.discovery import Contributions
from augreg.registry.registry import Registry

PHOTO = np.random.default_rng(5).integers(0, 256, (12, 18, 3), np.uint8)


def naive_mean(pipe: augreg.Pipeline, photo: NDArray[Any]) -> NDArray[Any]:
    """The mean of the images of all indices, one after the other."""
    return np.mean([pipe.train(photo, index=index) for index in range(MEAN_DRAWS)], axis=0)


def test_the_mean_of_a_flip_is_a_ghost_of_two_images() -> None:
    pipe = augreg.Pipeline.from_spec({"image": ["horizontal_flip"], "output": "numpy"})
    mean, _, results = mean_of_draws(pipe, PHOTO)
    flips = sum(bool(pipe.train.plan((12, 18), index).ops) for index in range(MEAN_DRAWS))
    assert results == 2 and 36 < flips < 92  # 5 standard deviations of a binomial with n = 128, p = 1/2 are 28
    expected = (PHOTO * (float(MEAN_DRAWS) - flips) + PHOTO[:, ::-1] * float(flips)) / MEAN_DRAWS
    assert np.abs(mean - expected).max() <= 0.5


@pytest.mark.parametrize("step", [{"brightness": [0.5, 1.5]}, {"median_blur": [3, 5]}, {"translate_x": [-0.5, 0.5]}])
def test_the_mean_is_that_of_the_images_of_training(step: Any) -> None:
    pipe = augreg.Pipeline.from_spec({"image": [step], "output": "numpy"})
    assert np.abs(mean_of_draws(pipe, PHOTO)[0] - naive_mean(pipe, PHOTO)).max() <= 0.5


def test_a_normalized_image_has_the_mean_of_what_is_shown() -> None:
    steps = ["horizontal_flip", {"normalize": "imagenet"}]
    plain = mean_of_draws(augreg.Pipeline.from_spec({"image": steps[:1], "output": "numpy"}), PHOTO)[0]
    assert (
        np.abs(mean_of_draws(augreg.Pipeline.from_spec({"image": steps, "output": "numpy"}), PHOTO)[0] - plain).max()
        <= 1
    )


def test_images_of_several_sizes_have_the_mean_of_those_with_the_size_of_the_test_image() -> None:
    pipe = augreg.Pipeline.from_spec({"image": ["d4"], "output": "numpy"})
    images = [pipe.train(PHOTO, index=index) for index in range(MEAN_DRAWS)]
    wide = [image for image in images if image.shape == PHOTO.shape]
    mean = mean_of_draws(pipe, PHOTO)
    assert np.abs(mean.image - np.mean(wide, axis=0)).max() <= 0.5
    assert (mean.draws, mean.results) == (len(wide), 4) and 36 < len(wide) < 92
    steps = [{"resize": {"size": 6, "p": 0.25, "test": "off"}}, {"resize": {"size": 8, "p": 0.125, "test": "off"}}]
    pipe = augreg.Pipeline.from_spec({"image": [*steps, {"pad": {"padding": 1, "test": "off"}}], "output": "numpy"})
    mean = mean_of_draws(pipe, PHOTO)
    assert mean.image.shape == (14, 20, 3), "none has the size of the test image: the most frequent"


def test_noise_is_averaged_in_a_smaller_image() -> None:
    photo = np.full((200, 260, 3), 128, np.uint8)
    pipe = augreg.Pipeline.from_spec({"image": [{"gaussian_noise": [0.1, 0.1]}], "output": "numpy"})
    mean, _, results = mean_of_draws(pipe, photo)
    assert (mean.shape, results) == ((128, 166, 3), 128)
    # a draw has a standard deviation of 25.5, the mean of 128 one of 2.25
    assert np.abs(mean.astype(float) - 128).std() < 2.6
    assert abs(mean.astype(float).mean() - 128) < 0.2


@augreg.transform("spotted", kind="color", preview=({},))
class Spotted:
    """Inverts the image at random."""

    def sample(self, rng: Any, scene: Any) -> Any:
        return ops.point_function("invert") if rng.bernoulli(0.25) else ()


def rendered(*names: str, added: tuple[type, ...] = ()) -> str:
    installed = Registry.installed()
    registry = Registry(Contributions({name: installed[name] for name in ("invert", *names)}))
    for cls in added:
        registry = registry.add(cls)
    photo = np.random.default_rng(1).integers(0, 256, (64, 80, 3), np.uint8)
    return gallery.render(augreg.Pipeline.from_spec(["invert"]), [photo], registry=registry)


def card(text: str, name: str) -> str:
    start = text.index(f'id="t-{name}"')
    return text[start : text.index("</article>", start)]


def test_cards_of_random_transforms_show_a_mean_beside_the_test_image() -> None:
    text = rendered("horizontal_flip", "rotate", "rot90", added=(Spotted,))
    assert "The mean is that of 128 draws." in text
    for name, caption in (
        ("horizontal_flip", "128 draws, 2 results"),
        ("rotate", "128 draws"),
        ("spotted", "2 results"),
    ):
        shown = card(text, name)
        assert (
            shown.index(">test time<") < shown.index(">mean<") < shown.index('class="label">', shown.index(">mean<"))
        )
        assert caption in shown and "mean of 128 draws" in shown
    assert re.search(r">[4-8]\d draws of this size, 2 results<", card(text, "rot90"))
    assert ">mean<" not in card(text, "invert")  # nothing is random


def test_cards_of_steps_that_see_boxes_show_crops_around_one() -> None:
    text = rendered("iou_crop", "crop_around_boxes")
    for name in ("iou_crop", "crop_around_boxes"):
        assert re.search(r">crop \d+×\d+( to \d+×\d+)?<", card(text, name)), name
    assert "draws of this size" in card(text, "iou_crop")  # with boxes, it is random


def test_captions_name_the_first_of_many_ops() -> None:
    found = [ops.point_function(name) for name in ("invert", "grayscale", "invert", "grayscale", "invert")]
    words = describe_ops([*found, *found]).split(", ")
    assert len(words) == 6 and words[-1] == "and 5 more"
    assert "more" not in describe_ops(found)


def test_captions_merge_repeats_and_leave_out_what_changes_nothing() -> None:
    scene = ops.Scene(40, 60)
    boxes = [ops.paint(scene, 0, left, 2, 5, (0.0,)) for left in range(40)]
    assert describe_ops(boxes) == "40 boxes"
    assert describe_ops(boxes[:2]) == "box 5×2, box 5×2"
    crop, whole = ops.crop(3, 4, 20, 30), ops.crop(0, 0, 40, 60)
    assert describe_ops([crop, ops.resize(8, 9)]) == "crop 30×20 to 9×8"
    assert describe_ops([whole, ops.resize(40, 60), ops.horizontal_flip(scene)], (40, 60)) == "flip left-right"
    assert describe_ops([whole]) == "crop 60×40"  # the size of the image is not known


def test_an_image_that_is_shown_several_times_is_in_the_page_once() -> None:
    text = rendered("horizontal_flip", "vertical_flip", "rotate")
    data = re.findall(r"data:image/webp;base64,[A-Za-z0-9+/=]+", text)
    assert len(data) == len(set(data))
    names = re.findall(r'<img src="data:image/svg[^"]*" class="(i\d+)" width="(\d+)" height="(\d+)"', text)
    assert len(names) > len({name for name, *_ in names}) >= 2
    for name, width, height in names:
        (source,) = re.findall(rf"\.{name} {{ background-image: url\(data:image/webp;base64,([^)]*)\)", text)
        assert Image.open(io.BytesIO(base64.b64decode(source))).size == (int(width), int(height))


def test_repeated_images_are_found_in_nested_parts() -> None:
    one, other = (thumbnail(np.full((4, 6, 3), value, np.uint8), 12) for value in (10, 200))
    found = repeated_images({"a": [(one, "text")], "b": {"c": one, "d": (other,)}})
    assert list(found) == [one.src]
    assert found[one.src].placeholder == (
        "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='12' height='8'/%3E"
    )
    assert f".i0 {{ background-image: url({one.src}); }}" in style_of(found)
    assert style_of(repeated_images([one, other])) == ""


def copied(array: np.ndarray) -> np.ndarray:
    return array.copy()


@augreg.transform("opaque", kind="geometry")
class Opaque:
    """Leaves a size that is known only once it ran, so that later steps are drawn then."""

    def sample(self, rng: Any, scene: Any) -> Any:
        return ops.call(copied, geometry=True)


def test_steps_that_are_drawn_late_count_too() -> None:
    registry = Registry.installed().add(Opaque)
    pipe = augreg.Pipeline.from_spec({"image": ["opaque", "horizontal_flip"], "output": "numpy"}, registry)
    assert np.abs(mean_of_draws(pipe, PHOTO)[0] - naive_mean(pipe, PHOTO)).max() <= 0.5
