"""Normalized images are made in the memory of their batch."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import torch

from augreg import Pipeline, ops
from augreg.data import Augmented, batches as batches_module
from augreg.images import buffers
from augreg.sides import Train

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


@pytest.mark.parametrize("form", ["image", "sample", "members"])
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
    steps: list[Any], in_place: bool, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    same = batches_module._is_same
    monkeypatch.setattr(batches_module, "_is_same", lambda *arrays: found.append(same(*arrays)) or found[-1])
    images = np.random.default_rng(3).integers(0, 256, (6, 20, 24, 3), np.uint8)
    pipe = Pipeline.from_spec({"image": steps, "backend": "pillow"})
    forms = {"image": lambda image: image, "sample": lambda image: {"image": image}}
    items = [forms.get(form, lambda image: (image[..., 0], image))(image) for image in images]
    fields = ("mask", "image") if form == "members" else None
    batch = Augmented(items, pipe.train, epoch=0, fields=fields).__getitems__(list(range(6)))
    for index, image in enumerate(images):
        assert np.array_equal(batch.images[index], pipe.train(image, index=index, epoch=0))
    assert found == [False] + [in_place] * 5


def test_memory_that_was_offered_is_used_once_and_is_gone_once_it_is_accepted() -> None:
    place = np.zeros(PLACE, np.float32)
    with buffers.offered(place):
        offer = buffers.accepted()
        assert offer is not None and not is_in(buffers.planar(*SIZE), place)
        with offer:
            pass
        with offer:
            assert is_in(buffers.planar(*SIZE), place)
        with offer:
            assert not is_in(buffers.planar(*SIZE), place)
    assert buffers.accepted() is None


def test_a_view_of_its_place_in_another_order_is_put_in_order() -> None:
    buffer = batches_module.BatchBuffer(2, False)
    pixels = np.arange(105, dtype=np.float32).reshape(PLACE)
    buffer.add(pixels)
    place = buffer.place
    assert place is not None
    place[:] = pixels
    assert np.array_equal(buffer.add(place[:, ::-1]), pixels[:, ::-1])


def test_no_place_is_left_after_an_image_that_does_not_fit() -> None:
    buffer = batches_module.BatchBuffer(3, False)
    assert buffer.place is None
    for shape, left in ((PLACE, True), ((3, 5, 6), False)):
        buffer.add(np.zeros(shape, np.float32))
        assert (buffer.place is not None) is left


def test_only_the_first_image_of_a_sample_is_made_in_the_batch() -> None:
    planes = torch.from_numpy(np.random.default_rng(3).random((6, 2, 3, 8, 9), np.float32))
    last = planes[:, 0].contiguous(memory_format=torch.channels_last)  # in memory, so that it needs no planes
    items = [{"image": last[index], "image2": planes[index, 1]} for index in range(6)]
    pipe = Pipeline.from_spec({"image": [{"pad": 2}], "backend": "pillow"})
    batch = Augmented(items, pipe.train, epoch=0).__getitems__(range(6))
    for index, sample in enumerate(batch):
        inner = (slice(None), slice(2, -2), slice(2, -2))
        assert np.array_equal(sample["image"][inner], planes[index, 0])
        assert np.array_equal(sample["image2"][inner], planes[index, 1])


INNER = Pipeline.from_spec({"image": ["normalize"], "backend": "pillow"})
KEPT: list[tuple[Any, Any]] = []


def runs_a_pipeline(image: Any) -> Any:
    kept = INNER.test(image[::-1])
    KEPT.append((kept, kept.copy()))
    return image


def keeps_its_image(image: Any) -> Any:
    KEPT.append((image, image.copy()))
    return image * 2


@pytest.mark.parametrize(
    ("first", "mixed", "function"),
    [(True, False, runs_a_pipeline), (True, True, runs_a_pipeline), (False, False, keeps_its_image)],
)
def test_what_a_function_keeps_stays_as_it_is(
    first: bool, mixed: bool, function: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    KEPT.clear()
    call: Any = ops.call(function, {}, size=(20, 24), geometry=False)
    call = ops.BranchMix(((call,),), (1.0,)) if mixed else call
    start = Train._start

    def with_call(self: Train, *arguments: Any) -> Any:
        (normalize,), drawn = start(self, *arguments)
        return (call, normalize) if first else (normalize, call), drawn

    images = np.random.default_rng(3).integers(0, 256, (4, 20, 24, 3), np.uint8)
    data = Augmented(list(images), Pipeline.from_spec({"image": ["normalize"], "backend": "pillow"}).train, epoch=0)
    monkeypatch.setattr(Train, "_start", with_call)
    data.__getitems__(range(4))
    assert len(KEPT) == 4 and all(np.array_equal(kept, before) for kept, before in KEPT)


def test_an_image_of_another_kind_is_not_made_in_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    start = Train._start

    def for_bytes(self: Train, scene: Any, *arguments: Any) -> Any:
        chosen, drawn = start(self, scene, *arguments)
        return chosen if scene.dtype == "uint8" else (), drawn

    monkeypatch.setattr(Train, "_start", for_bytes)
    images = np.random.default_rng(3).integers(0, 256, (4, 20, 24, 3), np.uint8)
    items = [{"image": image[::-1] / np.float32(255), "image2": image} for image in images]
    pipe = Pipeline.from_spec({"image": ["normalize"], "backend": "pillow"})
    batch = Augmented(items, pipe.train, epoch=0).__getitems__(range(4))
    for sample, image in zip(batch, images, strict=True):
        assert np.array_equal(sample["image2"], INNER.test(image))
