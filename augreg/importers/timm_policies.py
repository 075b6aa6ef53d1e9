"""Translators of timm's policies: their strings, and the objects that timm makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from augreg.importers import torchvision
from augreg.importers.torchvision_steps import interpolation_name
from augreg.importers.translation import Parameters, Steps, Translation, Translator, UnsupportedError, numbers
from augreg.transforms.policies.sampling import UNIFORM

__all__ = ["POLICY_TRANSLATORS"]


def _policy_string(params: Parameters, walk: Translation) -> Steps:
    fill = [float(min(255, round(255 * value))) for value in params.take("mean")]
    mode = params.take("interpolation")  # `random` is the default of timm_policy
    optional = {} if mode == "random" else {"interpolation": interpolation_name(params, mode)}
    return [{"timm_policy": {"policy": params.take("policy"), "fill": fill, **optional}}]


# ops of timm that have another name here
_OPS = {"TranslateXRel": "translate_x", "TranslateYRel": "translate_y", "Posterize": "posterize_tpu"}
_THREE_AUGMENT = [[("Solarize", 1.0, 5)], [("Desaturate", 1.0, 10)], [("GaussianBlurRand", 1.0, 10)]]
"""The table of timm's policy `3a`: operations, probabilities and magnitudes."""


def _op(op: Any) -> dict[str, Any]:
    """The values of one of timm's AugmentOps, with the arguments of `_common` as keys."""
    values = vars(op)
    hints = values.get("hparams") or {}
    std = values.get("magnitude_std", hints.get("magnitude_std", 0)) or 0
    return {
        "name": _OPS.get(values["name"], values["name"]), "theirs": values["name"], "hints": hints,
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


def _check_translations(params: Parameters, ops: list[dict[str, Any]], fraction: float) -> None:
    """Report translations by other amounts than `fraction` of the side at magnitude 10."""
    for name in ("TranslateX", "TranslateY", "TranslateXRel", "TranslateYRel"):
        for hints in [op["hints"] for op in ops if op["theirs"] == name][:1]:
            key = "translate_pct" if name.endswith("Rel") else "translate_const"
            amount = hints.get(key, 0.45 if name.endswith("Rel") else 250)
            if amount != fraction:
                params.note(f"{key}={amount} of {name} is not kept: it moves by {fraction} of a side at magnitude 10")


def _rand_augment(params: Parameters, walk: Translation) -> Steps:
    if "num_layers" not in params:
        return torchvision.TRANSLATORS["RandAugment"](params, walk)
    ops = [_op(op) for op in params.take_objects("ops")]
    m, m_std, m_max, chance = _common(ops, "m", "m_std", "m_max", "p")
    _check_translations(params, ops, 0.45)
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
    _check_translations(params, ops, 0.3)
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
    if [[(op["theirs"], op["p"], op["m"]) for op in row] for row in table] == _THREE_AUGMENT and not m_std:
        return [{"three_augment": {"jitter": 0.0}}]  # the color jitter is a transform of its own
    _check_translations(params, ops, 0.45)
    policy = [[[op["name"], op["p"], op["m"]] for op in row] for row in table]
    return [{"auto_augment": {"policy": policy, "m_std": m_std, **_fill_and_interpolation(params, ops)}}]


POLICY_TRANSLATORS: Mapping[str, Translator] = {
    "policy": _policy_string, "RandAugment": _rand_augment, "AugMixAugment": _aug_mix, "AutoAugment": _auto_augment,
}  # fmt: skip
"""The translators by class name; `policy` is a string with what create_transform adds."""
