"""The loss of a spec is torch's where torch has one, a float64 oracle's where not, and refuses what does not fit."""

from __future__ import annotations

import copy
import itertools
import math
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import augreg
from augreg.batch.labels import SoftLabels
from augreg.regularizers.targets import LabelSmoothing

torch = pytest.importorskip("torch")
F = torch.nn.functional


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Small tensors are faster so."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def criterion(*steps: Any, **arguments: Any) -> Any:
    return augreg.Pipeline.from_spec({"loss": list(steps)}).criterion(**arguments)


def drawn(*shape: int, seed: int = 0, dtype: Any = torch.float32) -> Any:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def ids(*shape: int, classes: int = 5, seed: int = 1) -> Any:
    return torch.randint(classes, shape, generator=torch.Generator().manual_seed(seed))


SHAPES = [(), (6,), (4, 3)]
COMBINATIONS = list(
    itertools.product(SHAPES, [0.0, 0.1, 1.0], [False, True], ["mean", "sum", "none"], [torch.float32, torch.float64])
)


@pytest.mark.parametrize(("extra", "smoothing", "weighted", "reduction", "dtype"), COMBINATIONS)
def test_class_ids_give_torchs_loss_and_gradient(
    extra: tuple[int, ...], smoothing: float, weighted: bool, reduction: str, dtype: Any
) -> None:
    logits = drawn(7, 5, *extra, dtype=dtype).requires_grad_()
    again = logits.detach().clone().requires_grad_()
    weight = torch.tensor([0.5, 1.0, 2.0, 0.0, 3.0], dtype=dtype) if weighted else None
    for ignored in (-100, 2):
        target = ids(7, *extra)
        target.view(-1)[:2] = ignored
        steps = [{"label_smoothing": smoothing}] if smoothing else []
        ours = criterion(*steps, weight=weight, reduction=reduction, ignore_index=ignored)(logits, target)
        torchs = torch.nn.CrossEntropyLoss(
            weight, ignore_index=ignored, reduction=reduction, label_smoothing=smoothing
        )
        theirs = torchs(again, target)
        assert ours.dtype == theirs.dtype
        torch.testing.assert_close(ours, theirs)
        (mine,) = torch.autograd.grad(ours.sum(), logits)
        (other,) = torch.autograd.grad(theirs.sum(), again)
        torch.testing.assert_close(mine, other)


@pytest.mark.parametrize(("extra", "smoothing", "weighted", "reduction", "dtype"), COMBINATIONS)
def test_probabilities_give_torchs_loss(
    extra: tuple[int, ...], smoothing: float, weighted: bool, reduction: str, dtype: Any
) -> None:
    logits, target = drawn(7, 5, *extra, dtype=dtype), drawn(7, 5, *extra, seed=3, dtype=dtype).softmax(1)
    weight = torch.tensor([0.5, 1.0, 2.0, 0.0, 3.0], dtype=dtype) if weighted else None
    ours = criterion({"label_smoothing": smoothing}, weight=weight, reduction=reduction)(logits, target)
    theirs = F.cross_entropy(logits, target, weight, reduction=reduction, label_smoothing=smoothing)
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_class_that_is_ruled_out_gives_torchs_loss(smoothing: float) -> None:
    """A smoothing of 0, as a schedule begins with, is none: it does not take 0 times infinity."""
    logits = torch.tensor([[1.0, 0.0, -math.inf]])
    ours = criterion({"label_smoothing": smoothing})(logits, torch.tensor([0]))
    torch.testing.assert_close(ours, F.cross_entropy(logits, torch.tensor([0]), label_smoothing=smoothing))
    assert ours.item() == pytest.approx(math.log1p(math.exp(-1.0))) if smoothing == 0 else ours == math.inf


def test_an_index_to_ignore_is_refused_for_probabilities() -> None:
    loss = criterion(ignore_index=2)
    for target in (F.one_hot(ids(4), 5).float(), SoftLabels(ids(4))):
        with pytest.raises(ValueError, match="ignore_index=2 is for class ids, and these targets are probabilities"):
            loss(drawn(4, 5), target)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_where_everything_is_ignored_it_is_torchs_nan_or_nothing(smoothing: float, reduction: str) -> None:
    target = torch.full((3,), -100)
    ours = criterion({"label_smoothing": smoothing}, reduction=reduction)(drawn(3, 5), target)
    theirs = F.cross_entropy(drawn(3, 5), target, reduction=reduction, label_smoothing=smoothing)
    torch.testing.assert_close(ours, theirs, equal_nan=True)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("extra", SHAPES)
def test_several_labels_give_torchs_binary_loss(reduction: str, weighted: bool, extra: tuple[int, ...]) -> None:
    logits, target = drawn(7, 5, *extra), drawn(7, 5, *extra, seed=2).sigmoid()
    weight = torch.tensor([0.5, 1.0, 2.0, 0.0, 3.0]) if weighted else None
    wide = None if weight is None else weight.view(-1, *[1] * len(extra))
    ours = criterion(weight=weight, reduction=reduction, multi_label=True)(logits, target)
    torch.testing.assert_close(ours, F.binary_cross_entropy_with_logits(logits, target, wide, reduction=reduction))


def test_several_labels_are_smoothed_toward_one_half() -> None:
    logits, target = drawn(7, 5), drawn(7, 5, seed=2) > 0
    ours = criterion({"label_smoothing": 0.2}, multi_label=True)(logits, target)
    torch.testing.assert_close(ours, F.binary_cross_entropy_with_logits(logits, target * 0.8 + 0.1))


def test_a_float64_oracle_agrees_on_smoothing_weights_and_confidence() -> None:
    rng = np.random.default_rng(5)
    logits, target = rng.normal(size=(9, 4)) * 3, rng.integers(4, size=9)
    target[3] = -100
    weight = np.array([0.5, 1.0, 2.0, 1.5])
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    soft = np.eye(4)[np.where(target == -100, 0, target)] * 0.9 + 0.1 / 4
    counted = target != -100
    data = -(weight * soft * log_p).sum(1)[counted].sum() / weight[target[counted]].sum()
    entropy = -(np.exp(log_p) * log_p).sum(1)[counted].mean()
    found = criterion({"label_smoothing": 0.1}, {"confidence_penalty": 0.3}, weight=torch.tensor(weight))(
        torch.tensor(logits), torch.tensor(target)
    )
    assert found.item() == pytest.approx(data - 0.3 * entropy, rel=1e-12)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    st.lists(st.integers(0, 4), min_size=2, max_size=6),
    st.floats(0, 1),
    st.sampled_from([0.0, 0.1]),
    st.integers(0, 9),
)
def test_mixing_targets_mixes_losses(classes: list[int], weight: float, smoothing: float, seed: int) -> None:
    """CE(z, lam a + (1 - lam) b) = lam CE(z, a) + (1 - lam) CE(z, b), with smoothing too."""
    logits, own = drawn(len(classes), 5, seed=seed, dtype=torch.float64), torch.tensor(classes)
    loss = criterion({"label_smoothing": smoothing})
    other = own.flip(0)
    mixed = weight * F.one_hot(own, 5).double() + (1 - weight) * F.one_hot(other, 5)
    expected = weight * loss(logits, own) + (1 - weight) * loss(logits, other)
    torch.testing.assert_close(loss(logits, mixed), expected)


def test_soft_labels_are_taken_as_they_are() -> None:
    order = np.array([2, 0, 1, 3])
    labels = SoftLabels(torch.tensor([0, 1, 2, 4]), np.stack([np.arange(4), order], 1), np.tile([0.7, 0.3], (4, 1)))
    logits = drawn(4, 5)
    loss = criterion({"label_smoothing": 0.1})
    expected = 0.7 * loss(logits, labels.labels) + 0.3 * loss(logits, labels.labels[order])
    torch.testing.assert_close(loss(logits, labels), expected)
    torch.testing.assert_close(criterion()(logits, labels.smoothed(0.1)), expected)
    arrays = SoftLabels(np.array([0, 1, 2, 4]), labels.sources.numpy(), labels.weights.numpy())
    torch.testing.assert_close(loss(logits, arrays), expected)


def test_nothing_is_smoothed_twice() -> None:
    smooth = SoftLabels(torch.tensor([0, 1, 2])).smoothed(0.1)
    with pytest.raises(ValueError, match=r"already smoothed by 0\.1.*smooth in one place only"):
        criterion({"label_smoothing": 0.1})(drawn(3, 5), smooth)
    criterion({"label_smoothing": 0.0})(drawn(3, 5), smooth)  # which smooths nothing
    with pytest.raises(ValueError, match=r"loss\[0\] and loss\[1\] both smooth"):
        criterion({"label_smoothing": 0.1}, {"label_smoothing": 0.2})


@pytest.mark.parametrize(("classes", "floor"), [(10, 0.5003), (100, 0.7778), (1000, 1.0148)])
def test_the_floor_of_a_smoothed_loss(classes: int, floor: float) -> None:
    logits = torch.zeros(1, classes, dtype=torch.float64)
    logits[0, 0] = math.log((0.9 + 0.1 / classes) / (0.1 / classes))
    logits.requires_grad_()
    loss = criterion({"label_smoothing": 0.1})(logits, torch.tensor([0]))
    assert loss.item() == pytest.approx(floor, abs=5e-5)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient.abs().max() < 1e-12  # it is the minimum


@pytest.mark.parametrize("steps", [[], [{"label_smoothing": 0.1}]])
def test_the_first_loss_is_the_logarithm_of_the_number_of_classes(steps: list[Any]) -> None:
    assert criterion(*steps)(torch.zeros(4, 100), ids(4)).item() == pytest.approx(math.log(100), rel=1e-6)


def test_the_confidence_penalty_is_minus_the_entropy() -> None:
    logits = drawn(6, 5, dtype=torch.float64)
    entropy = torch.distributions.Categorical(logits=logits).entropy()
    found = criterion({"confidence_penalty": 0.5}, reduction="none")(logits, ids(6))
    torch.testing.assert_close(found, F.cross_entropy(logits, ids(6), reduction="none") - 0.5 * entropy)
    binary = criterion({"confidence_penalty": 0.5}, reduction="none", multi_label=True)(logits, ids(6, 5, classes=2))
    entropies = torch.distributions.Bernoulli(logits=logits).entropy()
    plain = F.binary_cross_entropy_with_logits(logits, ids(6, 5, classes=2).double(), reduction="none")
    torch.testing.assert_close(binary, plain - 0.5 * entropies)


def test_the_confidence_penalty_accepts_infinite_logits() -> None:
    logits = torch.tensor([[0.0, 1.0, -math.inf], [300.0, -300.0, 0.0]], requires_grad=True)
    loss = criterion({"confidence_penalty": 1.0})(logits, torch.tensor([0, 0]))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert torch.isfinite(loss) and torch.isfinite(gradient).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype: Any) -> None:
    logits = (drawn(8, 1000) * 20).to(dtype)
    loss = criterion({"label_smoothing": 0.1}, {"confidence_penalty": 0.1}, weight=[1.0] * 1000)
    exact = loss(logits.double(), ids(8))
    for target in (ids(8), F.one_hot(ids(8), 1000).to(dtype)):
        assert loss(logits, target).dtype == torch.float32
        torch.testing.assert_close(loss(logits, target).double(), exact, rtol=1e-5, atol=0)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            torch.testing.assert_close(loss(logits, target).double(), exact, rtol=1e-5, atol=0)


def test_numbers_of_the_loss_follow_their_schedules() -> None:
    loss = criterion({"label_smoothing": {"linear": [0.0, 0.2], "over": [0, 10]}})
    logits, target = drawn(4, 5), ids(4)
    for epoch, smoothing in ((0, 0.0), (5, 0.1), (2.5, 0.05), (99, 0.2)):
        loss.set_epoch(epoch)
        torch.testing.assert_close(loss(logits, target), F.cross_entropy(logits, target, label_smoothing=smoothing))
    fresh = criterion({"label_smoothing": {"linear": [0.0, 0.2], "over": [0, 10]}})
    torch.testing.assert_close(fresh(logits, target), F.cross_entropy(logits, target))


def test_a_criterion_is_a_module_like_others() -> None:
    loss = criterion({"label_smoothing": 0.1}, {"l2": 1e-4}, weight=[1, 2, 3, 4, 5])
    assert dict(loss.state_dict()) == {}
    assert "label_smoothing" in repr(loss).lower().replace("labelsmoothing", "label_smoothing")
    for other in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        torch.testing.assert_close(other(drawn(4, 5), ids(4)), loss(drawn(4, 5), ids(4)))
    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(drawn(4, 5), ids(4)), loss(drawn(4, 5), ids(4)))


@pytest.mark.parametrize("kind", [torch.uint8, torch.int32, torch.int64])
def test_ids_may_be_of_any_whole_type(kind: Any) -> None:
    torch.testing.assert_close(criterion()(drawn(4, 5), ids(4).to(kind)), F.cross_entropy(drawn(4, 5), ids(4)))


REFUSED: list[tuple[dict[str, Any], Any, Any, str]] = [
    ({}, (4, 5), torch.tensor([0, 1, 5, 2]), r"class ids are from 0 to 4 .*got 5"),
    ({}, (4, 5), torch.tensor([0, 1, -1, 2]), r"class ids are from 0 to 4 .*got -1"),
    ({}, (4, 5), torch.tensor([[0, 1]]), r"have the shape \[4\], got \[1, 2\]"),
    ({}, (4, 5, 2, 2), torch.zeros(4, 5, 2, 2, dtype=torch.int64), r"shape \[4, 2, 2\].*one-hot targets must be"),
    ({}, (4, 5), torch.tensor([0.0, 1.0, 2.0, 3.0]), r"shape of the logits.*must be integers"),
    ({}, (4, 5), torch.full((4, 5), 0.5), r"sum to 1, got values from 2\.5 to 2\.5; .*multi_label=True"),
    ({}, (4, 5), torch.full((4, 5), -0.2), r"between 0 and 1, got values from -0\.2 to -0\.2"),
    ({}, (4, 5), torch.full((4, 5), math.nan), r"between 0 and 1"),
    ({}, (4, 5), torch.zeros(4, dtype=torch.bool), r"class ids or probabilities, got bool"),
    ({}, (4, 5), [0, 1, 2, 3], r"expected a tensor or soft labels as the target, got list"),
    ({}, (5,), torch.tensor(0), r"logits are floats of samples x classes"),
    ({"weight": [1.0, 2.0]}, (4, 5), torch.zeros(4, dtype=torch.int64), r"weight is for 2 classes.*have 5"),
    ({"multi_label": True}, (4, 5), torch.zeros(4, dtype=torch.int64), r"labels have the shape of the logits"),
    ({"multi_label": True}, (4, 5), torch.full((4, 5), 2), r"between 0 and 1, got values from 2 to 2"),
]


@pytest.mark.parametrize(("arguments", "shape", "target", "message"), REFUSED)
def test_what_does_not_fit_is_refused_with_a_reason(
    arguments: dict[str, Any], shape: tuple[int, ...], target: Any, message: str
) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        criterion(**arguments)(torch.zeros(shape), target)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"reduction": "batchmean"}, "reduction is 'mean', 'sum' or 'none', got 'batchmean'"),
        ({"multi_label": True, "ignore_index": 255}, "ignore_index is for class ids"),
        ({"weight": [[1.0, 2.0]]}, r"one number per class, got the shape \[1, 2\]"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        criterion(**arguments)


def test_values_are_not_looked_at_without_check() -> None:
    target = torch.full((4, 5), 0.5)
    torch.testing.assert_close(criterion(check=False)(drawn(4, 5), target), F.cross_entropy(drawn(4, 5), target))


def test_the_logits_have_the_classes_of_the_spec() -> None:
    loss = augreg.Pipeline.from_spec({"classes": 5, "loss": []}).criterion()
    torch.testing.assert_close(loss(drawn(4, 5), ids(4)), F.cross_entropy(drawn(4, 5), ids(4)))
    with pytest.raises(ValueError, match="the spec has classes: 5, and the logits have 1000"):
        loss(drawn(4, 1000), ids(4))


# Penalties on the weights.


def penalized() -> tuple[Any, Any, Any]:
    """A model, logits of it, and the sum of its squared weights."""
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 5)
    return model, model(drawn(4, 3)), model.weight.square().sum()


def test_the_loss_of_a_model_has_the_penalties_on_its_weights() -> None:
    model, logits, squares = penalized()
    for reduction in ("mean", "sum"):
        loss = criterion({"label_smoothing": 0.1}, {"l2": 0.5}, reduction=reduction)
        expected = F.cross_entropy(logits, ids(4), reduction=reduction, label_smoothing=0.1) + 0.5 * squares
        found = loss(logits, ids(4), model)
        torch.testing.assert_close(found, expected)
        gradients = [torch.autograd.grad(value, model.weight, retain_graph=True)[0] for value in (found, expected)]
        torch.testing.assert_close(*gradients)
    plain = criterion({"label_smoothing": 0.1})
    assert torch.equal(plain(logits, ids(4), model), plain(logits, ids(4)))
    each = criterion({"l2": 0.5}, reduction="none")
    assert each(logits, ids(4)).shape == (4,)
    with pytest.raises(ValueError, match=r"one loss per sample.*add criterion\.penalty\(model\) after the reduction"):
        each(logits, ids(4), model)
    with pytest.raises(TypeError, match=r"expected the model, a torch\.nn\.Module, got Tensor"):
        plain(logits, ids(4), logits)


def test_penalties_of_the_loss_follow_the_epoch() -> None:
    model, logits, squares = penalized()
    loss = criterion({"l2": {"strength": {"linear": [0.0, 1.0], "over": [0, 4]}}})
    for epoch in (0, 1, 4):
        loss.set_epoch(epoch)
        expected = F.cross_entropy(logits, ids(4)) + epoch / 4 * squares
        torch.testing.assert_close(loss(logits, ids(4), model), expected)


def test_a_training_without_the_model_is_warned_of_once() -> None:
    model, logits, _ = penalized()
    loss = criterion({"l2": 0.5}, {"l1": 0.5})
    with torch.no_grad():  # in validation the model may be left out
        for _ in range(5):
            loss(logits.detach(), ids(4))
    loss(logits, ids(4)), loss(logits, ids(4))  # one step may have two losses
    with pytest.warns(
        UserWarning, match=r"\(l2, l1\), and this loss leaves them out: call criterion\(.*model\)"
    ) as caught:
        loss(logits, ids(4)), loss(logits, ids(4))
    assert [warning.filename for warning in caught] == [__file__]
    with_model, by_hand, nothing = criterion({"l2": 0.5}), criterion({"l2": 0.5}), criterion()
    with_model(logits, ids(4), model), by_hand.penalty(model)
    for quiet in (with_model, by_hand, nothing):
        for _ in range(5):
            quiet(logits, ids(4))


def test_penalties_cannot_count_twice() -> None:
    model, logits, squares = penalized()
    loss = criterion({"l2": 0.5})
    loss(logits, ids(4), model)
    with torch.no_grad():  # to log it
        torch.testing.assert_close(loss.penalty(model), 0.5 * squares)
    with pytest.raises(RuntimeError, match=r"would count twice.*to log the penalty, compute it under torch\.no_grad"):
        loss(logits, ids(4), model) + loss.penalty(model)
    loss = criterion({"l2": 0.5})
    loss.penalty(model)
    with pytest.raises(RuntimeError, match="would count twice"):
        loss(logits, ids(4), model)
    assert not hasattr(augreg.regularize(model, {"loss": [{"l2": 0.5}]}), "penalty")


@augreg.regularizer("toward_the_first", section="loss")
class TowardTheFirst:
    """Of a plugin: a fraction of each target for the first class, and of the logits' square in the loss."""

    weight: float = 0.25

    def target(self, probabilities: Any) -> Any:
        first = torch.zeros_like(probabilities)
        first[:, 0] = self.weight
        return probabilities * (1 - self.weight) + first

    def term(self, logits: Any) -> Any:
        return logits.square().sum(1)


def test_smoothing_beside_a_plugins_target_is_done_in_their_order() -> None:
    logits, target = drawn(6, 5), ids(6)
    targets = TowardTheFirst(0.5).target(F.one_hot(target, 5).float()) * 0.9 + 0.1 / 5
    both = augreg.Pipeline(loss=[TowardTheFirst(0.5), LabelSmoothing(0.1)]).criterion()
    plain = both(logits, target) - TowardTheFirst(0.5).term(logits).mean()
    torch.testing.assert_close(plain, F.cross_entropy(logits, targets))


def test_a_plugins_target_and_term_are_used() -> None:
    loss = augreg.Pipeline(loss=[TowardTheFirst(0.5)]).criterion()
    logits, target = drawn(6, 5), ids(6)
    expected = 0.5 * F.cross_entropy(logits, target) + 0.5 * F.cross_entropy(logits, torch.zeros_like(target))
    torch.testing.assert_close(loss(logits, target), expected + logits.square().sum(1).mean())
