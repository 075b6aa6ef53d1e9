"""Rooms import from lower floors only, and no modules import one another: lazily, for types, or in a function."""

from __future__ import annotations

import shutil
from pathlib import Path

from walls import FLOORS, circles, files, room, upward

PACKAGE = Path(__file__).parents[1] / "augreg"


def test_every_room_has_a_floor_and_every_floor_a_room() -> None:
    rooms = {room(module) for module in files(PACKAGE)} - {"__init__"}
    assert rooms == {room for rooms in FLOORS for room in rooms}
    modules = {path.name for path in PACKAGE.glob("*.py")}
    known = "__init__ __main__ errors lazy notebook pipeline rng sides"
    assert modules == {f"{name}.py" for name in known.split()}


def test_rooms_import_from_lower_floors_only() -> None:
    assert upward(PACKAGE) == []


def test_no_modules_import_one_another() -> None:
    assert circles(PACKAGE) == []


def test_a_broken_copy_is_found_out(tmp_path: Path) -> None:
    """Upwards at the top, in a function, for types, relatively, from the package itself; and a circle in one room."""
    copy = tmp_path / "augreg"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "plugins", "presets"))
    for path, line in {
        "ops/scene.py": "from augreg.images import buffers",
        "backends/pillow.py": "def lazily():\n    from augreg.pipeline import Pipeline",
        "targets/boxes.py": "if TYPE_CHECKING:\n    import augreg.commands.listing",
        "ops/op.py": "from augreg.ops.geometry import Move",
        "ops/noise.py": "from ..pipeline import Pipeline",
        "images/codecs.py": "from augreg import Pipeline",
        "images/buffers.py": "import augreg",
    }.items():
        (copy / path).write_text((copy / path).read_text() + f"\n{line}\n")
    assert upward(copy) == [
        "backends.pillow imports pipeline",
        "images.buffers imports __init__",
        "images.codecs imports __init__",
        "ops.noise imports pipeline",
        "ops.scene imports images.buffers",
        "targets.boxes imports commands.listing",
    ]
    assert circles(copy) == [["ops.geometry", "ops.op"]]
