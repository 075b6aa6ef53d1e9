"""A whole plugin: that it loads, and every check on everything that it brings, with names for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from augreg.registry import Registry
from augreg.testing import batch_transforms, transforms
from augreg.testing.subjects import Subject, subjects

__all__ = ["Case", "cases", "check_plugin"]


class Case(NamedTuple):
    """One check on one object; `id` is "name:check"."""

    id: str
    check: Callable[[], None]


def cases(namespace: str, registry: Registry | None = None) -> Iterator[Case]:
    """Every check on everything that a plugin brings. Raises PluginError where it is not installed, or failed."""
    registry = Registry.installed() if registry is None else registry
    yield Case(f"{namespace}:loads", lambda: loads(namespace, registry))
    for tested in subjects(namespace, registry) if not _failed(namespace, registry) else ():
        for name, check in _checks(tested).items():
            yield Case(f"{tested.name}:{name}", lambda check=check, tested=tested: check(tested))  # type: ignore[misc]


def loads(namespace: str, registry: Registry) -> None:
    """The plugin is installed, did not fail, and what it brings besides steps is there."""
    if failure := _failed(namespace, registry):
        raise AssertionError(failure)
    prefix = f"{namespace}/"
    for name, path in registry.presets.items():
        if name.startswith(prefix):
            from augreg.pipeline import Pipeline

            assert path.is_file(), f"the preset {name} is not at {path}"
            Pipeline.from_spec(name, registry)


def _failed(namespace: str, registry: Registry) -> str:
    records = [record for record in registry.plugins if record.namespace == namespace]
    if not records:
        return f"no plugin {namespace!r} is installed"
    failed = [record for record in records if record.error]
    return f"{failed[0].distribution}: {failed[0].error}. {failed[0].remedy}" if failed else ""


def _checks(tested: Subject) -> Mapping[str, Callable[[Any], None]]:
    section = tested.mark.sections[0]
    if section == "image":
        return transforms.CHECKS
    if section == "batch":
        return batch_transforms.CHECKS
    from augreg.testing.regularizers import checks  # the only ones that need torch

    return checks(tested)


def check_plugin(namespace: str, without: Mapping[str, str] | None = None) -> None:
    """Run every check on everything that a plugin brings.

    `without` names the checks that are known to fail, as "name:check", with the reason; one that passes after all is
    told too, so that the list stays true. Raises AssertionError with all that is wrong.
    """
    without = without or {}
    wrong = []
    for case in cases(namespace):
        try:
            case.check()
        except Exception as error:  # a check reports whatever goes wrong
            if case.id not in without:
                wrong.append(f"{case.id}: {str(error) or type(error).__name__}")
        else:
            if case.id in without:
                wrong.append(f"{case.id}: expected to fail ({without[case.id]}), and it passes")
    assert not wrong, "\n".join(wrong)
