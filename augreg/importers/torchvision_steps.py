"""Translators of single torchvision transforms, one function for each class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from augreg.importers.translation import (
    ONE_MEAN,
    Parameters,
    Steps,
    Translation,
    Translator,
    UnsupportedError,
    numbers,
    pair,
)
from augreg.transforms.policies.dialects import DIALECTS

__all__ = [
    "STEP_TRANSLATORS",
    "UNSUPPORTED",
    "antialiasing",
    "color_of",
    "interpolation",
    "interpolation_name",
    "normalized",
    "resize_interpolation",
]

_PILLOW = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}


def interpolation(params: Parameters, default: str = "bilinear") -> str:
    """The name of the parameter `interpolation`, as `interpolation_name` gives it."""
    return interpolation_name(params, params.take("interpolation", default))


def interpolation_name(params: Parameters, value: Any) -> str:
    """The name of an InterpolationMode or of a constant of Pillow, for a warp; an unknown one becomes bicubic."""
    return _named(params, value, ("nearest", "bilinear", "bicubic"))


def resize_interpolation(params: Parameters, value: Any) -> str:
    """As `interpolation_name`, for a step that resizes."""
    return _named(params, value, ("nearest", "bilinear", "bicubic", "lanczos"))


def _named(params: Parameters, value: Any, known: tuple[str, ...]) -> str:
    value = getattr(value, "value", value)
    name = _PILLOW.get(value, str(value)) if isinstance(value, int) else str(value)
    if name in known:
        return name
    if name == "nearest-exact":  # on PIL images it is nearest
        return "nearest"
    params.note(f"interpolation={name} became bicubic, the most similar")
    return "bicubic"


def _fill(params: Parameters, walk: Translation) -> dict[str, Any]:
    value = params.take("fill", 0)
    if value in (None, 0, 0.0, [0, 0, 0]):
        return {}
    if not isinstance(value, int | float | list) or isinstance(value, bool):
        params.note(f"fill={value!r} is not kept: a spec has one fill, for images")
        return {}
    return {"fill": color_of(value, walk)}


def color_of(value: Any, walk: Translation) -> list[float]:
    """A color for a spec, where it is from 0 to 255 until images are normalized; in torchvision, floats end at 1."""
    scale = 255.0 if walk.floats and not walk.normalized else 1.0
    return [number * scale for number in numbers(value)]


def _p(params: Parameters) -> dict[str, Any]:
    return {"p": params.take("p", 0.5)}


def _size(params: Parameters) -> list[int]:
    size = params.take("size")
    return pair(size[0]) if isinstance(size, list) and len(size) == 1 else pair(size)


def _normalize(params: Parameters, walk: Translation) -> Steps:
    params.ignore("inplace")
    mean = params.take("mean")
    steps = normalized(walk, mean, params.take("std"))
    if isinstance(mean, list) and len(mean) == 1 and "channels" not in walk.options:
        walk.options["channels"] = "keep"
        params.note(ONE_MEAN)
    return steps


def normalized(walk: Translation, mean: Any, std: Any) -> Steps:
    """The step that normalizes; images are tensors of floats after it."""
    mean, std = numbers(mean), numbers(std)
    if walk.unscaled:  # a spec has the mean and the deviation of values from 0 to 1
        mean, std = ([float(f"{number / 255:.12g}") for number in values] for values in (mean, std))
    for name, values, lowest in (("mean", mean, 0.0), ("std", std, 1e-6)):
        if not all(lowest <= number <= 1 for number in values):
            raise UnsupportedError(f"{name}={values} must be from 0 to 1, as the values of the images are")
    walk.options["output"] = "torch"
    walk.normalized = True
    return [{"normalize": {"mean": mean, "std": std}}]


def _mixed(name: str) -> Translator:
    """MixUp and CutMix, whose partner is the previous image of the batch."""

    def translator(params: Parameters, walk: Translation) -> Steps:
        alpha, classes = params.take("alpha", 1.0), params.take("num_classes")
        if not walk.mixing:
            raise UnsupportedError("it mixes the images of a batch; import it by itself, for the section `batch`")
        if classes is not None and walk.options.setdefault("classes", classes) != classes:
            params.note(f"num_classes={classes} is not kept: classes is {walk.options['classes']}")
        return [{name: {"alpha": alpha, "pairing": "roll"}}]

    return translator


def antialiasing(params: Parameters, walk: Translation) -> dict[str, Any]:
    """The argument `antialias`, where it is not the default."""
    if params.take("antialias", True) is not False:
        return {}
    if not walk.tensors:
        params.note("antialias=False is for tensors; torchvision ignores it for PIL images")
    return {"antialias": False}


def _resize(params: Parameters, walk: Translation) -> Steps:
    size = params.take("size")
    longer = params.take("max_size")
    options = {"interpolation": resize_interpolation(params, params.take("interpolation", "bilinear"))}
    options |= antialiasing(params, walk)
    if walk.tensors:
        params.note("it resizes a tensor, which rounds otherwise than Pillow does: for the same pixels, resize first")
    if longer is not None:
        shorter = {} if size is None else {"shorter": size[0] if isinstance(size, list) else size}
        return [{"resize_within": {**shorter, "longer": longer, **options}}]
    if isinstance(size, list) and len(size) == 2:
        return [{"resize": {"size": size, **options}}]
    return [{"resize": {"shorter": size[0] if isinstance(size, list) else size, **options}}]


def _center_crop(params: Parameters, walk: Translation) -> Steps:
    return [{"center_crop": {"size": _size(params)}}]


def _padding(value: Any) -> list[int]:
    """[top, bottom, left, right] of torchvision's n, (x, y) or (left, top, right, bottom)."""
    if not isinstance(value, list):
        return [value] * 4
    if len(value) == 1:
        return value * 4
    left, top, right, bottom = value if len(value) == 4 else (*value, *value)
    return [top, bottom, left, right]


def _random_crop(params: Parameters, walk: Translation) -> Steps:
    padding = params.take("padding")
    if params.take("pad_if_needed", False):
        params.note("pad_if_needed=True pads each side by all that is missing; here, it is split between both sides")
    arguments = {"size": _size(params), "mode": params.take("padding_mode", "constant"), **_fill(params, walk)}
    return [{"random_crop": {**arguments, **({"padding": _padding(padding)} if padding is not None else {})}}]


def _pad(params: Parameters, walk: Translation) -> Steps:
    mode = params.take("padding_mode", "constant")
    return [{"pad": {"padding": _padding(params.take("padding")), "mode": mode, **_fill(params, walk)}}]


def _random_resized_crop(params: Parameters, walk: Translation) -> Steps:
    arguments = {"size": _size(params), "scale": params.take("scale"), "ratio": params.take("ratio")}
    mode = resize_interpolation(params, params.take("interpolation", "bilinear"))
    return [{"random_resized_crop": {**arguments, "interpolation": mode, **antialiasing(params, walk)}}]


def _with_p(name: str) -> Translator:
    return lambda params, walk: [{name: _p(params)}]


def _color_jitter(params: Parameters, walk: Translation) -> Steps:
    ranges = {key: params.take(key) for key in ("brightness", "contrast", "saturation", "hue")}
    return [{"color_jitter": {key: pair(value) for key, value in ranges.items() if value is not None}}]


def _rotation(params: Parameters, walk: Translation) -> Steps:
    params.only("expand", False, why="the image keeps its size")
    params.only("center", None, why="it rotates about the center")
    params.ignore("resample", "fillcolor")  # old names of interpolation and fill
    options = {"interpolation": interpolation(params, default="nearest"), **_fill(params, walk)}
    return [{"rotate": {"degrees": pair(params.take("degrees")), **options}}]


def _affine(params: Parameters, walk: Translation) -> Steps:
    params.only("center", None, why="it rotates about the center")
    params.ignore("resample", "fillcolor")
    degrees, shear = pair(params.take("degrees")), params.take("shear")
    right, down = params.take("translate") or (0.0, 0.0)
    shear = [*shear, 0.0, 0.0][:4] if isinstance(shear, list) else [-(shear or 0.0), shear or 0.0, 0.0, 0.0]
    if any(shear[:2]) and any(shear[2:]):
        params.note("shear along both axes at once is composed in another order here")
    # its angles of rotation and shear have the opposite sign of ours
    arguments = {
        "degrees": _negated(degrees),
        "translate": [down, right],
        "scale": pair(params.take("scale") or 1.0),
        "shear_x": _negated(shear[:2]),
        "shear_y": _negated(shear[2:]),
        "interpolation": interpolation(params, default="nearest"),
    }
    return [{"affine": {**arguments, **_fill(params, walk)}}]


def _negated(limits: list[float]) -> list[float]:
    low, high = limits
    return [0.0 - high, 0.0 - low]


def _perspective(params: Parameters, walk: Translation) -> Steps:
    options = {"interpolation": interpolation(params), **_fill(params, walk), **_p(params)}
    return [{"perspective": {"distortion": params.take("distortion_scale"), **options}}]


def _grayscale(params: Parameters, walk: Translation) -> Steps:
    if params.take("num_output_channels", 1) == 1:
        walk.options["channels"] = "gray"
        params.note(
            "num_output_channels=1 became `channels: gray`: images are gray before the first step, and pixels may "
            "differ by 1 after a resize; an array of 3 channels keeps 3"
        )
    return ["grayscale"]


def _blur(params: Parameters, walk: Translation) -> Steps:
    size, sigma = pair(params.take("kernel_size")), pair(params.take("sigma", [0.1, 2.0]))
    if size[0] == size[1] and size[0] // 2 < 3 * sigma[1]:  # it cuts off what can be seen
        return [{"gaussian_blur": {"sigma": sigma, "size": size}}]
    if size[0] == size[1]:
        params.note(
            f"kernel_size={size} has room for three deviations: here the size of the kernel follows from sigma"
        )
    else:
        params.lose(f"kernel_size={size} is not kept: the size of the kernel follows from sigma")
    return [{"gaussian_blur": {"sigma": sigma}}]


def _posterize(params: Parameters, walk: Translation) -> Steps:
    return [{"posterize": {"bits": pair(params.take("bits")), **_p(params)}}]


def _solarize(params: Parameters, walk: Translation) -> Steps:
    scale = 255.0 if walk.floats else 1.0
    return [{"solarize": {"threshold": pair(params.take("threshold") * scale), **_p(params)}}]


def _sharpness(params: Parameters, walk: Translation) -> Steps:
    return [{"sharpness": {"factor": pair(params.take("sharpness_factor")), **_p(params)}}]


def _erasing(params: Parameters, walk: Translation) -> Steps:
    params.ignore("inplace")
    value = params.take("value", 0)
    arguments = {"area": params.take("scale"), "ratio": params.take("ratio"), **_p(params)}
    if value in ("random", None):
        if not walk.normalized:
            params.note("value='random' is normal noise; here, before normalize, it is uniform over the pixel values")
        return [{"random_erasing": {**arguments, "mode": "pixel"}}]
    fill = color_of(value, walk)
    return [{"random_erasing": {**arguments, **({"fill": fill} if any(fill) else {})}}]


def _elastic(params: Parameters, walk: Translation) -> Steps:
    alpha, sigma = pair(params.take("alpha", 50.0)), pair(params.take("sigma", 5.0))
    if alpha[0] != alpha[1] or sigma[0] != sigma[1]:
        params.note(f"alpha={alpha}, sigma={sigma}: the first of each is used for both axes")
    # its displacement is alpha / side in coordinates from -1 to 1, which is alpha / 2 pixels
    options = {"interpolation": interpolation(params), **_fill(params, walk)}
    return [{"elastic": {"alpha": pair(alpha[0] / 2.0), "sigma": sigma[0], **options}}]


def _noise(params: Parameters, walk: Translation) -> Steps:
    params.only("mean", 0.0, 0, why="the noise has mean 0")
    params.ignore("clip")
    return [{"gaussian_noise": {"std": pair(params.take("sigma", 0.1))}}]


def _gamma(params: Parameters, walk: Translation) -> Steps:
    """The function adjust_gamma, which has no class."""
    params.only("gain", 1, 1.0)
    params.note("values may differ by 1: torchvision rounds them down")
    return [{"gamma": {"gamma": pair(params.take("gamma"))}}]


def _jpeg(params: Parameters, walk: Translation) -> Steps:
    return [{"jpeg": {"quality": pair(params.take("quality"))}}]


def _auto_augment(params: Parameters, walk: Translation) -> Steps:
    policy = params.take("policy", "imagenet")
    params.ignore("policies")  # the table with this name
    return [{"auto_augment": {"policy": str(getattr(policy, "value", policy)), **_policy(params, walk)}}]


def _policy(params: Parameters, walk: Translation) -> dict[str, Any]:
    options = {"interpolation": interpolation(params, default="nearest"), **_fill(params, walk)}
    return {"dialect": "torchvision", **options}


def _rand_augment(params: Parameters, walk: Translation) -> Steps:
    params.only("num_magnitude_bins", 31, why="magnitudes are from 0 to 30")
    arguments = {"n": params.take("num_ops", 2), "m": params.take("magnitude", 9)}
    return [{"rand_augment": {**arguments, **_policy(params, walk)}}]


def _trivial(params: Parameters, walk: Translation) -> Steps:
    params.only("num_magnitude_bins", 31, why="magnitudes are from 0 to 30")
    return [{"trivial_augment_wide": _policy(params, walk)}]


def _aug_mix(params: Parameters, walk: Translation) -> Steps:
    depth = params.take("chain_depth", -1)
    arguments = {
        "severity": params.take("severity", 3), "width": params.take("mixture_width", 3),
        "alpha": params.take("alpha", 1.0), **({"depth": depth} if depth > 0 else {}),
    }  # fmt: skip
    if not params.take("all_ops", True):
        arguments["ops"] = list(DIALECTS["aug_mix", "paper"].ops)
    return [{"aug_mix": {**arguments, **_policy(params, walk)}}]


STEP_TRANSLATORS: Mapping[str, Translator] = {
    "Normalize": _normalize,
    "Resize": _resize, "CenterCrop": _center_crop, "RandomCrop": _random_crop, "Pad": _pad,
    "RandomResizedCrop": _random_resized_crop, "RandomHorizontalFlip": _with_p("horizontal_flip"),
    "RandomVerticalFlip": _with_p("vertical_flip"), "RandomRotation": _rotation, "RandomAffine": _affine,
    "RandomPerspective": _perspective, "ElasticTransform": _elastic,
    "ColorJitter": _color_jitter, "Grayscale": _grayscale, "RandomGrayscale": _with_p("grayscale"),
    "GaussianBlur": _blur, "RandomInvert": _with_p("invert"), "RandomPosterize": _posterize,
    "RandomSolarize": _solarize, "RandomAdjustSharpness": _sharpness, "RandomAutocontrast": _with_p("auto_contrast"),
    "RandomEqualize": _with_p("equalize"), "RandomErasing": _erasing, "GaussianNoise": _noise, "JPEG": _jpeg,
    "RandomChannelPermutation": lambda params, walk: ["channel_shuffle"],
    "adjust_gamma": _gamma, "MixUp": _mixed("mixup"), "CutMix": _mixed("cutmix"),
    "AutoAugment": _auto_augment, "RandAugment": _rand_augment, "TrivialAugmentWide": _trivial, "AugMix": _aug_mix,
}  # fmt: skip
"""The translators by class name, without containers and conversions of type."""

UNSUPPORTED: Mapping[str, str] = {
    "VideoClassification": "it takes a clip of frames, and a spec is for images",
    **dict.fromkeys(("FiveCrop", "TenCrop"), "it makes several images from one"),
}
"""Why a spec cannot express some classes."""
