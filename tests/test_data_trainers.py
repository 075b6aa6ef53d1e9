"""What trainers need of the data: a collator for the Trainer, labels that can be counted, passes that are over."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from augreg import Pipeline, SoftLabels
from augreg.data import Augmented, EpochSampler
from augreg.data.huggingface import collator

PIPE = Pipeline.from_spec(
    {"image": ["horizontal_flip", "normalize"], "batch": [{"mixup": {"alpha": 1.0}}], "classes": 3}
)
IMAGES = np.random.default_rng(0).integers(0, 256, (6, 4, 5, 3), dtype=np.uint8)


def tuples(**parts: Any) -> list[Any]:
    return [(image, index % 3, *parts.values()) for index, image in enumerate(IMAGES)]


def rows(label: str = "label", **parts: Any) -> list[Any]:
    return [{"image": image, label: index % 3, "file": f"{index}.jpg", **parts} for index, image in enumerate(IMAGES)]


def batch(dataset: Any, collate: Any, side: Any = PIPE.train, **options: Any) -> Any:
    data = Augmented(dataset, side, epoch=1, **options)
    return next(iter(DataLoader(data, 4, collate_fn=collate)))  # type: ignore[arg-type]


def test_a_batch_has_the_names_of_the_models_arguments() -> None:
    images, labels = batch(tuples(), PIPE.collate)
    named: Any = {"names": {"label": "kind"}}
    for dataset, options in ((tuples(), {}), (rows(), {}), (rows("labels"), {}), (rows("kind"), named)):
        found = batch(dataset, collator(PIPE), **options)
        assert list(found) == ["pixel_values", "labels"]
        assert torch.equal(found["pixel_values"], images) and found["labels"] == labels
    tested = batch(rows(), collator(PIPE), PIPE.test)
    assert tested["labels"].tolist() == [0, 1, 2, 0] and tested["pixel_values"].shape == (4, 3, 4, 5)


def test_other_arguments_are_named() -> None:
    plain = Pipeline.from_spec({"image": ["normalize"]})
    found = batch(rows(mask=np.ones((4, 5), np.uint8)), collator(plain, labels="mask", kinds="label"), plain.train)
    assert found["labels"].shape == (4, 4, 5) and found["kinds"].tolist() == [0, 1, 2, 0]
    found = batch(tuples(other="x"), collator(plain, labels=2), plain.train)
    assert found["labels"] == ["x"] * 4
    transformed = [dict(row) for row in Augmented(rows(), plain.train, epoch=1)]  # as rows of a with_transform
    found = collator(plain)(transformed[:4])
    assert found["pixel_values"].shape == (4, 3, 4, 5) and found["labels"].tolist() == [0, 1, 2, 0]
    unlabeled = batch([{"image": image} for image in IMAGES], collator(plain), plain.train)
    assert list(unlabeled) == ["pixel_values"]


def test_what_a_collator_cannot_take_is_said() -> None:
    plain = Pipeline.from_spec({"image": ["normalize"]})
    with pytest.raises(KeyError, match=r"remove_unused_columns=False.*Augmented\(dataset, pipe\.train\)"):
        collator(PIPE)([{"label": 1}, {"label": 2}])
    with pytest.raises(KeyError, match=r"the rows have no key; they have: 'image', 'label'\. .*remove_unused"):
        collator(PIPE)([{"image": IMAGES[0], "label": 1}])
    with pytest.raises(KeyError, match=r"'labels' of the model is to be the part 'mask' .* has: 'image', 'label'"):
        batch(rows(), collator(plain, labels="mask"), plain.train)
    with pytest.raises(ValueError, match=r"members 1, 2 .* could each be the labels.*collator\(pipe, labels=1\)"):
        batch(tuples(weight=5), collator(plain), plain.train)
    with pytest.raises(TypeError, match=r"the images are torch\.uint8, and a model takes tensors of floats"):
        flip = Pipeline.from_spec({"image": ["horizontal_flip"]})
        batch(rows(), collator(flip), flip.train)
    with pytest.raises(TypeError, match="a tuple or a mapping with an image and a label, got a ndarray"):
        collator(plain)(list(IMAGES))


def test_soft_labels_are_counted_as_tensors_are() -> None:
    sources, weights = [[0, 1], [1, 2], [2, 0]], [[0.75, 0.25], [0.5, 0.5], [0.25, 0.75]]
    soft = SoftLabels(torch.tensor([1, -100, 2]), sources, weights)
    assert soft.ne(-100).tolist() == [0.75, 0.5, 1.0]  # by hand
    assert torch.equal(soft.ne(-100), soft.known)
    assert SoftLabels(torch.tensor([1, 0, 2]), sources, weights).ne(-100).sum() == 3
    assert SoftLabels(torch.eye(3), sources, weights).ne(-100).tolist() == [1.0, 1.0, 1.0]
    assert SoftLabels(np.array([1, -100, 2]), sources, weights).ne(-100).tolist() == [0.75, 0.5, 1.0]


@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning")  # torchdata 0.11 beside torch 2.13
@pytest.mark.parametrize("given", ["in the constructor", "before the pass", "after the pass has begun"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_pass_of_which_all_is_done_gives_way_to_the_next_epoch(given: str, wrapped: bool) -> None:
    """Trainers save at the end of an epoch, when all batches are loaded and the loader has not said that it ends."""
    torchdata = pytest.importorskip("torchdata.stateful_dataloader")
    data = Augmented(tuples(), PIPE.train)
    inner: Any = torch.utils.data.SequentialSampler(data) if wrapped else data  # type: ignore[arg-type]

    def made(**options: Any) -> Any:
        sampler = EpochSampler(inner, **options)
        return torchdata.StatefulDataLoader(data, 3, sampler=sampler, collate_fn=PIPE.collate), sampler

    loader, sampler = made()
    sampler.set_epoch(3)
    batches = iter(loader)
    next(batches), next(batches)  # both
    state = loader.state_dict()
    loader, sampler = made()
    sampler.set_epoch(4)
    wanted = [images for images, _ in loader]
    loader, sampler = made(epoch=4) if given == "in the constructor" else made()
    loader.load_state_dict(state)
    if given == "before the pass":
        sampler.set_epoch(4)
    batches = iter(loader)
    if given == "after the pass has begun":
        sampler.set_epoch(4)
    found = [images for images, _ in batches]
    assert len(found) == 2 and all(map(torch.equal, found, wanted))
    loader, sampler = made()  # the same epoch once more: nothing is left of it
    loader.load_state_dict(state)
    sampler.set_epoch(3)
    assert list(loader) == []
