"""What to write instead: for specs whose steps, sections or arguments are in another place than they should be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, Final

from augreg.errors import PluginError, SpecError
from augreg.registry.registry import Registry
from augreg.steps import describe, other_names
from augreg.steps.fields import convert_one, hints, nearest, required
from augreg.steps.step import build
from augreg.steps.suggestions import code, plain_name, readings

__all__ = [
    "for_keys",
    "for_object",
    "for_option",
    "for_section",
    "for_single_value",
    "for_steps",
    "with_single_value",
    "with_size",
]

_SIDES = (
    "; one spec makes both sides, pipe.train and pipe.test: give the steps once, under 'image'; `test:` of a step "
    "says what it does in testing"
)
_OPTIONS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("transforms", "transform", "augmentations", "augmentation", "pipeline", "steps"), "image"),
    **dict.fromkeys(("preprocessing", "compose", "ops", "policy"), "image"),
    **dict.fromkeys(("mixing", "mix", "batchtransforms"), "batch"),
    **dict.fromkeys(("regularization", "regularizers", "regularizer", "layers", "network"), "model"),
    **dict.fromkeys(("criterion", "losses", "penalties"), "loss"),
    **dict.fromkeys(("bboxparams", "keypointparams", "additionaltargets", "boxes", "keypoints", "masks"), "targets"),
    **dict.fromkeys(("multiview", "multicrop", "multicrops", "crops", "namedviews"), "views"),
    **dict.fromkeys(("numclasses", "nclasses"), "classes"),
    **dict.fromkeys(("mode", "colormode", "colorspace"), "channels"),
    **dict.fromkeys(("returntensors", "totensor"), "output"),
    **dict.fromkeys(("randomstate", "manualseed"), "seed"),
}
_ASIDE = ("fill", "seed", "interpolation", "at", "include")
"""Arguments that nobody gives alone."""
_NAMES = (
    "name",
    "type",
    "transform",
    "class",
    "class_name",
    "classname",
    "op",
    "_target_",
    "target",
    "__class_fullname__",
)
_IMPORTING: Final = "docs/importing.md tells how pipelines of other libraries become specs"
_LIBRARIES: Final[Mapping[str, str]] = {
    "torchvision": "augreg.from_torchvision(pipeline).spec is the spec of a torchvision pipeline",
    "albumentations": "augreg.from_albumentations(pipeline).spec is the spec of an albumentations pipeline",
    "timm": "augreg.from_timm(..).spec is the spec of a transform of timm",
    "torch.nn": "a layer belongs in the model itself; steps of the section `model` are attached to its layers",
}


def _class(name: object, registry: Registry) -> Any:
    """The class of a step; None for what is no step, or does not load."""
    try:
        return registry[name] if isinstance(name, str) and name in registry else None
    except PluginError:
        return None


def _as_steps(data: Mapping[Any, Any]) -> list[Any]:
    return [name if arguments is None else {name: arguments} for name, arguments in data.items()]


def for_steps(items: Any, registry: Registry) -> str:
    """The hint for what stands in place of a list of steps."""
    if isinstance(items, str):
        items = {items: None}
    if not isinstance(items, Mapping) or not items:
        return ""
    if list(items) == ["steps"]:
        return "; leave out 'steps', and give the list itself"
    if not all(isinstance(name, str) and name in registry for name in items):
        return ""
    text = code(_as_steps(items))
    return f"; did you mean {text}?" if text else "; begin each step with `- `"


def for_option(key: object, value: Any, registry: Registry, known: Sequence[str]) -> str:
    """The hint for a key of a spec that is neither an option nor a section."""
    cls = _class(key, registry)
    if cls is not None:
        section = cls.__augreg__.sections[0]
        text = code({section: _as_steps({key: value})})
        return f"; it is a step of {section!r}" + (f": did you mean {text}?" if text else "")
    plain = plain_name(key) if isinstance(key, str) and len(key) < 40 else ""
    if plain in ("train", "test", "val", "valid", "validation", "eval"):
        return _SIDES
    if key in ("_target_", "__class_fullname__", "__version__"):  # of Hydra and albumentations
        return f"; {_IMPORTING}"
    if plain == "p":
        return "; every step has its own p"
    if plain in _OPTIONS:
        return f"; did you mean {_OPTIONS[plain]!r}?"
    return nearest(key, known) or f"; it takes {', '.join(known)}"


def for_section(name: str, cls: Any, arguments: Any) -> str:
    """The hint for a step in the wrong section: the section with the step in it."""
    section = cls.__augreg__.sections[0]
    own: Any = arguments if isinstance(arguments, Mapping) and arguments else None
    if arguments is not None and own is None:
        first = next((field.name for field in fields(cls) if field.init), "")
        own = (
            arguments
            if code([arguments]) and _works(cls, {first: arguments}, set())
            else _named(cls, arguments, section)
        )
    line = describe.example(cls) if own is None else own
    text = code({section: _as_steps({name: line or None})})
    pixels = "; for pixels, there are cutout and random_erasing" if name.endswith("dropout") else ""
    return (f", as in {text}" if text else "") + pixels


def for_single_value(cls: Any, value: Any, section: str) -> str:
    """The hint for a value without a name that the first argument does not take."""
    if isinstance(value, str) and (other := other_names.step(value)):
        return f"; {other}"
    found = _named(cls, value, section)
    if found is not None:
        tail = ", where `at` selects modules of your model" if "at" in found else ""
        text = code(found)
        return f"; did you mean {text}{tail}?" if text else ""
    at = any(field.name == "at" and required(field) for field in fields(cls))
    return f"; such as {code(describe.example(cls))}" if at and describe.example(cls) else ""


def with_single_value(message: str, cls: Any, value: Any, section: str) -> str:
    """The message for a value of the first argument; one that another argument takes goes before a similar value."""
    given, change, _ = message.partition("; did you mean ")
    if change and isinstance(value, list | tuple):
        found = _named(cls, value, section)
        text = code(found) if found and value in found.values() else ""
        return f"{given}; did you mean {text}?" if text else message
    return message if change or "; give " in message else message + for_single_value(cls, value, section)


def _named(cls: Any, value: Any, section: str) -> dict[str, Any] | None:
    """The arguments that a value without a name may be, by name; None if it is none of them."""
    info = cls.__augreg__
    known = [field for field in fields(cls) if field.init]
    if section in ("image", "batch") and _takes_as_p(value) and (not known or info.container):
        return {"p": value}
    if info.container or not code([value]):  # what is too large for a message was no slip of the pen
        return None
    choices: list[dict[str, Any]] = []
    if isinstance(value, list | tuple) and 1 < len(value) <= len(known):
        choices.append({field.name: item for field, item in zip(known, value, strict=False)})
    choices += [{field.name: value} for field in known[1:] if field.name not in _ASIDE]
    if isinstance(value, str):
        choices += [
            {field.name: read} for field in known[1:] if field.name not in _ASIDE for read, _ in readings(value)
        ]
    for choice in choices:
        missing = {field.name for field in known if required(field)} - set(choice)
        if missing <= {"at"} and _works(cls, choice, missing):
            example = {key: item for key, item in describe.example(cls).items() if key in missing}
            return {**example, **choice} if missing == set(example) else None
    return None


def with_size(cls: Any, arguments: Mapping[str, Any]) -> dict[str, Any] | None:
    """The arguments with `size` in place of `height` and `width`, where that is right; None otherwise."""
    if "size" not in hints(cls) or "size" in arguments or not {"height", "width"} <= arguments.keys():
        return None
    size = [arguments["height"], arguments["width"]]
    rest = {key: value for key, value in arguments.items() if key not in ("height", "width")}
    return {**rest, "size": size} if _works(cls, {"size": size}, {"at"}) and code(size) else None


def _takes_as_p(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _works(cls: Any, arguments: Mapping[str, Any], missing: set[str]) -> bool:
    """Whether a class takes these arguments; with some missing, only whether each one is taken."""
    try:
        complete = getattr(cls, "complete", dict)
        arguments = arguments if missing else complete(dict(arguments))
        values = {key: convert_one(hints(cls)[key], item, suggest=False) for key, item in arguments.items()}
        if not missing:
            build(cls, values)
    except (ValueError, SpecError):
        return False
    except Exception:  # a class of a plugin may raise anything
        return False
    return True


def for_keys(item: Mapping[Any, Any], registry: Registry) -> str:
    """The hint for a mapping of several keys in place of a step."""
    steps = [key for key in item if isinstance(key, str) and key in registry]
    if len(steps) == len(item):
        text = code(_as_steps(item))
        return "; every step is an item of its own" + (f": {text}" if text else "")
    if steps:
        return "; indent the arguments below the name"
    for key in _NAMES:
        name = item.get(key)
        if not isinstance(name, str):
            continue
        if name in registry:
            rest = {other: value for other, value in item.items() if other != key}
            text = code({name: rest} if rest else name)
            return f"; did you mean {text}?" if text else ""
        return _of_another_library(name, registry)
    return ""


def _of_another_library(name: str, registry: Registry) -> str:
    """The hint for a class of another library, such as `torchvision.transforms.RandomCrop`."""
    short = name.rpartition(".")[2]
    hint = other_names.step(short, registry) or nearest(short, registry).removeprefix("; ")
    return (f"; {hint}" if hint else "") + (" " if hint.endswith("?") else "; ") + _IMPORTING


def for_object(item: Any) -> str:
    """The hint for an object in place of a step."""
    try:
        if hasattr(item, "to_spec"):
            return "; it is a pipeline already: pipe.to_spec() is its spec, and pipe.replace(..) changes it"
        classes = (item if isinstance(item, type) else type(item)).__mro__
        origins = [str(cls.__module__) for cls in classes]
    except Exception:  # an object of any class, whose attributes raise anything
        return ""
    for origin in origins:
        for library, hint in _LIBRARIES.items():
            if origin == library or origin.startswith(f"{library}."):
                return f"; {hint}"
    if callable(item):
        return "; for your own code, write a transform (docs/write-a-transform.md), or use augreg.Call"
    return ""
