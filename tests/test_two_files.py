"""A built-in regularizer with a layer is two files, one in `regularizers` and one in `nn`, and no entry elsewhere."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

PACKAGE = Path(__file__).parents[1] / "augreg"

LAYER = '''
"""A layer that scales at random."""

import torch
from torch import nn

__all__ = ["RandomScale"]


class RandomScale(nn.Module):
    """Multiplies each sample by 1 + std e, e ~ N(0, 1), in training."""

    def __init__(self, std: float = 0.1) -> None:
        super().__init__()
        self.std = std

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Any shape; the first dimension is the batch."""
        if not self.training:
            return x
        noise = torch.randn((x.shape[0], *(1 for _ in x.shape[1:])), dtype=x.dtype, device=x.device)
        return x * (1 + self.std * noise)

    def extra_repr(self) -> str:
        return f"std={self.std:g}"
'''
DECLARATION = '''
"""Random scaling, attached to modules."""

from typing import Annotated

from msgspec import Meta

from augreg.steps.declare import regularizer
from augreg.steps.selectors import At


@regularizer("random_scale", exact="the mean of the output", preview=({"at": "features.0", "std": 0.1},))
class RandomScaling:
    """Multiply the output of a module by a random number of mean 1."""

    at: At
    std: Annotated[float, Meta(ge=0)] = 0.1

    def numbers(self, site):
        return {"std": self.std}

    def attach(self, site):
        from augreg.nn.random_scale import RandomScale

        site.after(RandomScale(**self.numbers(site)))
'''
MEAN = ["the", "mean", "of", "the", "output"]
PROGRAM = """
import torch

import augreg
import augreg.nn

assert augreg.__file__.startswith({root!r}), augreg.__file__
assert issubclass(augreg.nn.RandomScale, torch.nn.Module)
model, x = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2)), torch.ones(3, 4)
plain = model.eval()(x)
spec = {{"model": [{{"random_scale": {{"at": "0", "std": {{"linear": [0.0, 0.5], "over": [0, 2]}}}}}}]}}
attached = augreg.Pipeline.from_spec(spec).regularize(model)
print(attached.report())
assert torch.equal(model.train()(x), plain)  # std is 0 at first
attached.set_epoch(2)
print(attached.report())
assert not torch.equal(model(x), model(x))
assert torch.equal(model.eval()(x), plain)
"""


def test_a_regularizer_with_a_layer_is_two_files(tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / "augreg")  # with its bytecode: nothing is compiled again
    (tmp_path / "augreg/nn/random_scale.py").write_text(LAYER)
    (tmp_path / "augreg/regularizers/random_scale.py").write_text(DECLARATION)
    program = PROGRAM.format(root=str(tmp_path))
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["module", "type", "rule", "numbers", "by", "test", "eval", "runs", "note", "exact"],
        ["0", "Linear", "random_scale", "std=0", "hook", "identity", "unchanged", "0", *MEAN],
        ["module", "type", "rule", "numbers", "by", "test", "eval", "runs", "note", "exact"],
        ["0", "Linear", "random_scale", "std=0.5", "hook", "identity", "unchanged", "1", *MEAN],
    ]
