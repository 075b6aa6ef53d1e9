"""Inputs of shards that are tars in WebDataset's layout, also damaged ones."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import shutil
import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from augreg.sharding.inputs import open_input, tar_members, tars
from augreg.sharding.inputs.tar_members import TarMembers
from augreg.sharding.records import Column, Input, InputError, Sample


def tar(path: Path, members: Iterable[tuple[str, bytes | dict[str, Any]]], **options: Any) -> Path:
    """A tar of files, or of members with other attributes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", **options) as file:
        for name, given in members:
            member = tarfile.TarInfo(name)
            data = given if isinstance(given, bytes) else b""
            member.size = len(data)
            for key, value in given.items() if isinstance(given, dict) else ():
                setattr(member, key, value)
            file.addfile(member, io.BytesIO(data))
    return path


def simple(path: Path, count: int, **options: Any) -> Path:
    """A tar of samples with an image and a label."""
    parts = ((f"{number:04}.{suffix}", data) for number in range(count) for suffix, data in _parts(number))
    return tar(path, parts, **options)


def _parts(number: int) -> list[tuple[str, bytes]]:
    return [("jpg", b"image %d " % number * (1 + number % 150)), ("cls", b"%d\n" % number)]


def read(given: Input, shards: int = 1) -> list[Sample]:
    pieces = (pickle.loads(pickle.dumps(given.piece(shard, shards))) for shard in range(shards))
    return [sample for piece in pieces for sample in piece.samples()]


def one(path: Path, members: dict[str, bytes], **options: Any) -> Sample:
    """The sample of one group of members, after one that is in order."""
    first = [("first.jpg", b"first"), ("first.json", b'{"a": 1, "name": "n"}')]
    tar(path, [*first, *((f"key.{suffix}", data) for suffix, data in members.items())])
    _, second = open_input(str(path), **options).piece(0, 1).samples()
    return second


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_samples_are_those_of_webdataset(tmp_path: Path, format: int) -> None:
    """Keys, groups and bytes are what the library itself reads."""
    reader = pytest.importorskip("webdataset.tariterators")
    long = "x" * 90
    names = ["a/b.c/key.jpg", "a/b.c/key.seg.PNG", "a/b.c/key.json", "./dot/k.jpg", f"{long}/{long}.jpg", "é ü/ß.png"]
    names += [".hidden.jpg", "._mac.jpg", "no suffix", "__meta__/x.jpg", "k.tar.jpg", "k.txt", "zz.JPG", "zz.cls"]
    given: list[tuple[str, Any]] = [("folder", {"type": tarfile.DIRTYPE})]
    given += [(name, b"7" if name.endswith(("cls", "json")) else name.encode()) for name in names]
    path = tar(tmp_path / "a.tar", given, format=format)
    with path.open("rb") as file:
        members = ({**member, "__url__": ""} for member in reader.tar_file_iterator(file))
        theirs = list(reader.group_by_keys(members))
    ours = read(open_input(str(path)))
    # a group without an image is a failure here
    assert [sample.key for sample in ours] == [sample["__key__"] for sample in theirs]
    for our, their in zip(ours, theirs, strict=True):
        if our.failure:
            assert our.key == "k" and our.failure.startswith(".tar.jpg is an image as well")
            continue
        parts = {name: data for name, data in their.items() if not name.startswith("__")}
        image = next(data for name, data in parts.items() if name in ("jpg", "png"))
        assert our.image == image and our.index == our.key
        assert our.label == (int(parts["cls"]) if "cls" in parts else None)
        assert our.masks == ({"mask": parts["seg.png"]} if "seg.png" in parts else {})
        assert our.carried == {name: data for name, data in parts.items() if name in ("json", "txt")}
    assert [sample.name for sample in ours][:2] == ["a/b.c/key", "dot/k"]  # names stay below the output


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tgz"])
@pytest.mark.parametrize("shards", [1, 2, 3, 4, 7, 40])
def test_every_sample_is_in_one_piece(tmp_path: Path, suffix: str, shards: int) -> None:
    for number, count in enumerate((5, 13, 1)):
        path = simple(tmp_path / f"{number}.tar", count)
        if suffix != ".tar":
            path.with_suffix(suffix).write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
    given = open_input(str(tmp_path))
    assert (given.kind, given.count, given.names, given.default_shards) == ("tar", None, 3, 3)
    found = read(given, shards)
    wanted = [(f"{number}", f"{key:04}") for number, count in enumerate((5, 13, 1)) for key in range(count)]
    assert [(sample.source, sample.key) for sample in found] == wanted
    assert all(sample.image == _parts(int(sample.key))[0][1] and sample.label == int(sample.key) for sample in found)
    if shards == 2:  # whole files
        assert [len(list(given.piece(shard, 2).samples())) for shard in range(2)] == [5, 14]
    if shards == 40:  # 13, 13 and 14 shards for the files: their samples are spread evenly
        assert {len(list(given.piece(shard, 40).samples())) for shard in range(40)} == {0, 1}


def test_headers_that_were_read_are_not_kept(tmp_path: Path) -> None:
    """Python's own reader keeps all of them."""
    with simple(tmp_path / "a.tar", 20).open("rb") as file:
        members = TarMembers(file)
        kept = [len(members._tar.members) for _ in members]
    assert len(kept) == 40 and max(kept) <= 1


def test_a_part_of_a_file_reads_headers_and_its_own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tar(tmp_path / "a.tar", [(f"{number}.jpg", b"\1" * 1_000_000) for number in range(8)])
    opened, got = tar_members.open_file, []

    class Counted(io.FileIO):
        def read(self, size: int = -1) -> bytes:
            data = super().read(size)
            got.append(len(data))
            return data

        def readinto(self, buffer: Any) -> int:
            count = super().readinto(buffer)
            got.append(count)
            return count

    given = open_input(str(path))
    monkeypatch.setattr(tar_members, "open_file", lambda location: Counted(location))
    assert [sample.key for sample in given.piece(2, 4).samples()] == ["4", "5"]
    assert 2_000_000 < sum(got) < 2_100_000
    assert opened is not tar_members.open_file


def test_files_are_given_by_folder_pattern_or_braces(tmp_path: Path) -> None:
    for name in ("shard-008.tar", "shard-009.tar", "shard-010.tar", "deep/shard-011.tar", "deep/.hidden.tar"):
        simple(tmp_path / name, 1)
    simple(tmp_path / "out" / "shard.tar", 1)
    places = {
        "": ["deep/shard-011", "out/shard", "shard-008", "shard-009", "shard-010"],
        "/shard-{008..010}.tar": ["shard-008", "shard-009", "shard-010"],
        "/shard-{010..009}.tar": ["shard-010", "shard-009"],
        "/shard-00?.tar": ["shard-008", "shard-009"],
        "/{deep/shard-011,shard-008}.tar": ["deep/shard-011", "shard-008"],
        "/**/shard-0[01][018].tar": ["deep/shard-011", "shard-008", "shard-010"],
        "/shard-008.tar": [""],
    }
    for place, sources in places.items():
        assert [sample.source for sample in read(open_input(f"{tmp_path}{place}"))] == sources
    left = read(open_input(str(tmp_path), leave_out=str(tmp_path / "out")))
    assert [sample.source for sample in left] == [source for source in places[""] if source != "out/shard"]
    (tmp_path / "out" / "augreg.json").write_text('{"fingerprint": "", "made_with": {}}')
    assert [sample.source for sample in read(open_input(str(tmp_path)))] == [sample.source for sample in left]
    with pytest.raises(InputError, match=r"shard-011\.tar: cannot be read: No such file or directory"):
        open_input(f"{tmp_path}/shard-{{008..011}}.tar")
    simple(tmp_path / "odd[1]{2,3}.tar", 1)  # a file of this name is no pattern
    assert len(read(open_input(f"{tmp_path}/odd[1]{{2,3}}.tar"))) == 1


def test_the_fingerprint_follows_names_and_sizes(tmp_path: Path) -> None:
    fingerprints = []
    for folder, names, count in (("a", "12", 1), ("b", "12", 1), ("c", "13", 1), ("d", "12", 90)):
        for name in names:
            simple(tmp_path / folder / f"{name}.tar", count)
        fingerprints.append(open_input(str(tmp_path / folder)).fingerprint)
    assert fingerprints[0] == fingerprints[1] and len(set(fingerprints)) == 3
    assert open_input(f"{tmp_path}/a/*.tar").fingerprint == fingerprints[0]


def test_tars_elsewhere(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    system = fsspec.filesystem("memory")
    for number in range(3):
        system.pipe(f"/tars/{number}.tar", simple(tmp_path / f"{number}.tar", 3).read_bytes())
    local = open_input(str(tmp_path))
    for place in ("memory://tars", "memory://tars/*.tar", "memory://tars/{0..2}.tar"):
        remote = open_input(place)
        assert remote.fingerprint == local.fingerprint and read(remote, 5) == read(local, 5)
    system.rm("/tars/1.tar")
    with pytest.raises(InputError, match=r"memory:///?tars/1\.tar: cannot be read: No such file"):
        read(remote)
    system.rm("/tars", recursive=True)


# What a member is


def test_parts_of_samples(tmp_path: Path) -> None:
    about = {
        "boxes": [[1, 2, 3, 4]],
        "labels": [3],
        "label": "kept",
        "id": 4,
        "keypoints": None,
        "nested": {"boxes": 1},
    }
    members = {
        "IMAGE.JPG": b"image", "mask.png": b"m", "mask2.png": b"m2", "left_mask.webp": b"left",
        "cls": b" cat\n", "json": json.dumps(about).encode(), "txt": b"t",
    }  # fmt: skip
    sample = one(tmp_path / "a.tar", members)
    assert (sample.image, sample.label, sample.index, sample.failure) == (b"image", "cat", "key", "")
    assert sample.masks == {"mask": b"m", "mask2": b"m2", "left_mask": b"left"}
    assert sample.targets == {"boxes": [[1, 2, 3, 4]], "labels": [3]}
    rest = {"label": "kept", "id": 4, "nested": {"boxes": 1}}
    assert sample.carried.keys() == {"json", "txt"} and json.loads(sample.carried["json"]) == rest
    assert set(open_input(str(tmp_path / "a.tar")).columns) == {
        Column("image", "image"), Column("mask", "mask"), Column("mask2", "mask"), Column("left_mask", "mask"),
        Column("boxes", "targets"), Column("labels", "targets"), Column("label", "label", "string"),
        Column("json", "carried", "string"), Column("txt", "carried", "string"),
    }  # fmt: skip


def test_json_without_targets_stays_as_it_is(tmp_path: Path) -> None:
    for data in (b'{"b":  1, "a": 2}', b"[1]"):
        assert one(tmp_path / "a.tar", {"jpg": b"x", "json": data}).carried == {"json": data}
    assert one(tmp_path / "a.tar", {"jpg": b"x", "json": b'{"boxes": []}'}).carried == {}


def test_columns_say_what_is_what(tmp_path: Path) -> None:
    columns = {"image": "png", "mask": "jpg", "boxes": "bbox", "label": "class", "id": "name", "other": "depth.png"}
    about = b'{"bbox": [[1, 2, 3, 4]], "class": 5, "name": "dir/n1", "image": "a.jpg"}'
    path = tmp_path / "a.tar"
    tar(path, [("k.jpg", b"mask"), ("k.png", b"image"), ("k.json", about), ("k.depth.png", b"d")])
    (sample,) = read(open_input(str(path), columns=columns))
    assert (sample.image, sample.masks, sample.label) == (b"image", {"mask": b"mask"}, 5)
    assert (sample.key, sample.index, sample.name) == ("dir/n1", "dir/n1", "k")  # ids may repeat, keys may not
    assert sample.targets == {"boxes": [[1, 2, 3, 4]]} and sample.carried["depth.png"] == b"d"
    assert json.loads(sample.carried["json"]) == {"name": "dir/n1", "image": "a.jpg"}


@pytest.mark.parametrize(
    ("members", "columns", "message"),
    [
        (
            {"txt": b"", "cls": b"1"},
            {},
            "no image; there are: cls, txt; say which is the image: --columns image=NAME",
        ),
        ({"jpg": b"", "png": b""}, {}, "several images; there are: jpg, png; say which is the image"),
        ({"jpg": b"", "depth.png": b""}, {}, "nothing says whether it follows the image; say it: --columns mask=dep"),
        ({"jpg": b"", "png": b""}, {"image": "jpg"}, ".png is an image as well"),
        ({"jpg": b"", "seg.png": b"", "mask.png": b""}, {}, "two members are mask"),
        ({"jpg": b"", "json": b"{"}, {}, ".json is not valid JSON: "),
        ({"jpg": b"", "json": b"[" * 100_000}, {}, ".json is not valid JSON: "),
        ({"jpg": b"", "cls": b"\xff"}, {}, "can't decode byte 0xff"),
        (
            {"jpg": b"", "json": b'{"a": [1]}'},
            {"label": "a"},
            "a label is the number of a class or its name, got [1]",
        ),
        ({"jpg": b"", "json": b'{"a": null}'}, {"id": "a"}, "an id is a number or a text, got null"),
        ({"jpg": b"", "json": b"{}"}, {"id": "name"}, "no 'name', which is to be the id; there are: jpg, json; say"),
        ({"jpg": b"", "json": b'{"a": 1, "boxes": 1}'}, {"boxes": "a"}, "'boxes' is there, and 'a' is to be used as"),
    ],
)
def test_a_sample_that_is_none_is_a_failure_of_its_own(
    tmp_path: Path, members: dict[str, bytes], columns: dict[str, str], message: str
) -> None:
    sample = one(tmp_path / "a.tar", members, columns=columns)
    assert message in sample.failure and sample.key == "key" and not sample.image


@pytest.mark.parametrize(("name", "place"), [("boxes", "bbox"), ("mask", "segm.png"), ("label", "class")])
def test_columns_that_no_sample_has_are_refused(tmp_path: Path, name: str, place: str) -> None:
    path = simple(tmp_path / "a.tar", 3)
    if name == "label":
        path = tar(path, [("a.jpg", b"")])
    with pytest.raises(
        InputError, match=rf"none of its first samples has '{place}', which is to be the {name}; their"
    ):
        open_input(str(path), columns={name: place})


def test_keys_that_are_there_twice(tmp_path: Path) -> None:
    names = ["a.jpg", "a.jpg", "b.jpg", "c.jpg", "b.jpg", "d.jpg", "d.cls", "d.CLS", "e.jpg", "./e.jpg"]
    given = open_input(str(tar(tmp_path / "a.tar", [(name, b"1") for name in names])))
    for shards in (1, 2, 4):
        failures = [
            (sample.key, sample.failure.partition("; ")[0].partition(",")[0]) for sample in read(given, shards)
        ]
        assert failures == [
            ("a", ".jpg is there twice"), ("b", ""), ("c", ""), ("b", "the key is there twice in the tar"),
            ("d", ".cls is there twice"), ("e", ""), ("./e", "the key is there twice in the tar"),
        ]  # fmt: skip


def test_links_devices_and_what_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tars, "MOST_BYTES", 3000)
    members: list[tuple[str, Any]] = [
        ("a.jpg", b"a"),
        ("b.jpg", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}),
        ("c.jpg", {"type": tarfile.LNKTYPE, "linkname": "a.jpg"}),
        ("d.jpg", {"type": tarfile.FIFOTYPE}),
        ("e.jpg", b"e" * 2000),
        ("e.txt", b"e" * 2000),
        ("f.jpg", b"f"),
    ]
    failures = {sample.key: sample.failure for sample in read(open_input(str(tar(tmp_path / "a.tar", members))))}
    assert failures == {
        "a": "",
        "b": ".jpg is a link; the tar must hold the file itself",
        "c": ".jpg is a link; the tar must hold the file itself",
        "d": ".jpg is no file; the tar must hold the file itself",
        "e": "it has 4,000 bytes, and at most 3,000 are read",
        "f": "",
    }


@pytest.mark.skipif(shutil.which("tar") is None, reason="it needs GNU tar")
def test_sparse_members_are_bounded_by_their_size(tmp_path: Path) -> None:
    with (tmp_path / "a.jpg").open("wb") as file:
        file.write(b"begin")
        file.truncate(1 << 16)
    with (tmp_path / "b.jpg").open("wb") as file:
        file.truncate(1 << 40)
    for format in ("gnu", "pax"):
        command = ["tar", "--sparse", f"--format={format}", "-cf", f"{format}.tar", "a.jpg", "b.jpg"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
        if done.returncode:
            pytest.skip("this tar knows no sparse files")
        small, large = read(open_input(str(tmp_path / f"{format}.tar")))
        assert small.image == b"begin".ljust(1 << 16, b"\0")
        assert large.failure.startswith("it has 1,099,511,627,776 bytes")


# Damaged files


def damaged(path: Path, change: str) -> bytes:
    data = bytearray(path.read_bytes())
    with tarfile.open(path) as file:
        members = file.getmembers()
    middle = members[10]
    match change:
        case "cut in data":
            return bytes(data[: middle.offset_data + 5])
        case "cut in a header":
            return bytes(data[: middle.offset + 100])
        case "cut between members":
            return bytes(data[: middle.offset])
        case "header":
            data[middle.offset + 5 : middle.offset + 9] = b"\1\2\3\4"
        case "header of zeros in part":
            data[middle.offset + 100 : middle.offset + 512] = bytes(412)
        case "negative size":  # it would lead around in a circle
            block = bytearray(data[middle.offset : middle.offset + 512])
            block[124:136] = (members[8].offset - middle.offset_data).to_bytes(12, "big", signed=True)
            block[148:156] = b" " * 8
            block[148:156] = b"%06o\0 " % sum(block)
            data[middle.offset : middle.offset + 512] = block
    return bytes(data)


CHANGES = (
    "cut in data",
    "cut in a header",
    "cut between members",
    "header",
    "header of zeros in part",
    "negative size",
)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("packed", [False, True])
def test_a_damaged_tar_is_an_error_after_what_is_whole(tmp_path: Path, change: str, packed: bool) -> None:
    """Python's own reader takes a damaged header for the end."""
    path = simple(tmp_path / "a.tar", 20)
    data = damaged(path, change)
    path.unlink()
    path = path.with_suffix(".tar.gz" if packed else ".tar")
    path.write_bytes(gzip.compress(data) if packed else data)
    given = open_input(str(path))
    found = []
    with pytest.raises(InputError) as error:
        for sample in given.piece(0, 1).samples():
            found.append(sample.key)
    assert str(error.value).startswith(f"{path}: a damaged tar: ") and str(error.value).endswith("; replace the file")
    assert found == [f"{number:04}" for number in range(len(found))] and 4 <= len(found) <= 5
    with pytest.raises(InputError, match="a damaged tar"):  # in parts, all of them: nobody knows what is in which
        list(given.piece(0, 5).samples())


def test_a_cut_or_changed_gzip_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.tgz"
    whole = gzip.compress(simple(tmp_path / "a.tar", 20).read_bytes())
    path.write_bytes(whole)
    given = open_input(str(path))
    changed = bytearray(whole)
    changed[-200] ^= 255
    for data in (whole[:-200], bytes(changed)):
        path.write_bytes(data)
        with pytest.raises(InputError, match=r"a\.tgz: a damaged tar: "):
            list(given.piece(0, 1).samples())


@pytest.mark.parametrize("data", [b"", b"not a tar at all" * 100, bytes(10240), gzip.compress(b"x", mtime=0)])
def test_what_is_no_tar_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.tar").write_bytes(data)
    with pytest.raises(InputError, match=r"a\.tar: (a damaged tar: |no samples in it; members are named as in WebD)"):
        open_input(str(tmp_path / "a.tar"))


def test_a_damaged_first_file_does_not_stop_the_others(tmp_path: Path) -> None:
    (tmp_path / "0.tar").write_bytes(b"damaged" * 1000)
    simple(tmp_path / "1.tar", 3)
    given = open_input(str(tmp_path))
    with pytest.raises(InputError, match=r"0\.tar: a damaged tar"):
        list(given.piece(0, 2).samples())
    assert len(list(given.piece(1, 2).samples())) == 3
    assert {column.name for column in given.columns} == {"image", "label"}


def test_a_tar_without_any_image_is_refused_at_once(tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tar", [("k.photo", b"x"), ("k.cls", b"1")])
    with pytest.raises(InputError, match=r"a\.tar: k: no image; there are: cls, photo; say which is the image"):
        open_input(str(path))
    assert read(open_input(str(path), columns={"image": "photo"}))[0].image == b"x"


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    """In a folder of copies, `x/k` of one file must not replace that of another."""
    for name, key in {"x.tar": "k", "y/x.tar": "k", "a.tar": "b/c", "a/b.tar": "c"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        tar(tmp_path / name, [(f"{key}.jpg", b"1")])
    (tmp_path / "x.tgz").write_bytes(gzip.compress((tmp_path / "x.tar").read_bytes()))
    found = [f"{sample.source}/{sample.name}" for sample in read(open_input(str(tmp_path)))]
    assert found == ["a/b/c", "a.tar/b/c", "x.tar/k", "x.tgz/k", "y/x/k"]
    with pytest.raises(InputError, match=r"two of the tars would be called x\.tar; rename or leave out one of them"):
        open_input(str(tmp_path / "{x,x}.tar"))


def test_a_label_may_be_beside_another(tmp_path: Path) -> None:
    sample = one(tmp_path / "a.tar", {"jpg": b"", "cls": b"3", "txt": b"007"}, columns={"label": "txt"})
    assert sample.label == "007" and sample.carried == {"cls": b"3"}


def test_text_is_text_where_it_is_utf_8(tmp_path: Path) -> None:
    parts = [("a.txt", "ü".encode()), ("b.txt", b"\xff"), ("b.json", b"{}"), ("c.txt", b"c")]
    members = [part for name, data in parts for part in ((name, data), (f"{name[0]}.jpg", b""))]
    members.remove(("b.jpg", b""))
    given = open_input(str(tar(tmp_path / "a.tar", members)))
    assert given.columns[1:] == (Column("txt", "carried", "binary"), Column("json", "carried", "string"))


def test_the_parts_are_those_of_samples_of_several_files(tmp_path: Path) -> None:
    tar(tmp_path / "a.tar", [("a.jpg", b"")])
    (tmp_path / "b.tar").write_bytes(b"no tar")
    tar(tmp_path / "c.tar", [("c.jpg", b""), ("c.cls", b"1"), ("c.mask.png", b"")])
    columns = open_input(str(tmp_path)).columns
    assert columns == (Column("image", "image"), Column("mask", "mask"), Column("label", "label", "int64"))


def test_a_compressed_tar_is_not_divided_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part would have to unpack all before it."""
    monkeypatch.setattr(tars, "shards_of_files", lambda sizes: 16)
    path = simple(tmp_path / "a.tar", 2)
    assert open_input(str(path)).default_shards == 16
    with gzip.open(tmp_path / "b.tar.gz", "wb") as file:
        file.write(path.read_bytes())
    assert open_input(str(tmp_path / "b.tar.gz")).default_shards == 1
