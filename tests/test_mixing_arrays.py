"""Blends done to NumPy arrays: against a float64 oracle, in every layout, in place, what came in left untouched."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from mixing_oracle import blended

from augreg.batch import numpy_kernels
from augreg.batch.blends import Blend, Mix, Paste, Patch
from augreg.batch.order import write_steps
from augreg.batch.visibility import visible_fractions

KINDS = {"uint8": 0.5001, "float16": 4e-3, "float32": 2e-6, "float64": 1e-14}


def made(count: int, size: tuple[int, int], kind: str, channels: int = 3, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shape = (count, channels, *size)
    return rng.integers(0, 256, shape, np.uint8) if kind == "uint8" else rng.normal(size=shape).astype(kind)


@st.composite
def boxes(draw: Any, height: int, width: int) -> tuple[int, int, int, int]:
    top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    return top, left, draw(st.integers(1, height - top)), draw(st.integers(1, width - left))


@st.composite
def cases(draw: Any) -> tuple[tuple[Blend, ...], int, tuple[int, int]]:
    """Some blends, the number of images, and their size: any at all, images pasted into themselves too."""
    count, height, width = draw(st.integers(1, 5)), draw(st.integers(1, 9)), draw(st.integers(1, 9))
    image = st.integers(0, count - 1)
    box = boxes(height, width)
    mixes = st.builds(
        Mix,
        st.tuples(*[image] * count),
        st.tuples(*[st.sampled_from([0.0, 0.25, 1.0]) | st.floats(0, 1)] * count),
    )
    same_size = st.builds(lambda into, b, source: Patch(into, b, source, b), image, box, image)
    patches = same_size | st.builds(Patch, image, box, image, box)
    pastes = st.lists(patches, max_size=6).map(lambda found: Paste(tuple(found)))
    return tuple(draw(st.lists(mixes | pastes, max_size=3))), count, (height, width)


@pytest.mark.parametrize("kind", KINDS)
@given(case=cases())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_any_blends_are_what_the_oracle_says(kind: str, case: Any) -> None:
    blends, count, size = case
    for blend in blends:
        blend.check(count, *size)
    batch = made(count, size, kind)
    before = batch.copy()
    batch.flags.writeable = False
    found = numpy_kernels.apply(blends, batch, None, False, False)
    assert found.dtype == batch.dtype and found.flags.writeable
    assert np.array_equal(batch, before)
    wanted = blended(blends, batch)
    if kind == "uint8":  # each blend, and either axis of a scaling, rounds
        rounded = blended(blends, batch, rounded=True)
        assert np.abs(found - rounded).max(initial=0) <= 1
        assert np.mean(found != rounded) <= 0.02 or np.sum(found != rounded) <= 2
    else:
        assert np.abs(found - wanted).max(initial=0) <= KINDS[kind] * max(1, len(blends)) * 4
    in_place = before.copy()
    assert numpy_kernels.apply(blends, in_place, in_place, False, False) is in_place
    assert np.array_equal(in_place, found)
    last = np.ascontiguousarray(before.transpose(0, 2, 3, 1))
    assert np.array_equal(numpy_kernels.apply(blends, last, None, True, False).transpose(0, 3, 1, 2), found)
    strided = last.transpose(0, 3, 1, 2)
    out = np.empty_like(batch)[::-1]
    numpy_kernels.apply(blends, strided, out, False, False)
    assert np.array_equal(out, found)


@given(case=cases())
@settings(max_examples=100, deadline=None, derandomize=True)
def test_masks_take_the_nearest_and_hold_no_new_number(case: Any) -> None:
    blends, count, size = case
    blends = tuple(blend for blend in blends if isinstance(blend, Paste))
    masks = np.random.default_rng(1).integers(-5, 2**40, (count, 1, *size))
    wanted = blended(blends, masks, nearest=True)
    assert np.array_equal(numpy_kernels.apply(blends, masks[:, 0], None, False, True), wanted[:, 0])
    in_place = masks.copy()
    numpy_kernels.apply(blends, in_place, in_place, False, True)
    assert np.array_equal(in_place, wanted)


@given(case=cases())
@settings(max_examples=200, deadline=None, derandomize=True)
def test_label_weights_are_fractions_of_visible_pixels(case: Any) -> None:
    """Each image is painted with its own plane: after the blends, the means of the planes are the label weights."""
    blends, count, size = case
    planes = np.zeros((count, count, *size))
    planes[np.arange(count), np.arange(count)] = 1.0
    painted = blended(blends, planes).mean(axis=(2, 3))
    rows = visible_fractions(blends, count, *size)
    for i, row in enumerate(rows):
        assert next(iter(row)) == i and abs(sum(row.values()) - 1) < 1e-12
        assert all(weight > 0 or source == i for source, weight in row.items())
        assert np.allclose([row.get(j, 0.0) for j in range(count)], painted[i], atol=1e-12)


def test_the_areas_of_pastes_are_exact() -> None:
    one = Paste((Patch(0, (0, 0, 2, 3), 1, (0, 0, 2, 3)), Patch(0, (1, 1, 2, 2), 2, (0, 0, 1, 1))))
    assert one.source_weights(3, 3) == {0: {0: 1 / 9 + 1 / 9 - 1 / 9, 1: 4 / 9, 2: 4 / 9}}
    hidden = Paste((Patch(0, (0, 0, 1, 1), 1, (0, 0, 1, 1)), Patch(0, (0, 0, 3, 3), 2, (0, 0, 3, 3))))
    assert visible_fractions([hidden], 3, 3, 3)[0] == {0: 0.0, 2: 1.0}
    own = Paste((Patch(0, (0, 0, 3, 3), 1, (0, 0, 3, 3)), Patch(0, (1, 1, 1, 1), 0, (1, 1, 1, 1))))
    assert visible_fractions([own], 2, 3, 3)[0] == {0: 1 / 9, 1: 8 / 9}


def test_blends_one_after_the_other_multiply() -> None:
    """First a mix by a quarter, then the left half of the neighbor: an image of three parts."""
    mix = Mix((1, 2, 0), (0.75,) * 3)
    half = Paste(tuple(Patch(i, (0, 0, 2, 1), (i + 1) % 3, (0, 0, 2, 1)) for i in range(3)))
    rows = visible_fractions([mix, half], 3, 2, 2)
    assert rows[0] == {0: 0.375, 1: 0.125 + 0.375, 2: 0.125}
    rows = visible_fractions([half, mix], 3, 2, 2)
    assert rows[0] == {0: 0.375, 1: 0.375 + 0.125, 2: 0.125}
    assert visible_fractions([mix, Mix((0, 1, 2), (0.5,) * 3)], 3, 2, 2) == visible_fractions([mix], 3, 2, 2)


def test_a_permutation_in_place_keeps_one_copy() -> None:
    for partners in ([4, 0, 1, 2, 3], [1, 2, 3, 4, 0], [4, 3, 2, 1, 0], [1, 0, 3, 4, 2]):
        kept = 0
        for step in write_steps({i: {j} for i, j in enumerate(partners) if i != j}):
            kept += step.copy - len(step.drop) + (not step.copy)
            assert kept <= 2  # one copy, and the image that is being read


def test_bytes_round_to_the_nearest_integer() -> None:
    values = np.arange(256, dtype=np.uint8)
    first, second = np.meshgrid(values, values)
    batch = np.stack([first, second])
    for weight in (0.5, 0.1, 1 / 3, 0.999, 2.0**-20):
        found = numpy_kernels.apply([Mix((1, 0), (weight, 1.0))], batch, None, False, False)[0]
        exact = weight * first + (1 - weight) * second
        assert np.abs(found - exact).max() <= 0.5 + 1e-4
    assert np.array_equal(numpy_kernels.apply([Mix((1, 0), (0.0, 1.0))], batch, None, False, False)[0], second)


def test_large_images_go_in_tiles() -> None:
    batch = made(3, (120, 130), "float32")
    blends = (Mix((1, 2, 0), (0.3, 0.6, 0.9)),)
    assert np.abs(numpy_kernels.apply(blends, batch, None, False, False) - blended(blends, batch)).max() < 1e-6
