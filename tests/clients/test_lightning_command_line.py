"""Lightning's command line takes a spec, or its path, for an argument that is a pipeline."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from augreg import Pipeline

pytest.importorskip("jsonargparse")
pytest.importorskip("lightning")

SPEC = {"image": ["rotate", {"horizontal_flip": {"p": 0.3}}], "batch": ["mixup"], "seed": 3, "classes": 5}


def test_lightning_takes_a_spec_on_its_command_line(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    script = tmp_path / "train.py"
    script.write_text(
        "import sys\n"
        "from augreg import Pipeline\n"
        "from lightning.pytorch import LightningDataModule, LightningModule\n"
        "from lightning.pytorch.cli import LightningCLI\n"
        "class Data(LightningDataModule):\n"
        "    def __init__(self, pipe: Pipeline, size: int = 2) -> None:\n"
        "        super().__init__()\n"
        "        self.pipe = pipe\n"
        "class Net(LightningModule):\n"
        "    pass\n"
        "trainer = ['--trainer.logger=false', '--trainer.accelerator=cpu', '--trainer.enable_checkpointing=false']\n"
        "cli = LightningCLI(Net, Data, run=False, args=['--data.pipe=spec.json', *trainer])\n"
        "print('fingerprint', cli.datamodule.pipe.fingerprint)\n"
    )
    root = str(Path(__file__).parents[2])
    code = f"import sys, runpy; sys.path.insert(0, {root!r}); runpy.run_path('train.py', run_name='__main__')"
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert f"fingerprint {Pipeline.from_spec(SPEC).fingerprint}" in done.stdout, done.stdout + done.stderr
