"""`augreg apply` in shards where something is wrong: other outputs, damaged inputs, a full disk, two runs at once."""

from __future__ import annotations

import dataclasses
import errno
import os
import resource
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from sharded import SPEC, data_of, encoded, finished, write_tar, write_tars

from augreg import Pipeline
from augreg.__main__ import main
from augreg.sharding import begin as begin_module
from augreg.sharding.begin import Request, begin
from augreg.sharding.job import Task
from augreg.sharding.outcome import StopError
from augreg.sharding.shard import make_shard
from augreg.sharding.state import Failures, ShardRecord, State
from augreg.sharding.storage import Storage, open_storage


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a spec and 4 tars of 5 images each."""
    (tmp_path / "spec.yaml").write_text(SPEC)
    write_tars(tmp_path / "in", 4, 5)
    return tmp_path


def apply(place: Path, *more: str, out: str = "out", source: str = "in") -> int:
    return main(["apply", str(place / "spec.yaml"), str(place / source), str(place / out), "--processes=1", *more])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("other spec", "fingerprint was "),
        ("--shards=3", "shards was 4 and is 3"),
        ("--copies=2", "copies was 1 and is 2"),
        ("--epoch=1", "epoch was 0 and is 1"),
        ("--test", "side was train and is test"),
        ("--format=jpg", "format was png and is jpg"),
        ("--to=folder", "to was tar and is folder"),
        ("--columns=image=png", "named parts was {} and is {'image': 'png'}"),
        ("more input", "the input had 4 files and has 5"),
        ("other input", "the input has other tar files or names than before"),
    ],
)
def test_another_job_on_the_same_output_is_refused(
    change: str, said: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert apply(place) == 0
    (place / "out/.augreg/shards/000002.json").unlink()
    before = data_of(place / "out")
    if change == "other spec":
        (place / "spec.yaml").write_text("- invert\n")
    elif change == "more input":
        write_tar(place / "in/in-0009.tar", {"a.png": encoded(1)})
    elif change == "other input":
        (place / "in/in-0002.tar").rename(place / "in/in-0007.tar")
    assert apply(place, *[change] * change.startswith("-")) == 2
    assert said in (err := capsys.readouterr().err)
    assert "choose another folder, or remove this one" in err
    assert data_of(place / "out") == before and finished(place / "out") == {0, 1, 3}


def test_an_output_in_shards_and_one_without_are_not_mixed(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert apply(place) == 0
    (place / "images").mkdir()
    (place / "images/a.png").write_bytes(encoded(1))
    assert apply(place, source="images") == 2
    assert "contains the output of another run" in capsys.readouterr().err
    assert apply(place, source="images", out="plain") == 0
    assert apply(place, out="plain") == 2
    assert "was written by augreg apply without shards" in capsys.readouterr().err


def test_a_folder_of_something_else_is_left_alone(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "out").mkdir()
    (place / "out/letter.txt").write_text("dear")
    for more in ((), ("--dry-run",)):
        assert apply(place, *more) == 2
        assert "is not empty, and was not written by augreg apply" in capsys.readouterr().err
    assert [path.name for path in (place / "out").iterdir()] == ["letter.txt"]


def test_records_without_their_output_are_not_taken_for_it(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`rm out/*` leaves the hidden folder."""
    assert apply(place) == 0
    for path in (place / "out").glob("[!.]*"):
        path.unlink()
    for more in ((), ("--dry-run",)):
        assert apply(place, *more) == 2
        assert (
            "has the records of an output that is gone, in .augreg; remove .augreg as well" in capsys.readouterr().err
        )
    shutil.rmtree(place / "out/.augreg")
    assert apply(place) == 0 and apply(place, "--verify") == 0


def test_a_run_that_begins_while_another_has_begun_joins_it(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It saw no manifest, and then the shards of the other."""
    found = begin_module.read_manifest
    calls: list[Path] = []

    def late(storage: Storage) -> Any:
        before = found(storage)
        if not calls:
            calls.append(place)
            assert apply(place, "--part=1/2") == 0
        return before

    monkeypatch.setattr(begin_module, "read_manifest", late)
    assert apply(place, "--part=2/2") == 0
    assert finished(place / "out") == {0, 1, 2, 3}


@pytest.mark.parametrize("source", ["in", "in/in-0000.tar", "in/in-*.tar"])
def test_an_output_is_not_put_among_its_inputs(source: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert apply(place, out="in", source=source) == 2
    assert "contains the input; choose another folder" in capsys.readouterr().err
    assert len(list((place / "in").iterdir())) == 4


def test_an_output_inside_the_input_is_no_input(place: Path) -> None:
    assert apply(place, out="in/out") == 0
    assert apply(place, out="in/out") == 0
    assert apply(place, out="out") == 0
    assert data_of(place / "in/out") == data_of(place / "out")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("views: {a: {steps: [invert]}}\n", "augreg apply is for one image"),
        ("image: [invert]\ntargets: {clip: true}\n", "targets.clip: augreg apply is for images"),
    ],
)
def test_views_and_clips_are_refused(spec: str, said: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "spec.yaml").write_text(spec)
    assert apply(place) == 1
    assert said in capsys.readouterr().err
    assert not (place / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--part=0/3"], "expected I/N with I from 1 to N, such as 1/4, got '0/3'"),
        (["--part=4/3"], "got '4/3'"),
        (["--part=2"], "got '2'"),
        (["--columns=image"], "expected names such as image=jpg,label=cls"),
        (["--columns=image=a,image=b"], "each once"),
        (["--shards=0"], "expected a whole number from 1 to 1,000,000"),
        (["--shards=1000001"], "expected a whole number from 1 to 1,000,000"),
        (["--shards=2", "--overwrite"], "--overwrite is not for an output in shards"),
        (["--address=auto"], "add --engine ray"),
    ],
    ids=str,
)
def test_wrong_arguments(arguments: list[str], said: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        apply(place, *arguments)
    assert done.value.code == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (place / "out").exists()


@pytest.mark.parametrize("option", ["--no-masks", "--masks=masks"])
def test_masks_of_tars_are_no_files_of_a_folder(option: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert apply(place, option) == 2
    assert "--masks and --no-masks are for folders of images; here, --columns" in capsys.readouterr().err
    assert not (place / "out").exists()


def test_a_damaged_tar_fails_alone_and_is_made_once_it_is_whole(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = place / "in/in-0001.tar"
    whole = path.read_bytes()
    assert apply(place, out="whole") == 0
    path.write_bytes(whole[:2500] + b"\xff" * (len(whole) - 2500))  # its size says nothing
    capsys.readouterr()
    for _ in range(2):
        assert apply(place) == 1
        err = capsys.readouterr().err
        assert "1 shards failed, and are not finished:\n  shard 1: " in err and "in-0001.tar" in err
    assert finished(place / "out") == {0, 2, 3}
    assert "shard-000001.tar" not in data_of(place / "out")
    path.write_bytes(whole)
    assert apply(place) == 0
    assert data_of(place / "out") == data_of(place / "whole")


def test_which_parts_the_first_samples_have_is_found_anew(place: Path) -> None:
    """A label that was damaged in the first tar made all labels text; the same tar, repaired, is no other input."""
    path = place / "in/in-0000.tar"
    whole = path.read_bytes()
    assert apply(place, out="whole") == 0
    with tarfile.open(path) as tar:
        (label,) = (member.offset_data for member in tar if member.name == "0000-00001.cls")
    path.write_bytes(whole[:label] + b"?" + whole[label + 1 :])
    assert apply(place) == 0
    (place / "out/.augreg/shards/000000.json").unlink()
    path.write_bytes(whole)
    assert apply(place) == 0
    assert (place / "out/shard-000000.tar").read_bytes() == (place / "whole/shard-000000.tar").read_bytes()


def test_bad_images_are_listed_at_every_run_and_made_once_they_are_good(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = place / "images"
    folder.mkdir()
    for number in range(10):
        (folder / f"{number}.png").write_bytes(encoded(number))
    assert apply(place, "--shards=5", "--to=tar", source="images", out="whole") == 0
    (folder / "4.png").write_bytes(b"no image")
    capsys.readouterr()
    for _ in range(2):
        assert apply(place, "--shards=5", "--to=tar", source="images") == 1
        err = capsys.readouterr().err
        assert "1 images failed; --retry-failed makes their shards again:\n  4.png: not an image" in err
    assert finished(place / "out") == set(range(5))
    assert apply(place, "--shards=5", "--to=tar", "--verify", source="images") == 1
    assert "4.png: not an image" in capsys.readouterr().err
    times = {path.name: path.stat().st_mtime_ns for path in (place / "out").glob("*.tar")}
    (folder / "4.png").write_bytes(encoded(4))
    assert apply(place, "--shards=5", "--to=tar", "--retry-failed", source="images") == 0
    changed = [path.name for path in (place / "out").glob("*.tar") if path.stat().st_mtime_ns != times[path.name]]
    assert changed == ["shard-000002.tar"]
    assert data_of(place / "out") == data_of(place / "whole")
    assert apply(place, "--shards=5", "--to=tar", source="images") == 0


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_full_disk_is_said_once(
    number: int, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put = type(open_storage(str(place / "out"))).put

    def full(self: object, name: str, local_file: Path) -> None:
        if name == "shard-000002.tar":
            raise OSError(number, os.strerror(number), str(local_file))
        put(self, name, local_file)  # type: ignore[arg-type]

    monkeypatch.setattr("augreg.sharding.local_storage.LocalStorage.put", full)
    assert apply(place) == 1
    err = capsys.readouterr().err
    assert err.count(os.strerror(number)) == 1 and "run the command again to resume" in err
    assert sorted(data_of(place / "out")) == ["shard-000000.tar", "shard-000001.tar"]  # no temporary file
    assert finished(place / "out") == {0, 1}
    monkeypatch.undo()
    assert apply(place) == 0 and apply(place, out="whole") == 0
    assert data_of(place / "out") == data_of(place / "whole")


def test_a_file_that_must_not_grow_stands_for_a_full_disk(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The limit hits in the middle of a shard."""
    assert apply(place) == 0
    (place / "out/.augreg/shards/000003.json").unlink()
    (place / "out/shard-000003.tar").unlink()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, limits[1]))
    try:
        assert apply(place) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "cannot be written to: File too large" in capsys.readouterr().err
    assert finished(place / "out") == {0, 1, 2} and "shard-000003.tar" not in data_of(place / "out")
    assert apply(place) == 0 and apply(place, "--verify") == 0


def test_a_shard_that_another_run_makes_is_left_to_it(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert apply(place, "--part=1/2") == 0
    with open_storage(str(place / "out")).lock("000002"):
        assert apply(place) == 1
    assert "1 shards are being made by another run, the first of them shard 2" in capsys.readouterr().err
    assert finished(place / "out") == {0, 1, 3}
    assert apply(place) == 0 and finished(place / "out") == {0, 1, 2, 3}


def test_two_runs_at_once_make_the_whole(place: Path) -> None:
    """Whichever of them makes a shard; what one leaves to the other is said with exit code 1, and nothing else is."""
    write_tars(place / "many", 4, 60)
    arguments = ["apply", str(place / "spec.yaml"), str(place / "many"), str(place / "out"), "--shards=60"]
    command = [sys.executable, "-m", "augreg", *arguments, "--processes=1"]
    runs = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for run in runs:
        err = run.communicate(timeout=60)[1]
        assert run.returncode == 0 or (run.returncode == 1 and "are being made by another run" in err), err
    assert apply(place, "--shards=60", source="many") == 0 and apply(place, "--verify", source="many") == 0
    assert apply(place, "--shards=60", source="many", out="whole") == 0
    assert data_of(place / "out") == data_of(place / "whole")


@pytest.mark.parametrize("replaced", [False, True])
def test_an_output_that_is_moved_gets_no_double(
    replaced: bool, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write = State.write

    def moving(self: State, record: ShardRecord) -> None:
        write(self, record)
        if record.shard == 1:
            (place / "out").rename(place / "moved")
            if replaced:
                (place / "out").mkdir()

    monkeypatch.setattr(State, "write", moving)
    assert apply(place) == 1
    assert capsys.readouterr().err.count("was moved, removed or replaced during the run") == 1
    assert not (place / "out").exists() or not any((place / "out").iterdir())
    assert finished(place / "moved") == {0, 1}


def test_a_finished_shard_is_not_made_again_by_a_run_that_began_before(place: Path) -> None:
    """It looks for the record under the lock, and then reads nothing of the input."""
    pipe = Pipeline.from_spec(place / "spec.yaml")
    begun = begin(Request(pipe, str(place / "in"), str(place / "out"), "png"))
    task = next(begun.tasks())
    record = make_shard(begun.job, task)
    assert record is not None and record.images == 5
    unread = Task(task.shard, None)  # type: ignore[arg-type]
    assert make_shard(begun.job, unread) == record


def test_a_spec_that_a_worker_cannot_use_is_no_failure_of_the_images(place: Path) -> None:
    """Such as one with a plugin that another machine does not have."""
    begun = begin(Request(Pipeline.from_spec(place / "spec.yaml"), str(place / "in"), str(place / "out"), "png"))
    job = dataclasses.replace(begun.job, spec={**begun.job.spec, "image": [{"my_plugin.step": {}}]})
    with pytest.raises(StopError, match=r"the spec cannot be used in this process: .*my_plugin"):
        make_shard(job, next(begun.tasks()))
    assert finished(place / "out") == set()


def test_ctrl_c_leaves_nothing_half_written(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("augreg.sharding.outputs.tar.TarWriter.close", interrupt)
        assert apply(place) == 130
    assert data_of(place / "out") == {} and finished(place / "out") == set()
    assert apply(place) == 0


def test_an_output_that_is_a_file_is_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "out").write_text("a file")
    assert apply(place) == 2
    assert f"{place / 'out'}: cannot be written to: " in capsys.readouterr().err
    assert (place / "out").read_text() == "a file"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"shards": 4}', "5", "\x00"])
def test_an_edited_manifest_is_refused(text: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert apply(place) == 0
    (place / "out/augreg.json").write_text(text)
    for more in ((), ("--verify",), ("--dry-run",)):
        assert apply(place, *more) == 2
        assert "is not a manifest of augreg apply" in capsys.readouterr().err


def test_of_many_failures_the_first_are_printed(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tar(place / "bad.tar", {f"{number:02}.png": b"no image" for number in range(30)})
    for more in ((), ("--verify",)):
        assert apply(place, *more, source="bad.tar") == 1
        lines = capsys.readouterr().err.splitlines()
        start = next(number for number, line in enumerate(lines) if line.startswith("30 images failed"))
        assert [line.split(":")[0] for line in lines[start + 1 : start + 21]] == [f"  {key:02}" for key in range(20)]
        assert lines[start + 21] == "  and 10 more"


def test_the_first_failures_do_not_depend_on_the_order_of_shards() -> None:
    shards = [{f"shard {number}": "why" for number in range(start, start + 5)} for start in range(0, 40, 5)]
    for order in (shards, shards[::-1]):
        failures = Failures()
        for each in order:
            failures.add(each)
        assert failures.count == 40 and list(failures.first) == [f"shard {number}" for number in range(20)]


def test_failures_with_one_key_are_all_counted(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ("a.png", "b.png", "a.jpg", "c.png", "a.webp")
    write_tar(place / "twins.tar", {name: encoded(number) for number, name in enumerate(names)})
    assert apply(place, source="twins.tar") == 1
    err = capsys.readouterr().err
    assert "3 copies of 5 images written" in err and "2 images failed" in err
    assert "  a: the key is there twice" in err and "  a (image 5 of the shard): the key is there twice" in err


def test_half_written_files_go_once_all_shards_are_finished(place: Path) -> None:
    """Before, they may be those of a run that goes on."""
    assert apply(place, "--part=1/4") == 0
    half = place / "out/.12345678-1-00000000.augreg-part"
    half.write_bytes(b"half")
    assert apply(place, "--part=2/4") == 0 and half.exists()
    assert apply(place) == 0 and not half.exists()
    half.write_bytes(b"half")  # by a run that was killed after the last record
    assert apply(place) == 0 and not half.exists()
