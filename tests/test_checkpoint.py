"""Checkpoints that carry a pipeline: the file is an ordinary checkpoint, and skew is found when it is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import augreg
from augreg import ops
from augreg.errors import SpecError
from augreg.registry.registry import Registry

torch = pytest.importorskip("torch")
from augreg.expectation import checkpoint_entry, pipeline_of_entry  # noqa: E402
from augreg.expectation.checkpoints.files import SAFETENSORS  # noqa: E402

PIPE = augreg.Pipeline.from_spec(
    {"image": [{"random_resized_crop": 32}, "horizontal_flip", {"normalize": "imagenet"}], "backend": "pillow"}
)
OTHER = PIPE.replace(image=[{"resize": {"size": 32, "interpolation": "bicubic"}}, {"normalize": "imagenet"}])
IMAGES = [np.random.default_rng(3).integers(0, 256, (40, 50, 3), np.uint8)]


def model() -> Any:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Dropout())


def same(one: Any, other: Any) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("kind", ["state_dict", "plain dict of tensors"])
def test_a_state_dict_keeps_its_keys_and_loads_as_before(kind: str, tmp_path: Path) -> None:
    state = model().state_dict()
    given = state if kind == "state_dict" else dict(state)
    augreg.save_checkpoint(tmp_path / "model.pt", given, PIPE)
    assert list(state._metadata) == ["", "0", "1", "2"]  # the caller's is as before
    raw = torch.load(tmp_path / "model.pt", weights_only=True)
    assert same(raw, state)
    assert str(model().load_state_dict(raw)) == "<All keys matched successfully>"
    loaded = augreg.load_checkpoint(tmp_path / "model.pt")
    assert same(loaded.checkpoint, state) and loaded.pipe == PIPE and loaded.skew is None
    if kind == "state_dict":
        assert loaded.checkpoint._metadata == state._metadata
    torch.save(raw, tmp_path / "again.pt")  # saved again by somebody else, it still has the entry
    assert augreg.load_checkpoint(tmp_path / "again.pt").pipe == PIPE


def test_a_dict_of_several_things_has_the_entry_beside_them(tmp_path: Path) -> None:
    net = model()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    checkpoint = {"model": net.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}
    augreg.save_checkpoint(tmp_path / "last.pt", checkpoint, PIPE)
    assert list(checkpoint) == ["model", "optimizer", "epoch"]
    raw = torch.load(tmp_path / "last.pt", weights_only=True)
    assert list(raw) == ["model", "optimizer", "epoch", "augreg"]
    assert json.loads(json.dumps(raw["augreg"])) == raw["augreg"]  # plain data
    assert raw["augreg"]["test_fingerprint"] == PIPE.test.fingerprint
    loaded = augreg.load_checkpoint(tmp_path / "last.pt")
    assert list(loaded.checkpoint) == ["model", "optimizer", "epoch"] and loaded.checkpoint["epoch"] == 3
    assert same(loaded.checkpoint["model"], net.state_dict())
    assert loaded.pipe == PIPE
    augreg.save_checkpoint(tmp_path / "last.pt", raw, OTHER)  # a checkpoint that has an entry gets the new one
    assert augreg.load_checkpoint(tmp_path / "last.pt").pipe == OTHER


def test_skew_is_found_on_load(tmp_path: Path) -> None:
    augreg.save_checkpoint(tmp_path / "model.pt", model().state_dict(), PIPE)
    found = augreg.load_checkpoint(tmp_path / "model.pt", OTHER, IMAGES).skew
    assert found is not None
    assert [one.what for one in found.differences] == ["resize filter", "crop"]
    expected = np.abs(PIPE.test(IMAGES[0]).astype(float) - OTHER.test(IMAGES[0])).mean()
    assert found.total.pixels == pytest.approx(expected, rel=1e-6)
    none = augreg.load_checkpoint(tmp_path / "model.pt", PIPE.replace(seed=9, batch=["mixup"]), IMAGES).skew
    assert none is not None and not none
    by_function = augreg.load_checkpoint(tmp_path / "model.pt", lambda image: PIPE.test(image)[::-1], IMAGES).skew
    assert by_function is not None and by_function.differences[0].found == "BGR"


def test_predictions_are_compared_with_a_model(tmp_path: Path) -> None:
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 5))
    augreg.save_checkpoint(tmp_path / "model.pt", net.state_dict(), PIPE)
    found = augreg.load_checkpoint(tmp_path / "model.pt", OTHER, IMAGES, net).skew
    ours, theirs = (
        net(torch.from_numpy(pipe.test(IMAGES[0]))[None]).softmax(1)[0].detach() for pipe in (PIPE, OTHER)
    )
    assert found is not None
    assert found.total.total_variation == pytest.approx(float((ours - theirs).abs().sum()) / 2, rel=1e-4)
    assert found.total.agreement == float(ours.argmax() == theirs.argmax())


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.pt"
    augreg.save_checkpoint(path, model().state_dict(), PIPE)
    before = path.read_bytes()

    def fails(checkpoint: Any, part: Path) -> None:
        Path(part).write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(torch, "save", fails)
    with pytest.raises(OSError, match="no space left"):
        augreg.save_checkpoint(path, {"epoch": 4, "model": {}}, PIPE)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["model.pt"]


def test_a_file_without_an_entry_is_loaded_but_cannot_be_compared(tmp_path: Path) -> None:
    torch.save(model().state_dict(), tmp_path / "plain.pt")
    loaded = augreg.load_checkpoint(tmp_path / "plain.pt")
    assert loaded.pipe is None and loaded.skew is None and "0.weight" in loaded.checkpoint
    with pytest.raises(ValueError, match=r"plain\.pt: the file does not say how images were prepared"):
        augreg.load_checkpoint(tmp_path / "plain.pt", PIPE)


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    with pytest.raises(TypeError, match=r"a state_dict or a dict, got a Sequential: give its state_dict\(\)"):
        augreg.save_checkpoint(path, model(), PIPE)
    with pytest.raises(TypeError, match=r"got a list$"):
        augreg.save_checkpoint(path, [1], PIPE)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="has a key 'augreg' with something else"):
        augreg.save_checkpoint(path, {"augreg": 3, "epoch": 1}, PIPE)
    with pytest.raises(TypeError, match="safetensors files have tensors only"):
        augreg.save_checkpoint(tmp_path / f"model{SAFETENSORS}", {"epoch": 1}, PIPE)
    assert list(tmp_path.iterdir()) == []


@augreg.transform("dimmed", kind="color")
class Dimmed:
    """Halves the brightness."""

    def sample(self, rng: Any, scene: Any) -> Any:
        return ops.point_function("brightness", 0.5)


def test_classes_of_your_own_come_from_a_registry(tmp_path: Path) -> None:
    pipe = augreg.Pipeline.from_spec(["dimmed"], Registry.installed().add(Dimmed))
    augreg.save_checkpoint(tmp_path / "model.pt", model().state_dict(), pipe)
    with pytest.raises(SpecError, match="cannot be made; registry= has classes of your own"):
        augreg.load_checkpoint(tmp_path / "model.pt")
    assert augreg.load_checkpoint(tmp_path / "model.pt", registry=Registry.installed().add(Dimmed)).pipe == pipe


def test_the_backend_is_that_of_training(tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    pipe = PIPE.replace(backend="auto")
    assert pipe.backend == "opencv"
    entry = {**checkpoint_entry(pipe), "backend": "pillow"}  # as if OpenCV had not been installed then
    assert pipeline_of_entry(entry).backend == "pillow"
    torch.save({"epoch": 1, "augreg": entry}, tmp_path / "last.pt")
    found = augreg.load_checkpoint(tmp_path / "last.pt", pipe, IMAGES).skew
    assert found is not None and [one.what for one in found.differences] == ["backend"]
    missing = {**entry, "backend": "elsewhere/fast"}
    assert pipeline_of_entry(missing).backend == "opencv"
    torch.save({"epoch": 1, "augreg": missing}, tmp_path / "last.pt")
    found = augreg.load_checkpoint(tmp_path / "last.pt", pipe, IMAGES).skew
    assert found is not None
    assert found.notes == ("the model was trained with the backend elsewhere/fast, which is not installed here",)


def test_a_spec_that_reads_differently_now_is_noted(tmp_path: Path) -> None:
    entry = {**checkpoint_entry(PIPE), "test_fingerprint": "0" * 64, "augreg": "0.0.1"}
    torch.save({"epoch": 1, "augreg": entry}, tmp_path / "last.pt")
    found = augreg.load_checkpoint(tmp_path / "last.pt", PIPE).skew
    assert found is not None and found.notes[0].startswith("the spec reads differently now: augreg 0.0.1 wrote it")
    with pytest.raises(ValueError, match="has the version 2, which a newer augreg wrote"):
        pipeline_of_entry({**entry, "version": 2})
    with pytest.raises(ValueError, match=r"expected what checkpoint_entry returns, got {}"):
        pipeline_of_entry({})


def test_safetensors_is_asked_for_where_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for act in (
        lambda path: augreg.save_checkpoint(path, model().state_dict(), PIPE),
        lambda path: augreg.load_checkpoint(path),
    ):
        with pytest.raises(ModuleNotFoundError, match=r"model\.safetensors needs safetensors: pip install"):
            act(tmp_path / "model.safetensors")


class WithExtraState(torch.nn.Module):  # type: ignore[misc]
    """Stores something else than tensors in its state_dict."""

    def get_extra_state(self) -> Any:
        return {"rounds": 3}

    def set_extra_state(self, state: Any) -> None:
        self.rounds = state["rounds"]


def test_a_state_dict_with_other_things_than_tensors_keeps_its_keys(tmp_path: Path) -> None:
    augreg.save_checkpoint(tmp_path / "model.pt", WithExtraState().state_dict(), PIPE)
    raw = torch.load(tmp_path / "model.pt", weights_only=True)
    assert dict(raw) == {"_extra_state": {"rounds": 3}}
    WithExtraState().load_state_dict(raw)
    assert augreg.load_checkpoint(tmp_path / "model.pt").pipe == PIPE


def test_a_reader_of_the_old_file_is_not_disturbed(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    augreg.save_checkpoint(path, {"epoch": 1}, PIPE)
    before = path.read_bytes()
    with path.open("rb") as old:
        augreg.save_checkpoint(path, {"epoch": 2, "more": [0] * 1000}, PIPE)
        assert old.read() == before
    assert augreg.load_checkpoint(path).checkpoint["epoch"] == 2


@pytest.mark.parametrize("data", [b"", b"hello world" * 9, b"PK\x03\x04" + bytes(99)])
def test_a_damaged_file_is_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "model.pt").write_bytes(data)
    with pytest.raises(ValueError, match=r"model\.pt: cannot be read: \w+"):
        augreg.load_checkpoint(tmp_path / "model.pt")


def test_an_entry_that_cannot_be_used_is_named_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    torch.save({"epoch": 1, "augreg": {**checkpoint_entry(PIPE), "version": 2}}, path)
    with pytest.raises(ValueError, match=r"last\.pt: the entry has the version 2"):
        augreg.load_checkpoint(path)
    with pytest.raises(OSError, match=r"none/model\.pt: cannot be written: RuntimeError: Parent directory"):
        augreg.save_checkpoint(tmp_path / "none" / "model.pt", model().state_dict(), PIPE)
    with pytest.raises(TypeError, match="expected a pipeline, got a str"):
        augreg.save_checkpoint(path, model().state_dict(), "imagenet")  # type: ignore[arg-type]
