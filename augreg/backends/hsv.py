"""Shifts of hue, saturation and value, by NumPy in float32."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from augreg.backends import plain, planar
from augreg.ops import ShiftHsv

__all__ = ["float_hue", "shifted", "turned"]

Array = NDArray[Any]
Floats = NDArray[np.float32]

_OFFSETS: Final = (5, 3, 1)
"""Where the sixths of the hue begin for red, green and blue."""


def shifted(op: ShiftHsv, image: Array) -> Array:
    """The image after the shifts, which are computed on pixel values from 0 to 1; bytes are rounded once."""
    plain.need_color("a shift of hue, saturation and value", image.shape[2])
    return planar.computed(lambda channels, _: _shifted(op, channels), image)


def float_hue(shift: float, image: Floats) -> Floats:
    """Shift the hue of a float image, through hue, saturation and value."""
    plain.need_color("hue", image.shape[2])
    if image.shape[2] == 1:
        return image
    return planar.computed(lambda channels, _: turned(shift, channels), image)


def turned(shift: float | Floats, channels: planar.Channels) -> Iterator[Floats]:
    """Red, green and blue after a shift of the hue, or one of each pixel."""
    hue = _Hue.of(channels, shift)
    return (hue.channel(number) for number in range(3))


class _Hue(NamedTuple):
    """The largest channel of each pixel, its distance from the smallest, and the hue in sixths."""

    value: Floats
    chroma: Floats
    turned: Floats

    @classmethod
    def of(cls, channels: planar.Channels, shift: float | Floats) -> _Hue:
        """The hue of red, green and blue, shifted."""
        red, green, blue = channels
        value = np.maximum(np.maximum(red, green), blue)
        chroma = value - np.minimum(np.minimum(red, green), blue)
        is_red, is_green = value == red, value == green
        turned = np.where(is_red, green - blue, np.where(is_green, blue - red, red - green))
        turned /= np.where(chroma > 0, chroma, np.float32(1))
        turned += np.where(is_red, np.float32(0), np.where(is_green, np.float32(2), np.float32(4)))
        turned /= np.float32(6)
        turned += np.float32(shift)
        turned -= np.floor(turned)
        turned *= np.float32(6)
        return cls(value, chroma, turned)

    def channel(self, number: int) -> Floats:
        """Red, green or blue of this hue."""
        place = self.turned + np.float32(_OFFSETS[number])
        place -= np.float32(6) * (place >= 6)
        np.minimum(place, np.float32(4) - place, out=place)
        np.minimum(np.maximum(place, np.float32(0), out=place), np.float32(1), out=place)
        place *= self.chroma
        found: Floats = np.subtract(self.value, place, out=place)
        return found


def _shifted(op: ShiftHsv, channels: planar.Channels) -> Iterator[Floats]:
    """The channels after the shifts, one after the other."""
    if len(channels) == 1:
        yield np.clip(channels[0] + np.float32(op.value), 0, 1)
        return
    if op.hue:
        channels = list(turned(op.hue, channels))
    red, green, blue = (np.maximum(channel, np.float32(0)) for channel in channels)
    value = np.maximum(np.maximum(red, green), blue)
    chroma = value - np.minimum(np.minimum(red, green), blue)
    colored = chroma > 0
    safe = np.where(colored, chroma, np.float32(1))
    saturation = chroma / np.where(colored, value, np.float32(1))
    saturation += np.float32(op.saturation)
    saturation = np.clip(saturation, 0, 1) * colored
    most = np.clip(value + np.float32(op.value), 0, 1)
    for channel in (red, green, blue):
        # how far below the value each channel lies, in parts of the chroma, says the hue, which stays
        below = value - channel
        below /= safe
        below *= saturation
        np.subtract(np.float32(1), below, out=below)
        below *= most
        yield below
