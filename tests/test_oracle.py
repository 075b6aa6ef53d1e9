"""Every backend does what the ops mean, within tolerances that docs/backends.md states too."""

from __future__ import annotations

import functools
import importlib.util
import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import images
import numpy as np
import oracle
import pytest

from augreg import ops
from augreg.backends import backend
from augreg.errors import ImageError
from augreg.ops import (
    ColorMatrix,
    Enhance,
    ImageStatistic,
    Lookup,
    Move,
    Normalize,
    Op,
    PointFunction,
    Remap,
    Resize,
    Scene,
    Warp,
)

DOCS = Path(__file__).parent.parent / "docs" / "backends.md"
BACKENDS = ("pillow", "opencv")
MODULES = {"opencv": "cv2", "native": "augreg_native"}
HAVE = tuple(name for name in (*BACKENDS, "native") if name not in MODULES or importlib.util.find_spec(MODULES[name]))
DTYPES = ("uint8", "float32")
TINY = ((1, 1), (1, 9), (7, 1), (2, 3))
SIZE = (23, 31)

FACTORS = (0.0, 0.3, 0.9, 1.4, 1.9)
ADDED = ((1.0, 0.2), (0.7, -0.15), (1.4, 0.3), (0.0, 0.5), (1.7, -0.6))
PERMUTED = np.random.default_rng(3).permutation(256).astype(np.uint8).tobytes()
VALUES = (0.4, 0.5, 0.6, 0.7, 0.3)


def _mean_rows(scene: Scene) -> tuple:
    mean = images.made("gradient", scene.height, scene.width, scene.channels, "float32")
    return tuple(tuple(map(tuple, row)) for row in mean.tolist())


def _moves(scene: Scene) -> list[Op]:
    h, w = scene.size
    box = max(1, h // 2), max(1, w - 2)
    turned = [
        Move(h - box[0], min(1, w - 1), *box, transpose, flip_y, flip_x)
        for transpose in (False, True)
        for flip_y in (False, True)
        for flip_x in (False, True)
        if w > box[1]
    ]
    return [*turned, *(ops.quarter_turns(scene, turns) for turns in range(4)), ops.rotate(scene, 180.0)]


def _normalizations(scene: Scene) -> list[Op]:
    c = scene.channels
    flip = ops.horizontal_flip(scene)
    return [
        Normalize((0.4,), (0.3,)),
        Normalize(VALUES[:c], VALUES[:c][::-1]),
        Normalize((0.0,), (0.5,), mean_image=_mean_rows(scene), frame=scene.size),
        Normalize((0.0,), (1.0,), mean_image=_mean_rows(scene), frame=scene.size, window=(flip,)),
        Normalize((0.4,), (0.3,), stages=(PointFunction("invert"), PointFunction("posterize", 3.0))),
    ]


def _resizes(scene: Scene, interpolation: str, antialias: bool, factors: tuple) -> list[Op]:
    h, w = scene.size
    return [
        ops.resize(max(1, int(h * y)), max(1, int(w * x)), interpolation, antialias)
        for y, x in factors
    ]  # fmt: skip


SMALLER = ((0.5, 0.5), (0.3, 0.7), (0.12, 0.15), (0.8, 1.0))
LARGER = ((1.5, 2.0), (3.0, 1.0), (1.0, 1.1))


def _warps(scene: Scene, interpolation: str) -> list[Op]:
    h, w = scene.size
    fill = tuple(float(20 + 40 * channel) for channel in range(scene.channels))
    corners = ((0.1 * w, 0.05 * h), (0.93 * w, 0.1 * h), (0.9 * w, 0.95 * h), (0.02 * w, 0.88 * h))
    return [
        ops.rotate(scene, 17.3, interpolation, fill),
        ops.shear(scene, 0.21, 0.0, interpolation, fill),
        ops.shear(scene, 0.0, -0.13, interpolation, (10.0,)),
        ops.translate(scene, 2.3, -1.7, interpolation, fill),
        ops.affine(scene, (0.8, 0.3, 1.1, -0.2, 1.3, 2.2), interpolation, fill, "affine"),
        ops.perspective(scene, corners, interpolation, fill),
    ]


def _remaps(scene: Scene, interpolation: str) -> list[Op]:
    fill = tuple(float(20 + 40 * channel) for channel in range(scene.channels))
    return [
        ops.elastic(scene, 12.0, 2.0, 8, interpolation, fill),
        ops.elastic(scene, 70.0, 5.0, 9, interpolation, (10.0,)),
        ops.elastic(scene, 90.0, 2.0, 9, interpolation, (10.0,), noise="normal"),
        ops.grid(scene, 3, 5, 0.4, 10, interpolation),
        ops.grid(scene, 1, 2, 0.5, 11, interpolation),
        ops.lens(scene, 0.3, interpolation, fill),
        ops.lens(scene, -0.3, interpolation, fill),
    ]


def _borders(scene: Scene, interpolation: str) -> list[Op]:
    """Warps and remaps that show the image's continuation, some far beyond its border."""
    corners = (
        (3.0, 2.0),
        (0.7 * scene.width, 1.0),
        (0.8 * scene.width, 0.6 * scene.height),
        (1.0, scene.height - 3.0),
    )
    found: list[Op] = []
    for mode in ("edge", "reflect", "symmetric", "wrap"):
        found += [
            ops.rotate(scene, 37.3, interpolation, mode=mode),
            ops.affine(scene, (4.3, 1.9, -60.3, -1.2, 5.1, -40.7), interpolation, (0.0,), "far", mode),
            ops.perspective(scene, corners, interpolation, mode=mode),
        ]
        if interpolation != "bicubic":
            found += [
                ops.elastic(scene, 300.0, 4.0, 8, interpolation, mode=mode),
                ops.lens(scene, 0.7, interpolation, mode=mode),
            ]
    return found


def _matrices(scene: Scene) -> list[Op]:
    c = scene.channels
    rows = tuple(tuple(0.2 + 0.1 * row - 0.15 * column for column in range(c)) for row in range(c))
    return [
        ops.shift_channels(scene, tuple(-41.3 + 30 * channel for channel in range(c))),
        ops.permute_channels(tuple(range(c))[::-1]),
        ops.drop_channels(scene, (c - 1,), 40.0),
        ColorMatrix(rows, (0.1 * scene.white,) * c),
    ]


def _flares(scene: Scene) -> list[Op]:
    unit = scene.white / 255.0
    colors = [tuple(unit * value for value in (200.0, 90.0, 140.0, 30.0, 255.0)[: scene.channels]), (scene.white,)]
    circles = ((4, 5, 6, 0.2, colors[0]), (9, 9, 1, 0.05, colors[1]), (12, 7, 8, 0.15, colors[0]))
    return [ops.flare((8, 11), 30, colors[1], circles, 0.8), ops.flare((-3, 2), 9, colors[0], circles[:1], 1.0)]


COLOR = (
    "contrast",
    "saturation",
    "hue",
    "shift hsv",
    "clahe",
    "lightness",
    "lightness noise",
)  # these take gray and RGB images only
TOGETHER = (
    "gaussian noise",
    "shot noise",
    "iso noise",
    "gray noise",
    "factors",
    "lightness noise",
    "color matrix",
    "drop pixels",
    "flare",
    "multiply_add_mean",
)  # what a channel gets depends on how many

CASES: dict[str, Callable[[Scene], list[Op]]] = {
    "move": _moves,
    "pad": lambda scene: [
        ops.pad(scene, 2, 0, 3, 1, VALUES[: scene.channels]),
        *(ops.pad(scene, 1, 2, 3, 0, mode=mode) for mode in ("edge", "reflect", "symmetric", "wrap")),
    ],
    "paint": lambda scene: [ops.paint(scene, 0, 0, 1, 1, (40.0,)), ops.paint(scene, 0, 0, *scene.size)],
    "drop pixels": lambda scene: [
        ops.drop_pixels(scene, 0.3, 5, VALUES[: scene.channels]),
        ops.drop_pixels(scene, 0.1, 6, (40.0,), True),
        ops.drop_pixels(scene, 1.0, 7),
        ops.drop_pixels(scene, 0.0, 8),
    ],
    "paint noise": lambda scene: [ops.noise_box(scene, 0, 0, *scene.size, 77)],
    "brightness": lambda _: [ops.point_function("brightness", factor) for factor in FACTORS],
    "multiply_add": lambda _: [ops.point_function("multiply_add", each) for each in ADDED],
    "multiply_add_mean": lambda _: [ops.image_statistic("multiply_add_mean", each) for each in ADDED],
    "invert": lambda _: [ops.point_function("invert")],
    "posterize": lambda _: [ops.point_function("posterize", float(bits)) for bits in range(1, 9)],
    "solarize": lambda _: [ops.point_function("solarize", threshold) for threshold in (0.0, 100.0, 128.5, 256.0)],
    "solarize_add": lambda _: [ops.point_function("solarize_add", amount) for amount in (0.0, 50.7, 110.0, -30.0)],
    "table": lambda _: [ops.point_function("table", PERMUTED)],
    "gamma": lambda _: [ops.point_function("gamma", power) for power in (0.2, 0.7, 1.0, 1.4, 3.0)],
    "curve": lambda _: [ops.point_function("curve", each) for each in ((0.25, 0.75), (0.0, 0.4), (1.0, 0.0))],
    "auto_contrast": lambda _: [ops.image_statistic("auto_contrast", cutoff) for cutoff in (0.0, 5.0, 20.0, 49.0)],
    "equalize": lambda _: [ops.image_statistic("equalize")],
    "contrast": lambda _: [ops.image_statistic("contrast", factor) for factor in FACTORS],
    "saturation": lambda _: [ops.enhance("gray", factor, "saturation") for factor in FACTORS],
    "sharpness": lambda _: [ops.enhance("smooth", factor, "sharpness") for factor in FACTORS],
    "hue": lambda _: [ops.hue(shift) for shift in (-0.5, -0.2, -0.1, 0.03, 0.1, 0.25, 0.5)],
    "shift hsv": lambda _: [
        ops.shift_hsv(*shifts) for shifts in ((0.1, 0.2, -0.1), (0.0, -0.3, 0.2), (-0.4, 0.0, 0.0), (0.03, 0.5, 0.6))
    ],
    "gaussian blur": lambda _: [ops.gaussian_blur(sigma) for sigma in (0.0, 0.1, 0.5, 1.0, 2.0, 3.3)],
    "motion blur": lambda _: [
        ops.motion_blur(*line) for line in ((1.0, 0.0), (3.0, 30.0), (7.5, -80.0), (4.2, 90.0))
    ],
    "convolve": lambda _: [
        ops.windowed_blur(1.3, 5),
        ops.windowed_blur(0.0, 7),
        ops.box_blur(3),
        ops.line_blur(6.3, 25.0, 0.7, (0.6, -1.2)),
        ops.disk_blur(3, 0.4),
        ops.sharpen(0.4, 0.7),
        ops.emboss(0.6, 0.5),
        ops.Convolve(((0.1, -0.4, 0.2), (-0.3, 1.9, 0.15), (0.05, -0.6, 0.1))),
        ops.Convolve(((0.2, -0.1, 0.3, 0.4, 0.2),)),
        ops.Convolve(((0.2, 0.0, 0.1), (0.1, 0.0, 0.0), (0.0, 0.3, 0.0), (0.0, 0.0, 0.1), (0.0, 0.2, 0.0))),
    ],
    "median blur": lambda _: [ops.median_blur(side) for side in (1, 3, 5, 7)],
    "gaussian noise": lambda scene: [ops.noise(scene, "gaussian", (std,), 5) for std in (0.0, 0.03, 0.3)],
    "shot noise": lambda scene: [ops.noise(scene, "shot", (photons,), 6) for photons in (30.0, 400.0)],
    "iso noise": lambda scene: [ops.noise(scene, "iso", amounts, 7) for amounts in ((0.1, 0.03), (0.0, 0.2))],
    "gray noise": lambda scene: [ops.noise(scene, "gray", (std,), 7) for std in (0.03, 0.3)],
    "factors": lambda scene: [
        ops.noise(scene, "factor", (0.5, 1.5), 7),
        ops.noise(scene, "gray factor", (0.0, 1.0), 8),
    ],
    "lightness noise": lambda scene: [
        ops.noise(scene, "lightness", amounts, 9) for amounts in ((70.0, 0.01, 0.1), (0.5, 0.5, 0.0))
    ],
    "color matrix": _matrices,
    "shade": lambda _: [
        ops.shade(0.4, (((2, 1), (29, 3), (5, 17)),)),
        ops.shade(0.7, (((20, 20), (-4, 5), (25, 2), (12, 29), (3, -6)), ((0, 0), (9, 9), (0, 9)))),
        ops.Shade(1.3),
    ],
    "lightness": lambda _: [
        ops.shade(0.5, (((2, 1), (29, 3), (5, 17)), ((3, 3), (28, 20), (9, 22), (30, 8))), "lightness"),
        ops.scale_lightness(2.5, 0.45),
    ],
    "fog": lambda _: [ops.fog(0.3, 0.05, 5), ops.fog(1.0, 0.2, 1 << 63)],
    "flare": _flares,
    "rain": lambda scene: [
        ops.rain(scene, (9, 3, 6), 5, 0.7, 5, (200.0,)),
        ops.rain(scene, (4, -8, 2), 3, 1.2, 6, (90.0,)),
    ],
    "clahe": lambda _: [
        ops.local_contrast(clip, tiles) for clip, tiles in ((1.0, (1, 1)), (2.0, (2, 3)), (9.0, (4, 4)))
    ],
    "normalize": _normalizations,
    "resize nearest": lambda scene: _resizes(scene, "nearest", False, SMALLER + LARGER),
    "resize nearest_floor": lambda scene: _resizes(scene, "nearest_floor", False, SMALLER + LARGER),
    "resize bilinear": lambda scene: _resizes(scene, "bilinear", False, SMALLER + LARGER),
    "resize bicubic": lambda scene: _resizes(scene, "bicubic", False, SMALLER + LARGER),
    "resize bilinear, antialiased": lambda scene: _resizes(scene, "bilinear", True, SMALLER + LARGER),
    "resize bicubic, antialiased": lambda scene: _resizes(scene, "bicubic", True, SMALLER + LARGER),
    "resize lanczos": lambda scene: _resizes(scene, "lanczos", False, SMALLER + LARGER),
    "warp nearest": lambda scene: _warps(scene, "nearest"),
    "warp bilinear": lambda scene: _warps(scene, "bilinear"),
    "warp bicubic": lambda scene: _warps(scene, "bicubic"),
    "border nearest": lambda scene: _borders(scene, "nearest"),
    "border bilinear": lambda scene: _borders(scene, "bilinear"),
    "border bicubic": lambda scene: _borders(scene, "bicubic"),
    "remap nearest": lambda scene: _remaps(scene, "nearest"),
    "remap bilinear": lambda scene: _remaps(scene, "bilinear"),
}


class Within(NamedTuple):
    """The largest difference of a pixel value from the oracle, and the largest mean difference over one image."""

    most: float
    mean: float


# In 255ths of white, for floats too; for normalize in normalized values. A line has pillow on bytes,
# opencv on bytes, pillow on floats, opencv on floats. docs/backends.md has the same table.
EQUAL, ROUNDING = Within(0.0, 0.0), Within(0.01, 0.001)
BYTE, NUMBER = Within(1.0, 0.6), Within(1e-6, 1e-6)
TOLERANCES: dict[str, tuple[Within, Within, Within, Within]] = {
    "move": (EQUAL, EQUAL, EQUAL, EQUAL),
    "pad": (BYTE, BYTE, ROUNDING, ROUNDING),
    "paint": (BYTE, BYTE, ROUNDING, ROUNDING),
    "drop pixels": (BYTE, BYTE, ROUNDING, ROUNDING),
    "paint noise": (BYTE, BYTE, ROUNDING, ROUNDING),
    "brightness": (Within(1.0, 0.9), Within(1.0, 0.9), ROUNDING, ROUNDING),
    "multiply_add": (Within(1.0, 0.9), Within(1.0, 0.9), ROUNDING, ROUNDING),
    "multiply_add_mean": (Within(1.0, 1.0), Within(1.0, 1.0), ROUNDING, ROUNDING),
    "invert": (EQUAL, EQUAL, ROUNDING, ROUNDING),
    "posterize": (EQUAL, EQUAL, ROUNDING, ROUNDING),
    "solarize": (EQUAL, EQUAL, ROUNDING, ROUNDING),
    "solarize_add": (EQUAL, EQUAL, ROUNDING, ROUNDING),
    "table": (EQUAL, EQUAL, ROUNDING, ROUNDING),
    "gamma": (BYTE, BYTE, ROUNDING, ROUNDING),
    "curve": (BYTE, BYTE, ROUNDING, ROUNDING),
    "auto_contrast": (BYTE, BYTE, BYTE, BYTE),
    "equalize": (EQUAL, EQUAL, ROUNDING, ROUNDING),
    "contrast": (Within(1.5, 0.9), Within(1.5, 0.9), ROUNDING, ROUNDING),
    "saturation": (Within(1.5, 0.9), Within(1.5, 0.9), ROUNDING, ROUNDING),
    "sharpness": (Within(1.5, 0.9), Within(1.5, 0.9), ROUNDING, ROUNDING),
    "hue": (Within(16.0, 2.0), Within(12.0, 1.2), ROUNDING, ROUNDING),
    "shift hsv": (BYTE, BYTE, ROUNDING, ROUNDING),
    "gaussian blur": (Within(35.0, 2.0), Within(2.0, 0.6), ROUNDING, ROUNDING),
    "motion blur": (BYTE, BYTE, ROUNDING, ROUNDING),
    "convolve": (BYTE, Within(2.0, 0.6), ROUNDING, ROUNDING),
    "median blur": (EQUAL, EQUAL, ROUNDING, ROUNDING),
    "gaussian noise": (BYTE, BYTE, ROUNDING, ROUNDING),
    "shot noise": (BYTE, BYTE, ROUNDING, ROUNDING),
    "iso noise": (BYTE, BYTE, ROUNDING, ROUNDING),
    "gray noise": (BYTE, BYTE, ROUNDING, ROUNDING),
    "factors": (BYTE, BYTE, ROUNDING, ROUNDING),
    "lightness noise": (BYTE, BYTE, ROUNDING, ROUNDING),
    "color matrix": (BYTE, BYTE, ROUNDING, ROUNDING),
    "shade": (Within(1.0, 0.9), Within(1.0, 0.9), ROUNDING, ROUNDING),
    "lightness": (BYTE, BYTE, ROUNDING, ROUNDING),
    "fog": (EQUAL, EQUAL, ROUNDING, ROUNDING),
    "flare": (EQUAL, EQUAL, ROUNDING, ROUNDING),
    "rain": (BYTE, BYTE, ROUNDING, ROUNDING),
    "clahe": (BYTE, BYTE, BYTE, BYTE),
    "normalize": (NUMBER, NUMBER, NUMBER, NUMBER),
    "resize nearest": (EQUAL, EQUAL, ROUNDING, ROUNDING),
    "resize nearest_floor": (EQUAL, EQUAL, ROUNDING, ROUNDING),
    "resize bilinear": (BYTE, BYTE, ROUNDING, ROUNDING),
    "resize bicubic": (Within(45.0, 11.0), Within(25.0, 7.0), Within(60.0, 15.0), Within(30.0, 8.0)),
    "resize bilinear, antialiased": (BYTE, Within(50.0, 8.0), ROUNDING, Within(50.0, 8.0)),
    "resize bicubic, antialiased": (Within(20.0, 0.6), Within(45.0, 8.0), ROUNDING, Within(45.0, 8.0)),
    "resize lanczos": (Within(35.0, 0.7), Within(35.0, 0.7), ROUNDING, ROUNDING),
    "warp nearest": (EQUAL, EQUAL, ROUNDING, ROUNDING),
    "warp bilinear": (BYTE, BYTE, ROUNDING, ROUNDING),
    "warp bicubic": (BYTE, Within(30.0, 6.0), ROUNDING, Within(35.0, 6.0)),
    "border nearest": (EQUAL, EQUAL, ROUNDING, ROUNDING),
    "border bilinear": (BYTE, BYTE, Within(0.01, 0.002), Within(0.01, 0.002)),
    "border bicubic": (BYTE, BYTE, ROUNDING, ROUNDING),
    "remap nearest": (EQUAL, EQUAL, ROUNDING, ROUNDING),
    "remap bilinear": (BYTE, Within(6.0, 1.2), ROUNDING, Within(6.0, 1.2)),
}


def _key(name: str, size: tuple[int, int], channels: int, dtype: str) -> tuple[str, int, int, int, str]:
    return name, *size, channels, dtype


def _subjects(case: str, dtype: str) -> list[tuple]:
    """The images that a case is tried on."""
    found = [_key(name, SIZE, count, dtype) for name in images.MADE for count in (1, 3)]
    found += [_key("noise", size, count, dtype) for size in TINY for count in (1, 3)]
    if case not in COLOR:  # other channels are as those: one content and one small size will do
        found += [_key("noise", SIZE, count, dtype) for count in (2, 4, 5)] + [_key("noise", TINY[-1], 4, dtype)]
    return found


@functools.cache
def _image(*key: Any) -> np.ndarray:
    image = images.made(*key)
    image.flags.writeable = False
    return image


@functools.cache
def _truth(op: Op, key: tuple) -> np.ndarray:
    return oracle.run(op, _image(*key))


MARGIN = {"nearest": 0.0, "bilinear": 0.5, "bicubic": 1.5}


@functools.cache
def _compared(op: Op, height: int, width: int, opencv: bool) -> Any:
    """The pixels to compare: not where OpenCV mixes the border in, nor where nearest is a draw between two."""
    if isinstance(op, Remap):
        ys, xs = oracle.remapped(op, height, width)
        off_y, off_x = (np.abs(places - np.rint(places)) > 1e-3 for places in (ys, xs))
        if op.interpolation == "bilinear":  # there only the edge of the image is sharp
            off_y |= (ys > 0.5) & (ys < height - 0.5)
            off_x |= (xs > 0.5) & (xs < width - 0.5)
        return off_y & off_x
    if isinstance(op, Warp):
        ys, xs = oracle.sources(op)
    elif isinstance(op, Resize):
        rows, columns = (np.arange(op.height) + 0.5) / op.height, (np.arange(op.width) + 0.5) / op.width
        ys, xs = np.meshgrid(rows * height, columns * width, indexing="ij")
    else:
        return np.s_[:]
    if op.interpolation == "nearest":
        return np.minimum(np.abs(ys - np.rint(ys)), np.abs(xs - np.rint(xs))) > 1e-3
    if isinstance(op, Resize) or not opencv:
        return np.s_[:]
    margin = MARGIN[op.interpolation]
    inside = (ys >= margin) & (ys <= height - margin) & (xs >= margin) & (xs <= width - margin)
    outside = (ys < -margin) | (ys > height + margin) | (xs < -margin) | (xs > width + margin)
    return inside | outside


def _allowed(case: str, name: str, dtype: str) -> Within:
    """The tolerance; OpenCV 4 rounds the positions of bilinear warps to 1/32 of a pixel, as in its remap."""
    if case == "warp bilinear" and name == "opencv" and not images.precise_warps():
        return Within(7.0, 1.2)
    column = BACKENDS.index("pillow" if name == "native" else name)  # which have the same bytes
    return TOLERANCES[case][DTYPES.index(dtype) * len(BACKENDS) + column]


def measure(case: str, name: str, dtype: str) -> Within:
    """How far a backend is from the oracle on all images of a case."""
    most, mean = 0.0, 0.0
    for key in _subjects(case, dtype):
        image = _image(*key)
        unit = 255.0 if dtype == "float32" and case != "normalize" else 1.0
        for op in CASES[case](Scene(*image.shape, dtype=dtype)):
            wanted = _truth(op, key)
            found = backend(name).apply(op, image)
            assert found.shape == wanted.shape, f"{op} of {key}"
            assert found.dtype == (np.float32 if case == "normalize" else image.dtype), f"{op} of {key}"
            away = np.abs(found - wanted)[_compared(op, *key[1:3], name == "opencv")] * unit
            if away.size:
                most = max(most, float(away.max()))
                mean = max(mean, float(away.mean()) if min(key[1:3]) > 9 else 0.0)
    return Within(most, mean)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", HAVE)
@pytest.mark.parametrize("case", CASES)
def test_agrees_with_the_oracle(case: str, name: str, dtype: str) -> None:
    allowed = _allowed(case, name, dtype)
    found = measure(case, name, dtype)
    assert found.most <= allowed.most + 1e-9
    assert found.mean <= allowed.mean + 1e-9


def test_the_docs_state_these_tolerances() -> None:
    stated = {}
    for line in DOCS.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split("|")]
        found = [re.fullmatch(r"([\d.e-]+) \(([\d.e-]+)\)", cell) for cell in cells[1:]]
        if len(found) == 4 and all(found):
            stated[cells[0]] = tuple(Within(float(one[1]), float(one[2])) for one in found)
    assert stated == TOLERANCES


@pytest.mark.parametrize("name", HAVE)
@pytest.mark.parametrize("case", COLOR)
def test_colors_of_four_channels_are_refused(case: str, name: str) -> None:
    image = images.made("noise", 4, 5, 4)
    for op in CASES[case](Scene(4, 5)):
        with pytest.raises(ImageError, match="4 channels"):
            backend(name).apply(op, image)


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "cut out": lambda image: np.pad(image, ((2, 1), (3, 2), (0, 0)))[2:-1, 3:-2],
    "every second": lambda image: np.repeat(np.repeat(image, 2, 0), 2, 1)[::2, ::2],
    "upside down": lambda image: image[::-1].copy()[::-1],
    "mirrored": lambda image: image[:, ::-1].copy()[:, ::-1],
    "both": lambda image: image[::-1, ::-1].copy()[::-1, ::-1],
    "transposed": lambda image: image.swapaxes(0, 1).copy().swapaxes(0, 1),
    "by planes": lambda image: image.transpose(2, 0, 1).copy().transpose(1, 2, 0),
    "channels reversed": lambda image: image[..., ::-1].copy()[..., ::-1],
    "one of four channels less": lambda image: np.pad(image, ((0, 0), (0, 0), (0, 1)))[..., :-1],
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", HAVE)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_memory_layout_is_read_and_none_is_written(layout: str, name: str, dtype: str) -> None:
    """An image may be a view of any kind, and one that nobody may write to: every second op gets such a one.

    Over all layouts, each op gets both kinds.
    """
    lock = itertools.cycle((True, False) if list(LAYOUTS).index(layout) % 2 else (False, True))
    for channels in (1, 3):
        plain = images.made("noise", 11, 14, channels, dtype)
        plain.flags.writeable = False
        image = LAYOUTS[layout](plain)
        kept = image.copy()
        assert np.array_equal(image, plain)
        for case, make in CASES.items():
            for op in make(Scene(11, 14, channels, dtype)):
                wanted = backend(name).apply(op, plain)
                image.flags.writeable = next(lock)
                found = backend(name).apply(op, image)
                # float sums may be taken in another order in another layout
                near = 0 if dtype == "uint8" else 1e-6
                assert np.abs(found - wanted.astype(np.float32)).max(initial=0) <= near, f"{case}: {op}"
                assert np.array_equal(image, kept), f"{case}: {op} wrote to its image"


def _pixelwise(channels: int) -> list[Op]:
    """The ops that the planner lets pass crops, flips and borders."""
    found: list[Op] = [
        ops.point_function("brightness", 1.3),
        Lookup((PointFunction("solarize", 100.0), PointFunction("table", PERMUTED))),
        Normalize(VALUES[:channels], VALUES[:channels][::-1]),
        Normalize((0.4,), (0.3,), stages=(PointFunction("brightness", 0.7),)),
    ]
    if channels in (1, 3):
        found += [ops.hue(shift) for shift in (-0.5, -0.31, 0.02, 0.1)]
        found += [ops.enhance("gray", factor, "saturation") for factor in (0.0, 0.4, 1.0, 1.7)]
    return found


@pytest.mark.parametrize("name", HAVE)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_pixel_has_the_same_result_at_any_position(channels: int, name: str) -> None:
    """A crop of the result is the result of the crop, byte for byte: vector code and what it leaves over agree."""
    kernel = backend(name)
    image = np.random.default_rng(5).integers(0, 256, (7, 90, channels), dtype=np.uint8)
    for op in _pixelwise(channels):
        whole = kernel.apply(op, image)
        for width in range(1, 41):
            for left in range(0, 50, 7):
                for y, x in ((1, 1), (-1, 1), (1, -1), (-1, -1)):
                    box = np.s_[1 + left % 3 : 6, left : left + width]
                    found = kernel.apply(op, image[box][::y, ::x])
                    assert np.array_equal(found, whole[box][::y, ::x]), f"{op} on {width} columns at {left}"


@pytest.mark.parametrize("name", HAVE)
def test_a_pixel_has_the_same_result_in_a_large_image(name: str) -> None:
    """Large images are shared out among threads; colors of all kinds are in this one."""
    kernel = backend(name)
    values = np.arange(0, 256, 5, dtype=np.uint8)
    image = np.stack(np.meshgrid(values, values, values), axis=-1).reshape(416, 338, 3)
    for op in _pixelwise(3):
        whole = kernel.apply(op, image)
        for top in (0, 1, 101, 311):
            box = np.s_[top : top + 13, 5 + top // 2 : 48 + top // 2]
            assert np.array_equal(kernel.apply(op, image[box]), whole[box]), str(op)


@pytest.mark.parametrize("name", HAVE)
@pytest.mark.parametrize("content", images.MADE)
def test_stages_in_one_lookup_equal_successive_lookups(content: str, name: str) -> None:
    """The planner merges tables, also where a later stage measures what an earlier one left."""
    kernel = backend(name)
    image = images.made(content, 37, 41)
    stages = (
        PointFunction("brightness", 1.4),
        ImageStatistic("equalize"),
        ImageStatistic("contrast", 1.6),
        PointFunction("posterize", 5.0),
        ImageStatistic("auto_contrast", 3.0),
        PointFunction("solarize", 120.0),
        ImageStatistic("contrast", 0.4),
        ImageStatistic("auto_contrast"),
    )
    for start in range(len(stages)):
        for stop in range(start + 1, len(stages) + 1):
            in_turn = image
            for stage in stages[start:stop]:
                in_turn = kernel.apply(Lookup((stage,)), in_turn)
            assert np.array_equal(kernel.apply(Lookup(stages[start:stop]), image), in_turn)
            at_once = kernel.apply(Normalize((0.4,), (0.3,), stages=stages[start:stop]), image)
            assert np.array_equal(at_once, kernel.apply(Normalize((0.4,), (0.3,)), in_turn))


@pytest.mark.parametrize("name", HAVE)
def test_fills_go_through_the_ops_that_passed(name: str) -> None:
    """A border or box that the planner moved behind per-pixel ops shows what they make of its fill."""
    kernel = backend(name)
    image = images.made("noise", 9, 12)
    fill = (200.0, 10.0, 90.0)
    for op in [*_pixelwise(3), Enhance("gray", 0.0)]:
        for framed in (
            ops.pad(Scene(9, 12), 2, 1, 0, 3, fill),
            ops.paint(Scene(9, 12), 3, 4, 5, 6, fill),
        ):
            before = kernel.apply(op, kernel.apply(framed, image))
            moved = type(framed)(**{**{f: getattr(framed, f) for f in framed.__struct_fields__}, "fill_ops": (op,)})
            assert np.array_equal(kernel.apply(moved, kernel.apply(op, image)), before), f"{framed}, {op}"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", HAVE)
def test_images_of_many_channels(name: str, dtype: str) -> None:
    """What treats channels apart takes as many as there are, and gives each what it gives one alone."""
    image = images.made("noise", 12, 13, 9, dtype)
    scene = Scene(12, 13, 9, dtype)
    for case in set(CASES) - {*COLOR, *TOGETHER, "normalize", "paint noise", "pad"}:
        for op in CASES[case](scene):
            if isinstance(op, Warp | Remap) and len(op.fill) > 1:
                continue  # one channel does not take nine fills
            found = backend(name).apply(op, image)
            alone = [backend(name).apply(op, image[..., [channel]]) for channel in range(9)]
            assert np.allclose(found, np.concatenate(alone, axis=2), rtol=0, atol=1 if dtype == "uint8" else 1e-5)
