"""Stochastic depth with `skip` on blocks of the real timm, torchvision and transformers.

The reference is the block's own forward, with hooks that multiply the ends of its branches by what was drawn.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")
tv = pytest.importorskip("torchvision.models")
transformers = pytest.importorskip("transformers")

from torch import Tensor, nn  # noqa: E402

from augreg import regularize  # noqa: E402

SMALL = {"image_size": 32, "patch_size": 8, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
SWIN = {"image_size": 32, "patch_size": 2, "embed_dim": 8, "depths": [2], "num_heads": [2], "window_size": 4}


class Case:
    """A model, and the modules at the ends of the branches of one block, in the order of their calls."""

    def __init__(self, make: Callable[[], nn.Module], ends: str) -> None:
        self.make, self.ends = make, ends.split()


def timm_model(name: str, size: int = 64, **options: Any) -> Callable[[], nn.Module]:
    return lambda: timm.create_model(name, num_classes=3, **({"img_size": size} if size else {}), **options)


CASES = {
    "timm ViT": Case(timm_model("vit_tiny_patch16_224", depth=2), "drop_path1 drop_path2"),
    "timm ViT, layer scale": Case(
        timm_model("deit3_small_patch16_224", depth=2, embed_dim=48, num_heads=3), "ls1 ls2"
    ),
    "timm Swin": Case(
        timm_model("swin_tiny_patch4_window7_224", depths=(2,), embed_dim=24, num_heads=(3,), window_size=4),
        "drop_path1 drop_path2",
    ),
    "timm Swin v2": Case(
        timm_model("swinv2_tiny_window8_256", depths=(2,), embed_dim=24, num_heads=(3,), window_size=4),
        "drop_path1 drop_path2",
    ),
    "timm BEiT": Case(
        timm_model("beit_base_patch16_224", depth=2, embed_dim=48, num_heads=3), "drop_path1 drop_path2"
    ),
    "timm EVA-02": Case(timm_model("eva02_tiny_patch14_224", 28, depth=2), "drop_path1 drop_path2"),
    "timm Mixer": Case(
        lambda: timm.models.mlp_mixer.MlpMixer(3, img_size=64, embed_dim=48, num_blocks=2), "drop_path"
    ),
    "timm ConvNeXt": Case(timm_model("convnext_atto", 0, depths=(1, 1, 1, 1)), "drop_path"),
    "timm ResNet": Case(timm_model("resnet26", 0), "bn3"),
    "torchvision ViT": Case(
        lambda: tv.VisionTransformer(64, 16, 2, 2, 32, 64, num_classes=3),
        "dropout mlp",
    ),
    "torchvision Swin": Case(
        lambda: tv.SwinTransformer([4, 4], 24, [2], [3], [4, 4], num_classes=3), "stochastic_depth"
    ),
    "torchvision Swin v2": Case(
        lambda: tv.SwinTransformer(
            [4, 4], 24, [2], [3], [4, 4], num_classes=3, block=tv.swin_transformer.SwinTransformerBlockV2
        ),
        "stochastic_depth",
    ),
    "torchvision ConvNeXt": Case(
        lambda: tv.ConvNeXt([tv.convnext.CNBlockConfig(24, None, 2)], num_classes=3), "stochastic_depth"
    ),
    "torchvision BasicBlock": Case(lambda: tv.ResNet(tv.resnet.BasicBlock, [1, 2, 1, 1], num_classes=3), "bn2"),
    "torchvision Bottleneck": Case(lambda: tv.ResNet(tv.resnet.Bottleneck, [2, 1, 1, 1], num_classes=3), "bn3"),
    "transformers ViT": Case(
        lambda: transformers.ViTModel(transformers.ViTConfig(**SMALL, intermediate_size=32)), "dropout"
    ),
    "transformers Swin": Case(
        lambda: transformers.SwinModel(transformers.SwinConfig(**SWIN, drop_path_rate=0.0)),
        "drop_path dropout",
    ),
    "transformers ConvNeXt": Case(
        lambda: transformers.ConvNextModel(transformers.ConvNextConfig(hidden_sizes=[8] * 4, depths=[1] * 4)),
        "drop_path",
    ),
}


def blocks_of(model: nn.Module, case: Case) -> list[str]:
    """The names of the blocks: the modules that have the ends of the branches as children."""
    ends = {end.partition(".")[0] for end in case.ends}
    return [
        name
        for name, module in model.named_modules()
        if ends <= dict(module.named_children()).keys() and "embeddings" not in name
    ]


def output(model: nn.Module, x: Tensor) -> Tensor:
    result = model(x)
    return result if isinstance(result, Tensor) else result.last_hidden_state


class Scripted:
    """A source that gives these draws, in turn."""

    def __init__(self, draws: list[Any]) -> None:
        self.draws = iter(draws)

    def uniform(self, shape: Any, device: Any) -> Tensor:
        return torch.as_tensor(next(self.draws), dtype=torch.float32).reshape(tuple(shape))


@pytest.mark.parametrize("name", CASES)
def test_a_block_of_a_real_model_is_saved_and_computes_what_masks_compute(name: str) -> None:
    case = CASES[name]
    torch.manual_seed(0)
    model = case.make().double().train()
    for module in model.modules():  # other draws off; batch norms see fewer rows by design
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif type(module).__name__ in ("DropPath", "StochasticDepth"):
            vars(module).update(dict.fromkeys({"drop_prob", "p"} & vars(module).keys(), 0.0))
        elif isinstance(module, nn.BatchNorm2d):
            module.eval()
    at = blocks_of(model, case)[0]
    size = 32 if "transformers" in name else 28 if "EVA" in name else 64
    x = torch.randn(6, 3, size, size, dtype=torch.float64)
    for mode in ("row", "batch"):
        compare(name, case, mode, model, at, x)


def compare(name: str, case: Case, mode: str, model: nn.Module, at: str, x: Tensor) -> None:
    block = model.get_submodule(at)
    orders = [torch.rand(6), torch.rand(6)]
    factors = []
    for order, kept in zip(orders, (0.0, 2.0), strict=True):
        factor = torch.zeros(6, dtype=torch.float64)
        factor[order.argsort()[:3]] = 2.0
        factors.append(factor if mode == "row" else torch.full((6,), kept, dtype=torch.float64))
    turns = itertools.cycle(factors)

    def multiply(module: nn.Module, inputs: Any, result: Tensor) -> Tensor:
        if name == "transformers Swin" and result.shape[0] != 6:
            return result  # the dropout of its windows
        return result * next(turns).view(-1, *(1 for _ in result.shape[1:]))

    handles = [block.get_submodule(end).register_forward_hook(multiply) for end in case.ends]
    parameters = [parameter for parameter in block.parameters() if parameter.requires_grad]
    want = output(model, x)
    want_gradients = torch.autograd.grad(want.square().mean(), parameters, allow_unused=True)
    for handle in handles:
        handle.remove()
    rule = {"at": at, "survival": 0.5, "rule": "uniform", "skip": True, "mode": mode}
    with regularize(model, [{"stochastic_depth": rule}]) as attached:
        (row,) = attached.report()
        assert "skip" in row.by and "masked" not in row.note, row
        draws = [draw for order in orders for draw in (0.5, order)] if mode == "row" else [0.9, 0.1]
        vars(block)["forward"].layer.source = Scripted(draws)
        got = output(model, x)
        gradients = torch.autograd.grad(got.square().mean(), parameters, allow_unused=True)
    torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-10)
    for a, b in zip(gradients, want_gradients, strict=True):
        zero = torch.zeros((), dtype=torch.float64)
        torch.testing.assert_close(*(zero if g is None or not g.any() else g for g in (a, b)), rtol=1e-8, atol=1e-10)
