"""Words, cursors and streams of many images: those of NumPy's Philox, and of the cursor of one image."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from augreg.columns.cursors import Cursors, Streams, exactly
from augreg.columns.philox import Addresses, addresses_of, words
from augreg.columns.ragged import Ragged
from augreg.rng import Address, Cursor, address_of, stream_key


def random_addresses(count: int, seed: int = 0) -> Addresses:
    """Addresses whose parts are all different, and as large as they can be."""
    parts = np.random.default_rng(seed).integers(0, 2**64, (5, count), np.uint64)
    parts[4] >>= np.uint64(32)
    parts[:, 0] = 2**64 - 1, 2**64 - 1, 2**64 - 1, 2**64 - 1, 2**32 - 1
    return Addresses(parts)


def of_numpy(address: Address, step: int, first: int, count: int) -> list[int]:
    counter = [(address.view << 32) + first // 4, step, address.index, address.epoch]
    philox = np.random.Philox(
        counter=np.array(counter, np.uint64), key=np.array([address.seed, address.domain], np.uint64)
    )
    found: list[int] = philox.random_raw(first % 4 + count).tolist()[first % 4 :]
    return found


@pytest.mark.parametrize(("first", "count"), [(0, 1), (0, 4), (1, 4), (3, 2), (2, 13), (4 * 10**6 + 3, 9), (5, 0)])
def test_the_words_are_those_of_numpy(first: int, count: int) -> None:
    addresses, steps = random_addresses(60), [0, 2**64 - 1, stream_key("rotate#0")]
    found = words(addresses, steps, first, count)
    assert found.dtype == np.uint64
    assert found.shape == (3, count, 60)
    for place, step in enumerate(steps):
        for image in range(60):
            assert found[place, :, image].tolist() == of_numpy(addresses.at(image), step, first, count)


def test_words_of_no_image_and_of_no_step() -> None:
    assert words(random_addresses(4).taken(np.arange(0)), [1, 2], 0, 3).shape == (2, 3, 0)
    assert words(random_addresses(4), [], 0, 3).shape == (0, 3, 4)


def test_addresses() -> None:
    made = addresses_of(7, [3, "cat.jpg", 2**64 - 1], epoch=5, view=2, domain=4)
    assert [made.at(row) for row in range(3)] == [
        address_of(7, index, 5, 2, 4) for index in (3, "cat.jpg", 2**64 - 1)
    ]
    assert len(made.taken(np.array([2]))) == 1
    assert made.taken(np.array([2])).at(0).index == 2**64 - 1
    for wrong, error in ((-1, ValueError), (2**64, ValueError), (1.5, TypeError)):
        with pytest.raises(error, match="index"):
            addresses_of(7, [0, wrong])  # type: ignore[list-item]


Call = Callable[[Any], Any]
CALLS: dict[str, Call] = {
    "bits": lambda rng: rng.bits(),
    "random": lambda rng: rng.random(),
    "bernoulli": lambda rng: rng.bernoulli(0.3),
    "bernoulli of 0": lambda rng: rng.bernoulli(0.0),
    "bernoulli of 1": lambda rng: rng.bernoulli(1.0),
    "bernoulli of nan": lambda rng: rng.bernoulli(float("nan")),
    "uniform": lambda rng: rng.uniform(-0.1, 0.2),
    "integers": lambda rng: rng.integers(7),
    "many integers": lambda rng: rng.integers(2**53),
    "sign": lambda rng: rng.sign(),
    "normal": lambda rng: rng.normal(),
    "normal with mean and deviation": lambda rng: rng.normal(0.3, 1.7),
    "permutation of 0": lambda rng: rng.permutation(0),
    "permutation of 2": lambda rng: rng.permutation(2),
    "permutation of 5": lambda rng: rng.permutation(5),
    "permutation of 40": lambda rng: rng.permutation(40),
    "randoms": lambda rng: rng.randoms(3),
    "choice": lambda rng: rng.choice([0.0, 0.1, 0.0, 0.7, 1e-3, 0.0]),
    "choice of one": lambda rng: rng.choice([0.0, 2.0]),
    "choice of thirds": lambda rng: rng.choice([1 / 3, 1 / 3, 1 / 3]),
    "skip": lambda rng: rng.skip(2),
}


@pytest.mark.parametrize("number", [0, 1, 6])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_every_draw_is_that_of_the_cursor(call: Call, number: int) -> None:
    addresses = random_addresses(200)
    many = Cursors(addresses, 99, number)
    assert len(many) == 200
    for _ in range(3):  # and the draws after it begin at the same word
        found = call(many)
        later = many.bits()
        expected, expected_later = [], []
        for image in range(200):
            cursor = Cursor(addresses.at(image), 99, number)
            one = call(cursor)
            expected.append(one.tolist() if isinstance(one, np.ndarray) else one)
            expected_later.append(cursor.bits())
            number_after = cursor._next - len(cursor._words)
        assert (found if found is None else found.tolist()) == (None if found is None else expected)
        assert later.tolist() == expected_later
        number = number_after


def test_arrays_of_bounds() -> None:
    addresses = random_addresses(100)
    low, high, p = np.linspace(-5, 5, 100), np.linspace(6, 7, 100), np.linspace(-0.5, 1.5, 100)
    stops = np.arange(1, 101)
    many = Cursors(addresses, 1)
    found = [many.uniform(low, high), many.integers(stops), many.bernoulli(p), many.normal(low, high)]
    for image in range(100):
        one = Cursor(addresses.at(image), 1)
        assert found[0][image] == one.uniform(low[image].item(), high[image].item())
        assert found[1][image] == one.integers(stops[image].item())
        assert found[2][image] == one.bernoulli(p[image].item())
        assert found[3][image] == one.normal(low[image].item(), high[image].item())
    for stop in (0, np.array([*stops[1:], 0]), 2**53 + 1):
        with pytest.raises(ValueError, match=r"a stop from 1 to 2\^53"):
            many.integers(stop)


def test_a_threshold_of_the_whole_sum_takes_the_last_index_with_a_weight() -> None:
    """Ten times 0.1 add up to less than 1, one by one, and `math.fsum` gives 1."""
    largest = np.full((1, 1, 4), 2**64 - 1, np.uint64)
    weights = [0.1] * 10 + [0.0]
    many = Cursors(random_addresses(4), 1, read=lambda *_: np.repeat(largest, 4, 1))
    assert many.choice(weights).tolist() == [9] * 4

    class Last(Cursor):
        def bits(self) -> int:
            return 2**64 - 1

    assert Last(Address(0, 1, 0, 0, 0), 1).choice(weights) == 9


def given(word: int) -> Cursors:
    """Cursors of three images whose every word is this one."""
    return Cursors(random_addresses(3), 1, read=lambda *asked: np.full((1, asked[3], 3), word, np.uint64))


def test_equal_words() -> None:
    """The order of equal keys stays; a number that equals a bound is not below it."""
    keys = [number * 7 % 3 for number in range(300)]
    many = Cursors(random_addresses(1), 1, read=lambda *_: np.array([keys + [0] * 4], np.uint64)[:, :, None])
    assert many.permutation(300).tolist() == [sorted(range(300), key=keys.__getitem__)]
    assert given(1 << 63).choice([1.0, 1.0]).tolist() == [1] * 3
    assert given(0).choice([0.0, 1.0]).tolist() == [1] * 3
    assert given(1 << 63).bernoulli(0.5).tolist() == [False] * 3


def test_functions_are_those_of_math() -> None:
    """NumPy's own differ from them in the last bit for some numbers, and from one processor to another."""
    values = np.linspace(0.01, 6.2, 50_000)
    for function in (math.log, math.cos, math.exp):
        assert exactly(function, values).tolist() == [function(value) for value in values.tolist()]


def test_taken_goes_on_where_all_were_and_moves_nothing() -> None:
    addresses = random_addresses(50)
    many = Cursors(addresses, 5)
    many.skip(3)
    some = np.array([3, 8, 49])
    taken = many.taken(some)
    wanted = [of_numpy(addresses.at(image), 5, 3, 6) for image in some.tolist()]
    assert [taken.bits().tolist() for _ in range(6)] == [list(words) for words in zip(*wanted, strict=True)]
    assert many.bits()[some].tolist() == [row[0] for row in wanted]
    assert many.taken(some).bits().tolist() == [row[1] for row in wanted]


def test_images_use_up_their_words_at_their_own_pace() -> None:
    """More words are read where an image has used up those that were read at once."""
    addresses, rng = random_addresses(40), np.random.default_rng(3)
    many = Ragged(Cursors(addresses, 5, 1), 2)
    alone = [Cursor(addresses.at(image), 5, 1) for image in range(40)]
    calls: list[Callable[[Any, Any], Any]] = [
        lambda one, rows: one.bits(*rows),
        lambda one, rows: one.integers(7, *rows),
        lambda one, rows: one.normal(0.5, 2.0, *rows),
        lambda one, rows: one.sign(*rows),
    ]
    for number in range(60):
        rows, call = np.flatnonzero(rng.random(40) < 0.4), calls[number % 4]
        assert call(many, (rows,)).tolist() == [call(alone[row], ()) for row in rows.tolist()]


def test_streams_are_read_once() -> None:
    addresses, asked = random_addresses(6), []

    def read(addresses: Addresses, steps: Sequence[int], first: int, count: int) -> Any:
        asked.append((list(steps), first))
        return words(addresses, steps, first, count)

    streams = Streams(addresses, read)
    streams.prepare([4, 5, 4])
    rows = np.array([1, 5])
    assert streams.cursors(5, 1, rows).bits().tolist() == [of_numpy(addresses.at(row), 5, 1, 1)[0] for row in (1, 5)]
    assert streams.cursors(4).bits().tolist() == [of_numpy(addresses.at(row), 4, 0, 1)[0] for row in range(6)]
    assert asked == [([4, 5], 0)]
    streams.cursors(6).skip(1)
    cursors = streams.cursors(6, 5)
    assert cursors.bits().tolist() == [of_numpy(addresses.at(row), 6, 5, 1)[0] for row in range(6)]
    assert asked == [([4, 5], 0), ([6], 0), ([6], 4)]
