"""Runs albumentations' transforms: one of each in every thread, reseeded at every call.

An image, its masks and its keypoints are given to the transform one after the other, each time with the same seed,
the same size and the same boxes: so they get the same draw.
"""

import contextlib
import functools
import math
import os
import re
import threading
import warnings

import numpy as np
from PIL import Image

from augreg import ImageError
from augreg_albumentations.catalog import BENDING, READS_BOXES, REFERRING
from augreg_albumentations.landing import landed

__all__ = ["MAPPING", "check", "image", "keypoints", "mask", "still_image"]

MAPPING = "mapping:"
"""The first member of a tuple that stands for a mapping."""
_MOST = 256  # transforms that a thread keeps

_kept = threading.local()


_ITS_WARNINGS = ("ignore", None, Warning, re.compile(r"(albumentations|albucore|augreg_albumentations)\b"), 0)


@contextlib.contextmanager
def _quiet():
    """albumentations' warnings are not turned loose: of slow ways, and of old names for newer ones.

    One entry, put in and taken out: `warnings.catch_warnings` would leave its filters behind where two threads
    overlap, and would hide what others have to say meanwhile.
    """
    filters = warnings.filters
    filters.insert(0, _ITS_WARNINGS)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # somebody reset the filters meanwhile
            filters.remove(_ITS_WARNINGS)


def _thawed(value):
    """Lists and mappings again, as albumentations takes them."""
    if isinstance(value, tuple) and value[:1] == (MAPPING,):
        return {key: _thawed(item) for key, item in value[1:]}
    return tuple(map(_thawed, value)) if isinstance(value, tuple) else value


@functools.cache
def _library():
    """albumentations, imported without asking the network for a newer version. Raises ImportError for another one."""
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    with _quiet():
        import albumentations
    if not albumentations.__version__.startswith("2.0."):
        raise ImportError(
            f"this is albumentations {albumentations.__version__}, and the plugin is for 2.0: "
            "pip install 'albumentations>=2.0.8,<2.1'"
        )
    return albumentations


def _new(name, arguments):
    library = _library()
    given = {key: _thawed(value) for key, value in arguments}
    if name in REFERRING:
        del given["reference_images"]
    with _quiet():
        made = getattr(library, name)(**given, p=1.0)
        return library.Compose(
            [made],
            keypoint_params=library.KeypointParams(format="xy", remove_invisible=False, label_fields=["ids"]),
            bbox_params=library.BboxParams(format="pascal_voc", label_fields=[], min_visibility=0.0, clip=True),
        )


@functools.lru_cache(maxsize=1024)
def check(name, arguments):
    """Raise ValueError with albumentations' words if it does not take these arguments."""
    try:
        _new(name, arguments)
    except ImportError:
        raise
    except Exception as error:  # pydantic's, and whatever the transforms raise themselves
        raise ValueError(f"albumentations refuses {_reason(error)}") from None


def _reason(error):
    """Which argument, and why, in one line."""
    chain = (error, error.__cause__, error.__context__)
    checked = next((one for one in chain if hasattr(one, "errors")), None)  # pydantic's
    if checked is None:
        return f"it: {error}".partition("\n")[0]
    said = checked.errors()[0]
    return f"{said['loc'][0] if said['loc'] else 'it'}: {said['msg']}"


def _seeded(name, arguments, seed):
    """This thread's own transform, with every generator that it has seeded."""
    kept = _kept.__dict__.setdefault("transforms", {})
    found = kept.get((name, arguments))
    if found is None:
        if len(kept) >= _MOST:
            kept.clear()
        found = kept[name, arguments] = _new(name, arguments)
    found.set_random_seed(seed)
    return found


def _run(name, arguments, seed, boxes, image, **data):
    """What the transform makes of an image and its targets, drawn from this seed. Raises ImageError."""
    height, width = image.shape[:2]
    given = dict(arguments)
    data.setdefault("keypoints", np.zeros((0, 2)))
    data.setdefault("ids", [])
    if name == "RandomCropNearBBox":  # the first box of the sample, or the whole image
        x0, y0, x1, y1 = boxes[0] if boxes else (0, 0, width, height)
        data[given["cropping_bbox_key"]] = [math.floor(x0), math.floor(y0), math.ceil(x1), math.ceil(y1)]
    elif name in READS_BOXES:
        data["bboxes"] = np.array(boxes).reshape(-1, 4)
    if name in REFERRING:
        white = 255.0 if image.dtype == np.float32 else 1
        references = [_reference(path) for path in given["reference_images"]]
        data[given["metadata_key"]] = [(reference / white).astype(image.dtype) for reference in references]
    try:
        with _quiet():
            return _seeded(name, arguments, seed)(image=image, **data)
    except Exception as error:  # OpenCV's, NumPy's, its own
        kind = f"{height}x{width} image of {image.shape[2]} channels of {image.dtype}"
        raise ImageError(f"albumentations.{name} failed on a {kind}: {error}") from error


@functools.lru_cache(maxsize=64)
def _reference(path):
    """An image that others are made to look like. Raises ImageError where it cannot be read."""
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except OSError as error:
        raise ImageError(f"{path}: cannot be read as a reference image: {error}") from error


def image(array, name, arguments, seed, boxes=()):
    """The image after the transform, in the dtype that it came with."""
    found = _run(name, arguments, seed, boxes, np.array(array, order="C"))["image"]
    found = found if found.ndim == 3 else found[..., None]
    if array.dtype == np.float32:
        found = np.clip(found, 0.0, 1.0)
    return np.ascontiguousarray(found, array.dtype)


def still_image(array, **draw):
    """The same for a transform that moves nothing: the size and the channels are those that it came with."""
    return image(array, **draw).reshape(array.shape)  # a side of one pixel may have been dropped


def mask(array, name, arguments, seed, boxes=()):
    """The mask where the same draw takes it; wide integers go through 32-bit floats, which hold them up to 2^24."""
    kind = array.dtype
    narrow = np.array(array, np.uint8 if kind.kind == "b" else kind, order="C")
    if narrow.dtype not in (np.uint8, np.float32):
        if np.abs(narrow).max(initial=0) > 1 << 24:
            raise ImageError(f"albumentations.{name} holds mask values up to {1 << 24}; give smaller ones")
        narrow = narrow.astype(np.float32)
    blank = np.zeros((*array.shape[:2], 3), np.uint8)
    found = _run(name, arguments, seed, boxes, blank, mask=narrow)["mask"]
    found = found if found.ndim == 3 else found[..., None]
    return (np.rint(found) if narrow.dtype == np.float32 and kind.kind in "iu" else found).astype(kind)


def keypoints(points, size, name, arguments, seed, boxes=()):
    """Where the same draw takes points (x, y); pixel centers are at .5 here, and at 0 in albumentations.

    Where a transform bends the image, or forgets points, the image's own coordinates go through it as a mask
    does, and a point is where its coordinates are found.
    """
    if name not in BENDING:
        blank = np.zeros((*size, 3), np.uint8)
        found = _run(name, arguments, seed, boxes, blank, keypoints=points - 0.5, ids=list(range(len(points))))
        if len(found["ids"]) == len(points):
            moved = np.asarray(found["keypoints"], np.float64).reshape(-1, 2) + 0.5
            return moved[np.argsort(np.asarray(found["ids"], int))]
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    field = np.stack([x, y, np.ones(size)], axis=2).astype(np.float32)
    arguments = tuple((key, _FOR_COORDINATES.get(key, value)) for key, value in arguments)
    return landed(mask(field, name, arguments, seed, boxes), points)


_FOR_COORDINATES = {"mask_interpolation": 1, "border_mode": 0, "fill_mask": 0.0}
"""How coordinates are resampled, whatever is done to masks: linear, with nothing beyond the border."""
