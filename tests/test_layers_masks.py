"""The counter hash behind seeded masks: its numbers, their uniformity and independence, and ranks.

Statistical tests are at an error rate of 1e-6.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from augreg.nn import DropBlock2d, Dropout, StochasticDepth  # noqa: E402
from augreg.nn.masks import TORCH, SeededSource, layer_seed, mix  # noqa: E402

ERROR_RATE = 1e-6


def reference_mix(word: int) -> int:
    """The hash in plain 32-bit arithmetic."""
    word ^= word >> 16
    word = word * 0x7FEB352D % 2**32
    word ^= word >> 15
    word = word * 0x846CA68B % 2**32
    return word ^ (word >> 16)


def reference_uniform(seed: int, call: int, count: int, rank: int = 0) -> list[float]:
    def add(a: int, b: int) -> int:
        return reference_mix((a + b) % 2**32)

    outer = add(add(reference_mix(seed % 2**32), seed >> 32), rank)
    first = add(call, outer)
    second = reference_mix(first ^ add(outer, seed % 2**32))
    return [(add(add(index, first), second) >> 8) / 2**24 for index in range(count)]


def chi_square_limit(freedom: int) -> float:
    """The limit that a chi-square variable exceeds with probability ERROR_RATE (Wilson and Hilferty)."""
    z = NormalDist().inv_cdf(1 - ERROR_RATE)
    return freedom * (1 - 2 / (9 * freedom) + z * math.sqrt(2 / (9 * freedom))) ** 3


def assert_uniform(cells: Tensor, count: int) -> None:
    found = torch.bincount(cells, minlength=count).double()
    expected = len(cells) / count
    assert ((found - expected) ** 2 / expected).sum() < chi_square_limit(count - 1)


@pytest.mark.parametrize("seed", [0, 3, 2**32, 2**64 - 1])
def test_the_numbers_are_a_hash_of_seed_call_and_element(seed: int) -> None:
    source = SeededSource(seed)
    for call in range(3):
        assert source.uniform((2, 3), "cpu").flatten().tolist() == reference_uniform(seed, call, 6)
    assert int(source.calls) == 3
    source.calls = torch.tensor(0)
    torch.manual_seed(1)
    assert source.uniform((4,), "cpu").tolist() == reference_uniform(seed, 0, 4)


def test_the_numbers_are_these_for_ever() -> None:
    assert (SeededSource(3).uniform((4,), "cpu") * 2**24).int().tolist() == [1517750, 12247641, 2005030, 15181488]


def test_mix_is_one_to_one_and_the_same_for_tensors_and_integers() -> None:
    words = torch.arange(2**20) * 4093 % 2**32
    mixed = mix(words)
    assert len(mixed.unique()) == 2**20 and mixed.min() >= 0 and mixed.max() < 2**32
    picked = words[::65_537]
    assert mix(picked).tolist() == [mix(int(word)) for word in picked] == [reference_mix(int(w)) for w in picked]


def test_elements_are_uniform_in_all_their_bits() -> None:
    for seed in (0, 1, 2**40):
        drawn = SeededSource(seed).uniform((2**17,), "cpu")
        assert drawn.min() >= 0 and drawn.max() < 1 and drawn.dtype == torch.float32
        words = (drawn * 2**24).long()
        for shift in (0, 8, 16):
            assert_uniform(words >> shift & 255, 256)


@pytest.mark.parametrize("kind", ["neighbors", "distant", "calls", "seeds", "ranks"])
def test_pairs_are_independent(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 2**16
    if kind in ("neighbors", "distant"):
        drawn = SeededSource(5).uniform((count + 256,), "cpu")
        step = 1 if kind == "neighbors" else 256
        one, two = drawn[:count], drawn[step : count + step]
    elif kind == "calls":  # few elements a call, as in stochastic depth
        source = SeededSource(5)
        drawn = torch.stack([source.uniform((32,), "cpu") for _ in range(513)])
        one, two = drawn[:-1].flatten(), drawn[1:].flatten()
    elif kind == "seeds":
        drawn = torch.stack([SeededSource(seed).uniform((64,), "cpu") for seed in range(513)])
        one, two = drawn[:-1].flatten(), drawn[1:].flatten()
    else:
        one = SeededSource(5).uniform((count,), "cpu")
        in_rank(monkeypatch, 1)
        two = SeededSource(5).uniform((count,), "cpu")
    assert_uniform((one * 32).long() * 32 + (two * 32).long(), 1024)
    kept = (one < 0.3).double() * (two < 0.3).double()  # and as masks
    assert abs(kept.mean().item() - 0.09) < 4.9 * math.sqrt(0.09 * 0.91 / len(kept))


def test_normal_numbers_have_the_moments_of_the_normal_distribution() -> None:
    drawn = SeededSource(2).normal((2**17,), "cpu").double()
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((drawn**power).mean().item() - moment) < 4.9 * math.sqrt(variance / len(drawn))
    assert drawn.isfinite().all() and drawn.abs().max() > 4


def in_rank(monkeypatch: pytest.MonkeyPatch, rank: int) -> None:
    distributed = SimpleNamespace(
        is_available=lambda: True, is_initialized=lambda: True, get_rank=lambda: rank, get_world_size=lambda: 4
    )
    monkeypatch.setattr(torch, "distributed", distributed)


@pytest.mark.parametrize("seed", [None, 3])
def test_ranks_of_a_distributed_run_draw_different_masks_when_seeded_alike(
    seed: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    masks = []
    for rank in (0, 1, 1):
        in_rank(monkeypatch, rank)
        torch.manual_seed(0)
        layer = Dropout(0.4, seed=seed)
        masks.append(layer(torch.ones(20_000)) != 0)
    first, second, again = (mask.double() for mask in masks)
    assert torch.equal(second, again)
    for mask in (first, second):
        assert abs(mask.mean().item() - 0.6) < 4.9 * math.sqrt(0.24 / 20_000)
    assert abs((first * second).mean().item() - 0.36) < 4.9 * math.sqrt(0.36 * 0.64 / 20_000)
    noise = TORCH.normal((10_000,), "cpu").double()
    assert abs(noise.mean()) < 0.049 and abs(noise.square().mean() - 1) < 0.07


def test_a_call_repeated_from_the_same_state_of_torchs_generator_is_the_same_call() -> None:
    layer = DropBlock2d(0.3, 2, seed=1)
    x = torch.ones(2, 3, 5, 5)
    torch.manual_seed(0)
    first, second = layer(x), layer(x)
    torch.manual_seed(0)
    assert torch.equal(layer(x), first) and torch.equal(layer(x), second) and int(layer.source.calls) == 2
    assert not torch.equal(layer(x), second) and int(layer.source.calls) == 3


def test_layers_of_one_seed_have_seeds_of_their_own() -> None:
    seeds = {layer_seed(seed, rule, name) for seed in (0, 1) for rule in ("a", "b") for name in ("a", "b", "a.b")}
    assert len(seeds) == 12 and layer_seed(None, "a") is None
    assert layer_seed(0, "a", "b") != layer_seed(0, "ab")
    SeededSource(layer_seed(7, "dropout", "fc"))


def test_seeded_draws_of_one_layer_are_fair() -> None:
    layer = StochasticDepth(0.5, "batch", seed=4)
    kept = sum(bool(layer(torch.ones(1)) != 0) for _ in range(1000))
    assert abs(kept - 500) < 4.9 * math.sqrt(250)


@pytest.mark.parametrize("layer", [Dropout(0.5), Dropout(0.5, mode="original"), DropBlock2d(0.5, 1)])
def test_training_keeps_the_strides_of_its_input(layer: torch.nn.Module) -> None:
    """Otherwise the layers behind it run in another, slower memory format."""
    x = torch.randn(2, 3, 4, 5)
    for strided in (x, x.to(memory_format=torch.channels_last), torch.randn(3, 2, 5, 4).transpose(0, 1).mT):
        assert layer.train()(strided).stride() == strided.stride()
