"""A backend that runs several ops in one call, or opens cursors: what it gets, how it is found, and without it."""

from __future__ import annotations

import importlib
import json
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

import augreg
from augreg import ImageError, Pipeline, Registry, SpecError, backends, ops
from augreg.backends import Backend, backend, choose
from augreg.execution.passes import passes
from augreg.execution.run import run_ops
from augreg.execution.sampling import MODEST, draw
from augreg.ops import Move, Op, Scene
from augreg.registry.discovery import Contributions
from augreg.rng import address_of
from augreg.transforms.geometry import HorizontalFlip

IMAGE = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
FLIP, TURN = ops.Move(0, 0, 4, 5, flip_x=True), ops.Move(0, 0, 4, 5, flip_y=True)
INVERT = ops.point_function("invert")

KERNELS = """
class Table(dict):
    def run_many(self, chosen, start, image):
        return len(chosen) - start, image + 1
KERNELS = Table()
"""


class Recorded:
    """A backend that runs up to two moves at once, and counts its calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, int]] = []
        self.engine = Backend("two", backend("pillow").kernels, run_many=self.run_many)

    def run_many(self, chosen: Sequence[Op], start: int, image: Any) -> tuple[int, Any]:
        count = 0
        while count < 2 and start + count < len(chosen) and isinstance(chosen[start + count], Move):
            image = backend("pillow").apply(chosen[start + count], image)
            count += 1
        self.calls.append((start, count))
        return count, image


@pytest.mark.parametrize(
    ("chosen", "calls"),
    [
        ([], []),
        ([FLIP], [(0, 1)]),
        ([INVERT], [(0, 0)]),
        ([FLIP, TURN], [(0, 2)]),
        ([FLIP, INVERT], [(0, 1)]),  # one call, then the kernel of the op where it stopped
        ([INVERT, FLIP], [(0, 0), (1, 1)]),
        ([FLIP, TURN, INVERT, TURN, FLIP, INVERT, INVERT, FLIP], [(0, 2), (3, 2), (6, 0), (7, 1)]),
    ],
)
def test_what_it_leaves_runs_by_its_kernels(chosen: list[Op], calls: list[tuple[int, int]]) -> None:
    recorded = Recorded()
    found = run_ops(chosen, IMAGE, recorded.engine)
    assert recorded.calls == calls
    assert np.array_equal(found, run_ops(chosen, IMAGE, backend("pillow")))


@pytest.mark.parametrize(
    ("changes", "settings", "count"),
    [
        ({}, {}, 2),
        ({"width": 129}, {}, 1),
        ({"channels": 5}, {}, 1),
        ({"dtype": "float32"}, {}, 1),
        ({"alpha": True}, {}, 1),
        ({}, {"approximate": True}, 1),
        ({}, {"max_pixels": MODEST - 1}, 1),
        ({}, {"engine": backend("pillow")}, 1),
        ({}, {"engine": None}, 1),
    ],
    ids=str,
)
def test_ops_on_a_small_image_alone_are_not_merged(
    changes: dict[str, Any], settings: dict[str, Any], count: int
) -> None:
    scene = replace(Scene(128, 128, 4), **changes)
    pipe = Pipeline([{"horizontal_flip": {"p": 1.0}}, {"vertical_flip": {"p": 1.0}}])
    drawn = draw(pipe.spec.image, scene, address_of(0, 0))
    given = {"approximate": False, "max_pixels": MODEST, "engine": Recorded().engine, **settings}
    assert len(passes(drawn, scene, **given)) == count


def test_targets_of_a_small_image_follow_merged_ops() -> None:
    pipe, recorded = Pipeline(["invert", {"posterize": 4}], backend="pillow"), Recorded()
    vars(pipe.train)["engine"] = recorded.engine
    alone = pipe.train(IMAGE, index=0)
    assert [start for start, _ in recorded.calls] == [0, 1]
    recorded.calls.clear()
    assert np.array_equal(pipe.train({"image": IMAGE}, index=0)["image"], alone)
    assert [start for start, _ in recorded.calls] == [0]


def test_an_op_that_merging_leaves_out_cannot_fail() -> None:
    """A border of no pixels with three numbers, on a gray image; of one pixel, it is an error."""
    pipe = Pipeline([{"pad": {"padding": 0, "fill": [0.0, 0.0, 0.0]}}], backend="pillow")
    vars(pipe.train)["engine"] = Recorded().engine
    assert np.array_equal(pipe.train(IMAGE[..., :1], index=0), IMAGE[..., :1])
    wider = pipe.replace(image=[{"pad": {"padding": 1, "fill": [0.0, 0.0, 0.0]}}])
    vars(wider.train)["engine"] = Recorded().engine
    with pytest.raises(ImageError, match=r"array of uint8 .*: fill has 3 numbers and the image has 1 channels"):
        wider.train(IMAGE[..., :1], index=0)


def test_an_error_names_the_op_that_was_left() -> None:
    def broken(image: Any) -> Any:
        raise RuntimeError("no")

    with pytest.raises(ImageError, match=r"broken failed on a 4x5x3 uint8 image \(two\): no"):
        run_ops([FLIP, ops.call(broken, {}, size=(4, 5), geometry=False)], IMAGE, Recorded().engine)


def test_an_error_of_several_ops_names_the_first() -> None:
    def broken(*_: Any) -> Any:
        raise MemoryError

    engine = Backend("two", backend("pillow").kernels, run_many=broken)
    with pytest.raises(ImageError, match=r"^invert, or an op after it, failed on a 4x5x3 uint8 image \(two\): Memo"):
        run_ops([INVERT, FLIP], IMAGE, engine)


def test_a_pickled_native_backend_says_that_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "_is_installed", lambda name: name != "augreg_native")
    with pytest.raises(SpecError, match="native is not installed, or does not load"):
        backend.__wrapped__("native", "augreg_native.kernels:KERNELS")


def test_the_method_of_a_plugins_table_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "adding_kernels.py").write_text(KERNELS)
    monkeypatch.syspath_prepend(tmp_path)
    engine = backend("rain/adding", "adding_kernels:KERNELS")
    again = pickle.loads(pickle.dumps(engine))
    assert np.array_equal(run_ops([FLIP, INVERT], IMAGE, again), IMAGE + 1)
    assert backend("pillow").run_many is None


OPENING = """
from augreg.rng import Cursor, address_of
from augreg.transforms.geometry import HorizontalFlip
class Table(dict):
    def __init__(self):
        self.opened = []
    def cursor(self, address, step, number):
        self.opened.append((address.index, number))
        return Cursor(address, step, number)
KERNELS = Table()
"""


@augreg.transform("of_unknown_size", kind="geometry")
class OfUnknownSize:
    """A function; only running it tells the size that it leaves."""

    def sample(self, rng: Any, scene: Any) -> Any:
        return ops.call(np.array)


def test_the_cursors_of_a_plugins_table_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also by the steps after an op of unknown size."""
    (tmp_path / "opening_kernels.py").write_text(OPENING)
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry(Contributions(backends={"rain/opening": "opening_kernels:KERNELS"}))
    pipe = Pipeline([OfUnknownSize(), HorizontalFlip()], registry, backend="rain/opening")
    found = pipe.train(IMAGE, index=7)
    opened = importlib.import_module("opening_kernels").KERNELS.opened
    assert opened == [(7, 1), (7, 0)]  # the first number of a step that is always applied is skipped
    assert np.array_equal(found, pipe.replace(backend="pillow").train(IMAGE, index=7))
    assert len(opened) == 2 and backend("pillow").cursor is None


def test_native_is_a_name_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the backend `native` of the plugin `native`, which `auto` takes before all others."""
    (tmp_path / "native_kernels.py").write_text(KERNELS)
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry(Contributions(backends={"native/native": "native_kernels:KERNELS", "rain/native": "x:y"}))
    assert set(registry.backends) == {"native", "native/native", "rain/native"}
    assert choose("auto", registry.backends) == "native" != choose("auto", {"rain/native"})
    for name in ("auto", "native", "native/native"):
        pipe = Pipeline.from_spec([], registry, backend=name)
        assert pipe.to_spec()["backend"] == name and pipe.train.engine.source == "native_kernels:KERNELS"
    pipe = Pipeline.from_spec([], registry, backend="pillow")
    assert pipe.train.engine.run_many is None


def test_without_it_the_error_says_how_to_install_it() -> None:
    registry = Registry(Contributions())
    expected = "backend: native is not installed, or .*: pip install ./plugins/augreg-native in a checkout"
    for source in ([], {"image": [], "backend": "native"}):
        with pytest.raises(SpecError, match=expected):
            Pipeline.from_spec(source, registry, backend="native")
    assert choose("auto", registry.backends) != "native"
    with pytest.raises(SpecError, match="expected auto, pillow, opencv, native, got 'nativ'"):
        Pipeline.from_spec([], registry, backend="nativ")


def test_the_plugin_is_listed_and_can_be_switched_off(
    install: Callable[..., None], python: Callable[..., Any]
) -> None:
    """`augreg doctor` shows what `auto` takes; AUGREG_PLUGINS=-native leaves it out."""
    install(
        "augreg-native",
        {"native": "native_manifest:PLUGIN"},
        native_manifest="from augreg import Plugin\nPLUGIN = Plugin(backends={'native': 'native_kernels:KERNELS'})",
        native_kernels=KERNELS,
    )
    found = json.loads(python("-m", "augreg", "doctor", "--json").stdout)
    assert found["backend"] == "native" and found["backend_details"] == {}
    assert "native" in [plugin["namespace"] for plugin in found["plugins"]]
    off = python("-m", "augreg", "doctor", AUGREG_PLUGINS="-native").stdout
    assert "backend native" not in off and "backend " in off
