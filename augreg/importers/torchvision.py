"""from_torchvision: pipelines of torchvision.transforms and torchvision.transforms.v2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from augreg.importers.torchvision_steps import STEP_TRANSLATORS, UNSUPPORTED
from augreg.importers.translation import Imported, Parameters, Steps, Translation, Translator
from augreg.steps.fields import brief

__all__ = ["TRANSLATORS", "class_and_attributes", "finish", "from_torchvision"]


def from_torchvision(transform: Any) -> Imported:
    """Convert a torchvision pipeline, v1 or v2, to a spec, with a report of everything the spec cannot express.

    `transform` is a Compose, a list, an nn.Sequential or a single transform. Torchvision need not be installed:
    classes are recognized by their names.
    """
    if not isinstance(transform, list | tuple) and (
        isinstance(transform, str | type) or not hasattr(transform, "__dict__")
    ):
        raise TypeError(f"expected a transform of torchvision, such as a Compose, got {brief(transform)}")
    walk = Translation(TRANSLATORS, UNSUPPORTED, class_and_attributes)
    if isinstance(transform, list | tuple):
        return finish(walk, transform)
    # the children of a top container, so that places read transforms[2] and not transforms[0].transforms[2]
    name, values = class_and_attributes(transform)
    children = values.get("transforms", []) if name in ("Compose", "Sequential") else [transform]
    return finish(walk, children)


def finish(walk: Translation, transforms: Sequence[Any]) -> Imported:
    """Translate these transforms; images that become floats and are never normalized are divided by 255 last."""
    image = walk.steps(transforms, "transforms")
    if walk.floats and not walk.normalized:
        image = [*image, {"normalize": {"mean": 0.0, "std": 1.0}}]
    return walk.result(image)


def class_and_attributes(transform: Any) -> tuple[str, Mapping[str, Any]]:
    """The class name and the public attributes of a transform, without those of nn.Module."""
    values = {key: value for key, value in vars(transform).items() if not key.startswith("_") and key != "training"}
    modules = vars(transform).get("_modules")
    if modules and "transforms" not in values:
        values["transforms"] = list(modules.values())
    transforms = values.get("transforms")
    if transforms is not None and not isinstance(transforms, list | tuple):
        values["transforms"] = list(transforms)  # a ModuleList
    return type(transform).__name__, values


def _nothing(params: Parameters, walk: Translation) -> Steps:
    params.only("mode", None, "RGB")
    return []


def _to_tensor(params: Parameters, walk: Translation) -> Steps:
    walk.options["output"] = "torch"
    walk.floats = True
    return []


def _to_bytes(params: Parameters, walk: Translation) -> Steps:
    walk.options["output"] = "torch"
    return []


def _to_dtype(params: Parameters, walk: Translation) -> Steps:
    dtype = params.take("dtype")
    scaled = params.take("scale", params.name == "ConvertImageDtype")
    if "float32" in str(dtype):
        if not scaled:
            params.note("scale=False is not kept: floats are always from 0 to 1")
        return _to_tensor(params, walk)
    if "uint8" not in str(dtype):
        params.note(f"dtype={dtype} is not kept: images are uint8, or float32 once they are normalized")
    return []


def _compose(params: Parameters, walk: Translation) -> Steps:
    return walk.steps(params.take_objects("transforms"), f"{params.place}.transforms")


def _apply(params: Parameters, walk: Translation) -> Steps:
    inner = _compose(params, walk)
    p = params.take("p", 0.5)
    if len(inner) == 1 and isinstance(inner[0], dict):  # move p into the step
        ((name, arguments),) = inner[0].items()
        if isinstance(arguments, dict) and "p" not in arguments:
            return [{name: {**arguments, "p": p}}]
    return [{"sequential": {"steps": inner, "p": p}}] if inner else []


def _choice(params: Parameters, walk: Translation) -> Steps:
    children = params.take_objects("transforms")
    weights = params.take("p") or params.take("probabilities") or [1.0] * len(children)
    steps = [walk.single(child, f"{params.place}.transforms[{number}]") for number, child in enumerate(children)]
    return [{"one_of": {"steps": steps, "weights": weights}}]


def _order(params: Parameters, walk: Translation) -> Steps:
    return [{"random_order": {"steps": _compose(params, walk)}}]


TRANSLATORS: Mapping[str, Translator] = {
    **STEP_TRANSLATORS,
    "Compose": _compose, "Sequential": _compose, "RandomApply": _apply, "RandomChoice": _choice,
    "RandomOrder": _order, "ToTensor": _to_tensor, "PILToTensor": _to_bytes, "ToImage": _to_bytes,
    "ToPureTensor": _nothing, "ToPILImage": _nothing, "Identity": _nothing, "RGB": _nothing, "ToDtype": _to_dtype,
    "ConvertImageDtype": _to_dtype,
}  # fmt: skip
"""The translators of torchvision's transforms by class name."""
