"""The arguments of a model as rows, one for each image, that can be selected and repeated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

__all__ = ["Arguments", "ModelInputs"]

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


class ModelInputs:
    """The arguments of a model, given by the caller.

    The first tensor says how many images there are. All tensors with as many rows are split and repeated; others, and
    all that is no tensor, are passed on as they are.
    """

    def __init__(self, inputs: tuple[Any, ...], named: Mapping[str, Any]) -> None:
        self.view_weights = torch.ones(1, 1)
        self._arguments: Arguments = (inputs, dict(named))
        sizes = [leaf.shape[0] for leaf in tree_leaves(self._arguments) if isinstance(leaf, Tensor) and leaf.ndim]
        if not sizes:
            raise TypeError(
                "the model's input must have a tensor with one row for each image: N x channels x height x width for "
                "images. To give images as files, PIL images or arrays, give the pipeline, too: expect(model, pipe)"
            )
        self.count: int = sizes[0]
        if self.count == 0:
            raise ValueError("the input has no rows; there must be at least one image")

    def device_type(self) -> str:
        """Where the model runs: "cpu", "cuda", .."""
        return next(leaf.device.type for leaf in tree_leaves(self._arguments) if self._is_split(leaf))  # type: ignore[no-any-return]

    def part(self, first: int, last: int) -> ModelInputs:
        """The images from a number to another, the last not included."""
        if (first, last) == (0, self.count):
            return self
        inputs, named = self._mapped(lambda rows: rows[first:last])
        return ModelInputs(inputs, named)

    def rows(self, images: Tensor | None, observations: range, views: range) -> Arguments:
        """The arguments for some observations of these images (None: all): rows by observation, view and image."""
        repeats = len(observations) * len(views)
        if images is None and repeats == 1:
            return self._arguments

        def repeated(rows: Tensor) -> Tensor:
            rows = rows if images is None else rows.index_select(0, images.to(rows.device))
            return rows.repeat(repeats, *[1] * (rows.ndim - 1)) if repeats > 1 else rows

        return self._mapped(repeated)

    def first(self, copies: int) -> Arguments:
        """The first image, this often."""

        def repeated(rows: Tensor) -> Tensor:
            return rows[:1].repeat(copies, *[1] * (rows.ndim - 1))

        return self._mapped(repeated)

    def restored(
        self, values: Tensor, images: Tensor | None, observations: range, views: range
    ) -> tuple[Tensor, Tensor | None]:
        """The predictions as they are."""
        return values, None

    def _mapped(self, change: Any) -> Arguments:
        mapped: Arguments = tree_map(lambda leaf: change(leaf) if self._is_split(leaf) else leaf, self._arguments)
        return mapped

    def _is_split(self, leaf: Any) -> bool:
        return isinstance(leaf, Tensor) and leaf.ndim > 0 and leaf.shape[0] == self.count
