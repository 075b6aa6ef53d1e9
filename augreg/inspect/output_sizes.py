"""Output sizes of convolution, pooling and transposed convolution along one axis."""

from __future__ import annotations

__all__ = ["output_size", "transposed_output_size"]


def output_size(size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """floor((size + 2 padding - dilation (kernel - 1) - 1) / stride + 1): positions of a convolution or pooling.

    `padding` is added at both ends. Raises ValueError if the kernel does not fit.
    """
    _check(size=size, kernel=kernel, stride=stride, dilation=dilation)
    span = dilation * (kernel - 1) + 1
    if size + 2 * padding < span:
        raise ValueError(f"a kernel that spans {span} does not fit into {size} with padding {padding} on each side")
    return (size + 2 * padding - span) // stride + 1


def transposed_output_size(
    size: int, kernel: int, stride: int = 1, padding: int = 0, output_padding: int = 0, dilation: int = 1
) -> int:
    """(size - 1) stride - 2 padding + dilation (kernel - 1) + output_padding + 1: positions of a
    transposed convolution.

    Raises ValueError if the padding removes all positions.
    """
    _check(size=size, kernel=kernel, stride=stride, dilation=dilation)
    left = (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + output_padding + 1
    if left < 1:
        raise ValueError(f"a padding of {padding} removes all of {left + 2 * padding} positions")
    return left


def _check(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} must be at least 1, got {count}")
