"""The noise of real models of timm, torchvision and transformers: all of it is found and drawn, and nothing else."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

pytest.importorskip("timm")
pytest.importorskip("torchvision")
transformers = pytest.importorskip("transformers")

import timm  # noqa: E402
import torch  # noqa: E402
import torchvision  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from zoo import MODELS, Model, built  # noqa: E402

import augreg  # noqa: E402
from augreg.expectation.noise.find_noise import drawing, find_noise, kept  # noqa: E402

IMAGES = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
TINY: dict[str, Any] = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16, "image_size": 64,
    "patch_size": 32,
}  # fmt: skip


def logits(output: Any) -> Tensor:
    found: Tensor = output.logits if hasattr(output, "logits") else output
    return found


def found(model: nn.Module) -> dict[str, int]:
    """How many modules of each class draw; and evaluation is as before."""
    model.eval()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        plain = logits(model(IMAGES))
        report = find_noise(model, IMAGES[:1])
        with kept(model), drawing(model, report):
            torch.manual_seed(1)
            drawn = [logits(model(IMAGES)) for _ in range(2)]
        assert drawn[0].shape == plain.shape
        assert (not torch.equal(*drawn)) is bool(report.sources)
        assert torch.equal(logits(model(IMAGES)), plain)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert not report.always and not report.notes
    return dict(Counter(source.type for source in report.sources))


def test_googlenet_draws_its_dropout_and_keeps_the_outputs_of_evaluation() -> None:
    model = torchvision.models.googlenet(weights=None, init_weights=False, aux_logits=True)
    assert found(model) == {"Dropout": 1}
    silent = find_noise(model, IMAGES[:1]).silent
    assert list(silent) == ["aux1.dropout", "aux2.dropout"] and "training only" in silent["aux1.dropout"]


def test_a_detector_draws_without_targets() -> None:
    model = torchvision.models.detection.fasterrcnn_mobilenet_v3_large_320_fpn(
        weights=None, weights_backbone=None, min_size=64, max_size=64
    )
    model.roi_heads.box_head.fc7 = nn.Sequential(model.roi_heads.box_head.fc7, nn.Dropout(0.5))
    report = find_noise(model, [IMAGES[0]])
    assert report.names == ("transform", "roi_heads.box_head.fc7.1")  # which draws the size of images
    assert "" in report.silent and "cannot run in training" in report.silent[""]


def test_vision_transformers_of_torchvision_draw_in_attention_and_layers() -> None:
    model = torchvision.models.VisionTransformer(64, 32, 2, 2, 16, 16, dropout=0.1, attention_dropout=0.1)
    # the encoder's; in each layer one after attention and two in the MLP; attention itself
    nn.init.normal_(model.heads.head.weight)
    assert found(model) == {"Dropout": 1 + 2 * 3, "MultiheadAttention": 2}


def test_timm_draws_by_each_of_its_rates() -> None:
    model = timm.create_model(
        "vit_tiny_patch16_224", img_size=64, depth=2, embed_dim=24, num_heads=2, drop_rate=0.1, pos_drop_rate=0.1,
        patch_drop_rate=0.25, proj_drop_rate=0.1, attn_drop_rate=0.1, drop_path_rate=0.2,
    )  # fmt: skip
    # each block: two in the MLP, one after attention; drop paths only in the second block, as the first has rate 0
    assert found(model) == {"Dropout": 2 + 2 * 3, "Attention": 2, "DropPath": 2, "PatchDropout": 1}


def test_batch_norm_of_timm_normalizes_by_the_batch() -> None:
    model = timm.create_model("resnet10t", num_classes=3).eval()
    model.bn1 = timm.layers.BatchNormAct2d(model.bn1.num_features)
    report = find_noise(model, IMAGES[:1])
    assert "bn1" in report.batch_norms
    state = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad(), drawing(model.eval(), report, "bn1", batch_statistics=True):
        x = IMAGES.repeat(1, 22, 1, 1)[:, : model.bn1.num_features]
        out = model.bn1(x)
    normalized = (x - x.mean((0, 2, 3), keepdim=True)) / (x.var((0, 2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
    assert torch.allclose(out, normalized.relu(), atol=1e-5)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_transformers_draw_in_attention_of_each_implementation(attention: str) -> None:
    config = transformers.ViTConfig(**TINY, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1)
    config._attn_implementation = attention
    model = transformers.ViTForImageClassification(config)
    counts = found(model)
    kinds = {name: number for name, number in counts.items() if "Attention" in name}
    assert sum(kinds.values()) == 2 and counts["Dropout"] == sum(isinstance(m, nn.Dropout) for m in model.modules())


def test_drop_paths_of_transformers_draw() -> None:
    config = transformers.ConvNextConfig(hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1], drop_path_rate=0.3)
    counts = found(transformers.ConvNextForImageClassification(config))
    assert counts == {"ConvNextDropPath": 3}  # the first has rate 0


def test_layer_drop_of_transformers_and_what_it_skips_is_found() -> None:
    config = transformers.Wav2Vec2Config(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, conv_dim=(8, 8),
        conv_kernel=(4, 4), conv_stride=(4, 4), num_feat_extract_layers=2, num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2, layerdrop=0.999, vocab_size=5, mask_time_prob=0.0,
    )  # fmt: skip
    model = transformers.Wav2Vec2ForCTC(config)
    names = set(find_noise(model, torch.rand(1, 400)).names)
    encoder = "wav2vec2.encoder"
    assert encoder in names
    for layer in range(2):
        assert f"{encoder}.layers.{layer}.dropout" in names
        assert f"{encoder}.layers.{layer}.feed_forward.output_dropout" in names


@pytest.mark.parametrize("model", [model for model in MODELS if model.library != "transformers"][::5], ids=str)
def test_attached_dropout_is_found_in_the_models_of_the_zoo(model: Model) -> None:
    net = built(model)
    x = torch.rand(1, 3, model.size, model.size)
    own = set(find_noise(net, x).names)
    with augreg.regularize(net, [{"dropout": {"at": model.head, "on": "input", "p": 0.5}}]):
        report = find_noise(net, x)
    assert set(report.names) - own == {model.head}
    assert set(find_noise(net, x).names) == own
