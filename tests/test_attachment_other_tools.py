"""Attached models and torch's other tools: nested tensors, parametrizations, scripting, fx, quantization."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn.utils import parametrizations, parametrize  # noqa: E402

from augreg import regularize  # noqa: E402
from augreg.attachment.attach import attachments  # noqa: E402

X = torch.linspace(-1, 1, 8).reshape(2, 4)
MASK = torch.tensor([[False, False, False, True, True], [False] * 5])


def encoder(nested: bool) -> nn.Module:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=nested).eval()


@pytest.mark.filterwarnings("ignore:.*nested tensors:UserWarning")
@pytest.mark.parametrize(
    "rule",
    [
        {"dropout": {"at": "layers.*.linear1", "mode": "original"}},
        {"dropout": {"at": "layers.*", "mode": "original", "on": "input"}},
        {"dropout": {"at": "layers.*.norm1", "mode": "original", "p": 1.0}},
        {"drop_connect": {"at": "layers.*.linear1", "mode": "original"}},
        {"drop_connect": {"at": "layers.*.linear1", "inference": "moment"}},
        {"stochastic_depth": {"at": "layers.*", "scaling": "original"}},
        {"shake_drop": {"at": "layers.*"}},
        {"dropout": {"at": "layers.*.linear1"}},
        {"drop_connect": {"at": "layers.*.linear1"}},
    ],
)
def test_a_padded_encoder_evaluates_as_without_nested_tensors(rule: dict[str, Any]) -> None:
    x = torch.linspace(-2, 2, 80).reshape(2, 5, 8)
    outputs = []
    for nested in (True, False):
        model = encoder(nested)
        attached = regularize(model, [rule])
        with torch.no_grad():
            outputs.append(model(x, src_key_padding_mask=MASK))
        attached.detach()
    torch.testing.assert_close(outputs[0][~MASK], outputs[1][~MASK])
    assert not outputs[0][MASK].any()  # as torch pads


def test_nested_tensors_in_training_are_refused_by_name() -> None:
    model = nn.Sequential(nn.Identity()).train()
    regularize(model, [{"dropout": {"at": "0"}}])
    nested = torch.nested.nested_tensor([torch.ones(2, 4), torch.ones(3, 4)], layout=torch.jagged)
    with pytest.raises(TypeError, match="Dropout takes no nested tensors in training"):
        model(nested)
    assert model.eval()(nested) is nested


PARAMETRIZE = {
    "weight_norm": parametrizations.weight_norm,
    "spectral_norm": parametrizations.spectral_norm,
    "orthogonal": parametrizations.orthogonal,
}


@pytest.mark.parametrize("kind", PARAMETRIZE)
def test_detach_keeps_a_parametrization_that_was_added_meanwhile(kind: str) -> None:
    plain, model = nn.Sequential(nn.Linear(4, 4)).eval(), nn.Sequential(nn.Linear(4, 4), nn.ReLU()).eval()
    plain[0].load_state_dict(model[0].state_dict())
    attached = regularize(model, [{"drop_connect": {"at": "0", "p": 0.5}}, {"dropout": {"at": "1"}}])
    for layer in (plain[0], model[0]):
        torch.manual_seed(0)
        PARAMETRIZE[kind](layer)
    assert not torch.equal(model.train()(X), model(X))
    attached.detach()
    # the class is the one that torch gives to a plain layer, it computes the same, and the weight can be made plain
    assert type(model[0]).__name__ == type(plain[0]).__name__ == "ParametrizedLinear"
    assert [cls.__name__ for cls in type(model[0]).__mro__] == [cls.__name__ for cls in type(plain[0]).__mro__]
    plain[0].load_state_dict(model[0].state_dict())
    torch.testing.assert_close(model.eval()(X), plain.eval()(X).relu())
    parametrize.remove_parametrizations(model[0], "weight")
    assert type(model[0]) is nn.Linear
    torch.testing.assert_close(model(X), plain(X).relu())


def test_detach_keeps_any_class_that_was_derived_meanwhile() -> None:
    model = nn.Sequential(nn.Linear(4, 4))
    attached = regularize(model, [{"drop_connect": {"at": "0"}}])

    class Mixin:
        def both(self) -> int:
            return 3

    cls = type(model[0])
    model[0].__class__ = type(f"Sharded{cls.__name__}", (Mixin, cls), {"own": 5})
    attached.detach()
    assert type(model[0]).__name__ == "ShardedLinear" and type(model[0]).__mro__[1:3] == (Mixin, nn.Linear)
    assert model[0].both() == 3 and model[0].own == 5 and "p" not in vars(model[0])


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv(x)


RULES: dict[str, Any] = {
    "dropout": {"at": "0"},
    "drop_connect": {"at": "0.conv"},
    "stochastic_depth": {"at": "0", "skip": True},
    "activation": {"at": "1", "to": "gelu"},
}


def attached_model(rule: str) -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(Block(), nn.ReLU(), nn.Linear(4, 2))
    regularize(model, [{rule: RULES[rule]}])
    return model


@pytest.mark.filterwarnings("ignore:.torch.jit.*:DeprecationWarning")
@pytest.mark.parametrize("rule", RULES)
def test_scripting_refuses_by_name_and_tracing_works(rule: str) -> None:
    model = attached_model(rule).eval()
    parts = [model, model[1] if rule == "activation" else model[0]]
    for part in parts:
        with pytest.raises((AttributeError, TypeError), match=r"torch\.jit\.script cannot compile .*detach\(\)"):
            torch.jit.script(part)
    torch.testing.assert_close(torch.jit.trace(model, X)(X), model(X))
    attachments(model)[0].detach()
    torch.testing.assert_close(torch.jit.script(model)(X), model(X))


@pytest.mark.parametrize("rule", ["dropout", "drop_connect", "stochastic_depth"])
def test_fx_refuses_by_name_what_it_cannot_trace(rule: str) -> None:
    model = attached_model(rule).train()
    with pytest.raises(TypeError, match=r"torch\.fx cannot trace (Drop\w+|StochasticDepth): .*detach first"):
        torch.fx.symbolic_trace(model)
    attachments(model)[0].detach()
    torch.testing.assert_close(torch.fx.symbolic_trace(model)(X), model(X))


def test_fx_keeps_hooks_at_torchs_layers() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)).train()
    regularize(model, [{"dropout": {"at": "0"}}])
    graph = torch.fx.symbolic_trace(model)
    assert not torch.equal(graph(X), graph(X))
    assert torch.equal(graph.eval()(X), model.eval()(X))


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning", "ignore:.*:UserWarning")
def test_quantization_works_or_is_refused_by_name() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2)).eval()
    twin = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2)).eval()
    twin.load_state_dict(model.state_dict())
    attached = regularize(model, [{"dropout": {"at": "0", "mode": "original", "p": 0.75}}])
    quantize = torch.ao.quantization.quantize_dynamic
    try:
        small = quantize(model, {nn.Linear})
    except RuntimeError as error:
        pytest.skip(f"this torch has no quantized layers: {error}")
    expected = quantize(twin, {nn.Linear})
    assert type(small[0]) is type(expected[0])
    torch.testing.assert_close(small(X), expected[1](expected[0](X) * 0.25))
    attachments(small)[0].detach()  # the hook was moved to the quantized layer, where it ends
    torch.testing.assert_close(small(X), expected(X))
    attached.detach()
    regularize(model, [{"drop_connect": {"at": "1"}}])
    with pytest.raises(TypeError, match=r"quantization does not know DropConnectLinear: detach\(\)"):
        quantize(model, {nn.Linear})
