"""Discovery: what the entry points of the group `augreg.plugins` bring, and why some of them do not.

An entry point's name is its namespace. Nothing is scanned before a registry is first needed. A plugin that does not
load, lacks what it needs, wants another contract or claims a namespace that is not its own becomes a record with its
error, and disturbs no other.

    AUGREG_PLUGINS=rain,snow      only these
    AUGREG_PLUGINS=-rain          all but this one
    AUGREG_DISABLE_PLUGINS=1      none; the built-ins stay
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from augreg.errors import PluginError
from augreg.registry.plugin import API, Plugin

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint

__all__ = ["GROUP", "Brought", "PluginRecord", "load", "scan"]

GROUP: Final = "augreg.plugins"
OWN: Final = "augreg"
_REQUIREMENT: Final = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)[^;]*$")  # one without a condition
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_OFF: Final = "switched off"
_TARGET: Final = re.compile(r"[^:\s]+:[^:]+")
# What a plugin may raise when it is imported. A KeyboardInterrupt is the user's.
ANYTHING: Final = (Exception, SystemExit, GeneratorExit)


@dataclass(frozen=True)
class PluginRecord:
    """A plugin as it was found: who brings it, what it has, and if it failed, why and what mends it."""

    namespace: str
    distribution: str
    version: str
    names: tuple[str, ...] = ()
    error: str | None = None
    license: str = ""
    remedy: str = ""

    @property
    def failed(self) -> bool:
        """Whether something is wrong with it; one that was switched off is well."""
        return self.error is not None and not self.error.startswith(_OFF)


@dataclass(frozen=True)
class Brought:
    """What plugins bring, by name: classes and other things, or the "module:attribute" strings that lead to them."""

    steps: Mapping[str, str | type] = field(default_factory=dict)
    policies: Mapping[str, str] = field(default_factory=dict)
    presets: Mapping[str, str] = field(default_factory=dict)
    backends: Mapping[str, str] = field(default_factory=dict)

    def __or__(self, other: Brought) -> Brought:
        return Brought(*({**mine, **theirs} for mine, theirs in zip(self._kinds(), other._kinds(), strict=True)))

    def prefixed(self, prefix: str) -> Brought:
        """The same under names that begin with a namespace."""
        return Brought(*({prefix + name: value for name, value in kind.items()} for kind in self._kinds()))

    @property
    def names(self) -> tuple[str, ...]:
        """Every name, of whatever kind."""
        return tuple(sorted(set().union(*self._kinds())))

    def _kinds(self) -> list[Mapping[str, Any]]:
        return [self.steps, self.policies, self.presets, self.backends]


class _UnusableError(Exception):
    """Why a plugin is not used, and what mends that."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


def scan() -> tuple[Brought, tuple[PluginRecord, ...]]:
    """Read every entry point of the group: what they bring, and a record for each."""
    from importlib.metadata import entry_points  # 40 ms that importing augreg should not cost

    found: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=GROUP):
        claims = found.setdefault(point.name, [])
        if all((_owner(point), point.value) != (_owner(other), other.value) for other in claims):
            claims.append(point)  # an editable install can be seen twice
    if not any(_owner(point)[0] in (OWN, "?") for point in found.get(OWN, [])):
        raise PluginError("augreg itself is not installed in this environment: run `pip install -e .` in its folder")
    brought, records = Brought(), []
    allowed = _wanted(os.environ)
    for namespace, points in sorted(found.items(), key=lambda item: (item[0] != OWN, item[0])):
        for point in points:
            record, more = _read(namespace, point, points, allowed)
            records.append(record)
            brought |= more
    return brought, tuple(records)


def _wanted(environment: Mapping[str, str]) -> Callable[[str], str]:
    """A function that says why a namespace is switched off; nothing where it is not."""
    if environment.get("AUGREG_DISABLE_PLUGINS", "") not in ("", "0"):
        return lambda _: f"{_OFF} by AUGREG_DISABLE_PLUGINS"
    words = [word.strip() for word in environment.get("AUGREG_PLUGINS", "").split(",") if word.strip()]
    without = {word[1:] for word in words if word.startswith("-")}
    only = {word for word in words if not word.startswith("-")}

    def reason(namespace: str) -> str:
        off = namespace in without or (only and namespace not in only)
        return f"{_OFF} by AUGREG_PLUGINS={environment['AUGREG_PLUGINS']}" if off else ""

    return reason


def _owner(point: EntryPoint) -> tuple[str, str]:
    return (point.dist.name, point.dist.version) if point.dist else ("?", "?")


def _read(
    namespace: str, point: EntryPoint, claims: list[EntryPoint], switched_off: Callable[[str], str]
) -> tuple[PluginRecord, Brought]:
    name, version = _owner(point)
    license = _license(point.dist) if point.dist is not None and namespace != OWN else ""
    record = PluginRecord(namespace, name, version, license=license)
    own = namespace == OWN and name in (OWN, "?")
    try:
        if not own:
            if reason := switched_off(namespace):
                raise _UnusableError(reason)
            _check_namespace(namespace, name, claims)
        found = _brought(point.load(), name)
    except ANYTHING as error:
        if own:
            raise
        message = str(error) if isinstance(error, _UnusableError) else _said(error)
        return replace(record, error=message, remedy=_remedy(error, point)), Brought()
    found = found if own else found.prefixed(f"{namespace}/")
    if not own and (lacking := _lacking(point.dist)):
        verb = "is" if len(lacking) == 1 else "are"
        wanted = " ".join(f"'{requirement}'" for requirement in lacking.values())
        missing = f"{' and '.join(lacking)} {verb} not installed"
        record = replace(record, error=missing, remedy=f"pip install {wanted}")
        return replace(record, names=found.names), Brought()
    return replace(record, names=found.names), found


def _check_namespace(namespace: str, distribution: str, claims: list[EntryPoint]) -> None:
    """A namespace has one owner: who is named after it, if there is one among those who claim it."""
    if namespace == OWN:
        raise _UnusableError(
            f"the namespace {OWN!r} is augreg's own; this plugin needs another name for its entry point"
        )
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", namespace):
        raise _UnusableError(
            f"{namespace!r} cannot be a namespace: letters, digits, '_', '-' and '.' are, a letter or digit first"
        )
    if len(claims) == 1:
        return
    owners = [_owner(point) for point in claims]
    rightful = [name for name, _ in owners if _plain(name) == _plain(f"augreg-{namespace}")]
    if len(rightful) == 1 and rightful[0] == distribution:
        return
    claimants = " and ".join(sorted(f"{name} {version}" for name, version in owners))
    claim = f"{claimants} {'both' if len(owners) == 2 else 'all'} claim the namespace {namespace!r}"
    if len(rightful) == 1:
        raise _UnusableError(
            f"{claim}; {rightful[0]} keeps it, as it is named after it", f"pip uninstall {distribution}"
        )
    raise _UnusableError(claim, f"keep one of them, and uninstall the others: pip uninstall {distribution}")


def _plain(name: str) -> str:
    """A distribution's name, as packaging compares them."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _license(distribution: Distribution) -> str:
    data: Any = distribution.metadata
    said = data.get("License-Expression") or data.get("License")
    if not said:
        classifiers = data.get_all("Classifier") or ()
        said = ", ".join(line.rpartition(" :: ")[2] for line in classifiers if line.startswith("License"))
    return str(said).strip().partition("\n")[0][:80]


def _lacking(distribution: Distribution | None) -> dict[str, str]:
    """The required distributions that are missing, with the whole requirement; conditions are pip's business."""
    from importlib.metadata import PackageNotFoundError, version

    lacking: dict[str, str] = {}
    for requirement in (distribution.requires if distribution is not None else None) or ():
        known = _REQUIREMENT.match(requirement)
        if known is None:
            continue
        try:
            version(known[1])
        except PackageNotFoundError:
            lacking[known[1]] = requirement.strip()
    return lacking


def _remedy(error: BaseException, point: EntryPoint) -> str:
    """The pip line that mends it, as far as can be told."""
    if isinstance(error, _UnusableError):
        return error.remedy
    if point.dist is None:
        return ""
    lacking = _lacking(point.dist)
    if lacking:
        return "pip install " + " ".join(f"'{requirement}'" for requirement in lacking.values())
    if isinstance(error, ModuleNotFoundError) and error.name:
        module = error.name.partition(".")[0]
        if module != point.value.partition(":")[0].partition(".")[0]:
            return f"pip install '{module}'"
    return f"pip install --upgrade --force-reinstall {point.dist.name}"


def _said(error: BaseException) -> str:
    """An error on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def _brought(plugin: Any, distribution: str) -> Brought:
    """What a module or a manifest brings, checked. Raises _UnusableError with what is wrong with it."""
    if isinstance(plugin, ModuleType):
        return Brought(dict(_marked(plugin)))
    if not isinstance(plugin, Plugin):
        raise _UnusableError(f"expected a module or an augreg.registry.plugin.Plugin, got {plugin!r}")
    if not isinstance(plugin.api, int):
        raise _UnusableError(f"api: expected a whole number, got {plugin.api!r}")
    if plugin.api != API:
        newer = plugin.api > API
        remedy = f"pip install --upgrade {'augreg' if newer else distribution}"
        raise _UnusableError(f"it was written for plugin contract {plugin.api}; this augreg speaks {API}", remedy)
    if isinstance(plugin.modules, str):
        raise _UnusableError(f"modules: expected a tuple of names, got {plugin.modules!r}")
    parts: list[Mapping[str, str | type]] = []
    parts += [_checked(plugin, name) for name in ("transforms", "batch_transforms", "regularizers")]
    parts += [_marked(importlib.import_module(name)) for name in plugin.modules]
    steps: dict[str, str | type] = {}
    for part in parts:
        if twice := steps.keys() & part.keys():
            raise _UnusableError(f"it brings two steps of the name {min(twice)!r}")
        steps.update(part)
    others = {name: _checked(plugin, name) for name in ("policies", "presets", "backends")}
    return Brought(steps, **others)


def _checked(plugin: Plugin, kind: str) -> Mapping[str, str]:
    """A mapping of the manifest: names to "module:attribute" strings."""
    given: Any = getattr(plugin, kind)
    if not isinstance(given, Mapping):
        raise _UnusableError(f"{kind}: expected a mapping of names to 'module:attribute', got {given!r}")
    for name, target in given.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise _UnusableError(f"{kind}: {name!r} cannot be a name: it takes letters, digits, '_', '-' and '.'")
        if not isinstance(target, str) or not _TARGET.fullmatch(target):
            raise _UnusableError(f"{kind}: {name} should lead to 'module:attribute', got {target!r}")
    return given


def _marked(module: ModuleType) -> dict[str, type]:
    """The marked classes that this module defines (not those it imports)."""
    found: dict[str, type] = {}
    for value in vars(module).values():
        if isinstance(value, type) and "__augreg__" in vars(value) and value.__module__ == module.__name__:
            name = vars(value)["__augreg__"].name
            if found.setdefault(name, value) is not value:
                raise _UnusableError(f"{module.__name__} has two classes of the name {name!r}")
    return found


def load(target: str) -> Any:
    """What a "module:attribute" string leads to. Raises PluginError, with what its import raised."""
    module, _, attribute = target.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except ANYTHING as error:
        raise PluginError(f"{target} does not load: {_said(error)}") from error
