"""Models on two ranks: a copy on each (DDP), and one that FSDP2 has split, against the same model whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
fsdp = pytest.importorskip("torch.distributed.fsdp")
if not hasattr(fsdp, "fully_shard"):
    pytest.skip("this torch has no fully_shard", allow_module_level=True)

from test_attachment_torch import RULES, regular  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn.parallel import DistributedDataParallel  # noqa: E402

from augreg import Pipeline, SpecError, regularize  # noqa: E402
from augreg.training import ema, swa  # noqa: E402

X, Y = torch.arange(24.0).reshape(4, 6) / 10, torch.tensor([0, 1, 2, 1])
LOSSES: dict[str, Any] = {
    "l1": {"l1": 0.1},
    "l2": {"l2": 0.1},
    "elastic_net": {"elastic_net": {"l1": 0.1, "l2": 0.1}},
    "orthogonality": {"orthogonality": 0.1},
}
CONSTRAINTS: dict[str, Any] = {"max_norm": {"limit": 0.5}, "orthogonal_projection": {"at": "**"}}


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Linear(6, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv(x)


def plain() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Sequential(nn.Linear(6, 8), nn.ReLU()), nn.Linear(8, 3))


def mesh() -> Any:
    return torch.distributed.device_mesh.init_device_mesh("cpu", (2,))


def shard(model: nn.Module, root: bool = True) -> nn.Module:
    """Split the first part, and with `root` the rest; without, some weights are split and others are not."""
    fsdp.fully_shard(model[0], mesh=mesh())
    return fsdp.fully_shard(model, mesh=mesh()) if root else model


def whole(value: Any) -> Any:
    return (value.full_tensor() if hasattr(value, "full_tensor") else value).detach().clone()


def message(function: Any, error: type[Exception]) -> str:
    with pytest.raises(error) as caught:
        function()
    return str(caught.value)


def penalized_gradients(name: str, root: bool, rank: int) -> list[Any]:
    criterion = Pipeline.from_spec({"loss": [LOSSES[name]]}).criterion()
    model = shard(plain(), root)
    mine = slice(2 * rank, 2 * rank + 2)
    criterion(model(X[mine]), Y[mine], model).backward()
    gradients = []
    for parameter in model.parameters():
        gradient = whole(parameter.grad)
        if not hasattr(parameter, "full_tensor"):
            torch.distributed.all_reduce(gradient)
            gradient /= 2
        gradients.append(gradient)
    return gradients


def constrained(name: str, root: bool) -> list[Any]:
    model = shard(plain(), root)
    attached = regularize(model, {"model": [], "loss": [{name: CONSTRAINTS[name]}]})
    with torch.no_grad():
        model.eval()(X)  # torch leaves the weights of the root put together after this
    attached.constrain()
    return [whole(parameter) for parameter in model.parameters()]


def drop_connect(name: str, after: bool) -> dict[str, Any]:
    model = shard(plain()) if after else plain()
    attached = regularize(model, [{"drop_connect": {"at": name, "p": 0.5}}, {"dropout": {"at": "0.1", "p": 0.1}}])
    if not after:
        shard(model)
    first, second = model.train()(X), model(X)
    first.sum().backward()
    found = {"noise": not torch.equal(first, second), "eval": model.eval()(X).detach()}
    attached.detach()
    model.train()
    found["quiet"] = torch.equal(model(X), model(X))
    found["runs"] = [row.runs for row in attached.report()]
    return found


def average(make: Any) -> list[Any]:
    model = plain()
    mean = make(model)
    shard(model)
    shard(mean.module)
    mean.update_parameters(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
        model.eval()(X)  # the weights of its root are put together, those of the average are not
    mean.update_parameters(model)
    return [whole(parameter) for parameter in mean.module.parameters()]


def on_own_layer() -> list[str]:
    """DropConnect at a layer that is sharded by itself."""
    model = plain()
    attached = regularize(model, [{"drop_connect": {"at": "1"}}])
    fsdp.fully_shard(model[1], mesh=mesh())
    model.train()(X).sum().backward()
    name = type(model[1]).__name__
    attached.detach()
    model(X).sum().backward()
    refused = message(lambda: regularize(model, [{"drop_connect": {"at": "1"}}]), SpecError)
    return [name, type(model[1]).__name__, refused]


def skipped(inner: bool) -> int:
    """Ranks drop different branches, and neither waits for the other for ever."""
    model = nn.Sequential(Block(), Block())
    rule = {"stochastic_depth": {"at": "*", "survival": 0.5, "mode": "batch", "skip": True}}
    attached = regularize(model, [rule])
    for block in model:
        fsdp.fully_shard(block.conv if inner else block, mesh=mesh())
    for _ in range(6):
        model.train()(X).sum().backward()
    return sum(row.runs or 0 for row in attached.report())


def initial() -> list[Any]:
    model = shard(plain())
    kaiming, orthogonal = {"at": "0.0", "rule": "kaiming", "seed": 1}, {"at": "1", "rule": "orthogonal"}
    regularize(model, [{"init": kaiming}])
    regularize(model, [{"init": orthogonal}])
    return [whole(model[0][0].weight), whole(model[1].weight)]


def copies(rank: int, folder: str) -> None:
    """Train a model of which each rank has a copy, with the same seed and images, and write down what comes out."""
    rules = [*RULES[:3], {"stochastic_depth": {"at": "layer*.*", "survival": 0.5, "skip": True, "mode": "batch"}}]
    model, _ = regular(rules)
    parallel = DistributedDataParallel(model)
    outputs = []
    for _ in range(4):  # ranks skip different branches, and the reducer must not wait for them
        output = parallel(torch.ones(4, 3, 8, 8))
        output.square().sum().backward()
        outputs.append(output.detach())
    gradients = [p.grad for p in model.parameters()]
    torch.save({"outputs": torch.stack(outputs), "gradients": gradients}, f"{folder}/{rank}.pt")


def work(rank: int, folder: str) -> None:
    """All that two ranks compute together; rank 0 writes down what both agree on."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    copies(rank, folder)
    torch.distributed.barrier()
    found: dict[Any, Any] = {}
    for root in (True, False):
        found |= {(name, root): penalized_gradients(name, root, rank) for name in LOSSES}
        found |= {(name, root): constrained(name, root) for name in CONSTRAINTS}
    found |= {("drop_connect", at, after): drop_connect(at, after) for at in ("0.0", "1") for after in (True, False)}
    found["ema"], found["swa"] = average(lambda model: ema(model, 0.5)), average(swa)
    found["copy"] = message(lambda: ema(shard(plain())), TypeError)
    found["mixed"] = message(lambda: ema(plain()).update_parameters(shard(plain())), TypeError)
    found["own layer"] = on_own_layer()
    found["skipped"] = [skipped(inner) for inner in (False, True)]
    found["init"] = initial()
    if rank == 0:
        torch.save(found, f"{folder}/found.pt")
    torch.distributed.barrier()  # gloo aborts now and then where a rank leaves before the other, or holds its group
    torch.distributed.destroy_process_group()


def penalties_have_the_gradients_of_the_whole_model(found: dict[Any, Any], name: str, root: bool) -> None:
    model = plain()
    loss = nn.functional.cross_entropy(model(X), Y)
    for layer in (model[0][0], model[1]):
        w = layer.weight
        product = w @ w.T if len(w) <= w.shape[1] else w.T @ w
        terms = {
            "l1": w.abs().sum(),
            "l2": w.square().sum(),
            "elastic_net": w.abs().sum() + w.square().sum(),
            "orthogonality": (product - torch.eye(len(product))).square().sum(),
        }
        loss = loss + 0.1 * terms[name]
    loss.backward()
    for gradient, parameter in zip(found[name, root], model.parameters(), strict=True):
        torch.testing.assert_close(gradient, parameter.grad)


def constraints_hold_for_the_whole_weights(found: dict[Any, Any], root: bool) -> None:
    results = zip(
        found["max_norm", root], found["orthogonal_projection", root], plain().named_parameters(), strict=True
    )
    for limited, projected, (_, parameter) in results:
        value = parameter.detach()
        if value.ndim == 1:
            assert torch.equal(limited, value) and torch.equal(projected, value)
            continue
        norms = value.norm(dim=1, keepdim=True)
        torch.testing.assert_close(limited, value * (0.5 / norms).clamp(max=1), rtol=1e-5, atol=1e-6)
        left, _, right = torch.linalg.svd(value, full_matrices=False)
        torch.testing.assert_close(projected, left @ right)


def drop_connect_draws_evaluates_and_goes(found: dict[Any, Any], at: str, after: bool) -> None:
    result = found["drop_connect", at, after]
    assert result["noise"] and result["quiet"] and result["runs"] == [2, 2]
    torch.testing.assert_close(result["eval"], plain()(X).detach())


def a_layer_that_is_sharded_by_itself_gets_drop_connect_before(found: dict[Any, Any]) -> None:
    attached, detached, refused = found["own layer"]
    assert (attached, detached) == ("FSDPDropConnectLinear", "FSDPLinear")
    assert "got FSDPLinear; attach before you call fully_shard on it" in refused


def averages_are_those_of_the_whole_model(found: dict[Any, Any]) -> None:
    for name in ("ema", "swa"):  # w at first, then w + 1, half each
        for value, parameter in zip(found[name], plain().parameters(), strict=True):
            torch.testing.assert_close(value, parameter.detach() + 0.5)
    assert "make the average first" in found["copy"] and "are split over the ranks" in found["mixed"]


def no_rank_waits_for_ever(found: dict[Any, Any]) -> None:
    assert found["skipped"] == [12, 12]


def initial_weights_are_those_of_the_whole_model(found: dict[Any, Any]) -> None:
    model = plain()
    regularize(model, [{"init": {"at": "0.0", "rule": "kaiming", "seed": 1}}])
    torch.testing.assert_close(found["init"][0], model[0][0].weight.detach())
    torch.testing.assert_close(found["init"][1] @ found["init"][1].T, torch.eye(3))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where two ranks wrote down what they found. They are forks of one process: to import torch takes longest."""
    where = tmp_path_factory.mktemp("ranks")
    done = subprocess.run([sys.executable, __file__, where], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return where


def test_copies_draw_different_masks_and_agree_on_gradients(folder: Path) -> None:
    first, second = (torch.load(folder / f"{rank}.pt") for rank in (0, 1))
    assert not torch.equal(first["outputs"], second["outputs"])
    for a, b in zip(first["gradients"], second["gradients"], strict=True):
        assert a is not None and torch.equal(a, b)


def test_a_model_that_is_split_over_two_ranks_is_regularized_as_the_whole_model(folder: Path) -> None:
    found = torch.load(folder / "found.pt")
    for root in (True, False):
        for name in LOSSES:
            penalties_have_the_gradients_of_the_whole_model(found, name, root)
        constraints_hold_for_the_whole_weights(found, root)
        for at in ("0.0", "1"):
            drop_connect_draws_evaluates_and_goes(found, at, after=root)
    a_layer_that_is_sharded_by_itself_gets_drop_connect_before(found)
    averages_are_those_of_the_whole_model(found)
    no_rank_waits_for_ever(found)
    initial_weights_are_those_of_the_whole_model(found)


if __name__ == "__main__":
    torch.multiprocessing.start_processes(work, (sys.argv[1],), nprocs=2, start_method="fork")
