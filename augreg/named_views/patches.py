"""Patch masks: which patches of a view are masked, at random one by one (MAE) or in blocks (BEiT, iBOT, DINOv2)."""

from __future__ import annotations

import math
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from augreg.errors import ImageError
from augreg.named_views.declared import PatchMasking
from augreg.rng import Address, Cursor

__all__ = ["PatchMask", "draw_mask"]

_ATTEMPTS: Final = 10
"""As often a block is drawn before there is none that fits: the number of BEiT."""


class PatchMask(msgspec.Struct, frozen=True):
    """The masked patches of a view: of a grid of these rows and columns, row by row, as bits."""

    rows: int
    columns: int
    bits: bytes

    @property
    def array(self) -> NDArray[np.bool_]:
        """True for masked patches: rows x columns."""
        count = self.rows * self.columns
        cells = np.unpackbits(np.frombuffer(self.bits, np.uint8), count=count)
        return cells.astype(bool).reshape(self.rows, self.columns)

    def __str__(self) -> str:
        return f"{int(self.array.sum())} of {self.rows}x{self.columns} patches are masked"


def draw_mask(
    masking: PatchMasking, size: tuple[int, int], address: Address | None, key: int, view: str
) -> PatchMask:
    """The mask of a view of this height and width, drawn from the stream of this key; at test time nothing is masked.

    Raises ImageError if the patches do not divide the view.
    """
    sides = masking.size
    if size[0] % sides[0] or size[1] % sides[1]:
        raise ImageError(
            f"{view} is {size[0]}x{size[1]}, which patches of {sides[0]}x{sides[1]} do not divide; end its steps "
            "with a size that they do, or give `patches` another `size`"
        )
    cells = np.zeros((size[0] // sides[0], size[1] // sides[1]), bool)
    if address is not None:
        _mask(cells, masking, Cursor(address, key))
    return PatchMask(*cells.shape, np.packbits(cells).tobytes())


def _mask(cells: NDArray[np.bool_], masking: PatchMasking, rng: Cursor) -> None:
    if not rng.bernoulli(masking.p):
        return
    wanted = int(rng.uniform(*masking.ratio) * cells.size + 0.5)
    if masking.masking == "random":
        cells.reshape(-1)[rng.permutation(cells.size)[:wanted]] = True
    else:
        while wanted > 0:
            added = _block(cells, masking, wanted, rng)
            if not added:
                break
            wanted -= added


def _block(cells: NDArray[np.bool_], masking: PatchMasking, most: int, rng: Cursor) -> int:
    """Mask a block with at most `most` patches that were not masked before; returns how many it masked.

    As in BEiT: its area is uniform between `least` and `most`, the logarithm of its aspect is uniform too, and it is
    smaller than the grid both ways.
    """
    rows, columns = cells.shape
    low, high = map(math.log, masking.aspect)
    for _ in range(_ATTEMPTS):
        area = rng.uniform(masking.least, most)
        aspect = math.exp(rng.uniform(low, high))
        height, width = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if not (0 < height < rows and 0 < width < columns):
            continue
        top, left = rng.integers(rows - height + 1), rng.integers(columns - width + 1)
        block = cells[top : top + height, left : left + width]
        added = block.size - int(block.sum())
        if 0 < added <= most:
            block[:] = True
            return added
    return 0
