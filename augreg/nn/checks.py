"""Checks of what layers are given: numbers within bounds, one of some words, and the dimensions of an input."""

from __future__ import annotations

from typing import TypeVar

from torch import Tensor, nn

_Word = TypeVar("_Word", bound=str)


def number(name: str, value: float, low: float, high: float, below: bool = False) -> float:
    """The value as a float; ValueError unless low <= value <= high, or low <= value < high where `below` is set."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number, got {value!r}")
    inside = low <= value < high if below else low <= value <= high
    if not inside:
        bounds = f"at least {low:g}" if high == float("inf") else f"from {low:g} to {'below ' * below}{high:g}"
        raise ValueError(f"{name} must be {bounds}, got {value!r}")
    return float(value)


def choice(name: str, value: _Word, words: tuple[str, ...]) -> _Word:
    """The value; ValueError unless it is one of the words."""
    if value not in words:
        raise ValueError(f"{name} must be {' or '.join(map(repr, words))}, got {value!r}")
    return value


def floating(layer: object, input: Tensor) -> None:
    """TypeError unless the input holds floating-point numbers."""
    if not input.is_floating_point():
        raise TypeError(f"{type(layer).__name__} takes floating-point tensors, got {input.dtype}")


def dimensions(layer: object, input: Tensor, dims: int) -> None:
    """ValueError unless the input has `dims` dimensions behind its channels, with a batch in front or not."""
    if input.dim() not in (dims + 1, dims + 2):
        places = ("length", "height, width", "depth, height, width")[dims - 1]
        raise ValueError(
            f"{type(layer).__name__} takes (batch, channels, {places}) or (channels, {places}), "
            f"got an input of shape {tuple(input.shape)}"
        )


_WITHOUT_POSITIONS = (
    nn.Linear,
    nn.Bilinear,
    nn.Flatten,
    nn.Embedding,
    nn.EmbeddingBag,
    nn.LayerNorm,
    nn.MultiheadAttention,
    nn.RNNBase,
)


def gives_maps(module: nn.Module) -> None:
    """ValueError for a module whose output is known to have no positions behind its channels."""
    if isinstance(module, _WITHOUT_POSITIONS):
        raise ValueError(
            f"the output of a {type(module).__name__} has no positions behind its channels; "
            f"take a module that gives (batch, channels, ...), or dropout"
        )
