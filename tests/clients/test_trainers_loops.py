"""accelerate, Fabric and Lightning: the loops of docs/trainers.md, interrupted and resumed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from training_runs import Killed, Photos, example, network, pipeline, watched, weights

PIPE = pipeline()
QUIET = {
    "accelerator": "cpu",
    "devices": 1,
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


def by_accelerate(model: Any, photos: Photos, folder: Path) -> None:
    example("accelerate_loop")["train"](PIPE, model, photos, folder, cpu=True)


def by_fabric(model: Any, photos: Photos, folder: Path) -> None:
    from lightning.fabric import Fabric

    example("fabric_loop")["train"](Fabric(accelerator="cpu", devices=1), PIPE, model, photos, folder)


def by_lightning(model: Any, photos: Photos, folder: Path) -> None:
    from lightning.pytorch.callbacks import ModelCheckpoint

    names = example("lightning_trainer")
    names["train"](names["Classifier"](PIPE, model, photos), ModelCheckpoint(folder, save_last=True), **QUIET)


def compare(train: Callable[[Any, Photos, Path], None], photos: Photos, folder: Path, last: int) -> None:
    """A run that is killed at step 7 and resumed does the steps of a whole run from the checkpoint of step `last`."""
    whole, killed, resumed = network(), network(), network()
    torch.manual_seed(1)
    with watched(whole) as steps:
        train(whole, photos, folder / "whole")
    torch.manual_seed(1)
    with watched(killed, kill_at=7) as before, pytest.raises(Killed):
        train(killed, photos, folder / "killed")
    torch.manual_seed(2)  # the state is that of the checkpoint
    with watched(resumed) as after:
        train(resumed, photos, folder / "killed")
    assert len(steps) == 3 * len(photos) // 8 and before == steps[:7]
    assert after == steps[last:]
    assert weights(resumed) == weights(whole) != weights(network())


@pytest.mark.parametrize("count", [24, 32], ids=["at the end of an epoch", "within an epoch"])
@pytest.mark.parametrize("train", [by_accelerate, by_fabric])
def test_a_resumed_loop_ends_with_the_same_weights(train: Any, count: int, tmp_path: Path) -> None:
    compare(train, Photos(count), tmp_path, last=6)


@pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:Checkpoint directory .* is not empty")
def test_lightning_resumes_at_the_end_of_an_epoch(tmp_path: Path) -> None:
    compare(by_lightning, Photos(24), tmp_path, last=6)
