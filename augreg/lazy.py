"""Names of a package that are imported on first use, so that importing augreg costs nothing and loads no torch.

A package's `__init__` says once which of its modules has which names, and takes what `names` or `modules` return:

    __getattr__, __dir__, __all__ = lazy.names(__name__, {"dropout": ("AlphaDropout", "Dropout")}, needs="torch")
    __getattr__, __dir__, __all__ = lazy.modules(__name__, __path__)

Type checkers read the imports under `TYPE_CHECKING` above that line; a test holds the two together.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from typing import Any

__all__ = ["modules", "names"]

Face = tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]
"""The `__getattr__`, `__dir__` and `__all__` of a package."""


def names(package: str, homes: Mapping[str, Iterable[str]], submodules: Iterable[str] = (), needs: str = "") -> Face:
    """A package whose modules have these names, and which shows these submodules.

    `needs` is the extra to name in the error where a third-party package is missing.
    """
    found = {name: home for home, its in homes.items() for name in its} | {name: name for name in submodules}

    def getter(name: str) -> Any:
        if name not in found:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = _imported(f"{package}.{found[name]}", f"{package}.{name}", needs)
        return module if name == found[name] else getattr(module, name)

    everything = sorted(found)
    return getter, lambda: everything, everything


def modules(package: str, path: Iterable[str], needs: str = "") -> Face:
    """A package that has every name that its modules export; the first use of one imports them all."""
    public: list[str] = []

    def everything() -> Mapping[str, Any]:
        found = {}
        for module in sorted(pkgutil.iter_modules(path)):
            home = _imported(f"{package}.{module.name}", f"{package}.{module.name}", needs)
            found.update({name: getattr(home, name) for name in getattr(home, "__all__", ())})
        return found

    def getter(name: str) -> Any:
        if name == "__all__" or not name.startswith("_"):
            found = everything()
            if name in found:
                return found[name]
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return getter, lambda: sorted(everything()), public


def _imported(module: str, wanted: str, needs: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if not needs or error.name is None or error.name.startswith("augreg"):
            raise
        message = f"{wanted} needs {error.name}: pip install 'augreg[{needs}]'"
        raise ModuleNotFoundError(message, name=error.name) from None
