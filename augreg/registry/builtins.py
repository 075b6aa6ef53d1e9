"""The manifest of the built-in transforms and regularizers: where each is, by name, without importing any of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from augreg.registry.plugin import Plugin

__all__ = ["PLUGIN"]

_ROOT: Final = Path(__file__).parents[1]
_PACKAGES: Final = ("transforms", "transforms.policies", "regularizers")
_DECLARED: Final = re.compile(
    r'^@(?:transform|batch_transform|regularizer)\(\s*"(\w+)"(?:.*\n)*?class (\w+)', re.MULTILINE
)


def _steps() -> Iterator[tuple[str, str]]:
    """The name and the "module:class" of each declared class, in the order of their files.

    The files are read and not imported: importing all of them takes longer than the rest of reading a spec, and a
    spec names few steps. A new file needs no entry here.
    """
    for package in _PACKAGES:
        for path in sorted((_ROOT / package.replace(".", "/")).glob("*.py")):
            for name, class_name in _DECLARED.findall(path.read_text(encoding="utf-8")):
                yield name, f"augreg.{package}.{path.stem}:{class_name}"


PLUGIN = Plugin(transforms=dict(_steps()))
