"""What draws random numbers in a model: each way to draw is found, by the module whose mode decides."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from augreg import regularize
from augreg.expectation.noise.find_noise import NoiseReport, find_noise
from augreg.nn.dropout import Dropout
from augreg.nn.stochastic_depth import StochasticDepth

X = torch.linspace(-1.0, 1.0, 8).reshape(1, 1, 8)  # one image, a sequence of one


class Does(nn.Module):
    """A module that computes a function of itself and its input."""

    def __init__(self, function: Callable[[Any, Tensor], Tensor], **children: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, child in children.items():
            setattr(self, name, child)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


def attention(module: Any, x: Tensor) -> Tensor:
    return functional.scaled_dot_product_attention(x, x, x, dropout_p=0.2 if module.training else 0.0)


def own_generator(module: Any, x: Tensor) -> Tensor:
    return x + torch.rand(x.shape, generator=torch.Generator().manual_seed(1)) if module.training else x


def first(module: Any, x: Tensor) -> Tensor:
    out: Tensor = module.inner(x)[0]
    return out


class Noise(nn.Module):
    """A parametrization that adds noise to a weight in training."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.randn_like(x) if self.training else x


def parametrized() -> nn.Module:
    layer = nn.Linear(8, 8)
    parametrize.register_parametrization(layer, "weight", Noise())
    return layer


def encoder() -> nn.Module:
    return nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 8, 0.2, batch_first=True), 1)


IN_ENCODER = [f"layers.0.{name}" for name in ("self_attn", "dropout", "dropout1", "dropout2")]


@pytest.mark.parametrize(
    ("build", "names", "draws"),
    [
        (lambda: nn.Dropout(0.5), [""], "dropout(p=0.5)"),
        (lambda: nn.Sequential(nn.Linear(8, 8), nn.AlphaDropout(0.1)), ["1"], "alpha_dropout(p=0.1)"),
        (lambda: Does(lambda m, x: functional.dropout(x, 0.3, m.training)), [""], "dropout(p=0.3)"),
        (lambda: Does(lambda m, x: torch.dropout(x, 0.3, m.training)), [""], "bernoulli"),
        (lambda: Does(attention), [""], "bernoulli"),
        (lambda: Does(lambda m, x: functional.rrelu(x, training=m.training)), [""], "rrelu"),
        (lambda: nn.Sequential(nn.RReLU()), ["0"], "rrelu"),
        (lambda: Does(lambda m, x: m.one(x, x, x)[0], one=nn.MultiheadAttention(8, 2, 0.2)), ["one"], "dropout"),
        (encoder, IN_ENCODER, "dropout"),
        (lambda: Does(first, inner=nn.LSTM(8, 8, 2, dropout=0.5)), ["inner"], "bernoulli"),
        (lambda: Does(first, inner=nn.GRU(8, 8, 2, dropout=0.5)), ["inner"], "bernoulli"),
        (lambda: Does(lambda m, x: x + torch.rand(8) if m.training else x), [""], "rand"),
        (lambda: Does(lambda m, x: x[:, torch.randperm(1)] if m.training else x), [""], "randperm"),
        (lambda: Does(own_generator), [""], "rand"),
        (lambda: Does(lambda m, x: x * random.random() if m.training else x), [""], "random"),
        (lambda: Does(lambda m, x: x * np.random.rand() if m.training else x), [""], "numpy.random"),  # noqa: NPY002
        (lambda: Does(lambda m, x: m.inner.forward(x), inner=nn.Dropout(0.5)), ["inner"], "dropout(p=0.5)"),
        (parametrized, ["parametrizations.weight.0"], "randn_like"),
        (lambda: nn.Sequential(Dropout(0.5)), ["0"], "rand"),
        (lambda: nn.Sequential(Dropout(0.5, seed=3)), ["0"], "seeded mask"),
        (lambda: nn.Sequential(StochasticDepth(0.5, seed=3)), ["0"], "seeded mask"),
        (lambda: nn.Sequential(layer := nn.Dropout(0.5), nn.Linear(8, 8), layer), ["0"], "dropout(p=0.5)"),
    ],
)  # fmt: skip
def test_each_way_to_draw_is_found(build: Callable[[], nn.Module], names: list[str], draws: str) -> None:
    model = build()
    report = find_noise(model, X)
    assert list(report.names) == names
    assert all(draws in " ".join(source.draws) for source in report.sources), report
    assert not report.always and not report.silent and not report.notes
    assert [source.flag for source in report.sources] == names


@pytest.mark.parametrize(
    "model",
    [
        nn.Linear(8, 8),
        nn.Dropout(0.0),
        Does(first, inner=nn.LSTM(8, 8, 2)),
        Does(lambda m, x: functional.scaled_dot_product_attention(x, x, x)),
        StochasticDepth(1.0),
        Does(lambda m, x: functional.dropout(x, 0.0, False)),
        nn.Sequential(nn.BatchNorm1d(1), nn.InstanceNorm1d(1), nn.RReLU(0.25, 0.25).eval(), nn.Softplus()),
    ],
    ids=str,
)
def test_what_draws_nothing_is_not_named(model: nn.Module) -> None:
    report = find_noise(model, X)
    assert [name for name in report.names if name != "2"] == [] and not report.always and not report.silent


def test_functional_dropout_that_no_mode_turns_on_is_named() -> None:
    off = Does(lambda m, x: functional.dropout(x, 0.3, False))
    own = Does(lambda m, x: functional.dropout(x, 0.3, m.drop), drop=None)
    own.drop = False
    without_keywords = Does(lambda m, x: torch.dropout(x, 0.3, False))
    report = find_noise(nn.Sequential(off, own, nn.Dropout(0.2), without_keywords), X)
    assert report.names == ("2",) and list(report.silent) == ["0", "1", "3"]
    assert {report.silent[name] for name in "01"} == {"dropout(p=0.3) is told not to draw, whatever its mode is"}
    assert "does not draw: 0: dropout(p=0.3) is told not to draw" in str(report)


def test_what_draws_in_evaluation_is_named_apart() -> None:
    report = find_noise(nn.Sequential(Does(lambda m, x: functional.dropout(x, 0.3)), nn.Dropout(0.2)), X)
    assert report.names == ("1",) and [source.name for source in report.always] == ["0"] and not report.silent
    assert str(report).splitlines()[2].split() == ["0", "Does", "dropout(p=0.3)", "always"]


def test_the_mode_of_a_module_around_may_decide() -> None:
    inner = Does(lambda m, x: functional.dropout(x, 0.3, m.drops))
    outer = Does(lambda m, x: (setattr(m.inner, "drops", m.training), m.inner(x))[1], inner=inner)
    (source,) = find_noise(nn.Sequential(nn.Identity(), outer), X).sources
    assert (source.name, source.flag) == ("1.inner", "1")


def test_noise_in_a_block_that_chance_skips_is_found() -> None:
    def skips(module: Any, x: Tensor) -> Tensor:
        return x if module.training and torch.rand(()) < 2.0 else x + module.inner(x)

    deep = Does(skips, inner=Does(skips, inner=nn.Sequential(nn.Dropout(0.1))))
    assert find_noise(deep, X).names == ("", "inner", "inner.inner.0")


def test_noise_that_chance_passes_by_in_training_is_found_by_its_function() -> None:
    class Inner(nn.Module):
        def forward(self, x: Tensor, skip: bool) -> Tensor:
            return x if skip else functional.dropout(x, 0.3, self.training)

    def outer(module: Any, x: Tensor) -> Tensor:
        out: Tensor = module.inner(x, module.training and float(torch.rand(())) < 2)
        return out

    assert find_noise(Does(outer, inner=Inner()), X).names == ("", "inner")


def test_a_skipped_branch_of_attached_stochastic_depth_is_searched_too() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.drop = nn.BatchNorm1d(1), nn.Dropout(0.5)

        def forward(self, x: Tensor) -> Tensor:
            return x + self.drop(self.norm(x))

    model = nn.Sequential(Block(), Block())
    with regularize(model, [{"stochastic_depth": {"at": "*", "survival": 0.0, "skip": True, "mode": "batch"}}]):
        assert find_noise(model, X).names == ("0", "0.drop", "1", "1.drop")
    assert find_noise(model, X).names == ("0.drop", "1.drop")


@pytest.mark.parametrize("seed", [None, 5])
def test_attached_regularizers_are_found_where_they_are_attached(seed: int | None) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.Tanh())
    seeded: dict[str, Any] = {} if seed is None else {"seed": seed}
    rules: list[dict[str, Any]] = [
        {"dropout": {"at": "0", "on": "input", **seeded}},
        {"spatial_dropout": {"at": "1", **seeded}},
        {"gaussian_dropout": {"at": "2", **seeded}},
        {"drop_connect": {"at": "3", **seeded}},
        {"drop_block": {"at": "4", "p": 0.5, "block_size": 2, **seeded}},
    ]
    with regularize(model, rules) as attached:
        report = find_noise(model, torch.rand(1, 3, 6, 6))
        assert {row.runs for row in attached.report()} == {0}
    assert report.names == ("0", "1", "2", "3", "4") and report.batch_norms == ("1",)
    assert {source.seeded for source in report.sources} == {seed is not None}
    assert [source.draws[0] for source in report.sources if source.name != "3"] == [
        "attached Dropout", "attached SpatialDropout", "attached GaussianDropout", "attached MapDropBlock"
    ]  # fmt: skip
    assert not find_noise(model, torch.rand(1, 3, 6, 6)).names


def test_modules_that_fail_in_training_stay_in_evaluation() -> None:
    def detector(module: Any, x: Tensor) -> Tensor:
        if module.training:
            raise ValueError("targets should not be none when in training mode")
        out: Tensor = module.head(x)
        return out

    off = Does(lambda m, x: functional.dropout(x, 0.3, False))
    model = Does(detector, head=Does(detector, head=nn.Sequential(nn.Dropout(0.5), off)))
    report = find_noise(model, X)
    assert report.names == ("head.head.0",) and list(report.silent) == ["head.head.1", "", "head"]
    assert report.silent["head"] == (
        "it cannot run in training: ValueError: targets should not be none when in training mode"
    )


def test_generators_of_python_are_attributed_to_the_module_that_draws() -> None:
    def before_and_after(module: Any, x: Tensor) -> Tensor:
        x = x * random.random() if module.training else x
        x = module.inner(x)
        return x * np.random.rand() if module.training else x  # noqa: NPY002

    def inner(module: Any, x: Tensor) -> Tensor:
        return x * np.random.rand() if module.training else x  # noqa: NPY002

    report = find_noise(Does(before_and_after, inner=Does(inner)), X)
    assert [(s.name, s.draws) for s in report.sources] == [
        ("", ("random", "numpy.random")), ("inner", ("numpy.random",))
    ]  # fmt: skip


def test_what_the_caller_draws_is_not_the_models() -> None:
    model = nn.Sequential(nn.Dropout(0.5))
    for draw in (random.random, lambda: torch.rand(8)):
        report = find_noise(model, lambda draw=draw: model(X * draw()))
        assert report.names == ("0",) and not report.always


def test_a_caller_that_takes_the_output_of_evaluation_only_is_served() -> None:
    def two_heads(module: Any, x: Tensor) -> Any:
        return (module.head(x), x) if module.training else module.head(x)

    model = Does(two_heads, head=nn.Dropout(0.5))
    assert find_noise(model, lambda: model(X).sum()).names == ("head",)
    with pytest.raises(ZeroDivisionError):
        find_noise(model, lambda: model(X) / (1 / 0 if model.head.training else 1))


def test_errors_in_evaluation_are_raised() -> None:
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        find_noise(nn.Linear(3, 3), X)


def test_heads_that_run_in_training_only_do_not_draw() -> None:
    def two_heads(module: Any, x: Tensor) -> Any:
        return (module.head(x), module.aux(x)) if module.training else module.head(x)

    report = find_noise(Does(two_heads, head=nn.Dropout(0.5), aux=nn.Sequential(nn.Dropout(0.5))), X)
    assert report.names == ("head",) and "training only" in report.silent["aux.0"] and not report.notes


def test_a_mode_that_also_changes_what_is_returned_is_noted() -> None:
    def returns(module: Any, x: Tensor) -> Any:
        dropped = functional.dropout(module.inner(x), 0.5, module.training)
        return (dropped, x) if module.training else dropped

    assert find_noise(Does(returns, inner=nn.Identity()), X).notes == (
        "the model draws only in a mode in which it also returns something else",
    )


def test_the_model_may_be_called_in_any_way() -> None:
    model = Does(lambda m, x: m.drop(x), drop=nn.Dropout(0.5))
    two = nn.Bilinear(8, 8, 3)
    assert find_noise(model, {"x": X}).names == find_noise(model, (X,)).names == ("drop",)
    assert find_noise(model, lambda: model(x=X)).names == ("drop",)
    assert find_noise(two, (X, X)).names == ()


def test_the_report_is_text_data_and_a_page() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(1), nn.Dropout(0.5), nn.BatchNorm1d(1))
    model[3].track_running_stats = False
    report = find_noise(model, X)
    assert str(report).splitlines() == [
        "module  type              draws         when",
        "2       Dropout  dropout(p=0.5)  in training",
        "batch norm with running statistics: 1 layer",
    ]
    source = {"name": "2", "type": "Dropout", "draws": ("dropout(p=0.5)",), "seeded": False, "flag": "2"}
    assert report.as_dict() == {
        "sources": [source], "always": [], "silent": {}, "batch_norms": ["1"], "notes": []
    }  # fmt: skip
    assert "dropout(p=0.5)" in report._repr_html_()
    assert str(find_noise(nn.Linear(8, 8), X)) == "no module draws random numbers"
    assert isinstance(report, NoiseReport)


def test_models_that_cannot_be_seen_are_refused() -> None:
    with pytest.raises(TypeError, match=r"expected the model, a torch.nn.Module, got function"):
        find_noise(lambda x: x, X)
    with pytest.raises(ValueError, match="lazy layers, whose weights do not exist yet: run it once before"):
        find_noise(nn.Sequential(nn.LazyLinear(3)), X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated
        scripted = torch.jit.script(nn.Sequential(nn.Dropout(0.5)))
    with pytest.raises(TypeError, match=r"RecursiveScriptModule.*pass the torch.nn.Module that was scripted"):
        find_noise(scripted, X)
    assert "it is scripted" in find_noise(nn.Sequential(scripted), X).silent["0"]


class _Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(self.linear(x), 0.5, self.training)


def test_the_number_of_runs_does_not_grow_with_the_modules_that_draw() -> None:
    runs = []
    model = nn.Sequential(*(_Block() for _ in range(20)))
    model.register_forward_pre_hook(lambda module, inputs: runs.append(1))
    assert len(find_noise(model, torch.ones(1, 4)).sources) == 20
    assert len(runs) <= 5
