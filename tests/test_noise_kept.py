"""A model and all global generators are as before after a context, however it ends."""

from __future__ import annotations

import random
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from augreg import regularize
from augreg.attachment.attach import attachments
from augreg.expectation.noise.find_noise import drawing, find_noise, kept
from augreg.training.rng_state import counted_calls

X = torch.linspace(-1.0, 1.0, 24).reshape(4, 6)


class Stateful(nn.Module):
    """Writes into one buffer, replaces another, and draws from every global generator."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.norm = nn.Linear(6, 6), nn.BatchNorm1d(6)
        self.register_buffer("written", torch.zeros(2))
        self.register_buffer("replaced", torch.zeros(2))
        self.register_buffer("empty", None)

    def forward(self, x: Tensor) -> Tensor:
        self.written += 1
        self.replaced = self.replaced + 1
        self.empty = x
        return self.norm(self.linear(x)) * random.random() * np.random.rand() + torch.rand(())  # noqa: NPY002


def model() -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(Stateful(), nn.Linear(6, 6), nn.Dropout(0.5))
    net[1].eval()
    net[0].linear.weight.requires_grad_(False)
    net[0].linear.bias.grad = torch.ones(6)
    return net


def generators() -> tuple[Any, ...]:
    numpy = np.random.get_state(legacy=True)  # noqa: NPY002
    return random.getstate(), numpy[2], numpy[1].tolist(), torch.get_rng_state().tolist()


def state(net: nn.Module) -> tuple[Any, ...]:
    return (
        [module.training for module in net.modules()],
        {name: (id(value), value.tolist()) for name, value in net.named_buffers()},
        [(p.requires_grad, None if p.grad is None else (id(p.grad), p.grad.tolist())) for p in net.parameters()],
        net[0].empty,
    )


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt, GeneratorExit])
def test_everything_is_as_before(error: type[BaseException] | None) -> None:
    net = model()
    before, drawn = state(net), generators()
    try:
        with kept(net):
            net.train()(X).sum().backward()
            net.requires_grad_(True)
            changed = state(net)
            if error is not None:
                raise error
    except (ValueError, KeyboardInterrupt, GeneratorExit) as caught:
        assert type(caught) is error
    assert state(net) == before and generators() == drawn
    assert all(one != other for one, other in zip(changed, before, strict=True))


def test_a_search_leaves_a_model_as_it_was() -> None:
    net = model()
    before, drawn = state(net), generators()
    report = find_noise(net, X)
    assert state(net) == before and generators() == drawn
    assert {source.name for source in report.always} == {"0"} and report.names == ("2",)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        find_noise(net, X[:, :3])
    assert state(net) == before and generators() == drawn


def test_seeded_masks_go_on_where_they_were() -> None:
    def masks(net: nn.Module) -> list[Any]:
        torch.manual_seed(1)  # seeded masks repeat with the state of torch's generator
        return [(net(X) == 0).tolist() for _ in range(3)]

    rules = [{"dropout": {"at": "0", "p": 0.5, "seed": 7}}]
    nets = [nn.Sequential(nn.Linear(6, 6)) for _ in range(2)]
    for net in nets:
        regularize(net, rules)
    with kept(nets[0]), drawing(nets[0], find_noise(nets[0], X)):
        assert masks(nets[0]) == masks(nets[1].train())
        assert counted_calls(nets[0]) == {"dropout at 0": 3}
    assert counted_calls(nets[0]) == {"dropout at 0": 0}
    regularize(fresh := nn.Sequential(nn.Linear(6, 6)), rules)
    assert masks(nets[0].train()) == masks(fresh)


def test_counters_and_warnings_of_attached_regularizers_wait() -> None:
    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.idle = nn.Linear(6, 6), nn.Linear(6, 6)

        def forward(self, x: Tensor) -> Tensor:
            return self.used(x)

    net = Idle()
    attached = regularize(net, [{"dropout": {"at": "used"}}, {"alpha_dropout": {"at": "idle"}}])
    layer = attached._sites[0][1].targets[0][0]
    layer.eval()
    report = find_noise(net, X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with kept(net), drawing(net, report):
            net.training = True  # as a source that is the model itself would be
            for _ in range(120):
                net(X)
    assert [row.runs for row in attached.report()] == [0, 0] and not layer.training
    assert attachments(net) == (attached,)
    net.train()
    with pytest.warns(UserWarning, match="alpha_dropout at idle"):
        net(X)
    assert [row.runs for row in attached.report()] == [1, 0]


def test_buffers_of_inference_mode_are_kept() -> None:
    with torch.inference_mode():
        net = nn.Sequential(nn.BatchNorm1d(6))
    with kept(net), torch.inference_mode():
        net.train()(X)
    assert net[0].num_batches_tracked == 0 and (net[0].running_mean == 0).all()


def test_what_an_attached_layer_could_not_take_is_noted_by_training_only() -> None:
    net = nn.Sequential(nn.Linear(6, 6), nn.Tanh())
    attached = regularize(net, [{"spatial_dropout": {"at": {"type": "Tanh"}}}])
    assert find_noise(net, X).names == ()
    assert "left" not in str(attached.report())
    with pytest.warns(UserWarning, match="its output has 2 dimensions"):
        net.train()(X)
    assert "left: its output has 2 dimensions" in str(attached.report())
