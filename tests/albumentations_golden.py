"""Makes tests/data/albumentations.json: pipelines of albumentations as dicts, and what some of them do to an image.

Run once with albumentations 2.0.8 (it is no dependency): python tests/albumentations_golden.py
"""

from __future__ import annotations

import json
from pathlib import Path

import albumentations as A  # noqa: N812 - as its own documentation calls it
import numpy as np

HERE = Path(__file__).parent / "data"


def compose(*transforms: A.BasicTransform, **more: object) -> dict:
    return A.to_dict(A.Compose(list(transforms), **more))


def fixed() -> dict:
    """Pipelines in which nothing is left to chance, by name."""
    return {
        "rotate": A.Rotate(limit=(30, 30), p=1),
        "turn": A.Affine(rotate=(20, 20), p=1),
        "shear x": A.Affine(shear={"x": (15, 15), "y": (0, 0)}, p=1),
        "shear y": A.Affine(shear={"x": (0, 0), "y": (15, 15)}, p=1),
        "scale": A.Affine(scale=(1.3, 1.3), keep_ratio=True, p=1),
        "rotate edge": A.Rotate(limit=(37, 37), border_mode=1, p=1),
        "rotate symmetric": A.Rotate(limit=(37, 37), border_mode=2, p=1),
        "rotate wrap": A.Rotate(limit=(37, 37), border_mode=3, p=1),
        "shrink reflect": A.Affine(scale=(0.3, 0.3), keep_ratio=True, border_mode=4, p=1),
        "shift scale rotate": A.ShiftScaleRotate(
            shift_limit=(0, 0), scale_limit=(0.2, 0.2), rotate_limit=(25, 25), p=1
        ),
        "brightness": A.ColorJitter((1.3, 1.3), (1, 1), (1, 1), (0, 0), p=1),
        "contrast": A.ColorJitter((1, 1), (0.4, 0.4), (1, 1), (0, 0), p=1),
        "saturation": A.ColorJitter((1, 1), (1, 1), (0.4, 0.4), (0, 0), p=1),
        "hue": A.ColorJitter((1, 1), (1, 1), (1, 1), (0.2, 0.2), p=1),
        "hue in steps": A.HueSaturationValue((30, 30), (0, 0), (0, 0), p=1),
        "factor": A.RandomBrightnessContrast((0, 0), (0.3, 0.3), p=1),
        "added": A.RandomBrightnessContrast((-0.17, -0.17), (0.3, 0.3), p=1),
        "added of the mean": A.RandomBrightnessContrast((0.35, 0.35), (-0.4, -0.4), brightness_by_max=False, p=1),
        "pad to a size": A.PadIfNeeded(33, 50, fill=(7, 8, 9)),
        "pad to a divisor": A.PadIfNeeded(None, None, 32, 32, position="bottom_left", border_mode=1),
        "pad to both": A.PadIfNeeded(61, None, None, 32, position="top_right", border_mode=3),
        "pad wrap": A.Pad(padding=(3, 5, 2, 45), border_mode=3),
        "solarize": A.Solarize(threshold_range=(0.4, 0.4), p=1),
        "posterize": A.Posterize(num_bits=(3, 3), p=1),
        "gray": A.ToGray(p=1),
        "auto contrast": A.AutoContrast(method="pil", p=1),
        "median": A.MedianBlur(blur_limit=(5, 5), p=1),
        "motion": A.MotionBlur(
            blur_limit=(9, 9), angle_range=(40, 40), direction_range=(0, 0), allow_shifted=False, p=1
        ),
        "blur of a size": A.GaussianBlur(blur_limit=(5, 5), sigma_limit=(1.7, 1.7), p=1),
        "box blur": A.Blur(blur_limit=(5, 5), p=1),
        "sharpen": A.Sharpen(alpha=(0.4, 0.4), lightness=(0.7, 0.7), p=1),
        "emboss": A.Emboss(alpha=(0.6, 0.6), strength=(0.5, 0.5), p=1),
        "motion forward": A.MotionBlur(
            blur_limit=(9, 9), angle_range=(40, 40), direction_range=(1, 1), allow_shifted=False, p=1
        ),
        "motion backward": A.MotionBlur(
            blur_limit=(11, 11), angle_range=(90, 90), direction_range=(-0.5, -0.5), allow_shifted=False, p=1
        ),
        "hue, saturation and value": A.HueSaturationValue((11, 11), (-40, -40), (25, 25), p=1),
        "transpose": A.Transpose(p=1),
        "scale by a factor": A.RandomScale(scale_limit=(0.37, 0.37), p=1),
        "crop of a box": A.Crop(5, 3, 31, 20),
        "downscale nearest": A.Downscale(scale_range=(0.5, 0.5), p=1),
        "downscale": A.Downscale((0.3, 0.3), {"upscale": 2, "downscale": 1}, p=1),
        "defocus": A.Defocus(radius=(4, 4), alias_blur=(0.5, 0.5), p=1),
        "resize": A.Resize(21, 17),
        "resize nearest": A.Resize(21, 57, interpolation=0),
        "longest": A.LongestMaxSize(max_size=20),
        "crop": A.CenterCrop(20, 18),
        "pad": A.Pad(padding=(3, 5, 7, 9), fill=9),
        "pad reflect": A.Pad(padding=(3, 5), border_mode=4),
        "pad symmetric": A.Pad(padding=(3, 5), border_mode=2),
        "gamma": A.RandomGamma((150, 150), p=1),
        "shift": A.RGBShift((20, 20), (20, 20), (20, 20), p=1),
    }


def made() -> np.ndarray:
    """An image that is smooth, and nowhere symmetric."""
    y, x = np.mgrid[0:30, 0:40].astype(np.float64)
    planes = (3 * x + y * y / 6, 250 - 5 * y + x * x / 30, 128 + 100 * np.sin(x / 7 + y / 5))
    return np.clip(np.stack(planes, axis=2), 0, 255).astype(np.uint8)


def main() -> None:
    pipelines = {
        "classification": compose(
            A.RandomResizedCrop(size=(224, 192), scale=(0.2, 1.0)),
            A.HorizontalFlip(p=0.3),
            A.Rotate(limit=(-20, 40), p=0.7, fill=(1, 2, 3)),
            A.ColorJitter(brightness=0.4, contrast=0.3, saturation=0.2, hue=0.1, p=0.8),
            A.Normalize(mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4)),
        ),
        "choices": compose(
            A.OneOf([A.GaussianBlur(sigma_limit=(0.5, 2.0), p=0.2), A.MedianBlur(blur_limit=(3, 5), p=0.6)], p=0.9),
            A.SomeOf([A.InvertImg(p=0.4), A.VerticalFlip(p=1.0), A.Posterize(num_bits=(3, 5), p=1.0)], n=2),
            A.Sequential([A.ToGray(p=0.1), A.D4()], p=0.25),
            A.OneOrOther(A.HorizontalFlip(), A.VerticalFlip(), p=0.7),
        ),
        "detection": compose(
            A.LongestMaxSize(max_size=64),
            A.Affine(
                scale=(0.9, 1.1),
                translate_percent={"x": (-0.1, 0.1), "y": (-0.2, 0.2)},
                rotate=(-10, 20),
                shear={"x": (-3, 5), "y": (0, 0)},
                keep_ratio=True,
                p=1.0,
            ),
            A.HorizontalFlip(),
            bbox_params=A.BboxParams(format="coco", label_fields=["classes"], min_visibility=0.3, min_area=4),
            keypoint_params=A.KeypointParams(format="xy"),
        ),
        "cannot": compose(
            A.GlassBlur(p=0.2),
            A.Rotate(limit=10, border_mode=4),
            A.Equalize(by_channels=False, mode="pil"),
            A.RandomBrightnessContrast(p=0.4),
            A.CoarseDropout(),
            A.HorizontalFlip(p=0.5),
        ),
        "defaults": [
            A.to_dict(t)
            for t in (
                A.HorizontalFlip(),
                A.VerticalFlip(),
                A.D4(),
                A.RandomRotate90(),
                A.RandomCrop(8, 9),
                A.CenterCrop(8, 9),
                A.Transpose(),
                A.RandomScale(),
                A.Crop(1, 2, 8, 9),
                A.RandomSizedCrop(min_max_height=(4, 9), size=(8, 9)),
                A.BBoxSafeRandomCrop(),
                A.RandomSizedBBoxSafeCrop(8, 9),
                A.RandomResizedCrop(size=(8, 9)),
                A.Resize(8, 9),
                A.SmallestMaxSize(max_size=8),
                A.LongestMaxSize(max_size=8),
                A.Pad(padding=(1, 2)),
                A.PadIfNeeded(),
                A.Rotate(),
                A.Affine(),
                A.ShiftScaleRotate(),
                A.RandomBrightnessContrast(),
                A.ColorJitter(),
                A.HueSaturationValue(),
                A.ToGray(),
                A.InvertImg(),
                A.Posterize(),
                A.Solarize(),
                A.Equalize(),
                A.AutoContrast(),
                A.GaussianBlur(),
                A.GaussianBlur(blur_limit=(3, 6)),
                A.Blur(),
                A.Defocus(),
                A.Sharpen(),
                A.Emboss(),
                A.MotionBlur(),
                A.MedianBlur(),
                A.Normalize(),
                A.ToFloat(),
                A.CoarseDropout(num_holes_range=(2, 2), hole_height_range=(8, 8), hole_width_range=(8, 8)),
                A.Erasing(),
                A.PixelDropout(),
                A.ElasticTransform(),
                A.Perspective(),
                A.GridDistortion(),
                A.GaussNoise(),
                A.ImageCompression(),
                A.Downscale(),
                A.CLAHE(),
                A.RandomGamma(),
                A.RGBShift(),
                A.ChannelShuffle(),
                A.ChannelDropout(),
                A.NoOp(),
            )
        ],
        "fixed": {name: A.to_dict(step) for name, step in fixed().items()},
    }
    (HERE / "albumentations.json").write_text(json.dumps(pipelines, indent=1, sort_keys=True) + "\n")
    images = {name: A.Compose([step])(image=made())["image"] for name, step in fixed().items()}
    np.savez_compressed(HERE / "albumentations.npz", image=made(), **images)


if __name__ == "__main__":
    main()
