"""Which parameters are weights: told by the module that owns them, not by their shape."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from augreg import SpecError, regularize  # noqa: E402
from augreg.attachment.residual import branch_outputs  # noqa: E402
from augreg.loss import parameter_groups  # noqa: E402


class LayerScale(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((width, 1, 1), 9.0))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class PositionTable(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((5, 8), 9.0))


class WindowAttention(nn.Module):
    """As in Swin transformers."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(8, 24)
        self.relative_position_bias_table = nn.Parameter(torch.full((9, 2), 9.0))
        self.logit_scale = nn.Parameter(torch.full((2, 1, 1), 9.0))
        self.rel_pos_h = nn.Parameter(torch.full((5, 4), 9.0))


class Dense(nn.Module):
    """A linear layer of one's own."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel, self.out_weight = nn.Parameter(torch.full((8, 8), 9.0)), nn.Parameter(torch.full((8, 8), 9.0))
        self.bias = nn.Parameter(torch.full((1, 8), 9.0))


class Expert(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w1 = nn.Parameter(torch.full((8, 8), 9.0))


class ViT(nn.Module):
    """Everything with two axes or more that one meets, filled with 9."""

    def __init__(self) -> None:
        super().__init__()
        self.cls_token, self.pos_embed = nn.Parameter(torch.zeros(1, 1, 8)), nn.Parameter(torch.zeros(1, 5, 8))
        self.layer_scale = nn.Parameter(torch.zeros(8, 1, 1))
        self.weight_in = nn.Parameter(torch.zeros(8, 8))
        self.tokens = nn.ParameterList([nn.Parameter(torch.zeros(1, 8))])
        self.patches, self.up = nn.Conv2d(3, 8, 4), nn.ConvTranspose1d(8, 4, 2)
        self.attention, self.window = nn.MultiheadAttention(8, 2, add_bias_kv=True), WindowAttention()
        self.cross = nn.MultiheadAttention(8, 2, kdim=4, vdim=4)
        self.memory, self.cell, self.pair = nn.LSTM(8, 8, proj_size=4), nn.GRUCell(8, 8), nn.Bilinear(8, 8, 8)
        self.scale, self.table, self.norm = LayerScale(8), PositionTable(), nn.LayerNorm([5, 8])
        self.words, self.dense, self.expert = nn.Embedding(7, 8), Dense(), Expert()
        self.normed = nn.utils.parametrizations.spectral_norm(Dense(), "kernel")
        self.head = nn.utils.parametrizations.spectral_norm(nn.Linear(8, 4))
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.fill_(9.0)


WEIGHTS = {
    *("weight_in", "patches.weight", "up.weight", "attention.in_proj_weight", "attention.out_proj.weight"),
    *("cross.q_proj_weight", "cross.k_proj_weight", "cross.v_proj_weight", "cross.out_proj.weight"),
    *("window.qkv.weight", "memory.weight_ih_l0", "memory.weight_hh_l0", "memory.weight_hr_l0", "cell.weight_ih"),
    *("cell.weight_hh", "pair.weight", "dense.kernel", "dense.out_weight", "head.parametrizations.weight.original"),
    *("normed.out_weight", "normed.parametrizations.kernel.original"),
}


def names_of(model: nn.Module, parameters: Any) -> set[str]:
    known = {id(parameter): name for name, parameter in model.named_parameters()}
    return {known[id(parameter)] for parameter in parameters}


def test_decay_is_for_weights_that_multiply() -> None:
    model = ViT()
    decaying, rest = (group["params"] for group in parameter_groups(model, 0.1))
    assert names_of(model, decaying) == WEIGHTS
    assert names_of(model, rest) == {name for name, _ in model.named_parameters()} - WEIGHTS


@pytest.mark.parametrize("step", ["l1", "l2", "elastic_net", "orthogonality"])
def test_penalties_pull_at_the_weights_that_multiply(step: str) -> None:
    from augreg import Pipeline

    model = ViT()
    model.pair.weight = model.patches.weight = model.up.weight = None
    Pipeline.from_spec({"loss": [step]}).criterion().penalty(model).backward()
    pulled = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert pulled == WEIGHTS - {"pair.weight", "patches.weight", "up.weight"}


def test_max_norm_scales_the_weights_that_multiply_and_nothing_else() -> None:
    model = ViT()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    regularize(model, {"model": [], "loss": [{"max_norm": {"limit": 3}}]}).constrain()
    changed = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
    assert changed == WEIGHTS
    torch.testing.assert_close(model.expert.w1.norm(dim=1), torch.full((8,), 9 * 8**0.5))


@pytest.mark.parametrize(
    ("at", "selected"),
    [
        ("expert.w1", {"expert.w1"}),
        ("**.w1", {"expert.w1"}),
        (["*_embed", "expert.w1", "cls_token"], {"expert.w1", "cls_token"}),
        ("**", WEIGHTS),
        ("dense.*", {"dense.kernel", "dense.out_weight"}),
        ({"name": "**", "type": "LSTM"}, {name for name in WEIGHTS if name.startswith("memory")}),
        ({"name": "**.w1", "type": "Expert"}, {"expert.w1"}),
    ],
)
def test_a_pattern_that_ends_with_a_name_selects_a_matrix_of_any_module(at: Any, selected: set[str]) -> None:
    model = ViT()
    assert names_of(model, parameter_groups(model, 0.1, at=at)[0]["params"]) == selected


@pytest.mark.parametrize("at", ["expert.*", "*_embed", "tokens.*", "words.weight", "norm.weight", "table.**"])
def test_what_does_not_multiply_is_refused_and_included_on_demand(at: str) -> None:
    model = ViT()
    with pytest.raises(SpecError, match="include: all"):
        parameter_groups(model, 0.1, at=at)
    assert parameter_groups(model, 0.1, at=at, include="all")[0]["params"]


def test_a_layer_scale_does_not_make_a_side_of_a_block_its_branch() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale, self.conv = LayerScale(4), nn.Conv2d(4, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.scale(x) + self.conv(x)

    assert branch_outputs(Block()) == ["conv"]
