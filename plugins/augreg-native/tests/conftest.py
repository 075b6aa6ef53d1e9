"""What several test files need: each instruction set in turn, and images of many kinds."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
from augreg_native import _native, program
from numpy.typing import NDArray

from augreg.ops import Op

Array = NDArray[np.uint8]


@pytest.fixture(params=[name for name in ("plain", "avx2", "avx512") if _native.isa(name)])
def isa(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each instruction set that this processor has."""
    monkeypatch.setattr(program, "ISA", request.param)
    return str(request.param)


@pytest.fixture
def compiled() -> Callable[[list[Op], Array], Array]:
    """The image after ops, which must all be compiled ones."""

    def run(chosen: list[Op], image: Array) -> Array:
        count, found = program.run(chosen, 0, image)
        assert count == len(chosen), chosen[count]
        return found

    return run


@pytest.fixture
def image_of() -> Callable[..., Array]:
    """A function from a seed to an image: noise, few values, one color; whole, or a view of a part."""

    def make(seed: int, height: int, width: int, channels: int = 3) -> Array:
        numbers = random.Random(seed)
        image = np.random.default_rng(seed).integers(0, 256, (height + 2, width + 3, channels), dtype=np.uint8)
        kind = numbers.randrange(5)
        if kind == 0:
            image = np.where(image < 128, 0, 255).astype(np.uint8)
        elif kind == 1:
            image = (image // numbers.randint(2, 60) + numbers.randint(0, 90)).astype(np.uint8)
        elif kind == 2 and seed % 2:
            image[:] = image[0, 0]
        image = image[1:-1, 2:-1]
        return image if numbers.random() < 0.4 else np.ascontiguousarray(image[:: numbers.choice((1, -1))])

    return make
