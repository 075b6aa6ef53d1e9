"""Initial weights: a thin layer over torch.nn.init."""

from __future__ import annotations

import hashlib
import math
from typing import Literal

import torch
from torch import Tensor, nn

from augreg.loss.sharding import is_split, write

LAYERS: tuple[type[nn.Module], ...] = (
    nn.Linear,
    *(nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
)
"""The layers that can be initialized; lazy layers only after their first forward pass."""


def weight_scale(
    weight: Tensor,
    rule: Literal["kaiming", "xavier", "lecun", "orthogonal", "normal"],
    fan: Literal["in", "out"] = "in",
    gain: float | None = None,
    activation: str | None = None,
    std: float | None = None,
) -> float:
    """The standard deviation of a weight by a rule, or the gain of an orthogonal matrix.

    `gain` overrides that of the `activation`, which is relu for kaiming and linear otherwise. `std` is for `normal`.
    """
    fan_in, fan_out = nn.init._calculate_fan_in_and_fan_out(weight)
    gain = gain or nn.init.calculate_gain(activation or ("relu" if rule == "kaiming" else "linear"))
    scales: dict[str, float] = {
        "kaiming": gain / math.sqrt(fan_in if fan == "in" else fan_out),
        "xavier": gain * math.sqrt(2 / (fan_in + fan_out)),
        "lecun": 1 / math.sqrt(fan_in),
        "orthogonal": gain,
        "normal": std or 0.0,
    }
    return scales[rule]


def initialize(
    module: nn.Module, distribution: Literal["normal", "uniform", "orthogonal"], scale: float, seed: int | None
) -> None:
    """Write weights into a module, in place, and zeros into its bias.

    `scale` is the standard deviation, or the gain if `distribution` is orthogonal. With a seed, the weights are drawn
    on the CPU in float32, so they do not depend on the device and dtype; without, from torch's generator.
    """
    with torch.no_grad():
        if seed is None and not is_split(module.weight):
            _draw(module.weight, distribution, scale, None)
        else:
            weight = torch.empty(module.weight.shape)
            _draw(weight, distribution, scale, None if seed is None else torch.Generator().manual_seed(seed))
            write(module.weight, weight)
        if module.bias is not None:
            module.bias.zero_()


def _draw(weight: Tensor, distribution: str, scale: float, generator: torch.Generator | None) -> None:
    if distribution == "orthogonal":
        nn.init.orthogonal_(weight, scale, generator=generator)
    elif distribution == "uniform":
        bound = math.sqrt(3) * scale  # a uniform distribution over [-b, b] has the standard deviation b / sqrt(3)
        nn.init.uniform_(weight, -bound, bound, generator=generator)
    else:
        nn.init.normal_(weight, 0.0, scale, generator=generator)


def seed_for(seed: int, name: str) -> int:
    """The seed for the module of this name: 63 bits of a hash of both."""
    digest = hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1
