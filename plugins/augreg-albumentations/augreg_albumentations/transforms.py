"""The classes of the steps, made from the catalogue when they are asked for: `transforms.RandomRain`.

A step draws a word from its own address and hands it on; everything that albumentations draws comes from that word,
at every call anew. So a picture is a function of (seed, epoch, index), whatever the number of workers.
"""

from dataclasses import fields
from typing import Annotated, Any

from augreg import ops, transform
from augreg.fields import Short
from augreg_albumentations import engine
from augreg_albumentations.catalogue import ERASING, NORMALIZING, PREVIEWS, REFERRING, SAME, catalogue

_WORDS = {bool: "true or false", int: "number", float: "number", str: "text"}


def __getattr__(name):
    if name not in catalogue():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    made = globals()[name] = _made(name, catalogue()[name])
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
            key: Annotated[Any, Short(_frozen, takes)] for key, takes in {**needed, **offered}.items()
        },
        **{key: _frozen(value) for key, value in entry["fields"].items()},
        "check": _check,
        "sample": _normalized if name in NORMALIZING else _sample_moving if moves else _sample_still,
    }
    kind = "normalize" if name in NORMALIZING else "geometry" if moves else "erasing" if name in ERASING else "color"
    preview = (PREVIEWS[name],) if name in PREVIEWS else ()
    rule = "same" if name in SAME else "identity"
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
        raise ValueError("reference_images: give the paths of one or more pictures, e.g. [reference.png]")
    engine.check(name, _arguments(self))
    if name == "Normalize" and self.normalization != "standard":
        raise ValueError(f"normalization: only 'standard' can be merged into a plan, got {self.normalization!r}")
    if name in NORMALIZING and getattr(self, "max_pixel_value", getattr(self, "max_value", None)) not in (None, 255):
        raise ValueError("white is 255 for bytes and 1 for floats; leave the largest value out")


def _arguments(self):
    return tuple((field.name, getattr(self, field.name)) for field in fields(self))


def _params(self, rng, scene, moves):
    name = type(self).__name__
    still = name in SAME and not isinstance(getattr(self, "max_size", None), tuple)
    seed = 0 if still and getattr(self, "position", "") != "random" else rng.bits() >> 1
    return {"name": name, "arguments": _arguments(self), "seed": seed, "boxes": scene.boxes, "moves": moves}


def _sample_still(self, rng, scene):
    return ops.call(engine.picture, _params(self, rng, scene, False), size=scene.size)


def _sample_moving(self, rng, scene):
    return ops.call(
        engine.picture,
        _params(self, rng, scene, True),
        geometry=True,
        mask=engine.mask,
        keypoints=engine.keypoints,
    )


def _normalized(self, rng, scene):
    mean, std = getattr(self, "mean", (0.0,)), getattr(self, "std", (1.0,))
    return ops.Normalize(_levels(mean), _levels(std), label="normalize")


def _levels(given):
    return tuple(map(float, given)) if isinstance(given, tuple) else (float(given),)
