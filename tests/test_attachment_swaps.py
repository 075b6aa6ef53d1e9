"""Modules that a rule replaces: hooks of the old modules move to the new ones, and back."""

from __future__ import annotations

import copy
import itertools
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from augreg import regularize
from augreg.attachment.attach import Attachment
from augreg.errors import SpecError

DROPOUT: dict[str, Any] = {"dropout": {"at": "1", "p": 0.9}}
GELU: dict[str, Any] = {"activation": "gelu"}


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64))


def fraction_dropped(model: nn.Module) -> float:
    """The fraction of zeros after module 1, whose own outputs are not zero."""
    seen: list[Tensor] = []
    handle = model[2].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    model.train()(torch.randn(200, 64))
    handle.remove()
    return float((seen[0] == 0).float().mean())


@pytest.mark.parametrize("order", [[DROPOUT, GELU], [GELU, DROPOUT]], ids=["before", "behind"])
@pytest.mark.parametrize("together", [True, False], ids=["one call", "two calls"])
def test_a_replacement_keeps_the_hooks_of_other_rules(order: list[Any], together: bool) -> None:
    model = net()
    x, old = torch.randn(5, 64), model[1]
    plain = model.eval()(x)
    handles = [regularize(model, rules) for rules in ([order] if together else [[rule] for rule in order])]
    rows = {row.rule: row for attached in handles for row in attached.report()}
    assert rows["dropout"].numbers == "p=0.9" and isinstance(model[1], nn.GELU)
    assert abs(fraction_dropped(model) - 0.9) < 0.02  # 12800 units: 7 sigma
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert abs(fraction_dropped(twin) - 0.9) < 0.02
    for attached in handles:
        attached.detach()
    assert model[1] is old and fraction_dropped(model) > 0.1  # ReLU's own zeros
    assert torch.equal(model.eval()(x), plain) and not model[1]._forward_hooks


@pytest.mark.parametrize("order", list(itertools.permutations(range(2))))
def test_two_attachments_come_off_in_any_order(order: tuple[int, ...]) -> None:
    for rules in ([DROPOUT, GELU], [GELU, DROPOUT]):
        model = net()
        old, before = model[1], {name: value for name, value in vars(model[1]).items() if "hook" not in name}
        handles = [regularize(model, [rule]) for rule in rules]
        handles[order[0]].detach()
        assert (fraction_dropped(model) > 0.8) == (rules[order[0]] is GELU)
        assert isinstance(model[1], nn.GELU) == (rules[order[0]] is DROPOUT)
        handles[order[1]].detach()
        assert model[1] is old and not old._forward_hooks
        assert {name: value for name, value in vars(old).items() if "hook" not in name} == before


def test_a_users_hook_and_its_handle_keep_working() -> None:
    model = net()
    seen: list[str] = []
    handle = model[1].register_forward_hook(lambda module, inputs, output: seen.append(type(module).__name__))
    with regularize(model, [GELU]):
        model(torch.zeros(1, 64))
    model(torch.zeros(1, 64))
    assert seen == ["GELU", "ReLU"]
    attached = regularize(model, [GELU])
    handle.remove()
    model(torch.zeros(1, 64))
    attached.detach()
    assert len(seen) == 2 and not model[1]._forward_hooks and not model[1]._forward_pre_hooks


def swap(model: nn.Module, to: str) -> Attachment:
    return regularize(model, [{"activation": to}])


def test_a_second_swap_is_refused_until_the_first_is_detached() -> None:
    model = net()
    old = model[1]
    first = swap(model, "gelu")
    for again in (model, copy.deepcopy(model)):
        with pytest.raises(SpecError, match=r"1 \(GELU\): activation is already attached to it"):
            swap(again, "elu")
    first.detach()
    second = swap(model, "elu")
    assert isinstance(model[1], nn.ELU)
    second.detach()
    assert model[1] is old
    with pytest.raises(
        SpecError, match=r"model\[1\].activation.at: 1 \(GELU\): activation is already attached to it"
    ):
        regularize(model, [{"activation": "gelu"}, {"activation": "elu"}])
    assert model[1] is old


def test_alpha_dropout_takes_the_rate_that_a_rule_has_set() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Dropout(0.1))
    rules = [{"dropout": {"at": "2", "p": 0.7}}, {"activation": "selu"}]
    attached = regularize(model, rules)
    assert isinstance(model[2], nn.AlphaDropout) and model[2].p == 0.7
    assert attached.report()[0].numbers == "p=0.7"
    attached.detach()
    assert type(model[2]) is nn.Dropout and model[2].p == 0.1


def test_the_report_names_the_current_module() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Dropout(0.2))
    with regularize(model, [{"activation": "gelu"}]) as attached:
        assert attached.report()[0].numbers == "GELU(approximate='none')"
    with regularize(model, [{"activation": "selu"}]) as attached:
        assert attached.report()[0].numbers == "SELU(), AlphaDropout(p=0.2, inplace=False)"


def test_a_module_with_two_names_in_one_parent_is_swapped_at_both() -> None:
    relu = nn.ReLU()
    model = nn.Sequential(relu, nn.Linear(2, 2), relu)
    with regularize(model, [GELU]):
        assert type(model[0]) is type(model[2]) is nn.GELU
    assert model[0] is model[2] is relu


@pytest.mark.parametrize(
    "rule",
    [
        {"drop_connect": {"at": "linear*", "p": 0.5, "mode": "original"}},
        {"drop_connect": {"at": "linear1", "p": 0.5, "inference": "moment"}},
        {"activation": {"to": "elu", "at": "activation"}},
    ],
    ids=["original", "moment", "activation"],
)
def test_torchs_fast_path_for_transformers_does_not_skip_a_rule(rule: dict[str, Any]) -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, activation=nn.ReLU()).eval()
    x = torch.randn(2, 3, 8)
    with torch.no_grad():
        plain = layer(x)
    attached = regularize(layer, [rule])
    with torch.no_grad():
        fast = layer(x)
    torch.testing.assert_close(fast, layer(x).detach(), rtol=0, atol=1e-6)
    assert not torch.allclose(fast, plain, atol=1e-3)
    attached.detach()
    with torch.no_grad():
        assert torch.equal(layer(x), plain)
    assert not any(module._forward_pre_hooks for module in layer.modules())
