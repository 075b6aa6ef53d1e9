"""What mypy says of loaders in a user's script, with torch's own types of loaders, and of the README."""

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
SCRIPT = """
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


def test_datasets_and_samplers_are_those_of_torch(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    loaders = [block for block in blocks if "DataLoader(" in block]
    assert len(loaders) == 2
    (tmp_path / "script.py").write_text(SCRIPT)
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
    env = {**os.environ, "MYPYPATH": str(ROOT)}
    done = subprocess.run([*mypy, "script.py", "readme.py"], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
