"""The notation of policies: parse a table from text or lists, format it as text, and look tables up by name."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from numbers import Real
from typing import Any, Final, TypeAlias

from augreg.registry.discovery import load
from augreg.registry.registry import Registry
from augreg.steps.fields import nearest
from augreg.transforms.policies.tables import TABLES

__all__ = [
    "OP_NAMES",
    "PolicyOp",
    "Row",
    "Table",
    "format_row",
    "load_table",
    "op_name",
    "parse_table",
    "read_policy",
]

PolicyOp: TypeAlias = tuple[str, float, float]
"""The name of an op, the probability that it is applied, and its magnitude."""
Row: TypeAlias = tuple[PolicyOp, ...]
"""A sub-policy: ops that are applied in order."""
Table: TypeAlias = tuple[Row, ...]

OP_NAMES: Final = (
    "identity", "shear_x", "shear_y", "translate_x", "translate_y", "rotate",
    "auto_contrast", "invert", "equalize", "solarize", "posterize", "contrast", "color", "brightness", "sharpness",
    # only in some dialects
    "solarize_add", "solarize_increasing", "posterize_increasing", "posterize_original", "posterize_tpu",
    "contrast_increasing", "color_increasing", "brightness_increasing", "sharpness_increasing",
    "desaturate", "gaussian_blur",
)  # fmt: skip
"""The ops of policies. The paper writes them in CamelCase: shear_x is ShearX."""

_NORMALIZED: Final = {name.replace("_", ""): name for name in OP_NAMES} | {"saturation": "color"}
_MAX_LENGTH: Final = 1000


def op_name(spelling: object) -> str:
    """The name of an op, from snake_case or the paper's CamelCase. Raises ValueError for an unknown op."""
    name = _NORMALIZED.get(spelling.replace("_", "").lower()) if isinstance(spelling, str) else None
    if name is None:
        hint = nearest(spelling, [*OP_NAMES, *map(_camel, OP_NAMES)]) or f"; they are {', '.join(OP_NAMES)}"
        raise ValueError(f"policies have no op {spelling!r}{hint}")
    return name


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def format_row(row: Row) -> str:
    """A sub-policy in the notation of the paper: ShearX,0.9,7 / Invert,0.2,3."""
    return " / ".join(f"{_camel(name)},{p:g},{magnitude:g}" for name, p, magnitude in row)


@functools.cache
def load_table(name: str) -> Table:
    """The table with this name; the names of plugins' tables have a namespace in front."""
    if name in TABLES:
        return parse_table(TABLES[name])
    policy = read_policy(load(Registry.installed().policies[name]))
    return load_table(policy) if isinstance(policy, str) else policy


def read_policy(policy: Any) -> Any:
    """The canonical form of a spec's policy: the name of a table as it is, a table as tuples.

    A table is text in the notation of the paper, one sub-policy a line, or a list of sub-policies, each a line of
    such text or a list of [name, probability, magnitude]. Values of other types are returned unchanged. Raises
    ValueError; its message has the position of the error before a NUL.
    """
    if isinstance(policy, str) and "," not in policy:
        return _known_table(policy)
    return parse_table(policy) if isinstance(policy, str) or _is_list(policy) else policy


def _known_table(name: str) -> str:
    if name in TABLES:
        return name
    registry = Registry.installed()
    if name in registry.policies:
        return name
    if "/" in name:
        raise ValueError(registry.unknown(name, "policy", registry.policies))
    known = [*TABLES, *registry.policies]
    raise ValueError(
        f"no policy is named {name!r}{nearest(name, known)}; there are {', '.join(known)}, and you can give a table "
        "as text such as 'ShearX,0.9,7 / Invert,0.2,3', or as a list"
    )


def parse_table(table: str | Sequence[Any]) -> Table:
    """A table from text or lists, as tuples. Raises ValueError as `read_policy` does."""
    rows = [line for line in table.splitlines() if line.strip()] if isinstance(table, str) else table
    if not 1 <= len(rows) <= _MAX_LENGTH:
        raise ValueError(f"a policy has from 1 to {_MAX_LENGTH} sub-policies, got {len(rows)}")
    return tuple(_parse_row(row, f"[{index}]") for index, row in enumerate(rows))


def _parse_row(row: Any, place: str) -> Row:
    if isinstance(row, str):
        row = [[part.strip() for part in entry.split(",")] for entry in row.split("/")]
    if not _is_list(row) or not 1 <= len(row) <= _MAX_LENGTH:
        raise ValueError(f"{place}\0expected a sub-policy such as [[shear_x, 0.9, 7]], got {row!r}")
    return tuple(_parse_entry(entry, f"{place}[{index}]") for index, entry in enumerate(row))


def _parse_entry(entry: Any, place: str) -> PolicyOp:
    if isinstance(entry, str) or not isinstance(entry, Sequence) or len(entry) != 3:
        shown = _shown(entry)
        raise ValueError(f"{place}\0expected a name, a probability and a magnitude, as ShearX,0.9,7, got {shown}")
    try:
        name, p, magnitude = op_name(entry[0]), _parse_number(entry[1]), _parse_number(entry[2])
    except ValueError as error:
        raise ValueError(f"{place}\0{error}") from None
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"{place}\0expected a probability from 0 to 1, got {entry[1]!r} in {_shown(entry)}")
    if not 0.0 <= magnitude < float("inf"):
        raise ValueError(f"{place}\0expected a finite magnitude of at least 0, got {entry[2]!r} in {_shown(entry)}")
    return name, p, magnitude


def _parse_number(value: Any) -> float:
    try:
        if isinstance(value, bool) or not isinstance(value, str | Real):
            raise ValueError
        if isinstance(value, str) and not re.fullmatch(r"[0-9.eE+-]+", value.strip(), re.ASCII):
            raise ValueError
        return float(value)
    except (ValueError, OverflowError):
        raise ValueError(f"expected a number, got {value!r}") from None


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _shown(entry: Any) -> str:
    return ",".join(map(str, entry)) if isinstance(entry, Sequence) and not isinstance(entry, str) else repr(entry)
