"""from_timm: pipelines of timm's create_transform, from the result or from its arguments."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from augreg.importers import torchvision
from augreg.importers.objects import class_and_attributes, translate_holder
from augreg.importers.timm_policies import POLICY_TRANSLATORS
from augreg.importers.torchvision_steps import UNSUPPORTED, resize_interpolation
from augreg.importers.translation import (
    Imported,
    Parameters,
    Steps,
    Translation,
    Translator,
    UnsupportedError,
    numbers,
    pair,
)
from augreg.steps.fields import MEANS, STDS, brief

__all__ = ["from_timm"]

_Transforms = list[tuple[str, dict[str, Any]]]
"""Transforms as class names and parameters."""


def from_timm(transform: Any = None, /, **arguments: Any) -> Imported:
    """Convert a timm pipeline to a spec, with a report of everything that the spec cannot express.

    Pass the result of `timm.data.create_transform`, or its arguments, with its defaults: from_timm(input_size=224,
    is_training=True, auto_augment="rand-m9-mstd0.5-inc1"). The spec has `backend: pillow`, so that an evaluation
    gives the same bytes as timm. Timm need not be installed. Raises TypeError for both or neither, and for what is
    no transform.
    """
    if isinstance(transform, Mapping):
        transform, arguments = None, {**transform, **arguments}
    if (transform is None) == (not arguments):
        raise TypeError("from_timm takes a transform, or the arguments of timm.data.create_transform")
    if isinstance(transform, str):
        raise TypeError(
            f"expected a transform of timm, got {transform!r}; a policy is a step, "
            f"`timm_policy: {{policy: {transform}}}`"
        )
    walk = Translation(_TRANSLATORS, _UNSUPPORTED, _class_and_parameters, translate_holder)
    if transform is None:
        _set_channels(arguments.get("input_size"), walk)
        return torchvision.finish(walk, _created(Parameters("create_transform", arguments, "timm", walk.report)))
    if not hasattr(transform, "__dict__") and not isinstance(transform, list | tuple):
        raise TypeError(f"expected a transform of timm, such as a Compose, got {brief(transform)}")
    return torchvision.finish(walk, torchvision.children(transform))  # separate=True gives a tuple of three


def _set_channels(size: Any, walk: Translation) -> None:
    if isinstance(size, list | tuple) and len(size) == 3 and size[0] == 1:
        walk.options["channels"] = "gray"
        walk.report.append(
            f"timm create_transform: input_size={tuple(size)} became `channels: gray`, as input_img_mode='L' does in "
            "timm's datasets: files and PIL images are read in one channel"
        )


def _class_and_parameters(transform: Any) -> tuple[str, Mapping[str, Any]]:
    """The class name and the parameters of a transform, or of an item of _Transforms."""
    return transform if isinstance(transform, tuple) else class_and_attributes(transform)


def _created(params: Parameters) -> _Transforms:
    """The transforms that create_transform makes from its arguments."""
    given = params.take("input_size", 224)
    given = given[-2:] if isinstance(given, list) else given
    size = pair(given)
    prefetcher = params.take("use_prefetcher", False)
    params.only("naflex", False)
    params.only("patchify", False)
    if prefetcher:
        params.note("use_prefetcher=True: the spec has normalize and random_erasing, which timm's loader applies")
        params.only("tf_preprocessing", False)
    # tf_preprocessing without a prefetcher changes nothing in timm
    params.ignore(
        "separate", "patch_size", "max_seq_len", "patchify_channels_last", "patchify_flatten", "tf_preprocessing"
    )
    mean, std = params.take("mean", MEANS["imagenet"]), params.take("std", STDS["imagenet"])
    last: _Transforms = [("ToTensor", {}), ("Normalize", {"mean": _float32(mean), "std": _float32(std)})]
    if not params.take("normalize", True):
        last = [("PILToTensor", {})]
    resample = params.take("interpolation", "bilinear")
    if not params.take("is_training", False):
        params.ignore("no_aug", *_TRAINING)
        transforms = _evaluation(params, size, mean, resample)
    elif params.take("no_aug", False):
        params.ignore(*_TRAINING, *_EVALUATION)
        resample = "bilinear" if resample == "random" else resample
        transforms = [("Resize", {"size": given, "interpolation": resample}), ("CenterCrop", {"size": size})]
    else:
        params.ignore(*_EVALUATION)
        transforms = _training(params, size, mean, resample)
        erasing = _erasing_of(params)
        last += erasing if len(last) > 1 else []  # timm erases only where it normalizes
    params.finish()
    return [*transforms, *last]


def _float32(value: Any) -> Any:
    """Numbers as timm's Normalize keeps them, so that it and the arguments that make it give one spec."""
    try:
        return np.asarray(value, np.float32)
    except (TypeError, ValueError):
        return value  # which the translator reports


# Arguments that only one of the two reads.
_TRAINING = (
    "train_crop_mode", "scale", "ratio", "hflip", "vflip", "color_jitter", "color_jitter_prob", "force_color_jitter",
    "auto_augment", "grayscale_prob", "gaussian_blur_prob", "re_prob", "re_mode", "re_count", "re_num_splits",
)  # fmt: skip
_EVALUATION = ("crop_pct", "crop_mode", "crop_border_pixels")


def _training(params: Parameters, size: list[int], mean: list[float], resample: str) -> _Transforms:
    transforms = _cropped(params, size, resample)
    for key, name, default in (("hflip", "RandomHorizontalFlip", 0.5), ("vflip", "RandomVerticalFlip", 0.0)):
        if p := params.take(key, default):
            transforms.append((name, {"p": p}))
    policy = params.take("auto_augment")
    if policy:
        transforms.append(("policy", {"policy": policy, "mean": mean, "interpolation": resample}))
    forced = params.take("force_color_jitter", False) or "3a" in (policy or "")
    jitter = params.take("color_jitter", 0.4)
    chance = params.take("color_jitter_prob")
    if jitter is not None and (forced or not policy):
        amounts = jitter if isinstance(jitter, list) else [float(jitter)] * 3
        keys = ("brightness", "contrast", "saturation", "hue")
        middles = (1.0, 1.0, 1.0, 0.0)
        spread = zip(keys, middles, amounts, strict=False)
        ranges = {key: [max(0.0, mid - x) if mid else -x, mid + x] for key, mid, x in spread if x}
        if ranges:
            color_jitter = ("ColorJitter", ranges)
            applied = {"transforms": [color_jitter], "p": chance}
            transforms.append(color_jitter if chance is None else ("RandomApply", applied))
    if p := params.take("grayscale_prob", 0.0):
        transforms.append(("RandomGrayscale", {"p": p}))
    if p := params.take("gaussian_blur_prob", 0.0):
        blur = ("GaussianBlur", {"kernel_size": [23, 23], "sigma": [0.1, 2.0]})
        transforms.append(("RandomApply", {"transforms": [blur], "p": p}))
    return transforms


def _cropped(params: Parameters, size: list[int], resample: str) -> _Transforms:
    """What brings a training image to its size, by `train_crop_mode`.

    `rrc` is a random resized crop; `rkrc` and `rkrr` keep the aspect ratio nearly, and crop or pad at the center or
    at random.
    """
    mode = params.take("train_crop_mode") or "rrc"
    if mode not in ("rrc", "rkrc", "rkrr"):
        params.note(f"train_crop_mode={mode!r} is unknown: expected rrc, rkrc or rkrr; rrc is assumed")
    modes = ["bilinear", "bicubic"] if resample == "random" else resample
    scale, ratio = params.take("scale"), params.take("ratio")
    if mode not in ("rkrc", "rkrr"):
        crop = {"scale": scale or [0.08, 1.0], "ratio": ratio or [3 / 4, 4 / 3]}
        return [("RandomResizedCropAndInterpolation", {"size": size, **crop, "interpolation": modes})]
    resized: dict[str, Any] = {
        "size": size, "interpolation": modes,
        "random_scale_prob": 0.5, "random_scale_range": scale or [0.8, 1.0], "random_scale_area": True,
        "random_aspect_prob": 0.5, "random_aspect_range": ratio or [0.9, 1 / 0.9],
    }  # fmt: skip
    name = "CenterCropOrPad" if mode == "rkrc" else "RandomCropOrPad"
    return [("ResizeKeepRatio", resized), (name, {"size": size, "padding_mode": "reflect"})]


def _erasing_of(params: Parameters) -> _Transforms:
    p, mode = params.take("re_prob", 0.0), params.take("re_mode", "const")
    count, splits = params.take("re_count", 1), params.take("re_num_splits", 0)
    values = {
        "probability": p, "mode": mode, "min_count": 1, "max_count": count, "num_splits": splits,
        "min_area": 0.02, "max_area": 1 / 3, "log_aspect_ratio": (math.log(0.3), -math.log(0.3)),
    }  # fmt: skip
    return [("RandomErasing", values)] if p else []


def _evaluation(params: Parameters, size: list[int], mean: list[float], resample: str) -> _Transforms:
    crop_pct, mode = params.take("crop_pct") or 0.875, params.take("crop_mode") or "center"
    border = params.take("crop_border_pixels")
    frame = [math.floor(side / crop_pct) for side in size]
    first: tuple[str, dict[str, Any]]
    if mode == "squash":
        first = ("Resize", {"size": frame, "interpolation": resample})
    elif mode == "border":
        first = ("ResizeKeepRatio", {"size": frame, "interpolation": resample, "longest": 1.0})
    elif frame[0] == frame[1]:
        first = ("Resize", {"size": frame[0], "interpolation": resample})
    else:
        first = ("ResizeKeepRatio", {"size": frame, "interpolation": resample})
    fill = {"fill": [round(255 * value) for value in mean]} if mode == "border" else {}
    trimmed: _Transforms = [("TrimBorder", {"border_size": border})] if border else []
    return [*trimmed, first, ("CenterCropOrPad" if fill else "CenterCrop", {"size": size, **fill})]


def _modes(params: Parameters) -> list[str]:
    """The interpolations that a transform draws from."""
    mode = params.take("interpolation", "bilinear")
    return [resize_interpolation(params, item) for item in (mode if isinstance(mode, list) else [mode])]


def _crop(params: Parameters, walk: Translation) -> Steps:
    arguments = {"size": pair(params.take("size")), "scale": params.take("scale"), "ratio": params.take("ratio")}
    crops: Steps = [{"random_resized_crop": {**arguments, "interpolation": name}} for name in _modes(params)]
    return crops if len(crops) == 1 else [{"one_of": {"steps": crops}}]


def _keep_ratio(params: Parameters, walk: Translation) -> Steps:
    arguments: dict[str, Any] = {"size": pair(params.take("size")), "longest": params.take("longest", 0.0)}
    still = dict(arguments)
    scale_p, ratio_p = params.take("random_scale_prob", 0.0), params.take("random_aspect_prob", 0.0)
    scale, ratio = params.take("random_scale_range"), params.take("random_aspect_range")
    by_area = params.take("random_scale_area", False)
    if scale_p:
        if not by_area:
            raise UnsupportedError("random_scale_area=False draws a factor of the sides; `scale` is one of the area")
        arguments |= {"scale": scale, "scale_p": scale_p}
    if ratio_p:
        arguments |= {"ratio": ratio, "ratio_p": ratio_p}
    names = _modes(params)
    steps: Steps = [{"resize_keep_ratio": {**arguments, "interpolation": name}} for name in names]
    if len(steps) == 1:
        return steps
    return [{"one_of": {"steps": steps, "test": [{"resize_keep_ratio": {**still, "interpolation": names[0]}}]}}]


def _crop_or_pad(position: str) -> Translator:
    def translator(params: Parameters, walk: Translation) -> Steps:
        fill, mode = params.take("fill", 0), params.take("padding_mode", "constant")
        arguments = {"size": pair(params.take("size")), "position": position, "mode": mode}
        return [{"crop_or_pad": {**arguments, **({"fill": numbers(fill)} if fill else {})}}]

    return translator


def _trim(params: Parameters, walk: Translation) -> Steps:
    return [{"crop_border": {"pixels": params.take("border_size")}}]


def _erasing(params: Parameters, walk: Translation) -> Steps:
    """Up to `max_count` boxes: each number of boxes is equally likely, and they share the area of one."""
    if "probability" not in params:
        return torchvision.TRANSLATORS["RandomErasing"](params, walk)
    params.only("num_splits", 0)
    params.ignore("rand_color", "per_pixel", "device")
    fewest = params.take("min_count", 1)
    most = params.take("max_count") or fewest
    mode = {"const": "const", "rand": "random", "pixel": "pixel"}.get(params.take("mode"))
    ratio = [math.exp(end) for end in params.take("log_aspect_ratio")]
    area, p = [params.take("min_area"), params.take("max_area")], params.take("probability")
    if most == 1:
        return [{"random_erasing": {"area": area, "ratio": ratio, "mode": mode, "p": p}}]
    choices: Steps = []
    for count in range(fewest, most + 1):
        box = {"random_erasing": {"area": [end / count for end in area], "ratio": ratio, "mode": mode, "p": 1.0}}
        choices.append(box if count == 1 else {"sequential": {"steps": [box] * count}})
    return [{"one_of": {"steps": choices, "p": p}}]


_TRANSLATORS: Mapping[str, Translator] = {
    **torchvision.TRANSLATORS, **POLICY_TRANSLATORS,
    "MaybeToTensor": torchvision.TRANSLATORS["ToTensor"], "MaybePILToTensor": torchvision.TRANSLATORS["PILToTensor"],
    "RandomResizedCropAndInterpolation": _crop, "ResizeKeepRatio": _keep_ratio, "TrimBorder": _trim,
    "CenterCropOrPad": _crop_or_pad("center"), "RandomCropOrPad": _crop_or_pad("random"), "RandomErasing": _erasing,
}  # fmt: skip

_UNSUPPORTED = {
    **UNSUPPORTED,
    **dict.fromkeys(
        ("RandomResizedCropToSequence", "ResizeToSequence", "Patchify"), "it makes sequences of patches (NaFlex)"
    ),
    "RandomPad": "use timm's RandomCropOrPad",
    "TfPreprocessTransform": "it is a graph of TensorFlow",
    "ToNumpy": "set `output: numpy` in the spec",
}
