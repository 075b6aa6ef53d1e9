"""Receptive fields of tokens and windows: against values worked out by hand, and against gradients."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from augreg.inspect import receptive_field  # noqa: E402


def mixed(x: Any) -> Any:
    """Attention without learned parts, spelled out; positive, so that nothing cancels."""
    return torch.softmax(x @ x.transpose(-2, -1), -1) @ x


class Windows(nn.Module):
    """Attention in windows of `size` positions, after a cyclic shift that is undone (Z. Liu et al. 2021)."""

    def __init__(self, size: int, shift: int = 0, grid: bool = False, fused: bool = False) -> None:
        super().__init__()
        self.size, self.shift, self.grid, self.fused = size, shift, grid, fused

    def forward(self, x: Any) -> Any:
        n, c, h, w = x.shape
        k, shift = self.size, self.shift
        y = torch.roll(x, (-shift, -shift), (2, 3)).permute(0, 2, 3, 1)
        if self.grid:  # tokens at equal distances over the whole image (Z. Tu et al. 2022)
            y = y.view(n, k, h // k, k, w // k, c).permute(0, 2, 4, 1, 3, 5)
        else:
            y = y.view(n, h // k, k, w // k, k, c).permute(0, 1, 3, 2, 4, 5)
        tokens = y.reshape(-1, k * k, c)
        attention = nn.functional.scaled_dot_product_attention if self.fused else lambda q, *_: mixed(q)
        tokens = tokens + attention(tokens, tokens, tokens)
        if self.grid:
            y = tokens.view(n, h // k, w // k, k, k, c).permute(0, 3, 1, 4, 2, 5)
        else:
            y = tokens.view(n, h // k, w // k, k, k, c).permute(0, 1, 3, 2, 4, 5)
        y = y.reshape(n, h, w, c).permute(0, 3, 1, 2)
        return x + torch.roll(y, (shift, shift), (2, 3))


class Merge(nn.Module):
    """Two by two positions become one, with four times the channels."""

    def forward(self, x: Any) -> Any:
        n, c, h, w = x.shape
        y = x.view(n, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 5, 3, 1).flatten(3)
        return nn.functional.layer_norm(y, y.shape[-1:]).permute(0, 3, 1, 2)


class Unfolded(nn.Module):
    """Attention among the positions at the same place of every patch (S. Mehta and M. Rastegari 2022)."""

    def forward(self, x: Any) -> Any:
        n, c, h, w = x.shape
        y = x.reshape(n * c * h // 2, 2, w // 2, 2).transpose(1, 2)
        y = y.reshape(n, c, h * w // 4, 4).transpose(1, 3).reshape(n * 4, h * w // 4, c)
        y = mixed(y).reshape(n, 4, h * w // 4, c).transpose(1, 3)
        return y.reshape(n * c * h // 2, w // 2, 2, 2).transpose(1, 2).reshape(n, c, h, w)


def extents(model: nn.Module, size: int, position: tuple[int, int]) -> list[tuple[int, int]]:
    x = torch.rand(1, 2, size, size, dtype=torch.float64, requires_grad=True)
    unit = model(x)[0, :, *position]
    (gradient,) = torch.autograd.grad((unit * torch.rand_like(unit)).sum(), x)
    used = [(gradient.abs().amax((0, 1, 3 - axis)) > 0).nonzero().flatten().tolist() for axis in (0, 1)]
    return [(places[0], places[-1]) for places in used]


@pytest.mark.parametrize(
    ("layers", "size", "stride"),
    [
        ([Windows(4)], 4, 1),
        ([Windows(4, fused=True)], 4, 1),
        ([Windows(4), Windows(4, 2)], 8, 1),  # a shifted window overlaps two
        ([Windows(4), nn.Conv2d(2, 2, 3, padding=1)], 8, 1),  # at the border of a window, a kernel reaches into two
        ([Windows(4), Merge()], 4, 2),
        ([Windows(4), Windows(4, 1), Merge()], 12, 2),  # pairs across the border of two shifted windows
        ([Merge(), nn.Conv2d(8, 8, 3, padding=1)], 6, 2),
        ([Windows(4, grid=True)], 13, 1),  # every fourth of 16: 0 to 12
        ([Windows(4), Windows(4, grid=True)], 16, 0),
        ([Unfolded()], 15, 1),  # every second of 16
        ([nn.Conv2d(2, 2, 2, 2), Windows(2)], 4, 2),
    ],
)  # fmt: skip
def test_windows_see_what_gradients_say(layers: list[nn.Module], size: int, stride: int) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(*layers).double()
    row = receptive_field(model, (2, 16, 16))[-1]
    assert (row.size, row.stride) == ((size, size), (stride, stride))
    inside = 0
    for position in itertools.product(range(row.output[1]), (1, row.output[2] // 2)):
        whole = [axis_field.at(place) for axis_field, place in zip(row.axis_fields, position, strict=True)]
        if all(each is not None and each[0] >= 0 and each[1] < 16 for each in whole):
            assert extents(model, 16, position) == list(row.seen(*position)), position
            inside += 1
    assert inside


class Class(nn.Module):
    """A vision transformer of one block; `tokens` are those before the image's, `parts` what to take after it."""

    def __init__(self, tokens: int = 1, block: nn.Module | None = None) -> None:
        super().__init__()
        self.patches, self.tokens = nn.Conv2d(2, 4, 4, 4), nn.Parameter(torch.rand(1, tokens, 4))
        self.places, self.norm = nn.Parameter(torch.rand(1, 16 + tokens, 4)), nn.LayerNorm(4)
        self.block = block if block is not None else nn.Identity()
        self.head, self.map = nn.Linear(4, 3), nn.Linear(4, 4)

    def forward(self, x: Any) -> Any:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.tokens, x], 1) + self.places
        x = x + self.block(self.norm(x))
        count = self.tokens.shape[1]
        return self.head(x[:, 0]), self.map(x[:, count:].transpose(1, 2).unflatten(2, (4, 4)).permute(0, 2, 3, 1))


class Self(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x: Any) -> Any:
        return self.heads(x, x, x)[0]


@pytest.mark.parametrize("tokens", [1, 3])
def test_a_class_token_sees_the_image_once_attention_mixes_them(tokens: int) -> None:
    before = receptive_field(Class(tokens), (2, 16, 16))
    assert (before["norm"].output, before["norm"].size, before["norm"].stride) == ((16 + tokens, 4), (4, 4), (4, 4))
    assert before["head"].size == (0, 0)
    assert before["head"].seen(0, 0) == (None, None)
    assert (before["map"].size, before["map"].stride, before["map"].seen(1, 2)) == ((4, 4), (4, 4), ((4, 7), (8, 11)))
    after = receptive_field(Class(tokens, Self()), (2, 16, 16))
    assert after["norm"].size == (4, 4)
    assert (after["head"].size, after["map"].size, after["map"].stride) == ((16, 16), (16, 16), (0, 0))


class Halves(nn.Module):
    def forward(self, x: Any) -> Any:
        tokens = torch.cat([torch.zeros(1, 2, 1), x.flatten(2)], 2)
        return tokens[:, :, :9]


class Twice(nn.Module):
    def forward(self, x: Any) -> Any:
        return torch.cat([x.flatten(2), x.flatten(2)], 2)


@pytest.mark.parametrize(
    ("model", "words"), [(Halves(), "a part of the image's tokens"), (Twice(), "concatenates positions")]
)
def test_tokens_without_a_place_say_so(model: nn.Module, words: str) -> None:
    assert words in receptive_field(nn.Sequential(model), (2, 8, 8))[-1].note


@pytest.mark.parametrize(
    "layer",
    [
        nn.Hardswish(), nn.Hardswish(inplace=True), nn.Mish(), nn.Mish(inplace=True), nn.Hardsigmoid(), nn.SiLU(),
        nn.GELU(), nn.ELU(), nn.CELU(), nn.SELU(), nn.PReLU(), nn.RReLU(), nn.Softplus(), nn.Softsign(),
        nn.Hardtanh(), nn.LogSigmoid(), nn.Threshold(0.1, 20), nn.Tanhshrink(), nn.Softshrink(), nn.Hardshrink(),
        nn.ReLU6(), nn.LeakyReLU(), nn.Sigmoid(), nn.Tanh(), nn.Dropout(), nn.Dropout2d(), nn.AlphaDropout(),
        nn.FeatureAlphaDropout(), nn.Identity(), nn.Softmax2d(), nn.LogSoftmax(1), nn.GLU(1), nn.BatchNorm2d(4),
    ],
    ids=lambda layer: repr(layer),
)  # fmt: skip
def test_layers_without_windows_keep_the_field(layer: nn.Module) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), layer)
    rows = receptive_field(model, 9)
    assert (rows[-1].name, rows[-1].size, rows[-1].stride) == ("1", (3, 3), (1, 1))


def test_memory_in_another_order_changes_nothing() -> None:
    def model() -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten())

    class Last(nn.Module):
        """The channels last, in memory, as in ConvNeXt."""

        def forward(self, x: Any) -> Any:
            return nn.functional.layer_norm(x.permute(0, 2, 3, 1), (3,)).permute(0, 3, 1, 2)

    plain = receptive_field(model(), 10)
    assert receptive_field(model().to(memory_format=torch.channels_last), 10) == plain
    later = receptive_field(nn.Sequential(Last(), *model()), 10)
    assert [row.size for row in later][1:] == [row.size for row in plain]


def test_containers_have_rows_after_what_is_in_them() -> None:
    stage = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU()))
    model = nn.Sequential()
    model.add_module("layer1", stage)
    model.add_module("fc", nn.Conv2d(4, 2, 1))
    rows = receptive_field(model, 20)
    assert [row.name for row in rows] == ["layer1.0", "layer1.1.0", "layer1.1.1", "layer1.1", "layer1", "fc"]
    assert (rows["layer1"].kind, rows["layer1"].size, rows["layer1"].stride) == ("Sequential", (7, 7), (2, 2))
