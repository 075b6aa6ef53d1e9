"""A training pipeline by kernels: every image of the batch has its own crop, flip and colors, as one at a time."""

from __future__ import annotations

import numpy as np
import pytest

from augreg import ops

torch = pytest.importorskip("torch")

from batched import assert_same, pictures, tensor, top_left  # noqa: E402

from augreg.backends.torch_kernels import (  # noqa: E402
    colors,
    measuring,
    moving,
    normalizing,
    painting,
    resizing,
    sharpening,
    tables,
    warping,
)

COUNT = 16
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def test_random_resized_crop_flip_jitter_normalize() -> None:
    rng = np.random.default_rng(0)
    arrays = [pictures(1, *rng.integers(40, 90, 2).tolist(), 3, seed)[0] for seed in range(COUNT)]
    sizes = np.array([array.shape[:2] for array in arrays])
    extents = rng.integers(8, sizes + 1)
    boxes = np.concatenate([rng.integers(0, sizes - extents + 1), extents], 1)
    flip = rng.random(COUNT) < 0.5
    bright, contrast, saturation = factors = rng.random((3, COUNT)) * 0.8 + 0.6
    wanted = []
    for n, box in enumerate(boxes.tolist()):
        changes = [ops.point_function("brightness", bright[n]), ops.image_statistic("contrast", contrast[n])]
        flips = [ops.horizontal_flip(ops.Scene(32, 32))] * bool(flip[n])
        color = ops.enhance("gray", saturation[n], "saturation")
        wanted.append([ops.crop(*box), ops.resize(32, 32), *flips, *changes, color, ops.Normalize(MEAN, STD)])
    bright, contrast, saturation = torch.from_numpy(factors)
    batch, _ = top_left(arrays)
    images = resizing.crop_resize(batch, torch.from_numpy(boxes), 32, 32, flip_x=torch.from_numpy(flip))
    images = tables.looked_up(images, tables.brightness(bright))
    images = tables.looked_up(images, measuring.contrast(images, contrast))
    images = colors.saturated(images, saturation)
    assert_same(normalizing.normalized(images, MEAN, STD), wanted, arrays)


def test_small_images_with_an_op_of_a_policy_each() -> None:
    """Every kernel runs on all images, and a flag says which of them keep its result."""
    rng = np.random.default_rng(1)
    arrays = pictures(COUNT, 32, 32, 3)
    scene = ops.Scene(32, 32)
    top, left = rng.integers(0, 9, (2, COUNT))
    kind, amount = np.arange(COUNT) % 4, rng.random(COUNT) + 0.2
    holes = np.stack([*rng.integers(0, 20, (2, COUNT)), np.full(COUNT, 8), np.full(COUNT, 8)], 1)
    choices = (
        lambda n: ops.rotate(scene, 30 * amount[n]),
        lambda n: ops.enhance("smooth", amount[n], "sharpness"),
        lambda n: ops.image_statistic("equalize"),
        lambda n: ops.hue(amount[n] / 3),
    )
    wanted = []
    for n in range(COUNT):
        padded = [ops.Pad(4, 4, 4, 4, (0.0,), "reflect"), ops.crop(int(top[n]), int(left[n]), 32, 32)]
        wanted.append([*padded, choices[kind[n]](n), ops.Paint(*holes[n].tolist()), ops.Normalize(MEAN, STD)])
    numbers = torch.from_numpy(amount)
    images = moving.cut_padded(
        tensor(arrays), torch.from_numpy(top - 4), torch.from_numpy(left - 4), 32, 32, mode="reflect"
    )
    maps = [tuple(ops.rotate(scene, 30 * one).matrix) for one in amount]
    after = (
        warping.warped(images, torch.tensor(maps, dtype=torch.float64), 32, 32),
        sharpening.sharpened(images, numbers),
        tables.looked_up(images, measuring.equalize(measuring.histograms(images))),
        colors.shifted_hue(images, numbers / 3),
    )
    for number, found in enumerate(after):
        images = torch.where(torch.from_numpy(kind == number)[:, None, None, None], found, images)
    images = painting.painted(images, torch.from_numpy(holes))
    assert_same(normalizing.normalized(images, MEAN, STD), wanted, arrays)
