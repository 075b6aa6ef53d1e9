"""Output shards as tars and as folders: their files, names and bytes, and what is refused."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from full_disk import full
from PIL import Image

from augreg import ImageError
from augreg.images.encoding import decode_mask, encode, encode_mask
from augreg.sharding.outputs import (
    KINDS,
    Output,
    OutputError,
    Writer,
    check_output,
    digest_of,
    open_writer,
    shard_file,
)
from augreg.sharding.records import Column
from augreg.sharding.storage import Storage, open_storage

PIXELS = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
IMAGE = encode(PIXELS, "png")
MASK = encode_mask(np.eye(4, 5, dtype=np.uint8))
COLUMNS = (
    Column("image", "image"), Column("mask", "mask"), Column("label", "label", "int64"),
    Column("boxes", "targets"), Column("json", "carried"), Column("txt", "carried"),
)  # fmt: skip
FULL = Output("cat/a-0", IMAGE, {"mask": MASK}, {"boxes": [[0.5, 1, 2, 3]]}, 1, {"txt": b"hi", "json": b'{"z": 1}'})


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    found = open_storage(str(tmp_path / "out"))
    found.make()
    return found


def write(storage: Storage, to: str, *outputs: Output, shard: int = 0, **options: Any) -> tuple[int, str]:
    if to == "parquet":
        pytest.importorskip("pyarrow")
    writer = open_writer(to, storage, shard, **{"format": "png", "columns": COLUMNS, **options})
    for output in outputs:
        writer.add(output)
    return writer.close()


def members(storage: Storage, shard: int = 0) -> dict[str, bytes]:
    found = {}
    with tarfile.open(fileobj=io.BytesIO(storage.read(f"shard-{shard:06d}.tar"))) as tar:
        for member in tar:
            file = tar.extractfile(member)
            assert file is not None and member.name not in found
            found[member.name] = file.read()
            assert (member.mtime, member.uid, member.gid, member.uname, member.gname) == (0, 0, 0, "", "")
            assert member.mode == 0o644
    return found


def stored(storage: Storage) -> dict[str, bytes]:
    return {name: storage.read(name) for name in storage.names() if not name.startswith(".augreg/")}


def test_a_tar_has_the_parts_of_a_copy_beside_one_another(storage: Storage) -> None:
    size, sha256 = write(storage, "tar", FULL, Output("a-0", IMAGE), shard=12)
    data = storage.read("shard-000012.tar")
    assert (size, sha256) == (len(data), hashlib.sha256(data).hexdigest()) == digest_of("tar", storage, 12)
    assert list(members(storage, 12).items()) == [
        ("cat/a-0.png", IMAGE),
        ("cat/a-0.mask.png", MASK),
        ("cat/a-0.cls", b"1"),
        ("cat/a-0.json", b'{"z": 1, "boxes": [[0.5, 1, 2, 3]]}'),
        ("cat/a-0.txt", b"hi"),
        ("a-0.png", IMAGE),
    ]
    assert storage.names() == ["shard-000012.tar"] and storage.names(temporary=True) == []


def test_a_folder_has_the_names_of_plain_apply(storage: Storage) -> None:
    classes = ("dog", "cat")
    dog = Output("dog/v1.2-0", IMAGE, {"mask": MASK, "seg.png": MASK}, label=0)
    size, sha256 = write(storage, "folder", FULL, dog, Output("x-0", IMAGE, label=0), classes=classes)
    assert stored(storage) == {
        "cat/a-0.png": IMAGE,
        "cat/a-0_mask.png": MASK,
        "cat/a-0.json": b'{"z": 1, "boxes": [[0.5, 1, 2, 3]]}',  # no label: its folder says it
        "cat/a-0.txt": b"hi",
        "dog/v1.2-0.png": IMAGE,
        "dog/v1.2-0_mask.png": MASK,
        "dog/v1.2-0_seg.png": MASK,
        "x-0.png": IMAGE,
        "x-0.json": b'{"label": 0}',
    }
    assert size == sum(map(len, stored(storage).values())) and digest_of("folder", storage, 0) == (size, sha256)
    assert storage.names(".augreg/") == [".augreg/files/000000"] and len(storage.read(".augreg/files/000000")) < 200


@pytest.mark.parametrize("name", ["cat/a-0.png", "cat/a-0.json", "x-0.png"])
def test_the_digest_of_a_folder_covers_every_file(storage: Storage, name: str) -> None:
    before = write(storage, "folder", FULL, Output("x-0", IMAGE))
    data = storage.read(name)
    storage.write(name, data[:-1] + bytes([data[-1] ^ 1]))
    changed = digest_of("folder", storage, 0)
    assert changed[0] == before[0] and changed[1] != before[1]
    storage.remove(name)
    with pytest.raises(FileNotFoundError):
        digest_of("folder", storage, 0)
    storage.write(name, data)
    assert digest_of("folder", storage, 0) == before
    first, second = Output("a", b"12"), Output("b", b"3")
    moved = Output("a", b"1"), Output("b", b"23")
    assert write(storage, "folder", first, second, shard=1)[1] != write(storage, "folder", *moved, shard=2)[1]
    listed = storage.read(".augreg/files/000000")
    for damaged in (b"", b"[]", listed[:-9], listed[:-1] + b"\0"):
        storage.write(".augreg/files/000000", damaged)
        with pytest.raises(OSError, match="the list of its files is damaged"):
            digest_of("folder", storage, 0)


@pytest.mark.parametrize("to", KINDS)
def test_the_bytes_are_a_function_of_the_copies(storage: Storage, tmp_path: Path, to: str) -> None:
    other = open_storage(str(tmp_path / "elsewhere" / "deeper"))
    other.make()
    assert write(storage, to, FULL, Output("b-0", IMAGE)) == write(other, to, FULL, Output("b-0", IMAGE))
    assert stored(storage) == stored(other) and str(tmp_path).encode() not in b"".join(stored(storage).values())
    assert write(storage, to, FULL) != write(storage, to, Output("b-0", IMAGE))


@pytest.mark.parametrize("to", ["tar", "parquet"])
def test_a_remote_shard_is_the_local_one(storage: Storage, to: str) -> None:
    pytest.importorskip("fsspec")
    remote = open_storage(f"memory://shards/{to}")
    assert write(remote, to, FULL) == write(storage, to, FULL) == digest_of(to, remote, 0)
    assert stored(remote) == stored(storage)


NAMES = {
    "v1.2-0": "v1%2E2-0",
    "a.b/c.d/e": "a.b/c.d/e",
    ".hidden": "%2Ehidden",
    "100%": "100%",
    "a%2Eb": "a%252Eb",
    "a%25": "a%2525",
    "%.": "%%2E",
    "Übung 猫/日本": "Übung 猫/日本",
    "d" * 90 + "/" + "n" * 150: "d" * 90 + "/" + "n" * 150,
    "a\nb": "a\nb",
}


def test_webdataset_splits_names_where_they_end(storage: Storage) -> None:
    webdataset = pytest.importorskip("webdataset")
    write(storage, "tar", *(Output(name, IMAGE, {"mask": MASK}, label=7) for name in NAMES))
    assert [name for name in members(storage) if name.endswith(".cls")] == [f"{name}.cls" for name in NAMES.values()]
    opened = {"url": "0.tar", "stream": io.BytesIO(storage.read("shard-000000.tar"))}  # it leaves files open
    samples = webdataset.tariterators.group_by_keys(webdataset.tariterators.tar_file_expander([opened]))
    read = list(webdataset.DataPipeline(lambda: samples, webdataset.decode("rgb8")))
    assert [sample["__key__"] for sample in read] == list(NAMES.values())
    for sample in read:
        assert sample["cls"] == 7 and np.array_equal(sample["png"], PIXELS)
        assert sorted(name for name in sample if not name.startswith("__")) == ["cls", "mask.png", "png"]


BAD = ["../a", "/etc/a", "cat/../../a", "a//b", "", "a/", "nul\0"]


@pytest.mark.parametrize("to", ["tar", "folder"])
def test_no_copy_leaves_the_output(storage: Storage, tmp_path: Path, to: str) -> None:
    writer = open_writer(to, storage, 0, format="png")
    for name in BAD:
        with pytest.raises(ImageError, match="is not the name of a file in the output"):
            writer.add(Output(name, IMAGE))
    writer.add(Output("good", IMAGE))
    writer.close()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert "good.png" in (members(storage) if to == "tar" else stored(storage))
    assert len(storage.names()) == (1 if to == "tar" else 2)


def test_no_copy_leaves_a_folder_through_a_link(storage: Storage, tmp_path: Path) -> None:
    assert storage.local is not None
    (tmp_path / "elsewhere").mkdir()
    (storage.local / "cat").symlink_to(tmp_path / "elsewhere")
    writer = open_writer("folder", storage, 0, format="png")
    with pytest.raises(ImageError, match=r"cat/a-0_mask.png: cannot be written: a link is in the place"):
        writer.add(FULL)
    writer.add(Output("b", IMAGE))
    writer.close()
    assert stored(storage).keys() == {"b.png"} and not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("name", ["augreg", ".augreg/shards/000000", ".AUGREG/x"])
def test_no_copy_replaces_what_augreg_keeps(storage: Storage, name: str) -> None:
    writer = open_writer("folder", storage, 0, format="png")
    with pytest.raises(ImageError, match="is not a name for a copy, as augreg stores its own state there"):
        writer.add(Output(name, IMAGE, targets={"boxes": []}))
    assert storage.names() == []


REFUSED: list[tuple[Output, str]] = [
    (Output("x", IMAGE, {"png": MASK}, carried={"png": b"1"}), "two of its parts would be"),
    (Output("x", IMAGE, carried={"PNG": b"1", "png": b"2"}), "two of its parts would be|would be two files"),
    (Output("x", IMAGE, carried={"a/b": b"1"}), "'a/b': bytes are stored under the name of their part"),
    (Output("x", IMAGE, carried={"": b"1"}), "'': bytes are stored under the name of their part"),
    (Output("x", IMAGE, {}, {"boxes": [[1]]}, None, {"json": b"[1]"}), "its JSON is not an object, so boxes cannot"),
    (Output("x", IMAGE, {}, {"boxes": [[1]]}, None, {"json": b"{"}), "cannot be stored as JSON: Expecting"),
    (Output("x", IMAGE, carried={"who": object()}), "cannot be stored as JSON: a value of type object"),
    (Output("x", IMAGE, carried={"who": {"bytes": b"1"}}), "cannot be stored as JSON: a value of type bytes"),
]


@pytest.mark.parametrize("to", ["tar", "folder"])
@pytest.mark.parametrize(("output", "says"), REFUSED)
def test_of_a_copy_that_is_refused_nothing_is_stored(storage: Storage, to: str, output: Output, says: str) -> None:
    writer = open_writer(to, storage, 0, format="png")
    writer.add(Output("before", IMAGE))
    with pytest.raises(ImageError, match=says):
        writer.add(output)
    writer.add(Output("x", IMAGE))  # whose name is not taken
    writer.close()
    assert list(members(storage) if to == "tar" else stored(storage)) == ["before.png", "x.png"]


@pytest.mark.parametrize("to", ["tar", "folder"])
def test_a_name_is_taken_once(storage: Storage, to: str) -> None:
    writer = open_writer(to, storage, 0, format="png")
    writer.add(Output("a.b", IMAGE))
    with pytest.raises(ImageError, match=r"is already the copy of another image|would be two files of this shard"):
        writer.add(Output("a.b", IMAGE, {"mask": MASK}))
    writer.add(Output("a", IMAGE, carried={"b.txt": b"1"}))
    writer.abort()


def test_a_name_that_is_no_text_or_too_long_stops_nobody(storage: Storage, tmp_path: Path) -> None:
    tar = open_writer("tar", storage, 0, format="png")
    with pytest.raises(ImageError, match=r"'\\ud800x': the name cannot be stored as UTF-8; rename the image"):
        tar.add(Output("\ud800x", IMAGE))
    tar.close()
    folder = open_writer("folder", storage, 1, format="png")
    long = "x" * (os.pathconf(tmp_path, "PC_NAME_MAX") - len(".png"))
    with pytest.raises(ImageError, match="cannot be written: File name too long"):
        folder.add(Output(long, IMAGE, {}, {"boxes": []}))  # .json does not fit
    folder.add(Output(long, IMAGE))
    with pytest.raises(ImageError, match="cannot be written: "):
        folder.add(Output(f"{long}.png/y", IMAGE))
    assert storage.local is not None
    (storage.local / "z.json").mkdir()
    with pytest.raises(ImageError, match=r"z.json: cannot be written: Is a directory"):
        folder.add(Output("z", IMAGE, {"mask": MASK}, {"boxes": []}))  # whose mask was written before
    folder.close()
    assert storage.names("z") == [] and storage.names("x") == [f"{long}.png"] and members(storage) == {}


def test_json_keeps_what_it_has(storage: Storage) -> None:
    same = b'{"a":1,\n "b": "\xc3\xbc"}'
    targets = {"boxes": np.float32([[0.5, 1]]), "labels": ["猫"]}
    carried = {"json": b'{"labels": [1], "id": 3}', "score": np.float64(0.25), "on": date(2026, 1, 2), "no": None}
    carried["took"] = timedelta(milliseconds=1500)
    outputs = [
        Output("a", IMAGE, carried={"json": same}),
        Output("b", IMAGE, {}, targets, None, carried),
        Output("c", IMAGE, carried={"json": b"[1]"}),
        Output("d", IMAGE, label="tabby"),
        Output("e", IMAGE, carried={"json": {"k": [1]}}),
    ]
    write(storage, "tar", *outputs)
    found = members(storage)
    assert found["a.json"] == same and found["c.json"] == b"[1]" and found["d.cls"] == b"tabby"
    assert json.loads(found["e.json"]) == {"k": [1]} and "猫".encode() in found["b.json"]
    assert json.loads(found["b.json"]) == {
        "labels": ["猫"], "id": 3, "score": 0.25, "on": "2026-01-02", "took": 1.5, "boxes": [[0.5, 1.0]]
    }  # fmt: skip


def test_a_label_is_beside_what_has_its_name(storage: Storage) -> None:
    """Nothing that is carried is lost: neither another label in the JSON, nor another member `cls`."""
    write(storage, "tar", Output("a", IMAGE, label=7, carried={"cls": b"3"}))
    found = members(storage)
    assert found["a.cls"] == b"3" and json.loads(found["a.json"]) == {"label": 7}
    write(storage, "folder", Output("b", IMAGE, label=7, carried={"json": b'{"label": "cat"}'}), shard=1)
    assert storage.read("b.cls") == b"7" and json.loads(storage.read("b.json")) == {"label": "cat"}
    writer = open_writer("tar", storage, 2, format="png")
    with pytest.raises(ImageError, match="its JSON has score already, and would lose it; rename the column"):
        writer.add(Output("c", IMAGE, carried={"json": b'{"score": 1}', "score": 2}))
    writer.abort()


def test_an_image_does_not_take_the_name_of_a_mask(storage: Storage) -> None:
    """Two shards would write `a_mask.png`, with test-time steps, where copies have no number."""
    writer = open_writer("folder", storage, 0, format="png", masks=["mask"])
    with pytest.raises(ImageError, match="a_mask would be the mask of another image by its name; rename the image"):
        writer.add(Output("a_mask", IMAGE))
    writer.add(Output("a_mask-0", IMAGE))
    write(storage, "folder", Output("a_mask", IMAGE), shard=1)


def test_further_images_of_a_table_are_files_in_a_tar(storage: Storage) -> None:
    images = {"depth": {"bytes": b"d", "path": "x/1.PNG"}, "flow": {"bytes": b"f", "path": None}}
    write(storage, "tar", Output("a", IMAGE, carried={**images, "none": {"bytes": None, "path": "b.png"}}))
    found = members(storage)
    assert (found["a.depth.png"], found["a.flow"]) == (b"d", b"f")
    assert json.loads(found["a.json"]) == {"none": {"bytes": None, "path": "b.png"}}


def test_no_copy_has_a_name_that_readers_skip(storage: Storage) -> None:
    webdataset = pytest.importorskip("webdataset")
    writer = open_writer("tar", storage, 0, format="png")
    with pytest.raises(ImageError, match=r"__x__/a-0: readers of WebDataset's layout skip names like __x__; rename"):
        writer.add(Output("__x__/a-0", IMAGE))
    names = ["__x/a-0", "y/__x__/a-0", "__a__-0"]
    for name in names:
        writer.add(Output(name, IMAGE))
    writer.close()
    opened = {"url": "0.tar", "stream": io.BytesIO(storage.read("shard-000000.tar"))}
    found = webdataset.tariterators.group_by_keys(webdataset.tariterators.tar_file_expander([opened]))
    assert [sample["__key__"] for sample in found] == names


def test_floats_of_normalized_images_in_tars_and_folders(storage: Storage) -> None:
    floats = np.linspace(-2, 2, 24, dtype=np.float32).reshape(2, 4, 3)
    output = Output("a-0", encode(floats, "npy"))
    write(storage, "tar", output, format="npy")
    write(storage, "folder", output, format="npy")
    for data in (members(storage)["a-0.npy"], stored(storage)["a-0.npy"]):
        assert np.array_equal(np.load(io.BytesIO(data)), floats)
    with pytest.raises(OutputError, match="Parquet stores images as files of images, and npy is none: use --to tar"):
        open_writer("parquet", storage, 0, format="npy")
    with pytest.raises(OutputError, match="outputs are tar, parquet, folder, not 'zip'"):
        check_output("zip", "png")


def broken(writer: Writer, data: bytes, count: int) -> OSError:
    """The error of a disk that is full while this is written."""
    with full(100_000), pytest.raises(OSError) as error:
        for number in range(count):
            writer.add(Output(f"x{number}", data))
        writer.close()
    return error.value


@pytest.mark.parametrize("count", [1, 4])  # noticed by `close`, and by `add`
@pytest.mark.parametrize("to", KINDS)
def test_a_full_disk_leaves_nothing_half_written(storage: Storage, to: str, count: int) -> None:
    if to == "parquet":
        pytest.importorskip("pyarrow")
    data = np.random.default_rng(1).bytes(700_000)
    writer = open_writer(to, storage, 0, format="png", row_group=1_000_000)
    assert broken(writer, data, count).errno == errno.EFBIG
    writer.abort()
    writer.abort()
    assert storage.names() == [] and storage.names(temporary=True) == []
    write(storage, to, Output("x", data))  # once there is space
    assert len(storage.names()) == (2 if to == "folder" else 1)


@pytest.mark.parametrize("to", ["tar", "parquet"])
def test_a_shard_that_is_begun_again_replaces_what_was_left(storage: Storage, to: str) -> None:
    if to == "parquet":
        pytest.importorskip("pyarrow")
    killed = open_writer(to, storage, 0, format="png", columns=COLUMNS)
    killed.add(FULL)
    other = open_writer(to, storage, 1, format="png", columns=COLUMNS)
    assert len(storage.names(temporary=True)) == 2 and storage.names() == []
    storage.remove_temporary(shard_file(to, 0))
    first = write(storage, to, FULL)
    assert len(storage.names(temporary=True)) == 1  # the other shard is being written
    other.abort()
    killed.abort()
    with pytest.raises(ValueError, match=r"closed|discarded"):
        killed.close()
    assert storage.names() == [f"shard-000000.{to}"] and digest_of(to, storage, 0) == first


def test_masks_keep_their_palette() -> None:
    image = Image.fromarray(np.eye(4, 5, dtype=np.uint8) * 3)
    image.putpalette([value for color in range(256) for value in (color, 0, 255 - color)])
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    labels, palette = decode_mask(buffer.getvalue(), "mask of a")
    with Image.open(io.BytesIO(encode_mask(labels, palette))) as again:
        assert again.mode == "P" and again.getpalette() == image.getpalette()
        assert np.array_equal(np.asarray(again), np.eye(4, 5) * 3)
    with pytest.raises(
        ImageError, match=r"^mask of a: the mask cannot be read: not an image in a format that Pillow reads$"
    ):
        decode_mask(b"no image", "mask of a")
    deep = io.BytesIO()
    Image.fromarray(np.zeros((2, 2), np.uint16)).save(deep, "PNG")
    with pytest.raises(ImageError, match=r"^mask of a: a mask of mode I;16 is not supported; save its labels as"):
        decode_mask(deep.getvalue(), "mask of a")


def test_a_shard_of_many_copies_is_written_in_little_memory(storage: Storage) -> None:
    """Of 64 MB in a tar, and in Parquet with small row groups, less than 16 MB are in memory at any time."""
    pytest.importorskip("pyarrow")
    import tracemalloc

    data = np.random.default_rng(1).bytes(1_000_000)
    add: Callable[[Writer, int], None] = lambda writer, number: writer.add(Output(f"{number}", data + bytes(number)))  # noqa: E731
    for to in ("tar", "parquet"):
        writer = open_writer(to, storage, 0, format="png", row_group=2_500_000)
        tracemalloc.start()
        for number in range(64):
            add(writer, number)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert writer.close()[0] > 64_000_000 and most < 16_000_000
