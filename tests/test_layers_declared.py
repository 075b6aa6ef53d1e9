"""The steps of the model section: their numbers, test-time rules, what they attach and what they set."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

import augreg.nn as layers  # noqa: E402
from augreg import Pipeline, Registry, SpecError  # noqa: E402
from augreg.nn.drop_block import MapDropBlock  # noqa: E402
from augreg.steps.declare import RULES  # noqa: E402

NAMES = {
    "dropout": layers.Dropout,
    "spatial_dropout": layers.SpatialDropout,
    "alpha_dropout": layers.AlphaDropout,
    "gaussian_dropout": layers.GaussianDropout,
    "drop_block": MapDropBlock,
    "activation_noise": layers.GaussianNoise,
    "stochastic_depth": layers.StochasticDepth,
    "shake_drop": layers.ShakeDrop,
    "drop_connect": layers.DropConnectLinear,
}


class Recorder(SimpleNamespace):
    """A site that records the calls of its methods."""

    def __init__(self, module: nn.Module | None = None, index: int = 1, count: int = 4, name: str = "fc") -> None:
        super().__init__(module=module or nn.Linear(3, 3), index=index, count=count, name=name, calls=[])

    def __getattr__(self, kind: str) -> Any:
        if kind not in ("after", "before", "change_class", "residual"):
            raise AttributeError(kind)
        return lambda *layer, **attributes: self.calls.append((kind, *layer, attributes))

    def refuse(self, reason: str, *types: type) -> None:
        raise ValueError(reason)


def made(name: str, **arguments: Any) -> Any:
    return Registry.installed()[name](at="**", **arguments)


@pytest.mark.parametrize("name", NAMES)
def test_each_step_attaches_its_layer_with_its_number(name: str) -> None:
    site = Recorder(nn.Linear(3, 3) if name == "drop_connect" else nn.Conv2d(3, 3, 1))
    step = made(name)
    step.attach(site)
    ((kind, layer, attributes),) = site.calls
    numbers = step.numbers(site)
    assert len(numbers) == 1
    if name == "drop_connect":
        assert kind == "change_class" and layer is NAMES[name]
        layer = SimpleNamespace(**attributes)
    else:
        assert kind == ("residual" if name in ("stochastic_depth", "shake_drop") else "after")
        assert type(layer) is NAMES[name]
    assert numbers.items() <= vars(layer).items()


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_of_each_step_work_in_a_spec(name: str) -> None:
    cls = Registry.installed()[name]
    mark = cls.__augreg__
    assert mark.sections == ("model",) and mark.exact and len(mark.preview) == 3
    for arguments in mark.preview:
        cls(**arguments)
    pipe = Pipeline.from_spec({"model": [{name: "features.*"}]})
    assert Pipeline.from_spec(pipe.to_spec()) == pipe
    with pytest.raises(SpecError, match=f"{name} needs 'at'"):
        Pipeline.from_spec({"model": [name]})
    rule = getattr(cls(at="**"), "test_rule", lambda: mark.rule)()
    assert rule == mark.rule and rule in RULES


def test_rules_of_single_steps() -> None:
    assert made("dropout", mode="original").test_rule() == "scale"
    assert made("spatial_dropout", mode="original").test_rule() == "scale"
    assert made("stochastic_depth", scaling="original").test_rule() == "scale"
    assert made("drop_connect", mode="original").test_rule() == "scale"
    assert made("drop_connect", inference="moment").test_rule() == "moment_match"
    assert made("drop_connect", inference="moment", through="none").test_rule() == "identity"


@pytest.mark.parametrize("name", NAMES)
def test_seeds_differ_by_module_and_by_step(name: str) -> None:
    seeds = set()
    for place in ("a", "b"):
        site = Recorder(nn.Conv2d(3, 3, 1), name=place)
        made(name, seed=7).attach(site)
        ((_, layer, attributes),) = site.calls
        seeds.add((attributes["source"] if name == "drop_connect" else layer.source).seed)
    assert len(seeds) == 2


@pytest.mark.parametrize("name", ["dropout", "activation_noise"])
def test_inputs_can_be_masked_too(name: str) -> None:
    site = Recorder()
    made(name, on="input").attach(site)
    assert site.calls[0][0] == "before"


def test_numbers_of_depth_follow_the_place_among_the_blocks() -> None:
    linear = [
        made("stochastic_depth", survival=0.6).numbers(Recorder(index=i, count=4))["survival"] for i in range(4)
    ]
    assert linear == pytest.approx([0.9, 0.8, 0.7, 0.6])
    assert made("shake_drop", rule="uniform", survival=0.6).numbers(Recorder()) == {"survival": 0.6}


class DropPath(nn.Module):
    """A drop path like timm's."""

    def __init__(self) -> None:
        super().__init__()
        self.drop_prob = 0.1


OWN: list[tuple[str, nn.Module, dict[str, float]]] = [
    ("dropout", nn.Dropout(), {"p": 0.3}),
    ("dropout", layers.Dropout(), {"p": 0.3}),
    ("spatial_dropout", nn.Dropout2d(), {"p": 0.3}),
    ("spatial_dropout", nn.Dropout3d(), {"p": 0.3}),
    ("spatial_dropout", layers.Dropout1d(), {"p": 0.3}),
    ("spatial_dropout", layers.SpatialDropout(), {"p": 0.3}),
    ("alpha_dropout", nn.AlphaDropout(), {"p": 0.3}),
    ("alpha_dropout", layers.AlphaDropout(), {"p": 0.3}),
    ("gaussian_dropout", layers.GaussianDropout(), {"p": 0.3}),
    ("drop_block", layers.DropBlock2d(), {"p": 0.3}),
    ("activation_noise", layers.GaussianNoise(), {"std": 0.3}),
    ("drop_connect", layers.DropConnectLinear(2, 2), {"p": 0.3}),
    ("drop_connect", layers.DropConnectConv2d(2, 2, 1), {"p": 0.3}),
    ("stochastic_depth", layers.StochasticDepth(), {"survival": 0.75}),
    ("stochastic_depth", DropPath(), {"drop_prob": 0.25}),
    ("shake_drop", layers.ShakeDrop(), {"survival": 0.75}),
]


@pytest.mark.parametrize("name, module, want", OWN, ids=lambda value: getattr(type(value), "__name__", ""))
def test_a_module_that_does_it_already_is_given_the_number_and_no_more(
    name: str, module: nn.Module, want: dict[str, float]
) -> None:
    rate = {"survival": 0.75} if name in ("stochastic_depth", "shake_drop") else dict.fromkeys(want, 0.3)
    step = made(name, **({**rate, "rule": "uniform"} if "survival" in rate else rate))
    assert step.takes_over(module, step.numbers(Recorder())) == want
    assert step.takes_over(nn.Linear(2, 2), step.numbers(Recorder())) is None
    with pytest.raises(ValueError, match="already"):
        made(name, seed=1).takes_over(module, rate)


def test_what_a_module_has_already_cannot_be_changed_beyond_its_number() -> None:
    with pytest.raises(ValueError, match="only p can be set, not mode = 'original'"):
        made("dropout", mode="original").takes_over(nn.Dropout(), {"p": 0.5})
    assert made("dropout", mode="original").takes_over(layers.Dropout(mode="original"), {"p": 0.5}) == {"p": 0.5}
    with pytest.raises(ValueError, match="write mode: row, its own value"):
        made("stochastic_depth", mode="batch").takes_over(DropPath(), {"survival": 0.5})
    with pytest.raises(ValueError, match="write block_size: 7, its own value"):
        made("drop_block", block_size=3).takes_over(layers.DropBlock2d(), {"p": 0.1})
    with pytest.raises(ValueError, match="write inference: scale"):
        made("drop_connect", inference="moment").takes_over(layers.DropConnectLinear(2, 2), {"p": 0.1})


def test_torchvisions_drop_path_is_set() -> None:
    torchvision = pytest.importorskip("torchvision")
    module = torchvision.ops.StochasticDepth(0.1, "batch")
    assert made("stochastic_depth", mode="batch").takes_over(module, {"survival": 0.75}) == {"p": 0.25}


def test_drop_connect_refuses_what_has_no_such_weights() -> None:
    with pytest.raises(ValueError, match="a ReLU has no weights to drop"):
        made("drop_connect").attach(Recorder(nn.ReLU()))


@pytest.mark.parametrize("name", ["spatial_dropout", "drop_block"])
@pytest.mark.parametrize("module", [nn.Linear(2, 2), nn.Flatten(), nn.LayerNorm(2)])
def test_maps_are_not_looked_for_where_there_are_none(name: str, module: nn.Module) -> None:
    with pytest.raises(ValueError, match=f"the output of a {type(module).__name__} has no spatial dimensions"):
        made(name).attach(Recorder(module))


def test_bad_numbers_are_refused_in_a_spec() -> None:
    for name, arguments in (
        ("dropout", {"p": 1.5}),
        ("gaussian_dropout", {"p": 1}),
        ("activation_noise", {"std": -1}),
    ):
        with pytest.raises(SpecError, match=rf"model\[0\]\.{name}"):
            Pipeline.from_spec({"model": [{name: {"at": "**", **arguments}}]})


def test_declarations_load_no_torch() -> None:
    modules = ", ".join(
        f"augreg.regularizers.{name}"
        for name in ("dropout", "noise", "drop_block", "drop_connect", "stochastic_depth")
    )
    code = f"import {modules}, sys; sys.exit(any(name in sys.modules for name in ('torch', 'numpy')))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
