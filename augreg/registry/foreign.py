"""The step `call` runs a function of yours or of another library: in code, or in a spec if your code allows it.

    pipe = Pipeline([Call("my_project.filters:sepia")])
    registry = Registry.installed().allow("my_project.filters:sepia")  # a spec cannot run a function by itself
    pipe = Pipeline.from_spec([{"call": {"function": "my_project.filters:sepia"}}], registry)

The function takes one image and returns one. It is imported by name, so the pipeline pickles into any worker.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from msgspec.structs import replace

from augreg.errors import ImageError
from augreg.ops import Op, Scene, call
from augreg.steps.declare import transform
from augreg.steps.fields import Converted, Shorthand

if TYPE_CHECKING:
    from augreg.rng import Cursor

__all__ = ["Call", "function_name", "run"]

_Value: TypeAlias = bool | int | float | str | tuple[bool | int | float | str, ...] | None


def function_name(function: Any) -> str:
    """The "module:name" under which a function can be imported; a string is returned unchanged.

    Raises ValueError for a lambda, a nested function, and any other object that cannot be imported by name.
    """
    if isinstance(function, str):
        if not all(function.partition(":")):
            raise ValueError(f"a function is named 'module:name', got {function!r}")
        return function
    if not callable(function):
        raise ValueError(f"expected a function or its 'module:name', got {function!r}")
    name = f"{getattr(function, '__module__', None)}:{getattr(function, '__qualname__', None)}"
    try:
        found = _imported(name)
    except ImageError:
        found = None
    if found is not function:
        raise ValueError(
            f"{function!r} cannot be imported by name, which workers need: define it at the top level of a module, "
            "or give the 'module:name' of a variable with it"
        )
    return name


def _pairs(value: Any) -> Any:
    return [[key, item] for key, item in value.items()] if isinstance(value, Mapping) else value


@transform("call", kind="texture")
class Call:
    """Run a function on the image: your own, or one of another library.

    `function` is "module:name", and `arguments` are passed by keyword. `takes` is the type that it takes and returns:
    a height x width x channels `array`, a `pil` image or a channels x height x width `tensor`. `random` is the source
    of its random numbers: `none`, a `seed` argument (an integer for every draw), or the `global` generators, which
    are seeded for the call and restored after it (those of `random`, NumPy and, if it is loaded, torch; not safe in
    threads). With `resizes` the image may change its size, and with `geometry` pixels move; samples with masks,
    boxes or keypoints are then refused.
    """

    function: Annotated[Converted[str], Shorthand(function_name, "module:name")]
    arguments: Annotated[Converted[tuple[tuple[str, _Value], ...]], Shorthand(_pairs, "mapping")] = ()
    takes: Literal["array", "pil", "tensor"] = "array"
    random: Literal["none", "seed", "global"] = "none"
    resizes: bool = False
    geometry: bool = False

    @property
    def functions(self) -> tuple[str, ...]:
        """The functions that the registry must allow."""
        return (self.function,)

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        seed = rng.bits() >> 33 if self.random != "none" else None
        op = call(
            run,
            {
                "function": self.function,
                "arguments": self.arguments,
                "takes": self.takes,
                "source": self.random,
                "seed": seed,
                "keeps_size": not self.resizes,
            },
            size=None if self.resizes else scene.size,
            geometry=self.geometry or self.resizes,
        )
        return replace(op, label=f"call {self.function}" + (f", seed {seed}" if seed is not None else ""))


def run(
    array: Any,
    function: str,
    arguments: tuple[tuple[str, Any], ...],
    takes: str,
    source: str,
    seed: int | None,
    keeps_size: bool,
) -> Any:
    """Apply a function to a height x width x channels array. Raises ImageError if its result is not valid."""
    import numpy as np

    from augreg.images.codecs import from_array, to_array

    keywords = dict(arguments)
    if source == "seed":
        keywords["seed"] = seed
    image = from_array(array, takes) if takes != "array" else array.copy()  # type: ignore[arg-type]
    with _seeded(seed) if source == "global" else contextlib.nullcontext():
        result = _imported(function)(image, **keywords)
    try:
        output = to_array(result, "keep").array
    except ImageError as error:
        raise ImageError(f"{function} returned no image: {error}") from None
    if output.dtype != array.dtype or output.shape[2] != array.shape[2]:
        kinds = f"{array.shape[2]} channels of {array.dtype}, got {output.shape[2]} of {output.dtype}"
        raise ImageError(f"{function} must return the channels and dtype that it takes: expected {kinds}")
    if keeps_size and output.shape != array.shape:
        sizes = f"{array.shape[0]}x{array.shape[1]} to {output.shape[0]}x{output.shape[1]}"
        raise ImageError(f"{function} changed the size from {sizes}; give `resizes: true` to allow this")
    return np.array(output)


@functools.lru_cache(maxsize=256)
def _imported(name: str) -> Any:
    module, _, path = name.partition(":")
    try:
        return functools.reduce(getattr, path.split("."), importlib.import_module(module))
    except Exception as error:  # importing may raise anything
        raise ImageError(f"{name} cannot be imported: {type(error).__name__}: {error}") from error


@contextlib.contextmanager
def _seeded(seed: int | None) -> Iterator[None]:
    """Seed the global generators, and restore their states afterward."""
    import random

    import numpy as np

    torch = sys.modules.get("torch")
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - the function uses it
    tensors = torch.random.get_rng_state() if torch is not None else None
    try:
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        if torch is not None:
            torch.random.default_generator.manual_seed(seed)
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        if torch is not None:
            torch.random.set_rng_state(tensors)
