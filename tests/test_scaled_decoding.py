"""`decode: scaled`: JPEGs that are decoded at a fraction of their size, and how near that is to the exact result."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np
import pytest
from images import mosaic, photos
from numpy.typing import NDArray
from PIL import Image

import augreg
from augreg import ImageError, Pipeline, ops
from augreg.backends import backend
from augreg.data import Augmented
from augreg.execution.run import run_ops
from augreg.execution.scaling import scaled_start
from augreg.images import codecs, jpeg
from augreg.images.jpeg import decode_scaled, read_header, scaled_box
from augreg.ops import Move, Resize, Scene

pytestmark = pytest.mark.skipif(jpeg._whole is None, reason="simplejpeg is not installed")

Array = NDArray[Any]


def encoded(pixels: Array, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", **{"quality": 90, **options})
    return file.getvalue()


def pair(*steps: Any, **options: Any) -> tuple[Pipeline, Pipeline]:
    """The pipeline that decodes exactly, and the one that may decode a smaller image."""
    exact = Pipeline.from_spec({"image": list(steps), **options})
    return exact, exact.replace(decode="scaled")


def psnr(found: Array, expected: Array) -> float:
    return float(10 * np.log10(255**2 / np.mean((found.astype(float) - expected) ** 2)))


@pytest.fixture
def reductions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The reductions at which images are decoded, in their order."""
    seen: list[int] = []

    def decode(data: bytes, header: Any, box: Any, reduction: int) -> Any:
        found = decode_scaled(data, header, box, reduction)
        seen.append(0 if found is None else reduction)
        return found

    monkeypatch.setattr(codecs, "decode_scaled", decode)
    return seen


# How near it is

LARGE = 1500, 2000


@pytest.mark.parametrize("name", ["pillow", "opencv", "auto"])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos"])
def test_photos_are_near_the_exact_ones(name: str, interpolation: str, reductions: list[int]) -> None:
    """docs/images.md has the numbers."""
    worst = {2: 99.0, 4: 99.0, 8: 99.0}
    for pixels in (mosaic(*LARGE), *photos().values()):
        large = pixels.shape[:2] == LARGE
        data = encoded(pixels)
        for side in (224, 64) if large else (72, 32):
            step = {"random_resized_crop": {"size": side, "interpolation": interpolation}}
            exact, scaled = pair(step, backend=name)
            for index in range(3):
                reductions.clear()
                found = scaled.train(data, index=index)
                if reductions:
                    worst[reductions[0]] = min(worst[reductions[0]], psnr(found, exact.train(data, index=index)))
    for reduction, least in ((2, 43), (4, 39), (8, 37)):
        assert least < worst[reduction] < 60, worst  # each was seen


@pytest.mark.parametrize("top", range(0, 16, 3))
@pytest.mark.parametrize(("side", "reduction"), [(200, 2), (100, 4), (50, 8)])
def test_nothing_is_shifted(top: int, side: int, reduction: int, reductions: list[int]) -> None:
    """Spots of 601x602 pixels of a larger image are where the ratio of the sizes says, within 1/20 of a pixel."""
    left = 15 - top
    y, x = np.mgrid[:640, :640] + 0.5
    centers = [(top + 150.0, left + 170.0), (top + 301.0, left + 450.0), (top + 470.0, left + 303.0)]
    light = sum(np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * 18.0**2)) for cy, cx in centers)
    data = encoded(np.repeat((220 * np.asarray(light)).astype(np.uint8)[..., None], 3, axis=2), quality=97)
    cut = Move(top, left, 601, 602)
    scene = Scene(640, 640)
    start = scaled_start([cut, ops.resize(side, side)], scene, (top, left, 601, 602))
    header = read_header(data)
    assert header is not None and start is not None and start.reduction == reduction
    pixels = decode_scaled(data, header, start.box, reduction)
    assert pixels is not None
    found = run_ops(start.ops, pixels, backend("pillow"))[..., 1].astype(float)
    rows, columns = np.mgrid[:side, :side] + 0.5
    for cy, cx in centers:
        at = (cy - top) * side / 601, (cx - left) * side / 602
        near = found * (np.hypot(rows - at[0], columns - at[1]) < 66 * side / 601)
        place = (near * rows).sum() / near.sum(), (near * columns).sum() / near.sum()
        assert place == pytest.approx(at, abs=0.05)


@pytest.mark.parametrize("turn", range(8))
def test_a_crop_that_is_turned_and_mirrored(turn: int) -> None:
    transpose, flip_y, flip_x = bool(turn & 4), bool(turn & 2), bool(turn & 1)
    pixels = mosaic(300, 420)
    data, header = encoded(pixels), read_header(encoded(pixels))
    plan = [Move(13, 22, 271, 353, transpose, flip_y, flip_x), ops.resize(60, 40)]
    start = scaled_start(plan, Scene(300, 420), (13, 22, 271, 353))
    assert header is not None and start is not None and start.replaced == 2
    small = decode_scaled(data, header, start.box, start.reduction)
    assert small is not None
    found = run_ops(start.ops, small, backend("pillow"))
    exact = np.asarray(Image.open(io.BytesIO(data)))
    assert psnr(found, run_ops(plan, exact, backend("pillow"))) > 37


# When it is done


@pytest.mark.parametrize(
    ("size", "side", "reduction"),
    [
        ((600, 600), 200, 2),  # 300 are left: 1.5 times 200
        ((599, 600), 200, None),
        ((600, 599), 200, None),
        ((1199, 1200), 200, 2),
        ((1200, 1200), 200, 4),
        ((2400, 2399), 200, 4),
        ((2400, 2400), 200, 8),
        ((9000, 9000), 200, 8),
        ((150, 150), 200, None),
    ],
)
def test_the_reduction_leaves_enough_pixels(size: tuple[int, int], side: int, reduction: int | None) -> None:
    height, width = size
    resize = ops.resize(side, side)
    whole = scaled_start([resize], Scene(height, width), None)
    cut = scaled_start([Move(3, 5, height, width), resize], Scene(9999, 9999), (3, 5, height, width))
    assert (whole and whole.reduction, whole and whole.replaced) == (reduction, reduction and 1)
    assert (cut and cut.reduction, cut and cut.replaced) == (reduction, reduction and 2)


def test_a_turned_box_has_its_sides_exchanged() -> None:
    sizes = []
    for transpose in (False, True):
        start = scaled_start(
            [Move(0, 0, 1200, 600, transpose), ops.resize(200, 400)], Scene(1200, 600), (0, 0, 1200, 600)
        )
        sizes.append(start and start.ops[0].size_after(1, 1))
    assert sizes == [None, (400, 200)]


def test_only_an_antialiased_resize_at_the_beginning() -> None:
    scene, box = Scene(999, 999), (1, 1, 900, 900)
    cut, resize, invert = Move(1, 1, 900, 900), ops.resize(90, 90), ops.point_function("invert")
    assert scaled_start([resize], scene, None) and scaled_start([cut, resize], scene, box)
    assert scaled_start([Resize(90, 90, "lanczos", antialias=False)], scene, None)  # always antialiased
    assert scaled_start([Resize(90, 90, "bilinear", antialias=False)], scene, None) is None
    assert scaled_start([Resize(90, 90, "nearest")], scene, None) is None
    assert scaled_start([Move(-1, 1, 900, 900), resize], scene, None) is None  # partly outside
    assert scaled_start([cut], scene, box) is None and scaled_start([], scene, None) is None
    assert scaled_start([cut, invert, resize], scene, box) is None
    assert scaled_start([invert, resize], scene, None) is None


def test_the_box_is_that_of_all_pixels_that_show_some_part() -> None:
    """By enumeration: pixel i of the smaller image shows the pixels from r i to before r (i + 1)."""
    for reduction in (2, 4, 8):
        for start in range(20):
            for length in range(1, 20):
                shown = sorted({pixel // reduction for pixel in range(start, start + length)})
                assert scaled_box((start, 0, length, 1), reduction)[::2] == (shown[0], len(shown))
                assert scaled_box((0, start, 1, length), reduction)[1::2] == (shown[0], len(shown))


STEPS = ({"resize": {"size": [40, 50]}}, {"horizontal_flip": {"p": 1, "test": "same"}})


def test_other_images_are_as_with_exact_decoding(reductions: list[int]) -> None:
    pixels = mosaic(300, 420)
    data = encoded(pixels)
    turned = Image.Exif()
    turned[0x0112] = 6
    png = io.BytesIO()
    Image.fromarray(pixels).save(png, "PNG")
    exact, scaled = pair(*STEPS)
    for other in (
        encoded(pixels, progressive=True),
        encoded(pixels, exif=turned),
        encoded(np.ascontiguousarray(pixels[..., 0])),
        png.getvalue(),
        data[:-2] + b"stray\xff\xd9",  # read by Pillow alone
        pixels,
        Image.open(io.BytesIO(data)),
    ):
        assert np.array_equal(scaled.test(other), exact.test(other))
    assert not any(reductions)
    for channels in ("gray", "keep"):
        exact, scaled = pair(*STEPS, channels=channels)
        assert np.array_equal(scaled.test(data), exact.test(data))
    assert not any(reductions)
    exact, scaled = pair(*STEPS)
    assert 37 < psnr(scaled.test(data), exact.test(data)) < 60 and reductions.pop() == 4


def test_a_damaged_file_is_refused_as_with_exact_decoding() -> None:
    data = encoded(mosaic(300, 420))
    half = data[: len(data) // 2]
    for steps in (STEPS, ({"center_crop": [200, 420]}, *STEPS)):  # the crop is read without the end of the file
        for damaged in (half, half + b"\xff\xd9", data[:-2], data[:600]):
            outcomes = []
            for pipe in pair(*steps):
                try:
                    outcomes.append(pipe.test(damaged).tobytes())
                except ImageError as error:
                    outcomes.append(str(error))
            assert outcomes[0] == outcomes[1]


# What stays the same


@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_every_library_decodes_to_the_same_bytes(subsampling: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow's draft mode, which decodes the whole, and what is installed; all backends have one resize for it."""
    data = encoded(mosaic(303, 421), subsampling=subsampling)
    header = read_header(data)
    assert header is not None
    for reduction in (2, 4, 8):
        draft = Image.open(io.BytesIO(data))
        draft.draft("RGB", (421 // reduction, 303 // reduction))
        whole = np.asarray(draft)
        for box in ((0, 0, 303, 421), (31, 57, 100, 203), (200, 300, 103, 121)):
            top, left, height, width = scaled_box(box, reduction)
            expected = whole[top : top + height, left : left + width]
            found = decode_scaled(data, header, box, reduction)
            with monkeypatch.context() as without:
                without.setattr(jpeg, "_parts", None)
                other = decode_scaled(data, header, box, reduction)
            assert found is not None and np.array_equal(found, expected)
            assert other is not None and np.array_equal(other, expected)
    for side in range(3, 33):  # some fractions make the same size of a tiny image
        data = encoded(mosaic(side, side))
        header = read_header(data)
        assert header is not None
        draft = Image.open(io.BytesIO(data))
        draft.draft("RGB", (side // 2, side // 2))
        monkeypatch.setattr(jpeg, "_parts", None)
        found = decode_scaled(data, header, (0, 0, side, side), 2)
        assert found is None if side < 16 else np.array_equal(found, np.asarray(draft))
    data = encoded(mosaic(303, 421))
    made = [Pipeline(STEPS, decode="scaled", backend=name).test(data) for name in ("pillow", "opencv", "auto")]
    assert np.array_equal(made[0], made[1]) and np.array_equal(made[0], made[2])


def test_plans_stay_as_they_are_and_run_alike() -> None:
    data = encoded(mosaic(300, 420))
    exact, scaled = pair({"random_resized_crop": 40}, "horizontal_flip", {"gaussian_noise": {"p": 1}})
    plan = scaled.train.plan(data, index=3)
    assert str(plan) == str(exact.train.plan(data, index=3))
    assert plan.ops == exact.train.plan(data, index=3).ops
    found = scaled.train(data, index=3)
    assert not np.array_equal(found, exact.train(data, index=3))
    for other in (plan, pickle.loads(pickle.dumps(plan))):
        assert np.array_equal(other.run(data), found)
    assert np.array_equal(pickle.loads(pickle.dumps(scaled)).train(data, index=3), found)


def test_workers_make_the_same_images() -> None:
    torch_data = pytest.importorskip("torch.utils.data")
    pixels = mosaic(300, 420)
    files = [encoded(np.ascontiguousarray(np.roll(pixels, 50 * shift, 1))) for shift in range(4)]
    _, scaled = pair({"random_resized_crop": 40}, "normalize")
    data = Augmented(files, scaled.train, epoch=0)
    alone = [scaled.train(file, index=number, epoch=0) for number, file in enumerate(files)]
    batches = [*torch_data.DataLoader(data, batch_size=2, num_workers=1)]
    found = np.concatenate([np.asarray(batch) for batch in batches])
    assert np.array_equal(found, np.stack(alone))


def test_the_first_view_is_the_test_image(reductions: list[int]) -> None:
    data = encoded(mosaic(300, 420))
    _, scaled = pair({"random_resized_crop": 40}, "horizontal_flip")
    views = scaled.views(data, 4)
    assert np.array_equal(views[0].image, scaled.test(data)) and len(reductions) == 2 and all(reductions)


def test_targets_follow_the_plan_and_images_of_a_sample_are_as_alone() -> None:
    pixels = mosaic(300, 420)
    data = encoded(pixels)
    steps = [{"random_resized_crop": {"size": [40, 50], "scale": [0.5, 1.0]}}, "horizontal_flip", {"rotate": 10}]
    exact, scaled = pair(*steps, targets={"boxes": "xyxy"})
    given = {
        "mask": np.random.default_rng(0).integers(0, 9, (300, 420), dtype=np.uint8),
        "boxes": [[50.0, 40.0, 300.0, 200.0]],
        "keypoints": [[200.0, 150.0]],
    }
    for index in range(6):
        found, expected = (pipe.train({"image": [data, pixels], **given}, index=index) for pipe in (scaled, exact))
        assert np.array_equal(found["mask"], expected["mask"])
        assert found["boxes"] == expected["boxes"] and found["keypoints"] == expected["keypoints"]
        assert np.array_equal(found["image"][0], scaled.train({"image": data}, index=index)["image"])
        assert np.array_equal(found["image"][1], exact.train(pixels, index=index))
        assert not np.array_equal(found["image"][0], expected["image"][0])


@augreg.transform("same_by_a_function", kind="geometry")
class SameByAFunction:
    """A function that returns its image, which only running it tells."""

    def sample(self, rng: Any, scene: Any) -> Any:
        return ops.call(np.array)


def test_what_follows_an_op_of_unknown_size_runs_as_it_is() -> None:
    data = encoded(mosaic(300, 420))
    resize, invert = augreg.transforms.Resize(size=[32, 40]), augreg.transforms.Invert()
    found = Pipeline([resize, SameByAFunction(), invert], decode="scaled").train(data, index=0)
    assert np.array_equal(found, Pipeline([resize, invert], decode="scaled").train(data, index=0))


def test_small_images_are_decoded_smaller_on_every_backend() -> None:
    """Also where the backend needs no merging: the two moves at the beginning are one in the plan."""
    pytest.importorskip("augreg_native")
    data = encoded(mosaic(120, 120))
    steps = [{"center_crop": 112}, {"horizontal_flip": {"p": 1}}, {"resize": {"size": [9, 9]}}]
    exact, scaled = pair(*steps, backend="native")
    found = scaled.train(data, index=0)
    assert np.array_equal(found, scaled.train.plan(data, index=0).run(data))
    assert np.array_equal(found, scaled.replace(backend="pillow").train(data, index=0))
    assert not np.array_equal(found, exact.train(data, index=0))


# The op


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_box_is_resized_by_the_definition(dtype: str) -> None:
    """A triangle as wide as the scale around the center of each pixel, on pixels of the whole image; in float64."""

    def weights(size: int, start: float, extent: float, wanted: int) -> Array:
        scale = extent / wanted
        centers = start + (np.arange(wanted) + 0.5) * scale
        found = np.maximum(0.0, 1.0 - np.abs(np.arange(size) + 0.5 - centers[:, None]) / max(1.0, scale))
        return np.asarray(found / found.sum(1, keepdims=True))

    rng = np.random.default_rng(2)
    for height, width, channels, box, size in (
        (40, 50, 3, (0.375, 1.75, 38.5, 40.125), (12, 20)),
        (40, 50, 1, (0.0, 0.0, 40.0, 50.0), (12, 20)),
        (90, 20, 3, (3.5, 0.5, 80.25, 19.0), (7, 15)),  # rows first
        (9, 9, 4, (2.5, 2.5, 4.0, 4.0), (8, 12)),  # it grows
    ):
        image = rng.integers(0, 256, (height, width, channels)).astype(np.uint8)
        given = image if dtype == "uint8" else (image / 255).astype(np.float32)
        down, across = (weights(side, box[n], box[n + 2], size[n]) for n, side in enumerate((height, width)))
        expected = np.einsum("ih,jw,hwc->ijc", down, across, given.astype(float))
        for name in ("pillow", "opencv", augreg.Pipeline([]).backend):
            found = backend(name).apply(ops.ResizeBox(*box, *size), given)
            assert found.dtype == given.dtype and found.shape == (*size, channels)
            assert np.abs(found - expected).max() <= (1.01 if dtype == "uint8" else 1e-5)


def test_points_follow_a_box() -> None:
    a, b, c, d, e, f, g, h, i = ops.ResizeBox(2.5, 1.0, 10.0, 20.0, 5, 40).point_map(99, 99)
    assert (b, d, g, h, i) == (0.0, 0.0, 0.0, 0.0, 1.0)
    assert (a * 1.0 + c, e * 2.5 + f) == (0.0, 0.0) and (a * 21.0 + c, e * 12.5 + f) == (40.0, 5.0)


# The option


def test_the_option_in_specs() -> None:
    exact, scaled = pair({"resize": 40})
    assert "decode" not in exact.to_spec() and scaled.to_spec()["decode"] == "scaled"
    assert Pipeline.from_spec(scaled.to_spec()) == scaled and scaled.replace(decode="exact") == exact
    assert len({exact.fingerprint, scaled.fingerprint}) == len({exact.test.fingerprint, scaled.test.fingerprint}) == 2
    assert "JPEGs are decoded at 1/2, 1/4 or 1/8" in scaled.test.explain()
    assert "JPEG" not in exact.test.explain()
