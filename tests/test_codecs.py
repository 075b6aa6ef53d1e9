"""Images in: every kind that people have, the same pixels; and clear refusals."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from augreg import ImageError, Pipeline
from augreg.images import jpeg
from augreg.images.codecs import to_array

RGB = np.random.default_rng(0).integers(0, 256, (7, 10, 3), dtype=np.uint8)
NOTHING = Pipeline.from_spec([])
FLIP = Pipeline.from_spec([{"horizontal_flip": {"p": 1}}])
NORMAL = Pipeline.from_spec([{"normalize": "imagenet"}])


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def test_every_kind_gives_the_same_pixels(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    data = encoded(Image.fromarray(RGB))
    (tmp_path / "a.png").write_bytes(data)
    kinds = [
        RGB,
        Image.fromarray(RGB),
        torch.from_numpy(RGB).permute(2, 0, 1),
        data,
        bytearray(data),
        memoryview(data),
    ]
    kinds += [tmp_path / "a.png", str(tmp_path / "a.png")]
    expected = NORMAL.train(RGB, index=1)
    assert expected.shape == (3, 7, 10) and expected.dtype == np.float32 and expected.flags.c_contiguous
    for kind in kinds:
        assert np.asarray(NORMAL.train(kind, index=1)).tobytes() == expected.tobytes()


def test_without_normalize_the_kind_that_went_in_comes_out() -> None:
    torch = pytest.importorskip("torch")
    mirrored = RGB[:, ::-1]
    assert np.array_equal(FLIP.train(RGB), mirrored)
    gray = FLIP.train(RGB[..., 0])
    assert gray.ndim == 2 and np.array_equal(gray, mirrored[..., 0])
    image = FLIP.train(Image.fromarray(RGB))
    assert isinstance(image, Image.Image) and np.array_equal(np.asarray(image), mirrored)
    tensor = FLIP.train(torch.from_numpy(RGB).permute(2, 0, 1))
    assert tensor.dtype == torch.uint8 and np.array_equal(tensor.permute(1, 2, 0).numpy(), mirrored)
    flat = FLIP.train(torch.from_numpy(RGB[..., 0].copy()))
    assert tuple(flat.shape) == (7, 10)
    decoded = FLIP.train(encoded(Image.fromarray(RGB)))
    assert isinstance(decoded, np.ndarray) and np.array_equal(decoded, mirrored)


KINDS = ("array", "gray array", "tensor", "gray tensor", "pil", "bytes")


def given_as(kind: str) -> Any:
    """The image as this kind."""
    if "tensor" in kind:
        planes = RGB.transpose(2, 0, 1).copy() if kind == "tensor" else RGB[..., 0].copy()
        return pytest.importorskip("torch").from_numpy(planes)
    if "array" in kind:
        return RGB if kind == "array" else RGB[..., 0]
    return Image.fromarray(RGB) if kind == "pil" else encoded(Image.fromarray(RGB))


@pytest.mark.parametrize("sample", [False, True])
@pytest.mark.parametrize("output", ["auto", "numpy", "torch"])
@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_the_kind_that_comes_out(kind: str, normalized: bool, output: str, sample: bool) -> None:
    """Tensor for tensor, array for array, PIL image for PIL image, or an array once normalized; `output` decides."""
    torch = pytest.importorskip("torch")
    steps = [{"normalize": {"mean": 0.5, "std": 0.25}}] if normalized else []
    pipe = Pipeline.from_spec({"image": steps, "output": output})
    image = given_as(kind)
    for run in (
        lambda given: pipe.train(given, index=1),
        pipe.test,
        pipe.test.plan((7, 10), channels=1 if "gray" in kind else 3).run,
    ):
        result = run({"image": image, "images": [image]}) if sample else run(image)
        if sample:
            assert type(result["images"][0]) is type(result["image"])
            result = result["image"]
        if output == "torch" or (output == "auto" and "tensor" in kind):
            expected: Any = torch.Tensor
        elif output == "auto" and kind == "pil" and not normalized:
            expected = Image.Image
        else:
            expected = np.ndarray
        assert isinstance(result, expected)
        pixels = np.asarray(result)
        planes = pixels if normalized or expected is torch.Tensor else np.moveaxis(pixels, -1, 0)
        if "gray" in kind:
            assert planes.size == 70 and (not normalized or planes.shape == (1, 7, 10))
        else:
            wanted = RGB.transpose(2, 0, 1)
            assert np.allclose(planes, (wanted / 255 - 0.5) / 0.25 if normalized else wanted, atol=1e-6)
        assert pixels.dtype == (np.float32 if normalized else np.uint8)


def test_masks_boxes_and_keypoints_of_a_normalized_tensor_keep_their_kinds() -> None:
    torch = pytest.importorskip("torch")
    pipe = Pipeline.from_spec({"image": ["normalize"], "targets": {"boxes": "xyxy"}})
    sample = {
        "image": given_as("tensor"),
        "mask": RGB[..., 0],
        "mask_t": torch.from_numpy(RGB[..., 0].copy()),
        "mask_pil": Image.fromarray(RGB[..., 0]),
        "boxes": [[1, 2, 3, 4]],
        "keypoints": torch.tensor([[1.0, 2.0]]),
    }
    result = pipe.train(sample, index=0)
    assert {key: type(value) for key, value in result.items()} == {key: type(value) for key, value in sample.items()}
    assert result["image"].dtype == torch.float32


@pytest.mark.parametrize("backend", ["pillow", "opencv"])
def test_a_bicubic_kernel_overshoots_and_the_result_does_not(backend: str) -> None:
    """Between black and white a bicubic kernel goes beyond both; floats that come out run from 0 to 1."""
    if backend == "opencv":
        pytest.importorskip("cv2")
    steps = [{"resize": {"size": [31, 37], "interpolation": "bicubic"}}]
    pipe = Pipeline.from_spec({"image": steps, "backend": backend})
    image = (np.indices((8, 9)).sum(axis=0) // 3 % 2)[..., None].astype(np.float32)
    (op,) = pipe.test.plan((8, 9), channels=1, dtype="float32").ops
    raw = pipe.test.engine.apply(op, image)
    assert raw.min() < -0.01 and raw.max() > 1.01
    result = pipe.test(image)
    assert result.min() == 0.0 and result.max() == 1.0
    assert np.array_equal(result, np.clip(raw, 0.0, 1.0))


def test_files_and_pil_images_become_rgb() -> None:
    rgb = Image.fromarray(RGB)
    assert np.array_equal(to_array(rgb.convert("L")).array, np.asarray(rgb.convert("L").convert("RGB")))
    palette = rgb.quantize(5)
    assert np.array_equal(to_array(palette).array, np.asarray(palette.convert("RGB")))
    assert to_array(rgb.convert("1")).array.shape == (7, 10, 3)
    assert to_array(rgb.convert("CMYK")).array.shape == (7, 10, 3)
    assert np.array_equal(to_array(encoded(rgb.convert("LA"))).array, np.asarray(rgb.convert("L").convert("RGB")))


def test_what_is_transparent_is_white() -> None:
    pixels = np.dstack([RGB, np.zeros((7, 10), np.uint8)])
    pixels[0, 0, 3] = 255
    found = to_array(Image.fromarray(pixels)).array
    assert np.array_equal(found[0, 0], RGB[0, 0]) and (found[1:] == 255).all()
    palette = Image.fromarray(RGB).quantize(4)
    palette.info["transparency"] = 0
    expected = np.where((np.asarray(palette) == 0)[..., None], 255, np.asarray(palette.convert("RGB")))
    assert np.array_equal(to_array(encoded(palette, transparency=0)).array, expected)


def test_channels_can_be_kept_or_gray() -> None:
    rgb = Image.fromarray(RGB)
    assert to_array(rgb.convert("L"), "keep").array.shape == (7, 10, 1)
    assert to_array(rgb.convert("RGBA"), "keep").array.shape == (7, 10, 4)
    assert to_array(rgb.quantize(5), "keep").array.shape == (7, 10, 3)
    assert np.array_equal(to_array(rgb, "gray").array[..., 0], np.asarray(rgb.convert("L")))
    pipe = Pipeline.from_spec({"channels": "keep", "image": [{"normalize": "mnist"}]})
    assert pipe.train(rgb.convert("L")).shape == (1, 7, 10)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int, tmp_path: Path) -> None:
    upright = np.zeros((16, 24, 3), np.uint8)
    upright[:8, :8] = 255
    turn = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]  # how a camera would have stored it
    stored = Image.fromarray(upright)
    if turn is not None:
        stored = stored.transpose(Image.Transpose(turn))
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "photo.jpg"
    stored.save(path, quality=95, exif=exif)
    for source in (path, path.read_bytes(), Image.open(path)):
        found = to_array(source).array
        assert found.shape == (16, 24, 3) and np.abs(found.astype(int) - upright).max() < 40


@pytest.mark.parametrize("fast", [True, False])
def test_bytes_path_and_array_of_a_jpeg_are_equal(
    tmp_path: Path, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not fast:
        monkeypatch.setattr(jpeg, "_whole", None)
        monkeypatch.setattr(jpeg, "_parts", None)
    photo = Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 33, 3), dtype=np.uint8)).resize((333, 217))
    for options in ({"quality": 90}, {"quality": 40, "subsampling": 2}, {"progressive": True}, {"subsampling": 0}):
        data = encoded(photo, "JPEG", **options)
        (tmp_path / "a.jpg").write_bytes(data)
        with Image.open(io.BytesIO(data)) as opened:
            expected = np.asarray(opened)
            assert np.array_equal(to_array(data).array, expected) and np.array_equal(to_array(opened).array, expected)
        assert np.array_equal(to_array(tmp_path / "a.jpg").array, expected)
    gray = encoded(photo.convert("L"), "JPEG")
    assert to_array(gray).array.shape == (217, 333, 3)


def hostile() -> list[tuple[Any, str]]:
    deep = Image.fromarray(np.zeros((3, 4), np.uint16))
    return [
        (RGB.astype(np.float64), "has dtype float64; give .astype(np.float32), with values from 0 to 1"),
        (RGB.astype(np.int32), "has dtype int32; give uint8, or float32"),
        (RGB.astype(bool), "has dtype bool"),
        (RGB.astype(np.float32), "a float image has values from 0 to 1"),
        (np.full((3, 3, 3), np.nan, np.float32), "contains NaN"),
        (np.full((3, 3, 3), -0.1, np.float32), "values from 0 to 1"),
        (np.zeros((0, 4, 3), np.uint8), "has no pixels"),
        (np.zeros((4, 4, 0), np.uint8), "has no pixels"),
        (np.zeros((2, 3, 4, 3), np.uint8), "is not one image"),
        (np.zeros(5, np.uint8), "is not one image"),
        (np.zeros((3, 224, 224), np.uint8), "looks like channels x height x width"),
        (np.array([["a"]]), "has dtype <U1"),
        (b"", "image of 0 bytes: not an image"),
        (b"not an image at all", "not an image in a format that Pillow reads"),
        ("nowhere/photo.jpg", "nowhere/photo.jpg: there is no such file"),
        (".", "cannot be read"),
        (deep, "more than 8 bits"),
        (deep.convert("I"), "more than 8 bits"),
        (Image.new("RGB", (0, 3)), "has no pixels"),
        (None, "cannot take a NoneType as an image"),
        ([[1, 2], [3, 4]], "cannot take a list as an image"),
    ]


@pytest.mark.parametrize(("image", "message"), hostile())
def test_what_cannot_be_taken_is_refused_with_the_reason(image: Any, message: str) -> None:
    with pytest.raises(ImageError) as caught:
        NOTHING.train(image, index=0)
    assert message in str(caught.value)


def test_tensors_that_cannot_be_taken() -> None:
    torch = pytest.importorskip("torch")
    for tensor, message in (
        (torch.zeros(3, 4, 4, dtype=torch.bfloat16), "give uint8 or float32"),
        (torch.zeros(2, 3, 4, 4), "is not one image"),
        (torch.zeros(3, 4, 4, device="meta"), "is on meta"),
        (torch.zeros(100, 4, 4), "channels come first"),
        (torch.zeros(3, 4, 4).double(), "give .float(), with values from 0 to 1"),
    ):
        with pytest.raises(ImageError) as caught:
            NOTHING.train(tensor)
        assert message in str(caught.value)


def test_truncated_and_oversized_files(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(Image.fromarray(np.tile(RGB, (20, 20, 1))), "JPEG")
    with pytest.raises(ImageError, match="cannot be read"):
        to_array(data[: len(data) // 2])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ImageError, match="more than 1000 pixels"):
        to_array(data)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_the_pixel_limit_is_refused_where_pillow_would_only_warn(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow refuses at twice its limit; here the limit itself holds, and None means that there is none."""
    data = encoded(Image.fromarray(np.tile(RGB, (5, 4, 1))), kind)  # 35 x 40 = 1400 pixels
    for limit in (1400, None):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        assert to_array(data).array.shape == (35, 40, 3)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1399)
    with pytest.raises(ImageError, match="more than 1399 pixels"):
        to_array(data)


def test_the_input_is_never_written_to_and_never_returned() -> None:
    steps = [{"cutout": {"size": 0.8}}, {"brightness": 0.5}, {"pad": 2}]
    for spec in ([], ["horizontal_flip"], *([step] for step in steps), steps, [{"center_crop": 5}]):
        pipe = Pipeline.from_spec(spec)
        for source in (RGB, RGB[::-1, ::2], np.asfortranarray(RGB), RGB.astype(np.float32) / 255):
            image = source.copy(order="K")
            before = image.tobytes()
            for writable in (True, False):  # a read-only image is copied for that reason alone
                image.flags.writeable = writable
                for found in (pipe.train(image, index=1), pipe.test(image)):
                    assert not np.shares_memory(found, image) and found.flags.writeable and found.flags.c_contiguous
                    found[:] = 0
                assert image.tobytes() == before


def test_foreign_byte_order_and_subclasses() -> None:
    floats = (RGB / 255).astype(np.float32)
    assert np.array_equal(NOTHING.train(floats.astype(">f4")), floats)
    assert type(NOTHING.train(np.ma.masked_array(RGB))) is np.ndarray


def test_an_error_in_the_middle_names_the_op_and_the_image(tmp_path: Path) -> None:
    four = np.zeros((5, 5, 4), np.uint8)
    path = tmp_path / "wide.png"
    path.write_bytes(encoded(Image.fromarray(RGB)))
    wide = Pipeline.from_spec([{"normalize": {"mean": [0.1, 0.2]}}])
    with pytest.raises(ImageError, match=r"wide\.png: normalize's mean has 2 numbers and the image has 3 channels"):
        wide.train(path, index=0)
    with pytest.raises(ImageError, match="saturation needs a gray or RGB image, and this one has 4 channels"):
        Pipeline.from_spec([{"saturation": 0.5}]).train(four, index=0)
    with pytest.raises(ImageError, match="normalize's mean has 3 numbers and the image has 4 channels"):
        NORMAL.train(four, index=0)
