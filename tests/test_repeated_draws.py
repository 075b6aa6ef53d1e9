"""A sample that is drawn several times in an epoch is another view each time, in whichever process it is drawn."""

from __future__ import annotations

import io
import pickle
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from loading import MIXING, Digits, digest
from PIL import Image
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    DistributedSampler,
    RandomSampler,
    WeightedRandomSampler,
    default_collate,
)

from augreg import Pipeline
from augreg.data import Augmented, EpochSampler, Key
from augreg.data.webdataset import mapper

NOISE = Pipeline.from_spec({"seed": 1, "image": [{"gaussian_noise": 0.1}, {"normalize": {"mean": 0.5, "std": 0.5}}]})
MIXED = Pipeline.from_spec({**NOISE.to_spec(), "classes": 10, "batch": MIXING})


def generator() -> torch.Generator:
    return torch.Generator()


class Repeated:
    """Repeated augmentation as in DeiT: each sample three times in a row, dealt to the ranks in turn."""

    def __init__(self, count: int, ranks: int = 1, rank: int = 0) -> None:
        self.count, self.num_replicas, self.rank, self.epoch = count, ranks, rank, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        order = torch.randperm(self.count, generator=torch.Generator().manual_seed(self.epoch)).tolist()
        repeated = [index for index in order for _ in range(3)]
        return iter(repeated[self.rank :: self.num_replicas])

    def __len__(self) -> int:
        return -(-(3 * self.count - self.rank) // self.num_replicas)


SAMPLERS = {
    "weighted": lambda: WeightedRandomSampler([0.1, 0.7, 0.2], 12, generator=generator()),
    "with replacement": lambda: RandomSampler(range(3), replacement=True, num_samples=12, generator=generator()),
    "more than there are": lambda: RandomSampler(range(3), num_samples=12, generator=generator()),
    "repeated augmentation": lambda: Repeated(4),
    "batches": lambda: BatchSampler(WeightedRandomSampler([0.1, 0.9], 12, generator=generator()), 4, False),
}


def flat(keys: Any) -> list[Key]:
    return [key for part in keys for key in (part if isinstance(part, list) else [part])]


def counted(keys: list[Key]) -> bool:
    """Whether the views of each sample are 0, 1, 2, .. in the order of the keys."""
    seen: Counter[Any] = Counter()
    for key in keys:
        if key.view != seen[key.index]:
            return False
        seen[key.index] += 1
    return max(seen.values()) > 1


@pytest.mark.parametrize("kind", SAMPLERS)
@pytest.mark.parametrize("workers", [0, 2])
def test_every_occurrence_is_another_image_with_and_without_workers(kind: str, workers: int) -> None:
    inner = SAMPLERS[kind]()
    data, sampler = Augmented(Digits(), NOISE.train), EpochSampler(inner)
    sampler.set_epoch(2)
    keys = flat(sampler)
    assert counted(keys)
    way = {"batch_sampler": sampler} if kind == "batches" else {"sampler": sampler, "batch_size": 4}
    images = torch.cat([batch[0] for batch in DataLoader(data, collate_fn=NOISE.collate, num_workers=workers, **way)])
    assert len({digest(image) for image in images}) == 12
    for key, image in zip(keys, images, strict=True):  # as the pipeline makes it by itself
        assert np.array_equal(image, NOISE.train(Digits()[key.index][0], index=key.index, epoch=2, view=key.view))


@pytest.mark.parametrize("kind", SAMPLERS)
def test_a_resumed_pass_counts_on(kind: str) -> None:
    whole = list(EpochSampler(SAMPLERS[kind]()))
    for taken in (1, 2):
        running: Any = iter(EpochSampler(SAMPLERS[kind]()))
        before = [next(running) for _ in range(taken)]
        state = pickle.loads(pickle.dumps(running.state_dict()))
        resumed: Any = iter(EpochSampler(SAMPLERS[kind]()))
        resumed.load_state_dict(state)
        assert before + list(resumed) == whole


def test_a_resumed_pass_counts_on_from_the_state_of_the_iterator_inside() -> None:
    from torchdata.stateful_dataloader.sampler import RandomSampler as Stateful

    def made() -> EpochSampler:
        return EpochSampler(Stateful(range(3), replacement=True, num_samples=40, generator=generator()))

    whole = list(made())
    running: Any = iter(made())
    before = [next(running) for _ in range(35)]
    resumed: Any = iter(made())
    resumed.load_state_dict(pickle.loads(pickle.dumps(running.state_dict())))
    assert before + list(resumed) == whole and counted(whole)


@pytest.mark.parametrize("ranks", [2, 3, 4, 8])
def test_ranks_share_the_views_of_one_process(ranks: int) -> None:
    def keys(make: Any, ranks: int, batches: int = 0) -> list[Key]:
        found = []
        for rank in range(ranks):
            inner = make(ranks, rank)
            sampler = EpochSampler(BatchSampler(inner, batches, False) if batches else inner)
            sampler.set_epoch(1)
            found += flat(sampler)
        return found

    def repeated(ranks: int, rank: int) -> Any:
        return Repeated(5, ranks, rank)

    one = keys(repeated, 1)
    assert len(set(one)) == 15 and counted(one)
    for batches in (0, 2):
        assert sorted(keys(repeated, ranks, batches)) == sorted(one)

    def padded(ranks: int, rank: int) -> Any:  # 3 samples: the first ones come again on the last ranks
        return DistributedSampler(range(3), ranks, rank, seed=4)

    for batches in (0, 1, 2):
        found = keys(padded, ranks, batches)
        assert len(set(found)) == len(found) == -(-3 // ranks) * ranks
        assert {(1, index, 0) for index in range(3)} <= set(found)


def test_mixing_the_same_samples_again_is_another_mixture() -> None:
    data = Augmented(Digits(), MIXED.train)
    batches = [MIXED.collate(data.__getitems__([Key(0, i, view) for i in range(8)])) for view in (0, 1)]
    assert not np.array_equal(batches[0][1].weights, batches[1][1].weights)
    images, labels = (np.stack(part) for part in zip(*(data[0, i] for i in range(8)), strict=True))
    alone, soft = MIXED.batch(images, labels, keys=range(8))  # view 0 is what it is by ids
    assert np.array_equal(batches[0][0], alone) and np.array_equal(batches[0][1].dense(), soft.dense())


def test_a_dataset_takes_the_view_with_the_key() -> None:
    data = Augmented(Digits(), NOISE.train)
    assert data[1, 5, 2].key == Key(1, 5, 2) and data[1, 5].key == Key(1, 5) == (1, 5, 0)


def test_two_views_of_one_image() -> None:
    data = Augmented(Digits(), MIXED.train, views=2)
    first, second = data[0, 3]
    assert (first.key, second.key) == (Key(0, 3, 0), Key(0, 3, 1)) and first[1] == second[1]
    for view, sample in enumerate((first, second)):
        assert np.array_equal(sample[0], NOISE.train(Digits()[3][0], index=3, view=view))
    assert [sample.key.view for sample in data[0, 3, 1]] == [2, 3]  # drawn again, it is two others
    for workers in (0, 2):
        loader = DataLoader(
            data, 8, sampler=EpochSampler(data, shuffle=False), collate_fn=MIXED.collate, num_workers=workers
        )
        batches = next(iter(loader))
        for view, (images, labels) in enumerate(batches):  # a batch of each view, mixed by itself
            keys = [Key(0, i, view) for i in range(8)]
            single = Augmented(Digits(), MIXED.train).__getitems__(keys)
            wanted, soft = MIXED.collate(single)
            assert np.array_equal(images, wanted) and np.array_equal(labels.dense(), soft.dense())
    singly = MIXED.collate([data[0, i] for i in range(8)])
    assert all(
        np.array_equal(one[0], other[0])
        for one, other in zip(singly, MIXED.collate(data.__getitems__(keys_of(8))), strict=True)
    )
    plain = default_collate([data[0, i] for i in range(2)])
    assert plain[0][0].shape == plain[1][0].shape == (2, 1, 8, 8)


def keys_of(count: int) -> list[Key]:
    return [Key(0, index) for index in range(count)]


def test_views_of_bare_images_and_what_is_no_number_of_views() -> None:
    images = Augmented(Digits().images, NOISE.train, views=3)
    batches = NOISE.collate(images.__getitems__(keys_of(2)))
    assert len({digest(image) for batch in batches for image in batch}) == 6
    for views in (0, 1.5, True):
        with pytest.raises(ValueError, match="views is the number of augmented samples of one image"):
            Augmented(Digits(), NOISE.train, views=views)
    with pytest.raises(ValueError, match=r"views=2 of pipe\.test would be 2 equal samples"):
        Augmented(Digits(), NOISE.test, views=2)


def test_a_resampled_stream_draws_other_views(tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    data = io.BytesIO()
    Image.fromarray(Digits()[0][0][..., 0]).save(data, "PNG")
    with webdataset.TarWriter(str(tmp_path / "0.tar")) as writer:
        for number in range(2):
            writer.write({"__key__": str(number), "png": data.getvalue()})
    gray = Pipeline.from_spec({**NOISE.to_spec(), "channels": "gray"})
    augment = mapper(gray.train, image="png", epoch=0, resampled=True)
    # a finite stream of the same shard, which is what resampling makes
    stream = webdataset.WebDataset([str(tmp_path / "0.tar")] * 4, shardshuffle=False).map(augment)
    for workers in (1, 2):
        loader = DataLoader(stream, None, num_workers=workers)
        assert len({digest(sample["png"]) for sample in loader}) == 8
    once = mapper(gray.train, image="png", epoch=0)
    row = {"__key__": "a", "png": data.getvalue()}
    assert once(row).key == once(row).key == (0, "a", 0)
    again = mapper(gray.train, image="png", resampled=True)
    for epoch in (0, 1):  # the count begins again
        again.set_epoch(epoch)
        assert [again(row).key for _ in range(3)] == [(epoch, "a", view) for view in range(3)]
