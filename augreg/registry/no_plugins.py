"""A quick look for plugins, which finds out that there are none without `importlib.metadata`.

Importing that module, which parses email, takes as long as the rest of reading a spec. Where anything is unusual the
answer is left to it: an archive on the path, a finder of other distributions, or any distribution but augreg itself
that mentions the group of entry points.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Final

__all__ = ["only_version"]

_SUFFIXES: Final = (".dist-info", ".egg-info")


def only_version(name: str, group: str, entry: str) -> str | None:
    """The version of the distribution `name` if it has this entry of a group, and no other distribution has any.

    None means that this is not known.
    """
    if any(hasattr(finder, "find_distributions") and finder is not PathFinder for finder in sys.meta_path):
        return None
    found: str | None = None
    for folder in dict.fromkeys(sys.path):
        if not isinstance(folder, str) or folder.lower().rstrip("/\\").endswith(".egg"):
            return None
        try:
            names = os.listdir(folder or ".")  # noqa: PTH208
        except (FileNotFoundError, NotADirectoryError):
            if os.path.isfile(folder):  # noqa: PTH113 - an archive may have distributions
                return None
            continue
        except OSError:
            return None
        for each in names:
            if not each.lower().endswith(_SUFFIXES):
                continue
            try:
                with Path(folder, each, "entry_points.txt").open("rb") as file:
                    text = file.read()
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError:
                return None
            if group.encode() not in text:
                continue
            version = each.removeprefix(f"{name}-").removesuffix(".dist-info")
            if (
                each != f"{name}-{version}.dist-info"
                or text.count(group.encode()) > 1
                or found not in (None, version)
            ):
                return None
            section = text.decode("utf-8", "replace").partition(f"[{group}]")[2].partition("\n[")[0]
            if section.strip() != entry:
                return None
            found = version
    return found
