"""Ops with columns of numbers for tests of batch kernels: every kind of op and of its numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from augreg import ops
from augreg.ops import ImageStatistic, PointFunction

__all__ = ["ANY", "COLOR", "COUNT", "HEIGHT", "MEAN", "STD", "WIDTH", "flags", "made", "stages"]

COUNT, HEIGHT, WIDTH = 10, 19, 27
Make = Callable[[np.random.Generator, int], ops.Op]


def flags(rng: np.random.Generator) -> np.ndarray:
    return rng.random(COUNT) < 0.5


def _fill(rng: np.random.Generator, channels: int) -> tuple[np.ndarray, ...]:
    """A fill with halves, which are rounded to even, and values beyond those of bytes."""
    return tuple(rng.integers(-3, 520, (channels, COUNT)) / 2.0)


def _turned(rng: np.random.Generator, channels: int) -> ops.Op:
    turned = flags(rng)
    box = np.where(turned, 8, 12), np.where(turned, 12, 8)
    return ops.Move(rng.integers(0, 8, COUNT), rng.integers(0, 16, COUNT), *box, turned, flags(rng), flags(rng))


def _border(rng: np.random.Generator, mode: str, fill: tuple, fill_ops: tuple[ops.Op, ...] = ()) -> ops.Op:
    top, left = rng.integers(0, 6, COUNT), rng.integers(0, 8, COUNT)
    return ops.Pad(top, 6 - top, left, 9 - left, fill, mode, fill_ops)


def _maps(rng: np.random.Generator, kind: str) -> tuple:
    """Rotations and shears, maps that keep rows and columns apart, maps beyond fixed point, and projective maps."""
    unit = rng.normal(0, 1, (8, COUNT))
    found = np.zeros((8, COUNT))
    found[0], found[4] = 1.0 + 0.3 * unit[0], 1.0 + 0.3 * unit[4]
    found[2], found[5] = 4.0 * unit[2], 4.0 * unit[5]
    if kind != "apart":
        found[1], found[3] = 0.3 * unit[1], 0.3 * unit[3]
    if kind == "projective":
        found[6:] = 0.01 * unit[6:]
    if kind == "mixed":
        found[1, ::4] = found[3, ::4] = 0.0
        found[6, 1::4] = 0.02
        found[1, 2::4] = 4000.0
    return tuple(found)


def _warp(kind: str, interpolation: str) -> Make:
    return lambda rng, channels: ops.Warp(_maps(rng, kind), 17, 22, interpolation, _fill(rng, channels))


def _border_warp(mode: str, interpolation: str) -> Make:
    """Maps some of which go far beyond the image; the projective ones have points at infinity."""

    def make(rng: np.random.Generator, channels: int) -> ops.Op:
        matrix = list(_maps(rng, "projective" if mode == "wrap" else "mixed"))
        matrix[2] = matrix[2] + np.where(flags(rng), 500.0, -200.0)
        return ops.Warp(tuple(matrix), 17, 22, interpolation, (9.0,), mode)

    return make


def _polygon(rng: np.random.Generator) -> tuple:
    """Corners, some of which are beyond the image."""
    return tuple((rng.integers(-3, WIDTH + 3, COUNT), rng.integers(0, HEIGHT, COUNT)) for _ in range(5))


def _flare(rng: np.random.Generator, channels: int) -> ops.Op:
    def circle() -> tuple:
        place = rng.integers(0, WIDTH, COUNT), rng.integers(0, HEIGHT, COUNT)
        return *place, rng.integers(1, 9, COUNT), rng.random(COUNT) / 4, _color(rng, channels)

    center = rng.integers(0, WIDTH, COUNT), rng.integers(0, HEIGHT, COUNT)
    return ops.flare(center, 40, _color(rng, channels), (circle(), circle(), circle()), rng.random(COUNT))


def _color(rng: np.random.Generator, channels: int) -> tuple:
    return tuple(rng.integers(0, 256, (channels, COUNT)).astype(float))


def _kernels(rows: int, columns: int) -> Make:
    """Of which some are products."""

    def make(rng: np.random.Generator, channels: int) -> ops.Op:
        weights = rng.normal(0, 0.4, (rows, columns, COUNT)) * (rng.random((rows, columns, COUNT)) < 0.8)
        weights[:, :, ::3] = rng.random((rows, 1, 1)) * rng.random((1, columns, len(range(0, COUNT, 3))))
        kernel = [list(row) for row in weights]
        if rows > 2:
            kernel[0][-1] = 0.0
        return ops.Convolve(tuple(map(tuple, kernel)))

    return make


def _enlarge(interpolation: str, antialias: bool) -> Make:
    def make(rng: np.random.Generator, channels: int) -> ops.Op:
        whole = rng.integers(HEIGHT, 60, COUNT), rng.integers(WIDTH, 90, COUNT)
        size = 9, 24
        return ops.Enlarge(
            rng.integers(0, HEIGHT - 9, COUNT),
            rng.integers(0, WIDTH - 24, COUNT),
            *size,
            whole,
            interpolation,
            antialias,
        )

    return make


def stages(rng: np.random.Generator, *names: str) -> tuple:
    amounts = {
        "brightness": rng.random(COUNT) * 2,
        "posterize": rng.integers(0, 9, COUNT),
        "solarize": rng.random(COUNT) * 256,
        "solarize_add": rng.random(COUNT) * 220 - 110,
        "gamma": rng.random(COUNT) * 3,
        "contrast": rng.random(COUNT) * 2,
        "auto_contrast": rng.random(COUNT) * 30 * flags(rng),
        "multiply_add": (rng.random(COUNT) * 2, rng.random(COUNT) - 0.5),
        "curve": (rng.random(COUNT), rng.random(COUNT)),
        "multiply_add_mean": (rng.random(COUNT) * 2, rng.random(COUNT) * 3 - 1.5),
        "invert": 0.0,
        "equalize": 0.0,
        "table": rng.integers(0, 256, 256, np.uint8).tobytes(),
    }
    measured = "contrast", "auto_contrast", "equalize", "multiply_add_mean"
    return tuple((ImageStatistic if name in measured else PointFunction)(name, amounts[name]) for name in names)


def _keys(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 1 << 64, COUNT, np.uint64)


def _boxes(rng: np.random.Generator) -> np.ndarray:
    return np.stack([rng.integers(0, 9, COUNT), rng.integers(0, 14, COUNT), *rng.integers(1, 11, (2, COUNT))])


def _rows(rng: np.random.Generator, channels: int) -> tuple:
    """Rows of weights of which some are 0 for some images, and some are no arrays."""
    weights = rng.normal(0.3, 0.5, (channels, channels, COUNT)) * (rng.random((channels, channels, COUNT)) < 0.8)
    rows = [list(row) for row in weights]
    rows[0][0], rows[-1][0] = 0.0, 1.0
    return tuple(map(tuple, rows))


def _mean_image(height: int, width: int, channels: int) -> tuple:
    values = np.random.default_rng(height).random((height, width, channels))
    return tuple(tuple(map(tuple, row)) for row in values.tolist())


def _fixed(*stages: PointFunction | ImageStatistic) -> Make:
    return lambda rng, channels: ops.Lookup(stages)


def _lookup(*names: str) -> Make:
    return lambda rng, channels: ops.Lookup(stages(rng, *names))


def _color_ops(rng: np.random.Generator) -> tuple[ops.Op, ...]:
    return (
        ops.Lookup(stages(rng, "brightness", "solarize")),
        ops.Enhance("gray", rng.random(COUNT) * 2),
        ops.Hue(rng.random(COUNT) - 0.5),
    )


MEAN, STD = (0.4,), (0.225,)
ANY: dict[str, Make] = {
    "crop": lambda rng, c: ops.Move(rng.integers(0, 10, COUNT), rng.integers(0, 7, COUNT), 9, 20),
    "same crop": lambda rng, c: ops.Move(3, 5, 11, 13),
    "same crop, turned": lambda rng, c: ops.Move(3, 5, 11, 13, True, False, True),
    "flip": lambda rng, c: ops.Move(0, 0, HEIGHT, WIDTH, flip_x=flags(rng)),
    "flip of rows": lambda rng, c: ops.Move(0, 0, HEIGHT, WIDTH, flip_y=flags(rng)),
    "both flips": lambda rng, c: ops.Move(0, 0, HEIGHT, WIDTH, False, flags(rng), flags(rng)),
    "turn": _turned,
    "pad": lambda rng, c: _border(rng, "constant", _fill(rng, c)),
    "pad, one fill": lambda rng, c: ops.Pad(1, 2, 0, 3, (77.5,)),
    "pad edge": lambda rng, c: _border(rng, "edge", ()),
    "pad reflect": lambda rng, c: ops.Pad(2, 40, 3, 50, mode="reflect"),
    "pad symmetric": lambda rng, c: ops.Pad(2, 40, 3, 50, mode="symmetric"),
    "pad wrap": lambda rng, c: ops.Pad(2, 40, 3, 50, mode="wrap"),
    "paint": lambda rng, c: ops.Paint(rng.integers(0, 9, COUNT), 4, rng.integers(0, 10, COUNT), 9, _fill(rng, c)),
    "same paint": lambda rng, c: ops.Paint(3, 4, 5, 9),
    "resize": lambda rng, c: ops.Resize(8, 40),
    "resize rows first": lambda rng, c: ops.Resize(7, 26, "bicubic"),
    "resize to the same": lambda rng, c: ops.Resize(HEIGHT, WIDTH),
    "resize lanczos": lambda rng, c: ops.Resize(np.full(COUNT, 24), 16, "lanczos", False),
    "resize nearest": lambda rng, c: ops.Resize(33, 11, "nearest"),
    "resize nearest_floor": lambda rng, c: ops.Resize(33, 11, "nearest_floor"),
    "resize nearest_floor, smaller": lambda rng, c: ops.Resize(11, 49, "nearest_floor", False),
    "resize bilinear, not antialiased": lambda rng, c: ops.Resize(7, 41, "bilinear", False),
    "resize bicubic, not antialiased": lambda rng, c: ops.Resize(7, 41, "bicubic", False),
    "resize of a box": lambda rng, c: ops.ResizeBox(
        rng.random(COUNT) * 3, 2.25, 11.5, rng.random(COUNT) * 12 + 9, 7, 9
    ),
    **{
        f"enlarge {way} {antialias}": _enlarge(way, antialias)
        for way, antialias in (
            ("nearest", True),
            ("nearest_floor", True),
            ("bilinear", True),
            ("bicubic", False),
            ("bilinear", False),
            ("lanczos", False),
        )
    },
    **{
        f"warp {kind}, {way}": _warp(kind, way)
        for kind in ("apart", "affine", "projective", "mixed")
        for way in ("nearest", "bilinear", "bicubic")
    },
    **{
        f"warp with border {mode}, {way}": _border_warp(mode, way)
        for mode in ("edge", "reflect", "symmetric", "wrap")
        for way in ("nearest", "bilinear", "bicubic")
    },
    "one warp": lambda rng, c: ops.Warp((0.9, 0.1, 1.0, 0.2, 1.1, -2.0, 0.0, 0.0), 21, 20, "nearest", (9.0,)),
    **{name: _lookup(name) for name in ("brightness", "posterize", "solarize", "solarize_add", "invert")},
    "multiply_add": _lookup("multiply_add"),
    "multiply_add_mean": _lookup("multiply_add_mean"),
    "multiply_add, fixed": _fixed(PointFunction("multiply_add", (1.2, -0.1)), PointFunction("invert")),
    "multiply_add, of some numbers": lambda rng, c: ops.Lookup(
        (PointFunction("multiply_add", (1.2, rng.random(COUNT))), ImageStatistic("multiply_add_mean", (0.9, 0.3)))
    ),
    "multiply_add between stages": _lookup("invert", "multiply_add", "multiply_add_mean", "equalize"),
    "table": _lookup("table"),
    "curve": _lookup("curve", "invert"),
    "gamma": _lookup("gamma"),
    "fixed stages": _fixed(PointFunction("brightness", 1.3), PointFunction("invert"), PointFunction("posterize", 5)),
    "no stage": _fixed(),
    "equalize": _lookup("equalize"),
    "auto_contrast": _lookup("auto_contrast"),
    "auto_contrast, fixed": _fixed(ImageStatistic("auto_contrast", 5.0)),
    "stages": _lookup("table", "invert", "brightness", "equalize", "table", "solarize", "auto_contrast", "invert"),
    "sharpness": lambda rng, c: ops.Enhance("smooth", rng.random(COUNT) * 2),
    "normalize": lambda rng, c: ops.Normalize(tuple(0.4 + 0.01 * np.arange(c).astype(float)), STD),
    "normalize after stages": lambda rng, c: ops.Normalize(MEAN, STD, stages=stages(rng, "brightness", "equalize")),
    "gaussian blur": lambda rng, c: ops.Filter(
        "gaussian", np.concatenate([[0.0, 1e-3, 9.0], rng.random(COUNT - 3) * 4])
    ),
    "one gaussian blur": lambda rng, c: ops.Filter("gaussian", 1.7),
    "motion blur": lambda rng, c: ops.Filter("motion", 0.5 + rng.random(COUNT) * 9, rng.random(COUNT) * 360),
    "kernels": _kernels(3, 5),
    "kernels of a column": _kernels(7, 1),
    "kernels of a row": _kernels(1, 3),
    "sharpen": lambda rng, c: ops.sharpen(rng.random(COUNT) * flags(rng), rng.random(COUNT)),
    "emboss": lambda rng, c: ops.emboss(rng.random(COUNT), rng.random(COUNT)),
    "one box": lambda rng, c: ops.box_blur(5),
    "large kernel": lambda rng, c: ops.windowed_blur(9.0, 61),
    "dropped pixels": lambda rng, c: ops.DropPixels(0.3, _keys(rng), _fill(rng, c), frame=rng.integers(0, 3, COUNT)),
    "dropped values": lambda rng, c: ops.DropPixels(rng.random(COUNT), _keys(rng), (7.5,), True),
    "the same dropped pixels": lambda rng, c: ops.DropPixels(0.3, 7, (99.0,)),
    "shadows": lambda rng, c: ops.shade(rng.random(COUNT), (_polygon(rng),)),
    "one shadow": lambda rng, c: ops.shade(0.4, (((2, 1), (20, 3), (5, 17)),)),
    "fog": lambda rng, c: ops.fog(rng.random(COUNT), rng.random(COUNT) / 9, _keys(rng)),
    "flares": _flare,
    "rain": lambda rng, c: ops.Rain(
        rng.integers(0, 9, COUNT), rng.integers(-4, 5, COUNT), 7, 3, rng.random(COUNT) * 1.5, _keys(rng), (200.0,)
    ),
    "color matrix": lambda rng, c: ops.ColorMatrix(_rows(rng, c), tuple(rng.normal(0, 20, (c, COUNT)))),
    "channels in another order": lambda rng, c: ops.permute_channels(tuple(range(c))[::-1]),
    "normalize by a mean image": lambda rng, c: ops.Normalize(
        (), STD, _mean_image(HEIGHT, WIDTH, c), (HEIGHT, WIDTH), stages=stages(rng, "invert", "brightness")
    ),
    "normalize by parts of a mean image": lambda rng, c: ops.Normalize(
        (),
        STD,
        _mean_image(40, 40, 1),
        (40, 40),
        (
            ops.Move(rng.integers(0, 9, COUNT), 3, 20, 30, False, flags(rng)),
            ops.Move(0, 1, HEIGHT, WIDTH),
        ),
    ),
    "elastic": lambda rng, c: ops.Remap(
        "elastic", (rng.random(COUNT) * 40, 1.0 + rng.random(COUNT) * 3), _keys(rng), "bilinear", _fill(rng, c)
    ),
    "elastic by normal noise": lambda rng, c: ops.Remap(
        "elastic_normal", (rng.random(COUNT) * 40, 1.0 + rng.random(COUNT) * 3), _keys(rng), "bilinear", _fill(rng, c)
    ),
    "elastic with a border": lambda rng, c: ops.Remap(
        "elastic", (rng.random(COUNT) * 400, 1.5), _keys(rng), "bilinear", mode="reflect"
    ),
    "lens with a border, nearest": lambda rng, c: ops.Remap(
        "lens", (rng.normal(0, 0.4, COUNT),), 0, "nearest", mode="symmetric"
    ),
    "grid": lambda rng, c: ops.Remap("grid", (3.0, 4.0, rng.random(COUNT)), _keys(rng), fill=(9.0,)),
    "one grid, nearest": lambda rng, c: ops.Remap("grid", (5.0, 2.0, 0.4), 1 << 63, "nearest"),
    "lens": lambda rng, c: ops.Remap("lens", (rng.normal(0, 0.4, COUNT),), 0, "bilinear", _fill(rng, c)),
    "lens, nearest": lambda rng, c: ops.Remap("lens", (rng.normal(0, 0.4, COUNT),), 0, "nearest"),
    "gaussian noise": lambda rng, c: ops.Noise(
        "gaussian", (rng.random(COUNT) / 5,), _keys(rng), frame=rng.integers(0, 3, COUNT)
    ),
    "the same gaussian noise": lambda rng, c: ops.Noise("gaussian", (0.1,), 7, False, 2),
    "shot noise": lambda rng, c: ops.Noise("shot", (3.0 + 50 * rng.random(COUNT),), _keys(rng)),
    "iso noise": lambda rng, c: ops.Noise("iso", (rng.random(COUNT) / 5, rng.random(COUNT) / 9), _keys(rng), False),
    "gray noise": lambda rng, c: ops.Noise("gray", (rng.random(COUNT) / 5,), _keys(rng)),
    "factors": lambda rng, c: ops.Noise("factor", (rng.random(COUNT), 1.5), _keys(rng)),
    "gray factors": lambda rng, c: ops.Noise("gray factor", (0.5, 1.0 + rng.random(COUNT)), _keys(rng), False),
    "box of noise": lambda rng, c: ops.Paint(*_boxes(rng), noise="uniform", key=_keys(rng)),
    "box of normal noise": lambda rng, c: ops.Paint(*_boxes(rng), noise="normal", key=_keys(rng), frame=1),
}
"""For any number of channels."""
COLOR: dict[str, Make] = {
    "saturation": lambda rng, c: ops.Enhance("gray", rng.random(COUNT) * 2),
    "same saturation": lambda rng, c: ops.Enhance("gray", 0.3),
    "hue": lambda rng, c: ops.Hue(rng.random(COUNT) - 0.5),
    "hue by less than a step": lambda rng, c: ops.Hue(0.003),
    "hsv": lambda rng, c: ops.shift_hsv(*(rng.random((3, COUNT)) - 0.5) * flags(rng)),
    "one shift of hsv": lambda rng, c: ops.shift_hsv(0.0, -0.3, 0.2),
    "noise of the lightness": lambda rng, c: ops.Noise(
        "lightness", (rng.random(COUNT) * 90, rng.random(COUNT) / 50, rng.random(COUNT) * flags(rng)), _keys(rng)
    ),
    "coarse noise of the lightness": lambda rng, c: ops.Noise("lightness", (0.5, 0.5, 0.01), 7, frame=2),
    "lightness": lambda rng, c: ops.scale_lightness(rng.random(COUNT) * 3, rng.random(COUNT)),
    "lightness in polygons": lambda rng, c: ops.shade(rng.random(COUNT), (_polygon(rng), _polygon(rng)), "lightness"),
    "contrast": _lookup("contrast"),
    "contrast between stages": _lookup("brightness", "contrast", "gamma", "contrast", "invert"),
    "pad with ops for its fill": lambda rng, c: _border(rng, "constant", _fill(rng, c), _color_ops(rng)),
    "paint with ops for its fill": lambda rng, c: ops.Paint(1, 2, 9, 9, _fill(rng, c), fill_ops=_color_ops(rng)),
    "normalize after contrast": lambda rng, c: ops.Normalize(MEAN, STD, stages=stages(rng, "contrast", "brightness")),
}
"""For gray and RGB images."""


def made(name: str, channels: int) -> ops.Op:
    make = {**ANY, **COLOR}[name]
    return make(np.random.default_rng([channels, *name.encode()]), channels)
