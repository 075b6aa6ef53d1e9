"""Runs the conformance kit in pytest: one test for each object and check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from augreg.registry.registry import Registry
from augreg.testing.plugins import cases

if TYPE_CHECKING:
    import pytest

__all__ = ["parametrize"]


def parametrize(
    namespace: str, expected_failures: Mapping[str, str] | None = None, registry: Registry | None = None
) -> pytest.MarkDecorator:
    """Parametrize a test that calls its argument `check`: one test for each object and check.

    `expected_failures` are reasons by "name:check", or by "*:check" for all objects; these tests are strict xfails,
    so that the list stays correct. Raises ValueError for an entry without a test.
    """
    import pytest

    expected = dict(expected_failures or {})
    used = set()
    unloaded: set[str] = set()
    parameters = []
    for case in cases(namespace, registry):
        any_object = f"*:{case.id.rpartition(':')[2]}"
        key = next((key for key in (case.id, any_object) if key in expected), None)
        used.add(key)
        name, _, check = case.id.rpartition(":")
        if check == "loads" and name != namespace:
            unloaded.update((name, "*"))
        marks = [pytest.mark.xfail(reason=expected[key], strict=True)] if key is not None else []
        parameters.append(pytest.param(case.check, id=case.id, marks=marks))
    # entries for a plugin or a step that does not load cannot be compared with tests: it has none but "loads"
    unknown = sorted(key for key in expected.keys() - used if key.rpartition(":")[0] not in unloaded)
    if unknown and len(parameters) > 1:
        raise ValueError(f"no check is named {unknown[0]!r}; names are like {parameters[-1].id!r}")
    return pytest.mark.parametrize("check", parameters)
