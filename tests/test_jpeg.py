"""The headers of JPEGs, and images that are decoded after the draw."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import augreg
from augreg import ImageError, Pipeline, ops
from augreg.images import codecs, jpeg
from augreg.images.codecs import to_array
from augreg.images.jpeg import decode_jpeg, read_header

pytestmark = pytest.mark.skipif(vars(jpeg)["_whole"] is None, reason="simplejpeg is not installed")


def photo(width: int = 90, height: int = 70) -> Image.Image:
    noise = np.random.default_rng(width).integers(0, 256, (9, 9, 3), np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


def pixels(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(data)))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"comment": b"\xff\xd8" * 9}])
def test_the_header_has_the_size(options: dict[str, Any]) -> None:
    header = read_header(encoded(photo(), **options))
    assert header == (70, 90, None, "progressive" not in options)


def test_the_header_has_the_orientation_as_pillow_reads_it() -> None:
    for orientation in (0, 1, 2, 3, 6, 8, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        header = read_header(encoded(photo(), exif=exif))
        turns = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180}
        turns |= {6: Image.Transpose.ROTATE_270, 8: Image.Transpose.ROTATE_90}
        assert header is not None and header.turn == turns.get(orientation)


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content


def test_files_that_only_pillow_reads_have_no_header() -> None:
    data = encoded(photo())
    assert read_header(encoded(photo().convert("L"))) is None
    assert read_header(encoded(photo().convert("CMYK"))) is None
    assert read_header(data[:2] + segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>") + data[2:]) is None
    assert read_header(data[:2] + segment(0xE2, b"MPF\0..") + data[2:]) is None
    assert read_header(data[:2] + b"stray" + data[2:]) is None
    assert read_header(data[:40]) is None and read_header(data[:3]) is None and read_header(b"") is None
    png = io.BytesIO()
    photo().save(png, "PNG")
    assert read_header(png.getvalue()) is None
    twelve = data.replace(b"\xff\xc0\x00\x11\x08", b"\xff\xc0\x00\x11\x0c")
    assert twelve != data and read_header(twelve) is None


def test_metadata_between_the_frame_and_the_scan_counts() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data, written = encoded(photo(70, 70)), segment(0xE1, b"Exif\0\0" + exif.tobytes().removeprefix(b"Exif\0\0"))
    scan = data.index(b"\xff\xda")
    turned = data[:scan] + written + data[scan:]
    upright = np.asarray(Image.open(io.BytesIO(turned)).transpose(Image.Transpose.ROTATE_270))
    assert np.array_equal(to_array(turned).array, upright)
    assert read_header(data[:scan] + segment(0xE2, b"MPF\0..") + data[scan:]) is None


def test_what_libraries_may_read_in_other_ways_has_no_header() -> None:
    data = encoded(photo())
    start, scan = data.index(b"\xff\xc0"), data.index(b"\xff\xda")
    frame = data[start : start + 19]
    assert read_header(data[:scan] + frame + data[scan:]) is None  # two sizes
    assert read_header(data[:start] + data[start + 19 :]) is None
    for marker in (0xC3, 0xC9, 0xD3, 0xD9):  # a frame of another kind, and what comes later
        assert read_header(data[:2] + segment(marker, frame[4:]) + data[2:]) is None
    assert read_header(data[: start + 5] + b"\0\0" + data[start + 7 :]) is None  # no rows
    assert read_header(data[:2] + b"\xff\xfe\0\0" + data[2:]) is None  # a segment shorter than its length
    empty = segment(0xE1, b"Exif\0\0II*\0\x08" + bytes(9))
    assert read_header(data[:2] + empty + data[2:]) == read_header(data)
    assert read_header(data[:2] + empty + empty + data[2:]) is None  # metadata in two parts


def test_fill_bytes_and_other_segments_are_passed() -> None:
    data = encoded(photo())
    longer = data[:2] + segment(0xEE, b"Adobe\0d\0\0\0\0\1") + b"\xff\xff" + data[2:]
    assert read_header(longer) == read_header(data)
    assert np.array_equal(to_array(longer).array, pixels(longer))


def test_a_file_that_ends_early_is_refused_by_name_also_where_its_end_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "cut.jpg"
    data = encoded(photo(400, 300), quality=95)
    pipe = Pipeline.from_spec([{"center_crop": [10, 300]}])
    for tenths in (5, 9):  # the crop is in the middle
        path.write_bytes(data[: len(data) * tenths // 10])
        for source in (path, {"image": path}):
            with pytest.raises(ImageError, match=r"cut\.jpg.*truncated"):
                pipe.test(source)


@pytest.mark.parametrize("backend", ["pillow", "auto"])
def test_images_are_the_same_from_their_file_and_from_their_pixels(backend: str) -> None:
    steps = [{"random_resized_crop": 32}, {"random_crop": 40}, {"center_crop": 40}, {"pad": 3}, "horizontal_flip"]
    data = encoded(photo(150, 120), quality=90)
    whole, boxes = pixels(data), [[0, 0, 9, 9]]
    for step in steps:
        pipe = Pipeline.from_spec({"image": [step], "backend": backend, "targets": {"boxes": "xyxy"}})
        for index in range(8):
            expected = pipe.train(whole, index=index, epoch=0)
            assert np.array_equal(pipe.train(data, index=index, epoch=0), expected)
            assert np.array_equal(pipe.train.plan(data, index=index, epoch=0).run(data), expected)
            samples = [{"image": [first, whole], "boxes": boxes} for first in (data, whole)]
            found, other = (pipe.train(sample, index=index, epoch=0) for sample in samples)
            assert np.array_equal(found["image"], other["image"]) and np.array_equal(found["boxes"], other["boxes"])
        assert np.array_equal(pipe.test(data), pipe.test(whole))


def test_the_box_is_that_of_the_crop(monkeypatch: pytest.MonkeyPatch) -> None:
    boxes: list[Any] = []

    def recorded(*given: Any) -> bool:
        boxes.append(given[3])
        return decode_jpeg(*given)

    monkeypatch.setattr(codecs, "decode_jpeg", recorded)
    data = encoded(photo(150, 120))
    for steps, expected in (
        ([{"center_crop": [20, 30]}, "horizontal_flip"], (50, 60, 20, 30)),
        (["invert", {"center_crop": [20, 30]}], (50, 60, 20, 30)),  # the crop is moved to the front
        (["auto_contrast", {"center_crop": [20, 30]}], None),
        ([{"resize": {"size": [60, 75]}}], None),
        ([], None),
    ):
        Pipeline.from_spec({"image": steps}).test(data)
        assert boxes.pop() == expected and not boxes


@augreg.transform("beyond", kind="geometry")
class Beyond:
    """A crop that is not within the image."""

    top: int

    def sample(self, rng: Any, scene: Any) -> Any:
        return ops.crop(self.top, 0, 30, 40)


@pytest.mark.parametrize("top", [-1, 60])
def test_a_crop_beyond_the_image_is_refused_by_name(top: int) -> None:
    with pytest.raises(ImageError, match=rf"cannot crop 30x40 at \({top}, 0\): the image is 70x90"):
        Pipeline([Beyond(top)]).train(encoded(photo()), index=0)


def test_a_box_is_decoded_at_its_place() -> None:
    data = encoded(photo(150, 120))
    header = read_header(data)
    assert header is not None
    out = np.zeros((120, 150, 3), np.uint8)
    assert decode_jpeg(data, header, out, (30, 40, 50, 60))
    assert np.array_equal(out[30:80, 40:100], pixels(data)[30:80, 40:100])


def test_an_image_that_was_decoded_is_not_decoded_again_for_a_view(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.BytesIO()
    Image.new("RGB", (60, 50), (200, 10, 90)).save(file, "JPEG")
    boxes: list[Any] = []

    def counted(*given: Any) -> bool:
        boxes.append(given[-1])
        return decode_jpeg(*given)

    monkeypatch.setattr(codecs, "decode_jpeg", counted)
    image = to_array(file.getvalue())
    assert to_array(image, decoded=False).pending is None
    to_array(image).decode()
    assert boxes == [None]
