"""Inputs of shards that are lists of names: folders of images, and files of paths and URLs."""

from __future__ import annotations

import json
import os
import pickle
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from augreg.commands.apply import _tasks
from augreg.commands.input_images import find_images
from augreg.sharding.inputs import kind_of, lists, locations, names as names_module, open_input, stems as stems_module
from augreg.sharding.inputs.listed import default_shards, shards_of_files
from augreg.sharding.inputs.names import Names, NamesWriter, sort_names
from augreg.sharding.inputs.stems import ByStem, Stems
from augreg.sharding.records import Input, InputError, Sample
from augreg.targets.conventions import Targets


def put(folder: Path, *names: str) -> Path:
    """Files whose content is their name: nothing here is decoded."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return folder


def samples(given: Input, shards: int = 1) -> list[Sample]:
    """The samples of all pieces, each of which has been pickled."""
    pieces = (pickle.loads(pickle.dumps(given.piece(shard, shards))) for shard in range(shards))
    return [sample for piece in pieces for sample in piece.samples()]


def compressed(names: list[str]) -> Names:
    writer = NamesWriter()
    for name in names:
        writer.add(name)
    return writer.finish()[0]


# Names


@pytest.mark.parametrize("count", [0, 1, 1023, 1024, 1025, 5000])
def test_compressed_names_are_the_list(count: int) -> None:
    wanted = [f"é/{number:05}\udcff\n.jpg" for number in range(count)]
    names = compressed(wanted)
    assert len(names) == count and list(names) == wanted
    assert [names[number] for number in range(0, count, 97)] == wanted[::97]
    for start, stop in ((0, count), (count // 3, count // 2), (count // 3, count // 3), (max(0, count - 1), count)):
        part = pickle.loads(pickle.dumps(names.part(start, stop)))
        assert len(part) == stop - start and list(part) == wanted[start:stop]
        inner = part.part(len(part) // 2, len(part))
        assert list(inner) == wanted[start:stop][len(part) // 2 :]
    with pytest.raises(IndexError):
        names[count]


def test_a_part_holds_only_its_own_blocks() -> None:
    names = compressed([f"{number:08}-{random.Random(number).random()}" for number in range(20_000)])
    assert len(pickle.dumps(names.part(5000, 5100))) < len(pickle.dumps(names)) / 8


def test_the_hash_tells_lists_apart() -> None:
    def hashed(*names: str, about: str = "") -> str:
        writer = NamesWriter(about)
        for name in names:
            writer.add(name)
        return writer.finish()[1]

    lists = [("a", "b"), ("b", "a"), ("ab",), ("a", "b", ""), ("a\nb",), ()]
    assert len({hashed(*names) for names in lists} | {hashed("a", "b", about="x")}) == 7
    assert hashed("a", "b") == hashed("a", "b")


@pytest.mark.parametrize("chunk", [2000, 3000, 100_000])
def test_names_are_sorted_in_chunks_as_in_one(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names_module, "_CHUNK", chunk)
    rng = random.Random(chunk)
    for wanted in (
        [f"{rng.random()}" for _ in range(20_000)],
        [f"{number:06}" for number in range(20_000)],
        ["\udcff", "\U0001f600", "é", "a", "a"] * 2000,
    ):
        assert list(sort_names(iter(wanted))) == sorted(wanted)
    assert list(sort_names([])) == []


@pytest.mark.parametrize("collide", [False, True])
def test_paths_are_found_by_stem_and_of_several_the_last(collide: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if collide:  # as different names may
        monkeypatch.setattr(stems_module, "hash", lambda text: len(text) // 2, raising=False)
    names = compressed(["a.jpg", "b.jpg", "b.png", "c/a.jpg"])
    by_stem = ByStem(names, lambda name: name.rpartition(".")[0])
    assert list(by_stem.find(["a", "b", "c", "c/a", ""])) == ["a.jpg", "b.png", None, "c/a.jpg", None]


@pytest.mark.parametrize("collide", [False, True])
def test_equal_names_of_outputs_are_refused(collide: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if collide:
        monkeypatch.setattr(stems_module, "hash", lambda text: len(text) // 2, raising=False)

    def twins(*keys: str) -> list[bool] | None:
        stems = Stems()
        for key in keys:
            stems.add(key.rpartition(".")[0])
        found = stems.twins(lambda: ((key.rpartition(".")[0], key) for key in keys))
        return None if found is None or not found.any() else found.tolist()

    assert twins("a.jpg", "b.jpg") is None
    assert twins("a.jpg", "b.jpg", "A.png", "a.pn.gif") == [True, False, True, False]
    assert twins("a.jpg", "a.png", "a.jpg.png", "a.jpg.gif") == [True] * 4
    with pytest.raises(InputError, match=r"a\.jpg: the outputs of two samples would have this name"):
        twins("x.jpg", "a.jpg", "a.png", "a.jpg.png")
    with pytest.raises(InputError, match=r"a\.jpg: "):
        twins("a.jpg", "a.jpg")


def test_samples_are_shared_among_shards() -> None:
    assert [default_shards(count) for count in (1, 100, 400, 16_000, 16_001, 10_000_000)] == [1, 1, 4, 16, 17, 10_000]
    sizes = (
        [10_000],
        [300_000_000],
        [5_000_000_000],
        [10**8] * 100,
        [3_000_000] * 100,
        [10**9] * 8,
        [30_000_000] * 4,
    )
    assert [shards_of_files(each) for each in sizes] == [1, 16, 50, 100, 100, 80, 12]


# Folders

TREE = (
    "cat/a.jpg", "cat/a.png", "cat/a_mask.png", "cat/B.jpeg", "cat/b.JPG", "cat.x/c.bmp", "cat/deep/d.webp",
    "cat/_mask.png", "cat/x_mask.png", "cat/a_mask_mask.png", "dog/e f.ü.tif", "dog/notes.txt", ".h/i.jpg",
    "dog/.j.jpg", "dog/k.l.m.jpg", "dog/k.l_mask.gif", "dog/k.l_mask.png", "dog/k.l.jpg", "ant/z.jpg", "ant-1/z.jpg",
)  # fmt: skip


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = put(tmp_path / "in", *TREE)
    put(folder / "written", "augreg.json", "a-0.png")
    (folder / "written" / "augreg.json").write_text('{"fingerprint": "", "made_with": {}}')
    put(folder / "out", "shard.png")
    (folder / "dog" / "round").symlink_to(folder)
    (folder / "linked").symlink_to(put(tmp_path / "elsewhere", "n.jpg"))
    bad = os.fsencode(folder / "ant") + b"/\xff.jpg"
    Path(os.fsdecode(bad)).write_bytes(b"not UTF-8")
    return folder


@pytest.mark.parametrize("masks", [True, False, "folder"])
@pytest.mark.parametrize("shards", [1, 4])
def test_a_folder_has_the_samples_of_plain_apply(tree: Path, masks: bool | str, shards: int) -> None:
    """The same keys in the same order, the same masks, and the same names of outputs."""
    out = tree / "out"
    if masks == "folder":
        masks = str(put(tree.parent / "masks", "cat/a.gif", "dog/k.l.png", "dog/k.png", "top.png"))
    skipped: list[Path] = []
    given = open_input(str(tree), masks=masks, leave_out=str(out), outputs=skipped)
    assert skipped == [tree / "written"]
    found = samples(given, shards)
    sources = find_images(tree, Path(masks) if isinstance(masks, str) else masks, leave_out=out)
    assert given.count == given.names == len(found) == len(sources)
    assert [sample.key for sample in found] == [sample.index for sample in found] == [each.key for each in sources]
    assert [sample.image for sample in found] == [each.path.read_bytes() for each in sources]
    wanted = [{} if each.mask is None else {"mask": each.mask.read_bytes()} for each in sources]
    assert [sample.masks for sample in found] == wanted
    assert any(wanted) == (masks is not False) == any(column.kind == "mask" for column in given.columns)
    tasks = _tasks(sources, out, 1, "png", False)
    assert [f"{sample.name}-0.png" for sample in found] == [
        task.copies[0][1].relative_to(out).as_posix() for task in tasks
    ]
    if masks is True:
        assert [sample.key for sample in found] == [
            "ant/z.jpg", "ant/\\xff.jpg", "ant-1/z.jpg", "cat/B.jpeg", "cat/_mask.png", "cat/a.jpg", "cat/a.png",
            "cat/b.JPG", "cat/deep/d.webp", "cat/x_mask.png", "cat.x/c.bmp", "dog/e f.ü.tif", "dog/k.l.jpg",
            "dog/k.l.m.jpg", "linked/n.jpg",
        ]  # fmt: skip


def test_the_order_is_that_of_the_parts_of_paths(tree: Path) -> None:
    keys = [sample.key for sample in samples(open_input(str(tree), masks=False))]
    keys.remove("ant/\\xff.jpg")
    assert keys == sorted(keys, key=lambda key: key.split("/"))
    assert keys != sorted(keys)  # in which cat.x/ comes before cat/


def test_a_large_folder_is_sorted_in_chunks(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = open_input(str(tree))
    monkeypatch.setattr(names_module, "_CHUNK", 3)
    monkeypatch.setattr(names_module, "_BLOCK", 2)
    after = open_input(str(tree))
    assert samples(after, 5) == samples(before, 1)


def test_class_folders_have_numbers(tmp_path: Path) -> None:
    put(tmp_path, "dog/a.jpg", "cat/b.jpg", "cat/deep/c.jpg", "empty/notes.txt", "cat-2/d.jpg")
    given = open_input(str(tmp_path))
    assert given.classes == ("cat", "cat-2", "dog")
    assert {sample.key: sample.label for sample in samples(given)} == {
        "cat/b.jpg": 0, "cat/deep/c.jpg": 0, "cat-2/d.jpg": 1, "dog/a.jpg": 2,
    }  # fmt: skip
    put(tmp_path, "top.jpg")
    assert open_input(str(tmp_path)).classes == ()
    assert {sample.label for sample in samples(open_input(str(tmp_path)))} == {None}


def test_one_image_and_one_folder_without_classes(tmp_path: Path) -> None:
    put(tmp_path, "x/a.jpg", "x/b.jpg")
    assert [sample.key for sample in samples(open_input(str(tmp_path / "x/a.jpg")))] == ["a.jpg"]
    assert open_input(str(tmp_path)).classes == ()


def test_a_file_that_vanishes_is_a_failure_of_its_own(tmp_path: Path) -> None:
    given = open_input(str(put(tmp_path, "a.jpg", "b.jpg", "c.jpg", "c_mask.png", "d.jpg")))
    (tmp_path / "b.jpg").unlink()
    (tmp_path / "c_mask.png").unlink()
    (tmp_path / "d.jpg").unlink()
    os.mkfifo(tmp_path / "d.jpg")
    failures = {sample.key: sample.failure for sample in samples(given)}
    assert failures == {
        "a.jpg": "",
        "b.jpg": "cannot be read: No such file or directory",
        "c.jpg": "the mask cannot be read: No such file or directory",
        "d.jpg": "cannot be read: not a file but a pipe",
    }


def test_the_fingerprint_is_that_of_the_list(tmp_path: Path) -> None:
    one, two = put(tmp_path / "1", "a.jpg", "b.jpg"), put(tmp_path / "2", "a.jpg", "b.jpg")
    assert open_input(str(one)).fingerprint == open_input(f"file://{two}").fingerprint
    before = open_input(str(two)).fingerprint
    put(two, "b_mask.png")
    with_mask = open_input(str(two)).fingerprint
    (two / "b.jpg").rename(two / "c.jpg")
    assert len({before, with_mask, open_input(str(two)).fingerprint}) == 3


def test_a_place_without_images_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "notes/x.md", "a.jpg")
    for place, message in (
        (tmp_path / "notes", "no images in it or below it; image files end in .avif"),
        (tmp_path / "nothing", "no such file or folder"),
        (tmp_path / "notes/x.md", "expected a folder of images, tars or Parquet files, or a file that ends in"),
        (tmp_path / "*.jpg", "a pattern stands for tars or Parquet files"),
        (tmp_path / "*.tar", "no file has such a name"),
    ):
        with pytest.raises(InputError) as error:
            open_input(str(place))
        assert str(error.value).startswith(f"{place}: ") and message in str(error.value)
    with pytest.raises(InputError, match=r"nowhere: no such f"):
        open_input(str(tmp_path), masks=str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="a folder of images has no columns"):
        open_input(str(tmp_path), columns={"image": "jpg"})
    with pytest.raises(ValueError, match="there is no shard 2 of 2"):
        open_input(str(tmp_path)).piece(2, 2)


def test_the_kind_of_a_folder_is_that_of_its_files(tmp_path: Path) -> None:
    for kind, names in (
        ("folder", ["a.tar", "deep/b.jpg"]),
        ("tar", ["a.tar", "b.parquet", "c.json"]),
        ("tar", ["deep/a.tar.gz", ".h.jpg"]),
        ("parquet", ["data/train-0.parquet", "README.md"]),
        ("folder", ["x.md"]),
    ):
        folder = put(tmp_path / f"{len(list(tmp_path.iterdir()))}", *names)
        assert kind_of(str(folder)) == kind


def test_the_root_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker may run in another folder."""
    put(tmp_path / "in", "a.jpg")
    (tmp_path / "list.txt").write_text("in/a.jpg")
    monkeypatch.chdir(tmp_path)
    pieces = [open_input(place).piece(0, 1) for place in ("in", "list.txt")]
    monkeypatch.chdir("/")
    assert [sample.image for piece in pieces for sample in piece.samples()] == [b"a.jpg"] * 2


# Lists


def listed(folder: Path, name: str, text: str, **options: Any) -> Input:
    path = folder / name
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return open_input(str(path), **options)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return put(tmp_path, "a.jpg", "sub/b.png", "m.png", "m2.png")


def test_a_list_of_paths(images: Path) -> None:
    other = images / "sub" / "b.png"
    given = listed(images, "list.txt", f"\ufeffsub/b.png\r\n\n  \na.jpg\r\n../{images.name}/m.png\nnone.jpg\n{other}")
    found = samples(given, 3)
    keys = ["sub/b.png", "a.jpg", f"../{images.name}/m.png", "none.jpg", str(other)]
    assert [sample.key for sample in found] == [sample.index for sample in found] == keys  # as written, in order
    assert [sample.image for sample in found] == [b"sub/b.png", b"a.jpg", b"m.png", b"", b"sub/b.png"]
    assert [sample.failure for sample in found] == [""] * 3 + ["cannot be read: No such file or directory", ""]
    assert [sample.name for sample in found] == ["sub/b", "a", f"{images.name}/m", "none", str(other)[1:-4]]
    assert given.count == 5 and [column.name for column in given.columns] == ["image"]


CSV = (
    'image,mask,mask2,boxes,label,note\r\na.jpg,m.png,m2.png,"[[1, 2, 3, 4]]",7,"one\r\ntwo, ""three"""\r\n'
    "sub/b.png,,,,,\r\n"
)
ROWS = [
    {"file_name": "a.jpg", "mask": "m.png", "mask2": "m2.png", "boxes": [[1, 2, 3, 4]], "label": 7, "note": "é"},
    {"file_name": "sub/b.png", "mask": None, "label": None},
]


@pytest.mark.parametrize("name", ["list.csv", "list.jsonl"])
def test_a_table_has_masks_targets_labels_and_the_rest(images: Path, name: str) -> None:
    text = CSV if name.endswith("csv") else "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS)
    given = listed(images, name, text)
    first, second = samples(given, 2)
    assert first.masks == {"mask": b"m.png", "mask2": b"m2.png"} and first.label == 7
    assert first.targets == {"boxes": [[1, 2, 3, 4]]}
    assert first.carried == {"note": 'one\r\ntwo, "three"' if name.endswith("csv") else "é"}
    assert (second.image, second.masks, second.targets, second.label) == (b"sub/b.png", {}, {}, None)
    kinds = {
        "image": "image",
        "mask": "mask",
        "mask2": "mask",
        "boxes": "targets",
        "label": "label",
        "note": "carried",
    }
    assert {column.name: column.kind for column in given.columns} == kinds
    assert {column.name: column.type for column in given.columns}["label"] == "int64"


def test_columns_say_what_is_what(images: Path) -> None:
    text = "path,seg,class,name\na.jpg,m.png,cat,x/1\nsub/b.png,m2.png,3,x/2\n"
    given = listed(images, "list.csv", text, columns={"image": "path", "mask": "seg", "label": "class", "id": "name"})
    found = samples(given)
    assert [sample.index for sample in found] == [sample.name for sample in found] == ["x/1", "x/2"]
    assert [sample.masks for sample in found] == [{"mask": b"m.png"}, {"mask": b"m2.png"}]
    assert [sample.label for sample in found] == ["cat", "3"]  # names, as one of them is
    assert {column.name: column.type for column in given.columns}["label"] == "string"
    assert [sample.carried for sample in found] == [{"name": "x/1"}, {"name": "x/2"}]


def test_targets_of_the_spec_are_targets(images: Path) -> None:
    from augreg import Pipeline

    pipe = Pipeline.from_spec(
        {
            "image": ["invert"],
            "targets": {"boxes": "xyxy", "labels": ["classes"], "polygons": ["outline"], "keys": {"depth": "mask"}},
        }
    )
    row = {"image": "a.jpg", "boxes": [], "classes": [], "labels": [1], "outline": [], "depth": "m.png", "masked": 1}
    path = images / "list.jsonl"
    path.write_text(json.dumps(row))
    (sample,) = samples(open_input(str(path), targets=pipe.options.targets))
    assert sample.targets == {"boxes": [], "classes": [], "outline": []} and sample.masks == {"depth": b"m.png"}
    assert sample.carried == {"labels": [1], "masked": 1}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "\n\n", "an empty list"),
        ("a.csv", "", "no column of images; there are: nothing; say which is the image: --columns image=NAME"),
        ("a.csv", "photo,cls\na.jpg,1\n", "no column of images; there are: cls, photo; say which is the image"),
        ("a.csv", "image\n", "an empty list"),
        ("a.csv", "image,cls\na.jpg,1\nb.jpg\n", "line 3: expected 2 values, as in the header, got 1"),
        ("a.csv", 'image,cls\na.jpg,"1\nb.jpg,2\n', "line 2: a quotation that does not end"),
        ("a.csv", "image,image\na.jpg,1\n", "the header has a column twice"),
        ("a.csv", "image,cls\n,1\n", "line 2: it has no image"),
        ("a.csv", "image,seg,mask\na.jpg,1,2\n", "two columns are the mask: 'seg' and 'mask'"),
        ("a.jsonl", '{"image": "a.jpg"}\n{"image": \n', "line 2: "),
        ("a.jsonl", '["a.jpg"]\n', "line 1: expected a JSON object"),
        ("a.jsonl", '{"image": 3}\n', "line 1: it has no image"),
        ("a.jsonl", '{"picture": "a"}\n', "line 1: it has no image"),
        ("a.txt", "a.jpg\0b.jpg\n", "line 1: not an entry of a list of images"),
        ("a.txt", "a.jpg\nb.jpg\na.jpg\n", "a.jpg: the outputs of two samples would have this name"),
    ],
)
def test_a_list_that_is_none_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        listed(tmp_path, name, text)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"boxes": "bbox"}, "no column 'bbox', which is to be the boxes; there are: id, image, note; say which"),
        ({"id": "note"}, "1: the outputs of two samples would have this name"),
        ({"label": "note", "id": "note"}, "'note' is given two names: label, id"),
        ({"image": "note"}, "'image' is there, and 'note' is to be used as 'image'"),
        ({"image": ""}, "image=: expected NAME=COLUMN"),
        (
            {"img": "note"},
            "img=note: the spec knows no 'img', but boxes, id, image, keypoint_names, keypoints, label,",
        ),
    ],
)
def test_wrong_columns_are_refused(tmp_path: Path, columns: dict[str, str], message: str) -> None:
    with pytest.raises(InputError) as error:
        listed(tmp_path, "a.csv", "image,note,id\na.jpg,1,2\nb.jpg,1,3\n", columns=columns)
    assert message in str(error.value)


def test_a_value_that_is_none_is_a_failure_of_its_own(images: Path) -> None:
    text = 'image,boxes,mask\na.jpg,"[[1,",\nm.png,,nothing.png\nm2.png,[],\n'
    failures = [sample.failure for sample in samples(listed(images, "a.csv", text))]
    assert failures[0].startswith("boxes is not valid: ") and failures[2] == ""
    assert failures[1] == "mask cannot be read: No such file or directory"


def test_ids_and_labels_as_they_are_written(images: Path) -> None:
    text = "image,id,label\na.jpg,7,007\nm.png,007,3\nm2.png,a.png,\nsub/b.png,a.jpg,\n"
    found = samples(listed(images, "a.csv", text, columns={"id": "id"}))
    assert [sample.index for sample in found] == [7, "007", "a.png", "a.jpg"]
    assert [sample.name for sample in found] == ["7", "007", "a.png", "a.jpg"]
    assert [sample.label for sample in found] == ["007", "3", None, None]  # as text, since one is no number
    rows = [{"image": "a.jpg", "boxes": [], "label": []}, {"image": "m.png", "label": [1, 2]}]
    first, second = samples(listed(images, "a.jsonl", "\n".join(map(json.dumps, rows))))
    assert first.targets == {"boxes": [], "label": []} and second.targets == {"label": [1, 2]}  # those of objects


def test_labels_that_are_no_classes_are_carried(images: Path) -> None:
    for values in ([0.5, 1], [True, False], [[1], None]):
        text = "\n".join(json.dumps({"image": "a.jpg", "id": at, "label": value}) for at, value in enumerate(values))
        targets = Targets(labels=("labels",))
        found = samples(listed(images, "a.jsonl", text, columns={"id": "id"}, targets=targets))
        assert [(sample.label, sample.carried.get("label"), sample.failure) for sample in found] == [
            (None, value, "") for value in values
        ]
    found = samples(listed(images, "a.csv", "image,label\na.jpg,-1\nm.png,12\n"))
    assert [sample.label for sample in found] == [-1, 12]


def test_a_path_that_is_not_utf_8(images: Path) -> None:
    (images / "a.jpg").rename(os.fsdecode(os.fsencode(images) + b"/\xff.jpg"))
    (images / "a.txt").write_bytes(b"\xff.jpg\n")
    (sample,) = samples(open_input(str(images / "a.txt")))
    assert (sample.key, sample.index, sample.name, sample.image) == ("\\xff.jpg", "\\xff.jpg", "\\xff", b"a.jpg")


def test_entries_with_ever_new_keys_are_refused(tmp_path: Path) -> None:
    rows = (json.dumps({"image": f"{row}", **{f"{row}-{key}": 1 for key in range(500)}}) for row in range(20))
    with pytest.raises(InputError, match="its entries have more than 4,096 different keys"):
        listed(tmp_path, "a.jsonl", "\n".join(rows))


def test_a_line_without_end_is_not_read_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # a sparse file, of zeros
    with pytest.raises(InputError, match="line 1: not an entry"):
        open_input(str(path))
    monkeypatch.setattr(lists, "_LONGEST", 100)
    assert listed(tmp_path, "b.csv", f"image,note\na.jpg,{'x' * 90}\nb.jpg,\n").count == 2
    with pytest.raises(InputError, match="line 2: not an entry"):
        listed(tmp_path, "b.csv", f'image,note\na.jpg,"{"x" * 60}\n{"y" * 60}"\n')


# Elsewhere


@pytest.fixture
def memory() -> Iterator[str]:
    fsspec = pytest.importorskip("fsspec")
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pseudo_dirs[:] = [""]
    yield "memory://in"
    system.store.clear()


def upload(**files: bytes) -> None:
    import fsspec

    fsspec.filesystem("memory").pipe({f"/in/{name}": data for name, data in files.items()})


def test_a_remote_folder_is_as_a_local_one(memory: str, tree: Path) -> None:
    files = {path.relative_to(tree).as_posix(): path for path in tree.rglob("*") if path.is_file()}
    names = [name for name in files if name.isprintable() and not name.startswith(("linked", "dog/round"))]
    upload(**{name: files[name].read_bytes() for name in names})
    (tree / "linked").unlink()
    (tree / "ant" / os.fsdecode(b"\xff.jpg")).unlink()
    remote = open_input(memory)
    assert samples(remote, 3) == samples(open_input(str(tree)))
    assert remote.fingerprint == open_input(str(tree)).fingerprint
    left = open_input(memory, leave_out="memory://in/cat")
    assert not any(sample.key.startswith("cat/") for sample in samples(left))


def test_remote_lists_masks_and_urls(memory: str, tmp_path: Path) -> None:
    upload(**{"a.jpg": b"A", "m/a.png": b"M", "list.txt": b"a.jpg\nmemory://in/m/a.png\nnone.jpg\n"})
    found = samples(open_input("memory://in/list.txt"))
    assert [sample.image for sample in found] == [b"A", b"M", b""]
    assert [sample.name for sample in found] == ["a", "m/a", "none"]
    assert found[2].failure == "cannot be read: No such file or directory"
    (tmp_path / "list.txt").write_text("memory://in/a.jpg\n")
    assert [sample.image for sample in samples(open_input(str(tmp_path / "list.txt")))] == [b"A"]
    (image,) = samples(open_input("memory://in/a.jpg", masks="memory://in/m"))
    assert image.masks == {"mask": b"M"}
    with pytest.raises(OSError, match="it has more than 3 bytes, the most that is read"):
        locations.read("memory://in/list.txt", 3)
    with pytest.raises(InputError, match=r"memory://in/none\.txt: no such file or folder"):
        open_input("memory://in/none.txt")


@pytest.mark.parametrize(
    ("url", "message"),
    [("nope://x/a.tar", "Protocol not known"), ("memory://in/*.tar", "no file has such a name")],
)
def test_urls_that_cannot_be_opened(memory: str, url: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_input(url)


def test_a_remote_file_system_that_fails(memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Libraries raise what they like: it is the failure of the image, with its reason."""
    import fsspec

    upload(**{"a.jpg": b"A", "b.jpg": b"B"})
    given = open_input(memory)
    system = type(fsspec.filesystem("memory"))
    opened = system.open

    def failing(self: object, path: str, *more: object, **others: object) -> object:
        if path.endswith("a.jpg"):
            raise RuntimeError("the token has expired")
        return opened(self, path, *more, **others)

    monkeypatch.setattr(system, "open", failing)
    assert [sample.failure for sample in samples(given)] == [
        "cannot be read: RuntimeError: the token has expired",
        "",
    ]
    monkeypatch.setattr(system, "ls", failing)
    with pytest.raises(InputError, match="in: cannot be read: "):
        open_input(memory)
