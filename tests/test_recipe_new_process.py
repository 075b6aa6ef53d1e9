"""What a new process does: the same bits, for trials that are made again and for runs; and it writes nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

import test_recipe_kills
import torch
from recipe_tasks import digits, normalized_cnn
from torch import nn
from torch.utils.data import DataLoader

from augreg.data import Augmented, EpochSampler
from augreg.pipeline import Pipeline
from augreg.recipe import Task
from augreg.recipe.search import Study, TrainedTask, space_of

TESTS = Path(__file__).parent
KINDS = ("dataset", "0", "2")
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


pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(sys.platform == "win32", reason="workers of a loader in a test need fork"),
]


def model() -> nn.Module:
    return normalized_cnn(dropout=0.3)


def samples(side: int, count: int) -> list[Any]:
    images, labels = digits()[side]
    return list(zip((images[:count] * 30 + 80).clamp(0, 255).byte(), labels[:count].tolist(), strict=True))


def dataset() -> Task:
    return Task(model, samples(0, 40), samples(1, 20), spec=SPEC, batch_size=20)


def loaders(workers: int) -> Task:
    pipe = Pipeline.from_spec(SPEC)
    data = Augmented(samples(0, 40), pipe.train)
    train = DataLoader(data, 20, sampler=EpochSampler(data), collate_fn=pipe.collate, num_workers=workers)
    validation = DataLoader(Augmented(samples(1, 20), pipe.test), 20, collate_fn=pipe.collate)
    return Task(model, train, validation, spec=pipe)


def study(kind: str, folder: Path) -> Study:
    task = dataset() if kind == "dataset" else loaders(int(kind))
    ranges = {**RANGES, **(OF_IMAGES if kind == "dataset" else {})}
    trials = 1 if kind == "2" else 2  # workers take time to start
    return Study(TrainedTask(task, 2), space_of(task, ranges), trials, folder=folder / kind, pruner="none")


def again(folder: Path) -> dict[str, Any]:
    """The history of each trial, and the sum of the weights, when it is run again."""
    found: dict[str, Any] = {}
    for kind in KINDS:
        runs = [study(kind, folder).run_again(number) for number in range(len(study(kind, folder).trials))]
        weights = [sum(float(each.double().sum()) for each in run.model.state_dict().values()) for run in runs]  # type: ignore[union-attr]
        found[kind] = [[run.history for run in runs], weights]
    return found


CODE = """
import json, pathlib, random, sys
sys.path.insert(0, {tests!r})
import torch
import test_recipe_kills, test_recipe_new_process
torch.rand(3), random.random()
found = test_recipe_new_process.again(pathlib.Path({studies!r}))
print(json.dumps([found, test_recipe_kills.run(pathlib.Path("run"))]))
"""


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Where the other process is: its own folder, its home, and so on, which are empty; and the studies."""
    return {name: tmp_path_factory.mktemp(name) for name in ("cwd", "home", "temporary", "studies")}


@pytest.fixture(scope="module")
def there(places: dict[str, Path]) -> Any:
    """What another process has found."""
    for kind in KINDS:
        study(kind, places["studies"]).run()
    variables = {"HOME": places["home"], "TMPDIR": places["temporary"]}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "MPL", "TORCH"))}
    process = subprocess.run(
        [sys.executable, "-c", CODE.format(tests=str(TESTS), studies=str(places["studies"]))],
        cwd=places["cwd"],
        env={**kept, **{name: str(path) for name, path in variables.items()}, "PYTHONPATH": str(TESTS.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout.splitlines()[-1])


def test_trials_are_made_again_bit_for_bit(there: Any, places: dict[str, Path]) -> None:
    for kind, (histories, weights) in there[0].items():
        assert [dict(trial.history) for trial in study(kind, places["studies"]).trials] == histories
        assert len(set(weights)) == len(histories)
    assert there[0]["2"][0] == there[0]["0"][0][:1]  # the number of workers changes nothing
    torch.rand(7)
    run = study("dataset", places["studies"]).run_again(1)
    assert run.model is not None
    assert sum(float(each.double().sum()) for each in run.model.state_dict().values()) == there[0]["dataset"][1][1]


def test_a_run_has_the_same_results(there: Any) -> None:
    assert there[1] == json.loads(json.dumps(test_recipe_kills.run(None)))


def test_nothing_is_written_outside_of_the_folder(there: Any, places: dict[str, Path]) -> None:
    found = {name: sorted(each.name for each in places[name].iterdir()) for name in ("cwd", "home", "studies")}
    assert found == {"cwd": ["run"], "home": [], "studies": sorted(KINDS)}
    assert not [each for each in places["temporary"].rglob("*") if each.is_file()]  # torch makes a folder
    folders = sorted(each.name for each in (places["cwd"] / "run").iterdir() if each.is_dir())
    assert folders == ["4-coarse-search", "5-fine-search", "6-curves", "7-advice"]
