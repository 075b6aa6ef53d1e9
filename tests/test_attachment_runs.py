"""Rules that are attached and never run: refused, counted, and warned of by name; healthy models hear nothing."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402
from torch.utils.checkpoint import checkpoint  # noqa: E402

from augreg import SpecError, regularize  # noqa: E402
from augreg.attachment import counting, runs  # noqa: E402
from augreg.attachment.attach import attachments  # noqa: E402

X = torch.ones(2, 4)


@pytest.fixture(autouse=True)
def nothing_compiled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As in a fresh process, whatever other tests have compiled."""
    monkeypatch.setattr(counting.RunCounter, "compiled", False)
    yield


class Attention(nn.Module):
    """As torchvision's ShiftedWindowAttention: functions read the weights, and the layers are never called."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.proj, self.act = nn.Linear(4, 4), nn.Linear(4, 4), nn.ReLU()
        self.direct, self.chain = nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4), nn.Tanh())
        self.gate = nn.Linear(4, 4)

    def forward(self, x: Any) -> Any:
        x = functional.relu(functional.linear(x, self.qkv.weight, self.qkv.bias))
        x = self.direct.forward(x)
        for layer in self.chain:
            x = layer(x)
        return {"output": (self.proj(x),)}


class Opaque(Attention):
    """The same with a forward that torch.fx cannot trace, so that nothing is known before it runs."""

    def forward(self, x: Any) -> Any:
        return super().forward(x if x.sum() > 0 else -x)


class Parts(nn.Module):
    """A model that uses one of its heads at a time, and drops blocks by chance."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.blocks = nn.Linear(4, 4), nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])
        self.heads = nn.ModuleDict({"a": nn.Linear(4, 2), "b": nn.Linear(4, 3)})

    def forward(self, x: Any, head: str = "a", dropped: int = 1) -> Any:
        x = self.stem(x)
        for number, block in enumerate(self.blocks):
            if number != dropped:
                x = block(x)
        return self.heads[head](x)


@pytest.mark.parametrize(
    ("rule", "cause"),
    [
        ({"dropout": {"at": "0.qkv"}}, "its weights are used"),
        ({"dropout": {"at": "0.qkv", "on": "input"}}, "its weights are used"),
        ({"drop_connect": {"at": "0.qkv"}}, "its weights are used"),
        ({"dropout": {"at": "0.direct"}}, "its weights are used"),
        ({"dropout": {"at": "0.chain"}}, "its weights are used"),
        ({"activation_noise": {"at": "0.act"}}, "the model's forward never calls the module"),
        ({"activation": {"at": "0.act", "to": "gelu"}}, "the model's forward never calls the module"),
        ({"dropout": {"at": "0.gate"}}, "the model's forward never calls the module"),
    ],
)
def test_a_rule_that_never_runs_is_named_after_the_first_training_pass_once(rule: dict[str, Any], cause: str) -> None:
    (name,) = rule
    at = rule[name]["at"]
    model = nn.Sequential(Opaque() if cause == "its weights are used" else Attention())
    attached = regularize(model, [rule, {"dropout": {"at": {"name": "0.proj"}, "p": 0.1}}])
    model.eval()(X)
    with torch.no_grad():
        model.train()(X)  # a pass without gradients is no training pass
    with pytest.warns(UserWarning, match=rf"{name} at {at} \(\w+\): {cause}") as caught:
        model.train()(X)
    model(X)
    assert len(caught) == 1 and "proj" not in str(caught[0].message) and caught[0].filename == __file__
    assert [row.runs for row in attached.report()] == [0, 3]


def test_drop_connect_counts_direct_calls_of_forward_which_it_masks() -> None:
    model = nn.Sequential(Attention()).train()
    attached = regularize(model, [{"drop_connect": {"at": "0.direct", "p": 0.5}}])
    assert not torch.equal(model(X)["output"][0], model(X)["output"][0])
    assert attached.report()[0].runs == 2


def test_the_report_counts_training_calls_and_nothing_else() -> None:
    block = nn.TransformerEncoderLayer(4, 1, 8, batch_first=True)
    shared = nn.Linear(4, 4)
    model = nn.Sequential(
        nn.Linear(4, 4), shared, shared, nn.Tanh(), nn.Dropout(0.1), nn.Sequential(block), nn.ReLU(), nn.ReLU()
    )
    rules = [
        {"drop_connect": {"at": "0"}},
        {"dropout": {"at": "1", "p": 0.1}},
        {"dropout": {"at": "4", "p": 0.2}},
        {"stochastic_depth": {"at": "5.0"}},
        {"activation": {"at": "6", "to": "gelu"}},
        {"init": {"at": "0", "rule": "kaiming"}},
    ]
    attached = regularize(model, rules)
    x = torch.ones(2, 3, 4)
    for _ in range(3):
        model.train()(x)
        model.eval()(x)
    model[0].train()(x)  # one module alone
    # the shared module is called twice in a pass; a layer of the model that was set and written weights do not count
    assert [row.runs for row in attached.report()] == [4, 6, None, 3, 3, None]
    assert "runs" in str(attached.report()).splitlines()[0]
    attached.detach()
    model.train()(x)
    assert [row.runs for row in attached.report()] == [4, 6, None, 3, 3, None] and not model._forward_hooks


@pytest.mark.parametrize("at", ["blocks", "blo*", {"type": "ModuleList"}, {"type": "ModuleDict"}, ["heads", "stem"]])
@pytest.mark.parametrize("rule", ["dropout", "spatial_dropout", "activation_noise", "drop_block"])
def test_containers_are_refused(at: Any, rule: str) -> None:
    model = Parts()
    with pytest.raises(SpecError, match=r"container without a forward.*select the modules in it: (blocks|heads)\.\*"):
        regularize(model, [{rule: {"at": at}}])
    assert not attachments(model)


@pytest.mark.parametrize("container", [nn.ModuleList(), nn.ModuleDict(), nn.ParameterList(), nn.Module()])
def test_every_module_without_a_forward_is_a_container(container: Any) -> None:
    class Holder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.held, self.used = container, nn.Linear(4, 4)

        def forward(self, x: Any) -> Any:
            return self.used(x)

    with pytest.raises(SpecError, match="is a container"):
        regularize(Holder(), [{"dropout": {"at": "held", "on": "input"}}])
    with regularize(Holder(), [{"activation_noise": {"at": "*el*"}}, {"dropout": {"at": "used"}}][1:]) as attached:
        assert attached.report()[0].by == "hook"


def test_a_pattern_that_selects_more_leaves_containers_out() -> None:
    rows = regularize(Parts(), [{"activation_noise": {"at": "**", "std": 0.1}}]).report()
    assert {row.module: row.by for row in rows} == {
        "stem": "hook",
        "blocks": "none",
        "blocks.0": "hook",
        "blocks.1": "hook",
        "heads": "none",
        "heads.a": "hook",
        "heads.b": "hook",
    }
    assert rows[1].note == "skipped: a ModuleList is never called"


def test_legitimate_partial_passes_are_silent() -> None:
    rules = [{"dropout": {"at": "heads.b"}}, {"dropout": {"at": "blocks.1"}}, {"drop_connect": {"at": "stem"}}]
    model = Parts().train()
    attached = regularize(model, rules)
    model(X, "a").sum().backward()  # the other head, and a block that chance has dropped
    model(X, "b", 0).sum().backward()
    model.stem(X)  # a part of the model alone
    assert [row.runs for row in attached.report()] == [1, 1, 3]
    frozen = nn.Sequential(Opaque()).train()
    regularize(frozen, [{"dropout": {"at": "0.qkv"}}])
    frozen[0].qkv.eval()  # it is to do nothing
    frozen(X)


def test_a_tied_weight_tells_nothing_about_its_other_module() -> None:
    model = Parts().train()
    model.blocks[1].weight = model.stem.weight
    regularize(model, [{"drop_connect": {"at": "blocks.1"}}])
    model(X)  # stem uses the weight; blocks.1 was dropped


def test_what_is_not_known_at_once_is_said_after_many_passes() -> None:
    model = Parts().train()
    regularize(model, [{"dropout": {"at": "heads.b"}}, {"dropout": {"at": "blocks.*"}}])
    for _ in range(runs.PATIENCE - 1):
        model(X)
    with pytest.warns(UserWarning, match=r"dropout at heads\.b .*not called in 100 training passes") as caught:
        model(X)
    assert len(caught) == 1 and "blocks" not in str(caught[0].message)  # block 0 ran
    model(X)
    assert not model._forward_hooks


def test_checkpointed_blocks_count_and_are_silent() -> None:
    class Saving(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block, self.head = nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x: Any) -> Any:
            return self.head(checkpoint(self.block, x, use_reentrant=False))

    model = Saving().train()
    attached = regularize(model, [{"dropout": {"at": "block"}}])
    model(X).sum().backward()
    assert attached.report()[0].runs in (1, 2)  # backward computes it again


def test_copies_and_unpickled_models_count_for_themselves() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)).train()
    mine = regularize(model, [{"dropout": {"at": "0"}}, {"drop_connect": {"at": "1"}}])
    model(X)
    twins = [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    for twin in twins:
        twin(X)
    assert [row.runs for row in mine.report()] == [1, 1]
    for twin in twins:
        assert [row.runs for row in attachments(twin)[0].report()] == [2, 2]
    broken = nn.Sequential(Opaque()).train()
    regularize(broken, [{"dropout": {"at": "0.qkv"}}])
    twin = pickle.loads(pickle.dumps(copy.deepcopy(broken)))
    with pytest.warns(UserWarning, match=r"0\.qkv"):
        twin(X)
    attachments(twin)[0].detach()
    assert not twin._forward_hooks and broken._forward_hooks


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
@pytest.mark.parametrize("regional", [False, True])
def test_compiled_code_counts_nothing_and_says_nothing(regional: bool) -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)).train()
    attached = regularize(model, [{"dropout": {"at": "0"}}, {"drop_connect": {"at": "1", "per": "batch"}}])
    torch.compiler.reset()
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    if regional:
        model[0].compile(fullgraph=True, backend="eager")
        compiled = model
    compiled(X).sum().backward()
    assert not torch.equal(compiled(X), compiled(X))
    assert [row.runs for row in attached.report()] == [None, 3 if regional else None]
    torch.compiler.reset()
