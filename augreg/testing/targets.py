"""The check that masks, boxes and keypoints go where the pixels of a picture go."""

from __future__ import annotations

from typing import Any

import numpy as np

from augreg.errors import ImageError
from augreg.projective import STILL
from augreg.testing.subjects import Subject

__all__ = ["targets_follow"]


def targets_follow(tested: Subject) -> None:
    """Masks, boxes and keypoints go where the pixels go, or are refused in words; where nothing moves they stay."""
    if tested.mark.kind == "normalize":
        return
    for pipeline in tested.pipelines(p=1, targets={"boxes": "xyxy"}):
        for key in range(12):
            sample = _marked()
            try:
                after = pipeline.train(sample, key)
            except ImageError as error:
                assert "target" in str(error) or "mask" in str(error), f"refused for no reason of its kind: {error}"
                break
            plan = pipeline.train.plan((60, 80), key)
            moves, stays = _kinds_of_ops(plan)
            if not moves and not plan.waiting:
                for name in ("mask", "boxes", "keypoints"):
                    assert np.array_equal(sample[name], after[name]), f"pixels stay in their places, and {name} moved"
                if tested.mark.kind not in ("erasing", "choose"):
                    _stands(after["image"])
            elif not stays:  # where levels change too, the figure cannot be told from its ground
                _follows(after)


def _kinds_of_ops(plan: Any) -> tuple[int, int]:
    """How many ops move pixels, and how many leave them where they are."""
    scene, moves = plan.scene, 0
    for op in plan.ops:
        moves += op.forward(scene) != STILL or op.size_after(*scene.size) != scene.size
        scene = op.after(scene)
    return moves, len(plan.ops) - moves


def _marked() -> dict[str, Any]:
    """A dark picture with a bright square, its mask, its box and its centre."""
    picture = np.full((60, 80, 3), 20, np.uint8)
    picture[22:40, 14:34] = 255
    mask = np.zeros((60, 80), np.uint8)
    mask[22:40, 14:34] = 1
    return {
        "image": picture,
        "mask": mask,
        "boxes": np.array([[14.0, 22.0, 34.0, 40.0]]),
        "keypoints": np.array([[24.0, 31.0]]),
    }


def _stands(picture: Any) -> None:
    """The figure can be told from its ground where it was, if anywhere."""
    inside = np.zeros(picture.shape[:2], bool)
    inside[22:40, 14:34] = True
    low, high = np.percentile(picture, (1, 99))
    apart = np.abs(np.median(picture[inside], axis=0) - np.median(picture[~inside], axis=0)).max()
    stands = high - low < 40 or apart > 0.3 * (high - low)
    assert stands, "its ops say that pixels stay in their places, and they moved"


def _follows(after: dict[str, Any]) -> None:
    picture, mask = after["image"], after["mask"]
    assert picture.shape[:2] == mask.shape, f"the picture is {picture.shape[:2]} and its mask {mask.shape}"
    bright = picture[..., :3].astype(float).mean(axis=2) > 140
    shown = mask > 0
    if bright.sum() < 30 and shown.sum() < 30:
        return
    union = (bright | shown).sum()
    overlap = (bright & shown).sum() / union if union else 1.0
    assert overlap > 0.4, f"the mask covers {overlap:.0%} of what shows of its figure"
    if len(after["keypoints"]):
        ys, xs = np.nonzero(shown)
        x, y = np.asarray(after["keypoints"])[0][:2]
        whole = shown.sum() > 0.95 * 18 * 20 and ys.min() > 0 and ys.max() < mask.shape[0] - 1
        if whole and xs.min() > 0 and xs.max() < mask.shape[1] - 1:
            slack = 3.0 + 0.25 * max(np.ptp(xs), np.ptp(ys))
            near = abs(xs.mean() + 0.5 - x) < slack and abs(ys.mean() + 0.5 - y) < slack
            assert near, "the keypoint left its figure"
    if len(after["boxes"]) and shown.any():
        ys, xs = np.nonzero(shown)
        box = np.asarray(after["boxes"])[0][:4]
        around = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
        slack = 4.0 + 0.3 * max(around[2] - around[0], around[3] - around[1])
        assert (np.abs(box - around) < slack).all(), f"the box is {box.round(1)}, its figure {around}"
