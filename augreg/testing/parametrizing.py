"""Pytest: one test for each object and check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from augreg.registry.registry import Registry
from augreg.testing.plugins import cases

__all__ = ["parametrize"]


def parametrize(
    namespace: str, expected_failures: Mapping[str, str] | None = None, registry: Registry | None = None
) -> Any:
    """A decorator for a test with the argument `check`, which it calls: one test for each object and check.

    `expected_failures` are reasons by "name:check", or by "*:check" for every object; these tests are strict
    xfails, so that the list stays true. Raises ValueError for an entry that no test has.
    """
    import pytest

    expected = dict(expected_failures or {})
    used = set()
    unloaded: set[str] = set()
    found = []
    for case in cases(namespace, registry):
        any_object = f"*:{case.id.rpartition(':')[2]}"
        key = next((key for key in (case.id, any_object) if key in expected), None)
        used.add(key)
        name, _, check = case.id.rpartition(":")
        if check == "loads" and name != namespace:
            unloaded.update((name, "*"))
        marks = [pytest.mark.xfail(reason=expected[key], strict=True)] if key is not None else []
        found.append(pytest.param(case.check, id=case.id, marks=marks))
    # a plugin or a step that does not load has no other tests, and its one test says so
    unknown = sorted(key for key in expected.keys() - used if key.rpartition(":")[0] not in unloaded)
    if unknown and len(found) > 1:
        raise ValueError(f"no check is named {unknown[0]!r}; names are like {found[-1].id!r}")
    return pytest.mark.parametrize("check", found)
