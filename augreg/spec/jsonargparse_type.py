"""Pipelines as arguments of jsonargparse, which Lightning's command line uses: the spec alone, or its path.

jsonargparse takes a class's own reading and writing only if they are registered with it. It may be imported after
augreg, or never, and augreg must not import it: so the registration waits for that import.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["register"]

_TYPES = "jsonargparse.typing"


def register(cls: Any) -> None:
    """Register a class with `from_spec` and `to_spec`: now, or when jsonargparse is imported."""
    module = sys.modules.get(_TYPES)
    if module is not None and hasattr(module, "register_type"):
        _register(cls, module)
    else:
        sys.meta_path.insert(0, _Waiting(cls))


def _register(cls: Any, module: Any) -> None:
    def deserialized(given: Any) -> Any:
        if isinstance(given, tuple) and hasattr(given, "key") and hasattr(given, "val"):  # --data.pipe.seed 4
            raise ValueError(
                f"a pipeline is given as a whole, a spec or its path: set `{given.key}: {given.val}` in it"
            )
        return cls.from_spec(given)

    module.register_type(cls, serializer=cls.to_spec, deserializer=deserialized)


class _Waiting(MetaPathFinder):
    """Finds one module, as the other finders do, and registers a class after it has run."""

    def __init__(self, cls: Any) -> None:
        self._cls = cls
        self._asked = False

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != _TYPES or self._asked:
            return None
        self._asked = True
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._asked = False
        if spec is not None and spec.loader is not None:
            loader: Any = spec.loader
            run = loader.exec_module

            def exec_module(module: ModuleType) -> None:
                run(module)
                if self in sys.meta_path:
                    sys.meta_path.remove(self)
                    _register(self._cls, module)

            loader.exec_module = exec_module
        return spec
