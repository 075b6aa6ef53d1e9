"""The table of this backend: each kind of op alone, and whole lists of ops in one call."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from augreg.backends import Backend, backend, plain
from augreg.ops import BranchMix, Filter, Op
from augreg_native import _native, program, remaps
from augreg_native._cursor import Cursor
from augreg_native.streams import words

__all__ = ["KERNELS"]

Array = NDArray[Any]


class _Kernels(dict[type[Op], Callable[[Any, Array], Array]]):
    """Kernels by kind of op, which `run_many` runs several of at once; the cursors of steps, and words of many."""

    cursor = Cursor
    words = staticmethod(words)

    run_many = staticmethod(program.run)

    def about(self) -> dict[str, str]:
        """What `augreg doctor` says of it: the instruction set, and whether parts of JPEGs are decoded."""
        parts = "decoded"
        try:
            importlib.import_module("augreg_native._jpeg")
        except ModuleNotFoundError:
            parts = "not decoded, because it was built without libjpeg-turbo"
        except ImportError as error:
            parts = f"not decoded: {error}"
        return {"instruction_set": str(_native.isa(program.ISA)), "parts_of_jpegs": parts}


def _alone(kind: type[Op]) -> Callable[[Any, Array], Array]:
    """The kernel of one kind of op: the compiled one, or Pillow's for what it cannot run."""
    other = backend("pillow").kernels[kind]

    def run(op: Any, image: Array) -> Array:
        count, found = program.run((op,), 0, image)
        return found if count else other(op, image)

    return run


class _Filters:
    """Blurs; those of floats smooth the fields of remaps."""

    _others: Final = staticmethod(_alone(Filter))

    def __call__(self, op: Filter, image: Array) -> Array:
        if image.dtype == np.float32 and op.name == "gaussian":
            found = remaps.blurred_floats(op.amount, image, program.ISA)
            if found is not None:
                return found
        return self._others(op, image)

    def mirrored(self, sigma: float, noise: Array) -> Array:
        """For `displacement.sources`."""
        found = remaps.blurred_floats(sigma, noise, program.ISA, mirrored=True)
        return plain.float_blur(sigma, noise, "symmetric") if found is None else found


KERNELS: Final = _Kernels({kind: _alone(kind) for kind in program.ENCODERS})
KERNELS[Filter] = _Filters()
_every: Final = {**backend("pillow").kernels, **KERNELS}
_every[BranchMix] = KERNELS[BranchMix] = plain.composite_kernels(Backend("native", _every))[BranchMix]
