"""Penalties, constraints and parameter groups: which parameters they are for, and what they come to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import augreg
from augreg import SpecError

torch = pytest.importorskip("torch")
nn = torch.nn

from augreg.loss import parameter_groups  # noqa: E402 - these need torch
from augreg.loss.penalties import check, constrain, penalty  # noqa: E402


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Small tensors are faster so."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Net(nn.Module):
    """A little of everything: convolutions, norms, an embedding tied to a linear layer, biases, loose parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.bn = nn.BatchNorm2d(4)
        self.norm = nn.LayerNorm([4, 2, 2])
        self.up = nn.ConvTranspose2d(4, 6, 3, groups=2)
        self.words = nn.Embedding(7, 5)
        self.head = nn.Linear(6, 5)
        self.tied = nn.Linear(5, 7, bias=False)
        self.tied.weight = self.words.weight
        self.slope = nn.PReLU()
        self.position = nn.Parameter(torch.randn(1, 3, 2))


WEIGHTS = ["conv.weight", "up.weight", "tied.weight", "head.weight"]


def net(seed: int = 0, **kind: Any) -> Net:
    torch.manual_seed(seed)
    return Net().to(**kind) if kind else Net()


def loss_section(*steps: Any) -> Any:
    return augreg.Pipeline.from_spec({"loss": list(steps)}).spec.loss


def total(model: Any, names: list[str], function: Any) -> float:
    """In float64 numpy."""
    return float(sum(function(model.get_parameter(name).detach().double().numpy()).sum() for name in names))


@pytest.mark.parametrize(
    ("step", "function"),
    [
        ({"l1": 0.1}, lambda w: 0.1 * np.abs(w)),
        ({"l2": 0.1}, lambda w: 0.1 * w**2),
        ({"elastic_net": {"l1": 0.2, "l2": 0.3}}, lambda w: 0.2 * np.abs(w) + 0.3 * w**2),
    ],
)
def test_penalties_are_the_sums_that_they_say(step: Any, function: Any) -> None:
    model = net()
    found = penalty(loss_section(step), model)
    assert found.item() == pytest.approx(total(model, WEIGHTS, function), rel=1e-6)
    assert penalty(loss_section(step), net().double()).dtype == torch.float64
    every = [name for name, _ in model.named_parameters()]
    ((name, given),) = step.items()
    arguments = {**(given if isinstance(given, dict) else {"strength": given}), "include": "all"}
    found = penalty(loss_section({name: arguments}), model)
    assert found.item() == pytest.approx(total(model, every, function), rel=1e-6)


def test_gradients_of_the_penalties() -> None:
    model = net()
    penalty(loss_section({"l1": 0.1}, {"l2": 0.5}), model).backward()
    for name, value in model.named_parameters():
        if name in WEIGHTS or name == "words.weight":  # which is tied.weight, and counts once
            torch.testing.assert_close(value.grad, 0.1 * value.sign() + 2 * 0.5 * value.detach())
        else:
            assert value.grad is None, name


def test_l2_is_sgd_with_twice_the_weight_decay_and_adamw_is_not() -> None:
    """As its docstring says."""

    def stepped(kind: Any, strength: float, decay: float, **more: Any) -> Any:
        torch.manual_seed(0)
        model = nn.Linear(4, 3, bias=False).double()
        optimizer = kind(model.parameters(), lr=0.1, weight_decay=decay, **more)
        for _ in range(5):
            optimizer.zero_grad()
            x = torch.ones(2, 4, dtype=torch.float64)
            (model(x).square().mean() + penalty(loss_section({"l2": strength}), model)).backward()
            optimizer.step()
        return model.weight

    for momentum in (0.0, 0.9):
        penalized = stepped(torch.optim.SGD, 0.05, 0.0, momentum=momentum)
        torch.testing.assert_close(penalized, stepped(torch.optim.SGD, 0.0, 0.1, momentum=momentum))
    torch.testing.assert_close(stepped(torch.optim.Adam, 0.05, 0.0), stepped(torch.optim.Adam, 0.0, 0.1))
    away = stepped(torch.optim.AdamW, 0.05, 0.0) - stepped(torch.optim.AdamW, 0.0, 0.1)
    assert away.abs().max() > 1e-3


def test_at_selects_by_name_and_by_the_owners_class() -> None:
    model = net()

    def of(at: Any, **more: Any) -> float:
        return penalty(loss_section({"l2": {"strength": 1.0, "at": at, **more}}), model).item()

    def squares(*names: str) -> Any:
        return pytest.approx(total(model, list(names), np.square), rel=1e-6)

    assert of("conv.*") == squares("conv.weight")
    assert of("conv.*", include="all") == squares("conv.weight", "conv.bias")
    assert of({"type": "Linear"}) == squares("head.weight", "tied.weight")
    assert of({"type": "_ConvNd"}) == squares("conv.weight", "up.weight")
    assert of(["position", {"name": "up.*", "type": "ConvTranspose2d"}]) == squares("position", "up.weight")
    assert of({"type": "BatchNorm2d"}, include="all") == squares("bn.weight", "bn.bias")
    assert of("words.weight") == of("tied.weight") == squares("tied.weight")
    assert of(["words.*", "tied.*"]) == squares("tied.weight")  # once


def test_half_precision_weights_are_summed_in_float32() -> None:
    model = nn.Linear(600, 600, bias=False)
    nn.init.constant_(model.weight, 0.5)
    found = penalty(loss_section({"l2": 1.0}), model.half())
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(90_000)  # a float16 ends at 65504
    rows = model.float().weight.detach().double()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = penalty(loss_section({"orthogonality": 1.0}), model)
    assert found.item() == pytest.approx((rows @ rows.T - torch.eye(600)).square().sum().item(), rel=1e-5)


def test_frozen_weights_count_for_nothing_and_are_left_alone() -> None:
    model = net()
    model.conv.requires_grad_(False)
    before = model.conv.weight.clone()
    names = [name for name in WEIGHTS if name != "conv.weight"]
    assert penalty(loss_section({"l2": 1.0}), model).item() == pytest.approx(total(model, names, np.square), rel=1e-6)
    assert penalty(loss_section({"l2": {"strength": 1.0, "at": "conv.*"}}), model).item() == 0.0
    constrain(loss_section({"max_norm": 1e-3}), model)
    assert torch.equal(model.conv.weight, before)


def test_wrappers_do_not_change_names() -> None:
    steps = loss_section({"l2": {"strength": 1.0, "at": "conv.weight"}})
    plain = penalty(steps, net())
    wrapped = [
        nn.DataParallel(net()),
        torch.compile(net(), backend="eager"),
        torch.optim.swa_utils.AveragedModel(net()),
    ]
    for model in wrapped:
        assert torch.equal(penalty(steps, model), plain)


def test_weights_under_a_parametrization_belong_to_their_layer() -> None:
    model = nn.Sequential(torch.nn.utils.parametrizations.weight_norm(nn.Linear(3, 2)))
    found = penalty(loss_section({"l2": {"strength": 1.0, "at": {"type": "Linear"}}}), model)
    assert found.item() == pytest.approx(model[0].weight.square().sum().item())
    alone = torch.nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))
    assert penalty(loss_section({"l2": 1.0}), alone) > 0


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")
@pytest.mark.parametrize("norm", [nn.utils.weight_norm, nn.utils.parametrizations.weight_norm])
def test_of_a_weight_norm_the_lengths_count_and_the_directions_do_not(norm: Any) -> None:
    model = nn.Sequential(norm(nn.Conv2d(3, 4, 2)), nn.Linear(3, 2))
    with torch.no_grad():
        next(p for name, p in model.named_parameters() if name.endswith(("_v", "original1"))).mul_(7.0)
    found = penalty(loss_section({"l2": 1.0}), model)
    model(torch.randn(1, 3, 2, 4))  # the older one computes its weight in a forward
    expected = sum(layer.weight.square().sum().item() for layer in model)
    assert found.item() == pytest.approx(expected, rel=1e-5)
    assert [len(group["params"]) for group in parameter_groups(model, 0.1)] == [2, 3]


def test_a_penalty_spares_what_decay_spares() -> None:
    model = net()
    model.no_weight_decay = lambda: {"head.weight"}
    decaying = parameter_groups(model, 0.1)[0]["params"]
    assert all(value is not model.head.weight for value in decaying) and len(decaying) == len(WEIGHTS) - 1
    found = penalty(loss_section({"l2": 1.0}), model).item()
    assert found == pytest.approx(sum(value.detach().square().sum().item() for value in decaying), rel=1e-6)
    every = penalty(loss_section({"l2": {"strength": 1.0, "include": "all"}}), model).item()
    assert every == pytest.approx(sum(p.detach().square().sum().item() for p in model.parameters()), rel=1e-5)


def test_a_lazy_model_has_to_be_run_once_first() -> None:
    model = nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.LazyLinear(2))
    with pytest.raises(SpecError, match=r"'0\.weight' of a lazy module has no shape yet: run the model once"):
        augreg.regularize(model, {"loss": [{"l2": 1.0}]})
    with pytest.raises(SpecError, match="run the model once"):
        parameter_groups(model, 0.1)
    model(torch.zeros(1, 3))
    augreg.regularize(model, {"loss": [{"l2": 1.0}]})
    assert augreg.Pipeline.from_spec({"loss": [{"l2": 1.0}]}).criterion().penalty(model) > 0


def test_a_penalty_sees_what_was_exchanged_since_the_last_one() -> None:
    model, steps = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)), loss_section({"l2": 1.0})
    penalty(steps, model)
    model[1] = nn.Conv2d(1, 1, 2)
    model[0].weight = nn.Parameter(torch.ones(2, 3))
    assert penalty(steps, model).item() == pytest.approx(6 + model[1].weight.square().sum().item())
    model[0].weight.requires_grad_(False)
    assert penalty(steps, model).item() == pytest.approx(model[1].weight.square().sum().item())


def test_a_loss_section_without_penalties_adds_nothing() -> None:
    assert penalty(loss_section({"label_smoothing": 0.1}), net()).item() == 0.0
    assert penalty(loss_section({"l2": 1.0}, {"l1": 0.0}), net()).ndim == 0


def test_penalties_follow_their_schedules_and_the_criterion_has_them() -> None:
    pipe = augreg.Pipeline.from_spec({"loss": [{"l2": {"strength": {"linear": [0, 1], "over": [0, 10]}}}]})
    model, loss = net(), pipe.criterion()
    whole = total(model, WEIGHTS, np.square)
    assert loss.penalty(model).item() == 0.0
    loss.set_epoch(5)
    assert loss.penalty(model).item() == pytest.approx(0.5 * whole, rel=1e-6)
    assert penalty(pipe.spec.loss, model, 2.5).item() == pytest.approx(0.25 * whole, rel=1e-6)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"l2": {"at": "convv.*"}}, r"loss\.l2\.at: convv\.\* selects no parameter; the nearest are conv"),
        ({"l1": {"at": {"type": "GRU"}}}, r"loss\.l1\.at: \*\* of type GRU selects no parameter"),
        ({"l2": {"at": "*.bias"}}, r"selects only biases.*such as 'conv\.bias'.*include: all"),
        ({"max_norm": {"at": "bn.*"}}, r"loss\.max_norm\.at: bn\.\* selects only biases"),
        ({"orthogonal_projection": "nowhere"}, r"loss\.orthogonal_projection\.at: nowhere selects no parameter"),
    ],
)
def test_a_pattern_that_selects_nothing_is_an_error(step: Any, message: str) -> None:
    steps = loss_section(step, {"label_smoothing": 0.1})
    with pytest.raises(SpecError, match=message):
        check(steps, net())
    with pytest.raises(SpecError, match=message):
        penalty(steps, net())
        constrain(steps, net())


def test_all_patterns_that_select_nothing_are_reported_together() -> None:
    with pytest.raises(SpecError) as caught:
        check(loss_section({"l2": {"at": "x"}}, {"l1": 0.1}, {"max_norm": {"at": "y"}}), net())
    assert len(caught.value.problems) == 2
    with pytest.raises(SpecError, match=r"no weights of linear layers, .*, only 2 other parameters"):
        check(loss_section({"l2": 0.1}), nn.BatchNorm1d(3))


def incoming(model: Any, name: str) -> list[Any]:
    """What multiplies the inputs of each unit, by probing a layer with one output gradient at a time."""
    layer = model.get_submodule(name)
    weight = layer.weight.detach().double().numpy()
    if isinstance(layer, nn.ConvTranspose2d):
        per = weight.shape[0] // layer.groups
        return [
            weight[g * per : (g + 1) * per, j].ravel() for g in range(layer.groups) for j in range(weight.shape[1])
        ]
    return [row.ravel() for row in weight]


def test_max_norm_scales_down_what_is_above_it_and_leaves_the_rest() -> None:
    model = net()
    before = {name: incoming(model, name) for name in ("conv", "up", "head")}
    kept = {name: value.clone() for name, value in model.named_parameters()}
    identities = [id(value) for value in model.parameters()]
    limit = 0.6
    constrain(loss_section({"max_norm": {"limit": limit, "at": ["conv.*", "up.*", "head.*"]}}), model)
    scaled = 0
    for name, rows in before.items():
        for row, now in zip(rows, incoming(model, name), strict=True):
            norm = np.linalg.norm(row)
            scaled += norm > limit
            np.testing.assert_allclose(now, row * min(1.0, limit / norm), rtol=1e-5)
            assert norm > limit or np.array_equal(now, row)
    assert 0 < scaled < sum(map(len, before.values()))
    for name, value in model.named_parameters():
        assert name in ("conv.weight", "up.weight", "head.weight") or torch.equal(value, kept[name])
    assert [id(value) for value in model.parameters()] == identities


def test_units_of_transposed_convolutions_are_their_output_channels() -> None:
    """Scaling a unit's row scales its output channel, and no other."""
    layer = nn.ConvTranspose2d(4, 6, 3, groups=2, bias=False).double()
    x = torch.randn(2, 4, 5, 5, dtype=torch.float64)
    before, norms = (
        layer(x).detach(),
        torch.tensor([np.linalg.norm(row) for row in incoming(nn.ModuleList([layer]), "0")]),
    )
    constrain(loss_section({"max_norm": 0.1}), layer)
    torch.testing.assert_close(layer(x), before * (0.1 / norms)[:, None, None], rtol=1e-5, atol=1e-12)


def test_max_norm_holds_through_training_in_any_precision() -> None:
    torch.manual_seed(0)
    for dtype, slack in ((torch.float32, 1e-6), (torch.bfloat16, 0.01)):
        model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3)).to(dtype)
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        steps = loss_section({"max_norm": 0.5})
        for _ in range(5):
            optimizer.zero_grad()
            model(torch.randn(4, 8, dtype=dtype)).square().mean().backward()
            optimizer.step()
            constrain(steps, model)
            for index in (0, 2):
                assert model[index].weight.dtype == dtype
                assert model[index].weight.float().norm(dim=1).max() <= 0.5 * (1 + slack)


@pytest.mark.parametrize("shape", [(3, 8), (8, 3), (5, 5)])
@pytest.mark.parametrize("diagonal", [True, False])
def test_orthogonality_is_the_distance_of_the_gram_matrix(shape: tuple[int, int], diagonal: bool) -> None:
    torch.manual_seed(0)
    model = nn.Linear(shape[1], shape[0], bias=False).double()
    found = penalty(loss_section({"orthogonality": {"strength": 0.5, "diagonal": diagonal}}), model)
    rows = model.weight.detach().numpy()
    rows = rows if shape[0] <= shape[1] else rows.T
    away = rows @ rows.T - np.eye(len(rows))
    if not diagonal:
        np.fill_diagonal(away, 0.0)
    assert found.item() == pytest.approx(0.5 * (away**2).sum(), rel=1e-12)
    nn.init.orthogonal_(model.weight, gain=1.0 if diagonal else 3.0)
    least = penalty(loss_section({"orthogonality": {"diagonal": diagonal}}), model)
    assert least.item() < 1e-20
    assert torch.autograd.grad(least, model.weight)[0].abs().max() < 1e-12


def test_orthogonality_of_a_convolution_is_that_of_its_matrix() -> None:
    model = nn.Conv2d(3, 4, 3, bias=False).double()
    rows = model.weight.detach().reshape(4, 27).numpy()
    found = penalty(loss_section({"orthogonality": 1.0}), model)
    assert found.item() == pytest.approx(((rows @ rows.T - np.eye(4)) ** 2).sum(), rel=1e-12)


@pytest.mark.parametrize("name", ["conv", "up", "head"])
def test_projection_takes_the_nearest_orthonormal_matrix(name: str) -> None:
    model = net(dtype=torch.float64)
    before = np.stack(incoming(model, name))
    constrain(loss_section({"orthogonal_projection": f"{name}.*"}), model)
    after = np.stack(incoming(model, name))
    small = after @ after.T if len(after) <= after.shape[1] else after.T @ after
    np.testing.assert_allclose(small, np.eye(len(small)), atol=1e-12)
    rng = np.random.default_rng(0)
    nearest = np.linalg.norm(before - after)
    for _ in range(200):  # no other one is nearer: turn it a little and look
        turn = np.linalg.qr(np.eye(len(after)) + 0.05 * rng.normal(size=(len(after), len(after))))[0]
        turn *= np.sign(np.diag(turn))
        assert np.linalg.norm(before - turn @ after) >= nearest
    again = model.get_submodule(name).weight.clone()
    constrain(loss_section({"orthogonal_projection": f"{name}.*"}), model)
    torch.testing.assert_close(model.get_submodule(name).weight, again)


def groups_by_name(model: Any, groups: list[dict[str, Any]]) -> list[set[str]]:
    names = {id(value): name for name, value in model.named_parameters()}
    return [{names[id(value)] for value in group["params"]} for group in groups]


def test_parameter_groups_hold_everything_once() -> None:
    model = net()
    groups = parameter_groups(model, 0.05)
    assert [group["weight_decay"] for group in groups] == [0.05, 0.0]
    with_decay, without = groups_by_name(model, groups)
    assert with_decay == {"conv.weight", "up.weight", "words.weight", "head.weight"}
    assert with_decay | without == {name for name, _ in model.named_parameters()}
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
    model.head.requires_grad_(False)  # it may be thawed later
    assert groups_by_name(model, parameter_groups(model, 0.05)) == [with_decay, without]


def test_parameter_groups_take_patterns() -> None:
    model = net()
    assert groups_by_name(model, parameter_groups(model, 0.05, at={"type": "Linear"}, no_decay="tied.*"))[0] == {
        "head.weight"
    }
    assert len(parameter_groups(model, 0.05, include="all")) == 1
    model.no_weight_decay = lambda: {"conv.weight"}
    assert "conv.weight" in groups_by_name(model, parameter_groups(model, 0.05))[1]
    for arguments, message in [
        ({"at": "hed.*"}, "hed.* selects no parameter; the nearest are head"),
        ({"no_decay": "hed.*"}, "hed.* selects no parameter"),
        ({"at": {"nam": "x"}}, "a selection takes 'name', 'type' and 'not', got 'nam'"),
        ({"at": 3}, "name pattern"),
        ({"include": "biases"}, "include must be 'weights' or 'all'"),
        ({"weight_decay": -0.1}, "weight_decay must be 0 or more"),
    ]:
        with pytest.raises(ValueError, match=message):
            parameter_groups(model, **{"weight_decay": 0.05, **arguments})


@pytest.mark.parametrize("kind", ["SGD", "AdamW", "Adam", "RMSprop", "NAdam"])
def test_parameter_groups_are_for_any_optimizer(kind: str) -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2))
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    optimizer = getattr(torch.optim, kind)(parameter_groups(model, 0.5), lr=0.01)
    for value in model.parameters():
        value.grad = torch.zeros_like(value)
    optimizer.step()
    changed = {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    assert changed == {"0.weight"}


@augreg.regularizer("toward", section="loss")
class Toward:
    """Of a plugin: a penalty for the distance of all parameters from a number, and a floor that they keep."""

    number: float = 1.0

    def penalty(self, model: Any) -> Any:
        return sum((value - self.number).square().sum() for value in model.parameters())

    def constrain(self, model: Any) -> None:
        for value in model.parameters():
            value.clamp_(min=-self.number)


def test_a_plugins_penalty_and_constraint_are_used() -> None:
    pipe = augreg.Pipeline(loss=[Toward(0.1)])
    model = net()
    expected = sum((value - 0.1).square().sum().item() for value in model.parameters())
    assert penalty(pipe.spec.loss, model).item() == pytest.approx(expected, rel=1e-5)
    check(pipe.spec.loss, model)
    pipe.criterion().constrain(model)
    assert min(value.min().item() for value in model.parameters()) == pytest.approx(-0.1)
