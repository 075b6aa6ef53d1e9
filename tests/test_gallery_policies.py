"""The gallery's policy tables: photos by rows, sub-policies by columns, as drawn."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import augreg
from augreg import gallery
from augreg.gallery.photos import Photo, read
from augreg.gallery.policies import figure, sheets
from augreg.registry.discovery import Contributions
from augreg.registry.registry import Registry

PHOTOS = Path(__file__).parents[1] / "gallery" / "photos"
FIGURE = (
    "ShearX,0.9,7 / Invert,0.2,3",
    "ShearY,0.7,6 / Solarize,0.4,8",
    "ShearX,0.9,4 / AutoContrast,0.8,3",
    "Invert,0.9,3 / Equalize,0.6,3",
    "ShearY,0.8,5 / AutoContrast,0.7,3",
)


def few(*names: str) -> Registry:
    installed = Registry.installed()
    return Registry(Contributions({name: installed[name] for name in names}))


def photos(*names: str) -> list[Photo]:
    return read([PHOTOS / name for name in names])


def test_the_figure_is_in_every_catalogue() -> None:
    registry = few("rotate")
    text = gallery.render(
        augreg.Pipeline.from_spec(["rotate"], registry), [PHOTOS / "chelsea.jpg"], registry=registry
    )
    start = text.index('id="figure"')
    section = text[start : text.index("</details>", start)]
    columns = [html.unescape(found) for found in re.findall(r'<th scope="col">(.*?)</th>', section)]
    assert columns == ["Original", *(f"Sub-policy {n} <code>{row}</code>" for n, row in enumerate(FIGURE, 1))]
    assert section.count("<table>") == 1
    assert section.count("<td>") == 6
    alts = re.findall(r'<img [^>]*alt="([^"]*)"', section)
    assert [alt.split(", ")[:2] for alt in alts] == [
        ["chelsea.jpg", "original"],
        *(["chelsea.jpg", f"sub-policy {n}"] for n in range(1, 6)),
    ]


def test_rows_are_photos_and_say_what_was_drawn() -> None:
    sheet = figure(augreg.Pipeline.from_spec([]), photos("chelsea.jpg", "coffee.jpg"))
    assert (sheet.title, sheet.dialect, sheet.captions, sheet.left_out) == ("svhn-figure", "torchvision", FIGURE, 0)
    assert [row.name for row in sheet.rows] == ["chelsea.jpg", "coffee.jpg"]
    for row in sheet.rows:
        assert len(row.tiles) == 6
        for tile, ops in zip(row.tiles[1:], ("shear x|invert", "shear y|solarize", "shear x|auto contrast",
                                             "invert|equalize", "shear y|auto contrast"), strict=True):  # fmt: skip
            message = re.sub(r" -?[\d.]+", "", tile.caption).split(", ")
            assert message == ["nothing drawn"] or set(message) <= set(ops.split("|"))
            same = tile.image == row.tiles[0].image
            assert same == (tile.caption == "nothing drawn")
    assert len({tile.caption for row in sheet.rows for tile in row.tiles}) > 6


def test_the_seed_decides_what_is_drawn() -> None:
    def words(seed: int) -> list[str]:
        sheet = figure(augreg.Pipeline.from_spec({"seed": seed, "image": []}), photos("chelsea.jpg", "coffee.jpg"))
        return [tile.caption for row in sheet.rows for tile in row.tiles]

    assert words(3) == words(3)
    assert words(3) != words(4)


@pytest.mark.parametrize(
    ("policy", "title", "columns", "left_out"),
    [
        ("cifar10", "cifar10", 5, 20),
        ("Invert,1,3\nRotate,1,2\nSolarize,1,4", "custom table", 3, 0),
    ],
)
def test_a_pipelines_own_policies_are_shown(policy: str, title: str, columns: int, left_out: int) -> None:
    step: Any = {"auto_augment": {"policy": policy, "dialect": "timm", "interpolation": "nearest"}}
    other = {"auto_augment": {"policy": "svhn-figure"}}
    pipe = augreg.Pipeline.from_spec([{"one_of": [step, step, other]}, "horizontal_flip", {"normalize": "imagenet"}])
    found = sheets(pipe, photos("chelsea.jpg"))
    assert [sheet.title for sheet in found] == [title, "svhn-figure"]
    assert (len(found[0].captions), found[0].left_out, found[0].dialect) == (columns, left_out, "timm")


def test_the_page_of_a_pipeline_without_policies_has_none() -> None:
    assert sheets(augreg.Pipeline.from_spec([]), photos("chelsea.jpg")) == ()


def test_columns_draw_apart() -> None:
    """The same sub-policy in every column: what is drawn differs, or the columns could not be compared."""
    step = {"auto_augment": {"policy": ["Rotate,0.5,9"] * 5}}
    (sheet,) = sheets(augreg.Pipeline.from_spec([step]), photos("chelsea.jpg", "coffee.jpg"))
    for row in sheet.rows:
        assert len({tile.caption for tile in row.tiles[1:]}) > 1


def test_images_of_any_kind_and_broken_ones() -> None:
    gray = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    found = [Photo("broken", None, "no image"), Photo("gray", gray), Photo("four", np.repeat(gray, 4, axis=2))]
    sheet = figure(augreg.Pipeline.from_spec([]), found)
    assert [row.name for row in sheet.rows] == ["gray", "four"]
    assert all(tile.image is not None for row in sheet.rows for tile in row.tiles)
    assert figure(augreg.Pipeline.from_spec([]), found[:1]).rows == ()
