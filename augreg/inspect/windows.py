"""The windows of operations that move along an axis: convolution, pooling, upsampling, padding and cropping."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from math import ceil, floor

from augreg.inspect.axis_fields import Window

__all__ = ["adaptive", "convolution", "pixel_shuffle", "pixel_unshuffle", "shifted", "transposed", "upsampled"]


def convolution(kernel: int, stride: int, padding: int, dilation: int) -> Window:
    """Convolution and pooling: output j sees j stride - padding + dilation k."""

    reach = dilation * (kernel - 1) + 1
    return Window(lambda j: range(j * stride - padding, j * stride - padding + reach, dilation), 1, stride)


def transposed(kernel: int, stride: int, padding: int, dilation: int) -> Window:
    """Transposed convolution: output j sees the i for which j = i stride - padding + dilation k."""

    def taps(j: int) -> Iterable[int]:
        reached = (j + padding - dilation * k for k in range(kernel))
        return [at // stride for at in reached if at % stride == 0]

    return Window(taps, stride, 1)


def adaptive(inputs: int, outputs: int) -> Window:
    """Adaptive pooling: output j sees floor(j inputs / outputs) to ceil((j + 1) inputs / outputs) - 1."""
    ratio = Fraction(inputs, outputs)
    return Window(lambda j: range(floor(j * ratio), ceil((j + 1) * ratio)), ratio.denominator, ratio.numerator)


def upsampled(inputs: int, outputs: int, kind: str, align_corners: bool) -> Window:
    """Interpolation of a kind: `nearest`, `nearest-exact`, `linear` or `cubic`."""
    ratio = Fraction(inputs, outputs)
    if align_corners:
        ratio = Fraction(inputs - 1, outputs - 1) if outputs > 1 else Fraction(0)
    shift = Fraction(0) if align_corners or kind == "nearest" else (ratio - 1) / 2

    def taps(j: int) -> Iterable[int]:
        at = j * ratio + shift
        if kind == "nearest":
            return (floor(at),)
        if kind == "nearest-exact":
            return (floor(at + Fraction(1, 2)),)
        if at.denominator == 1:
            return (int(at),)
        reach = 1 if kind == "cubic" else 0
        return (floor(at) - reach, floor(at) + 1 + reach)

    return Window(taps, ratio.denominator, ratio.numerator)


def shifted(first: int, step: int = 1) -> Window:
    """Cropping, padding and slicing: output j sees first + j step."""
    return Window(lambda j: (first + j * step,), 1, step)


def pixel_shuffle(factor: int) -> Window:
    """Pixel shuffle: `factor` consecutive outputs see the same input."""
    return Window(lambda j: (j // factor,), factor, 1)


def pixel_unshuffle(factor: int) -> Window:
    """Pixel unshuffle: each output sees `factor` consecutive inputs."""
    return convolution(factor, factor, 0, 1)
