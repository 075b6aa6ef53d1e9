"""Checks of the arguments and inputs of layers. They raise an error that names the layer or the argument."""

from __future__ import annotations

from typing import Any, TypeVar

from torch import Tensor, nn

from augreg.attachment.foreign_tensors import refuse_proxy

_String = TypeVar("_String", bound=str)


def check_number(name: str, value: float, low: float, high: float, below: bool = False) -> float:
    """The value as a float; ValueError unless low <= value <= high, or low <= value < high if `below` is set."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number, got {value!r}")
    inside = low <= value < high if below else low <= value <= high
    if not inside:
        bounds = f"at least {low:g}" if high == float("inf") else f"from {low:g} to {'below ' * below}{high:g}"
        raise ValueError(f"{name} must be {bounds}, got {value!r}")
    return float(value)


def check_choice(name: str, value: _String, choices: tuple[str, ...]) -> _String:
    """The value; ValueError unless it is one of the choices."""
    if value not in choices:
        raise ValueError(f"{name} must be {' or '.join(map(repr, choices))}, got {value!r}")
    return value


def check_floating(layer: object, input: Tensor) -> None:
    """TypeError unless the input is a floating-point tensor."""
    refuse_proxy(layer, input)
    if not input.is_floating_point():
        raise TypeError(f"{type(layer).__name__} takes floating-point tensors, got {input.dtype}")


def check_dimensions(layer: object, input: Tensor, dims: int) -> None:
    """ValueError unless the input has `dims` spatial dimensions after its channels, with or without a batch."""
    if input.dim() not in (dims + 1, dims + 2):
        spatial = ("length", "height, width", "depth, height, width")[dims - 1]
        raise ValueError(
            f"{type(layer).__name__} takes (batch, channels, {spatial}) or (channels, {spatial}), "
            f"got an input of shape {tuple(input.shape)}"
        )


_WITHOUT_FEATURE_MAP = (
    nn.Linear,
    nn.Bilinear,
    nn.Flatten,
    nn.Embedding,
    nn.EmbeddingBag,
    nn.LayerNorm,
    nn.MultiheadAttention,
    nn.RNNBase,
)


def require_feature_map(site: Any) -> None:
    """Refuse a site whose module is known to return no spatial dimensions."""
    if isinstance(site.module, _WITHOUT_FEATURE_MAP):
        site.refuse(
            f"the output of a {type(site.module).__name__} has no spatial dimensions; "
            f"select a module that returns (batch, channels, ...), or use dropout"
        )
