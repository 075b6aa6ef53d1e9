"""Stochastic depth on residual blocks: which branches are dropped, which are not computed, what stays exact."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from models import BasicBlock, Bottleneck, DropPath, Mixer, MixerBlock, ResNet, Scaled
from torch import Tensor, nn
from torch.nn import functional

from augreg import regularize
from augreg.attachment.residual import ResidualParts, adapter, branch_outputs, residual_parts
from augreg.errors import SpecError
from augreg.nn.stochastic_depth import StochasticDepth


def depth(**arguments: Any) -> list[dict[str, Any]]:
    return [{"stochastic_depth": {"at": "layer*.*", **arguments}}]


class Counting:
    """A forward pre-hook that counts calls and rows."""

    def __init__(self, module: nn.Module) -> None:
        self.rows: list[int] = []
        module.register_forward_pre_hook(self)

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.rows.append(len(inputs[0]))


def test_the_linear_rule_counts_the_selected_blocks_in_order() -> None:
    attached = regularize(ResNet(), depth(survival=0.6))
    found = [(row.module, row.numbers) for row in attached.report()]
    assert found == [
        (f"layer{1 + index // 2}.{index % 2}", f"survival={1 - 0.4 * (index + 1) / 8:.4g}") for index in range(8)
    ]


@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
@pytest.mark.parametrize("skip", [True, False])
def test_evaluation_is_the_plain_one_bit_for_bit(block: Any, skip: bool) -> None:
    torch.manual_seed(0)
    model = ResNet(block)
    x = torch.randn(3, 3, 16, 16)
    model(x)
    plain = model.eval()(x)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    attached = regularize(model, depth(survival=0.1, skip=skip))
    assert torch.equal(model(x), plain) and list(model.state_dict()) == list(state)
    assert {(row.by, row.eval) for row in attached.report()} == {("skip" if skip else "computed", "unchanged")}
    assert not torch.equal(model.train()(x), model(x))
    model.load_state_dict(state)  # training has moved the statistics
    attached.detach()
    assert all("forward" not in vars(module) for module in model.modules())
    assert torch.equal(model.eval()(x), plain)


@pytest.mark.parametrize("skip", [True, False])
def test_the_papers_scaling_multiplies_branches_at_test_time(skip: bool) -> None:
    torch.manual_seed(0)
    model = ResNet(BasicBlock, (1,)).eval()
    x = torch.randn(2, 4, 8, 8)
    block = model.layer1[0]
    branch = block.bn2(block.conv2(block.relu(block.bn1(block.conv1(x)))))
    attached = regularize(model, depth(survival=0.25, scaling="original", skip=skip))
    assert attached.report()[0].eval == "changes" and attached.report()[0].test == "scale"
    torch.testing.assert_close(block(x), torch.relu(x + 0.25 * branch))


@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
def test_a_dropped_branch_is_not_computed_in_batch_mode(block: Any) -> None:
    """The calls of the branches' convolutions, as a fraction of those of a forward that drops nothing."""
    torch.manual_seed(0)
    model = ResNet(block, (2, 2))
    convolutions = [m for layer in (model.layer1, model.layer2) for b in layer for m in (b.conv1, b.conv2)]
    counts = [Counting(m) for m in convolutions]
    regularize(model, depth(survival=0.5, rule="uniform", mode="batch", skip=True))
    x = torch.randn(2, 3, 8, 8)
    for _ in range(200):
        model(x)
    calls = [len(count.rows) for count in counts]
    assert calls[0::2] == calls[1::2]  # a branch is called as a whole
    assert all(abs(number - 100) < 5 * 50**0.5 for number in calls)  # 5 sigma for four branches: 2e-6
    assert {row for count in counts for row in count.rows} == {2}
    stem = Counting(model.conv1)
    model.eval()(x)
    assert stem.rows == [2]
    assert [len(count.rows) - number for count, number in zip(counts, calls, strict=True)] == [1] * 8


def test_only_the_kept_rows_are_computed_in_row_mode() -> None:
    torch.manual_seed(0)
    model = ResNet(BasicBlock, (1,))
    count, shortcut = Counting(model.layer1[0].conv2), Counting(model.layer1)
    regularize(model, depth(survival=0.5, skip=True))
    x = torch.randn(16, 3, 8, 8)
    for _ in range(10):
        model(x)
    assert set(count.rows) == {8} and set(shortcut.rows) == {16}
    count.rows.clear()
    for _ in range(100):
        model(x[:15])  # 7.5 on average
    assert set(count.rows) == {7, 8} and abs(count.rows.count(8) - 50) < 5 * (100 / 4) ** 0.5


def test_skipping_and_masking_draw_and_compute_the_same_for_a_batch() -> None:
    """Compare outputs and gradients for the same seed, without batch norm, whose rows differ."""

    def made(skip: bool) -> tuple[nn.Module, Tensor, Counter[int]]:
        torch.manual_seed(0)
        model = ResNet(BasicBlock, (2, 2)).double()
        for module in list(model.modules()):
            for name, child in module.named_children():
                if isinstance(child, nn.BatchNorm2d):
                    setattr(module, name, nn.Identity())
        attached = regularize(model, depth(survival=0.5, rule="uniform", mode="batch", skip=skip))
        assert {row.by for row in attached.report()} == {"skip" if skip else "computed"}
        return model, torch.randn(6, 3, 8, 8, dtype=torch.float64), Counter()

    (skipping, x, _), (masking, _, _) = made(True), made(False)
    for seed in range(10):
        grads = []
        for model in (skipping, masking):
            model.zero_grad()
            torch.manual_seed(seed)
            y = model(x)
            y.square().sum().backward()
            grads.append([y, *(torch.zeros_like(p) if p.grad is None else p.grad for p in model.parameters())])
        torch.testing.assert_close(*grads)


def test_statistics_of_a_branch_that_is_dropped_stay() -> None:
    model = ResNet(BasicBlock, (1,))
    regularize(model, depth(survival=0.0, rule="uniform", mode="batch", skip=True))
    before = model.layer1[0].bn1.running_mean.clone()
    stem = model.bn1.running_mean.clone()
    model(torch.randn(4, 3, 8, 8))
    assert torch.equal(model.layer1[0].bn1.running_mean, before)
    assert not torch.equal(model.bn1.running_mean, stem)
    masked = ResNet(BasicBlock, (1,))
    regularize(masked, depth(survival=0.0, rule="uniform", mode="batch"))
    masked(torch.randn(4, 3, 8, 8))
    assert not torch.equal(masked.layer1[0].bn1.running_mean, before)


def test_a_dropped_branch_leaves_the_input_alone_though_its_activation_is_in_place() -> None:
    block = BasicBlock(4, 4)
    model = nn.Sequential(block)
    regularize(model, [{"stochastic_depth": {"at": "0", "survival": 0.0, "mode": "batch", "skip": True}}])
    x = torch.randn(2, 4, 4, 4)
    copy = x.clone()
    assert torch.equal(model(x), torch.relu(copy))
    assert torch.equal(x, copy)


def test_one_kept_row_of_one_pixel_does_not_break_batch_norm() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(BasicBlock(4, 4))
    count = Counting(model[0].conv1)
    regularize(model, [{"stochastic_depth": {"at": "0", "survival": 0.2, "skip": True}}])
    for _ in range(50):
        y = model(torch.randn(4, 4, 1, 1))
        if y.requires_grad:  # else all rows were dropped
            y.sum().backward()
    assert count.rows and min(count.rows) == 2  # a single row is given twice
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


class Own(nn.Module):
    """A block that cannot be traced and defines its parts by methods."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)

    def residual_branch(self, x: Tensor) -> Tensor:
        return self.conv(x) if x.sum() < 1e9 else x

    def residual_finish(self, total: Tensor) -> Tensor:
        return torch.tanh(total)

    def forward(self, x: Tensor) -> Tensor:
        return self.residual_finish(x + self.residual_branch(x))


class Theirs(nn.Module):
    """A third-party block whose parts only an adapter knows."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.gain = nn.Parameter(torch.full((), 2.0))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.gain * self.conv(x)


class Heirs(Theirs):
    """A subclass of it."""


@adapter(Theirs)
class TheirParts(ResidualParts):
    """branch = gain conv(x)"""

    def branch(self, block: Any, x: Tensor) -> Tensor:
        return block.gain * block.conv(x)


@pytest.mark.parametrize("block", [Own, Theirs, Heirs])
def test_methods_of_a_block_and_adapters_make_skipping_possible(block: Any) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(block())
    x = torch.randn(8, 4, 4, 4)
    plain = model(x)
    for skip in (True, False):
        attached = regularize(model, [{"stochastic_depth": {"at": "0", "survival": 0.5, "skip": skip}}])
        assert attached.report()[0].by == ("skip" if skip else "computed")
        y = model(x)
        alone = torch.tanh(x) if block is Own else x
        dropped = [torch.equal(a, b) for a, b in zip(y, alone, strict=True)]
        assert 0 < sum(dropped) < 8
        assert torch.equal(model.eval()(x), plain)
        model.train()
        attached.detach()


def test_ranks_that_share_batch_norms_do_not_skip(monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Sequential(Own())
    count = Counting(model[0].conv)
    regularize(model, [{"stochastic_depth": {"at": "0", "survival": 0.0, "mode": "batch", "skip": True}}])
    x = torch.randn(2, 4, 4, 4)
    monkeypatch.setattr("augreg.attachment.skipping._is_distributed", lambda: True)
    assert torch.equal(model(x), torch.tanh(x)) and len(count.rows) == 0
    model[0].norm = nn.SyncBatchNorm(4)  # never called: it runs on GPUs only
    assert torch.equal(model(x), torch.tanh(x)) and len(count.rows) == 1


class PreAct(nn.Module):
    """Batch norm and activation first, activations as functions, a convolution in the shortcut."""

    def __init__(self, inside: int, out: int, project: bool, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace
        self.bn1, self.bn2 = nn.BatchNorm2d(inside), nn.BatchNorm2d(out)
        self.conv1, self.conv2 = nn.Conv2d(inside, out, 3, padding=1), nn.Conv2d(out, out, 3, padding=1)
        self.shortcut = nn.Conv2d(inside, out, 1) if project else nn.Sequential()

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv1(functional.gelu(self.bn1(x)))
        out = self.conv2(functional.relu(self.bn2(out), inplace=self.inplace))
        return torch.add(self.shortcut(x), out)


class Shared(PreAct):
    """The shortcut and the branch start from the same activation, which separate chains would run twice."""

    def forward(self, x: Tensor) -> Tensor:
        h = functional.relu(self.bn1(x))
        return self.conv2(self.bn2(self.conv1(h))) + self.shortcut(h)


class Gated(PreAct):
    """The branch is used once more after the sum."""

    def forward(self, x: Tensor) -> Tensor:
        h = functional.relu(self.bn1(x))
        y = self.conv2(self.bn2(self.conv1(h)))
        return (y + self.shortcut(h)) * torch.sigmoid(y)


class Writes(PreAct):
    """The branch starts with an in-place activation, which changes the input of the shortcut."""

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv1(functional.relu(x, inplace=True))


class Dense(PreAct):
    """Nothing is added."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.conv1(x)], 1)


@pytest.mark.parametrize(
    "block",
    [
        BasicBlock(4, 4),
        BasicBlock(4, 4, 1, nn.Conv2d(4, 4, 1)),
        Bottleneck(16, 4),
        PreAct(4, 8, True),
        PreAct(4, 4, False),
    ],
    ids=lambda block: type(block).__name__,
)
def test_the_parts_read_from_a_graph_are_the_block_bit_for_bit(block: nn.Module) -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 16 if isinstance(block, Bottleneck) else 4, 6, 6)
    parts = residual_parts(block)
    assert parts is not None
    layer = StochasticDepth(1.0, skip=True)
    whole = parts.finish(block, layer.residual(parts.shortcut(block, x), lambda x: parts.branch(block, x), x))
    assert torch.equal(whole, block(x))


@pytest.mark.parametrize(
    "block", [Shared(4, 8, True), Writes(4, 4, False), Dense(4, 4, False), MixerBlock(4), Scaled(4), nn.Linear(2, 2)]
)
def test_what_is_no_plain_sum_of_chains_has_no_parts(block: nn.Module) -> None:
    assert residual_parts(block) is None


def test_elsewhere_the_last_module_of_the_branch_is_masked_and_the_report_says_computed() -> None:
    torch.manual_seed(0)
    block = Gated(4, 8, True)
    assert branch_outputs(block) == ["conv2"]
    model = nn.Sequential(block)
    attached = regularize(model, [{"stochastic_depth": {"at": "0", "survival": 0.5, "skip": True}}])
    row = attached.report()[0]
    assert row.by == "computed"
    assert row.note == "at conv2; masked, not saved: conv2 of the branch of add is used outside of it"
    x = torch.randn(8, 4, 4, 4)
    y = model(x)
    shortcut = block.shortcut(functional.relu(block.bn1(x)))
    dropped = [torch.equal(a, b) for a, b in zip(y, shortcut * 0.5, strict=True)]  # times sigmoid(0)
    assert 0 < sum(dropped) < 8


def test_a_block_of_two_branches_is_masked_at_both() -> None:
    class Bare(MixerBlock):
        def __init__(self) -> None:
            super().__init__(4)
            del self.drop_path1, self.drop_path2

        def forward(self, x: Tensor) -> Tensor:
            x = x + self.attn(self.norm1(x))
            return x + self.mlp(self.norm2(x))

    assert branch_outputs(Bare()) == ["attn", "mlp"]


def test_a_block_that_nobody_understands_is_refused_with_what_to_do() -> None:
    with pytest.raises(SpecError, match=r"model\[0\].stochastic_depth.at: 0 \(Scaled\): .*residual_branch.*adapter"):
        regularize(nn.Sequential(Scaled(4)), [{"stochastic_depth": "0"}])
    with pytest.raises(SpecError, match=r"nearest that can take stochastic_depth: layer1.0, layer1.1"):
        regularize(ResNet(BasicBlock, (2,)), [{"stochastic_depth": "conv1"}])


@pytest.mark.parametrize("rate", [0.1, 0.0], ids=["DropPath", "Identity"])
def test_a_drop_path_of_the_block_is_used_and_never_doubled(rate: float) -> None:
    torch.manual_seed(0)
    model = Mixer(drop_path=rate)
    x = torch.randn(64, 8)
    plain = model.eval()(x)
    attached = regularize(model, [{"stochastic_depth": {"at": "blocks.*", "survival": 0.4}}])
    row = attached.report()[2]
    assert row.by == ("set" if rate else "computed") and "drop_path1" in row.note and "drop_path2" in row.note
    assert torch.equal(model(x), plain)
    last = model.train().blocks[2]
    assert (isinstance(last.drop_path1, DropPath) and last.drop_path1.drop_prob == 0.6) == bool(rate)
    dropped = (last.drop_path1(torch.ones(4000, 2)) == 0).all(1).float().mean()
    assert abs(dropped - 0.6) < 5 * (0.24 / 4000) ** 0.5  # once: twice would drop 0.84
    attached.detach()
    assert (last.drop_path1.drop_prob == rate) if rate else not last.drop_path1._forward_hooks


def test_a_drop_path_that_cannot_do_what_is_asked_is_refused() -> None:
    with pytest.raises(SpecError, match=r"already has a DropPath.*mode: row"):
        regularize(Mixer(drop_path=0.1), [{"stochastic_depth": {"at": "blocks.*", "mode": "batch"}}])
