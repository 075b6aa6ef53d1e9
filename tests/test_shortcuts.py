"""Shortcuts give what the long way gives: words that are read ahead, draws, paths, budgets, labels and matrices."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from test_plan import random_case
from test_rng import philox

import augreg
from augreg import ops, rng
from augreg.errors import ImageError
from augreg.execution.budget import within_budget
from augreg.execution.merging import merge
from augreg.execution.sampling import IMAGE, MODEST, Entry, by_drawing, draw
from augreg.ops import Scene
from augreg.rng import AUGMENTATION, Address, Cursor, address_of
from augreg.steps.step import Step

UNIT = 2.0**-53


class Reference:
    """The stream of a step, block by block in plain Python, and the number of its next word."""

    def __init__(self, address: Address, step: int) -> None:
        self.address, self.step, self.next, self.blocks = address, step, 0, {}  # type: ignore[var-annotated]

    def words(self, count: int) -> list[int]:
        found = []
        for number in range(self.next, self.next + count):
            block = number // 4
            if block not in self.blocks:
                at = self.address
                counter = (1 + block + (at.view << 32), self.step, at.index, at.epoch)
                self.blocks[block] = philox(counter, (at.seed, at.domain))
            found.append(self.blocks[block][number % 4])
        return found

    def take(self, count: int) -> list[int]:
        found = self.words(count)
        self.next += count
        return found


def some_draw(numbers: random.Random) -> tuple[Callable[[Cursor], Any], Callable[[Reference], Any]]:
    """A call of a cursor, and what it gives by the definition."""
    count = numbers.choice((1, 2, 3, 5, 9, 40))
    kind = numbers.choice(
        ("bits", "bits", "random", "applied", "left out", "ahead", "skip", "randoms", "permutation")
    )
    return {
        "bits": (lambda c: c.bits(), lambda r: r.take(1)[0]),
        "random": (lambda c: c.random(), lambda r: (r.take(1)[0] >> 11) * UNIT),
        "applied": (lambda c: c.bernoulli(1.0), lambda r: bool(r.take(1))),
        "left out": (lambda c: c.bernoulli(0.0), lambda r: not r.take(1)),
        "ahead": (lambda c: c.ahead(count).tolist(), lambda r: r.words(count)),
        "skip": (lambda c: c.skip(count), lambda r: r.take(count) and None),
        "randoms": (lambda c: c.randoms(count).tolist(), lambda r: [(w >> 11) * UNIT for w in r.take(count)]),
        "permutation": (
            lambda c: c.permutation(count),
            lambda r: (lambda words: sorted(range(count), key=words.__getitem__))(r.take(count)),
        ),
    }[kind]


@pytest.mark.parametrize("seed", range(12))
def test_cursors_that_take_turns_read_their_own_streams(seed: int) -> None:
    """In any order, on the same address or another, begun at the second word, and in two threads."""
    numbers = random.Random(seed)
    places = [
        address_of(seed, index, epoch=2**63 + index, view=view) for index, view in ((1, 0), (1, 2**32 - 1), (2, 0))
    ]
    keys = [numbers.getrandbits(64) for _ in range(2)]
    pairs = []
    for address in places:
        for key in keys:
            start = numbers.choice((0, 1))
            reference = Reference(address, key)
            reference.next = start
            pairs.append((Cursor(address, key, start), reference))
    with ThreadPoolExecutor(1) as pool:
        for _ in range(60):
            cursor, reference = numbers.choice(pairs)
            for _ in range(numbers.choice((1, 1, 5))):
                call, definition = some_draw(numbers)
                found = pool.submit(call, cursor).result() if numbers.random() < 0.3 else call(cursor)
                assert found == definition(reference)
    assert places[0].domain == AUGMENTATION


def test_few_keys_of_steps_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rng, "_MOST_LONG", 3)

    def kept() -> int:
        for key in range(9):
            cursor, reference = Cursor(address_of(0, 0), key), Reference(address_of(0, 0), key)
            assert [cursor.bits() for _ in range(5)] == reference.take(5)
        return len(rng._of_thread.generator.long)

    with ThreadPoolExecutor(1) as pool:  # a thread of its own has a generator of its own
        assert pool.submit(kept).result() == 3


class Plainly:
    """Draws of training, one call of `by_drawing` for each step."""

    epoch = 0

    def __init__(self, address: Address) -> None:
        self.address = address

    def take(self, step: Step, scene: Scene, entry: Entry, parent: Entry | None) -> Any:
        return by_drawing(self.address, IMAGE, step, scene, entry, parent)


COMPOSED: list[Any] = [
    {
        "one_of": [
            {"rotate": 30},
            {"sequential": [{"brightness": 0.5}, {"color_jitter": {"hue": 0.1, "contrast": 0.2}}]},
        ]
    },
    {
        "some_of": {
            "steps": ["invert", {"auto_augment": "svhn"}, {"rand_augment": {"dialect": "timm"}}],
            "count": [0, 3],
        }
    },
    {"random_order": ["equalize", {"color_jitter": {"brightness": 0.4, "saturation": 0.4, "p": 0.5}}]},
    {"random_erasing": {"mode": "pixel"}},
    {"color_jitter": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4}},
    "trivial_augment_wide",
]


def test_a_draw_is_what_each_step_draws_alone() -> None:
    specs = [*(random_case(seed)[0] for seed in range(150)), COMPOSED, COMPOSED[::-1]]
    for seed, spec in enumerate(specs):
        steps = augreg.Pipeline.from_spec(spec).steps
        for index in range(2 if spec is not COMPOSED else 60):
            address = address_of(seed, index)
            found, expected = draw(steps, Scene(20, 30), address), draw(steps, Scene(20, 30), Plainly(address))
            assert found.ops == expected.ops
            assert found.entries == expected.entries
            assert (found.scene, found.modest) == (expected.scene, expected.modest)


class NamesPaths:
    """Returns steps of a random tree, and checks the path that each has got by the rules of `sampling`."""

    epoch = 0

    def __init__(self, numbers: random.Random, pool: list[Step]) -> None:
        self.numbers, self.pool, self.seen = numbers, pool, []  # type: ignore[var-annotated]

    def take(self, step: Step, scene: Scene, entry: Entry, parent: Entry | None) -> Any:
        assert entry.path == self.expected(step, parent)
        self.seen.append(entry.path)
        if entry.depth > 2 or len(self.seen) > 25:
            return ()
        return tuple(self.numbers.choice(self.pool) for _ in range(self.numbers.choice((0, 1, 2, 4))))

    def expected(self, step: Step, parent: Entry | None) -> str:
        if step.path:
            start, number = f"{step.path}~", 1
            if step.path not in self.seen:
                return step.path
        else:
            start = (f"{parent.path}/" if parent is not None else "") + f"{step.uid or step.name}#"
            number = len([path for path in self.seen if path.startswith(start) and "/" not in path[len(start) :]])
        while f"{start}{number}" in self.seen:
            number += 1
        return f"{start}{number}"


def test_paths_are_those_of_the_rules() -> None:
    """Steps with a path and without one, with a uid that looks like a path, and with the name of a plugin's step."""
    turn = augreg.transforms.Invert()
    made = [Step(turn, "a"), Step(turn, "b"), Step(turn, "rain/a"), Step(turn, "a", p=0.5)]
    odd = [Step(turn, "a", uid="a#0"), Step(turn, "b", uid="x"), Step(turn, "c", uid="a#0/b")]
    placed = [Step(turn, "a", path="a#0"), Step(turn, "b", path="a#0/b#0"), Step(turn, "b", path="a#0/b#2")]
    for seed in range(400):
        numbers = random.Random(seed)
        pool = made + numbers.choice(([], [], odd, placed, odd + placed))
        top = [numbers.choice((*pool, *placed)) for _ in range(3)]
        draw(top, Scene(4, 4), NamesPaths(numbers, pool))


def test_a_draw_of_small_images_keeps_the_budget_without_a_check() -> None:
    refused = 0
    for seed in range(300):
        steps, image = random_case(seed)
        scene = Scene(*image.shape)
        for most in (1, 300, MODEST, 2**27):
            pipe = augreg.Pipeline.from_spec({"image": steps, "max_pixels": most})
            address = address_of(0, seed)
            merged = merge(draw(pipe.steps, scene, address).ops, scene)
            try:
                expected = within_budget(merged, scene, most)
            except ImageError as error:
                refused += 1
                with pytest.raises(ImageError) as found:
                    pipe.train.plan((scene.height, scene.width), seed)
                assert str(found.value) == str(error)
                continue
            assert pipe.train.plan((scene.height, scene.width), seed).ops == expected
    assert refused > 50


@pytest.mark.parametrize(("size", "modest"), [(1024, True), ([1024, 1025], False)])
def test_what_is_modest(size: Any, modest: bool) -> None:
    pipe = augreg.Pipeline.from_spec([{"resize": {"size": size}}, {"center_crop": 8}])
    assert draw(pipe.steps, Scene(9, 9), address_of(0, 0)).modest is modest


@augreg.transform("to_nothing", kind="geometry")
class ToNothing:
    """An image without rows."""

    def sample(self, rng: Any, scene: Any) -> Any:
        return ops.Resize(0, 5)


def test_an_image_of_no_pixels_is_not_modest() -> None:
    steps = augreg.Pipeline([ToNothing()]).steps
    assert not draw(steps, Scene(9, 9), address_of(0, 0)).modest


def test_a_label_is_put_together_when_it_is_shown() -> None:
    scene = Scene(30, 40)
    first, second = ops.point_function("brightness", 1.2), ops.point_function("gamma", 0.5)
    (both,) = merge([first, second], scene)
    said = {
        ops.crop(1, 2, 3, 4): "crop 3x4 at (1, 2)",
        ops.pad(scene, 1, 1, 1, 1): "pad 1",
        ops.pad(scene, 1, 2, 3, 4): "pad 1, 2, 3, 4",
        ops.rotate(scene, 12.25): "rotate 12.2°",
        ops.shear(scene, 0.25, 0.0): "shear x 0.25",
        ops.shear(scene, 0.0, 0.0): "shear 0",
        ops.translate(scene, 1.25, -2.0): "translate (1.2, -2.0)",
        ops.paint(scene, 1, 2, 3, 4): "box 3x4 at (1, 2)",
        ops.hue(0.25): "hue +0.250",
        ops.enhance("gray", 2.0, "color"): "color 2",
        ops.image_statistic("equalize"): "equalize",
        ops.point_function("invert"): "invert",
        both: "brightness 1.20, gamma 0.50",
    }
    for op, text in said.items():
        assert str(op) == f"{op}" == text
        assert f"label={text!r}" in repr(op)
        back = pickle.loads(pickle.dumps(op))
        assert back == op
        assert back.label == text


@pytest.mark.parametrize("nudged", [False, True])
def test_the_matrix_of_a_warp_is_a_product(nudged: bool) -> None:
    """To the last bit: pixels depend on it."""
    opencv = pytest.importorskip("augreg.backends.opencv")
    numbers = np.random.default_rng(0)
    later, sooner = (np.array([[1.0, 0.0, x], [0.0, 1.0, x], [0.0, 0.0, 1.0]]) for x in (0.5, -0.5))
    nudge = np.array([[1.0, 0.0, 2.0**-12], [0.0, 1.0, 2.0**-12], [0.0, 0.0, 1.0]])
    for number in range(3000):
        matrix = numbers.normal(0, 1, 8) * [1, 1, 300, 1, 1, 300, *(1e-3 * (number % 2),) * 2]
        expected = sooner @ np.append(matrix, 1.0).reshape(3, 3) @ later
        if nudged:
            expected = nudge @ expected
        assert np.array_equal(opencv._at_centers(tuple(matrix.tolist()), nudged), expected)
