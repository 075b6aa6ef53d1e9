"""What a model returns: the tensor of its outputs, and the space in which predictions are averaged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from augreg.expectation.means.running_moments import accumulated_dtype

__all__ = ["Output", "Select", "check_outputs", "check_space", "entropy_of", "joined_outputs", "selected_output"]

Select = str | int | Callable[[Any], Tensor] | None

_SPACES = {
    "probability": "the mean of the class probabilities",
    "logit": "the mean of the logits, whose softmax is the normalized geometric mean of the probabilities",
    "value": "the mean of the outputs of a regression",
}
_GEOMETRIC = (
    "the geometric mean of probabilities, normalized to sum to 1, is the softmax of the mean logits: "
    'space="logit", then prediction.mean.softmax(1). Logits have no geometric mean, since they may be negative'
)
_MEDIAN = 'only means are computed, which have a standard error: space="probability" or space="logit"'
_OTHER_WORDS = {
    "gmean": _GEOMETRIC,
    "geometric": _GEOMETRIC,
    "geometric_mean": _GEOMETRIC,
    "hmean": _MEDIAN,
    "harmonic": _MEDIAN,
    "max": _MEDIAN,
    "min": _MEDIAN,
    "median": _MEDIAN,
    "tsharpen": "powers of probabilities have no expectation to test: sharpen prediction.mean afterwards",
    "mean": 'say of what: space="probability", space="logit" or, for regression, space="value"',
    "probabilities": 'it is called space="probability"',
    "logits": 'it is called space="logit"',
    "log_probability": _GEOMETRIC,
    "values": 'it is called space="value"',
}


def check_space(space: Any) -> None:
    """Raise ValueError for a space that is none, saying what to do."""
    if isinstance(space, str) and space in _SPACES:
        return
    known = "; ".join(f"{name!r} ({meaning})" for name, meaning in _SPACES.items())
    hint = f": {_OTHER_WORDS[space]}" if isinstance(space, str) and space in _OTHER_WORDS else ""
    raise ValueError(f"space={space!r} is none of the spaces{hint}. The spaces are {known}")


def selected_output(output: Any, select: Select) -> Tensor:
    """The tensor of predictions in what a model returns. Raises TypeError or ValueError, listing what there is."""
    if select is None:
        if isinstance(output, Tensor):
            return output
        raise TypeError(
            f"the model returns {_article(output)}, not a tensor: say where the predictions are by select=, an "
            f"attribute, a key, a position or a function. There is {_listed(output)}"
        )
    found = select(output) if callable(select) else _part(output, select)
    if not isinstance(found, Tensor):
        raise TypeError(
            f"select={select!r} gives {_article(found)}, and a tensor is needed; there is {_listed(output)}"
        )
    return found


def _part(output: Any, select: str | int) -> Any:
    if isinstance(select, str) and not isinstance(output, Mapping) and hasattr(output, select):
        return getattr(output, select)
    try:
        return output[select]
    except (KeyError, IndexError, TypeError):
        raise ValueError(
            f"select={select!r} is not in what the model returns, {_article(output)}. There is {_listed(output)}"
        ) from None


def _article(value: Any) -> str:
    return f"an object of type {type(value).__name__}"


def _listed(output: Any) -> str:
    """The parts of an output, with their shapes: `logits` (8 x 10), ..."""
    if isinstance(output, Mapping):
        parts = [(repr(key), value) for key, value in output.items()]
    elif isinstance(output, tuple | list) and not hasattr(output, "_fields"):
        parts = [(str(number), value) for number, value in enumerate(output)]
    elif isinstance(output, Tensor):
        parts = [("a tensor", output)]
    else:
        names = [name for name in dir(output) if not name.startswith("_")]
        parts = [(repr(name), value) for name in names if not callable(value := getattr(output, name, None))]
    return ", ".join(f"{name} ({_shape(value)})" for name, value in parts) or "nothing"


def _shape(value: Any) -> str:
    if isinstance(value, Tensor):
        return "x".join(map(str, value.shape)) or "one number"
    return type(value).__name__


@dataclass(frozen=True)
class Output:
    """What is averaged, and what the entropies are made of.

    `values` are in the space; `probabilities` are those of the classes along dimension 1, None for regression. With
    `multi_label` each class has a probability of its own. Where these are means already, `entropies` are the mean
    entropies, which those of mean probabilities are not, and `errors` the standard errors of `values`.
    """

    values: Tensor
    probabilities: Tensor | None
    entropies: Tensor | None = None
    errors: Tensor | None = None

    def reshaped(self, shape: tuple[int, ...]) -> Output:
        """With the first dimension of all tensors in this shape."""
        parts = (self.values, self.probabilities, self.entropies, self.errors)
        return Output(*(None if each is None else each.reshape(*shape, *each.shape[1:]) for each in parts))

    @classmethod
    def of(cls, output: Tensor, space: str, multi_label: bool) -> Output:
        """Convert a model's outputs, N x C x .., in float64 or float32 (see `accumulated_dtype`)."""
        if not output.is_floating_point():
            raise TypeError(f"the predictions must be floating point numbers, got {output.dtype}; see select=")
        if output.ndim == 0:
            raise ValueError("the predictions must have one row for each image, got a single number; see select=")
        output = output.to(accumulated_dtype(output))
        if space == "value":
            return cls(output, None)
        if not multi_label and (output.ndim == 1 or output.shape[1] == 1):
            raise ValueError(
                f"the outputs have the shape {list(output.shape)}: one number for each image has no softmax. Use "
                'multi_label=True for the logit of one class, or space="value" for a regression'
            )
        probabilities = output.sigmoid() if multi_label else output.softmax(1)
        return cls(output if space == "logit" else probabilities, probabilities)


def joined_outputs(outputs: Sequence[Output]) -> Output:
    """The rows of all outputs."""
    if len(outputs) == 1:
        return outputs[0]
    columns = ([getattr(one, each.name) for one in outputs] for each in fields(Output))
    return Output(*(None if column[0] is None else torch.cat(column) for column in columns))


def check_outputs(output: Tensor, space: str, multi_label: bool) -> None:
    """Raise ValueError for outputs that cannot be what the space takes."""
    if space == "value":
        return
    if not multi_label and output.ndim > 1 and output.shape[1] > 1:
        total = output.sum(1, dtype=torch.float64 if output.device.type != "mps" else torch.float32)
        near = 1e-5 if output.dtype in (torch.float32, torch.float64) else 2e-2
        if bool((output >= 0).all()) and bool(((total - 1).abs() < near).all()):
            raise ValueError(
                "the model returns probabilities, and logits are needed: leave its softmax out, or give "
                'select=lambda output: output.log(), or average them as they are by space="value"'
            )
    if space == "logit" and bool(output.isinf().any()):
        raise ValueError(
            'there are infinite logits, which have no mean: use space="probability", or mask these classes afterwards'
        )


def entropy_of(probabilities: Tensor, multi_label: bool) -> Tensor:
    """The entropy in nats of the classes, N x ..; for several labels, the sum of the entropies of each."""
    if multi_label:
        values = torch.special.entr(probabilities) + torch.special.entr(1 - probabilities)
    else:
        values = torch.special.entr(probabilities)
    return values.sum(1) if values.ndim > 1 else values
