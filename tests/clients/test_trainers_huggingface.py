"""The Trainer of transformers, on a small ViT: the loop of docs/trainers.md, interrupted and resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
from training_runs import CLASSES, Killed, Photos, example, of_vit, vit, watched, weights
from transformers import Trainer, TrainingArguments

from augreg import Pipeline
from augreg.data import Augmented
from augreg.data.huggingface import collator
from augreg.training.huggingface import Loss, Regularized

train = example("huggingface")["train"]
QUIET: dict[str, Any] = {"use_cpu": True, "report_to": "none", "disable_tqdm": True, "logging_strategy": "no"}


PIPE = of_vit()


@pytest.mark.parametrize("count", [24, 32], ids=["at the end of an epoch", "within an epoch"])
def test_a_resumed_run_ends_with_the_same_weights(count: int, tmp_path: Path) -> None:
    whole, photos = vit(), Photos(count)
    with watched(whole) as steps:
        train(PIPE, whole, photos, str(tmp_path / "whole"), **QUIET)
    killed = vit()
    with watched(killed, kill_at=7) as before, pytest.raises(Killed):
        train(PIPE, killed, photos, str(tmp_path / "killed"), **QUIET)
    resumed = vit()
    with watched(resumed) as after:
        train(PIPE, resumed, photos, str(tmp_path / "killed"), **QUIET)
    assert len(steps) == 3 * count // 8 and before == steps[:7]
    assert after == steps[6:]  # the last checkpoint was that of step 6
    assert weights(resumed) == weights(whole) != weights(vit())


def parts(pipe: Pipeline, model: Any) -> dict[str, Any]:
    """The arguments that augreg gives to a Trainer."""
    criterion = pipe.criterion()
    return {
        "data_collator": collator(pipe),
        "compute_loss_func": Loss(criterion, model),
        "callbacks": [Regularized(pipe.regularize(model), criterion)],
    }


def arguments(folder: Path, **more: Any) -> TrainingArguments:
    return TrainingArguments(str(folder), remove_unused_columns=False, save_strategy="no", **QUIET, **more)


def test_accumulated_batches_are_one_step_with_the_mean_of_all_images(tmp_path: Path) -> None:
    """By hand: the mean loss of 20 mixed images, in batches of 8, 8 and 4, and one penalty."""
    pipe = of_vit(model=[], loss=[{"label_smoothing": 0.1}, {"l2": 0.05}])
    model, photos = vit(), Photos(20)
    seen: list[Any] = []

    class Watched(Trainer):
        def training_step(self, model: Any, inputs: Any, *others: Any, **more: Any) -> Any:
            seen.append(inputs)
            return super().training_step(model, dict(inputs), *others, **more)

    before = vit()
    before.load_state_dict(model.state_dict())
    for layer in (*model.modules(), *before.modules()):
        if isinstance(layer, torch.nn.Dropout):
            layer.p = 0.0
    options: Any = {
        "per_device_train_batch_size": 8, "gradient_accumulation_steps": 3, "num_train_epochs": 1, "optim": "sgd",
        "learning_rate": 0.5, "lr_scheduler_type": "constant", "max_grad_norm": 0.0,
    }  # fmt: skip
    Watched(
        model, arguments(tmp_path, **options), train_dataset=Augmented(photos, pipe.train), **parts(pipe, model)
    ).train()
    assert [len(batch["labels"]) for batch in seen] == [8, 8, 4]
    before.train()
    logits = [before(batch["pixel_values"]).logits for batch in seen]
    target = torch.cat([0.9 * batch["labels"].dense(CLASSES) + 0.1 / CLASSES for batch in seen])
    loss = -(target * torch.cat(logits).log_softmax(1)).sum() / 20 + pipe.criterion().penalty(before)
    loss.backward()
    assert pipe.criterion().penalty(before) > 0.01
    for (name, after), start in zip(model.named_parameters(), before.parameters(), strict=True):
        wanted = start.detach() - 0.5 * start.grad
        assert torch.allclose(after, wanted, atol=2e-6), name


def test_evaluation_is_of_the_predictions_alone(tmp_path: Path) -> None:
    pipe, model, photos = of_vit(), vit(), Photos(20)

    def accuracy(found: Any) -> dict[str, float]:
        return {"accuracy": float((found.predictions.argmax(1) == found.label_ids).mean())}

    data = Augmented(photos, pipe.test)
    trainer = Trainer(
        model, arguments(tmp_path), eval_dataset=data, compute_metrics=accuracy, **parts(pipe, model)
    )  # fmt: skip
    found = trainer.evaluate()
    images = torch.stack([torch.as_tensor(image) for image, _ in data])
    labels = torch.tensor([label for _, label in data])
    with torch.no_grad():
        logits = model.eval()(images).logits
    assert found["eval_loss"] == pytest.approx(torch.nn.functional.cross_entropy(logits, labels).item(), abs=1e-5)
    assert found["eval_accuracy"] == pytest.approx((logits.argmax(1) == labels).float().mean().item())


def test_constraints_hold_after_the_steps_and_the_state_needs_no_callback_restoring(tmp_path: Path) -> None:
    model, photos = vit(), Photos(24)
    options = {**QUIET, "restore_callback_states_from_checkpoint": True, "learning_rate": 0.1}
    train(PIPE, model, photos, str(tmp_path), epochs=2, **options)
    norms = [weight.norm(dim=1).max() for name, weight in model.named_parameters() if name.endswith("mlp.fc1.weight")]
    assert norms and all(norm <= 0.9 * (1 + 1e-5) for norm in norms)
    again = vit()
    with watched(again) as steps:
        train(PIPE, again, photos, str(tmp_path), epochs=3, **options)
    assert len(steps) == 3  # those of the third epoch


def test_a_dataset_of_rows_without_keys_is_an_error_that_says_what_to_set(tmp_path: Path) -> None:
    table = datasets.Dataset.from_dict(
        {"image": [image for image, _ in map(Photos(8).__getitem__, range(8))], "label": [0, 1] * 4},
        features=datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")}),
    )
    model = vit()
    own = {"train_dataset": Augmented(table, PIPE.train), **parts(PIPE, model)}
    dropping = TrainingArguments(str(tmp_path), save_strategy="no", **QUIET)
    with pytest.raises(KeyError, match="remove_unused_columns=False"):
        Trainer(model, dropping, **own).train()
    Trainer(model, arguments(tmp_path, num_train_epochs=1), **own).train()


def test_what_a_loss_needs() -> None:
    with pytest.raises(ValueError, match="reduction='mean'"):
        Loss(PIPE.criterion(reduction="sum"), vit())
    loss = Loss(PIPE.criterion(), vit())
    with pytest.raises(ValueError, match=r"no labels.*collator\(pipe\).*label_names"):
        loss({"logits": torch.zeros(2, CLASSES)}, None)
    for outputs in (torch.zeros(2, CLASSES), (torch.zeros(2, CLASSES),), {"logits": torch.zeros(2, CLASSES)}):
        assert loss(outputs, torch.tensor([0, 1])) > 1.0
    with pytest.raises(TypeError, match="no logits; it has: 'last_hidden_state'"):
        loss({"last_hidden_state": torch.zeros(2, 3)}, torch.tensor([0, 1]))
