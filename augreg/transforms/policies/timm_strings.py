"""Strict parsing of timm's policy strings, such as `rand-m9-mstd0.5-inc1`, into a transform and its arguments."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from augreg.steps.fields import nearest
from augreg.transforms.policies.dialects import DIALECTS
from augreg.transforms.policies.notation import Table, load_table

__all__ = ["parse_timm"]

_POLICIES: Final = ("rand", "augmix", "original", "originalr", "v0", "v0r", "3a")
_WEIGHTS: Final[Mapping[str, Mapping[str, float]]] = {
    "weights": {
        "rotate": 3, "shear_x": 2, "shear_y": 2, "translate_x": 1, "translate_y": 1,
        "color_increasing": 0.25, "sharpness_increasing": 0.25, "auto_contrast": 0.25,
        "solarize_increasing": 0.05, "solarize_add": 0.05, "contrast_increasing": 0.05, "brightness_increasing": 0.05,
        "equalize": 0.05, "posterize_increasing": 0.05, "invert": 0.05,
    },
    "3aw": {
        "solarize_increasing": 6, "desaturate": 6, "gaussian_blur": 6, "rotate": 3, "shear_x": 2, "shear_y": 2,
        "posterize_increasing": 1, "auto_contrast": 1, "color_increasing": 1, "sharpness_increasing": 1,
        "contrast_increasing": 1, "brightness_increasing": 1, "equalize": 1, "invert": 1,
    },
}  # fmt: skip
_OP_SETS: Final = (*_WEIGHTS, "3a")


def parse_timm(text: str) -> tuple[str, dict[str, Any]]:
    """The name and the arguments of the transform that a policy string means.

    Raises ValueError for a policy, a section or a value that timm does not know.
    """
    policy, *sections = re.split(r"-(?=[A-Za-z])", text.strip())
    if policy == "rand":
        return "rand_augment", _rand(sections)
    if policy == "augmix":
        return "aug_mix", _augmix(sections)
    if policy == "3a":
        _parse_sections(sections, policy, {})
        return "three_augment", {"jitter": 0.0}  # in timm, the color jitter is a separate transform
    if policy in _POLICIES:
        values = _parse_sections(sections, policy, {"mstd": float})
        return "auto_augment", {"policy": _table(policy), "dialect": "timm", "m_std": values.get("mstd", 0.0)}
    raise ValueError(
        f"timm has no policy {policy!r}{nearest(policy, _POLICIES)}; "
        f"a policy string starts with {', '.join(_POLICIES)}"
    )


def _table(policy: str) -> str | Table:
    """The table of an AutoAugment policy; with an `r`, posterize gets stronger with the magnitude."""
    tables = {"original": "imagenet", "v0": "v0"}
    if policy in tables:
        return tables[policy]
    return tuple(
        tuple(("posterize_increasing" if op.startswith("posterize") else op, p, m) for op, p, m in row)
        for row in load_table(tables[policy.removesuffix("r")])
    )


def _rand(sections: list[str]) -> dict[str, Any]:
    numbers: dict[str, Callable[[str], Any]] = {"m": int, "n": int, "p": float, "mstd": float, "mmax": int}
    values = _parse_sections(sections, "rand", {**numbers, "inc": _flag, "t": str})
    arguments: dict[str, Any] = {"dialect": "timm", "m": values.get("m", 10), "n": values.get("n", 2)}
    arguments |= {"chance": values.get("p", 0.5), "m_std": values.get("mstd", 0.0)}
    arguments |= {"m_max": values.get("mmax") or None}
    op_set = values.get("t")
    if op_set is None:
        increasing = DIALECTS["rand_augment", "timm"].ops
        names = increasing if values.get("inc") else [name.removesuffix("_increasing") for name in increasing]
        return {**arguments, "ops": tuple(names)}
    if op_set not in _OP_SETS:
        known = ", ".join(f"t{name}" for name in _OP_SETS)
        raise ValueError(f"rand has no set of transforms {op_set!r}{nearest(op_set, _OP_SETS)}; there are {known}")
    if op_set == "3a":
        return {**arguments, "ops": ("solarize_increasing", "desaturate", "gaussian_blur")}
    weights = _WEIGHTS[op_set]
    return {**arguments, "ops": tuple(weights), "weights": tuple(weights.values())}


def _augmix(sections: list[str]) -> dict[str, Any]:
    # `b1` blends one chain after the other, with the same weights
    keys: dict[str, Callable[[str], Any]] = {"m": int, "w": int, "d": int, "a": float, "b": _flag, "mstd": float}
    values = _parse_sections(sections, "augmix", keys)
    depth = values.get("d", -1)
    arguments = {"dialect": "timm", "severity": values.get("m", 3), "width": values.get("w", 3)}
    arguments |= {"depth": depth if depth > 0 else None, "alpha": values.get("a", 1.0)}
    return arguments | ({"m_std": values["mstd"]} if "mstd" in values else {})


def _flag(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError
    return text == "1"


def _parse_sections(sections: list[str], policy: str, known: Mapping[str, Callable[[str], Any]]) -> dict[str, Any]:
    """The values of the sections by key; `known` converts the value of each key. A key occurs at most once."""
    values: dict[str, Any] = {}
    for section in sections:
        # the value of `t` is a name, all others are numbers
        key = "t" if "t" in known and section.startswith("t") else section.rstrip("0123456789.-+")
        if key not in known:
            takes = f"it takes {', '.join(known)}" if known else "it takes none"
            raise ValueError(f"{policy} has no section {key!r}{nearest(key, known)}; {takes}")
        if key in values:
            raise ValueError(f"the section {key!r} occurs twice in {policy}-{'-'.join(sections)}")
        try:
            values[key] = known[key](section[len(key) :])
        except ValueError:
            expected = "0 or 1" if known[key] is _flag else "a number"
            raise ValueError(f"{policy}: expected {expected} after {key!r}, got {section!r}") from None
    return values
