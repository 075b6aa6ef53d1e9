"""Inputs of shards that are Parquet files: the layout of Hugging Face datasets, and others."""

from __future__ import annotations

import io
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest

from augreg.sharding.inputs import open_input, parquet
from augreg.sharding.records import Column, Input, InputError, Sample

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def table(path: Path, columns: dict[str, tuple[Any, list[Any]]], group: int = 4, metadata: Any = None) -> Path:
    """A file of columns, each a type and its values, with `group` rows in a row group."""
    schema = pa.schema([(name, kind) for name, (kind, _) in columns.items()], metadata=metadata)
    path.parent.mkdir(parents=True, exist_ok=True)
    data = pa.table([pa.array(values, kind) for kind, values in columns.values()], schema=schema)
    pq.write_table(data, path, row_group_size=group)
    return path


def simple(path: Path, first: int, count: int, size: int = 0, group: int = 4) -> Path:
    numbers = list(range(first, first + count))
    images = [{"bytes": b"image %d" % number + bytes(size), "path": f"{number}.jpg"} for number in numbers]
    return table(path, {"image": (IMAGE, images), "label": (pa.int64(), [number % 3 for number in numbers])}, group)


def read(given: Input, shards: int = 1) -> list[Sample]:
    pieces = (pickle.loads(pickle.dumps(given.piece(shard, shards))) for shard in range(shards))
    return [sample for piece in pieces for sample in piece.samples()]


@pytest.mark.parametrize("shards", [1, 2, 3, 5, 11, 21, 30])
@pytest.mark.parametrize("group", [1, 4, 100])
def test_rows_are_shared_evenly(tmp_path: Path, shards: int, group: int) -> None:
    """Also where files and row groups end within a piece; a file may have no rows."""
    first = 0
    for number, count in enumerate((7, 0, 1, 13)):
        simple(tmp_path / f"data/train-{number}.parquet", first, count, group=group)
        first += count
    given = open_input(str(tmp_path))
    assert (given.kind, given.count, given.names, given.default_shards) == ("parquet", 21, 4, 4)
    sizes = [len(list(given.piece(shard, shards).samples())) for shard in range(shards)]
    assert sizes == [(shard + 1) * 21 // shards - shard * 21 // shards for shard in range(shards)]
    found = read(given, shards)
    assert [sample.index for sample in found] == list(range(21))
    assert [sample.key for sample in found] == [str(number) for number in range(21)]
    assert [sample.name for sample in found] == [f"{number:02}" for number in range(21)]
    assert [(sample.image, sample.label) for sample in found] == [(b"image %d" % n, n % 3) for n in range(21)]


def test_only_row_groups_that_are_needed_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    simple(tmp_path / "a.parquet", 0, 40, size=0)
    given = open_input(str(tmp_path / "a.parquet"))
    read_groups = []
    opened = pq.ParquetFile

    class Noted(opened):  # type: ignore[misc, valid-type]
        def iter_batches(self, *arguments: Any, row_groups: list[int], **options: Any) -> Any:
            read_groups.append(row_groups)
            return super().iter_batches(*arguments, row_groups=row_groups, **options)

    monkeypatch.setattr(pq, "ParquetFile", Noted)
    assert [sample.index for sample in given.piece(1, 4).samples()] == list(range(10, 20))
    assert read_groups == [[2], [3], [4]]  # of four rows each: 8 to 19


def test_rows_are_decoded_by_their_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    simple(tmp_path / "a.parquet", 0, 64, size=20_000, group=64)
    monkeypatch.setattr(parquet, "_BYTES", 100_000)
    counts = []
    opened = pq.ParquetFile

    class Noted(opened):  # type: ignore[misc, valid-type]
        def iter_batches(self, count: int, **options: Any) -> Any:
            counts.append(count)
            return super().iter_batches(count, **options)

    monkeypatch.setattr(pq, "ParquetFile", Noted)
    assert len(read(open_input(str(tmp_path)))) == 64
    assert 3 <= counts[0] <= 8  # compressed or not


def test_a_dataset_of_hugging_face(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    import numpy as np
    from PIL import Image

    images = [Image.fromarray(np.full((3, 4, 3), value, np.uint8)) for value in (10, 20)]
    features = datasets.Features(
        {
            "photo": datasets.Image(),
            "boxes": datasets.Sequence(datasets.Sequence(datasets.Value("float32"))),
            "label": datasets.ClassLabel(names=["cat", "dog"]),
            "objects": {"bbox": datasets.Sequence(datasets.Value("int64"))},
            "when": datasets.Value("timestamp[us]"),
        }
    )
    rows = {
        "photo": images, "boxes": [[[1, 2, 3, 4]], []], "label": [1, 0], "objects": [{"bbox": [1]}, {"bbox": []}],
        "when": [None, None],
    }  # fmt: skip
    datasets.disable_progress_bars()
    datasets.Dataset.from_dict(rows, features=features).to_parquet(str(tmp_path / "train.parquet"))
    given = open_input(str(tmp_path / "train.parquet"))
    first, second = read(given)
    assert [np.asarray(Image.open(io.BytesIO(sample.image))).mean() for sample in (first, second)] == [10, 20]
    assert given.classes == ("cat", "dog") and (first.label, second.label) == (1, 0)
    assert first.targets == {"boxes": [[1, 2, 3, 4]]} and second.targets == {"boxes": []}
    assert first.carried == {"objects": {"bbox": [1]}, "when": None}
    assert given.columns == (
        Column("image", "image"),
        Column("boxes", "targets", "list<element: list<element: float>>", given.columns[1].feature),
        Column("label", "label", "int64"),
        Column("objects", "carried", "struct<bbox: list<element: int64>>", given.columns[3].feature),
        Column("when", "carried", "timestamp[us]"),
    )


def test_columns_say_what_is_what(tmp_path: Path) -> None:
    path = table(
        tmp_path / "a.parquet",
        {
            "jpg": (pa.binary(), [b"1", b"2"]),
            "annotation": (IMAGE, [{"bytes": b"m", "path": None}, None]),
            "mask2": (pa.large_binary(), [None, b"m2"]),
            "bbox": (pa.list_(pa.list_(pa.float64(), 4)), [[[1, 2, 3, 4]], None]),
            "class": (pa.dictionary(pa.int8(), pa.string()), ["cat", "dog"]),
            "name": (pa.string(), ["x/1", "x/2"]),
            "preview": (IMAGE, [None, None]),
            "label": (pa.list_(pa.int64()), [[1], [2, 3]]),
        },
    )
    columns = {"image": "jpg", "mask": "annotation", "boxes": "bbox", "id": "name", "other": "preview"}
    given = open_input(str(path), columns=columns)
    first, second = read(given, 2)
    assert (first.image, first.masks, second.masks) == (b"1", {"mask": b"m"}, {"mask2": b"m2"})
    assert (first.key, first.index, first.name) == ("x/1", "x/1", "x/1")
    assert first.targets == {"boxes": [[1, 2, 3, 4]], "label": [1]} and second.targets == {"label": [2, 3]}
    assert first.carried == {"class": "cat", "name": "x/1", "preview": None}
    kinds = {column.name: column.kind for column in given.columns}
    assert kinds["mask"] == kinds["mask2"] == "mask" and kinds["name"] == "carried" and kinds["boxes"] == "targets"


def test_images_at_paths_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images/a.jpg").write_bytes(b"A")
    images = [{"bytes": None, "path": "images/a.jpg"}, {"bytes": None, "path": "images/none.jpg"}]
    table(tmp_path / "a.parquet", {"image": (IMAGE, images)})
    table(tmp_path / "b.parquet", {"image": (pa.string(), ["images/a.jpg", "images/none.jpg"])})
    for name in ("a", "b"):
        first, second = read(open_input(str(tmp_path / f"{name}.parquet")))
        assert first.image == b"A" and second.failure == "image: cannot be read: No such file or directory"


def test_a_row_that_is_no_sample_is_a_failure_of_its_own(tmp_path: Path) -> None:
    images = [b"1", None, b"", b"4", b"5"]
    columns = {
        "image": (pa.binary(), images),
        "id": (pa.int64(), [7, 8, 9, None, 6]),
        "label": (pa.float64(), [None] * 5),
    }
    given = open_input(str(table(tmp_path / "a.parquet", columns)), columns={"id": "id"})
    failures = {sample.key: sample.failure for sample in read(given)}
    assert failures == {
        "7": "",
        "6": "",
        "8": "image: there is no image: it is null",
        "9": "image: there is no image: it is null",
        "3": "id: an id is a number or a text, got null",
    }


def test_an_id_that_is_there_twice_is_refused_wherever_it_is(tmp_path: Path) -> None:
    """Outputs are named after ids: in a folder, one would replace the other."""
    for number, ids in enumerate((["b/1", "b2"], ["b3", "./b//1"])):
        table(tmp_path / f"{number}.parquet", {"image": (pa.binary(), [b"1", b"2"]), "name": (pa.string(), ids)})
    with pytest.raises(InputError, match=r"name 'b/1' is there twice, and outputs are named after it; give each"):
        open_input(str(tmp_path), columns={"id": "name"})
    assert [sample.key for sample in read(open_input(str(tmp_path)))] == ["0", "1", "2", "3"]


def test_what_is_no_class_is_carried(tmp_path: Path) -> None:
    """Numbers with fractions and truth values under the name of a label; other images, as many as there are."""
    image = pa.struct([("path", pa.string()), ("bytes", pa.binary())])
    columns = {
        "photo": (image, [{"path": None, "bytes": b"1"}]),
        "label": (pa.float32(), [0.5]),
        "depth": (IMAGE, [None]),
        "flow": (IMAGE, [None]),
    }
    options = {"image": "photo", "other": "depth", "other2": "flow"}
    given = open_input(str(table(tmp_path / "a.parquet", columns)), columns=options)
    (sample,) = read(given)
    assert sample == Sample("0", 0, "0", image=b"1", carried={"label": 0.5, "depth": None, "flow": None})
    assert given.columns[1] == Column("label", "carried", "float")


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        (
            {"photo": pa.int64(), "text": pa.string()}, {},
            "no column of images; there are: photo, text; say which is the image: --columns image=NAME",
        ),
        ({"left": IMAGE, "right": IMAGE}, {}, "several columns of images; there are: left, right; say which"),
        ({"image": pa.list_(pa.uint8())}, {}, "column 'image' is to be the image and is list<element: uint8>"),
        ({"image": IMAGE, "masks": pa.list_(IMAGE)}, {}, "column 'masks' is to be the masks and is list<"),
        ({"image": IMAGE, "depth": IMAGE}, {}, "column 'depth' has images as well, and nothing says whether"),
        ({"image": IMAGE}, {"label": "cls"}, "no column 'cls', which is to be the label; there are: image; say"),
        ({"image": IMAGE, "seg": IMAGE, "mask": IMAGE}, {}, "two columns are the mask: 'seg' and 'mask'"),
        ({"image": IMAGE, "attention_mask": pa.list_(pa.int8())}, {}, "; --columns other=attention_mask carries it"),
        ({"image": IMAGE, "label": pa.float64()}, {"label": "label"}, "'label' is to be the label and is double"),
        ({"image": IMAGE, "objects": IMAGE}, {"boxes": "objects.bbox"}, "the boxes; flatten 'objects' first"),
        ({"image": IMAGE}, {}, "no rows in it"),
    ],
)  # fmt: skip
def test_a_file_without_what_is_needed_is_refused(
    tmp_path: Path, columns: dict[str, Any], options: dict[str, str], message: str
) -> None:
    path = table(tmp_path / "a.parquet", {name: (kind, []) for name, kind in columns.items()})
    with pytest.raises(InputError) as error:
        open_input(str(path), columns=options)
    assert str(error.value).startswith(f"{path}: ") and message in str(error.value)


def test_files_of_other_columns_are_refused(tmp_path: Path) -> None:
    simple(tmp_path / "0.parquet", 0, 3)
    table(tmp_path / "1.parquet", {"image": (IMAGE, []), "label": (pa.string(), [])})
    with pytest.raises(
        InputError, match=r"1\.parquet: its columns are not those of .*0\.parquet: label is string and"
    ):
        open_input(str(tmp_path))
    table(tmp_path / "1.parquet", {"image": (IMAGE, [])})
    with pytest.raises(InputError, match="label is missing and not int64"):
        open_input(str(tmp_path))


def test_damaged_files_are_errors(tmp_path: Path) -> None:
    path = simple(tmp_path / "a.parquet", 0, 40, size=500)
    whole = path.read_bytes()
    given = open_input(str(path))
    data = bytearray(whole)
    start = pq.ParquetFile(path).metadata.row_group(5).column(0).data_page_offset
    data[start : start + 40] = b"\xff" * 40
    path.write_bytes(data)
    found = []
    with pytest.raises(InputError, match=r"a\.parquet: cannot be read: .*; replace the file"):
        for sample in given.piece(0, 1).samples():
            found.append(sample.index)
    assert found == list(range(20))
    for data in (whole[: len(whole) // 2], b"", b"not Parquet at all"):
        path.write_bytes(data)
        with pytest.raises(InputError, match=r"a\.parquet: cannot be read: "):
            open_input(str(path))
        with pytest.raises(InputError, match=r"a\.parquet: cannot be read: "):
            list(given.piece(0, 1).samples())
    path.unlink()
    with pytest.raises(InputError, match="No such file or directory"):
        list(given.piece(0, 1).samples())


def test_the_fingerprint_follows_files_and_rows(tmp_path: Path) -> None:
    fingerprints = []
    for folder, name, count in (("1", "a", 3), ("2", "a", 3), ("3", "b", 3), ("4", "a", 4)):
        simple(tmp_path / folder / f"{name}.parquet", 0, count)
        fingerprints.append(open_input(str(tmp_path / folder)).fingerprint)
    assert fingerprints[0] == fingerprints[1] and len(set(fingerprints)) == 3


def test_parquet_elsewhere(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    system = fsspec.filesystem("memory")
    for number in range(2):
        system.pipe(f"/rows/{number}.parquet", simple(tmp_path / f"{number}.parquet", 5 * number, 5).read_bytes())
    local = open_input(str(tmp_path))
    for place in ("memory://rows", "memory://rows/*.parquet", "memory://rows/{0..1}.parquet"):
        remote = open_input(place)
        assert remote.fingerprint == local.fingerprint and read(remote, 3) == read(local, 3)
    system.rm("/rows", recursive=True)


def test_without_pyarrow_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = simple(tmp_path / "a.parquet", 0, 1)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"Parquet needs pyarrow: pip install 'augreg\[shards\]'"):
        open_input(str(path))
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(InputError, match=r"URLs need fsspec: pip install 'augreg\[shards\]'"):
        open_input("memory://a.parquet")
