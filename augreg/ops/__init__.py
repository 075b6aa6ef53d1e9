"""The ops: frozen records that say, with concrete numbers, what is to be done to an image.

A transform's `sample` returns ops and a backend runs them; neither knows the other. Ops are the result of a draw:
they print, pickle, compare and replay. They have plain data only and touch no pixel, so this package needs no array
library. Functions such as `rotate(scene, degrees)` make ops from everyday parameters; the records, such as `Warp`,
are what the planner and the backends read.

Coordinates are (y, x) from the top left; sizes are (height, width). Pixel values are 0 to 255 in byte images, 0 to 1
in float images, and anything once an image is normalized.
"""

from __future__ import annotations

from augreg.ops.color import (
    ColorMatrix,
    Enhance,
    Hue,
    ImageStatistic,
    LocalContrast,
    Lookup,
    Normalize,
    PointFunction,
    drop_channels,
    enhance,
    hue,
    image_statistic,
    local_contrast,
    permute_channels,
    point_function,
    shift_channels,
)
from augreg.ops.composite import BranchMix, FunctionCall, call
from augreg.ops.erasing import Paint, noise_box, paint
from augreg.ops.geometry import (
    Move,
    Pad,
    Remap,
    Resize,
    Warp,
    affine,
    crop,
    elastic,
    grid,
    horizontal_flip,
    lens,
    pad,
    perspective,
    quarter_turns,
    resize,
    rotate,
    shear,
    translate,
    vertical_flip,
)
from augreg.ops.noise import Encode, Filter, Noise, gaussian_blur, jpeg, median_blur, motion_blur, noise
from augreg.ops.op import Interpolation, Op, PadMode
from augreg.ops.scene import PixelValues, Scene

__all__ = [
    "BranchMix",
    "ColorMatrix",
    "Encode",
    "Enhance",
    "Filter",
    "FunctionCall",
    "Hue",
    "ImageStatistic",
    "Interpolation",
    "LocalContrast",
    "Lookup",
    "Move",
    "Noise",
    "Normalize",
    "Op",
    "Pad",
    "PadMode",
    "Paint",
    "PixelValues",
    "PointFunction",
    "Remap",
    "Resize",
    "Scene",
    "Warp",
    "affine",
    "call",
    "crop",
    "drop_channels",
    "elastic",
    "enhance",
    "gaussian_blur",
    "grid",
    "horizontal_flip",
    "hue",
    "image_statistic",
    "jpeg",
    "lens",
    "local_contrast",
    "median_blur",
    "motion_blur",
    "noise",
    "noise_box",
    "pad",
    "paint",
    "permute_channels",
    "perspective",
    "point_function",
    "quarter_turns",
    "resize",
    "rotate",
    "shear",
    "shift_channels",
    "translate",
    "vertical_flip",
]
