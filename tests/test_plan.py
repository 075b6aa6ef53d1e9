"""The planner changes no byte: planned equals unplanned, on both backends, and every rule is shown to matter."""

from __future__ import annotations

import functools
import importlib.util
import pickle
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import unplanned
from msgspec.structs import replace

import augreg
from augreg import backends, ops
from augreg.execution import merging
from augreg.ops import Lookup, Move, Pad, Scene

SPECS = 600
LEAST = 12
BACKENDS = ("pillow", "opencv", *(["native"] if importlib.util.find_spec("augreg_native") else []))

Numbers = np.random.Generator


def random_case(seed: int) -> tuple[list[Any], np.ndarray[Any, Any]]:
    """A spec of steps that can merge, with a fence here and there, and an image for it."""
    numbers = np.random.default_rng(seed)
    height, width = (int(n) for n in numbers.integers(1, 25, 2))
    image = numbers.integers(0, 256, (height, width, 3), dtype=np.uint8)
    if numbers.random() < 0.3:
        image = image // 3 + 40  # low contrast, so that measured steps have something to do
    makers: list[Callable[[Numbers], Any]] = [
        lambda n: "horizontal_flip",
        lambda n: {"vertical_flip": {"p": 1}},
        lambda n: "d4",
        lambda n: "rot90",
        lambda n: {"random_crop": {"size": pair(n, 1, 16), "padding": widths(n), "fill": color(n)}},
        lambda n: {"center_crop": {"size": pair(n, 1, 20), "fill": color(n)}},
        lambda n: {"pad": {"padding": widths(n), "fill": color(n), "mode": mode(n)}},
        lambda n: {"cutout": {"size": int(n.integers(2, 20)), "fill": color(n)}},
        lambda n: {"random_erasing": {"mode": str(n.choice(["const", "random", "pixel"])), "p": 0.7}},
        lambda n: {"brightness": [0.4, 1.6]},
        lambda n: {"contrast": [0.4, 1.6]},
        lambda n: {"saturation": [0.4, 1.6]},
        lambda n: {"sharpness": {"factor": [0.4, 1.6], "p": 0.3}},
        lambda n: {"hue": {"shift": 0.5, "p": 0.5}},
        lambda n: "grayscale",
        lambda n: "invert",
        lambda n: {"posterize": [1, 8]},
        lambda n: {"solarize": [0, 256]},
        lambda n: {"solarize_add": [-90, 90]},
        lambda n: {"auto_contrast": {"cutoff": float(n.choice([0, 10]))}},
        lambda n: "equalize",
        lambda n: {"brightness": 1.0},
        lambda n: {"resize": {"size": pair(n, 1, 16), "p": 0.3, "test": "off"}},
        lambda n: {"rotate": {"degrees": 20, "p": 0.3}},
    ]  # fmt: skip
    steps = [makers[numbers.integers(len(makers))](numbers) for _ in range(numbers.integers(2, 9))]
    after = [makers[k](numbers) for k in numbers.integers(0, 9, numbers.integers(0, 4))]
    normalize: dict[str, Any] = {"mean": "imagenet", "std": "imagenet"}
    if numbers.random() < 0.4:  # a mean image needs an image of a known size
        steps = [
            step for step in steps if next(iter(step), None) not in ("random_crop", "center_crop", "pad", "resize")
        ]
        steps = [step for step in steps if height == width or step not in ("d4", "rot90")]
        steps = [step for step in steps if not (isinstance(step, dict) and "rotate" in step)]
        normalize = {"mean_image": numbers.random((height, width, 3)).round(3).tolist()}
    return [*steps, {"normalize": normalize}, *after] if numbers.random() < 0.7 else steps, image


def pair(numbers: Numbers, low: int, high: int) -> list[int]:
    return [int(n) for n in numbers.integers(low, high, 2)]


def widths(numbers: Numbers) -> list[int]:
    return [int(n) for n in numbers.integers(0, 6, 4)]


def color(numbers: Numbers) -> list[float]:
    return [float(n) for n in numbers.integers(0, 256, 3)]


def mode(numbers: Numbers) -> str:
    return str(numbers.choice(["constant", "constant", "edge", "reflect", "symmetric"]))


@functools.lru_cache(maxsize=1)
def cases() -> list[tuple[Any, np.ndarray[Any, Any], str, np.ndarray[Any, Any]]]:
    """Pipelines with images and what the unplanned runner makes of them."""
    found = []
    for seed in range(SPECS):
        steps, image = random_case(seed)
        for backend in BACKENDS:
            pipe = augreg.Pipeline.from_spec({"backend": backend, "seed": seed, "image": steps})
            found.append((pipe, image, backend, unplanned.train(pipe, image, index=seed)))
    return found


def same(pipe: Any, image: np.ndarray[Any, Any], index: int, expected: np.ndarray[Any, Any]) -> bool:
    found = pipe.train(image, index=index)
    if found.dtype == np.float32:
        found = found.transpose(1, 2, 0)
    return found.dtype == expected.dtype and found.shape == expected.shape and found.tobytes() == expected.tobytes()


def test_planned_equals_unplanned_and_every_rule_fires(monkeypatch: pytest.MonkeyPatch) -> None:
    fired: Counter[str] = Counter()

    def counted(rule: merging.Rewrite) -> merging.Rewrite:
        def apply(first: Any, second: Any, scene: Scene) -> Any:
            merged = rule.apply(first, second, scene)
            fired[rule.name] += merged is not None
            return merged

        return rule._replace(apply=apply)

    def counting(test: Callable[[Any, Scene], bool]) -> Callable[[Any, Scene], bool]:
        def unchanged(op: ops.Op, scene: Scene) -> bool:
            found = test(op, scene)
            fired["drop"] += found
            return found

        return unchanged

    tests = {kind: counting(test) for kind, test in merging.UNCHANGED.items()}
    monkeypatch.setattr(merging, "EXACT_TABLE", merging.by_kinds(map(counted, merging.EXACT), tests))
    for pipe, image, backend, expected in cases():
        index = pipe.options.seed
        assert same(pipe, image, index, expected), f"{backend}, seed {index}: {pipe.to_spec()['image']}"
    assert {rule.name for rule in merging.EXACT} | {"drop"} == set(fired)
    assert min(fired.values()) >= LEAST, fired


def test_many_cases_turn_the_image() -> None:
    """Quarter turns exchange height and width, and so find what the rules get wrong about either."""
    kinds = Counter(
        (type(op).__name__, getattr(op, "transpose", False))
        for pipe, image, *_ in cases()[::2]
        for op in unplanned.drawn(pipe, image, pipe.options.seed)
    )
    assert kinds["Move", True] >= SPECS // 5, kinds
    assert kinds["Move", False] >= SPECS // 4, kinds


Apply = Callable[[Any, Any, Scene], Any]

# What each rule would be with its point forgotten.
BROKEN: dict[str, Callable[[Apply], Apply]] = {
    "move after move": lambda rule: lambda a, b, s: (replace(rule(a, b, s)[0], flip_x=a.flip_x),),
    "move before pixelwise": lambda rule: lambda a, b, s: (b, a),
    "flip before measured": lambda rule: lambda a, b, s: (b, a) if a.measured else None,
    "move with mean image": lambda rule: lambda a, b, s: rule(a, b, s) and (b, a),
    "move before pad": lambda rule: lambda a, b, s: (m := rule(a, b, s)) and (m[0], a),
    "move before paint": lambda rule: lambda a, b, s: rule(a, b, s) and (b, a),
    "pixelwise before constant": lambda rule: lambda a, b, s: rule(a, b, s) and (b, a),
    "table after table": lambda rule: lambda a, b, s: rule(b, a, s),
    "normalize after table": lambda rule: lambda a, b, s: rule(a, b, s) and (b,),
}


@pytest.mark.parametrize("name", [rule.name for rule in merging.EXACT])
def test_a_broken_rule_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = [rule._replace(apply=BROKEN[name](rule.apply)) if rule.name == name else rule for rule in merging.EXACT]
    monkeypatch.setattr(merging, "EXACT_TABLE", merging.by_kinds(broken))
    assert any(caught(case) for case in cases())


def test_dropping_too_much_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    tests = {**merging.UNCHANGED, Lookup: lambda op, scene: not op.measured}
    monkeypatch.setattr(merging, "EXACT_TABLE", merging.by_kinds(merging.EXACT, tests))
    assert any(caught(case) for case in cases())


def caught(case: tuple[Any, np.ndarray[Any, Any], str, np.ndarray[Any, Any]]) -> bool:
    pipe, image, _, expected = case
    try:
        return not same(pipe, image, pipe.options.seed, expected)
    except augreg.ImageError:
        return True


def test_the_unplanned_runner_knows_no_planner() -> None:
    code = "import sys; sys.path.append('tests'); import unplanned; print('augreg.execution.merging' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


@pytest.mark.parametrize("backend", BACKENDS)
def test_float_images_merge_moves_only(backend: str) -> None:
    numbers = np.random.default_rng(5)
    steps = [
        {"brightness": 0.5},
        "horizontal_flip",
        {"random_crop": {"size": 5, "padding": 2}},
        "invert",
        {"normalize": "half"},
    ]
    pipe = augreg.Pipeline.from_spec({"backend": backend, "image": steps})
    image = numbers.random((9, 11, 3), dtype=np.float32)
    for index in range(30):
        assert same(pipe, image, index, unplanned.train(pipe, image, index))
    kinds = [type(op).__name__ for op in pipe.train.plan((9, 11), index=1, dtype="float32").ops]
    assert kinds.count("Lookup") == 2 and "Normalize" in kinds


def test_measured_steps_let_no_crop_pass() -> None:
    merged = merging.merge([ops.image_statistic("equalize"), ops.crop(1, 2, 3, 4)], Scene(9, 9))
    assert [type(op).__name__ for op in merged] == ["Lookup", "Move"]
    merged = merging.merge([ops.image_statistic("equalize"), ops.horizontal_flip(Scene(9, 9))], Scene(9, 9))
    assert [type(op).__name__ for op in merged] == ["Move", "Lookup"]


FENCES = (
    ops.resize(5, 5),
    ops.gaussian_blur(1.0),
    ops.enhance("smooth", 0.5, "sharpness"),
    ops.rotate(Scene(9, 9), 12),
    ops.noise_box(Scene(9, 9), 1, 1, 3, 3, 7),
)


@pytest.mark.parametrize("fence", FENCES, ids=str)
def test_nothing_is_moved_past_a_fence(fence: ops.Op) -> None:
    scene = Scene(9, 9)
    after = fence.after(scene)
    for op in (ops.crop(1, 1, 3, 3), ops.horizontal_flip(after)):
        assert merging.merge([fence, op], scene) == (fence, op)
    if type(fence).__name__ != "Paint":
        assert merging.merge([ops.pad(scene, 1, 1, 1, 1), fence], scene)[-1] == fence


def test_a_padded_crop_is_a_crop_and_what_is_left_of_the_border() -> None:
    merged = merging.merge([Pad(4, 4, 4, 4), Move(1, 6, 32, 32)], Scene(32, 32))
    assert merged == (Move(0, 2, 29, 30), Pad(3, 0, 0, 2))


def test_the_headline_pipeline_touches_few_passes() -> None:
    kinds = [type(op).__name__ for op in augreg.Pipeline.from_spec("imagenet").train.plan((375, 500), index=7).ops]
    assert kinds[:2] == ["Move", "Resize"] and kinds[-1] == "Normalize" and len(kinds) <= 6
    assert kinds.count("Lookup") <= 1


@pytest.mark.parametrize("preset", ["imagenet", "cifar10"])
def test_a_plan_replays_pickles_and_compares(preset: str) -> None:
    pipe = augreg.Pipeline.from_spec(preset)
    image = np.random.default_rng(1).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    planned = pipe.train.plan((40, 50), index="a", epoch=3)
    again = pickle.loads(pickle.dumps(planned))
    assert again == planned == pipe.train.plan((40, 50), index="a", epoch=3)
    assert again.run(image).tobytes() == pipe.train(image, index="a", epoch=3).tobytes()
    assert planned != pipe.train.plan((40, 50), index="b", epoch=3)
    assert pipe.test.plan((40, 50)).run(image).tobytes() == pipe.test(image).tobytes()
    with pytest.raises(augreg.ImageError, match="this plan is for 40x50x3 uint8, and the image is 41x50x3 uint8"):
        planned.run(np.zeros((41, 50, 3), np.uint8))


def half(image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.ascontiguousarray(image[::2, ::2])


def test_steps_after_a_call_of_unknown_size_are_deferred() -> None:
    @augreg.transform("halve", kind="geometry")
    class Halve:
        """Keep every other pixel."""

        def sample(self, rng: Any, scene: Scene) -> ops.Op:
            return ops.call(half)

    registry = augreg.Registry.installed().add(Halve)
    pipe = augreg.Pipeline.from_spec(["halve", {"random_crop": 3}, {"normalize": "half"}], registry)
    image = np.random.default_rng(1).integers(0, 256, (14, 12, 3), dtype=np.uint8)
    planned = pipe.train.plan((14, 12), index=3)
    assert "  deferred: the remaining steps are drawn once" in str(planned)
    found = planned.run(image)
    assert found.shape == (3, 3, 3) and found.tobytes() == pipe.train(image, index=3).tobytes()
    crops = [str(pipe.train.plan((14, 12), index=i).run(image).tobytes()) for i in range(20)]
    assert len(set(crops)) > 5


def test_a_plan_for_the_backend_of_a_plugin_pickles(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It pickles where its kernels come from; those that it lacks are Pillow's."""
    (tmp_path / "rainy_kernels.py").write_text(
        "from augreg.ops import Lookup\nKERNELS = {Lookup: lambda op, image: image * 0 + 7}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    drawn = augreg.Pipeline.from_spec(["invert", {"resize": 4}]).train.plan((8, 8), index=0)
    engine = backends.backend("rain/seven", "rainy_kernels:KERNELS")
    planned = replace(drawn, settings=replace(drawn.settings, engine=engine))
    again = pickle.loads(pickle.dumps(planned))
    assert again == planned != drawn and "backend rain/seven" in str(again)
    assert (again.run(np.zeros((8, 8, 3), np.uint8)) == 7).all()
