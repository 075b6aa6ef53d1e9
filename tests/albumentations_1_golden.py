"""Makes tests/data/albumentations_1.json: pipelines of albumentations 1 as dicts, and what they do to an image.

Run once with albumentations 1.3.1 (it is no dependency): python tests/albumentations_1_golden.py
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import albumentations as A  # noqa: N812 - as its own documentation calls it
import numpy as np
from albumentations_1_scene import scene, shares

HERE = Path(__file__).parent / "data"


def fixed() -> dict[str, object]:
    """Transforms in which nothing is left to chance, by name."""
    return {
        "rotate": A.Rotate(limit=(30, 30), border_mode=0, value=(9, 8, 7), p=1),
        "shift scale rotate": A.ShiftScaleRotate((0, 0), (0.2, 0.2), (25, 25), border_mode=1, p=1),
        "affine": A.Affine(rotate=(20, 20), cval=(5, 6, 7), mode=0, p=1),
        "pad": A.PadIfNeeded(50, 64, border_mode=0, value=(7, 8, 9)),
        "always": A.VerticalFlip(always_apply=True, p=0.0),
        "solarize": A.Solarize(threshold=(102, 102), p=1),
        "downscale": A.Downscale(0.5, 0.5, interpolation={"downscale": 0, "upscale": 0}, p=1),
        "blur": A.GaussianBlur(blur_limit=(5, 5), sigma_limit=0, p=1),
        "brightness": A.RandomBrightness(limit=(0.15, 0.15), p=1),
        "contrast": A.RandomContrast(limit=(0.3, 0.3), p=1),
        "gamma": A.RandomGamma((150, 150), p=1),
        "resize": A.Resize(21, 17),
        "bytes": A.Normalize(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375), max_pixel_value=1.0),
        "floats": A.Compose([A.ToFloat(), A.Normalize(max_pixel_value=1.0)]),
    }


def pipelines() -> dict[str, object]:
    """Pipelines with chance, by name."""
    return {
        "names": A.Compose(
            [
                A.RandomResizedCrop(32, 48, scale=(0.3, 0.9)),
                A.Flip(p=0.8),
                A.JpegCompression(40, 80),
                A.CoarseDropout(6, 8, 10, 2, 4, 5, fill_value=3),
                A.GaussNoise(var_limit=(25.0, 25.0)),
                A.ElasticTransform(alpha=40, sigma=6, alpha_affine=0),
                A.SomeOf([A.HorizontalFlip(p=0.3), A.InvertImg(p=0.6)], n=2),
            ],
            bbox_params=A.BboxParams("coco", label_fields=["kind", "crowd"], min_area=12, min_visibility=0.2),
            additional_targets={"depth_gt": "mask", "right": "image", "parts": "bboxes", "joints": "keypoints"},
        ),
        "weather": A.Compose([A.RandomFog(0.2, 0.4), A.RandomRain(-3, 3), A.GridDropout(0.4, fill_value=2)]),
        "names of flips": A.Compose([A.Flip(p=1.0)]),
        "sizes of blurs": A.Compose([A.GaussianBlur(blur_limit=(3, 7), p=1.0)]),
    }


def drawn() -> dict[str, list[object]]:
    """Transforms with chance whose statistics are compared, by name."""
    return {
        "flips": [A.Flip(p=0.7)],
        "holes": [A.CoarseDropout(6, 8, 10, 2, 4, 5, fill_value=3, p=0.9)],
        "noise": [A.GaussNoise(var_limit=(100.0, 400.0), p=1)],
        "elastic": [A.ElasticTransform(alpha=60, sigma=5, alpha_affine=0, border_mode=0, p=1)],
        "blur": [A.GaussianBlur(blur_limit=(3, 7), p=1)],
        "colors": [A.RandomBrightness(limit=0.3, p=0.8), A.RandomContrast(limit=0.4, p=0.8), A.RandomGamma()],
        "crop": [A.RandomResizedCrop(24, 36, scale=(0.3, 0.9)), A.ShiftScaleRotate(border_mode=0, p=0.8)],
        "some": [A.SomeOf([A.HorizontalFlip(p=0.3), A.InvertImg(p=0.6), A.ToGray(p=0.9)], n=2, p=0.9)],
        "rotation": [A.Rotate(limit=30, border_mode=4, p=0.6), A.Transpose(p=0.5), A.Resize(30, 40)],
    }


DRAWS = 400


def statistics(transforms: list[object]) -> dict[str, object]:
    """Means and variances of what `shares` says of the draws."""
    random.seed(5)
    compose = A.Compose(transforms, bbox_params=A.BboxParams("pascal_voc", label_fields=["labels"]))
    found = []
    for _ in range(DRAWS):
        holes = isinstance(transforms[0], A.CoarseDropout)  # which takes no boxes
        box = {"bboxes": [] if holes else [[8, 5, 30, 20]], "labels": [] if holes else [1]}
        done = compose(image=scene(), **box)
        found.append(shares(done["image"], np.array(done["bboxes"])))
    values = np.array(found)
    never = np.isnan(values).all(axis=0)  # where a box is that never is
    values[:, never] = 0.0
    return {"mean": np.nanmean(values, axis=0).tolist(), "var": np.nanvar(values, axis=0).tolist()}


def main() -> None:
    image = scene()
    made = {name: transform(image=image)["image"] for name, transform in fixed().items()}
    dicts = {name: A.to_dict(one) for name, one in fixed().items()}
    chance = {name: A.to_dict(one) for name, one in pipelines().items()}
    params = A.BboxParams("pascal_voc", label_fields=["labels"])
    numbers = {
        name: {"pipeline": A.to_dict(A.Compose(steps, bbox_params=params)), **statistics(steps)}
        for name, steps in drawn().items()
    }
    data = {"fixed": dicts, "pipelines": chance, "drawn": numbers, "draws": DRAWS}
    HERE.joinpath("albumentations_1.json").write_text(
        json.dumps(data, indent=1, sort_keys=True) + "\n", encoding="utf-8"
    )
    A.save(pipelines()["names"], str(HERE / "albumentations_1.yaml"), data_format="yaml")
    np.savez_compressed(HERE / "albumentations_1.npz", **made)


if __name__ == "__main__":
    main()
