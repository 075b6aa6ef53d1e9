"""Trials that are made again, bit for bit, also in another process: with augmentation, mixing and dropout."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

import torch
from recipe_tasks import digits, normalized_cnn
from torch import nn
from torch.utils.data import DataLoader

from augreg.data import Augmented, EpochSampler
from augreg.pipeline import Pipeline
from augreg.recipe import Task
from augreg.recipe.search import Study, TrainedTask, space_of

SPEC: dict[str, Any] = {
    "image": [
        {"affine": {"degrees": 10, "translate": [0.1, 0.1]}},
        {"cutout": {"size": 0.3, "p": 0.5}},
        {"normalize": {"mean": [0.3], "std": [0.24]}},
    ],
    "batch": [{"mixup": {"alpha": 0.2}}],
    "model": [{"dropout": {"at": "9", "p": 0.2}}],
    "loss": [{"label_smoothing": 0.1}],
    "classes": 10,
}
RANGES = {"learning_rate": "log [1e-3, 0.1]", "model[0].dropout.p": [0.0, 0.5]}
OF_IMAGES = {"batch[0].mixup.alpha": "log [0.05, 1]", "image[1].cutout.size": [0.1, 0.5]}


def model() -> nn.Module:
    return normalized_cnn(dropout=0.3)


def samples(side: int, count: int) -> list[Any]:
    images, labels = digits()[side]
    return list(zip((images[:count] * 30 + 80).clamp(0, 255).byte(), labels[:count].tolist(), strict=True))


def dataset() -> Task:
    return Task(model, samples(0, 60), samples(1, 30), spec=SPEC, batch_size=20)


def loaders(workers: int) -> Task:
    pipe = Pipeline.from_spec(SPEC)
    data = Augmented(samples(0, 60), pipe.train)
    train = DataLoader(data, 20, sampler=EpochSampler(data), collate_fn=pipe.collate, num_workers=workers)
    validation = DataLoader(Augmented(samples(1, 30), pipe.test), 20, collate_fn=pipe.collate)
    return Task(model, train, validation, spec=pipe)


def study(kind: str, folder: Path) -> Study:
    task = dataset() if kind == "dataset" else loaders(int(kind))
    ranges = {**RANGES, **(OF_IMAGES if kind == "dataset" else {})}
    trials = 1 if kind == "2" else 2  # workers take time to start
    return Study(TrainedTask(task, 2), space_of(task, ranges), trials, folder=folder / kind, pruner="none")


def again(kind: str, folder: Path) -> list[Any]:
    """The history and the weights of each trial, when it is run again."""
    found = []
    of = study(kind, folder)
    for trial in of.trials:
        run = of.run_again(trial.number)
        assert run.model is not None
        weights = b"".join(each.numpy().tobytes() for each in run.model.state_dict().values())
        found.append([run.history, hashlib.sha256(weights).hexdigest()])
    return found


KINDS = ("dataset", "0", "2")


@pytest.mark.skipif(sys.platform == "win32", reason="workers of functions of this file need fork")
def test_trials_are_made_again_bit_for_bit_in_another_process(tmp_path: Path) -> None:
    for kind in KINDS:
        study(kind, tmp_path).run()
    torch.rand(7)
    here = {kind: again(kind, tmp_path) for kind in ("dataset", "0")}
    here["2"] = here["0"][:1]  # the number of workers changes nothing
    for kind, found in here.items():
        assert [dict(trial.history) for trial in study(kind, tmp_path).trials] == [history for history, _ in found]
        assert len({weights for _, weights in found}) == len(found)
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import json, pathlib, torch, random\nimport test_search_again as here\n"
        "torch.rand(3), random.random()\n"
        f"folder = pathlib.Path({str(tmp_path)!r})\n"
        "print(json.dumps({kind: here.again(kind, folder) for kind in here.KINDS}))"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert there.returncode == 0, there.stderr
    assert json.loads(there.stdout.splitlines()[-1]) == here
