"""Draws of many images at once: the ops that `draw` gives one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from drawn_columns import compare, scenes_of

import augreg
from augreg.columns.philox import addresses_of
from augreg.columns.records import by_image
from augreg.errors import ImageError
from augreg.execution.sampling_columns import NotByColumnsError, draw_columns, one_by_one
from augreg.steps.step import Step

N = 300

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


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("name", SPECS)
def test_images_have_the_ops_of_each_alone(name: str, dtype: str) -> None:
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


def test_policies_refuse_other_images() -> None:
    for name in ("auto_augment", "rand_augment", "trivial_augment_wide"):
        with pytest.raises(ImageError, match=f"{name} needs a gray or RGB image, and this one has 5 channels"):
            draw_columns(augreg.Pipeline([name]).steps, scenes_of([9], [9], channels=5), addresses_of(0, [0]))


@augreg.transform("own_rotation", kind="geometry")
class _OwnRotation(augreg.transforms.Rotate):
    """Overrides `sample` alone."""

    def sample(self, rng: Any, scene: Any) -> Any:
        return super().sample(rng, scene)


@augreg.transform("alone_at_times", kind="color")
class _AloneAtTimes(augreg.transforms.Brightness):
    """Does not know what to do with more than ten images."""

    def sample_columns(self, rng: Any, scene: Any) -> Any:
        return NotImplemented if len(scene) > 10 else augreg.transforms.Brightness.sample_columns(self, rng, scene)


def test_a_transform_may_leave_a_batch_to_sample() -> None:
    for count in (10, 11):
        compare(
            [Step(_AloneAtTimes(), "alone_at_times")],
            scenes_of([4] * count, [5] * count),
            addresses_of(0, range(count)),
        )


@augreg.transform("renamed_rotation", kind="geometry")
class _RenamedRotation(augreg.transforms.Rotate):
    """Overrides nothing."""


def test_a_subclass_that_overrides_sample_alone_is_sampled_one_by_one() -> None:
    own, renamed = Step(_OwnRotation((10, 40)), "own_rotation"), Step(_RenamedRotation((10, 40)), "renamed_rotation")
    inside = augreg.transforms.OneOf((Step(augreg.transforms.Sequential((own,)), "sequential"), renamed))
    assert one_by_one([own, renamed, Step(inside, "one_of")]) == ["own_rotation", "own_rotation"]
    for step in (own, renamed):
        (column,) = draw_columns([step], scenes_of([40] * 90, [40] * 90), addresses_of(0, range(90))).columns
        assert isinstance(column.op, augreg.ops.Warp)
        assert [np.shape(number) for number in column.op.matrix] == [(90,)] * 6 + [()] * 2


def stronger(array: Any, by: float) -> Any:
    return array * by


@augreg.transform("of_a_plugin", kind="color")
class _OfAPlugin:
    """Calls a function."""

    def sample(self, rng: Any, scene: Any) -> Any:
        return augreg.ops.call(stronger, {"by": rng.uniform(1.0, 2.0)})


@augreg.transform("made", kind="color")
class _Made:
    """Makes a step, and cannot be sampled for many images."""

    def sample(self, rng: Any, scene: Any) -> Any:
        return Step(augreg.transforms.Brightness(), "brightness")


@pytest.mark.parametrize(("transform", "kind"), [(_Made(), "a step"), (_OfAPlugin(), "FunctionCall")])
def test_what_only_draw_can_do(transform: Any, kind: str) -> None:
    steps = augreg.Pipeline([transform]).steps
    with pytest.raises(NotByColumnsError, match=f"{steps[0].name} is sampled image by image and returned {kind}"):
        draw_columns(steps, scenes_of([40] * 20, [40] * 20), addresses_of(0, range(20)))


@augreg.transform("of_columns", kind="color")
class _OfColumns:
    """Returns what it is told to, or raises it."""

    found: Any = None

    def sample_columns(self, rng: Any, scene: Any) -> Any:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found

    sample = sample_columns


FAILING: list[tuple[Any, str]] = [
    (None, "of_columns is sampled for many images and returned NoneType"),
    (augreg.ops.call(stronger, {"by": 2.0}), "of_columns is sampled for many images and returned FunctionCall"),
    (IndexError("7"), r"of_columns failed for 3 images: IndexError\('7'\)"),
]


@pytest.mark.parametrize(("found", "reason"), FAILING)
def test_what_only_draw_knows_how_to_refuse(found: Any, reason: str) -> None:
    step = Step(_OfColumns(found), "of_columns")
    with pytest.raises(NotByColumnsError, match=reason):
        draw_columns([step], scenes_of([4] * 3, [4] * 3), addresses_of(0, range(3)))


def test_a_normalization_of_some_images_is_left_to_draw() -> None:
    steps = [Step(augreg.transforms.Normalize((0.5,), (0.5,)), "normalize", p=0.5)]
    with pytest.raises(NotByColumnsError, match="Normalize must be for all images of a batch"):
        draw_columns(steps, scenes_of([4] * 9, [4] * 9), addresses_of(0, range(9)))


@augreg.transform("twice", kind="color")
class _Twice:
    """Makes two steps of one name, which would have one stream."""

    most: float = 1.4

    def sample_columns(self, rng: Any, scene: Any) -> Any:
        return Step(augreg.transforms.Brightness()), Step(augreg.transforms.Brightness((0.6, self.most)))

    sample = sample_columns


@pytest.mark.parametrize("most", [1.4, 1.5])
def test_two_made_steps_of_one_name_are_refused(most: float) -> None:
    steps = augreg.Pipeline([_Twice(most)]).steps
    with pytest.raises(NotByColumnsError, match=r"two steps have the path .*brightness#0"):
        draw_columns(steps, scenes_of([4], [4]), addresses_of(0, [0]))
