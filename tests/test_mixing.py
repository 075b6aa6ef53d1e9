"""pipe.batch: what the steps draw, by which key, on which kinds of batch, and what it refuses."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from mixing_oracle import blended

from augreg import Pipeline, SpecError, batch_transform
from augreg.batch.blends import Box, Mix, Paste, Patch
from augreg.batch.labels import SoftLabels
from augreg.registry.registry import Registry
from augreg.rng import BATCH, address_of, stream_key

STEPS: list[Any] = [
    "mixup",
    {"mixup": {"per": "pair", "pairing": "flip"}},
    {"mixup": {"per": "element", "pairing": "roll"}},
    {"mixup": {"lam": 0.4}},
    "cutmix",
    {"cutmix": {"per": "element", "boxes": 3}},
    {"cutmix": {"per": "pair", "pairing": "flip", "alpha": 0.5}},
    "resizemix",
    {"resizemix": {"per": "element", "pairing": "roll"}},
    "mosaic",
    {"mosaic": {"fit": "resize", "per": "batch", "pairing": "permutation"}},
    {"one_of": ["mixup", "cutmix"]},
    {"sequential": ["mixup", {"cutmix": {"p": 0.7}}]},
]


def pipeline(*steps: Any, **options: Any) -> Pipeline:
    return Pipeline.from_spec({"batch": list(steps), **options})


def photos(count: int, kind: str = "float32", size: tuple[int, int] = (13, 11)) -> np.ndarray:
    rng = np.random.default_rng(0)
    shape = (count, *size, 3)
    return rng.integers(0, 256, shape, np.uint8) if kind == "uint8" else rng.random(shape).astype(kind)


@pytest.mark.parametrize("step", STEPS, ids=str)
@pytest.mark.parametrize("count", [0, 1, 2, 5, 8])
@pytest.mark.parametrize("kind", ["uint8", "float32"])
def test_batches_of_any_number_mix_as_planned(step: Any, count: int, kind: str) -> None:
    pipe = pipeline(step, classes=10, seed=3)
    batch, ids = photos(count, kind), np.arange(count) % 10
    for number in range(4):
        plan = pipe.batch.plan(count, (13, 11), epoch=1, batch=number, dtype=kind)  # type: ignore[arg-type]
        before = batch.copy()
        found, labels = pipe.batch(batch, ids, epoch=1, batch=number)
        assert np.array_equal(batch, before)
        assert found.dtype == batch.dtype and found.shape == batch.shape
        wanted = blended(plan.blends, batch.transpose(0, 3, 1, 2), rounded=kind == "uint8").transpose(0, 2, 3, 1)
        assert np.abs(found - wanted).max(initial=0) <= (1 if kind == "uint8" else 2e-6)
        weights = np.zeros((count, 10))
        for i, row in enumerate(plan.source_weights()):
            for source, weight in row.items():
                weights[i, ids[source]] += weight
        assert np.allclose(labels.dense(), weights, atol=1e-6)
        assert (count > 1 and plan.blends) or found is batch
        place = batch.copy()
        assert pipe.batch(place, epoch=1, batch=number, out=place) is place
        assert np.array_equal(place, found)
        assert str(plan).startswith("seed 3, epoch 1")


def test_a_step_draws_from_its_own_address() -> None:
    """Words of the addressed stream, converted by hand: whether it is applied, then lam, then the permutation."""
    words = address_of(7, 4, 2, 1, BATCH).cursor(stream_key("mixup#0"))
    raw = [words.bits() for _ in range(6)]
    logs = [math.log(-math.log1p(-((bits >> 11) * 2.0**-53))) for bits in raw[1:3]]
    lam = 1 / (1 + math.exp(logs[1] - logs[0]))
    (mix,) = pipeline("mixup", seed=7).batch.plan(3, (4, 4), epoch=2, batch=4, rank=1).blends
    assert isinstance(mix, Mix)
    assert mix.partners == tuple(sorted(range(3), key=raw[3:].__getitem__))
    assert mix.weights == pytest.approx((lam,) * 3, rel=1e-12)


@pytest.mark.parametrize("second", ["cutmix", "mosaic", "resizemix", {"cutmix": {"boxes": 4, "per": "element"}}])
def test_labels_are_right_after_pastes_on_pastes(second: Any) -> None:
    """Images of one pixel value each: the weight of a label is the mean of the plane that is 1 where its image is."""
    pipe = pipeline({"cutmix": {"per": "element"}}, second, {"mixup": {"p": 0.5}}, {"mosaic": {"fit": "resize"}})
    planes = np.zeros((4, 32, 32, 4))
    planes[range(4), :, :, range(4)] = 1.0
    for number in range(20):
        found, labels = pipe.batch(planes, np.arange(4).astype(np.int32), batch=number)
        assert np.allclose(labels.dense(4), found.mean(axis=(1, 2)), atol=1e-6)


def test_golden_draws() -> None:
    """What these keys gave when this was written: a change here changes what people have trained."""
    pipe = pipeline({"one_of": ["mixup", "cutmix"]}, seed=1)
    keys = ["a.jpg", "b.jpg", 7]
    found = [pipe.batch.plan(3, (32, 48), keys=keys, epoch=epoch).blends for epoch in range(6)]
    for blends, wanted in zip(found, GOLDEN, strict=True):
        if wanted and isinstance(wanted[0], Mix):  # a logarithm may differ in its last bit from machine to machine
            (mix,) = blends
            assert isinstance(mix, Mix) and mix.partners == wanted[0].partners
            assert mix.weights == pytest.approx(wanted[0].weights, rel=1e-12)
        else:
            assert blends == wanted


def _boxed(box: Box, *pairs: tuple[int, int]) -> tuple[Paste]:
    return (Paste(tuple(Patch(into, box, source, box) for into, source in pairs)),)


GOLDEN: list[Any] = [
    (Mix((1, 2, 0), (0.6255714730652396,) * 3),),
    (),  # the permutation was 0, 1, 2
    _boxed((0, 33, 7, 13), (0, 2), (2, 0)),
    _boxed((1, 0, 20, 15), (0, 1), (1, 2), (2, 0)),
    (Mix((1, 2, 0), (0.9939393740870033,) * 3),),
    (Mix((2, 1, 0), (0.15635177432003572,) * 3),),
]


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_the_key_determines_the_draw(step: Any) -> None:
    pipe = pipeline(step)
    again = pickle.loads(pickle.dumps(pipe.batch))
    batch = photos(4)

    def mixed(mixer: Any = pipe.batch, **key: Any) -> bytes:
        return bytes(mixer(batch, **key).tobytes())

    keys = [3, "b", 2**63, 0]
    assert mixed(keys=keys) == mixed(keys=iter(keys), batch=9, rank=3) == mixed(again, keys=tuple(keys))
    assert mixed(batch=5, rank=1) == mixed(again, batch=5, rank=1)
    assert mixed(keys=np.arange(4)) == mixed(keys=range(4))
    different = [
        {"keys": keys},
        {"keys": keys[::-1]},
        {"keys": ["3", "b", 2**63, 0]},
        {"keys": keys, "epoch": 1},
        {"batch": 0},
        {"batch": 1},
        {"batch": 0, "rank": 1},
        {"batch": 0, "epoch": 1},
    ]
    seen = [tuple(mixed(**key, **more) for more in [{}]) for key in different]
    other = pipeline(step, seed=1)
    seen.append((mixed(other.batch, batch=0),))
    assert len(set(seen)) >= len(seen) - 3  # p, a permutation or a box may leave a batch as it is


def test_the_parts_of_keys_do_not_run_together() -> None:
    batch, pipe = photos(2), pipeline({"mixup": {"pairing": "roll"}})
    found = {pipe.batch(batch, keys=keys).tobytes() for keys in (["ab", "c"], ["a", "bc"], ["abc", ""], ["", "abc"])}
    assert len(found) == 4


def test_without_a_key_every_call_draws_afresh() -> None:
    batch, pipe = photos(6), pipeline({"mixup": {"pairing": "roll"}})
    assert len({pipe.batch(batch).tobytes() for _ in range(8)}) == 8
    assert "drawn afresh" in str(pipe.batch.plan(2, (3, 3)))


def test_schedules_follow_the_epoch() -> None:
    pipe = pipeline({"mixup": {"pairing": "roll", "p": {"step": [1.0, 0.0], "at": [5]}}})
    assert all(pipe.batch.plan(4, (3, 3), epoch=4, batch=n).blends for n in range(20))
    assert not any(pipe.batch.plan(4, (3, 3), epoch=5, batch=n).blends for n in range(20))
    assert "not this time" in str(pipe.batch.plan(4, (3, 3), epoch=5, batch=0))


def test_p_is_the_chance_that_a_batch_is_mixed() -> None:
    pipe = pipeline("cutmix", {"mixup": {"p": 0.3}})
    plans = [pipe.batch.plan(2, (9, 9), batch=n) for n in range(3000)]
    applied = [plan.entries[1].applied for plan in plans]
    assert abs(np.mean(applied) - 0.3) < 4.9 * math.sqrt(0.3 * 0.7 / 3000)  # fails once in a million
    assert all(plan.entries[0].applied for plan in plans)


def test_a_fixed_lam_is_not_drawn() -> None:
    """Two images of 100 and 200: 0.4 x 100 + 0.6 x 200 = 160, and 0.4 x 200 + 0.6 x 100 = 140."""
    images = np.stack([np.full((2, 2, 3), value, np.uint8) for value in (100, 200)])
    pipe = pipeline({"mixup": {"lam": 0.4, "pairing": "roll"}}, classes=2)
    for number in range(3):
        mixed, labels = pipe.batch(images, [0, 1], batch=number)
        assert (mixed[0] == 160).all() and (mixed[1] == 140).all()
        assert np.allclose(labels.dense(), [[0.4, 0.6], [0.6, 0.4]])
    (mix,) = (
        pipeline({"mixup": {"pairing": "roll", "lam": {"step": [1.0, 0.3], "at": [5]}}})
        .batch.plan(2, (2, 2), epoch=5)
        .blends
    )
    assert isinstance(mix, Mix) and mix.weights == (0.3, 0.3)


def test_a_spec_that_does_not_fix_lam_is_written_as_before() -> None:
    """So that fingerprints of earlier specs stay the same."""
    (drawn,) = pipeline("mixup").to_spec()["batch"]
    assert drawn == {"mixup": {"alpha": 1.0, "per": "batch", "pairing": "permutation", "p": 1.0}}
    fixed = pipeline({"mixup": {"lam": 0.25}})
    assert Pipeline.from_spec(fixed.to_spec()) == fixed != pipeline("mixup")


@pytest.mark.parametrize("alpha", [0.1, 0.2, 0.4, 0.8, 1.0, 4.0])
def test_lam_is_of_a_beta_distribution(alpha: float) -> None:
    """Mean 1/2, variance 1 / (4 (2 alpha + 1)), and the published E[max(lam, 1 - lam)] and P(min < .05)."""
    step = {"mixup": {"alpha": alpha, "per": "element"}}
    (mix,) = pipeline(step).batch.plan(15_000, (2, 2), batch=0).blends
    assert isinstance(mix, Mix)
    lam = np.array(mix.weights)
    error = 4.9 / math.sqrt(len(lam))  # standard errors that are passed once in a million
    variance = 1 / (4 * (2 * alpha + 1))
    assert abs(lam.mean() - 0.5) < error * math.sqrt(variance)
    assert abs(((lam - 0.5) ** 2).mean() - variance) < error * ((lam - 0.5) ** 2).std()
    larger = {0.1: 0.942, 0.2: 0.899, 0.4: 0.840, 0.8: 0.772, 1.0: 0.750}
    near = {0.1: 0.755, 0.2: 0.581, 0.4: 0.360, 0.8: 0.150, 1.0: 0.099}
    if alpha in larger:
        most = np.maximum(lam, 1 - lam)
        assert abs(most.mean() - larger[alpha]) < error * most.std() + 0.0006
        assert abs((most > 0.95).mean() - near[alpha]) < error * 0.5 + 0.0006


def test_cutmix_keeps_two_thirds_of_an_image() -> None:
    """E = 1 - (1/2 - 1/5 + 1/48) = .679 in the limit; .6799 and .6817 by two other roundings of the box at 224."""
    plan = pipeline({"cutmix": {"per": "element", "pairing": "roll"}}).batch.plan(40_000, (224, 224), batch=0)
    own = np.array([row[i] for i, row in enumerate(plan.source_weights())])
    error = 4.9 * own.std() / math.sqrt(len(own))
    assert error < 0.007
    assert 0.679 - error < own.mean() < 0.682 + error


def test_cutmix_with_boxes_divides_the_area_among_them() -> None:
    for boxes in (1, 4):
        step = {"cutmix": {"boxes": boxes, "per": "element", "pairing": "roll"}}
        (paste,) = pipeline(step).batch.plan(2000, (64, 96), batch=0).blends
        assert isinstance(paste, Paste)
        counts = [len(patches) for patches in paste.by_image().values()]
        assert max(counts) == boxes and np.mean(counts) > boxes * 0.9
        largest = max(patch.box[2] * patch.box[3] for patch in paste.patches)
        assert 0.6 / boxes < largest / (64 * 96) <= 1 / boxes
        assert all(patch.box == patch.source_box for patch in paste.patches)


def test_resizemix_pastes_whole_partners_inside() -> None:
    (paste,) = pipeline({"resizemix": {"per": "element"}}).batch.plan(2000, (100, 50), batch=0).blends
    assert isinstance(paste, Paste)
    sides = np.array([patch.box[2] / 100 for patch in paste.patches])
    assert all(patch.source_box == (0, 0, 100, 50) for patch in paste.patches)
    assert all(abs(patch.box[3] - patch.box[2] / 2) <= 1 for patch in paste.patches)
    assert 0.1 <= sides.min() < 0.12 and 0.78 < sides.max() <= 0.8
    assert abs(sides.mean() - 0.45) < 4.9 * sides.std() / math.sqrt(len(sides)) + 0.001


@pytest.mark.parametrize("fit", ["crop", "resize"])
def test_mosaics_are_covered_by_four(fit: Literal["crop", "resize"]) -> None:
    plan = pipeline({"mosaic": {"fit": fit, "center": [0.2, 0.6]}}).batch.plan(50, (40, 30), batch=0)
    for i, row in enumerate(plan.source_weights()):
        assert set(row) == {i, (i - 1) % 50, (i - 2) % 50, (i - 3) % 50}
        assert 0.03 < row[i] < 0.37
    (paste,) = plan.blends
    assert isinstance(paste, Paste)
    assert all(patch.scales == (fit == "resize") for patch in paste.patches)
    edge = pipeline({"mosaic": {"fit": fit, "center": [0.0, 0.0]}}).batch.plan(5, (40, 30), batch=0)
    assert edge.source_weights()[4] == {4: 0.0, 1: 1.0}


def test_pairings_and_pers() -> None:
    def mix(count: int, **arguments: Any) -> Mix:
        (found,) = pipeline({"mixup": arguments}).batch.plan(count, (4, 4), batch=2).blends
        assert isinstance(found, Mix)
        return found

    assert mix(4, pairing="roll").partners == (3, 0, 1, 2)
    assert mix(5, pairing="flip").partners == (4, 3, 2, 1, 0)
    assert sorted(mix(9, pairing="permutation").partners) == list(range(9))
    assert len(set(mix(9).weights)) == 1
    assert len(set(mix(9, per="element").weights)) == 9
    pairs = mix(9, per="pair", pairing="flip").weights
    assert pairs == pairs[::-1] and len(set(pairs)) == 5
    for name in ("mixup", "cutmix", "resizemix"):
        with pytest.raises(SpecError, match="which only pairing: flip gives, got pairing: permutation"):
            pipeline({name: {"per": "pair"}})


def test_permutations_are_uniform() -> None:
    counts: dict[tuple[int, ...], int] = {}
    pipe = pipeline("mixup")
    for number in range(6000):
        for blend in pipe.batch.plan(3, (2, 2), batch=number).entries[0].ops:
            assert isinstance(blend, Mix)
            counts[blend.partners] = counts.get(blend.partners, 0) + 1
    chi = sum((n - 1000) ** 2 / 1000 for n in counts.values())
    assert len(counts) == 6 and chi < 35.9  # of 5 degrees of freedom, passed once in a million


def test_partners_are_the_unmixed_images() -> None:
    batch = photos(3, "float64")
    found = pipeline({"mixup": {"per": "element", "pairing": "roll"}}).batch(batch, batch=1)
    (mix,) = pipeline({"mixup": {"per": "element", "pairing": "roll"}}).batch.plan(3, (13, 11), batch=1).blends
    assert isinstance(mix, Mix)
    for i in range(3):
        lam = mix.weights[i]
        assert np.allclose(found[i], lam * batch[i] + (1 - lam) * batch[i - 1], rtol=0, atol=1e-15)


# Layouts, kinds, places


def test_arrays_are_channels_first_where_the_pipeline_normalizes() -> None:
    step = {"cutmix": {"per": "element", "pairing": "roll"}}
    plain = pipeline(step)
    normalizing = Pipeline.from_spec({"image": [["normalize"]], "batch": [step]})
    last = photos(4, size=(8, 16))
    wanted = plain.batch(last, batch=3)
    first = np.ascontiguousarray(last.transpose(0, 3, 1, 2))
    assert np.array_equal(normalizing.batch(first, batch=3).transpose(0, 2, 3, 1), wanted)
    # the other reading would have 8 or 16 channels
    assert np.array_equal(plain.batch(first, batch=3).transpose(0, 2, 3, 1), wanted)
    assert np.array_equal(normalizing.batch(last, batch=3), wanted)
    gray = np.ascontiguousarray(last[..., 0])
    assert np.array_equal(plain.batch(gray, batch=3), wanted[..., 0])
    # both readings have few channels, or both have many: then what the spec says holds
    both = photos(4, size=(3, 16))[:, :, :, :]
    assert plain.batch.plan(4, (3, 16), batch=3) == plain.batch.plan(4, (3, 16), batch=3)
    assert plain.batch(both, batch=3).shape == both.shape
    many = np.random.default_rng(0).random((4, 7, 9, 6))
    (paste,) = plain.batch.plan(4, (7, 9), batch=3, channels=6).blends
    wanted = blended((paste,), many.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
    assert np.array_equal(plain.batch(many, batch=3), wanted)


@pytest.mark.parametrize("kind", ["uint8", "float16", "float32", "float64"])
def test_what_comes_in_is_not_written_to(kind: str) -> None:
    for step in STEPS:
        pipe, batch = pipeline(step), photos(5, kind)
        wanted = pipe.batch(batch.copy(), batch=1)
        batch.flags.writeable = False
        assert np.array_equal(pipe.batch(batch, batch=1), wanted)
        backwards = batch[::-1, ::-1].copy()[::-1, ::-1]
        assert np.array_equal(pipe.batch(backwards, batch=1), wanted)
        out = np.empty_like(batch)
        assert pipe.batch(batch, batch=1, out=out) is out and np.array_equal(out, wanted)
        own = batch.copy()
        locked = own[:]
        locked.flags.writeable = False
        assert pipe.batch(locked, batch=1, out=own) is own and np.array_equal(own, wanted)


def test_out_is_written_even_where_nothing_is_mixed() -> None:
    batch = photos(3)
    out = np.zeros_like(batch)
    assert pipeline({"mixup": {"p": 0.0}}).batch(batch, out=out) is out
    assert np.array_equal(out, batch)


def test_an_invalid_out_is_refused() -> None:
    pipe, batch = pipeline("mixup"), photos(4)
    locked = batch.copy()
    locked.flags.writeable = False
    for out, message in [
        (batch[:3], r"out has the shape and dtype of images, \(4, 13, 11, 3\) float32, got \(3, 13"),
        (batch.astype(np.float64), "float32, got .* float64"),
        (locked, "read-only"),
        (batch[::-1], "out overlaps images in memory"),
    ]:
        with pytest.raises(ValueError, match=message):
            pipe.batch(batch, out=out)
    shared = np.lib.stride_tricks.as_strided(batch.copy(), batch.shape, (0, *batch.strides[1:]))
    with pytest.raises(ValueError, match="out is expanded: several of its elements share memory"):
        pipe.batch(batch, out=shared)
    with pytest.raises(TypeError, match=r"expected out as a mapping .* got ndarray"):
        pipe.batch({"image": batch}, out=batch)
    with pytest.raises(TypeError, match="out is a ndarray, like images, got list"):
        pipe.batch(batch, out=batch.tolist())
    with pytest.raises(ValueError, match=r"out\['boxes'\] is not an image or mask"):
        pipe.batch({"image": batch}, out={"boxes": batch})


# Mappings and masks


@pytest.mark.parametrize("step", ["cutmix", "resizemix", "mosaic", {"mosaic": {"fit": "resize"}}], ids=str)
def test_masks_follow_their_images(step: Any) -> None:
    """A mask that says which image a pixel is of, next to images that say the same by their pixel value."""
    count, size = 6, (20, 16)
    images = np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None] * 40, (count, *size, 3)).copy()
    mask = np.broadcast_to(np.arange(count)[:, None, None], (count, *size)).astype(np.int64)
    planes = (mask[:, None] == np.arange(count)[:, None, None]).astype(np.float32)
    pipe = pipeline(step)
    given = {"image": images, "mask": mask, "mask_planes": planes, "masks": planes.transpose(0, 2, 3, 1)}
    given |= {"image2": images, "image_id": [1], "mask_path": "x", "label": np.arange(count), "more": "as it was"}
    for number in range(10):
        found = pipe.batch(given, batch=number)
        assert list(found) == list(given) and found["more"] == "as it was"
        assert np.array_equal(found["image"][..., 0], found["mask"] * 40)
        assert np.array_equal(found["image"], found["image2"])
        assert np.array_equal(found["mask_planes"].argmax(1), found["mask"])
        assert np.array_equal(found["masks"].argmax(3), found["mask"])
        counted = np.array([[np.mean(one == k) for k in range(count)] for one in found["mask"]])
        assert np.allclose(found["label"].dense(count), counted, atol=1e-7)
    out = {"image": np.empty_like(images), "mask": np.empty_like(mask)}
    again = pipe.batch(given, batch=9, out=out)
    assert again["image"] is out["image"] and again["mask"] is out["mask"]
    assert np.array_equal(out["mask"], found["mask"])


def test_mixup_blends_float_masks_and_refuses_class_numbers() -> None:
    pipe, images = pipeline({"mixup": {"pairing": "roll"}}), photos(3)
    planes = np.random.default_rng(0).random((3, 5, 13, 11))
    found = pipe.batch({"image": images, "mask": planes}, batch=0)
    (mix,) = pipe.batch.plan(3, (13, 11), batch=0).blends
    assert np.allclose(found["mask"], blended((mix,), planes))
    for kind in (np.uint8, np.int64, bool):
        with pytest.raises(ValueError, match=r"mixup averages, and class ids .* one plane per class"):
            pipe.batch({"image": images, "mask": np.zeros((3, 13, 11), kind)})


def test_numbers_that_are_no_labels_pass_where_that_is_said() -> None:
    """Numbers beside the images that nobody called a label would stay hard while the images are mixed."""
    ids, given = np.arange(4), {"image": photos(4)}
    for extra in ({"label": None, "id": ids}, {"labels": ids, "id": ids}, {"name": list("abcd")}, {"flag": ids > 1}):
        found = pipeline("mixup").batch({**given, **extra}, batch=0)
        assert list(found) == ["image", *extra] and all(found[key] is extra[key] for key in extra if key != "labels")
    assert pipeline().batch({**given, "target": ids}, batch=0)["target"] is ids


def test_boxes_in_a_batch_need_a_format() -> None:
    with pytest.raises(ValueError, match=r"boxes\[0\]: the spec does not say what the numbers mean"):
        pipeline("cutmix").batch({"image": photos(2), "boxes": [[], []]})
    assert pipeline().batch({"image": photos(2), "boxes": 1})["boxes"] == 1


# Test time, and no steps


def test_at_test_time_nothing_happens() -> None:
    pipe, batch, ids = pipeline("mixup"), photos(3), np.arange(3)
    images, labels = pipe.batch.test(batch, ids)
    assert images is batch and labels is ids
    assert pipe.batch.test(batch) is batch
    sample = {"image": batch, "label": ids}
    assert pipe.batch.test(sample) is sample


def test_without_steps_a_batch_passes_with_labels_that_are_not_mixed() -> None:
    batch = photos(3)
    images, labels = Pipeline.from_spec({"image": ["invert"], "classes": 4}).batch(batch, [1, 0, 3])
    assert images is batch
    assert labels == SoftLabels(np.array([1, 0, 3]), classes=4)
    assert np.array_equal(labels.dense(), np.eye(4, dtype=np.float32)[[1, 0, 3]])


# Errors


@pytest.mark.parametrize(
    ("images", "labels", "key", "error", "message"),
    [
        ([photos(1)[0]], None, {}, TypeError, "images: a batch is one array or tensor, got list; stack"),
        (photos(3)[0, 0], None, {}, ValueError, r"is N x H x W x C, got an array of shape \(11, 3\)"),
        (photos(2).astype(np.int64), None, {}, TypeError, "images are uint8 or floats, got int64"),
        (np.zeros((2, 0, 4, 3)), None, {}, ValueError, "at least one pixel"),
        ({"photo": 1}, None, {}, ValueError, "under 'image', got the keys 'photo'"),
        ({"image": photos(2)}, [0, 1], {}, TypeError, "labels of a mapping under 'label'"),
        ({"image": photos(2), "image2": photos(3)}, None, {}, ValueError, "image2: 3 images"),
        ({"image": photos(2), "mask": [1]}, None, {}, TypeError, "mask: masks of a batch are arrays"),
        ({"image": photos(2), "mask": np.zeros((2, 13, 12))}, None, {}, ValueError, "mask: .*with 2 of 13x11, got"),
        (photos(2), [0, 1, 2], {}, ValueError, "expected 2 labels for 2 images, got 3"),
        (photos(2), [0.0, 1.0], {}, TypeError, "class ids are integers, got float64; floats cannot hold every id"),
        (photos(2), [0, 7], {}, ValueError, "the ids of 5 classes are 0 to 4, got 7"),
        (photos(2), [-1, 0], {}, ValueError, "start at 0, got -1"),
        (photos(2), np.array([[0], [1]]), {}, ValueError, r"one axis, got integer labels of shape \(2, 1\)"),
        (photos(2), np.array([[0, 3], [1, 2]]), {}, ValueError, r"labels of 5 classes are N x 5, got \(2, 2\)"),
        (photos(2), np.full((2, 5), 1.5), {}, ValueError, "are between 0 and 1, got 1.5 to 1.5"),
        (photos(2), np.full((2, 5), np.nan), {}, ValueError, "are between 0 and 1, got nan"),
        (photos(2), ["a", "b"], {}, TypeError, "class ids are integers, got <U1"),
        (photos(2), "ab", {}, TypeError, "labels are an array, a tensor or a list, got str"),
        (photos(2), SoftLabels([0, 1]), {}, TypeError, "already mixed"),
        (photos(2), None, {"keys": [1]}, ValueError, "expected 2 keys for 2 images, got 1"),
        (photos(2), None, {"keys": "ab"}, TypeError, "ids of the batch's samples, integers or strings, got 'ab'"),
        (photos(2), None, {"keys": [1, -2]}, ValueError, r"keys\[1\] is the id of a sample, expected an integer"),
        (photos(2), None, {"keys": [1, 2.0]}, TypeError, r"keys\[1\] is the id of a sample, expected .* got 2.0"),
        (photos(2), None, {"batch": -1}, ValueError, "batch is the number of the batch, expected an integer from 0"),
        (photos(2), None, {"batch": 1.0}, TypeError, "batch is the number of the batch, expected an int.* got 1.0"),
        (photos(2), None, {"batch": "x"}, TypeError, "batch is .*, got 'x'; give ids of samples as keys"),
        (photos(2), None, {"batch": 0, "rank": -1}, ValueError, "rank is the number of the process, .* got -1"),
        (photos(1)[0], None, {}, ValueError, r"looks like one color image, .*: give images\[None\]"),
        (np.zeros((8, 9, 4), np.uint8), None, {}, ValueError, r"looks like one color image, .*: give images\[None\]"),
        (photos(2).astype(">f4"), None, {}, TypeError, "byte order of this machine: give images.astype"),
        ({"image": photos(2), "bboxes": [[]]}, None, {}, ValueError, "bboxes: boxes follow their images under"),
        ({"image": photos(2), "depth": np.zeros((2, 13, 11))}, None, {}, ValueError, r"`targets: \{maps: \{depth"),
        ({"image": photos(2), "target": [1, 0]}, None, {}, ValueError, "there is no 'label', and 'tar"),
        ({"image": photos(2), "fine": np.eye(2)}, None, {}, ValueError, "'fine' may be .* or give 'label': None"),
        (photos(2), None, {"epoch": 1.5}, TypeError, "epoch must be an integer, got 1.5"),
    ],
)  # fmt: skip
def test_errors_say_what_was_given_and_what_is_wanted(
    images: Any, labels: Any, key: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        pipeline("mixup", classes=5).batch(images, labels, **key)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"mixup": {"alpha": 0}}, "alpha"),
        ({"mixup": {"alfa": 1}}, "did you mean 'alpha'"),
        ({"mixup": {"lam": 1.5}}, "lam"),
        ({"mixup": {"lam": 0.4, "alpha": 0.2}}, "leave out alpha and per, got lam 0.4, alpha 0.2, per batch"),
        ({"mixup": {"lam": 0.4, "per": "element"}}, "leave out alpha and per"),
        ({"cutmix": {"boxes": 0}}, "boxes"),
        ({"cutmix": {"per": "pixel"}}, "expected batch, pair, element"),
        ({"resizemix": {"scale": [0.0, 0.5]}}, "scale must lie in"),
        ({"mosaic": {"center": [0.5, 1.5]}}, "center must be between 0 and 1"),
        ({"mosaic": {"per": "pair"}}, "expected batch, element"),
        ({"mixup": {"test": "off"}}, "batches are mixed only in training"),
        ("rotate", "belongs in 'image'"),
    ],
)
def test_specs_that_are_refused(step: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        pipeline(step)


def test_invalid_plans_are_refused() -> None:
    for count, size in [(-1, (3, 3)), (2, 3), (2, (0, 3)), (2.5, (3, 3))]:
        with pytest.raises(ValueError, match="a plan "):
            pipeline("mixup").batch.plan(count, size)  # type: ignore[arg-type]


# Third-party steps


@batch_transform("checkerboard", p=0.5, preview=({"field": 2}, {"field": 4}))
class Checkerboard:
    """Take every other field from the next image."""

    field: int = 2

    def sample(self, rng: Any, count: int, scene: Any) -> Paste:
        side, phase = self.field, rng.integers(2)
        tops, lefts = range(0, scene.height - side + 1, side), range(0, scene.width - side + 1, side)
        boxes = [(y, x, side, side) for y in tops for x in lefts if (y // side + x // side) % 2 == phase]
        return Paste(tuple(Patch(i, box, (i + 1) % count, box) for i in range(count) for box in boxes))


@batch_transform("wrong")
class Wrong:
    """Return a given value."""

    what: str = ""

    def sample(self, rng: Any, count: int, scene: Any) -> Any:
        if self.what == "late":
            LATE.append(rng)
            return ()
        found: Any = {
            "no blend": 3,
            "far": Mix((count,) * count, (0.5,) * count),
            "short": Mix((0,), (0.5,)),
            "heavy": Mix((0,) * count, (1.5,) * count),
            "outside": Paste((Patch(0, (0, 0, 99, 1), 1, (0, 0, 1, 1)),)),
        }
        return found[self.what]


LATE: list[Any] = []


def test_a_step_of_somebody_else_works_alike() -> None:
    registry = Registry.installed().add(Checkerboard, "mine/checkerboard")
    pipe = Pipeline.from_spec({"batch": [{"one_of": [{"mine/checkerboard": {"p": 1.0}}]}]}, registry)
    batch = photos(3, "uint8", (8, 6))
    found, labels = pickle.loads(pickle.dumps(pipe)).batch(batch, [0, 1, 2], keys=[1, 2, 3])
    assert np.array_equal(found, pipe.batch(batch, keys=[1, 2, 3]))
    assert np.allclose(labels.dense(3)[0], [0.5, 0.5, 0.0])
    own = (found == batch).all(axis=3)
    assert np.array_equal(own[0, ::2, ::2], own[0, 1::2, 1::2]) and 0.4 < own.mean() < 0.6
    by_hand = Pipeline(batch=[Checkerboard()])
    assert by_hand.to_spec()["batch"] == [{"checkerboard": {"field": 2, "p": 0.5}}]


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("no blend", "wrong#0: wrong failed on a batch of 2 images of 13x11: sample returned 3; expected a blend"),
        ("far", "a batch of 2 has images 0 to 1, got 2"),
        ("short", "2 partners and 2 weights, got 1 partners"),
        ("heavy", "weights are between 0 and 1, got 1.5"),
        ("outside", r"must lie in 13x11, got \(0, 0, 99, 1\)"),
        ("unknown", "KeyError: 'unknown'"),
    ],
)
def test_what_a_step_returns_is_checked(what: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Pipeline(batch=[Wrong(what)]).batch(photos(2))


def test_an_rng_is_closed_behind_a_step() -> None:
    Pipeline(batch=[Wrong("late")]).batch(photos(2))
    with pytest.raises(RuntimeError, match="closed"):
        LATE.pop().random()


# Without torch


WITHOUT_TORCH = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")

sys.meta_path.insert(0, Hidden())
import pytest
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "tests/test_soft_labels.py", "tests/test_mixing.py",
                      "-k", "(test_soft_labels or float32-5 or masks or errors or somebody_else) and not no_torch"]))
"""


def test_arrays_need_no_torch() -> None:
    """The tests of this, once more in a Python that cannot import torch."""
    root = Path(__file__).parent.parent
    found = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH], capture_output=True, text=True, cwd=root, timeout=300
    )
    assert found.returncode == 0, found.stdout[-3000:]
