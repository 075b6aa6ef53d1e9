"""Approximate merging: one resampling for several, only where asked for, and close to the exact composition."""

from __future__ import annotations

from typing import Any

import numpy as np
import oracle
import pytest

from augreg import Pipeline, ops
from augreg.execution import merging
from augreg.ops import Scene

AFFINE = [{"rotate": 25}, {"shear_x": 0.2}, {"translate_y": 0.1}, {"affine": {}}]
SIZE = (48, 64)


def spec(backend: str, approximate: bool, steps: Any = AFFINE) -> Pipeline:
    return Pipeline.from_spec({"backend": backend, "approximate": approximate, "image": steps})


def smooth_image() -> np.ndarray[Any, Any]:
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    planes = [128 + 100 * np.sin(x / 9 + k) * np.cos(y / 7 - k) for k in range(3)]
    return np.stack(planes, axis=2).round().astype(np.uint8)


@pytest.mark.parametrize("backend", ["pillow", "opencv"])
@pytest.mark.parametrize("steps", [AFFINE, [*AFFINE, "horizontal_flip"], [{"perspective": {"p": 1}}, {"rotate": 9}]])
def test_one_resampling_is_close_to_the_exact_composition(backend: str, steps: Any) -> None:
    """The float64 oracle resamples once through the product of the maps; where all of it is inside, we agree."""
    pixels = smooth_image()
    pipe = spec(backend, True, steps)
    for index in range(8):
        planned = pipe.train.plan(SIZE, index=index)
        assert len(planned.ops) == 1 and isinstance(planned.ops[0], ops.Warp)
        # the composition in the oracle's own arithmetic: where does each output pixel come from?
        drawn = [op for entry in planned.entries for op in entry.ops]
        expected, inside = composed(drawn, pixels)
        found = planned.run(pixels).astype(np.float64)
        assert inside.mean() > 0.3
        assert np.abs(found - expected)[inside].max() <= 3.0


def composed(drawn: list[ops.Op], pixels: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The image sampled bilinearly, in float64, where the chain of maps leads; and where that is well inside."""
    height, width = pixels.shape[:2]
    y, x = np.mgrid[:height, :width] + 0.5
    for op in reversed(drawn):
        if isinstance(op, ops.Move):
            x = width - x if op.flip_x else x
            y = height - y if op.flip_y else y
            continue
        assert isinstance(op, ops.Warp)
        a, b, c, d, e, f, g, h = op.matrix
        w = g * x + h * y + 1
        x, y = (a * x + b * y + c) / w, (d * x + e * y + f) / w
    inside = (x > 2) & (x < width - 2) & (y > 2) & (y < height - 2)
    x, y = np.clip(x - 0.5, 0, width - 1.001), np.clip(y - 0.5, 0, height - 1.001)
    x0, y0 = x.astype(int), y.astype(int)
    u, v = (x - x0)[..., None], (y - y0)[..., None]
    image = pixels.astype(np.float64)
    top = image[y0, x0] * (1 - u) + image[y0, x0 + 1] * u
    bottom = image[y0 + 1, x0] * (1 - u) + image[y0 + 1, x0 + 1] * u
    return top * (1 - v) + bottom * v, inside


def test_it_is_opt_in() -> None:
    assert len(spec("pillow", False).train.plan(SIZE, index=1).ops) == len(AFFINE)


@pytest.mark.parametrize("backend", ["pillow", "opencv"])
def test_merged_ops_agree_with_the_oracle(backend: str) -> None:
    """What a merged op says is what the oracle makes of it, so the product itself is right too."""
    pixels = smooth_image()
    for index in range(4):
        (op,) = spec(backend, True).train.plan(SIZE, index=index).ops
        found = spec(backend, True).train(pixels, index=index).astype(np.float64)
        expected = oracle.run(op, pixels)
        assert np.mean(np.abs(found - expected) > 3.0) < 0.05  # borders: a backend may blend with the fill


def test_a_crop_of_a_warp_resamples_only_what_it_keeps() -> None:
    scene = Scene(*SIZE)
    turned = ops.rotate(scene, 17, "bilinear", (7.0,))
    merged = merging.merge([turned, ops.crop(5, 9, 20, 30)], scene, approximate=True)
    assert len(merged) == 1 and merged[0].size_after(*SIZE) == (20, 30)
    pixels = smooth_image()
    both = oracle.run(turned, pixels)[5:25, 9:39]
    assert np.abs(oracle.run(merged[0], pixels) - both).max() < 1e-6


def test_warps_with_different_fills_are_not_merged() -> None:
    scene = Scene(*SIZE)
    first, second = ops.rotate(scene, 5, "bilinear", (0.0,)), ops.rotate(scene, 5, "bilinear", (9.0,))
    assert merging.merge([first, second], scene, approximate=True) == (first, second)


@pytest.mark.parametrize("turns", [(a, b, c) for a in (0, 1) for b in (0, 1) for c in (0, 1)])
def test_a_quarter_turn_after_a_warp(turns: tuple[int, int, int]) -> None:
    scene = Scene(30, 40)
    pixels = smooth_image()[:30, :40]
    turned = ops.rotate(scene, 17, "bilinear")
    move = ops.Move(2, 3, 20, 24, *map(bool, turns))
    (merged,) = merging.merge([turned, move], scene, approximate=True)
    expected = oracle.run(move, oracle.run(turned, pixels))
    assert np.abs(oracle.run(merged, pixels) - expected).max() < 1e-6
