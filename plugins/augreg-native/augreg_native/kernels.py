"""The table of this backend: each kind of op alone, and whole lists of ops in one call."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from augreg.backends import Backend, backend, plain
from augreg.ops import BranchMix, Filter, Op
from augreg_native import _native, program, remaps

__all__ = ["KERNELS"]

Array = NDArray[Any]


class _Kernels(dict[type[Op], Callable[[Any, Array], Array]]):
    """Kernels by kind of op, which `run_many` runs several of at once."""

    def run_many(self, ops: Sequence[Op], start: int, image: Array) -> tuple[int, Array]:
        """Run ops from `start` on, as many as there are compiled kernels for. Returns their number and the image."""
        return program.run(ops, start, image)

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


def _filter(op: Filter, image: Array) -> Array:
    """Blurs; those of floats smooth the fields of remaps."""
    if image.dtype == np.float32 and op.name == "gaussian":
        found = remaps.blurred_floats(op.amount, image, program.ISA)
        if found is not None:
            return found
    return _filtered(op, image)


_filtered: Final = _alone(Filter)
KERNELS: Final = _Kernels({kind: _alone(kind) for kind in program.ENCODERS})
KERNELS[Filter] = _filter
_every: Final = {**backend("pillow").kernels, **KERNELS}
_every[BranchMix] = KERNELS[BranchMix] = plain.composite_kernels(Backend("native", _every))[BranchMix]
