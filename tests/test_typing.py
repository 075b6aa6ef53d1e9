"""What mypy knows of a user's script. Torch is not analyzed here (pyproject.toml), so a tensor is Any."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

# A wrong call is marked by a type: ignore, which mypy --strict reports where there is nothing to ignore.
SCRIPT = """
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


def test_mypy_knows_what_a_users_script_gets(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    # with the cache of `make types`, which has the settings of the same file
    cache = ["--cache-dir", str(ROOT / ".mypy_cache")]
    mypy = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), *cache]
    env = {**os.environ, "MYPYPATH": str(ROOT)}
    done = subprocess.run([*mypy, str(script)], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
