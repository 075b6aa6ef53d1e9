"""Backends: tables from the kind of an op to the function that runs it.

A kernel takes an op and a height x width x channels array (uint8, or float32) and returns one; it writes to no array
that it was given. Kernels of per-pixel ops give a pixel the same bytes wherever it stands and whatever is
around it: the planner counts on that.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from augreg.errors import SpecError
from augreg.ops import Op

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Backend", "backend", "choose"]

Kernel = Callable[[Any, "NDArray[Any]"], "NDArray[Any]"]


@dataclass(frozen=True)
class Backend:
    """A name and a kernel for every kind of op."""

    name: str
    kernels: Mapping[type[Op], Kernel]

    def apply(self, op: Op, image: NDArray[np.generic]) -> NDArray[Any]:
        """The image after one op; `image` is not written to."""
        return self.kernels[type(op)](op, image)


def choose(wanted: str) -> str:
    """The name of the backend to use: the wanted one, or for `auto` the fastest that is installed."""
    installed = importlib.util.find_spec("cv2") is not None
    if wanted == "opencv" and not installed:
        raise SpecError("backend", "opencv is not installed: pip install 'augreg[fast]', or take another backend")
    return ("opencv" if installed else "pillow") if wanted == "auto" else wanted


@functools.cache
def backend(name: str) -> Backend:
    """The backend of this name, imported on first use; those of plugins have a namespace in front.

    Pillow's kernels stand in for those that a plugin does not bring.
    """
    if "/" in name:
        from augreg.registry.discovery import load
        from augreg.registry.registry import Registry

        kernels: Mapping[type[Op], Kernel] = load(Registry.installed().backends[name])
        return Backend(name, {**backend("pillow").kernels, **kernels})
    module = importlib.import_module(f"augreg.backends.{name}")
    return Backend(name, module.KERNELS)
