"""Receptive fields and output sizes: against published numbers, torch's sizes, and gradients of real models."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812

from augreg.inspect import LayerField, output_size, receptive_field, transposed_output_size  # noqa: E402


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Small tensors are faster so."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


WIDTH = 2  # how many channels has nothing to do with it


def alexnet() -> nn.Sequential:
    """The convolutions and poolings of Krizhevsky et al. 2012, and the first fully connected layer as a 6x6 one."""
    conv = nn.Conv2d
    return nn.Sequential(
        *(conv(3, WIDTH, 11, 4, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2)),
        *(conv(WIDTH, WIDTH, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2)),
        *(conv(WIDTH, WIDTH, 3, padding=1), conv(WIDTH, WIDTH, 3, padding=1), conv(WIDTH, WIDTH, 3, padding=1)),
        *(nn.MaxPool2d(3, 2), conv(WIDTH, WIDTH, 6)),
    )


def vgg16() -> nn.Sequential:
    layers: list[nn.Module] = []
    channels = 3
    for depth in (2, 2, 3, 3, 3):
        for _ in range(depth):
            layers += [nn.Conv2d(channels, WIDTH, 3, padding=1), nn.ReLU(inplace=True)]
            channels = WIDTH
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(WIDTH * 49, 4))


class Block(nn.Module):
    """A residual block of two or, as a bottleneck, three convolutions."""

    def __init__(self, kernels: tuple[int, ...], stride: int) -> None:
        super().__init__()
        at = kernels.index(3)
        self.layers = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(WIDTH, WIDTH, k, stride if i == at else 1, k // 2), nn.BatchNorm2d(WIDTH))
                for i, k in enumerate(kernels)
            )
        )
        self.down = nn.Conv2d(WIDTH, WIDTH, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x: Any) -> Any:
        y = self.layers(x)
        y += self.down(x)
        return F.relu(y)


def resnet(depths: tuple[int, ...], kernels: tuple[int, ...]) -> nn.Sequential:
    blocks = [
        Block(kernels, stride=2 if stage and not k else 1) for stage, depth in enumerate(depths) for k in range(depth)
    ]
    return nn.Sequential(
        nn.Conv2d(3, WIDTH, 7, 2, 3), nn.BatchNorm2d(WIDTH), nn.ReLU(), nn.MaxPool2d(3, 2, 1), *blocks
    )


def test_alexnet_has_its_published_fields_and_sizes() -> None:
    fields = [layer for layer in receptive_field(alexnet(), 224) if layer.kind in ("Conv2d", "MaxPool2d")]
    assert [layer.size[0] for layer in fields] == [11, 19, 51, 67, 99, 131, 163, 195, 355]
    assert [layer.output[1] for layer in fields] == [55, 27, 27, 13, 13, 13, 13, 6, 1]
    assert [layer.stride[0] for layer in fields] == [4, 8, 8, 16, 16, 16, 16, 32, 32]
    assert all(layer.size[0] == layer.size[1] for layer in fields)


def test_vgg16_has_its_published_fields() -> None:
    fields = receptive_field(vgg16(), 224)
    pools = [layer for layer in fields if layer.kind == "MaxPool2d"]
    assert [layer.size for layer in pools] == [(6, 6), (16, 16), (44, 44), (100, 100), (212, 212)]
    assert (fields[-1].kind, fields[-1].size, fields[-1].stride) == ("Linear", (404, 404), (0, 0))


@pytest.mark.parametrize(
    ("depths", "kernels", "field"), [((2, 2, 2, 2), (3, 3), 435), ((3, 4, 6, 3), (1, 3, 1), 427)]
)
def test_resnets_have_their_published_fields(depths: Any, kernels: Any, field: int) -> None:
    last = receptive_field(resnet(depths, kernels), 224)[-1]
    assert (last.size, last.stride, last.output) == ((field, field), (32, 32), (WIDTH, 7, 7))


def measured(model: nn.Module, shape: tuple[int, ...], position: tuple[int, ...]) -> list[tuple[int, int] | None]:
    """The extents of the input's gradient of one output position, with positive weights, so that nothing cancels."""
    x = torch.rand(1, *shape, dtype=torch.float64, requires_grad=True)
    y = model(x)
    (gradient,) = torch.autograd.grad(y[(slice(None), slice(None), *position)].sum(), x, allow_unused=True)
    assert gradient is not None
    extents: list[tuple[int, int] | None] = []
    for axis in range(2, gradient.ndim):
        others = tuple(d for d in range(gradient.ndim) if d != axis)
        used = (gradient.abs().amax(others) > 0).nonzero().flatten().tolist()
        extents.append((used[0], used[-1]) if used else None)
    return extents


def positive(model: nn.Module) -> nn.Module:
    """A copy for measuring: positive float64 weights; averages for maxima, whose gradient goes to one input."""
    model = copy.deepcopy(model).double().eval()
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.MaxPool2d | nn.MaxPool1d):
                average = nn.AvgPool2d if isinstance(child, nn.MaxPool2d) else nn.AvgPool1d
                setattr(parent, name, average(child.kernel_size, child.stride, child.padding))
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(0.5, 1.0)
    return model


def agree(model: nn.Module, shape: tuple[int, ...], positions: list[tuple[int, ...]] | None = None) -> int:
    """Compare the last layer's field with measured gradients; how many positions saw no border."""
    layer = receptive_field(model, shape)[-1]
    twin = positive(model)
    inside = 0
    for position in positions or list(itertools.product(*map(range, layer.output[1:]))):
        for axis, found in enumerate(measured(twin, shape, position)):
            wanted = layer.seen(*position)[axis]
            whole = layer.axis_fields[axis].at(position[axis])
            if whole is None or (whole[0] >= 0 and whole[1] < shape[axis + 1]):
                assert found == wanted, (position, axis)
                inside += 1
            else:  # at the border, what would be padding further in may hide a little
                assert found is None or (wanted is not None and wanted[0] <= found[0] and found[1] <= wanted[1])
    return inside


def test_real_models_agree_with_measured_gradients() -> None:
    small = resnet((1, 1), (3, 3))
    assert receptive_field(small, 96)[-1].size == (51, 51)
    assert agree(small, (3, 96, 96), [(5, 6), (6, 5), (0, 11), (5, 0)]) == 5
    stem = alexnet()[:6]
    assert agree(stem, (3, 131, 147), [(2, 3), (3, 2), (1, 1)]) == 4


@st.composite
def layers(draw: st.DrawFn) -> nn.Module:
    """A layer that moves along one axis."""
    kernel, stride, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    padding = draw(st.integers(0, kernel // 2))
    kind = draw(st.sampled_from(["conv", "conv", "transposed", "pool", "nearest", "linear", "adaptive", "ratio"]))
    match kind:
        case "conv":
            return nn.Conv1d(1, 1, kernel, stride, padding, dilation)
        case "transposed":
            return nn.ConvTranspose1d(1, 1, kernel, stride, padding, min(stride - 1, 1), dilation=dilation)
        case "pool":
            return nn.AvgPool1d(kernel, stride, padding)
        case "adaptive":
            return nn.AdaptiveAvgPool1d(draw(st.integers(2, 12)))
        case "ratio":
            return nn.Upsample(size=draw(st.integers(5, 50)), mode="linear", align_corners=draw(st.booleans()))
    return nn.Upsample(scale_factor=draw(st.integers(2, 3)), mode=kind)


def responses(model: nn.Module, size: int) -> list[tuple[int, int] | None]:
    """For each output position of a linear model, the first and last input position whose impulse reaches it."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(0.5, 1.0) if parameter.ndim > 1 else parameter.zero_()
        response = model(torch.eye(size, dtype=torch.float64)[:, None])[:, 0].abs()
    # an enlargement's weight that is 0 in exact arithmetic is 1e-17 here
    used = [(row > 1e-9 * response.max()).nonzero().flatten().tolist() for row in response.T]
    return [(row[0], row[-1]) if row else None for row in used]


@settings(derandomize=True, max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(layers(), min_size=1, max_size=3))
def test_any_chain_agrees_with_its_measured_responses_at_every_position(chain: list[nn.Module]) -> None:
    model, size = nn.Sequential(*chain).double(), 37
    try:
        found = responses(model, size)
    except RuntimeError:  # the chain removes all of, or a padding is too wide for torch
        return
    layer = receptive_field(model, (1, size))[-1]
    assert layer.output == (1, len(found))
    for position, seen in enumerate(found):
        whole = layer.axis_fields[0].at(position)
        (wanted,) = layer.seen(position)
        if whole is None or (whole[0] >= 0 and whole[1] < size):
            assert seen == wanted, position
        else:  # at the border, what would be padding further in may hide a little
            assert seen is None or (wanted is not None and wanted[0] <= seen[0] and seen[1] <= wanted[1]), position


def test_a_long_chain_is_compared_away_from_the_border() -> None:
    chain = [nn.Conv1d(1, 1, 3, 2, 1, 2), nn.ConvTranspose1d(1, 1, 4, 3, 1), nn.AvgPool1d(2)]
    model = nn.Sequential(*chain, nn.Upsample(scale_factor=2, mode="linear"), nn.Conv1d(1, 1, 3, 2)).double()
    layer, found = receptive_field(model, (1, 90))[-1], responses(model, 90)
    spans = map(layer.axis_fields[0].at, range(len(found)))
    inside = [j for j, span in enumerate(spans) if span and 0 <= span[0] <= 80]
    assert len(inside) > 40
    assert [found[j] for j in inside] == [layer.seen(j)[0] for j in inside]


def test_transposed_convolution_and_enlarging_have_fractional_strides() -> None:
    fields = receptive_field(
        nn.Sequential(nn.Conv2d(1, 1, 3, 2, 1), nn.ConvTranspose2d(1, 1, 4, 2, 1), nn.Upsample(scale_factor=4)),
        (1, 32, 32),
    )
    assert [layer.stride[0] for layer in fields] == [2, 1, Fraction(1, 4)]
    assert [layer.output[1] for layer in fields] == [16, 32, 128]
    assert fields[1].size == (5, 5)  # two neighbors of field 3, 2 apart
    holes = receptive_field(nn.ConvTranspose1d(1, 1, 1, 2), (1, 4))[0]  # zeros in between see nothing
    assert [holes.seen(j)[0] for j in range(4)] == [(0, 0), None, (1, 1), None]


def test_axes_have_fields_of_their_own() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 4, (3, 1), (2, 1)), nn.Conv2d(4, 4, (1, 5), dilation=(1, 3)), nn.MaxPool2d((3, 2))
    )
    layer = receptive_field(model, (3, 40, 60))["2"]
    assert (layer.size, layer.stride, layer.start) == ((7, 14), (6, 2), (3.0, 6.5))
    assert agree(model, (3, 40, 60), [(0, 0), (2, 7)]) == 4
    volume = nn.Sequential(nn.Conv3d(1, 1, (1, 2, 3)), nn.AvgPool3d(2))
    assert receptive_field(volume, (1, 8, 8, 8))[-1].size == (2, 3, 4)


class Branches(nn.Module):
    """A dilated and a plain branch, concatenated in channels, and a gate over everything if asked for."""

    def __init__(self, gate: bool) -> None:
        super().__init__()
        self.plain = nn.Conv2d(3, 2, 1)
        self.dilated = nn.Conv2d(3, 2, 3, padding=4, dilation=4)
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 4, 1)) if gate else None
        self.last = nn.Conv2d(4, 1, 3, padding=1, groups=1)

    def forward(self, x: Any) -> Any:
        y = torch.cat([self.plain(x), self.dilated(x)], 1)
        if self.gate is not None:
            y = y * torch.sigmoid(self.gate(y))
        return self.last(y)


def test_branches_are_joined() -> None:
    assert receptive_field(Branches(gate=False), 24)["last"].size == (11, 11)
    assert agree(Branches(gate=False), (3, 24, 24), [(11, 12), (5, 5)]) == 4


def test_a_gate_over_the_whole_map_lets_every_position_see_everything() -> None:
    layer = receptive_field(Branches(gate=True), 24)["last"]
    assert layer.stride == (0, 0)
    assert layer.seen(3, 20) == ((0, 23), (0, 23))
    agree(Branches(gate=True), (3, 24, 24), [(3, 20)])


class UNet(nn.Module):
    """Down by pooling, up by a transposed convolution, with a shortcut that is concatenated."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.deep = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1)
        self.up, self.leave = nn.ConvTranspose2d(2, 2, 2, 2), nn.Conv2d(4, 1, 3, padding=1)

    def forward(self, x: Any) -> Any:
        shallow = self.enter(x)
        up = self.up(self.deep(F.avg_pool2d(shallow, 2)))
        return self.leave(torch.cat([shallow, up], dim=1))


class Permuted(nn.Module):
    """A depthwise convolution, then a norm and a linear layer over the channels, put last and back."""

    def __init__(self) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(4, 4, 7, padding=3, groups=4)
        self.norm, self.linear = nn.LayerNorm(4), nn.Linear(4, 4)
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, x: Any) -> Any:
        y = self.linear(self.norm(self.depthwise(x).permute(0, 2, 3, 1))) * self.scale
        return x + y.permute(0, 3, 1, 2)


def test_networks_with_shortcuts_agree_with_measured_gradients() -> None:
    unet = receptive_field(UNet(), (1, 32, 32))
    assert unet["leave"].size == (10, 10)
    assert unet["leave"].seen(14, 15) == ((9, 18), (11, 20))  # even and odd positions reach to other sides
    assert unet["leave"].stride == (1, 1)
    assert agree(UNet(), (1, 32, 32), [(14, 15), (15, 14), (15, 15), (14, 14)]) == 8
    blocks = nn.Sequential(nn.Conv2d(3, 4, 4, 4), Permuted(), Permuted())
    assert receptive_field(blocks, 64)[-1].size == (4 + 6 * 4 + 6 * 4,) * 2
    assert agree(blocks[:2], (3, 64, 64), [(8, 7), (6, 8)]) == 4


class Tokens(nn.Module):
    """Patches as tokens: `mix` is what happens to them on the way back to a map."""

    def __init__(self, mix: nn.Module) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, 4)
        self.mix = mix

    def forward(self, x: Any) -> Any:
        y = self.patches(x)
        tokens = y.flatten(2).transpose(1, 2)
        return self.mix(tokens).transpose(1, 2).reshape(y.shape)


class Attention(nn.Module):
    def __init__(self, fused: bool) -> None:
        super().__init__()
        self.heads = nn.MultiheadAttention(8, 2, batch_first=True)
        self.fused = fused

    def forward(self, x: Any) -> Any:
        return x + self.heads(x, x, x, need_weights=not self.fused)[0]


@pytest.mark.parametrize("fused", [False, True])
def test_tokens_keep_their_places_until_attention_mixes_them(fused: bool) -> None:
    each = receptive_field(Tokens(nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 8), nn.GELU())), 32)[-1]
    assert (each.size, each.stride, each.output) == ((4, 4), (4, 4), (8, 8, 8))
    mixed = receptive_field(Tokens(Attention(fused)), 32)[-1]
    assert (mixed.size, mixed.stride) == ((32, 32), (0, 0))


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5)
        self.classifier = nn.Linear(256, 10)

    def forward(self, x: Any) -> Any:
        x = F.max_pool2d(torch.tanh(self.first(x)), 2)
        x = F.max_pool2d(torch.tanh(self.second(x)), 2)
        return F.log_softmax(self.classifier(x.flatten(1)), 1)


def test_functions_that_move_have_rows_too() -> None:
    fields = receptive_field(Functional(), (1, 28, 28))
    assert [(f.name, f.size[0]) for f in fields] == [
        ("first", 5),
        ("max_pool2d", 6),
        ("second", 14),
        ("max_pool2d (2)", 16),
        ("classifier", 28),
        ("output", 28),
    ]


@pytest.mark.parametrize(
    ("layer", "size", "field"),
    [
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4)), 9, 9),  # statistics over the whole map
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.InstanceNorm2d(4)), 9, 9),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), 9, 3),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False)), 9, 9),
        (nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(12, 4, 3), nn.PixelShuffle(2)), 16, 6),
        (nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(3, 4, 3), nn.LocalResponseNorm(3)), 9, 3),
        (nn.Sequential(nn.Conv2d(3, 4, 3, padding="same"), nn.GLU(1), nn.PReLU(), nn.Dropout2d()), 9, 3),
        (nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.Upsample(scale_factor=2, mode="bicubic")), 21, 9),
    ],
)
def test_layers_of_many_kinds(layer: nn.Module, size: int, field: int) -> None:
    assert receptive_field(layer, size)[-1].size == (field, field)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 7), st.integers(1, 4), st.integers(0, 3), st.integers(1, 3))
def test_output_sizes_are_those_of_torch(size: int, kernel: int, stride: int, padding: int, dilation: int) -> None:
    if size + 2 * padding < dilation * (kernel - 1) + 1:
        with pytest.raises(ValueError, match="does not fit"):
            output_size(size, kernel, stride, padding, dilation)
    else:
        layer = nn.Conv1d(1, 1, kernel, stride, padding, dilation)
        assert output_size(size, kernel, stride, padding, dilation) == layer(torch.zeros(1, 1, size)).shape[2]
    if (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1 < 1:
        with pytest.raises(ValueError, match="removes all of"):
            transposed_output_size(size, kernel, stride, padding, dilation=dilation)
    else:
        back = nn.ConvTranspose1d(1, 1, kernel, stride, padding, dilation=dilation)
        found = transposed_output_size(size, kernel, stride, padding, dilation=dilation)
        assert found == back(torch.zeros(1, 1, size)).shape[2]


class Writes(nn.Module):
    """Writes its input into a part of a buffer."""

    def forward(self, x: Any) -> Any:
        buffer = torch.zeros(1, 6, *x.shape[2:])
        buffer[:, :3] = x
        return buffer


class Transforms(nn.Module):
    def forward(self, x: Any) -> Any:
        return torch.fft.fft2(x).real


class Splits(nn.Module):
    def forward(self, x: Any) -> Any:
        return x.reshape(1, 16, 12)


class Misaligned(nn.Module):
    def forward(self, x: Any) -> Any:
        return x[:, :, :4] + x[:, :, ::2]


class Samples(nn.Module):
    def forward(self, x: Any) -> Any:
        return F.grid_sample(x, x[:, :2].permute(0, 2, 3, 1), align_corners=False)


class Values(nn.Module):
    def forward(self, x: Any) -> Any:
        return x if x.sum().item() > 0 else -x


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (Writes(), "aten.copy_.default in 0: it writes to a view"),
        (Values(), "converts a tensor to a number"),
    ],
)
def test_where_the_input_is_lost_the_model_is_refused(module: nn.Module, words: str) -> None:
    model = nn.Sequential(module)
    with pytest.raises(ValueError, match="cannot trace the input through aten") as refused:
        receptive_field(model, 8)
    assert words in str(refused.value)
    assert not model[0]._forward_hooks and not model[0]._forward_pre_hooks


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (Transforms(), "in 1: frequencies have no place in the image"),
        (Splits(), "after aten.view.default in 1: its view splits a spatial axis unevenly"),
        (Misaligned(), "after aten.add.Tensor in 1: it merges branches with strides 1 and 2"),
        (Samples(), "in 1: where it reads depends on values"),
        (nn.Unfold(3), "in 1: it copies windows that overlap"),
    ],
)
def test_what_is_not_known_is_said_in_the_row(module: nn.Module, words: str) -> None:
    fields = receptive_field(nn.Sequential(nn.Conv2d(3, 3, 1), module, nn.ReLU()), 8)
    assert fields["0"].size == (1, 1)
    for row in (fields["1"], fields["2"]):
        assert row.note.startswith("not known ") and words in row.note
        assert (row.size, row.stride, row.start) == ((), (), ())
    assert fields["2"].output == fields["1"].output
    assert str(fields).count(fields["1"].note) == 1
    with pytest.raises(ValueError, match="not known after aten"):
        fields["1"].seen(0, 0)


@pytest.mark.parametrize("size", [(224,), (3, 0, 4), "224", (3, 2, 2, 2, 2), 0])
def test_a_wrong_input_size_is_refused(size: Any) -> None:
    with pytest.raises(ValueError, match="input_size must be"):
        receptive_field(nn.Identity(), size)


def test_a_model_that_ignores_its_input_is_refused() -> None:
    class Ignores(nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.zeros(1, 3)

    with pytest.raises(ValueError, match="no output in Ignores can be traced"):
        receptive_field(Ignores(), 8)


def test_the_model_is_left_as_it_was() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.Conv2d(4, 4, 3))
    model[1].eval()
    before = copy.deepcopy(model.state_dict())
    generator = torch.get_rng_state()
    first = receptive_field(model, 16)
    assert [module.training for module in model] == [True, False, True, True]
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), generator)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())
    with torch.inference_mode():
        assert receptive_field(model, 16) == first
    assert receptive_field(model.half(), 16) == first  # in the model's own kind of numbers


def test_the_table_and_its_rows() -> None:
    relu = nn.ReLU()
    fields = receptive_field(nn.Sequential(nn.Conv2d(3, 4, (3, 5), 2), relu, nn.Conv2d(4, 4, 3), relu), (3, 20, 30))
    assert [layer.name for layer in fields] == ["0", "1", "2", "1 (2)"]
    assert len(fields) == 4 and isinstance(fields["1 (2)"], LayerField)
    assert str(fields).splitlines()[:2] == [
        "layer  type    output  field  stride  start",
        "0      Conv2d  4x9x13    3x5       2    1x2",
    ]
    with pytest.raises(KeyError, match="no layer is named 'relu'; the layers are 0, 1, 2"):
        fields["relu"]
    with pytest.raises(ValueError, match="an index for each of 2 axes, got 1"):
        fields[0].seen(1)


def test_a_first_position_that_sees_nothing_has_no_start() -> None:
    fields = receptive_field(nn.ConvTranspose1d(1, 1, 1, stride=2, padding=1), (1, 6))
    assert fields[0].seen(0) == (None,) and fields[0].start[0] != fields[0].start[0]
    assert str(fields).splitlines()[1].split()[-1] == "-"
