"""from_timm: what timm's create_transform makes, or would make from its arguments."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from augreg.importers import torchvision
from augreg.importers.torchvision_steps import interpolation
from augreg.importers.translation import Given, Imported, LeftOutError, Rule, Step, Translation, numbers, pair
from augreg.transforms.policies.sampling import UNIFORM

__all__ = ["from_timm"]

_Planned = list[tuple[str, dict[str, Any]]]

_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def from_timm(transform: Any = None, /, **arguments: Any) -> Imported:
    """The spec of a timm transform and a report of what a spec cannot say.

    Give what `timm.data.create_transform` returned, or its arguments: from_timm(input_size=224, is_training=True,
    auto_augment="rand-m9-mstd0.5-inc1"). Timm is not needed. Raises TypeError where both or neither are given.
    """
    if isinstance(transform, Mapping):
        transform, arguments = None, {**transform, **arguments}
    if (transform is None) == (not arguments):
        raise TypeError("from_timm takes a transform, or the arguments of timm.data.create_transform")
    walk = Translation(_RULES, _opened)
    if transform is None:
        children = _created(Given("create_transform", arguments, "timm", walk.report))
        return torchvision.finished(walk, walk.steps(children, "transforms"))
    if isinstance(transform, tuple | list):  # separate=True gives three
        return torchvision.finished(walk, walk.steps(transform, "transforms"))
    name, values = _opened(transform)
    inside = values.get("transforms", []) if name == "Compose" else [transform]
    return torchvision.finished(walk, walk.steps(inside, "transforms"))


def _opened(transform: Any) -> tuple[str, Mapping[str, Any]]:
    """Name and parameters of a transform, or of a stand-in for one that was never made."""
    return transform if isinstance(transform, tuple) else torchvision.attributes(transform)


def _created(given: Given) -> _Planned:
    """What create_transform would make of its arguments, as names and parameters."""
    size = pair(given.take("input_size", 224))[-2:]
    given.only("naflex", False)
    given.only("patchify", False)
    given.only("tf_preprocessing", False)
    given.ignore("separate", "patch_size", "max_seq_len", "patchify_channels_last", "patchify_flatten")
    if given.take("use_prefetcher", False):
        given.note("use_prefetcher=True: what timm's loader does, normalize and erasing, is in the spec as well")
    mean, std = given.take("mean", _IMAGENET["mean"]), given.take("std", _IMAGENET["std"])
    last: _Planned = [("ToTensor", {}), ("Normalize", {"mean": mean, "std": std})]
    if not given.take("normalize", True):
        last = [("PILToTensor", {})]
    training = given.take("is_training", False)
    if training and given.take("no_aug", False):
        how = given.take("interpolation", "bilinear")
        how = "bilinear" if how == "random" else how
        found: _Planned = [("Resize", {"size": size, "interpolation": how}), ("CenterCrop", {"size": size})]
    elif training:
        found = _training(given, size, mean)
        erasing = _erasing_of(given)
        last += erasing if len(last) > 1 else []
    else:
        given.ignore("no_aug")
        found = _evaluation(given, size, mean)
    given.finish()
    return [*found, *last]


def _training(given: Given, size: list[int], mean: list[float]) -> _Planned:
    given.only("train_crop_mode", None, "rrc")
    given.ignore("crop_pct", "crop_mode", "crop_border_pixels")  # of evaluation
    how = given.take("interpolation", "random" if "interpolation" not in given else None) or "random"
    crop = {
        "size": size, "scale": given.take("scale") or [0.08, 1.0], "ratio": given.take("ratio") or [3 / 4, 4 / 3],
        "interpolation": ["bilinear", "bicubic"] if how == "random" else how,
    }  # fmt: skip
    found: _Planned = [("RandomResizedCropAndInterpolation", crop)]
    for key, name, default in (("hflip", "RandomHorizontalFlip", 0.5), ("vflip", "RandomVerticalFlip", 0.0)):
        if p := given.take(key, default):
            found.append((name, {"p": p}))
    policy = given.take("auto_augment")
    if policy:
        found.append(("policy", {"policy": policy, "mean": mean, "interpolation": how}))
    forced = given.take("force_color_jitter", False) or "3a" in (policy or "")
    jitter = given.take("color_jitter", 0.4)
    chance = given.take("color_jitter_prob")
    if jitter is not None and (forced or not policy):
        amounts = jitter if isinstance(jitter, list) else [float(jitter)] * 3
        keys = ("brightness", "contrast", "saturation", "hue")
        middles = (1.0, 1.0, 1.0, 0.0)
        spread = zip(keys, middles, amounts, strict=False)
        ranges = {key: [max(0.0, mid - x) if mid else -x, mid + x] for key, mid, x in spread if x}
        if ranges:
            one = ("ColorJitter", ranges)
            found.append(one if chance is None else ("RandomApply", {"transforms": [one], "p": chance}))
    if p := given.take("grayscale_prob", 0.0):
        found.append(("RandomGrayscale", {"p": p}))
    if p := given.take("gaussian_blur_prob", 0.0):
        blur = ("GaussianBlur", {"kernel_size": 23, "sigma": [0.1, 2.0]})
        found.append(("RandomApply", {"transforms": [blur], "p": p}))
    return found


def _erasing_of(given: Given) -> _Planned:
    p, mode = given.take("re_prob", 0.0), given.take("re_mode", "const")
    count, splits = given.take("re_count", 1), given.take("re_num_splits", 0)
    values = {
        "probability": p, "mode": mode, "min_count": 1, "max_count": count, "num_splits": splits,
        "min_area": 0.02, "max_area": 1 / 3, "log_aspect_ratio": (math.log(0.3), -math.log(0.3)),
    }  # fmt: skip
    return [("RandomErasing", values)] if p else []


def _evaluation(given: Given, size: list[int], mean: list[float]) -> _Planned:
    for key in (
        "scale", "ratio", "hflip", "vflip", "color_jitter", "color_jitter_prob", "force_color_jitter", "auto_augment",
        "grayscale_prob", "gaussian_blur_prob", "re_prob", "re_mode", "re_count", "re_num_splits", "train_crop_mode",
    ):  # fmt: skip
        given.ignore(key)  # of training
    given.only("crop_border_pixels", None, 0)
    share, mode = given.take("crop_pct") or 0.875, given.take("crop_mode") or "center"
    how = given.take("interpolation", "bilinear")
    frame = [math.floor(side / share) for side in size]
    if mode == "squash":
        first = ("Resize", {"size": frame, "interpolation": how})
    elif mode == "border":
        first = ("ResizeKeepRatio", {"size": frame, "interpolation": how, "longest": 1.0})
    elif frame[0] == frame[1]:
        first = ("Resize", {"size": frame[0], "interpolation": how})
    else:
        first = ("ResizeKeepRatio", {"size": frame, "interpolation": how, "longest": 0.0})
    fill = {"fill": [round(255 * level) for level in mean]} if mode == "border" else {}
    return [first, ("CenterCropOrPad" if fill else "CenterCrop", {"size": size, **fill})]


def _crop(given: Given, walk: Translation) -> Sequence[Step]:
    how = given.take("interpolation")
    modes = how if isinstance(how, list) else [how]
    given.ignore("interpolation")
    arguments = {"size": pair(given.take("size")), "scale": given.take("scale"), "ratio": given.take("ratio")}
    words = [interpolation(Given(given.name, {"interpolation": mode}, given.place, walk.report)) for mode in modes]
    crops = [{"random_resized_crop": {**arguments, "interpolation": word}} for word in words]
    return crops if len(crops) == 1 else [{"one_of": {"steps": crops}}]


def _keep_ratio(given: Given, walk: Translation) -> Sequence[Step]:
    size, longest = pair(given.take("size")), given.take("longest", 0.0)
    for key in ("random_scale_prob", "random_aspect_prob"):
        if given.take(key, 0.0):
            raise LeftOutError(f"{key} draws the size")
    given.ignore("random_scale_range", "random_scale_area", "random_aspect_range")
    if size[0] != size[1] or longest not in (0.0, 1.0):
        raise LeftOutError(
            f"size={size} with longest={longest:g}: only squares by their shorter or longer side can be said"
        )
    how = {"interpolation": interpolation(given)}
    if longest:
        return [{"longest_max_size": {"longer": size[0], **how}}]
    return [{"resize": {"shorter": size[0], **how}}]


def _crop_or_pad(name: str) -> Rule:
    def rule(given: Given, walk: Translation) -> Sequence[Step]:
        fill = given.take("fill", 0)
        given.only("padding_mode", "constant", why="what is missing is filled")
        return [{name: {"size": pair(given.take("size")), **({"fill": numbers(fill)} if fill else {})}}]

    return rule


def _erasing(given: Given, walk: Translation) -> Sequence[Step]:
    if "probability" not in given:
        return torchvision.RULES["RandomErasing"](given, walk)
    given.only("max_count", 1, None, why="one box is hidden")
    given.only("min_count", 1)
    given.only("num_splits", 0)
    given.ignore("rand_color", "per_pixel", "device")
    mode = {"const": "const", "rand": "random", "pixel": "pixel"}.get(given.take("mode"))
    ratio = [math.exp(end) for end in given.take("log_aspect_ratio")]
    area = [given.take("min_area"), given.take("max_area")]
    return [{"random_erasing": {"area": area, "ratio": ratio, "mode": mode, "p": given.take("probability")}}]


def _policy_string(given: Given, walk: Translation) -> Sequence[Step]:
    fill = [float(min(255, round(255 * level))) for level in given.take("mean")]
    # `random`, which is timm's default, is the policy's default too
    how = given.take("interpolation")
    more = {} if how == "random" else {"interpolation": interpolation(given)}
    return [{"timm_policy": {"policy": given.take("policy"), "fill": fill, **more}}]


# Ops whose names mean something else, or nothing, among the policies here.
_OPS = {"TranslateXRel": "translate_x", "TranslateYRel": "translate_y", "Posterize": "posterize_tpu"}


def _op(op: Any) -> dict[str, Any]:
    """What one of timm's AugmentOps holds."""
    values = vars(op)
    hints = values.get("hparams") or {}
    std = values.get("magnitude_std", hints.get("magnitude_std", 0)) or 0
    return {
        "name": _OPS.get(values["name"], values["name"]),
        "p": values.get("prob", 1.0), "m": values.get("magnitude", 10),
        "m_std": 2 * UNIFORM if std == float("inf") else float(std), "m_max": values.get("magnitude_max") or 10.0,
        "fill": (values.get("kwargs") or {}).get("fillcolor"), "how": (values.get("kwargs") or {}).get("resample"),
    }  # fmt: skip


def _shared(given: Given, ops: list[dict[str, Any]], *keys: str) -> list[Any]:
    """What all ops have in common; LeftOutError where they differ, since a spec says it once."""
    for key in keys:
        if any(op[key] != ops[0][key] for op in ops):
            raise LeftOutError(f"its ops differ in {key}")
    return [ops[0][key] for key in keys]


def _way(given: Given, walk: Translation, ops: list[dict[str, Any]]) -> dict[str, Any]:
    fill, how = _shared(given, ops, "fill", "how")
    found = {"fill": numbers(list(fill) if isinstance(fill, tuple | list) else fill)} if fill is not None else {}
    if how is not None and not isinstance(how, tuple | list):
        inner = Given(given.name, {"interpolation": how}, given.place, walk.report)
        return {"dialect": "timm", **found, "interpolation": interpolation(inner)}
    return {"dialect": "timm", **found}


def _rand_augment(given: Given, walk: Translation) -> Sequence[Step]:
    if "num_layers" not in given:
        return torchvision.RULES["RandAugment"](given, walk)
    ops = [_op(op) for op in given.take_children("ops")]
    m, m_std, m_max, chance = _shared(given, ops, "m", "m_std", "m_max", "p")
    weights = given.take("choice_weights")
    arguments = {
        "n": given.take("num_layers"), "m": m, "m_std": m_std, "m_max": m_max, "chance": chance,
        "ops": [op["name"] for op in ops], **({"weights": numbers(weights)} if weights else {}),
    }  # fmt: skip
    return [{"rand_augment": {**arguments, **_way(given, walk, ops)}}]


def _aug_mix(given: Given, walk: Translation) -> Sequence[Step]:
    if "ops" not in given:
        return torchvision.RULES["AugMix"](given, walk)
    ops = [_op(op) for op in given.take_children("ops")]
    m, m_std = _shared(given, ops, "m", "m_std")
    given.only("blended", False, why="it mixes as the paper does")
    depth = given.take("depth", -1)
    arguments = {
        "severity": m, "alpha": given.take("alpha", 1.0), "width": given.take("width", 3),
        **({} if m_std > 100 else {"m_std": m_std}),
        "ops": [op["name"] for op in ops], **({"depth": depth} if depth > 0 else {}),
    }  # fmt: skip
    return [{"aug_mix": {**arguments, **_way(given, walk, ops)}}]


def _auto_augment(given: Given, walk: Translation) -> Sequence[Step]:
    rows = given.take_children("policy") if not isinstance(given.raw("policy"), str) else []
    if not rows or not isinstance(rows[0], list | tuple):
        return torchvision.RULES["AutoAugment"](given, walk)
    table = [[_op(op) for op in row] for row in rows]
    ops = [op for row in table for op in row]
    (m_std,) = _shared(given, ops, "m_std")
    policy = [[[op["name"], op["p"], op["m"]] for op in row] for row in table]
    return [{"auto_augment": {"policy": policy, "m_std": m_std, **_way(given, walk, ops)}}]


_RULES: Mapping[str, Rule] = {
    **torchvision.RULES,
    "MaybeToTensor": torchvision.RULES["ToTensor"], "MaybePILToTensor": torchvision.RULES["PILToTensor"],
    "RandomResizedCropAndInterpolation": _crop, "ResizeKeepRatio": _keep_ratio,
    "CenterCropOrPad": _crop_or_pad("center_crop"), "RandomCropOrPad": _crop_or_pad("random_crop"),
    "RandomErasing": _erasing, "policy": _policy_string, "RandAugment": _rand_augment,
    "AugMixAugment": _aug_mix, "AutoAugment": _auto_augment,
}  # fmt: skip
