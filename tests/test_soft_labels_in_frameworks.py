"""Soft labels where frameworks expect a tensor, images without a label, and labels under several names."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - as everybody calls it

from augreg import Pipeline, SoftLabels

PIPE = Pipeline.from_spec({"image": ["normalize"], "batch": [{"mixup": {"pairing": "roll"}}], "classes": 3})
IDS = torch.tensor([2, 0, 1, 0])
SOURCES, WEIGHTS = [[0, 3], [1, 0], [2, 1], [3, 2]], [[0.7, 0.3], [0.6, 0.4], [0.9, 0.1], [0.5, 0.5]]
LOGITS = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))


def mixed(labels: Any = IDS, **options: Any) -> SoftLabels:
    return SoftLabels(labels, SOURCES, WEIGHTS, **options)


def test_it_has_the_shape_and_the_device_of_its_labels() -> None:
    one, rows = mixed(), mixed(torch.eye(4))
    assert one.shape == (4,) and one.ndim == 1 and one.size(0) == 4 and one.size() == one.labels.size()
    assert rows.shape == (4, 4) and rows.ndim == 2 and rows.size(-1) == 4 and rows.dtype == torch.float32
    assert one.device == torch.device("cpu") and one.dtype == torch.int64
    array = mixed(IDS.numpy())
    assert array.shape == (4,) and array.device == "cpu"


def test_a_dtype_converts_the_weights_and_never_the_ids() -> None:
    big = torch.tensor([2049, 4097, 3, 2**24 + 1])  # float16 and float32 hold none, or not all of them
    for target in ((torch.float16,), (torch.bfloat16,), ("cpu", torch.float16), (torch.empty(1).half(),)):
        half = mixed(big).to(*target)
        assert half.labels.equal(big) and half.sources.dtype == torch.int64
        assert half.weights.dtype in (torch.float16, torch.bfloat16)
    assert mixed(torch.eye(4)).to(dtype=torch.float16).labels.dtype == torch.float16
    assert mixed(torch.eye(4).bool()).to(torch.float16).labels.dtype == torch.bool
    assert mixed(IDS.numpy()).to("cpu", non_blocking=True).labels.equal(IDS)
    with pytest.raises(TypeError, match=r"weights of soft labels are floats, and cannot be torch\.int64"):
        mixed().to(torch.int64)
    wanted = F.cross_entropy(LOGITS, mixed().dense(3))
    low = F.cross_entropy(LOGITS.bfloat16(), mixed())  # the target follows the logits
    assert low.dtype == torch.bfloat16 and torch.isclose(low.float(), wanted, atol=0.02)


def test_a_metric_says_what_to_give_it() -> None:
    torchmetrics = pytest.importorskip("torchmetrics")
    for validate in (True, False):
        metric = torchmetrics.Accuracy(task="multiclass", num_classes=3, validate_args=validate)
        with pytest.raises((TypeError, AttributeError), match=r"labels\.expected_accuracy\(predictions\)"):
            metric(LOGITS, mixed())
        metric(LOGITS, mixed().labels)


def test_lightning_trains_in_pure_half_precision() -> None:
    lightning = pytest.importorskip("lightning")
    kinds = []

    class Model(lightning.LightningModule):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(12, 3)

        def training_step(self, batch: Any, number: int) -> Any:
            images, labels = batch
            assert isinstance(labels, SoftLabels) and labels.labels.equal(IDS)
            logits = self.layer(images.flatten(1))
            kinds.append((images.dtype, logits.dtype))
            return F.cross_entropy(logits, labels)

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 0.1)

    batch = PIPE.batch(torch.rand(4, 3, 2, 2), IDS, batch=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lightning.Trainer(
            max_epochs=1, accelerator="cpu", devices=1, logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, precision="bf16-true",
        ).fit(Model(), torch.utils.data.DataLoader([0], collate_fn=lambda _: batch))  # fmt: skip
    assert kinds == [(torch.bfloat16, torch.bfloat16)]


def by_hand(ids: list[int], smoothing: float, reduction: str, weight: Any = None) -> torch.Tensor:
    """Cross-entropy for each source by torch, which ignores -100, weighted and added."""
    rows = torch.tensor(ids)
    sources, weights = torch.tensor(SOURCES), torch.tensor(WEIGHTS)
    losses, known = torch.zeros(4), torch.zeros(4)
    for k in range(2):
        target = rows[sources[:, k]]
        # one target at a time: with probabilities, as torch has it
        for i in range(4):
            if target[i] != -100:
                row = F.one_hot(target[i : i + 1], 3).float()
                losses[i] += weights[i, k] * F.cross_entropy(
                    LOGITS[i : i + 1], row, weight, label_smoothing=smoothing
                )
                known[i] += weights[i, k]
    return losses if reduction == "none" else losses.sum() / known.sum() if reduction == "mean" else losses.sum()


@pytest.mark.parametrize("ids", [[2, -100, 1, 0], [-100, 0, -100, -100], [-100, -100, 1, -100]])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_an_image_without_a_label_counts_for_nothing(ids: list[int], smoothing: float, reduction: str) -> None:
    wanted = by_hand(ids, smoothing, reduction)
    for labels in (mixed(torch.tensor(ids)), mixed(np.array(ids))):
        found = F.cross_entropy(LOGITS, labels, label_smoothing=smoothing, reduction=reduction)
        assert torch.allclose(found, wanted, atol=1e-6)
        own = labels.smoothed(smoothing) if smoothing else labels
        assert torch.allclose(F.cross_entropy(LOGITS, own, reduction=reduction), wanted, atol=1e-6)
        assert torch.allclose(torch.nn.CrossEntropyLoss(reduction=reduction)(LOGITS, own), wanted, atol=1e-6)
        pipe = Pipeline.from_spec({"loss": [{"label_smoothing": smoothing}]})
        assert torch.allclose(pipe.criterion(reduction=reduction)(LOGITS, labels), wanted, atol=1e-6)


def test_what_is_ignored_elsewhere() -> None:
    labels = mixed(torch.tensor([2, -100, 1, 0]))
    assert torch.allclose(labels.dense(3).sum(1), torch.tensor([1.0, 0.4, 0.9, 1.0]))
    assert torch.allclose(labels.known, torch.tensor([1.0, 0.4, 0.9, 1.0])) and mixed().known is None
    assert labels.expected_accuracy(torch.tensor([2, 2, 1, 1])) == pytest.approx((0.7 + 0.4 + 0.9 + 0.5) / 3.3)
    terms = Pipeline.from_spec({"loss": [{"confidence_penalty": 0.5}]}).criterion()
    entropy = -(LOGITS.softmax(1) * LOGITS.log_softmax(1)).sum(1)
    assert torch.isclose(terms(LOGITS, labels), F.cross_entropy(LOGITS, labels) - 0.5 * entropy.mean(), atol=1e-6)
    assert PIPE.batch(torch.rand(4, 3, 4, 4), torch.tensor([2, -100, 1, 0]), batch=0)[1].known is not None
    with pytest.raises(ValueError, match="labels with -100, which is ignored, are a target of cross_entropy only"):
        F.binary_cross_entropy_with_logits(LOGITS, labels)
    with pytest.raises(ValueError, match="these soft labels contain -100"):
        Pipeline().criterion(multi_label=True)(LOGITS, labels)
    for ids in ([-1, 0], [-100, -2], [-100, 3]):
        with pytest.raises(ValueError, match=r"class ids start at 0|the ids of 3 classes"):
            SoftLabels(ids, classes=3)


def test_a_second_column_of_labels_is_mixed_by_its_name_or_refused() -> None:
    x, other = torch.rand(4, 3, 4, 4), torch.tensor([1, 1, 0, 2])
    for name in ("label_color", "color_label", "labels2"):
        batch = PIPE.batch({"image": x, "label": IDS, name: other, "index": other, "sample_id": other}, batch=0)
        assert isinstance(batch[name], SoftLabels) and batch[name].labels.equal(other)
        assert batch[name].weights.equal(batch["label"].weights) and batch[name].sources.equal(batch["label"].sources)
        assert batch["index"] is other and batch["sample_id"] is other
    for name in ("color", "target", "class"):
        for column in (other, other.tolist(), F.one_hot(other, 3), other.numpy()):
            with pytest.raises(ValueError, match=f"{name}: .* name it 'label_{name}' .* 'other_{name}'"):
                PIPE.batch({"image": x, "label": IDS, name: column}, batch=0)
    assert PIPE.batch({"image": x, "label": IDS, "other_color": other}, batch=0)["other_color"] is other
    unmixed = Pipeline.from_spec({"image": ["normalize"]})
    assert unmixed.batch({"image": x, "label": IDS, "color": other})["color"] is other
