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
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from augreg.errors import PluginError
from augreg.plugin import API, Plugin

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint

__all__ = ["GROUP", "Brought", "PluginRecord", "load", "scan"]

GROUP: Final = "augreg.plugins"
OWN: Final = "augreg"
_REQUIREMENT: Final = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)[^;]*$")  # one without a condition


@dataclass(frozen=True)
class PluginRecord:
    """A plugin as it was found: who brings it, what it has, and if it failed, why and what mends it."""

    namespace: str
    distribution: str
    version: str
    names: tuple[str, ...] = ()
    error: str | None = None
    licence: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Brought:
    """What plugins bring, by name: classes and other things, or the "module:attribute" strings that lead to them."""

    steps: Mapping[str, str | type] = field(default_factory=dict)
    policies: Mapping[str, str] = field(default_factory=dict)
    presets: Mapping[str, str] = field(default_factory=dict)
    backends: Mapping[str, str] = field(default_factory=dict)

    def __or__(self, other: Brought) -> Brought:
        return Brought(
            {**self.steps, **other.steps},
            {**self.policies, **other.policies},
            {**self.presets, **other.presets},
            {**self.backends, **other.backends},
        )

    def prefixed(self, prefix: str) -> Brought:
        """The same under names that begin with a namespace."""
        kinds: list[Mapping[str, Any]] = [self.steps, self.policies, self.presets, self.backends]
        return Brought(*({prefix + name: value for name, value in kind.items()} for kind in kinds))

    @property
    def names(self) -> tuple[str, ...]:
        """Every name, of whatever kind."""
        return tuple(sorted({*self.steps, *self.policies, *self.presets, *self.backends}))


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
        if all(point.value != other.value for other in claims):  # an editable install can be seen twice
            claims.append(point)
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
        return lambda _: "switched off by AUGREG_DISABLE_PLUGINS"
    words = [word.strip() for word in environment.get("AUGREG_PLUGINS", "").split(",") if word.strip()]
    without = {word[1:] for word in words if word.startswith("-")}
    only = {word for word in words if not word.startswith("-")}

    def reason(namespace: str) -> str:
        off = namespace in without or (only and namespace not in only)
        return f"switched off by AUGREG_PLUGINS={environment['AUGREG_PLUGINS']}" if off else ""

    return reason


def _owner(point: EntryPoint) -> tuple[str, str]:
    return (point.dist.name, point.dist.version) if point.dist else ("?", "?")


def _read(
    namespace: str, point: EntryPoint, claims: list[EntryPoint], switched_off: Callable[[str], str]
) -> tuple[PluginRecord, Brought]:
    name, version = _owner(point)
    licence = _licence(point.dist) if point.dist is not None and namespace != OWN else ""
    record = PluginRecord(namespace, name, version, licence=licence)
    own = namespace == OWN and name in (OWN, "?")
    try:
        if not own:
            _check_namespace(namespace, name, claims)
            if reason := switched_off(namespace):
                raise _UnusableError(reason)
        found = _brought(point.load(), name)
    except Exception as error:  # whatever a plugin does when it is imported
        if own:
            raise
        message = str(error) if isinstance(error, _UnusableError) else f"{type(error).__name__}: {error}"
        return replace(record, error=message, remedy=_remedy(error, point.dist)), Brought()
    found = found if own else found.prefixed(f"{namespace}/")
    if not own and (lacking := _lacking(point.dist)):
        names = " and ".join(lacking)
        wanted = " ".join(f"'{requirement}'" for requirement in lacking.values())
        record = replace(record, error=f"{names} is not installed", remedy=f"pip install {wanted}")
        return replace(record, names=found.names), Brought()
    return replace(record, names=found.names), found


def _check_namespace(namespace: str, distribution: str, claims: list[EntryPoint]) -> None:
    """A namespace has one owner: who is named after it, if there is one among those who claim it."""
    if namespace == OWN:
        raise _UnusableError(
            f"the namespace {OWN!r} is augreg's own; this plugin needs another name for its entry point"
        )
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", namespace):
        raise _UnusableError(f"{namespace!r} cannot be a namespace: it takes letters, digits, '_', '-' and '.'")
    if len(claims) == 1:
        return
    owners = [_owner(point) for point in claims]
    rightful = [name for name, _ in owners if _plain(name) == _plain(f"augreg-{namespace}")]
    if len(rightful) == 1 and rightful[0] == distribution:
        return
    both = " and ".join(sorted(f"{name} {version}" for name, version in owners))
    whose = f"; {rightful[0]} keeps it, as it is named after it" if len(rightful) == 1 else ""
    unwanted = distribution if whose else owners[-1][0]
    raise _UnusableError(f"{both} both claim the namespace {namespace!r}{whose}", f"pip uninstall {unwanted}")


def _plain(name: str) -> str:
    """A distribution's name, as packaging compares them."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _licence(distribution: Distribution) -> str:
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


def _remedy(error: Exception, distribution: Distribution | None) -> str:
    if isinstance(error, _UnusableError):
        return error.remedy
    if isinstance(error, ModuleNotFoundError) and error.name:
        module = error.name.partition(".")[0]
        known = {name.lower(): requirement for name, requirement in _lacking(distribution).items()}
        return f"pip install '{known.get(module.lower(), module)}'"
    return f"pip install --upgrade {distribution.name}" if distribution is not None else ""


def _brought(plugin: Any, distribution: str) -> Brought:
    if isinstance(plugin, ModuleType):
        return Brought(dict(_marked(plugin)))
    if not isinstance(plugin, Plugin):
        raise _UnusableError(f"expected a module or an augreg.plugin.Plugin, got {plugin!r}")
    if plugin.api != API:
        newer = plugin.api > API
        remedy = f"pip install --upgrade {'augreg' if newer else distribution}"
        raise _UnusableError(f"it was written for plugin contract {plugin.api}; this augreg speaks {API}", remedy)
    steps: dict[str, str | type] = {**plugin.transforms, **plugin.batch_transforms, **plugin.regularizers}
    for name in plugin.modules:
        steps.update(_marked(importlib.import_module(name)))
    return Brought(steps, plugin.policies, plugin.presets, plugin.backends)


def _marked(module: ModuleType) -> dict[str, type]:
    """The marked classes that this module defines (not those it imports)."""
    marked: Iterable[type] = (
        value for value in vars(module).values() if isinstance(value, type) and "__augreg__" in vars(value)
    )
    return {vars(cls)["__augreg__"].name: cls for cls in marked if cls.__module__ == module.__name__}


def load(target: str) -> Any:
    """What a "module:attribute" string leads to. Raises PluginError, with what its import raised."""
    module, _, attribute = target.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except Exception as error:  # whatever a plugin does when it is imported
        raise PluginError(f"{target} does not load: {type(error).__name__}: {error}") from error
