"""docs/coming-from-torchvision.md and docs/coming-from-timm.md: their tables are what the importers do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from torchvision.models import ResNet50_Weights

import augreg

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_the_tables_are_what_the_importer_does(library: str) -> None:
    """`python tools/coming_from_torchvision.py` writes them anew."""
    script = ROOT / f"tools/coming_from_{library}.py"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, str(script), "--check"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_evaluation_on_the_page_is_that_of_the_weights() -> None:
    shown = {"image": [{"resize": {"shorter": 232}}, {"center_crop": 224}, {"normalize": "imagenet"}]}
    assert str(shown["image"])[1:-1].replace("'", '"') in (ROOT / "docs/coming-from-torchvision.md").read_text()
    spec, report = augreg.from_torchvision(ResNet50_Weights.IMAGENET1K_V2)
    assert not report
    photo = augreg.data.sample_photo()
    ours = augreg.Pipeline.from_spec({**shown, "backend": "pillow"}).test(photo)
    assert (augreg.Pipeline.from_spec(spec).replace(output="numpy").test(photo) == ours).all()
