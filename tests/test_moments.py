"""`propagate`: moments of whole models against the enumeration of all their masks, and what it keeps and refuses."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import augreg
import augreg.nn as layers
from augreg.expectation.moments import propagate

Outcomes = Sequence[tuple[float, Tensor]]


def moments_of(outcomes: Outcomes) -> tuple[Tensor, Tensor]:
    """Mean and covariance, batch x n x n, of outputs with their probabilities."""
    chances = torch.tensor([chance for chance, _ in outcomes], dtype=torch.float64)
    values = torch.stack([value for _, value in outcomes]).flatten(2)
    mean = torch.einsum("k,kbn->bn", chances, values)
    around = values - mean
    return mean.reshape(outcomes[0][1].shape), torch.einsum("k,kbn,kbm->bnm", chances, around, around)


def masks(count: int, keep: float) -> list[tuple[float, Tensor]]:
    """All masks of so many units, as factors of inverted dropout, with their probabilities."""
    found = []
    for mask in itertools.product((0.0, 1.0), repeat=count):
        kept = sum(mask)
        found.append((keep**kept * (1 - keep) ** (count - kept), torch.tensor(mask, dtype=torch.float64) / keep))
    return found


def check(found, outcomes: Outcomes, near: float = 1e-10) -> None:
    mean, covariance = moments_of(outcomes)
    torch.testing.assert_close(found.mean, mean, atol=near, rtol=0)
    torch.testing.assert_close(found.covariance, covariance, atol=near, rtol=0)
    torch.testing.assert_close(found.variance.flatten(1), covariance.diagonal(dim1=1, dim2=2), atol=near, rtol=0)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(3)


def rows(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


@pytest.mark.parametrize("covariance", [True, "auto"])
def test_linear_maps_of_dropped_units_are_exact(covariance: bool | str) -> None:
    model = nn.Sequential(
        nn.Dropout(0.3),
        nn.Unflatten(1, (2, 2, 2)),
        nn.Conv2d(2, 4, 2, padding=1, groups=2),
        nn.BatchNorm2d(4),
        nn.AvgPool2d(2, stride=1, padding=1, ceil_mode=True),
        nn.AdaptiveAvgPool2d((3, 2)),
        nn.Flatten(),
        nn.Linear(24, 3),
    ).double()
    model[3].running_mean = rows(4)
    model[3].running_var = rows(4).square() + 0.5
    x = rows(2, 8)
    with torch.no_grad():
        outcomes = [(chance, model[1:].eval()(x * mask)) for chance, mask in masks(8, 0.7)]
    check(propagate(model, x, covariance=covariance), outcomes)


def test_variances_of_sums_of_independent_units_need_no_covariance() -> None:
    for rest in (
        nn.Conv1d(2, 3, 2, stride=2, padding=1),
        nn.ConvTranspose1d(2, 3, 2, stride=2),
        nn.AvgPool1d(3, stride=2, padding=1, ceil_mode=True, count_include_pad=False),
        nn.AdaptiveAvgPool1d(3),
        nn.Linear(4, 5),
        nn.ConstantPad1d((1, 2), 0.5),
        nn.CircularPad1d(1),
    ):
        rest.double()
        x = rows(2, 2, 4)
        with torch.no_grad():
            outcomes = [(chance, rest(x * mask.reshape(2, 4))) for chance, mask in masks(8, 0.6)]
        mean, covariance = moments_of(outcomes)
        found = propagate(nn.Sequential(nn.Dropout(0.4), rest), x, covariance=False)
        torch.testing.assert_close(found.mean, mean)
        torch.testing.assert_close(found.variance.flatten(1), covariance.diagonal(dim1=1, dim2=2))
        assert found.covariance is None


@pytest.mark.parametrize(
    ("dropout", "shared"),
    [(nn.Dropout2d(0.3), (1, 2, 1, 1)), (layers.SpatialDropout(0.3), (1, 2, 1, 1)), (nn.Dropout(0.3), (1, 2, 2, 1))],
)
def test_units_that_share_a_mask_covary(dropout: nn.Module, shared: tuple[int, ...]) -> None:
    """Twice in a row, so that the second one takes a random input."""
    x = rows(2, 2, 2, 1)
    outcomes = [
        (first * second, x * one.reshape(shared) * two.reshape(shared))
        for first, one in masks(math.prod(shared), 0.7)
        for second, two in masks(math.prod(shared), 0.7)
    ]
    check(propagate(nn.Sequential(dropout, dropout), x, covariance=True), outcomes)


class Residual(nn.Module):
    """x + drop(f(x)) twice, with a linear f: what one branch adds takes part in the next one."""

    def __init__(self, path: nn.Module) -> None:
        super().__init__()
        self.path = path
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.path(self.first(x))
        return x + self.path(self.second(x))


@pytest.mark.parametrize("mode", ["row", "batch"])
@pytest.mark.parametrize("scaling", ["inverted", "original"])
def test_stochastic_depth_in_linear_residual_blocks_is_exact(mode: str, scaling: str) -> None:
    keep, scale = 0.8, 1.25 if scaling == "inverted" else 1.0
    model = Residual(layers.StochasticDepth(keep, mode, scaling)).double()
    x = rows(3, 4)
    outcomes = []
    with torch.no_grad():
        for one, two in itertools.product((0, 1), repeat=2):
            inner = x + one * scale * model.first(x)
            chance = (keep if one else 1 - keep) * (keep if two else 1 - keep)
            outcomes.append((chance, inner + two * scale * model.second(inner)))
    check(propagate(model, x), outcomes)
    check(propagate(model, x, covariance=True, conditions=0), outcomes)
    torch.testing.assert_close(propagate(model, x, covariance=False, conditions=0).mean, moments_of(outcomes)[0])


class Block(nn.Module):
    """A residual block with a ReLU in its branch."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.5)
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.dropout(x)
        return x + self.second(functional.relu(self.first(x)))


def test_covariance_mends_the_variance_of_a_residual_sum() -> None:
    """Over all 2^8 masks: the shortcut and the branch share their noise."""
    errors = torch.zeros(2, dtype=torch.float64)
    for _ in range(5):
        model, x = Block(8).double().eval(), rows(2, 8)
        with torch.no_grad():
            dropped = [(chance, x * mask) for chance, mask in masks(8, 0.5)]
            outcomes = [(chance, model(value)) for chance, value in dropped]
        truth = moments_of(outcomes)[1].diagonal(dim1=1, dim2=2)
        for k, covariance in enumerate((True, False)):
            errors[k] += (propagate(model, x, covariance=covariance).variance - truth).abs().mean() / 5
    assert errors[0] < 0.3 * errors[1]


def test_drop_connect_is_exact_before_the_activation_and_near_behind_it() -> None:
    layer = layers.DropConnectLinear(3, 2, p=0.4).double()
    model, x = nn.Sequential(layer, nn.ReLU()), rows(4, 3)
    with torch.no_grad():
        outcomes = [
            (chance, functional.linear(x, layer.weight * mask.reshape(2, 3), layer.bias))
            for chance, mask in masks(6, 0.6)
        ]
        scaling = model.eval()(x)
    check(propagate(layer, x, covariance=True), outcomes)
    truth = moments_of([(chance, functional.relu(value)) for chance, value in outcomes])[0]
    near = (propagate(model, x).mean - truth).abs().mean()
    assert near < 0.5 * (scaling - truth).abs().mean()


def test_drop_connect_of_dropped_inputs_is_exact() -> None:
    layer = layers.DropConnectLinear(3, 2, p=0.4, mode="original", mask_bias=True).double()
    x, outcomes = rows(2, 3), []
    with torch.no_grad():
        for first, inputs in masks(3, 0.7):
            for second, mask in masks(8, 0.6):
                weight, bias = 0.6 * mask[:6].reshape(2, 3) * layer.weight, 0.6 * mask[6:] * layer.bias
                outcomes.append((first * second, functional.linear(x * inputs, weight, bias)))
    check(propagate(nn.Sequential(nn.Dropout(0.3), layer), x, covariance=True), outcomes)


def sampled_moments(model: nn.Module, x: Tensor, count: int) -> tuple[Tensor, Tensor]:
    model.train()
    with torch.no_grad():
        draws = model(x.expand(count, *x.shape[1:])) if len(x) == 1 else torch.stack([model(x) for _ in range(count)])
    model.eval()
    return draws.mean(0), draws.var(0)


@pytest.mark.parametrize(
    "layer",
    [
        layers.GaussianDropout(0.3),
        layers.GaussianNoise(0.5),
        layers.AlphaDropout(0.2),
        nn.AlphaDropout(0.2),
        nn.FeatureAlphaDropout(0.2),
        layers.ShakeDrop(0.6, alpha=(-1.0, 0.5), per="element"),
        layers.DropBlock2d(0.3, block_size=2),
        layers.Dropout(0.3, mode="original"),
        layers.Dropout2d(0.25),
        nn.Dropout1d(0.0),
    ],
    ids=lambda layer: f"{type(layer).__module__.split('.')[0]} {type(layer).__name__}",
)
def test_layers_that_draw_have_the_moments_of_their_samples(layer: nn.Module) -> None:
    x = torch.randn(1, 2, 3, 3)
    if isinstance(layer, nn.Dropout1d):
        assert torch.equal(propagate(layer, x[0]).variance, torch.zeros(2, 3, 3))
        return
    mean, variance = sampled_moments(layer, x, 20_000)
    for known in (propagate(layer, x), propagate(layer, x, covariance=False)):
        assert ((known.mean[0] - mean).abs() < 5 * (variance / 20_000).sqrt() + 1e-6).all()
        torch.testing.assert_close(known.variance[0], variance, rtol=0.08, atol=0.002)


@pytest.mark.parametrize(
    "activation",
    [nn.ReLU(), nn.LeakyReLU(0.3), nn.GELU(), nn.GELU("tanh"), nn.SiLU(), nn.Tanh(), nn.Sigmoid(), nn.ELU()],
    ids=lambda layer: type(layer).__name__,
)
def test_activations_of_normal_inputs_with_their_covariance(activation: nn.Module) -> None:
    linear = nn.Linear(3, 3).double()
    x = rows(1, 3)
    found = propagate(nn.Sequential(linear, activation), x, input_variance=0.8)
    draws = activation(linear(x + math.sqrt(0.8) * rows(400_000, 3))).detach()
    torch.testing.assert_close(found.mean[0], draws.mean(0), atol=0.006, rtol=0)
    assert found.covariance is not None
    torch.testing.assert_close(found.covariance[0], torch.cov(draws.T), atol=0.008, rtol=0)


def test_maxima_keep_their_covariance() -> None:
    model, x = nn.Sequential(nn.Linear(3, 4), nn.Unflatten(1, (1, 4)), nn.MaxPool1d(2)).double(), rows(1, 3)
    model[0].bias.data += torch.tensor([0.0, 2.0, 0.0, 2.0])  # the second of a window is often the larger one
    found = propagate(model, x, input_variance=4.0)
    draws = model(x + 2 * rows(100_000, 3)).detach().flatten(1)
    assert found.covariance is not None
    torch.testing.assert_close(found.covariance[0], torch.cov(draws.T), atol=0.08, rtol=0)


class Everything(nn.Module):
    """Certain inputs through every rule: with noise of variance zero, the mean is the plain output."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.groups = nn.LayerNorm(6), nn.GroupNorm(2, 4)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.dropout(x)
        x = functional.max_pool2d(x, (2, 3), stride=(1, 2), padding=1, dilation=(2, 1), ceil_mode=True)
        x = self.groups(torch.cat([x, 2 * x.flip(1)], 1))
        x = self.norm(functional.adaptive_max_pool2d(functional.interpolate_none(x), (4, 6)))
        left, right = x.chunk(2, dim=3)
        x = torch.stack([left.sigmoid() * right, 1 - left, -right / 2], 1)
        x = x.permute(0, 2, 1, 3, 4).flatten(2)
        x += x.mean(2, keepdim=True)
        x = x.relu_().sum(1) + x.amax(dim=1)
        return (x @ x.new_ones(36, 3)).unsqueeze(1).squeeze(1)[:, :2]


def test_a_certain_tensor_keeps_its_value_in_every_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functional, "interpolate_none", lambda x: x.repeat(1, 1, 2, 2)[:, :, :8, :6], raising=False)
    model, x = Everything().double().eval(), rows(2, 2, 6, 9)
    for covariance in (True, False):
        model.dropout.p = 0.0
        found = propagate(model, x, input_variance=0.0, covariance=covariance)
        with torch.no_grad():
            torch.testing.assert_close(found.mean, model(x), atol=1e-7, rtol=1e-7)
        assert found.variance.abs().max() < 1e-7


def test_everything_is_kept_also_after_an_error() -> None:
    model = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(3), nn.ReLU(inplace=True), nn.Linear(3, 2))
    model.train()
    model[1].eval()
    x, before = torch.randn(4, 3), {key: value.clone() for key, value in model.state_dict().items()}
    given, state = x.clone(), torch.get_rng_state()
    propagate(model, x)
    with pytest.raises(RuntimeError):
        propagate(model, torch.ones(4, 5))
    assert torch.equal(x, given) and torch.equal(torch.get_rng_state(), state)
    assert [module.training for module in model] == [True, False, True, True]
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert all("forward" not in vars(module) for module in model.modules())


def test_dtypes_batches_and_settings() -> None:
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 5), nn.ReLU(), nn.Dropout(0.5), nn.Linear(5, 3))
    x = torch.randn(4, 6)
    single = propagate(model, x)
    precise = propagate(model.double(), x.double())
    half = propagate(copy.deepcopy(model).half(), x.half())
    assert (single.mean.dtype, precise.mean.dtype, half.mean.dtype) == (torch.float32, torch.float64, torch.float32)
    torch.testing.assert_close(single.mean.double(), precise.mean, atol=1e-5, rtol=0)
    torch.testing.assert_close(half.variance, single.variance, atol=0.01, rtol=0.01)
    model.float()
    alone = torch.cat([propagate(model, row[None]).covariance for row in x])
    torch.testing.assert_close(alone, single.covariance)
    assert propagate(model, x, memory=64).covariance is None
    certain = propagate(model, x, only="0", fourth_cumulant=False)
    assert (certain.variance < single.variance).all() and "corrected" not in str(certain.report)
    assert certain.report.as_dict()["steps"][0]["function"] == "dropout"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"covariance": "full"}, "covariance must be True, False or"),
        ({"samples": 1}, "samples must be at least 2"),
        ({"monte_carlo": "layer9"}, "monte_carlo='layer9' matches no module"),
    ],
)
def test_settings_that_are_wrong(settings: dict[str, object], message: str) -> None:
    call: Callable[..., object] = propagate
    with pytest.raises(ValueError, match=message):
        call(nn.Dropout(0.5), torch.ones(1, 2), **settings)


def test_an_output_that_is_no_tensor_needs_select() -> None:
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dropout = nn.Dropout(0.5)

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"logits": self.dropout(x)}

    x = torch.ones(1, 2)
    with pytest.raises(TypeError, match="a dict, not a tensor: give select="):
        propagate(Pair(), x)
    assert torch.equal(propagate(Pair(), x, select=lambda output: output["logits"]).variance, x)


class Net(nn.Module):
    """A stem, a residual block that can be skipped, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.block, self.head = nn.Linear(4, 4), Block(4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.block(self.stem(x)))


@pytest.mark.parametrize("skip", [False, True])
def test_attached_regularizers_take_part(skip: bool) -> None:
    """Dropout at an output, and stochastic depth in the forward of a block."""
    model, x = Net().double().eval(), rows(2, 4)
    model.block.dropout.p = 0.0
    shortcut = model.stem(x).detach()
    branch = model.block.second(functional.relu(model.block.first(shortcut))).detach()
    augreg.regularize(
        model,
        [
            {"stochastic_depth": {"at": "block", "survival": 0.8, "skip": skip}},
            {"dropout": {"at": "head", "p": 0.25}},
        ],
    )
    found = propagate(model, x)
    outcomes = []
    for kept, mask in itertools.product((0, 1), masks(2, 0.75)):
        inner = functional.linear(shortcut + kept / 0.8 * branch, model.head.weight, model.head.bias).detach()
        outcomes.append(((0.8 if kept else 0.2) * mask[0], inner * mask[1]))
    check(found, outcomes)
    assert not model.training and "StochasticDepth" in str(found.report)


def test_a_tensor_changed_in_place_or_copied_keeps_its_covariance() -> None:
    class Places(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.dropout = nn.Linear(3, 2), nn.Dropout(0.4)

        def forward(self, x: Tensor) -> Tensor:
            x = self.linear(self.dropout(x))
            x = x.contiguous().to(x.dtype)
            x += 1.0
            x.mul_(2.0)
            return x

    model, x = Places().double().eval(), rows(2, 3)
    with torch.no_grad():
        outcomes = [(chance, 2 * model.linear(x * mask) + 2) for chance, mask in masks(3, 0.6)]
    check(propagate(model, x), outcomes)
