"""Finds the random generators that datasets, transforms and functions keep, and names them by attribute path."""

from __future__ import annotations

import functools
import random
import types
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from augreg.doctor.isolation import digest_state

__all__ = ["Generator", "find", "get_state", "set_state", "states"]

_LIMIT = 3000  # objects looked at
_ITEMS = 64  # items of a list or a mapping looked at
_LEAVES = (str, bytes, bytearray, int, float, complex, type(None), types.ModuleType, np.ndarray, np.dtype, range)
_LIBRARIES = ("torch.", "numpy.", "builtins", "collections", "functools", "typing", "abc", "datasets.", "pyarrow.")


class Generator(NamedTuple):
    """A random generator: the path to it, such as `dataset.transform.rng`, and the class that keeps it."""

    path: str
    owner: str
    generator: Any

    @property
    def name(self) -> str:
        """For people: `dataset.transform.rng (numpy.random.Generator in albumentations' Compose)`."""
        cls = type(self.generator)
        kind = f"{cls.__module__.removesuffix('._generator').removesuffix('.mtrand')}.{cls.__qualname__}"
        return f"{self.path} ({kind}{self.owner})"


def _is_generator(value: Any) -> bool:
    if isinstance(value, np.random.Generator | np.random.RandomState):
        return True
    if isinstance(value, random.Random):
        return not isinstance(value, random.SystemRandom)
    return type(value).__name__ == "Generator" and hasattr(value, "get_state") and hasattr(value, "initial_seed")


def find(**roots: Any) -> list[Generator]:
    """The generators that can be reached from `roots`, each once, by the shortest path.

    Followed are attributes, also of classes, items of lists and mappings, closures and defaults of functions, and the
    global names that functions read.
    """
    import torch

    leaves = (*_LEAVES, torch.Tensor, torch.device, torch.dtype)
    waiting: deque[tuple[str, str, Any]] = deque((name, "", root) for name, root in roots.items())
    seen: dict[int, Any] = {}
    found: list[Generator] = []
    while waiting and len(seen) < _LIMIT:
        path, owner, thing = waiting.popleft()
        if isinstance(thing, leaves) or id(thing) in seen or _is_array_of_images(thing):
            continue
        seen[id(thing)] = thing
        if _is_generator(thing):
            if not _is_global(thing):
                found.append(Generator(path, owner, thing))
            continue
        waiting.extend(_inside(path, thing))
    return found


def _is_global(generator: Any) -> bool:
    """Whether a generator is one of the global ones, which are examined by themselves."""
    import torch

    own = getattr(random.random, "__self__", None), np.random.mtrand._rand, torch.default_generator
    return any(generator is each for each in own)


def _is_array_of_images(thing: Any) -> bool:
    return hasattr(thing, "getbands")


def _inside(path: str, thing: Any) -> Iterator[tuple[str, str, Any]]:
    if isinstance(thing, Mapping):
        for name, value in list(thing.items())[:_ITEMS] if type(thing) is dict else []:
            yield f"{path}[{name!r}]", "", value
    elif isinstance(thing, list | tuple | set | frozenset):
        for number, value in enumerate(list(thing)[:_ITEMS]):
            yield f"{path}[{number}]", "", value
    elif isinstance(thing, functools.partial):
        yield from ((path, "", each) for each in (thing.func, *thing.args, *thing.keywords.values()))
    elif isinstance(thing, types.MethodType):
        yield path, "", thing.__func__
        yield path, "", thing.__self__
    elif isinstance(thing, types.FunctionType):
        yield from _of_function(path, thing)
    elif isinstance(thing, type):
        yield from _of_class(path, thing)
    else:
        yield from _of_object(path, thing)


def _of_function(path: str, function: types.FunctionType) -> Iterator[tuple[str, str, Any]]:
    code = function.__code__
    owner = f", kept by the function {function.__qualname__}"
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=False):
        try:
            yield f"{path}:{name}", owner, cell.cell_contents
        except ValueError:  # an empty cell
            continue
    for value in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
        yield f"{path}, a default", owner, value
    for name in code.co_names:
        value = function.__globals__.get(name)
        if _is_generator(value):
            yield f"{path}: {function.__module__}.{name}", f", read by the function {function.__qualname__}", value


def _of_class(path: str, cls: type) -> Iterator[tuple[str, str, Any]]:
    for base in cls.__mro__:
        if f"{base.__module__}.".startswith(_LIBRARIES):
            continue
        for name, value in vars(base).items():
            value = getattr(value, "__func__", value)
            if _is_generator(value):
                yield f"{path}.{name}", f" in the class {base.__qualname__}", value
            elif isinstance(value, types.FunctionType):
                yield f"{path}.{name}", "", value


def _of_object(path: str, thing: Any) -> Iterator[tuple[str, str, Any]]:
    cls = type(thing)
    if f"{cls.__module__}.".startswith(("pyarrow.", "pandas.")):
        return
    package = cls.__module__.partition(".")[0]
    owner = f" in {package}' {cls.__qualname__}" if package == "albumentations" else f" in {cls.__qualname__}"
    attributes = dict(vars(thing)) if hasattr(thing, "__dict__") else {}
    for slot in getattr(cls, "__slots__", ()) if isinstance(getattr(cls, "__slots__", ()), tuple | list) else ():
        if hasattr(thing, slot):
            attributes.setdefault(slot, getattr(thing, slot))
    for name, value in attributes.items():
        yield f"{path}.{name}", owner, value
    yield path, "", cls


def states(generators: list[Generator]) -> dict[str, bytes]:
    """A hash of the state of each generator, by `Generator.name`."""
    return {each.name: digest_state(get_state(each.generator)) for each in generators}


def get_state(generator: Any) -> Any:
    """The state of a generator of NumPy, of Python or of torch."""
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    return generator.getstate() if isinstance(generator, random.Random) else generator.get_state()


def set_state(generator: Any, state: Any) -> None:
    """Set a generator to a state returned by `get_state`."""
    if isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    elif isinstance(generator, random.Random):
        generator.setstate(state)
    else:
        generator.set_state(state)
