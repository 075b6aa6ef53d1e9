"""Modules that a rule cannot be attached to are left out if others can take it, and excluded ones by `not`."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import jsonschema
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from augreg import Pipeline, SpecError, regularize
from augreg.attachment.activations import computes
from augreg.attachment.attach import attachments
from augreg.loss.weight_decay import parameter_groups
from augreg.nn.drop_connect_subclasses import drop_connect_type
from augreg.registry.registry import Registry
from augreg.spec.json_schema import schema

torch.set_num_threads(1)


def notes(rows: Any) -> dict[str, str]:
    return {row.module: row.note for row in rows if row.by == "none"}


def attached_at(model: nn.Module, rule: dict[str, Any]) -> list[str]:
    with regularize(model, [rule]) as attached:
        return [row.module for row in attached.report() if row.by != "none"]


class Inverted(nn.Module):
    """A block as in MobileNets: it adds its input only where the shape stays."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.conv, self.norm, self.adds = nn.Conv2d(width, out, 1), nn.BatchNorm2d(out), width == out
        self.gate = nn.Conv2d(out, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        y = self.norm(y * torch.sigmoid(self.gate(y)))  # a gate is no shortcut
        return x + y if self.adds else y


def mobile() -> nn.Sequential:
    return nn.Sequential(*(Inverted(a, b) for a, b in [(3, 4), (4, 4), (4, 6), (6, 6), (6, 6)]), nn.BatchNorm2d(6))


@pytest.mark.parametrize("rule", ["stochastic_depth", "shake_drop"])
@pytest.mark.parametrize("at", [{"type": "Inverted"}, "*"])
def test_blocks_without_a_shortcut_are_left_and_do_not_count(rule: str, at: Any) -> None:
    model = mobile()
    rows = regularize(model, [{rule: {"at": at, "survival": 0.4}}]).report()
    left = {"0": "left: no shortcut", "2": "left: no shortcut"} | ({"5": "left: no shortcut"} if at == "*" else {})
    assert notes(rows) == left
    assert [row.module for row in rows] == [str(n) for n in range(6 if at == "*" else 5)]  # in the model's order
    # 1 - l / 3 * 0.6 for the three blocks that can be dropped
    assert [row.numbers for row in rows if row.by != "none"] == ["survival=0.8", "survival=0.6", "survival=0.4"]


def test_a_block_without_a_shortcut_is_refused_by_name_and_alone() -> None:
    for at in ("2", ["2", "1"], "2*"):
        with pytest.raises(SpecError, match=r"at: 2 \(Inverted\): it has no shortcut"):
            regularize(mobile(), [{"stochastic_depth": {"at": at}}])
    with pytest.raises(SpecError, match=r"0 \(Inverted\) and 1 more: it has no shortcut, so"):
        regularize(nn.Sequential(Inverted(3, 4), Inverted(4, 6)), [{"stochastic_depth": {"at": "*"}}])


class Attention(nn.Module):
    """Functions read the weights of qkv."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.proj, self.direct = nn.Linear(4, 12), nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = functional.linear(x, self.qkv.weight, self.qkv.bias).chunk(3, -1)
        return self.direct.forward(self.proj(functional.scaled_dot_product_attention(q, k, v)))


def test_weights_that_a_function_reads_are_left_or_refused() -> None:
    x = torch.ones(2, 3, 4)
    for rule in ("dropout", "drop_connect", "gaussian_dropout"):
        model = nn.Sequential(nn.ModuleDict({"attention": Attention()})["attention"]).train()
        rows = regularize(model, [{rule: {"at": {"type": "Linear"}}}]).report()
        reads = "left: never called, the Attention reads its weights"
        # a direct call of forward misses the hooks, but not the class of DropConnect
        missed = {"0.qkv": reads} | ({} if rule == "drop_connect" else {"0.direct": reads})
        assert notes(rows) == missed
        model(x)  # warns of nothing
        with pytest.raises(SpecError, match="the Attention 0 reads its weights and never calls it"):
            regularize(nn.Sequential(Attention()), [{rule: {"at": "0.qkv"}}])


def test_one_module_that_cannot_take_a_rule_does_not_refuse_it_for_all() -> None:
    encoder = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
    rows = regularize(encoder, [{"drop_connect": {"at": {"type": "Linear"}}}]).report()
    assert notes(rows) == {"self_attn.out_proj": "left: never called, the MultiheadAttention reads its weights"}
    chain = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.AlphaDropout(), nn.Flatten(), nn.Linear(4, 2))
    assert attached_at(chain, {"drop_connect": {"at": "*"}}) == ["0", "4"]
    assert attached_at(chain, {"drop_block": {"at": "*"}}) == ["2"]  # 0 and 1 are done at 2
    assert attached_at(chain, {"activation": {"at": "*", "to": "gelu"}}) == ["1"]
    assert attached_at(chain, {"init": {"at": "*", "rule": "xavier"}}) == ["0", "4"]
    after = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4), nn.Dropout(), nn.Linear(4, 2))
    rows = regularize(after, [{"dropout": {"at": {"type": "Linear"}}}]).report()
    assert notes(rows) == {"2": "left: 3 next to it already does this"}


class Output:
    def __init__(self, value: Tensor) -> None:
        self.value = value


class Backbone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.index = nn.Linear(4, 4), Index()

    def forward(self, x: Tensor) -> Output:
        return Output(self.layer(x) + self.index(x)[:, None])


class Index(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.argmax(-1)


class Objects(nn.Module):
    """Its parts return an object, and integers."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = Backbone(), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).value)


def test_outputs_that_are_no_tensor_of_floats_are_left_by_a_pattern() -> None:
    x = torch.randn(5, 4)
    for rule in ("dropout", "activation_noise", "gaussian_dropout"):
        model = Objects().train()
        attached = regularize(model, [{rule: {"at": "**"}}])
        assert not torch.equal(model(x), model(x))
        found = {row.module: (row.runs, row.note) for row in attached.report()}
        assert found["body"] == (0, "left: its output is a Output")
        assert found["body.index"] == (0, "left: its output is of torch.int64")
        assert found["body.layer"] == (2, "")
        twin = pickle.loads(pickle.dumps(copy.deepcopy(model)))
        assert attachments(twin)[0].report()[0].note == "left: its output is a Output"
    model = Objects().train()
    regularize(model, [{"dropout": {"at": "body*"}}])
    with pytest.warns(UserWarning, match=r"dropout at body \(Backbone\): its output is a Output\. "):
        model(x)  # the only module of the rule
    regularize(Objects(), [{"dropout": {"at": "body", "on": "input"}}])
    with pytest.raises(
        TypeError, match="Dropout takes the output of a Backbone, which must be a tensor; got a Output"
    ):
        named = Objects().train()
        regularize(named, [{"dropout": {"at": "body"}}])
        named(x)


def test_outputs_without_positions_are_left_by_rules_for_maps() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.Tanh(), nn.Flatten()), nn.Linear(36, 2)).train()
    for rule in ("spatial_dropout", "drop_block"):
        with regularize(model, [{rule: {"at": "**"}}]) as attached:
            model(torch.randn(2, 3, 3, 3))
        rows = {row.module: row for row in attached.report()}
        assert rows["1.0"].runs == 1 and rows["1.1"].by == "none"
    model[1] = nn.Sequential(nn.Flatten(), nn.Tanh())
    with regularize(model, [{"spatial_dropout": {"at": "**"}}]) as attached:
        model(torch.randn(2, 3, 3, 3))
    assert "left: its output has 2 dimensions" in [row.note for row in attached.report()]


class Same(nn.Conv2d):
    """Pads by itself, as timm's Conv2dSame."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(functional.pad(x, (0, 1, 0, 1)), self.weight, self.bias, self.stride, 0)


class Standardized(nn.Conv2d):
    """Its weight is standardized at each call."""

    def forward(self, x: Tensor) -> Tensor:
        weight = (self.weight - self.weight.mean()) / self.weight.std()
        return functional.conv2d(x, weight=weight, bias=self.bias, groups=self.groups)


class Named(nn.Linear):
    """Only its name differs."""


class Scaled(nn.Linear):
    """Multiplies after its product, so dropping weights is not all that it would need."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * 2


SUBCLASSES: list[tuple[nn.Module, tuple[int, ...]]] = [
    (Same(2, 3, 2, stride=2), (4, 2, 5, 5)),
    (Standardized(4, 6, 2, groups=2), (4, 4, 3, 3)),
    (Named(5, 3), (4, 5)),
]


@pytest.mark.parametrize(("module", "shape"), SUBCLASSES, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("per", ["sample", "batch"])
def test_subclasses_that_multiply_once_drop_the_weight_that_they_use(module: Any, shape: Any, per: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(copy.deepcopy(module))
    x = torch.randn(shape)
    x[:] = x[:1]  # equal samples: masks make them differ
    plain = model(x).detach()
    cls, keys, values = type(model[0]), list(model.state_dict()), sorted(vars(model[0]))
    attached = regularize(model, [{"drop_connect": {"at": {"type": "Module"}, "p": 0.25, "per": per}}])
    assert torch.equal(model.eval()(x), plain) and list(model.state_dict()) == keys
    model.train()
    with torch.no_grad():
        draws = torch.stack([model(x) for _ in range(300)])
    error = draws.std(0) / draws.shape[0] ** 0.5
    assert ((draws.mean(0) - plain).abs() <= 5 * error + 1e-5).all()
    assert torch.allclose(draws[:, 0], draws[:, 1], atol=1e-6) is (per == "batch")
    model(x).square().sum().backward()
    assert model[0].weight.grad.abs().sum() > 0
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        torch.manual_seed(1)
        drawn = model(x)
        torch.manual_seed(1)
        assert torch.equal(twin(x), drawn)
        attachments(twin)[0].detach()
        assert type(twin[0]) is cls and sorted(vars(twin[0])) == values and torch.equal(twin(x), plain)
    attached.detach()
    assert type(model[0]) is cls and sorted(vars(model[0])) == values and torch.equal(model(x), plain)


def test_every_element_of_the_weight_that_is_used_is_dropped_or_scaled() -> None:
    module = Standardized(1, 1, 2)
    used = (module.weight - module.weight.mean()) / module.weight.std()
    model = nn.Sequential(module).train()
    regularize(model, [{"drop_connect": {"at": "0", "p": 0.5}}])
    impulses = torch.eye(4).reshape(4, 1, 2, 2)  # the output for each is one element of the weight
    seen = (model(impulses) - module.bias).flatten()
    ratio = seen / used.flatten()
    assert (torch.isclose(ratio, torch.tensor(2.0)) | torch.isclose(ratio, torch.tensor(0.0))).all()


@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature:UserWarning")
def test_what_is_no_single_product_is_refused() -> None:
    for module in (Scaled(2, 2), nn.ReLU(), nn.ConvTranspose2d(2, 2, 1)):
        with pytest.raises(ValueError, match=r"not one call of linear|has no weights to drop"):
            drop_connect_type(module)
    lazy = nn.LazyLinear(2)
    with pytest.raises(ValueError, match="do not exist before its first forward"):
        drop_connect_type(lazy)


class TheirGELU(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.act = functional.gelu
        self.calls: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.calls.append(1)
        return self.act(x)


class Quick(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


class Normalized(nn.Module):
    """Not elementwise."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x - x.mean())


class Random(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x) + torch.rand(())


class Picky(nn.Module):
    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return torch.relu(x) * mask


def test_activations_of_other_libraries_are_those_that_they_compute() -> None:
    theirs = TheirGELU()
    before = torch.random.get_rng_state()
    kinds = {TheirGELU(): "GELU", Quick(): "GELU", Normalized(): None, Random(): None, Picky(): None, nn.Tanh(): None}
    assert {module: computes(module) for module in kinds} == kinds
    assert computes(theirs) == "GELU" and not theirs.calls  # tried on a copy
    assert torch.equal(torch.random.get_rng_state(), before)
    model = nn.Sequential(nn.Linear(2, 2), theirs, Normalized(), nn.Sigmoid(), Random(), nn.ReLU())
    with regularize(model, [{"activation": "mish"}]) as attached:
        assert [type(part).__name__ for part in model] == [
            "Linear",
            "Mish",
            "Normalized",
            "Sigmoid",
            "Random",
            "Mish",
        ]
        assert [row.note for row in attached.report()] == ["was TheirGELU", "was ReLU"]
    assert model[1] is theirs
    assert attached_at(model, {"dropout": {"at": {"type": "GELU"}}}) == ["1"]


class BeitDropPath(nn.Module):
    def __init__(self, drop_prob: float | None) -> None:
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x: Tensor) -> Tensor:
        return x


class WithPath(nn.Module):
    def __init__(self, rate: float | None) -> None:
        super().__init__()
        self.layer, self.path = nn.Linear(2, 2), BeitDropPath(rate)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.path(self.layer(x))


def test_drop_paths_under_other_class_names_are_the_depth_that_is_there() -> None:
    model = nn.Sequential(WithPath(0.1), WithPath(None))
    with regularize(model, [{"stochastic_depth": {"at": "*", "survival": 0.5}}]) as attached:
        assert [row.by for row in attached.report()] == ["set", "set"]
        assert [block.path.drop_prob for block in model] == [0.25, 0.5]
    assert [block.path.drop_prob for block in model] == [0.1, None]
    with pytest.raises(SpecError, match=r"0 \(WithPath\): .*path, a BeitDropPath.* with drop paths of rate 0"):
        regularize(model, [{"shake_drop": {"at": "*"}}])
    model[0].path.drop_prob = 0.0
    assert attached_at(model, {"shake_drop": {"at": "*"}}) == ["0", "1"]


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.body = nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))
        self.attn = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4))
        self.head = nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.attn(self.body(self.stem(x))))


@pytest.mark.parametrize(
    ("at", "names"),
    [
        ({"type": "Linear", "not": "head"}, ["stem", "body.0", "body.2", "attn.0"]),
        ({"type": "Linear", "not": "head.1"}, ["stem", "body.0", "body.2", "attn.0"]),
        ({"type": "Linear", "not": ["head", "*.0"]}, ["stem", "body.2"]),
        ({"type": "Linear", "not": {"type": "Sequential"}}, ["stem"]),
        ({"type": "Linear", "not": {"name": "b*", "type": "Sequential"}}, ["stem", "attn.0", "head.1"]),
        (
            {"name": "*.*", "type": ["Linear", "Tanh"], "not": ["head", {"type": "Tanh"}]},
            ["body.0", "body.2", "attn.0"],
        ),
        ([{"type": "Tanh"}, {"type": "Linear", "not": ["head", "body", "attn"]}], ["stem", "body.1"]),
        ([{"type": "Linear", "not": ["head", "body", "attn"]}, "head.1"], ["stem", "head.1"]),
    ],
)
def test_not_excludes_modules_and_everything_in_them(at: Any, names: list[str]) -> None:
    assert attached_at(Net(), {"activation_noise": {"at": at}}) == names
    pipe = Pipeline.from_spec({"model": [{"activation_noise": {"at": at}}]})
    assert Pipeline.from_spec(pipe.to_spec()) == pipe
    validator = jsonschema.Draft202012Validator(schema(Registry.installed()))
    for spec in ({"model": [{"activation_noise": {"at": at}}]}, pipe.to_spec()):
        assert validator.is_valid(spec)


@pytest.mark.parametrize(
    ("at", "message"),
    [
        ({"type": "Linear", "not": "haed"}, "not: haed excludes nothing; nearest: head"),
        ({"not": {"type": "Sequentail"}}, "not: ** of type Sequentail excludes nothing; nearest: Sequential"),
        ({"not": {"nam": "head"}}, "what stands after 'not' takes 'name' and 'type', got 'nam'"),
        ({"not": {"name": "head", "not": "body"}}, "what stands after 'not' takes 'name' and 'type', got 'not'"),
        ({"not": 3}, "'not' takes a name pattern, {name: pattern, type: class names}, or a list of these, got 3"),
        ({"not": [{"type": 3}]}, "'not' takes a name pattern"),
        ({"name": "head", "without": "x"}, "a selection takes 'name', 'type' and 'not', got 'without'"),
        ({"type": "Linear", "not": "**"}, "no module of the model matches ** of type Linear, not **"),
    ],
)
def test_errors_of_not_say_what_to_do(at: Any, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        regularize(Net(), [{"dropout": {"at": at}}])
    assert message in str(caught.value)


def test_specs_without_not_are_written_as_before() -> None:
    spec = {"model": [{"dropout": {"at": [{"name": "head", "type": ["Linear"]}]}}]}
    assert Pipeline.from_spec(spec).to_spec()["model"][0]["dropout"]["at"] == [{"name": "head", "type": ["Linear"]}]


def test_not_excludes_parameters_in_the_loss_section_and_in_groups() -> None:
    model = Net()
    groups = parameter_groups(
        model, 0.1, at={"not": ["head", {"type": "Tanh"}, {"name": "b*", "type": "Sequential"}]}
    )
    names = {id(value): name for name, value in model.named_parameters()}
    assert {names[id(value)] for value in groups[0]["params"]} == {"stem.weight", "attn.0.weight"}
    with pytest.raises(SpecError, match=r"loss\.l2\.at: not: haed\.\*\* excludes nothing; nearest: head"):
        Pipeline.from_spec({"loss": [{"l2": {"at": {"not": "haed.**"}}}]}).regularize(model)
