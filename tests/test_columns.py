"""Draws of many images at once: the words of NumPy's Philox, and the ops that `draw` gives one by one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import augreg
from augreg.columns.cursors import Cursors, Streams, exactly
from augreg.columns.philox import Addresses, ReadWords, addresses_of, words
from augreg.columns.records import Scenes, by_image, gathered
from augreg.errors import ImageError
from augreg.execution.sampling import draw
from augreg.execution.sampling_columns import NotByColumnsError, by_columns, draw_columns, one_by_one
from augreg.ops import Op, Scene
from augreg.rng import Address, Cursor, address_of, stream_key
from augreg.steps.step import Step

N = 1000


def random_addresses(count: int, seed: int = 0) -> Addresses:
    """Addresses whose parts are all different, and as large as they can be."""
    parts = np.random.default_rng(seed).integers(0, 2**64, (5, count), np.uint64)
    parts[4] >>= np.uint64(32)
    parts[:, 0] = 2**64 - 1, 2**64 - 1, 2**64 - 1, 2**64 - 1, 2**32 - 1
    return Addresses(parts)


def of_numpy(address: Address, step: int, first: int, count: int) -> list[int]:
    counter = [(address.view << 32) + first // 4, step, address.index, address.epoch]
    philox = np.random.Philox(
        counter=np.array(counter, np.uint64), key=np.array([address.seed, address.domain], np.uint64)
    )
    found: list[int] = philox.random_raw(first % 4 + count).tolist()[first % 4 :]
    return found


@pytest.mark.parametrize(("first", "count"), [(0, 1), (0, 4), (1, 4), (3, 2), (2, 13), (4 * 10**6 + 3, 9), (5, 0)])
def test_the_words_are_those_of_numpy(first: int, count: int) -> None:
    addresses, steps = random_addresses(60), [0, 2**64 - 1, stream_key("rotate#0")]
    found = words(addresses, steps, first, count)
    assert found.dtype == np.uint64
    assert found.shape == (3, count, 60)
    for place, step in enumerate(steps):
        for image in range(60):
            assert found[place, :, image].tolist() == of_numpy(addresses.at(image), step, first, count)


def test_words_of_no_image_and_of_no_step() -> None:
    assert words(random_addresses(4).taken(np.arange(0)), [1, 2], 0, 3).shape == (2, 3, 0)
    assert words(random_addresses(4), [], 0, 3).shape == (0, 3, 4)


def test_addresses() -> None:
    made = addresses_of(7, [3, "cat.jpg", 2**64 - 1], epoch=5, view=2, domain=4)
    assert [made.at(row) for row in range(3)] == [
        address_of(7, index, 5, 2, 4) for index in (3, "cat.jpg", 2**64 - 1)
    ]
    assert len(made.taken(np.array([2]))) == 1
    assert made.taken(np.array([2])).at(0).index == 2**64 - 1
    for wrong, error in ((-1, ValueError), (2**64, ValueError), (1.5, TypeError)):
        with pytest.raises(error, match="index"):
            addresses_of(7, [0, wrong])  # type: ignore[list-item]


Call = Callable[[Any], Any]
CALLS: dict[str, Call] = {
    "bits": lambda rng: rng.bits(),
    "random": lambda rng: rng.random(),
    "bernoulli": lambda rng: rng.bernoulli(0.3),
    "bernoulli of 0": lambda rng: rng.bernoulli(0.0),
    "bernoulli of 1": lambda rng: rng.bernoulli(1.0),
    "bernoulli of nan": lambda rng: rng.bernoulli(float("nan")),
    "uniform": lambda rng: rng.uniform(-0.1, 0.2),
    "integers": lambda rng: rng.integers(7),
    "many integers": lambda rng: rng.integers(2**53),
    "sign": lambda rng: rng.sign(),
    "normal": lambda rng: rng.normal(),
    "normal with mean and deviation": lambda rng: rng.normal(0.3, 1.7),
    "permutation of 0": lambda rng: rng.permutation(0),
    "permutation of 2": lambda rng: rng.permutation(2),
    "permutation of 5": lambda rng: rng.permutation(5),
    "permutation of 40": lambda rng: rng.permutation(40),
    "randoms": lambda rng: rng.randoms(3),
    "choice": lambda rng: rng.choice([0.0, 0.1, 0.0, 0.7, 1e-3, 0.0]),
    "choice of one": lambda rng: rng.choice([0.0, 2.0]),
    "choice of thirds": lambda rng: rng.choice([1 / 3, 1 / 3, 1 / 3]),
    "skip": lambda rng: rng.skip(2),
}


@pytest.mark.parametrize("number", [0, 1, 6])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_every_draw_is_that_of_the_cursor(call: Call, number: int) -> None:
    addresses = random_addresses(200)
    many = Cursors(addresses, 99, number)
    assert len(many) == 200
    for _ in range(3):  # and the draws after it begin at the same word
        found = call(many)
        later = many.bits()
        expected, expected_later = [], []
        for image in range(200):
            cursor = Cursor(addresses.at(image), 99, number)
            one = call(cursor)
            expected.append(one.tolist() if isinstance(one, np.ndarray) else one)
            expected_later.append(cursor.bits())
            number_after = cursor._next - len(cursor._words)
        assert (found if found is None else found.tolist()) == (None if found is None else expected)
        assert later.tolist() == expected_later
        number = number_after


def test_arrays_of_bounds() -> None:
    addresses = random_addresses(100)
    low, high, p = np.linspace(-5, 5, 100), np.linspace(6, 7, 100), np.linspace(-0.5, 1.5, 100)
    stops = np.arange(1, 101)
    many = Cursors(addresses, 1)
    found = [many.uniform(low, high), many.integers(stops), many.bernoulli(p), many.normal(low, high)]
    for image in range(100):
        one = Cursor(addresses.at(image), 1)
        assert found[0][image] == one.uniform(low[image].item(), high[image].item())
        assert found[1][image] == one.integers(stops[image].item())
        assert found[2][image] == one.bernoulli(p[image].item())
        assert found[3][image] == one.normal(low[image].item(), high[image].item())
    for stop in (0, np.array([*stops[1:], 0]), 2**53 + 1):
        with pytest.raises(ValueError, match=r"a stop from 1 to 2\^53"):
            many.integers(stop)


def test_a_threshold_of_the_whole_sum_takes_the_last_index_with_a_weight() -> None:
    """Ten times 0.1 add up to less than 1, one by one, and `math.fsum` gives 1."""
    largest = np.full((1, 1, 4), 2**64 - 1, np.uint64)
    weights = [0.1] * 10 + [0.0]
    many = Cursors(random_addresses(4), 1, read=lambda *_: np.repeat(largest, 4, 1))
    assert many.choice(weights).tolist() == [9] * 4

    class Last(Cursor):
        def bits(self) -> int:
            return 2**64 - 1

    assert Last(Address(0, 1, 0, 0, 0), 1).choice(weights) == 9


def given(word: int) -> Cursors:
    """Cursors of three images whose every word is this one."""
    return Cursors(random_addresses(3), 1, read=lambda *asked: np.full((1, asked[3], 3), word, np.uint64))


def test_equal_words() -> None:
    """The order of equal keys stays; a number that equals a bound is not below it."""
    keys = [number * 7 % 3 for number in range(300)]
    many = Cursors(random_addresses(1), 1, read=lambda *_: np.array([keys + [0] * 4], np.uint64)[:, :, None])
    assert many.permutation(300).tolist() == [sorted(range(300), key=keys.__getitem__)]
    assert given(1 << 63).choice([1.0, 1.0]).tolist() == [1] * 3
    assert given(0).choice([0.0, 1.0]).tolist() == [1] * 3
    assert given(1 << 63).bernoulli(0.5).tolist() == [False] * 3


def test_functions_are_those_of_math() -> None:
    """NumPy's own differ from them in the last bit for some numbers, and from one processor to another."""
    values = np.linspace(0.01, 6.2, 50_000)
    for function in (math.log, math.cos, math.exp):
        assert exactly(function, values).tolist() == [function(value) for value in values.tolist()]


def test_taken_goes_on_where_all_were_and_moves_nothing() -> None:
    addresses = random_addresses(50)
    many = Cursors(addresses, 5)
    many.skip(3)
    some = np.array([3, 8, 49])
    taken = many.taken(some)
    wanted = [of_numpy(addresses.at(image), 5, 3, 6) for image in some.tolist()]
    assert [taken.bits().tolist() for _ in range(6)] == [list(words) for words in zip(*wanted, strict=True)]
    assert many.bits()[some].tolist() == [row[0] for row in wanted]
    assert many.taken(some).bits().tolist() == [row[1] for row in wanted]


def test_streams_are_read_once() -> None:
    addresses, asked = random_addresses(6), []

    def read(addresses: Addresses, steps: Sequence[int], first: int, count: int) -> Any:
        asked.append((list(steps), first))
        return words(addresses, steps, first, count)

    streams = Streams(addresses, read)
    streams.prepare([4, 5, 4])
    rows = np.array([1, 5])
    assert streams.cursors(5, 1, rows).bits().tolist() == [of_numpy(addresses.at(row), 5, 1, 1)[0] for row in (1, 5)]
    assert streams.cursors(4).bits().tolist() == [of_numpy(addresses.at(row), 4, 0, 1)[0] for row in range(6)]
    assert asked == [([4, 5], 0)]
    streams.cursors(6).skip(1)
    cursors = streams.cursors(6, 5)
    assert cursors.bits().tolist() == [of_numpy(addresses.at(row), 6, 5, 1)[0] for row in range(6)]
    assert asked == [([4, 5], 0), ([6], 0), ([6], 4)]


JITTER = {"color_jitter": {"brightness": 0.4, "contrast": 0.3, "saturation": [0.2, 1.9], "hue": 0.1}}
SPECS: dict[str, list[Any]] = {
    "imagenet": [
        {"random_resized_crop": 224},
        "horizontal_flip",
        {"color_jitter": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4}},
        {"normalize": {"mean": "imagenet"}},
    ],
    "cifar": [
        {"random_crop": {"size": 32, "padding": 4}}, "horizontal_flip", {"cutout": {"size": 16, "p": 0.7}},
        {"normalize": {"mean": "cifar10"}},
    ],
    "self-supervised": [
        {"random_resized_crop": {"size": [96, 128], "ratio": [0.3, 3.3], "interpolation": "bicubic"}},
        {"color_jitter": {"brightness": 0.8, "contrast": 0.8, "saturation": 0.8, "hue": 0.2, "p": 0.8}},
        {"grayscale": {"p": 0.2}}, {"solarize": {"threshold": [50, 200], "p": 0.2}}, "vertical_flip",
    ],
    "crops that often fail": [{"random_resized_crop": {"size": 9, "scale": [0.7, 1.0], "ratio": [0.05, 20]}}],
    "crops that always fail": [{"random_resized_crop": {"size": 9, "scale": [1.0, 1.0], "ratio": [30, 40]}}],
    "tall crops that always fail": [{"random_resized_crop": {"size": 9, "scale": [1.0, 1.0], "ratio": [0.01, 0.02]}}],
    "crops of no pixels": [{"random_resized_crop": {"size": 9, "scale": [0.001, 0.9], "ratio": [0.01, 100]}}],
    "uneven padding": [
        {"random_crop": {"size": [31, 70], "padding": [0, 3, 2, 0], "mode": "reflect"}}, {"random_crop": 20}, JITTER,
    ],
    "erasing": [
        {"random_erasing": {"p": 0.9}}, {"random_erasing": {"mode": "random"}}, {"random_erasing": {"mode": "pixel"}},
        {"random_erasing": {"area": [0.5, 1.0], "ratio": [0.05, 20], "p": 1.0}},
    ],
    "erasing after normalize": [
        {"normalize": {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.3]}},
        {"random_erasing": {"mode": "random"}}, {"random_erasing": {"mode": "pixel"}},
        {"random_erasing": {"fill": 3}},
        {"cutout": {"size": 5, "holes": 3, "fill": [1, 2, 3]}},
    ],
    "small holes": [{"cutout": {"size": 0.9, "holes": 2, "fill": 300}}, {"cutout": {"size": 3}}, {"cutout": 2}],
    "containers": [
        {"one_of": {"steps": [JITTER, "horizontal_flip", {"sequential": ["invert", {"hue": {"p": 0.5}}]}]}},
        {"one_of": {"steps": ["equalize", "auto_contrast"], "weights": [0, 2]}},
        {"some_of": {"steps": ["solarize", JITTER, "vertical_flip", "invert"], "count": [1, 3]}},
        {"some_of": {"steps": ["solarize", "invert"], "count": 2}}, {"some_of": {"steps": ["invert"], "count": 0}},
        {"random_order": {"steps": [{"brightness": 0.4}, {"brightness": 0.1}, {"sharpness": {"p": 0.5}}], "p": 0.8}},
    ],
    "noise": [
        {"gaussian_blur": {"p": 0.7}}, {"motion_blur": {"p": 0.5}}, "jpeg", {"rgb_shift": {"p": 0.9}},
        {"gaussian_noise": {"p": 0.8}}, "shot_noise", "iso_noise", {"normalize": {"mean": "half"}}, "gaussian_noise",
    ],
    "schedules": [
        {"horizontal_flip": {"p": {"linear": [0, 1], "over": [0, 4]}}},
        {"brightness": {"factor": [{"linear": [0.1, 0.9], "over": [0, 6]}, 1.5]}},
        {"solarize_add": {"uid": "own"}}, JITTER, JITTER,
    ],
}  # fmt: skip


def scenes_of(heights: Any, widths: Any, **common: Any) -> Scenes:
    return Scenes(np.array(heights), np.array(widths), Scene(0, 0, **common))


def compare(steps: Sequence[Step], scenes: Scenes, addresses: Addresses, read: ReadWords = words) -> list[list[Op]]:
    """Check that images drawn at once have the ops of images drawn one by one, with their texts; return them."""
    drawn = draw_columns(steps, scenes, addresses, read)
    found = by_image(drawn.columns, len(scenes))
    for row in range(len(scenes)):
        one = draw(steps, scenes.at(row), addresses.at(row))
        assert repr(found[row]) == repr(one.ops), row
        assert drawn.scenes.at(row) == one.scene
    return found


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("name", SPECS)
def test_a_thousand_images_have_the_ops_of_each_alone(name: str, dtype: str) -> None:
    count = N if dtype == "uint8" else 50
    sizes = np.random.default_rng(1).integers(1, 90, (2, count))
    sizes[:, : count // 2] = {"small holes": [[3], [4]], "crops of no pixels": [[5], [4]]}.get(name, [[40], [60]])
    steps = augreg.Pipeline(SPECS[name], seed=3).steps
    assert one_by_one(steps) == []
    found = compare(steps, scenes_of(*sizes, dtype=dtype, epoch=2), addresses_of(3, range(count), 2))
    assert len({str(ops) for ops in found}) > 1 or name.endswith("always fail")


def test_an_image_is_drawn_alike_in_every_batch() -> None:
    steps = augreg.Pipeline(SPECS["imagenet"]).steps
    drawn = []
    for rows in (np.arange(7), np.array([5]), np.array([6, 5, 2])):
        found = draw_columns(steps, scenes_of([50] * 7, [60] * 7).taken(rows), addresses_of(0, rows.tolist()))
        drawn.append(repr(by_image(found.columns, len(rows))[rows.tolist().index(5)]))
    assert drawn[0] == drawn[1] == drawn[2]
    nothing = draw_columns(steps, scenes_of([], []), addresses_of(0, []))
    assert nothing.columns == []


ALONE: dict[str, list[Any]] = {
    "warps": [
        {"rotate": {"degrees": 90, "p": 0.6}}, {"affine": {"fill": [1, 2, 3]}}, {"perspective": {"p": 0.5}}, "d4",
        {"crop_or_pad": {"size": [40, 50], "position": "random"}},
    ],
    "symmetries": ["rot90", "d4"],
    "noise and texture": [
        {"median_blur": {"p": 0.5}}, "elastic", "downscale", "grid_mask",
        "channel_shuffle", "channel_drop", "clahe", "gamma", "posterize",
        {"random_crop": 20},
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", ALONE)
def test_other_steps_are_sampled_one_by_one(name: str) -> None:
    steps = augreg.Pipeline(ALONE[name], seed=3).steps
    assert steps[0].name in one_by_one(steps)
    sizes = np.random.default_rng(2).integers(20, 60, (2, 100))
    sizes[:, :50] = 40
    compare(steps, scenes_of(*sizes), addresses_of(3, range(100)))


TABLE = [
    [["shear_x", 0.5, 9]],
    [["invert", 0.5, 0], ["rotate", 1.0, 3], ["translate_y", 0.9, 2]],
    [["identity", 1, 0]],
]
POLICIES: dict[str, dict[str, Any]] = {
    "auto_augment": {"policy": "cifar10"},
    "auto_augment, timm": {"policy": "v0", "dialect": "timm", "m_std": 0.5},
    "auto_augment, uniform magnitudes": {"policy": "imagenet", "dialect": "timm", "m_std": 101},
    "auto_augment, rows of many lengths": {"policy": TABLE, "interpolation": "bilinear", "fill": [1, 2, 3], "p": 0.8},
    "auto_augment, paper": {"policy": "svhn", "dialect": "paper"},
    "rand_augment": {},
    "rand_augment, paper": {"n": 3, "m": 30, "dialect": "paper", "chance": 0.4},
    "rand_augment, timm": {"dialect": "timm", "m_std": 2.5, "n": 3, "m": 9, "m_max": 9.5},
    "rand_augment, timm with blur": {
        "dialect": "timm",
        "ops": ["gaussian_blur", "desaturate", "solarize_add"],
        "m": 5,
    },
    "rand_augment, none": {"n": 0},
    "rand_augment, weights": {"ops": ["rotate", "invert", "color"], "weights": [1, 2, 3]},
    "three_augment": {"p": 0.8},
    "three_augment, without jitter": {"jitter": 0.0},
    "timm_policy": {"policy": "rand-m9-mstd0.5-inc1"},
    "timm_policy, 3a": {"policy": "3a"},
    "trivial_augment_wide": {},
    "trivial_augment_wide, paper": {"dialect": "paper", "interpolation": "random"},
}


@pytest.mark.parametrize("name", POLICIES)
def test_policies(name: str) -> None:
    steps = augreg.Pipeline([{name.partition(",")[0]: POLICIES[name]}], seed=5).steps
    assert one_by_one(steps) == []
    sizes = np.random.default_rng(1).integers(20, 90, (2, 500))
    sizes[:, :400] = [[32], [32]]
    compare(steps, scenes_of(*sizes), addresses_of(5, range(500)))


def test_every_step_that_is_sampled_by_columns_is_compared_here() -> None:
    section = augreg.Registry.installed().section("image")
    names = {name for name, cls in section.items() if by_columns(cls.__new__(cls)) and "/" not in name}
    written = str(SPECS) + str([{name.partition(",")[0]: 0} for name in POLICIES])
    assert len(names) > 30
    assert {name for name in names if f"'{name}'" not in written} == set()


def test_policies_refuse_other_images() -> None:
    for name in ("auto_augment", "rand_augment", "trivial_augment_wide"):
        with pytest.raises(ImageError, match=f"{name} needs a gray or RGB image, and this one has 5 channels"):
            draw_columns(augreg.Pipeline([name]).steps, scenes_of([9], [9], channels=5), addresses_of(0, [0]))


def test_ops_of_one_kind_are_gathered() -> None:
    """The text of an affine map is ready when it is drawn, and that of a rotation is not."""
    steps = augreg.Pipeline([{"rotate": [10, 40]}, "affine", {"median_blur": [3, 7]}]).steps
    columns = draw_columns(steps, scenes_of([40] * 90, [40] * 90), addresses_of(0, range(90))).columns
    assert [(type(column.op).__name__, len(column)) for column in columns] == [("Warp", 90)] * 2 + [("Filter", 90)]
    assert isinstance(columns[0].op, augreg.ops.Warp)
    assert [np.shape(number) for number in columns[0].op.matrix] == [(90,)] * 6 + [()] * 2


def test_gathered_ops_come_apart_as_they_were() -> None:
    scene, ops = Scene(30, 30), augreg.ops
    drawn = [
        ops.noise_box(scene, 1, 2, 3, 4, 2**64 - 1), ops.noise_box(scene, 1, 2, 3, 5, 7),
        ops.paint(scene, 1, 2, 3, 4),
        ops.translate(scene, 0.0, 1.0), ops.translate(scene, -0.0, 1.0), ops.translate(scene, 0.0, 1.0, "bicubic"),
        ops.point_function("table", bytes(range(256))), ops.point_function("table", bytes(256)),
        ops.point_function("brightness", 1.0), ops.point_function("brightness", float("nan")),
        ops.ColorMatrix(((1.0,),), (0.0,)), ops.ColorMatrix(((1.0, 0.0), (0.0, 1.0)), (0.0, 3.0)), ops.hue(0.0),
        ops.hue(0.25),
    ]  # fmt: skip
    columns = gathered(enumerate(drawn))
    assert [column.rows.tolist() for column in columns] == [
        [0, 1], [2], [3, 4], [5], [6], [7], [8, 9], [10], [11], [12, 13],
    ]  # fmt: skip
    assert repr(by_image(columns, len(drawn))) == repr([[op] for op in drawn])


def test_the_steps_that_are_sampled_one_by_one() -> None:
    steps = ["horizontal_flip", "perspective", {"one_of": ["elastic", {"sequential": ["invert", "rotate"]}]}]
    assert one_by_one(augreg.Pipeline(steps).steps) == ["perspective", "elastic", "rotate"]


@augreg.transform("made", kind="color")
class _Made:
    """Makes a step, and cannot be sampled for many images."""

    def sample(self, rng: Any, scene: Any) -> Any:
        return Step(augreg.transforms.Brightness())


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ([_Made()], "made is sampled image by image and returned a step"),
        (["aug_mix"], "returned BranchMix"),
        ([{"timm_policy": {"policy": "augmix-m3-w3"}}], "returned BranchMix"),
    ],
)  # fmt: skip
def test_what_only_draw_can_do(steps: list[Any], reason: str) -> None:
    with pytest.raises(NotByColumnsError, match=reason):
        draw_columns(augreg.Pipeline(steps).steps, scenes_of([40] * 20, [40] * 20), addresses_of(0, range(20)))


def test_only_the_size_may_change_for_some() -> None:
    scenes, all_of_them = scenes_of([40, 50, 60], [70, 80, 90]), np.arange(3)
    normalize = augreg.ops.Normalize((0.5,), (0.5,))
    assert scenes.after(normalize, all_of_them).at(2) == Scene(60, 90, dtype="float32", normalized=True)
    with pytest.raises(ValueError, match="Normalize must be for all images of a batch"):
        scenes.after(normalize, all_of_them[:2])
    smaller = scenes.after(augreg.ops.resize(7, 8), all_of_them[1:])
    assert [smaller.at(row).size for row in range(3)] == [(40, 70), (7, 8), (7, 8)]
    assert scenes.at(1).size == (50, 80)


@augreg.transform("own_flip", kind="geometry")
class _OwnFlip(augreg.transforms.HorizontalFlip):
    """Overrides `sample` alone."""

    def sample(self, rng: Any, scene: Any) -> Any:
        return ()


@augreg.transform("renamed_flip", kind="geometry")
class _RenamedFlip(augreg.transforms.HorizontalFlip):
    """Overrides nothing."""


def test_a_subclass_that_overrides_sample_alone_is_sampled_one_by_one() -> None:
    assert one_by_one([Step(_OwnFlip()), Step(_RenamedFlip())]) == ["own_flip"]


@augreg.transform("twice", kind="color")
class _Twice:
    """Makes two steps of one name, which would have one stream."""

    def sample_columns(self, rng: Any, scene: Any) -> Any:
        return Step(augreg.transforms.Brightness()), Step(augreg.transforms.Brightness((0.0, 0.1)))

    sample = sample_columns


def test_two_made_steps_of_one_name_are_refused() -> None:
    steps = augreg.Pipeline([_Twice()]).steps
    with pytest.raises(NotByColumnsError, match=r"two steps have the path .*brightness#0"):
        draw_columns(steps, scenes_of([4], [4]), addresses_of(0, [0]))
