"""Stochastic depth on realistic blocks: which side is the branch, which forward runs, what is not dropped."""

from __future__ import annotations

import copy
import functools
import pickle
from typing import Any

import pytest
import torch
from models import BasicBlock, Mixer
from torch import Tensor, nn

from augreg import regularize
from augreg.attachment.residual import ResidualParts, adapter, branch_outputs, residual_parts
from augreg.errors import SpecError


def body() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))


class Block(nn.Module):
    """relu(body(x) + shortcut(x)): the most common block."""

    def __init__(self, shortcut: nn.Module, branch: nn.Module | None = None) -> None:
        super().__init__()
        self.body, self.shortcut = branch or body(), shortcut

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


class NormedShortcut(Block):
    """The shortcut has as many child modules as the branch, but fewer layers inside them."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(4, 4))
        self.norm = nn.LayerNorm(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.shortcut(x)) + self.body(x)


class Looked(NormedShortcut):
    """The same with a call that no chain of modules and activations can contain."""

    def forward(self, x: Tensor) -> Tensor:
        return (self.norm(self.shortcut(x)) + self.body(x)) * 2


def rule(**arguments: Any) -> list[dict[str, Any]]:
    return [{"stochastic_depth": {"at": "0", "survival": 0.0, "rule": "uniform", **arguments}}]


CASES: list[tuple[nn.Module, Any]] = [
    (Block(nn.Identity()), lambda block, x: torch.relu(x)),
    (Block(nn.Sequential()), lambda block, x: torch.relu(x)),
    (Block(nn.Linear(4, 4)), lambda block, x: torch.relu(block.shortcut(x))),
    (Block(nn.Identity(), nn.LayerNorm(4)), lambda block, x: torch.relu(x)),
    (NormedShortcut(), lambda block, x: block.norm(block.shortcut(x))),
    (Looked(), lambda block, x: block.norm(block.shortcut(x)) * 2),
]


@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize(
    ("block", "want"), CASES, ids=[f"{i}-{type(case[0]).__name__}" for i, case in enumerate(CASES)]
)
def test_the_branch_is_the_side_with_the_weights_and_the_shortcut_stays(block: Any, want: Any, skip: bool) -> None:
    model = nn.Sequential(copy.deepcopy(block)).train()
    x = torch.randn(3, 4)
    with regularize(model, rule(skip=skip)) as attached:
        torch.testing.assert_close(model(x), want(model[0], x))
        row = attached.report()[0]
        assert (row.by == "skip") == skip and "body" in row.note


@pytest.mark.parametrize(
    "block", [Block(body()), Block(nn.Linear(4, 4), nn.Linear(4, 4)), Block(nn.LayerNorm(4), nn.LayerNorm(4))]
)
def test_where_neither_side_is_clearly_the_branch_the_block_is_refused(block: nn.Module) -> None:
    assert residual_parts(block) is None and branch_outputs(block) == []
    with pytest.raises(SpecError, match=r"residual branch of this .* is not known"):
        regularize(nn.Sequential(block), rule(skip=True))


def test_the_note_says_which_chain_is_the_branch() -> None:
    assert regularize(nn.Sequential(BasicBlock(4, 4)), rule(skip=True)).report()[0].note == "branch: conv1..bn2"


class Masked(Block):
    """Takes an optional mask."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


@pytest.mark.parametrize("skip", [True, False])
def test_a_block_with_a_second_argument_is_masked_and_evaluated_with_it(skip: bool) -> None:
    model = Masked(nn.Identity())
    x, mask = torch.randn(3, 4), torch.ones(3)
    plain = model.eval()(x)
    holder = nn.Sequential(model)
    attached = regularize(holder, rule(skip=skip))
    row = attached.report()[0]
    assert row.by == ("skip" if skip else "computed")
    assert all(torch.equal(out, plain) for out in (model(x), model(x, mask), model(x, mask=mask), model(x=x)))
    model.train()
    assert all(torch.equal(out, torch.relu(x)) for out in (model(x, mask=mask), model(x, mask), model(x=x)))


class Explained(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.gain = nn.Linear(4, 4), nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return x + self.gain * self.body(x if mask is None else x * mask)


@adapter(Explained)
class ExplainedParts(ResidualParts):
    def branch(self, block: Any, x: Tensor) -> Tensor:
        return block.gain * block.body(x)


def test_an_adapter_takes_one_tensor_in_training_and_all_arguments_in_evaluation() -> None:
    model = nn.Sequential(Explained()).train()
    x, mask = torch.randn(3, 4), torch.rand(3, 4)
    regularize(model, rule(skip=True))
    assert torch.equal(model[0](x, mask=None), x) and torch.equal(model[0](x=x), x)
    with pytest.raises(TypeError, match="parts of this Explained take one tensor"):
        model[0](x, mask)
    model.eval()
    assert torch.equal(model[0](x, mask), x + model[0].body(x * mask))


def test_a_forward_set_on_the_block_is_neither_skipped_nor_lost() -> None:
    """Wraps a forward as accelerate and other launchers do."""
    model = nn.Sequential(Block(nn.Identity()))
    block = model[0]
    inner = block.forward

    @functools.wraps(inner)
    def wrapped(x: Tensor) -> Tensor:
        return inner(x) + 100

    block.forward = wrapped
    x = torch.randn(3, 4)
    plain = model.eval()(x)
    attached = regularize(model, rule(skip=True))
    row = attached.report()[0]
    assert row.by == "computed" and row.note == "at body; masked, not saved: the forward of this block was replaced"
    assert torch.equal(model(x), plain)
    assert torch.equal(model.train()(x), torch.relu(x) + 100)
    attached.detach()
    assert vars(block)["forward"] is wrapped and torch.equal(model.eval()(x), plain)
    odd = nn.Sequential(Explained())
    odd[0].forward = odd[0].forward
    with pytest.raises(SpecError, match="the forward of this block was replaced"):
        regularize(odd, rule(skip=True))


def test_what_has_been_wrapped_around_a_skipping_forward_stays_after_detaching() -> None:
    model = nn.Sequential(Block(nn.Identity()))
    x = torch.randn(3, 4)
    plain = model(x)
    attached = regularize(model, rule(skip=True))
    inner = model[0].forward
    model[0].forward = lambda x: inner(x) + 100
    assert torch.equal(model(x), torch.relu(x) + 100)
    attached.detach()
    assert torch.equal(model(x), plain + 100)


class Remembers(Block):
    """Stores what it computes on the module."""

    def __init__(self) -> None:
        super().__init__(nn.Identity())
        self.seen: list[Tensor] = []
        self.named: dict[str, list[Any]] = {"all": []}
        self.last: Any = None
        self.calls = 0
        self.add = self.added
        self.register_buffer("count", torch.zeros(()))

    def added(self, y: Tensor) -> None:
        self.seen.append(y)

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.count += 1
        self.last = y = self.body(x)
        self.add(y)
        self.named["all"].append(y)
        self.body.latest = y
        return y + self.shortcut(x)


@pytest.mark.parametrize("skip", [True, False])
def test_looking_for_the_parts_of_a_block_leaves_nothing_in_it(skip: bool) -> None:
    model = nn.Sequential(Remembers())
    block = model[0]
    attached = regularize(model, rule(skip=skip, survival=1.0))
    assert (block.calls, block.last, block.seen, block.named, float(block.count)) == (0, None, [], {"all": []}, 0.0)
    assert not hasattr(block.body, "latest")
    pickle.dumps(model)
    (row,) = attached.report()
    assert row.by == "computed"
    stored = "its forward stores `seen`, `named`, `last`, `count`, `body.latest`"
    assert row.note == ("at body; masked, not saved: " + stored if skip else "at body")
    model(torch.zeros(1, 4))
    block.last = torch.zeros(1, requires_grad=True) * 2  # what no deep copy would take
    attached.detach()
    assert regularize(model, rule(skip=True)).report()[0].by == "computed"


class Strided(nn.Module):
    """The shortcut takes every second element, which is a view of the input."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu = nn.Conv2d(2, 2, 1, stride=2), nn.ReLU(inplace=True)

    def residual_branch(self, x: Tensor) -> Tensor:
        return self.conv(x)

    def residual_shortcut(self, x: Tensor) -> Tensor:
        return x[..., ::2, ::2]

    def residual_finish(self, total: Tensor) -> Tensor:
        return self.relu(total)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.residual_shortcut(x) + self.conv(x))


def test_an_activation_in_place_does_not_write_into_the_input_through_a_view() -> None:
    model = nn.Sequential(Strided())
    regularize(model, rule(skip=True, mode="batch"))
    x = torch.randn(2, 2, 4, 4)
    before = x.clone()
    assert torch.equal(model(x), torch.relu(before[..., ::2, ::2]))
    assert torch.equal(x, before)


@pytest.mark.parametrize("drop", [0.1, 0.0])
def test_with_skip_a_drop_path_of_the_block_is_off_until_detached(drop: float) -> None:
    model = Mixer(drop_path=drop)
    attached = regularize(model, [{"stochastic_depth": {"at": "blocks.*", "skip": True, "mode": "batch"}}])
    for row in attached.report():
        assert "skip" in row.by and row.note.endswith("branches: norm1..drop_path1, norm2..drop_path2")
        assert ("own drop_path1 off; own drop_path2 off" in row.note) == bool(drop)
    assert {getattr(block.drop_path1, "drop_prob", 0.0) for block in model.blocks} == {0.0}
    attached.detach()
    assert {getattr(block.drop_path1, "drop_prob", 0.0) for block in model.blocks} == {drop}


def test_torchs_transformer_layers_are_masked_at_the_ends_of_their_branches() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True, norm_first=True)
    x = torch.randn(4, 5, 8)
    attached = regularize(nn.Sequential(layer), rule())
    assert attached.report()[0].note == "at dropout1, dropout2"
    assert torch.equal(layer.train()(x), x)
    attached.detach()
    assert branch_outputs(nn.TransformerDecoderLayer(8, 2, 16)) == ["dropout1", "dropout2", "dropout3"]
    first = nn.Sequential(nn.TransformerEncoderLayer(8, 2, 16))
    with pytest.raises(SpecError, match="samples are in the second dimension; build it with batch_first=True"):
        regularize(first, rule())
    regularize(first, rule(mode="batch"))
