"""Clips: one draw for all frames, noise that differs, and masks, boxes and keypoints of each frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from augreg import ImageError, Pipeline, SpecError
from augreg.data import Augmented

COUNT, HEIGHT, WIDTH = 5, 24, 36
FRAMES = np.random.default_rng(0).integers(0, 256, (COUNT, HEIGHT, WIDTH, 3), dtype=np.uint8)
MASKS = np.random.default_rng(1).integers(0, 4, (COUNT, HEIGHT, WIDTH), dtype=np.uint8)
STEPS = [
    {"affine": {"degrees": 20, "scale": [0.8, 1.2]}},
    {"random_crop": {"size": 20}},
    "horizontal_flip",
    {"color_jitter": {"brightness": 0.4, "hue": 0.1}},
]
FLIP = [{"horizontal_flip": {"p": 1}}]


def of_clips(steps: Any, **targets: Any) -> Pipeline:
    return Pipeline.from_spec({"image": steps, "targets": {"clip": True, **targets}})


def equal(one: Any, other: Any) -> bool:
    return np.array_equal(one, other) if isinstance(one, np.ndarray) else bool(one == other)


def of_images(steps: Any, **targets: Any) -> Pipeline:
    return Pipeline.from_spec({"image": steps, "targets": targets})


@pytest.mark.parametrize("steps", [STEPS, [*STEPS, {"normalize": {}}]], ids=["bytes", "floats"])
def test_every_frame_is_that_image_alone_at_the_same_index(steps: Any) -> None:
    pipe, alone = of_clips(steps), of_images(steps)
    for index in range(4):
        expected = np.stack([alone.train(frame, index) for frame in FRAMES])
        found = pipe.train(FRAMES, index)
        assert found.dtype == expected.dtype and np.array_equal(found, expected)
        assert np.array_equal(pipe.train({"image": FRAMES}, index)["image"], expected)
        as_list = pipe.train({"image": list(FRAMES)}, index)["image"]
        assert isinstance(as_list, list) and np.array_equal(np.stack(as_list), expected)
        assert np.array_equal(pipe.train.plan(FRAMES, index).run(FRAMES), expected)
    assert np.array_equal(pipe.test(FRAMES), np.stack([alone.test(frame) for frame in FRAMES]))


def test_tensors() -> None:
    torch = pytest.importorskip("torch")
    given = torch.from_numpy(FRAMES.transpose(0, 3, 1, 2).copy())
    pipe = of_clips(STEPS)
    found = pipe.train({"image": given, "mask": torch.from_numpy(MASKS)}, 1)
    assert np.array_equal(found["image"].numpy().transpose(0, 2, 3, 1), pipe.train(FRAMES, 1))
    assert found["mask"].shape == (COUNT, 20, 20)
    both = pipe.replace(output="torch").train({"image": FRAMES, "mask": MASKS}, 1)
    assert torch.equal(both["image"], found["image"]) and torch.equal(both["mask"], found["mask"])


def test_noise_differs_from_frame_to_frame_and_what_is_drawn_once_does_not() -> None:
    gray = np.full((COUNT, HEIGHT, WIDTH, 3), 128, np.uint8)
    noisy = of_clips([{"gaussian_noise": {"std": 0.1}}]).train(gray, 3)
    assert all((noisy[one] != noisy[other]).mean() > 0.5 for one in range(COUNT) for other in range(one))
    assert np.allclose(noisy.std(axis=(1, 2, 3)), noisy[0].std(), rtol=0.1)
    for step in ({"cutout": {"size": 8}}, {"color_jitter": {"brightness": 0.5}}, {"rotate": {"degrees": 30}}):
        same = of_clips([step]).train(gray, 3)
        assert (same == same[0]).all() and (same != gray).any()


def test_targets_are_those_of_every_frame_alone() -> None:
    entries: dict[str, Any] = {
        "mask": MASKS,
        "mask_parts": np.stack([MASKS, MASKS + 1], axis=3),
        "depth": MASKS.astype(np.float32),
        "boxes": [[[1, 2, 3 + k, 9], [20, 3, 30, 20]][: 2 - k % 2] for k in range(COUNT)],
        "labels": [[f"a{k}", f"b{k}"][: 2 - k % 2] for k in range(COUNT)],
        "keypoints": np.random.default_rng(2).uniform(0, 24, (COUNT, 3, 2)),
        "further": [np.array([[4.0 + k, 4, 12, 12]]) for k in range(COUNT)],
        "outlines": [[[5, 5, 9, 5, 9 + k, 9], [20, 3, 30, 20, 25, 20]][: 2 - k % 2] for k in range(COUNT)],
    }
    targets: dict[str, Any] = {
        "boxes": "xyxy",
        "maps": {"depth": {}},
        "keys": {"further": "boxes"},
        "polygons": ["outlines"],
        "instances": [],
    }
    pipe, alone = of_clips(STEPS, **targets), of_images(STEPS, **targets)
    sample = {"image": FRAMES, **entries, "label": 7, "name": "clip"}
    for index in range(6):
        found = pipe.train(sample, index)
        assert list(found) == list(sample) and found["label"] == 7 and found["name"] == "clip"
        for k in range(COUNT):
            one = alone.train({"image": FRAMES[k], **{key: value[k] for key, value in entries.items()}}, index)
            for key in ("image", *entries):
                assert equal(found[key][k], one[key]), key
    assert isinstance(found["boxes"], list) and isinstance(found["keypoints"], np.ndarray)


def test_names_of_points_hold_for_all_frames_or_for_each() -> None:
    points = [[[1, 1], [2, 2]], [[3, 3], [4, 4]]]
    pipe = of_clips(FLIP, swap={"left": "right"})
    shared = pipe.train({"image": FRAMES[:2], "keypoints": points, "keypoint_names": ["left", "right"]}, 0)
    assert shared["keypoint_names"] == ["left", "right"]
    assert shared["keypoints"] == [[[34, 2], [35, 1]], [[32, 4], [33, 3]]]
    names = [["left", "nose"], ["right", "left"]]
    each = pipe.train({"image": FRAMES[:2], "keypoints": points, "keypoint_names": names}, 0)
    assert each["keypoint_names"] == [["right", "nose"], ["right", "left"]]
    assert each["keypoints"] == [[[35, 1], [34, 2]], [[32, 4], [33, 3]]]
    people = [[{"left": (1, 1)}], [{"right": (2, 2)}]]
    mapped = pipe.train({"image": FRAMES[:2], "keypoints": [one[0] for one in people]}, 0)
    assert mapped["keypoints"] == [{"right": (35, 1)}, {"left": (34, 2)}]


def test_instances_classes_and_boxes_around_masks() -> None:
    one, two = np.zeros((2, HEIGHT, WIDTH), np.uint8)
    one[2:6, 3:9] = two[10:20, 30:34] = 1
    targets = {"boxes": "xyxy", "instances": ["masks"], "boxes_from": "masks"}
    sample = {
        "image": FRAMES[:2], "boxes": [[[3, 2, 9, 6], [29, 9, 35, 21]], [[0, 0, 9, 9]]],
        "masks": [[one, two], [one]], "labels": [["a", "b"], ["c"]],
    }  # fmt: skip
    found = of_clips([{"center_crop": {"size": [24, 26]}}], **targets).train(sample, 0)  # columns 5 to 31
    assert found["boxes"] == [[[0, 2, 4, 6], [25, 10, 26, 20]], [[0, 2, 4, 6]]]
    assert found["labels"] == [["a", "b"], ["c"]] and [len(each) for each in found["masks"]] == [2, 1]
    swapped = of_clips(FLIP, swap=[[1, 2]]).train({"image": FRAMES, "mask": MASKS, "label": 1}, 0)
    assert np.array_equal(swapped["mask"], np.array([0, 2, 1, 3])[MASKS[..., ::-1]]) and swapped["label"] == 2


def test_steps_see_the_boxes_of_all_frames() -> None:
    boxes = [[[2, 2, 6, 6]], [], [[30, 18, 34, 22]], [], []]
    pipe = of_clips([{"safe_crop": {"size": 16}}], boxes="xyxy", min_visible=1)
    for index in range(20):
        found = pipe.train({"image": FRAMES, "boxes": boxes}, index)
        assert [len(each) for each in found["boxes"]] == [1, 0, 1, 0, 0]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"image": FRAMES[0]}, r"N x channels x height x width for a tensor, or a list of images; gray"),
        ({"image": "photo.jpg"}, "its frames are N x height x width x channels for an array, .*; got a str"),
        ({"image": []}, r"sample\['image'\]: a clip needs at least one frame"),
        ({"mask": MASKS[:3]}, r"sample\['mask'\]: 3 entries for 5 frames; the spec says `clip: true`"),
        ({"mask": [*MASKS[:4], MASKS[4][:9]]}, r"sample\['mask'\]\[4\]: the mask is 9x36 and the image is 24x36"),
        ({"boxes": [[0, 0, 1, 1]] * 5}, r"sample\['boxes'\]\[0\]: the shape \(4,\) is not that"),
        ({"boxes": [[]] * 4}, r"sample\['boxes'\]: 4 entries for 5 frames"),
        ({"boxes": [[[0, 0, 1, 1]]] * 5, "labels": [["a"]] * 4 + [["a", "b"]]}, r"sample\['labels'\]\[4\]: there"),
        ({"keypoints": 5}, r"sample\['keypoints'\]: a int for 5 frames"),
        ({"image": [*FRAMES[:2], FRAMES[0][:9]]}, r"sample\['image'\]\[2\]: the image is 9x36"),
        ({"image_right": FRAMES[:2]}, r"sample\['image_right'\]: 2 entries for 5 frames"),
        ({"segments": MASKS}, r"sample\['segments'\] has the height and width of the image, 24x36"),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_refused(entries: Any, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        of_clips(FLIP, boxes="xyxy").train({"image": FRAMES, **entries}, 0)


def test_other_specs_take_no_clips_and_say_what_to_do() -> None:
    with pytest.raises(
        ImageError, match=r"for a clip, the spec says `targets: {clip: true}`, and `train.batch` takes a"
    ):
        of_images(FLIP).train(FRAMES, 0)
    with pytest.raises(ImageError, match="a clip needs its frames under 'image'; its keys are: 'mask'"):
        of_clips(FLIP).train({"mask": MASKS}, 0)
    with pytest.raises(SpecError, match="batch: a batch of clips is not mixed: leave out 'batch', or `clip: true`"):
        Pipeline.from_spec({"targets": {"clip": True}, "batch": ["mixup"]})
    pytest.importorskip("torch")
    with pytest.raises(ImageError, match=r"clips do not run as a batch on a device: give each to pipe\.train"):
        of_clips(FLIP).train.batch(FRAMES[None], [0])


def test_clips_in_a_loader_and_as_views() -> None:
    torch = pytest.importorskip("torch")

    class Clips(torch.utils.data.Dataset[Any]):
        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int) -> Any:
            return {"image": FRAMES, "mask": MASKS, "label": index}

    pipe = of_clips([{"random_crop": {"size": 20}}, "horizontal_flip", {"normalize": {}}])
    data = Augmented(Clips(), pipe.train, epoch=0)
    (batch,) = torch.utils.data.DataLoader(data, batch_size=2, collate_fn=pipe.collate)
    assert batch["image"].shape == (2, COUNT, 3, 20, 20) and batch["mask"].shape == (2, COUNT, 20, 20)
    assert np.array_equal(batch["image"][1].numpy(), pipe.train({"image": FRAMES}, 1)["image"])
    views = pipe.views({"image": FRAMES, "mask": MASKS}, 3)
    assert [view.image["image"].shape for view in views] == [(COUNT, 3, 20, 20)] * 3
    restored = views.restore_map([view.image["mask"].astype(np.int64) for view in views])
    assert all(np.array_equal(values[:, seen], MASKS[:, seen]) for values, seen in restored)
