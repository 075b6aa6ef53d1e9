"""Noise of `augreg.rng.field`, for a key per image, on the device of the images.

Uniform noise is equal in every bit. Normal noise needs a logarithm, a sine and a cosine in float64, which
libraries may round differently in the last bit: about one number in 10^8 then differs in the last bit of its float32.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from augreg.backends.torch_kernels import columns
from augreg.backends.torch_kernels.columns import Number
from augreg.columns.philox import Addresses, words
from augreg.rng import FIELD, as_units, frame_key

__all__ = ["field_keys", "normal", "normal_at", "on_host", "uniform", "units"]

_ROUNDS: Final = 10
_FACTORS: Final = np.array([0xD2E7470EE14C6C93, 0xCA5A826395121157], np.uint64)
_KEY_STEPS: Final = np.array([[0x9E3779B97F4A7C15], [0xBB67AE8584CAA73B]], np.uint64)
_HALF: Final = np.uint64(32)
_LOWER: Final = 0xFFFFFFFF


def field_keys(key: Number, frame: Number = 0) -> NDArray[np.uint64]:
    """The keys of the noise of images, N of them, or one that they share."""
    if not columns.differ(key, frame):
        return np.array([frame_key(int(key), int(frame))], np.uint64)
    if not np.any(frame):
        return np.asarray(key).astype(np.uint64)
    pairs = np.broadcast_arrays(key, frame)
    return np.array([frame_key(*pair) for pair in zip(*(part.tolist() for part in pairs), strict=True)], np.uint64)


def on_host(keys: NDArray[np.uint64], count: int) -> NDArray[np.float32]:
    """The first `count` uniform numbers of each field, N x count: for fields of a few numbers."""
    parts = np.zeros((5, len(keys)), np.uint64)
    parts[0], parts[1] = keys, FIELD
    found = as_units(words(Addresses(parts), [0], 0, count)[0].T)
    return (np.floor(found * 2.0**24) * 2.0**-24).astype(np.float32)


def uniform(keys: NDArray[np.uint64], count: int, device: torch.device) -> torch.Tensor:
    """The first `count` uniform numbers of each field, in [0, 1): N x count float32."""
    return rounded(units(keys, count, device))


def rounded(found: torch.Tensor) -> torch.Tensor:
    """Units as uniform noise: 24 bits of them, so that rounding to float32 cannot give 1."""
    return ((found * 2.0**24).floor_() * 2.0**-24).to(torch.float32)


def normal(keys: NDArray[np.uint64], count: int, device: torch.device) -> torch.Tensor:
    """Each field of `count` standard normal numbers: N x count float32."""
    half = (count + 1) // 2
    first, second = units(keys, 2 * half, device).split(half, 1)
    radius, angle = _polar(first, second)
    return torch.cat(((radius * angle.cos()).to(torch.float32), (radius * angle.sin()).to(torch.float32)), 1)[
        :, :count
    ]


def normal_at(found: torch.Tensor, places: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """The numbers of normal fields at these places, N x K, where the fields have `counts` numbers, N x 1.

    `found` is the units of the fields: as many as the longest field has numbers, and one more.
    """
    half = (counts + 1) // 2
    is_cosine = places < half
    first = torch.where(is_cosine, places, places - half)
    radius, angle = _polar(found.gather(1, first), found.gather(1, first + half))
    return (radius * torch.where(is_cosine, angle.cos(), angle.sin())).to(torch.float32)


def _polar(first: torch.Tensor, second: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The radius and the angle of the Box-Muller transform."""
    return (-2.0 * torch.log1p(-first)).sqrt(), 2.0 * math.pi * second


def units(keys: NDArray[np.uint64], count: int, device: torch.device) -> torch.Tensor:
    """Floats in [0, 1) from the first `count` words of each field: N x count float64."""
    blocks = (count + 3) // 4
    whole = _philox(keys, blocks, device).flatten(1)[:, :count]
    return ((whole >> 11) & ((1 << 53) - 1)).to(torch.float64) * 2.0**-53


def _philox(keys: NDArray[np.uint64], blocks: int, device: torch.device) -> torch.Tensor:
    """The words of so many blocks, N x blocks x 4, by Philox4x64-10 of Salmon et al. 2011.

    The numbers of torch have a sign, so these have the bits of the words; products and sums wrap around.
    """
    rounds = np.arange(_ROUNDS, dtype=np.uint64)[:, None, None]
    every = np.stack([keys, np.full_like(keys, FIELD)]) + rounds * _KEY_STEPS
    own = columns.to_device(every.view(np.int64), device)[..., None]
    constants = np.stack([_FACTORS, _FACTORS >> _HALF, _FACTORS & np.uint64(_LOWER)]).view(np.int64)
    factors = columns.to_device(constants, device)[..., None, None]
    # the pairs (a, c) and (b, d) of the four words of a counter
    left = torch.zeros((2, len(keys), blocks), dtype=torch.int64, device=device)
    left[0] = torch.arange(1, blocks + 1, device=device)
    right = torch.zeros((2, 1, 1), dtype=torch.int64, device=device)
    for number in range(_ROUNDS):
        upper, lower = _product(left, factors)
        left, right = upper.flip(0).bitwise_xor_(right).bitwise_xor_(own[number]), lower.flip(0)
    return torch.stack((left[0], right[0], left[1], right[1]), 2)


def _product(x: torch.Tensor, factors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The upper and the lower 64 bits of x times the factors, by halves of 32 bits."""
    factor, factor_upper, factor_lower = factors
    lower, upper = x & _LOWER, (x >> 32).bitwise_and_(_LOWER)
    middle = (lower * factor_lower).bitwise_right_shift_(32).bitwise_and_(_LOWER).add_(upper * factor_lower)
    other = (middle & _LOWER).add_(lower.mul_(factor_upper))
    carried = middle.bitwise_right_shift_(32).bitwise_and_(_LOWER)
    carried.add_(other.bitwise_right_shift_(32).bitwise_and_(_LOWER))
    return upper.mul_(factor_upper).add_(carried), x * factor
