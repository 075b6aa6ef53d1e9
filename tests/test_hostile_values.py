"""Whatever a reader or a converter raises is a SpecError or an ImageError that says where it is."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import augreg
from augreg import ImageError, SpecError

IMAGE = np.zeros((4, 4, 3), np.uint8)
with warnings.catch_warnings():  # the strided layout is a prototype, and says so
    warnings.simplefilter("ignore")
    NESTED = torch.nested.nested_tensor([torch.zeros(3, 4, 4), torch.zeros(3, 5, 5)])
HUGE = 10**5000  # of more digits than Python prints


class Uncomparable:
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("compares with nothing")


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("has no words")


class Closed:
    """Any attribute of it fails, not with an AttributeError."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"no {name}")


VALUES: list[Any] = [
    HUGE, NESTED, np.array(["auto", "pillow"]), np.array([]), np.array(3), np.ma.masked, Uncomparable(),
    Unprintable(), Closed(), 1j, b"\xff", "\0", "\ud800", {(1, 2): 3}, torch.zeros(2, device="meta"), [[]],
]  # fmt: skip
IDS = [f"{number}-{type(value).__name__}" for number, value in enumerate(VALUES)]
OPTIONS = ("version", "seed", "output", "channels", "backend", "approximate", "targets", "classes", "decode", "batch")


@pytest.mark.parametrize("value", VALUES, ids=IDS)
def test_python_data_of_any_class_is_a_spec_or_a_spec_error(value: Any) -> None:
    specs: list[Any] = [{"image": ["rotate"], option: value} for option in OPTIONS]
    specs += [{"image": value}, [[value]], [{"rotate": value}], [{"rotate": {"degrees": value, "p": value}}]]
    specs += [[{"rotate": {"test": value, "uid": value}}], [{"one_of": {"steps": value, "weights": value}}]]
    specs += [[{"normalize": {key: value}}] for key in ("mean", "std", "mean_image")]
    specs += [[{"rotate": {"degrees": {"linear": value, "over": value}}}], [{"auto_augment": value}]]
    specs += [{"image": [], "model": [{"dropout": {"at": value}}]}, {"image": [], "targets": {"labels": value}}]
    for spec in specs:
        try:
            augreg.Pipeline.from_spec(spec)
        except SpecError as error:
            assert str(error)
    for sections in ({"steps": value}, {"batch": value}, {"model": value}, {"seed": value}):
        try:
            augreg.Pipeline(**sections)
        except SpecError as error:
            assert str(error)


def test_what_is_no_spec_at_all() -> None:
    for value in (HUGE, Unprintable(), 5, 1j):
        with pytest.raises(SpecError):
            augreg.Pipeline.from_spec(value)
        with pytest.raises(SpecError):
            augreg.Pipeline(value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        (
            "a.yaml",
            b"image:\n  - rotate\n  - \x01\n",
            "a.yaml:3: not valid YAML: the character U+0001 is not allowed",
        ),
        ("a.yml", "version: 1\n\x80".encode(), "a.yml:2: not valid YAML: the character U+0080"),
        ("a.json", b'{"seed": ' + b"9" * 5000 + b"}", "a.json: not valid JSON: a number has 5,000 digits"),
        ("a.toml", b"seed = " + b"9" * 5000, "a.toml: not valid TOML: a number has 5,000 digits"),
        ("b.yaml", b"seed: " + b"9" * 5000, "b.yaml:1: a number has 5,000 digits"),
        ("c.yaml", b"\xff\xfe\xff", "not UTF-8 text"),
        ("b.json", b"\0", "not valid JSON"),
        ("b.toml", b"image = [{rotate = 1979-05-27}]", "got"),
    ],
)
def test_files_that_their_readers_refuse(name: str, text: bytes, expected: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(text)
    with pytest.raises(SpecError) as caught:
        augreg.Pipeline.from_spec(tmp_path / name)
    assert expected in str(caught.value)


@pytest.mark.parametrize("name", ["x/" + "y" * 5000, "x/\0", "y" * 5000 + ".yaml", "\ud800.yaml", "/"])
def test_names_that_no_file_can_have(name: str) -> None:
    with pytest.raises(SpecError):
        augreg.Pipeline.from_spec(name)


class FailingFile:
    def read(self) -> bytes:
        raise RuntimeError("the disk is gone")


class FailingPath:
    def __fspath__(self) -> str:
        raise RuntimeError("no path")


def named_by(filename: object) -> Image.Image:
    image = Image.new("RGB", (4, 4))
    image.filename = filename  # type: ignore[attr-defined]
    image.close()
    return image


IMAGES: list[Any] = [
    NESTED, HUGE, Closed(), Unprintable(), FailingFile(), FailingPath(), named_by(FailingPath()),
    torch.zeros(2, 2).to_sparse(), torch.zeros(3, 4, 4, device="meta"), np.zeros((4, 4), [("a", "u1")]),
    np.zeros((4, 4, 3), "V3"), "\0", "y" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("value", IMAGES, ids=[f"{n}-{type(value).__name__}" for n, value in enumerate(IMAGES)])
def test_what_is_no_image_mask_or_target_is_an_image_error(value: Any) -> None:
    pipe = augreg.Pipeline(["horizontal_flip"], targets={"boxes": "xyxy", "labels": ["labels"]})
    for wrong in (value, {"image": value}, {"image": [IMAGE, value]}):
        with pytest.raises(ImageError):
            pipe.train(wrong, index=0)
    box, point = [[0, 0, 1, 1]], [[1, 1]]
    samples: list[dict[str, Any]] = [
        {"mask": value}, {"masks": value}, {"mask_of_it": value}, {"boxes": value}, {"boxes": [[0, 0, 1, value]]},
        {"boxes": box, "labels": value}, {"keypoints": value}, {"keypoints": [value]},
        {"keypoints": point, "keypoint_names": value},
    ]  # fmt: skip
    for sample in samples:
        try:  # some are no targets, and pass through
            pipe.train({"image": IMAGE, **sample}, index=0)
        except ImageError as error:
            assert any(key in str(error) for key in sample), error
