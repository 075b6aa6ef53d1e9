"""Draws, patches and the weights of labels as columns: the same numbers as one by one, without a loop over images."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from mixing_oracle import blended
from test_mixing_arrays import cases

import augreg
from augreg import Pipeline
from augreg.batch.blends import Mix, Paste, Patch, Patches
from augreg.batch.visibility import visible_columns
from augreg.ops import Scene
from augreg.rng import address_of
from augreg.steps.rules import FixedDraws, RandomDrawError
from augreg.transforms.batch import CutMix, Mixup, Mosaic, ResizeMix
from augreg.transforms.dirichlet import dirichlet, dirichlet_pairs


@given(st.lists(st.integers(0, 300), max_size=6), st.integers(0, 3))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_arrays_of_random_numbers_are_those_of_one_by_one(counts: list[int], view: int) -> None:
    together, one_by_one = (address_of(3, 1, 2, view).cursor(7) for _ in range(2))
    for number, count in enumerate(counts):
        together.bernoulli(1.0), one_by_one.bernoulli(1.0)  # skips a word that has not been read
        assert together.randoms(count).tolist() == [one_by_one.random() for _ in range(count)]
        if number % 2:
            assert together.bits() == one_by_one.bits()
        keys = [one_by_one.bits() for _ in range(count)]
        assert together.permutation(count) == sorted(range(count), key=keys.__getitem__)
        looked_at = together.ahead(count)
        assert (looked_at == together.ahead(count)).all() and together.bits() == one_by_one.bits()
    together.close()
    for draw in (together.randoms, together.ahead, together.skip):
        with pytest.raises(RuntimeError, match="this cursor is closed"):
            draw(1)
    with pytest.raises(RandomDrawError):
        FixedDraws().randoms(1)


@pytest.mark.parametrize("alpha", [1e-300, 1e-20, 1e-3, 0.2, 0.8, 1.0, 1.5, 40.0])
@pytest.mark.parametrize("further", [0, 2, 7])
def test_pairs_of_weights_are_those_of_one_by_one_to_the_bit(alpha: float, further: int) -> None:
    for index, count in enumerate([0, 1, 2, 300, 300]):
        together, one_by_one = (address_of(0, index).cursor(0) for _ in range(2))
        found = dirichlet_pairs(together, alpha, count, further)
        assert found.further.shape == (count, further)
        for first, second, row in zip(found.first, found.second, found.further, strict=True):
            assert (first, second) == dirichlet(one_by_one, alpha, 2)
            assert row.tolist() == [one_by_one.random() for _ in range(further)]
        assert together.bits() == one_by_one.bits()


def lines_of_python(work: Any) -> int:
    """The lines of the package, comprehensions included, that run in a call: each time that each of them runs."""
    lines, package = 0, str(Path(augreg.__file__).parent)

    def trace(frame: Any, event: str, argument: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        return trace if frame.f_code.co_filename.startswith(package) else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return lines


@pytest.mark.parametrize("per", ["batch", "element"])
@pytest.mark.parametrize("step", ["mixup", "cutmix", "resizemix", "mosaic"])
def test_no_loop_over_the_images(step: str, per: str) -> None:
    pipe = Pipeline.from_spec({"batch": [{step: {"per": per}}], "seed": 3})

    def work(count: int) -> Any:
        mixture = pipe.batch.plan(count, (64, 64), batch=1)
        (blend,) = mixture.blends
        return mixture.sources_and_weights(), blend.layers if isinstance(blend, Paste) else blend.columns

    few, many = ([work(count), lines_of_python(lambda: work(count))][1] for count in (40, 640))  # noqa: B023
    assert few and many <= few + 40  # what few images need not, such as the branch for grids of several sizes


@given(case=cases())
@settings(max_examples=80, deadline=None, derandomize=True)
def test_the_weights_of_one_blend_are_the_means_of_its_images(case: Any) -> None:
    """Image j is 1 in its own plane and 0 in others: the mean of plane j of a mixed image is the weight of j."""
    blends, count, size = case
    for blend in blends:
        planes = np.zeros((count, count, *size))
        planes[range(count), range(count)] = 1.0
        wanted = blended((blend,), planes).mean((2, 3))
        sources, weights = visible_columns((blend,) if blend.changes else (), count, *size)
        assert sources[:, 0].tolist() == list(range(count))
        found = np.zeros((count, count))
        np.add.at(found, (np.arange(count)[:, None], sources), weights)
        assert np.allclose(found, wanted, atol=1e-12)
        assert ((weights[:, 1:] > 0) | (sources[:, 1:] == np.arange(count)[:, None])).all()
        row = blend.source_weights(*size)
        assert all(found[i, j] == weight for i, of in row.items() for j, weight in of.items())


def test_patches_as_columns_are_equal_to_those_one_by_one() -> None:
    box, piece = (0, 1, 2, 3), (4, 5, 2, 3)
    one_by_one = tuple(Patch(i, box, (i + 1) % 4, piece) for i in range(4))
    columns = Patches(np.arange(4), box, np.array([1, 2, 3, 0], np.uint8), np.array([piece] * 4))
    assert len(columns) == 4 and tuple(columns) == one_by_one and columns[-1] == one_by_one[-1]
    assert columns[1:3] == one_by_one[1:3] and columns.index(one_by_one[2]) == 2
    assert columns == one_by_one and one_by_one == columns and columns != one_by_one[:3] and columns != [1]
    assert Paste(columns) == Paste(one_by_one) and hash(Paste(columns)) == hash(Paste(one_by_one))
    assert repr(Paste(columns)) == repr(Paste(one_by_one)) and str(Paste(columns)) == "paste of 4 patches"
    assert pickle.loads(pickle.dumps(Paste(columns))) == Paste(one_by_one)
    assert isinstance(columns[0].into, int) and columns[0].box == box
    assert len(Patches([], np.zeros((0, 4), int), [], box)) == 0
    assert not Paste(Patches([], box, [], box)).changes
    with pytest.raises(ValueError, match="source: images and pixels of patches are counted in integers, got float64"):
        Patches(np.arange(4), box, np.arange(4.0), piece)
    for wrong in (Patches(np.arange(4), (0, 1, 8, 8), 0, piece), Patches(0, (0, 1, 0, 3), 0, piece)):
        with pytest.raises(ValueError, match="must lie in 8x8"):
            Paste(wrong).check(4, 8, 8)
    with pytest.raises(ValueError, match="images 0 to 3, got 4"):
        Paste(Patches(np.arange(5), box, 0, box)).check(4, 8, 8)
    with pytest.raises(ValueError, match="weights are between 0 and 1, got nan"):
        Mix((0, 1), (0.5, float("nan"))).check(2, 8, 8)
    with pytest.raises(ValueError, match="partners are numbers of images, got float64"):
        Mix((0, 1.5), (0.5, 0.5)).check(2, 8, 8)  # type: ignore[arg-type]


def test_boxes_by_hand() -> None:
    """Each number from the words of the stream, with Python's own int and round."""
    scene, count = Scene(20, 30), 5
    units = [address_of(1, 0).cursor(0).randoms(60).tolist()][0]

    def sampled(transform: Any) -> Any:
        return transform.sample(address_of(1, 0).cursor(0), count, scene).patches

    for i, patch in enumerate(sampled(ResizeMix(per="element", pairing="roll", scale=(0.25, 0.5)))):
        side, y, x = units[3 * i : 3 * i + 3]
        height, width = round(20 * (0.25 + 0.25 * side)), round(30 * (0.25 + 0.25 * side))
        box = (int(y * (20 - height + 1)), int(x * (30 - width + 1)), height, width)
        assert patch == Patch(i, box, (i - 1) % 5, (0, 0, 20, 30))
    for number, patch in enumerate(sampled(Mosaic())):
        i, cell = divmod(number, 4)
        y, x, *crops = units[10 * i : 10 * i + 10]
        y, x = round(20 * (0.25 + 0.5 * y)), round(30 * (0.25 + 0.5 * x))
        top, left, height, width = [(0, 0, y, x), (0, x, y, 30 - x), (y, 0, 20 - y, x), (y, x, 20 - y, 30 - x)][cell]
        crop = int(crops[2 * cell] * (20 - height + 1)), int(crops[2 * cell + 1] * (30 - width + 1))
        assert patch == Patch(i, (top, left, height, width), (i - cell) % 5, (*crop, height, width))
    rng = address_of(1, 0).cursor(0)
    drawn = [(dirichlet(rng, 0.5, 2), rng.random(), rng.random()) for _ in range(3)]
    for patch in sampled(CutMix(per="pair", pairing="flip", alpha=0.5)):
        (_, area), y, x = drawn[min(patch.into, 4 - patch.into)]
        height, width, y, x = int(20 * area**0.5), int(30 * area**0.5), int(y * 20), int(x * 30)
        top, left = max(0, y - height // 2), max(0, x - width // 2)
        end, right = min(20, y + (height + 1) // 2), min(30, x + (width + 1) // 2)
        assert patch == Patch(patch.into, (top, left, end - top, right - left), 4 - patch.into, patch.box)
    mix = Mixup(per="pair", pairing="flip").sample(address_of(1, 0).cursor(0), count, scene)
    assert isinstance(mix, Mix) and mix.partners == (4, 3, 2, 1, 0) and mix.weights[0] == mix.weights[4]
