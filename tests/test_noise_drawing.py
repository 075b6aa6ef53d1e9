"""Noise that is turned on draws as in training, and everything else computes as in evaluation."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from models import AlexNet, ResNet
from torch import Tensor, nn
from torch.nn import functional

from augreg import regularize
from augreg.expectation.noise.find_noise import drawing, find_noise, kept

X = torch.linspace(-1.0, 1.0, 24).reshape(4, 6)


class Net(nn.Module):
    """Batch norm, dropout as a module and as a function, and outputs that only training has."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear, self.norm, self.drop = nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Dropout(0.5)
        self.tail = Tail()
        self.norm.running_mean.fill_(0.25)
        self.norm.running_var.fill_(4.0)

    def forward(self, x: Tensor) -> Any:
        x = self.tail(self.drop(self.norm(self.linear(x))))
        return (x, x) if self.training else x


class Tail(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return functional.dropout(x, 0.25, self.training)


def by_hand(net: Net, x: Tensor, p: float, tail: float) -> Tensor:
    normalized = (net.linear(x) - 0.25) / (4.0 + net.norm.eps) ** 0.5
    return functional.dropout(functional.dropout(normalized, p), tail)


@pytest.mark.parametrize(
    ("only", "p", "tail"),
    [
        (None, 0.5, 0.25),
        ("drop", 0.5, 0.0),
        ({"type": "Tail"}, 0.0, 0.25),
        (["drop", "ta*"], 0.5, 0.25),
        ({"name": "**", "not": "drop"}, 0.0, 0.25),
    ],
)
@torch.no_grad()
def test_exactly_the_selected_noise_draws(only: Any, p: float, tail: float) -> None:
    net = Net()
    report = find_noise(net, X[:1])
    state = {name: value.clone() for name, value in net.state_dict().items()}
    with drawing(net, report, only):
        torch.manual_seed(5)
        drawn = net(X)
    torch.manual_seed(5)
    assert torch.allclose(drawn, by_hand(net, X, p, tail), atol=1e-6)
    assert all(module.training for module in net.modules())  # as it was
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())


def test_a_pattern_that_selects_no_noise_is_an_error() -> None:
    net = Net()
    report = find_noise(net, X[:1])
    for only, batch, near in (("linear", True, "norm"), ("norm", False, "drop, tail"), ("dropp", False, "drop")):
        with pytest.raises(ValueError, match=f"no module that draws is {only}; the nearest names are: {near}"):
            drawing(net, report, only, batch).__enter__()
    with pytest.raises(ValueError, match="not: taill excludes nothing; nearest: tail"):
        drawing(net, report, {"name": "**", "not": "taill"}).__enter__()
    assert all(module.training for module in net.modules())


def test_a_module_with_several_names_is_selected_by_each() -> None:
    drop = nn.Dropout(0.5)
    net = nn.ModuleDict({"one": drop, "two": drop})
    net.forward = lambda x: net["one"](x)
    report = find_noise(net, X)
    for only in ("one", "two"):
        with drawing(net, report, only):
            assert drop.training


@torch.no_grad()
def test_torchs_fast_path_for_transformers_does_not_pass_the_noise_by() -> None:
    net = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 8, 0.5, batch_first=True), 2).eval()
    x = torch.rand(2, 3, 8)
    assert torch.backends.mha.get_fastpath_enabled()
    report = find_noise(net, x[:1])
    for only in ("layers.0.dropout", {"type": "MultiheadAttention"}):
        with drawing(net, report, only):
            assert not torch.equal(net(x), net(x))
    assert torch.equal(net(x), net(x)) and torch.backends.mha.get_fastpath_enabled()


@torch.no_grad()
def test_the_mean_over_attached_dropout_of_a_linear_model_is_the_fast_rule() -> None:
    net = nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 2)).eval()
    plain = net(X)
    with regularize(net, [{"dropout": {"at": "0", "p": 0.5}}]), kept(net):
        torch.manual_seed(0)
        with drawing(net, find_noise(net, X[:1])):
            drawn = torch.stack([net(X) for _ in range(4000)])
    error = drawn.std(0) / 4000**0.5
    assert ((drawn.mean(0) - plain).abs() < 4.5 * error).all() and (error > 1e-3).all()


@torch.no_grad()
def test_dropout_attached_to_batch_norm_leaves_its_statistics_alone() -> None:
    net = nn.Sequential(nn.BatchNorm1d(6)).eval()
    net[0].running_mean.fill_(0.5)
    plain = net(X)
    with regularize(net, [{"dropout": {"at": "0", "p": 0.5}}]), drawing(net, find_noise(net, X[:1])):
        drawn = net(X)
    assert ((drawn == 0) | torch.isclose(drawn, 2 * plain)).all() and (drawn == 0).any()
    assert (net[0].running_mean == 0.5).all() and "forward" not in vars(net[0])


@torch.no_grad()
def test_dropout_attached_to_batch_norm_draws_behind_statistics_of_the_batch() -> None:
    net = nn.Sequential(nn.BatchNorm1d(6)).eval()
    normalized = (X - X.mean(0)) / (X.var(0, correction=0) + 1e-5).sqrt()
    with regularize(net, [{"dropout": {"at": "0", "p": 0.5}}]):
        report = find_noise(net, X[:1])
        for batch in (True, X):
            with drawing(net, report, batch_statistics=batch):
                drawn = net(X)
            kept_units = torch.isclose(drawn, 2 * normalized, atol=1e-5)
            assert ((drawn == 0) | kept_units).all() and (drawn == 0).any() and kept_units.any()


@torch.no_grad()
def test_statistics_of_a_batch_are_taken_under_the_same_noise() -> None:
    net = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(6)).eval()
    report = find_noise(net, X[:1])
    torch.manual_seed(2)
    with drawing(net, report, batch_statistics=X):
        mean, variance = net[1].running_mean, net[1].running_var
    torch.manual_seed(2)
    dropped = functional.dropout(X, 0.5)
    assert torch.allclose(mean, dropped.mean(0)) and torch.allclose(variance, dropped.var(0, correction=0))


@torch.no_grad()
def test_batch_norm_normalizes_by_the_batch_and_keeps_its_statistics() -> None:
    net = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6, affine=False)).eval()
    report = find_noise(net, X[:1])
    state = {name: value.clone() for name, value in net.state_dict().items()}
    with drawing(net, report, batch_statistics=True):
        drawn = net(X)
    z = net[0](X)
    assert torch.allclose(drawn, (z - z.mean(0)) / (z.var(0, correction=0) + 1e-5).sqrt(), atol=1e-6)
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    with drawing(net, report):
        assert torch.allclose(net(X), z / (1 + 1e-5) ** 0.5)  # its initial statistics


@torch.no_grad()
def test_batch_norm_normalizes_by_a_batch_of_training_images() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 4), nn.BatchNorm1d(4))
    report = find_noise(net, X[:1])
    other = torch.rand(16, 6)
    buffers = dict(net.named_buffers())
    values = {name: value.clone() for name, value in buffers.items()}
    with drawing(net, report, batch_statistics=other):
        drawn, alone = net(X), net(X[:1])
    both = []
    for x in (X, other):
        z, w = net[0](x), net[0](other)
        y = net[3](((z - w.mean(0)) / (w.var(0, correction=0) + 1e-5).sqrt()).tanh())
        both.append(y)
    mean, variance = both[1].mean(0), both[1].var(0, correction=0)
    assert torch.allclose(drawn, (both[0] - mean) / (variance + 1e-5).sqrt(), atol=1e-5)
    assert torch.allclose(alone, drawn[:1], atol=1e-6)  # whichever the other images
    assert all(net.get_buffer(name) is buffer for name, buffer in buffers.items())
    assert all(torch.equal(buffer, values[name]) for name, buffer in buffers.items())
    with drawing(net, report, "1", batch_statistics=other):
        assert torch.allclose(net[1](net[0](other)).mean(0), torch.zeros(6), atol=1e-6)
        assert net[4].running_mean is buffers["4.running_mean"]


@pytest.mark.parametrize("batch", [False, True, X])
def test_gradients_flow_through_what_was_drawn(batch: Any) -> None:
    net = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Dropout(0.5))
    report = find_noise(net, X[:1])
    with kept(net), drawing(net, report, batch_statistics=batch):
        out = net(X).square().sum()
    out.backward()  # after buffers were restored
    assert net[0].weight.grad.abs().sum() > 0


@torch.no_grad()
def test_convolutional_models_draw_and_stay() -> None:
    for net, count in ((AlexNet(), 2), (ResNet(), 0)):
        x = torch.rand(2, 3, 64, 64)
        report = find_noise(net, x[:1])
        plain = net.eval()(x)
        with kept(net), drawing(net, report):
            assert torch.equal(net(x), plain) is (count == 0)
        assert len(report.sources) == count and torch.equal(net(x), plain)
