"""The low-discrepancy draws of views: each is uniform, means converge faster than those of plain draws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from images import made

from augreg import Pipeline
from augreg.rng import VIEWS, address_of
from augreg.views.low_discrepancy import ViewStreams, owen_scrambled, sobol_point

STEP, OTHER = 0x1234567890ABCDEF, 0xFEDCBA0987654321


def units(index: int, count: int, words: int = 8, step: int = STEP, node: int = 0, first: int = 0) -> np.ndarray:
    """The first words of `count` draws, as numbers from 0 to 1: draws x words."""
    rows = []
    for draw in range(first, first + count):
        rows.append(ViewStreams(7, index, draw + 1, node, draw).cursor(step).randoms(words))
    return np.array(rows)


# points 1, 2, 4, .. 512 in units of 1/1024, from scipy.stats.qmc.Sobol(8, scramble=False); one row for each dimension
DIRECTIONS = [
    [512, 256, 128, 64, 32, 16, 8, 4, 2, 1],
    [512, 768, 640, 960, 544, 816, 680, 1020, 514, 771],
    [512, 768, 384, 576, 928, 368, 568, 788, 418, 627],
    [512, 768, 128, 320, 992, 464, 648, 588, 866, 149],
    [512, 256, 128, 704, 992, 880, 488, 628, 362, 191],
    [512, 256, 384, 192, 800, 144, 344, 1004, 898, 449],
    [512, 768, 640, 832, 352, 592, 248, 908, 762, 143],
    [512, 256, 640, 320, 544, 144, 72, 180, 474, 633],
]


def test_the_sobol_sequence_is_that_of_scipy() -> None:
    found = [[coordinate >> 22 for coordinate in sobol_point(1 << place)] for place in range(10)]
    assert np.array_equal(np.transpose(found), DIRECTIONS)
    both = [one ^ other for one, other in zip(sobol_point(5), sobol_point(24), strict=True)]
    assert sobol_point(5 ^ 24) == both and sobol_point(0) == [0] * 8


def test_each_word_is_uniform() -> None:
    # 1,500 images; under the hypothesis the statistic of Kolmogorov exceeds 1.95 with probability 0.001
    for draw in (0, 1, 6):
        found = np.array([units(index, 1, 10, first=draw)[0] for index in range(1500)])
        for word in range(10):
            values = np.sort(found[:, word])
            steps = np.arange(len(values) + 1) / len(values)
            distance = max((steps[1:] - values).max(), (values - steps[:-1]).max())
            assert distance * math.sqrt(len(values)) < 1.95, (draw, word)


def test_low_bits_are_random_too() -> None:
    found = [ViewStreams(7, index, 3, 0, 2).cursor(STEP).bits() for index in range(2000)]
    for bit in range(64):
        ones = sum(word >> bit & 1 for word in found)
        assert abs(ones - 1000) < 4 * math.sqrt(500), bit


@pytest.mark.parametrize("count", [16, 64])
def test_each_part_of_a_range_has_one_of_the_draws(count: int) -> None:
    found = units(5, count)
    for word in range(8):
        assert sorted((found[:, word] * count).astype(int)) == list(range(count))


def test_pairs_of_words_are_a_net() -> None:
    found = units(11, 64)
    for wide in range(7):  # every elementary box of area 1/64 in the first two coordinates has one point
        cells = (found[:, 0] * 2**wide).astype(int) * 2 ** (6 - wide) + (found[:, 1] * 2 ** (6 - wide)).astype(int)
        assert len(set(cells)) == 64, wide


def test_words_after_the_eighth_are_those_of_the_view() -> None:
    later = [ViewStreams(7, 1, view, 2, 3).cursor(STEP).ahead(12).tolist() for view in range(1, 9)]
    assert len({tuple(words[8:]) for words in later}) == 8
    assert len({word & 0xFFFFFFFF for words in later for word in words[:8]}) == 64
    # the words that scramble the sequence of a combination are no draws of a view with its number
    scrambling = address_of(7, 1, view=2, domain=VIEWS).cursor(STEP).ahead(12).tolist()
    assert not {word & 0xFFFFFFFF for word in scrambling} & {word & 0xFFFFFFFF for words in later for word in words}


def test_scrambling_keeps_intervals_and_is_one_to_one() -> None:
    fractions = [number << 26 for number in range(64)]
    assert len({owen_scrambled(fraction, 99) for fraction in fractions}) == 64
    for level in range(1, 7):  # numbers that agree in their first bits still do
        shift = 32 - level
        mapped = {(fraction >> shift, owen_scrambled(fraction, 99) >> shift) for fraction in fractions}
        assert len(mapped) == 2**level


def test_scrambling_is_more_than_a_shift() -> None:
    """Of a shifted sequence the bitwise sum of four draws would be zero; its means converge no faster than 1/n."""
    words = np.array([ViewStreams(7, 1, 0, 0, draw).cursor(STEP).ahead(8) for draw in range(4)])
    assert np.bitwise_xor.reduce(words >> np.uint64(32), axis=0).all()


def test_steps_images_and_combinations_are_independent() -> None:
    one = units(3, 64)[:, 1]
    for other in (units(3, 64, step=OTHER)[:, 1], units(4, 64)[:, 1], units(3, 64, node=1)[:, 1]):
        assert not np.allclose(np.sort(one), np.sort(other))
    products = [np.mean((units(i, 16)[:, 0] - 0.5) * (units(i, 16, step=OTHER)[:, 0] - 0.5)) for i in range(200)]
    # unbiased: zero within 4 standard errors, and spread as that of 16 pairs in random order
    assert abs(np.mean(products)) < 4 * np.std(products) / math.sqrt(200)
    assert 0.5 < np.std(products) / (1 / 12 / math.sqrt(16)) < 1.5


def test_a_cursor_reads_the_same_words_in_any_way() -> None:
    def cursor():
        return ViewStreams(7, 1, 4, 2, 3).cursor(STEP)

    one_by_one = cursor()
    wanted = [one_by_one.bits() for _ in range(30)]
    assert len(set(wanted)) == 30
    assert cursor().ahead(30).tolist() == wanted
    mixed = cursor()
    found = [mixed.bits(), mixed.bits()]
    assert mixed.ahead(3).tolist() == wanted[2:5]
    mixed.skip(3)
    found += [0, 0, 0, mixed.bits()]
    mixed.bernoulli(1.0)
    found += [0, mixed.bits()]
    mixed.skip(5)
    found += [0] * 5 + [mixed.bits()]
    assert [word for word in found if word] == [wanted[place] for place in (0, 1, 5, 7, 13)]
    reader = cursor()
    assert reader.randoms(12).tolist() == [(word >> 11) * 2.0**-53 for word in wanted[:12]]
    assert reader.bits() == wanted[12]
    reader.close()
    with pytest.raises(RuntimeError, match="cursor is closed"):
        reader.bits()


def smooth(points: np.ndarray) -> np.ndarray:
    """A smooth function on the cube with the integral 1."""
    u, v, w = points[:, 0], points[:, 1], points[:, 2]
    return np.exp(u) / (math.e - 1) * (1 + 0.8 * (v - 0.5)) * (0.5 * math.pi * np.sin(math.pi * w))


def root_mean_square_error(draws: object, count: int) -> float:
    return float(np.sqrt(np.mean([(smooth(draws(index, count)).mean() - 1.0) ** 2 for index in range(25)])))


def test_means_of_a_smooth_function_converge_faster_than_those_of_plain_draws() -> None:
    def plain(index: int, count: int) -> np.ndarray:
        return np.array([address_of(7, index, view=view).cursor(STEP).randoms(3) for view in range(count)])

    def low(index: int, count: int) -> np.ndarray:
        return units(index, count, 3)

    plainly = [root_mean_square_error(plain, count) for count in (16, 128)]
    evenly = [root_mean_square_error(low, count) for count in (16, 128)]
    assert plainly[0] > 2.5 * evenly[0] and plainly[1] > 8 * evenly[1]
    assert 2 < plainly[0] / plainly[1] < 4, "1/sqrt(n): about 2.8"
    assert evenly[0] / evenly[1] > 7, "about 1/n or better: at least 8 but for chance"


def test_the_mean_over_views_converges_faster_than_that_over_training_images() -> None:
    image = made("smooth", 3, 4, 1, dtype="float32") * np.float32(0.4) + np.float32(0.1)
    pipe = Pipeline([{"brightness": [0.5, 1.5]}, {"contrast": [0.7, 1.3]}])

    def value(changed: np.ndarray) -> float:
        return float(np.exp(3.0 * changed.astype(float)).mean())

    trained = [[value(pipe.train(image, index, view=k)) for k in range(32)] for index in range(60)]
    exact = np.mean(trained)
    plainly = np.sqrt(np.mean((np.mean(trained, axis=1) - exact) ** 2))
    errors = []
    for index in range(20):
        views = pipe.views(image, 33, index)
        drawn = [value(view.image) for view in views[1:]]
        errors.append(np.mean(drawn) - exact)
    own_error = np.std(trained) / math.sqrt(60 * 32)
    assert np.sqrt(np.mean(np.square(errors))) < plainly / 2 + own_error
    assert np.std(errors) < plainly / 3
