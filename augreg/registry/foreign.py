"""Functions of your own, and of other libraries, as a step: by hand, or in a spec where your code allows them.

    pipe = Pipeline([Call("my_project.filters:sepia"), "normalize"...])
    registry = Registry.installed().allow("my_project.filters:sepia")       # a spec alone can run nothing
    pipe = Pipeline.from_spec([{"call": {"function": "my_project.filters:sepia"}}], registry)

A function takes one image and returns one. As it is imported by name, the pipeline pickles into any worker.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import random
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from msgspec.structs import replace

from augreg.errors import ImageError
from augreg.ops import Op, Scene, call
from augreg.steps.declare import transform
from augreg.steps.fields import Shorthand

if TYPE_CHECKING:
    from augreg.rng import Cursor

__all__ = ["Call", "function_name", "run"]

_Value: TypeAlias = bool | int | float | str | tuple[bool | int | float | str, ...] | None


def function_name(function: Any) -> str:
    """The "module:name" under which a function can be imported; what is text already is returned as it is.

    Raises ValueError for a lambda, a function inside another one, and whatever else has no such name.
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
            f"{function!r} cannot be imported by name, so workers could not find it: define it at the top of a "
            "module, or give the 'module:name' of a variable that holds it"
        )
    return name


def _pairs(value: Any) -> Any:
    return [[key, item] for key, item in value.items()] if isinstance(value, Mapping) else value


@transform("call", kind="texture")
class Call:
    """Run a function on the image: your own, or one of another library.

    `function` is "module:name", and `arguments` are handed on by keyword. `takes` says what it is given and returns:
    a height x width x channels `array`, a `pil` image or a channels x height x width `tensor`. `random` says where
    its random numbers come from: `none`, a `seed` argument (an integer for every draw), or `global` generators, which
    are seeded for the call and put back after it (`random`, NumPy's and, where it is loaded, torch's; not safe in
    threads). With `resizes` the image may leave in another size, and with `geometry` pixels move, so that masks,
    boxes and keypoints are refused.
    """

    function: Annotated[str, Shorthand(function_name, "module:name")]
    arguments: Annotated[tuple[tuple[str, _Value], ...], Shorthand(_pairs, "mapping")] = ()
    takes: Literal["array", "pil", "tensor"] = "array"
    random: Literal["none", "seed", "global"] = "none"
    resizes: bool = False
    geometry: bool = False

    @property
    def functions(self) -> tuple[str, ...]:
        """What a registry has to allow."""
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
    """Apply a function to a height x width x channels array. Raises ImageError with what is wrong with its result."""
    import numpy as np

    from augreg.images.codecs import from_array, to_array

    given = dict(arguments)
    if source == "seed":
        given["seed"] = seed
    image = from_array(array, takes) if takes != "array" else array.copy()  # type: ignore[arg-type]
    with _seeded(seed) if source == "global" else contextlib.nullcontext():
        result = _imported(function)(image, **given)
    try:
        found = to_array(result, "keep").array
    except ImageError as error:
        raise ImageError(f"{function} returned no image: {error}") from None
    if found.dtype != array.dtype or found.shape[2] != array.shape[2]:
        kinds = f"{array.shape[2]} channels of {array.dtype}, and got {found.shape[2]} of {found.dtype}"
        raise ImageError(f"{function} must return an image of the kind that it was given: {kinds}")
    if keeps_size and found.shape != array.shape:
        sizes = f"{array.shape[0]}x{array.shape[1]} to {found.shape[0]}x{found.shape[1]}"
        raise ImageError(f"{function} changed the size from {sizes}; say resizes: true")
    return np.array(found)


@functools.lru_cache(maxsize=256)
def _imported(name: str) -> Any:
    module, _, path = name.partition(":")
    try:
        return functools.reduce(getattr, path.split("."), importlib.import_module(module))
    except Exception as error:  # whatever its import does
        raise ImageError(f"{name} cannot be imported: {type(error).__name__}: {error}") from error


@contextlib.contextmanager
def _seeded(seed: int | None) -> Iterator[None]:
    """The global generators, seeded; put back afterwards, so that nobody else notices."""
    import numpy as np

    torch = sys.modules.get("torch")
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - what the function reads
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
