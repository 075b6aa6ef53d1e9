"""from_timm: pipelines of timm's create_transform, from the result or from its arguments."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from augreg.importers import torchvision
from augreg.importers.torchvision_steps import UNSUPPORTED, interpolation, interpolation_name
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
from augreg.steps.fields import MEANS, STDS
from augreg.transforms.policies.sampling import UNIFORM

__all__ = ["from_timm"]

_Transforms = list[tuple[str, dict[str, Any]]]
"""Transforms as class names and parameters."""


def from_timm(transform: Any = None, /, **arguments: Any) -> Imported:
    """Convert a timm pipeline to a spec, with a report of everything that the spec cannot express.

    Pass the result of `timm.data.create_transform`, or its arguments: from_timm(input_size=224, is_training=True,
    auto_augment="rand-m9-mstd0.5-inc1"). Timm need not be installed. Raises TypeError for both or neither.
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
    walk = Translation(_TRANSLATORS, UNSUPPORTED, _class_and_parameters)
    if transform is None:
        return torchvision.finish(walk, _created(Parameters("create_transform", arguments, "timm", walk.report)))
    if isinstance(transform, tuple | list):  # separate=True gives three
        return torchvision.finish(walk, transform)
    name, values = _class_and_parameters(transform)
    return torchvision.finish(walk, values.get("transforms", []) if name == "Compose" else [transform])


def _class_and_parameters(transform: Any) -> tuple[str, Mapping[str, Any]]:
    """The class name and the parameters of a transform, or of an item of _Transforms."""
    return transform if isinstance(transform, tuple) else torchvision.class_and_attributes(transform)


def _created(params: Parameters) -> _Transforms:
    """The transforms that create_transform makes from its arguments."""
    size = pair(params.take("input_size", 224))[-2:]
    params.only("naflex", False)
    params.only("patchify", False)
    params.only("tf_preprocessing", False)
    params.ignore("separate", "patch_size", "max_seq_len", "patchify_channels_last", "patchify_flatten")
    if params.take("use_prefetcher", False):
        params.note("use_prefetcher=True: the spec has normalize and random_erasing, which timm's loader applies")
    mean, std = params.take("mean", MEANS["imagenet"]), params.take("std", STDS["imagenet"])
    last: _Transforms = [("ToTensor", {}), ("Normalize", {"mean": mean, "std": std})]
    if not params.take("normalize", True):
        last = [("PILToTensor", {})]
    training = params.take("is_training", False)
    if training and params.take("no_aug", False):
        resample = params.take("interpolation", "bilinear")
        resample = "bilinear" if resample == "random" else resample
        transforms: _Transforms = [
            ("Resize", {"size": size, "interpolation": resample}),
            ("CenterCrop", {"size": size}),
        ]
    elif training:
        transforms = _training(params, size, mean)
        erasing = _erasing_of(params)
        last += erasing if len(last) > 1 else []
    else:
        params.ignore("no_aug")
        transforms = _evaluation(params, size, mean)
    params.finish()
    return [*transforms, *last]


def _training(params: Parameters, size: list[int], mean: list[float]) -> _Transforms:
    params.only("train_crop_mode", None, "rrc")
    params.ignore("crop_pct", "crop_mode", "crop_border_pixels")  # only for evaluation
    resample = params.take("interpolation", "random" if "interpolation" not in params else None) or "random"
    crop = {
        "size": size, "scale": params.take("scale") or [0.08, 1.0], "ratio": params.take("ratio") or [3 / 4, 4 / 3],
        "interpolation": ["bilinear", "bicubic"] if resample == "random" else resample,
    }  # fmt: skip
    transforms: _Transforms = [("RandomResizedCropAndInterpolation", crop)]
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
        blur = ("GaussianBlur", {"kernel_size": 23, "sigma": [0.1, 2.0]})
        transforms.append(("RandomApply", {"transforms": [blur], "p": p}))
    return transforms


def _erasing_of(params: Parameters) -> _Transforms:
    p, mode = params.take("re_prob", 0.0), params.take("re_mode", "const")
    count, splits = params.take("re_count", 1), params.take("re_num_splits", 0)
    values = {
        "probability": p, "mode": mode, "min_count": 1, "max_count": count, "num_splits": splits,
        "min_area": 0.02, "max_area": 1 / 3, "log_aspect_ratio": (math.log(0.3), -math.log(0.3)),
    }  # fmt: skip
    return [("RandomErasing", values)] if p else []


def _evaluation(params: Parameters, size: list[int], mean: list[float]) -> _Transforms:
    for key in (
        "scale", "ratio", "hflip", "vflip", "color_jitter", "color_jitter_prob", "force_color_jitter", "auto_augment",
        "grayscale_prob", "gaussian_blur_prob", "re_prob", "re_mode", "re_count", "re_num_splits", "train_crop_mode",
    ):  # fmt: skip
        params.ignore(key)  # only for training
    params.only("crop_border_pixels", None, 0)
    crop_pct, mode = params.take("crop_pct") or 0.875, params.take("crop_mode") or "center"
    resample = params.take("interpolation", "bilinear")
    frame = [math.floor(side / crop_pct) for side in size]
    if mode == "squash":
        first = ("Resize", {"size": frame, "interpolation": resample})
    elif mode == "border":
        first = ("ResizeKeepRatio", {"size": frame, "interpolation": resample, "longest": 1.0})
    elif frame[0] == frame[1]:
        first = ("Resize", {"size": frame[0], "interpolation": resample})
    else:
        first = ("ResizeKeepRatio", {"size": frame, "interpolation": resample, "longest": 0.0})
    fill = {"fill": [round(255 * value) for value in mean]} if mode == "border" else {}
    return [first, ("CenterCropOrPad" if fill else "CenterCrop", {"size": size, **fill})]


def _crop(params: Parameters, walk: Translation) -> Steps:
    mode = params.take("interpolation")
    names = [interpolation_name(params, item) for item in (mode if isinstance(mode, list) else [mode])]
    arguments = {"size": pair(params.take("size")), "scale": params.take("scale"), "ratio": params.take("ratio")}
    crops: Steps = [{"random_resized_crop": {**arguments, "interpolation": name}} for name in names]
    return crops if len(crops) == 1 else [{"one_of": {"steps": crops}}]


def _keep_ratio(params: Parameters, walk: Translation) -> Steps:
    size, longest = pair(params.take("size")), params.take("longest", 0.0)
    for key in ("random_scale_prob", "random_aspect_prob"):
        if params.take(key, 0.0):
            raise UnsupportedError(f"{key} makes the size random")
    params.ignore("random_scale_range", "random_scale_area", "random_aspect_range")
    if size[0] != size[1] or longest not in (0.0, 1.0):
        raise UnsupportedError(
            f"size={size} with longest={longest:g}: only a square size with longest 0 or 1 is possible"
        )
    resample = {"interpolation": interpolation(params)}
    if longest:
        return [{"longest_max_size": {"longer": size[0], **resample}}]
    return [{"resize": {"shorter": size[0], **resample}}]


def _crop_or_pad(name: str) -> Translator:
    def translator(params: Parameters, walk: Translation) -> Steps:
        fill = params.take("fill", 0)
        params.only("padding_mode", "constant", why="padding is always filled")
        return [{name: {"size": pair(params.take("size")), **({"fill": numbers(fill)} if fill else {})}}]

    return translator


def _erasing(params: Parameters, walk: Translation) -> Steps:
    if "probability" not in params:
        return torchvision.TRANSLATORS["RandomErasing"](params, walk)
    params.only("max_count", 1, None, why="one box is erased")
    params.only("min_count", 1)
    params.only("num_splits", 0)
    params.ignore("rand_color", "per_pixel", "device")
    mode = {"const": "const", "rand": "random", "pixel": "pixel"}.get(params.take("mode"))
    ratio = [math.exp(end) for end in params.take("log_aspect_ratio")]
    area = [params.take("min_area"), params.take("max_area")]
    return [{"random_erasing": {"area": area, "ratio": ratio, "mode": mode, "p": params.take("probability")}}]


def _policy_string(params: Parameters, walk: Translation) -> Steps:
    fill = [float(min(255, round(255 * value))) for value in params.take("mean")]
    mode = params.take("interpolation")  # `random`, timm's default, is also the default of timm_policy
    optional = {} if mode == "random" else {"interpolation": interpolation_name(params, mode)}
    return [{"timm_policy": {"policy": params.take("policy"), "fill": fill, **optional}}]


# ops of timm that have another name here
_OPS = {"TranslateXRel": "translate_x", "TranslateYRel": "translate_y", "Posterize": "posterize_tpu"}


def _op(op: Any) -> dict[str, Any]:
    """The values of one of timm's AugmentOps, with the arguments of `_common` as keys."""
    values = vars(op)
    hints = values.get("hparams") or {}
    std = values.get("magnitude_std", hints.get("magnitude_std", 0)) or 0
    return {
        "name": _OPS.get(values["name"], values["name"]),
        "p": values.get("prob", 1.0), "m": values.get("magnitude", 10),
        "m_std": 2 * UNIFORM if std == float("inf") else float(std), "m_max": values.get("magnitude_max") or 10.0,
        "fill": (values.get("kwargs") or {}).get("fillcolor"), "mode": (values.get("kwargs") or {}).get("resample"),
    }  # fmt: skip


def _common(ops: list[dict[str, Any]], *keys: str) -> list[Any]:
    """The values that all ops have in common. Raises UnsupportedError if they differ, as a spec has only one."""
    for key in keys:
        if any(op[key] != ops[0][key] for op in ops):
            raise UnsupportedError(f"its ops differ in {key}")
    return [ops[0][key] for key in keys]


def _fill_and_interpolation(params: Parameters, ops: list[dict[str, Any]]) -> dict[str, Any]:
    fill, mode = _common(ops, "fill", "mode")
    arguments: dict[str, Any] = {"dialect": "timm"}
    if fill is not None:
        arguments["fill"] = numbers(list(fill) if isinstance(fill, tuple | list) else fill)
    if mode is not None and not isinstance(mode, tuple | list):  # a tuple means random, the default
        arguments["interpolation"] = interpolation_name(params, mode)
    return arguments


def _rand_augment(params: Parameters, walk: Translation) -> Steps:
    if "num_layers" not in params:
        return torchvision.TRANSLATORS["RandAugment"](params, walk)
    ops = [_op(op) for op in params.take_objects("ops")]
    m, m_std, m_max, chance = _common(ops, "m", "m_std", "m_max", "p")
    weights = params.take("choice_weights")
    arguments = {
        "n": params.take("num_layers"), "m": m, "m_std": m_std, "m_max": m_max, "chance": chance,
        "ops": [op["name"] for op in ops], **({"weights": numbers(weights)} if weights else {}),
    }  # fmt: skip
    return [{"rand_augment": {**arguments, **_fill_and_interpolation(params, ops)}}]


def _aug_mix(params: Parameters, walk: Translation) -> Steps:
    if "ops" not in params:
        return torchvision.TRANSLATORS["AugMix"](params, walk)
    ops = [_op(op) for op in params.take_objects("ops")]
    m, m_std = _common(ops, "m", "m_std")
    params.only("blended", False, why="aug_mix mixes as the paper does")
    depth = params.take("depth", -1)
    arguments = {
        "severity": m, "alpha": params.take("alpha", 1.0), "width": params.take("width", 3),
        **({} if m_std > UNIFORM else {"m_std": m_std}),
        "ops": [op["name"] for op in ops], **({"depth": depth} if depth > 0 else {}),
    }  # fmt: skip
    return [{"aug_mix": {**arguments, **_fill_and_interpolation(params, ops)}}]


def _auto_augment(params: Parameters, walk: Translation) -> Steps:
    rows = params.take_objects("policy")
    if not rows or not isinstance(rows[0], list | tuple):
        return torchvision.TRANSLATORS["AutoAugment"](params, walk)
    table = [[_op(op) for op in row] for row in rows]
    ops = [op for row in table for op in row]
    (m_std,) = _common(ops, "m_std")
    policy = [[[op["name"], op["p"], op["m"]] for op in row] for row in table]
    return [{"auto_augment": {"policy": policy, "m_std": m_std, **_fill_and_interpolation(params, ops)}}]


_TRANSLATORS: Mapping[str, Translator] = {
    **torchvision.TRANSLATORS,
    "MaybeToTensor": torchvision.TRANSLATORS["ToTensor"], "MaybePILToTensor": torchvision.TRANSLATORS["PILToTensor"],
    "RandomResizedCropAndInterpolation": _crop, "ResizeKeepRatio": _keep_ratio,
    "CenterCropOrPad": _crop_or_pad("center_crop"), "RandomCropOrPad": _crop_or_pad("random_crop"),
    "RandomErasing": _erasing, "policy": _policy_string, "RandAugment": _rand_augment,
    "AugMixAugment": _aug_mix, "AutoAugment": _auto_augment,
}  # fmt: skip
