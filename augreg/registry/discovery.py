"""Discovery: finds plugins through the entry points of the group `augreg.plugins`, and records why some fail.

The name of an entry point is its namespace. Nothing is scanned before a registry is first needed. A plugin fails if
it cannot be imported, lacks a required package, was written for another API version or claims the namespace of
another plugin. It then becomes a record with its error, and all other plugins work.

    AUGREG_PLUGINS=rain,snow      only these
    AUGREG_PLUGINS=-rain          all but this one
    AUGREG_DISABLE_PLUGINS=1      none, only the built-in steps
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from augreg.errors import PluginError
from augreg.registry import builtins
from augreg.registry.no_plugins import only_version
from augreg.registry.plugin import API, Plugin
from augreg.steps.declare import TransformInfo

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint

__all__ = ["GROUP", "Contributions", "PluginRecord", "guarded", "load", "scan"]

GROUP: Final = "augreg.plugins"
OWN: Final = "augreg"
_REQUIREMENT: Final = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)[^;]*$")  # one without a condition
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_CHARACTERS: Final = "use letters, digits, '_', '-' and '.'"
_OFF: Final = "switched off"
_TARGET: Final = re.compile(r"[^:\s]+:[^:]+")


@dataclass(frozen=True)
class PluginRecord:
    """A plugin that was found: its distribution, the names in it, and if it failed, the error and how to fix it."""

    namespace: str
    distribution: str
    version: str
    names: tuple[str, ...] = ()
    error: str | None = None
    license: str = ""
    remedy: str = ""

    @property
    def failed(self) -> bool:
        """Whether something is wrong with it; a plugin that was switched off has not failed."""
        return self.error is not None and not self.error.startswith(_OFF)


@dataclass(frozen=True)
class Contributions:
    """What plugins contribute, by name: classes, or "module:attribute" strings to load it from."""

    steps: Mapping[str, str | type] = field(default_factory=dict)
    policies: Mapping[str, str] = field(default_factory=dict)
    presets: Mapping[str, str] = field(default_factory=dict)
    backends: Mapping[str, str] = field(default_factory=dict)

    def __or__(self, other: Contributions) -> Contributions:
        return Contributions(*({**a, **b} for a, b in zip(self._kinds(), other._kinds(), strict=True)))

    def prefixed(self, prefix: str) -> Contributions:
        """The same contributions with a prefix before their names."""
        return Contributions(*({prefix + name: value for name, value in kind.items()} for kind in self._kinds()))

    @property
    def names(self) -> tuple[str, ...]:
        """All names, of every kind."""
        return tuple(sorted(set().union(*self._kinds())))

    def _kinds(self) -> list[Mapping[str, Any]]:
        return [self.steps, self.policies, self.presets, self.backends]


class _UnusableError(Exception):
    """Why a plugin is not used, and how to fix that."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


def scan() -> tuple[Contributions, tuple[PluginRecord, ...]]:
    """Read every entry point of the group; returns what they contribute, and a record for each."""
    if "importlib.metadata" not in sys.modules:
        version = only_version(OWN, GROUP, f"{OWN} = {builtins.__name__}:PLUGIN")
        if version is not None:
            own = _contributions(builtins.PLUGIN, OWN)
            return own, (PluginRecord(OWN, OWN, version, own.names),)
    claims: dict[str, list[EntryPoint]] = {}
    for point in _points():
        points = claims.setdefault(point.name, [])
        if all((_owner(point), point.value) != (_owner(other), other.value) for other in points):
            points.append(point)  # an editable install can appear twice
    if not any(_owner(point)[0] in (OWN, "?") for point in claims.get(OWN, [])):
        raise PluginError("augreg itself is not installed in this environment: run `pip install -e .` in its folder")
    contributions, records = Contributions(), []
    switched_off = _switches(os.environ)
    for namespace, points in sorted(claims.items(), key=lambda item: (item[0] != OWN, item[0])):
        for point in points:
            record, more = _read(namespace, point, points, switched_off)
            records.append(record)
            contributions |= more
    return contributions, tuple(records)


def _points() -> list[EntryPoint]:
    """The entry points of the group; the damaged metadata of one distribution hides no other."""
    from importlib.metadata import distributions, entry_points  # takes 40 ms, which `import augreg` should not

    try:
        return list(entry_points(group=GROUP))
    except Exception:
        found: dict[str, list[EntryPoint]] = {}
        for distribution in distributions():
            with contextlib.suppress(Exception):  # the first one of a name is the one that is imported
                found.setdefault(distribution.name, list(distribution.entry_points.select(group=GROUP)))
        return [point for points in found.values() for point in points]


def _switches(environment: Mapping[str, str]) -> Callable[[str], str]:
    """A function that returns why a namespace is switched off, or "" if it is not."""
    if environment.get("AUGREG_DISABLE_PLUGINS", "") not in ("", "0"):
        return lambda _: f"{_OFF} by AUGREG_DISABLE_PLUGINS"
    entries = [entry.strip() for entry in environment.get("AUGREG_PLUGINS", "").split(",") if entry.strip()]
    without = {entry[1:] for entry in entries if entry.startswith("-")}
    only = {entry for entry in entries if not entry.startswith("-")}

    def reason(namespace: str) -> str:
        off = namespace in without or (only and namespace not in only)
        return f"{_OFF} by AUGREG_PLUGINS={environment['AUGREG_PLUGINS']}" if off else ""

    return reason


def _owner(point: EntryPoint) -> tuple[str, str]:
    if point.dist is None:
        return "?", "?"
    try:
        metadata = point.dist.metadata  # read once: `name` and `version` would each read it again
        return metadata["Name"] or "(no name)", metadata["Version"] or "(no version)"
    except Exception:  # damaged metadata
        return "(no name)", "(no version)"


def _read(
    namespace: str, point: EntryPoint, claims: list[EntryPoint], switched_off: Callable[[str], str]
) -> tuple[PluginRecord, Contributions]:
    name, version = _owner(point)
    record = PluginRecord(namespace, name, version)
    own = namespace == OWN and name in (OWN, "?")
    try:
        if not own:
            if point.dist is not None:
                record = replace(record, license=_license(point.dist))
            if reason := switched_off(namespace):
                raise _UnusableError(reason)
            _check_namespace(namespace, name, claims)
        with _prints_on_stderr():
            contributions = _contributions(point.load(), name)
    except KeyboardInterrupt:  # comes from the user
        raise
    except BaseException as error:
        if own:
            raise
        message = str(error) if isinstance(error, _UnusableError) else _one_line(error)
        return replace(record, error=message, remedy=_remedy(error, point)), Contributions()
    contributions = contributions if own else contributions.prefixed(f"{namespace}/")
    record = replace(record, names=contributions.names)
    if not own and (missing := _missing_requirements(point.dist)):
        error_message = f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed"
        return replace(record, error=error_message, remedy=_pip_install(missing)), Contributions()
    return record, contributions


def _check_namespace(namespace: str, distribution: str, claims: list[EntryPoint]) -> None:
    """A namespace has one owner; if several distributions claim it, the one named augreg-NAMESPACE."""
    if namespace == OWN:
        raise _UnusableError(f"the namespace {OWN!r} is reserved for augreg; give the entry point another name")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", namespace):
        raise _UnusableError(f"{namespace!r} cannot be a namespace: start with a letter or digit; {_CHARACTERS}")
    if len(claims) == 1:
        return
    owners = [_owner(point) for point in claims]
    rightful = [name for name, _ in owners if _normalized(name) == _normalized(f"augreg-{namespace}")]
    if len(rightful) == 1 and rightful[0] == distribution:
        return
    claimants = " and ".join(sorted(f"{name} {version}" for name, version in owners))
    claim = f"{claimants} {'both' if len(owners) == 2 else 'all'} claim the namespace {namespace!r}"
    if len(rightful) == 1:
        raise _UnusableError(f"{claim}; {rightful[0]} keeps it because of its name", f"pip uninstall {distribution}")
    raise _UnusableError(claim, f"keep one of them and uninstall the others: pip uninstall {distribution}")


def _normalized(name: str) -> str:
    """The name of a distribution in the form in which names are compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _license(distribution: Distribution) -> str:
    data: Any = distribution.metadata
    license = data.get("License-Expression") or data.get("License")
    if not license:
        classifiers = data.get_all("Classifier") or ()
        license = ", ".join(line.rpartition(" :: ")[2] for line in classifiers if line.startswith("License"))
    return str(license).strip().partition("\n")[0][:80]


def _missing_requirements(distribution: Distribution | None) -> dict[str, str]:
    """The whole requirements of missing distributions, by name; versions and conditions are left to pip."""
    from importlib.metadata import PackageNotFoundError, version

    missing: dict[str, str] = {}
    for requirement in (distribution.requires if distribution is not None else None) or ():
        match = _REQUIREMENT.match(requirement)
        if match is None:
            continue
        try:
            version(match[1])
        except PackageNotFoundError:
            missing[match[1]] = requirement.strip()
    return missing


def _pip_install(requirements: Mapping[str, str]) -> str:
    return "pip install " + " ".join(f"'{requirement}'" for requirement in requirements.values())


def _remedy(error: BaseException, point: EntryPoint) -> str:
    """The pip command that probably fixes an error, or ""."""
    if isinstance(error, _UnusableError):
        return error.remedy
    if point.dist is None:
        return ""
    if missing := _missing_requirements(point.dist):
        return _pip_install(missing)
    if isinstance(error, ModuleNotFoundError) and error.name:
        module = error.name.partition(".")[0]
        if module != point.value.partition(":")[0].partition(".")[0]:
            return f"pip install '{module}'"
    if _normalized(point.dist.name or "") == "augreg-native":
        from augreg.backends import INSTALL_NATIVE  # with all ops, which a registry alone does not need

        return f"{INSTALL_NATIVE} (in a checkout of augreg)"
    return f"pip install --upgrade --force-reinstall {point.dist.name}"


def _one_line(error: BaseException) -> str:
    try:
        return " ".join(f"{type(error).__name__}: {error}".split())
    except Exception:  # its own text may raise
        return type(error).__name__


@contextlib.contextmanager
def _prints_on_stderr() -> Iterator[None]:
    """Send what is printed inside to stderr: a plugin that greets must not end up in the data of a command.

    Only in the main thread: two threads that exchange the stream at the same time could leave it exchanged.
    """
    if threading.current_thread() is threading.main_thread():
        with contextlib.redirect_stdout(sys.stderr):
            yield
    else:
        yield


@contextlib.contextmanager
def guarded(what: str) -> Iterator[None]:
    """Run code of plugins: whatever it raises becomes a PluginError, and what it prints goes to stderr.

    A KeyboardInterrupt is the user's.
    """
    try:
        with _prints_on_stderr():
            yield
    except (KeyboardInterrupt, PluginError):
        raise
    except BaseException as error:
        raise PluginError(f"{what}: {_one_line(error)}") from error


def _contributions(plugin: Any, distribution: str) -> Contributions:
    """The contributions of a module or a manifest. Raises _UnusableError if it is not valid."""
    if isinstance(plugin, ModuleType):
        return Contributions(dict(_declared(plugin)))
    if not isinstance(plugin, Plugin):
        raise _UnusableError(f"the entry point must name a module or an augreg.Plugin, got {plugin!r}")
    if not isinstance(plugin.api, int):
        raise _UnusableError(f"api: expected a whole number, got {plugin.api!r}")
    if plugin.api != API:
        newer = plugin.api > API
        remedy = f"pip install --upgrade {'augreg' if newer else distribution}"
        message = f"it was written for version {plugin.api} of the plugin API, and this augreg has version {API}"
        raise _UnusableError(message, remedy)
    if isinstance(plugin.modules, str):
        raise _UnusableError(f"modules: expected a tuple of names, got {plugin.modules!r}")
    parts: list[Mapping[str, str | type]] = []
    parts += [_checked(plugin, name) for name in ("transforms", "batch_transforms", "regularizers")]
    parts += [_declared(importlib.import_module(name)) for name in plugin.modules]
    steps: dict[str, str | type] = {}
    for part in parts:
        if twice := steps.keys() & part.keys():
            raise _UnusableError(f"it has two steps named {min(twice)!r}")
        steps.update(part)
    others = {name: _checked(plugin, name) for name in ("policies", "presets", "backends")}
    return Contributions(steps, **others)


def _checked(plugin: Plugin, kind: str) -> Mapping[str, str]:
    """A mapping of the manifest: names to "module:attribute" strings."""
    targets: Any = getattr(plugin, kind)
    if not isinstance(targets, Mapping):
        raise _UnusableError(f"{kind}: expected a mapping of names to 'module:attribute', got {targets!r}")
    for name, target in targets.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise _UnusableError(f"{kind}: {name!r} cannot be a name; {_CHARACTERS}")
        if not isinstance(target, str) or not _TARGET.fullmatch(target):
            raise _UnusableError(f"{kind}: expected 'module:attribute' for {name}, got {target!r}")
    return targets


def _declared(module: ModuleType) -> dict[str, type]:
    """The decorated classes that a module defines, by name (not those that it imports)."""
    classes: dict[str, type] = {}
    for value in vars(module).values():
        if isinstance(value, type) and "__augreg__" in vars(value) and value.__module__ == module.__name__:
            info = vars(value)["__augreg__"]
            if not isinstance(info, TransformInfo):
                raise _UnusableError(f"{module.__name__}.{value.__name__}: only the decorators may set __augreg__")
            name = info.name
            if classes.setdefault(name, value) is not value:
                raise _UnusableError(f"{module.__name__} has two classes named {name!r}")
    return classes


def load(target: str) -> Any:
    """Import the object of a "module:attribute" string. Raises PluginError with what the import raised."""
    module, _, attribute = target.partition(":")
    with guarded(f"{target} does not load"):
        return getattr(importlib.import_module(module), attribute)
