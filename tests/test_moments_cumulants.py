"""Where the third and fourth cumulants of sums are carried."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

import augreg.nn as layers
from augreg.expectation.moments import propagate


def test_cumulants_are_those_of_before_an_activation_in_place() -> None:
    torch.manual_seed(0)
    ways = [nn.Dropout(0.5), nn.Linear(5, 5), nn.ReLU(), nn.Dropout(0.5), nn.Linear(5, 4), nn.ReLU()]
    model, x = nn.Sequential(*ways).double(), torch.randn(2, 5).double()
    found = propagate(model, x, covariance=False)
    assert not torch.equal(found.mean, propagate(model, x, covariance=False, fourth_cumulant=False).mean)
    model[2].inplace = model[5].inplace = True
    torch.testing.assert_close(propagate(model, x, covariance=False).mean, found.mean, atol=0, rtol=0)


@pytest.mark.parametrize(("terms", "corrected"), [(128, True), (129, False)])
@pytest.mark.parametrize("kind", [nn.Linear, layers.DropConnectLinear, nn.Conv1d, nn.ConvTranspose1d])
def test_sums_of_many_terms_count_as_normal(kind: Callable[..., nn.Module], terms: int, corrected: bool) -> None:
    layer = kind(terms, 2) if "Linear" in kind.__name__ else kind(terms, 2, 1)
    x = torch.ones(1, terms) if "Linear" in kind.__name__ else torch.ones(1, terms, 1)
    for covariance in (True, False):
        report = propagate(nn.Sequential(nn.Dropout(0.1), layer, nn.ReLU()), x, covariance=covariance).report
        assert ("corrected for its third and fourth" in str(report)) is corrected


def test_cumulants_of_a_sum_of_independent_tensors_add_up() -> None:
    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Dropout(0.2), nn.Dropout(0.2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(self.first(x[:, :1]) + self.second(x[:, 1:]))

    whole = nn.Sequential(nn.Dropout(0.2), nn.Linear(2, 1, bias=False), nn.ReLU())
    nn.init.ones_(whole[1].weight)
    x = torch.tensor([[1.0, -0.8]])
    torch.testing.assert_close(propagate(Sum(), x, covariance=False).mean, propagate(whole, x, covariance=False).mean)
