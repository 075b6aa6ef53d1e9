"""`augreg apply` where something is in the way: long names, folders, other outputs, moved folders, a full disk."""

from __future__ import annotations

import errno
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from augreg.__main__ import main
from augreg.commands import write_copies
from augreg.images.folders import is_output


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    (folder / "cat").mkdir(parents=True)
    for name in ("a", "b", "cat/c"):
        Image.new("RGB", (9, 8), (10, 200, 90)).save(folder / f"{name}.png")
    (tmp_path / "spec.yaml").write_text("[rotate]")
    return folder


def apply(photos: Path, out: Path | None = None, *arguments: str) -> int:
    """The exit code of a run, which takes less than ten seconds."""
    start = time.perf_counter()
    out = out or photos.parent / "out"
    code = main(["apply", str(photos.parent / "spec.yaml"), str(photos), str(out), "--processes=1", *arguments])
    assert time.perf_counter() - start < 10
    return code


def written(out: Path) -> list[str]:
    return sorted(
        path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file() and path.suffix == ".png"
    )


ALL = ["a-0.png", "b-0.png", "cat/c-0.png"]


def test_a_name_that_becomes_too_long_stops_nobody(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also with --overwrite, and with masks; a name that is just short enough is written."""
    most = os.pathconf(photos, "PC_NAME_MAX")
    long, fits = "x" * (most - len(".png")), "y" * (most - len("-0.png"))
    for name in (long, fits):
        (photos / f"{name}.png").write_bytes((photos / "a.png").read_bytes())
    for arguments in ((), ("--overwrite",), ()):
        assert apply(photos, None, *arguments) == 1
        errors = capsys.readouterr().err
        assert (
            f"1 of 5 images failed:\n  {long}.png: its copies cannot be written: File name too long; give" in errors
        )
        assert errors.count(long) == 1
        assert written(photos.parent / "out") == sorted([*ALL, f"{fits}-0.png"])


def test_a_folder_in_the_place_of_a_copy_is_no_copy(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And a file in the place of a folder is no folder."""
    out = photos.parent / "out"
    assert apply(photos) == 0
    for path in (out / "a-0.png", out / "cat" / "c-0.png"):
        path.unlink()
    (out / "cat").rmdir()
    (out / "cat").write_text("a file")
    (out / "a-0.png").mkdir()
    for arguments in ((), ("--overwrite",)):
        capsys.readouterr()
        assert apply(photos, None, *arguments) == 1
        errors = capsys.readouterr().err
        assert "2 of 3 images failed" in errors
        assert "  a.png: a-0.png: cannot be written: Is a directory" in errors
        assert "  cat/c.png: c-0.png: cannot be written: " in errors
    assert written(out) == ["b-0.png"]
    (out / "a-0.png").rmdir()
    (out / "cat").unlink()
    assert apply(photos) == 0 and written(out) == ALL


def test_the_output_of_another_run_is_no_input(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = photos / "augmented", photos / "cat" / "again"
    assert apply(photos, first) == 0 and written(first) == ALL
    assert apply(photos, second) == 0 and written(second) == ALL
    errors = capsys.readouterr().err
    assert f"{first} is left out: augreg apply wrote it" in errors
    assert apply(photos, first, "--copies", "2") == 0 and len(written(first)) == 6
    assert f"{second} is left out" in capsys.readouterr().err
    assert main(["stats", str(photos), "--processes=1", "--quiet"]) == 0
    assert capsys.readouterr().out.startswith("3 images")
    (photos / "spec.yaml").write_text("[rotate]")
    assert apply(first, photos.parent / "third") == 0  # it was asked for
    (photos / "augmented" / "augreg.json").write_text("[rotate]")  # this is somebody's spec
    assert apply(photos, photos.parent / "fourth") == 0
    assert "augmented/a-0-0.png" in written(photos.parent / "fourth")


@pytest.mark.parametrize("replaced", [False, True])
def test_a_folder_that_is_moved_gets_no_double(
    photos: Path, replaced: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, moved = photos.parent / "out", photos.parent / "moved"
    original = write_copies.write

    def write(path: Path, data: bytes, below: Path | None) -> None:
        original(path, data, below)
        if path.name == "b-0.png":
            out.rename(moved)
            if replaced:
                out.mkdir()

    monkeypatch.setattr(write_copies, "write", write)
    assert apply(photos) == 1
    errors = capsys.readouterr().err
    assert errors.count("was moved, removed or replaced during the run") == 1 and "failed" not in errors
    assert written(moved) == ["a-0.png", "b-0.png"]
    assert not out.exists() or not any(out.iterdir())
    monkeypatch.undo()
    if replaced:
        out.rmdir()
    moved.rename(out)
    assert apply(photos) == 0 and written(out) == ALL


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_full_disk_is_said_once(
    photos: Path, number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for copy in range(20):
        (photos / f"more{copy}.png").write_bytes((photos / "a.png").read_bytes())
    original = Path.write_bytes

    def full(path: Path, data: Any) -> int:
        if path.parent.name == "out" and (path.parent / "a-0.png").exists():
            raise OSError(number, os.strerror(number), str(path))
        return original(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    assert apply(photos) == 1
    errors = capsys.readouterr().err
    assert errors.count(os.strerror(number)) == 1 and "failed" not in errors
    assert "run the command again to resume" in errors
    assert written(photos.parent / "out") == ["a-0.png"]
    monkeypatch.undo()
    assert apply(photos) == 0 and len(written(photos.parent / "out")) == 23


def test_a_full_disk_in_several_processes(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that is gone stands for it: the workers find it out by themselves, and it is said once."""
    from augreg.commands import parallel

    out = photos.parent / "out"
    job = write_copies.WriteCopies({"image": []}, "png", out=out, identity=(1, 2))
    tasks = [
        write_copies.Task(photos / "a.png", "a.png", None, ((0, out / f"{number}.png", None),)) for number in (1, 2)
    ]
    outcomes = list(parallel.run(job, tasks, 2))
    assert [outcome.stop for outcome in outcomes] == [True, True]
    assert all("was moved" in outcome.failure for outcome in outcomes)


EDITED: list[Any] = [
    [], 5, "text", None, {}, {"copies": 10**12}, {"copies": 2**31 - 1}, {"copies": -1}, {"copies": True},
    {"copies": "2"}, {"copies": None}, {"copies": [1]}, {"left_over": 5}, {"left_over": [5]}, {"left_over": {"a": 1}},
    {"left_over": None}, {"left_over": ["../spec.yaml", "/etc/passwd", "\x00"]}, {"made_with": []},
    {"made_with": None}, {"made_with": 5}, {"format": ["png"]}, {"format": {}}, {"side": []}, {"spec": 5},
    {"fingerprint": 5}, {"source": None}, {"epoch": "x" * 10**6},
]  # fmt: skip
BROKEN = [
    b"",
    b"{",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"copies": ' + b"9" * 10_000 + b"}",
    b'{"copies": NaN}',
    b"\x00" * 9,
]


@pytest.mark.parametrize("number", range(len(EDITED) + len(BROKEN)))
def test_an_edited_manifest(photos: Path, number: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Taken or refused in a line or two, and --overwrite makes it good."""
    out = photos.parent / "out"
    assert apply(photos, out, "--quiet") == 0
    manifest = out / "augreg.json"
    if number < len(EDITED):
        edited = EDITED[number]
        whole = {**json.loads(manifest.read_text()), **edited} if isinstance(edited, dict) and edited else edited
        manifest.write_text(json.dumps(whole))
    else:
        manifest.write_bytes(BROKEN[number - len(EDITED)])
    (out / "a-0.png").unlink()
    (out / "b-9999999999.png").write_bytes(b"somebody's")
    assert apply(photos, out, "--quiet") in (0, 2)
    errors = capsys.readouterr().err
    assert "Traceback" not in errors and len(errors) < 2_000
    assert apply(photos, out, "--quiet", "--overwrite") == 0
    assert set(ALL) <= set(written(out)) and (photos.parent / "spec.yaml").read_text() == "[rotate]"
    assert is_output(out)
    assert apply(photos, out, "--quiet") == 0
