"""Starting weights by spec: their standard deviations, their determinism, and what is left alone."""

from __future__ import annotations

import math
from typing import Any

import pytest

from augreg import Pipeline, SpecError

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402


def attach(net: nn.Module, arguments: Any) -> Any:
    return Pipeline.from_spec({"model": [{"init": arguments}]}).regularize(net)


LINEAR = (300, 200)  # in, out
CONV_IN, CONV_OUT = 32 * 9, 64 * 9
RULES: list[tuple[Any, float, float]] = [
    ({"rule": "kaiming"}, math.sqrt(2 / 300), math.sqrt(2 / CONV_IN)),
    ({"rule": "kaiming", "fan": "out"}, math.sqrt(2 / 200), math.sqrt(2 / CONV_OUT)),
    ({"rule": "kaiming", "activation": "tanh"}, 5 / 3 / math.sqrt(300), 5 / 3 / math.sqrt(CONV_IN)),
    ({"rule": "xavier"}, math.sqrt(2 / 500), math.sqrt(2 / (CONV_IN + CONV_OUT))),
    ({"rule": "xavier", "gain": 2}, 2 * math.sqrt(2 / 500), 2 * math.sqrt(2 / (CONV_IN + CONV_OUT))),
    ({"rule": "lecun"}, math.sqrt(1 / 300), math.sqrt(1 / CONV_IN)),
    ({"rule": {"normal": 0.01}}, 0.01, 0.01),
    ({"rule": "normal", "std": 0.02}, 0.02, 0.02),
]


def model() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(32, 64, 3), nn.BatchNorm2d(64), nn.ReLU(), nn.Flatten(), nn.Linear(*LINEAR))


CASES = [
    ({**given, "distribution": distribution}, linear, conv)
    for given, linear, conv in RULES
    for distribution in ("normal", "uniform")
    if distribution == "normal" or given["rule"] in ("kaiming", "xavier", "lecun")
]


@pytest.mark.parametrize(("given", "linear", "conv"), CASES)
def test_weights_have_the_standard_deviation_of_the_rule(given: Any, linear: float, conv: float) -> None:
    net = model()
    attach(net, {**given, "seed": 0})
    for weight, std in ((net[4].weight, linear), (net[0].weight, conv)):
        n = weight.numel()
        # the standard error of a standard deviation is std / sqrt(2 n), of a mean std / sqrt(n); z = 5: 6e-7
        assert weight.std().item() == pytest.approx(std, abs=5 * std / math.sqrt(2 * n))
        assert abs(weight.mean().item()) < 5 * std / math.sqrt(n)
        if given["distribution"] == "uniform":
            assert weight.abs().max().item() <= math.sqrt(3) * std * (1 + 1e-6)
    assert not net[4].bias.any() and not net[0].bias.any()


def test_orthogonal_weights_are_orthonormal_times_the_gain() -> None:
    net = model()
    attached = attach(net, {"rule": "orthogonal", "activation": "relu", "seed": 1})
    rows = net[4].weight
    assert torch.allclose(rows @ rows.T, 2 * torch.eye(200), atol=1e-5)
    assert "orthogonal, gain 1.414" in str(attached.report())


def test_norm_layers_and_other_parameters_are_never_touched() -> None:
    net = model()
    with torch.no_grad():
        net[1].weight.fill_(0.7)
        net[1].bias.fill_(0.3)
    ids = [id(parameter) for parameter in net.parameters()]
    attach(net, "kaiming")
    assert (net[1].weight == 0.7).all() and (net[1].bias == 0.3).all()
    assert [id(parameter) for parameter in net.parameters()] == ids
    with pytest.raises(SpecError, match=r"1 \(BatchNorm2d\): a BatchNorm2d is not a linear layer or a convolution"):
        attach(model(), {"rule": "kaiming", "at": "1"})


def test_a_seed_decides_by_name_whatever_the_order_the_kind_and_the_rest() -> None:
    first, second, half = model(), model(), model().half()
    torch.manual_seed(1)
    attach(first, {"rule": "kaiming", "seed": 7})
    torch.manual_seed(2)
    attach(second, {"rule": "kaiming", "seed": 7, "at": "4"})
    attach(second, {"rule": "kaiming", "seed": 7, "at": "0"})
    attach(half, {"rule": "kaiming", "seed": 7})
    for layer in (0, 4):
        assert torch.equal(first[layer].weight, second[layer].weight)
        assert torch.equal(first[layer].weight.half(), half[layer].weight)
    other = model()
    attach(other, {"rule": "kaiming", "seed": 8})
    assert not torch.equal(other[4].weight, first[4].weight)
    twins = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    attach(twins, {"rule": "kaiming", "seed": 7})
    assert not torch.equal(twins[0].weight, twins[1].weight)


def test_a_seed_leaves_the_generator_of_torch_alone_and_without_one_it_decides() -> None:
    state = torch.get_rng_state()
    net = model()
    state = torch.get_rng_state()
    attach(net, {"rule": "xavier", "seed": 7})
    assert torch.equal(torch.get_rng_state(), state)
    found = []
    for _ in range(2):
        net = model()
        torch.manual_seed(3)
        attach(net, "xavier")
        found.append(net[4].weight)
    assert torch.equal(*found)


def test_detaching_keeps_the_new_weights() -> None:
    net = model()
    with attach(net, "kaiming") as attached:
        written = net[4].weight.clone()
        assert "kaiming, std 0.08165" in str(attached.report())
        assert {(row.by, row.eval) for row in attached.report()} == {("written", "changes")}
    assert torch.equal(net[4].weight, written)


def test_a_weight_that_is_computed_is_refused() -> None:
    net = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 3)))
    with pytest.raises(SpecError, match="its weight is computed by a parametrization"):
        attach(net, {"rule": "kaiming", "at": "0"})


def test_transposed_and_grouped_convolutions_are_counted_as_torch_does() -> None:
    net = nn.Sequential(nn.ConvTranspose2d(64, 32, 3), nn.Conv2d(32, 64, 3, groups=4))
    attach(net, {"rule": "kaiming", "seed": 0})
    for layer in net:
        fan, _ = nn.init._calculate_fan_in_and_fan_out(layer.weight)
        assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / fan), rel=0.05)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("normal", "the rule normal needs std, and only it takes std"),
        ({"rule": "kaiming", "std": 0.1}, "the rule normal needs std, and only it takes std"),
        ({"rule": {"normal": -1}}, "std"),
        ({"rule": "lecun", "gain": 2}, "takes no activation and no gain"),
        ({"rule": "xavier", "gain": 2, "activation": "tanh"}, "not both"),
        ({"rule": "xavier", "fan": "out"}, "fan: out is for the rule kaiming"),
        ({"rule": "orthogonal", "distribution": "uniform"}, "has no uniform distribution"),
        ("kaimin", "did you mean 'kaiming'"),
    ],
)
def test_wrong_arguments_are_refused(arguments: Any, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        Pipeline.from_spec({"model": [{"init": arguments}]})


def test_the_short_form_and_the_long_one_are_the_same_spec() -> None:
    short, long = (
        Pipeline.from_spec({"model": [{"init": {"rule": rule, **rest}}]})
        for rule, rest in (({"normal": 0.01}, {}), ("normal", {"std": 0.01}))
    )
    assert short == long
    assert Pipeline.from_spec(short.to_spec()) == short
