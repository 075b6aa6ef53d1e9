"""The journal of a shard: what a stopped run made is not made again, and a damaged journal changes nothing."""

from __future__ import annotations

import errno
import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sharded import data_of, encoded, write_tar

from augreg import Pipeline
from augreg.sharding import shard
from augreg.sharding.begin import Request, begin
from augreg.sharding.journal import Copy, Journal
from augreg.sharding.shard import make_shard
from augreg.sharding.storage import open_storage

SPEC = "image: [horizontal_flip, {brightness: 0.4}]\ntargets: {boxes: xyxy}\n"
IMAGES = 6
JOURNAL = ".augreg/.000000.augreg-part"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a spec and a tar of 6 images with masks, boxes and labels, of which the third is none."""
    (tmp_path / "spec.yaml").write_text(SPEC)
    members = {}
    for image in range(IMAGES):
        about = {"boxes": [[1, 2, 3 + image, 9]], "labels": [image], "note": "é"}
        members |= {
            f"{image}.png": encoded(image) if image != 2 else b"no image",
            f"{image}.mask.png": encoded(50 + image),
            f"{image}.json": json.dumps(about).encode(),
        }
    write_tar(tmp_path / "in.tar", members)
    return tmp_path


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of the images whose copies are made, one for each copy."""
    keys: list[str] = []
    augment = shard.augment

    def counting(job: Any, sample: Any, first: int = 0) -> Iterator[Copy]:
        for copy in augment(job, sample, first):
            keys.append(sample.key)
            yield copy

    monkeypatch.setattr(shard, "augment", counting)
    return keys


def make(place: Path, out: str, to: str = "tar", most: int = IMAGES) -> None:
    """Make the only shard, or stop after so many images."""
    request = Request(
        Pipeline.from_spec(place / "spec.yaml"), str(place / "in.tar"), str(place / out), "png", to, copies=2
    )
    begun = begin(request)
    (task,) = begun.tasks()
    left = iter(range(most))
    record = make_shard(begun.job, task, lambda: next(left, None) is None)
    assert (record is None) == (most < IMAGES)
    if record is not None:
        assert (record.images, record.copies, list(record.failures)) == (6, 10, ["2"])


@pytest.mark.parametrize("to", ["tar", "folder", "parquet"])
def test_a_stopped_shard_goes_on_where_it_stopped(to: str, place: Path, made: list[str]) -> None:
    if to == "parquet":
        pytest.importorskip("pyarrow")
    make(place, "whole", to)
    assert made == ["0", "0", "1", "1", "3", "3", "4", "4", "5", "5"]
    for most, anew in ((4, ["0", "0", "1", "1", "3", "3"]), (5, ["4", "4"]), (IMAGES, ["5", "5"])):
        made.clear()
        make(place, "out", to, most)
        assert made == anew
    assert data_of(place / "out") == data_of(place / "whole")
    record = ".augreg/shards/000000.json"
    assert (place / "out" / record).read_bytes() == (place / "whole" / record).read_bytes()
    assert not (place / "out" / JOURNAL).exists()


def test_what_a_killed_run_left_half_written_goes_first(place: Path) -> None:
    """Of this shard and of its record. The files of other shards may be those of a run that goes on."""
    names = ["shard-000000.tar", ".augreg/shards/000000.json", "shard-000001.tar", ".augreg/shards/000001.json"]
    make(place, "out", most=3)
    storage = open_storage(str(place / "out"))
    half = [storage.temporary(name) for name in names]
    for path in half:
        path.write_bytes(b"half")
    make(place, "out")
    assert [path.exists() for path in half] == [False, False, True, True]


def test_an_image_that_changed_is_made_anew(place: Path, made: list[str]) -> None:
    make(place, "out", most=4)
    data = (place / "in.tar").read_bytes()
    (place / "in.tar").write_bytes(data.replace(b'"labels": [1]', b'"labels": [7]'))
    made.clear()
    make(place, "whole")
    made.clear()
    make(place, "out")
    assert made == ["1", "1", "4", "4", "5", "5"]
    assert data_of(place / "out") == data_of(place / "whole")


def test_what_was_made_for_another_job_is_not_taken(place: Path, made: list[str]) -> None:
    """The folder `.augreg` may be left of an output that was removed."""
    make(place, "out", most=4)
    (place / "out/augreg.json").unlink()
    (place / "spec.yaml").write_text(SPEC.replace("0.4", "0.5"))
    made.clear()
    make(place, "out")
    assert made == ["0", "0", "1", "1", "3", "3", "4", "4", "5", "5"]
    make(place, "whole")
    assert data_of(place / "out") == data_of(place / "whole")


def cut(data: bytes) -> bytes:
    """An entry that was written half."""
    return data[:-1]


def cut_in_a_header(data: bytes) -> bytes:
    """The same, and less of it."""
    return data + data[:20]


def flipped(data: bytes) -> bytes:
    """A bit in the last image that is there."""
    return data[:-30] + bytes([data[-30] ^ 1]) + data[-29:]


def zeros(data: bytes) -> bytes:
    """What a power cut may leave."""
    return data[: len(data) // 2] + bytes(len(data) - len(data) // 2)


def noise(data: bytes) -> bytes:
    """What no journal is."""
    return bytes(range(256)) * 8


@pytest.mark.parametrize("damage", [cut, cut_in_a_header, flipped, zeros, noise])
def test_a_damaged_journal_changes_nothing(damage: Callable[[bytes], bytes], place: Path, made: list[str]) -> None:
    make(place, "whole")
    make(place, "out", most=4)
    journal = place / "out" / JOURNAL
    journal.write_bytes(damage(journal.read_bytes()))
    made.clear()
    make(place, "out", most=5)
    assert (made[-2:] == ["4", "4"]) and len(made) == {cut: 3, cut_in_a_header: 2, flipped: 3}.get(damage, len(made))
    made.clear()
    make(place, "out")  # what was added after the damage is found
    assert made[-2:] == ["5", "5"] and "4" not in made
    assert data_of(place / "out") == data_of(place / "whole")


@pytest.mark.parametrize("way", ["folder", "link"])
def test_a_journal_that_cannot_be_opened_is_done_without(way: str, place: Path, made: list[str]) -> None:
    make(place, "whole")
    (place / "out/.augreg").mkdir(parents=True)
    (place / "letter.txt").write_text("dear")
    if way == "folder":
        (place / "out" / JOURNAL).mkdir()
    else:
        (place / "out" / JOURNAL).symlink_to(place / "letter.txt")
    make(place, "out")
    assert data_of(place / "out") == data_of(place / "whole")
    assert (place / "letter.txt").read_text() == "dear"


@pytest.mark.parametrize("short", [False, True])
def test_a_journal_for_which_there_is_no_room_takes_none(
    short: bool, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.FileIO):
        def write(self, data: Any) -> int:
            if short:
                return super().write(data[:9])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    make(place, "whole")
    monkeypatch.setattr("augreg.sharding.journal.io.FileIO", Full)
    make(place, "out", most=3)
    assert not (place / "out" / JOURNAL).exists()
    make(place, "out")
    assert data_of(place / "out") == data_of(place / "whole")


def test_a_journal_takes_no_room_on_a_disk_that_is_almost_full(
    place: Path, monkeypatch: pytest.MonkeyPatch, made: list[str]
) -> None:
    make(place, "whole")
    make(place, "out", most=4)
    assert (place / "out" / JOURNAL).exists()
    monkeypatch.setattr("augreg.sharding.local_storage.LocalStorage.free_bytes", lambda self: 1 << 29)
    made.clear()
    make(place, "out", most=4)
    assert not (place / "out" / JOURNAL).exists() and made == ["0", "0", "1", "1", "3", "3"]
    make(place, "out")
    assert data_of(place / "out") == data_of(place / "whole")


def test_targets_that_would_come_back_as_others_are_not_kept(tmp_path: Path) -> None:
    storage = open_storage(str(tmp_path))
    (tmp_path / ".augreg").mkdir()
    digest = bytes(range(32))
    kept = Copy(
        b"image", {"mask": b"m"}, {"boxes": [[0.1, 2, True, None]], "about": {"text": "\u20ac", "rle": b"\0"}}
    )
    others = ((1, 2), {1: 2}, 1j, 1 << 70, "\udc80")
    with Journal(storage, 0, digest) as journal:
        for view, other in enumerate(others, 1):
            journal.add(digest, view, Copy(b"", {}, {"x": other}))
            journal.add(digest, 100 + view, kept)
    with Journal(storage, 0, digest) as journal:
        found = journal.copy(digest, 101)
        assert found == kept and found is not None and type(found.targets["boxes"][0][2]) is bool
        assert not any(journal.copy(digest, view) for view in range(1, len(others) + 1))
