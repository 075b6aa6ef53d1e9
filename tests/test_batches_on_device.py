"""`pipe.train.batch` and `pipe.test.batch` give the images that `pipe.train` and `pipe.test` give one by one."""

from __future__ import annotations

import functools
import io
import re
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from pretended_gpu import DEVICE, PretendedGPU, held  # noqa: E402

from augreg import ImageError, Pipeline, Registry, ops, transform  # noqa: E402
from augreg.columns.philox import addresses_of  # noqa: E402
from augreg.devices import transformed, transformed_samples  # noqa: E402
from augreg.devices.preparing import by_kernels  # noqa: E402

EXACT = "native" if "native" in Registry.installed().backends else "pillow"
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
SLOW = {"clahe", "jpeg", "median_blur"}  # they run image by image on the CPU
SIZE = (13, 16)
JITTER = {"color_jitter": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}}
IMAGENET = {"normalize": "imagenet"}
SPECS: tuple[list[Any], ...] = (
    [{"random_resized_crop": 8}, "horizontal_flip", JITTER, IMAGENET],
    [{"random_resized_crop": {"size": 8, "interpolation": "bicubic"}}, "vertical_flip", "grayscale"],
    [{"random_resized_crop": {"size": [6, 9], "interpolation": "lanczos"}}, IMAGENET],
    [{"random_resized_crop": {"size": 8, "interpolation": "nearest"}}, "horizontal_flip"],
    [{"random_resized_crop": {"size": 8, "antialias": False}}, IMAGENET],
    [{"random_resized_crop": 8}, "horizontal_flip", JITTER, {"gaussian_blur": {"p": 0.5}}, {"solarize": {"p": 0.2}}],
    [{"random_resized_crop": 8}, "horizontal_flip", "three_augment", IMAGENET],
    [{"random_resized_crop": 8}, {"timm_policy": "rand-m9-mstd0.5-inc1"}, IMAGENET, "random_erasing"],
    ["horizontal_flip", "vertical_flip", {"random_resized_crop": 8}],
    [JITTER, {"random_resized_crop": 8}, IMAGENET],
    [{"random_crop": {"size": 12, "padding": 3}}, "horizontal_flip", {"normalize": "cifar10"}, {"cutout": 5}],
    [{"random_crop": {"size": 12, "padding": 3, "mode": "reflect"}}, {"auto_augment": "cifar10"}],
    [{"random_crop": {"size": [15, 20], "padding": 2, "fill": [10, 200, 40]}}, {"random_erasing": {"p": 1}}],
    [{"random_crop": 8}, "horizontal_flip", JITTER],
    ["rand_augment", IMAGENET],
    [{"rand_augment": {"m": 14}}, {"random_erasing": {"mode": "const"}}],
    ["trivial_augment_wide", "horizontal_flip"],
    [{"auto_augment": "imagenet"}],
    [{"auto_augment": "svhn"}, {"cutout": {"size": 6, "holes": 2}}],
    [JITTER],
    [{"color_jitter": {"brightness": 0.9}}, {"color_jitter": {"contrast": 0.9}}, IMAGENET],
    [{"resize": 10}, {"random_crop": 8}, IMAGENET],
    [{"resize": {"size": [9, 21]}}, {"center_crop": 8}, "horizontal_flip"],
    [{"resize_within": {"shorter": 20, "longer": 22}}, {"crop_or_pad": 18}],
    [{"longest_max_size": 10}, {"letterbox": 12}],
    [{"resize_keep_ratio": {"size": [12, 10]}}, {"center_crop": 8}],
    [{"center_crop": 10}, "auto_contrast", "equalize"],
    [{"auto_contrast": {"cutoff": 5}}, {"gamma": [0.6, 1.5]}, IMAGENET],
    [{"crop_border": 2}, {"pad": {"padding": 3, "mode": "symmetric"}}],
    [{"rotate": 30}],
    [{"rotate": {"degrees": 180, "interpolation": "bilinear"}}, IMAGENET],
    [{"rotate": {"degrees": 30, "interpolation": "bicubic", "fill": 128}}],
    [{"shear_x": 0.3}, {"shear_y": 0.3}],
    [{"translate_x": 0.3}, {"translate_y": {"amount": 0.3, "fill": [1, 2, 3]}}],
    [{"affine": {"degrees": 10, "translate": [0.1, 0.1], "scale": [0.8, 1.2], "shear_x": 5}}, IMAGENET],
    [{"affine_per_axis": {"scale_x": [0.5, 2], "unit": "truncated", "mode": "edge"}}, IMAGENET],
    [{"affine_per_axis": {"degrees": 40, "fit": True}}, {"resize": {"size": [9, 8]}}],
    [{"move_edges": {"top": [-0.3, 0.2], "mode": "reflect"}}, "crop_edges", {"resize": {"size": [9, 8]}}],
    ["perspective", "horizontal_flip"],
    [{"rotate": {"degrees": 40, "mode": "reflect"}}, {"shear_y": {"mode": "wrap", "interpolation": "bicubic"}}],
    [{"one_of": [{"rotate": {"mode": "edge"}}, {"shear_x": {"mode": "symmetric"}}, "affine"]}, IMAGENET],
    [{"perspective": {"mode": "symmetric", "p": 1}}, {"translate_x": {"mode": "edge"}}, "auto_contrast"],
    ["perspective_zoom", {"perspective_zoom": {"fit": True, "mode": "reflect"}}],
    ["rot90", "vertical_flip"],
    ["d4", IMAGENET],
    ["invert", "solarize", "posterize"],
    [{"solarize_add": {"p": 0.5}}, "posterize", "equalize", IMAGENET],
    ["hue", "saturation", "sharpness"],
    [{"hsv_shift": {"p": 0.7}}, "brightness", {"hsv_shift": {"hue": 0, "saturation": 0.9}}],
    [{"random_sized_crop": {"size": 8, "height": [3, 16]}}, "horizontal_flip", IMAGENET],
    [
        {"random_shorter": [7, 12]},
        {"random_scale": {"fit": [9, 9]}},
        {"resize": {"size": [7, 8], "interpolation": "area"}},
    ],
    ["transpose", {"random_scale": [0.5, 1.5]}, {"crop_box": {"size": 12, "top": 3, "left": 2}}, IMAGENET],
    ["grayscale", "contrast", "brightness"],
    [{"grayscale": {"p": 0.2}}, "sharpness", "horizontal_flip"],
    ["rgb_shift", "channel_shuffle", "channel_drop"],
    [{"one_of": ["invert", "grayscale", {"rotate": 20}]}, IMAGENET],
    [{"one_of": ["horizontal_flip", {"random_crop": 9}, {"random_resized_crop": 7}]}, {"resize": {"size": [9, 8]}}],
    [{"some_of": {"steps": ["invert", "horizontal_flip", "equalize", JITTER], "count": 2}}],
    [{"random_order": ["invert", "horizontal_flip", {"rotate": 20}]}],
    [{"sequential": {"steps": [JITTER, "horizontal_flip"], "p": 0.5}}, {"grid_mask": {"p": 0.5}}],
    [{"random_erasing": {"p": 1, "mode": "random"}}, IMAGENET],
    [IMAGENET, {"random_erasing": {"mode": "const"}}, "horizontal_flip"],
    [IMAGENET, {"random_erasing": {"p": 1, "mode": "pixel"}}],
    [{"holes": {"count": [0, 4], "mode": "random"}}, {"holes": {"mode": "pixel", "p": 1}}, IMAGENET],
    [{"pixel_dropout": {"fraction": 0.3, "mode": "random"}}, "hue", {"pixel_dropout": {"per_channel": True}}],
    ["gaussian_blur", "horizontal_flip"],
    [{"gaussian_blur": {"size": [1, 6], "p": 0.5}}, {"box_blur": [3, 7]}, IMAGENET],
    [{"defocus": [1, 4]}, {"gamma": {"gamma": [0.5, 2], "spacing": "linear"}}],
    ["sharpen", {"emboss": {"p": 0.5}}, {"motion_blur": {"direction": [-1, 1], "shift": 0.5}}],
    [{"multiply_add": {"p": 0.7}}, "invert", {"multiply_add": {"of": "mean", "p": 0.7}}, IMAGENET],
    [{"resize": {"size": [9, 21], "interpolation": "nearest_floor"}}, {"pad_to": {"divisor": 8, "mode": "wrap"}}],
    [{"pad_to": {"size": [15, 20], "position": "random"}}, {"random_crop": 12}],
    ["motion_blur", "median_blur"],
    [{"gaussian_noise": {"p": 0.5}}, "horizontal_flip", IMAGENET],
    ["shot_noise", "iso_noise"],
    ["jpeg", {"downscale": {"p": 0.5}}],
    [{"downscale": {"shrink": "nearest_floor", "interpolation": "bilinear", "scale": [0.2, 1.0]}}],
    ["elastic", "grid_distortion", "optical_distortion"],
    [{"elastic": {"noise": "normal", "alpha": 90}}, {"optical_distortion": {"mode": "reflect"}}, IMAGENET],
    ["grid_stretch", {"piecewise_affine": {"rows": [2, 5]}}, {"optical_distortion": {"model": "camera"}}],
    [{"elastic": {"edges": "repeat"}}, {"elastic": {"window": 9, "same": True, "interpolation": "bicubic"}}],
    [{"optical_distortion": {"model": "fisheye", "mode": "wrap"}}, "safe_rotate", "affine_points", IMAGENET],
    [{"grid_shuffle": [3, 4]}, {"grid_shuffle": {"grid": 2, "cuts": "even"}}],
    ["aug_mix", IMAGENET],
    ["clahe", JITTER, IMAGENET],
)


def _title(spec: list[Any]) -> str:
    return "-".join(map(str, spec))[:60]


def _names(spec: list[Any]) -> set[str]:
    return {name for step in spec for name in ([step] if isinstance(step, str) else step)}


@functools.cache
def _images(count: int, channels: int = 3) -> Any:
    """Smooth images with a little noise, N x channels x height x width."""
    rng = np.random.default_rng(count)
    small = rng.integers(0, 256, (count, channels, 4, 4)).astype(np.float32)
    large = torch.nn.functional.interpolate(torch.from_numpy(small), SIZE, mode="bilinear")
    noise = torch.from_numpy(rng.integers(-9, 10, large.shape).astype(np.float32))
    return (large + noise).round().clamp(0, 255).to(torch.uint8)


def _pipe(spec: list[Any], **options: Any) -> Pipeline:
    return Pipeline.from_spec({"image": spec, "seed": 5, "output": "torch", "backend": EXACT, **options})


def _train(pipe: Pipeline, images: Any, indices: Any, epoch: int = 0, view: int = 0, device: Any = None) -> Any:
    """As `pipe.train.batch`, by the kernels of batches on the CPU too, where single runs take less time."""
    draws = pipe.train.batch_draws(addresses_of(pipe.options.seed, list(indices), epoch, view))
    return (transformed_samples if _are_samples(images) else transformed)(images, draws, device, kernels=True)


def _by_default(pipe: Pipeline, images: Any, indices: Any, epoch: int = 0) -> Any:
    return pipe.train.batch(images, indices, epoch)


def _test(pipe: Pipeline, images: Any) -> Any:
    draws = pipe.test.batch_draws(None)
    return (transformed_samples if _are_samples(images) else transformed)(images, draws, kernels=True)


def _are_samples(images: Any) -> bool:
    return isinstance(images, dict) or (isinstance(images, list) and isinstance(images[0], dict))


def _unlike(found: Any, expected: list[Any]) -> list[int]:
    """The numbers of the images that are not equal in every bit."""
    assert len(found) == len(expected)
    return [row for row, (one, other) in enumerate(zip(found, expected, strict=True)) if not torch.equal(one, other)]


@pytest.mark.parametrize(
    "sizes", [(1, 7, 92, 200), pytest.param((1, 7, 192, 300, 500), marks=pytest.mark.soak)], ids=sum
)
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("spec", SPECS, ids=_title)
def test_each_image_of_a_batch_is_what_it_is_alone(spec: list[Any], device: str, sizes: tuple[int, ...]) -> None:
    pipe, images = _pipe(spec), _images(sum(sizes))
    order = np.random.default_rng(1).permutation(sum(sizes))
    found: list[Any] = [None] * sum(sizes)
    start = 0
    for size in sizes:
        rows = order[start : start + size]
        start += size
        batch = _train(pipe, images[rows], rows.tolist(), epoch=3, device=device)
        for row, image in zip(rows, batch, strict=True):
            found[row] = image.cpu()
    assert _unlike(found, [pipe.train(image, row, 3) for row, image in enumerate(images)]) == []


@pytest.mark.parametrize("spec", SPECS, ids=_title)
def test_images_of_different_sizes_and_test_images(spec: list[Any]) -> None:
    pipe = _pipe(spec)
    images = [image[:, : 9 + row % 5, : 10 + row % 7] for row, image in enumerate(_images(24))]
    names = [f"photo {row}" for row in range(24)]
    expected = [pipe.train(image, name, 1, 2) for image, name in zip(images, names, strict=True)]
    assert _unlike(_train(pipe, images, names, epoch=1, view=2), expected) == []
    assert _unlike(pipe.train.batch(images, names, epoch=1, view=2), expected) == []
    tested = [pipe.test(image) for image in images]
    assert _unlike(_test(pipe, images), tested) == []
    assert _unlike(pipe.test.batch(images), tested) == []


@pytest.mark.parametrize("spec", [spec for spec in SPECS if not _names(spec) & SLOW], ids=_title)
def test_a_gpu_gives_the_same_images_and_nothing_is_read_back(spec: list[Any]) -> None:
    pipe, images = _pipe(spec), _images(8)
    with PretendedGPU() as gpu:
        found = pipe.train.batch(gpu.put(images), range(8))
        tested = pipe.test.batch(gpu.put(images))
        assert {image.device for image in [*found, *tested]} == {DEVICE}
        found, tested = (list(map(held, batch)) for batch in (found, tested))
    assert _unlike(found, [pipe.train(image, row) for row, image in enumerate(images)]) == []
    assert _unlike(tested, [pipe.test(image) for image in images]) == []


def test_gpus_without_float64_get_batches_that_the_cpu_made() -> None:
    devices = "cpu", "mps", "cuda", "xpu"
    assert [by_kernels(None, torch.device(name)) for name in devices] == [False, False, True, True]
    assert all(by_kernels(True, torch.device(name)) for name in devices)


def test_which_steps_run_image_by_image() -> None:
    found = set()
    for spec in SPECS:
        lines = _pipe(spec).test.explain(batch=True).splitlines()
        found |= {name for line in lines for name in re.findall(r"(\w+) \(no batch kernel", line)}
    assert found == SLOW


@pytest.mark.parametrize("channels", [1, 2, 4, 5])
@pytest.mark.parametrize("kind", ["bytes", "floats", "bytes and floats"])
def test_other_channels_and_floats(channels: int, kind: str) -> None:
    images = _images(12, channels)
    batch: Any = images if kind == "bytes" else images / 255
    if kind == "bytes and floats":
        batch = [image / 255 if row % 3 else image for row, image in enumerate(images)]
    steps = [{"random_resized_crop": {"size": 8, "interpolation": "bicubic"}}, "horizontal_flip", {"rotate": 20}]
    colors = ["invert", "brightness", "equalize"]
    if channels in (1, 3):
        colors += ["contrast", "saturation"]
    for spec in (steps, [*steps, *colors], [*steps, {"random_erasing": {"p": 1}}]):
        pipe = _pipe(spec)
        found = _train(pipe, batch, range(12))
        assert _unlike(found, [pipe.train(image, row) for row, image in enumerate(batch)]) == []


COLORS = {"holes", "hsv_shift", "multiply_add", "pixel_dropout", "sharpen"}


@pytest.mark.parametrize("spec", [*SPECS[:20], *(spec for spec in SPECS if _names(spec) & COLORS)], ids=_title)
def test_images_with_alpha(spec: list[Any]) -> None:
    pipe, images = _pipe(spec, channels="rgba"), _images(12, 4)
    assert _unlike(_train(pipe, images, range(12)), [pipe.train(x, k) for k, x in enumerate(images)]) == []


@pytest.mark.parametrize("decode", ["exact", "scaled"])
@pytest.mark.parametrize(
    "spec",
    [
        [{"random_resized_crop": 24}, "horizontal_flip", IMAGENET],
        [{"resize": 32}, {"random_crop": 24}, "horizontal_flip"],
        [{"random_crop": 40}, JITTER],
        ["horizontal_flip", {"random_resized_crop": {"size": 24, "antialias": False}}],
        [{"resize": {"size": [20, 30]}}, "vertical_flip"],
    ],
    ids=str,
)
def test_encoded_images(spec: list[Any], decode: str) -> None:
    pipe, files = _pipe(spec, decode=decode), _files()
    assert _unlike(_train(pipe, files, range(9)), [pipe.train(file, k) for k, file in enumerate(files)]) == []
    assert _unlike(_test(pipe, files), [pipe.test(file) for file in files]) == []


@functools.cache
def _files() -> list[bytes]:
    """Photos of different sizes: JPEGs, one of which is to be turned, and PNGs."""
    found = []
    for row, pixels in enumerate(_images(9).permute(0, 2, 3, 1).numpy()):
        image = Image.fromarray(pixels).resize((170 + 9 * row, 200 - 7 * row))
        exif = Image.Exif()
        exif[0x0112] = 6 if row == 4 else 1
        file = io.BytesIO()
        image.save(file, "PNG" if row % 4 == 3 else "JPEG", exif=exif)
        found.append(file.getvalue())
    return found


@pytest.mark.parametrize("kernels", [True, False])
def test_samples_with_targets(kernels: bool) -> None:
    spec = [{"random_resized_crop": 8}, "horizontal_flip", {"rotate": 20}, "elastic", IMAGENET]
    pipe = _pipe(spec, targets={"boxes": "xyxy", "labels": ["names"], "min_visible": 0.1})
    rng = np.random.default_rng(0)
    samples = []
    for row, image in enumerate(_images(12)):
        boxes = np.sort(rng.uniform(0, 12, (row % 3, 2, 2)), axis=1).reshape(-1, 4)
        samples.append({
            "image": image, "mask": rng.integers(0, 5, SIZE, np.uint8), "boxes": boxes,
            "names": ["dog", "cat"][: row % 3], "keypoints": rng.uniform(0, 12, (3, 2)), "file": f"{row}.png",
        })  # fmt: skip
    expected = [pipe.train(sample, row, 4) for row, sample in enumerate(samples)]
    train, test = (_train, _test) if kernels else (_by_default, lambda pipe, images: pipe.test.batch(images))
    _assert_alike(train(pipe, samples, range(12), epoch=4), expected)
    _assert_alike(test(pipe, samples), [pipe.test(sample) for sample in samples])
    collated = {key: [sample[key] for sample in samples] for key in samples[0]}
    collated |= {"image": _images(12), "mask": torch.from_numpy(np.stack(collated["mask"]))}
    found = train(pipe, collated, torch.arange(12).tolist(), epoch=4)
    assert found["image"].shape == (12, 3, 8, 8)
    assert found["mask"].shape == (12, 8, 8)
    _assert_alike([{key: value[row] for key, value in found.items()} for row in range(12)], expected)


def _assert_alike(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one.keys() == other.keys()
        for key, value in other.items():
            if isinstance(value, str | list):
                assert one[key] == value
            else:
                np.testing.assert_array_equal(np.asarray(one[key]), np.asarray(value), err_msg=key)


@pytest.mark.parametrize("options", [{}, {"approximate": True}])
@pytest.mark.parametrize(
    "crop",
    [
        {"safe_crop": 8}, "crop_around_boxes", {"crop_around_boxes": {"size": 8}}, "iou_crop",
        {"crop_around_boxes": {"erosion": 0.5, "erode": "boxes"}},
    ],
    ids=str,
)  # fmt: skip
def test_steps_that_see_boxes_see_those_of_their_sample(crop: Any, options: dict[str, Any]) -> None:
    pipe = _pipe([crop, IMAGENET], targets={"boxes": "xyxy", "centers": "drop"}, **options)
    corners = np.random.default_rng(2).uniform(1, 5, (12, 1, 2))
    boxes = np.concatenate([corners, corners + 6], axis=2)
    samples = [{"image": image, "boxes": box} for image, box in zip(_images(12), boxes, strict=True)]
    expected = [pipe.train(sample, row) for row, sample in enumerate(samples)]
    _assert_alike(_train(pipe, samples, range(12)), expected)


def _shrink(array: Any) -> Any:
    return array[: array.shape[0] - int(array[0, 0, 0]) % 3]


def test_sizes_that_are_known_only_after_a_step() -> None:
    @transform("shrink", kind="geometry")
    class Shrink:
        """Cut off rows, as many as a pixel value says."""

        def sample(self, rng: Any, scene: Any) -> Any:
            return ops.call(_shrink, geometry=True)

    registry = Registry.installed().add(Shrink)
    spec = {"image": [Shrink(), "horizontal_flip"], "output": "torch", "backend": EXACT}
    pipe = Pipeline.from_spec(spec, registry)
    images = _images(12)
    expected = [pipe.train(image, row) for row, image in enumerate(images)]
    assert len({image.shape for image in expected}) > 1
    assert _unlike(_train(pipe, images, range(12)), expected) == []
    assert _unlike(_train(pipe, list(images), range(12)), expected) == []


def test_approximate_specs_and_pixel_limits() -> None:
    for spec, options in (
        ([{"rotate": 20}, {"shear_x": 0.2}, {"center_crop": 8}], {"approximate": True}),
        ([{"resize": {"size": [400, 500]}}, {"random_crop": 9}], {"max_pixels": 1000}),
    ):
        pipe, images = _pipe(spec, **options), _images(12)
        assert _unlike(_train(pipe, images, range(12)), [pipe.train(x, k) for k, x in enumerate(images)]) == []


@pytest.mark.parametrize("spec", [["equalize"], [IMAGENET], ["horizontal_flip"], [{"hue": {"p": 0.5}}], [], ["jpeg"]])
def test_the_images_given_stay_as_they_are_and_the_result_is_memory_of_its_own(spec: list[Any]) -> None:
    pipe, images = _pipe(spec), _images(12).clone()
    before = images.clone()
    found = pipe.train.batch(images, range(12))
    found += 1
    assert torch.equal(images, before)
    array = images.permute(0, 2, 3, 1).numpy().copy()
    from_array = pipe.train.batch(array, range(12))
    assert torch.equal(from_array + 1, found)


def test_without_indices_every_call_draws_new_numbers() -> None:
    pipe, images = _pipe([{"random_resized_crop": 8}]), _images(12)
    first, second = (pipe.train.batch(images) for _ in range(2))
    assert not torch.equal(first, second)
    same = pipe.train.batch(images[:1].expand(12, -1, -1, -1))
    assert len({image.numpy().tobytes() for image in same}) > 6  # each image has a draw of its own


@pytest.mark.parametrize(
    ("images", "indices", "message"),
    [
        (torch.zeros(3, 8, 8, dtype=torch.uint8), range(3), "a batch is an N x channels x height x width tensor"),
        (np.zeros((4, 8, 8), np.uint8), range(4), "a batch is an N x height x width x channels array"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.float16), range(2), "has dtype float16"),
        (torch.full((2, 3, 8, 8), 7.0), range(2), "give uint8"),
        (torch.zeros(0, 3, 8, 8, dtype=torch.uint8), (), "at least one image"),
        ([], (), "at least one image"),
        (7, (), "got one int: give a stack or a list"),
        ("photo.jpg", range(9), "got one str: give a stack or a list"),
        (iter("ab"), range(2), "got one str_.*iterator: give a stack or a list"),
        (np.zeros((2, 3, 40, 40), np.uint8), range(2), "it looks like channels x height x width"),
        ([np.zeros((8, 8, 3), np.uint8), "nothing.jpg"], range(2), r"images\[1\]: nothing.jpg: there is no"),
        ([{"image": np.zeros((8, 8, 3), np.uint8)}, {"picture": 1}], range(2), "sample 1: needs an image under"),
        ({"image": torch.zeros(2, 3, 8, 8, dtype=torch.uint8), "mask": [1]}, range(2), "'mask'. has 1 entries"),
        ({"picture": torch.zeros(2, 3, 8, 8)}, range(2), "needs images under 'image'; its keys are: 'picture'"),
        ([{"image": np.zeros((8, 8, 3), np.uint8)}, 5], range(2), "sample 1: expected a mapping like the others"),
    ],
)  # fmt: skip
def test_wrong_batches(images: Any, indices: Any, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        _pipe(["horizontal_flip"]).train.batch(images, indices)


@pytest.mark.parametrize("indices", ["abc", {1, 2, 3}, {1: 0, 2: 0, 3: 0}, 3, iter([1, 2, 3])])
def test_indices_that_are_no_list(indices: Any) -> None:
    with pytest.raises(TypeError, match="indices is a list with the index of each image, got a "):
        _pipe(["horizontal_flip"]).train.batch(_images(3), indices)


def test_a_wrong_number_of_indices() -> None:
    with pytest.raises(ValueError, match="there are 3 indices for 12 images"):
        _pipe(["horizontal_flip"]).train.batch(_images(12), range(3))


def test_explain_looks_at_later_epochs_too() -> None:
    pipe = _pipe([{"jpeg": {"p": {"step": [0, 1], "at": [30]}}}])
    assert "image by image on the CPU: jpeg (" in pipe.test.explain(batch=True)


def test_explain_says_what_does_not_run_for_all_images_at_once() -> None:
    pipe = _pipe([{"random_crop": 8}, {"jpeg": {"p": 0.3}}, {"one_of": ["clahe", "invert"]}, IMAGENET])
    text = pipe.test.explain(batch=True)
    line = next(line for line in text.splitlines() if line.startswith("train.batch runs image by image"))
    assert "jpeg (" in line
    assert "clahe (" in line
    assert "invert" not in line
    assert "test.batch runs every step for all images at once" in text
    assert "train.batch" not in pipe.test.explain()
    fast = _pipe([{"random_resized_crop": 8}, "horizontal_flip", JITTER, IMAGENET]).test.explain(batch=True)
    assert "train.batch runs every step for all images at once" in fast


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda pipe: pipe.test.batch(_images(2), range(2)), "got too many arguments; it takes the images, and the"),
        (lambda pipe: pipe.test.batch(_images(2), epoch=1), "has no argument 'epoch'; testing draws no random"),
        (lambda pipe: pipe.train.batch(_images(2), keys=range(2)), "'keys'; the numbers of the samples are indices"),
        (lambda pipe: pipe.train.batch(_images(2), labels=[0, 1]), "'labels'; labels are mixed after the images"),
    ],
)
def test_wrong_arguments_are_told_what_to_do(call: Any, message: str) -> None:
    with pytest.raises(TypeError, match=re.escape(message)):
        call(_pipe(["horizontal_flip"]))
