"""`augreg apply` in shards: what is in them, that parts and kills change nothing, the dry run, and --verify."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sharded import SPEC, data_of, encoded, finished, run_killed, write_tar, write_tars

from augreg import Pipeline
from augreg.__main__ import main
from augreg.sharding.records import Sample
from augreg.sharding.shard import input_digest


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a spec and 3 tars of 8 images each."""
    (tmp_path / "spec.yaml").write_text(SPEC)
    write_tars(tmp_path / "in", 3, 8)
    return tmp_path


def apply(place: Path, *more: str, out: str = "out") -> int:
    return main(["apply", str(place / "spec.yaml"), str(place / "in"), str(place / out), "--processes=1", *more])


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]


def test_shards_hold_what_the_pipeline_makes_at_the_key_of_each_image(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert apply(place, "--copies=2", "--epoch=3") == 0
    assert "48 copies of 24 images written" in capsys.readouterr().err
    assert sorted(data_of(place / "out")) == [f"shard-00000{number}.tar" for number in range(3)]
    found = members(place / "out/shard-000001.tar")
    pipe = Pipeline.from_spec(place / "spec.yaml")
    for image in range(8):
        key = f"0001-{image:05d}"
        for copy in (0, 1):
            want = pipe.train(encoded(8 + image), index=key, epoch=3, view=copy)
            np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(found[f"{key}-{copy}.png"]))), want)
            assert found[f"{key}-{copy}.cls"] == b"%d" % image
    assert len(found) == 32


def test_test_side_makes_one_copy_under_the_name_of_the_image(place: Path) -> None:
    assert apply(place, "--test") == 0
    found = members(place / "out/shard-000000.tar")
    want = Pipeline.from_spec(place / "spec.yaml").test(encoded(3))
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(found["0000-00003.png"]))), want)


@pytest.mark.parametrize("shards", [1, 2, 5, 12])
def test_parts_in_any_order_are_the_whole(shards: int, place: Path) -> None:
    """With fewer shards than tars, and with more, so that several shards share a tar."""
    assert apply(place, f"--shards={shards}", out="whole") == 0
    whole = data_of(place / "whole")
    assert len(whole) == shards
    assert sum(len(members(place / "whole" / name)) for name in whole) == 48
    for part in (3, 1, 2):
        assert apply(place, f"--shards={shards}", f"--part={part}/3") == 0
    assert data_of(place / "out") == whole


@pytest.mark.parametrize(("to", "shards"), [("folder", 2), ("folder", 4), ("tar", 1)])
def test_equal_keys_in_several_tars_are_told_apart_by_the_file(to: str, shards: int, tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text("- invert\n")
    for number in range(2):
        write_tar(tmp_path / f"in/x{number}.tar", {f"{key}.png": encoded(number * 2 + key) for key in range(2)})
    assert apply(tmp_path, f"--to={to}", f"--shards={shards}") == 0
    out = tmp_path / "out"
    found = data_of(out) if to == "folder" else members(out / "shard-000000.tar")
    assert sorted(found) == ["x0/0-0.png", "x0/1-0.png", "x1/0-0.png", "x1/1-0.png"]
    for number in range(4):
        pixels = np.asarray(Image.open(io.BytesIO(found[f"x{number // 2}/{number % 2}-0.png"])))
        np.testing.assert_array_equal(pixels, 255 - np.asarray(Image.open(io.BytesIO(encoded(number)))))


def test_processes_change_nothing(place: Path) -> None:
    assert apply(place, "--shards=6") == 0
    command = ["apply", str(place / "spec.yaml"), str(place / "in"), str(place / "two"), "--shards=6"]
    assert main([*command, "--processes=2", "--quiet"]) == 0
    assert data_of(place / "two") == data_of(place / "out")


def test_a_finished_run_does_nothing(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    apply(place)
    before = {path: path.stat().st_mtime_ns for path in (place / "out").rglob("*")}
    capsys.readouterr()
    assert apply(place) == 0
    assert "0 copies of 0 images written" in (err := capsys.readouterr().err)
    assert "3 of 3 shards existed already" in err
    assert {path: path.stat().st_mtime_ns for path in (place / "out").rglob("*")} == before


def test_killed_runs_end_with_the_same_bytes_and_do_nothing_finished_again(tmp_path: Path) -> None:
    _kill(tmp_path, tars=4, images=100, shards=4, kills=3, processes=(1, 2))


@pytest.mark.soak
def test_twenty_kills_of_a_hundred_thousand_images(tmp_path: Path) -> None:
    """At most 2 % of the work is done twice, and the state takes at most 100 bytes an image, also in whole blocks."""
    twice, state, blocks = _kill(tmp_path, tars=100, images=1000, shards=100, kills=20, processes=(2, 4, 1, 3))
    print(f"{twice} of 100,000 augmented again; {state / 1e5} bytes of state an image, {blocks / 1e5} in blocks")
    assert twice <= 2000
    assert max(state, blocks) <= 100 * 100_000


def _kill(
    place: Path, tars: int, images: int, shards: int, kills: int, processes: tuple[int, ...]
) -> tuple[int, int, int]:
    """The images augmented again, and the bytes of state, after so many kills. What holds of any run is checked."""
    (place / "spec.yaml").write_text(SPEC)
    write_tars(place / "in", tars, images)
    command = ["apply", str(place / "spec.yaml"), str(place / "in"), str(place / "whole"), f"--shards={shards}"]
    assert main([*command, f"--processes={min(2, tars // 50 + 1)}", "--quiet"]) == 0
    command[3] = str(place / "out")
    runs = run_killed(command[1:], place / "out", place / "log", kills, tars * images, 0, processes)
    assert runs.kills == kills
    assert runs.again == []
    assert finished(place / "out") == set(range(shards))
    assert runs.twice <= kills * max(processes)  # an image in each process
    assert data_of(place / "out") == data_of(place / "whole")
    assert main([*command, "--verify", "--quiet"]) == 0
    state = [path.stat() for path in (place / "out/.augreg").rglob("*")]
    return runs.twice, sum(one.st_size for one in state), sum(one.st_blocks * 512 for one in state)


def test_the_dry_run_says_what_would_be_done_and_writes_nothing(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert apply(place, "--shards=6", "--part=2/3", "--dry-run") == 0
    out = capsys.readouterr().out
    assert "6 shards of tar with png images, 1 copies of each" in out
    assert "this part: 2 shards, 0 of them finished, 2 left" in out
    assert "8 images" in out
    assert not (place / "out").exists()
    assert apply(place, "--shards=6") == 0
    capsys.readouterr()
    apply(place, "--shards=6", "--dry-run")
    assert "6 of them finished, 0 left" in capsys.readouterr().out


def test_the_dry_run_estimates_the_size(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    apply(place, "--dry-run")
    line = capsys.readouterr().out.splitlines()[-1]
    guess = float(line.partition("about ")[2].partition("about ")[2].partition(" KB")[0]) * 1000
    apply(place)
    size = sum(map(len, data_of(place / "out").values()))
    assert abs(guess - size) < 0.3 * size  # a tar is filled up to 10 KB


def test_the_dry_run_says_if_it_does_not_fit(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("augreg.sharding.local_storage.LocalStorage.free_bytes", lambda self: 2_000)
    assert apply(place, "--dry-run") == 1
    assert "this does not fit: " in capsys.readouterr().err


def _broken(place: Path, how: str) -> str:
    """Break an output, and return what --verify should say."""
    out = place / "out"
    shard = out / "shard-000001.tar"
    data = bytearray(shard.read_bytes())
    if how == "changed":
        data[600] ^= 1
        shard.write_bytes(data)
        return "shard 1 has other bytes than its record says"
    if how == "cut":
        shard.write_bytes(data[:-512])
        return f"shard 1 has {len(data) - 512} bytes, and its record says {len(data)}"
    if how == "missing":
        shard.unlink()
        return "shard 1 cannot be read: No such file or directory"
    if how == "unfinished":
        (out / ".augreg/shards/000001.json").unlink()
        return "shard 1 is not finished"
    if how == "stray":
        (out / "shard-000007.tar").write_bytes(data)
        return "shard-000007.tar: does not belong to this output"
    (out / ".12345678-1-00000000.augreg-part").write_bytes(b"half")
    return "augreg-part: a temporary file of a run that was killed"


@pytest.mark.parametrize("how", ["changed", "cut", "missing", "unfinished", "stray", "temporary"])
def test_verify_finds_what_is_wrong(how: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    apply(place)
    assert apply(place, "--verify") == 0
    assert "3 of 3 shards are whole: 24 copies of 24 images" in capsys.readouterr().err
    said = _broken(place, how)
    assert apply(place, "--verify") == 1
    assert said in (err := capsys.readouterr().err)
    record = place / "out/.augreg/shards/000001.json"
    assert (f"once its record is removed, such as {record}" in err) == (how not in ("stray", "temporary"))
    if how in ("changed", "cut", "missing", "unfinished"):
        record.unlink(missing_ok=True)
        assert apply(place) == 0 and apply(place, "--verify") == 0


def test_verify_reads_the_input_only_if_asked(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An image that is replaced by one of the same size does not change the list of the input."""
    apply(place)
    path = place / "in/in-0002.tar"
    data = path.read_bytes()
    images = members(path)
    old, new = images["0002-00001.png"], bytearray(images["0002-00001.png"])
    new[-20] ^= 255
    path.write_bytes(data.replace(old, bytes(new)))
    assert apply(place, "--verify") == 0
    assert apply(place, "--verify-inputs") == 1
    assert "shard 2 was made from other images than there are" in capsys.readouterr().err


def test_the_digest_of_the_input_is_that_of_all_parts() -> None:
    """Also of captions, which the steps do not see: the output has them."""
    parts: list[dict[str, Any]] = [
        {}, {"image": b"2"}, {"label": 1}, {"masks": {"mask": b"1"}}, {"targets": {"boxes": []}}, {"failure": "no"},
        {"carried": {"txt": b"1"}}, {"carried": {"txt": "1"}}, {"carried": {"text": "1"}},
        {"carried": {"json": b"1"}},
    ]  # fmt: skip
    digests = {input_digest(Sample("a", "a", **{"image": b"1", **part})) for part in parts}
    assert len(digests) == len(parts)
    in_order = [{"a": b"1", "b": 2, "c": b"3"}, {"c": b"3", "b": 2, "a": b"1"}]
    assert len({input_digest(Sample("a", "a", carried=carried)) for carried in in_order}) == 1


def test_verify_needs_an_output_of_this_spec(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert apply(place, "--verify") == 2
    assert "there is no output of augreg apply" in capsys.readouterr().err
    apply(place)
    (place / "spec.yaml").write_text("- invert\n")
    assert apply(place, "--verify") == 2
    assert "fingerprint was " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--shards=2", "shards was 3 and is 2"),
        ("--copies=2", "copies was 1 and is 2"),
        ("--to=folder", "to was tar and is folder"),
        ("--test", "side was train and is test"),
    ],
)
def test_verify_is_for_the_output_of_this_command(
    option: str, said: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    apply(place)
    assert apply(place, "--verify", option) == 2
    assert said in capsys.readouterr().err


def test_records_are_small_and_name_no_machine(place: Path) -> None:
    apply(place)
    record = json.loads((place / "out/.augreg/shards/000001.json").read_text())
    assert record["shard"] == 1 and record["images"] == record["copies"] == 8 and record["failures"] == {}
    assert record["bytes"] == (place / "out/shard-000001.tar").stat().st_size
    for path in (place / "out").rglob("*"):
        if path.is_file() and path.name != "augreg.json":
            assert str(place).encode() not in path.read_bytes()


def test_a_tar_of_one_image(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(SPEC)
    write_tar(tmp_path / "in.tar", {"a/b.png": encoded(1)})
    assert main(["apply", str(tmp_path / "spec.yaml"), str(tmp_path / "in.tar"), str(tmp_path / "out")]) == 0
    assert list(members(tmp_path / "out/shard-000000.tar")) == ["a/b-0.png"]
