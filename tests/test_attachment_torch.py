"""Attached regularizers in torch's machinery: copies, pickles, compilers, export, checkpointing, autocast."""

from __future__ import annotations

import copy
import io
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from models import AlexNet, ResNet
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.checkpoint import checkpoint

from augreg import regularize
from augreg.attachment.attach import attachments
from augreg.errors import SpecError

RULES: list[dict[str, Any]] = [
    {"dropout": {"at": "layer*.*.relu", "p": {"linear": [0.3, 0.5], "over": [0, 10]}}},
    {"drop_connect": {"at": "fc", "p": 0.3}},
    {"drop_block": {"at": "layer2.0.conv2", "p": 0.2, "block_size": 2}},
    {"stochastic_depth": {"at": "layer*.*", "survival": 0.5, "skip": True}},
]


def regular(rules: Any = RULES, layers: tuple[int, ...] = (1, 1)) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    model = ResNet(layers=layers)
    regularize(model, rules)
    return model, torch.randn(4, 3, 8, 8)


def noisy(model: nn.Module, x: Tensor) -> bool:
    """Whether training draws noise: without noise, two calls with the same batch are equal."""
    return not torch.equal(model.train()(x), model(x))


def test_a_copy_has_regularization_of_its_own() -> None:
    model, x = regular()
    twin = copy.deepcopy(model)
    (mine,), (its,) = attachments(model), attachments(twin)
    assert its.report() == mine.report() and its is not mine
    assert noisy(twin, x) and torch.equal(twin.eval()(x), twin(x))
    statistics = model.layer1[0].bn1.running_mean.clone()
    twin.train()(x)
    assert torch.equal(model.layer1[0].bn1.running_mean, statistics)  # nothing in the copy leads to the original
    mine.set_epoch(10)
    assert mine.report()[0].numbers == "p=0.5" and its.report()[0].numbers == "p=0.3"
    mine.detach()
    assert noisy(twin, x) and not noisy(model, x)
    its.detach()
    assert not noisy(twin, x) and not attachments(twin)
    assert type(twin.fc) is nn.Linear


def test_an_average_of_weights_keeps_its_own_attachment() -> None:
    model, x = regular()
    average = AveragedModel(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    average.update_parameters(model)
    attachments(model)[0].detach()
    assert noisy(average, x)
    assert list(average.module.state_dict()) == list(model.state_dict())
    attachments(average)[0].detach()
    assert not noisy(average, x)


@pytest.mark.parametrize("way", ["pickle", "torch"])
def test_a_pickled_model_is_regularized(way: str) -> None:
    model, x = regular()
    if way == "pickle":
        loaded = pickle.loads(pickle.dumps(model))
    else:
        buffer = io.BytesIO()
        torch.save(model, buffer)
        buffer.seek(0)
        loaded = torch.load(buffer, weights_only=False)
    assert torch.equal(loaded.eval()(x), model.eval()(x)) and noisy(loaded, x)
    attachments(loaded)[0].set_epoch(10)
    assert attachments(loaded)[0].report()[0].numbers == "p=0.5"
    attachments(loaded)[0].detach()
    assert not noisy(loaded, x)


LOADS = """
import sys, torch
model = torch.load(sys.argv[1], weights_only=False)
x = torch.ones(4, 3, 8, 8)
from augreg import regularize
from augreg.attachment.attach import attachments
print(not torch.equal(model(x), model(x)))
regularize(model, [{"dropout": {"at": "layer1.0.conv1", "p": 0.5}}, {"dropout": {"at": "bn1", "p": 0.5}}])
print(len(model.layer1[0].relu._forward_hooks), len(attachments(model)))
for attached in attachments(model):
    attached.detach()
print(torch.equal(model(x), model(x)))
"""


def test_another_process_loads_the_model_and_its_hooks_do_not_clash_with_new_ones(tmp_path: Path) -> None:
    model, _ = regular()
    torch.save(model, tmp_path / "model.pt")
    code = [sys.executable, "-c", LOADS, str(tmp_path / "model.pt")]
    tests = str(Path(__file__).parent)
    done = subprocess.run(code, capture_output=True, text=True, check=True, env={"PYTHONPATH": tests})
    assert done.stdout.split("\n") == ["True", "1 2", "True", ""]


def compiled(model: nn.Module, backend: str) -> Any:
    torch._dynamo.reset()
    return torch.compile(model, fullgraph=True, backend=backend)


@pytest.mark.parametrize("backend", ["eager", "aot_eager", pytest.param("inductor", marks=pytest.mark.soak)])
@pytest.mark.filterwarnings("ignore:.torch.jit.*:DeprecationWarning")  # inductor's own imports
def test_compiled_models_draw_fresh_masks_and_evaluate_as_plain_ones(backend: str) -> None:
    model, x = regular(layers=(1,), rules=[*RULES[:2], RULES[3]])
    fast = compiled(model, backend)
    first, second = fast(x), fast(x)
    assert not torch.equal(first, second)
    first.sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    model.eval()
    if backend == "inductor":
        torch.testing.assert_close(fast(x), model(x))
    else:
        assert torch.equal(fast(x), model(x))
    model.train()
    assert not torch.equal(fast(x), fast(x))
    attachments(model)[0].detach()
    assert torch.equal(fast(x), fast(x))


def test_schedules_do_not_recompile_at_each_step() -> None:
    """Every kind of number changes in each of 12 epochs; after 8 recompilations fullgraph raises."""
    torch.manual_seed(0)
    model = AlexNet()
    p = {"linear": [0.1, 0.7], "over": [0, 12]}
    rules = [
        {"dropout": {"at": {"type": "Dropout"}, "p": p}},
        {"spatial_dropout": {"at": "features.1", "p": p}},
        {"drop_connect": {"at": "classifier.6", "p": p}},
        {"activation_noise": {"at": "features.3", "std": p}},
    ]
    attached = regularize(model, rules)
    fast = compiled(model, "eager")
    x = torch.randn(2, 3, 64, 64)
    torch._dynamo.utils.counters.clear()
    for epoch in range(12):
        attached.set_epoch(epoch)
        assert not torch.equal(fast(x), fast(x))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] <= 3
    # and the compiled code sees the numbers: all dropped, all kept
    model = nn.Sequential(nn.Identity())
    attached = regularize(model, [{"dropout": {"at": "0", "p": {"linear": [0, 1], "over": [0, 10]}}}])
    fast = compiled(model, "eager")
    fractions = []
    for epoch in range(11):
        attached.set_epoch(epoch)
        fractions.append(float((fast(torch.ones(10000)) == 0).float().mean()))
    assert all(abs(fraction - epoch / 10) < 5 * 0.005 for epoch, fraction in enumerate(fractions))


@pytest.mark.parametrize("strict", [False, True])
def test_export_in_evaluation_gives_the_plain_model(strict: bool) -> None:
    if strict and tuple(map(int, torch.__version__.split(".")[:2])) < (2, 10):
        pytest.skip("torch 2.9 and older refuse it: docs/attaching.md")
    model, x = regular()
    plain = copy.deepcopy(model)
    attachments(plain)[0].detach()
    exported = torch.export.export(model.eval(), (x,), strict=strict)
    assert torch.equal(exported.module()(x), plain.eval()(x))
    assert set(exported.state_dict) == set(plain.state_dict())


def test_a_symbolic_trace_in_evaluation_gives_the_plain_model() -> None:
    model, x = regular([RULES[0], *RULES[2:]])  # DropConnect looks at its input's type, which no trace can
    traced = torch.fx.symbolic_trace(model.eval())
    assert torch.equal(traced(x), model(x))


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("seed", [None, 5])
def test_gradients_under_checkpointing_are_the_plain_ones_bit_for_bit(reentrant: bool, seed: int | None) -> None:
    rules = [{name: {**fields, "seed": seed}} for rule in RULES for name, fields in rule.items()]
    found = []
    for checkpointing in (False, True):
        model, x = regular(rules, (2, 2))
        x.requires_grad_()
        torch.manual_seed(1)
        for _ in range(3):
            h = model.relu(model.bn1(model.conv1(x)))
            for layer in (model.layer1, model.layer2):
                h = checkpoint(layer, h, use_reentrant=reentrant) if checkpointing else layer(h)
            model.fc(model.avgpool(h).flatten(1)).square().sum().backward()
        found.append([x.grad, *(p.grad for p in model.parameters())])
    for a, b in zip(*found, strict=True):
        assert (a is None and b is None) or torch.equal(a, b)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast(dtype: torch.dtype) -> None:
    model, x = regular()
    with torch.autocast("cpu", dtype):
        y = model(x)
        assert y.dtype == dtype and not torch.equal(y, model(x))
        plain = copy.deepcopy(model)
        attachments(plain)[0].detach()
        assert torch.equal(model.eval()(x), plain.eval()(x))
    y.float().sum().backward()
    assert all(p.grad is None or p.grad.dtype == torch.float32 for p in model.parameters())


def test_a_model_within_distributed_data_parallel_is_taken_out_of_it() -> None:
    model = nn.DataParallel(nn.Sequential(nn.Linear(2, 2)))  # the wrapper that needs no process group
    attached = regularize(model, [{"dropout": "0"}])
    assert attached.model is model.module and attached.report()[0].module == "0"
    assert attachments(model) == (attached,)


def test_names_are_those_of_the_model_inside_an_average() -> None:
    average = AveragedModel(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)))
    attached = regularize(average, [{"dropout": "0"}])
    assert attached.report()[0].module == "0" and attachments(average) == (attached,)
    with pytest.raises(SpecError, match="nearest: 0, 1"):
        regularize(average, [{"dropout": "module.0"}])


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda part: pickle.loads(pickle.dumps(part))])
def test_a_copy_of_a_part_has_its_own_attachment(copied: Any) -> None:
    model, x = regular()
    for twin in (copied(model.layer1), copied(copied(model).layer1)):
        (mine,) = attachments(model)
        assert attachments(model.layer1) == ()  # the handle of the whole is there
        (its,) = attachments(twin)
        assert attachments(twin) == (its,)
        assert [row.module for row in its.report()] == ["layer1.0", "layer1.0.relu"]
        its.set_epoch(10)
        assert its.report()[1].numbers == "p=0.5" and mine.report()[0].numbers == "p=0.3"
        h = torch.randn(4, 4, 8, 8)
        assert noisy(twin, h)
        its.detach()
        assert not noisy(twin, h) and noisy(model, x) and attachments(twin) == ()
        regularize(twin, [{"dropout": "0.relu"}])
    twin = copied(model)
    (part,), (whole,) = attachments(twin.layer1), attachments(twin)[:1]
    for handle in (part, whole):  # in this order or the other
        handle.detach()
    assert not noisy(twin, x) and attachments(twin) == ()
    assert len(pickle.dumps(model.layer1)) < len(pickle.dumps(model)) * 0.7  # the rest does not come along
    mine.detach()
    assert not noisy(model, x) and not any("_augreg" in name for part in model.modules() for name in vars(part))
