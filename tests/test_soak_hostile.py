"""The long run of what is hostile: specs, files and plugins by the hundred, each lot in a process with limits.

The process may take 4 GB of address space and a few minutes; what it prints and how it ends is no surprise. `make
soak` runs every part; the suite runs the first of each.
"""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damaged import damaged
from PIL import Image
from test_bad_plugins import BAD, GOOD
from test_soak import parts

resource = pytest.importorskip("resource")
TESTS = Path(__file__).parent
MEMORY = 4 << 30


def limited(arguments: list[Any], seconds: int = 300, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python with limits. Raises TimeoutExpired."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, errors="surrogateescape",
        timeout=seconds, check=False, cwd=TESTS.parent, env={**os.environ, "OPENBLAS_NUM_THREADS": "1", **variables},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)),
    )  # fmt: skip


def unsurprised(done: subprocess.CompletedProcess[str], *codes: int) -> None:
    text = done.stdout + done.stderr
    assert done.returncode in codes, text[-3000:]
    assert "Traceback" not in text and "MemoryError" not in text, text[-3000:]
    assert all(line.isprintable() for line in text.split("\n")), text[-3000:]


@parts(100)
def test_hostile_specs(part: int) -> None:
    """10 specs a part, each in its time; the last number on stderr is that of the one that went wrong."""
    done = limited([TESTS / "hostile_specs.py", 10 * part, 10 * part + 10])
    assert done.returncode == 0, done.stderr[-3000:]
    counts = json.loads(done.stdout)
    assert counts["ran"] + counts["refused"] == 10 and counts["refused"]


_NAMES = ("", "\n", "\x1b[2J", "\u202e", "ü", "$(x)", "-", "'", '"', " ", "\udcff", "%s", "\\", "x" * 200)


def _good(path: Path, rng: random.Random) -> bool:
    Image.new("RGB", (rng.randrange(1, 40), rng.randrange(1, 40)), (9, 200, 7)).save(path, "PNG")
    return True


def _damaged(path: Path, rng: random.Random) -> bool | None:
    path.write_bytes(damaged(rng.randrange(10_000))[1])
    return None  # it may be good


def _socket(path: Path, rng: random.Random) -> bool:
    here = os.open(path.parent, os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(f"/proc/self/fd/{here}/{path.name[:80]}")
        Path(path.parent, path.name[:80]).rename(path)
    except OSError:  # another system
        path.write_bytes(b"")
    finally:
        os.close(here)
    return False


def _sparse(path: Path, rng: random.Random) -> bool:
    with path.open("wb") as file:
        file.truncate(1 << 40)
    return False


def _link(*targets: str) -> Callable[[Path, random.Random], bool]:
    def make(path: Path, rng: random.Random) -> bool:
        path.symlink_to(rng.choice(targets))
        return False

    return make


def _fifo(path: Path, rng: random.Random) -> bool:
    os.mkfifo(path)
    return False


def _empty(path: Path, rng: random.Random) -> bool:
    path.write_bytes(b"")
    return False


FILES = (
    _good,
    _good,
    _damaged,
    _socket,
    _sparse,
    _fifo,
    _empty,
    _link("/dev/zero", "/dev/tty", "/proc/kmsg", "nowhere"),
)


@parts(10)
def test_hostile_files(part: int, tmp_path: Path) -> None:
    """50 files a part, through `augreg apply`: the good ones are written, and the others listed, each in a line."""
    rng = random.Random(part)
    (tmp_path / "in").mkdir()
    good, bad = 0, 0
    for number in range(50):
        name = f"{number}{rng.choice(_NAMES)}"[: 255 - len(".png")]
        outcome = rng.choice(FILES)(tmp_path / "in" / f"{name}.png", rng)
        good, bad = good + (outcome is True), bad + (outcome is False)
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    spec = tmp_path / "spec.yaml"
    spec.write_text("- rotate\n- {resize: {size: [8, 8]}}\n")
    arguments = ["-m", "augreg", "apply", spec, tmp_path / "in", tmp_path / "out", "--processes=2", "--quiet"]
    done = limited(arguments)
    unsurprised(done, 1)
    before, _, after = done.stderr.partition(" of 50 images failed:\n")  # before: what libtiff says by itself
    listed = int(before.rpartition("\n")[2])
    assert len(after.strip().split("\n")) == listed, done.stderr
    assert str(tmp_path / "in") not in after
    copies = [path for path in (tmp_path / "out").iterdir() if path.suffix == ".png"]
    assert bad <= listed <= 50 - good and len(copies) == 50 - listed
    for path in copies:
        with Image.open(path) as image:
            assert image.size == (8, 8)
    unsurprised(limited(["-m", "augreg", "stats", tmp_path / "in", "--processes=1", "--quiet"]), 1)
    mean = np.lib.format.magic(1, 0) + b"\x40\x00{'descr': '<f8', 'fortran_order': False, 'shape': (99999, 99999, 3)}"
    (tmp_path / "mean.npy").write_bytes(mean.ljust(74, b" "))
    for target in ("mean.npy", "in", "fifo"):
        if target == "fifo":
            os.mkfifo(tmp_path / target)
        spec.write_text(f"- normalize: {{mean_image: {json.dumps(str(tmp_path / target))}}}\n")
        arguments[5] = tmp_path / f"out-{target}"
        unsurprised(limited([*arguments, "--overwrite"]), 1)


def _plugin(rng: random.Random, number: int) -> tuple[Mapping[str, str], str]:
    """The modules of a plugin, and its entry point."""
    name = rng.choice([*BAD, "good"])
    code = BAD.get(name, GOOD)
    if rng.random() < 0.5:
        code = (
            rng.choice(["print('[]')\n", "import warnings\nwarnings.warn('x' * 9)\n", "import os; os.chdir\n"]) + code
        )
    module = f"soak_{number}"
    if rng.random() < 0.3:
        return {module: code}, module
    fields = rng.choice([
        f"transforms={{'turn': '{module}:Turn'}}", f"modules=('{module}',)",
        f"regularizers={{'a\\n': '{module}:Turn'}}",
        f"backends={{'b': '{module}:Turn'}}", f"presets={{'p': '{module}:x.yaml'}}", "api=None", "transforms=5",
        f"policies={{'p': '{module}:GONE'}}", f"batch_transforms={{'turn': '{module}:Turn.__augreg__'}}",
    ])  # fmt: skip
    manifest = f"from augreg import Plugin\nPLUGIN = Plugin({fields})\n"
    return {module: code, f"manifest_{number}": manifest}, rng.choice(
        [f"manifest_{number}:PLUGIN", f"manifest_{number}:GONE"]
    )


@parts(10)
def test_hostile_plugins(part: int, tmp_path: Path) -> None:
    """50 plugins a part, all at once: lists, schema and doctor are data, and other steps work."""
    rng = random.Random(part)
    for number in range(50):
        modules, target = _plugin(rng, number)
        for module, code in modules.items():
            (tmp_path / f"{module}.py").write_text(code)
        info = tmp_path / f"soak_{number}-1.0.dist-info"
        info.mkdir()
        version = rng.choice(["1.0", "1\x1b[2J", "", "1.0\nName: other"])
        needs = rng.choice(["numpy", "gone"])
        metadata = f"Metadata-Version: 2.1\nName: soak-{number}\nVersion: {version}\nRequires-Dist: {needs}\n"
        (info / "METADATA").write_bytes(rng.choice([metadata.encode()] * 9 + [b"\xff\x00", b""]))
        point = f"[augreg.plugins]\n{rng.choice([f'soak{number}', 'soak', 'augreg', 'a b', ''])} = {target}\n"
        (info / "entry_points.txt").write_bytes(
            rng.choice([point.encode()] * 9 + [b"\xff\xfe\x00", b"[augreg.plugins\n"])
        )
    (tmp_path / "spec.yaml").write_text("- rotate\n- invert\n")
    installed = {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    for arguments, code in ((["list", "--json"], 0), (["schema"], 0), (["doctor", "--json"], 1)):
        done = limited(["-m", "augreg", *arguments], **installed)
        assert done.returncode == code, done.stderr[-3000:]
        assert json.loads(done.stdout)
        assert "Traceback" not in done.stderr, done.stderr[-3000:]
    unsurprised(limited(["-m", "augreg", "list"], PYTHONWARNINGS="ignore", **installed), 0)
    unsurprised(limited(["-m", "augreg", "doctor"], PYTHONWARNINGS="ignore", **installed), 1)
    unsurprised(limited(["-m", "augreg", "validate", tmp_path / "spec.yaml", "imagenet"], **installed), 0)
