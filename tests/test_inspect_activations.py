"""Statistics of activations by layer: against known values, and against sums over the same tensors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from augreg.inspect import activations  # noqa: E402


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Small tensors are faster so."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def deep(function: type[nn.Module], std: float, width: int = 1024) -> nn.Sequential:
    """Six layers of one width with normal weights of a standard deviation, and no bias."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for _ in range(6):
        linear = nn.Linear(width, width, bias=False)
        nn.init.normal_(linear.weight, 0, std)
        layers += [linear, function()]
    return nn.Sequential(*layers)


WIDTH = 1024
# The standard deviations of the six outputs at width 4096; what counts is std * sqrt(width), so they hold here too.
KNOWN = {
    "tanh, too small": (nn.Tanh, 0.01 * 2, [0.492, 0.290, 0.179, 0.113, 0.072, 0.046]),
    "tanh, too large": (nn.Tanh, 0.05 * 2, [0.872, 0.854, 0.850, 0.850, 0.850, 0.850]),
    "tanh, xavier": (nn.Tanh, 1 / math.sqrt(WIDTH), [0.628, 0.487, 0.409, 0.358, 0.322, 0.295]),
    "relu, xavier": (nn.ReLU, 1 / math.sqrt(WIDTH), [0.585, 0.414, 0.293, 0.207, 0.146, 0.102]),
    "relu, kaiming": (nn.ReLU, math.sqrt(2 / WIDTH), [math.sqrt(1 - 1 / math.pi)] * 6),
}


@pytest.mark.parametrize("case", KNOWN)
def test_six_layers_have_the_known_standard_deviations(case: str) -> None:
    function, std, known = KNOWN[case]
    model = deep(function, std)
    batch = torch.randn(64, WIDTH)
    found = [layer for layer in activations(model, batch) if layer.kind == function.__name__]
    assert [layer.std for layer in found] == pytest.approx(known, rel=0.06)  # 65536 values that hang together
    assert all(abs(layer.mean) < 0.02 for layer in found) or function is nn.ReLU


def test_weights_too_large_saturate_tanh_and_halves_of_relu_are_zero() -> None:
    large = [f for f in activations(deep(nn.Tanh, 0.1), torch.randn(64, WIDTH)) if f.kind == "Tanh"]
    assert large[0].saturated == pytest.approx(0.41, abs=0.01)
    assert large[-1].saturated == pytest.approx(0.33, abs=0.02)
    relu = activations(deep(nn.ReLU, math.sqrt(2 / WIDTH)), torch.randn(64, WIDTH))["1"]
    assert relu.zeros == pytest.approx(0.5, abs=0.01)
    assert (relu.saturated, relu.dead) == (None, 0.0)


def test_moments_and_fractions_are_those_of_the_tensor() -> None:
    model = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU())
    with torch.no_grad():
        model[0].bias[:2] = -100.0  # two channels never fire
    batch = torch.randn(4, 3, 9, 9, generator=torch.Generator().manual_seed(1))
    output = model(batch).detach().double()
    conv, relu = activations(model, batch)
    assert relu.output == (6, 7, 7)
    assert relu.mean == pytest.approx(output.mean().item())
    assert relu.std == pytest.approx(output.std(correction=0).item())
    assert relu.zeros == pytest.approx((output == 0).double().mean().item())
    assert relu.dead == pytest.approx(2 / 6)
    assert (conv.dead, conv.zeros) == (0.0, 0.0)


def test_a_unit_is_a_feature_of_a_vector_and_a_channel_of_a_map() -> None:
    tokens = nn.Sequential(nn.Linear(4, 8), nn.ReLU())
    with torch.no_grad():
        tokens[0].bias[:2], tokens[0].bias[2:] = -100.0, 100.0
    assert activations(tokens, torch.randn(3, 5, 4))["1"].dead == pytest.approx(2 / 8)
    assert activations(tokens, torch.randn(3, 4))["1"].dead == pytest.approx(2 / 8)


@pytest.mark.parametrize(
    ("module", "values", "fraction"),
    [
        (nn.Sigmoid(), [-9.0, -1.0, 0.0, 9.0], 0.5),
        (nn.Tanh(), [-9.0, -1.0, 0.0, 9.0], 0.5),
        (nn.Hardtanh(-2, 2), [-2.5, -1.9, 0.0, 2.0], 0.5),
        (nn.ReLU6(), [-9.0, -1.0, 6.0, 5.9], 0.25),
        (nn.GELU(), [-9.0, -1.0, 6.0, 5.9], None),
    ],
)
def test_saturation_is_counted_for_functions_with_flat_ends(module: Any, values: Any, fraction: Any) -> None:
    assert activations(nn.Sequential(module), torch.tensor([values]))[0].saturated == fraction


def test_values_that_are_not_finite_are_counted_and_left_out_of_the_moments() -> None:
    batch = torch.tensor([[1.0, 3.0, float("nan"), float("inf"), -float("inf")]])
    layer = activations(nn.Sequential(nn.Identity()), batch)[0]
    assert (layer.mean, layer.std, layer.nan, layer.inf) == (2.0, 1.0, 1, 2)
    nothing = activations(nn.Sequential(nn.Identity()), torch.full((1, 2), float("nan")))[0]
    assert math.isnan(nothing.mean) and math.isnan(nothing.std) and nothing.nan == 2


@pytest.mark.parametrize("training", [False, True])
def test_nothing_is_left_behind(training: bool) -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.ReLU())
    model[2].eval()
    kept = {key: value.clone() for key, value in model.state_dict().items()}
    generator = torch.get_rng_state()
    table = activations(model, torch.randn(16, 4, generator=torch.Generator().manual_seed(0)) + 3, training=training)
    normed = table["1"]
    assert (abs(normed.mean) < 1e-6) is training  # by the batch's own statistics, or by the running ones
    assert all(torch.equal(value, kept[key]) for key, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), generator)
    assert [module.training for module in model] == [True, True, False, True]
    assert not any(module._forward_hooks for module in model.modules())


def test_hooks_are_removed_when_the_model_fails() -> None:
    model = nn.Sequential(nn.Linear(4, 8))
    with pytest.raises(RuntimeError):
        activations(model, torch.randn(2, 5))
    assert not any(module._forward_hooks for module in model.modules())
    assert model.training


def test_modules_are_selected_and_runs_are_told_apart() -> None:
    relu = nn.ReLU()
    model = nn.Sequential(nn.Linear(4, 8), relu, nn.Linear(8, 8), relu)
    batch = torch.randn(3, 4)
    assert [layer.name for layer in activations(model, batch)] == ["0", "1", "2", "1 (2)"]
    assert [layer.name for layer in activations(model, batch, at={"type": "Linear"})] == ["0", "2"]
    assert [layer.name for layer in activations(model, (batch,), at="2")] == ["2"]
    assert [layer.name for layer in activations(model, {"input": batch}, at="2")] == ["2"]
    with pytest.raises(ValueError, match=r"no module is head.*; the nearest names are"):
        activations(model, batch, at="head.*")
    with pytest.raises(KeyError, match="no layer is named 'relu'"):
        activations(model, batch)["relu"]


def test_the_table() -> None:
    lines = str(activations(nn.Sequential(nn.Tanh()), torch.tensor([[0.0, 9.0]]))).splitlines()
    assert lines[0].split() == ["layer", "type", "output", "mean", "std", "zeros", "dead", "saturated", "nan", "inf"]
    assert lines[1].split() == ["0", "Tanh", "2", "0.5", "0.5", "50.0%", "50.0%", "50.0%", "0", "0"]
    assert lines[0].index("saturated") + len("saturated") == lines[1].rindex("50.0%") + len("50.0%")


def test_suggested_names_exist() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh())
    with pytest.raises(ValueError, match=r"no module is nope; the nearest names are 0, 1$"):
        activations(model, torch.zeros(2, 4), at="nope")
