"""Odd and hostile images: what a user would expect of them, or an ImageError that says which image and why."""

from __future__ import annotations

import io
import os
import struct
import threading
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pytest
from damaged import encoded, whole
from images import made
from PIL import Image
from strategies import CLASSES
from test_properties import BACKENDS

from augreg import ImageError, Pipeline
from augreg.images import jpeg
from augreg.images.codecs import to_array

RGB = made("noise", 7, 10)
FLOATS = made("noise", 7, 10, dtype="float32")
FLIP = {"horizontal_flip": {"p": 1}}
EVERY = [FLIP, {"rotate": 20}, {"brightness": [0.7, 0.8]}, {"resize": {"size": [5, 6]}}, "normalize"]
NOTHING = Pipeline.from_spec([])
PNG = encoded(Image.fromarray(RGB), "PNG")


def png(width: int, height: int, bits: int = 8, color: int = 2, rows: bytes = b"") -> bytes:
    """A PNG by hand: its header may lie."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def refused(image: Any, *messages: str, channels: str = "rgb") -> None:
    with pytest.raises(ImageError) as caught:
        to_array(image, channels)
    for message in messages:
        assert message in str(caught.value)
    str(caught.value).encode()  # it can be printed


# Modes, files with more than one byte a pixel value, files with more than one image.

MODES = ["1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "LA", "PA", "RGBX", "RGBa", "La"]


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_of_eight_bits(mode: str) -> None:
    image = Image.new(mode, (5, 4))
    assert to_array(image).array.shape == (4, 5, 3)
    assert to_array(image, "gray").array.shape == (4, 5, 1)
    alpha = mode.lower() in ("rgba", "la", "pa")
    assert to_array(image, "keep").array.shape == (4, 5, 4 if alpha else 1 if mode in ("1", "L") else 3)
    white = alpha or mode == "CMYK"  # nothing to be seen, and no ink
    assert (to_array(image).array == 255).all() == white
    assert to_array(image).array.dtype == np.uint8


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_has_the_right_colors(kind: str) -> None:
    """Adobe's JPEGs hold the inverse of what they mean."""
    red = Image.new("RGB", (16, 16), (230, 20, 10)).convert("CMYK")
    data = encoded(red, kind)
    if kind == "JPEG":
        assert b"Adobe" in data
    for image in (data, Image.open(io.BytesIO(data)), red):
        assert np.abs(to_array(image).array.astype(int) - (230, 20, 10)).max() < 12


@pytest.mark.parametrize("mode", ["I", "F", "I;16", "I;16B"])
def test_more_than_eight_bits_are_refused_and_the_remedy_works(mode: str) -> None:
    image = Image.new(mode, (5, 4))
    refused(image, f"PIL image ({mode}, 4x5) has more than 8 bits", "np.float32) / 65535")
    deep = np.arange(20, dtype=np.uint16).reshape(4, 5) * 3000
    for kind in ("PNG", "TIFF"):
        data = encoded(Image.fromarray(deep), kind)
        refused(data, f"image of {len(data)} bytes has more than 8 bits", "np.float32) / 65535")
        remedied = np.asarray(Image.open(io.BytesIO(data)), np.float32) / 65535
        assert np.allclose(to_array(remedied).array[..., 0], deep / 65535)
    refused(deep, "array of uint16 (4, 5) has dtype uint16; give .astype(np.float32) / 65535")
    assert to_array(deep.astype(np.float32) / 65535).array.dtype == np.float32


def test_sixteen_bits_in_color_lose_their_lower_byte() -> None:
    """As in every program that shows such a file: Pillow has no other way to hold it."""
    row = b"\x00" + bytes([200, 99, 100, 99, 50, 99]) * 2
    assert to_array(png(2, 1, 16, 2, row)).array.tolist() == [[[200, 100, 50]] * 2]


# Pillow 11 writes MPO files that it cannot read again
@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF", *(["MPO"] if PIL.__version__ >= "12" else [])])
def test_the_first_frame_of_several(kind: str) -> None:
    frames = [Image.new("RGB", (16, 8), color) for color in ("white", "black", "black")]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    with Image.open(io.BytesIO(data)) as image:
        assert image.n_frames > 1
    found = to_array(data).array
    assert found.shape == (8, 16, 3) and (found == 255).all()


def test_transparent_gray_and_single_bits() -> None:
    gray = Image.fromarray(np.array([[5, 9, 200]], np.uint8))
    assert to_array(encoded(gray, "PNG", transparency=9)).array[0, :, 0].tolist() == [5, 255, 200]
    assert to_array(encoded(gray, "PNG", transparency=9), "keep").array[0, :, 3].tolist() == [255, 0, 255]
    alpha = Image.merge("LA", [gray, Image.fromarray(np.array([[255, 0, 51]], np.uint8))])
    assert to_array(alpha).array[0, :, 0].tolist() == [5, 255, 244]
    bits = Image.fromarray(np.array([[0, 255, 0]], np.uint8)).convert("1")
    assert to_array(encoded(bits, "PNG")).array[0, :, 2].tolist() == [0, 255, 0]
    assert to_array(encoded(bits, "PNG", transparency=0)).array[0, :, 2].tolist() == [255, 255, 255]


def test_nonsense_about_transparency_is_refused() -> None:
    for mode in ("RGB", "L", "P"):
        image = Image.fromarray(RGB).convert(mode)
        image.info["transparency"] = 1.5
        refused(image, f"PIL image ({mode}, 7x10): cannot be read")


# Metadata.


@pytest.mark.parametrize("value", [0, 9, -1, 65535, "x", b"6", None, 3.5, (6,), [6]])
def test_nonsense_for_an_orientation_is_upright(value: Any) -> None:
    image = Image.fromarray(RGB)
    image.getexif()[0x0112] = value
    assert np.array_equal(to_array(image).array, RGB)


CORRUPT = {
    "garbage": b"Exif\0\0garbage garbage",
    "no directory": b"Exif\0\0II*\0\xff\xff\xff\xff",
    "endless": b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x12\x01\x03\0\xff\xff\xff\x7f\x08\0\0\0" * 4,
    "cut": b"Exif\0\0MM\0*\0\0\0\x08\0\x02\x01\x12\0\x02\0\0\0\x02x\0\0\0",
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("exif", CORRUPT.values(), ids=CORRUPT)
def test_corrupt_metadata_costs_neither_the_image_nor_a_warning(kind: str, exif: bytes) -> None:
    """Warnings are errors in this suite, and Pillow warns of every one of these."""
    image = Image.fromarray(RGB)
    plain, strange = encoded(image, kind), encoded(image, kind, exif=exif)
    assert np.array_equal(to_array(strange).array, to_array(plain).array)
    assert np.array_equal(to_array(Image.open(io.BytesIO(plain))).array, to_array(plain).array)


def test_a_profile_of_colors_is_not_looked_at() -> None:
    for kind in ("JPEG", "PNG"):
        strange = encoded(Image.fromarray(RGB), kind, icc_profile=b"junk" * 30)
        assert np.array_equal(to_array(strange).array, to_array(encoded(Image.fromarray(RGB), kind)).array)


def test_filters_of_warnings_are_left_as_they_were() -> None:
    strange = encoded(Image.fromarray(RGB), "JPEG", exif=CORRUPT["no directory"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = list(warnings.filters)
        threads = [threading.Thread(target=lambda: [to_array(strange) for _ in range(20)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        refused(b"nothing")
        assert warnings.filters == before


def test_what_the_fast_decoder_refuses_pillow_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    data = whole()["jpeg"]
    at = data.index(b"\xff\xdb")
    strange = data[:at] + b"\0" * 9 + data[at:]  # bytes between two segments: libjpeg skips them and warns
    expected = to_array(data).array
    assert np.array_equal(to_array(strange).array, expected)
    monkeypatch.setattr(jpeg, "_whole", None)
    monkeypatch.setattr(jpeg, "_parts", None)
    assert np.array_equal(to_array(strange).array, expected)


# Bombs and files that start programs.


def test_headers_that_promise_too_much() -> None:
    for width, height in ((100_000, 100_000), (10_000, 10_000), (2**31 - 1, 2**31 - 1)):
        refused(png(width, height, color=0), f"more than {Image.MAX_IMAGE_PIXELS} pixels; raise PIL.Image.MAX_")
    jpeg = whole()["jpeg"]
    at = jpeg.index(b"\xff\xc0") + 5
    refused(jpeg[:at] + b"\xff\xff\xff\xff" + jpeg[at + 4 :], "more than")


def test_text_that_swells_is_refused() -> None:
    text = b"zTXta\0\0" + zlib.compress(b"\0" * (1 << 27), 1)
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    refused(PNG[:33] + chunk + PNG[33:], "cannot be read: Decompressed data too large")


def test_no_image_starts_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow reads EPS by Ghostscript."""
    monkeypatch.setattr("subprocess.Popen", lambda *args, **options: pytest.fail("a program was started"))
    refused(encoded(Image.fromarray(RGB), "EPS"), "EPS is a program, not an image")


# Sizes and channels.

SIZES = [(1, 1), (1, 9), (9, 1), (1, 70_000), (70_000, 1), (40_000, 2), (2, 32_767), (2, 32_768)]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
def test_very_long_and_very_small(backend: str, size: tuple[int, int]) -> None:
    """Half a turn of a ramp is the ramp from its other end, also beyond the 32,767 of a 16-bit number."""
    ramp = np.linspace(0, 255, size[0] * size[1]).astype(np.uint8).reshape(*size, 1).repeat(3, axis=2)
    image = ramp if size[1] > size[0] else np.sort(ramp, axis=0)

    def done(*steps: Any) -> np.ndarray:
        return np.asarray(Pipeline.from_spec({"backend": backend, "image": list(steps)}).train(image, index=1))

    half_turn = {"degrees": [180, 180], "interpolation": "bilinear"}
    turned = done({"rotate": half_turn}).astype(int)
    inside = np.s_[:, 1:-1] if size[1] > size[0] else np.s_[1:-1]
    assert np.abs(turned - image[::-1, ::-1])[inside].max(initial=0) <= 2
    assert np.array_equal(done(FLIP, {"invert": {}}), 255 - image[:, ::-1])
    assert done({"resize": {"size": [3, 4]}}).shape == (3, 4, 3)
    normalized = done(*EVERY)
    assert normalized.shape == (3, 5, 6)
    assert np.isfinite(normalized).all()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("channels", [2, 5, 12, 64])
def test_each_of_many_channels_is_treated_alike(backend: str, dtype: str, channels: int) -> None:
    image = made("smooth", 11, 13, channels, dtype)
    for step in (*EVERY[:-1], {"gaussian_blur": 1.0}, {"normalize": {"mean": 0.5, "std": 0.2}}, {"pad": 2}):
        pipe = Pipeline.from_spec({"backend": backend, "image": [step]})
        found = pipe.train(image, index=3)
        axis = 0 if "normalize" in step else 2
        for channel in (0, channels // 2, channels - 1):
            alone = pipe.train(np.ascontiguousarray(image[..., [channel]]), index=3)
            off = np.abs(np.take(found, [channel], axis).astype(float) - alone)
            assert off.max() <= (2 if found.dtype == np.uint8 else 1e-5), step


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CLASSES)
def test_a_step_takes_five_channels_or_says_that_it_does_not(name: str, backend: str) -> None:
    if CLASSES[name].__augreg__.container or CLASSES[name].__augreg__.kind == "normalize":
        return
    for chosen in CLASSES[name].__augreg__.preview or ({},):
        pipe = Pipeline.from_spec({"backend": backend, "image": [{name: {**chosen, "p": 1}}]})
        for dtype in ("uint8", "float32"):
            try:
                found = pipe.train(made("noise", 33, 37, 5, dtype), index=2)
            except ImageError as error:
                assert "5 channels" in str(error), error
                assert "failed on" not in str(error), error
            else:
                assert found.shape[2] == 5


def test_channels_at_the_wrong_end() -> None:
    refused(np.zeros((3, 32, 32), np.uint8), "32 channels; it looks like channels x height x width")
    refused(np.zeros((6, 7, 65), np.uint8), "65 channels; at most 64 are accepted")
    assert to_array(np.zeros((3, 12, 12), np.uint8)).array.shape == (3, 12, 12)
    torch = pytest.importorskip("torch")
    refused(torch.zeros(32, 32, 3), "32 channels; channels come first: give tensor.permute(2, 0, 1)")
    refused(torch.zeros(65, 6, 7), "65 channels; channels come first, and at most 64 are accepted")


# Arrays.


def memory_mapped(folder: Path) -> np.ndarray:
    np.save(folder / "a.npy", RGB)
    return np.load(folder / "a.npy", mmap_mode="r")


ARRAYS: dict[str, Callable[[Path], Any]] = {
    "fortran order": lambda _: np.asfortranarray(RGB),
    "negative strides": lambda _: RGB[::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1],
    "every other": lambda _: RGB.repeat(2, axis=0).repeat(2, axis=1)[::2, ::2],
    "planes": lambda _: np.ascontiguousarray(RGB.transpose(2, 0, 1)).transpose(1, 2, 0),
    "huge strides": lambda _: np.lib.stride_tricks.as_strided(np.resize(RGB, (7, 1000, 3)), (7, 10, 3), (3000, 3, 1)),
    "memory mapped": memory_mapped,
    "masked": lambda _: np.ma.masked_array(RGB, mask=RGB > 100),
    "records": lambda _: RGB.view(np.recarray),
    "big endian": lambda _: FLOATS.astype(">f4"),
    "not aligned": lambda _: np.frombuffer(b"\0" + FLOATS.tobytes(), np.uint8)[1:].view("f4").reshape(7, 10, 3),
    "negative zero": lambda _: np.negative(np.zeros((7, 10, 3), np.float32)),
    "broadcast": lambda _: np.broadcast_to(np.uint8(9), (7, 10, 3)),
    "broadcast rows": lambda _: np.broadcast_to(FLOATS[:1], (7, 10, 3)),
}


@pytest.mark.parametrize("make", ARRAYS.values(), ids=ARRAYS)
def test_an_array_laid_out_in_any_way_is_the_same_image(make: Callable[[Path], Any], tmp_path: Path) -> None:
    array = make(tmp_path)
    plain = np.array(array, array.dtype.newbyteorder("="), order="C", subok=False)
    before = plain.copy()
    for spec in (EVERY, EVERY[:-1], [], ["cutout"]):
        pipe = Pipeline.from_spec(spec)
        found, expected = pipe.train(array, index=2), pipe.train(plain, index=2)
        assert type(found) is np.ndarray
        assert found.flags.writeable
        assert not np.shares_memory(found, array)
        assert found.tobytes() == expected.tobytes()
        found[...] = 0
    assert np.array_equal(np.asarray(array), before)


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_a_matrix_is_a_gray_image() -> None:
    found = NOTHING.train(np.matrix(RGB[..., 0]))
    assert type(found) is np.ndarray
    assert np.array_equal(found, RGB[..., 0])


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (RGB > 9, "has dtype bool; give .astype(np.uint8) * 255"),
        (RGB.astype(np.int8), "has dtype int8; give uint8, or float32 with values from 0 to 1"),
        (RGB.astype(">u2"), "has dtype uint16; give .astype(np.float32) / 65535"),
        (RGB.astype(np.int64), "has dtype int64; give uint8"),
        (FLOATS.astype(np.float16), "has dtype float16; give .astype(np.float32)"),
        (FLOATS.astype(complex), "has dtype complex128; give uint8"),
        (RGB.astype(object), "has dtype object; give uint8"),
        (np.zeros((4, 4), [("r", "u1"), ("g", "u1")]), "give uint8"),
        (np.zeros((4, 4), "S3"), "has dtype |S3; give uint8"),
        (np.zeros((4, 4), "M8[s]"), "has dtype datetime64[s]; give uint8"),
        (np.full((3, 3, 3), np.inf, np.float32), "runs from inf to inf; a float image has values from 0 to 1"),
        (np.array([[0, np.nan], [-np.inf, 1]], np.float32), "contains NaN"),
        (np.zeros((0, 0), np.uint8), "array of uint8 (0, 0) has no pixels"),
        (np.zeros((3, 0, 3), np.float32), "array of float32 (3, 0, 3) has no pixels"),
        (np.array(3, np.uint8), "array of uint8 () is not one image"),
        (np.uint8(3), "cannot take a uint8 as an image"),
    ],
    ids=lambda value: "" if isinstance(value, str) else f"{value.dtype} {value.shape}",
)
def test_arrays_that_are_no_images(array: Any, message: str) -> None:
    refused(array, message)


# Tensors.


def test_tensors_of_every_layout() -> None:
    torch = pytest.importorskip("torch")
    pipe = Pipeline.from_spec(EVERY)
    plain = torch.from_numpy(FLOATS).permute(2, 0, 1).contiguous()
    expected = pipe.train(plain, index=1)
    wide = torch.zeros(3, 7, 20)
    wide[:, :, ::2] = plain
    negated = torch.imag(torch.conj(torch.complex(torch.zeros_like(plain), -plain)))
    for tensor in (
        torch.from_numpy(FLOATS).permute(2, 0, 1),
        plain[None].contiguous(memory_format=torch.channels_last)[0],
        wide[:, :, ::2],
        plain.clone().requires_grad_(),
        torch.nn.Parameter(plain),
        negated,
    ):
        before = tensor.detach().clone()
        assert torch.equal(pipe.train(tensor, index=1), expected)
        out = NOTHING.train(tensor)
        assert torch.equal(out, plain) and not out.requires_grad
        out.zero_()
        assert torch.equal(tensor.detach(), before)
    spread = torch.zeros(1, 1, 1, dtype=torch.uint8).expand(3, 5, 6)
    assert NOTHING.train(spread).shape == (3, 5, 6)


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch says that some of these are deprecated, or new
def test_tensors_that_are_no_images() -> None:
    torch = pytest.importorskip("torch")
    floats = torch.rand(3, 4, 4)
    for tensor, message in (
        (floats.half(), "has dtype float16; give .float()"),
        (floats.double(), "has dtype float64; give .float()"),
        (floats.bfloat16(), "BFloat16; give uint8 or float32, .float() for one"),
        (floats.to(torch.uint16), "has dtype uint16; give .float() / 65535"),
        (floats > 0.5, "has dtype bool; give .to(torch.uint8) * 255"),
        (floats.to(torch.complex64), "has dtype complex64"),
        (floats.to_sparse(), "Sparse"),
        (floats[0].to_sparse_csr(), "tensor of torch.float32 (4, 4)"),
        (torch.quantize_per_tensor(floats, 0.1, 0, torch.quint8), "tensor of torch.quint8 (3, 4, 4)"),
        (floats.to("meta"), "is on meta"),
        (floats[:, :0], "tensor of torch.float32 (3, 0, 4) has no pixels"),
        (floats * float("nan"), "contains NaN"),
        (torch.tensor(3), "is not one image"),
    ):
        refused(tensor, message)


# PIL images that are not there any more.


def test_pil_images_whose_file_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    with path.open("rb") as file:
        lazy = Image.open(file)
    refused(lazy, "(RGB, 7x10): cannot be read")
    with Image.open(path) as closed:
        pass
    refused(closed, "a.png (RGB, 7x10): cannot be read")
    gone = Image.open(path)
    path.unlink()
    assert np.array_equal(to_array(gone).array, RGB)  # the file is open until it is read
    cut = encoded(Image.fromarray(made("noise", 60, 60)), "JPEG")
    refused(Image.open(io.BytesIO(cut[: len(cut) // 2])), "(RGB, 60x60): cannot be read")


# Paths, bytes and open files.


class Place:
    """What os.fspath takes."""

    def __init__(self, path: Any) -> None:
        self.path = path

    def __fspath__(self) -> Any:
        return self.path


def test_whatever_names_a_file_or_is_one(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    spread = memoryview(bytes(byte for pair in zip(PNG, PNG, strict=True) for byte in pair))[::2]
    with path.open("rb") as file, open(path, "rb", buffering=0) as raw:  # noqa: PTH123
        kinds = [Place(str(path)), Place(os.fsencode(path)), spread, io.BytesIO(PNG), file, raw]
        (entry,) = os.scandir(tmp_path)
        for kind in (*kinds, entry):
            for _ in range(2):  # an open file is read from its start each time, as by Pillow
                assert np.array_equal(to_array(kind).array, RGB)
    source, target = os.pipe()
    os.write(target, PNG)
    os.close(target)
    with os.fdopen(source, "rb") as stream:  # cannot be rewound
        assert np.array_equal(to_array(stream).array, RGB)


class Broken:
    """An open file whose reader has its own kinds of error."""

    def read(self) -> bytes:
        raise KeyError("bucket")


def test_files_and_paths_that_hold_no_image(tmp_path: Path) -> None:
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("hello")
    closed = io.BytesIO(PNG)
    closed.close()
    view = memoryview(PNG)
    view.release()
    for source, message in (
        (tmp_path, f"{tmp_path}: cannot be read: Is a directory"),
        ("", "'': cannot be read: Is a directory"),
        (tmp_path / "empty.png", "empty.png: not an image: it is empty"),
        (tmp_path / "text.png", "text.png: not an image in a format that Pillow reads"),
        (tmp_path / "none.png", "none.png: there is no such file"),
        (tmp_path / "text.png" / "a", "cannot be read: Not a directory"),
        ("a\0b.png", r"a\x00b.png: cannot be read"),
        ("a\nb.png", r"a\nb.png: there is no such file"),
        ("\ud800.png", r"\ud800.png: cannot be read"),
        ("a" * 5000, "cannot be read: File name too long"),
        (Place(5), "Place object: cannot be read: TypeError"),
        (Place(str(tmp_path / "none.png")), "none.png: there is no such file"),
        (io.StringIO("hello"), "StringIO object: reading it gives str, not bytes; open it with mode 'rb'"),
        (closed, "BytesIO object: cannot be read"),
        (Broken(), "Broken object: cannot be read: KeyError: 'bucket'"),
        (view, "cannot be read"),
        (memoryview(FLOATS), f"image of {FLOATS.nbytes} bytes: not an image"),
    ):
        refused(source, message)


def test_a_name_that_is_not_text(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff\xfe.png"
    with open(path, "wb") as file:  # noqa: PTH123
        file.write(PNG)
    assert np.array_equal(to_array(os.fsdecode(path)).array, RGB)
    with open(path, "wb") as file:  # noqa: PTH123
        file.write(PNG[:60])
    refused(os.fsdecode(path), r"/\udcff\udcfe.png: cannot be read")
    with open(path, "rb") as file:  # noqa: PTH123
        refused(file, r"/\udcff\udcfe.png: cannot be read")
