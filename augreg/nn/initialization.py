"""Starting weights by rule: a thin layer over torch.nn.init."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from augreg.regularizers.initialization import Initialization

LAYERS: tuple[type[nn.Module], ...] = (
    nn.Linear,
    *(nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
)
"""The layers that can be initialized; Lazy layers only after their first run."""


def scale(rule: Initialization, module: nn.Module) -> float:
    """The standard deviation of a module's weights, or the gain of an orthogonal matrix."""
    fan_in, fan_out = nn.init._calculate_fan_in_and_fan_out(module.weight)
    gain = rule.gain or nn.init.calculate_gain(rule.activation or ("relu" if rule.rule == "kaiming" else "linear"))
    spread: dict[str, float] = {
        "kaiming": gain / math.sqrt(fan_in if rule.fan == "in" else fan_out),
        "xavier": gain * math.sqrt(2 / (fan_in + fan_out)),
        "lecun": 1 / math.sqrt(fan_in),
        "orthogonal": gain,
        "normal": rule.std or 0.0,
    }
    return spread[rule.rule]


def initialize(module: nn.Module, rule: Initialization, name: str) -> None:
    """Write weights into a module, in place, and zeros into its bias. `name` keys the draw if the rule has a seed."""
    weight, size = module.weight, scale(rule, module)
    with torch.no_grad():
        if rule.seed is None:
            _draw(weight, rule, size, None)
        else:  # drawn on the CPU in float32, whatever the device and dtype of the weight
            drawn = torch.empty(weight.shape)
            _draw(drawn, rule, size, torch.Generator().manual_seed(_word(rule.seed, name)))
            weight.copy_(drawn)
        if module.bias is not None:
            module.bias.zero_()


def _draw(weight: torch.Tensor, rule: Initialization, size: float, generator: torch.Generator | None) -> None:
    if rule.rule == "orthogonal":
        nn.init.orthogonal_(weight, size, generator=generator)
    elif rule.distribution == "uniform":
        bound = math.sqrt(3) * size  # a uniform distribution over [-b, b] has standard deviation b / sqrt(3)
        nn.init.uniform_(weight, -bound, bound, generator=generator)
    else:
        nn.init.normal_(weight, 0.0, size, generator=generator)


def _word(seed: int, name: str) -> int:
    """63 bits of a seed and a name."""
    digest = hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1
