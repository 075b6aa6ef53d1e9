"""Output shards as Parquet: columns, types, row groups, and what Hugging Face datasets makes of them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from augreg import ImageError
from augreg.images.encoding import encode, encode_mask
from augreg.sharding.column_types import typed
from augreg.sharding.outputs import Output, OutputError, check_output, open_writer
from augreg.sharding.records import Column, Sample
from augreg.sharding.storage import Storage, open_storage

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

PIXELS = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
IMAGE, MASK = encode(PIXELS, "png"), encode_mask(np.eye(4, 5, dtype=np.uint8))
CLASSES = ("cat", "dog")


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    found = open_storage(str(tmp_path / "out"))
    found.make()
    return found


def write(storage: Storage, columns: list[Column], *outputs: Output, shard: int = 0, **options: Any) -> Any:
    """The file of a shard with these copies."""
    writer = open_writer("parquet", storage, shard, format="png", columns=columns, **options)
    for output in outputs:
        writer.add(output)
    writer.close()
    return parquet.ParquetFile(f"{storage.local}/shard-{shard:06d}.parquet")


def test_datasets_reads_images_masks_and_classes(storage: Storage, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    columns = [
        Column("image", "image"), Column("mask", "mask"), Column("label", "label", "int64"),
        Column("boxes", "targets"), Column("labels", "targets"), Column("caption", "carried", "string"),
    ]  # fmt: skip
    targets = {"boxes": np.float64([[0.5, 1, 2, 3]]), "labels": [3]}
    outputs = [
        Output("dog/a-0", IMAGE, {"mask": MASK}, targets, 1, {"caption": "a dog"}),
        Output("cat/a-0", IMAGE, {}, {"boxes": [], "labels": []}, "cat", {}),
    ]
    write(storage, columns, *outputs, classes=CLASSES).close()
    files = f"{storage.local}/shard-*.parquet"
    rows = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path / "cache"))
    assert rows.features["label"] == datasets.ClassLabel(names=["cat", "dog"])
    assert [rows.features[name] for name in ("image", "mask")] == [datasets.Image()] * 2
    assert np.array_equal(np.asarray(rows[0]["image"]), PIXELS)
    assert np.array_equal(np.asarray(rows[0]["mask"]), np.eye(4, 5)) and rows[1]["mask"] is None
    assert rows["label"][:] == [1, 0] and rows["caption"][:] == ["a dog", None]
    assert rows["boxes"][:] == [[[0.5, 1.0, 2.0, 3.0]], []] and rows["labels"][:] == [[3], []]
    table = parquet.read_table(f"{storage.local}/shard-000000.parquet")
    assert [image["path"] for image in table["image"].to_pylist()] == ["dog/a-0.png", "cat/a-0.png"]


def test_every_shard_has_the_same_schema(storage: Storage) -> None:
    columns = [
        Column("img", "image"), Column("mask", "mask"), Column("label", "label", "string"),
        Column("boxes", "targets", "list<element: list<element: int32>>"), Column("score", "carried", "float"),
    ]  # fmt: skip
    full = Output("a", IMAGE, {"mask": MASK}, {"boxes": [[1, 2, 3, 4.5]]}, "tabby", {"score": 0.5})
    shards = [
        write(storage, columns, *outputs, shard=shard)
        for shard, outputs in enumerate([(full,), (Output("b", IMAGE),), ()])
    ]
    assert shards[0].schema_arrow.equals(shards[1].schema_arrow, check_metadata=True)
    assert shards[0].schema_arrow.equals(shards[2].schema_arrow, check_metadata=True)
    assert [shard.metadata.num_rows for shard in shards] == [1, 1, 0]
    assert shards[0].schema_arrow.names == ["img", "mask", "label", "boxes", "score"]
    assert shards[0].schema_arrow.field("boxes").type == pa.list_(pa.list_(pa.float64()))  # they move
    assert shards[0].read().to_pylist()[0]["boxes"] == [[1.0, 2.0, 3.0, 4.5]]
    assert shards[0].read().to_pylist()[0]["score"] == 0.5 and shards[0].read()["score"].type == pa.float32()
    for shard in shards:
        shard.close()


def test_a_second_image_is_carried_as_it_is(storage: Storage) -> None:
    other = {"bytes": MASK, "path": None}
    columns = [Column("image", "image"), Column("other", "carried", "struct<bytes: binary, path: string>")]
    file = write(storage, columns, Output("a", IMAGE, carried={"other": other}), Output("b", IMAGE))
    assert file.read()["other"].to_pylist() == [other, None]
    file.close()


def test_row_groups_have_a_size(storage: Storage) -> None:
    data = [np.random.default_rng(seed).bytes(40_000) for seed in range(10)]
    file = write(storage, [], *(Output(str(n), each) for n, each in enumerate(data)), row_group=100_000)
    rows = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
    assert rows == [2] * 5
    assert [row["bytes"] for row in file.read()["image"].to_pylist()] == data
    file.close()
    file = write(storage, [], *(Output(str(n), each) for n, each in enumerate(data)), row_group=1000)
    assert file.num_row_groups == 10  # an image that is larger has one of its own
    file.close()
    small = [Output(str(number), b"1") for number in range(100)]
    file = write(storage, [], *small, row_group=50_000)
    assert file.num_row_groups > 1  # rows take memory even if their images take none
    file.close()


TYPES = [
    *(pa.type_for_alias(name) for name in ("bool", "int8", "uint16", "int64", "float16", "float32", "float64")),
    pa.string(), pa.large_string(), pa.binary(), pa.large_binary(), pa.binary(16), pa.date32(), pa.date64(),
    pa.time32("s"), pa.time64("us"), pa.timestamp("ns"), pa.timestamp("us", tz="Europe/Berlin"), pa.duration("ms"),
    pa.decimal128(10, 2), pa.decimal256(40, -3), pa.list_(pa.int64()), pa.large_list(pa.string()),
    pa.list_(pa.float32(), 4), pa.list_(pa.list_(pa.float64(), 2)), pa.struct([]),
    pa.struct([("x y", pa.int64()), pa.field("z", pa.list_(pa.struct([("w", pa.string())])), nullable=False)]),
    pa.map_(pa.string(), pa.list_(pa.int64())), pa.list_(pa.field("item", pa.int64(), nullable=False)), pa.null(),
]  # fmt: skip


@pytest.mark.parametrize("kind", TYPES, ids=str)
def test_what_is_carried_keeps_its_type(kind: Any) -> None:
    from augreg.sharding.outputs.parquet import schema_of

    assert schema_of([Column("x", "carried", str(kind))], ()).field("x").type == kind
    nested = pa.list_(pa.struct([("a", kind), ("b", kind)]))
    assert schema_of([Column("x", "carried", str(nested))], ()).field("x").type == nested


def test_dictionaries_become_their_values() -> None:
    from augreg.sharding.outputs.parquet import schema_of

    kind = pa.list_(pa.dictionary(pa.int32(), pa.string()))
    assert schema_of([Column("x", "carried", str(kind))], ()).field("x").type == pa.list_(pa.string())


@pytest.mark.parametrize(
    "text",
    [
        "extension<x>",
        "list<int64>",
        "list<element: int64",
        "int64>",
        "nonsense",
        "struct<a>",
        "a" * 99,
        "list<x: " * 50,
    ],
)
def test_a_type_that_is_not_known_is_refused(text: str) -> None:
    with pytest.raises(OutputError, match=r"column x is of type .* cannot be written to Parquet here .*use --to tar"):
        check_output("parquet", "png", (), [Column("x", "carried", text)])


def test_columns_need_names_of_their_own() -> None:
    with pytest.raises(OutputError, match="two columns would be called image; rename one with --columns"):
        check_output("parquet", "png", (), [Column("image", "image"), Column("image", "carried", "string")])


def test_parquet_without_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "augreg.sharding.outputs.parquet", raising=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(OutputError, match=r"Parquet needs pyarrow: pip install 'augreg\[shards\]'"):
        check_output("parquet", "png")
    check_output("tar", "png")


MISFITS: list[tuple[Output, str]] = [
    (Output("x", IMAGE, {}, {"labels": ["cat"]}), r"its labels does not fit the column, which is list<"),
    (Output("x", IMAGE, {}, {"boxes": [["a"]]}), r"its boxes does not fit the column"),
    (Output("x", IMAGE, label="bird"), "its label 'bird' is none of the 2 classes"),
    (Output("x", IMAGE, label=2), "its label is 2, and the 2 classes have numbers from 0"),
    (Output("x", IMAGE, label=-2), "its label is -2, and the 2 classes have numbers from 0"),
    (Output("x", IMAGE, carried={"n": 2**40}), "its n does not fit the column, which is int32"),
    (Output("x", IMAGE, carried={"n": 0.5}), "its n does not fit the column, which is int32: it has fractions or"),
    (Output("x", IMAGE, {}, {"labels": [1, 2.5]}), "its labels does not fit .*: it has fractions or keys"),
    (Output("x", IMAGE, carried={"place": {"x": 1, "y": 2}}), "its place does not fit .*: it has fractions or keys"),
    (Output("x", IMAGE, carried={"other": 1}), r"it has other, for which there is no column: .*use --to tar"),
    (Output("x", IMAGE, {"mask2": MASK}), r"it has mask2, for which there is no column"),
]


@pytest.mark.parametrize(("output", "says"), MISFITS)
def test_a_copy_that_does_not_fit_stops_nobody(storage: Storage, output: Output, says: str) -> None:
    columns = [
        Column("label", "label", "int64"), Column("boxes", "targets"), Column("labels", "targets"),
        Column("n", "carried", "int32"), Column("place", "carried", "struct<x: int64>"),
    ]  # fmt: skip
    writer = open_writer("parquet", storage, 0, format="png", columns=columns, classes=CLASSES)
    writer.add(Output("a", IMAGE, label=0))
    with pytest.raises(ImageError, match=says):
        writer.add(output)
    writer.add(Output("b", IMAGE, label=-1, carried={"n": np.int64(7), "other": None}))
    writer.close()
    table = parquet.read_table(f"{storage.local}/shard-000000.parquet")
    assert table["label"].to_pylist() == [0, -1] and table["n"].to_pylist() == [None, 7]


def test_a_label_needs_a_column(storage: Storage) -> None:
    writer = open_writer("parquet", storage, 0, format="png")
    with pytest.raises(ImageError, match="it has a label, for which there is no column"):
        writer.add(Output("a", IMAGE, label=0))
    writer.abort()


def test_types_come_from_the_first_samples() -> None:
    columns = [
        Column("image", "image"), Column("label", "label"), Column("n", "carried", "int32"),
        *(Column(name, "targets") for name in ("boxes", "labels", "names", "empty", "mixed", "objects", "deep")),
        Column("none", "carried"), Column("score", "carried"), Column("raw", "carried"), Column("ok", "carried"),
    ]  # fmt: skip
    samples = [
        Sample("a", 0, targets={"boxes": [], "labels": [1], "names": ["x"], "empty": [], "mixed": [1]}),
        Sample("b", 1, targets={"boxes": [[1, 2], [0.5]], "mixed": ["x"], "objects": [{"x": 1}], "deep": [[[1]]]}),
        Sample("c", 2, carried={"score": 1, "raw": b"1", "none": None, "n": "x", "ok": True}),
        Sample("d", 3, carried={"score": 0.5, "unknown": 1}, failure="gone"),
    ]
    assert {column.name: column.type for column in typed(columns, samples)} == {
        "image": "", "label": "", "n": "int32", "boxes": "list<element: list<element: double>>",
        "labels": "list<element: int64>", "names": "list<element: string>", "empty": "", "mixed": "string",
        "objects": "string", "deep": "list<element: list<element: list<element: int64>>>", "none": "",
        "score": "double", "raw": "binary", "ok": "bool",
    }  # fmt: skip


def test_values_of_no_type_are_text(storage: Storage) -> None:
    """JSON for objects and mixtures; members of tars that are text, as such."""
    columns = typed(
        [Column("objects", "targets"), Column("empty", "targets"), Column("json", "carried"), Column("n", "carried")],
        [Sample("a", 0, targets={"objects": [{"x": 1}], "empty": []})],
    )
    targets = {"objects": [{"x": np.int64(1), "y": "ü"}], "empty": []}
    file = write(storage, list(columns), Output("a", IMAGE, {}, targets, None, {"json": b'{"z": 1}', "n": 3}))
    assert file.read(["objects", "empty", "json", "n"]).to_pylist() == [
        {"objects": '[{"x": 1, "y": "ü"}]', "empty": "[]", "json": '{"z": 1}', "n": "3"}
    ]
    file.close()
