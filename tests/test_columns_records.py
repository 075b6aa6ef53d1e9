"""Scenes and ops of many images: sizes, boxes, pickles, and ops of single images put together."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from drawn_columns import boxes_of, compare, scenes_of

import augreg
from augreg.columns.philox import addresses_of
from augreg.columns.records import BranchColumns, Scenes, by_image, gathered, scenes_of as together
from augreg.columns.seen_boxes import seen_boxes
from augreg.execution.sampling_columns import draw_columns
from augreg.ops import Scene
from augreg.ops.scene import Boxes


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


def test_only_the_size_may_change_for_some() -> None:
    scenes, all_of_them = scenes_of([40, 50, 60], [70, 80, 90]), np.arange(3)
    normalize = augreg.ops.Normalize((0.5,), (0.5,))
    assert scenes.after(normalize, all_of_them).at(2) == Scene(60, 90, dtype="float32", normalized=True)
    with pytest.raises(ValueError, match="Normalize must be for all images of a batch"):
        scenes.after(normalize, all_of_them[:2])
    smaller = scenes.after(augreg.ops.resize(7, 8), all_of_them[1:])
    assert [smaller.at(row).size for row in range(3)] == [(40, 70), (7, 8), (7, 8)]
    assert scenes.at(1).size == (50, 80)


SEEN: dict[str, list[Any]] = {
    "at once": [{"safe_crop": {"size": 30, "scale": [0.1, 0.4]}}],
    "after flips and a crop": [
        "horizontal_flip", {"vertical_flip": {"p": 0.3}}, {"safe_crop": 40},
        {"random_crop": {"size": [24, 33], "padding": [0, 3, 1, 7]}}, {"safe_crop": {"size": [20, 50], "p": 0.6}},
        {"safe_crop": 20},
    ],
    "after turns and warps": [
        {"rotate": {"degrees": [-90, 90], "p": 0.5}}, "d4", "perspective", {"safe_crop": 30}, {"normalize": "half"},
    ],
    "after a displacement that loses them": [{"elastic": {"p": 0.5}}, "invert", {"safe_crop": 30}],
    "by chance": [{"one_of": [{"resize": {"shorter": 20}}, "rot90", {"safe_crop": 44}]}, {"safe_crop": 30}],
}  # fmt: skip


@pytest.mark.parametrize("name", SEEN)
def test_steps_see_the_boxes_that_they_see_in_an_image_alone(name: str) -> None:
    sizes = np.random.default_rng(4).integers(24, 60, (2, 200))
    steps = augreg.Pipeline(SEEN[name], seed=3).steps
    scenes = Scenes(*sizes, Scene(0, 0), seen_boxes(boxes_of(sizes, 4)))
    with_boxes = compare(steps, scenes, addresses_of(3, range(200)))
    assert repr(with_boxes) != repr(compare(steps, Scenes(*sizes, Scene(0, 0)), addresses_of(3, range(200))))


def test_boxes_stay_with_their_images() -> None:
    boxes: list[Boxes] = [((0.0, 0.0, 1.0, 2.0), (1.0, 1.0, 5.0, 6.0)), (), ((2.0, 3.0, 4.0, 5.0),), ()]
    scenes = together([Scene(10 + number, 20, boxes=each) for number, each in enumerate(boxes)])
    taken = scenes.taken(np.array([3, 2, 0, 2]))
    assert [taken.at(row).boxes for row in range(4)] == [(), boxes[2], boxes[0], boxes[2]]
    assert [taken.at(row).height for row in range(4)] == [13, 12, 10, 12]
    # the first image is moved by a crop that cuts its first box off, the third keeps a box that leaves the image
    after = scenes.after(augreg.ops.crop(1, 1, 4, 3), np.array([0, 1]))
    assert [after.at(row).boxes for row in range(4)] == [((0.0, 0.0, 3.0, 4.0),), (), boxes[2], ()]
    assert together([Scene(3, 4)]).boxes is None
    folded = augreg.ops.Warp((np.array([0.0, 1.0]), 0.0, 0.0, 0.0, 1.0, np.array([0.0, -1.0]), 0.0, 0.0), 12, 20)  # type: ignore[arg-type]
    shifted = ((2.0, 4.0, 4.0, 6.0),)
    assert [scenes.after(folded, np.array([0, 2])).at(row).boxes for row in (0, 2)] == [(), shifted]


def test_scenes_of_one_batch_differ_in_their_sizes_only() -> None:
    with pytest.raises(ValueError, match=r"number 0 is .* 2 is .*float32"):
        together([Scene(3, 4), Scene(5, 6), Scene(3, 4, dtype="float32")])
    with pytest.raises(ValueError, match="the field `boxes`"):
        scenes_of([4], [4], boxes=((0.0, 0.0, 1.0, 1.0),))


def test_columns_pickle_as_they_are() -> None:
    """Labels keep their functions and numbers, and texts are made later; a gathered label is one for each image."""
    spec = [{"random_resized_crop": 9}, "horizontal_flip", {"color_jitter": {"contrast": 0.4}}, "rand_augment", "d4"]
    drawn = draw_columns(augreg.Pipeline(spec).steps, scenes_of([40] * 300, [50] * 300), addresses_of(0, range(300)))
    copied = pickle.loads(pickle.dumps(drawn.columns))
    assert repr(by_image(copied, 300)) == repr(by_image(drawn.columns, 300))
    (crop,) = drawn.columns[:1]
    assert len(pickle.dumps(crop)) < 300 * 8 * 5 + 1000  # four numbers of an image and its own, once each
    assert [repr(op) for op in crop.each()] == [repr(crop.at(place)) for place in range(300)]
    bare = pickle.loads(pickle.dumps(crop.unlabeled()))
    assert bare.at(7) == crop.at(7)
    assert (bare.at(7).label, str(crop.at(7))[:5]) == ("", "crop ")


def test_scenes_and_addresses_must_fit() -> None:
    steps = augreg.Pipeline(["horizontal_flip"]).steps
    for epoch, epochs in ((0, [0, 2]), (2, [2, 0]), (3, [2**64 - 1, 3])):
        addresses = addresses_of(0, range(2))
        addresses.parts[2] = epochs
        wrong = epochs.index(next(other for other in epochs if other != epoch))
        with pytest.raises(ValueError, match=f"image {wrong} has an address of epoch {epochs[wrong]}, .* {epoch};"):
            draw_columns(steps, scenes_of([4, 4], [4, 4], epoch=epoch), addresses)
    with pytest.raises(ValueError, match="1 scenes and 2 addresses"):
        draw_columns(steps, scenes_of([4], [4]), addresses_of(0, range(2)))


def test_mixes_of_some_images() -> None:
    steps = augreg.Pipeline([{"aug_mix": {"width": 2}}]).steps
    (column,) = draw_columns(steps, scenes_of([40] * 30, [50] * 30), addresses_of(0, range(30))).columns
    every = [repr(op) for op in column.each()]
    for places in ([29], [4, 5, 17], [9, 0], []):
        taken = column.taken(np.array(places, np.intp), np.arange(len(places)))
        assert [repr(op) for op in taken.each()] == [every[place] for place in places]
    assert repr(pickle.loads(pickle.dumps(column)).at(7)) == every[7]
    bare = column.unlabeled()
    assert bare.at(7) == column.at(7)
    assert isinstance(bare.op, BranchColumns)
    assert {chain.op.label for chain in bare.op.chains} == {bare.op.label} == {""}
