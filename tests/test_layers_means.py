"""The mean of layers over many draws in training, compared with testing, and the fraction that is dropped.

All tests are at an error rate of 1e-6: two-sided z-tests with Bonferroni's correction over the positions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from statistics import NormalDist
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from augreg.nn import (  # noqa: E402
    AlphaDropout,
    DropBlock1d,
    DropBlock2d,
    DropBlock3d,
    DropConnectConv1d,
    DropConnectConv2d,
    DropConnectConv3d,
    DropConnectLinear,
    Dropout,
    Dropout1d,
    Dropout2d,
    Dropout3d,
    GaussianDropout,
    GaussianNoise,
    ShakeDrop,
    ShakeShake,
    SpatialDropout,
    StochasticDepth,
    relu_moments,
)
from augreg.nn.drop_block import covering_blocks, log_seed_keep  # noqa: E402
from augreg.regularizers.stochastic_depth import StochasticDepth as Declared, survival_at  # noqa: E402

ERROR_RATE = 1e-6


@pytest.fixture(autouse=True)
def _one_thread_and_seed() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(20260101)
    yield
    torch.set_num_threads(threads)


def limit(tests: int) -> float:
    """The |z| that at least one of this many tests exceeds by chance with probability ERROR_RATE."""
    return NormalDist().inv_cdf(1.0 - ERROR_RATE / tests / 2.0)


def z_scores(draws: Tensor, expected: Tensor) -> Tensor:
    """The distance of the mean over the first dimension from its expectation in standard errors, per position."""
    draws, expected = draws.double(), expected.double()
    error = draws.std(dim=0) / math.sqrt(len(draws))
    off = (draws.mean(dim=0) - expected).abs()
    return torch.where(error > 0, off / error, torch.where(off < 1e-6, 0.0, math.inf))


def agrees(draws: Tensor, expected: Tensor) -> bool:
    return bool((z_scores(draws, expected) < limit(expected.numel())).all())


def values(*shape: int) -> Tensor:
    """Numbers of both signs, away from zero."""
    x = torch.linspace(0.5, 2.0, math.prod(shape)).reshape(shape)
    return x * torch.where(torch.arange(x.numel()).reshape(shape) % 3 == 0, -1.0, 1.0)


PER_SAMPLE: dict[str, tuple[Callable[[], nn.Module], Tensor]] = {
    "dropout": (lambda: Dropout(0.3), values(5)),
    "dropout original": (lambda: Dropout(0.3, "original"), values(5)),
    "dropout seeded": (lambda: Dropout(0.7, seed=5), values(5)),
    "spatial": (lambda: SpatialDropout(0.4), values(3, 2, 2)),
    "spatial original": (lambda: SpatialDropout(0.4, "original", seed=1), values(3, 4)),
    "dropout 1d": (lambda: Dropout1d(0.2), values(3, 4)),
    "dropout 2d": (lambda: Dropout2d(0.5), values(3, 2, 2)),
    "dropout 3d": (lambda: Dropout3d(0.6, seed=2), values(3, 2, 1, 2)),
    "gaussian dropout": (lambda: GaussianDropout(0.3), values(5)),
    "gaussian dropout seeded": (lambda: GaussianDropout(0.3, seed=3), values(5)),
    "noise": (lambda: GaussianNoise(0.5), values(5)),
    "noise seeded": (lambda: GaussianNoise(0.5, seed=3), values(5)),
    "drop block 1d": (lambda: DropBlock1d(0.3, 3), values(2, 7)),
    "drop block 2d": (lambda: DropBlock2d(0.25, 3), values(1, 7, 6)),
    "drop block 2d even": (lambda: DropBlock2d(0.4, 4, seed=4), values(1, 6, 7)),
    "drop block 2d whole": (lambda: DropBlock2d(0.2, 7), values(2, 5, 5)),
    "drop block 2d shared": (lambda: DropBlock2d(0.3, 2, per="sample"), values(2, 4, 3)),
    "drop block 3d": (lambda: DropBlock3d(0.3, 2), values(1, 3, 3, 4)),
    "depth row": (lambda: StochasticDepth(0.6), values(2, 3)),
    "depth row original": (lambda: StochasticDepth(0.6, scaling="original", seed=6), values(2, 3)),
    "shake drop": (lambda: ShakeDrop(0.6), values(2, 3)),
    "shake drop element": (lambda: ShakeDrop(0.3, per="element", alpha=(-0.5, 1.0), seed=1), values(2, 3)),
    "drop connect": (lambda: DropConnectLinear(6, 4, p=0.4), values(6)),
    "drop connect original": (lambda: DropConnectLinear(6, 4, p=0.4, mode="original"), values(6)),
    "drop connect seeded": (lambda: DropConnectLinear(6, 4, p=0.4, seed=1), values(6)),
    "drop connect bias": (lambda: DropConnectLinear(6, 4, p=0.5, mode="original", mask_bias=True), values(6)),
    "drop connect positions": (lambda: DropConnectLinear(6, 4, p=0.4, mask_bias=True), values(2, 6)),
    "drop connect conv1d": (lambda: DropConnectConv1d(2, 3, 3, p=0.4, padding=1, stride=2), values(2, 6)),
    "drop connect conv2d": (lambda: DropConnectConv2d(2, 4, 3, p=0.4, groups=2, mask_bias=True), values(2, 5, 4)),
    "drop connect conv2d original": (
        lambda: DropConnectConv2d(2, 2, 3, p=0.3, mode="original", padding=1, padding_mode="circular"),
        values(2, 4, 4),
    ),
    "drop connect conv3d": (lambda: DropConnectConv3d(1, 2, 2, p=0.4, dilation=2), values(1, 3, 3, 4)),
}


@pytest.mark.parametrize("name", PER_SAMPLE)
@torch.no_grad()
def test_the_mean_of_training_is_what_testing_gives(name: str) -> None:
    make, x = PER_SAMPLE[name]
    layer = make()
    draws = layer(x.expand(5000, *x.shape))
    expected = layer.eval()(x.unsqueeze(0))[0]
    assert draws.std(dim=0).min() > 0
    assert agrees(draws, expected)
    assert not agrees(draws, expected * 1.15)  # and the test would see a wrong scale


PER_BATCH: dict[str, tuple[Callable[[], nn.Module], Tensor]] = {
    "depth": (lambda: StochasticDepth(0.7, "batch"), values(2, 3)),
    "depth original": (lambda: StochasticDepth(0.7, "batch", "original", seed=9), values(2, 3)),
    "shake drop": (lambda: ShakeDrop(0.7, per="batch"), values(2, 3)),
    "drop connect": (lambda: DropConnectLinear(6, 4, p=0.4, per="batch"), values(2, 6)),
    "drop connect conv": (lambda: DropConnectConv1d(2, 2, 3, p=0.3, per="batch", mode="original"), values(1, 2, 5)),
    "dropout": (lambda: Dropout(0.4, seed=8), values(3)),
}


@pytest.mark.parametrize("name", PER_BATCH)
@torch.no_grad()
def test_the_mean_over_calls_is_what_testing_gives(name: str) -> None:
    make, x = PER_BATCH[name]
    layer = make()
    draws = torch.stack([layer(x) for _ in range(1000)])
    expected = layer.eval()(x)
    assert agrees(draws, expected)
    assert not agrees(draws, expected * 1.35)


@pytest.mark.parametrize("per", ["sample", "batch"])
@torch.no_grad()
def test_shake_shake_mixes_half_and_half_in_the_mean(per: str) -> None:
    layer = ShakeShake(per)
    a, b = values(2, 3), values(2, 3).flip(0)
    draws = torch.stack([layer(a, b) for _ in range(2000)])
    assert agrees(draws, layer.eval()(a, b))
    assert torch.equal(layer(a, b), a / 2 + b / 2)


@torch.no_grad()
def test_alpha_dropout_keeps_mean_and_variance_of_standard_units() -> None:
    for p in (0.1, 0.5):
        y = AlphaDropout(p)(torch.randn(400_000, 1))
        assert agrees(y, torch.zeros(1))
        assert agrees(y.square(), torch.ones(1))
        assert not agrees(Dropout(p)(torch.randn(400_000, 1)).square(), torch.ones(1))


@torch.no_grad()
def test_one_divisor_for_the_whole_batch_would_not_keep_the_mean_of_drop_block() -> None:
    x = torch.ones(1, 7, 7)
    layer = DropBlock2d(0.25, 3)
    y = layer(x.expand(8000, 1, 7, 7))
    mask = (y != 0).float()
    common = mask / mask.mean()
    assert agrees(y, x)
    z = z_scores(common, x)[0]
    assert z[0, 0] > 50 and common[:, 0, 0, 0].mean() > 1.15  # corners come out too large
    assert z[3, 3] > 10 and common[:, 0, 3, 3].mean() < 0.95  # and the middle too small


RATES: dict[str, tuple[nn.Module, tuple[int, ...], int, float]] = {
    # the layer, its input, how many elements share a draw, and the fraction to be dropped
    "dropout": (Dropout(0.3), (1000, 40), 1, 0.3),
    "dropout seeded": (Dropout(0.9, "original", seed=1), (1000, 40), 1, 0.9),
    "spatial": (SpatialDropout(0.3), (1000, 20, 2, 2), 4, 0.3),
    "dropout 2d": (Dropout2d(0.05, seed=2), (1000, 20, 2, 2), 4, 0.05),
    "depth": (StochasticDepth(0.8), (20_000, 3), 3, 0.2),
}


@pytest.mark.parametrize("name", RATES)
def test_the_requested_fraction_is_dropped(name: str) -> None:
    layer, shape, group, p = RATES[name]
    dropped = (layer(torch.ones(shape)) == 0).double()
    count = dropped.numel() // group
    assert abs(dropped.mean().item() - p) < limit(1) * math.sqrt(p * (1 - p) / count)


@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize("p", [0.1, 0.5])
@pytest.mark.parametrize("size", [(7, 7), (9, 14)])
def test_drop_block_drops_the_requested_fraction_with_overlaps(
    size: tuple[int, int], p: float, seed: int | None
) -> None:
    maps = (DropBlock2d(p, 5, seed=seed)(torch.ones(600, 5, *size)) == 0).double().mean(dim=(2, 3)).flatten()
    assert agrees(maps, torch.tensor(p))
    dropped = DropBlock2d(p, 5, per="sample")(torch.ones(50, 3, *size)) == 0
    assert (dropped[:, 0] == dropped[:, 1]).all() and (dropped[:, 0] == dropped[:, 2]).all()


def test_drop_block_drops_whole_blocks_only() -> None:
    dropped = (DropBlock2d(0.2, 3)(torch.ones(200, 1, 8, 8)) == 0).float()
    full = (nn.functional.avg_pool2d(dropped, 3, stride=1) > 0.999).float()  # where a whole block is dropped
    grown = nn.functional.max_pool2d(nn.functional.pad(full, (2, 2, 2, 2)), 3, stride=1)
    assert 0 < dropped.mean() < 1 and torch.equal(grown, dropped)


@pytest.mark.parametrize("size, paper", [(7, 0.1000), (14, 0.0929), (28, 0.0939), (56, 0.0946)])
def test_the_papers_gamma_drops_less_and_ours_what_was_asked(size: int, paper: float) -> None:
    c = covering_blocks((size, size), 7)
    assert c[0, 0] == 1 and c.max() == min(7, size - 6) ** 2
    theirs = 0.1 / 49 * size**2 / (size - 6) ** 2
    assert (1 - (1 - theirs) ** c).mean().item() == pytest.approx(paper, abs=5e-5)
    for p in (1e-6, 0.1, 0.5, 0.999):
        ours = 1 - torch.exp(log_seed_keep((size, size), 7, p) * c).mean()
        assert ours.item() == pytest.approx(p, rel=1e-9)
    if size == 14:
        assert -torch.expm1(log_seed_keep((14, 14), 7, 0.1)).item() == pytest.approx(0.006764, abs=5e-7)


def test_covers_counts_the_blocks_over_each_position() -> None:
    for height, width, block in ((5, 7, 3), (4, 4, 4), (3, 6, 9)):
        rows, columns = min(block, height), min(block, width)
        counted = torch.zeros(height, width, dtype=torch.float64)
        for top in range(height - rows + 1):
            for left in range(width - columns + 1):
                counted[top : top + rows, left : left + columns] += 1
        assert torch.equal(covering_blocks((height, width), block), counted)


def test_stochastic_depth_follows_the_linear_rule() -> None:
    chances = [survival_at("linear", 0.5, index, 54) for index in range(54)]
    assert sum(chances) == pytest.approx(40.25)  # (3 L - 1) / 4
    assert chances[0] == pytest.approx(1 - 0.5 / 54) and chances[-1] == 0.5
    assert [survival_at("uniform", 0.5, index, 54) for index in range(54)] == [0.5] * 54
    rule = Declared("blocks.*", 0.5, "linear")
    assert [rule.numbers(SimpleNamespace(index=i, count=54))["survival"] for i in range(54)] == chances
    layers = [StochasticDepth(chance) for chance in chances]
    depths = sum((layer(torch.ones(4000, 1)) != 0).double() for layer in layers)
    assert agrees(depths, torch.tensor([40.25]))
    # independent blocks: the variance of the depth is the sum of theirs
    variance = sum(chance * (1 - chance) for chance in chances)
    assert agrees((depths - 40.25).square(), torch.tensor([variance]))


@torch.no_grad()
def drop_connect_draws(layer: nn.Module, x: Tensor, draws: int) -> Tensor:
    return torch.cat([layer(x.expand(250, *x.shape)) for _ in range(draws // 250)]).double()


@pytest.mark.parametrize("mode", ["inverted", "original"])
@pytest.mark.parametrize("p", [0.5, 0.3])
@torch.no_grad()
def test_moment_matching_agrees_with_monte_carlo_behind_a_relu_and_scaling_does_not(mode: str, p: float) -> None:
    layer = DropConnectLinear(300, 12, p=p, mode=mode, mask_bias=p == 0.3)
    nn.init.kaiming_normal_(layer.weight)
    x = torch.randn(300)
    u = drop_connect_draws(layer, x, 10_000)
    mean, variance = layer.moments(x)
    assert agrees(u, mean)
    assert agrees((u - mean).square(), variance)
    draws = u.relu()
    expected, spread = relu_moments(mean, variance)
    assert agrees(draws, expected)
    assert agrees((draws - expected).square(), spread)
    layer.eval()
    scaled = layer(x).relu()
    layer.inference = "moment"
    matched = layer(x)
    assert torch.allclose(matched, expected) and torch.equal(matched.relu(), matched)
    truth = draws.mean(dim=0)
    assert not agrees(draws, scaled)
    assert (scaled - truth).norm() / truth.norm() > 0.1
    assert (matched - truth).norm() / truth.norm() < 0.015


@torch.no_grad()
def test_weight_scaling_is_about_28_percent_off_behind_a_relu() -> None:
    torch.manual_seed(1)
    layer = DropConnectLinear(400, 256, bias=False, p=0.5, mode="original").eval()
    nn.init.kaiming_normal_(layer.weight)
    x = torch.randn(50, 400)
    truth, _ = relu_moments(*layer.moments(x))  # which the test above holds against 10,000 draws
    off = (layer(x).relu() - truth).norm() / truth.norm()
    assert 0.22 < off < 0.34


@pytest.mark.parametrize("padding_mode", ["zeros", "reflect"])
@torch.no_grad()
def test_moments_of_a_convolution_agree_with_monte_carlo(padding_mode: str) -> None:
    layer = DropConnectConv2d(
        4, 4, 3, p=0.4, padding=1, stride=2, groups=2, mask_bias=True, padding_mode=padding_mode
    )
    x = torch.randn(4, 5, 5)
    u = drop_connect_draws(layer, x, 10_000)
    mean, variance = (moment[0] for moment in layer.moments(x.unsqueeze(0)))
    assert agrees(u, mean)
    assert agrees((u - mean).square(), variance)


@torch.no_grad()
def test_relu_moments_are_those_of_a_normal_variable() -> None:
    mean = torch.tensor([-3.0, -0.5, 0.0, 0.1, 2.0], dtype=torch.float64)
    variance = torch.tensor([1.0, 4.0, 1.0, 0.01, 0.25], dtype=torch.float64)
    u = torch.linspace(-12, 12, 200_001, dtype=torch.float64).unsqueeze(1)
    weight = torch.exp(-0.5 * u.square()) * (u[1] - u[0]) / math.sqrt(2 * math.pi)
    at = (mean + variance.sqrt() * u).relu()
    first = (weight * at).sum(dim=0)
    second = (weight * at.square()).sum(dim=0)
    found, spread = relu_moments(mean, variance)
    assert torch.allclose(found, first, atol=1e-8) and torch.allclose(spread, second - first.square(), atol=1e-8)
    found, spread = relu_moments(torch.tensor([-2.0, 0.0, 3.0]), torch.zeros(3))
    assert torch.allclose(found, torch.tensor([0.0, 0.0, 3.0]), atol=1e-6) and (spread < 1e-6).all()


@torch.no_grad()
def test_gaussian_dropout_has_the_variance_of_dropout() -> None:
    x = torch.full((200_000, 1), 2.0)
    for layer in (GaussianDropout(0.2), GaussianDropout(0.2, seed=1), Dropout(0.2)):
        assert agrees((layer(x) - 2.0).square(), torch.tensor([4.0 * 0.2 / 0.8]))
    assert agrees((GaussianNoise(0.3, seed=1)(x) - 2.0).square(), torch.tensor([0.09]))


@torch.no_grad()
def test_masks_of_samples_and_of_calls_are_independent() -> None:
    layer = DropConnectLinear(1, 1, bias=False, p=0.5, mode="original")
    layer.weight.fill_(1.0)
    for seed in (None, 4):
        layer = DropConnectLinear(1, 1, bias=False, p=0.5, mode="original", seed=seed)
        layer.weight.fill_(1.0)
        y = torch.stack([layer(torch.ones(2000, 1))[:, 0] for _ in range(2)])
        assert agrees(y[0, 1:] * y[0, :-1], torch.tensor(0.25))  # two samples of a batch
        assert agrees(y[0] * y[1], torch.tensor(0.25))  # two calls
        layer.per = "batch"
        y = layer(torch.ones(20, 1))
        assert (y == y[0]).all()  # one mask for all
