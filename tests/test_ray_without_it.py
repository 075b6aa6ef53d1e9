"""What augreg has for Ray where that is not installed: errors, and batches by themselves. The rest: tests/clients."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import augreg
from augreg.__main__ import main
from augreg.data.ray import Augment
from augreg.errors import AugregError
from augreg.sharding import on_ray

PIPE = augreg.Pipeline.from_spec({"seed": 1, "image": [{"rotate": 40}, {"brightness": 0.5}]})
IMAGES = np.random.default_rng(0).integers(0, 256, (4, 6, 6, 3), np.uint8)
BATCH = {"id": np.array(["a", "b", "c", "d"]), "image": IMAGES, "label": np.arange(4)}


@pytest.fixture
def _no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)


@pytest.mark.usefixtures("_no_ray")
def test_the_engine_says_what_to_install(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "spec.json").write_text('{"image": ["horizontal_flip"]}')
    (tmp_path / "in").mkdir()
    (tmp_path / "in/tom.png").write_bytes(augreg.data.sample_photo().read_bytes())
    places = [str(tmp_path / name) for name in ("spec.json", "in", "out")]
    assert main(["apply", *places, "--engine", "ray", "--to", "tar"]) == 2
    assert capsys.readouterr().err == "--engine ray needs ray: pip install 'augreg[ray]'\n"


@pytest.mark.usefixtures("_no_ray")
def test_a_collate_fn_says_what_to_install() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"a collate_fn of Ray needs ray: pip install 'augreg\[ray\]'"):
        _ = Augment(PIPE, epoch=0).collate
    with pytest.raises(TypeError, match="expected a batch as map_batches gives it, got list"):
        Augment(PIPE, epoch=0)([1, 2])


def test_a_node_with_another_version_is_refused_before_it_unpickles() -> None:
    value, failure, stop = on_ray._work("9.9", b"no pickle", b"")
    assert failure.endswith(f" has augreg {augreg.__version__}, and this run needs 9.9 on every node")
    assert value is None and stop


def versions() -> Mapping[str, str]:
    return {"numpy": "1"}


def test_a_node_with_other_libraries_or_without_the_output_is_refused(tmp_path: Path) -> None:
    def worked(expected: Mapping[str, str], *sees: Path) -> Any:
        payload = pickle.dumps((abs, versions, expected, list(map(str, sees))))
        return on_ray._work(augreg.__version__, payload, pickle.dumps(-3))

    assert worked({"numpy": "1"}, tmp_path) == (3, "", False)
    for expected, said in (
        ({"numpy": "2"}, "has numpy 1, and this run was started with 2: the bytes may differ"),
        ({"pillow": "2"}, "has pillow not at all, and this run was started with 2"),
    ):
        value, failure, stop = worked(expected)
        assert value is None and said in failure and stop
    value, failure, stop = worked({}, tmp_path / "out")
    assert value is None and f"does not see {tmp_path / 'out'}: put it on a file system that all" in failure and stop


def test_an_address_where_nothing_listens_is_refused_at_once() -> None:
    with pytest.raises(AugregError, match=r"no Ray cluster to use at 127\.0\.0\.1:1: .*start one with `ray start"):
        on_ray._check_reachable("127.0.0.1:1")
    for other in ("auto", "local", "ray://somewhere:10001"):
        on_ray._check_reachable(other)


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [2, 0], [3]])
def test_an_image_is_that_of_its_id_and_epoch(order: list[int]) -> None:
    augment = pickle.loads(pickle.dumps(Augment(PIPE, epoch=2)))
    found = augment({name: values[order] for name, values in BATCH.items()})
    assert found["id"].tolist() == [BATCH["id"][number] for number in order] and found["label"].tolist() == order
    for image, number in zip(found["image"], order, strict=True):
        np.testing.assert_array_equal(image, PIPE.train(IMAGES[number], index="abcd"[number], epoch=2))
    assert len(pickle.dumps(augment)) < 2000


def test_copies_are_views() -> None:
    found = Augment(PIPE, epoch=2, copies=3)(BATCH)
    assert found["id"].tolist() == list("aaabbbcccddd") and found["view"].tolist() == [0, 1, 2] * 4
    assert found["label"].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    np.testing.assert_array_equal(found["image"][5], PIPE.train(IMAGES[1], index="b", epoch=2, view=2))


def test_results_of_several_sizes_and_lists_stay_apart() -> None:
    pipe = augreg.Pipeline.from_spec({"targets": {"boxes": "xywh"}, "image": [{"pad": 1}]})
    images = np.empty(3, object)
    for number, size in enumerate([(4, 5), (4, 6), (7, 5)]):
        images[number] = np.full((*size, 3), number, np.uint8)
    boxes = np.empty(3, object)
    boxes[:] = [[(0, 0, 2, 3)], [(1, 1, 2, 2)], [(1, 2, 3, 4)]]
    found = Augment(pipe.test)({"image": images, "boxes": boxes, "seen from": np.array(["left"] * 3)})
    assert [image.shape for image in found["image"]] == [(6, 7, 3), (6, 8, 3), (9, 7, 3)]
    assert [list(map(list, each)) for each in found["boxes"]] == [[[1, 1, 2, 3]], [[2, 2, 2, 2]], [[2, 3, 3, 4]]]
    assert found["seen from"].tolist() == ["left"] * 3


@pytest.mark.parametrize("output", ["torch", "auto"])
@pytest.mark.parametrize("normalize", [[], ["normalize"]])
def test_a_batch_is_mixed_as_its_images_are_laid_out(output: str, normalize: list[str]) -> None:
    torch = pytest.importorskip("torch")
    pipe = PIPE.replace(image=[*PIPE.to_spec()["image"], *normalize], batch=["cutmix"], classes=4, output=output)
    augment = Augment(pipe, epoch=5)
    batch = {**BATCH, "view": np.array(["left"] * 4)}  # the user's own column
    found = augment.collated({name: frozen(values) for name, values in augment(batch).items()})
    single = [pipe.train(image, index=id, epoch=5) for image, id in zip(IMAGES, BATCH["id"], strict=True)]
    images = torch.stack(single) if torch.is_tensor(single[0]) else np.stack(single)
    mixed, labels = pipe.batch(images, BATCH["label"], keys=list(BATCH["id"]), epoch=5)
    np.testing.assert_array_equal(found["image"], mixed)
    np.testing.assert_array_equal(found["label"].dense(), labels.dense())
    assert torch.is_tensor(found["image"]) and found["view"] == ["left"] * 4
    assert not np.array_equal(mixed, np.stack(single))


def test_copies_are_mixed_by_their_views() -> None:
    pipe = PIPE.replace(batch=["mixup"], classes=4)
    augment = Augment(pipe, epoch=5, copies=2)
    keys = [augreg.data.Key(5, id, view) for id in BATCH["id"].tolist() for view in (0, 1)]
    single = np.stack([pipe.train(IMAGES["abcd".index(key.index)], key.index, 5, key.view) for key in keys])
    mixed, _ = pipe.batch(single, np.repeat(BATCH["label"], 2), keys=keys, epoch=5)
    found = augment.collated(augment(BATCH))
    np.testing.assert_array_equal(found["image"], mixed)
    assert found["id"] == [key.index for key in keys] and list(found["view"]) == [0, 1] * 4


def test_numbers_as_ids_are_no_labels() -> None:
    augment = Augment(PIPE.replace(batch=["mixup"], classes=4), id="place", epoch=0)
    found = augment.collated(augment({**BATCH, "id": BATCH["id"], "place": np.array([7, 5, 3, 1])}))
    assert list(found["place"]) == [7, 5, 3, 1] and found["label"].dense().shape == (4, 4)


def frozen(values: Any) -> Any:
    """An array as Ray gives it: it cannot be written to."""
    values.setflags(write=False)
    return values


def test_ids_may_be_numbers_and_an_empty_batch_stays_empty() -> None:
    found = Augment(PIPE, id="label", epoch=0)(BATCH)
    np.testing.assert_array_equal(found["image"][3], PIPE.train(IMAGES[3], index=3, epoch=0))
    empty = {name: values[:0] for name, values in BATCH.items()}
    assert {name: len(values) for name, values in Augment(PIPE, epoch=0)(empty).items()} == dict.fromkeys(BATCH, 0)


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({}, TypeError, "make one Augment for each epoch"),
        ({"epoch": -1}, ValueError, "an epoch must be an integer from 0, got -1"),
        ({"epoch": 0, "copies": 0}, ValueError, "copies is the number of rows for each row"),
        ({"pipe": PIPE.test, "copies": 2}, ValueError, "2 equal rows: leave copies out"),
        ({"pipe": IMAGES}, TypeError, "expected pipe.train or pipe.test, got ndarray"),
        (
            {"pipe": augreg.Pipeline.from_spec({"views": {"a": ["horizontal_flip"]}}), "epoch": 0},
            ValueError,
            "use one Augment for a spec of each view",
        ),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        Augment(**{"pipe": PIPE, **arguments})


def test_wrong_batches() -> None:
    augment = Augment(PIPE, epoch=0)
    without = {name: values for name, values in BATCH.items() if name != "id"}
    with pytest.raises(KeyError, match=r"no column 'id'; they have: 'image', 'label'. An id stays with its row"):
        augment(without)
    assert augment.side is PIPE.train and "id" not in Augment(PIPE.test)(without)
    with pytest.raises(
        KeyError, match=r"no column 'photo'; .* Name the column of the image: Augment\(.., image='..'\)"
    ):
        Augment(PIPE, image="photo", epoch=0)(BATCH)
    with pytest.raises(TypeError, match=r"'id' is a str_: use dataset.map_batches\(..\), not dataset.map"):
        augment({name: values[0] for name, values in BATCH.items()})
    with pytest.raises(TypeError, match=r"the id of a row, in the column 'id', is None; expected a string or an int"):
        augment({**BATCH, "id": np.array([None] * 4)})
    with pytest.raises(augreg.ImageError, match="sample 'a': the column 'image' has no image"):
        augment({**BATCH, "image": np.array([None] * 4)})
    files = np.array([b"no image"] * 4, object)
    with pytest.raises(augreg.ImageError, match="sample 'a': mask: the mask cannot be read"):
        augment({**BATCH, "mask": files})
    with pytest.raises(ValueError, match="the column 'view' is there already"):
        Augment(PIPE, epoch=0, copies=2)({**BATCH, "view": np.arange(4)})
