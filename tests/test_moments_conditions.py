"""Numbers that scale whole images are held at their values: against the enumeration of these, written out here."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import augreg.nn as layers
from augreg.expectation.moments import Moments, propagate
from augreg.expectation.moments.conditions import Condition, combined, two_values

KEEP = (0.9, 0.6, 0.75)


class Blocks(nn.Module):
    """Residual blocks with layer norm, whose branches are dropped as a whole; parallel ones start at the input."""

    def __init__(self, count: int, parallel: bool = False) -> None:
        super().__init__()
        self.parallel = parallel
        self.branches = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 4), nn.GELU()) for _ in range(count)
        )
        self.paths = nn.ModuleList(layers.StochasticDepth(keep) for keep in KEEP[:count])

    def forward(self, x: Tensor, factors: tuple[float, ...] | None = None) -> Tensor:
        result = x
        for number, (branch, path) in enumerate(zip(self.branches, self.paths, strict=True)):
            added = branch(x if self.parallel else result)
            result = result + (path(added) if factors is None else factors[number] * added)
        return result


def enumerated(model: Blocks, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, covariance and mean probabilities over all values of the factors."""
    chances, outputs = [], []
    for kept in itertools.product((0, 1), repeat=len(model.paths)):
        chances.append(math.prod(keep if one else 1 - keep for keep, one in zip(KEEP, kept, strict=False)))
        factors = tuple(one / keep for keep, one in zip(KEEP, kept, strict=False))
        with torch.no_grad():
            outputs.append(model(x, factors))
    weights, stacked = torch.tensor(chances, dtype=torch.float64), torch.stack(outputs)
    mean = torch.einsum("k,kbn->bn", weights, stacked)
    around = stacked - mean
    covariance = torch.einsum("k,kbn,kbm->bnm", weights, around, around)
    return mean, covariance, torch.einsum("k,kbn->bn", weights, stacked.softmax(2))


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def check(found: Moments, mean: Tensor, covariance: Tensor) -> None:
    torch.testing.assert_close(found.mean, mean)
    torch.testing.assert_close(found.covariance, covariance)
    torch.testing.assert_close(found.variance, covariance.diagonal(dim1=1, dim2=2))


def test_all_values_of_few_numbers_are_exact_also_behind_a_layer_norm() -> None:
    model, x = Blocks(3).double(), torch.randn(2, 4).double()
    mean, covariance, probabilities = enumerated(model, x)
    found = propagate(model, x)
    check(found, mean, covariance)
    torch.testing.assert_close(found.probabilities().mean, probabilities)
    assert not found.probabilities().error.any()
    assert "8 forward passes: all values of 3 numbers" in found.report.steps[0].how
    assert propagate(model, x, covariance=False).covariance is None
    coarse = propagate(model.bfloat16(), x.bfloat16())
    assert coarse.mean.dtype == torch.float32
    torch.testing.assert_close(coarse.mean.double(), mean, atol=0.05, rtol=0)


def test_one_number_at_a_time_is_exact_for_parallel_branches_and_near_for_others() -> None:
    model, x = Blocks(3, parallel=True).double(), torch.randn(2, 4).double()
    check(propagate(model, x, conditions=7), *enumerated(model, x)[:2])
    model.parallel = False
    mean, covariance, probabilities = enumerated(model, x)
    with torch.no_grad():
        scaling = model.eval()(x)
    found = propagate(model, x, conditions=7)
    assert "7 forward passes: 3 numbers that scale whole images, one at a time" in str(found.report)
    assert (found.mean - mean).abs().mean() < 0.3 * (scaling - mean).abs().mean()
    torch.testing.assert_close(found.variance, covariance.diagonal(dim1=1, dim2=2), rtol=0.3, atol=0.01)
    error = (found.probabilities().mean - probabilities).abs().sum(1)
    assert (error < 0.3 * (scaling.softmax(1) - probabilities).abs().sum(1)).all()
    torch.testing.assert_close(found.probabilities().mean.sum(1), torch.ones(2).double())


def test_with_too_few_passes_the_numbers_that_vary_least_stay_at_their_mean() -> None:
    model, x = Blocks(3, parallel=True).double(), torch.randn(2, 4).double()
    found = propagate(model, x, conditions=5)
    with torch.no_grad():
        second, third = (model.branches[k](x) for k in (1, 2))  # kept with 0.6 and 0.75, not with 0.9
    expected = second.square() * (0.4 / 0.6) + third.square() * (0.25 / 0.75)
    torch.testing.assert_close(found.variance, expected)
    assert "1 stay at their mean, as in weight scaling: conditions=7" in str(found.report)


def test_without_conditions_the_number_is_multiplied_by_its_moments() -> None:
    model, x = Blocks(1).double(), torch.randn(2, 4).double()
    single = propagate(model, x, conditions=0)
    check(single, *enumerated(model, x)[:2])  # exact here: nothing follows
    assert not single.conditions and "forward passes" not in str(single.report)


def test_other_noise_is_propagated_under_each_condition() -> None:
    """(1 + 2 b) W (m x): b from stochastic depth, m from dropout."""

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dropout, self.linear = nn.Dropout(0.5), nn.Linear(3, 2, bias=False)
            self.path = layers.StochasticDepth(0.8, scaling="original")

        def forward(self, x: Tensor) -> Tensor:
            x = self.linear(self.dropout(x))
            return x + self.path(2.0 * x)

    model, x = Both().double(), torch.randn(2, 3).double()
    found = propagate(model, x)
    outcomes = []
    for kept, *mask in itertools.product((0, 1), repeat=4):
        chance = (0.8 if kept else 0.2) / 8
        outcomes.append((chance, (1 + 2 * kept) * functional.linear(2 * x * torch.tensor(mask), model.linear.weight)))
    mean = sum(chance * value for chance, value in outcomes).detach()
    covariance = sum(
        chance * (value - mean).unsqueeze(1) * (value - mean).unsqueeze(2) for chance, value in outcomes
    ).detach()
    check(found, mean, covariance)
    assert [each.weight for each in found.conditions] == pytest.approx([0.2, 0.8])
    assert found.probabilities().error.max() > 0


def test_a_number_drawn_in_a_forward_is_one_number_wherever_it_is_used() -> None:
    class Functional(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            if not self.training:
                return x
            kept = x.new_empty(len(x), 1).bernoulli_(0.8).div_(0.8)
            return functional.relu(x * kept) - functional.relu(-x * kept)

    x = torch.tensor([[1.0, -2.0]])
    found = propagate(Functional(), x)
    check(found, x, 0.25 * x.unsqueeze(1) * x.unsqueeze(2))


def test_two_values_have_the_moments_that_are_given() -> None:
    kept = two_values(1.0, 0.25, 0.25**1.5 * (0.2 - 0.8) / math.sqrt(0.16))  # 1.25 with probability 0.8, else 0
    assert kept.values == pytest.approx((0.0, 1.25)) and kept.chances == pytest.approx((0.2, 0.8))
    other = two_values(0.3, 2.0, -1.5)
    around = [value - 0.3 for value in other.values]
    for power, moment in enumerate((1.0, 0.0, 2.0, -1.5)):
        assert sum(c * a**power for c, a in zip(other.chances, around, strict=True)) == pytest.approx(moment)
    assert (other.mean, other.variance) == pytest.approx((0.3, 2.0))


def test_shake_drop_of_images_is_held_at_two_values() -> None:
    """A factor of 1 with probability 0.5, else uniform in (0, 1): mean 0.75, mean square 2/3."""
    layer, x = layers.ShakeDrop(0.5, alpha=(0.0, 1.0), per="sample"), torch.tensor([[[1.0], [-2.0]]])
    found = propagate(layer, x)
    spread = 2 / 3 - 0.75**2
    torch.testing.assert_close(found.mean, 0.75 * x)
    torch.testing.assert_close(found.covariance, spread * x.flatten(1).unsqueeze(1) * x.flatten(1).unsqueeze(2))
    assert len(found.conditions) == 2


@pytest.mark.parametrize("layer", [layers.StochasticDepth(1.0), layers.ShakeDrop(0.0, alpha=(1.0, 1.0))])
def test_numbers_that_are_certain_are_not_conditioned_on(layer: nn.Module) -> None:
    class Certain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.noise = layer, nn.Dropout(0.5)

        def forward(self, x: Tensor) -> Tensor:
            kept = x.new_empty(len(x), 1).bernoulli_(1.0) if self.training else 1.0
            return self.noise(self.layer(kept * x))

    found = propagate(Certain(), torch.tensor([[1.0, -2.0]]))
    assert not found.conditions and found.variance.tolist() == [[1.0, 4.0]]


def test_an_image_that_is_always_dropped_is_zero() -> None:
    class Dropped(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return functional.dropout(x, 0.5, self.training) + functional.dropout2d(x, 1.0, self.training)

    found = propagate(Dropped(), torch.ones(1, 1, 2, 1))
    assert not found.conditions and found.mean.flatten().tolist() == [1.0, 1.0]


def test_signed_weights_give_no_negative_variances_or_probabilities() -> None:
    center = Condition(-1.0, torch.tensor([[8.0, 0.0]]), torch.tensor([[3.0, 1.0]]), None)
    outer = Condition(2.0, torch.tensor([[-3.0, 0.0]]), torch.ones(1, 2), None)
    found = combined([], [center, outer], True)
    assert found.variance.tolist() == [[0.0, 1.0]] and found.covariance is not None
    assert found.covariance.tolist() == [[[0.0, 0.0], [0.0, 1.0]]]
    report = propagate(nn.Identity(), torch.ones(1, 2)).report
    signed = Moments(found.mean, found.variance, found.covariance, report, (center, outer)).probabilities()
    single = Moments(outer.mean, outer.variance, None, report).probabilities()
    other = Moments(center.mean, center.variance, None, report).probabilities()
    assert signed.mean.min() >= 0 and signed.mean.sum() == pytest.approx(1.0)
    torch.testing.assert_close(signed.error, 2 * single.error + other.error)


def test_the_report_names_where_shared_noise_counts_as_independent() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.drop, self.other = nn.Dropout2d(0.5), nn.Dropout(0.5)
            self.first, self.second = nn.Conv2d(2, 2, 2), nn.Conv2d(2, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            x = self.first(self.drop(x)) + self.second(self.other(x[..., 1:, 1:]))
            return x + functional.avg_pool2d(x, 1)

    model, x = Shared(), torch.randn(1, 2, 3, 3)
    report = propagate(model, x, covariance=False).report
    wrong = {(step.name, step.function): step.how for step in report.assumed_independent}
    assert set(wrong) == {("first", "conv2d"), ("", "avg_pool2d"), ("", "add")}
    assert "noise was drawn once for several" in wrong["first", "conv2d"]
    assert "depend on the noise of drop, other" in wrong["", "add"]
    assert "both inputs are independent" in str(report)
    assert "although noise is shared, at first, (the model): the variance is off" in str(report)
    assert not propagate(model, x).report.assumed_independent
    pooled = propagate(nn.Sequential(nn.Dropout2d(0.5), nn.AvgPool2d(2)), x, covariance=False).report
    assert not pooled.assumed_independent and "fully correlated" in str(pooled)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: torch.cat([x[:, :1], x[:, 1:]], 1),
        lambda x: torch.cat([x, x])[len(x) :],
        lambda x: x.reshape(1, -1).reshape(x.shape),
        lambda x: x.cumsum(1),
    ],
)
def test_noise_is_followed_through_functions(function: Callable[[Tensor], Tensor]) -> None:
    class Followed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.source = layers.DropConnectLinear(3, 3, p=0.5)

        def forward(self, x: Tensor) -> Tensor:
            x = self.source(x)
            return x + function(x)

    report = propagate(Followed(), torch.ones(2, 3), covariance=False, monte_carlo="*:cumsum", samples=4).report
    assert "although both depend on the noise of source" in report.steps[-1].how


def test_the_report_says_how_much_the_mean_square_of_a_norm_varies() -> None:
    x = torch.randn(1, 64)
    independent = propagate(nn.Sequential(nn.Dropout(0.5), nn.LayerNorm(64)), x).report.steps[-1]
    draws = 2 * torch.bernoulli(torch.full((4000, 64), 0.5)) * x
    squares = (draws - draws.mean(1, keepdim=True)).square().mean(1)
    ratio = float(independent.how.partition("up to ")[2].partition("%")[0]) / 100
    assert ratio == pytest.approx((squares.std() / squares.mean()).item(), rel=0.35)  # of normal units
    assert not independent.assumes_independence
    shared = propagate(nn.Sequential(nn.Dropout1d(0.5), nn.LayerNorm([8, 8])), x.reshape(1, 8, 8)).report.steps[-1]
    assert "at least" in shared.how and shared.assumes_independence
