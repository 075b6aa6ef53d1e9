"""The conformance kit: what a plugin's transforms, batch transforms and regularizers must keep to, as checks.

python -m augreg.testing rain                    # everything that the plugin `rain` brings

from augreg.testing import parametrize           # in the plugin's own tests: one test for each object and check

@parametrize("rain", expected_failures={"rain/drops:backends_agree": "it is drawn by OpenCV alone"})
def test_conformance(check):
    check()

Besides, hypothesis strategies for tests of your own: pictures, samples, arguments, specs; see strategies.py.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from augreg.testing.batch_transforms import check_batch_transform
    from augreg.testing.parametrizing import parametrize
    from augreg.testing.plugins import check_plugin
    from augreg.testing.regularizers import check_regularizer
    from augreg.testing.strategies import arguments, pictures, samples, specs
    from augreg.testing.transforms import check_transform

__all__ = [
    "arguments",
    "check_batch_transform",
    "check_plugin",
    "check_regularizer",
    "check_transform",
    "parametrize",
    "pictures",
    "samples",
    "specs",
]

_HOMES = {
    "arguments": "strategies",
    "check_batch_transform": "batch_transforms",
    "check_plugin": "plugins",
    "check_regularizer": "regularizers",
    "check_transform": "transforms",
    "parametrize": "parametrizing",
    "pictures": "strategies",
    "samples": "strategies",
    "specs": "strategies",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"augreg.testing.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'augreg.testing' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
