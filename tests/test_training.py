"""Early stopping, averages of weights, batch norm's recalibration and ensembles, in plain loops."""

from __future__ import annotations

import copy
import io
import math
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
nn = torch.nn

import augreg  # noqa: E402 - after the question whether there is torch
from augreg.data import Augmented, EpochSampler  # noqa: E402
from augreg.training import BestSnapshot, EarlyStopping, Ensemble, Epochs, ema, recalibrate, swa  # noqa: E402


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Threads only cost time in models this small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def small(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.5), nn.Linear(6, 3))


def filled(value: float) -> Any:
    """A model of one weight."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, value)
    return model


def run(stopping: EarlyStopping, scores: list[float]) -> int | None:
    """The number of the score at which it stops; the model's weight is that number."""
    return next((number for number, score in enumerate(scores) if stopping.step(score, filled(number))), None)


def test_epochs_set_the_epoch_of_every_part_before_each_pass() -> None:
    rule = {"dropout": {"p": {"linear": [0.0, 0.8], "over": [0, 4]}, "at": "0"}}
    pipe = augreg.Pipeline.from_spec({"model": [rule], "loss": [{"label_smoothing": 0.1}]})
    data = Augmented([np.zeros((4, 4, 3), np.uint8)] * 2, pipe.train)
    sampler, attached, criterion = EpochSampler(data), pipe.regularize(small()), pipe.criterion()
    parts = (sampler, attached, criterion, data)
    run = Epochs(5, *parts, start=2)
    assert len(run) == 3
    for _ in range(2):  # a second loop begins at the same epoch
        seen = []
        for epoch in run:
            assert [part.epoch for part in parts] == [epoch] * 4
            assert [key.epoch for key in sampler] == [epoch] * 2
            seen.append(attached.report()[0].numbers)
        assert seen == ["p=0.4", "p=0.6", "p=0.8"]
    assert list(Epochs(2)) == [0, 1] and list(Epochs(3, start=3)) == []


def test_epochs_say_what_cannot_be_given_to_them() -> None:
    loader = torch.utils.data.DataLoader([1])
    for part, message in [
        (loader, r"part 2 is a DataLoader, which has no set_epoch\(epoch\): give the sampler of the DataLoader"),
        (
            augreg.Pipeline(),
            r"part 2 is a Pipeline, .*give an EpochSampler, .*what pipe\.regularize\(model\) returned",
        ),
        (None, "part 2 is a NoneType"),
    ]:
        with pytest.raises(TypeError, match=message):
            Epochs(3, EpochSampler([1]), part)
    for arguments in ({"count": 2.5}, {"count": True}, {"count": 3, "start": None}):
        with pytest.raises(TypeError, match=r"(count|start) is a whole number, got"):
            Epochs(**arguments)
    for count, start in ((-1, 0), (3, 4), (3, -1)):
        with pytest.raises(ValueError, match=f"expected 0 <= start <= count, got start={start} and count={count}"):
            Epochs(count, start=start)


NAN, INF = math.nan, math.inf
STOPS: list[tuple[dict[str, Any], list[float], int | None, int]] = [
    # arguments, scores, where it stops, which weights are the best
    ({"patience": 2}, [3.0, 2.0, 2.5, 2.0, 1.0], 3, 1),  # an equal score is no progress
    ({"patience": 2}, [3.0, 2.0, 2.5, 1.9, 2.5, 1.8], None, 5),
    ({"patience": 1}, [1.0, 2.0], 1, 0),
    ({"patience": 2, "mode": "max"}, [0.1, 0.3, 0.2, 0.3], 3, 1),
    ({"patience": 2, "min_delta": 0.5}, [3.0, 2.8, 2.6, 1.0], 2, 2),  # the best is kept all the same
    ({"patience": 3, "min_delta": 0.5}, [3.0, 2.8, 2.4, 2.2, 2.0, 1.8], None, 5),  # small gains add up
    ({"patience": 2}, [NAN, 3.0, NAN, INF], 3, 1),
    ({"patience": 3}, [2.0, NAN, -INF, 1.0], None, 3),
    ({"patience": 5, "nan": "stop"}, [2.0, 1.0, NAN], 2, 1),
]


@pytest.mark.parametrize(("arguments", "scores", "stops", "best"), STOPS)
def test_when_it_stops_and_what_it_keeps(
    arguments: dict[str, Any], scores: list[float], stops: int | None, best: int
) -> None:
    stopping = EarlyStopping(**arguments)
    assert run(stopping, scores) == stops
    assert stopping.stopped == (stops is not None)
    assert stopping.best.best_at == best
    model = filled(-1.0)
    stopping.restore(model)
    assert model.weight.item() == best


@pytest.mark.parametrize(("arguments", "scores", "stops", "best"), STOPS)
@pytest.mark.parametrize("cut", [1, 2])
def test_a_resumed_run_stops_at_the_same_place(
    arguments: dict[str, Any], scores: list[float], stops: int | None, best: int, cut: int
) -> None:
    first = EarlyStopping(**arguments)
    cut = cut if stops is None else min(cut, stops)
    run(first, scores[:cut])
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second = EarlyStopping(**arguments)
    second.load_state_dict(torch.load(file, weights_only=True))
    found = next((n for n, score in enumerate(scores[cut:], cut) if second.step(score, filled(n))), None)
    assert found == stops
    assert second.best.best_at == best
    model = filled(-1.0)
    second.restore(model)
    assert model.weight.item() == best


def test_a_snapshot_is_a_copy_that_training_does_not_change() -> None:
    model = small()
    best = BestSnapshot(device=None)
    assert best.update(torch.tensor(1.0), model)
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    model(torch.randn(8, 4)).square().sum().backward()
    optimizer.step()
    assert not best.update(1.5, model)
    assert not torch.equal(model[0].weight, kept["0.weight"])
    assert not torch.equal(model[1].running_mean, kept["1.running_mean"])
    parameters = [id(value) for value in model.parameters()]
    best.restore(model)
    for name, value in model.state_dict().items():
        assert torch.equal(value, kept[name]), name
    assert [id(value) for value in model.parameters()] == parameters
    optimizer.step()  # and what was restored is no reference either
    best.restore(model)
    assert torch.equal(model[0].weight, kept["0.weight"])


def test_early_stopping_refuses_what_makes_no_sense() -> None:
    for arguments in ({"patience": 0}, {"patience": 2.5}, {"patience": True}, {"mode": "low"}, {"min_delta": -0.1}):
        with pytest.raises(ValueError, match=next(iter(arguments))):
            EarlyStopping(**arguments)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="nan must be 'wait' or 'stop'"):
        EarlyStopping(nan="raise")  # type: ignore[arg-type]
    stopping = EarlyStopping()
    stopping.step(NAN, filled(0))
    with pytest.raises(RuntimeError, match="none of 1 scores was finite"):
        stopping.restore(filled(0))


def test_without_a_model_it_only_counts() -> None:
    stopping = EarlyStopping(patience=2)
    assert [stopping.step(score) for score in (1.0, 0.5, 0.7, 0.8)] == [False, False, False, True]


@pytest.mark.parametrize("warmup", [False, True])
def test_the_moving_average_is_what_its_formula_says(warmup: bool) -> None:
    model = filled(0.0)
    average = ema(model, decay=0.6, warmup=warmup)
    expected = None
    for n, value in enumerate([5.0, 1.0, -2.0, 4.0, 4.0, 8.0, 0.5, 9.0, 7.0, 3.0, 1.0, 2.0, 6.0, 5.0, 5.0, 0.0]):
        nn.init.constant_(model.weight, value)
        average.update_parameters(model)
        decay = min(0.6, n / (9 + n)) if warmup else 0.6
        expected = value if expected is None else decay * expected + (1 - decay) * value
        assert average.module.weight.item() == pytest.approx(expected, rel=1e-5)
    assert pickle.loads(pickle.dumps(average)).module.weight.item() == average.module.weight.item()
    with pytest.raises(ValueError, match="decay must be at least 0 and less than 1, got 1"):
        ema(model, decay=1)


def test_swa_is_the_mean() -> None:
    model, values = filled(0.0), [5.0, 1.0, -2.0, 4.0]
    average = swa(model)
    for value in values:
        nn.init.constant_(model.weight, value)
        average.update_parameters(model)
    assert average.module.weight.item() == pytest.approx(np.mean(values))


def batches(count: int = 5, size: int = 16) -> list[Any]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(size, 4, generator=generator) * 3 + 1 for _ in range(count)]


def statistics(model: Any, data: list[Any]) -> tuple[Any, Any]:
    """The means over batches of what comes out of the first layer, and of its unbiased variance, in float64."""
    weight, bias = (value.detach().double() for value in model[0].parameters())
    outs = [x.double() @ weight.T + bias for x in data]
    return torch.stack([o.mean(0) for o in outs]).mean(0), torch.stack([o.var(0) for o in outs]).mean(0)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda x: x,
        lambda x: (x, torch.zeros(len(x), dtype=torch.int64)),
        lambda x: [x, "name"],
        lambda x: {"label": torch.zeros(len(x), dtype=torch.int64), "image": x},
    ],
    ids=["tensor", "tuple", "list", "mapping"],
)
@pytest.mark.parametrize("noise", [False, True])
def test_recalibrated_batch_norm_has_the_statistics_of_the_averaged_weights(wrap: Any, noise: bool) -> None:
    model, data = small(), batches()
    average = swa(model)
    for seed in (1, 2):
        model.load_state_dict(small(seed).state_dict())
        model.train()(data[0])
        average.update_parameters(model)
    average.eval()
    stale = average.module[1].running_mean.clone()
    recalibrate(average, (wrap(x) for x in data), noise=noise)
    mean, variance = statistics(average.module, data)
    torch.testing.assert_close(average.module[1].running_mean.double(), mean, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(average.module[1].running_var.double(), variance, rtol=1e-5, atol=1e-5)
    assert (average.module[1].running_mean - stale).abs().max() > 0.1
    assert average.module[1].momentum == 0.1
    assert not any(module.training for module in average.modules())
    # and torch's own way agrees where nothing is random before the layer
    torch.optim.swa_utils.update_bn(data, average)
    torch.testing.assert_close(average.module[1].running_var.double(), variance, rtol=1e-5, atol=1e-5)


def test_recalibration_is_silent_where_training_is_noisy() -> None:
    """Dropout before batch norm raises the variance that training sees, by a factor 2 for p = 0.5 and a mean of 0."""
    model = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(4, affine=False), nn.Dropout(0.5), nn.BatchNorm1d(4))
    data = [torch.randn(4000, 4, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]
    torch.manual_seed(0)
    model.train()
    state = torch.get_rng_state()
    recalibrate(model, data)
    assert torch.equal(torch.get_rng_state(), state)  # nothing was drawn
    torch.testing.assert_close(model[1].running_var, torch.stack([x.var(0) for x in data]).mean(0))
    torch.testing.assert_close(model[3].running_var, torch.ones(4), rtol=1e-3, atol=0)
    assert all(module.training for module in model.modules())
    recalibrate(model, data, noise=True)
    torch.testing.assert_close(model[1].running_var, torch.full((4,), 2.0), rtol=0.15, atol=0)  # 5 sigma: 0.13


def test_recalibration_keeps_what_it_cannot_improve() -> None:
    model = small()
    model.train()(batches()[0])
    model[3].eval()
    modes = [module.training for module in model.modules()]
    before = copy.deepcopy(model.state_dict())

    def broken() -> Any:
        yield batches()[0]
        raise OSError("the disk is gone")

    for given, error, message in [
        ([], ValueError, "there are no batches"),
        ([{"label": torch.zeros(3, dtype=torch.int64)}], TypeError, "no tensor for the model .*take=lambda"),
        ([batches()[0], ["a"]], TypeError, "no tensor for the model"),
        (broken(), OSError, "the disk is gone"),
    ]:
        with pytest.raises(error, match=message):
            recalibrate(model, given)
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
        assert [module.training for module in model.modules()] == modes
        assert "forward" not in vars(model[1]) and model[1].momentum == 0.1
    recalibrate(nn.Linear(4, 3), broken())  # nothing to do: no batch is read
    recalibrate(model, [{"pixels": {"left": batches()[0]}}], take=lambda batch: batch["pixels"]["left"])
    assert model[1].num_batches_tracked == 1


def test_what_is_attached_to_a_batch_norm_layer_is_silent_too() -> None:
    """The layer computes as in training, but its mode, which hooks ask for, does not say so."""
    model = nn.Sequential(nn.BatchNorm1d(4), nn.BatchNorm1d(4))
    seen = []
    model[0].register_forward_hook(lambda module, inputs, output: seen.append(module.training))
    recalibrate(model.train(), batches())
    assert seen == [False] * 5
    assert model[0].training


class Halving:
    """A forward that a wrapper has put on a layer."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer

    def __call__(self, x: Any) -> Any:
        return type(self.layer).forward(self.layer, x / 2)


def test_recalibration_keeps_the_forward_that_a_layer_has_of_its_own() -> None:
    model = nn.Sequential(nn.BatchNorm1d(4), nn.BatchNorm1d(4))
    model[0].forward = own = Halving(model[0])
    recalibrate(model, batches())
    assert vars(model[0])["forward"] is own and "forward" not in vars(model[1])
    expected = torch.stack([x.var(0) for x in batches()]).mean(0) / 4
    torch.testing.assert_close(model[0].running_var, expected)


@pytest.mark.parametrize("extra", [(), (2, 2)])
@pytest.mark.parametrize("multi_label", [False, True])
def test_what_an_ensemble_returns(extra: tuple[int, ...], multi_label: bool) -> None:
    torch.manual_seed(0)
    members = [nn.Conv2d(3, 5, 1) if extra else nn.Linear(3, 5) for _ in range(3)]
    x = torch.randn(4, 3, *extra)
    logits = torch.stack([member(x) for member in members]).double()
    p = logits.sigmoid() if multi_label else logits.softmax(2)
    product, complement = p.prod(0) ** (1 / 3), (1 - p).prod(0) ** (1 / 3)
    expected = {
        "probabilities": p.mean(0),
        "geometric": product / (product + complement if multi_label else product.sum(1, keepdim=True)),
        "logits": logits.mean(0),
    }
    for mean, value in expected.items():
        found = Ensemble(members, mean, multi_label=multi_label)(x)  # type: ignore[arg-type]
        torch.testing.assert_close(found.double(), value, rtol=1e-5, atol=1e-6)
    assert Ensemble([member.bfloat16() for member in members])(x.bfloat16()).dtype == torch.float32


def test_an_ensemble_is_a_module() -> None:
    members = [small(1), small(2)]
    ensemble = Ensemble(members).eval()
    assert not any(module.training for member in members for module in member.modules())
    x = torch.randn(5, 4)
    other = Ensemble([small(3), small(4)]).eval()
    other.load_state_dict(ensemble.state_dict())
    assert torch.equal(other(x), ensemble(x))
    assert torch.equal(copy.deepcopy(ensemble)(x), ensemble(x))
    torch.testing.assert_close(ensemble(x).sum(1), torch.ones(5))
    ensemble.train()
    assert members[0][3].training


def test_snapshots_make_an_ensemble_and_leave_the_model_alone() -> None:
    model, x = small(), torch.randn(5, 4)
    states = [copy.deepcopy(small(seed).state_dict()) for seed in (1, 2, 3)]
    kept = copy.deepcopy(model.state_dict())
    ensemble = Ensemble.of_snapshots(model, states, mean="logits").eval()
    expected = torch.stack([small(seed).eval()(x) for seed in (1, 2, 3)]).mean(0)
    torch.testing.assert_close(ensemble(x), expected)
    assert all(torch.equal(value, kept[name]) for name, value in model.state_dict().items())


def test_an_ensemble_refuses_what_makes_none() -> None:
    model = small()
    for members, message in [([], "needs at least one member"), ([model, model], "was given twice.*of_snapshots")]:
        with pytest.raises(ValueError, match=message):
            Ensemble(members)
    with pytest.raises(ValueError, match="mean is 'probabilities', 'geometric' or 'logits', got 'median'"):
        Ensemble([model], "median")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="must return a tensor of logits, got tuple"):
        Ensemble([nn.Identity()])((1, 2))
    with pytest.raises(ValueError, match=r"must be samples x classes x \.\., got the shape \[3\]"):
        Ensemble([nn.Identity()])(torch.zeros(3))


def test_a_plain_loop_on_digits_with_all_of_it() -> None:
    """Penalties, constraints, smoothing, an average, early stopping and an ensemble, in one loop."""
    digits = pytest.importorskip("sklearn.datasets").load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    x = torch.tensor(digits.data[order] / 16, dtype=torch.float32)
    y = torch.tensor(digits.target[order])
    pipe = augreg.Pipeline.from_spec(
        {"loss": [{"label_smoothing": 0.1}, {"l2": 1e-4}, {"max_norm": {"limit": 1.0, "at": "0.*"}}]}
    )
    loss = pipe.criterion()
    averages = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 10))
        optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
        average = ema(model, 0.95, warmup=True)
        stopping = EarlyStopping(patience=3, mode="max")
        for _ in Epochs(12, loss):
            model.train()
            for batch in torch.randperm(1200).split(100):
                optimizer.zero_grad()
                loss(model(x[batch]), y[batch], model).backward()
                optimizer.step()
                loss.constrain(model)
                average.update_parameters(model)
            with torch.no_grad():
                score = (model.eval()(x[1200:1500]).argmax(1) == y[1200:1500]).float().mean()
            if stopping.step(score, model):
                break
        stopping.restore(model)
        assert (model(x[1200:1500]).argmax(1) == y[1200:1500]).float().mean().item() == stopping.best.score
        assert model[0].weight.norm(dim=1).max() <= 1 + 1e-5
        recalibrate(average, x[:1200].split(100))
        averages.append(average)
    ensemble = Ensemble(averages).eval()
    with torch.no_grad():
        right = (ensemble(x[1500:]).argmax(1) == y[1500:]).float().mean()
    assert right > 0.93


def test_an_average_of_a_regularized_model_is_regularized_by_itself() -> None:
    """The copy has layers of its own, silent in eval and in recalibration, and the model's detach leaves it alone."""
    pipe = augreg.Pipeline.from_spec({"model": [{"dropout": {"p": 0.5, "at": ["0", "1"]}}]})
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.BatchNorm1d(6), nn.Linear(6, 3))
    plain = copy.deepcopy(model)
    attached = pipe.regularize(model)
    averages = [swa(model), swa(plain)]
    for average, source in zip(averages, (model, plain), strict=True):
        average.update_parameters(source)
        recalibrate(average, batches())
    assert averages[0].state_dict().keys() == averages[1].state_dict().keys()
    for name, value in averages[0].state_dict().items():
        torch.testing.assert_close(value, averages[1].state_dict()[name])
    x = batches()[0]
    assert torch.equal(averages[0].eval()(x), averages[1].eval()(x))
    attached.detach()
    averages[0].train()
    with torch.no_grad():
        assert not torch.equal(averages[0](x), averages[0](x))  # two masks


@pytest.mark.parametrize("make", [ema, swa])
def test_an_average_follows_the_schedules_of_its_model(make: Any) -> None:
    rule = {"dropout": {"p": {"linear": [0.0, 0.8], "over": [0, 4]}, "mode": "original", "at": "0"}}
    model = small()
    attached = augreg.regularize(model, [rule])
    average = copy.deepcopy(make(model))
    attached.set_epoch(4)
    average.update_parameters(model)
    x = batches()[0]
    torch.testing.assert_close(average.eval()(x), model.eval()(x))
    attached.detach()
    average.update_parameters(model)  # there is nothing to follow
    assert not torch.allclose(average(x), model(x))
