"""Patch masks of named views: how many patches are masked, which ones, and by which draws."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
from images import made

from augreg import ImageError, Pipeline
from augreg.named_views import ViewsPlan

IMAGE = made("smooth", 112, 112)


def masks(patches: Any, count: int, view: str = "one", **options: Any) -> np.ndarray:
    """The masks of so many samples: count x rows x columns."""
    pipe = Pipeline(views={"one": {"patches": patches}}, **options)
    plans = [pipe.train.plan((112, 112), index=index) for index in range(count)]
    return np.stack([plan.masks[view].array for plan in plans if isinstance(plan, ViewsPlan)])


@pytest.mark.parametrize(("ratio", "masked"), [(0.75, 147), (0.6, 118), (0.0, 0), (1.0, 196), (0.5, 98)])
def test_random_masks_have_an_exact_number(ratio: float, masked: int) -> None:
    """Of 14x14 patches; 0.6 of 196 is 117.6. Those of MAE: 0.75, 147."""
    found = masks({"size": 8, "ratio": ratio}, 8)
    assert found.shape == (8, 14, 14) and found.dtype == bool
    assert found.sum(axis=(1, 2)).tolist() == [masked] * 8


def test_each_patch_is_masked_equally_often() -> None:
    """Of 49 patches, each in 0.75 of the masks: 600 of them, within four standard deviations."""
    found = masks({"size": 16, "ratio": 0.75}, 600)
    assert np.abs(found.mean(axis=0) - 37 / 49).max() < 4 * math.sqrt(0.75 * 0.25 / 600)


def test_a_ratio_from_a_range_and_a_probability() -> None:
    found = masks({"size": 8, "ratio": [0.2, 0.6], "p": 0.5}, 400).mean(axis=(1, 2))
    none = found == 0
    assert abs(none.mean() - 0.5) < 4 * 0.5 / 20
    rest = found[~none]
    assert rest.min() >= 0.2 - 0.5 / 196 and rest.max() <= 0.6 + 0.5 / 196
    assert abs(rest.mean() - 0.4) < 4 * 0.4 / math.sqrt(12 * len(rest))


def of_beit(side: int, wanted: int, least: int, rng: random.Random) -> np.ndarray:
    """The masks of BEiT as its paper describes them (Algorithm 1), with up to ten attempts for each block."""
    mask = np.zeros((side, side), int)
    count = 0
    while count < wanted:
        most, added = wanted - count, 0
        for _ in range(10):
            area = rng.uniform(least, most)
            aspect = math.exp(rng.uniform(math.log(0.3), math.log(1 / 0.3)))
            height, width = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if width < side and height < side and height * width:
                top, left = rng.randint(0, side - height), rng.randint(0, side - width)
                block = mask[top : top + height, left : left + width]
                if 0 < block.size - block.sum() <= most:
                    added = int(block.size - block.sum())
                    block[:] = 1
                    break
        if not added:
            break
        count += added
    return mask


def runs(mask: np.ndarray) -> float:
    """How often neighbors in a row are equal: what tells blocks from single patches."""
    return float((mask[:, 1:] == mask[:, :-1]).mean())


def test_blocks_are_those_of_beit() -> None:
    """75 of 14x14 patches: the number that is masked, where, and how it holds together, over 400 masks."""
    found = masks({"size": 8, "masking": "blocks", "ratio": 75 / 196, "least": 16}, 400)
    rng = random.Random(0)
    wanted = np.stack([of_beit(14, 75, 16, rng) for _ in range(400)])
    counts, theirs = found.sum(axis=(1, 2)), wanted.sum(axis=(1, 2))
    assert counts.max() <= 75 and abs(counts.mean() - theirs.mean()) < 4 * theirs.std() * math.sqrt(2 / 400)
    holding = [np.array([runs(mask) for mask in group]) for group in (found, wanted)]
    assert abs(holding[0].mean() - holding[1].mean()) < 4 * holding[1].std() * math.sqrt(2 / 400)
    center = [group[:, 4:10, 4:10].mean() for group in (found, wanted)]
    assert abs(center[0] - center[1]) < 0.04 and center[0] > found.mean() + 0.05


def test_a_block_is_smaller_than_the_grid_both_ways() -> None:
    """So a view with one row of patches has none."""
    blocks = {"size": [112, 8], "masking": "blocks", "ratio": 0.5, "least": 1}
    assert not masks(blocks, 20).any()
    assert masks({**blocks, "size": [56, 8]}, 20).any()


def test_masks_are_functions_of_the_key_and_of_the_view() -> None:
    views = {
        "one": {"count": 2, "patches": 16},
        "same": {"draws": "one_2", "patches": 16},
        "moved": {"geometry": "one_1", "patches": 16},
    }
    pipe = Pipeline(views=views)
    found = pipe.train(IMAGE, index=3, epoch=1)
    first = {name: view["patch_mask"] for name, view in found.items()}
    assert np.array_equal(first["same"], first["one_2"])
    for other in ("one_2", "moved"):
        assert not np.array_equal(first["one_1"], first[other])
    plan = pipe.train.plan(IMAGE, index=3, epoch=1)
    assert isinstance(plan, ViewsPlan)
    for name, mask in first.items():
        assert np.array_equal(pipe.train(IMAGE, index=3, epoch=1)[name]["patch_mask"], mask)
        assert np.array_equal(plan.run(IMAGE)[name]["patch_mask"], mask)
        assert not np.array_equal(pipe.train(IMAGE, index=4, epoch=1)[name]["patch_mask"], mask)
        assert not np.array_equal(pipe.train(IMAGE, index=3, epoch=2)[name]["patch_mask"], mask)


def test_nothing_is_masked_in_testing() -> None:
    found = Pipeline(views={"one": {"patches": {"size": [16, 8], "ratio": 0.9}}}).test(IMAGE)["one"]
    assert found["patch_mask"].shape == (7, 14) and not found["patch_mask"].any()
    assert np.array_equal(found["image"], IMAGE)


def test_views_without_masks_are_samples_beside_those_with() -> None:
    found = Pipeline(views={"one": {"patches": 16}, "other": []}).train(IMAGE)
    assert list(found["one"]) == ["image", "patch_mask"] and list(found["other"]) == ["image"]


def test_patches_have_to_divide_the_view() -> None:
    pipe = Pipeline(views={"one": {"steps": [{"resize": {"size": [112, 100]}}], "patches": 16}})
    for make in (lambda: pipe.train(IMAGE), lambda: pipe.train.plan((50, 50), index=0), lambda: pipe.test(IMAGE)):
        with pytest.raises(ImageError, match="one is 112x100, which patches of 16x16 do not divide"):
            make()
