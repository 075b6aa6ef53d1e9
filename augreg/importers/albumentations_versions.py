"""Transforms of albumentations that kept their arguments and did something else in earlier versions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

__all__ = ["as_of_version"]

Arguments: TypeAlias = dict[str, Any]
Version: TypeAlias = tuple[int, ...]


def as_of_version(name: str, arguments: Arguments, notes: list[str], version: Version) -> None:
    """Add to the arguments what the translator needs to do what this version did, or to the notes what differs.

    Such arguments begin with an underscore. A version that is not known, (), is taken to be the last.
    """
    if version and name in _EARLIER:
        _EARLIER[name](version, arguments, notes)


def _shadow(version: Version, arguments: Arguments, notes: list[str]) -> None:
    """First the lightness was halved, then the pixel values, then multiplied by the intensity."""
    if version < (1, 4, 14):
        arguments |= {"_of": "lightness" if version < (1, 4, 7) else "values"}
    elif version < (1, 4, 22):
        low, high = arguments.get("shadow_intensity_range", [0.5, 0.5])
        arguments["shadow_intensity_range"] = [1.0 - high, 1.0 - low]


def _fog(version: Version, arguments: Arguments, notes: list[str]) -> None:
    if version < (1, 4, 16):
        notes.append("the fog of this version is not kept: its disks had one size, and lay apart from each other")
    elif version < (2, 0, 5):
        notes.append("the fog of this version is not kept: its disks were painted once, and blurred before the blend")


def _rain(version: Version, arguments: Arguments, notes: list[str]) -> None:
    if version < (2, 0, 3):
        notes.append("the rain of this version is not kept: it painted the drops, and blurred the whole image")


def _sun_flare(version: Version, arguments: Arguments, notes: list[str]) -> None:
    if version < (1, 4, 23):
        arguments["_strength"] = 1.0
    if version < (1, 4, 16):
        notes.append("the flare of this version is not kept: its circles lay elsewhere on the line, and were smaller")


def _iso_noise(version: Version, arguments: Arguments, notes: list[str]) -> None:
    if version < (1, 4, 19):
        arguments["_grain"] = "fine"


def _rgb_shift(version: Version, arguments: Arguments, notes: list[str]) -> None:
    """All limits were those of bytes."""
    if version < (1, 4, 22):
        arguments["_levels"] = True


def _grid_dropout(version: Version, arguments: Arguments, notes: list[str]) -> None:
    if version >= (1, 4, 18):
        return
    if arguments.setdefault("random_offset", False):
        arguments["_offset"] = "all"
    if unit := arguments.get("unit_size_range"):
        arguments["unit_size_range"] = [unit[0], unit[1] + 1]  # the last number was drawn too
    if cells := arguments.get("holes_number_xy"):
        arguments["holes_number_xy"] = [cells[1], cells[0]]
    notes.append("in this version all cells had one size, and were cut by the border; here some are a pixel larger")
    if not unit and not cells:
        notes.append("the cells of this version were squares; here there are ten each way")


_EARLIER: Final[Mapping[str, Callable[[Version, Arguments, list[str]], None]]] = {
    "GridDropout": _grid_dropout, "ISONoise": _iso_noise, "RGBShift": _rgb_shift, "RandomFog": _fog,
    "RandomRain": _rain, "RandomShadow": _shadow, "RandomSunFlare": _sun_flare,
}  # fmt: skip
