"""Every regularizer, activation and init at real models, and docs/models.md, which says what to write for each."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from attaching import checked
from models_page import PAGE, heading, page_rows
from torch import nn
from zoo import MODELS, Model, built, first_tensor

from augreg import SpecError, regularize


def named(text: str) -> Model:
    return next(model for model in MODELS if str(model) == text)


def test_the_models_are_those_of_the_page() -> None:
    assert len(MODELS) >= 35
    assert page_rows(PAGE.read_text()).keys() == {heading(model) for model in MODELS}


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_every_rule_attaches_and_detaches_or_says_what_to_write(model: Model) -> None:
    rows = checked(model)
    assert page_rows(PAGE.read_text())[heading(model)] == [list(row) for row in rows], (
        "docs/models.md is not current: run `.venv-clients/bin/python tests/clients/models_page.py`"
    )


@pytest.mark.parametrize(
    ("text", "attached", "left"),
    [
        ("torchvision mobilenet_v2", 10, 7),
        ("torchvision mobilenet_v3_small", 6, 5),
        ("torchvision efficientnet_b0", 9, 7),
        ("timm efficientnet_b0", 9, 7),
        ("timm mobilenetv3_small_100", 6, 6),
        ("transformers MobileNetV2", 10, 6),
    ],
)
def test_blocks_without_a_shortcut_are_left_and_do_not_count(text: str, attached: int, left: int) -> None:
    """How many of them add their input is what the libraries say: `use_res_connect`, `has_skip`, `use_residual`."""
    model = named(text)
    module = built(model)
    rows = regularize(module, [{"stochastic_depth": {"at": model.blocks, "survival": 0.5}}]).report()
    said = {row.module: _says_that_it_adds(module.get_submodule(row.module)) for row in rows}
    assert {row.module: row.by != "none" for row in rows} == said
    assert [sum(said.values()), len(said) - sum(said.values())] == [attached, left]
    assert {row.note for row in rows if not said[row.module]} == {"left: no shortcut"}
    last = [row for row in rows if said[row.module]]
    for place, row in enumerate(last, start=1):  # 1 - l / L (1 - survival), l of the L blocks that can be dropped
        survival = 1 - place / len(last) * 0.5
        shown = dict(pair.split("=") for pair in row.numbers.split(", "))
        value = float(shown["survival"]) if "survival" in shown else 1 - float(shown.get("p") or shown["drop_prob"])
        assert value == pytest.approx(survival, abs=1e-3)


def _says_that_it_adds(block: nn.Module) -> bool:
    return any(getattr(block, flag, False) for flag in ("use_res_connect", "has_skip", "use_residual"))


@pytest.mark.parametrize("kind", ["Beit", "Swin", "Swinv2"])
def test_the_drop_paths_of_transformers_are_set(kind: str) -> None:
    model = named(f"transformers {kind}")
    module = built(model)
    paths = [part for part in module.modules() if type(part).__name__.endswith("DropPath")]
    before = [path.drop_prob for path in paths]
    with regularize(module, [{"stochastic_depth": {"at": model.blocks, "survival": 0.75, "rule": "uniform"}}]):
        assert paths and all(path.drop_prob == 0.25 for path in paths)
    assert [path.drop_prob for path in paths] == before


@pytest.mark.parametrize("text", ["torchvision swin_t", "torchvision swin_v2_t", "timm beit_base_patch16_224"])
@pytest.mark.parametrize("rule", ["drop_connect", "dropout"])
def test_weights_that_a_function_reads_are_left_or_refused(text: str, rule: str) -> None:
    module = built(named(text)).train()
    at = {"name": "**.attn.*", "type": "Linear"} if "timm" in text else {"type": "Linear"}
    attached = regularize(module, [{rule: {"at": at}}])
    read = [row for row in attached.report() if "reads its weights" in row.note]
    assert read and all(row.module.endswith(("attn.qkv", "attn.proj")) for row in read)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # also of rules that have no effect
        module(torch.randn(2, 3, named(text).size, named(text).size))
    assert all(row.runs for row in attached.report() if row.by in ("hook", "class"))
    attached.detach()
    with pytest.raises(SpecError, match="reads its weights and never calls it"):
        regularize(module, [{rule: {"at": read[0].module}}])


COMPILED: dict[str, list[dict[str, Any]]] = {
    "torchvision resnet18": [
        {"drop_block": {"at": "layer4.*", "block_size": 1}},
        {"stochastic_depth": {"at": "layer*.*"}},
        {"activation": "gelu"},
    ],
    "timm maxvit_tiny_tf_224": [
        {"drop_connect": {"at": {"type": "Conv2d"}}},
        {"spatial_dropout": {"at": "stages.*", "p": 0.2}},
    ],
    "timm deit3_small_patch16_224": [
        {"dropout": {"at": {"type": "Mlp"}, "p": 0.2}},
        {"stochastic_depth": {"at": "blocks.*"}},
        {"drop_connect": {"at": {"type": "Linear", "not": "head"}, "per": "batch"}},
    ],
    "transformers Dinov2": [
        {"dropout": {"at": "**", "p": 0.1}},
        {"drop_connect": {"at": {"type": "Linear"}}},
    ],
}


@pytest.mark.parametrize("text", COMPILED)
def test_attached_models_compile(text: str) -> None:
    model = named(text)
    module, images = built(model), torch.randn(4, 3, model.size, model.size)
    plain = first_tensor(module.eval()(images))
    state = {key: value.clone() for key, value in module.state_dict().items()}
    with regularize(module, COMPILED[text]) as attached:
        torch.compiler.reset()
        compiled = torch.compile(module, fullgraph=model.library != "transformers", backend="eager")
        changes = any(row.eval == "changes" for row in attached.report())
        assert changes or torch.equal(first_tensor(compiled(images)), plain)
        module.train()
        first, second = (first_tensor(compiled(images)) for _ in range(2))
        assert not torch.equal(first, second)
    torch.compiler.reset()
    module.load_state_dict(state)  # the statistics of batch norms
    assert torch.equal(first_tensor(module.eval()(images)), plain)
