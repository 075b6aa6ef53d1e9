"""Noise of models that are compiled, distributed, or in half precision: it draws, and evaluation stays the same."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from augreg.expectation.batch_norm.shift import batch_norm_shift, recalibrate_batch_norm
from augreg.expectation.noise.find_noise import drawing, find_noise, kept

X = torch.linspace(-1.0, 1.0, 24).reshape(4, 6)


class Tail(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return functional.dropout(x, 0.25, self.training)


def plain() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), Tail())


def in_place() -> nn.Module:
    net = plain()
    net.compile(backend="eager")
    return net


def partly() -> nn.Module:
    net = plain()
    net[2], net[3] = torch.compile(net[2], backend="eager"), torch.compile(net[3], backend="aot_eager")
    return net


@contextlib.contextmanager
def one_process(path: Path) -> Iterator[None]:
    torch.distributed.init_process_group("gloo", init_method=f"file://{path / 'store'}", rank=0, world_size=1)
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()


def check(net: nn.Module, x: Tensor) -> None:
    """Each source draws as it does in the plain model, and evaluation is as before."""
    report = find_noise(net, x[:1])
    assert report.names == ("2", "3") and report.batch_norms == ("1",)
    reference = plain().to(x.dtype).eval()
    net.eval()
    with torch.no_grad():
        before = net(x)
        for only, places in ((None, (2, 3)), ("2", (2,)), ({"type": "Tail"}, (3,))):
            with kept(net), drawing(net, report, only):
                torch.manual_seed(3)
                drawn = [net(x), net(x)]
            torch.manual_seed(3)
            for place in places:
                reference[place].training = True
            assert all(torch.allclose(each, reference(x)) for each in drawn)
            assert not torch.equal(*drawn)
            reference.eval()
        assert torch.equal(net(x), before) and torch.allclose(before, reference(x))


@pytest.mark.parametrize(
    "build", [lambda: torch.compile(plain(), backend="eager"), in_place, partly, lambda: nn.DataParallel(plain())]
)
def test_compiled_and_parallel_models_draw_as_plain_ones(build: Any) -> None:
    torch._dynamo.reset()
    check(build(), X)


def test_a_search_compiles_nothing() -> None:
    compiled = []
    torch._dynamo.reset()
    net = plain()
    net.compile(backend=lambda module, inputs: compiled.append(module) or module.forward)
    assert find_noise(net, X[:1]).names == ("2", "3")
    assert len(batch_norm_shift(net, X)) == 1 and not compiled
    recalibrate_batch_norm(net, X)
    assert torch.allclose(net[1].running_mean, net[0](X).mean(0)) and not compiled
    with torch.no_grad(), drawing(net, find_noise(net, X[:1])):
        net(X)
    assert compiled


def test_models_with_functions_that_compile_themselves_are_searched() -> None:
    flex = pytest.importorskip("torch.nn.attention.flex_attention")
    if not hasattr(TorchDispatchMode, "supports_higher_order_operators"):
        pytest.skip("this torch runs no higher-order operators under a mode")

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.drop = nn.Dropout(0.5)

        def forward(self, x: Tensor) -> Tensor:
            return self.drop(flex.flex_attention(x, x, x))

    assert find_noise(Attention(), torch.rand(1, 1, 16, 16)).names == ("drop",)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_noise_draws_in_every_precision(dtype: torch.dtype) -> None:
    check(plain().to(dtype), X.to(dtype))


def test_distributed_models_draw_as_plain_ones(tmp_path: Path) -> None:
    fsdp = pytest.importorskip("torch.distributed.fsdp")
    with one_process(tmp_path):
        check(nn.parallel.DistributedDataParallel(plain()), X)
        mesh = torch.distributed.device_mesh.init_device_mesh("cpu", (1,))
        net = plain()
        fsdp.fully_shard(net[0], mesh=mesh)
        check(fsdp.fully_shard(net, mesh=mesh), X)


@torch.no_grad()
def test_averages_of_weights_draw_as_plain_models() -> None:
    check(torch.optim.swa_utils.AveragedModel(plain()), X)
