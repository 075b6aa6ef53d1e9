"""Shared memory of workers: used again after a batch was dropped, and never while anything still reads it."""

from __future__ import annotations

import copy
import multiprocessing
import os
import signal
from collections.abc import Iterator
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch.multiprocessing import reductions  # noqa: E402
from torch.utils.data import DataLoader, Dataset  # noqa: E402

from augreg.data import worker_memory  # noqa: E402
from augreg.data.batches import BatchBuffer  # noqa: E402
from augreg.data.worker_memory import MOST_BLOCKS, shared_tensor  # noqa: E402

SIDE = 40


@pytest.fixture(autouse=True)
def no_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test begins like a new worker."""
    monkeypatch.setattr(worker_memory, "_blocks", [])


def address(tensor: Any) -> int:
    return int(tensor.untyped_storage().data_ptr())


def sent(tensor: Any) -> bytes:
    return bytes(ForkingPickler.dumps(tensor))


def elsewhere(message: bytes) -> Any:
    """Unpickle as another process does: torch maps the memory again, as it does not find it in its cache."""
    reductions.shared_cache.clear()
    return ForkingPickler.loads(message)


class Numbers(Dataset):  # type: ignore[misc]
    """Batches of equal images of the index, and where they lie in the worker."""

    def __len__(self) -> int:
        return 240

    def __getitems__(self, indices: list[int]) -> Any:
        buffer = BatchBuffer(len(indices), shared=True)
        for index in indices:
            buffer.add(np.full((SIDE, SIDE), index, np.int32))
        return buffer.images, address(buffer.images), os.getpid()


def loader(**options: Any) -> Any:
    return DataLoader(Numbers(), 4, collate_fn=_same, **{"num_workers": 2, **options})


def _same(batch: Any) -> Any:
    return batch


def is_right(number: int, images: Any) -> bool:
    return all(bool((images[place] == 4 * number + place).all()) for place in range(4))


@pytest.mark.parametrize("context", ["fork", pytest.param("spawn", marks=pytest.mark.soak)])
def test_a_worker_uses_a_few_blocks_for_many_batches(context: str) -> None:
    places = set()
    for number, (images, place, process) in enumerate(loader(multiprocessing_context=context)):
        assert is_right(number, images)
        places.add((process, place))
        del images
    assert len(places) <= 2 * MOST_BLOCKS < 60


def test_batches_and_views_that_are_held_keep_their_pixels() -> None:
    batches, views, arrays = [], [], []
    for number, (images, _, _) in enumerate(loader()):
        if number % 3 == 0:
            batches.append((number, images))
        elif number % 3 == 1:
            views.append((number, images[2:, 5:]))
        else:
            arrays.append((number, images.numpy()[1]))
        del images
    assert all(is_right(number, images) for number, images in batches)
    assert all((view[0] == 4 * number + 2).all() for number, view in views)
    assert all((array == 4 * number + 1).all() for number, array in arrays)


def test_after_an_early_break_workers_that_stay_go_on_with_their_blocks() -> None:
    batches = loader(persistent_workers=True)
    places = set()
    for _ in range(8):
        for number, (images, place, process) in enumerate(batches):
            assert is_right(number, images)
            places.add((process, place))
            if number == 3:
                break
    assert len(places) <= 2 * MOST_BLOCKS < 32


def test_a_batch_outlives_the_worker_that_was_killed() -> None:
    context = multiprocessing.get_context("fork")
    numbers: Any = context.Queue()
    worker = context.Process(target=_send_and_wait, args=(numbers,))
    worker.start()
    images = numbers.get(timeout=60)
    worker.kill()
    worker.join()
    assert bool((images == 7).all())


def _send_and_wait(numbers: Any) -> None:
    numbers.put(shared_tensor((30, 30), torch.float32).fill_(7))
    signal.pause()


def test_a_block_is_free_once_the_worker_and_the_receiver_have_dropped_it() -> None:
    images = shared_tensor((10, 10), torch.float32)
    first = address(images)
    assert address(shared_tensor((10, 10), torch.float32)) != first  # the worker holds it
    message = sent(images)
    del images
    assert address(shared_tensor((10, 10), torch.float32)) != first  # it is on its way
    received = ForkingPickler.loads(message)
    view = received[3:, 4]
    del received
    assert address(shared_tensor((10, 10), torch.float32)) != first  # a view is held
    del view
    assert address(shared_tensor((10, 10), torch.float32)) == first


def test_an_array_of_a_batch_keeps_its_pixels_when_the_batch_is_sent_on() -> None:
    images = shared_tensor((10, 10), torch.float32).fill_(7)
    first, message = address(images), sent(images)
    del images
    received = elsewhere(message)
    array = received.numpy()[2:]
    received.share_memory_()  # as sending it does: torch moves it to other memory
    del received
    assert address(shared_tensor((10, 10), torch.float32)) != first
    assert (array == 7).all()
    del array
    assert address(shared_tensor((10, 10), torch.float32)) == first


@pytest.fixture
def by_file_name() -> Iterator[None]:
    """The strategy whose messages can be unpickled several times."""
    before = torch.multiprocessing.get_sharing_strategy()
    torch.multiprocessing.set_sharing_strategy("file_system")
    yield
    torch.multiprocessing.set_sharing_strategy(before)


def test_a_message_that_is_unpickled_twice_keeps_its_pixels(by_file_name: None) -> None:
    images = shared_tensor((10, 10), torch.float32).fill_(7)
    first, messages = address(images), [sent(images), sent(images)]
    del images
    received = elsewhere(messages[0])
    del received
    received = elsewhere(messages[0])
    for _ in range(2):  # the second message is on its way, then the first is still held
        assert address(shared_tensor((10, 10), torch.float32)) != first
        elsewhere(messages[1])
    assert bool((received == 7).all())
    assert len(worker_memory._blocks) == 2  # the other one is used, and used again


def test_an_old_message_of_a_block_that_was_used_again_is_refused(by_file_name: None) -> None:
    images = shared_tensor((10, 10), torch.float32)
    first, message = address(images), sent(images)
    del images
    elsewhere(message)
    assert address(shared_tensor((10, 10), torch.float32)) == first
    with pytest.raises(RuntimeError, match="unpickled before"):
        elsewhere(message)
    assert address(shared_tensor((10, 10), torch.float32)) != first


def test_a_message_that_is_unpickled_again_while_its_block_is_taken_keeps_its_pixels(
    by_file_name: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = shared_tensor((10, 10), torch.float32).fill_(7)
    first, message = address(images), sent(images)
    del images
    elsewhere(message)
    received, is_free = [], worker_memory._is_free

    def unpickled_after(block: Any) -> bool:
        free = is_free(block)
        received.append(elsewhere(message))
        return free

    monkeypatch.setattr(worker_memory, "_is_free", unpickled_after)
    assert address(shared_tensor((10, 10), torch.float32).fill_(0)) != first
    assert bool((received[0] == 7).all())


def test_a_worker_may_copy_its_batch() -> None:
    images = shared_tensor((10, 10), torch.float32).fill_(7)
    copied = copy.deepcopy(images[2:])
    images.fill_(0)
    assert copied.shape == (8, 10) and bool((copied == 7).all())
    assert bool((ForkingPickler.loads(sent(copied)) == 7).all())


def test_a_view_that_is_sent_keeps_the_block() -> None:
    images = shared_tensor((10, 10), torch.float32)
    first, message = address(images), sent(images[2:4])
    del images
    assert address(shared_tensor((10, 10), torch.float32)) != first
    assert ForkingPickler.loads(message).shape == (2, 10)  # and is dropped
    assert address(shared_tensor((10, 10), torch.float32)) == first


@pytest.mark.parametrize("forked_drops", [True, False])
def test_a_batch_held_by_a_receiver_that_was_forked_is_never_written_again(forked_drops: bool) -> None:
    images = shared_tensor((10, 10), torch.float32)
    first, message = address(images), sent(images)
    del images
    received = ForkingPickler.loads(message)
    blocks = list(worker_memory._blocks)
    child = os.fork()
    if not child:
        if forked_drops:
            del received
            os._exit(0)
        signal.pause()
    try:
        worker_memory._blocks.extend(blocks)  # as in the worker, which was not forked
        if forked_drops:
            os.waitpid(child, 0)
        else:
            del received
        assert address(shared_tensor((10, 10), torch.float32)) != first
    finally:
        if not forked_drops:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def test_a_worker_that_is_forked_shares_no_block_with_its_copy() -> None:
    shared_tensor((10, 10), torch.float32)
    child = os.fork()
    if not child:
        os._exit(len(worker_memory._blocks))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert worker_memory._blocks == []


def test_blocks_that_were_lost_give_way_to_fresh_ones() -> None:
    for _ in range(MOST_BLOCKS):
        sent(shared_tensor((10, 10), torch.float32))  # and never received
    fresh = address(shared_tensor((10, 10), torch.float32))
    assert address(shared_tensor((10, 10), torch.float32)) == fresh
    assert len(worker_memory._blocks) == MOST_BLOCKS


def test_a_block_is_taken_for_batches_from_a_fourth_of_it() -> None:
    first = address(shared_tensor((64, 8), torch.uint8))
    assert address(shared_tensor((16, 8), torch.uint8)) == first
    assert address(shared_tensor((4, 8), torch.float32)) == first
    small = shared_tensor((15, 8), torch.uint8)
    assert address(small) != first
    assert address(shared_tensor((65, 8), torch.uint8)) not in (first, address(small))


def test_the_smallest_block_that_fits_is_taken() -> None:
    held = [shared_tensor((size, 8), torch.uint8) for size in (60, 40, 50)]
    middle = address(held[2])
    del held
    assert address(shared_tensor((45, 8), torch.uint8)) == middle


def test_no_more_blocks_are_kept_than_stated_and_old_ones_give_way() -> None:
    held = [shared_tensor((8, 8), torch.uint8) for _ in range(MOST_BLOCKS + 3)]
    assert len({address(each) for each in held}) == MOST_BLOCKS + 3
    kept = {address(each) for each in held[-MOST_BLOCKS:]}
    del held
    assert len(worker_memory._blocks) == MOST_BLOCKS
    assert address(shared_tensor((8, 8), torch.uint8)) in kept
    large = shared_tensor((800, 800), torch.uint8)  # none of them fits
    assert len(worker_memory._blocks) == MOST_BLOCKS
    assert address(large) in [address_of(block) for block in worker_memory._blocks]


def address_of(block: Any) -> int:
    return int(block.data_ptr())


def test_tensors_of_every_size_and_dtype_are_aligned_and_whole() -> None:
    for size in (1, 3, 7, 8, 9):
        for dtype in (torch.uint8, torch.float32, torch.int64):
            tensor = shared_tensor((size, 3), dtype)
            tensor[:] = 7
            received = ForkingPickler.loads(sent(tensor))
            assert received.dtype == dtype and received.shape == (size, 3) and bool((received == 7).all())
