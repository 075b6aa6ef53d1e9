"""The classes of the steps, created from the catalog on first access: `transforms.RandomRain`.

A step draws a seed from its own address, and albumentations is seeded with it at every call. So an image is a
function of (seed, epoch, index), whatever the number of workers.
"""

from dataclasses import fields
from typing import Annotated, Any

from msgspec.structs import replace

from augreg import ops, transform
from augreg.steps.fields import Shorthand
from augreg.transforms import geometry
from augreg_albumentations import engine
from augreg_albumentations.catalog import (
    ERASING,
    MAY_DRAW,
    NORMALIZING,
    PREVIEWS,
    READS_BOXES,
    REFERRING,
    SAME,
    catalog,
)

_TYPES = {bool: "true or false", int: "number", float: "number", str: "text"}


def __getattr__(name):
    if name not in catalog():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    cls = globals()[name] = _make(name, catalog()[name])
    return cls


def _make(name, entry):
    """The class of a transform: a frozen dataclass with the arguments and the defaults of albumentations."""
    moves = entry["moves"] and name not in ERASING
    required = dict.fromkeys(entry["needs"], "anything")
    optional = {key: _takes(value) for key, value in entry["fields"].items()}
    effect = "follow the pixels" if moves else "stay unchanged"
    namespace = {
        "__module__": __name__,
        "__qualname__": name,
        "__doc__": f"Apply albumentations.{name}, seeded by the key of the sample.\n\n"
        f"albumentations defines and checks the arguments. Masks, boxes and keypoints {effect}.",
        "__annotations__": {
            key: Annotated[Any, Shorthand(_freeze, takes)] for key, takes in {**required, **optional}.items()
        },
        **{key: _freeze(value) for key, value in entry["fields"].items()},
        "check": _check,
        "sample": _normalized if name in NORMALIZING else _sample_moving if moves else _sample_in_place,
    }
    if name in MAY_DRAW:
        namespace["expect"] = _expect_deterministic
    elif name in _FIXED_SIZE:
        namespace["expect"] = _FIXED_SIZE[name]
    kind = "normalize" if name in NORMALIZING else "geometry" if moves else "erasing" if name in ERASING else "color"
    preview = (PREVIEWS[name],) if name in PREVIEWS else ()
    rule = "same" if name in SAME else "center" if "expect" in namespace else "identity"
    return transform(name, kind=kind, p=entry["p"], rule=rule, preview=preview)(type(name, (), namespace))


def _takes(value):
    if isinstance(value, list):
        return f"list of {len(value)}, or as in albumentations"
    return _TYPES.get(type(value), "as in albumentations")


def _freeze(value):
    """Convert to hashable data: lists to tuples, a mapping to a tuple of a marker and pairs."""
    if isinstance(value, dict):
        return (engine.MAPPING, *((key, _freeze(item)) for key, item in value.items()))
    return tuple(map(_freeze, value)) if isinstance(value, list | tuple) else value


def _check(self):
    """Check the arguments with albumentations. Raises ValueError with its message."""
    name = type(self).__name__
    if name in ERASING and getattr(self, "fill_mask", None) is not None:
        raise ValueError("fill_mask: masks stay unchanged here; leave it out")
    if name in REFERRING and not self.reference_images:
        raise ValueError("reference_images: give the paths of one or more images, e.g. [reference.png]")
    engine.check(name, _arguments(self))
    if name == "Normalize" and self.normalization != "standard":
        raise ValueError(f"normalization: only 'standard' can be merged into a plan, got {self.normalization!r}")
    if name in NORMALIZING and getattr(self, "max_pixel_value", getattr(self, "max_value", None)) not in (None, 255):
        raise ValueError("white is always 255 for bytes and 1 for floats; leave the maximum value out")
    if name == "ToGray" and self.num_output_channels != 3:
        count = self.num_output_channels
        raise ValueError(f"num_output_channels: an image keeps its channels, so only 3 is supported, got {count!r}")


def _arguments(self):
    return tuple((field.name, getattr(self, field.name)) for field in fields(self))


def _is_random(self):
    """Whether there are random draws with these arguments."""
    name = type(self).__name__
    value = getattr(self, MAY_DRAW.get(name, ""), None)
    return name not in SAME and (name not in MAY_DRAW or value == "random" or isinstance(value, tuple))


def _sample_in_place(self, rng, scene):
    seed = rng.bits() >> 1 if _is_random(self) else 0
    return _call(engine.still_image, type(self).__name__, _arguments(self), seed, scene, size=scene.size)


def _sample_moving(self, rng, scene):
    name = type(self).__name__
    seed = rng.bits() >> 1 if _is_random(self) else 0
    size = _size(self) if name in _FIXED_SIZE else None
    return _moving(name, _arguments(self), seed, scene, size)


def _moving(name, arguments, seed, scene, size=None):
    functions = {"geometry": True, "mask": engine.mask, "keypoints": engine.keypoints}
    return _call(engine.image, name, arguments, seed, scene, size, **functions)


def _call(function, name, arguments, seed, scene, size, **functions):
    boxes = scene.boxes if name in READS_BOXES else ()
    draw = {"name": name, "arguments": arguments, "seed": seed, "boxes": boxes}
    if scene.normalized:  # values are no longer from 0 to 1
        draw["normalized"] = True
    return replace(ops.call(function, draw, size=size, **functions), label=f"albumentations.{name}")


def _size(self):
    """The output size, which does not depend on the draws."""
    height, width = self.size if hasattr(self, "size") else (self.height, self.width)
    return int(height), int(width)


# Test-time versions of transforms with random draws whose output size must be that of training.


def _expect_deterministic(self, scene, p):
    """The same transform, with the middle one of several sizes, or with equal padding on both sides."""
    if p < 1.0:
        return ()
    name = type(self).__name__
    arguments = dict(_arguments(self))
    value = arguments[MAY_DRAW[name]]
    if _is_random(self):
        arguments[MAY_DRAW[name]] = sorted(value)[len(value) // 2] if isinstance(value, tuple) else "center"
    return _moving(name, tuple(arguments.items()), 0, scene)


def _center_crop(self, scene, p):
    """A center crop. A small image is padded as in training; evenly if training draws the padding position."""
    arguments = dict(_arguments(self))
    arguments.pop("erosion_factor", None)
    if arguments.get("pad_position") == "random":
        arguments["pad_position"] = "center"
    return _moving("CenterCrop", tuple(arguments.items()), 0, scene, _size(self))


def _resize_all(self, scene, p):
    """The whole image, resized, so that all boxes are in it."""
    return ops.resize(*_size(self))


def _inception_crop(self, scene, p):
    """As in augreg's random_resized_crop: resize the shorter side to size / 0.875, and crop the center."""
    return geometry.RandomResizedCrop(_size(self)).expect(scene, p)


def _mean_height_crop(self, scene, p):
    """A center crop whose height is the mean of the heights that training draws, limited by the image."""
    height = min(scene.height, round(sum(self.min_max_height) / 2))
    width = max(1, min(scene.width, int(height * self.w2h_ratio)))
    top, left = (scene.height - height) // 2, (scene.width - width) // 2
    return ops.crop(top, left, height, width), ops.resize(*_size(self))


_FIXED_SIZE = {
    "AtLeastOneBBoxRandomCrop": _center_crop,
    "RandomCrop": _center_crop,
    "RandomResizedCrop": _inception_crop,
    "RandomSizedBBoxSafeCrop": _resize_all,
    "RandomSizedCrop": _mean_height_crop,
}
"""Crops with a fixed output size, and their test-time versions, which have the same output size."""


def _normalized(self, rng, scene):
    mean, std = getattr(self, "mean", (0.0,)), getattr(self, "std", (1.0,))
    return ops.Normalize(_per_channel(mean), _per_channel(std), label="normalize")


def _per_channel(value):
    return tuple(map(float, value)) if isinstance(value, tuple) else (float(value),)
