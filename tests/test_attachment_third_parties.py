"""Third-party regularizers: what they may do at a site, and what happens if they fail or have wrong names."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from test_attachment import image
from torch import Tensor, nn

from augreg import Pipeline, Registry, regularize
from augreg.errors import PluginError, SpecError
from augreg.regularizers.drop_connect import DropConnect
from augreg.regularizers.dropout import Dropout
from augreg.steps.declare import regularizer
from augreg.steps.selectors import At


def halved(x: Tensor) -> Tensor:
    return x / 2


@regularizer("halve")
class Halve:
    """Halves the output in training, by a layer that is a function."""

    at: At

    def attach(self, site: Any) -> None:
        site.after(halved)
        site.note(f"{site.index + 1} of {site.count}")


def test_a_regularizer_of_a_third_party() -> None:
    registry = Registry.installed().add(Halve, "mine/halve")
    pipe = Pipeline.from_spec({"model": [{"mine/halve": "*"}]}, registry)
    model = nn.Sequential(nn.Identity(), nn.Identity())
    x = torch.ones(2)
    with pipe.regularize(model) as attached:
        assert torch.equal(model(x), x / 4)
        assert torch.equal(model.eval()(x), x)
        assert [(row.rule, row.note) for row in attached.report()] == [
            ("mine/halve", "1 of 2"),
            ("mine/halve", "2 of 2"),
        ]
    assert torch.equal(model.train()(x), x)
    scheduled = {"model": [{"mine/halve": {"at": "*"}}]}
    assert Pipeline.from_spec(scheduled, registry).regularize(model)


def spoil(module: nn.Module, how: str) -> None:
    if how == "raises":
        raise OSError("no disk")
    module.register_parameter("extra", nn.Parameter(torch.zeros(1)))


@regularizer("spoiler")
class Spoiler:
    """Does things that a regularizer must not do."""

    at: At
    how: str = "raises"

    def attach(self, site: Any) -> None:
        if self.how == "attach":
            raise KeyError("lost")
        if self.how == "class":
            site.change_class(nn.ReLU)
        site.run_once(spoil, self.how)


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ("raises", OSError, "no disk"),
        ("adds", RuntimeError, "changed the parameters"),
        ("attach", PluginError, "spoiler.attach failed at 1: KeyError"),
        ("class", SpecError, "ReLU does not derive from Linear"),
    ],
)
def test_whatever_fails_leaves_the_model_as_it_was(how: str, error: type[Exception], message: str) -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Dropout())
    before = image(model)
    rules = [Dropout(at="0"), Dropout(at="2", p=0.1), Spoiler(at="1", how=how)]
    with pytest.raises(error, match=message):
        regularize(model, rules)
    if how != "adds":  # what a function did by itself cannot be undone
        assert image(model) == before
    assert not model[0]._forward_hooks and model[2].p == 0.5


class Thinning(nn.Module):
    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        return x * (1 - self.rate)


class ThinLinear(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (1 - self.rate)


@regularizer("thin")
class Thin:
    """Gives its number a name that the layer may not have."""

    at: At
    amount: float = 0.5
    called: str = "rate"
    by: str = "layer"

    def numbers(self, site: Any) -> dict[str, float]:
        return {self.called: self.amount}

    def takes_over(self, module: nn.Module, numbers: dict[str, float]) -> dict[str, float] | None:
        return numbers if self.by == "module" else None

    def attach(self, site: Any) -> None:
        if self.by == "class":
            site.change_class(ThinLinear, rate=self.amount)
        else:
            site.after(Thinning(self.amount))


@pytest.mark.parametrize("by", ["layer", "class", "module"])
@pytest.mark.parametrize("amount", [0.5, {"linear": [0.0, 0.5], "over": [0, 10]}], ids=["number", "schedule"])
def test_a_number_that_the_layer_does_not_know_is_an_error_and_not_a_schedule_without_effect(
    by: str, amount: Any
) -> None:
    registry = Registry.installed().add(Thin)
    rule = {"thin": {"at": "0", "amount": amount, "by": by}}
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2))
    if by == "module":
        model[0].rate = 0.0
    pipe = Pipeline.from_spec({"model": [{"thin": {**rule["thin"], "called": "p"}}]}, registry)
    with pytest.raises(PluginError, match=r"failed at 0: .*called 'p', and a .* has no such attribute"):
        pipe.regularize(model)
    with Pipeline.from_spec({"model": [rule]}, registry).regularize(model) as attached:
        attached.set_epoch(10)
        assert attached.report()[0].numbers == "rate=0.5"
        if by != "module":
            x = torch.ones(1, 2)
            torch.testing.assert_close(model[0](x), 0.5 * nn.functional.linear(x, model[0].weight))


@regularizer("set_p")
class SetP:
    """Sets an attribute that the class of another rule has as well."""

    at: At

    def attach(self, site: Any) -> None:
        site.set(site.module, "p", 0.9)


def test_rules_on_one_module_are_undone_in_reverse_order() -> None:
    """The class change removes its p, which the other rule would otherwise put back afterward."""
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    before = image(model)
    rules = [DropConnect(at="0", p=0.3), SetP(at="*")]  # the second module had no p
    attached = regularize(model, rules)
    assert model[0].p == model[1].p == 0.9
    attached.detach()
    assert image(model) == before
    with pytest.raises(OSError, match="no disk"):
        regularize(model, [*rules, Spoiler(at="1")])
    assert image(model) == before


@regularizer("flatten")
class Flatten:
    """Replaces a container by one layer."""

    at: At

    def attach(self, site: Any) -> None:
        site.replace(nn.Linear(2, 2))


def test_a_rule_does_not_select_the_parts_of_a_container_that_an_earlier_one_replaced() -> None:
    model = nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.ReLU()), nn.Linear(2, 2))
    before = image(model)
    attached = regularize(model, [Flatten(at="0"), Dropout(at={"type": "Linear"})])  # type: ignore[arg-type]
    assert [(row.module, row.rule) for row in attached.report()] == [
        ("0", "flatten"),
        ("0", "dropout"),
        ("1", "dropout"),
    ]
    attached.detach()
    assert image(model) == before
