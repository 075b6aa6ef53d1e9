"""The classes of the steps, made from the catalog when they are asked for: `transforms.RandomRain`.

A step draws a word from its own address and hands it on; everything that albumentations draws comes from that word,
at every call anew. So an image is a function of (seed, epoch, index), whatever the number of workers.
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

_WORDS = {bool: "true or false", int: "number", float: "number", str: "text"}


def __getattr__(name):
    if name not in catalog():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    made = globals()[name] = _made(name, catalog()[name])
    return made


def _made(name, entry):
    """The class of a transform: a frozen dataclass with the fields that albumentations has, and its own defaults."""
    moves = entry["moves"] and name not in ERASING
    needed = dict.fromkeys(entry["needs"], "anything")
    offered = {key: _takes(value) for key, value in entry["fields"].items()}
    follow = "follow the pixels" if moves else "stay as they are"
    namespace = {
        "__module__": __name__,
        "__qualname__": name,
        "__doc__": f"Do what albumentations.{name} does, drawn from this sample's own key.\n\n"
        f"The arguments are albumentations' own, and it checks them. Masks, boxes and keypoints {follow}.",
        "__annotations__": {
            key: Annotated[Any, Shorthand(_frozen, takes)] for key, takes in {**needed, **offered}.items()
        },
        **{key: _frozen(value) for key, value in entry["fields"].items()},
        "check": _check,
        "sample": _normalized if name in NORMALIZING else _sample_moving if moves else _sample_still,
    }
    if name in MAY_DRAW:
        namespace["expect"] = _settled
    elif name in _FIXED_SIZE:
        namespace["expect"] = _FIXED_SIZE[name]
    kind = "normalize" if name in NORMALIZING else "geometry" if moves else "erasing" if name in ERASING else "color"
    preview = (PREVIEWS[name],) if name in PREVIEWS else ()
    rule = "same" if name in SAME else "center" if "expect" in namespace else "identity"
    return transform(name, kind=kind, p=entry["p"], rule=rule, preview=preview)(type(name, (), namespace))


def _takes(value):
    if isinstance(value, list):
        return f"list of {len(value)}, or as albumentations takes it"
    return _WORDS.get(type(value), "as albumentations takes it")


def _frozen(value):
    """Plain data that can be hashed: lists as tuples, a mapping as a tuple of pairs behind a word."""
    if isinstance(value, dict):
        return (engine.MAPPING, *((key, _frozen(item)) for key, item in value.items()))
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value


def _check(self):
    """Let albumentations look at the arguments; ValueError with its words."""
    name = type(self).__name__
    if name in ERASING and getattr(self, "fill_mask", None) is not None:
        raise ValueError("fill_mask: masks are left as they are here; leave it out")
    if name in REFERRING and not self.reference_images:
        raise ValueError("reference_images: give the paths of one or more images, e.g. [reference.png]")
    engine.check(name, _arguments(self))
    if name == "Normalize" and self.normalization != "standard":
        raise ValueError(f"normalization: only 'standard' can be merged into a plan, got {self.normalization!r}")
    if name in NORMALIZING and getattr(self, "max_pixel_value", getattr(self, "max_value", None)) not in (None, 255):
        raise ValueError("white is 255 for bytes and 1 for floats; leave the largest value out")
    if name == "ToGray" and self.num_output_channels != 3:
        given = self.num_output_channels
        raise ValueError(f"num_output_channels: an image keeps its channels, so only 3 is taken, got {given!r}")


def _arguments(self):
    return tuple((field.name, getattr(self, field.name)) for field in fields(self))


def _draws(self):
    """Whether these arguments leave something to draw."""
    name = type(self).__name__
    value = getattr(self, MAY_DRAW.get(name, ""), None)
    return name not in SAME and (name not in MAY_DRAW or value == "random" or isinstance(value, tuple))


def _sample_still(self, rng, scene):
    seed = rng.bits() >> 1 if _draws(self) else 0
    return _call(engine.still_image, type(self).__name__, _arguments(self), seed, scene, size=scene.size)


def _sample_moving(self, rng, scene):
    name = type(self).__name__
    seed = rng.bits() >> 1 if _draws(self) else 0
    size = _size(self) if name in _FIXED_SIZE else None
    return _moving(name, _arguments(self), seed, scene, size)


def _moving(name, arguments, seed, scene, size=None):
    how = {"geometry": True, "mask": engine.mask, "keypoints": engine.keypoints}
    return _call(engine.image, name, arguments, seed, scene, size, **how)


def _call(function, name, arguments, seed, scene, size, **how):
    boxes = scene.boxes if name in READS_BOXES else ()
    draw = {"name": name, "arguments": arguments, "seed": seed, "boxes": boxes}
    return replace(ops.call(function, draw, size=size, **how), label=f"albumentations.{name}")


def _size(self):
    """The size that it leaves, whatever it draws."""
    height, width = self.size if hasattr(self, "size") else (self.height, self.width)
    return int(height), int(width)


# The test side of what draws, and must come out in the size that training has.


def _settled(self, scene, p):
    """The same with the middle of several sizes, or with as much padding on either side."""
    if p < 1.0:
        return ()
    name = type(self).__name__
    arguments = dict(_arguments(self))
    value = arguments[MAY_DRAW[name]]
    if _draws(self):
        arguments[MAY_DRAW[name]] = sorted(value)[len(value) // 2] if isinstance(value, tuple) else "center"
    return _moving(name, tuple(arguments.items()), 0, scene)


def _center_crop(self, scene, p):
    """The center, padded as in training where the image is too small, and evenly where training draws the place."""
    arguments = dict(_arguments(self))
    arguments.pop("erosion_factor", None)
    if arguments.get("pad_position") == "random":
        arguments["pad_position"] = "center"
    return _moving("CenterCrop", tuple(arguments.items()), 0, scene, _size(self))


def _whole(self, scene, p):
    """The whole image, which has all boxes."""
    return ops.resize(*_size(self))


def _inception_crop(self, scene, p):
    """As augreg's own: the shorter side at size / 0.875, and the center of it."""
    return geometry.RandomResizedCrop(_size(self)).expect(scene, p)


def _middle_crop(self, scene, p):
    """The center, at the mean of the heights that training draws, as far as the image has them."""
    height = min(scene.height, round(sum(self.min_max_height) / 2))
    width = max(1, min(scene.width, int(height * self.w2h_ratio)))
    top, left = (scene.height - height) // 2, (scene.width - width) // 2
    return ops.crop(top, left, height, width), ops.resize(*_size(self))


_FIXED_SIZE = {
    "AtLeastOneBBoxRandomCrop": _center_crop,
    "RandomCrop": _center_crop,
    "RandomResizedCrop": _inception_crop,
    "RandomSizedBBoxSafeCrop": _whole,
    "RandomSizedCrop": _middle_crop,
}
"""What leaves one size, whatever it draws, and what is done in its place at test time, to the same size."""


def _normalized(self, rng, scene):
    mean, std = getattr(self, "mean", (0.0,)), getattr(self, "std", (1.0,))
    return ops.Normalize(_levels(mean), _levels(std), label="normalize")


def _levels(given):
    return tuple(map(float, given)) if isinstance(given, tuple) else (float(given),)
