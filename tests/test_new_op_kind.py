"""A new kind of op is added in three places: its record, its kernel, and its oracle in the tests; nothing else.

Each case adds one kind to a copy of the package and runs the conformance kit, with masks, boxes and keypoints, on
both backends. The kernel is written once, in the table of Pillow: the table of OpenCV starts from it.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import augreg

BACKENDS = ["pillow", *(["opencv"] if importlib.util.find_spec("cv2") else [])]

STILL = {
    "augreg/ops/scanlines.py": '''
from augreg.ops.op import Op

class Scanlines(Op, frozen=True, eq=False):
    """Darken every other row."""

    factor: float
''',
    "augreg/backends/pillow.py": """
from augreg.ops.scanlines import Scanlines

def _scanlines(op, image):
    out = image.copy()
    dark = image[1::2] * np.float32(op.factor)
    out[1::2] = np.rint(dark) if image.dtype == np.uint8 else dark
    return out

KERNELS[Scanlines] = _scanlines
""",
    "oracle.py": """
from augreg.ops.scanlines import Scanlines

def _scanlines(op, image, white):
    factors = [op.factor if y % 2 else 1.0 for y in range(len(image))]
    return image * np.array(factors)[:, None, None]

_MEANINGS[Scanlines] = _scanlines
""",
}
MOVING = {
    "augreg/ops/columns.py": '''
from augreg.ops.op import Op

class Columns(Op, frozen=True, eq=False):
    """Keep every n-th column."""

    step: int

    def size_after(self, height, width):
        return height, -(-width // self.step)

    def point_map(self, height, width):
        return 1 / self.step, 0.0, 0.5 - 0.5 / self.step, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0
''',
    "augreg/backends/pillow.py": """
from augreg.ops.columns import Columns

KERNELS[Columns] = lambda op, image: np.ascontiguousarray(image[:, :: op.step])
""",
    "oracle.py": """
from augreg.ops.columns import Columns

def _columns(op, image, white):
    height, width = op.size_after(*image.shape[:2])
    out = np.empty((height, width, image.shape[2]))
    for y, x in np.ndindex(height, width):
        out[y, x] = image[y, op.step * x]
    return out

_MEANINGS[Columns] = _columns
""",
}
DRAWS = {
    "still": (STILL, "from augreg.ops.scanlines import Scanlines as Kind", "color", "rng.uniform(0.2, 0.9)"),
    "moving": (MOVING, "from augreg.ops.columns import Columns as Kind", "geometry", "2 + rng.bernoulli(0.5)"),
}
CHECK = '''
import os
import sys

import numpy as np

import augreg.pipeline
import oracle
from augreg import Pipeline, Registry, transform
from augreg.testing import check_transform
{kind}

augreg.pipeline.choose = lambda name, _: os.environ["BACKEND"] if name == "auto" else name

@transform("new_kind", kind="{family}")
class NewKind:
    """Draw an op of the new kind."""

    def sample(self, rng, scene):
        return Kind({drawn})

if __name__ == "__main__":
    for name in sys.argv[1:]:
        os.environ["BACKEND"] = name  # the kit spawns processes, which inherit it
        pipe = Pipeline.from_spec(
            {{"image": ["new_kind"], "targets": {{"boxes": "xyxy"}}}}, Registry.installed().add(NewKind)
        )
        assert pipe.backend == name
        image = np.random.default_rng(0).integers(0, 256, (24, 31, 3), dtype=np.uint8)
        for pixels in (image, (image / 255).astype(np.float32)):
            (op,) = pipe.train.plan((24, 31), 1, dtype=str(pixels.dtype)).ops
            assert type(op) is Kind
            result = pipe.train.engine.apply(op, pixels)
            assert np.allclose(result, oracle.run(op, pixels), rtol=0, atol=0.5 if pixels.dtype == np.uint8 else 1e-6)
        sample = {{"image": image, "mask": image[..., 0], "boxes": [[2, 3, 20, 21]], "keypoints": [[12.5, 9.5]]}}
        after = pipe.train(sample, 1)
        assert after["keypoints"][0][1] == 9.5 and after["mask"].shape == after["image"].shape[:2]
        assert (after["image"].shape == image.shape) == ("{family}" == "color")
        assert (after["boxes"] == sample["boxes"]) == ("{family}" == "color")
        check_transform(NewKind)
        print("passed on", name)
    print(augreg.__file__)
'''


@pytest.mark.parametrize("case", DRAWS)
def test_a_new_kind_of_op_passes_the_kit_with_targets(case: str, tmp_path: Path) -> None:
    added, kind, family, drawn = DRAWS[case]
    assert len(added) <= 3
    package = Path(augreg.__file__).parent
    shutil.copytree(package, tmp_path / "augreg")  # with its bytecode: to compile it again takes half a second
    shutil.copy(Path(__file__).parent / "oracle.py", tmp_path)
    for name, code in added.items():
        path = tmp_path / name
        path.write_text((path.read_text() if path.exists() else "from __future__ import annotations\n") + code)
    (tmp_path / "check.py").write_text(CHECK.format(kind=kind, family=family, drawn=drawn))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "check.py", *BACKENDS],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    *passed, where = done.stdout.splitlines()
    assert passed == [f"passed on {name}" for name in BACKENDS] and where.startswith(str(tmp_path))
