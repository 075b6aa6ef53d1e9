"""`augreg doctor`: what is installed, plugin by plugin, and what mends those that failed."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from augreg.commands.console import aligned

__all__ = ["run"]

_LIBRARIES = ("numpy", "pillow", "torch", "opencv-python-headless", "simplejpeg")
_FAILED = 1


def run(arguments: argparse.Namespace) -> int:
    """Print what is installed. 0 if every plugin is well, 1 if one failed; one that is switched off is well."""
    from augreg.backends import choose
    from augreg.registry.registry import Registry

    with contextlib.redirect_stdout(sys.stderr):  # what plugins print when they are imported is no data of ours
        registry = Registry.installed()
        plugins = list(_plugins(registry))
    libraries = dict(_versions())
    if arguments.json:
        print(json.dumps({"libraries": libraries, "backend": choose("auto"), "plugins": plugins}, indent=2))
    else:
        print(", ".join(f"{name} {number}" for name, number in libraries.items()))
        print(f"backend {choose('auto')}\n")
        print("\n".join(aligned([_row(plugin) for plugin in plugins])))
        for plugin in plugins:
            for name, why in plugin["broken"].items():
                print(f"{name}: {why}")
            if plugin["remedy"]:
                print(f"{plugin['distribution']}: {plugin['remedy']}")
        for name in _unmet(registry):
            print(f"AUGREG_PLUGINS names {name!r}, and no plugin of that name is installed")
    return _FAILED if any(plugin["broken"] or plugin["failed"] for plugin in plugins) else 0


def _plugins(registry: Any) -> Iterator[dict[str, Any]]:
    """Each plugin's record, and what of it does not load."""
    for record in registry.plugins:
        yield {
            "namespace": record.namespace,
            "distribution": record.distribution,
            "version": record.version,
            "license": record.license,
            "names": len(record.names),
            "error": record.error,
            "failed": record.failed,
            "remedy": record.remedy,
            "broken": registry.load_errors(record),
        }


def _unmet(registry: Any) -> list[str]:
    """Namespaces that AUGREG_PLUGINS names and nobody has."""
    words = [word.strip().removeprefix("-") for word in os.environ.get("AUGREG_PLUGINS", "").split(",")]
    return sorted({word for word in words if word} - {record.namespace for record in registry.plugins})


def _row(plugin: dict[str, Any]) -> tuple[str, ...]:
    said = plugin["error"] or f"{plugin['names']} names"
    if plugin["broken"]:
        said += f", {len(plugin['broken'])} of which do not load"
    return plugin["namespace"], f"{plugin['distribution']} {plugin['version']}", plugin["license"], said


def _versions() -> Iterator[tuple[str, str]]:
    yield "python", platform.python_version()
    for name in ("augreg", *_LIBRARIES):
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue
