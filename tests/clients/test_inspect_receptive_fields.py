"""Receptive fields of real models: against published numbers, and against gradients."""

from __future__ import annotations

import functools
from typing import Any

import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")
torchvision = pytest.importorskip("torchvision")

from torch import nn  # noqa: E402

from augreg.inspect import receptive_field  # noqa: E402


@functools.cache
def made(name: str) -> Any:
    library, _, model = name.partition(":")
    torch.manual_seed(0)
    if library == "timm":
        return timm.create_model(model).eval()
    given = {"init_weights": True} if model in ("googlenet", "inception_v3") else {}
    return getattr(torchvision.models, model)(weights=None, **given).eval()


@pytest.mark.parametrize(
    ("name", "size", "layer", "field", "stride"),
    [
        # A. Araujo, W. Norris, J. Sim 2019, Computing receptive fields of convolutional neural networks
        ("torchvision:alexnet", 224, "features", 195, 32),
        ("torchvision:vgg16", 224, "features", 212, 32),
        ("torchvision:inception_v3", 299, "Mixed_7c", 1311, 32),
        # 1 + the sum of d (k - 1) times the strides before
        ("torchvision:resnet18", 224, "layer4", 435, 32),
        ("torchvision:resnet50", 224, "layer4", 427, 32),
        ("timm:resnet50", 224, "layer4", 427, 32),
        ("torchvision:googlenet", 224, "inception5b", 379, 32),
        ("torchvision:mobilenet_v2", 224, "features", 491, 32),
        ("torchvision:densenet121", 224, "features", 2071, 32),
        ("torchvision:convnext_tiny", 224, "features", 1688, 32),
        ("timm:convnext_atto", 224, "stem", 4, 4),
        # patches of 4; windows of 7 and shifted ones, which overlap two windows; pairs of patches across a border
        ("torchvision:swin_t", 224, "features.1.0", 28, 4),
        ("torchvision:swin_t", 224, "features.1.1", 56, 4),
        ("torchvision:swin_t", 224, "features.2", 84, 8),
        ("torchvision:swin_t", 224, "features.3.0", 112, 8),
        ("timm:swin_tiny_patch4_window7_224", 224, "layers.0", 56, 4),
        ("timm:swin_tiny_patch4_window7_224", 224, "layers.1.blocks.0", 112, 8),
        ("timm:swinv2_tiny_window8_256", 256, "layers.0.blocks.1", 64, 4),
        # each token sees its patch, until attention shows it all others
        ("torchvision:vit_b_16", 224, "encoder.layers.encoder_layer_0.ln_1", 16, 16),
        ("torchvision:vit_b_16", 224, "encoder.layers.encoder_layer_0", 224, 0),
        ("timm:vit_tiny_patch16_224", 224, "blocks.0.norm1", 16, 16),
        ("timm:vit_tiny_patch16_224", 224, "blocks.0.attn", 224, 0),
        ("timm:deit_tiny_distilled_patch16_224", 224, "blocks.0.norm1", 16, 16),
        ("timm:eva02_tiny_patch14_224", 224, "blocks.0", 224, 0),
        ("timm:mixer_s32_224", 224, "stem", 32, 32),
        ("timm:mixer_s32_224", 224, "blocks.0", 224, 0),
        # squeeze and excitation: everything, and what the stem of 3 and a kernel of 3 add at the border
        ("torchvision:mobilenet_v3_small", 224, "features.0", 3, 2),
        ("timm:mobilenetv3_small_100", 224, "conv_stem", 3, 2),
        ("timm:levit_128s", 224, "stem", 31, 16),
    ],
)
def test_fields_are_those_of_the_formula(name: str, size: int, layer: str, field: int, stride: int) -> None:
    row = receptive_field(made(name), size)[layer]
    assert (set(row.size), set(row.stride)) == ({field}, {stride})


def smooth(model: Any) -> Any:
    """The model in float64, with averages for maxima and without flat parts, so that every gradient is there."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.MaxPool2d):
                parent.add_module(name, nn.AvgPool2d(child.kernel_size, child.stride, child.padding, child.ceil_mode))
            elif isinstance(child, nn.ReLU | nn.ReLU6 | nn.Hardswish | nn.Hardsigmoid):
                parent.add_module(name, nn.Softplus())
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.abs().max() < 1e-3:  # branches that begin at zero, or near it
                parameter.uniform_(0.5, 1.0)
    return model.double()


MEASURED = [
    ("torchvision:resnet18", 480, "layer4"), ("torchvision:resnet50", 288, "layer3"),
    ("torchvision:mobilenet_v2", 256, "features.10"), ("torchvision:alexnet", 256, "features"),
    ("torchvision:vgg11_bn", 192, "features"), ("torchvision:regnet_x_400mf", 224, "trunk_output.block2"),
    ("torchvision:convnext_tiny", 224, "features.2"), ("torchvision:efficientnet_b0", 224, "features.3"),
    ("torchvision:mobilenet_v3_small", 224, "features.3"), ("torchvision:shufflenet_v2_x0_5", 256, "stage2"),
    ("torchvision:swin_t", 224, "features.1.0"), ("torchvision:swin_t", 224, "features.1.1"),
    ("torchvision:swin_t", 224, "features.2"), ("torchvision:swin_t", 224, "features.3.0"),
    ("torchvision:swin_v2_t", 256, "features.1"),
    ("timm:swin_tiny_patch4_window7_224", 224, "layers.1.blocks.0"), ("timm:poolformer_s12", 224, "stages.0"),
    ("timm:convnext_atto", 224, "stages.1"), ("timm:darknet53", 256, "stages.2"),
    ("timm:res2net50_14w_8s", 224, "layer1"), ("timm:hrnet_w18_small", 224, "stage2"),
    ("timm:mobilevit_xxs", 256, "stages.1"), ("timm:vit_tiny_patch16_224", 224, "patch_embed.proj"),
    ("timm:dm_nfnet_f0", 192, "stem"), ("timm:maxvit_rmlp_pico_rw_256", 256, "stem"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "size", "layer"), MEASURED)
def test_fields_are_those_of_gradients(name: str, size: int, layer: str) -> None:
    made.cache_clear()
    model = smooth(made(name))
    made.cache_clear()
    row = next(row for row in receptive_field(model, size) if row.name == layer)
    outputs: list[Any] = []
    module = model.get_submodule(layer)
    module.register_forward_hook(lambda m, args, out: outputs.append(out[0] if isinstance(out, list) else out))
    image = torch.rand(1, 3, size, size, dtype=torch.float64, requires_grad=True)
    model(image)
    (output,) = outputs
    last = output.shape[1] == output.shape[2]  # channels are last
    output = output.movedim(-1, 1) if last else output
    inside = 0
    for position in ((output.shape[2] // 2, output.shape[3] // 2 - 1), (output.shape[2] // 2 - 3, 2)):
        unit = (output[0, :, *position] * torch.rand(output.shape[1], dtype=torch.float64)).sum()
        (gradient,) = torch.autograd.grad(unit, image, retain_graph=True)
        for axis in (0, 1):
            seen = gradient.abs().amax((0, 1, 3 - axis))
            # a score of -100 masks what a shifted window must not see: exp(-100) = 4e-44
            used = (seen > 1e-30 * seen.max()).nonzero().flatten().tolist()
            whole = row.axis_fields[axis].at(position[axis])
            (first, end) = row.seen(*position)[axis]
            if (whole[0] >= 0 and whole[1] < size) or row.stride[axis] == 0:
                assert (used[0], used[-1]) == (first, end)
                inside += 1
            else:
                assert first <= used[0] and used[-1] <= end
    assert inside


def test_rows_of_containers_have_names() -> None:
    fields = receptive_field(made("torchvision:resnet50"), 224)
    assert [fields[f"layer{k}"].output[0] for k in (1, 2, 3, 4)] == [256, 512, 1024, 2048]
    assert [fields[f"layer{k}"].size[0] for k in (1, 2, 3, 4)] == [35, 91, 267, 427]


def test_memory_in_another_order_changes_nothing() -> None:
    model = torchvision.models.mobilenet_v2(weights=None)
    plain = receptive_field(model, 64)
    assert receptive_field(model.to(memory_format=torch.channels_last), 64) == plain


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("timm:botnet26t_256", "in stages.2.1.self_attn.pos_embed: it moves along a dimension that several"),
        ("timm:halonet26t", "not known after aten."),
    ],
)
def test_where_there_is_no_field_the_row_says_why(name: str, words: str) -> None:
    fields = receptive_field(made(name), 256)
    assert fields["stages.1"].size == (55, 55)
    assert words in fields[-1].note
    assert fields[-1].note in str(fields)
