"""The promise: a sample's image depends on (seed, epoch, id) alone, and a mixed batch on those of its samples.

Real data, real worker processes, real kills. Every hash is compared with what `pipe.train` and `pipe.batch` give
when called by hand.
"""

from __future__ import annotations

import functools
import importlib.util
import itertools
import json
import multiprocessing
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchdata")
if importlib.util.find_spec("sklearn") is None:  # for the digits that it ships; to import it takes a second
    pytest.skip("needs the digits of scikit-learn", allow_module_level=True)

import loading  # noqa: E402
from loading import Seen, Way, digest, loaded  # noqa: E402
from torch.utils.data import DataLoader  # noqa: E402

from augreg import Pipeline  # noqa: E402
from augreg.data import Augmented  # noqa: E402

EPOCHS = range(3)
SETTINGS = {
    "workers": (0, 1, 2, 4),
    "start": ("fork", "forkserver", "spawn"),
    "batch": (1, 7, 32),
    "persistent": (False, True),
    "ranks": (1, 2),
    "resumed": (False, True),
}
# Every two of these go together in one of the ways below, but for those left to the long run: each worker that is
# spawned imports torch, so these ways start few.
LEFT = {("workers", "start", (2, "spawn")), ("workers", "start", (4, "spawn")), ("start", "ranks", ("spawn", 2))}
COVERING = [
    Way(0, "fork", 7, False, 1, True),
    Way(0, "fork", 1, False, 2, False),
    Way(0, "fork", 32, False, 1, True),
    Way(1, "fork", 32, True, 1, False),
    Way(1, "forkserver", 1, False, 1, True),
    Way(1, "spawn", 7, True, 1, False),
    Way(1, "spawn", 32, False, 1, True),
    Way(1, "spawn", 1, False, 1, False),
    Way(1, "fork", 7, True, 2, False),
    Way(2, "fork", 7, True, 1, True),
    Way(2, "fork", 1, False, 1, False),
    Way(2, "forkserver", 32, True, 2, False),
    Way(4, "fork", 1, True, 2, True),
    Way(4, "forkserver", 7, True, 1, False),
    Way(4, "fork", 32, False, 1, False),
]
pytestmark = [
    # torchdata 0.11 calls what torch 2.13 wants nobody to call
    pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker processes:UserWarning"),
    # from Python 3.12 on; it is what the DataLoader does on Linux by default
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning"),
]


def sensible(way: Way) -> bool:
    """Without workers nothing is started and nothing persists."""
    return way.workers > 0 or (way.start == "fork" and not way.persistent)


EVERY_WAY = [way for way in map(Way._make, itertools.product(*SETTINGS.values())) if sensible(way)]


@pytest.fixture(autouse=True, scope="module")
def one_thread_and_a_quick_forkserver() -> Iterable[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    # all that a worker imports; torch alone takes a second
    multiprocessing.set_forkserver_preload(["augreg.batch.collate", "torchdata.stateful_dataloader", "cv2"])
    yield
    torch.set_num_threads(threads)


@functools.cache
def digits_data() -> loading.Digits:
    return loading.Digits()


class Alone:
    """What a pipeline gives for samples and batches, asked by hand and one by one."""

    def __init__(self, pipe: Pipeline) -> None:
        self.pipe = pipe
        self.digits_data: dict[tuple[int, int], np.ndarray] = {}

    def image(self, key: tuple[int, int]) -> np.ndarray:
        if key not in self.digits_data:
            epoch, index = key
            self.digits_data[key] = self.pipe.train(digits_data()[index][0], index=index, epoch=epoch)
        return self.digits_data[key]

    def mixed(self, keys: tuple[tuple[int, int], ...]) -> str:
        images = np.stack([self.image(key) for key in keys])
        labels = np.array([digits_data()[index][1] for _, index in keys])
        return loading.of_batch(*self.pipe.batch(images, labels, keys=[index for _, index in keys], epoch=keys[0][0]))


@functools.cache
def honest() -> Alone:
    return Alone(Pipeline.from_spec(loading.SPEC))


def check(alone: Alone, way: Way) -> None:
    """Load everything in this way, and compare every sample and every batch with the same done alone."""
    epochs = EPOCHS
    if way.start != "fork" and not way.persistent:  # each epoch starts new workers, which takes time
        epochs = range(2, 3) if way.start == "spawn" else range(1, 3)
    batches: list[Seen] = list(loaded(alone.pipe, way, epochs))
    for batch in batches:
        assert batch.samples == tuple(digest(alone.image(key)) for key in batch.keys)
        assert batch.mixed == alone.mixed(batch.keys)
    ids = sorted((epoch, index) for batch in batches for epoch, index in batch.keys)
    assert ids == [(epoch, index) for epoch in epochs for index in range(loading.SIZE)]
    each = -(-loading.SIZE // way.ranks)
    sizes = [min(way.batch, each - start) for start in range(0, each, way.batch)]
    assert [len(batch.keys) for batch in batches] == sizes * len(epochs) * way.ranks


@pytest.mark.parametrize("way", COVERING, ids=lambda way: "-".join(map(str, way)))
def test_the_same_sample_is_the_same_image_in_every_way_to_load_it(way: Way) -> None:
    check(honest(), way)


@pytest.mark.soak
@pytest.mark.parametrize("way", EVERY_WAY, ids=lambda way: "-".join(map(str, way)))
def test_the_same_sample_is_the_same_image_in_all_ways_there_are(way: Way) -> None:
    check(honest(), way)


def test_every_pair_of_settings_is_tried() -> None:
    for one, other in itertools.combinations(SETTINGS, 2):
        for pair in itertools.product(SETTINGS[one], SETTINGS[other]):
            possible = any((getattr(way, one), getattr(way, other)) == pair for way in EVERY_WAY)
            tried = any((getattr(way, one), getattr(way, other)) == pair for way in COVERING)
            assert tried == (possible and (one, other, pair) not in LEFT), (one, other, pair)


def test_epochs_differ_and_samples_differ_and_so_do_the_mixes() -> None:
    alone = honest()
    keys = [(epoch, index) for epoch in EPOCHS for index in range(loading.SIZE)]
    assert len({digest(alone.image(key)) for key in keys}) > 0.97 * len(keys)  # few are drawn alike by chance
    for index in range(loading.SIZE):
        assert len({digest(alone.image((epoch, index))) for epoch in EPOCHS}) > 1
    batch = [(0, index) for index in range(7)]
    plain = [alone.pipe.train(digits_data()[index][0], index=index, epoch=0) for _, index in batch]
    images, labels = np.stack(plain), np.array([digits_data()[index][1] for _, index in batch])
    mixes = {
        loading.of_batch(*alone.pipe.batch(images, labels, keys=keys, epoch=epoch))
        for keys in (range(7), range(1, 8), [1, 0, 2, 3, 4, 5, 6])
        for epoch in EPOCHS
    }
    assert len(mixes) == 9
    order = [[index for _, index in batch.keys] for batch in loaded(alone.pipe, Way(batch=40), EPOCHS)]
    assert len(set(map(tuple, order))) == 3


@pytest.mark.parametrize("workers", [0, 2])
def test_the_check_finds_a_transform_that_keeps_a_generator_of_its_own(workers: int) -> None:
    with pytest.raises(AssertionError):
        check(Alone(loading.careless()), Way(workers, batch=7))


def test_the_fault_itself_both_workers_draw_the_same() -> None:
    """Of one image again and again, the first batch of the one worker is the first batch of the other."""
    for pipe, repeats in ((loading.careless(), True), (honest().pipe, False)):
        pipe = Pipeline(pipe.steps, pipe.registry, seed=5)  # without mixing
        data = Augmented([digits_data()[0][0]] * 8, pipe.train, epoch=0)
        batches = list(DataLoader(data, 4, num_workers=2, collate_fn=pipe.collate, multiprocessing_context="fork"))
        assert torch.equal(*(batch.amax(dim=(1, 2, 3)) for batch in batches)) == repeats


# Killed and resumed.


def test_a_training_run_that_is_killed_ends_with_the_weights_of_one_that_is_not(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    process = subprocess.Popen([sys.executable, "-W", "ignore", loading.__file__, str(killed), "30"])
    loading.train(whole)
    deadline = time.monotonic() + 120
    while not (killed / "waiting").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    kept = torch.load(killed / "checkpoint.pt", weights_only=False)
    assert (kept["epoch"], kept["step"]) == (1, 28)  # of 20 steps an epoch
    assert not (killed / "end.pt").exists()
    loading.train(killed)  # another process than the one that was killed
    ends = [torch.load(folder / "end.pt") for folder in (whole, killed)]
    for name, weights in ends[0]["model"].items():
        assert torch.equal(weights, ends[1]["model"][name]), name
    assert ends[0]["accuracy"] == ends[1]["accuracy"] > 0.6
    logs = [
        [json.loads(line) for line in (folder / "batches.jsonl").read_text().splitlines()]
        for folder in (whole, killed)
    ]
    assert [step for step, *_ in logs[0]] == list(range(60))
    assert [step for step, *_ in logs[1]] == [*range(30), *range(28, 60)]
    assert all(logs[0][entry[0]] == entry for entry in logs[1])
