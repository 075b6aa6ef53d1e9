"""Augmenting in Ray Data: every image is that of its epoch and id, whatever Ray does with the rows."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
from numpy.typing import NDArray
from PIL import Image
from ray.data import ActorPoolStrategy, DataContext
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

import augreg
from augreg.data import sample_photo
from augreg.data.ray import Augment

ROOT = Path(__file__).parents[2]
PIPE = augreg.Pipeline.from_spec(
    {
        "seed": 3,
        "classes": 2,
        "targets": {"boxes": "xyxy", "min_visible": 0.0},
        "image": [{"random_resized_crop": 16}, "horizontal_flip", "normalize"],
        "batch": [{"mixup": {"alpha": 0.4}}],
    }
)
EPOCH = 4


@pytest.fixture(scope="module", autouse=True)
def _ray() -> Iterator[None]:
    """With more CPUs than actors, or the tasks before them would wait for ever."""
    store = 80 << 20
    ray.init("local", num_cpus=4, object_store_memory=store, include_dashboard=False, log_to_driver=False)
    DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    yield
    ray.shutdown()


def encoded(image: Image.Image) -> bytes:
    data = io.BytesIO()
    image.save(data, "PNG")
    return data.getvalue()


def samples() -> list[dict[str, Any]]:
    """Six rows with an encoded image and a mask, no box or up to two, and columns that are no targets."""
    photo = Image.open(sample_photo()).reduce(10)
    return [
        {
            "id": f"photo-{number}",
            "image": encoded(photo.rotate(10 * number)),
            "mask": encoded(photo.rotate(10 * number).convert("L")),
            "boxes": [[0.0, 1.0, 30.0, 20.0]] * (number % 3),
            "labels": ["cat"] * (number % 3),
            "label": number % 2,
            "note": None if number == 2 else f"note {number}",
        }
        for number in range(6)
    ]


ROWS = samples()


def mask_of(row: dict[str, Any]) -> NDArray[Any]:
    return np.asarray(Image.open(io.BytesIO(row["mask"])))


def expected(row: dict[str, Any]) -> dict[str, Any]:
    """The row as the pipeline itself makes it of decoded arrays."""
    given = {key: row[key] for key in ("boxes", "labels")}
    found = PIPE.train({"image": row["image"], "mask": mask_of(row), **given}, index=row["id"], epoch=EPOCH)
    return {**row, **found}


EXPECTED = {row["id"]: expected(row) for row in ROWS}
FILES = {row["id"]: row["image"] for row in ROWS}


def check(rows: list[dict[str, Any]]) -> None:
    assert sorted(row["id"] for row in rows) == sorted(EXPECTED)
    for row in rows:
        for name, value in EXPECTED[row["id"]].items():
            if isinstance(value, np.ndarray):
                assert row[name].dtype == value.dtype, name
                np.testing.assert_array_equal(row[name], value)
            else:
                assert row[name] == value, name


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"batch_format": "pandas", "batch_size": 2},
        {"batch_format": "pyarrow", "batch_size": 3},
        {"batch_format": "numpy", "batch_size": 1},
    ],
    ids=["all at once", "pandas", "pyarrow", "one by one"],
)
def test_targets_follow_and_nothing_depends_on_batches(how: dict[str, Any]) -> None:
    rows = ray.data.from_items(ROWS).repartition(2)
    check(rows.map_batches(Augment(PIPE, epoch=EPOCH), **how).take_all())


def test_actors_make_the_same() -> None:
    rows = ray.data.from_items(ROWS[::-1]).repartition(3)
    options: dict[str, Any] = {"fn_constructor_args": [PIPE], "fn_constructor_kwargs": {"epoch": EPOCH}}
    check(rows.map_batches(Augment, **options, compute=ActorPoolStrategy(size=1), batch_size=2).take_all())


def test_every_kind_of_image_gives_the_same(tmp_path: Path) -> None:
    """Paths, arrays of several sizes, and a Parquet file as Hugging Face writes it; columns have other names."""
    names = {"image": "photo", "epoch": EPOCH, "id": "name"}
    for number, row in enumerate(ROWS):
        (tmp_path / f"{number}.png").write_bytes(row["image"])
    arrays = [np.asarray(Image.open(io.BytesIO(row["image"])))[: 20 + number] for number, row in enumerate(ROWS)]
    kinds = {
        "paths": [str(tmp_path / f"{number}.png") for number in range(6)],
        "structs": [{"bytes": row["image"], "path": "elsewhere.png"} for row in ROWS],
        "arrays": arrays,
    }
    for kind, images in kinds.items():
        rows = [{"name": row["id"], "photo": image} for row, image in zip(ROWS, images, strict=True)]
        data = ray.data.from_items(rows)
        if kind == "structs":
            data.write_parquet(tmp_path / "parquet")
            data = ray.data.read_parquet(tmp_path / "parquet")
        for row in data.map_batches(Augment(PIPE, **names)).take_all():
            number = int(row["name"].rpartition("-")[2])
            given = arrays[number] if kind == "arrays" else ROWS[number]["image"]
            np.testing.assert_array_equal(row["photo"], PIPE.train(given, index=row["name"], epoch=EPOCH))


def test_images_of_several_sizes_stay_apart_and_the_test_side_needs_no_id() -> None:
    pipe = augreg.Pipeline.from_spec({"image": [{"pad": 2}], "output": "torch"})
    sizes = [(4, 5), (6, 3), (4, 5)]
    images = [np.full((*size, 3), number, np.uint8) for number, size in enumerate(sizes)]
    rows = ray.data.from_items([{"image": image, "number": n} for n, image in enumerate(images)])
    found = {row["number"]: row["image"] for row in rows.map_batches(Augment(pipe.test)).take_all()}
    assert [found[number].shape for number in range(3)] == [(3, 8, 9), (3, 10, 7), (3, 8, 9)]
    assert all((image[:, 2:-2, 2:-2] == number).all() for number, image in found.items())


def test_iter_torch_batches_mixes_as_pipe_collate_does() -> None:
    torch = pytest.importorskip("torch")
    augment = Augment(PIPE, epoch=EPOCH)
    rows = ray.data.from_items([{key: row[key] for key in ("id", "image", "label")} for row in ROWS])
    for data, collate in ((rows.map_batches(augment), augment.collate), (rows, augment.augment_and_collate)):
        (batch,) = data.iter_torch_batches(batch_size=6, collate_fn=collate)
        images = np.stack([PIPE.train(FILES[id], index=id, epoch=EPOCH) for id in batch["id"]])
        labels = np.array([int(id[-1]) % 2 for id in batch["id"]])
        mixed, soft = PIPE.batch(images, labels, keys=batch["id"], epoch=EPOCH)
        assert isinstance(batch["image"], torch.Tensor)
        np.testing.assert_array_equal(batch["image"].numpy(), mixed)
        np.testing.assert_array_equal(batch["label"].dense(), soft.dense())
        assert not (batch["image"].numpy() == images).all()


def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    examples = list(Sybil([PythonCodeBlockParser()], path=str(ROOT)).parse(ROOT / "docs/loaders/ray.md").examples())
    assert len(examples) == 4
    for example in examples:
        example.evaluate()
