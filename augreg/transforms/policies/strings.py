"""timm's policy strings, such as `rand-m9-mstd0.5-inc1`, read strictly: as a transform's name and its arguments."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from augreg.steps.fields import nearest
from augreg.transforms.policies.dialects import DIALECTS
from augreg.transforms.policies.notation import Table, published

__all__ = ["read_timm"]

_STARTS: Final = ("rand", "augmix", "original", "originalr", "v0", "v0r", "3a")
_WEIGHTED: Final[Mapping[str, Mapping[str, float]]] = {
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
_SETS: Final = (*_WEIGHTED, "3a")


def read_timm(text: str) -> tuple[str, dict[str, Any]]:
    """The transform that a string means, by name, and its arguments; ValueError for what timm does not know."""
    start, *sections = re.split(r"-(?=[A-Za-z])", text.strip())
    if start == "rand":
        return "rand_augment", _rand(sections)
    if start == "augmix":
        return "aug_mix", _augmix(sections)
    if start == "3a":
        _settings(sections, start, {})
        return "three_augment", {"jitter": 0.0}  # timm's own color jitter is a step apart
    if start in _STARTS:
        given = _settings(sections, start, {"mstd": float})
        return "auto_augment", {"policy": _table(start), "dialect": "timm", "m_std": given.get("mstd", 0.0)}
    raise ValueError(
        f"timm has no policy {start!r}{nearest(start, _STARTS)}; a policy string starts with {', '.join(_STARTS)}"
    )


def _table(name: str) -> str | Table:
    """The policies of these names; an `r` stands for posterizing that gets stronger with the magnitude."""
    known = {"original": "imagenet", "v0": "v0"}
    if name in known:
        return known[name]
    table = published(known[name.removesuffix("r")])
    return tuple(
        tuple(("posterize_increasing" if op.startswith("posterize") else op, p, m) for op, p, m in row)
        for row in table
    )


def _rand(sections: list[str]) -> dict[str, Any]:
    numbers: dict[str, Callable[[str], Any]] = {"m": int, "n": int, "p": float, "mstd": float, "mmax": int}
    given = _settings(sections, "rand", {**numbers, "inc": _flag, "t": str})
    arguments: dict[str, Any] = {"dialect": "timm", "m": given.get("m", 10), "n": given.get("n", 2)}
    arguments |= {"chance": given.get("p", 0.5), "m_std": given.get("mstd", 0.0), "m_max": given.get("mmax") or None}
    chosen = given.get("t")
    if chosen is None:
        increasing = DIALECTS["rand_augment", "timm"].names
        names = increasing if given.get("inc") else [name.removesuffix("_increasing") for name in increasing]
        return {**arguments, "ops": tuple(names)}
    if chosen not in _SETS:
        known = ", ".join(f"t{name}" for name in _SETS)
        raise ValueError(f"rand has no set of transforms {chosen!r}{nearest(chosen, _SETS)}; there are {known}")
    if chosen == "3a":
        return {**arguments, "ops": ("solarize_increasing", "desaturate", "gaussian_blur")}
    weighted = _WEIGHTED[chosen]
    return {**arguments, "ops": tuple(weighted), "weights": tuple(weighted.values())}


def _augmix(sections: list[str]) -> dict[str, Any]:
    given = _settings(sections, "augmix", {"m": int, "w": int, "d": int, "a": float, "b": _flag, "mstd": float})
    # b1 blends chain after chain: the same weights in another order
    depth = given.get("d", -1)
    arguments = {"dialect": "timm", "severity": given.get("m", 3), "width": given.get("w", 3)}
    arguments |= {"depth": depth if depth > 0 else None, "alpha": given.get("a", 1.0)}
    return arguments | ({"m_std": given["mstd"]} if "mstd" in given else {})


def _flag(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError
    return text == "1"


def _settings(sections: list[str], start: str, known: Mapping[str, Callable[[str], Any]]) -> dict[str, Any]:
    """The sections as keys and values, each at most once."""
    found: dict[str, Any] = {}
    for section in sections:
        # `t` is followed by a word, the others by a number
        key = "t" if "t" in known and section.startswith("t") else section.rstrip("0123456789.-+")
        value = section[len(key) :]
        if key not in known:
            takes = f"it takes {', '.join(known)}" if known else "it takes none"
            raise ValueError(f"{start} has no section {key!r}{nearest(key, known)}; {takes}")
        if key in found:
            raise ValueError(f"the section {key!r} is given twice in {start}-{'-'.join(sections)}")
        try:
            found[key] = known[key](value)
        except ValueError:
            wanted = "0 or 1" if known[key] is _flag else "a number"
            raise ValueError(f"{start}: expected {wanted} after {key!r}, got {section!r}") from None
    return found
