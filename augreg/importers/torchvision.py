"""from_torchvision: pipelines of torchvision.transforms, v1 and v2, and the transforms of pretrained weights."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Any

from augreg.importers.objects import class_and_attributes, translate_holder
from augreg.importers.torchvision_detection import DETECTION_TRANSLATORS
from augreg.importers.torchvision_steps import STEP_TRANSLATORS, UNSUPPORTED, normalized, resize_interpolation
from augreg.importers.translation import Imported, Parameters, Steps, Translation, Translator, UnsupportedError
from augreg.steps.fields import brief

__all__ = ["TRANSLATORS", "children", "finish", "from_torchvision"]


def from_torchvision(transform: Any) -> Imported:
    """Convert a torchvision pipeline, v1 or v2, to a spec, with a report of everything the spec cannot express.

    `transform` is a Compose, a list, an nn.Sequential, a single transform, the `transforms()` of a model's weights or
    the weights themselves (ResNet50_Weights.DEFAULT), or an object that holds a Compose. Functions of
    torchvision.transforms.functional stand for the transforms that do the same. The spec has `backend: pillow`, so
    that an evaluation gives the same bytes as torchvision does on PIL images. Torchvision need not be installed:
    classes are recognized by their names. Raises TypeError for what is no transform.
    """
    if not isinstance(transform, list | tuple) and (
        isinstance(transform, str | type) or not hasattr(transform, "__dict__")
    ):
        raise TypeError(f"expected a transform of torchvision, such as a Compose, got {brief(transform)}")
    walk = Translation(TRANSLATORS, UNSUPPORTED, class_and_attributes, translate_holder)
    return finish(walk, children(transform))


def children(transform: Any) -> Sequence[Any]:
    """The transforms of a top container, so that places read transforms[2] and not transforms[0].transforms[2]."""
    if isinstance(transform, list | tuple):
        return transform
    if type(transform).__name__ in ("Compose", "Sequential") and not isinstance(transform, type | enum.Enum):
        found: Sequence[Any] = class_and_attributes(transform)[1].get("transforms", [])
        return found
    return [transform]


def finish(walk: Translation, transforms: Sequence[Any]) -> Imported:
    """Translate these transforms; images that become floats and are never normalized become floats last.

    The backend is Pillow's, because both libraries work on PIL images.
    """
    walk.options["backend"] = "pillow"
    image: Steps = []
    batch: Steps = []
    for number, child in enumerate(transforms):
        walk.mixing = _mixes(walk, child)
        (batch if walk.mixing else image).extend(walk.step(child, f"transforms[{number}]"))
    if (walk.floats or walk.unscaled) and not walk.normalized:
        image.append({"normalize": {"mean": 0.0, "std": 1.0}} if walk.floats else normalized(walk, 0.0, 1.0)[0])
    return walk.result(image, batch)


def _mixes(walk: Translation, child: Any) -> bool:
    """Whether this transform mixes the images of a batch, or is a container of such transforms only."""
    try:
        name, values = walk.opened(child)
    except UnsupportedError:
        return False
    if name in ("MixUp", "CutMix"):
        return True
    inside = values.get("transforms") if name in _CONTAINERS else None
    return isinstance(inside, list | tuple) and bool(inside) and all(_mixes(walk, each) for each in inside)


_CONTAINERS = ("Compose", "Sequential", "RandomApply", "RandomChoice", "RandomOrder")


def _nothing(params: Parameters, walk: Translation) -> Steps:
    params.only("mode", None, "RGB")
    return []


def _to_tensor(params: Parameters, walk: Translation) -> Steps:
    walk.options["output"] = "torch"
    walk.floats = walk.tensors = True
    return []


def _to_bytes(params: Parameters, walk: Translation) -> Steps:
    walk.options["output"] = "torch"
    walk.tensors = True
    return []


def _to_pil(params: Parameters, walk: Translation) -> Steps:
    walk.tensors = False
    return _nothing(params, walk)


def _to_dtype(params: Parameters, walk: Translation) -> Steps:
    dtype, of_masks = _dtypes(params.values.get("dtype"))
    params.ignore("dtype")
    scaled = params.take("scale", params.name == "ConvertImageDtype")
    if of_masks is not None:
        params.note(f"masks keep their dtype, and become {of_masks} there")
    if dtype is None:
        return []
    if "uint8" not in str(dtype) and "float32" not in str(dtype):
        params.note(f"dtype={dtype} is not kept: images are uint8, or float32 once they are normalized")
    if "float" not in str(dtype):
        return _to_bytes_again(params, walk, bool(scaled))
    if walk.unscaled or walk.floats:  # floats stay on their scale
        return []
    steps = _to_tensor(params, walk)
    walk.floats, walk.unscaled = bool(scaled), not scaled
    return steps


def _dtypes(value: Any) -> tuple[Any, Any]:
    """The dtype of images, and that of masks if the two differ; None where it stays."""
    if not isinstance(value, Mapping):
        return value, None
    named = {getattr(key, "__name__", str(key)): dtype for key, dtype in value.items()}
    others = named.get("others")
    return named.get("Image", named.get("Tensor", others)), named.get("Mask", others)


def _to_bytes_again(params: Parameters, walk: Translation, scaled: bool) -> Steps:
    """Floats that become bytes are not floats at the end, unless they are normalized."""
    if walk.normalized or walk.floats != scaled:
        if walk.floats or walk.unscaled or walk.normalized:
            params.lose("images are not kept as bytes: they are floats from here on")
        return []
    walk.floats = walk.unscaled = False
    return []


# Transforms that come with pretrained weights.


def _resized_preset(params: Parameters, walk: Translation) -> Steps:
    """ImageClassification and SemanticSegmentation, which does not crop and may leave the size as it is."""
    size, crop = params.take("resize_size"), params.take("crop_size")
    params.only("antialias", True, None, why="Pillow always antialiases")
    options = {"interpolation": resize_interpolation(params, params.take("interpolation"))}
    steps: Steps = []
    if size is not None:
        exact = {"size": size} if len(size) == 2 else {"shorter": size[0]}
        steps.append({"resize": {**exact, **options}})
    if crop is not None:
        steps.append({"center_crop": {"size": crop if len(crop) == 2 else crop * 2}})
    return [*steps, *normalized(walk, params.take("mean"), params.take("std"))]


def _optical_flow(params: Parameters, walk: Translation) -> Steps:
    params.note('it takes two images; pass them as the sample {"image": first, "image2": second}')
    return normalized(walk, 0.5, 0.5)


# Containers.


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
    transforms = params.take_objects("transforms")
    weights = params.take("p") or params.take("probabilities") or [1.0] * len(transforms)
    steps = [walk.single(child, f"{params.place}.transforms[{number}]") for number, child in enumerate(transforms)]
    if all(step == {"sequential": {"steps": []}} for step in steps):
        return []
    return [{"one_of": {"steps": steps, "weights": weights}}]


def _order(params: Parameters, walk: Translation) -> Steps:
    return [{"random_order": {"steps": _compose(params, walk)}}]


def _lambda(params: Parameters, walk: Translation) -> Steps:
    params.ignore("lambd", "types")
    class_and_attributes(params.values["lambd"])  # raises UnsupportedError unless it is a function that is known
    return walk.step(params.values["lambd"], f"{params.place}.lambd")


TRANSLATORS: Mapping[str, Translator] = {
    **STEP_TRANSLATORS, **DETECTION_TRANSLATORS,
    "Compose": _compose, "Sequential": _compose, "RandomApply": _apply, "RandomChoice": _choice,
    "RandomOrder": _order, "ToTensor": _to_tensor, "PILToTensor": _to_bytes, "ToImage": _to_bytes,
    "ToPureTensor": _nothing, "ToPILImage": _to_pil, "Identity": _nothing, "RGB": _nothing, "ToDtype": _to_dtype,
    "ConvertImageDtype": _to_dtype, "Lambda": _lambda, "ImageClassification": _resized_preset,
    "SemanticSegmentation": _resized_preset, "ObjectDetection": _to_tensor, "OpticalFlow": _optical_flow,
}  # fmt: skip
"""The translators of torchvision's transforms by class name."""
