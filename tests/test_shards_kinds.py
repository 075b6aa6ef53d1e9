"""`augreg apply` from every kind of input to every kind of output: equal pixels, masks, boxes and labels."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from sharded import data_of, encoded, write_tar

from augreg import Pipeline
from augreg.__main__ import main

SPEC = """
targets: {boxes: xyxy}
image:
  - random_crop: {size: 10, padding: 2}
  - horizontal_flip
  - brightness: 0.4
"""
COUNT = 7


class Part(NamedTuple):
    """A sample as it is stored: files of an image and of a mask, boxes with their labels, and a class."""

    image: bytes
    mask: bytes
    boxes: list[list[float]]
    labels: list[str]
    label: int


def part(number: int) -> Part:
    labels = np.random.default_rng(number).integers(0, 3, (12, 12), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(labels).save(buffer, "PNG")
    boxes = [[1.0, 2.0, 6.0 + number / 4, 8.0], [3.0, 3.0, 11.0, 10.0]]
    return Part(encoded(number), buffer.getvalue(), boxes, ["cat", "dog"], number % 3)


PARTS = [part(number) for number in range(COUNT)]


def as_tar(place: Path) -> str:
    members = {}
    for number, one in enumerate(PARTS):
        members |= {
            f"k{number}.png": one.image,
            f"k{number}.mask.png": one.mask,
            f"k{number}.cls": str(one.label).encode(),
            f"k{number}.json": json.dumps({"boxes": one.boxes, "labels": one.labels, "by": "me"}).encode(),
        }
    write_tar(place / "in.tar", members)
    return "in.tar"


def as_parquet(place: Path) -> str:
    columns = {
        "image": [{"bytes": one.image, "path": f"k{number}.png"} for number, one in enumerate(PARTS)],
        "mask": [{"bytes": one.mask, "path": None} for one in PARTS],
        "boxes": [one.boxes for one in PARTS],
        "labels": [one.labels for one in PARTS],
        "label": [one.label for one in PARTS],
        "by": ["me"] * COUNT,
    }
    pq.write_table(pa.table(columns), place / "in.parquet")
    return "in.parquet"


def as_list(place: Path) -> str:
    (place / "files").mkdir()
    lines = []
    for number, one in enumerate(PARTS):
        (place / f"files/k{number}.png").write_bytes(one.image)
        (place / f"files/k{number}_m.png").write_bytes(one.mask)
        line = {"image": f"files/k{number}.png", "mask": f"files/k{number}_m.png", "by": "me"}
        lines.append(json.dumps({**line, "boxes": one.boxes, "labels": one.labels, "label": one.label}))
    (place / "in.jsonl").write_text("\n".join(lines))
    return "in.jsonl"


INPUTS = {"tar": as_tar, "parquet": as_parquet, "list": as_list}
KEYS = {"tar": "k{}", "parquet": None, "list": "files/k{}.png"}  # Parquet: the number of the row


class Made(NamedTuple):
    """A copy as it was stored."""

    pixels: Any
    mask: Any
    boxes: Any
    labels: Any
    label: Any
    by: Any


def pixels(data: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(data)))


def of_files(files: dict[str, bytes], stem: str, mask: str, label: Any = None) -> Made:
    about = json.loads(files[f"{stem}.json"])
    found = label if label is not None else about["label"]
    return Made(
        pixels(files[f"{stem}.png"]),
        pixels(files[f"{stem}{mask}"]),
        about["boxes"],
        about["labels"],
        found,
        about["by"],
    )


def from_tar(out: Path) -> list[Made]:
    files: dict[str, bytes] = {}
    for path in sorted(out.glob("*.tar")):
        with tarfile.open(path) as tar:
            files |= {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    stems = sorted(name.removesuffix(".cls") for name in files if name.endswith(".cls"))
    return [of_files(files, stem, ".mask.png", int(files[f"{stem}.cls"])) for stem in stems]


def from_folder(out: Path) -> list[Made]:
    files = data_of(out)
    stems = sorted(name.removesuffix(".json") for name in files if name.endswith(".json"))
    return [of_files(files, stem, "_mask.png") for stem in stems]


def from_parquet(out: Path) -> list[Made]:
    rows = [row for path in sorted(out.glob("*.parquet")) for row in pq.read_table(path).to_pylist()]
    for row in rows:
        if "json" in row:  # of a tar, without the targets
            row |= json.loads(row["json"])
    return [
        Made(pixels(row["image"]["bytes"]), pixels(row["mask"]["bytes"]), *(row[name] for name in Made._fields[2:]))
        for row in rows
    ]


OUTPUTS = {"tar": from_tar, "parquet": from_parquet, "folder": from_folder}


@pytest.mark.parametrize("to", OUTPUTS)
@pytest.mark.parametrize("kind", INPUTS)
def test_every_kind_of_input_becomes_every_kind_of_output(kind: str, to: str, tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(SPEC)
    source = INPUTS[kind](tmp_path)
    command = ["apply", str(tmp_path / "spec.yaml"), str(tmp_path / source), str(tmp_path / "out"), "--quiet"]
    more = ["--processes=1", "--shards=3", f"--to={to}"]
    assert main([*command, *more]) == 0
    made = OUTPUTS[to](tmp_path / "out")
    assert len(made) == COUNT
    pipe = Pipeline.from_spec(tmp_path / "spec.yaml")
    for number, (one, found) in enumerate(zip(PARTS, made, strict=True)):
        index = KEYS[kind].format(number) if KEYS[kind] else number
        sample = {"image": pixels(one.image), "mask": pixels(one.mask), "boxes": one.boxes, "labels": one.labels}
        want = pipe.train(sample, index=index)
        np.testing.assert_array_equal(found.pixels, want["image"])
        np.testing.assert_array_equal(found.mask, want["mask"])
        assert (found.boxes, found.labels, found.label, found.by) == (want["boxes"], want["labels"], one.label, "me")
    assert main([*command, *more, "--verify-inputs"]) == 0


def write_classes(folder: Path) -> None:
    for number in range(6):
        path = folder / ("cat", "dog", "eel")[number % 3] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(number))
        if number < 3:
            path.with_name(f"{number}_mask.png").write_bytes(PARTS[number].mask)
    (folder / "cat/0.jpg").write_bytes((folder / "cat/0.png").read_bytes())  # differs in the suffix only


def test_a_folder_in_shards_has_the_files_of_one_without(tmp_path: Path) -> None:
    """Class folders, masks beside images, twins."""
    (tmp_path / "spec.yaml").write_text(SPEC)
    write_classes(tmp_path / "in")
    command = ["apply", str(tmp_path / "spec.yaml"), str(tmp_path / "in"), str(tmp_path / "plain"), "--copies=2"]
    assert main([*command, "--processes=1"]) == 0
    command[3] = str(tmp_path / "sharded")
    assert main([*command, "--processes=1", "--shards=4"]) == 0
    found = data_of(tmp_path / "sharded")
    assert found == data_of(tmp_path / "plain") and len(found) == 22


def test_class_folders_become_labels_and_their_names(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(SPEC)
    write_classes(tmp_path / "in")
    command = ["apply", str(tmp_path / "spec.yaml"), str(tmp_path / "in"), str(tmp_path / "out"), "--to=parquet"]
    assert main([*command, "--processes=1", "--quiet"]) == 0
    table = pq.read_table(sorted((tmp_path / "out").glob("*.parquet")))
    assert table.column("label").to_pylist() == [0, 0, 0, 1, 1, 2, 2]
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert features["label"]["names"] == ["cat", "dog", "eel"]


def test_what_datasets_knows_of_columns_stays(tmp_path: Path) -> None:
    """Names of classes in any column, images that are carried, and -1, the label of images without a class."""
    datasets = pytest.importorskip("datasets")
    names = datasets.ClassLabel(names=["a", "b"])
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": names,
            "coarse": names,
            "parts": datasets.Sequence(names),
            "depth": datasets.Image(),
            "by": datasets.Value("string"),
        }
    )
    image = {"bytes": PARTS[0].image, "path": None}
    row = {"image": image, "label": -1, "coarse": 1, "parts": [0, 1], "depth": image, "by": "me"}
    datasets.disable_progress_bars()
    datasets.Dataset.from_list([row], features=features).to_parquet(str(tmp_path / "in.parquet"))
    (tmp_path / "spec.yaml").write_text(SPEC)
    command = ["apply", str(tmp_path / "spec.yaml"), str(tmp_path / "in.parquet"), str(tmp_path / "out")]
    assert main([*command, "--columns=other=depth", "--processes=1", "--quiet"]) == 0
    made = datasets.load_dataset(
        "parquet", data_files=str(tmp_path / "out/*.parquet"), cache_dir=str(tmp_path / "cache"), split="train"
    )
    assert made.features == features
    assert (made[0]["label"], made[0]["coarse"], made[0]["parts"]) == (-1, 1, [0, 1])
    np.testing.assert_array_equal(np.asarray(made[0]["depth"]), pixels(PARTS[0].image))
    manifest = json.loads((tmp_path / "out/augreg.json").read_text())
    assert manifest["made_with"]["pyarrow"] == pa.__version__  # on which the bytes depend


def test_a_missing_column_is_said_with_those_there_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "spec.yaml").write_text(SPEC)
    pq.write_table(pa.table({"photo": [b"x"], "label": [1]}), tmp_path / "in.parquet")
    command = ["apply", str(tmp_path / "spec.yaml"), str(tmp_path / "in.parquet"), str(tmp_path / "out")]
    for more in ([], ["--columns=image=picture"]):
        assert main([*command, *more]) == 2
        assert "photo" in (err := capsys.readouterr().err) and "label" in err
        assert not (tmp_path / "out").exists()


def test_types_of_columns_come_from_several_shards(tmp_path: Path) -> None:
    """The first shard has no boxes that would say what their scores are; the second is damaged."""
    (tmp_path / "spec.yaml").write_text("targets: {boxes: xyxy, labels: [scores]}\nimage: [horizontal_flip]\n")
    for number, (boxes, scores) in enumerate([([], []), ([], []), ([[1, 1, 5, 5]], [0.5])]):
        about = json.dumps({"boxes": boxes, "scores": scores}).encode()
        write_tar(tmp_path / f"in/{number}.tar", {"a.png": encoded(number), "a.json": about})
    path = tmp_path / "in/1.tar"
    path.write_bytes(path.read_bytes()[:700])
    command = ["apply", str(tmp_path / "spec.yaml"), str(tmp_path / "in"), str(tmp_path / "out"), "--to=parquet"]
    assert main([*command, "--processes=1", "--quiet"]) == 1
    tables = [pq.read_table(tmp_path / f"out/shard-00000{number}.parquet") for number in (0, 2)]
    assert [table["scores"].to_pylist() for table in tables] == [[[]], [[0.5]]]
    assert tables[0].schema == tables[1].schema


def test_floats_go_to_tars_as_npy_and_not_to_parquet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "spec.yaml").write_text("image: [{center_crop: 8}, {normalize: imagenet}]\n")
    write_tar(tmp_path / "in.tar", {"a.png": encoded(1)})
    command = ["apply", str(tmp_path / "spec.yaml"), str(tmp_path / "in.tar"), str(tmp_path / "out"), "--processes=1"]
    assert main([*command, "--to=parquet"]) == 2
    assert "npy" in capsys.readouterr().err and not (tmp_path / "out").exists()
    assert main(command) == 0
    with tarfile.open(tmp_path / "out/shard-000000.tar") as tar:
        found = np.load(io.BytesIO(tar.extractfile("a-0.npy").read()))  # type: ignore[union-attr]
    assert found.shape == (3, 8, 8) and found.dtype == np.float32


def test_an_output_that_fsspec_writes(tmp_path: Path) -> None:
    """`memory://` stands for a store of objects."""
    import fsspec

    (tmp_path / "spec.yaml").write_text(SPEC)
    command = ["apply", str(tmp_path / "spec.yaml"), str(tmp_path / as_tar(tmp_path)), "memory://augmented"]
    for part in ("2/2", "1/2"):
        assert main([*command, "--shards=3", f"--part={part}", "--processes=1", "--quiet"]) == 0
    assert main([*command, "--verify", "--processes=1", "--quiet"]) == 0
    assert main([*command[:3], str(tmp_path / "out"), "--shards=3", "--processes=1", "--quiet"]) == 0
    store = fsspec.filesystem("memory")
    for number in range(3):
        name = f"shard-00000{number}.tar"
        assert store.cat(f"/augmented/{name}") == (tmp_path / "out" / name).read_bytes()
    store.rm("/augmented", recursive=True)
