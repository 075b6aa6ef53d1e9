"""What comes after a training epoch: a validation loss that is not inflated, and weights that come back."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - as everybody calls it
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from augreg import Pipeline, SoftLabels
from augreg.training import BestSnapshot, EarlyStopping, recalibrate

LOGITS = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
IDS = torch.tensor([0, 2, 1, 1, 0])
SMOOTH = {"label_smoothing": {"smoothing": {"linear": [0.1, 0.3], "over": [0, 4]}}}


@pytest.mark.parametrize("steps", [[SMOOTH], [SMOOTH, {"confidence_penalty": 0.2}], [{"confidence_penalty": 0.2}]])
def test_in_evaluation_the_loss_is_that_of_the_predictions(steps: Any) -> None:
    criterion = Pipeline.from_spec({"loss": steps}).criterion()
    model = nn.ModuleList([nn.Linear(2, 2), criterion])  # as part of a model it follows its mode
    weights = [[1.0]] * 5
    for target in (IDS, F.one_hot(IDS, 3).float(), SoftLabels(IDS, [[i] for i in range(5)], weights)):
        training = criterion(LOGITS, target)
        model.eval()
        criterion.set_epoch(2)  # a schedule does not bring it back
        assert torch.isclose(criterion(LOGITS, target), F.cross_entropy(LOGITS, IDS))
        model.train()
        criterion.set_epoch(0)
        assert torch.equal(criterion(LOGITS, target), training) and not torch.isclose(
            training, F.cross_entropy(LOGITS, IDS)
        )
    several = Pipeline.from_spec({"loss": steps}).criterion(multi_label=True).eval()
    target = F.one_hot(IDS, 3).float()
    assert torch.isclose(several(LOGITS, target), F.binary_cross_entropy_with_logits(LOGITS, target))


def made(value: float) -> nn.Module:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    for tensor in model.state_dict().values():
        tensor.fill_(value)
    return model


def with_a_compiled_part(model: nn.Module) -> nn.Module:
    return nn.Sequential(Compiled(model[0]), model[1])  # type: ignore[index]


class Compiled(nn.Module):
    """Names its parameters as the module that torch.compile makes, whose import takes seconds."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self._orig_mod = model


WRAPS: list[Any] = [
    lambda model: model,
    Compiled,
    nn.DataParallel,
    AveragedModel,
    with_a_compiled_part,
    lambda model: nn.DataParallel(with_a_compiled_part(model)),
    lambda model: Compiled(nn.DataParallel(model)),
]


@pytest.mark.parametrize("saved", range(len(WRAPS)))
@pytest.mark.parametrize("loaded", range(len(WRAPS)))
def test_the_best_weights_go_into_a_model_that_is_wrapped_otherwise(saved: int, loaded: int) -> None:
    stopping = EarlyStopping()
    stopping.step(1.0, WRAPS[saved](made(3.0)))
    other = WRAPS[loaded](made(7.0))
    stopping.restore(other)
    values = {name: value for name, value in other.state_dict().items() if name != "n_averaged"}
    assert len(values) == 7 and all((value == 3).all() for value in values.values())


def test_a_state_of_another_model_is_still_an_error() -> None:
    best = BestSnapshot()
    best.update(1.0, nn.Linear(2, 2))
    with pytest.raises(RuntimeError, match="Missing key"):
        best.restore(made(1.0))
    average = AveragedModel(made(3.0))
    average.n_averaged += 5
    best = BestSnapshot()
    best.update(1.0, average)
    again = AveragedModel(made(7.0))
    best.restore(again)
    assert again.n_averaged == 5


class Image(nn.Module):
    """A convolution with batch norm, and a linear layer with batch norm, which takes no single image."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3))
        self.head = nn.BatchNorm1d(3)

    def forward(self, x: Tensor) -> Any:
        return self.head(self.body(x))


@pytest.mark.parametrize("noise", [False, True])
@pytest.mark.parametrize("sizes", [[8, 8, 1], [16, 1], [4, 12, 1], [10, 4, 2], [3, 3, 3, 3, 3, 2]])
def test_batches_of_any_sizes_give_the_statistics_of_all_images(sizes: list[int], noise: bool) -> None:
    torch.manual_seed(0)
    model, images = Image(), torch.randn(sum(sizes), 1, 6, 6)
    recalibrate(model, images.split(sizes), noise=noise)
    first = model.body[0](images).detach()
    assert torch.allclose(model.body[1].running_mean, first.mean((0, 2, 3)), atol=1e-6)
    joined = [*sizes[:-2], sizes[-2] + 1] if sizes[-1] == 1 else sizes
    parts = first.split(joined)
    variance = sum(len(part) * part.var((0, 2, 3)) for part in parts) / sum(sizes)
    assert torch.allclose(model.body[1].running_var, variance, atol=1e-6)
    assert {layer.momentum for layer in (model.body[1], model.head)} == {0.1}


def test_best_weights_without_a_validation_run(tmp_path: Any) -> None:
    lightning = pytest.importorskip("lightning")
    from augreg.training.lightning import BestWeights

    class Model(lightning.LightningModule):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def training_step(self, batch: Any, number: int) -> Any:
            return self.layer(batch).square().mean()

        def validation_step(self, batch: Any, number: int) -> None:
            self.log("val_loss", float("nan"))

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 0.1)

    data = torch.utils.data.DataLoader(torch.ones(4, 2), 2)  # type: ignore[arg-type]
    for validation, reason in ((None, "no validation was run"), (data, "none of 1 scores was finite")):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            model = Model()
            lightning.Trainer(
                max_epochs=1, accelerator="cpu", devices=1, logger=False, enable_checkpointing=False,
                enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
                callbacks=[BestWeights("val_loss")],
            ).fit(model, data, validation)  # fmt: skip
        assert any(f"as {reason}: the weights are those of the last epoch" in str(one.message) for one in told)
