"""Labels that are Python lists are rows of a batch, and are never transposed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, default_collate

from augreg import Pipeline, SoftLabels
from augreg.data import Augmented, EpochSampler

NORMALIZE = {"normalize": {"mean": 0.5, "std": 0.5}}
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8)
ROWS = [[1, 0, 0], [1, 0, 0], [0, 1, 0]]  # as many samples as classes: a transposed batch has the same shape


def collated(samples: list[Any], output: str, batch: Any = (), **options: Any) -> Any:
    spec = {"image": [NORMALIZE], "batch": list(batch), "output": output, "targets": {"boxes": "xyxy"}}
    pipe = Pipeline.from_spec(spec)
    data = Augmented(samples, pipe.train, **options)
    sampler = EpochSampler(data, shuffle=False)
    return next(iter(DataLoader(data, 3, sampler=sampler, collate_fn=pipe.collate)))


@pytest.mark.parametrize("output", ["torch", "numpy"])
@pytest.mark.parametrize("form", [list, tuple])
@pytest.mark.parametrize("rows", [ROWS, [[0.5, 0.5, 0.0], [0.0, 0.25, 0.75], [1.0, 0.0, 0.0]]])
def test_rows_stay_rows(output: str, form: Any, rows: Any) -> None:
    for samples in (
        [(image, form(row)) for image, row in zip(IMAGES, rows, strict=True)],
        [{"image": image, "label": form(row)} for image, row in zip(IMAGES, rows, strict=True)],
    ):
        plain = collated(samples, output)
        labels = plain["label"] if isinstance(plain, dict) else plain[1]
        assert type(labels) is (torch.Tensor if output == "torch" else np.ndarray)
        assert np.allclose(labels, rows)
        mixed = collated(samples, output, [{"cutmix": {"pairing": "roll"}}])
        soft = mixed["label"] if isinstance(mixed, dict) else mixed[1]
        assert isinstance(soft, SoftLabels) and np.allclose(soft.labels, rows)
        weight = np.asarray(soft.weights)[:, :1]  # with roll, the partner is the image before
        wanted = weight * np.array(rows) + (1 - weight) * np.array([rows[2], rows[0], rows[1]])
        assert np.allclose(np.asarray(soft.dense()), wanted)


@pytest.mark.parametrize("output", ["torch", "numpy"])
def test_other_lists_are_not_transposed_either(output: str) -> None:
    samples = [
        {
            "image": image,
            "boxes": [[0, 0, 4, 4], [1, 1, 5, 5]],
            "labels": [number, 7],
            "names": ["a", "b"],
            "meta": {"size": [8, 9], "words": ["x", str(number)]},
            "ragged": [1] * number,
        }
        for number, image in enumerate(IMAGES)
    ]
    batch = collated(samples, output)
    assert np.asarray(batch["boxes"][1]).tolist() == [[0, 0, 4, 4], [1, 1, 5, 5]] and len(batch["boxes"]) == 3
    assert batch["labels"] == [[0, 7], [1, 7], [2, 7]]  # of boxes: lists, whether or not all have as many
    assert batch["names"] == [["a", "b"]] * 3 and batch["ragged"] == [[], [1], [1, 1]]
    words = [["x", str(number)] for number in range(3)]
    assert np.asarray(batch["meta"]["size"]).tolist() == [[8, 9]] * 3 and batch["meta"]["words"] == words


def test_what_default_collate_has_transposed_is_refused() -> None:
    images, labels = default_collate([(torch.rand(3, 8, 8), row) for row in ROWS])
    pipe = Pipeline.from_spec({"image": [NORMALIZE], "batch": ["mixup"]})
    for batch in (images, images.numpy()):
        with pytest.raises(TypeError, match=r"default_collate makes one .* transposes them: use collate_fn=pipe"):
            pipe.batch(batch, labels, batch=0)
    with pytest.raises(TypeError, match="labels are a list of tensors"):
        SoftLabels(labels)
    assert pipe.batch(images, list(torch.tensor([2, 0, 1])), batch=0)[1].labels.tolist() == [2, 0, 1]
    assert pipe.batch(images, ROWS, batch=0)[1].labels.tolist() == ROWS
