"""The class probabilities that a model predicts for images, one image preparation at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import nn

    from augreg.expectation.means.outputs import Select

__all__ = ["predictions"]


def predictions(
    model: nn.Module,
    images: Sequence[Any],
    prepare: Callable[[Any], Any],
    batch_size: int = 64,
    select: Select = None,
) -> NDArray[np.float64]:
    """The class probabilities for each image after `prepare`, images x classes, with the model in evaluation.

    `prepare` returns channels x height x width floats, an array or a tensor; images of one size that follow one
    another make a batch. The softmax of the model's logits is taken. The model is as before.
    """
    import torch

    from augreg.expectation.means.outputs import selected_output
    from augreg.expectation.noise.kept_state import kept
    from augreg.expectation.noise.modes import evaluating

    weights = [tensor for tensor in model.parameters() if tensor.is_floating_point()]
    like = weights[0] if weights else torch.zeros(())
    found: list[NDArray[np.float64]] = []
    with kept(model), evaluating(model), torch.no_grad():
        for batch in _batches(images, prepare, batch_size):
            inputs = torch.from_numpy(batch).to(like.device, like.dtype)
            logits = selected_output(model(inputs), select).double()
            if logits.ndim != 2:
                raise ValueError(f"expected logits of the shape images x classes, got {tuple(logits.shape)}")
            found.append(logits.softmax(1).cpu().numpy())
    return np.concatenate(found)


def _batches(images: Sequence[Any], prepare: Callable[[Any], Any], size: int) -> Any:
    waiting: list[NDArray[np.float32]] = []
    for image in images:
        made = prepare(image)
        array = np.asarray(made["image"] if isinstance(made, dict) else made, np.float32)
        if waiting and (len(waiting) == size or array.shape != waiting[0].shape):
            yield np.stack(waiting)
            waiting = []
        waiting.append(array)
    if waiting:
        yield np.stack(waiting)
