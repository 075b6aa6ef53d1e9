"""The words of many streams: those of the core, which are those of NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from augreg_native._cursor import read_words
from augreg_native.streams import words
from hypothesis import given, settings, strategies as st

import augreg
from augreg import ops
from augreg.backends import backend
from augreg.columns import philox
from augreg.columns.philox import Addresses, addresses_of
from augreg.columns.records import Scenes, by_image
from augreg.execution.sampling import draw
from augreg.execution.sampling_columns import draw_columns
from augreg.ops import Scene

WORDS = st.integers(0, 2**64 - 1)
PARTS = st.tuples(WORDS, st.integers(1, 4), WORDS, WORDS, st.integers(0, 2**32 - 1))


@given(st.lists(PARTS, max_size=9), st.lists(WORDS, max_size=3), st.integers(0, 2**33), st.integers(0, 21))
@settings(max_examples=150, deadline=None)
def test_the_words_are_those_of_the_core_and_of_numpy(
    parts: list[tuple[int, ...]], steps: list[int], first: int, count: int
) -> None:
    addresses = Addresses(np.array(parts, np.uint64).reshape(-1, 5).T)
    found = words(addresses, steps, first, count)
    expected = philox.words(addresses, steps, first, count)
    assert (found.shape, found.tolist()) == (expected.shape, expected.tolist())
    for step, of_step in zip(steps, found, strict=True):
        for (seed, domain, epoch, index, view), column in zip(parts, of_step.T, strict=True):
            counter = np.array([(view << 32) + first // 4, step, index, epoch], np.uint64)
            numpy = np.random.Philox(counter=counter, key=np.array([seed, domain], np.uint64))
            assert column.tolist() == numpy.random_raw(first % 4 + count).tolist()[first % 4 :]


def test_arrays_that_do_not_fit_are_refused_and_none_is_written() -> None:
    parts, steps, out = np.zeros((5, 3), np.uint64), np.zeros(2, np.uint64), np.full((2, 4, 3), 7, np.uint64)
    for given_parts, given_steps, given_out, count in (
        (parts[:4], steps, out, 4),
        (parts[:, :2].copy(), steps, out, 4),
        (parts, steps[:1], out, 4),
        (parts, steps, out[:, :3].copy(), 4),
        (parts, steps, out, 5),
        (parts, steps, out, 2**64 - 1),
        (parts.view(np.uint8).ravel()[:-1], steps, out, 4),
    ):
        with pytest.raises(ValueError, match="the arrays do not fit"):
            read_words(given_parts, given_steps, given_out, 0, count)
    frozen = out.copy()
    frozen.flags.writeable = False
    for wrong in (parts[:, ::2], None):
        with pytest.raises((ValueError, BufferError, TypeError)):
            read_words(wrong, steps, out, 0, 4)  # type: ignore[arg-type]
    with pytest.raises((ValueError, BufferError)):
        read_words(parts, steps, frozen, 0, 4)
    for first, count in ((-1, 4), (0, -1), (2**64, 4)):
        with pytest.raises(OverflowError):
            read_words(parts, steps, out, first, count)
    with pytest.raises(TypeError, match="expected parts, steps, out, first and count"):
        read_words(parts, steps, out, 0)  # type: ignore[call-arg]
    assert (out == 7).all()
    assert (frozen == 7).all()


def test_the_backend_reads_with_it() -> None:
    assert backend("native").words is words


@augreg.transform("turn", kind="geometry")
class Turn:
    """Rotate; as it has no `sample_columns`, it is sampled image by image, with the cursors."""

    def sample(self, rng: Any, scene: Scene) -> Any:
        return ops.rotate(scene, rng.uniform(-30.0, 30.0))


def test_draws_with_its_words_and_cursors_are_those_of_the_core() -> None:
    jitter = {"color_jitter": {"brightness": 0.4, "hue": 0.1}}
    spec = [{"random_resized_crop": 24}, jitter, Turn(), "rand_augment"]
    steps, native = augreg.Pipeline(spec, seed=2).steps, backend("native")
    assert native.words is not None
    assert native.cursor is not None
    opened = []

    def open_cursor(*stream: Any) -> Any:
        opened.append(stream)
        return native.cursor(*stream)  # type: ignore[misc]

    addresses, scenes = addresses_of(2, range(60)), Scenes(np.full(60, 40), np.full(60, 50), Scene(0, 0))
    drawn = draw_columns(steps, scenes, addresses, native.words, open_cursor)
    expected = [draw(steps, scenes.at(row), addresses.at(row)).ops for row in range(60)]
    assert repr(by_image(drawn.columns, 60)) == repr(expected)
    assert len(opened) == 60
