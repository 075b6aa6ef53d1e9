"""Attaching regularizers to models: what is selected and refused, what stays as it was, what detach restores."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from models import AlexNet, BasicBlock, Digits, ResNet
from torch import Tensor, nn

from augreg import Pipeline, Step, regularize
from augreg.attachment.attach import attachments
from augreg.errors import SpecError
from augreg.regularizers.dropout import Dropout
from augreg.steps.declare import regularizer
from augreg.steps.selectors import At

RELUS = {"name": "features.*", "type": "ReLU"}
LINEARS = {"name": "classifier.*", "type": "Linear"}
IDENTITY: list[dict[str, Any]] = [
    {"dropout": {"at": {"type": "Dropout"}, "p": 0.3}},
    {"dropout": {"at": LINEARS, "p": 0.3}},
    {"dropout": {"at": "classifier.6", "p": 0.3, "on": "input"}},
    {"spatial_dropout": {"at": RELUS, "p": 0.3}},
    {"alpha_dropout": {"at": "classifier.2", "p": 0.3}},
    {"gaussian_dropout": {"at": "features.1", "p": 0.3}},
    {"activation_noise": {"at": "features.0", "std": 0.5}},
    {"drop_block": {"at": "features.4", "p": 0.3, "block_size": 3}},
    {"drop_connect": {"at": LINEARS, "p": 0.3}},
    {"drop_connect": {"at": {"type": "Conv2d"}, "p": 0.3, "per": "batch"}},
]
CHANGING: list[dict[str, Any]] = [
    {"dropout": {"at": "classifier.4", "p": 0.3, "mode": "original"}},
    {"drop_connect": {"at": LINEARS, "p": 0.3, "mode": "original"}},
    {"drop_connect": {"at": "classifier.1", "p": 0.3, "inference": "moment"}},
]


def name(rule: dict[str, Any]) -> str:
    ((key, arguments),) = rule.items()
    return f"{key}-{'-'.join(str(value) for field, value in arguments.items() if field != 'at')}"


def image(model: nn.Module) -> dict[str, tuple[type, dict[str, Any]]]:
    """The class and all attributes of every module of a model; objects are compared by identity."""
    found = {}
    for where, module in model.named_modules(remove_duplicate=False):
        held = {}
        for key, value in vars(module).items():
            held[key] = {k: id(v) for k, v in value.items()} if isinstance(value, dict) else value
        found[where] = (type(module), held)
    return found


def alexnet() -> tuple[AlexNet, Tensor]:
    torch.manual_seed(0)
    return AlexNet(), torch.randn(4, 3, 64, 64)


@pytest.mark.parametrize("rule", IDENTITY, ids=name)
def test_keys_parameters_and_evaluation_stay_and_detach_restores_everything(rule: dict[str, Any]) -> None:
    model, x = alexnet()
    plain = model.eval()(x)
    before, keys, parameters = image(model), list(model.state_dict()), [id(p) for p in model.parameters()]
    attached = regularize(model, [rule])
    assert all(row.eval == "unchanged" and row.test == "identity" for row in attached.report())
    assert list(model.state_dict()) == keys
    assert [id(p) for p in model.parameters()] == parameters
    assert torch.equal(model(x), plain)
    model.train()
    first, second = model(x), model(x)
    assert not torch.equal(first, second)
    first.sum().backward()
    attached.detach()
    model.zero_grad()
    assert torch.equal(model.eval()(x), plain)
    assert image(model) == before


@pytest.mark.parametrize("rule", CHANGING, ids=name)
def test_a_rule_that_changes_evaluation_says_so(rule: dict[str, Any]) -> None:
    model, x = alexnet()
    plain = model.eval()(x)
    with regularize(model, [rule]) as attached:
        assert {row.eval for row in attached.report()} == {"changes"}
        assert {row.test for row in attached.report()} <= {"scale", "moment_match"}
        assert not torch.equal(model(x), plain)
        assert torch.equal(model(x), model(x))
    assert torch.equal(model(x), plain)


def test_checkpoints_load_both_ways() -> None:
    model, x = alexnet()
    regular, _ = alexnet()
    torch.manual_seed(1)
    for parameter in regular.parameters():
        nn.init.normal_(parameter, std=0.1)
    regularize(regular, [IDENTITY[0], IDENTITY[8], IDENTITY[9]])
    model.load_state_dict(regular.state_dict(), strict=True)
    assert torch.equal(model.eval()(x), regular.eval()(x))
    fresh = AlexNet().state_dict()
    regular.load_state_dict(fresh, strict=True)
    model.load_state_dict(fresh, strict=True)
    assert torch.equal(model(x), regular(x))


def modules(attached: Any) -> list[str]:
    return [row.module for row in attached.report()]


@pytest.mark.parametrize(
    ("at", "found"),
    [
        ("classifier.1", ["classifier.1"]),
        ({"type": "Linear"}, ["classifier.1", "classifier.4", "classifier.6"]),
        ({"name": "*.4", "type": ["Linear", "Conv2d"]}, ["classifier.4"]),
        ({"type": "_ConvNd", "name": "features.[036]"}, None),
        (
            {"type": "_ConvNd"},
            ["features.0", "features.3", "features.6", "features.8"],
        ),  # a class that they derive from
        (["features.8", {"type": "AdaptiveAvgPool2d"}], ["features.8", "avgpool"]),
    ],
)
def test_names_types_and_base_classes_select(at: Any, found: list[str] | None) -> None:
    if found is None:  # brackets are no wildcards
        with pytest.raises(SpecError, match="no module of the model matches"):
            regularize(AlexNet(), [{"activation_noise": {"at": at}}])
    else:
        assert modules(regularize(AlexNet(), [{"activation_noise": {"at": at}}])) == found


def test_the_model_itself_is_selected_only_where_it_has_no_parts() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    assert modules(regularize(model, [{"activation_noise": "**"}])) == ["0"]
    alone = nn.Linear(2, 2)
    assert modules(regularize(alone, [{"activation_noise": "**"}])) == [""]


def test_a_module_in_two_places_is_selected_once() -> None:
    relu = nn.ReLU()
    model = nn.Sequential(nn.Linear(4, 4), relu, nn.Linear(4, 4), relu)
    assert modules(regularize(model, [{"dropout": ["1", "3"]}])) == ["1"]
    other = nn.ReLU()
    assert modules(regularize(nn.Sequential(other, other), [{"dropout": "1"}])) == ["1"]  # by either name


def test_all_problems_come_at_once_with_the_nearest_names_and_nothing_is_attached() -> None:
    model, _ = alexnet()
    before = image(model)
    rules = [
        {"dropout": {"at": "classifier.1"}},
        {"dropout": {"at": "clasifier.*"}},
        {"drop_connect": {"at": "features.1"}},
        {"dropout": {"at": {"type": "Conv3d"}}},
        {"drop_connect": {"at": {"type": "ReLU"}}},
    ]
    with pytest.raises(SpecError) as caught:
        regularize(model, rules)
    paths = [problem.path for problem in caught.value.problems]
    assert paths[:3] == ["model[1].dropout.at", "model[2].drop_connect.at", "model[3].dropout.at"]
    assert set(paths[3:]) == {"model[4].drop_connect.at"} and len(paths) == 9  # five modules and the rest in one
    messages = [problem.message for problem in caught.value.problems]
    assert "classifier.6" in messages[0] and "clasifier.*" in messages[0]
    assert "features.1 (ReLU)" in messages[1] and "nearest that can take drop_connect: features.0" in messages[1]
    assert "type Conv2d" in messages[2]
    assert "and 1 more" in messages[8]
    assert image(model) == before


def test_drop_connect_on_a_batch_norm_is_refused() -> None:
    with pytest.raises(SpecError, match=r"model\[0\].drop_connect.at: 1 \(BatchNorm1d\).*can take drop_connect: 0"):
        regularize(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), [{"drop_connect": "1"}])


def test_dropout_of_channels_behind_a_linear_layer_is_refused() -> None:
    with pytest.raises(SpecError, match=r"model\[0\].spatial_dropout.at: classifier.1 \(Linear\)"):
        regularize(AlexNet(), [{"spatial_dropout": "classifier.1"}])


def test_the_same_rule_twice_on_a_module_is_refused_until_it_is_detached() -> None:
    model, _ = alexnet()
    with pytest.raises(
        SpecError, match=r"model\[1\].dropout.at: classifier.6 \(Linear\): dropout is already attached to it"
    ):
        regularize(model, [{"dropout": {"at": LINEARS}}, {"dropout": "classifier.6"}])
    first = regularize(model, [{"dropout": {"at": LINEARS}}])
    with pytest.raises(SpecError, match="already attached to it"):
        regularize(model, [{"dropout": "classifier.6"}])
    with pytest.raises(SpecError, match="already attached to it"):  # also through a part of the model
        regularize(model.classifier, [{"dropout": "6"}])
    other = regularize(model, [{"activation_noise": {"at": LINEARS}}])  # another kind may be there
    assert attachments(model) == (first, other)
    first.detach()
    again = regularize(model, [{"dropout": "classifier.6"}])
    assert attachments(model) == (other, again)


def test_a_dropout_of_the_model_is_set_and_given_back() -> None:
    model, _ = alexnet()
    attached = regularize(model, [{"dropout": {"at": {"type": "Dropout"}, "p": 0.25}}])
    assert model.classifier[0].p == model.classifier[3].p == 0.25
    assert not model.classifier[0]._forward_hooks
    attached.detach()
    assert model.classifier[0].p == 0.5
    with pytest.raises(SpecError, match=r"classifier.3 next to it already does this"):
        regularize(model, [{"dropout": "classifier.2"}])
    with pytest.raises(SpecError, match=r"classifier.0 next to it already does this"):
        regularize(model, [{"dropout": {"at": "classifier.1", "on": "input"}}])


def test_two_rules_cannot_set_the_same_number() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.1))
    with regularize(model, [{"dropout": {"at": "1", "p": 0.2}}]):

        @regularizer("other_dropout")
        class Other:
            """Sets p too."""

            at: At = "1"  # type: ignore[assignment]

            def attach(self, site: Any) -> None:
                site.set(site.module, "p", 0.9)

        with pytest.raises(SpecError, match="another rule has already changed 'p'"):
            regularize(model, Other())
        assert model[1].p == 0.2


def test_the_report_is_a_table() -> None:
    model, _ = alexnet()
    rules = [{"dropout": {"at": {"type": "Dropout"}, "p": 0.3}}, {"drop_connect": {"at": "classifier.6", "p": 0.1}}]
    attached = regularize(model, rules)
    lines = str(attached.report()).splitlines()
    assert lines[0].split() == ["module", "type", "rule", "numbers", "by", "test", "eval", "runs", "note", "exact"]
    exact = "the mean of the output, and of whatever is linear in it"
    assert lines[1].split() == [
        "classifier.0",
        "Dropout",
        "dropout",
        "p=0.3",
        "set",
        "identity",
        "unchanged",
        *exact.split(),
    ]
    assert lines[3].split() == [
        "classifier.6",
        "Linear",
        "drop_connect",
        "p=0.1",
        "class",
        "identity",
        "unchanged",
        "0",
        *("the", "mean", "of", "the", "layer's", "output", "before", "its", "activation"),
    ]
    report = attached.report()
    attached.detach()
    assert attached.report() == report  # what it was
    assert str(regularize(nn.Linear(1, 1), []).report()) == "nothing is attached"


def test_a_schedule_that_nothing_follows_is_refused() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3))
    rule = {"drop_block": {"at": "0", "block_size": {"linear": [1, 7], "over": [0, 9]}}}
    with pytest.raises(SpecError, match="block_size cannot follow a schedule here; only p can"):
        regularize(model, [rule])


def test_schedules_move_the_numbers_of_layers_classes_and_what_was_set() -> None:
    model, x = alexnet()
    p = {"linear": [0.0, 0.4], "over": [0, 10]}
    rules = [
        {"dropout": {"at": "features.0", "p": p}},
        {"drop_connect": {"at": "classifier.6", "p": p}},
        {"dropout": {"at": "classifier.0", "p": p}},
        {"activation_noise": {"at": "features.3", "std": 0.1}},
    ]
    attached = regularize(model, rules)

    def numbers() -> list[str]:
        return [row.numbers for row in attached.report()]

    assert numbers() == ["p=0", "p=0", "p=0", "std=0.1"]
    attached.set_epoch(2.5)
    assert numbers() == ["p=0.1", "p=0.1", "p=0.1", "std=0.1"]
    assert attached.epoch == 2.5
    attached.set_epoch(99)
    assert numbers() == ["p=0.4", "p=0.4", "p=0.4", "std=0.1"]
    assert model.classifier[0].p == 0.0  # off, and a layer of ours behind it: see the note
    for nothing in (float("nan"), torch.tensor(float("nan"))):
        with pytest.raises(ValueError, match="expected the number of an epoch, got nan"):
            attached.set_epoch(nothing)
    assert attached.epoch == 99 and numbers() == ["p=0.4", "p=0.4", "p=0.4", "std=0.1"]
    assert attached.report()[2].by == "set, hook" and "own p off" in attached.report()[2].note
    torch.manual_seed(0)
    zero = (torch.cat([model.classifier[0](torch.ones(100, 100))]) == 0).float().mean()
    assert abs(zero - 0.4) < 5 * (0.24 / 10000) ** 0.5
    attached.detach()
    assert model.classifier[0].p == 0.5
    model(x)


def test_rules_are_taken_as_a_pipeline_a_spec_a_list_or_objects() -> None:
    entries = [{"dropout": {"at": "fc1", "p": 0.2}}]
    made: list[Any] = [
        entries,
        {"model": entries},
        Pipeline.from_spec({"model": entries}),
        Pipeline(model=[Dropout(at="fc1", p=0.2)]),
        [Dropout(at="fc1", p=0.2)],
        Dropout(at="fc1", p=0.2),
        Step(Dropout(at="fc1", p=0.2), "dropout"),
    ]
    reports = []
    for rules in made:
        with regularize(Digits(), rules) as attached:
            reports.append(attached.report())
    with Pipeline.from_spec({"model": entries}).regularize(Digits()) as attached:
        reports.append(attached.report())
    assert all(report == reports[0] for report in reports) and len(reports[0]) == 1
    with pytest.raises(SpecError, match=r"model\[0\].dropout.q"):
        regularize(Digits(), [{"dropout": {"at": "fc1", "q": 0.2}}])


def test_what_is_no_plain_module_is_refused() -> None:
    with pytest.raises(TypeError, match=r"expected a torch.nn.Module, got str"):
        regularize("model", [])  # type: ignore[arg-type]
    compiled = torch.compile(nn.Linear(2, 2), backend="eager")
    with pytest.raises(TypeError, match=r"attach, then torch.compile"):
        regularize(compiled, [{"dropout": "**"}])
    with pytest.raises(TypeError, match=r"attach, then torch.compile"):
        regularize(nn.DataParallel(compiled), [{"dropout": "**"}])


def test_the_loss_section_comes_along() -> None:
    model = nn.Sequential(nn.Linear(3, 2))
    limit = {"linear": [0.5, 0.1], "over": [0, 10]}
    attached = regularize(model, {"model": [{"dropout": "0"}], "loss": [{"max_norm": {"limit": limit}}]})
    with torch.no_grad():
        model[0].weight.fill_(1.0)
    for epoch, norm in ((0, 0.5), (5, 0.3)):
        attached.set_epoch(epoch)
        attached.constrain()
        assert torch.allclose(model[0].weight.norm(dim=1), torch.tensor(norm))
    attached.detach()
    with pytest.raises(RuntimeError, match="detached"):
        attached.constrain()
    with regularize(model, []) as nothing:
        nothing.constrain()
    assert torch.allclose(model[0].weight.norm(dim=1), torch.tensor(0.3))


def test_detaching_is_done_once_and_a_with_block_does_it() -> None:
    model, x = alexnet()
    with pytest.raises(ZeroDivisionError), regularize(model, [{"dropout": "features.0"}]) as attached:
        raise ZeroDivisionError
    assert not model.features[0]._forward_hooks and not attachments(model)
    attached.detach()
    with pytest.raises(RuntimeError, match="detached"):
        attached.set_epoch(1)
    model(x)


def test_a_rule_may_select_what_an_earlier_one_put_there() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    old = model[1]
    attached = regularize(model, [{"activation": {"to": "gelu"}}, {"dropout": {"at": {"type": "GELU"}}}])
    assert isinstance(model[1], nn.GELU) and len(model[1]._forward_hooks) == 1
    assert [(row.by, row.eval) for row in attached.report()] == [("replaced", "changes"), ("hook", "unchanged")]
    attached.detach()
    assert model[1] is old


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


def test_a_module_that_gives_no_tensor_says_so_when_it_is_called() -> None:
    model = Pair()
    regularize(model, [{"dropout": "**"}])
    with pytest.raises(TypeError, match="Dropout takes the output of a Pair, which must be a tensor; got a tuple"):
        model(torch.zeros(3, 1, 2))


def test_a_frozen_part_draws_nothing() -> None:
    model = ResNet(BasicBlock, (1, 1))
    regularize(model, [{"dropout": {"at": "layer1.*.conv1"}}])
    model.train()
    model.layer1.eval()  # as when a backbone is frozen
    x = torch.randn(2, 3, 8, 8)
    assert torch.equal(model.layer1[0](model.conv1(x)), model.layer1[0](model.conv1(x)))


def test_the_page_shows_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[1] / "docs/attaching.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.S)
    scope: dict[str, Any] = {}
    for block in (*blocks[:4], next(block for block in blocks if block.startswith("class Block"))):
        exec(block, scope)
    shown = re.findall(r"^    (\S.*)$", re.sub(r"```python\n.*?```", "", page, flags=re.S), re.M)
    printed = capsys.readouterr().out
    assert len(shown) >= 17
    assert [line for line in shown if line.removesuffix("...") not in printed] == []


@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature:UserWarning")
def test_weights_are_written_once_they_are_there() -> None:
    model = nn.Sequential(nn.LazyLinear(3))
    with pytest.raises(
        SpecError, match="do not exist before its first forward pass; run the model once, then attach"
    ):
        regularize(model, [{"init": "xavier"}])
    model(torch.zeros(1, 2))
    assert regularize(model, [{"init": "xavier"}]).report()[0].by == "written"
