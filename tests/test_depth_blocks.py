"""Stochastic depth with `skip` on blocks of one and two sums: what is computed, and that it is what masks compute."""

from __future__ import annotations

import copy
import itertools
import pickle
import types
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from models import BasicBlock, Mixer, MixerBlock  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.nn import functional  # noqa: E402
from torch.utils.checkpoint import checkpoint  # noqa: E402

from augreg import regularize  # noqa: E402
from augreg.attachment.skipping_graph import BlockGraphs  # noqa: E402
from augreg.nn.stochastic_depth import StochasticDepth  # noqa: E402


def attach(model: nn.Module, **arguments: Any) -> Any:
    rule = {"at": "*", "survival": 0.5, "rule": "uniform", "skip": True, **arguments}
    return regularize(model, [{"stochastic_depth": rule}])


class Rows:
    """A forward pre-hook that notes how many rows a module gets."""

    def __init__(self, module: nn.Module) -> None:
        self.seen: list[int] = []
        module.register_forward_pre_hook(self)

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.seen.append(len(inputs[0]))


class Windows(nn.Module):
    """Two sums in the shape of Swin: windows of a shifted map, sizes from the input, a mask, shared drop path."""

    def __init__(self, shift: int = 1) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(4), nn.LayerNorm(4)
        self.attn, self.mlp = nn.Linear(16, 16), nn.Linear(4, 4)
        self.drop_path = nn.Identity()
        self.shift = shift
        self.register_buffer("bias", torch.linspace(0, 1, 16), persistent=False)

    def forward(self, x: Tensor, size: int = 4, scale: Tensor | None = None) -> Tensor:
        batch, length, width = x.shape
        h = torch.roll(self.norm1(x).view(batch, size, length // size, width), self.shift, dims=2)
        h = (self.attn(h.reshape(-1, 16) + self.bias)).view(batch, length, width)
        x = self.drop_path(h if scale is None else h * scale) + x
        y = self.mlp(self.norm2(x))
        y = self.drop_path(y)
        y += x
        return y


class PostNorm(nn.Module):
    """The norms come after the sums, and the block returns what its first branch makes besides."""

    def __init__(self) -> None:
        super().__init__()
        self.attn, self.norm1, self.norm2 = nn.MultiheadAttention(4, 2, batch_first=True), *(nn.LayerNorm(4),) * 2
        self.mlp = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 4))

    def forward(self, x: Tensor) -> tuple[Tensor, Any]:
        out, weights = self.attn(x, x, x)
        x = self.norm1(x + out)
        return self.norm2(torch.add(x, self.mlp(x))), weights


class Scaled(nn.Module):
    """A parameter scales the branch, as in ConvNeXt and BEiT."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.gain, self.end = nn.Linear(4, 4), nn.Parameter(torch.full((4,), 0.5)), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return x + self.end(self.gain * torch.tanh(self.body(x)))


def encoder(norm_first: bool) -> nn.Module:
    return nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True, norm_first=norm_first)


def decoder(norm_first: bool) -> nn.Module:
    return nn.TransformerDecoderLayer(4, 2, 8, dropout=0.0, batch_first=True, norm_first=norm_first)


class Case:
    """A block, the ends of its branches, and the other arguments of a call with N rows."""

    def __init__(self, make: Callable[[], nn.Module], ends: str, more: Callable[[int], dict[str, Any]] | None = None):
        self.make, self.ends, self.more = make, ends.split(), more or (lambda total: {})


def padding(total: int) -> dict[str, Any]:
    return {"src_key_padding_mask": torch.arange(8) >= torch.arange(3, 3 + total)[:, None]}


def causal(total: int) -> dict[str, Any]:
    return {"src_mask": torch.triu(torch.full((8, 8), -torch.inf), 1), "is_causal": True}


CASES = {
    "one sum": Case(Scaled, "end"),
    "mixer": Case(lambda: MixerBlock(4), "drop_path1 drop_path2"),
    "windows": Case(Windows, "drop_path"),
    "windows, a number": Case(lambda: Windows(0), "drop_path", lambda total: {"size": 2}),
    "post-norm": Case(PostNorm, "attn mlp"),
    "encoder": Case(lambda: encoder(True), "dropout1 dropout2"),
    "encoder, post-norm": Case(lambda: encoder(False), "dropout1 dropout2"),
    "encoder, padded": Case(lambda: encoder(False), "dropout1 dropout2", padding),
    "encoder, causal": Case(lambda: encoder(True), "dropout1 dropout2", causal),
    "decoder": Case(
        lambda: decoder(True), "dropout1 dropout2 dropout3", lambda total: {"memory": torch.ones(total, 3, 4)}
    ),
}


class Scripted:
    """A source whose draws are given: it takes one after the other, and starts again."""

    def __init__(self, *draws: Any) -> None:
        self.draws = itertools.cycle(draws)

    def uniform(self, shape: Any, device: Any) -> Tensor:
        return torch.as_tensor(next(self.draws), dtype=torch.float32, device=device).reshape(tuple(shape))


def layer_of(model: nn.Module) -> StochasticDepth:
    return next(vars(module)["forward"].layer for module in model.modules() if "forward" in vars(module))


def loss_and_gradients(model: nn.Module, x: Tensor, more: dict[str, Any]) -> list[Tensor]:
    given = x.clone().requires_grad_()
    output = model(given, **more)
    output = output[0] if isinstance(output, tuple) else output
    parameters = list(model.parameters())
    weights = torch.linspace(-1, 1, output.numel(), dtype=x.dtype).view(output.shape)
    gradients = torch.autograd.grad((output * weights).sum(), [given, *parameters], allow_unused=True)
    return [output, *(torch.zeros(()) if g is None or not g.any() else g for g in gradients)]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("mode", ["row", "batch"])
def test_skipping_computes_what_masks_at_the_ends_of_the_branches_compute(name: str, mode: str) -> None:
    """The block's own forward and gradients, with hooks that multiply the ends of its branches by what is drawn."""
    case = CASES[name]
    torch.manual_seed(0)
    block = case.make().double().train()
    x, more = torch.randn(6, 8, 4, dtype=torch.float64), case.more(6)
    more = {key: v.double() if isinstance(v, Tensor) and v.is_floating_point() else v for key, v in more.items()}
    orders = [torch.rand(6) for _ in range(3)]
    factors = []
    for order, coin in zip(orders, (0.7, 0.2, 0.9), strict=True):
        factor = torch.zeros(6, 1, 1, dtype=torch.float64)
        if mode == "row":
            factor[order.argsort()[:3]] = 2.0
        factors.append(factor if mode == "row" else factor + 2.0 * (coin < 0.5))
    turns = itertools.cycle(factors)

    def multiply(module: nn.Module, inputs: Any, output: Any) -> Any:
        factor = next(turns)
        return (output[0] * factor, *output[1:]) if isinstance(output, tuple) else output * factor

    handles = [block.get_submodule(end).register_forward_hook(multiply) for end in case.ends]
    want = loss_and_gradients(block, x, more)
    for handle in handles:
        handle.remove()
    model = nn.Sequential(block)
    rows = attach(model, mode=mode).report()
    assert {row.by for row in rows} == {"skip"}, rows
    draws = [draw for order in orders for draw in (0.5, order)] if mode == "row" else [0.7, 0.2, 0.9]
    layer_of(model).source = Scripted(*draws)
    got = loss_and_gradients(block, x, more)
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_the_mean_of_outputs_and_gradients_over_all_draws_is_that_of_the_plain_block() -> None:
    """Every count, every choice of rows and both branches of a linear block, each with its probability."""

    class Linear(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            x = x + self.a(x)
            return x + self.b(x)

    torch.manual_seed(0)
    block = Linear().double()
    x = torch.randn(3, 3, dtype=torch.float64)
    want = loss_and_gradients(block, x, {})
    model = nn.Sequential(block)
    attach(model, survival=0.4)  # 1.2 of 3 rows: one, or two with probability 0.2
    branch = [(0.2, 0.1, order) for order in itertools.permutations(range(3))]
    branch += [(0.8, 0.3, order) for order in itertools.permutations(range(3))]
    mean = [torch.zeros_like(value) for value in want]
    layer = layer_of(model)
    for (p, coin, order), (q, other_coin, other_order) in itertools.product(branch, branch):
        layer.source = Scripted(coin, order, other_coin, other_order)
        for total, value in zip(mean, loss_and_gradients(block, x, {}), strict=True):
            total += value * p * q / 36
    for a, b in zip(mean, want, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("total", [1, 2, 7, 30])
@pytest.mark.parametrize("survival", [0.05, 0.3, 0.5, 0.9])
def test_the_number_of_kept_rows_is_exact_on_average_for_every_batch(total: int, survival: float) -> None:
    x = torch.zeros(total, 1)
    layer = StochasticDepth(survival, skip=True)
    counts = []
    for coin in (torch.arange(1000) + 0.5) / 1000:
        layer.source = Scripted(coin, torch.rand(total))
        counts.append(int(layer.residual(x, torch.ones_like, x).count_nonzero()))
    assert set(counts) <= {int(total * survival), int(total * survival) + 1}
    assert sum(counts) / 1000 == pytest.approx(total * survival, abs=1e-3)


def test_every_row_is_kept_with_the_same_probability_and_only_rows_are_drawn() -> None:
    torch.manual_seed(0)
    layer = StochasticDepth(0.3, skip=True)
    x = torch.zeros(5, 1)
    kept = torch.stack([layer.residual(x, torch.ones_like, x)[:, 0] > 0 for _ in range(2000)]).double()
    assert (kept.mean(dim=0) - 0.3).abs().max() < 5 * (0.21 / 2000) ** 0.5
    assert set(kept.sum(dim=1).tolist()) == {1.0, 2.0}  # so the rows of a batch are not independent


def test_the_same_seed_keeps_the_same_rows_and_branches_differ() -> None:
    def drawn(seed: int) -> Tensor:
        torch.manual_seed(0)
        model = nn.Sequential(MixerBlock(4), MixerBlock(4))
        attach(model, seed=seed)
        kept = []
        for block in model:
            for norm in (block.norm1, block.norm2):
                norm.register_forward_pre_hook(lambda m, inputs: kept.append(inputs[0].detach().clone()))
        torch.manual_seed(seed + 5)  # of no effect
        x = torch.arange(16.0).repeat_interleave(4).view(16, 4)
        model(x)
        model(x)
        return kept

    first, again, other = drawn(1), drawn(1), drawn(2)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0]) and not torch.equal(first[0], first[4])


@pytest.mark.parametrize("name", ["mixer", "windows", "encoder, post-norm", "encoder, padded"])
@pytest.mark.parametrize("seed", [None, 3])
def test_nothing_is_read_back_from_the_device(name: str, seed: int | None) -> None:
    """A tensor on the device `meta` has no values, so reading one raises."""
    case = CASES[name]
    model = nn.Sequential(case.make().to("meta"), case.make().to("meta"))
    attach(model, seed=seed, survival=0.4)
    count = Rows(next(iter(model[0].children())))
    more = {key: value.to("meta") for key, value in case.more(6).items() if isinstance(value, Tensor)}
    for _ in range(3):
        x = torch.randn(6, 8, 4, device="meta", requires_grad=True)
        y = model[1](model[0](x, **more), **more)
        y.sum().backward()
        assert x.grad is not None and x.grad.shape == x.shape
    assert set(count.seen) <= {2, 3}


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointing_recomputes_the_same_rows(reentrant: bool) -> None:
    torch.manual_seed(0)
    block = Windows()
    attach(nn.Sequential(block), survival=0.4)
    x = torch.randn(6, 8, 4)
    results = []
    for checkpointed in (False, True):
        torch.manual_seed(7)
        given = x.clone().requires_grad_()
        y = checkpoint(block, given, use_reentrant=reentrant) if checkpointed else block(given)
        results.append(torch.autograd.grad(y.square().sum(), [given, *block.parameters()], retain_graph=True)
                       if not reentrant else (y.square().sum().backward(), given.grad)[1:])  # fmt: skip
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_a_layer_that_checkpoints_its_own_forward_still_does() -> None:
    block = Windows()
    block.gradient_checkpointing, calls = True, []

    def own(function: Any, *inputs: Any) -> Any:
        calls.append(len(inputs))
        return checkpoint(function, *inputs, use_reentrant=False)

    block._gradient_checkpointing_func = own
    attach(nn.Sequential(block))
    block(torch.randn(6, 8, 4), size=2).sum().backward()
    assert calls == [1] and block.mlp.weight.grad is not None


def test_autocast_copies_and_pickles() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(encoder(True), encoder(False))
    attach(model, seed=4)
    x = torch.randn(6, 8, 4)
    copies = [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    y = model(x)
    assert all(torch.equal(other(x), y) for other in copies)
    assert "forward" in vars(copies[0][0]) and vars(copies[0][0])["forward"].block is copies[0][0]
    with torch.autocast("cpu", torch.bfloat16):
        assert model(x).dtype in (torch.bfloat16, torch.float32)


class Net(nn.Module):
    def __init__(self, checkpointed: bool, *blocks: nn.Module) -> None:
        super().__init__()
        self.blocks, self.checkpointed = nn.ModuleList(blocks), checkpointed

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=False) if self.checkpointed else block(x)
        return x


@pytest.mark.parametrize("checkpointed", [False, True])
def test_compiled_code_saves_in_row_mode_without_compiling_for_each_count(checkpointed: bool) -> None:
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    shapes: list[int] = []

    def backend(graph: Any, inputs: Any) -> Any:
        for node in graph.graph.nodes:
            value = node.meta.get("example_value")
            if node.target is functional.linear and isinstance(value, Tensor):
                shapes.append(value.shape[0])
        return graph.forward

    model = Net(checkpointed, Scaled(), Scaled())
    attach(model, at="blocks.*", survival=0.3)
    compiled = torch.compile(model, fullgraph=True, backend=backend)
    x = torch.zeros(9, 4)
    for _ in range(8):
        y = compiled(x)
    assert y.shape == (9, 4) and torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
    assert checkpointed or shapes == [3, 3]  # ceil(2.7): the third row is masked by chance
    for survival in (0.4, 0.47, 0.5, 0.61, 0.77):
        for block in model.blocks:
            vars(block)["forward"].layer.survival = survival
        compiled(x).sum().backward()
    if tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 10):  # older ones: docs/attaching.md
        assert torch._dynamo.utils.counters["stats"]["unique_graphs"] <= 3


def test_compiled_code_keeps_the_rows_that_a_seed_keeps_without_the_compiler() -> None:
    torch._dynamo.reset()
    x = torch.ones(10, 4)
    outputs = []
    for compiled in (False, True):
        torch.manual_seed(0)
        model = Net(False, Scaled(), MixerBlock(4))
        attach(model, at="blocks.*", survival=0.33, seed=11)
        call = torch.compile(model, fullgraph=True, backend="eager") if compiled else model
        outputs.append([call(x) for _ in range(6)])
    for a, b in zip(*outputs, strict=True):
        torch.testing.assert_close(a, b)


def test_a_changed_attribute_of_the_block_is_followed() -> None:
    torch.manual_seed(0)
    plain, block = (Windows(1) for _ in range(2))
    block.load_state_dict(plain.state_dict())
    attach(nn.Sequential(block), survival=1.0)
    x = torch.randn(2, 8, 4)
    assert torch.equal(block(x), plain(x))
    block.shift = plain.shift = 2
    assert torch.equal(block(x), plain(x))


def test_a_tensor_that_may_have_a_row_for_each_sample_is_given_whole() -> None:
    """`scale` has no known meaning: with one row for each sample the branch is computed for all of them."""
    torch.manual_seed(0)
    block = Windows()
    attached = attach(nn.Sequential(block), seed=1)
    count = Rows(block.norm1)
    x = torch.randn(6, 8, 4)
    block(x, scale=torch.ones(8, 4))
    assert "all rows" not in attached.report()[0].note
    block(x, scale=torch.ones(6, 1, 1))
    block(x, 4, torch.ones(6, 1, 1))
    assert count.seen == [3, 6, 6]
    note = "all rows computed: an argument of shape (6, 1, 1) may have rows for each of 6 samples"
    assert attached.report()[0].note.endswith(f"; {note}")


@pytest.mark.parametrize("total", [4, 6, 16])
def test_a_tensor_whose_other_dimensions_are_as_long_as_the_batch_costs_nothing(total: int) -> None:
    """Such as positions of (tokens, width) where the batch has `width` samples."""
    block = Windows()
    attached = attach(nn.Sequential(block), seed=1)
    count = Rows(block.norm1)
    block(torch.randn(total, 8, 4), scale=torch.ones(8, 4))
    block(torch.randn(total, 8, 4), scale=torch.ones(1, 8, 4))
    assert count.seen == [total // 2, total // 2] and "all rows" not in attached.report()[0].note


def test_what_a_dropped_branch_would_return_besides_is_none() -> None:
    block = PostNorm()
    attach(nn.Sequential(block))
    assert block(torch.randn(6, 8, 4))[1] is None
    assert block.eval()(torch.randn(6, 8, 4))[1].shape == (6, 8, 8)


class Nested(Scaled):
    """A sum within a branch."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        return x + self.end(y + self.gain * x)


class InPlace(Scaled):
    """The branch writes into the input, which the shortcut then is."""

    def forward(self, x: Tensor) -> Tensor:
        return x + self.end(self.body(x.mul_(2)))


class Alias(Scaled):
    """The second sum adds what the first one has changed in place."""

    def forward(self, x: Tensor) -> Tensor:
        y = x
        y += self.body(x)
        return self.end(y) + x


class Leaks(Scaled):
    """The branch is used after the sum as well."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.end(self.body(x))
        return (x + y) * y


class SequenceFirst(PostNorm):
    def __init__(self) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mlp(self.attn(x, x, x)[0])


class Chooses(Scaled):
    def forward(self, x: Tensor) -> Tensor:
        return x + self.end(self.body(x)) if x.sum() > 0 else x


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        (Leaks(), "end of the branch of add is used outside of it"),
        (SequenceFirst(), "a module in a branch has the samples in the second dimension"),
    ],
)
def test_what_cannot_be_saved_is_masked_and_the_report_says_why(block: nn.Module, reason: str) -> None:
    model = nn.Sequential(block)
    (row,) = attach(model, survival=0.0).report()
    assert row.by == "computed" and row.note.endswith(f"masked, not saved: {reason}")
    count = Rows(block.body if isinstance(block, Scaled) else block.mlp)
    model(torch.ones(6, 8, 4))
    assert count.seen == [6]


@pytest.mark.parametrize("block", [Nested(), InPlace(), Alias(), Chooses()], ids=lambda block: type(block).__name__)
def test_what_would_not_be_the_same_computation_has_no_graph(block: nn.Module) -> None:
    with pytest.raises(ValueError, match=r"within the branch|in place|cannot trace"):
        BlockGraphs(block)


def test_a_branch_that_does_not_treat_rows_separately_is_named() -> None:
    class Mixes(Scaled):
        def forward(self, x: Tensor) -> Tensor:
            return x + self.end(torch.cat([self.body(x)[:1]] * 10))

    attach(nn.Sequential(block := Mixes()), survival=0.7)
    with pytest.raises(RuntimeError, match="a branch of this Mixes returned 10 rows for 7"):
        block(torch.randn(10, 4))


def test_the_input_of_a_block_is_not_written_by_what_follows_a_dropped_branch() -> None:
    class Plain(BasicBlock):
        def forward(self, x: Tensor, unused: Any = None) -> Tensor:
            return super().forward(x)

    for block in (Plain(4, 4), BasicBlock(4, 4)):
        attach(nn.Sequential(block), survival=0.0, mode="batch")
        x = torch.randn(2, 4, 4, 4)
        before = x.clone()
        assert torch.equal(block(x), torch.relu(before)) and torch.equal(x, before)
    mixer = MixerBlock(4)
    attach(nn.Sequential(mixer), survival=0.0, mode="batch")
    x = torch.randn(2, 4)
    assert torch.equal(y := mixer(x), x) and y.data_ptr() != x.data_ptr()


def test_batch_norm_in_a_block_of_two_sums_sees_the_kept_rows() -> None:
    block = Mixer().blocks[0]
    block.norm1 = nn.BatchNorm1d(8)
    attach(nn.Sequential(block), survival=0.5)
    count = Rows(block.norm1)
    for total in (6, 2):
        block(torch.randn(total, 8))
    assert count.seen == [3, 2]  # a single row is given twice


def test_torch_fx_is_refused_by_name() -> None:
    model = nn.Sequential(MixerBlock(4)).train()
    attach(model)
    with pytest.raises(TypeError, match=r"torch\.fx cannot trace StochasticDepth: .*detach first"):
        torch.fx.symbolic_trace(model)


class Noisy(Scaled):
    """Differs in evaluation: a dropout of its own, and a gain that is used in training only."""

    def forward(self, x: Tensor) -> Tensor:
        y = functional.dropout(self.body(x), 0.5, self.training)
        if self.training:
            y = y * 100 * self.gain
        return x + self.end(y)


class Trains(Scaled):
    """Has another chain of calls in evaluation."""

    def forward(self, x: Tensor) -> Tensor:
        return x + (self.end(self.body(x)) if self.training else self.end(torch.tanh(self.body(x))))


@pytest.mark.parametrize("mode", ["row", "batch"])
@pytest.mark.parametrize("make", [Noisy, Trains])
def test_evaluation_with_another_test_time_rule_computes_what_the_block_computes_there(
    make: Callable[[], nn.Module], mode: str
) -> None:
    block = make()
    plain, x = copy.deepcopy(block).eval(), torch.randn(6, 4)
    model = nn.Sequential(block).train()
    (row,) = attach(model, mode=mode, scaling="original", survival=0.25).report()
    assert row.by == "skip"
    for _ in range(2):
        model.train()(x)
        torch.testing.assert_close(model.eval()(x), x + 0.25 * (plain(x) - x))


class Configured(Scaled):
    """Reads a dictionary, a configuration, a list in it, and a function."""

    def __init__(self) -> None:
        super().__init__()
        self.options: dict[str, Any] = {"k": 1.0, "more": [1.0]}
        self.config = types.SimpleNamespace(slope=0.1, sizes=[1, 2])
        self.function: Callable[[Tensor], Tensor] = torch.tanh

    def forward(self, x: Tensor) -> Tensor:
        y = functional.leaky_relu(self.function(self.body(x)), self.config.slope)
        return x + self.options["k"] * self.options["more"][0] * self.config.sizes[1] * self.end(y)


class Slope(Configured):
    """A plain chain of calls."""

    def forward(self, x: Tensor) -> Tensor:
        return x + functional.leaky_relu(self.function(self.body(x)), self.config.slope)


def set_entry(block: Any) -> None:
    block.options["k"] = 3.0


def set_nested(block: Any) -> None:
    block.options["more"][0] = 3.0


def set_slope(block: Any) -> None:
    block.config.slope = 0.5


def set_size(block: Any) -> None:
    block.config.sizes[1] = 7


def set_config(block: Any) -> None:
    block.config = types.SimpleNamespace(slope=0.3, sizes=[1, 1])


def set_function(block: Any) -> None:
    block.function = torch.sigmoid


@pytest.mark.parametrize("change", [set_entry, set_nested, set_slope, set_size, set_config, set_function])
@pytest.mark.parametrize("make", [Configured, Slope])
def test_what_changes_in_a_dictionary_a_configuration_or_a_function_is_followed(
    make: Callable[[], nn.Module], change: Callable[[Any], None]
) -> None:
    plain = make()
    block = copy.deepcopy(plain)
    attach(nn.Sequential(block), survival=1.0)
    x = torch.randn(2, 4)
    assert torch.equal(block(x), plain(x))
    for changed in (block, copy.deepcopy(block)):  # a copy has objects of its own
        reference = copy.deepcopy(plain)
        change(changed)
        change(reference)
        torch.testing.assert_close(changed(x), reference(x))


def test_a_change_after_which_the_branch_is_not_known_is_an_error() -> None:
    block = Slope()
    attach(nn.Sequential(block))
    block.function = torch.sin  # no activation that a chain of calls may have
    for _ in range(2):
        with pytest.raises(TypeError, match=r"attributes of this Slope have changed .*attach again"):
            block(torch.randn(2, 4))


def test_a_block_whose_attributes_stay_is_traced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    block, count = Configured(), []
    attach(nn.Sequential(block))
    original = BlockGraphs._add
    monkeypatch.setattr(BlockGraphs, "_add", lambda *arguments: (count.append(1), original(*arguments))[1])
    for _ in range(3):
        block(torch.randn(4, 4))
    assert count == []


class Stores(Scaled):
    """Keeps a tensor for a loss: an attribute, in a list, in a module in it, or a buffer that it writes into."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where, self.aux = where, torch.zeros(())
        self.seen: list[Tensor] = []
        self.register_buffer("total", torch.zeros(()))

    def forward(self, x: Tensor, unused: Any = None) -> Tensor:
        y = self.body(x)
        kept = y.pow(2).mean()
        if self.where == "aux":
            self.aux = kept
        elif self.where == "seen":
            self.seen.append(kept)
        elif self.where == "end.aux":
            self.end.aux = kept
        else:
            self.total += 1
        return x + self.end(y)


class StoresOne(Stores):
    """A plain chain of calls of one input."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)


@pytest.mark.parametrize("where", ["aux", "seen", "end.aux", "total"])
@pytest.mark.parametrize("make", [Stores, StoresOne])
def test_a_block_that_stores_a_tensor_is_masked_and_stores_it(make: Callable[[str], Any], where: str) -> None:
    block = make(where)
    (row,) = attach(nn.Sequential(block), survival=0.5, mode="batch").report()
    assert row.by == "computed" and row.note == f"at end; masked, not saved: its forward stores `{where}`"
    x = torch.randn(3, 4)
    for count in (1, 2):
        block(x)
        kept = {"aux": block.aux, "seen": block.seen and block.seen[-1], "end.aux": getattr(block.end, "aux", None)}
        want = torch.tensor(float(count)) if where == "total" else block.body(x).pow(2).mean()
        torch.testing.assert_close(kept.get(where, block.total), want)


class Gain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class ConvBlock(nn.Module):
    """A block of one sum with a float32 gain."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)
        self.gamma = nn.Parameter(torch.ones(4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.drop(self.norm(self.conv(x))) * self.gamma


class ConvChain(ConvBlock):
    """The same as a plain chain of modules."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = Gain()

    def forward(self, x: Tensor) -> Tensor:
        return x + self.gain(self.drop(self.norm(self.conv(x))))


@pytest.mark.parametrize("make", [ConvBlock, ConvChain])
@pytest.mark.parametrize("mode", ["row", "batch"])
def test_the_dtype_does_not_depend_on_whether_a_branch_was_dropped(make: Any, mode: str) -> None:
    """By torch's rules bfloat16 + bfloat16 * float32 is float32, in each call, even in the first one."""
    block = make()
    attach(nn.Sequential(block), mode=mode)
    x = torch.randn(2, 4, 3, 3)
    statistics, drawn = [value.clone() for value in block.buffers()], []
    layer = layer_of(nn.Sequential(block))
    for survival in (0.0, 0.0, 1.0, 0.0):
        layer.survival = survival
        for given, want in ((x.bfloat16(), torch.float32), (x, torch.float32)):
            torch.manual_seed(0)
            with torch.autocast("cpu", torch.bfloat16):
                y = block(given)
            assert y.dtype == want
            if survival == 0.0:
                assert torch.equal(y, given.float())
                drawn.append(torch.get_rng_state())
        if survival == 0.0 and not block.norm.num_batches_tracked:
            for value, before in zip(block.buffers(), statistics, strict=True):
                torch.testing.assert_close(value, before, rtol=0, atol=0)
    assert all(torch.equal(state, drawn[0]) for state in drawn)  # what finds out the dtype draws nothing


@pytest.mark.parametrize(("size", "form"), [((3, 3), torch.channels_last), ((2, 3, 3), torch.channels_last_3d)])
def test_the_rows_of_a_branch_and_its_sum_keep_channels_last(size: tuple[int, ...], form: Any) -> None:
    layer = StochasticDepth(0.5, skip=True, seed=1)
    x = torch.randn(6, 4, *size).to(memory_format=form).requires_grad_()
    seen = []

    def branch(rows: Tensor) -> Tensor:
        seen.append(rows)
        return rows * 2

    y = layer.residual(x, branch, x)
    assert seen[0].shape == (3, 4, *size) and seen[0].is_contiguous(memory_format=form)
    assert y.is_contiguous(memory_format=form)
    rows = y.detach()[:, 0].flatten(1)[:, 0] / x.detach()[:, 0].flatten(1)[:, 0]
    assert sorted(rows.round().tolist()) == [1.0, 1.0, 1.0, 5.0, 5.0, 5.0]  # x + 2 x / 0.5
    torch.testing.assert_close(y.detach(), x.detach() * rows.round().view(6, *(1 for _ in y.shape[1:])))
    y.sum().backward()
    torch.testing.assert_close(x.grad, torch.ones_like(x) * rows.round().view(6, *(1 for _ in y.shape[1:])))


class Buffered(Scaled):
    """The factor is computed from a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("factor", torch.linspace(0, 1, 4))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.end(self.body(x)) * (1 + self.factor.view(1, -1))


def test_a_buffer_works_as_a_parameter_does_and_its_changes_are_followed() -> None:
    plain = Buffered()
    block = copy.deepcopy(plain)
    (row,) = attach(nn.Sequential(block), survival=1.0).report()
    assert row.by == "skip" and row.note == "branches: body..end"
    x = torch.randn(3, 4)
    assert torch.equal(block(x), plain(x))
    for changed in (block, plain):
        changed.factor.mul_(5)
    assert torch.equal(block(x), plain(x))


class Unknown(Scaled):
    """No module computes the branch, and torch.fx cannot trace it."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        return x + (y if y.sum() > 0 else -y)


def test_the_error_for_an_unknown_branch_says_why_it_is_not_skipped() -> None:
    with pytest.raises(
        ValueError, match=r"the residual branch of this Unknown is not known \(torch\.fx cannot trace"
    ):
        attach(nn.Sequential(Unknown()))
    with pytest.raises(ValueError, match=r"is not known; select"):
        attach(nn.Sequential(Unknown()), skip=False)


@pytest.mark.parametrize(
    ("count", "listed"), [(1, "0"), (2, "0 and 1"), (3, "0, 1 and 2"), (4, "0, 1 and 2 more"), (6, "0, 1 and 4 more")]
)
def test_modules_that_a_rule_refuses_for_the_same_reason_are_one_error(count: int, listed: str) -> None:
    with pytest.raises(ValueError, match="the residual branch of this Unknown") as caught:
        attach(nn.Sequential(*(Unknown() for _ in range(count)), Scaled()))
    assert f"at: {listed} (Unknown): the residual" in str(caught.value)
    assert str(caught.value).count("is not known") == 1
