"""Policies: their tables, what their magnitudes mean in each dialect, and what is drawn from them."""

from __future__ import annotations

import functools
import importlib.util
import json
import math
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import oracle
import pytest
import unplanned
from images import made
from policies_golden import GOLDEN, SIZES, digest, made as pixels

from augreg import ImageError, Pipeline, SpecError, ops
from augreg.backends import backend
from augreg.ops import BranchMix, Lookup, Op, Scene, Warp
from augreg.rng import address_of, stream_key
from augreg.steps.fields import nearest
from augreg.transforms.dirichlet import dirichlet
from augreg.transforms.policies.dialects import DIALECTS, op_argument
from augreg.transforms.policies.notation import format_row, load_table, op_name, read_policy
from augreg.transforms.policies.sampling import build_op, noisy_magnitude
from augreg.transforms.policies.steps import (
    AugMix,
    AutoAugment,
    RandAugment,
    ThreeAugment,
    TimmPolicy,
    TrivialAugmentWide,
)
from augreg.transforms.policies.tables import TABLES
from augreg.transforms.policies.timm_strings import parse_timm

BACKENDS = ["pillow", *(["opencv"] if importlib.util.find_spec("cv2") else [])]
SEARCHED = ("cifar10", "imagenet", "svhn")
SPACES = [
    ("auto_augment", "paper", "nearest", (0.0,)),
    ("trivial_augment_wide", "paper", "nearest", (0.0,)),
    ("aug_mix", "paper", "bilinear", (0.0,)),
    ("auto_augment", "torchvision", "nearest", (0.0,)),
    ("auto_augment", "torchvision", "bilinear", (0.0,)),
    ("auto_augment", "torchvision", "bicubic", (0.0,)),
    ("rand_augment", "torchvision", "nearest", (0.0,)),
    ("trivial_augment_wide", "torchvision", "nearest", (0.0,)),
    ("aug_mix", "torchvision", "bilinear", (0.0,)),
    ("rand_augment", "timm", "bilinear", (128.0,)),
    ("rand_augment", "timm", "bicubic", (128.0,)),
    ("auto_augment", "timm", "bicubic", (128.0,)),
    ("aug_mix", "timm", "bilinear", (128.0,)),
]


@functools.cache
def golden() -> dict[str, Any]:
    return json.loads(GOLDEN.read_text())


def cursor(index: int) -> Any:
    return address_of(0, index).cursor(stream_key("test"))


# Golden values: tests/policies_golden.py says how they were made.


@pytest.mark.parametrize(("transform", "dialect", "way", "fill"), SPACES, ids=lambda value: str(value))
def test_every_op_at_every_magnitude_is_what_the_library_does(
    transform: str, dialect: str, way: Any, fill: tuple[float, ...]
) -> None:
    """The numbers, and on the pillow backend the images, byte for byte."""
    image = pixels(*SIZES[dialect])
    assert digest(image) == golden()["image"][dialect]
    scene, kernels = Scene(*image.shape[:2]), backend("pillow")
    space = DIALECTS[transform, dialect].argument_rules
    compared = 0
    for name, entry in golden()[f"{transform} {dialect} {way}"].items():
        for sign, key in ((1, "plus"), (-1, "minus")):
            numbers = [op_argument(space, name, float(m), sign, scene) for m in range(len(entry.get(key, ())))]
            for m, (number, expected) in enumerate(zip(numbers, entry.get(key, ()), strict=True)):
                done = image
                for op in build_op(name, number, scene, way, fill):
                    done = kernels.apply(op, done)
                assert digest(done) == expected, f"{name} at {m}, sign {sign}: {number}"
                compared += 1
        said = entry.get("numbers", ())
        assert [op_argument(space, name, float(m), 1, scene) for m in range(len(said))] == pytest.approx(
            said, abs=1e-12
        )
        if "plus" in entry:  # a sign is drawn where it makes a difference, and nowhere else
            assert bool(space[name] and space[name].signed) == ("minus" in entry), name
        compared += len(said)
    assert compared > 50


# Magnitude to argument for the indices 0 to 9, as read in the code of each: shear, degrees, bits, threshold, factor.
READ = {
    ("paper", "shear_x"): [0, 0.03, 0.06, 0.09, 0.12, 0.15, 0.18, 0.21, 0.24, 0.27],
    ("paper", "rotate"): [0, 3, 6, 9, 12, 15, 18, 21, 24, 27],
    ("paper", "translate_y"): [-0.0, -1, -2, -3, -4, -5, -6, -7, -8, -9],
    ("paper", "posterize"): [4, 4, 4, 3, 3, 2, 2, 2, 1, 1],
    ("paper", "solarize"): [256, 231, 205, 180, 154, 128, 103, 77, 52, 26],
    ("paper", "color"): [0.1, 0.28, 0.46, 0.64, 0.82, 1.0, 1.18, 1.36, 1.54, 1.72],
    ("torchvision", "shear_x"): [0, 1 / 30, 2 / 30, 0.1, 4 / 30, 5 / 30, 0.2, 7 / 30, 8 / 30, 0.3],
    ("torchvision", "rotate"): [0, 10 / 3, 20 / 3, 10, 40 / 3, 50 / 3, 20, 70 / 3, 80 / 3, 30],
    ("torchvision", "translate_y"): [0, 1, 3, 4, 6, 8, 9, 11, 12, 14],
    ("torchvision", "posterize"): [8, 8, 7, 7, 6, 6, 5, 5, 4, 4],
    ("torchvision", "solarize"): [255, 680 / 3, 595 / 3, 170, 425 / 3, 340 / 3, 85, 170 / 3, 85 / 3, 0],
    ("torchvision", "color"): [1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9],
    ("timm", "posterize"): [4, 4, 4, 5, 5, 6, 6, 6, 7, 7],
    ("timm", "posterize_tpu"): [0, 0, 0, 1, 1, 2, 2, 2, 3, 3],
    ("timm", "solarize"): [0, 25, 51, 76, 102, 128, 153, 179, 204, 230],
    ("timm", "solarize_add"): [0, 11, 22, 33, 44, 55, 66, 77, 88, 99],
    ("timm", "color"): [0.1, 0.28, 0.46, 0.64, 0.82, 1.0, 1.18, 1.36, 1.54, 1.72],
}


@pytest.mark.parametrize(("dialect", "name"), READ)
def test_magnitudes_of_auto_augment(dialect: str, name: str) -> None:
    space = DIALECTS["auto_augment", dialect].argument_rules
    found = [op_argument(space, name, float(index), 1, Scene(32, 32)) for index in range(10)]
    assert found == pytest.approx(READ[dialect, name], rel=1e-6, abs=1e-6)


def test_tables_are_the_libraries() -> None:
    tables = golden()["tables"]
    for name in SEARCHED:
        for row, theirs in zip(load_table(name), tables[name], strict=True):
            for (op, p, m), (their_op, their_p, their_m) in zip(row, theirs, strict=True):
                assert (op, p, m if their_m is not None else None) == (their_op, their_p, their_m)
    for text in ("original", "originalr", "v0", "v0r"):
        policy = AutoAugment(**parse_timm(text)[1])
        for row, theirs in zip(policy.table, tables[f"timm {text}"], strict=True):
            for (op, p, m), (their_op, their_p, their_m) in zip(row, theirs, strict=True):
                assert (p, m) == (their_p, their_m)
                assert op == their_op or (op, their_op) == ("posterize", "posterize_original")


@pytest.mark.parametrize("dialect", ["paper", "torchvision", "timm"])
def test_a_sub_policy_of_the_figure_from_spec_to_pixels(dialect: str) -> None:
    """At chances of one, the images are two ops of the golden file in turn, for each sign of the shear."""
    image = pixels(32, 32)
    step = {"policy": "ShearY,1,5 / AutoContrast,1,3", "dialect": dialect, "interpolation": "nearest", "fill": 9}
    pipe = Pipeline.from_spec({"backend": "pillow", "image": [{"auto_augment": step}]})
    shear = {"paper": 0.15, "torchvision": 0.5 / 3, "timm": 0.15}[dialect]
    found = {digest(pipe.train(image, index)) for index in range(20)}
    kernels, scene = backend("pillow"), Scene(32, 32)
    expected = set()
    for sign in (-1, 1):
        done = image
        for name, number in (("shear_y", sign * shear), ("auto_contrast", 0.0)):
            (op,) = build_op(name, number, scene, "nearest", (9.0,))
            done = kernels.apply(op, done)
        expected.add(digest(done))
    assert found == expected


# Tables.


def test_the_figure_is_digit_for_digit() -> None:
    svhn, figure = load_table("svhn"), load_table("svhn-figure")
    assert [format_row(row) for row in figure] == [
        "ShearX,0.9,7 / Invert,0.2,3",
        "ShearY,0.7,6 / Solarize,0.4,8",
        "ShearX,0.9,4 / AutoContrast,0.8,3",
        "Invert,0.9,3 / Equalize,0.6,3",
        "ShearY,0.8,5 / AutoContrast,0.7,3",
    ]
    assert figure[1:] == tuple(svhn[number] for number in (16, 5, 3, 23))
    assert figure[0] not in {row for name in SEARCHED for row in load_table(name)}


@pytest.mark.parametrize(
    ("name", "distinct", "applied"), [("cifar10", 25, 1.06), ("imagenet", 20, 1.24), ("svhn", 25, 1.316)]
)
def test_facts_of_the_tables(name: str, distinct: int, applied: float) -> None:
    table = load_table(name)
    assert len(table) == 25
    assert all(len(row) == 2 for row in table)
    assert len(set(table)) == distinct
    assert sum(p for row in table for _, p, _ in row) / 25 == pytest.approx(applied)
    assert sum(p == 0 for row in table for _, p, _ in row) == 1  # on purpose


@pytest.mark.parametrize("name", TABLES)
def test_tables_come_back_from_the_notation(name: str) -> None:
    text = "\n".join(map(format_row, load_table(name)))
    assert read_policy(text) == load_table(name)


SAME = [
    "ShearX,0.9,7 / Invert,0.2,3\nRotate,1,2",
    "\n  shear_x, 0.9, 7/invert,.2,3\n\n Rotate , 1 , 2 \n",
    ["ShearX,0.9,7 / Invert,0.2,3", "Rotate,1,2"],
    [[["shear_x", 0.9, 7], ["invert", 0.2, 3]], [["Rotate", 1, 2.0]]],
    [[("ShearX", "0.9", "7"), ("Invert", 0.2, 3)], "rotate,1,2"],
]


@pytest.mark.parametrize("given", SAME)
def test_ways_of_writing_a_table(given: Any) -> None:
    table = ((("shear_x", 0.9, 7.0), ("invert", 0.2, 3.0)), (("rotate", 1.0, 2.0),))
    pipe = Pipeline.from_spec([{"auto_augment": given}])
    assert pipe.steps[0].transform.table == table
    assert pipe == Pipeline.from_spec([{"auto_augment": {"policy": SAME[0]}}])
    again = Pipeline.from_spec(json.loads(json.dumps(pipe.to_spec())))
    assert again.fingerprint == pipe.fingerprint


BROKEN = [
    ({"policy": "cifar"}, "auto_augment.policy", "no policy is named 'cifar'; did you mean 'cifar10'?"),
    ({"policy": "ShaerX,0.9,7 / Invert,0.2,3"}, "auto_augment.policy[0][0]", "did you mean 'ShearX'?"),
    ({"policy": [[["shear_x", 0.9, 7], ["inverse", 0.2, 3]]]}, "auto_augment.policy[0][1]", "did you mean 'invert'?"),
    ({"policy": "ShearX,0.9"}, "auto_augment.policy[0][0]", "a name, a probability and a magnitude"),
    ({"policy": "Invert,1,1\nShearX,1.9,7"}, "auto_augment.policy[1][0]", "a probability from 0 to 1, got '1.9'"),
    ({"policy": "ShearX,0.9,-7"}, "auto_augment.policy[0][0]", "a finite magnitude of at least 0"),
    ({"policy": "ShearX,0.9,1e999"}, "auto_augment.policy[0][0]", "a finite magnitude of at least 0"),
    ({"policy": "ShearX,0.9,nan"}, "auto_augment.policy[0][0]", "expected a number"),
    ({"policy": "ShearX,often,7"}, "auto_augment.policy[0][0]", "expected a number, got 'often'"),
    ({"policy": [[["shear_x", True, 7]]]}, "auto_augment.policy[0][0]", "expected a number, got True"),
    ({"policy": []}, "auto_augment.policy", "from 1 to 1000 sub-policies, got 0"),
    ({"policy": [[]]}, "auto_augment.policy[0]", "expected a sub-policy such as"),
    ({"policy": 7}, "auto_augment.policy", "expected"),
    ({"policy": "ShearX,0.9,10"}, "auto_augment", "sub-policy 0: dialect torchvision has integer magnitudes"),
    ({"policy": "ShearX,0.9,6.5"}, "auto_augment", "integer magnitudes from 0 to 9, got 6.5 for shear_x"),
    ({"policy": "v0"}, "auto_augment", "dialect torchvision has no op 'solarize_add'"),
    ({"policy": "svhn", "m_std": 0.5}, "auto_augment", "m_std, the noise of m, needs dialect: timm"),
    ({"policy": "svhn", "dialect": "google"}, "auto_augment.dialect", "google"),
]


@pytest.mark.parametrize(("given", "path", "message"), BROKEN, ids=lambda value: str(value)[:40])
def test_a_broken_table_is_refused_where_it_is_broken(given: Any, path: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        Pipeline.from_spec([{"auto_augment": given}])
    (problem,) = caught.value.problems
    assert problem.path == f"image[0].{path}"
    assert message in problem.message


# What is drawn.


def test_sub_policies_are_drawn_equally_often_and_ops_by_their_own_chance() -> None:
    table = [[["brightness", 0.5, number], ["rotate", 0.25, number]] for number in range(1, 6)]
    policy = AutoAugment(policy=table, interpolation="nearest")
    rows: Counter[float] = Counter()
    applied: Counter[type[Op]] = Counter()
    count = 8000
    for index in range(count):
        found = policy.sample(cursor(index), Scene(20, 20))
        applied.update(type(op) for op in found)
        if isinstance(found[:1] and found[0], Lookup):
            rows[round(10 * abs(found[0].stages[0].amount - 1))] += 1
    assert sorted(rows) == [1, 2, 3, 4, 5]
    expected = count / 5 * 0.5
    assert sum((n - expected) ** 2 / expected for n in rows.values()) < 20.5  # chi square of 5, at 0.1%
    assert applied[Lookup] / count == pytest.approx(0.5, abs=0.02)
    assert applied[Warp] / count == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize(("name", "applied"), [("cifar10", 1.06), ("imagenet", 1.24), ("svhn", 1.316)])
def test_mean_number_of_ops_applied(name: str, applied: float) -> None:
    policy, count = AutoAugment(policy=name), 6000
    lengths = [len(policy.sample(cursor(index), Scene(20, 20))) for index in range(count)]
    assert np.mean(lengths) == pytest.approx(applied, abs=4 * np.std(lengths) / math.sqrt(count))


def test_chances_of_zero_never_fire_and_of_one_always() -> None:
    policy = AutoAugment(policy="Invert,0,3 / Equalize,1,3")
    for index in range(500):
        (op,) = policy.sample(cursor(index), Scene(20, 20))
        assert str(op) == "equalize"


def test_both_signs_and_both_interpolations_are_drawn() -> None:
    warps = Counter(
        (op.matrix[1] > 0, op.interpolation, op.fill)
        for index in range(400)
        for op in AutoAugment(policy="ShearX,1,5", dialect="timm").sample(cursor(index), Scene(20, 20))
    )
    assert set(warps) == {(up, way, (128.0,)) for up in (True, False) for way in ("bilinear", "bicubic")}
    assert min(warps.values()) > 60
    fixed = AutoAugment(policy="ShearX,1,5", dialect="timm", interpolation="nearest", fill="imagenet")
    (op,) = fixed.sample(cursor(0), Scene(20, 20))
    assert (op.interpolation, op.fill) == ("nearest", (124.0, 116.0, 104.0))


def test_rand_augment_draws_n_ops_evenly_with_repetition() -> None:
    policy = RandAugment(n=3, m=9)
    first: Counter[str] = Counter()
    for index in range(7000):
        found = policy._sample_names(cursor(index), DIALECTS["rand_augment", "torchvision"].ops)
        assert len(found) == 3
        first[found[0]] += 1
    assert len(first) == 14
    assert sum((n - 500) ** 2 / 500 for n in first.values()) < 34.5  # chi square of 13, at 0.1%


def test_nine_is_three_times_as_strong_in_timm() -> None:
    def factors(**given: Any) -> set[float]:
        policy = RandAugment(n=1, m=9, ops=["brightness_increasing" if given else "brightness"], chance=1, **given)
        return {
            round(op.stages[0].amount, 6) for index in range(20) for op in policy.sample(cursor(index), Scene(20, 20))
        }

    assert factors() == {0.73, 1.27}
    assert factors(dialect="timm") == {0.19, 1.81}


def test_rand_augment_of_timm_applies_half_and_varies_the_magnitude() -> None:
    policy = RandAugment(n=2, m=9, dialect="timm", ops=["shear_x"], m_std=0.5)
    drawn = [op for index in range(2000) for op in policy.sample(cursor(index), Scene(20, 20))]
    assert len(drawn) / 4000 == pytest.approx(0.5, abs=0.03)
    magnitudes = np.array([abs(op.matrix[1]) / 0.03 for op in drawn])
    assert magnitudes.max() <= 10 + 1e-9
    assert magnitudes.mean() == pytest.approx(9 - 0.01, abs=0.05)  # the clip at 10 costs a little
    assert magnitudes.std() == pytest.approx(0.48, abs=0.05)
    uniform = RandAugment(n=1, m=8, dialect="timm", ops=["shear_x"], m_std=101, chance=1)
    magnitudes = np.array(
        [abs(uniform.sample(cursor(index), Scene(9, 9))[0].matrix[1]) / 0.03 for index in range(2000)]
    )
    assert magnitudes.mean() == pytest.approx(4, abs=0.25)
    assert 7.9 < magnitudes.max() <= 8


def test_noisy_magnitudes_are_clipped_at_both_ends() -> None:
    magnitudes = [noisy_magnitude(cursor(index), 5.0, 20.0) for index in range(400)]
    assert (min(magnitudes), max(magnitudes)) == (0.0, 10.0)
    assert sum(0.0 < magnitude < 10.0 for magnitude in magnitudes) / 400 == pytest.approx(0.197, abs=0.08)


@pytest.mark.parametrize(
    ("text", "most"), [("rand-m15-p1", 10), ("rand-m15-p1-mmax20", 15), ("rand-m15-p1-mmax12", 12)]
)
def test_magnitudes_of_timm_are_clipped(text: str, most: float) -> None:
    policy = replace(RandAugment(**parse_timm(text)[1]), ops=("shear_x",))
    (op, _) = policy.sample(cursor(0), Scene(20, 20))
    assert abs(op.matrix[1]) == pytest.approx(0.03 * most)


def test_weights_draw_without_repetition() -> None:
    policy = RandAugment(n=2, ops=["invert", "equalize", "rotate"], weights=[1, 3, 0], m=3)
    for index in range(200):
        assert sorted(map(str, policy.sample(cursor(index), Scene(20, 20)))) == ["equalize", "invert"]
    first = Counter(str(policy.sample(cursor(index), Scene(20, 20))[0]) for index in range(2000))
    assert first["equalize"] / 2000 == pytest.approx(0.75, abs=0.04)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ops": ["rotat"]}, "did you mean 'rotate'"),
        ({"ops": []}, "at least one op"),
        ({"ops": ["rotate"], "weights": [1, 2]}, "1 ops and 2 weights"),
        ({"ops": ["rotate", "invert"], "weights": [1, 0]}, "n must be at most"),
        ({"ops": ["color_increasing"]}, "dialect torchvision has no op 'color_increasing'"),
        ({"m": 31}, "integer magnitudes from 0 to 30, got 31"),
        ({"m_std": 0.5}, "m_std, the noise of m, needs dialect: timm"),
        ({"m_max": 20}, "m_max, the upper bound of m, needs dialect: timm"),
    ],
)
def test_rand_augment_refuses(given: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        RandAugment(**given)


def test_trivial_augment_draws_one_op_at_any_of_31_magnitudes() -> None:
    policy = TrivialAugmentWide()
    found = [policy.sample(cursor(index), Scene(300, 300)) for index in range(6000)]
    assert sum(not ops for ops in found) / 6000 == pytest.approx(1 / 14, abs=0.015)
    angles = {str(ops[0]) for ops in found if ops and str(ops[0]).startswith("rotate")}
    assert len(angles) > 50  # 31 magnitudes and a sign, and 0 twice
    moves = [abs(ops[0].matrix[2]) for ops in found if ops and str(ops[0]).startswith("translate")]
    assert max(moves) == 32  # pixels, at any size


# AugMix.


def test_aug_mix_mixes_chains_with_random_weights() -> None:
    policy = AugMix(width=4, dialect="paper")
    depths: Counter[int] = Counter()
    keeps, weights = [], []
    for index in range(1500):
        mix = policy.sample(cursor(index), Scene(40, 40))
        assert isinstance(mix, BranchMix)
        assert len(mix.branches) == len(mix.weights) == 4
        assert sum(mix.weights) == pytest.approx(1)
        depths.update(map(len, mix.branches))
        keeps.append(mix.keep)
        weights.append(mix.weights[0])
    assert sorted(depths) == [1, 2, 3]
    assert min(depths.values()) / 6000 == pytest.approx(1 / 3, abs=0.03)
    assert np.mean(keeps) == pytest.approx(1 / 2, abs=0.03)
    assert np.var(keeps) == pytest.approx(1 / 12, abs=0.01)
    assert np.mean(weights) == pytest.approx(1 / 4, abs=0.02)


@pytest.mark.parametrize("alpha", [0.05, 0.5, 1.0, 2.5, 40.0])
def test_weights_have_the_variance_of_dirichlet(alpha: float) -> None:
    found = np.array([dirichlet(cursor(index), alpha, 3) for index in range(4000)])
    assert found.sum(axis=1) == pytest.approx(1)
    assert found.mean(axis=0) == pytest.approx(1 / 3, abs=0.03)
    expected = (1 / 3) * (2 / 3) / (3 * alpha + 1)
    assert found.var(axis=0) == pytest.approx(expected, rel=0.08)


def test_aug_mix_stays_within_its_severity_and_its_ops() -> None:
    for dialect, most in (("paper", 0.09), ("torchvision", 0.3 * 2 / 9), ("timm", 0.09)):
        policy = AugMix(severity=3, dialect=dialect, ops="ShearX", depth=1, width=1)
        found = [abs(policy.sample(cursor(index), Scene(20, 20)).branches[0][0].matrix[1]) for index in range(300)]
        assert max(found) <= most + 1e-6
        assert max(found) > 0.97 * most
    mixes = [AugMix().sample(cursor(index), Scene(20, 20)) for index in range(200)]
    names = {str(op).split()[0] for mix in mixes for branch in mix.branches for op in branch}
    assert not names & {"brightness", "contrast", "color", "sharpness"}  # they are ImageNet-C's


def test_a_mix_in_a_pipeline_is_the_mix_of_its_branches() -> None:
    image = pixels(24, 36)
    pipe = Pipeline.from_spec({"backend": "pillow", "image": [{"aug_mix": {"severity": 5}}]})
    plan = pipe.train.plan((24, 36), 4)
    (mix,) = plan.ops
    kernels = backend("pillow")
    total = mix.keep * image.astype(np.float64)
    for branch, weight in zip(mix.branches, mix.weights, strict=True):
        done = image
        for op in branch:
            done = kernels.apply(op, done)
        total += (1 - mix.keep) * weight * done
    found = pipe.train(image, 4)
    assert np.abs(found - total).max() < 0.51
    assert np.array_equal(plan.run(image), found)
    assert "kept, mixed with" in str(plan)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_mix_is_what_the_oracle_says(name: str, dtype: str) -> None:
    """Branches of ops that round nothing, so that only the mixture itself is compared."""
    scene = Scene(13, 17, dtype=dtype)
    mix = BranchMix(
        (
            (),
            (ops.point_function("invert"), ops.shear(scene, 0.3, 0.0, "nearest", (40.0,))),
            (ops.point_function("solarize", 90.0),),
        ),
        (0.2, 0.3, 0.5),
        0.35,
    )
    image = made("noise", 13, 17, 3, dtype)
    found = backend(name).apply(mix, image)
    assert found.dtype == image.dtype
    assert np.abs(found - oracle.run(mix, image)).max() <= (0.5001 if dtype == "uint8" else 1e-6)


def test_the_planner_lets_nothing_pass_a_mix() -> None:
    spec = ["vertical_flip", {"aug_mix": {"depth": 1}}, {"horizontal_flip": {"p": 1}}, "invert"]
    pipe = Pipeline.from_spec({"backend": "pillow", "image": spec})
    image = pixels(20, 24)
    for index in range(6):
        assert [type(op) for op in pipe.train.plan((20, 24), index).ops].count(BranchMix) == 1
        assert np.array_equal(pipe.train(image, index), unplanned.train(pipe, image, index))


def test_a_branch_that_changes_the_size_is_refused() -> None:
    mix = BranchMix(((ops.crop(0, 0, 2, 2),),), (1.0,), 0.5, label="a mix")
    with pytest.raises(ImageError, match="a branch of a mix must keep uint8"):
        backend("pillow").apply(mix, pixels(4, 4))


# 3-Augment, and timm's strings.


def test_three_augment_does_one_of_three_and_then_jitters() -> None:
    pipe = Pipeline.from_spec(["three_augment"])
    first = Counter(str(pipe.train.plan((20, 20), index).entries[0].ops[0]).split()[0] for index in range(1500))
    assert set(first) == {"grayscale", "solarize", "blur"}
    assert min(first.values()) / 1500 == pytest.approx(1 / 3, abs=0.04)
    names = {entry.name for entry in pipe.train.plan((20, 20), 0).entries}
    assert names == {"three_augment", "color_jitter", "brightness", "contrast", "saturation"}
    assert len(ThreeAugment(jitter=0).sample(cursor(0), Scene(20, 20))) == 1


@pytest.mark.parametrize(
    "text", ["rand-m9-mstd0.5-inc1", "rand-m7-n3-p0.8", "rand-tweights", "rand-t3aw", "rand-t3a"]
)
def test_rand_strings_mean_what_timm_makes_of_them(text: str) -> None:
    theirs = golden()["tables"][f"timm {text}"]
    name, given = parse_timm(text)
    policy = RandAugment(**given)
    assert name == "rand_augment"
    assert (policy.n, policy.m, policy.chance, policy.m_std) == (
        theirs["n"], theirs["m"], theirs["chance"], theirs["m_std"],
    )  # fmt: skip
    ours = ["posterize_tpu" if op == "posterize" else op for op in policy.ops]
    assert sorted(ours) == sorted(theirs["ops"])
    if theirs["weights"] is None:
        assert policy.weights == ()
    else:
        weights = dict(zip(ours, np.array(policy.weights) / sum(policy.weights), strict=True))
        assert weights == pytest.approx(dict(zip(theirs["ops"], theirs["weights"], strict=True)))


def test_augmix_strings_mean_what_timm_makes_of_them() -> None:
    theirs = golden()["tables"]["timm augmix-m5-w4-d2-a0.5"]
    policy = AugMix(**parse_timm("augmix-m5-w4-d2-a0.5")[1])
    assert sorted(DIALECTS["aug_mix", "timm"].ops) == sorted(theirs.pop("ops"))
    assert {key: getattr(policy, key) for key in theirs} == theirs
    assert AugMix(**parse_timm("augmix-m3-w3-d-1-b0")[1]) == AugMix(dialect="timm")


@pytest.mark.parametrize("text", ["original", "originalr", "original-mstd0.5", "v0", "v0r", "3a", "rand-m15-mmax20"])
def test_strings_run(text: str) -> None:
    pipe = Pipeline.from_spec({"backend": "pillow", "image": [{"timm_policy": text}]})
    done = {digest(pipe.train(pixels(20, 30), index)) for index in range(30)}
    assert len(done) > (2 if text == "3a" else 10)
    assert Pipeline.from_spec(pipe.to_spec()) == pipe


def test_a_string_is_the_transform_that_it_means() -> None:
    one, other = (
        Pipeline.from_spec([{name: {**given, "uid": "x"}}])
        for name, given in (
            ("timm_policy", {"policy": "original-mstd0.5", "fill": "imagenet"}),
            ("auto_augment", {"policy": "imagenet", "dialect": "timm", "m_std": 0.5, "fill": "imagenet"}),
        )
    )
    for index in range(20):
        assert one.train.plan((30, 40), index).ops == other.train.plan((30, 40), index).ops


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("random-m9", "timm has no policy 'random'; did you mean 'rand'"),
        ("rand-m9-mst0.5", "rand has no section 'mst'; did you mean 'mstd'"),
        ("rand-m9-w0", "rand has no section 'w'; it takes m, n, p"),
        ("rand-m9-m8", "'m' occurs twice"),
        ("rand-m", "expected a number after 'm', got 'm'"),
        ("rand-m9.5", "expected a number after 'm', got 'm9.5'"),
        ("rand-inc2", "expected 0 or 1 after 'inc'"),
        ("rand-tweight", "no set of transforms 'weight'; did you mean 'weights'"),
        ("rand-p1.5", "chance"),
        ("augmix-n2", "augmix has no section 'n'"),
        ("original-m9", "original has no section 'm'; it takes mstd"),
        ("3a-m9", "3a has no section 'm'; it takes none"),
        ("", "timm has no policy ''"),
    ],
)
def test_strings_are_read_strictly(text: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        Pipeline.from_spec([{"timm_policy": text}])
    assert message in str(caught.value)


def test_no_bit_left_is_black() -> None:
    policy = AutoAugment(policy="PosterizeTpu,1,2", dialect="timm")
    (op,) = policy.sample(cursor(0), Scene(8, 8))
    for image in (pixels(8, 8), pixels(8, 8).astype(np.float32) / np.float32(255)):
        assert not backend("pillow").apply(op, image).any()


# All of them.

ALL = (AutoAugment, RandAugment, TrivialAugmentWide, AugMix, ThreeAugment, TimmPolicy)


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
def test_left_out_at_test_time_and_not_after_normalize(cls: Any) -> None:
    name = cls.__augreg__.name
    given = dict(cls.__augreg__.preview[0])
    image = pixels(20, 30)
    pipe = Pipeline.from_spec([{name: given}])
    assert np.array_equal(pipe.test(image), image)
    assert any(not np.array_equal(pipe.train(image, index), image) for index in range(9))
    with pytest.raises(SpecError, match="before normalize"):
        Pipeline.from_spec([{"normalize": "imagenet"}, {name: given}])


def test_names_in_either_spelling() -> None:
    assert {op_name(given) for given in ("ShearX", "shear_x", "shearx", "SHEAR_X")} == {"shear_x"}
    assert op_name("saturation") == "color"
    assert nearest("AutoContras", ["AutoContrast"])
    with pytest.raises(ValueError, match="policies have no op 5"):
        op_name(5)


@pytest.mark.parametrize("number", ["1_0e-1", "\u0661", "inf", "nan", ""])
def test_a_number_in_the_notation_is_plain(number: str) -> None:
    with pytest.raises(SpecError, match="expected a number"):
        Pipeline.from_spec([{"auto_augment": {"policy": f"ShearX,{number},4"}}])
