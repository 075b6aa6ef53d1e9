"""The compiled cursor: the words of NumPy's Philox, and the numbers and errors of the cursor of the core."""

from __future__ import annotations

import inspect
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from augreg_native._cursor import Cursor
from hypothesis import given, settings, strategies as st

from augreg import rng
from augreg.backends import backend
from augreg.rng import Address

WORDS = st.integers(0, 2**64 - 1)
ADDRESSES = st.builds(Address, WORDS, st.integers(1, 4), WORDS, WORDS, st.integers(0, 2**32 - 1))
NUMBERS = st.one_of(
    st.floats(), st.integers(), st.sampled_from([np.float32(0.3), np.float64(0.7), np.int64(3), Fraction(1, 3), True])
)
COUNTS = st.one_of(st.integers(0, 70), st.integers(), st.sampled_from([np.int64(5), True]))
FEW = settings(max_examples=150, deadline=None)


def calls(method: str, *arguments: st.SearchStrategy[Any], named: tuple[str, ...] = ()) -> st.SearchStrategy[Any]:
    """A call with arguments by position, or of the last one by name."""
    by_position = st.tuples(st.just(method), st.tuples(*arguments), st.just({}))
    if not named:
        return by_position
    by_name = st.tuples(
        st.just(method), st.tuples(*arguments[:-1]), st.fixed_dictionaries({named[-1]: arguments[-1]})
    )
    return by_position | by_name


CALLS = st.one_of(
    *(calls(name) for name in ("bits", "random", "sign", "normal")),
    calls("bernoulli", NUMBERS, named=("p",)),
    calls("bernoulli", st.floats(-0.5, 1.5)),
    calls("uniform", NUMBERS, NUMBERS, named=("low", "high")),
    calls("uniform", st.floats(-9, 9), st.floats(-9, 9)),
    calls("integers", COUNTS, named=("stop",)),
    calls("integers", st.integers(2**52, 2**55)),
    calls("normal", NUMBERS),
    calls("normal", NUMBERS, NUMBERS, named=("mean", "std")),
    calls("permutation", st.integers(-2, 40) | st.just(True), named=("count",)),
    calls("randoms", st.integers(0, 30)),
    calls("ahead", st.integers(0, 30)),
    calls("skip", st.integers(0, 30)),
    calls("choice", st.lists(st.floats(0.1, 5.0), min_size=1, max_size=5)),
    calls("uniform", st.just("low"), st.just(1.0)),
    calls("integers", st.just(2.5)),
    calls("sign", st.just(1)),
    calls("bernoulli"),
)


def outcome(cursor: rng.Cursor, name: str, arguments: tuple[Any, ...], by_name: dict[str, Any]) -> Any:
    """What a call returns, with its type, or the error that it raises."""
    try:
        with np.errstate(all="ignore"):
            found = getattr(cursor, name)(*arguments, **by_name)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        # the compiled methods without arguments have other words for too many of them
        return type(error) if name == "sign" else (type(error), str(error))
    return type(found), found.dtype if isinstance(found, np.ndarray) else None, repr(np.asarray(found).tolist())


@given(ADDRESSES, WORDS, st.integers(0, 2**33), st.integers(1, 40))
@FEW
def test_the_words_are_those_of_numpy(address: Address, step: int, number: int, count: int) -> None:
    counter = np.array([(address.view << 32) + number // 4, step, address.index, address.epoch], np.uint64)
    philox = np.random.Philox(counter=counter, key=np.array([address.seed, address.domain], np.uint64))
    expected = philox.random_raw(number % 4 + count).tolist()[number % 4 :]
    assert Cursor(address, step, number).ahead(count).tolist() == expected
    cursor = Cursor(address, step=step, number=number)
    assert [cursor.bits() for _ in range(count)] == expected


@given(ADDRESSES, WORDS, st.integers(0, 9), st.lists(CALLS, max_size=12))
@FEW
def test_it_answers_as_the_cursor_of_the_core(address: Address, step: int, number: int, made: list[Any]) -> None:
    compiled, plain = Cursor(address, step, number), rng.Cursor(address, step, number)
    for call in made:
        found, expected = outcome(compiled, *call), outcome(plain, *call)
        assert found == expected, call
    assert compiled.bits() == plain.bits()


def test_every_draw_of_a_closed_cursor_is_refused() -> None:
    draws: dict[str, tuple[Any, ...]] = {
        "bits": (), "random": (), "sign": (), "normal": (), "bernoulli": (0.5,), "uniform": (0.0, 1.0),
        "integers": (5,), "permutation": (3,), "randoms": (3,), "ahead": (3,), "skip": (3,), "choice": ([1.0],),
    }  # fmt: skip
    methods = {name for name, value in vars(rng.Cursor).items() if inspect.isfunction(value) and name[0] != "_"}
    assert set(draws) == methods - {"close"}
    for cls in (Cursor, rng.Cursor):
        for name, arguments in draws.items():
            cursor = cls(Address(1, 2, 3, 4, 5), 6)
            cursor.bits()
            cursor.close()
            cursor.close()
            with pytest.raises(RuntimeError, match="draw inside sample"):
                getattr(cursor, name)(*arguments)


def test_it_is_a_cursor_for_whoever_asks() -> None:
    assert issubclass(Cursor, rng.Cursor)

    class Recording(Cursor):
        seen = 0

    address = Address(1, 2, 3, 4, 5)
    recording = Recording(address, 6)
    recording.seen = 1
    assert recording.permutation(50) == rng.Cursor(address, 6).permutation(50)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((), TypeError),
        ((Address(0, 1, 0, 0, 0),), TypeError),
        ((Address(0, 1, 0, 0, 0), "step"), TypeError),
        ((Address(0, 1, 0, 0, 0), 2**64), OverflowError),
        ((Address(0, 1, 0, 0, 0), 0, -1), OverflowError),
        ((Address(2**64, 1, 0, 0, 0), 0), OverflowError),
        (((0, 1, 0, 0, 0), 0), AttributeError),
    ],
)
def test_a_stream_that_cannot_be(arguments: tuple[Any, ...], error: type[Exception]) -> None:
    with pytest.raises(error):
        Cursor(*arguments)
    unmade = Cursor.__new__(Cursor)
    with pytest.raises(RuntimeError, match="closed"):
        unmade.bits()


def test_words_that_cannot_be_counted() -> None:
    cursor = Cursor(Address(1, 2, 3, 4, 5), 6)
    for count in (-1, 2**62, 2**80):
        with pytest.raises((ValueError, MemoryError, OverflowError)):
            cursor.ahead(count)


def test_the_backend_draws_with_it() -> None:
    assert backend("native").cursor is Cursor
