"""Properties of the transforms of albumentations, known without importing it; tools/catalog.py writes the data."""

import functools
import json
from pathlib import Path

__all__ = [
    "BENDING", "ERASING", "MAY_DRAW", "NORMALIZING", "PREVIEWS", "READS_BOXES", "REFERRING", "SAME", "SCALING",
    "catalog",
]  # fmt: skip

_REFERENCE = str(Path(__file__).with_name("reference.png"))

# Transforms that hide pixels and move none.
ERASING = (
    "CoarseDropout", "Erasing", "FrequencyMasking", "GridDropout", "PixelDropout",
    "TimeMasking", "XYMasking",
)  # fmt: skip

# Transforms that normalize bytes to floats: augreg's own normalize does that.
NORMALIZING = ("Normalize", "ToFloat")

# Transforms without random draws: if they are always applied, the test side does the same as training.
SAME = (
    "AutoContrast", "Equalize", "HorizontalFlip", "InvertImg", "Normalize", "Pad", "Resize", "TimeReverse", "ToFloat",
    "ToGray", "ToSepia", "Transpose", "VerticalFlip",
)  # fmt: skip

# Transforms that draw only for some values of one argument: the padding position, or one of several sizes.
MAY_DRAW = {
    "CenterCrop": "pad_position",
    "Crop": "pad_position",
    "LongestMaxSize": "max_size",
    "PadIfNeeded": "position",
    "SmallestMaxSize": "max_size",
}

# Transforms whose draws depend on the boxes of the sample. The others do not get the boxes: some would fail.
READS_BOXES = ("AtLeastOneBBoxRandomCrop", "BBoxSafeRandomCrop", "RandomCropNearBBox", "RandomSizedBBoxSafeCrop")

# Transforms that bend the image. Their own keypoints are off by a pixel or more, or get lost.
BENDING = (
    "ElasticTransform", "GridDistortion", "GridElasticDeform", "OpticalDistortion", "PiecewiseAffine",
    "ThinPlateSpline",
)  # fmt: skip

# Transforms that only crop and resize. They multiply the coordinates of keypoints, so that 0 stays 0: in their images
# that is the corner of the first pixel, and not its center.
SCALING = (
    "CropAndPad", "LongestMaxSize", "RandomResizedCrop", "RandomScale", "RandomSizedBBoxSafeCrop", "RandomSizedCrop",
    "Resize", "SmallestMaxSize",
)  # fmt: skip

# Transforms that need other images: the files in `reference_images`.
REFERRING = ("FDA", "HistogramMatching", "PixelDistributionAdaptation")

# Preview arguments for transforms that have required arguments, or whose defaults do nothing.
PREVIEWS = {
    "AdditiveNoise": {"noise_type": "gaussian", "noise_params": None},
    "Affine": {"rotate": [-20, 20], "translate_percent": [-0.1, 0.1]},
    "AtLeastOneBBoxRandomCrop": {"height": 20, "width": 20},
    "CenterCrop": {"height": 40, "width": 20, "pad_if_needed": True, "pad_position": "random"},
    "Crop": {"x_max": 20, "y_max": 40, "pad_if_needed": True, "pad_position": "random"},
    "CropAndPad": {"percent": [-0.1, 0.1]},
    "FDA": {"reference_images": [_REFERENCE]},
    "FrequencyMasking": {"freq_mask_param": 4},
    "GridElasticDeform": {"num_grid_xy": [4, 4], "magnitude": 4},
    "HistogramMatching": {"reference_images": [_REFERENCE]},
    "LongestMaxSize": {"max_size": [24, 32, 40]},
    "Morphological": {"scale": [2, 3], "operation": "erosion"},
    "Pad": {"padding": 4},
    "PadIfNeeded": {"min_height": 40, "min_width": 56, "position": "random"},
    "PiecewiseAffine": {"nb_rows": [2, 3], "nb_cols": [2, 3]},
    "PixelDistributionAdaptation": {"reference_images": [_REFERENCE]},
    "RandomCrop": {"height": 20, "width": 20, "pad_if_needed": True},
    "RandomCropNearBBox": {"max_part_shift": 0.3},
    "RandomGravel": {"gravel_roi": [0, 0, 1, 1], "number_of_patches": 8},
    "RandomResizedCrop": {"size": [24, 24]},
    "RandomSizedBBoxSafeCrop": {"height": 24, "width": 24},
    "RandomSizedCrop": {"min_max_height": [1, 1], "size": [24, 24]},
    "Resize": {"height": 24, "width": 32},
    "SmallestMaxSize": {"max_size": [16, 24, 32]},
    "Superpixels": {"n_segments": [10, 20], "max_size": 32},
    "TimeMasking": {"time_mask_param": 4},
    "XYMasking": {"num_masks_x": 1, "num_masks_y": 1, "mask_x_length": [1, 4], "mask_y_length": [1, 4]},
}  # fmt: skip


@functools.cache
def catalog():
    """For each name: whether it moves pixels, its p, its required arguments, and the others with defaults."""
    return json.loads(Path(__file__).with_name("catalog.json").read_text(encoding="utf-8"))
