"""Names of a package that are imported on first use, so that importing augreg costs nothing and loads no torch.

A package's `__init__` takes its `__getattr__` and `__dir__` from here: from `names`, which reads a table, or from
`modules`, which looks into the modules of the package, so that a new class needs no entry anywhere.

    __getattr__, __dir__, __all__ = lazy.names(__name__, {"dropout": ("AlphaDropout", "Dropout")}, needs="torch")
    __getattr__, __dir__ = lazy.modules(__name__)

Type checkers read the imports under `TYPE_CHECKING` above that line; tests/test_house.py compares the two.
"""

from __future__ import annotations

import importlib
import pkgutil
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any

__all__ = ["method", "module", "modules", "names"]

Getter = Callable[[str], Any]
Lister = Callable[[], list[str]]
Hint = Callable[[str, list[str]], str]


def _no_hint(name: str, known: list[str]) -> str:
    return ""


def names(
    package: str,
    table: Mapping[str, Iterable[str]],
    submodules: Iterable[str] = (),
    needs: str = "",
    hint: Hint = _no_hint,
) -> tuple[Getter, Lister, list[str]]:
    """The `__getattr__`, `__dir__` and `__all__` of a package with the names of a table and these submodules.

    The table lists the names by module, relative to the package: `dropout`, or `.batch.keys` for a module of the
    package beside it. `needs` is the extra to name in the error where a third-party package is missing. `hint` adds
    to the error of a name that is not there; it gets the name, and those that are.
    """
    homes = {name: home for home, members in table.items() for name in members} | {name: name for name in submodules}
    public = sorted(homes)

    def getter(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}{hint(name, public)}")
        module = _imported(f".{homes[name]}", package, needs)
        return module if name == homes[name] else getattr(module, name)

    return getter, lambda: public, public


def modules(package: str, declared: bool = False, needs: str = "", hint: Hint = _no_hint) -> tuple[Getter, Lister]:
    """The `__getattr__` and `__dir__` of a package that shows what its modules have in `__all__`.

    With `declared` it shows the classes that `@transform`, `@batch_transform` and `@regularizer` mark instead. The
    first use of a name imports all modules, those of subpackages too. `needs` is as for `names`. To a type checker a
    name that is not imported under `TYPE_CHECKING` is Any.
    """

    def members() -> dict[str, Any]:
        found: dict[str, Any] = {}
        for info in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            module = _imported(info.name, package, needs)
            for name, value in vars(module).items():
                marked = "__augreg__" in getattr(value, "__dict__", ())
                if marked if declared else name in getattr(module, "__all__", ()):
                    found[name] = value
        return found

    def getter(name: str) -> Any:
        if name == "__all__":
            return sorted(members())
        if not name.startswith("_"):
            found = members()
            if name in found:
                return found[name]
            raise AttributeError(f"module {package!r} has no attribute {name!r}{hint(name, sorted(found))}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return getter, lambda: sorted(members())


class _LazyModule(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        value = getattr(importlib.import_module(self.__name__), name)
        setattr(self, name, value)
        return value


def module(name: str) -> Any:
    """A module that is imported when one of its names is first used.

    It is for what only errors need, and for NumPy in the modules of built-in steps, which are imported to list them.
    """
    return _LazyModule(name)


def _imported(module: str, package: str, needs: str) -> Any:
    try:
        return importlib.import_module(module, package)
    except ModuleNotFoundError as error:
        if not needs or error.name is None or error.name.startswith("augreg"):
            raise
        message = f"{package} needs {error.name}: pip install 'augreg[{needs}]'"
        raise ModuleNotFoundError(message, name=error.name) from None


def method(module: str, name: str) -> Callable[..., Any]:
    """A method that is the function `name` of a module, which is imported by the first call."""
    function: Callable[..., Any] | None = None

    def call(self: Any, *arguments: Any) -> Any:
        nonlocal function
        if function is None:
            function = getattr(importlib.import_module(module), name)
        return function(self, *arguments)

    return call
