"""The long run: random specs, broken specs and damaged files by the thousand, and none of them a surprise.

A result or an error that augreg means is no surprise; any other exception is one, a warning too. `make soak` runs
every part; the suite runs the first of each. A failure names its part: `pytest tests/test_soak.py -m "" -k "[7]"`.
"""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import hypothesis
import numpy as np
import PIL
import pytest
from broken import broken
from damaged import damaged, whole
from hypothesis import given, settings, strategies as st
from PIL import Image
from strategies import images, specs
from test_properties import BACKENDS, few

from augreg import ImageError, Pipeline, SpecError
from augreg.images import jpeg
from augreg.images.codecs import to_array

COMMON = (3, 3, 3, 1, 1, 4, 2, 5, 12)  # channels, RGB most often


def parts(count: int) -> pytest.MarkDecorator:
    """So many parts, all but the first for the long run only."""
    later = [pytest.param(part, marks=pytest.mark.soak) for part in range(1, count)]
    return pytest.mark.parametrize("part", [0, *later])


def outcome(do: Any, *given: Any) -> str:
    """`ran`, or `refused` with a reason that somebody wrote: an op that fails by accident is a surprise."""
    try:
        result = do(*given)
    except ImageError as error:
        assert "failed on" not in str(error), error
        return "refused"
    assert np.isfinite(result).all()
    return "ran"


@parts(100)
def test_random_specs(part: int) -> None:
    """100 specs a part, on every backend, by images with any number of channels."""
    seen: Counter[str] = Counter()

    @hypothesis.seed(1000 + part)
    @settings(few, max_examples=100, derandomize=False, database=None)
    @given(spec=specs(), image=images(channels=COMMON, most=24), index=st.integers(0, 2**64 - 1))
    def check(spec: dict[str, Any], image: np.ndarray, index: int) -> None:
        before = image.copy()
        for backend in BACKENDS:
            pipe = Pipeline.from_spec(spec | {"backend": backend})
            assert Pipeline.from_spec(pipe.to_spec()) == pipe
            seen[outcome(pipe.train, image, index)] += 1
            seen[outcome(pipe.test, image)] += 1
        assert np.array_equal(image, before)

    check()
    assert seen["ran"] > seen["refused"]


@parts(10)
def test_broken_specs(part: int) -> None:
    """100 specs a part, none of which is taken; test_properties.py looks at where each is said to be broken."""
    for number in range(1000 + 100 * part, 1100 + 100 * part):
        with pytest.raises(SpecError) as caught:
            Pipeline.from_spec(broken(number).spec)
        assert str(caught.value), number


@parts(10)
def test_damaged_files(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """100 files a part: each a whole image, the same by all decoders, or refused by its name."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1 << 20)  # a damaged header may promise anything
    pipe = Pipeline.from_spec([{"rotate": 10}, {"resize": {"size": [8, 9]}}, "normalize"])
    seen: Counter[str] = Counter()
    for number in range(100 * part, 100 * part + 100):
        _, data = damaged(number)
        found = {}
        for decoder in itertools.product({jpeg._whole, None}, {jpeg._parts, None}):
            with monkeypatch.context() as patch:
                patch.setattr(jpeg, "_whole", decoder[0])
                patch.setattr(jpeg, "_parts", decoder[1])
                try:
                    array = to_array(data).array
                except ImageError as error:
                    assert str(error).startswith(f"image of {len(data)} bytes"), number
                    found[decoder] = "refused"
                else:
                    assert array.dtype == np.uint8 and array.ndim == 3 and array.shape[2] == 3, number
                    found[decoder] = array.tobytes()
        assert len(set(found.values())) == 1, number
        seen[outcome(pipe.train, data, number)] += 1
    assert seen["ran"] and seen["refused"]


def test_the_files_are_whole_before_they_are_damaged() -> None:
    for name, data in whole().items():
        if name == "png 16 bits" or (name == "mpo" and PIL.__version__ == "11.0.0"):  # which writes a broken one
            continue
        assert set(to_array(data).array.shape[:2]) == {29, 37}, name
