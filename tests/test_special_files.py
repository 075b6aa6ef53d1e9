"""Pipes, devices, sockets, folders and endless files, in every place where a file is read: refused at once."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from augreg import ImageError, Pipeline, SpecError
from augreg.__main__ import main
from augreg.images.files import read_file

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without pipes in the file system")


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _zero(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _socket(path: Path) -> None:
    made = socket.socket(socket.AF_UNIX)
    here = os.open(path.parent, os.O_RDONLY)  # the path of a socket may have 100 characters at most
    made.bind(f"/proc/self/fd/{here}/{path.name}" if sys.platform == "linux" else str(path))
    made.close()
    os.close(here)


def _linked_fifo(path: Path) -> None:
    os.mkfifo(path.with_name("pipe"))
    path.symlink_to(path.with_name("pipe"))


SPECIAL: dict[str, tuple[Callable[[Path], None], str]] = {
    "pipe": (_fifo, "not a file but a pipe"),
    "link to a pipe": (_linked_fifo, "not a file but a pipe"),
    "device": (_zero, "not a file but a device"),
    "socket": (_socket, "not a file but a socket"),
    "folder": (Path.mkdir, "Is a directory"),
}


@pytest.fixture(params=SPECIAL)
def special(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Callable[[str], Path], str]:
    """A function that makes a special file of this name, and what is said about it."""
    make, message = SPECIAL[request.param]

    def made(name: str) -> Path:
        make(tmp_path / name)
        return tmp_path / name

    return made, message


@pytest.mark.parametrize("suffix", [".yaml", ".json", ".toml"])
def test_as_a_spec(special: tuple[Callable[[str], Path], str], suffix: str) -> None:
    make, message = special
    with pytest.raises(SpecError, match=message):
        Pipeline.from_spec(make(f"spec{suffix}"))


def test_as_an_image(special: tuple[Callable[[str], Path], str]) -> None:
    make, message = special
    with pytest.raises(ImageError, match=message):
        Pipeline([]).train(make("photo.png"), index=0)


def test_as_a_mean_image(special: tuple[Callable[[str], Path], str]) -> None:
    make, message = special
    pipe = Pipeline.from_spec([{"normalize": {"mean_image": make("mean.npy")}}])
    with pytest.raises(ImageError, match=f"cannot be read as an array of numbers: {message}") as caught:
        pipe.train(np.zeros((4, 4, 3), np.uint8), index=0)
    assert str(caught.value).count("mean.npy") == 1


def test_as_an_image_and_a_mask_of_apply(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each is named with the reason, and the others are written."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("good", "masked"):
        Image.new("RGB", (9, 8)).save(folder / f"{name}.png")
    for name in ("pipe", "device", "socket"):
        SPECIAL[name][0](folder / f"{name}.png")
    _fifo(folder / "masked_mask.png")
    spec = tmp_path / "spec.yaml"
    spec.write_text("[horizontal_flip]")
    assert main(["apply", str(spec), str(folder), str(tmp_path / "out"), "--processes=1", "--quiet"]) == 1
    errors = capsys.readouterr().err
    assert "4 of 5 images failed" in errors
    for name in ("pipe", "device", "socket"):
        assert f"  {name}.png: cannot be read: {SPECIAL[name][1]}" in errors
    assert (
        "  masked.png: " in errors and "masked_mask.png: the mask cannot be read: not a file but a pipe\n" in errors
    )
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == ["augreg.json", "good-0.png"]
    assert main(["stats", str(folder), "--processes=1", "--quiet"]) == 1
    assert "pipe.png: cannot be read: not a file but a pipe" in capsys.readouterr().err


def test_as_the_manifest_of_apply(
    special: tuple[Callable[[str], Path], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, message = special
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    Image.new("RGB", (9, 8)).save(tmp_path / "in" / "good.png")
    (tmp_path / "spec.yaml").write_text("[horizontal_flip]")
    make("made").rename(tmp_path / "out" / "augreg.json")
    arguments = ["apply", *(str(tmp_path / name) for name in ("spec.yaml", "in", "out")), "--processes=1"]
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_as_the_spec_of_a_command(
    special: tuple[Callable[[str], Path], str], capsys: pytest.CaptureFixture[str]
) -> None:
    make, message = special
    path = make("spec.yaml")
    for command in ("validate", "explain"):
        assert main([command, str(path)]) == 2
        assert message in capsys.readouterr().err


def test_the_most_bytes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_file(path) == read_file(path, 5) == b"12345"
    with pytest.raises(OSError, match="more than 4 bytes"):
        read_file(path, 4)
    with path.open("r+b") as file:
        file.truncate(1 << 42)  # a sparse file, which says that it has 4 TiB
    with pytest.raises(ImageError, match="more than 1,073,741,824 bytes"):
        Pipeline([]).train(path, index=0)


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="a system without /proc")
def test_a_file_that_says_it_is_empty_is_read() -> None:
    """As those of /proc do."""
    assert Path("/proc/self/status").stat().st_size == 0
    assert read_file("/proc/self/status").startswith(b"Name:")
    with pytest.raises(OSError, match="more than 10 bytes"):
        read_file("/proc/self/status", 10)
