"""albumentations. Its area filter is the closest that it has to an antialiased resize; it has no AutoAugment, so its
users write the sub-policies themselves."""

from __future__ import annotations

from typing import Any

import albumentations as A  # noqa: N812 - as its users write
import cv2
import numpy as np

from peer_rows.rows import MEAN, SIZE, STD, Row, Work, one_by_one


def _geometry() -> list[Any]:
    border = {"fill": 128, "interpolation": cv2.INTER_NEAREST, "p": 1.0}
    return [
        A.Affine(shear={"x": (-17, 17), "y": 0}, **border),
        A.Affine(shear={"x": 0, "y": (-17, 17)}, **border),
        A.Affine(translate_percent={"x": (-0.45, 0.45), "y": 0}, **border),
        A.Affine(translate_percent={"x": 0, "y": (-0.45, 0.45)}, **border),
        A.Rotate((-30, 30), interpolation=cv2.INTER_NEAREST, border_mode=cv2.BORDER_CONSTANT, fill=128, p=1.0),
    ]


def _color() -> list[Any]:
    def jitter(**ranges: Any) -> Any:
        still = {"brightness": (1, 1), "contrast": (1, 1), "saturation": (1, 1), "hue": (0, 0)}
        return A.ColorJitter(**{**still, **ranges}, p=1.0)

    return [
        jitter(brightness=(0.1, 1.9)),
        jitter(contrast=(0.1, 1.9)),
        jitter(saturation=(0.1, 1.9)),
        A.Posterize(num_bits=(4, 7), p=1.0),
        A.Solarize(threshold_range=(0, 1), p=1.0),
        A.Equalize(p=1.0),
        A.AutoContrast(p=1.0),
        A.InvertImg(p=1.0),
        A.Sharpen(alpha=(0.1, 0.9), p=1.0),
    ]


def _policy(count: int = 2) -> Any:
    """Two ops in a row, each of all that AutoAugment has."""
    return A.SomeOf([*_geometry(), *_color()], n=count, replace=True, p=1.0)


def _detection(name: str, interpolation: int) -> Any:
    turns = {"rotate": (-10, 10), "translate_percent": (-0.1, 0.1), "shear": (-2, 2), "p": 1.0}
    if name == "J":
        steps = [
            A.RandomScale((-0.4, 0.4), interpolation=interpolation, p=1.0),
            A.PadIfNeeded(512, 512),
            A.RandomCrop(512, 512),
            A.HorizontalFlip(p=0.5),
            A.Affine(scale=(0.9, 1.1), **turns),
            A.ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0, p=1.0),
            A.Normalize(mean=MEAN, std=STD),
        ]
    else:
        steps = [
            A.LongestMaxSize(640, interpolation=interpolation),
            A.PadIfNeeded(640, 640, fill=114),
            A.HorizontalFlip(p=0.5),
            A.Affine(scale=(0.5, 1.5), fill=114, **turns),
            A.HueSaturationValue(p=1.0),
            A.Normalize(mean=(0, 0, 0), std=(1, 1, 1)),
        ]
    boxes = A.BboxParams(format="pascal_voc", label_fields=["labels"], min_visibility=0.1)
    return A.Compose(steps, bbox_params=boxes, seed=0)


def _compose(name: str, interpolation: int) -> Any:
    normalize = A.Normalize(mean=MEAN, std=STD)
    if name in ("A", "A2"):
        hole = {"hole_height_range": (16, 16), "hole_width_range": (16, 16), "fill": 0}
        small = [A.Pad(padding=4), A.RandomCrop(32, 32), A.HorizontalFlip(p=0.5)]
        return A.Compose(
            [*small, _policy(), normalize, A.CoarseDropout(num_holes_range=(1, 1), **hole, p=1.0)], seed=0
        )
    crop = A.RandomResizedCrop((SIZE, SIZE), scale=(0.08, 1.0), ratio=(0.75, 4 / 3), interpolation=interpolation)
    color = A.ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, p=1.0)
    erase = A.Erasing(scale=(0.02, 0.33), ratio=(0.3, 3.3), p=0.25)
    steps = [_policy(), normalize, erase] if name == "C" else [color, normalize]
    return A.Compose([crop, A.HorizontalFlip(p=0.5), *steps], seed=0)


def pipelines(name: str, row: Row, inputs: list[Any]) -> dict[str, Work]:
    """The rows, with both of its filters where there is a resize."""
    names = {"albumentations area": cv2.INTER_AREA, "albumentations linear": cv2.INTER_LINEAR}
    if row.targets:
        return {label: _annotated(_detection(name, filter), inputs) for label, filter in names.items()}
    if not row.resizes:
        names = {"albumentations": cv2.INTER_LINEAR}
    return {label: _work(_compose(name, filter), row, inputs) for label, filter in names.items()}


def _work(compose: Any, row: Row, inputs: list[Any]) -> Work:
    def one(index: int) -> Any:
        image = inputs[index % len(inputs)]
        if row.encoded:
            image = cv2.cvtColor(cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        return np.ascontiguousarray(compose(image=image)["image"].transpose(2, 0, 1))

    return one_by_one(one)


def _annotated(compose: Any, inputs: list[Any]) -> Work:
    def one(index: int) -> Any:
        sample = inputs[index % len(inputs)]
        masks = {key: sample[key] for key in ("mask", "masks") if key in sample}
        found = compose(image=sample["image"], bboxes=sample["boxes"], labels=sample["labels"], **masks)
        return np.ascontiguousarray(found["image"].transpose(2, 0, 1))

    return one_by_one(one)
