"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from augreg.files.whole_files import whole_file


def test_a_block_that_fails_leaves_the_file_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("before")
    with pytest.raises(OSError, match="disk full"), whole_file(path) as part:
        part.write_text("half")
        raise OSError("disk full")
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]


def test_a_link_and_permissions_stay(tmp_path: Path) -> None:
    path, link = tmp_path / "epoch-3.pt", tmp_path / "last.pt"
    path.write_text("before")
    path.chmod(0o640)
    link.symlink_to(path.name)
    with whole_file(link) as part:
        part.write_text("after")
    assert link.is_symlink() and path.read_text() == "after" and path.stat().st_mode & 0o777 == 0o640


def test_what_is_no_file_is_written_to_itself(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    with whole_file(pipe) as part:
        part.write_text("all")
    reader.join()
    assert read == ["all"] and pipe.is_fifo()
    with pytest.raises(IsADirectoryError), whole_file(tmp_path) as part:
        part.write_text("")
