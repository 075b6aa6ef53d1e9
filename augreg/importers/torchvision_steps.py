"""How single transforms of torchvision are said in a spec, a function a class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from augreg.importers.translation import Given, LeftOutError, Rule, Step, Translation, numbers, pair

__all__ = ["STEPS", "interpolation"]

_PILLOW = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
_OWN = ("nearest", "bilinear", "bicubic")
_RANGE = [0.0, 0.0]


def interpolation(given: Given, key: str = "interpolation", default: str = "bilinear") -> str:
    """The word for an InterpolationMode, or for Pillow's number; what is not known here becomes bicubic."""
    value = given.take(key, default)
    value = getattr(value, "value", value)
    word = _PILLOW.get(value, str(value)) if isinstance(value, int) else str(value)
    if word in _OWN:
        return word
    instead = "nearest" if word.startswith("nearest") else "bicubic"
    given.note(f"{key}={word} became {instead}, the nearest there is")
    return instead


def _fill(given: Given, walk: Translation, key: str = "fill") -> dict[str, Any]:
    value = given.take(key, 0)
    if value in (None, 0, 0.0, [0, 0, 0]):
        return {}
    if not isinstance(value, int | float | list) or isinstance(value, bool):
        given.note(f"{key}={value!r} is not kept: a spec has one fill, for images")
        return {}
    scale = 255.0 if walk.floats and not walk.normalized else 1.0
    return {"fill": [number * scale for number in numbers(value)]}


def _p(given: Given) -> dict[str, Any]:
    return {"p": given.take("p", 0.5)}


def _size(given: Given) -> list[int]:
    size = given.take("size")
    return pair(size[0]) if isinstance(size, list) and len(size) == 1 else pair(size)


def _normalize(given: Given, walk: Translation) -> list[Step]:
    given.ignore("inplace")
    walk.options["output"] = "torch"
    walk.normalized = True
    return [{"normalize": {"mean": numbers(given.take("mean")), "std": numbers(given.take("std"))}}]


def _antialias(given: Given) -> dict[str, Any]:
    return {"antialias": False} if given.take("antialias", True) is False else {}


def _resize(given: Given, walk: Translation) -> list[Step]:
    size = given.take("size")
    given.only("max_size", None)
    how = {"interpolation": interpolation(given), **_antialias(given)}
    if size is None:
        raise LeftOutError("size=None means max_size alone")
    if isinstance(size, list) and len(size) == 2:
        return [{"resize": {"size": size, **how}}]
    return [{"resize": {"shorter": size[0] if isinstance(size, list) else size, **how}}]


def _center_crop(given: Given, walk: Translation) -> list[Step]:
    return [{"center_crop": {"size": _size(given)}}]


def _padding(value: Any) -> list[int]:
    """[top, bottom, left, right] of torchvision's n, (x, y) or (left, top, right, bottom)."""
    if not isinstance(value, list):
        return [value] * 4
    if len(value) == 1:
        return value * 4
    left, top, right, bottom = value if len(value) == 4 else (*value, *value)
    return [top, bottom, left, right]


def _random_crop(given: Given, walk: Translation) -> list[Step]:
    padding = given.take("padding")
    if given.take("pad_if_needed", False):
        given.note("pad_if_needed=True pads both sides in full there; here what is missing is shared between them")
    arguments = {"size": _size(given), "mode": given.take("padding_mode", "constant"), **_fill(given, walk)}
    return [{"random_crop": {**arguments, **({"padding": _padding(padding)} if padding is not None else {})}}]


def _pad(given: Given, walk: Translation) -> list[Step]:
    mode = given.take("padding_mode", "constant")
    return [{"pad": {"padding": _padding(given.take("padding")), "mode": mode, **_fill(given, walk)}}]


def _random_resized_crop(given: Given, walk: Translation) -> list[Step]:
    arguments = {"size": _size(given), "scale": given.take("scale"), "ratio": given.take("ratio")}
    return [{"random_resized_crop": {**arguments, "interpolation": interpolation(given), **_antialias(given)}}]


def _flip(name: str) -> Rule:
    return lambda given, walk: [{name: _p(given)}]


def _with_p(name: str) -> Rule:
    return lambda given, walk: [{name: {"p": given.take("p", 0.5)}}]


def _color_jitter(given: Given, walk: Translation) -> list[Step]:
    ranges = {key: given.take(key) for key in ("brightness", "contrast", "saturation", "hue")}
    return [{"color_jitter": {key: pair(value) for key, value in ranges.items() if value is not None}}]


def _rotation(given: Given, walk: Translation) -> list[Step]:
    given.only("expand", False, why="an image keeps its size")
    given.only("center", None, why="it turns about the middle")
    given.ignore("resample", "fillcolor")  # what fill and interpolation were called before
    how = {"interpolation": interpolation(given, default="nearest"), **_fill(given, walk)}
    return [{"rotate": {"degrees": pair(given.take("degrees")), **how}}]


def _affine(given: Given, walk: Translation) -> list[Step]:
    given.only("center", None, why="it turns about the middle")
    given.ignore("resample", "fillcolor")
    degrees, shear = pair(given.take("degrees")), given.take("shear")
    right, down = given.take("translate") or (0.0, 0.0)
    shear = (shear + _RANGE)[:4] if isinstance(shear, list) else [-(shear or 0.0), shear or 0.0, *_RANGE]
    if any(shear[:2]) and any(shear[2:]):
        given.note("shear along both axes at once is composed in another order here")
    # its angles, of rotation and of shear, count clockwise, and ours counter-clockwise
    arguments = {
        "degrees": _turned(degrees),
        "translate": [down, right],
        "scale": pair(given.take("scale") or 1.0),
        "shear_x": _turned(shear[:2]),
        "shear_y": _turned(shear[2:]),
        "interpolation": interpolation(given, default="nearest"),
    }
    return [{"affine": {**arguments, **_fill(given, walk)}}]


def _turned(interval: list[float]) -> list[float]:
    low, high = interval
    return [0.0 - high, 0.0 - low]


def _perspective(given: Given, walk: Translation) -> list[Step]:
    how = {"interpolation": interpolation(given), **_fill(given, walk), **_p(given)}
    return [{"perspective": {"distortion": given.take("distortion_scale"), **how}}]


def _grayscale(given: Given, walk: Translation) -> list[Step]:
    if given.take("num_output_channels", 1) == 1:
        given.note("num_output_channels=1 became 3: a spec says `channels: gray` to read gray images")
    return ["grayscale"]


def _blur(given: Given, walk: Translation) -> list[Step]:
    size = given.take("kernel_size")
    given.note(f"kernel_size={size} is not kept: the kernel reaches as far as sigma needs")
    return [{"gaussian_blur": {"sigma": pair(given.take("sigma", [0.1, 2.0]))}}]


def _posterize(given: Given, walk: Translation) -> list[Step]:
    return [{"posterize": {"bits": pair(given.take("bits")), **_p(given)}}]


def _solarize(given: Given, walk: Translation) -> list[Step]:
    scale = 255.0 if walk.floats else 1.0
    return [{"solarize": {"threshold": pair(given.take("threshold") * scale), **_p(given)}}]


def _sharpness(given: Given, walk: Translation) -> list[Step]:
    return [{"sharpness": {"factor": pair(given.take("sharpness_factor")), **_p(given)}}]


def _erasing(given: Given, walk: Translation) -> list[Step]:
    given.ignore("inplace")
    value = given.take("value", 0)
    arguments = {"area": given.take("scale"), "ratio": given.take("ratio"), **_p(given)}
    if value in ("random", None):
        if not walk.normalized:
            given.note("value='random' is normal noise there; before normalize it is uniform over the levels here")
        return [{"random_erasing": {**arguments, "mode": "pixel"}}]
    scale = 255.0 if walk.floats and not walk.normalized else 1.0
    fill = [number * scale for number in numbers(value)]
    return [{"random_erasing": {**arguments, **({"fill": fill} if any(fill) else {})}}]


def _elastic(given: Given, walk: Translation) -> list[Step]:
    alpha, sigma = pair(given.take("alpha", 50.0)), pair(given.take("sigma", 5.0))
    if alpha[0] != alpha[1] or sigma[0] != sigma[1]:
        given.note(f"alpha={alpha}, sigma={sigma}: the first of each is taken for both axes")
    # it displaces by alpha in units of half an image's side over its length: half as many pixels
    how = {"interpolation": interpolation(given), **_fill(given, walk)}
    return [{"elastic": {"alpha": pair(alpha[0] / 2.0), "sigma": sigma[0], **how}}]


def _noise(given: Given, walk: Translation) -> list[Step]:
    given.only("mean", 0.0, 0, why="the noise has mean 0")
    given.ignore("clip")
    return [{"gaussian_noise": {"std": pair(given.take("sigma", 0.1))}}]


def _jpeg(given: Given, walk: Translation) -> list[Step]:
    return [{"jpeg": {"quality": pair(given.take("quality"))}}]


def _auto_augment(given: Given, walk: Translation) -> list[Step]:
    policy = given.take("policy", "imagenet")
    given.ignore("policies")  # the table that the name stands for
    return [{"auto_augment": {"policy": str(getattr(policy, "value", policy)), **_policy(given, walk)}}]


def _policy(given: Given, walk: Translation) -> dict[str, Any]:
    how = {"interpolation": interpolation(given, default="nearest"), **_fill(given, walk)}
    return {"dialect": "torchvision", **how}


def _rand_augment(given: Given, walk: Translation) -> list[Step]:
    given.only("num_magnitude_bins", 31, why="magnitudes count to 30")
    arguments = {"n": given.take("num_ops", 2), "m": given.take("magnitude", 9)}
    return [{"rand_augment": {**arguments, **_policy(given, walk)}}]


def _trivial(given: Given, walk: Translation) -> list[Step]:
    given.only("num_magnitude_bins", 31, why="magnitudes count to 30")
    return [{"trivial_augment_wide": _policy(given, walk)}]


def _aug_mix(given: Given, walk: Translation) -> list[Step]:
    depth = given.take("chain_depth", -1)
    arguments = {
        "severity": given.take("severity", 3), "width": given.take("mixture_width", 3),
        "alpha": given.take("alpha", 1.0), **({"depth": depth} if depth > 0 else {}),
    }  # fmt: skip
    if not given.take("all_ops", True):
        from augreg.transforms.policies.dialects import DIALECTS

        arguments["ops"] = list(DIALECTS["aug_mix", "paper"].ops)
    interpolated = _policy(given, walk)
    return [{"aug_mix": {**arguments, **interpolated}}]


def _refused(why: str) -> Rule:
    def refuse(given: Given, walk: Translation) -> list[Step]:
        raise LeftOutError(why)

    return refuse


_SIZE_BY_CHANCE = "it leaves a size that is drawn"
_MANY = "it makes several images of one"
STEPS: Mapping[str, Rule] = {
    "Normalize": _normalize,
    "Resize": _resize, "CenterCrop": _center_crop, "RandomCrop": _random_crop, "Pad": _pad,
    "RandomResizedCrop": _random_resized_crop, "RandomHorizontalFlip": _flip("horizontal_flip"),
    "RandomVerticalFlip": _flip("vertical_flip"), "RandomRotation": _rotation, "RandomAffine": _affine,
    "RandomPerspective": _perspective, "ElasticTransform": _elastic,
    "ColorJitter": _color_jitter, "Grayscale": _grayscale, "RandomGrayscale": _with_p("grayscale"),
    "GaussianBlur": _blur, "RandomInvert": _with_p("invert"), "RandomPosterize": _posterize,
    "RandomSolarize": _solarize, "RandomAdjustSharpness": _sharpness, "RandomAutocontrast": _with_p("auto_contrast"),
    "RandomEqualize": _with_p("equalize"), "RandomErasing": _erasing, "GaussianNoise": _noise, "JPEG": _jpeg,
    "RandomChannelPermutation": lambda given, walk: ["channel_shuffle"],
    "AutoAugment": _auto_augment, "RandAugment": _rand_augment, "TrivialAugmentWide": _trivial, "AugMix": _aug_mix,
    "Lambda": _refused("it is code; write a transform of your own for it (docs/write-a-transform.md)"),
    "FiveCrop": _refused(_MANY), "TenCrop": _refused(_MANY),
    "ScaleJitter": _refused(_SIZE_BY_CHANCE), "RandomShortestSize": _refused(_SIZE_BY_CHANCE),
    "RandomResize": _refused(_SIZE_BY_CHANCE), "RandomZoomOut": _refused(_SIZE_BY_CHANCE),
    "MixUp": _refused("it mixes a batch"), "CutMix": _refused("it mixes a batch"),
    "SanitizeBoundingBoxes": _refused("a spec says under `targets` which boxes are dropped"),
}  # fmt: skip
"""Everything but containers and changes of type."""
