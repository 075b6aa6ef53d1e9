"""Backends: tables from the kind of an op to the function that runs it.

A kernel takes an op and a height x width x channels array (uint8 or float32) and returns an array. It writes to no
array that it was given. Kernels of per-pixel ops give a pixel the same bytes at any position and with any neighbors,
because the planner moves such ops past crops, borders and boxes.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from augreg.errors import ImageError, SpecError
from augreg.ops import Op

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from augreg.columns.philox import ReadWords
    from augreg.rng import Address, Cursor

__all__ = ["INSTALL_NATIVE", "Backend", "OpenCursor", "backend", "choose"]

Kernel = Callable[[Any, "NDArray[Any]"], "NDArray[Any]"]
_NATIVE: Final = "augreg_native.kernels:KERNELS"
INSTALL_NATIVE: Final = "pip install ./plugins/augreg-native"
"""How to get the compiled backend, in a checkout of augreg: it is on no package index."""
_NO_NATIVE: Final = (
    "native is not installed, or does not load, which `augreg doctor` shows: "
    f"{INSTALL_NATIVE} in a checkout of augreg, or take another backend"
)
RunMany = Callable[[Sequence[Op], int, "NDArray[Any]"], "tuple[int, NDArray[Any]]"]
OpenCursor = Callable[["Address", int, int], "Cursor"]
"""Opens the stream of an address and a stream key, at the word of a number."""


@dataclass(frozen=True)
class Backend:
    """A name and the kernels by kind of op. Pickles as its name and, for a plugin's, the `source` of its kernels.

    `run_many`, where a backend has it, takes ops, the position of the first one to run, and an image. It runs as many
    as it can at once and returns their number, which may be 0, and the image after them. It refuses no op: the kernel
    of its kind then runs the next one. `cursor`, where it has one, opens the random numbers of a step: those of
    `augreg.rng.Cursor`, in less time; and `words`, those of many images, as `augreg.columns.philox.words`.
    """

    name: str
    kernels: Mapping[type[Op], Kernel] = field(repr=False)
    source: str = ""
    run_many: RunMany | None = field(default=None, repr=False)
    cursor: OpenCursor | None = field(default=None, repr=False)
    words: ReadWords | None = field(default=None, repr=False)

    def apply(self, op: Op, image: NDArray[np.generic]) -> NDArray[Any]:
        """The image after one op; `image` is not written to. Raises ImageError for an op that has no kernel here."""
        try:
            kernel = self.kernels[type(op)]
        except KeyError:
            message = f"{op}: the backend {self.name} has no kernel for ops of the kind {type(op).__name__}"
            raise ImageError(message) from None
        return kernel(op, image)

    def __reduce__(self) -> Any:
        return backend, (self.name, self.source)


def choose(name: str, plugins: Container[str] = ()) -> str:
    """The name of the backend to use: for `auto`, the fastest that is installed. Raises SpecError if it is not.

    `plugins` are the names of the backends of plugins; `native` is one of them.
    """
    if name == "native" and name not in plugins:
        raise SpecError("backend", _NO_NATIVE)
    if name == "auto" and "native" in plugins:
        return "native"
    installed = _is_installed("cv2")
    if name == "opencv" and not installed:
        raise SpecError("backend", "opencv is not installed: pip install 'augreg[fast]', or take another backend")
    return ("opencv" if installed else "pillow") if name == "auto" else name


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (KeyError, ValueError):
        return True  # another thread imports it: OpenCV takes itself out of sys.modules meanwhile, and has no spec


@functools.cache
def backend(name: str, source: str = "") -> Backend:
    """The backend of this name, imported on first use.

    `source` is the "module:attribute" of a plugin's kernels; Pillow's kernels fill in for those that it lacks. If the
    kernels have a method `run_many` or `words`, or an attribute `cursor`, it becomes that of the backend. `native`
    has its source without a registry too.
    """
    source = source or (_NATIVE if name == "native" else "")
    if source:
        module, _, attribute = source.partition(":")
        if source == _NATIVE and not _is_installed("augreg_native"):  # a plan that was pickled on another machine
            raise SpecError("backend", _NO_NATIVE)
        kernels: Mapping[type[Op], Kernel] = getattr(importlib.import_module(module), attribute)
        every = {**backend("pillow").kernels, **kernels}
        extras = [getattr(kernels, part, None) for part in ("run_many", "cursor", "words")]
        return Backend(name, every, source, *extras)
    return Backend(name, importlib.import_module(f"augreg.backends.{name}").KERNELS)
