"""Lightning resumes a run in the middle and at the end of an epoch: the same images, masks, schedules and weights."""

from __future__ import annotations

import functools
import runpy
import warnings
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
stateful = pytest.importorskip("torchdata.stateful_dataloader")
with warnings.catch_warnings():  # what Lightning's own imports warn of is not ours
    warnings.simplefilter("ignore")
    pytest.importorskip("lightning.pytorch")
    from lightning.pytorch.callbacks import ModelCheckpoint

from training_runs import Killed, Photos, network, pipeline, watched, weights  # noqa: E402

EXAMPLE = runpy.run_path(str(Path(__file__).parents[1] / "docs/examples/trainers/lightning_trainer.py"))
QUIET: dict[str, Any] = {
    "accelerator": "cpu", "devices": 1, "logger": False, "enable_progress_bar": False, "enable_model_summary": False,
}  # fmt: skip
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* is not empty"),
    pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step`"),
]


class Validated(EXAMPLE["Classifier"]):  # type: ignore[misc,name-defined]
    """With a validation pass, which draws from torch's generator between the epochs."""

    def val_dataloader(self) -> Any:
        return torch.utils.data.DataLoader([torch.zeros(3, 8, 8)] * 2)

    def validation_step(self, batch: Any, number: int) -> None:
        torch.rand(1)


@pytest.mark.parametrize(
    ("kind", "every", "last"),
    [
        ("Classifier", {}, 4),
        ("Validated", {}, 4),
        ("Classifier", {"every_n_train_steps": 4}, 4),
        ("Validated", {"every_n_train_steps": 3}, 6),
    ],
)
def test_a_resumed_run_is_an_uninterrupted_one(kind: str, every: Any, last: int, tmp_path: Path) -> None:
    pipe, cls = pipeline(), Validated if kind == "Validated" else EXAMPLE["Classifier"]

    def fit(model: Any, folder: Path, seed: int) -> None:
        torch.manual_seed(seed)
        module = cls(pipe, model, Photos(32), stateful.StatefulDataLoader)
        EXAMPLE["train"](module, ModelCheckpoint(folder, save_last=True, **every), **QUIET)

    whole, killed, resumed = network(), network(), network()
    with watched(whole) as steps:
        fit(whole, tmp_path / "whole", 1)
    with watched(killed, kill_at=7) as before, pytest.raises(Killed):
        fit(killed, tmp_path / "killed", 1)
    with watched(resumed) as after:
        fit(resumed, tmp_path / "killed", 2)
    assert len(steps) == 12 and before == steps[:7]
    assert after == steps[last:] and weights(resumed) == weights(whole)


@pytest.mark.parametrize("saved", [{}, {"every_n_train_steps": 4}])
def test_workers_begin_in_the_epoch_after_a_checkpoint(saved: Any, tmp_path: Path) -> None:
    """Lightning begins the loader before it goes on to the next epoch, and workers load at once."""
    pipe, loader = pipeline(), functools.partial(torch.utils.data.DataLoader, num_workers=1)

    def fit(folder: Path, epochs: int) -> Any:
        model = network()
        torch.manual_seed(1)
        module = EXAMPLE["Classifier"](pipe, model, Photos(32), loader)
        with watched(model) as steps:
            EXAMPLE["train"](module, ModelCheckpoint(folder, save_last=True, **saved), epochs, **QUIET)
        return steps

    assert fit(tmp_path, 1) + fit(tmp_path, 2) == fit(tmp_path / "whole", 2)
