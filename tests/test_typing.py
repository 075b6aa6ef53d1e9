"""What mypy knows of users' scripts, one of them of loaders with torch's own types, and of the README."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

ROOT = Path(__file__).parents[1]

# torch.utils.data is analyzed, and the rest of torch, which takes a minute, is Any
CONFIG = """
[mypy]
strict = True
python_version = 3.11
follow_imports = silent
[mypy-torch.*,lightning.*,torchdata.*,datasets.*,webdataset.*,sklearn.*,tqdm.*,cv2.*,simplejpeg.*]
ignore_missing_imports = True
follow_imports = skip
[mypy-torch.utils.data,torch.utils.data.dataset,torch.utils.data.dataloader,torch.utils.data.sampler]
follow_imports = silent
"""
# A wrong line is marked by a type: ignore, which mypy --strict reports where there is nothing to ignore.
PIPELINES = """
from typing import Any, assert_type
import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image
from torch import nn
import augreg
from augreg import Pipeline, SoftLabels, regularizers, transforms
from augreg.attachment.attach import Attachment
from augreg.batch.collate import Collate
from augreg.batch.mixture import Mixture
from augreg.execution.plan import Plan
from augreg.loss.criterion import Criterion
from augreg.nn import Dropout as Layer, relu_moments
from augreg.regularizers import LabelSmoothing
from augreg.transforms import CutMix, HorizontalFlip, OneOf, RandAugment, RandomCrop, Rotate

Array = NDArray[np.uint8]

def use(array: Array, image: Image, labels: NDArray[np.int64], model: nn.Module) -> None:
    pipe = Pipeline([HorizontalFlip(), "invert", {"rotate": 10}], batch=[CutMix()], loss=[LabelSmoothing(0.1)])
    assert_type(pipe, Pipeline)
    assert_type(Pipeline.from_spec("imagenet", seed=3).replace(backend="pillow"), Pipeline)
    assert_type(pipe.train(array, index=7, epoch=2), NDArray[Any])
    assert_type(pipe.train(image), Image | NDArray[Any])
    assert_type(pipe.train("photo.jpg", "photo.jpg"), NDArray[Any])
    assert_type(pipe.train({"image": image, "boxes": [[0, 0, 1, 1]]}), dict[Any, Any])
    assert_type(pipe.test(array), NDArray[Any])
    assert_type(pipe.test(image), Image | NDArray[Any])
    assert_type(pipe.test({"image": array}), dict[Any, Any])
    assert_type(pipe.train.plan((30, 40), index=7), Plan)
    assert_type(pipe.test.plan((30, 40)), Plan)
    assert_type(pipe.test.plan((30, 40)).run(array), NDArray[Any])
    assert_type(pipe.test.plan((30, 40)).run({"image": image}), dict[Any, Any])
    assert_type(pipe.test.explain(), str)
    assert_type(pipe.batch(array), Array)
    assert_type(pipe.batch(array, labels, keys=[1, "a"]), tuple[Array, SoftLabels])
    assert_type(pipe.batch({"image": array, "label": labels}), dict[Any, Any])
    assert_type(pipe.batch.test(array, labels), tuple[Array, NDArray[np.int64]])
    assert_type(pipe.batch.plan(8, (30, 40), batch=0), Mixture)
    assert_type(pipe.collate, Collate)
    assert_type(pipe.collate([(array, 1)]), tuple[Any, ...])
    assert_type(pipe.collate([{"image": array}]), dict[Any, Any])
    assert_type(pipe.criterion(reduction="sum"), Criterion)
    assert_type(pipe.regularize(model), Attachment)
    assert_type(augreg.regularize(model, [{"dropout": {"at": "*"}}]), Attachment)
    assert_type(transforms.RandAugment(), RandAugment)
    assert_type(regularizers.LabelSmoothing(0.1), LabelSmoothing)
    assert_type(Layer(0.5), Layer)
    Pipeline([RandomCrop(224, padding=4, fill="imagenet"), OneOf([Rotate(10), Rotate((-5.0, 5.0))])])
    assert_type(Rotate(10), Rotate)
    assert_type(regularizers.Dropout("head.*"), regularizers.Dropout)
    HorizontalFlip(1)  # type: ignore[call-arg]
    pipe.train(array, index=1.5)  # type: ignore[call-overload]
    pipe.train.plan(224)  # type: ignore[arg-type]
    HorizontalFlip(nothing=1)  # type: ignore[call-arg]
    Pipeline([HorizontalFlip()], [CutMix()])  # type: ignore[arg-type]
"""
LOADERS = """
from typing import Any, assert_type
from torch.utils.data import BatchSampler, ConcatDataset, DataLoader, Dataset, Sampler, Subset, random_split
import augreg
from augreg.data import Augmented, EpochSampler, folder
from augreg.training import Epochs

def use(pipe: augreg.Pipeline, samples: list[tuple[str, int]]) -> None:
    data, sampler = Augmented(samples, pipe.train), EpochSampler(samples)
    dataset: Dataset[Any] = data
    order: Sampler[Any] = sampler
    photos: Dataset[Any] = folder("photos")
    Augmented(photos, pipe.test)
    loader = DataLoader(data, batch_size=3, sampler=sampler, collate_fn=pipe.collate)
    assert_type(loader, DataLoader[Any])
    DataLoader(data, batch_sampler=EpochSampler(BatchSampler(range(8), 2, False)), collate_fn=pipe.collate)
    assert_type(Subset(data, [0]), Subset[Any])
    both: ConcatDataset[Any] = ConcatDataset([data, data])
    assert_type(random_split(data, [1, 2]), list[Subset[Any]])
    for _ in Epochs(2, sampler):
        pass
    number: int = data  # type: ignore[assignment]
    DataLoader(sampler, collate_fn=pipe.collate)  # type: ignore[arg-type]
    DataLoader(data, sampler=data, collate_fn=pipe.train)  # type: ignore[arg-type]
"""


def test_mypy_knows_what_users_scripts_get(tmp_path: Path) -> None:
    """One run of mypy for all: it takes four seconds to read this package."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    loaders = [block for block in blocks if "DataLoader(" in block]
    assert len(loaders) == 2
    (tmp_path / "pipelines.py").write_text(PIPELINES)
    (tmp_path / "loaders.py").write_text(LOADERS)
    (tmp_path / "readme.py").write_text("# mypy: allow-untyped-defs, allow-untyped-calls\n" + "\n\n".join(blocks))
    (tmp_path / "mypy.ini").write_text(CONFIG)
    mypy = [
        sys.executable,
        "-m",
        "mypy",
        "--config-file",
        "mypy.ini",
        "--cache-dir",
        str(ROOT / ".mypy_cache/loaders"),
    ]
    files = ["pipelines.py", "loaders.py", "readme.py"]
    env = {**os.environ, "MYPYPATH": str(ROOT)}
    done = subprocess.run([*mypy, *files], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
