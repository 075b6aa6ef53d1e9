"""The order of the packages ("rooms") in layers ("floors"), and the imports that break it."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = ["FLOORS", "circles", "files", "imported", "room", "upward"]

FLOORS: tuple[tuple[str, ...], ...] = (
    ("errors", "files", "lazy", "notebook", "rng", "ops"),
    ("columns", "steps", "images", "pages"),
    ("backends", "loss"),
    ("targets", "attachment"),
    ("execution", "nn"),
    ("named_views",),
    ("batch", "registry", "regularizers", "training", "views", "devices"),
    ("transforms", "spec"),
    ("sides",),
    ("pipeline",),
    ("data", "importers", "testing", "doctor", "sharding"),
    ("inspect",),
    ("expectation",),
    ("recipe",),
    ("commands",),
    ("gallery",),
    ("__main__",),
)
"""The rooms by floor, lowest first. A room imports from lower floors only, also in functions and for types."""


def files(package: Path) -> dict[str, Path]:
    """The modules of a package, by dotted name below it; `presets` and `plugins` hold data."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        if parts[0] not in ("plugins", "presets"):
            found[".".join(parts)] = path
    return found


def room(module: str) -> str:
    """The folder or the single module at the top that a module belongs to."""
    return module.partition(".")[0]


@functools.cache
def _imports(source: str) -> list[ast.Import | ast.ImportFrom]:
    """The imports of a module, anywhere in it."""
    return [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import | ast.ImportFrom)]


def imported(module: str, modules: Mapping[str, Path]) -> Iterator[str]:
    """The modules of ours that a module imports, anywhere in it; `__init__` for what the package re-exports."""

    def known(name: str) -> Iterator[str]:
        name = name.removeprefix("augreg").lstrip(".")
        if name in modules:
            yield name
        elif f"{name}.__init__".lstrip(".") in modules:
            yield f"{name}.__init__".lstrip(".")

    for node in _imports(modules[module].read_text()):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == "augreg":
                    yield from known(alias.name)
        elif isinstance(node, ast.ImportFrom):
            above = ["augreg", *module.split(".")][: -node.level] if node.level else []
            source = ".".join([*above, *filter(None, [node.module])])
            if source.partition(".")[0] == "augreg":
                for alias in node.names:
                    if alias.name != "__version__":
                        yield from list(known(f"{source}.{alias.name}")) or known(source)


def upward(package: Path) -> list[str]:
    """Every import of a room that is not on a lower floor, as "importer imports imported"."""
    modules = files(package)
    floor = {room: number for number, rooms in enumerate((*FLOORS, ("__init__",))) for room in rooms}
    found = []
    for module in modules:
        here = room(module)
        if here == "__init__":  # the package's own __init__ re-exports names of every room
            continue
        for other in imported(module, modules):
            there = room(other)
            if there != here and floor[there] >= floor[here]:
                found.append(f"{module} imports {other}")
    return found


def circles(package: Path) -> list[list[str]]:
    """Groups of modules that import one another, without `__init__` modules, which re-export names of their rooms."""
    modules = files(package)
    graph = {
        module: {other for other in imported(module, modules) if not other.endswith("__init__")}
        for module in modules
        if not module.endswith("__init__")
    }

    def reached(start: str) -> set[str]:
        found: set[str] = set()
        waiting = [start]
        while waiting:
            for other in graph[waiting.pop()] - found:
                found.add(other)
                waiting.append(other)
        return found

    reach = {module: reached(module) for module in graph}
    groups = {tuple(sorted(other for other in reach[module] if module in reach[other])) for module in graph}
    return [list(group) for group in sorted(groups) if group]
