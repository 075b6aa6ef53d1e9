"""What an object in a pipeline of torchvision or timm is: its class name and parameters, or why it has none.

Besides transforms, people pass the weights of a model, `functools.partial` objects, functions of
torchvision.transforms.functional, and objects of their own that hold a pipeline.
"""

from __future__ import annotations

import enum
import functools
import types
from collections.abc import Callable, Mapping
from typing import Any

from augreg.importers.translation import Parameters, Steps, Translation, UnsupportedError

__all__ = ["class_and_attributes", "translate_holder"]

# Functions by name: the class of transforms that does the same, its fixed parameters, and names that differ.
_FUNCTIONS: Mapping[str, tuple[str, Mapping[str, Any], Mapping[str, str]]] = {
    **dict.fromkeys(("hflip", "horizontal_flip"), ("RandomHorizontalFlip", {"p": 1.0}, {})),
    **dict.fromkeys(("vflip", "vertical_flip"), ("RandomVerticalFlip", {"p": 1.0}, {})),
    **dict.fromkeys(("rgb_to_grayscale", "to_grayscale"), ("Grayscale", {"num_output_channels": 1}, {})),
    "resize": ("Resize", {}, {}), "center_crop": ("CenterCrop", {}, {"output_size": "size"}), "pad": ("Pad", {}, {}),
    "normalize": ("Normalize", {}, {}), "to_tensor": ("ToTensor", {}, {}), "pil_to_tensor": ("PILToTensor", {}, {}),
    "to_image": ("ToImage", {}, {}), "to_pil_image": ("ToPILImage", {}, {}), "to_dtype": ("ToDtype", {}, {}),
    "convert_image_dtype": ("ConvertImageDtype", {"dtype": "float32"}, {}),
    "invert": ("RandomInvert", {"p": 1.0}, {}), "equalize": ("RandomEqualize", {"p": 1.0}, {}),
    "autocontrast": ("RandomAutocontrast", {"p": 1.0}, {}), "posterize": ("RandomPosterize", {"p": 1.0}, {}),
    "solarize": ("RandomSolarize", {"p": 1.0}, {}), "adjust_sharpness": ("RandomAdjustSharpness", {"p": 1.0}, {}),
    "rotate": ("RandomRotation", {}, {"angle": "degrees"}),
    "adjust_brightness": ("ColorJitter", {}, {"brightness_factor": "brightness"}),
    "adjust_contrast": ("ColorJitter", {}, {"contrast_factor": "contrast"}),
    "adjust_saturation": ("ColorJitter", {}, {"saturation_factor": "saturation"}),
    "adjust_hue": ("ColorJitter", {}, {"hue_factor": "hue"}), "adjust_gamma": ("adjust_gamma", {}, {}),
    "jpeg": ("JPEG", {}, {}),
}  # fmt: skip

# Functions with fixed values that no step of a spec has: the class that draws such values.
_DRAWN: Mapping[str, str] = {
    "crop": "RandomCrop", "resized_crop": "RandomResizedCrop", "affine": "RandomAffine",
    "perspective": "RandomPerspective", "elastic": "ElasticTransform", "elastic_transform": "ElasticTransform",
    "gaussian_blur": "GaussianBlur", "gaussian_noise": "GaussianNoise", "erase": "RandomErasing",
    "permute_channels": "RandomChannelPermutation",
}  # fmt: skip

_PRESETS = (
    "ClassificationPresetTrain", "ClassificationPresetEval", "DetectionPresetTrain", "DetectionPresetEval",
    "SegmentationPresetTrain", "SegmentationPresetEval",
)  # fmt: skip
"""Classes of torchvision's reference scripts that call the pipeline in their attribute `transforms`, no more."""


def class_and_attributes(transform: Any) -> tuple[str, Mapping[str, Any]]:
    """The class name and the public attributes of a transform, without those of nn.Module; modules in it included.

    For the weights of a model, those of their transforms. Raises UnsupportedError with what to do instead for a
    class, a function that is not one of torchvision's, and whatever else is no transform.
    """
    transforms = getattr(transform, "transforms", None)
    if isinstance(transform, enum.Enum) and callable(transforms):  # ResNet50_Weights.DEFAULT
        transform = transforms()
    if isinstance(transform, functools.partial):
        return _partial(transform)
    if isinstance(transform, type):
        raise UnsupportedError(f"{transform.__name__} is a class; pass an object of it, {transform.__name__}(..)")
    if isinstance(transform, types.FunctionType | types.BuiltinFunctionType | types.MethodType):
        return _function(transform, {})
    if not hasattr(transform, "__dict__"):
        raise UnsupportedError(f"expected a transform, got {type(transform).__name__}")
    values = {key: value for key, value in vars(transform).items() if not key.startswith("_") and key != "training"}
    modules: Mapping[str, Any] = vars(transform).get("_modules") or {}
    if modules and all(key.isdigit() for key in modules):  # a Sequential
        values["transforms"] = list(modules.values())
    else:
        values |= {key: value for key, value in modules.items() if not key.startswith("_")}
    if type(values.get("transforms")).__name__ == "ModuleList":
        values["transforms"] = list(vars(values["transforms"])["_modules"].values())
    return type(transform).__name__, values


def _partial(call: functools.partial[Any]) -> tuple[str, Mapping[str, Any]]:
    if isinstance(call.func, type):  # weights.transforms, not called
        try:
            return class_and_attributes(call())
        except TypeError as error:
            raise UnsupportedError(f"functools.partial({call.func.__name__}) cannot be called: {error}") from None
    if call.args:
        raise UnsupportedError(
            f"functools.partial({_name(call.func)}, {call.args[0]!r}): the first positional argument is the image; "
            "give arguments by keyword"
        )
    return _function(call.func, call.keywords)


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", type(function).__name__)


def _function(function: Callable[..., Any], arguments: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The class that does what a function of torchvision.transforms.functional does, and its parameters."""
    name = _name(function)
    module = getattr(function, "__module__", None) or ""
    if module.startswith("torchvision.") and name in _FUNCTIONS:
        known, fixed, names = _FUNCTIONS[name]
        for key in names:
            if key not in arguments:
                raise UnsupportedError(f"the function `{name}` needs {key}: functools.partial({name}, {key}=..)")
        return known, {**fixed, **{names.get(key, key): value for key, value in arguments.items()}}
    what = "a lambda" if name == "<lambda>" else f"the function `{name}`"
    if module.startswith("torchvision."):
        if name in _DRAWN:
            raise UnsupportedError(
                f"{what} of torchvision: augreg has no fixed {name}; {_DRAWN[name]} draws its values"
            )
        raise UnsupportedError(f"{what} of torchvision: augreg has no equivalent transform")
    raise UnsupportedError(
        f"{what} is arbitrary code; write your own transform for it (docs/write-a-transform.md), or leave it out if "
        "it only converts to RGB, as every file and PIL image is read as RGB"
    )


def translate_holder(params: Parameters, walk: Translation) -> Steps:
    """The steps of the one pipeline that an object of an unknown class holds. Raises UnsupportedError otherwise."""
    held = {key: value for key, value in params.values.items() if type(value).__name__ in ("Compose", "Sequential")}
    if not held:
        raise UnsupportedError("augreg has no equivalent transform")
    if len(held) > 1:
        names = ", ".join(f".{key}" for key in held)
        raise UnsupportedError(f"it holds {len(held)} pipelines; import one of them: {names}")
    ((key, pipeline),) = held.items()
    params.ignore(key)
    if params.name not in _PRESETS:
        params.note(f"only the pipeline in its attribute `{key}` is read, not what its own code does")
    _, values = class_and_attributes(pipeline)
    return walk.steps(values.get("transforms", ()), f"{params.place}.{key}.transforms")
