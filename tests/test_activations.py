"""Swapping activation modules by spec, and maxout."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

import augreg
from augreg import Pipeline, SpecError

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from augreg.attachment.activations import MODULES  # noqa: E402
from augreg.nn.activations import Maxout  # noqa: E402


def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Tanh()),
        nn.Flatten(),
        nn.Linear(36, 8),
        nn.LeakyReLU(0.2),
        nn.Dropout(0.4),
        nn.Linear(8, 2),
        nn.Sigmoid(),
    )


def attach(net: nn.Module, arguments: Any) -> Any:
    return Pipeline.from_spec({"model": [{"activation": arguments}]}).regularize(net)


FUNCTIONS: dict[str, Any] = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "leaky_relu": lambda x: torch.where(x > 0, x, 0.01 * x),
    "prelu": lambda x: torch.where(x > 0, x, 0.25 * x),
    "gelu": lambda x: x * 0.5 * (1 + torch.erf(x / 2**0.5)),
    "elu": lambda x: torch.where(x > 0, x, torch.exp(x) - 1),
    "selu": lambda x: 1.0507009873554805 * torch.where(x > 0, x, 1.6732632423543772 * (torch.exp(x) - 1)),
    "silu": lambda x: x * torch.sigmoid(x),
    "mish": lambda x: x * torch.tanh(torch.log1p(torch.exp(x))),
    "hardswish": lambda x: x * (x + 3).clamp(0, 6) / 6,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_takes_the_place_of_every_activation(name: str) -> None:
    net = model().double()
    attached = attach(net, name)
    for swapped in (net[0][1], net[0][3], net[3]):
        assert isinstance(swapped, MODULES)
        x = torch.linspace(-4, 4, 41, dtype=torch.float64)
        assert torch.allclose(swapped(x.clone()), FUNCTIONS[name](x), atol=1e-9)
    assert isinstance(net[6], nn.Sigmoid)  # mostly gates and outputs: only where they are named
    assert [row.module for row in attached.report()] == ["0.1", "0.3", "3"]
    assert {row.eval for row in attached.report()} == {"changes"}


def test_a_swap_is_undone_and_leaves_the_state_dict_alone() -> None:
    net = model()
    plain, keys, x = copy.deepcopy(net).eval(), list(net.state_dict()), torch.randn(5, 3, 8, 8)
    attached = attach(net, {"to": "gelu", "at": {"type": ["ReLU", "Sigmoid"]}})
    assert [type(layer) for layer in (net[0][1], net[0][3], net[6])] == [nn.GELU, nn.Tanh, nn.GELU]
    assert list(net.state_dict()) == keys
    assert not torch.equal(net.eval()(x), plain(x))
    again = pickle.loads(pickle.dumps(net))
    assert torch.equal(again.eval()(x), net(x))
    attached.detach()
    assert isinstance(net[6], nn.Sigmoid)
    assert net[0][1].inplace
    assert torch.equal(net(x), plain(x))
    assert not net[0][1].training  # as its surroundings are now


def test_in_place_is_kept_where_there_is_such_a_form() -> None:
    net = model()
    attach(net, "silu")
    assert (net[0][1].inplace, net[0][3].inplace) == (True, False)


def test_slope_is_that_of_leaky_relu_and_where_prelu_starts() -> None:
    net = model()
    with attach(net, {"to": "leaky_relu", "slope": 0.3}):
        assert net[3].negative_slope == 0.3
    attach(net, {"to": "prelu", "slope": 0.3})
    assert net[3].weight.item() == pytest.approx(0.3)


def test_prelu_says_that_it_adds_parameters() -> None:
    net = model().half()
    attached = attach(net, {"to": "prelu", "at": "3"})
    assert "3.weight" in net.state_dict()
    assert net[3].weight.dtype == torch.float16
    assert "adds 3.weight to state_dict" in str(attached.report())
    attached.detach()
    assert "3.weight" not in net.state_dict()


def test_selu_comes_with_alpha_dropout_of_the_same_rate() -> None:
    net = model()
    old = net[4]
    attached = attach(net, "selu")
    assert isinstance(net[4], nn.AlphaDropout) and net[4].p == 0.4 and net[4].training
    assert "4 is alpha dropout now" in str(attached.report())
    net.eval()
    attached.detach()
    assert net[4] is old and not old.training
    for arguments in ({"to": "selu", "alpha_dropout": False}, {"to": "selu", "at": "3"}, "gelu"):
        with attach(net, arguments):
            assert net[4] is old


def test_selu_with_lecun_weights_keeps_mean_and_variance_through_twenty_layers() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(*(layer for _ in range(20) for layer in (nn.Linear(512, 512), nn.ReLU(), nn.Dropout(0.05))))
    Pipeline.from_spec({"model": [{"activation": "selu"}, {"init": {"rule": "lecun", "seed": 0}}]}).regularize(net)
    output = net.train()(torch.randn(64, 512))
    assert abs(output.mean().item()) < 0.1
    assert output.std().item() == pytest.approx(1.0, abs=0.1)


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x: Any) -> Any:
        return torch.relu(self.layer(x))


def test_functions_cannot_be_swapped_and_the_error_says_so() -> None:
    with pytest.raises(
        SpecError, match=r"only modules can be replaced, not functions that a forward calls \(F.relu, torch.tanh\)"
    ):
        attach(Functional(), "gelu")


def test_other_modules_are_refused_by_name() -> None:
    with pytest.raises(SpecError, match=r"5 \(Linear\): a Linear is not an activation module"):
        attach(model(), {"to": "gelu", "at": "5"})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("maxout", "make the layer before it `pieces` times as wide"),
        ({"to": "gelu", "slope": 0.1}, "slope is for leaky_relu and prelu"),
        ("gellu", "did you mean 'gelu'"),
        ({}, "activation needs 'to'"),
    ],
)
def test_wrong_arguments_are_refused(arguments: Any, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        Pipeline.from_spec({"model": [{"activation": arguments}]})


def test_maxout_is_the_maximum_of_linear_functions() -> None:
    torch.manual_seed(0)
    linear = nn.Linear(5, 12)
    x = torch.randn(7, 5)
    weights, biases = linear.weight.reshape(4, 3, 5), linear.bias.reshape(4, 3)
    pieces = torch.einsum("nd,kpd->nkp", x, weights) + biases
    assert torch.allclose(nn.Sequential(linear, Maxout(3))(x), pieces.amax(2), atol=1e-6)
    maps = torch.randn(2, 6, 4, 4, requires_grad=True)
    found = Maxout(2)(maps)
    assert torch.equal(found, torch.maximum(maps[:, ::2], maps[:, 1::2]))
    found.sum().backward()
    assert maps.grad.sum() == found.numel()  # to the larger one of each pair
    assert torch.equal(Maxout(2, dim=-1)(maps), torch.maximum(maps[..., ::2], maps[..., 1::2]))
    assert repr(Maxout(2)) == "Maxout(pieces=2, dim=1)"


def test_maxout_refuses_what_does_not_divide() -> None:
    with pytest.raises(ValueError, match="needs a multiple of 3 channels, got 4"):
        Maxout(3)(torch.zeros(1, 4))
    with pytest.raises(ValueError, match="2 or more pieces, got 1"):
        Maxout(1)


def test_the_spec_comes_back() -> None:
    pipeline = Pipeline.from_spec({"model": [{"activation": {"to": "selu", "at": "features.*"}}]})
    assert augreg.Pipeline.from_spec(pipeline.to_spec()) == pipeline
