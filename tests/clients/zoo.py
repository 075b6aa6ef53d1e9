"""Real models of torchvision, timm and transformers with random weights, and what `at` naturally is for each.

Names and classes are those of the libraries; some have fewer or narrower blocks, so that the tests are fast.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import timm
import torch
import torchvision
import transformers
from torch import Tensor, nn

__all__ = ["MODELS", "Model", "built", "first_tensor"]

torch.set_num_threads(1)
vision = torchvision.models


@dataclass(frozen=True)
class Model:
    """A model: its library and name, how to build it, the side of its images, and its head and residual blocks."""

    library: str
    name: str
    build: Callable[[], nn.Module]
    size: int
    head: str
    blocks: Any

    def __str__(self) -> str:
        return f"{self.library} {self.name}"


def _torchvision(name: str, size: int, head: str, blocks: Any, **options: Any) -> Model:
    build = options.pop("build", None) or getattr(vision, name)
    return Model("torchvision", name, functools.partial(build, **options), size, head, blocks)


def _timm(name: str, size: int, head: str, blocks: Any, **options: Any) -> Model:
    return Model("timm", name, functools.partial(timm.create_model, name, **options), size, head, blocks)


def _transformers(name: str, blocks: Any, **options: Any) -> Model:
    config, model = getattr(transformers, f"{name}Config"), getattr(transformers, f"{name}ForImageClassification")
    return Model("transformers", name, lambda: model(config(**options)), 32, "classifier", blocks)


_VIT = {"image_size": 32, "patch_size": 8, "hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4}
_CONVNEXT = {"hidden_sizes": [16, 32, 64, 128], "depths": [1, 1, 2, 1]}
_SWIN = {"image_size": 32, "embed_dim": 24, "depths": [2, 2], "num_heads": [2, 4], "window_size": 4}
_MAXVIT = {"stem_channels": 16, "block_channels": [16, 32], "block_layers": [1, 2], "head_dim": 8}

MODELS = [
    _torchvision("resnet18", 32, "fc", "layer*.*"),
    _torchvision("resnet50", 32, "fc", "layer*.*"),
    _torchvision("alexnet", 64, "classifier.6", "features.*"),
    _torchvision("vgg11_bn", 32, "classifier.6", "features.*", init_weights=False),
    _torchvision("densenet121", 32, "classifier", {"type": "_DenseLayer"}),
    _torchvision("googlenet", 64, "fc", {"type": "Inception"}, init_weights=False, aux_logits=True),
    _torchvision("mobilenet_v2", 32, "classifier", {"type": "InvertedResidual"}),
    _torchvision("mobilenet_v3_small", 32, "classifier", {"type": "InvertedResidual"}),
    _torchvision("efficientnet_b0", 32, "classifier", {"type": "MBConv"}),
    _torchvision("regnet_y_400mf", 32, "fc", {"type": "ResBottleneckBlock"}),
    _torchvision("shufflenet_v2_x0_5", 32, "fc", {"type": "InvertedResidual"}),
    _torchvision("convnext_tiny", 32, "classifier", {"type": "CNBlock"}),
    _torchvision("swin_t", 64, "head", {"type": "SwinTransformerBlock"}),
    _torchvision("swin_v2_t", 64, "head", {"type": "SwinTransformerBlockV2"}),
    _torchvision("vit_b_16", 32, "heads", {"type": "EncoderBlock"}, image_size=32),
    _torchvision(
        "maxvit_t",
        64,
        "classifier",
        {"type": ["MBConv", "PartitionAttentionLayer"]},
        build=vision.maxvit.MaxVit,
        input_size=(64, 64),
        stochastic_depth_prob=0.2,
        partition_size=4,
        **_MAXVIT,
    ),
    _timm("resnet50", 32, "fc", "layer*.*"),
    _timm("resnext50_32x4d", 32, "fc", "layer*.*", layers=(1, 1, 1, 1)),
    _timm("resnetv2_50x1_bit", 32, "head", "stages.*.blocks.*"),
    _timm("regnety_002", 32, "head", "s*.b*"),
    _timm("efficientnet_b0", 32, "classifier", "blocks.*.*"),
    _timm("tf_efficientnet_b0", 32, "classifier", "blocks.*.*"),
    _timm("mobilenetv3_small_100", 32, "classifier", "blocks.*.*"),
    _timm("convnext_atto", 32, "head", "stages.*.blocks.*"),
    _timm("convnext_tiny", 32, "head", "stages.*.blocks.*", depths=(1, 1, 2, 1), dims=(24, 48, 96, 192)),
    _timm("vit_tiny_patch16_224", 32, "head", "blocks.*", img_size=32),
    _timm("deit_tiny_patch16_224", 32, "head", "blocks.*", img_size=32),
    _timm("deit3_small_patch16_224", 32, "head", "blocks.*", img_size=32, depth=4),
    _timm("beit_base_patch16_224", 32, "head", "blocks.*", img_size=32, depth=3, embed_dim=192, num_heads=3),
    _timm("swin_tiny_patch4_window7_224", 56, "head", "layers.*.blocks.*", img_size=56, depths=(1, 2, 2)),
    _timm("swinv2_tiny_window8_256", 64, "head", "layers.*.blocks.*", img_size=64, depths=(1, 2, 2)),
    _timm("mixer_s32_224", 64, "head", "blocks.*", img_size=64),
    _timm(
        "maxvit_tiny_tf_224",
        64,
        "head",
        {"type": ["MbConvBlock", "PartitionAttentionCl"]},
        img_size=64,
        depths=(1, 1),
        embed_dim=(32, 64),
        stem_width=16,
    ),
    _timm("coatnet_0_rw_224", 64, "head", "stages.*.blocks.*", img_size=64, depths=(1, 1, 1, 1)),
    _timm("nfnet_l0", 32, "head", "stages.*.*", depths=(1, 1, 2, 1)),
    _timm("dm_nfnet_f0", 32, "head", "stages.*.*", depths=(1, 1, 1, 1)),
    _transformers("ViT", {"type": "ViTLayer"}, intermediate_size=128, **_VIT),
    _transformers("DeiT", {"type": "DeiTLayer"}, intermediate_size=128, **_VIT),
    _transformers("Beit", {"type": "BeitLayer"}, intermediate_size=128, **_VIT),
    _transformers("Dinov2", {"type": "Dinov2Layer"}, **_VIT),
    _transformers("ConvNext", {"type": "ConvNextLayer"}, **_CONVNEXT),
    _transformers("ConvNextV2", {"type": "ConvNextV2Layer"}, **_CONVNEXT),
    _transformers("Swin", {"type": "SwinLayer"}, **_SWIN),
    _transformers("Swinv2", {"type": "Swinv2Layer"}, **_SWIN),
    _transformers(
        "ResNet",
        {"type": "ResNetBottleNeckLayer"},
        embedding_size=16,
        hidden_sizes=[32, 64, 128],
        depths=[1, 2, 1],
    ),
    _transformers(
        "RegNet",
        {"type": "RegNetYLayer"},
        embedding_size=16,
        hidden_sizes=[32, 64, 128, 128],
        depths=[1, 2, 1, 1],
        groups_width=8,
    ),
    _transformers("MobileNetV2", {"type": "MobileNetV2InvertedResidual"}, image_size=32),
]


def built(model: Model) -> nn.Module:
    """The model with random weights, also where a library starts from zero: heads, gains and layer scales."""
    torch.manual_seed(0)
    module = model.build()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += torch.randn_like(parameter) * 0.02
    return module


def first_tensor(output: Any) -> Tensor:
    """The logits of an output: a tensor, an output object, or a tuple that starts with them."""
    if isinstance(output, Tensor):
        return output
    return output.logits if hasattr(output, "logits") else output[0]
