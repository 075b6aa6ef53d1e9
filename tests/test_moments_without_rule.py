"""Functions without a rule are named all at once, or sampled where the caller chooses it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from augreg.expectation.moments import propagate


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(3)


def rows(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


class Odd(nn.Module):
    """Has functions without rules."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout, self.inner = nn.Dropout(0.5), nn.Sequential(nn.Softmax(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(self.dropout(x)).cumsum(1)


def test_functions_without_a_rule_are_listed_all_at_once() -> None:
    with pytest.raises(NotImplementedError) as error:
        propagate(Odd(), torch.randn(2, 3))
    assert "  inner.0: softmax\n  (the model): cumsum\n" in str(error.value)
    assert 'monte_carlo="inner.0:softmax"' in str(error.value)


@pytest.mark.parametrize("chosen", [["inner", ":cumsum"], "*:*", ["inner.*", "*:cumsum"]])
def test_monte_carlo_is_chosen_for_modules_and_functions(chosen: str | list[str]) -> None:
    model, x = Odd().double(), rows(2, 3)
    found = propagate(model, x, monte_carlo=chosen, samples=100, covariance=True)
    assert "Monte Carlo, 100 samples" in str(found.report)
    # the input of the softmax counts as normal: a normal vector with the moments of dropout
    draws = (x + x.abs() * rows(10_000, 2, 3)).softmax(2).cumsum(2)
    torch.testing.assert_close(found.mean, draws.mean(0), atol=0.1, rtol=0)
    torch.testing.assert_close(found.variance, draws.var(0), atol=0.05, rtol=0)
    once, again, other = (propagate(model, x, monte_carlo=chosen, seed=k, samples=5).mean for k in (0, 0, 1))
    assert torch.equal(once, again) and not torch.equal(once, other)


def test_random_numbers_in_a_forward_have_moments_or_are_named() -> None:
    class Noisy(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            if not self.training:
                return x
            kept = torch.empty(len(x), 1).bernoulli_(0.8).div_(0.8)
            return x * kept + 0.1 * torch.randn_like(x)

    class Poisson(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + torch.poisson(x.abs()) if self.training else x

    x = torch.tensor([[1.0, -2.0]])
    found = propagate(Noisy(), x)
    torch.testing.assert_close(found.mean, x)
    torch.testing.assert_close(found.covariance[0], 0.25 * x.T @ x + 0.01 * torch.eye(2))
    with pytest.raises(NotImplementedError, match="poisson"):
        propagate(Poisson(), x)
