"""expect with models of all kinds: their state is kept, and what cannot work is refused with what to do."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import augreg
from augreg.expectation.means.forward_cost import forward_cost


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Flatten(),
        nn.Linear(144, 3),
    )


def images(count: int = 2) -> Tensor:
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def state(model: nn.Module) -> Any:
    """All that a call of expect must not change."""
    numpy_state = np.random.get_state()[1].tolist()  # noqa: NPY002
    generators = (random.getstate(), numpy_state, torch.get_rng_state().tolist())
    modes = [module.training for module in model.modules()]
    values = {name: value.clone().tolist() for name, value in model.state_dict().items()}
    return generators, modes, values, [parameter.grad for parameter in model.parameters()]


class Noisy(nn.Module):
    """Draws from every generator, and fails in a late call."""

    def __init__(self, fails_at: int = 10**9) -> None:
        super().__init__()
        self.inner = network()
        self.register_buffer("calls", torch.zeros(()))
        self.fails_at = fails_at
        self.count = 0

    def forward(self, x: Tensor) -> Tensor:
        self.count += 1
        self.calls += 1
        if self.count >= self.fails_at:
            raise RuntimeError("out of order")
        factor = random.random() * np.random.rand() if self.training else 1.0  # noqa: NPY002
        return self.inner(x) * factor


@pytest.mark.parametrize("fails_at", [10**9, 12])
def test_everything_is_as_before(fails_at: int) -> None:
    model = Noisy(fails_at).train()
    model.inner[1].eval()
    before = state(model)
    expectation = augreg.expect(model, samples=16)
    if fails_at > 100:
        p = expectation(images())
        assert p.report.batches == 16  # draws that are not torch's are not known to be by row
        assert (p.standard_error > 0).all()
    else:
        with pytest.raises(RuntimeError, match="out of order"):
            expectation(images())
    assert state(model) == before


@pytest.mark.parametrize("draw", [random.random, np.random.rand])
def test_other_generators_are_seeded(draw: Callable[[], float]) -> None:
    class Scaled(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * draw() if self.training else x

    expectation = augreg.expect(Scaled(), space="value")
    first = expectation(torch.ones(1, 2)).mean
    draw()
    assert torch.equal(expectation(torch.ones(1, 2)).mean, first)


def test_the_same_seed_gives_the_same_result() -> None:
    model = network()
    augreg.regularize(model, [{"dropout": {"p": 0.5, "at": "5", "seed": 3}}])
    first = augreg.expect(model, seed=1)
    again = first(images()).mean
    assert first(images()).report.batches == 32  # the number of a call decides, not the row
    torch.rand(7)
    model[1].eval()
    model(images())  # advances the calls of the seeded layer
    assert torch.equal(first(images()).mean, again)
    assert torch.equal(augreg.expect(model, seed=1)(images()).mean, again)
    assert not torch.equal(augreg.expect(model, seed=2)(images()).mean, again)


def test_noise_that_is_attached_later_is_found() -> None:
    model = network().eval()
    expectation = augreg.expect(model, space="value")
    few = expectation(images()).standard_error.mean()
    with augreg.regularize(model, [{"drop_connect": {"p": 0.5, "at": "5", "per": "batch"}}]):
        p = expectation(images())
        assert p.standard_error.mean() > 1.5 * few
        assert p.report.batches == 32
    model[3].p = 0.0
    assert expectation(images()).standard_error.max() == 0
    schedule = {"linear": [0.0, 0.5], "over": [0, 1]}
    with augreg.regularize(model, [{"dropout": {"p": schedule, "at": "5"}}]) as attached:
        assert expectation(images()).standard_error.max() == 0
        attached.set_epoch(1)
        assert expectation(images()).standard_error.min() > 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_precisions(dtype: torch.dtype) -> None:
    expected = augreg.expect(network(), samples=256)(images())
    p = augreg.expect(network().to(dtype), samples=256)(images().to(dtype))
    assert p.mean.dtype == p.standard_error.dtype == torch.float64
    assert torch.allclose(p.mean, expected.mean, atol=0.05)
    assert p.standard_error.numpy() == pytest.approx(expected.standard_error.numpy(), rel=0.3)


def test_modes_of_torch() -> None:
    model, expected = network(), augreg.expect(network())(images())
    for mode in (torch.no_grad(), torch.inference_mode()):
        with mode:
            assert torch.equal(augreg.expect(model)(images()).mean, expected.mean)
    with torch.autocast("cpu", torch.bfloat16):
        p = augreg.expect(model)(images())
    assert p.mean.dtype == torch.float64
    assert torch.allclose(p.mean, expected.mean, atol=0.05)


def test_gradients_flow_if_they_are_asked_for() -> None:
    model, x = network(), images().requires_grad_()
    assert not augreg.expect(model)(x).mean.requires_grad
    p = augreg.expect(model, gradients=True, space="value", samples=8)(x)
    p.mean.sum().backward()
    assert x.grad is not None and model[5].weight.grad is not None
    assert torch.allclose(model[5].bias.grad, torch.full((3,), 2.0))  # 2 images, and the weights sum to 1


def test_compiled_and_distributed_models(tmp_path: Path) -> None:
    expected = augreg.expect(network())(images())
    compiled = torch.compile(network(), backend="eager")
    assert torch.allclose(augreg.expect(compiled)(images()).mean, expected.mean, atol=1e-6)
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:
        wrapped = nn.parallel.DistributedDataParallel(network())
        wrapped.register_forward_pre_hook(lambda *_: pytest.fail("its ranks would wait for one another"))
        assert torch.equal(augreg.expect(wrapped)(images()).mean, expected.mean)
    finally:
        torch.distributed.destroy_process_group()


@dataclass
class Output:
    logits: Tensor
    loss: Tensor | None = None


class WithOutput(nn.Module):
    """Returns an object, as the models of transformers do."""

    def __init__(self, make: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.inner = network()
        self.make = make

    def forward(self, pixel_values: Tensor, scale: float = 1.0) -> Any:
        return self.make(self.inner(pixel_values) * scale)


@pytest.mark.parametrize(
    ("make", "select"),
    [
        (Output, "logits"),
        (lambda x: {"logits": x}, "logits"),
        (lambda x: (x.sum(), x), 1),
        (lambda x: [[x]], lambda output: output[0][0]),
    ],
)
def test_select_names_the_logits(make: Any, select: Any) -> None:
    expected = augreg.expect(network())(images()).mean
    assert torch.equal(augreg.expect(WithOutput(make), select=select)(pixel_values=images()).mean, expected)


def test_without_select_the_parts_are_listed() -> None:
    for make in (Output, lambda x: {"logits": x, "loss": None}):
        with pytest.raises(TypeError, match=r"by select=.*'logits' \(\d+x3\)") as raised:
            augreg.expect(WithOutput(make))(images())
        assert "'loss' (NoneType)" in str(raised.value)
    with pytest.raises(ValueError, match=r"select='logit' is not in .*'logits'"):
        augreg.expect(WithOutput(Output), select="logit")(images())
    with pytest.raises(TypeError, match="NoneType, and a tensor is needed"):
        augreg.expect(WithOutput(Output), select="loss")(images())


def test_other_arguments_are_passed_on() -> None:
    model = WithOutput(lambda x: x)
    zero = augreg.expect(model, space="value")(images(), scale=0.0)
    assert not zero.mean.any()


def test_one_image_and_two_give_the_same_shapes() -> None:
    expectation = augreg.expect(network())
    assert expectation(images(1)).mean.shape == (1, 3)
    assert expectation(images(2)).mean.shape == (2, 3)
    with pytest.raises(ValueError, match="at least one image"):
        expectation(images(2)[:0])


def test_memory_is_a_bound() -> None:
    model = network()
    free = augreg.expect(model)(images(8))
    assert free.report.batches == 1
    tight = augreg.expect(model, memory=15_000)(images(8))
    assert tight.report.batches > 32 and tight.report.peak_bytes <= 15_000
    assert tight.report.forwards == free.report.forwards == 256
    assert torch.allclose(tight.mean, free.mean, atol=0.1)
    peak = _Peak()
    with peak:
        augreg.expect(model, memory=15_000)(images(8))
    assert peak.most <= 15_000
    with pytest.raises(ValueError, match=r"one image takes [\d,]+ bytes, more than memory=1,000"):
        augreg.expect(model, memory=1000)(images(8))
    with pytest.raises(ValueError, match="which batch norm cannot split"):
        augreg.expect(model, memory=15_000, batch_statistics=True)(images(8))


def test_memory_is_that_of_the_tensors_that_are_alive() -> None:
    def run(rows: int) -> Tensor:
        x = torch.zeros(rows, 1000)
        for _ in range(10):
            x = x + 1.0  # the old tensor is freed
        return x.view(-1) + torch.zeros(10).sum()

    cost = forward_cost(run)
    assert cost.per_row == 2 * 4000
    assert 0 < cost.fixed <= 100
    assert cost.rows(80_100) == 10 and cost.rows(50) == 0


def test_the_images_count_as_memory() -> None:
    class Corner(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x[:, :, 0, 0]

    assert augreg.expect(Corner(), memory=5_000)(images()).report.peak_bytes > 3 * 8 * 8 * 4
    with pytest.raises(ValueError, match="one image takes"):
        augreg.expect(Corner(), memory=5_000)(torch.zeros(1, 3, 64, 64))


class _Peak(torch.utils._python_dispatch.TorchDispatchMode):
    """The bytes of the largest tensor that an operator makes."""

    most = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        if isinstance(output, Tensor):
            self.most = max(self.most, output.untyped_storage().nbytes())
        return output


def test_statistics_of_the_batch() -> None:
    model = network().eval()
    model[3].p = 0.0
    x = images(4)
    p = augreg.expect(model, batch_statistics=True, space="value")(x)
    with torch.no_grad():
        expected = copy.deepcopy(model).train()(x)
    assert torch.allclose(p.mean.float(), expected, atol=1e-5)
    assert p.samples.tolist() == [1] * 4


def test_a_batch_whose_statistics_count_is_done_together() -> None:
    model = network().eval()
    x = images(4) * torch.tensor([0.1, 1.0, 1.0, 8.0]).reshape(4, 1, 1, 1)
    p = augreg.expect(model, batch_statistics=True, space="value", until=0.05)(x)
    assert p.report.reached and len(set(p.samples.tolist())) == 1 and p.samples[0] > 32
    alone = augreg.expect(model, space="value", until=0.05)(x)
    assert len(set(alone.samples.tolist())) > 1


def test_statistics_of_training_batches_are_a_noise() -> None:
    model = network().eval()
    model[3].p = 0.0
    x, training = images(2), [torch.randn(16, 3, 8, 8) * (1 + number / 4) for number in range(4)]
    p = augreg.expect(model, batch_statistics=training, samples=4, space="value")(x)
    outputs = []
    with torch.no_grad():
        for batch in training:
            other = copy.deepcopy(model)
            features = other[0](batch)
            other[1].running_mean.copy_(features.mean((0, 2, 3)))
            other[1].running_var.copy_(features.var((0, 2, 3), correction=0))
            outputs.append(other(x).double())
    stacked = torch.stack(outputs)
    assert torch.allclose(p.mean, stacked.mean(0), atol=1e-5)
    assert torch.allclose(p.standard_error, stacked.std(0) / 2, atol=1e-5)
    with pytest.raises(ValueError, match="has 4 batches, and 8 samples need one each"):
        augreg.expect(model, batch_statistics=training, samples=8)(x)
    with pytest.raises(TypeError, match="a list of batches"):
        augreg.expect(model, batch_statistics=training[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"space": "gmean"}, 'space="logit", then prediction.mean.softmax'),
        ({"space": "tsharpen"}, "sharpen prediction.mean"),
        ({"space": "max"}, "only means are computed"),
        ({"space": "probabilities"}, 'it is called space="probability"'),
        ({"space": None}, "is none of the spaces"),
        ({"over": "images"}, 'over has "image", "model"'),
        ({"over": ()}, 'over has "image", "model"'),
        ({"over": None}, 'over has "image", "model"'),
        ({"until": "0.01"}, "until is a standard error, which must be a positive number"),
        ({"seed": "a"}, "seed must be an integer"),
        ({"space": ["logit"]}, "is none of the spaces"),
        ({"views": 4}, "views= is for the images of a pipeline"),
        ({"by": "moment"}, 'by is "samples"'),
        ({"samples": 0}, "samples must be a positive integer"),
        ({"samples": 2.5}, "samples must be a positive integer"),
        ({"views": 0}, "views must be a positive integer"),
        ({"memory": -1}, "memory must be a positive integer"),
        ({"until": 0.0}, "must be a positive number"),
        ({"until": 0.1, "max_samples": 8}, "is less than samples=32"),
        ({"frame": "view"}, 'frame is "test"'),
        ({"space": "value", "multi_label": True}, "multi_label=True is about classes"),
        ({"over": "model", "samples": 1}, "Give samples=2 or more"),
    ],
)
def test_arguments_that_are_wrong(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as raised:
        augreg.expect(network(), **arguments)(images())
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: nn.Sequential(network(), nn.Softmax(1)), "returns probabilities, and logits are needed"),
        (lambda: nn.Sequential(network(), nn.Linear(3, 1)), "has no softmax"),
        (lambda: nn.Sequential(network(), nn.Linear(3, 1), nn.Flatten(0)), "has no softmax"),
        (lambda: _Then(lambda x: x.argmax(1)), "floating point"),
        (lambda: _Then(lambda x: x.sum()), "one row for each image"),
    ],
)
def test_outputs_that_have_no_mean_probability(model: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises((ValueError, TypeError)) as raised:
        augreg.expect(model())(images())
    assert message in str(raised.value)


class _Then(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.inner, self.function = network(), function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.inner(x))


def test_infinite_logits_have_probabilities_and_no_mean() -> None:
    model = _Then(lambda x: x.index_fill(1, torch.tensor([1]), -torch.inf))
    assert not augreg.expect(model)(images()).mean[:, 1].any()
    with pytest.raises(ValueError, match="infinite logits"):
        augreg.expect(model, space="logit")(images())


def test_models_that_are_none() -> None:
    with pytest.raises(TypeError, match="of_snapshots"):
        augreg.expect([network().state_dict()])
    with pytest.raises(ValueError, match="given twice"):
        augreg.expect([model := network(), model])
    with pytest.raises(TypeError, match="give the pipeline, too"):
        augreg.expect(network())("photo.jpg")


def test_it_is_a_module() -> None:
    model = network().train()
    expectation = augreg.expect(model)
    assert next(name.partition(".")[2] for name, _ in expectation.named_parameters()) == "0.0.weight"
    expectation.eval()
    assert not model.training
    assert "over=('image', 'model')" in repr(expectation)
    again = copy.deepcopy(expectation)
    assert torch.equal(again(images()).mean, expectation(images()).mean)
