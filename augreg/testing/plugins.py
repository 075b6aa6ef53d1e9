"""Checks of a whole plugin: that it loads, and every check on every object in it, with names for tests."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from augreg.errors import PluginError
from augreg.pipeline import Pipeline
from augreg.registry.registry import Registry
from augreg.testing import transforms
from augreg.testing.running import pattern
from augreg.testing.step_under_test import StepUnderTest, names, step_under_test

__all__ = ["Case", "cases", "check_plugin"]


class Case(NamedTuple):
    """One check on one object; `id` is "name:check"."""

    id: str
    check: Callable[[], None]


def cases(namespace: str, registry: Registry | None = None) -> Iterator[Case]:
    """Every check on every object of a plugin.

    The first case checks that the plugin loads. A step that does not load, or whose checks need a package that is not
    installed, has one case, "name:loads", which fails.
    """
    registry = Registry.installed() if registry is None else registry
    yield Case(f"{namespace}:loads", functools.partial(loads, namespace, registry))
    for name in names(namespace, registry) if not _failed(namespace, registry) else ():
        try:
            tested = step_under_test(registry[name], name=name, registry=registry)
            checks = _checks(tested)
        except Exception as error:  # a plugin may raise anything when it is imported
            yield Case(f"{name}:loads", functools.partial(_fail, _reason(error)))
            continue
        for key, check in checks.items():
            yield Case(f"{name}:{key}", functools.partial(check, tested))


def _fail(reason: str) -> None:
    raise AssertionError(reason)


def _reason(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name == "torch":
        return "its checks need torch: pip install 'augreg[torch]'"
    return str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"


def loads(namespace: str, registry: Registry) -> None:
    """The plugin is installed and loads, and its policies, backends and presets can be used."""
    if failure := _failed(namespace, registry):
        raise AssertionError(failure)
    for record in registry.plugins:
        if record.namespace == namespace and record.error is None:
            broken = [
                f"{name}: {why}; correct its entry in the manifest"
                for name, why in registry.load_errors(record).items()
                if name not in registry
            ]
            assert not broken, "; ".join(broken)
    prefix = f"{namespace}/"
    for kind, found in (("policy", registry.policies), ("backend", registry.backends), ("preset", registry.presets)):
        for name in found:
            if name.startswith(prefix):
                _use(kind, name, registry)


def _use(kind: str, name: str, registry: Registry) -> None:
    """Make a pipeline with a policy, backend or preset of a plugin, and run it."""
    specs: dict[str, Any] = {
        "policy": [{"auto_augment": {"policy": name}}],
        "backend": {"backend": name, "image": ["invert"]},
        "preset": name,
    }
    try:
        pipeline = Pipeline.from_spec(specs[kind], registry)
        if kind != "preset":
            pipeline.train(pattern(24, 32), 0)
    except Exception as error:  # a plugin may raise anything
        raise AssertionError(
            f"the {kind} {name} cannot be used; mend it, or remove it from the manifest: "
            f"{type(error).__name__}: {error}"
        ) from error


def _failed(namespace: str, registry: Registry) -> str:
    records = [record for record in registry.plugins if record.namespace == namespace]
    if not records:
        return f"no plugin {namespace!r} is installed"
    if not all(record.error for record in records):  # ignore other plugins that claim the namespace
        return ""
    return f"{records[0].distribution}: {records[0].error}. {records[0].remedy}".rstrip(". ")


def _checks(tested: StepUnderTest) -> Mapping[str, Callable[[Any], None]]:
    if tested.section in transforms.CHECKS:
        return transforms.CHECKS[tested.section]
    from augreg.testing.regularizers import checks  # needs torch

    return checks(tested)


def check_plugin(namespace: str, without: Mapping[str, str] | None = None) -> None:
    """Run every check on every object of a plugin.

    `without` are the checks that are known to fail, as "name:check", with the reason; one of them that passes is an
    error too, so that the list stays correct. Raises AssertionError with everything that is wrong.
    """
    without = without or {}
    wrong = []
    for case in cases(namespace):
        try:
            case.check()
        except Exception as error:  # a check may raise anything
            if case.id not in without:
                wrong.append(f"{case.id}: {str(error) or type(error).__name__}")
        else:
            if case.id in without:
                wrong.append(f"{case.id}: expected to fail ({without[case.id]}), but it passes")
    assert not wrong, "\n".join(wrong)
