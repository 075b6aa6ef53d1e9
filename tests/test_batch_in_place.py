"""Normalized images are made in the memory of their batch."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from augreg import Pipeline
from augreg.data import Augmented, batches as batches_module
from augreg.images import buffers

SIZE = (5, 7, 3)
PLACE = (3, 5, 7)


def is_in(image: Any, place: Any) -> bool:
    return np.shares_memory(image, place)


def test_the_first_planar_image_of_the_shape_is_made_in_the_offered_memory() -> None:
    place = np.zeros(PLACE, np.float32)
    with buffers.offered(place):
        assert not is_in(buffers.planar(5, 6, 3), place)
    with buffers.offered(place):
        first, second = buffers.planar(*SIZE), buffers.planar(*SIZE)
    assert is_in(first, place) and first.shape == SIZE and not is_in(second, place)
    with buffers.offered(place):
        pass
    assert not is_in(buffers.planar(*SIZE), place)
    with buffers.offered(np.zeros(PLACE, np.float64)):
        assert buffers.planar(*SIZE).dtype == np.float32


def test_an_offer_is_for_its_thread_and_ends_with_an_error() -> None:
    place, others = np.zeros(PLACE, np.float32), []
    with buffers.offered(place):
        thread = threading.Thread(target=lambda: others.append(buffers.planar(*SIZE)))
        thread.start()
        thread.join()
        assert not is_in(others[0], place) and is_in(buffers.planar(*SIZE), place)
    with pytest.raises(KeyError), buffers.offered(place):
        raise KeyError
    assert not is_in(buffers.planar(*SIZE), place)


@pytest.mark.parametrize(
    ("steps", "in_place"),
    [
        (["normalize"], True),
        (["invert", "normalize"], True),
        (["normalize", {"random_erasing": {"p": 1.0}}], False),  # the hole is painted into a copy
        (["invert"], False),
    ],
)
def test_images_of_a_batch_equal_single_images_and_are_made_in_place(
    steps: list[Any], in_place: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    same = batches_module._is_same
    monkeypatch.setattr(batches_module, "_is_same", lambda *arrays: found.append(same(*arrays)) or found[-1])
    images = np.random.default_rng(3).integers(0, 256, (6, 20, 24, 3), np.uint8)
    pipe = Pipeline.from_spec({"image": steps, "backend": "pillow"})
    batch = Augmented(list(images), pipe.train, epoch=0).__getitems__(list(range(6)))
    for index, image in enumerate(images):
        assert np.array_equal(batch.images[index], pipe.train(image, index=index, epoch=0))
    assert found == [False] + [in_place] * 5
