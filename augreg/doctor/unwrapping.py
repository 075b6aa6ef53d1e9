"""Finds the torch DataLoaders in what is given: in wrappers of other libraries, lists, mappings and data modules."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

__all__ = ["SIDE_NAMES", "Given", "given_loaders", "named_sides"]

SIDE_NAMES = {name: name for name in ("train", "validation", "test")} | dict.fromkeys(("val", "valid"), "validation")
"""The names of sides, and other names that are usual."""
_DEPTH = 5
_HOOKS = {"train": "train_dataloader", "validation": "val_dataloader", "test": "test_dataloader"}

Rewrap = Callable[[Any], Iterable[Any]]
"""Puts another DataLoader in the place of the one that a wrapper holds, in a copy of the wrapper."""


class Given(NamedTuple):
    """One loader: its side, its name (`train`, `train[0]`, `validation.clean`), and the DataLoader inside.

    `loader` is what was given if there is no DataLoader in it. `wrapper` is the class around the DataLoader, if any.
    """

    side: str
    where: str
    loader: Any
    rewrap: Rewrap
    wrapper: str | None


def given_loaders(value: Any, side: str, where: str | None = None) -> Iterator[Given]:
    """The loaders in one argument: a loader, a wrapper of one, a list or mapping of them, or a CombinedLoader."""
    where = side if where is None else where
    if _is_combined(value):
        value = value.iterables
    inner = _inner(value)
    if inner is not None:
        loader, rewrap = inner
        yield Given(side, where, loader, rewrap, None if loader is value else type(value).__name__)
    elif isinstance(value, Mapping) and value and all(map(_holds_loader, value.values())):
        for name, each in value.items():
            yield from given_loaders(each, side, f"{where}.{name}")
    elif isinstance(value, list | tuple) and value and all(map(_holds_loader, value)):
        for number, each in enumerate(value):
            yield from given_loaders(each, side, where if len(value) == 1 else f"{where}[{number}]")
    else:
        yield Given(side, where, value, lambda same: same, None)


def _is_combined(value: Any) -> bool:
    """Whether this is Lightning's CombinedLoader."""
    return type(value).__name__ == "CombinedLoader" and hasattr(value, "iterables")


def _holds_loader(value: Any) -> bool:
    if isinstance(value, Mapping | list | tuple):
        items = list(value.values()) if isinstance(value, Mapping) else list(value)
        return bool(items) and all(map(_holds_loader, items))
    return _is_combined(value) or _inner(value) is not None


def _inner(value: Any, depth: int = 0) -> tuple[Any, Rewrap] | None:
    """The one DataLoader that a value is or holds in its attributes, and how to put another in its place."""
    from torch.utils.data import DataLoader

    cls: type = type(value)  # not isinstance, since accelerate's loaders pretend to be DataLoaders
    if issubclass(cls, DataLoader):
        return value, lambda loader: loader
    if depth > _DEPTH or isinstance(value, Mapping | list | tuple) or not hasattr(cls, "__iter__"):
        return None
    attributes = vars(value) if hasattr(value, "__dict__") else {}
    for name in ("base_dataloader", "_dataloader"):  # accelerate and Fabric: these only move the batches to a device
        if name in attributes:
            return _inner(attributes[name], depth + 1)
    found = [
        (name, number, inner)
        for name, each in attributes.items()
        for number, part in _listed(each)
        if (inner := _inner(part, depth + 1)) is not None
    ]
    if len(found) != 1:
        return None
    name, number, (loader, rewrap) = found[0]

    def replaced(other: Any) -> Any:
        wrapper = copy.copy(value)
        part: Any = rewrap(other)
        if number is not None:
            parts = list(attributes[name])
            parts[number] = part
            part = parts
        vars(wrapper)[name] = part
        return wrapper

    return loader, replaced


def _listed(value: Any) -> list[tuple[int | None, Any]]:
    if isinstance(value, list) and len(value) <= 20:
        return list(enumerate(value))
    return [(None, value)]


def named_sides(value: Any) -> dict[str, Any] | None:
    """The loaders by side of a mapping with the names of sides, or of a Lightning DataModule; None for others.

    A data module is an object with `train_dataloader`. Its hooks are called on a shallow copy: `prepare_data`,
    `setup("fit")` and, for a test loader, `setup("test")`.
    """
    if isinstance(value, Mapping) and value and all(name in SIDE_NAMES for name in value):
        return {SIDE_NAMES[name]: loader for name, loader in value.items()}
    return _of_module(value)


def _of_module(module: Any) -> dict[str, Any] | None:
    if isinstance(module, Mapping | list | tuple) or not callable(getattr(module, "train_dataloader", None)):
        return None
    module = copy.copy(module)
    for name in ("prepare_data", "setup"):
        hook = getattr(module, name, None)
        if callable(hook):
            hook() if name == "prepare_data" else hook("fit")
    loaders = {side: _call(module, name) for side, name in _HOOKS.items() if side != "test"}
    if _defines(module, "test_dataloader"):
        if callable(getattr(module, "setup", None)):
            module.setup("test")
        loaders["test"] = _call(module, "test_dataloader")
    return {side: loader for side, loader in loaders.items() if loader is not None}


def _call(module: Any, name: str) -> Any:
    loader = getattr(module, name)() if _defines(module, name) else None
    return None if isinstance(loader, list | tuple | Mapping) and not loader else loader


def _defines(module: Any, name: str) -> bool:
    """Whether a hook is the user's own, and not Lightning's, which raises an error."""
    if name in getattr(module, "__dict__", {}):  # as LightningDataModule.from_datasets sets them
        return True
    function = getattr(type(module), name, None)
    library = str(getattr(function, "__module__", "")).partition(".")[0]
    return function is not None and library not in ("lightning", "pytorch_lightning")
