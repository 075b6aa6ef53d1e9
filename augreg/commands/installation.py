"""`augreg doctor`: print the installed libraries and plugins, and how to fix plugins that failed."""

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

from augreg.commands.console import align_columns, print_lines
from augreg.errors import PluginError

__all__ = ["run"]

_LIBRARIES = ("numpy", "pillow", "torch", "opencv-python-headless", "simplejpeg")
_FAILED = 1


def run(arguments: argparse.Namespace) -> int:
    """Print what is installed. Returns 0 if no plugin failed, else 1; a disabled plugin has not failed."""
    from augreg.backends import choose
    from augreg.registry.registry import Registry

    with contextlib.redirect_stdout(sys.stderr):  # plugins may print when they are imported
        registry = Registry.installed()
        plugins = list(_plugins(registry))
        chosen = choose("auto", registry.backends)
        about = _about(registry.backends.get(chosen))
    libraries = dict(_versions())
    if arguments.json:
        report = {"libraries": libraries, "backend": chosen, "backend_details": about, "plugins": plugins}
        print(json.dumps(report, indent=2))
    else:
        print_lines(", ".join(f"{name} {number}" for name, number in libraries.items()))
        details = [f"{name.replace('_', ' ')} {value}" for name, value in about.items()]
        print_lines("; ".join([f"backend {chosen}", *details]), "")
        print("\n".join(align_columns([_row(plugin) for plugin in plugins])))
        for plugin in plugins:
            for name, error in plugin["load_errors"].items():
                print_lines(f"{name}: {error}")
            if plugin["remedy"]:
                print_lines(f"{plugin['distribution']}: {plugin['remedy']}")
        for name in _missing(registry):
            print(f"AUGREG_PLUGINS names {name!r}, and no plugin of that name is installed")
    return _FAILED if any(plugin["load_errors"] or plugin["failed"] for plugin in plugins) else 0


def _plugins(registry: Any) -> Iterator[dict[str, Any]]:
    """Each plugin as data, with the names that do not load."""
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
            "load_errors": registry.load_errors(record),
        }


def _about(target: str | None) -> dict[str, str]:
    """What the kernels of a plugin's backend say of themselves; nothing if they do not load, which is reported."""
    if target is None:
        return {}
    from augreg.registry.discovery import load

    with contextlib.suppress(PluginError):
        about = getattr(load(target), "about", None)
        return {} if about is None else about()
    return {}


def _missing(registry: Any) -> list[str]:
    """Namespaces in AUGREG_PLUGINS that no installed plugin has."""
    names = [name.strip().removeprefix("-") for name in os.environ.get("AUGREG_PLUGINS", "").split(",")]
    return sorted({name for name in names if name} - {record.namespace for record in registry.plugins})


def _row(plugin: dict[str, Any]) -> tuple[str, ...]:
    count = plugin["names"]
    status = plugin["error"] or f"{count} name{'s' * (count != 1)}"
    if plugin["load_errors"]:
        status += f", {len(plugin['load_errors'])} of which do not load"
    return plugin["namespace"], f"{plugin['distribution']} {plugin['version']}", plugin["license"], status


def _versions() -> Iterator[tuple[str, str]]:
    yield "python", platform.python_version()
    for name in ("augreg", *_LIBRARIES):
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue
