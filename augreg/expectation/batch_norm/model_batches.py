"""The batches that a model gets from images: as the training pipeline, the test pipeline or its views make them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from augreg.spec.one_view import check_one_view
from augreg.training.averaging import first_tensor

__all__ = ["Side", "model_batches"]

Side: TypeAlias = Literal["train", "test", "views"]


def model_batches(
    model: nn.Module, images: Any, pipe: Any, side: Side, *, views: int, batch_size: int, epoch: int = 0
) -> Iterator[Tensor]:
    """Batches of a model's inputs, on its device and in its dtype.

    With `pipe`, `images` yields images or samples, and `side` says what is made of them; otherwise it is a batch, or
    yields batches, of which the first tensor counts. Raises TypeError for what is no input of a model.
    """
    if side not in ("train", "test", "views"):
        raise ValueError(f"side must be 'train', 'test' or 'views', got {side!r}")
    weights = [tensor for tensor in model.parameters() if tensor.is_floating_point()]
    like = weights[0] if weights else torch.zeros(())
    for batch in _given(images) if pipe is None else _made(images, pipe, side, views, batch_size, epoch):
        yield batch.to(like.device, like.dtype if batch.is_floating_point() else None)


def _given(images: Any) -> Iterator[Tensor]:
    for batch in [images] if isinstance(images, Tensor | Mapping) else images:
        tensor = first_tensor(batch)
        if not isinstance(tensor, Tensor):
            raise TypeError(
                f"expected batches of the model's input, as tensors or with a tensor in them, got a "
                f"{type(batch).__name__}; give the pipeline, too, if these are images"
            )
        yield tensor


def _made(images: Iterable[Any], pipe: Any, side: Side, views: int, batch_size: int, epoch: int) -> Iterator[Tensor]:
    """Batches of what the pipeline makes of each image; a change of size begins a batch."""
    pipe = getattr(pipe, "channels_first", pipe)
    for number, stack in enumerate(_stacks(_inputs(images, pipe, side, views, epoch), batch_size)):
        yield pipe.batch(stack, epoch=epoch, batch=number) if side == "train" else stack


def _inputs(images: Iterable[Any], pipe: Any, side: Side, views: int, epoch: int) -> Iterator[Tensor]:
    check_one_view(pipe, "batch norm")
    for index, item in enumerate(images):
        image = item[0] if isinstance(item, tuple | list) else item
        if side == "views":
            made = pipe.views(image, views)
            yield from (_tensor(made[number].image) for number in _evenly(made.weights, views))
        else:
            yield _tensor(pipe.train(image, index=index, epoch=epoch) if side == "train" else pipe.test(image))


def _evenly(weights: Any, count: int) -> list[int]:
    """So many numbers of views, each as often as its weight says, rounded (systematic resampling)."""
    ends = np.cumsum(np.asarray(weights, np.float64))
    points = (np.arange(count) + 0.5) / count * ends[-1]
    return [int(number) for number in np.searchsorted(ends, points)]


def _tensor(made: Any) -> Tensor:
    """The image that a pipeline returned, as an input of a model."""
    image = made["image"] if isinstance(made, Mapping) else made
    if isinstance(image, np.ndarray) and image.dtype == np.float32:
        image = torch.from_numpy(image)
    if not (isinstance(image, Tensor) and image.is_floating_point() and image.ndim == 3):
        shown = f"{image.dtype} of shape {tuple(image.shape)}" if hasattr(image, "shape") else type(image).__name__
        raise TypeError(
            f"the pipeline returns {shown}, and a model takes floats of channels x height x width: let it end with "
            f"normalize, or give batches of the model's input without a pipeline"
        )
    return image


def _stacks(inputs: Iterable[Tensor], size: int) -> Iterator[Tensor]:
    waiting: list[Tensor] = []
    for tensor in inputs:
        if waiting and (len(waiting) == size or tensor.shape != waiting[0].shape):
            yield torch.stack(waiting)
            waiting = []
        waiting.append(tensor)
    if waiting:
        yield torch.stack(waiting)
