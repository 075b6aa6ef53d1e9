"""What is left when one of two attachments ends, and which of several nested modules is masked."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional

from augreg import regularize
from augreg.attachment.attach import attachments


def test_a_copied_part_knows_only_of_what_is_still_attached() -> None:
    model = nn.Sequential(nn.Sequential(nn.Linear(4, 4), nn.ReLU()), nn.Linear(4, 2))
    first = regularize(model, [{"activation_noise": {"at": "0.0", "std": 0.1}}])
    regularize(model, [{"dropout": {"at": "0.0", "p": 0.25}}])
    assert [row.rule for row in attachments(copy.deepcopy(model[0]))[0].report()] == ["activation_noise", "dropout"]
    first.detach()
    (attached,) = attachments(copy.deepcopy(model[0]))
    assert [row.rule for row in attached.report()] == ["dropout"]
    attached.detach()
    assert attachments(attached.model) == ()


class NormWithActivation(nn.BatchNorm1d):
    """A norm that has its activation in itself, as BatchNormAct2d of timm does."""

    def __init__(self) -> None:
        super().__init__(6)
        self.drop, self.act = nn.Identity(), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        normalized = functional.batch_norm(x, None, None, self.weight, self.bias, training=True)
        return self.act(self.drop(normalized))


def test_a_norm_that_contains_its_activation_is_masked_once() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 6), NormWithActivation(), nn.Linear(6, 2))
    with regularize(model, [{"dropout": {"at": ["0", "1", "1.act"], "p": 0.5}}]) as attached:
        hooked = [row.module for row in attached.report() if row.by != "none"]
        assert hooked == ["1.act"]
        x = torch.randn(4000, 6)
        dropped = (model[1](model[0](x)) == 0).float().mean()
    with torch.no_grad():  # half of the units are 0 behind the activation anyway, and half of the others are dropped
        alive = (model[1](model[0](x)) > 0).float().mean()
    assert abs(float(dropped) - (1 - 0.5 * float(alive))) < 5 * 0.5 / (4000 * 6) ** 0.5


class Gated(nn.Module):
    """Its output is that of `out`, and `gate`, which is declared last, only decides; torch.fx cannot trace it."""

    def __init__(self) -> None:
        super().__init__()
        self.out, self.gate = nn.Linear(4, 4), nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(x) if self.gate(x).sum() < 1e9 else x


def test_the_output_of_an_inner_module_is_not_guessed() -> None:
    """Only that of the whole model is: there a wrong guess leaves out a mask, and here it would move one."""
    model = nn.Sequential(Gated(), nn.Linear(4, 2))
    with regularize(model, [{"dropout": {"at": ["0", "0.gate"], "p": 0.5}}]) as attached:
        assert {row.module: row.by for row in attached.report()} == {"0": "hook", "0.gate": "hook"}
        assert (model[0](torch.ones(64, 4)) == 0).any()
