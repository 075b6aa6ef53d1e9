"""Loaders without workers: keys, samplers, samples and batches, with torch and without it."""

from __future__ import annotations

import copy
import pickle
import random
import subprocess
import sys
import warnings
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image

import augreg.data
from augreg import ImageError, Pipeline
from augreg.batch.labels import SoftLabels
from augreg.data import Augmented, Batch, EpochSampler, Key, Sample, SampleMapping, SharedEpoch, folder
from augreg.data.sampler import shuffled
from augreg.rng import address_of, stream_key

NORMALIZE = {"normalize": {"mean": [0.5], "std": [0.5]}}
PIPE = Pipeline.from_spec(
    {"seed": 3, "image": [{"random_crop": {"size": 8, "padding": 2}}, "horizontal_flip", NORMALIZE]}
)
MIXED = Pipeline.from_spec({**PIPE.to_spec(), "classes": 10, "batch": [{"cutmix": {"alpha": 1.0}}]})
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (12, 8, 8, 1), np.uint8)
LABELED = [(image, index % 10) for index, image in enumerate(IMAGES)]


def numpy(pipe: Pipeline) -> Pipeline:
    return Pipeline.from_spec({**pipe.to_spec(), "output": "numpy"})


# Samplers.


@given(st.integers(0, 300), st.integers(0, 2**63 - 1), st.integers(0, 2**40))
@settings(derandomize=True, deadline=None)
def test_an_order_is_the_permutation_of_its_address(count: int, seed: int, epoch: int) -> None:
    cursor = address_of(seed, 0, epoch).cursor(stream_key("augreg.data: the order of the samples"))
    assert shuffled(count, seed, epoch) == cursor.permutation(count)


def test_orders_are_fixed_for_ever_and_differ_between_epochs_and_seeds() -> None:
    assert shuffled(8, 0, 0) == [7, 1, 6, 4, 3, 2, 5, 0]
    orders = {tuple(shuffled(50, seed, epoch)) for seed in range(4) for epoch in range(4)}
    assert len(orders) == 16


def test_every_place_is_as_likely_for_every_sample() -> None:
    counts = np.zeros((6, 6))
    for epoch in range(6000):
        counts[shuffled(6, 1, epoch), range(6)] += 1
    # chi-squared with 25 degrees of freedom: 72 has a probability of 2e-6 in a right order, and the seed is fixed
    assert ((counts - 1000.0) ** 2 / 1000.0).sum() < 72


def test_a_sampler_yields_keys_and_never_counts_on_by_itself() -> None:
    sampler = EpochSampler(range(10), seed=4)
    first = list(sampler)
    assert first == [Key(0, index) for index in shuffled(10, 4, 0)]
    assert len(sampler) == 10
    sampler.set_epoch(3)
    iter(sampler), iter(sampler)
    assert list(sampler) == [Key(3, index) for index in shuffled(10, 4, 3)]
    assert [key.index for key in EpochSampler(range(4), shuffle=False)] == [0, 1, 2, 3]


def test_the_third_pass_of_an_epoch_warns_once() -> None:
    sampler = EpochSampler(range(3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(sampler)  # by hand, to see the order
        list(sampler)
        sampler.set_epoch(0)  # said on purpose
        list(sampler)
        next(iter(sampler))
        iter(sampler), iter(sampler)  # loaders do
    with pytest.warns(UserWarning, match=r"epoch 0 is loaded for the third time.*call sampler.set_epoch") as caught:
        next(iter(sampler))
        list(sampler)
    assert len(caught) == 1


def test_nobody_has_to_count_the_epochs_of_the_test_side() -> None:
    data = Augmented(LABELED, PIPE.test)
    inner = Counted([0, 1])
    inner.dataset = data
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for sampler in (EpochSampler(data, shuffle=False), EpochSampler(inner)):
            for _ in range(4):
                list(sampler)


class Counted:
    """A sampler as torch has them, with an order of its own."""

    def __init__(self, order: Sequence[Any]) -> None:
        self.order, self.epochs = order, []
        self.dataset: Any = None

    def set_epoch(self, epoch: int) -> None:
        self.epochs.append(epoch)

    def __iter__(self) -> Any:
        return iter(self.order)

    def __len__(self) -> int:
        return len(self.order)


def test_a_wrapped_sampler_gives_the_order_and_gets_the_epoch() -> None:
    inner = Counted([np.int64(4), 2, 0])
    sampler = EpochSampler(inner)
    sampler.set_epoch(7)
    assert inner.epochs == [7]
    keys = list(sampler)
    assert keys == [Key(7, 4), Key(7, 2), Key(7, 0)] and type(keys[0].index) is int
    assert list(EpochSampler(Counted([[1, 2], [3]]))) == [[Key(0, 1), Key(0, 2)], [Key(0, 3)]]


def test_what_is_no_data_set_and_no_sampler_is_refused() -> None:
    with pytest.raises(TypeError, match="expected a dataset with a length, or a sampler, got int"):
        EpochSampler(5)
    with pytest.raises(TypeError, match="the Counted decides the order: leave out shuffle"):
        EpochSampler(Counted([1]), shuffle=True)
    with pytest.raises(
        TypeError, match="the Counted decides the order, and has no generator to seed: leave out seed"
    ):
        EpochSampler(Counted([1]), seed=0)
    with pytest.raises(TypeError, match="a sampler of indices, got a EpochSampler"):
        EpochSampler(EpochSampler([1]))
    with pytest.raises(ValueError, match="seed must be from 0"):
        EpochSampler([1], seed=-1)
    for epoch in (1.5, "2", True, None):
        with pytest.raises(TypeError, match="an epoch must be an integer from 0"):
            EpochSampler([1]).set_epoch(epoch)
    with pytest.raises(ValueError, match="an epoch must be an integer from 0, got -1"):
        EpochSampler([1]).set_epoch(-1)


@given(st.integers(1, 20), st.integers(0, 20), st.booleans())
@settings(derandomize=True, deadline=None)
def test_a_pass_continues_where_it_stopped(count: int, taken: int, inside: bool) -> None:
    def made() -> EpochSampler:
        return EpochSampler(Counted(range(count, 0, -1))) if inside else EpochSampler(range(count), seed=9)

    sampler = made()
    sampler.set_epoch(5)
    running: Any = iter(sampler)
    before = [key for _, key in zip(range(taken), running, strict=False)]
    state = pickle.loads(pickle.dumps(running.state_dict()))
    again = made()
    again.load_state_dict(sampler.state_dict())
    assert again.epoch == 5
    resumed: Any = iter(again)
    resumed.load_state_dict(state)
    whole = made()
    whole.set_epoch(5)
    assert before + list(resumed) == list(whole)


class Deck:
    """A sampler whose iterator has a state: it draws without replacement by its own generator."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __iter__(self) -> Any:
        return _Draws(self.seed)

    def __len__(self) -> int:
        return 10


class _Draws:
    def __init__(self, seed: int) -> None:
        self.rng, self.left = random.Random(seed), list(range(10))

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> int:
        if not self.left:
            raise StopIteration
        return self.left.pop(self.rng.randrange(len(self.left)))

    def state_dict(self) -> dict[str, Any]:
        return {"rng": self.rng.getstate(), "left": list(self.left)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.rng.setstate(state["rng"])
        self.left = state["left"]


@pytest.mark.parametrize("taken", [0, 1, 4, 10])
def test_a_pass_continues_from_the_state_of_the_wrapped_iterator(taken: int) -> None:
    running: Any = iter(EpochSampler(Deck(seed=1)))
    before = [next(running) for _ in range(taken)]
    state = pickle.loads(pickle.dumps(running.state_dict()))
    rest = list(running)
    resumed: Any = iter(EpochSampler(Deck(seed=2)))  # a new process: only the state knows the order
    resumed.load_state_dict(state)
    if taken:  # a pass that has not begun has no order yet
        assert list(resumed) == rest
        assert sorted(key.index for key in before + rest) == list(range(10))
    else:
        assert state["inner"] is None and len(list(resumed)) == 10
    resumed.load_state_dict({**state, "inner": None})  # from a sampler without a state
    assert len(list(resumed)) == 10 - taken


def test_a_checkpoint_gives_the_epoch_unless_the_loop_has_set_another() -> None:
    sampler = EpochSampler(range(3))
    sampler.load_state_dict({"epoch": 4})
    assert sampler.epoch == 4
    sampler.set_epoch(5)  # what a loop does before a loader takes up its own state
    sampler.load_state_dict({"epoch": 4})
    assert sampler.epoch == 5
    next(iter(sampler))
    sampler.load_state_dict({"epoch": 1})
    assert sampler.epoch == 1


# Samples.


def test_images_tuples_and_mappings_keep_their_form() -> None:
    made = PIPE.train(IMAGES[2], index=2, epoch=1)
    (image, label), key = LABELED[2], Key(1, 2)
    bare = Augmented(list(IMAGES), PIPE.train)[key]
    assert np.array_equal(bare, made)
    pair = Augmented(LABELED, PIPE.train)[key]
    assert isinstance(pair, Sample) and isinstance(pair, tuple) and pair.key == key
    assert np.array_equal(pair[0], made) and pair[1] == label
    listed = Augmented([[image, label, "more"] for image, label in LABELED], PIPE.train)[1, 2]
    assert np.array_equal(listed[0], made) and listed[1:] == (label, "more")
    rows = [OrderedDict(img=image, label=label) for image, label in LABELED]
    row = Augmented(rows, PIPE.train, image="img")[key]
    assert isinstance(row, SampleMapping) and isinstance(row, dict) and row.key == key
    assert list(row) == ["img", "label"] and np.array_equal(row["img"], made)
    assert rows[2]["img"] is image
    for sample in (pair, row):
        again = pickle.loads(pickle.dumps(sample))
        assert again.key == key and type(again) is type(sample)


def test_targets_follow_under_names_of_the_data_set_s_own() -> None:
    plain = PIPE.train({"image": IMAGES[3], "mask": IMAGES[3][..., 0]}, index=3, epoch=2)
    row = {"img": IMAGES[3], "seg": IMAGES[3][..., 0], "id": "x"}
    done = Augmented([row], PIPE.train, image="img", names={"mask": "seg"}, ids=[3])[2, 0]
    assert list(done) == ["img", "seg", "id"] and done["id"] == "x"
    assert np.array_equal(done["seg"], plain["mask"]) and np.array_equal(done["img"], plain["image"])
    pair = Augmented([(IMAGES[3], IMAGES[3][..., 0])], PIPE.train, fields=("image", "mask"), ids=[3])[2, 0]
    assert np.array_equal(pair[1], plain["mask"]) and np.array_equal(pair[0], plain["image"])


def test_a_target_that_would_not_follow_is_refused() -> None:
    for other in (IMAGES[0][..., 0], Image.fromarray(IMAGES[0][..., 0])):
        with pytest.raises(
            ValueError, match=r"member 1 of a sample is an image or a mask.*fields=\('image', 'mask'\)"
        ):
            Augmented([(IMAGES[0], other)], PIPE.test)[0]
        kept = Augmented([(IMAGES[0], other)], PIPE.test, fields=("image", "other"))[0]
        assert kept[1] is other
    with pytest.raises(
        ValueError, match=r"is a mapping with 'boxes', 'labels', which would not be transformed.*one mapping"
    ):
        Augmented([(IMAGES[0], {"boxes": [], "labels": []})], PIPE.test)[0]
    with pytest.raises(ValueError, match="fields must name each member once, and one of them 'image'"):
        Augmented(LABELED, PIPE.test, fields=("photo",))[0]
    with pytest.raises(ValueError, match="a sample has 2 members, but fields names image, mask, label"):
        Augmented(LABELED, PIPE.test, fields=("image", "mask", "label"))[0]
    with pytest.raises(ValueError, match="a sample is empty"):
        Augmented([()], PIPE.test)[0]


def test_a_key_that_is_not_there_is_named() -> None:
    with pytest.raises(KeyError, match=r"a sample has no 'image'; its keys are: 'img'. Name the key of the image"):
        Augmented([{"img": IMAGES[0]}], PIPE.test)[0]
    with pytest.raises(ValueError, match="a sample has the key 'image', and also 'img', which is used as 'image'"):
        Augmented([{"img": IMAGES[0], "image": IMAGES[1]}], PIPE.test, image="img")[0]


def test_the_epoch_has_to_be_known_for_training_and_not_for_testing() -> None:
    data = Augmented(LABELED, PIPE.train)
    assert data.epoch is None
    with pytest.raises(TypeError, match=r"the index 3 has no epoch.*sampler=EpochSampler.*data.set_epoch"):
        data[3]
    data.set_epoch(2)
    assert data.epoch == 2 and Augmented(LABELED, PIPE.train, epoch=0).epoch == 0
    assert np.array_equal(data[3][0], PIPE.train(IMAGES[3], index=3, epoch=2)) and data[3].key == Key(2, 3)
    assert data[4, 3].key == Key(4, 3)  # what a sampler says goes before it
    frozen = Augmented(LABELED, PIPE.train, epoch=0)
    assert np.array_equal(frozen[-1][0], PIPE.train(IMAGES[11], index=11, epoch=0))
    test = Augmented(LABELED, PIPE.test)
    assert np.array_equal(test[3][0], PIPE.test(IMAGES[3])) and test[3].key == test[9, 3].key == Key(None, 3)
    assert len(test) == 12 and len(list(test)) == 12


def test_ids_draw_instead_of_indices() -> None:
    rows = [{"image": image, "name": f"n{index}"} for index, image in enumerate(IMAGES)]
    made = PIPE.train(IMAGES[5], index="n5", epoch=1)
    ways: list[Any] = ["name", [row["name"] for row in rows], lambda row: row["name"]]
    for ids in ways:
        sample = Augmented(rows, PIPE.train, ids=ids)[1, 5]
        assert np.array_equal(sample["image"], made) and sample.key == Key(1, "n5")
    with pytest.raises(
        KeyError, match=r"a sample has no 'id', which ids= names as the key of its id; its keys are: 'image', 'name'"
    ):
        Augmented(rows, PIPE.train, ids="id")[1, 5]
    with pytest.raises(TypeError, match=r"the result of ids for a sample is 0.5; expected a string or an integer"):
        Augmented(rows, PIPE.train, ids=lambda row: 0.5)[1, 5]
    with pytest.raises(ValueError, match="there are 2 ids for 12 samples"):
        Augmented(rows, PIPE.train, ids=["a", "b"])


def test_what_is_not_a_side_or_not_a_data_set_is_refused() -> None:
    with pytest.raises(TypeError, match=r"expected pipe.train or pipe.test, got Pipeline"):
        Augmented(LABELED, PIPE)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="is already an Augmented: put all steps into one pipeline"):
        Augmented(Augmented(LABELED, PIPE.train), PIPE.test)
    with pytest.raises(TypeError, match=r"a generator has no __getitem__ and __len__; for a stream"):
        Augmented((item for item in LABELED), PIPE.train)


def test_an_error_names_the_sample() -> None:
    data = Augmented([(b"no image", 0)], PIPE.train, ids=["cats/7.jpg"])
    with pytest.raises(ImageError, match=r"sample 'cats/7.jpg': image of 8 bytes: not an image"):
        data[0, 0]


# Batches.


def test_a_batch_is_one_array_and_a_list_of_samples() -> None:
    data = Augmented(LABELED, PIPE.train)
    batch = data.__getitems__([Key(1, index) for index in (4, 0, 7)])
    assert isinstance(batch, Batch) and isinstance(batch, list) and batch.keys == [Key(1, 4), Key(1, 0), Key(1, 7)]
    for row, sample, index in zip(batch.images, batch, (4, 0, 7), strict=True):
        assert np.shares_memory(sample[0], batch.images) and np.array_equal(row, sample[0])
        assert np.array_equal(row, data[1, index][0]) and sample.key == Key(1, index) and sample[1] == index
    again = pickle.loads(pickle.dumps(batch))
    assert again.keys == batch.keys and len(again) == 3


def test_the_data_set_s_own_way_to_get_many_is_used() -> None:
    class Many(list[Any]):
        def __getitems__(self, indices: list[int]) -> list[Any]:
            asked.append(indices)
            return [self[index] for index in indices]

    asked: list[list[int]] = []
    batch = Augmented(Many(LABELED), PIPE.train).__getitems__([(0, 3), (0, 1)])
    assert asked == [[3, 1]] and [sample[1] for sample in batch] == [3, 1]


def test_images_of_several_sizes_make_a_list_and_cannot_be_collated() -> None:
    pipe = numpy(Pipeline.from_spec([NORMALIZE]))
    data = Augmented([(IMAGES[0], 0), (IMAGES[1][:5], 1), (IMAGES[2], 2)], pipe.train)
    batch = data.__getitems__([(0, 0), (0, 1), (0, 2)])
    assert batch.images is None
    for index, sample in enumerate(batch):
        assert np.array_equal(sample[0], pipe.train(data.dataset[index][0]))
    with pytest.raises(ValueError, match=r"2 shapes \(1x8x8, 1x5x8\): add a step .* resize"):
        pipe.collate(batch)


def test_collating_without_a_batch_section_only_stacks() -> None:
    pipe = numpy(PIPE)
    data = Augmented(LABELED, pipe.train)
    images, labels = pipe.collate(data.__getitems__([(0, 1), (0, 2)]))
    assert images.shape == (2, 1, 8, 8) and np.array_equal(images[1], data[0, 2][0])
    assert np.array_equal(labels, [1, 2]) and labels.dtype.kind == "i"
    assert np.array_equal(pipe.collate([data[0, 1], data[0, 2]])[0], images)
    assert np.array_equal(pipe.collate([images[0], images[1]]), images)  # bare images, of anybody
    row = {"image": images[0], "label": 3, "name": "a", "score": 0.5, "boxes": np.zeros((2, 4)), "none": None}
    more = {**row, "boxes": np.zeros((1, 4))}
    batch = pipe.collate([row, more])
    assert batch["image"].shape == (2, 1, 8, 8) and batch["label"].tolist() == [3, 3]
    assert batch["name"] == ["a", "a"] and batch["score"].tolist() == [0.5, 0.5] and batch["none"] == [None, None]
    assert [boxes.shape for boxes in batch["boxes"]] == [(2, 4), (1, 4)]
    targets = {"boxes": "xyxy", "instances": ["planes"], "keys": {"extra": "boxes"}}
    pipe = numpy(Pipeline.from_spec({"image": [], "targets": targets}))
    row = {
        "image": images[0], "boxes": np.zeros((2, 4)), "labels": np.array([1, 2]),
        "planes": np.zeros((2, 8, 8), bool), "extra": np.zeros((1, 4)),
        "keypoints": np.zeros((17, 3)), "label": np.array([1, 0, 0]),
    }  # fmt: skip
    batch = pipe.collate([row, row])  # as many in both, and lists nevertheless
    assert [key for key, values in batch.items() if isinstance(values, list)] == [
        "boxes",
        "labels",
        "planes",
        "extra",
    ]
    batch = pipe.collate([{**row, "keypoints": np.zeros((2, 17, 3))}] * 2)
    assert isinstance(batch["keypoints"], list) and batch["label"].shape == (2, 3)


def test_mixing_is_that_of_the_samples_keys() -> None:
    pipe = numpy(MIXED)
    data = Augmented(LABELED, pipe.train, ids=[f"n{index}" for index in range(12)])
    keys = [(2, index) for index in (5, 1, 8, 3)]
    images, labels = pipe.collate(data.__getitems__(keys))
    assert isinstance(labels, SoftLabels)
    plain = np.stack([pipe.train(IMAGES[index], index=f"n{index}", epoch=2) for _, index in keys])
    ids = [f"n{index}" for _, index in keys]
    wanted, soft = pipe.batch(plain, np.array([5, 1, 8, 3]), keys=ids, epoch=2)
    assert np.array_equal(images, wanted) and np.array_equal(labels.dense(), soft.dense())
    assert not np.array_equal(images, plain)
    one_by_one, _ = pipe.collate([data[key] for key in keys])
    assert np.array_equal(one_by_one, wanted)


def test_bytes_are_mixed_with_their_rows_and_columns_where_they_are() -> None:
    pipe = Pipeline.from_spec({"output": "numpy", "batch": [{"cutmix": {"alpha": 1.0}}], "image": [], "classes": 10})
    data = Augmented([(np.full((8, 6, 3), 20 * index, np.uint8), index) for index in range(10)], pipe.train)
    images, labels = pipe.collate(data.__getitems__([(0, index) for index in range(10)]))
    assert images.shape == (10, 8, 6, 3)
    fractions = np.stack([(images[..., 0] == 20 * index).mean(axis=(1, 2)) for index in range(10)], axis=1)
    assert np.allclose(fractions, labels.dense(), atol=1e-6) and (fractions.max(axis=1) < 1).any()


def test_masks_are_mixed_with_their_images() -> None:
    pipe = numpy(MIXED)
    rows = [{"image": image, "mask": np.full((8, 8), index, np.uint8), "label": index, "id": index}
            for index, image in enumerate(IMAGES[:10])]  # fmt: skip
    batch = pipe.collate(Augmented(rows, pipe.train).__getitems__([(0, index) for index in range(10)]))
    assert list(batch) == ["image", "mask", "label", "id"] and batch["id"].tolist() == list(range(10))
    fractions = np.stack([(batch["mask"] == index).mean(axis=(1, 2)) for index in range(1, 10)], axis=1)
    assert np.all(fractions <= batch["label"].dense()[:, 1:] + 1e-6)  # the border of the crop is 0 in a mask
    rows = [{**row, "boxes": np.zeros((0, 4))} for row in rows]
    boxed = Pipeline.from_spec({**pipe.to_spec(), "targets": {"boxes": "xyxy"}})
    found = boxed.collate(Augmented(rows, boxed.train).__getitems__([(0, 0), (0, 1)]))
    assert [boxes.shape for boxes in found["boxes"]] == [(0, 4)] * 2 and len(found["object_weights"]) == 2


def test_labels_by_another_name_are_named_or_refused() -> None:
    pipe = numpy(MIXED)
    rows = [{"image": image, "target": label} for image, label in LABELED]
    keys = [(0, index) for index in range(4)]

    def collated(**how: Any) -> Any:
        return pipe.collate(Augmented(rows, pipe.train, **how).__getitems__(keys))

    with pytest.raises(
        ValueError, match=r"no part of a sample is named 'label': give Augmented names=\{'label': 'target'\}, or"
    ):
        collated()
    wanted = pipe.collate(Augmented(LABELED, pipe.train).__getitems__(keys))
    named = collated(names={"label": "target"})
    assert list(named) == ["image", "target"] and np.array_equal(named["target"].dense(), wanted[1].dense())
    bare = collated(names={"label": None})
    assert list(bare) == ["image", "target"] and bare["target"].tolist() == [0, 1, 2, 3]
    assert np.array_equal(bare["image"], wanted[0])
    tested = pipe.collate(Augmented(rows, pipe.test).__getitems__([0, 1]))  # nothing is mixed, nothing asked
    assert tested["target"].tolist() == [0, 1]


def test_of_several_integers_in_a_tuple_the_label_has_to_be_said() -> None:
    pipe, keys = numpy(MIXED), [(0, index) for index in range(4)]
    triples = [(image, 7 - index, label) for index, (image, label) in enumerate(LABELED[:8])]
    with pytest.raises(ValueError, match=r"members 1, 2 of a sample could each be the label.*'other', 'label'"):
        pipe.collate(Augmented(triples, pipe.train).__getitems__(keys))
    named = Augmented(triples, pipe.train, fields=("image", "other", "label"))
    images, others, labels = pipe.collate(named.__getitems__(keys))
    wanted = pipe.collate(Augmented(LABELED, pipe.train).__getitems__(keys))
    assert np.array_equal(images, wanted[0]) and np.array_equal(labels.dense(), wanted[1].dense())
    assert others.tolist() == [7, 6, 5, 4]
    words = [(image, f"a{label}", label) for image, label in LABELED]  # only one of them is a number
    assert isinstance(pipe.collate(Augmented(words, pipe.train).__getitems__(keys))[2], SoftLabels)
    plain = Pipeline.from_spec({**pipe.to_spec(), "batch": []})
    assert plain.collate(Augmented(triples, plain.train).__getitems__(keys))[1].tolist() == [7, 6, 5, 4]


def test_a_key_is_no_index_and_says_who_takes_it() -> None:
    for use in (lambda: [1, 2][Key(0, 1)], lambda: Key(0, 1) < 0, lambda: int(Key(0, 1))):
        with pytest.raises(
            TypeError, match=r"only an Augmented accepts: make the Augmented the outermost dataset.*Subset\(data"
        ):
            use()
    assert sorted([Key(1, 0), Key(0, 5), Key(0, 2)]) == [Key(0, 2), Key(0, 5), Key(1, 0)]


def test_samples_of_the_test_side_are_not_mixed() -> None:
    pipe = numpy(MIXED)
    images, labels = pipe.collate(Augmented(LABELED, pipe.test).__getitems__([3, 4]))
    assert np.array_equal(images[1], pipe.test(IMAGES[4])) and labels.tolist() == [3, 4]


def test_what_cannot_be_collated_says_why() -> None:
    with pytest.raises(
        ValueError,
        match=r"seeded by the keys of the samples, and these samples have none: use an augreg\.data\.Augmented",
    ):
        MIXED.collate([(np.zeros((1, 8, 8), np.float32), 0)] * 2)
    bare = Augmented(list(IMAGES), MIXED.train).__getitems__([(0, 0), (0, 1)])
    with pytest.raises(
        ValueError, match=r"bare images cannot carry one: collate the result of Augmented.__getitems__"
    ):
        MIXED.collate(list(bare))
    assert numpy(MIXED).collate(bare).shape == (2, 1, 8, 8)
    with pytest.raises(ValueError, match="there are no samples to collate"):
        PIPE.collate([])
    photos = [(Image.new("RGB", (8, 8)), 0)] * 2
    pipe = Pipeline.from_spec(["horizontal_flip"])
    with pytest.raises(ValueError, match="the images are PIL images, which cannot be stacked: add normalize"):
        pipe.collate(Augmented(photos, pipe.test).__getitems__([0, 1]))
    with pytest.raises(
        ValueError, match="the samples of a batch have different parts: 'image', 'a' and 'image', 'b'"
    ):
        PIPE.collate([{"image": 0, "a": 0}, {"image": 0, "b": 0}])
    with pytest.raises(ValueError, match="a sample has no 'image'; it has: 'img'"):
        PIPE.collate([{"img": 0}])


# Epochs that are shared, pickles, folders, imports.


def test_an_epoch_is_shared_by_copies_and_written_down_in_pickles() -> None:
    epoch = SharedEpoch(3)
    copies = copy.copy(epoch), copy.deepcopy([epoch])[0]
    frozen = pickle.loads(pickle.dumps(epoch))
    epoch.set(4)
    assert [one.get() for one in copies] == [4, 4] and frozen.get() == 3
    assert SharedEpoch().get() is None and repr(epoch) == "SharedEpoch(4)"
    data = pickle.loads(pickle.dumps(Augmented(LABELED, PIPE.train, epoch=2)))
    assert np.array_equal(data[1][0], PIPE.train(IMAGES[1], index=1, epoch=2))
    collate = pickle.loads(pickle.dumps(numpy(MIXED).collate))
    batch = Augmented(LABELED, PIPE.train).__getitems__([(0, 1), (0, 2)])
    wanted = numpy(MIXED).collate(Augmented(LABELED, PIPE.train).__getitems__([(0, 1), (0, 2)]))[0]
    assert np.array_equal(collate(batch)[0], wanted)


def test_a_folder_of_class_folders(tmp_path: Path) -> None:
    for name in ("dog/b.PNG", "cat/a.jpg", "cat/deep/z.png", ".hidden/x.jpg", "cat/.x.jpg", "cat/notes.txt"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (len(name) * 10, 0, 0)).save(file, "PNG")
    data = folder(tmp_path)
    assert data.classes == ["cat", "dog"] and data.class_numbers == {"cat": 0, "dog": 1} and len(data) == 3
    assert data.ids == ["cat/a.jpg", "cat/deep/z.png", "dog/b.PNG"] and data.labels == [0, 0, 1]
    assert data[2] == (tmp_path / "dog/b.PNG", 1) and data.samples[2] == data[2]
    assert repr(data) == f"Folder({str(tmp_path)!r}: 3 images of 2 classes)"
    pipe = Pipeline.from_spec(["horizontal_flip"])
    image, label = Augmented(data, pipe.train, ids=data.ids)[0, 2]
    assert image.shape == (4, 4, 3) and image[0, 0, 0] == 90 and label == 1
    (tmp_path / "dog/b.PNG").write_bytes(b"broken")
    with pytest.raises(ImageError, match=r"sample 'dog/b.PNG': .*b.PNG: not an image"):
        Augmented(data, pipe.train, ids=data.ids)[0, 2]
    assert len(folder(tmp_path, endings=[".txt", ".PNG"])) == 3


def test_a_folder_with_nothing_to_train_on_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        folder(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="expected a folder with one folder per class, but it has no folders"):
        folder(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="but this is a file"):
        folder(tmp_path / "file")
    (tmp_path / "cat").mkdir()
    with pytest.raises(ValueError, match=r"cat: this class has no image, that is no file that ends in .avif"):
        folder(tmp_path)


def test_the_names_of_the_package() -> None:
    assert augreg.data.__all__ == sorted(augreg.data.__all__) == dir(augreg.data)
    assert all(getattr(augreg.data, name) for name in augreg.data.__all__)
    with pytest.raises(AttributeError, match=r"module 'augreg.data' has no attribute 'Loader'"):
        _ = augreg.data.Loader


def test_no_framework_is_loaded_before_it_is_needed() -> None:
    code = (
        "import sys, augreg.data; light = set(sys.modules); import augreg.data.huggingface, augreg.data.webdataset\n"
        "from augreg.data import *\n"
        "assert not light & {'numpy', 'torch'}, light\n"
        "assert not set(sys.modules) & {'torch', 'datasets', 'webdataset', 'lightning', 'torchdata', 'cv2'}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_torch_batches_are_arrays() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import numpy as np; from augreg import Pipeline; from augreg.data import *\n"
        "pipe = Pipeline.from_spec({'classes': 3, 'image': ['normalize'], 'batch': [{'mixup': {'alpha': 1.0}}]})\n"
        "data = Augmented([(np.full((4, 4, 3), 9 * i, np.uint8), i) for i in range(3)], pipe.train)\n"
        "images, labels = pipe.collate(data.__getitems__(list(EpochSampler(data))))\n"
        "assert type(images) is np.ndarray and images.shape == (3, 3, 4, 4), images\n"
        "assert labels.dense().shape == (3, 3) and abs(labels.dense().sum() - 3) < 1e-6\n"
        "try: labels.to('cpu')\n"
        "except ModuleNotFoundError as error: assert 'pip install \\'augreg[torch]\\'' in str(error), error"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
