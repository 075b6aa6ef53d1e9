"""from_torchvision: pipelines of torchvision.transforms and torchvision.transforms.v2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from augreg.importers.torchvision_steps import STEPS
from augreg.importers.translation import Given, Imported, Rule, Step, Translation

__all__ = ["RULES", "attributes", "finished", "from_torchvision"]


def from_torchvision(transform: Any) -> Imported:
    """The spec of a torchvision transform, v1 or v2, and a report of what a spec cannot say.

    `transform` is a Compose, a list, an nn.Sequential or a single transform. Torchvision is not needed: classes
    are known by their names.
    """
    walk = Translation(RULES, attributes)
    children = transform if isinstance(transform, list | tuple) else [transform]
    return finished(walk, walk.steps(children, "transforms") if children is transform else _top(walk, transform))


def _top(walk: Translation, transform: Any) -> list[Step]:
    """A container's own steps, so that places read transforms[2] and not transforms[0].transforms[2]."""
    name, values = attributes(transform)
    if name in ("Compose", "Sequential"):
        return walk.steps(values.get("transforms", []), "transforms")
    return walk.steps([transform], "transforms")


def finished(walk: Translation, image: list[Step]) -> Imported:
    """The result; images that became floats and were never normalized are divided by 255 at the end."""
    if walk.floats and not walk.normalized:
        image = [*image, {"normalize": {"mean": 0.0, "std": 1.0}}]
    return walk.result(image)


def attributes(transform: Any) -> tuple[str, Mapping[str, Any]]:
    """A transform's class name and its public attributes; nn.Module's own machinery is none of them."""
    values = {key: value for key, value in vars(transform).items() if not key.startswith("_") and key != "training"}
    modules = vars(transform).get("_modules")
    if modules and "transforms" not in values:
        values["transforms"] = list(modules.values())
    transforms = values.get("transforms")
    if transforms is not None and not isinstance(transforms, list | tuple):
        values["transforms"] = list(transforms)  # a ModuleList
    return type(transform).__name__, values


def _nothing(given: Given, walk: Translation) -> list[Step]:
    given.only("mode", None, "RGB")
    return []


def _to_tensor(given: Given, walk: Translation) -> list[Step]:
    walk.options["output"] = "torch"
    walk.floats = True
    return []


def _to_bytes(given: Given, walk: Translation) -> list[Step]:
    walk.options["output"] = "torch"
    return []


def _to_dtype(given: Given, walk: Translation) -> list[Step]:
    dtype = given.take("dtype")
    scaled = given.take("scale", given.name == "ConvertImageDtype")
    if "float32" in str(dtype):
        if not scaled:
            given.note("scale=False is not kept: floats are from 0 to 1 here")
        return _to_tensor(given, walk)
    if "uint8" not in str(dtype):
        given.note(f"dtype={dtype} is not kept: images are uint8, or float32 once they are normalized")
    return []


def _compose(given: Given, walk: Translation) -> list[Step]:
    return walk.steps(given.take_children("transforms"), f"{given.place}.transforms")


def _apply(given: Given, walk: Translation) -> list[Step]:
    inner = walk.steps(given.take_children("transforms"), f"{given.place}.transforms")
    p = given.take("p", 0.5)
    if len(inner) == 1 and isinstance(inner[0], dict):
        ((name, arguments),) = inner[0].items()
        if isinstance(arguments, dict) and "p" not in arguments:
            return [{name: {**arguments, "p": p}}]
    return [{"sequential": {"steps": inner, "p": p}}] if inner else []


def _choice(given: Given, walk: Translation) -> list[Step]:
    children = given.take_children("transforms")
    weights = given.take("p") or given.take("probabilities") or [1.0] * len(children)
    steps = []
    for number, child in enumerate(children):
        inner = walk.step(child, f"{given.place}.transforms[{number}]")
        steps.append(inner[0] if len(inner) == 1 else {"sequential": {"steps": inner}})
    return [{"one_of": {"steps": steps, "weights": weights}}]


def _order(given: Given, walk: Translation) -> list[Step]:
    inner = walk.steps(given.take_children("transforms"), f"{given.place}.transforms")
    return [{"random_order": {"steps": inner}}]


RULES: Mapping[str, Rule] = {
    **STEPS,
    "Compose": _compose, "Sequential": _compose, "RandomApply": _apply, "RandomChoice": _choice,
    "RandomOrder": _order, "ToTensor": _to_tensor, "PILToTensor": _to_bytes, "ToImage": _to_bytes,
    "ToPureTensor": _nothing, "ToPILImage": _nothing, "Identity": _nothing, "RGB": _nothing, "ToDtype": _to_dtype,
    "ConvertImageDtype": _to_dtype,
}  # fmt: skip
"""How each class of torchvision is said in a spec."""
