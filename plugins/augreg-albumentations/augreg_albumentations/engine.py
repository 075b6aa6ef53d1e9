"""Run transforms of albumentations: one instance per thread, seeded at every call.

The transform gets an image, its masks and its keypoints one after the other, each time with the same seed, size and
boxes. So they all get the same draw.
"""

import contextlib
import functools
import io
import math
import os
import re
import threading
import warnings

import numpy as np
from PIL import Image

from augreg import ImageError
from augreg.images.files import read_file
from augreg_albumentations.catalog import BENDING, READS_BOXES, REFERRING, SCALING
from augreg_albumentations.inverse_displacement import move_points

__all__ = ["MAPPING", "check", "image", "keypoints", "mask", "still_image"]

MAPPING = "mapping:"
"""The first item of a tuple that represents a mapping."""
_MAX_CACHED = 256  # transforms per thread

_cache = threading.local()


_WARNING_FILTER = ("ignore", None, Warning, re.compile(r"(albumentations|albucore|augreg_albumentations)\b"), 0)


@contextlib.contextmanager
def _quiet():
    """Ignore the warnings of albumentations, about slow paths and deprecated names.

    This adds a single filter and removes it again. `warnings.catch_warnings` would leave filters behind when two
    threads overlap, and would hide warnings of other code meanwhile.
    """
    filters = warnings.filters
    filters.insert(0, _WARNING_FILTER)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # other code reset the filters meanwhile
            filters.remove(_WARNING_FILTER)


def _unfreeze(value):
    """Convert frozen values back to tuples and mappings for albumentations."""
    if isinstance(value, tuple) and value[:1] == (MAPPING,):
        return {key: _unfreeze(item) for key, item in value[1:]}
    return tuple(map(_unfreeze, value)) if isinstance(value, tuple) else value


@functools.cache
def _library():
    """Import albumentations without its online version check. Raises ImportError for an unsupported version."""
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    with _quiet():
        import albumentations
    if not albumentations.__version__.startswith("2.0."):
        raise ImportError(
            f"albumentations {albumentations.__version__} is installed, but the plugin needs 2.0: "
            "pip install 'albumentations>=2.0.8,<2.1'"
        )
    return albumentations


def _new(name, arguments):
    library = _library()
    values = {key: _unfreeze(value) for key, value in arguments}
    if name in REFERRING:
        del values["reference_images"]
    with _quiet():
        transform = getattr(library, name)(**values, p=1.0)
        return library.Compose(
            [transform],
            keypoint_params=library.KeypointParams(format="xy", remove_invisible=False, label_fields=["ids"]),
            bbox_params=library.BboxParams(format="pascal_voc", label_fields=[], min_visibility=0.0, clip=True),
        )


@functools.lru_cache(maxsize=1024)
def check(name, arguments):
    """Raise ValueError with the message of albumentations if it refuses these arguments."""
    try:
        _new(name, arguments)
    except ImportError:
        raise
    except Exception as error:  # from pydantic, or from the transform itself
        raise ValueError(f"albumentations refuses {_reason(error)}") from None


def _reason(error):
    """The argument that was refused, and the reason, in one line."""
    chain = (error, error.__cause__, error.__context__)
    validation = next((link for link in chain if hasattr(link, "errors")), None)  # from pydantic
    if validation is None:
        return f"it: {error}".partition("\n")[0]
    first = validation.errors()[0]
    return f"{first['loc'][0] if first['loc'] else 'it'}: {first['msg']}"


def _seeded(name, arguments, seed):
    """The transform of this thread, with all its generators seeded."""
    cached = _cache.__dict__.setdefault("transforms", {})
    transform = cached.get((name, arguments))
    if transform is None:
        if len(cached) >= _MAX_CACHED:
            cached.clear()
        transform = cached[name, arguments] = _new(name, arguments)
    transform.set_random_seed(seed)
    return transform


def _run(name, arguments, seed, boxes, image, **data):
    """Apply the transform with this seed to an image and its targets. Raises ImageError."""
    height, width = image.shape[:2]
    values = dict(arguments)
    data.setdefault("keypoints", np.zeros((0, 2)))
    data.setdefault("ids", [])
    if name == "RandomCropNearBBox":  # the first box of the sample, else the whole image
        x0, y0, x1, y1 = boxes[0] if boxes else (0, 0, width, height)
        data[values["cropping_bbox_key"]] = [math.floor(x0), math.floor(y0), math.ceil(x1), math.ceil(y1)]
    elif name in READS_BOXES:
        data["bboxes"] = np.array(boxes).reshape(-1, 4)
    if name in REFERRING:
        white = 255.0 if image.dtype == np.float32 else 1
        references = [_reference(path) for path in values["reference_images"]]
        data[values["metadata_key"]] = [(reference / white).astype(image.dtype) for reference in references]
    try:
        with _quiet():
            return _seeded(name, arguments, seed)(image=image, **data)
    except Exception as error:  # from OpenCV, NumPy or albumentations
        kind = f"{height}x{width} image of {image.shape[2]} channels of {image.dtype}"
        raise ImageError(f"albumentations.{name} failed on a {kind}: {error}") from error


@functools.lru_cache(maxsize=64)
def _reference(path):
    """Read a reference image as RGB. Raises ImageError if it cannot be read."""
    try:
        with Image.open(io.BytesIO(read_file(path))) as image:
            return np.asarray(image.convert("RGB"))
    except OSError as error:
        raise ImageError(f"{path}: cannot be read as a reference image: {error}") from error


def image(array, name, arguments, seed, boxes=(), normalized=False):
    """The image after the transform, with its dtype unchanged. Floats stay from 0 to 1 unless they are normalized."""
    output = _run(name, arguments, seed, boxes, np.array(array, order="C"))["image"]
    output = output if output.ndim == 3 else output[..., None]
    if array.dtype == np.float32 and not normalized:
        output = np.clip(output, 0.0, 1.0)
    return np.ascontiguousarray(output, array.dtype)


def still_image(array, **draw):
    """Like `image`, for a transform that moves no pixels: the shape is unchanged."""
    return image(array, **draw).reshape(array.shape)  # an axis of length 1 may have been dropped


def mask(array, name, arguments, seed, boxes=(), normalized=False):
    """The mask after the same draw. Wide integers are converted to float32, which is exact up to 2^24."""
    kind = array.dtype
    narrow = np.array(array, np.uint8 if kind.kind == "b" else kind, order="C")
    if narrow.dtype not in (np.uint8, np.float32):
        if np.abs(narrow).max(initial=0) > 1 << 24:
            raise ImageError(f"albumentations.{name} supports mask values up to {1 << 24}; use smaller ones")
        narrow = narrow.astype(np.float32)
    blank = np.zeros((*array.shape[:2], 3), np.uint8)
    output = _run(name, arguments, seed, boxes, blank, mask=narrow)["mask"]
    output = output if output.ndim == 3 else output[..., None]
    return (np.rint(output) if narrow.dtype == np.float32 and kind.kind in "iu" else output).astype(kind)


def keypoints(points, size, name, arguments, seed, boxes=(), normalized=False):
    """Points (x, y) after the same draw. Pixel centers are at .5 in augreg, and at 0 in most of albumentations.

    If a transform bends the image or loses points, the pixel coordinates are transformed like a mask, and the points
    are moved by the displacement that this gives.
    """
    if name not in BENDING:
        blank, center = np.zeros((*size, 3), np.uint8), 0.0 if name in SCALING else 0.5
        output = _run(name, arguments, seed, boxes, blank, keypoints=points - center, ids=list(range(len(points))))
        if len(output["ids"]) == len(points):
            moved = np.asarray(output["keypoints"], np.float64).reshape(-1, 2) + center
            return moved[np.argsort(np.asarray(output["ids"], int))]
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    field = np.stack([x, y, np.ones(size)], axis=2).astype(np.float32)
    arguments = tuple((key, _FOR_COORDINATES.get(key, value)) for key, value in arguments)
    return move_points(mask(field, name, arguments, seed, boxes), points)


_FOR_COORDINATES = {"mask_interpolation": 1, "border_mode": 0, "fill_mask": 0.0}
"""Coordinates are always resampled linearly, with 0 outside the image, whatever the settings for masks."""
