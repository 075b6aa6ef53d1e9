"""How a policy is written: the names of its ops, rows of text or of lists, and what is wrong with them."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from augreg.steps.fields import nearest
from augreg.transforms.policies.tables import TABLES

if TYPE_CHECKING:
    from augreg.registry.registry import Registry

__all__ = ["NAMES", "Entry", "Row", "Table", "notation", "op_name", "published", "read"]

Entry: TypeAlias = tuple[str, float, float]
"""An op's name, the chance that it is applied, and its magnitude."""
Row: TypeAlias = tuple[Entry, ...]
Table: TypeAlias = tuple[Row, ...]

NAMES: Final = (
    "identity", "shear_x", "shear_y", "translate_x", "translate_y", "rotate",
    "auto_contrast", "invert", "equalize", "solarize", "posterize", "contrast", "color", "brightness", "sharpness",
    # what one dialect or another has besides
    "solarize_add", "solarize_increasing", "posterize_increasing", "posterize_original", "posterize_tpu",
    "contrast_increasing", "color_increasing", "brightness_increasing", "sharpness_increasing",
    "desaturate", "gaussian_blur",
)  # fmt: skip
"""The ops of policies. In the paper's notation they are CamelCase: shear_x is ShearX."""

_PLAIN: Final = {name.replace("_", ""): name for name in NAMES} | {"saturation": "color"}
_MOST: Final = 1000


def op_name(given: object) -> str:
    """The name of an op, given in our spelling or the paper's. Raises ValueError."""
    found = _PLAIN.get(given.replace("_", "").lower()) if isinstance(given, str) else None
    if found is None:
        spelt = [*NAMES, *map(_camel, NAMES)]
        hint = nearest(given, spelt) or f"; they are {', '.join(NAMES)}"
        raise ValueError(f"no op of policies is named {given!r}{hint}")
    return found


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def notation(row: Row) -> str:
    """A row in the paper's notation."""
    return " / ".join(f"{_camel(name)},{p:g},{magnitude:g}" for name, p, magnitude in row)


@functools.cache
def published(name: str) -> Table:
    """The table of this name; those of plugins have a namespace in front."""
    if name in TABLES:
        return read(TABLES[name])  # type: ignore[no-any-return]
    from augreg.registry.discovery import load

    table = read(load(_plugins().policies[name]))
    return published(table) if isinstance(table, str) else table


def _plugins() -> Registry:
    from augreg.registry.registry import Registry  # plugins are looked for only where a name asks for one

    return Registry.installed()


def read(given: Any) -> Any:
    """A policy as a spec gives it: the name of a table, or a table as rows of names and numbers.

    A table is text in the paper's notation with a sub-policy a line, or a list of sub-policies, each a line of such
    text or a list of [name, chance, magnitude]. What is no table at all is returned as it is. Raises ValueError, with
    the place of the trouble before a NUL.
    """
    if isinstance(given, str):
        if given in TABLES:
            return given
        if "," not in given:
            plugins = _plugins()
            if given in plugins.policies:
                return given
            if "/" in given:
                raise ValueError(plugins.unknown(given, "policy", plugins.policies))
            known = [*TABLES, *plugins.policies]
            raise ValueError(
                f"no policy is named {given!r}{nearest(given, known)}; there are {', '.join(known)}, and a table "
                "of your own is text such as 'ShearX,0.9,7 / Invert,0.2,3', or a list"
            )
        given = [line for line in given.splitlines() if line.strip()]
    if not isinstance(given, Sequence) or isinstance(given, bytes):
        return given
    if not 1 <= len(given) <= _MOST:
        raise ValueError(f"a policy has from 1 to {_MOST} sub-policies, got {len(given)}")
    return tuple(_row(row, f"[{index}]") for index, row in enumerate(given))


def _row(given: Any, place: str) -> Row:
    if isinstance(given, str):
        given = [[part.strip() for part in entry.split(",")] for entry in given.split("/")]
    if not isinstance(given, Sequence) or isinstance(given, bytes) or not 1 <= len(given) <= _MOST:
        raise ValueError(f"{place}\0expected a sub-policy such as [[shear_x, 0.9, 7]], got {given!r}")
    return tuple(_entry(entry, f"{place}[{index}]") for index, entry in enumerate(given))


def _entry(given: Any, place: str) -> Entry:
    if isinstance(given, str) or not isinstance(given, Sequence) or len(given) != 3:
        raise ValueError(f"{place}\0expected a name, a chance and a magnitude, as ShearX,0.9,7, got {_said(given)}")
    try:
        name, p, magnitude = op_name(given[0]), _number(given[1]), _number(given[2])
    except ValueError as error:
        raise ValueError(f"{place}\0{error}") from None
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"{place}\0expected a chance from 0 to 1, got {given[1]!r} in {_said(given)}")
    if not 0.0 <= magnitude < float("inf"):
        raise ValueError(f"{place}\0expected a magnitude of at least 0, got {given[2]!r} in {_said(given)}")
    return name, p, magnitude


def _number(given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, str | Real):
        raise ValueError(f"expected a number, got {given!r}")
    try:
        if isinstance(given, str) and not re.fullmatch(r"[0-9.eE+-]+", given.strip(), re.ASCII):
            raise ValueError
        return float(given)
    except (ValueError, OverflowError):
        raise ValueError(f"expected a number, got {given!r}") from None


def _said(given: Any) -> str:
    return ",".join(map(str, given)) if isinstance(given, Sequence) and not isinstance(given, str) else repr(given)
