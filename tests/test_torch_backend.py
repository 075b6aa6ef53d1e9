"""Ops on batches of images by the table of batch kernels: what Pillow's backend makes of each image alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from augreg import ImageError, ops
from augreg.columns.records import Columns
from augreg.ops import ImageStatistic, PointFunction

torch = pytest.importorskip("torch")


from batched import one_by_one, pictures, tensor  # noqa: E402
from fake_gpu import GPU, fake_gpu  # noqa: E402

from augreg.backends import torch as batches, torch_geometry  # noqa: E402
from augreg.backends.torch_kernels import lookups, normalizing, resizing, tables  # noqa: E402

COUNT, HEIGHT, WIDTH = 10, 19, 27
Make = Callable[[np.random.Generator, int], ops.Op]


def _flags(rng: np.random.Generator) -> np.ndarray:
    return rng.random(COUNT) < 0.5


def _fill(rng: np.random.Generator, channels: int) -> tuple[np.ndarray, ...]:
    """A fill with halves, which are rounded to even, and values beyond those of bytes."""
    return tuple(rng.integers(-3, 520, (channels, COUNT)) / 2.0)


def _turned(rng: np.random.Generator, channels: int) -> ops.Op:
    turned = _flags(rng)
    box = np.where(turned, 8, 12), np.where(turned, 12, 8)
    return ops.Move(rng.integers(0, 8, COUNT), rng.integers(0, 16, COUNT), *box, turned, _flags(rng), _flags(rng))


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


def _stages(rng: np.random.Generator, *names: str) -> tuple:
    amounts = {
        "brightness": rng.random(COUNT) * 2,
        "posterize": rng.integers(0, 9, COUNT),
        "solarize": rng.random(COUNT) * 256,
        "solarize_add": rng.random(COUNT) * 220 - 110,
        "gamma": rng.random(COUNT) * 3,
        "contrast": rng.random(COUNT) * 2,
        "auto_contrast": rng.random(COUNT) * 30 * _flags(rng),
        "invert": 0.0,
        "equalize": 0.0,
        "table": rng.integers(0, 256, 256, np.uint8).tobytes(),
    }
    measured = "contrast", "auto_contrast", "equalize"
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
    return lambda rng, channels: ops.Lookup(_stages(rng, *names))


def _color_ops(rng: np.random.Generator) -> tuple[ops.Op, ...]:
    return (
        ops.Lookup(_stages(rng, "brightness", "solarize")),
        ops.Enhance("gray", rng.random(COUNT) * 2),
        ops.Hue(rng.random(COUNT) - 0.5),
    )


MEAN, STD = (0.4,), (0.225,)
ANY: dict[str, Make] = {
    "crop": lambda rng, c: ops.Move(rng.integers(0, 10, COUNT), rng.integers(0, 7, COUNT), 9, 20),
    "same crop": lambda rng, c: ops.Move(3, 5, 11, 13),
    "same crop, turned": lambda rng, c: ops.Move(3, 5, 11, 13, True, False, True),
    "flip": lambda rng, c: ops.Move(0, 0, HEIGHT, WIDTH, flip_x=_flags(rng)),
    "turn": _turned,
    "pad": lambda rng, c: _border(rng, "constant", _fill(rng, c)),
    "pad, one fill": lambda rng, c: ops.Pad(1, 2, 0, 3, (77.5,)),
    "pad edge": lambda rng, c: _border(rng, "edge", ()),
    "pad reflect": lambda rng, c: ops.Pad(2, 40, 3, 50, mode="reflect"),
    "pad symmetric": lambda rng, c: ops.Pad(2, 40, 3, 50, mode="symmetric"),
    "paint": lambda rng, c: ops.Paint(rng.integers(0, 9, COUNT), 4, rng.integers(0, 10, COUNT), 9, _fill(rng, c)),
    "same paint": lambda rng, c: ops.Paint(3, 4, 5, 9),
    "resize": lambda rng, c: ops.Resize(8, 40),
    "resize rows first": lambda rng, c: ops.Resize(7, 26, "bicubic"),
    "resize to the same": lambda rng, c: ops.Resize(HEIGHT, WIDTH),
    "resize lanczos": lambda rng, c: ops.Resize(np.full(COUNT, 24), 16, "lanczos", False),
    "resize nearest": lambda rng, c: ops.Resize(33, 11, "nearest"),
    "resize bilinear, not antialiased": lambda rng, c: ops.Resize(7, 41, "bilinear", False),
    "resize bicubic, not antialiased": lambda rng, c: ops.Resize(7, 41, "bicubic", False),
    "resize of a box": lambda rng, c: ops.ResizeBox(
        rng.random(COUNT) * 3, 2.25, 11.5, rng.random(COUNT) * 12 + 9, 7, 9
    ),
    **{
        f"warp {kind}, {way}": _warp(kind, way)
        for kind in ("apart", "affine", "projective", "mixed")
        for way in ("nearest", "bilinear", "bicubic")
    },
    "one warp": lambda rng, c: ops.Warp((0.9, 0.1, 1.0, 0.2, 1.1, -2.0, 0.0, 0.0), 21, 20, "nearest", (9.0,)),
    **{name: _lookup(name) for name in ("brightness", "posterize", "solarize", "solarize_add", "invert")},
    "table": _lookup("table"),
    "gamma": _lookup("gamma"),
    "fixed stages": _fixed(PointFunction("brightness", 1.3), PointFunction("invert"), PointFunction("posterize", 5)),
    "no stage": _fixed(),
    "equalize": _lookup("equalize"),
    "auto_contrast": _lookup("auto_contrast"),
    "auto_contrast, fixed": _fixed(ImageStatistic("auto_contrast", 5.0)),
    "stages": _lookup("table", "invert", "brightness", "equalize", "table", "solarize", "auto_contrast", "invert"),
    "sharpness": lambda rng, c: ops.Enhance("smooth", rng.random(COUNT) * 2),
    "normalize": lambda rng, c: ops.Normalize(tuple(0.4 + 0.01 * np.arange(c).astype(float)), STD),
    "normalize after stages": lambda rng, c: ops.Normalize(MEAN, STD, stages=_stages(rng, "brightness", "equalize")),
    "gaussian blur": lambda rng, c: ops.Filter(
        "gaussian", np.concatenate([[0.0, 1e-3, 9.0], rng.random(COUNT - 3) * 4])
    ),
    "one gaussian blur": lambda rng, c: ops.Filter("gaussian", 1.7),
    "motion blur": lambda rng, c: ops.Filter("motion", 0.5 + rng.random(COUNT) * 9, rng.random(COUNT) * 360),
    "color matrix": lambda rng, c: ops.ColorMatrix(_rows(rng, c), tuple(rng.normal(0, 20, (c, COUNT)))),
    "channels in another order": lambda rng, c: ops.permute_channels(tuple(range(c))[::-1]),
    "normalize by a mean image": lambda rng, c: ops.Normalize(
        (), STD, _mean_image(HEIGHT, WIDTH, c), (HEIGHT, WIDTH), stages=_stages(rng, "invert", "brightness")
    ),
    "normalize by parts of a mean image": lambda rng, c: ops.Normalize(
        (),
        STD,
        _mean_image(40, 40, 1),
        (40, 40),
        (
            ops.Move(rng.integers(0, 9, COUNT), 3, 20, 30, False, _flags(rng)),
            ops.Move(0, 1, HEIGHT, WIDTH),
        ),
    ),
    "elastic": lambda rng, c: ops.Remap(
        "elastic", (rng.random(COUNT) * 40, 1.0 + rng.random(COUNT) * 3), _keys(rng), "bilinear", _fill(rng, c)
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
    "box of noise": lambda rng, c: ops.Paint(*_boxes(rng), noise="uniform", key=_keys(rng)),
    "box of normal noise": lambda rng, c: ops.Paint(*_boxes(rng), noise="normal", key=_keys(rng), frame=1),
}
"""For any number of channels."""
COLOR: dict[str, Make] = {
    "saturation": lambda rng, c: ops.Enhance("gray", rng.random(COUNT) * 2),
    "same saturation": lambda rng, c: ops.Enhance("gray", 0.3),
    "hue": lambda rng, c: ops.Hue(rng.random(COUNT) - 0.5),
    "hue by less than a step": lambda rng, c: ops.Hue(0.003),
    "contrast": _lookup("contrast"),
    "contrast between stages": _lookup("brightness", "contrast", "gamma", "contrast", "invert"),
    "pad with ops for its fill": lambda rng, c: _border(rng, "constant", _fill(rng, c), _color_ops(rng)),
    "paint with ops for its fill": lambda rng, c: ops.Paint(1, 2, 9, 9, _fill(rng, c), fill_ops=_color_ops(rng)),
    "normalize after contrast": lambda rng, c: ops.Normalize(
        MEAN, STD, stages=_stages(rng, "contrast", "brightness")
    ),
}
"""For gray and RGB images."""


def _made(name: str, channels: int) -> ops.Op:
    make = {**ANY, **COLOR}[name]
    return make(np.random.default_rng([channels, *name.encode()]), channels)


def _alone(op: ops.Op) -> list[ops.Op]:
    """The op of each image."""
    columns = Columns(op, np.arange(COUNT))
    return [columns.at(place) for place in range(COUNT)]


def _assert_same(found: torch.Tensor, wanted: torch.Tensor, within: float = 0.0) -> None:
    assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
    differ = (found.to(torch.float64) - wanted.to(torch.float64)).abs() > within
    assert not differ.any(), differ.flatten(1).sum(1).tolist()


@pytest.mark.parametrize(
    ("name", "channels"),
    [(name, c) for name in ANY for c in (1, 3, 5)] + [(name, c) for name in COLOR for c in (1, 3)],
)
def test_bytes(name: str, channels: int) -> None:
    op, arrays = _made(name, channels), pictures(COUNT, HEIGHT, WIDTH, channels)
    images = tensor(arrays)
    assert batches.refused(op, "uint8", channels) == ""
    before = images.clone()
    _assert_same(batches.apply(op, images), one_by_one(_alone(op), arrays))
    assert torch.equal(images, before)


OTHER_ROUNDING = (
    "gamma",
    "contrast",
    "saturation",
    "same saturation",
    "contrast between stages",
    "normalize after contrast",
)
"""Ops on floats with a power, a luma or a mean."""


@pytest.mark.parametrize(
    ("name", "channels"),
    [(name, c) for name in ANY for c in (1, 3)] + [(name, c) for name in COLOR for c in (1, 3) if "fill" not in name],
)
def test_floats(name: str, channels: int) -> None:
    op, arrays = _made(name, channels), pictures(COUNT, HEIGHT, WIDTH, channels)
    rng = np.random.default_rng(9)
    arrays = [(array / 220.0 - 0.05 + rng.random(array.shape) / 256).astype(np.float32) for array in arrays]
    assert min(map(np.min, arrays)) < 0 and max(map(np.max, arrays)) > 1
    images = tensor(arrays)
    assert batches.refused(op, "float32", channels) == ""
    before = images.clone()
    _assert_same(batches.apply(op, images), one_by_one(_alone(op), arrays), 2e-6 * (name in OTHER_ROUNDING))
    assert torch.equal(images, before)


def test_a_crop_a_resize_and_flips_of_images_of_different_sizes_in_one_pass() -> None:
    rng = np.random.default_rng(1)
    arrays = [pictures(1, *rng.integers(20, 60, 2).tolist(), 3, seed)[0] for seed in range(COUNT)]
    batch, _ = resizing.stacked([torch.from_numpy(array).permute(2, 0, 1) for array in arrays])
    sizes = np.array([array.shape[:2] for array in arrays])
    extents = rng.integers(5, sizes + 1)
    crop = ops.Move(*rng.integers(0, sizes - extents + 1).T, *extents.T)
    resize = ops.Resize(16, 18, "bicubic")
    flip = ops.Move(0, 0, 16, 18, False, _flags(rng), _flags(rng))
    wanted = [list(each) for each in zip(_alone(crop), _alone(resize), _alone(flip), strict=True)]
    _assert_same(torch_geometry.cropped_resize(crop, resize, flip, batch, sizes), one_by_one(wanted, arrays))
    wanted = [[resize, each] for each in _alone(flip)]
    _assert_same(torch_geometry.cropped_resize(None, resize, flip, batch, sizes), one_by_one(wanted, arrays))
    same = [array[:20, :20] for array in arrays]
    crop = ops.Move(1, 3, 19, 11)
    _assert_same(
        torch_geometry.cropped_resize(crop, resize, None, tensor(same)), one_by_one([[crop, resize]] * COUNT, same)
    )


def test_what_does_not_run_in_one_pass_with_a_resize() -> None:
    images = torch.zeros((2, 3, 9, 9), dtype=torch.uint8)
    resize, whole = ops.Resize(4, 5), ops.Move(0, 0, 4, 5, flip_x=True)
    for crop, scale, flip, error in (
        (ops.Move(0, 0, 9, 9, flip_x=np.array([True, False])), resize, None, "must not flip"),
        (None, ops.Resize(4, 5, "nearest"), None, "only an antialiased"),
        (None, resize, ops.Move(0, 0, 5, 4, True), "only flips"),
        (None, resize, ops.Move(0, 0, 4, 4), "of whole images"),
        (ops.Move(np.array([0, 1]), 0, 9, 9), resize, whole, "not within"),
    ):
        with pytest.raises(ValueError, match=error):
            torch_geometry.cropped_resize(crop, scale, flip, images)


@pytest.mark.parametrize("mode", ["constant", "reflect"])
def test_a_border_a_crop_and_flips_in_one_pass(mode: str) -> None:
    rng, arrays = np.random.default_rng(2), pictures(COUNT, 32, 32, 3)
    pad = ops.Pad(4, 4, 4, 4, (3.0, 4.0, 5.0), mode)
    crop = ops.Move(rng.integers(0, 9, COUNT), rng.integers(0, 9, COUNT), 32, 32, False, False, _flags(rng))
    wanted = [[pad, each] for each in _alone(crop)]
    _assert_same(batches.padded_crop(pad, crop, tensor(arrays)), one_by_one(wanted, arrays))


def test_stages_of_some_of_the_images() -> None:
    rng, arrays = np.random.default_rng(3), pictures(COUNT, 20, 15, 3)
    parts, own = [], [[] for _ in arrays]
    for names in (("brightness", "equalize"), ("solarize",), ("invert",), ("contrast", "posterize"), ("equalize",)):
        rows = rng.permutation(COUNT)[:4]
        every = Columns(ops.Lookup(_stages(rng, *names)), np.arange(COUNT))
        for row in rows:
            own[row].append(every.at(row))
        part = [
            type(s)(s.name, s.amount[rows] if isinstance(s.amount, np.ndarray) else s.amount) for s in every.op.stages
        ]
        parts.append((tuple(part), rows))
    assert {len(each) for each in own} >= {0, 1, 2}
    images = tensor(arrays)
    found = lookups.merged_tables(parts, images)
    _assert_same(tables.looked_up(images, found), one_by_one(own, arrays))
    whole = [[*each, ops.Normalize(MEAN, STD)] for each in own]
    _assert_same(normalizing.normalized(images, MEAN, STD, found), one_by_one(whole, arrays))


@pytest.mark.parametrize("name", [*ANY, *COLOR])
def test_nothing_is_read_from_a_device_and_no_devices_are_mixed(name: str) -> None:
    op = _made(name, 3)
    wanted = batches.apply(op, tensor(pictures(COUNT, HEIGHT, WIDTH, 3)))
    with fake_gpu():
        images = torch.empty((COUNT, 3, HEIGHT, WIDTH), dtype=torch.uint8, device=GPU)
        found = batches.apply(op, images)
    assert (found.device, found.shape, found.dtype) == (GPU, wanted.shape, wanted.dtype)


def test_a_fake_device_notices_both() -> None:
    with fake_gpu():
        images = torch.empty((COUNT, 3, HEIGHT, WIDTH), device=GPU)
        with pytest.raises(Exception, match="on the same device"):
            images + torch.ones(WIDTH)
        with pytest.raises(Exception, match="_local_scalar_dense"):
            images.sum().item()


def test_what_cannot_be_done_is_said() -> None:
    images = torch.zeros((2, 3, 9, 9), dtype=torch.uint8)
    assert (
        batches.refused(ops.local_contrast(2.0, (8, 8)), "uint8", 3)
        == "no batch kernel for ops of the kind LocalContrast"
    )
    with pytest.raises(ImageError, match="no batch kernel for ops of the kind Encode"):
        batches.apply(ops.jpeg(50), images)
    with pytest.raises(ValueError, match=r"must share the height of a Resize, got \[3, 4\]"):
        batches.apply(ops.Resize(np.array([3, 4]), 4), images)
    with pytest.raises(ImageError, match="not within the images of the batch, which are 9x9"):
        batches.apply(ops.Move(np.array([0, 5]), 0, 5, 9), images)
    with pytest.raises(ImageError, match="saturation needs a gray or RGB image"):
        batches.apply(ops.Enhance("gray", 0.5), images[:, :2])
    with pytest.raises(ImageError, match="fill has 2 numbers"):
        batches.apply(ops.Pad(1, 1, 1, 1, (1.0, 2.0)), images)
