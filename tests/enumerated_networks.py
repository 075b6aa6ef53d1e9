"""Networks with dropout so small that all masks can be written out, in float64 with numpy: the truth for tests."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Array = NDArray[np.float64]

UNITS = 8
MASKS: Array = 2.0 * np.array(list(itertools.product((0.0, 1.0), repeat=UNITS)))
"""All masks of 8 units for inverted dropout at rate 1/2: 256 x 8 of 0 and 2, equally likely."""


@dataclass(frozen=True)
class Networks:
    """Networks 8-8-5 with ReLU, dropout 1/2 on the input and the hidden layer, and an input for each."""

    first: Array
    second: Array
    inputs: Array

    @classmethod
    def random(cls, count: int, seed: int) -> Networks:
        """Normal weights of variance 2 / 8 (He et al. 2015) and standard normal inputs."""
        rng = np.random.default_rng(seed)
        first, second = rng.normal(size=(count, UNITS, UNITS)), rng.normal(size=(count, 5, UNITS))
        return cls(first / 2, second / 2, rng.normal(size=(count, UNITS)))

    def hidden(self) -> Array:
        """The hidden units behind every mask of the input: networks x 256 x 8."""
        return np.maximum(MASKS[None] * self.inputs[:, None] @ self.first.transpose(0, 2, 1), 0.0)

    def logits(self) -> Array:
        """The exact mean logits; they are linear in the mask of the hidden layer, whose mean is 1."""
        return np.einsum("noj,nj->no", self.second, self.hidden().mean(1))

    def logit_deviations(self) -> Array:
        """The exact standard deviations of the logits over all masks of both layers."""
        hidden = self.hidden()
        second_moments = np.einsum("nmi,nmj->nij", hidden, hidden) / len(MASKS)
        diagonal = np.arange(UNITS)
        second_moments[:, diagonal, diagonal] *= 2.0  # E[mask^2] = 2
        squares = np.einsum("noi,nij,noj->no", self.second, second_moments, self.second)
        return np.sqrt(squares - self.logits() ** 2)

    def probabilities(self) -> Array:
        """The exact mean class probabilities, over 65,536 pairs of masks for each network."""
        found = []
        for hidden, second in zip(self.hidden(), self.second, strict=True):
            logits = np.einsum("ah,bh,oh->abo", hidden, MASKS, second)
            powers = np.exp(logits - logits.max(-1, keepdims=True))
            found.append((powers / powers.sum(-1, keepdims=True)).mean((0, 1)))
        return np.array(found)

    def model(self) -> NetworkBatch:
        """A module whose row i is the network with the number that the row says."""
        return NetworkBatch(self)

    def arguments(self) -> tuple[Tensor, Tensor]:
        """The inputs of the module, one row for each network."""
        return torch.from_numpy(self.inputs), torch.arange(len(self.inputs))


class NetworkBatch(nn.Module):
    """All networks as one module of (inputs, numbers of the networks)."""

    def __init__(self, networks: Networks) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.from_numpy(networks.first))
        self.second = nn.Parameter(torch.from_numpy(networks.second))
        self.on_input = nn.Dropout(0.5)
        self.on_hidden = nn.Dropout(0.5)

    def forward(self, inputs: Tensor, numbers: Tensor) -> Tensor:
        hidden = torch.einsum("nij,nj->ni", self.first[numbers], self.on_input(inputs)).relu()
        return torch.einsum("noj,nj->no", self.second[numbers], self.on_hidden(hidden))
