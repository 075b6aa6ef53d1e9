"""Every step has a test-time rule and an exactness: `explain()` and `report()` print both, whatever the section."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest
import torch
from torch import nn

import augreg
from augreg import Pipeline
from augreg.errors import SpecError
from augreg.registry.registry import Registry
from augreg.steps.declare import RULES
from augreg.testing.step_under_test import step_under_test

REGISTRY = Registry.installed()
EVERY = [name for name in REGISTRY if "/" not in name]
OF_MODELS = [name for name in REGISTRY.section("model") if "/" not in name]


class Block(nn.Module):
    """A residual block."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv(x)


def model() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), Block(), nn.Flatten(), nn.Linear(4 * 36, 5), nn.ReLU())


def rows(pipe: Pipeline) -> list[list[str]]:
    """The rows of `explain`: step, rule, exactness."""
    head, *lines, _, _ = pipe.test.explain().splitlines()
    columns = [head.index(word) for word in ("step", "test-time rule", "exact for")]
    return [
        [line[start:end].strip() for start, end in zip(columns, [*columns[1:], None], strict=True)] for line in lines
    ]


def arguments(name: str, **given: Any) -> dict[str, Any]:
    found = {**step_under_test(REGISTRY[name], name=name).arguments[-1], **given}
    known = {field.name for field in dataclasses.fields(REGISTRY[name])}
    return {key: value for key, value in found.items() if key in known}


@pytest.mark.parametrize("name", EVERY)
def test_explain_has_a_rule_and_an_exactness_for_every_step(name: str) -> None:
    for section in REGISTRY[name].__augreg__.sections:
        given = arguments(name, at="*")
        if "steps" in given:
            given["steps"] = ["mixup", "cutmix"] if section == "batch" else ["invert", "rotate"]
        found = rows(Pipeline.from_spec({section: [{name: given}]}))
        assert found[0][0].removeprefix(f"{section}: ") == name
        for _, rule, exact in found:
            assert re.sub(r" \(training only\)$", "", rule) in {*RULES, "steps"}
            assert exact, "no exactness: `nothing` says that the rule is an approximation"
            assert rule.endswith("(training only)") == (section in ("batch", "loss"))


@pytest.mark.parametrize("name", OF_MODELS)
def test_report_has_a_rule_and_an_exactness_for_every_regularizer(name: str) -> None:
    for at in ("0", "2", "4"):  # a convolution, a block, a linear layer
        network = model()
        try:
            attached = augreg.regularize(network, [{name: arguments(name, at=at)}])
        except SpecError:
            continue
        (explained,) = rows(Pipeline.from_spec({"model": [{name: arguments(name, at=at)}]}))
        for row in attached.report():
            assert row.test in RULES
            assert [f"model: {name}", row.test, row.exact] == explained
            assert row.exact in str(attached.report())
        return
    if name == "activation":
        attached = augreg.regularize(model(), [{name: "gelu"}])
        assert [(row.test, row.exact) for row in attached.report()] == [("same", "everything: nothing is random")] * 2
        return
    raise AssertionError(f"{name} can be attached to none of these modules")


MEAN = "the mean of the output, and of whatever is linear in it"


@pytest.mark.parametrize(
    ("step", "rule", "exact"),
    [
        ({"dropout": {"at": "*"}}, "identity", MEAN),
        ({"dropout": {"at": "*", "mode": "original"}}, "scale", MEAN),
        ({"spatial_dropout": {"at": "*", "mode": "original"}}, "scale", MEAN),
        ({"stochastic_depth": {"at": "*", "scaling": "original"}}, "scale", "the mean of each block's output"),
        ({"drop_connect": {"at": "*", "mode": "original"}}, "scale",
         "the mean of the layer's output before its activation"),
        ({"drop_connect": {"at": "*", "inference": "moment"}}, "moment_match",
         "the mean of the output after the ReLU, if the layer's output is normally distributed"),
        ({"init": "kaiming"}, "same", "everything: nothing is random"),
    ],
    ids=str,
)  # fmt: skip
def test_a_mode_has_its_own_rule_and_exactness(step: Any, rule: str, exact: str) -> None:
    assert rows(Pipeline.from_spec({"model": [step]}))[0][1:] == [rule, exact]


@pytest.mark.parametrize(
    ("step", "rule", "exact"),
    [
        ("gaussian_noise", "identity", "the mean of each pixel value that no noise clips"),
        ({"gaussian_noise": {"p": 0.5}}, "identity", "the mean of each pixel value that no noise clips"),
        ({"brightness": {"test": "off"}}, "identity", "nothing"),
        ({"brightness": [0.5, 1.5]}, "mean_parameter", "the mean of each pixel value that no drawn factor clips"),
        ({"brightness": [1.2, 1.2]}, "same", "everything: nothing is random"),
        ({"invert": {"p": 0.5, "test": "same"}}, "same", "nothing"),
        ({"invert": {"p": 0.5}}, "identity", "nothing"),
        ({"rotate": {"p": 0}}, "identity", "everything: nothing is random"),
        ({"one_of": ["invert"]}, "children", "what each child is exact for"),
        ("random_erasing", "identity", "nothing"),
    ],
    ids=str,
)
def test_the_spec_decides_the_exactness_of_image_steps(step: Any, rule: str, exact: str) -> None:
    assert rows(Pipeline.from_spec([step]))[0][1:] == [rule, exact]


@pytest.mark.parametrize("mode", ["inverted", "original"])
def test_both_modes_of_dropout_are_exact_for_the_mean_of_what_is_linear(mode: str) -> None:
    """The mean of a linear layer over all 16 masks of its four inputs, each as likely as its bits say."""
    linear = nn.Linear(4, 3, bias=False, dtype=torch.float64)
    x, p = torch.tensor([[0.3, -1.2, 2.0, 0.7]], dtype=torch.float64), 0.25
    keep = torch.tensor([[number >> bit & 1 for bit in range(4)] for number in range(16)], dtype=torch.float64)
    chance = ((1 - p) ** keep * p ** (1 - keep)).prod(1, keepdim=True)
    scale = 1 / (1 - p) if mode == "inverted" else 1.0
    wanted = (chance * linear(keep * x * scale)).sum(0)
    network = nn.Sequential(linear)
    augreg.regularize(network, [{"dropout": {"at": "0", "p": p, "mode": mode, "on": "input"}}])
    assert torch.allclose(network.eval()(x)[0], wanted, atol=1e-12)
