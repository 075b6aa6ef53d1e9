"""No tensor is masked twice by one rule, and the model's output only where it is named."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from models import AlexNet, Digits, ResNet
from torch import Tensor, nn
from torch.nn import functional

from augreg import regularize
from augreg.attachment.deduplicate import output_chain
from augreg.errors import SpecError


def done(model: nn.Module, at: Any, rule: str = "dropout", **arguments: Any) -> dict[str, str]:
    """How a rule is attached to each module that it selects, or the note if it is skipped."""
    with regularize(model, [{rule: {"at": at, **arguments}}]) as attached:
        return {row.module: row.note if row.by == "none" else row.by for row in attached.report()}


OUTPUT = "skipped: it computes the model's output; to mask it, select it by name"
BOTH = "skipped: done at classifier.0, classifier.3"


def test_beside_dropouts_of_the_model_only_those_are_set() -> None:
    found = done(AlexNet(), "classifier.*", p=0.25)
    assert found.pop("classifier.2") == "skipped: done at classifier.3"
    assert found == {
        "classifier.0": "set",
        "classifier.1": BOTH,
        "classifier.3": "set",
        "classifier.4": BOTH,
        "classifier.5": BOTH,
        "classifier.6": BOTH,
    }


def test_the_requested_fraction_is_dropped() -> None:
    """After each layer of an AlexNet's classifier, with weights for which no unit is 0; logits are not dropped."""
    torch.manual_seed(0)
    model = AlexNet()
    for layer in model.classifier:
        if isinstance(layer, nn.Linear):
            nn.init.constant_(layer.weight, 0.01)
            nn.init.constant_(layer.bias, 1.0)
    regularize(model, [{"dropout": {"at": "classifier.*", "p": 0.5}}])
    fractions: list[float] = []
    for layer in model.classifier:
        layer.register_forward_hook(
            lambda module, inputs, output: fractions.append(float((output == 0).float().mean()))
        )
    model.classifier(torch.ones(400, model.classifier[1].in_features))
    assert fractions[1:3] == [0.0, 0.0] and fractions[4:] == [0.0, 0.0, 0.0]
    assert all(abs(fraction - 0.5) < 5 * 0.5 / (400 * 32) ** 0.5 for fraction in (fractions[0], fractions[3]))


def chain() -> nn.Sequential:
    return nn.Sequential(
        nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU()),
        nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Sequential(nn.Linear(4, 4))),
        nn.Tanh(),
        nn.Sequential(nn.Linear(4, 4), nn.Softmax(1)),
    )


def test_a_layer_is_skipped_for_its_activation_and_a_container_for_its_last_child() -> None:
    assert done(chain(), "**") == {
        "0": "skipped: done at 0.2",
        "0.0": "skipped: done at 0.2",
        "0.1": "skipped: done at 0.2",
        "0.2": "hook",
        "1": "skipped: done at 2",
        "1.0": "skipped: done at 1.1",
        "1.1": "hook",
        "1.2": "skipped: done at 2",
        "1.2.0": "skipped: done at 2",
        "2": "hook",
        "3": "skipped: done at 3.1",
        "3.0": "skipped: done at 3.1",
        "3.1": OUTPUT,
    }
    assert done(chain(), ["0.0", "0.1", "1.*"]) == {
        "0.0": "skipped: done at 0.1",
        "0.1": "hook",
        "1.0": "skipped: done at 1.1",
        "1.1": "hook",
        "1.2": "hook",
    }
    assert done(chain(), ["0", "1"]) == {"0": "hook", "1": "hook"}
    assert done(chain(), ["1", "1.2"]) == {"1": "skipped: done at 1.2", "1.2": "hook"}


def test_inputs_are_masked_once_too() -> None:
    found = done(chain(), ["1", "1.*"], on="input")
    assert found == {"1": "skipped: done at 1.0", "1.0": "hook", "1.1": "hook", "1.2": "hook"}


@pytest.mark.parametrize("rule", ["dropout", "gaussian_dropout", "alpha_dropout", "activation_noise"])
def test_the_models_output_is_masked_only_where_it_is_named(rule: str) -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    assert done(model, "*", rule) == {"0": "hook", "1": OUTPUT}
    assert done(model, "1", rule) == {"1": "hook"}
    assert done(model, ["*", "1"], rule) == {"0": "hook", "1": "hook"}
    assert done(model, {"type": "Linear"}, rule) == {"0": "hook", "1": "hook"}
    assert done(nn.Linear(4, 4), "**", rule) == {"": "hook"}  # there is nothing else


class Scores(Digits):
    """Returns log-probabilities."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.log_softmax(super().forward(x), 1)


class Untraceable(Digits):
    """Its control flow depends on its input, so it cannot be traced."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if x.sum() < 1e9 else x


@pytest.mark.parametrize("model", [Digits(), Scores(), Untraceable()], ids=lambda model: type(model).__name__)
def test_the_layer_that_gives_the_output_is_found_by_tracing_or_is_the_last(model: nn.Module) -> None:
    assert done(model, "**") == {"conv1": "hook", "conv2": "hook", "fc1": "hook", "fc2": OUTPUT}


def test_where_a_tensor_is_passed_on_unchanged() -> None:
    assert output_chain(AlexNet(), "classifier.6") == ["classifier.6", "classifier", ""]
    assert output_chain(AlexNet(), "features.8") == ["features.8", "features.9", "features"]
    assert output_chain(ResNet(layers=(1, 1)), "layer1.0.relu") == ["layer1.0.relu", "layer1.0", "layer1"]
    assert output_chain(ResNet(layers=(1, 1)), "layer1.0.bn2") == ["layer1.0.bn2"]  # the shortcut is added


def test_a_module_that_is_left_may_be_taken_by_another_rule() -> None:
    rules = [{"dropout": {"at": "classifier.*"}}, {"dropout": {"at": "classifier.6", "p": 0.1}}]
    with regularize(AlexNet(), rules) as attached:
        assert attached.report()[-1].by == "hook"


OTHER_KINDS = [(nn.Dropout2d, "; use the rule spatial_dropout"), (nn.AlphaDropout, "; use the rule alpha_dropout")]


@pytest.mark.parametrize(("kind", "advice"), [*OTHER_KINDS, (nn.FeatureAlphaDropout, "; nearest")])
def test_a_dropout_of_another_kind_is_not_doubled(kind: type[nn.Module], advice: str) -> None:
    message = rf"1 \({kind.__name__}\): it is already a dropout layer of another kind{advice}"
    with pytest.raises(SpecError, match=message):
        regularize(nn.Sequential(nn.ReLU(), kind(0.2), nn.ReLU()), [{"dropout": "1"}])


def linear(behind: nn.Module | None) -> nn.Module:
    return nn.Sequential(*filter(None, (nn.Sequential(*filter(None, (nn.Linear(2, 2), behind))), nn.Linear(2, 2))))


MOMENT = {"drop_connect": {"at": "0.0", "inference": "moment"}}


def test_moment_matching_through_a_relu_needs_one_behind_the_layer() -> None:
    regularize(linear(nn.ReLU()), [MOMENT])
    for model in (linear(nn.GELU()), linear(nn.BatchNorm1d(2))):
        with pytest.raises(SpecError, match=rf"and 0.1 \({type(model[0][1]).__name__}\) follows this module"):
            regularize(model, [MOMENT])
    with pytest.raises(SpecError, match="and nothing follows this module"):  # the logits
        regularize(linear(nn.ReLU()), [{"drop_connect": {"at": "1", "inference": "moment"}}])
    through = {"drop_connect": {"at": "1", "inference": "moment", "through": "none"}}
    assert regularize(linear(None), [through]).report()[0].note == ""
    hidden = regularize(Digits(), [{"drop_connect": {"at": "fc1", "inference": "moment"}}])  # F.relu, in its forward
    assert hidden.report()[0].note == "its output must go through a ReLU"


class Reader(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.attention = nn.LSTM(4, 4), nn.MultiheadAttention(4, 2)
        self.head = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        x, _ = self.rnn(x)
        x, _ = self.attention(x, x, x)
        return self.head(x)


def test_a_module_without_a_tensor_output_is_refused_when_attaching() -> None:
    for name in ("rnn", "attention"):
        with pytest.raises(SpecError, match=rf"{name} \(.*\): its output is a tuple"):
            regularize(Reader(), [{"dropout": name}])
        regularize(Reader(), [{"dropout": {"at": name, "on": "input"}}])
    for at in ("attention.out_proj", {"type": "NonDynamicallyQuantizableLinear"}, "attention.*"):
        with pytest.raises(SpecError, match="MultiheadAttention attention reads its weights and never calls it"):
            regularize(Reader(), [{"dropout": {"at": at, "on": "input"}}])
    with pytest.raises(SpecError, match=r"attention.out_proj"):
        regularize(Reader(), [{"drop_connect": {"at": "attention.out_proj"}}])
