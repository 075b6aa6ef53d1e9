"""One pass of moments beside the exact expectation: 20 networks whose masks are all enumerated."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

from augreg.expectation.moments import propagate
from augreg.expectation.noise.find_noise import find_noise

MASKS = ((np.arange(256)[:, None] >> np.arange(8)) & 1) * 2.0


class Network(NamedTuple):
    """An 8-8-5 network with a ReLU and dropout 0.5 on its input and its hidden layer, and one input."""

    first: np.ndarray
    first_bias: np.ndarray
    second: np.ndarray
    second_bias: np.ndarray
    x: np.ndarray

    @classmethod
    def of(cls, seed: int) -> Network:
        """Normal weights of deviation 0.48 and biases of 0.1: weight scaling is off by about 0.25 and 0.14."""
        draw = np.random.default_rng(seed).standard_normal
        first, second = 0.48 * draw((8, 8)), 0.48 * draw((5, 8))
        return cls(first, 0.1 * draw(8), second, 0.1 * draw(5), draw(8))

    def exact(self) -> tuple[np.ndarray, np.ndarray]:
        """The mean logits and the mean probabilities over all 2^16 masks."""
        hidden = np.maximum((MASKS * self.x) @ self.first.T + self.first_bias, 0)
        logits = (hidden[:, None] * MASKS).reshape(-1, 8) @ self.second.T + self.second_bias
        return logits.mean(0), softmax(logits).mean(0)

    def model(self) -> nn.Module:
        model = nn.Sequential(nn.Dropout(0.5), nn.Linear(8, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 5)).double()
        weights = (self.first, self.first_bias, self.second, self.second_bias)
        for parameter, value in zip(model.parameters(), weights, strict=True):
            parameter.data = torch.tensor(value)
        return model.eval()


def softmax(logits: np.ndarray) -> np.ndarray:
    exponents = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(exponents / exponents.sum(-1, keepdims=True))


@pytest.mark.parametrize("seeds", [range(20), range(77000, 77020)], ids=["seen while choosing", "fresh"])
def test_errors_of_weight_scaling_variances_cumulants_and_covariances(seeds: range) -> None:
    errors = {name: np.zeros(2) for name in ("scaling", "variances", "cumulants", "covariances")}
    noise = find_noise(Network.of(0).model(), torch.zeros(1, 8, dtype=torch.float64))
    for seed in seeds:
        network = Network.of(seed)
        mean, probabilities = network.exact()
        model, x = network.model(), torch.tensor(network.x)[None]
        with torch.no_grad():
            scaling = model(x)[0].numpy()
        errors["scaling"] += np.abs(scaling - mean).mean(), np.abs(softmax(scaling) - probabilities).sum() / 2
        for name, covariance, cumulants in (
            ("variances", False, False),
            ("cumulants", False, True),
            ("covariances", True, True),
        ):
            found = propagate(model, x, covariance=covariance, fourth_cumulant=cumulants, noise=noise)
            classes = probabilities if name == "cumulants" else found.probabilities(256).mean[0].numpy()
            off = np.abs(classes - probabilities).sum() / 2
            errors[name] += np.abs(found.mean[0].numpy() - mean).mean(), off
    logit = {name: float(value[0]) / len(seeds) for name, value in errors.items()}
    variation = {name: float(value[1]) / len(seeds) for name, value in errors.items()}
    assert logit["scaling"] > 0.2 and variation["scaling"] > 0.1  # the networks are hard enough
    assert logit["variances"] <= 0.030
    assert logit["cumulants"] <= 0.020
    assert variation["variances"] <= 0.068
    assert variation["covariances"] <= 0.068 * 2 / 3
