"""The contract of regularizers of a model, as checks by name, on a model that they are attached to."""

from __future__ import annotations

import copy
import dataclasses
import math
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from augreg.attachment.attach import attachments
from augreg.errors import AugregError
from augreg.nn.modes import modes_kept
from augreg.testing.models import Trial, again, drawn, made, sites, trials
from augreg.testing.subjects import Subject
from augreg.testing.transforms import global_states

__all__ = ["CHECKS"]

_DRAWS = 1000
_UNSEEN = 14  # what happens 14 times in so many draws on average does not happen at all once in exp(14), 1.2 million
_CALLS = 16
_STEP = 1e-7  # for derivatives, in float64
_ALIKE = 8  # copies of a sample in a batch, which are drawn for apart where samples are


def evaluation_is_what_it_says(tested: Subject) -> None:
    """In evaluation nothing is drawn, and where the rule is identity the output is the plain model's, bit for bit."""
    for trial in trials(tested):
        report = trial.attached.report()
        assert report, "nothing is attached"
        plain_output, first, second = (_evaluated(m, trial.batch) for m in (trial.plain, trial.model, trial.model))
        assert torch.equal(first, second), "the output in evaluation differs from call to call"
        if all(row.eval == "unchanged" for row in report):
            assert torch.equal(first, plain_output), "its rule is identity, and the output in evaluation is changed"


def _evaluated(model: nn.Module, batch: Any) -> Tensor:
    with modes_kept(model), torch.no_grad():
        return drawn(model.eval(), batch, seed=1)[0]


def training_draws_what_the_seed_says(tested: Subject) -> None:
    """The same generator gives the same output; each call draws anew, unless the rule says that nothing is drawn."""
    silent = []
    for trial in trials(tested):
        trial.model.train()
        twin = copy.deepcopy(trial.model)  # a seed of its own counts calls
        first, again = drawn(trial.model, trial.batch, 5, _CALLS), drawn(twin, trial.batch, 5, _CALLS)
        assert all(torch.isfinite(output).all() for output in first), "an output in training is not finite"
        assert all(map(torch.equal, first, again)), "the same seed gives another output"
        fresh = any(not torch.equal(output, first[0]) for output in first)
        if all(row.test == "same" for row in trial.attached.report()):
            assert not fresh, "its rule is same, and training draws"
        elif fresh:
            return
        else:
            silent.append(trial)
    for trial in silent:  # it may be rare that anything happens
        with torch.no_grad():
            outputs = drawn(trial.model, trial.batch, 6, _DRAWS)
        if any(not torch.equal(output, outputs[0]) for output in outputs):
            return
    assert not silent, f"{_DRAWS} calls in training give one output"


def mean_is_the_test_output(tested: Subject) -> None:
    """Where `exact` begins with "the mean", the mean of draws at each module is its test output.

    Over 1000 draws, a z-test at every position, with a limit of 8 standard errors, and one of the size of the whole
    output, with 5.5. Both leave room for rare events that did not happen, 1.4 % of the output; they are passed by
    chance less than once in a million. So an error of 2 % in the mean is seen, unless the draws are few and large
    (one for a whole batch, say), which 1000 calls tell no better.
    """
    if not tested.mark.exact.startswith("the mean"):
        return
    for trial in sites(tested):
        row = trial.attached.report()[0]
        given = _input_of(trial, row.module)
        module, plain_module = trial.model.get_submodule(row.module), trial.plain.get_submodule(row.module)
        with torch.no_grad():
            expected = module.eval()(*given)
            module.train()
            steady = torch.equal(plain_module.train()(*given), plain_module.eval()(*given))
            if not steady:  # batch statistics, say: training does more than draw
                continue
            outputs = _many(module, given)
        expected = _merged(expected)
        off = (outputs.mean(0) - expected).abs()
        assert (off <= _room(outputs - expected, expected.abs(), 8)).all(), (
            f"the mean of {_DRAWS} draws at {row.module} is not the test output: off by {off.max():.3g}"
        )
        # how far each draw goes along the test output, as a share of it: what all positions have in common
        size = expected.square().sum()
        shares = ((outputs - expected) * expected).flatten(1).sum(1) / size.clamp(min=1e-12)
        assert shares.mean().abs() <= _room(shares, torch.ones(()), 5.5), (
            f"the mean of {_DRAWS} draws at {row.module} is not the test output: {shares.mean():+.1%} of its size"
        )


def _room(errors: Tensor, size: Tensor, limit: float) -> Tensor:
    """What a mean of errors may be by chance: standard errors, and what did not happen, as large as what did."""
    unseen = torch.maximum(size, errors.abs().amax(0)) * _UNSEEN / len(errors)
    return limit * errors.std(0) / math.sqrt(len(errors)) + unseen + 1e-5


def _many(module: nn.Module, given: tuple[Any, ...]) -> Tensor:
    """Many outputs of a module, from one seed, in float64: draws x samples x .."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        return torch.stack([_merged(module(*given)) for _ in range(_DRAWS)])


def _merged(output: Tensor) -> Tensor:
    """The mean over the copies of each sample, in float64."""
    return output.double().unflatten(0, (_ALIKE, -1)).mean(0)


def _input_of(trial: Trial, name: str) -> tuple[Any, ...]:
    """What a module of the plain model is given in evaluation."""
    seen: list[tuple[Any, ...]] = []
    handle = trial.plain.get_submodule(name).register_forward_pre_hook(lambda module, args: seen.append(args))
    try:
        _evaluated(trial.plain, trial.batch)
    finally:
        handle.remove()
    return tuple(torch.cat([arg[:2]] * _ALIKE) if isinstance(arg, Tensor) else arg for arg in seen[0])


def gradients_flow(tested: Subject) -> None:
    """At one module, every parameter that has a gradient in the plain model gets one, finite, within 1000 calls."""
    for trial in sites(tested):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            trial.plain.train()(trial.batch).square().sum().backward()
            plain = {name for name, parameter in trial.plain.named_parameters() if _reached(parameter)}
            known = {name: value for name, value in trial.model.train().named_parameters() if name in plain}
            for call in range(1, _DRAWS + 1):
                trial.model(trial.batch).square().sum().backward()
                if call % _CALLS == 0 and all(map(_reached, known.values())):
                    break
        for name, parameter in known.items():
            assert _reached(parameter), f"no gradient reaches {name}"
            assert torch.isfinite(parameter.grad).all(), f"the gradient of {name} is not finite"


def _reached(parameter: Tensor) -> bool:
    return parameter.grad is not None and bool(parameter.grad.any())


def gradients_are_the_outputs(tested: Subject) -> None:
    """In training the gradients are the derivatives of the output, for the same draws, in float64.

    A regularizer that draws gradients of its own, on purpose, says so by a method `own_gradients(self)` that returns
    True.
    """
    for trial in trials(tested):
        own = getattr(trial.pipeline.spec.model[0].transform, "own_gradients", None)
        if own is not None and own():
            continue
        model, batch = trial.model.double().train(), _cast(trial.batch, torch.float64)
        values = {name: value.detach().clone().requires_grad_() for name, value in model.named_parameters()}
        start = batch.requires_grad_() if isinstance(batch, Tensor) and batch.is_floating_point() else None
        given = [*values.values(), *([] if start is None else [start])]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(8)
            along = [torch.randn_like(value) for value in given]
        found = torch.autograd.grad(_score(model, values, batch, given), given, allow_unused=True)
        said = sum(float((g * d).sum()) for g, d in zip(found, along, strict=True) if g is not None)
        with torch.no_grad():
            ends = [[v + s * _STEP * d for v, d in zip(given, along, strict=True)] for s in (1, -1)]
            up, down = (float(_score(model, values, batch, end)) for end in ends)
        true = (up - down) / (2 * _STEP)
        assert abs(said - true) <= 1e-4 * max(1.0, abs(true)), (
            f"its gradients are not those of its output: in one direction they say {said:.6g}, and it is {true:.6g}"
        )


def _score(model: nn.Module, values: Mapping[str, Any], batch: Any, given: list[Tensor]) -> Tensor:
    """A number made of the output, for parameters, and an input behind them, from one seed."""
    batch = given[-1] if len(given) > len(values) else batch
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(8)
        own = dict(zip(values, given, strict=False))
        return functional_call(copy.deepcopy(model), own, (batch,)).sin().sum()


def dtypes_stay(tested: Subject) -> None:
    """In bfloat16 and float64, what comes out of a module has the dtype that it had without the regularizer."""
    for dtype in (torch.bfloat16, torch.float64):
        for trial in sites(tested):
            name = trial.attached.report()[0].module
            given = tuple(_cast(arg, dtype) for arg in _input_of(trial, name))
            before, after = (m.to(dtype).get_submodule(name) for m in (trial.plain, trial.model))
            for training in (True, False):
                with torch.no_grad(), torch.random.fork_rng(devices=[]):
                    expected, found = before.train(training)(*given), after.train(training)(*given)
                if isinstance(expected, Tensor):
                    assert found.dtype == expected.dtype, f"at {name}, {expected.dtype} becomes {found.dtype}"


def _cast(value: Any, dtype: torch.dtype) -> Any:
    return value.to(dtype) if isinstance(value, Tensor) and value.is_floating_point() else value


def schedules_move_it(tested: Subject) -> None:
    """Where a number follows a schedule, it has at its end the effect of that number, and before it of the other."""
    if not hasattr(tested.cls, "numbers"):  # then no schedule is taken
        return
    for trial in trials(tested):
        step = trial.pipeline.spec.model[0].transform
        for field in dataclasses.fields(step):
            value = getattr(step, field.name)
            if not isinstance(value, float) or value == 0.0:
                continue
            moving = {"linear": [value / 2, value], "over": [0, 10]}
            try:
                low, high = (_at(tested, trial, {field.name: number}) for number in (value / 2, value))
            except AugregError:  # half of it is none
                continue
            start, end = (_at(tested, trial, {field.name: moving}, epoch) for epoch in (0.0, 10.0))
            if _same(low, high):
                continue
            assert not _same(start, end), f"a schedule of {field.name} changes nothing"
            # a module of torch's own that is set without a schedule draws other numbers than what stands in for it
            right = _same(end, high) or not _same(start, low)
            assert right, f"a schedule of {field.name} has not the effect of {field.name}: {value:g} at its end"


def _at(tested: Subject, trial: Trial, change: Mapping[str, Any], epoch: float = 0.0) -> list[Tensor]:
    """Some outputs in training, and one in evaluation, with other arguments, in an epoch."""
    model, attached = again(tested, trial, {**trial.arguments, **change})
    attached.set_epoch(epoch)
    with torch.no_grad():
        return [*drawn(model.train(), trial.batch, 9, 4), *drawn(model.eval(), trial.batch, 9)]


def _same(some: list[Tensor], others: list[Tensor]) -> bool:
    return all(map(torch.equal, some, others))


def state_dict_stays(tested: Subject) -> None:
    """The state_dict's keys and values, and the parameters themselves, are those of before; both ways it loads."""
    for pipeline in (trial.pipeline for trial in trials(tested)):
        model, batch = made(tested)
        values = {key: value.clone() for key, value in model.state_dict().items()}
        parameters = {name: id(parameter) for name, parameter in model.named_parameters()}
        with pipeline.regularize(model) as attached:
            drawn(model.train(), batch, 4)
            now = model.state_dict()
            assert list(now) == list(values), f"it changes keys: {sorted(now.keys() ^ values.keys())}"
            assert {n: id(p) for n, p in model.named_parameters()} == parameters, "it puts other parameters in"
            if not any("written" in row.by for row in attached.report()):
                changed = [key for key, value in values.items() if not torch.equal(value, now[key])]
                assert not changed, f"it changes the values of {', '.join(changed)}"
            made(tested)[0].load_state_dict(now)
            model.load_state_dict(values)


def detach_restores(tested: Subject) -> None:
    """After `detach` modules, classes, hooks and attributes are what they were, and the outputs in both modes."""
    for pipeline in (trial.pipeline for trial in trials(tested)):
        model, batch = made(tested)
        before, outputs = _anatomy(model), _outputs(model, batch)
        attached = pipeline.regularize(model)
        drawn(model.train(), batch, 4, 2)
        written = any("written" in row.by for row in attached.report())
        attached.detach()
        after = _anatomy(model)
        wrong = sorted(
            name or "the model" for name in before.keys() | after.keys() if before.get(name) != after.get(name)
        )
        assert not wrong, f"it is not detached: {', '.join(wrong)}"
        if not written:
            assert all(map(torch.equal, _outputs(model, batch), outputs)), "the output is another after detach"


def _outputs(model: nn.Module, batch: Any) -> list[Tensor]:
    return [drawn(model.train(), batch, 6)[0], drawn(model.eval(), batch, 6)[0]]


def _anatomy(model: nn.Module) -> dict[str, Any]:
    """What each module is: which object, of which class, with which attributes and how many hooks."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return {
        name: (id(module), type(module), sorted(vars(module)), [len(getattr(module, kind, ())) for kind in hooks])
        for name, module in model.named_modules()
    }


def copies_are_their_own(tested: Subject) -> None:
    """A deep copy, and a pickled one, do the same; taking the regularizer off one leaves the others as they are."""
    for trial in trials(tested):
        others = {
            "a deep copy": copy.deepcopy(trial.model),
            "a pickled copy": pickle.loads(pickle.dumps(trial.model)),
        }
        for name, other in others.items():
            spare = copy.deepcopy(other)
            first, second = (drawn(m.train(), trial.batch, 7, 3) for m in (copy.deepcopy(trial.model), spare))
            assert all(map(torch.equal, first, second)), f"{name} does something else in training"
            own = attachments(other)
            assert len(own) == 1, f"{name} does not know what is attached to it"
            own[0].detach()
            third = drawn(copy.deepcopy(trial.model).train(), trial.batch, 7, 3)
            assert all(map(torch.equal, first, third)), f"detaching {name} changed the model that it was copied from"
            if not trial.written:
                plain_outputs = drawn(trial.plain.train(), trial.batch, 7, 3)
                now = drawn(other.train(), trial.batch, 7, 3)
                assert all(map(torch.equal, plain_outputs, now)), f"{name} is still regularized after its detach"


def global_generators(tested: Subject) -> None:
    """It moves no generator but torch's, and that one in training only, or when it is attached."""
    before = {name: state for name, state in global_states().items() if name != "torch"}
    for trial in trials(tested):
        trial.model.train()(trial.batch)
        trial.model.eval()
        state = torch.get_rng_state()
        with torch.no_grad():
            trial.model(trial.batch)
        assert torch.equal(torch.get_rng_state(), state), "it draws in evaluation"
        now = global_states()
        moved = [name for name, value in before.items() if now[name] != value]
        assert not moved, f"it moves a global generator: {', '.join(moved)}"


CHECKS: Mapping[str, Callable[[Subject], None]] = {
    check.__name__: check
    for check in (
        evaluation_is_what_it_says,
        training_draws_what_the_seed_says,
        mean_is_the_test_output,
        gradients_flow,
        state_dict_stays,
        detach_restores,
        copies_are_their_own,
        global_generators,
        dtypes_stay,
        gradients_are_the_outputs,
        schedules_move_it,
    )
}
"""Every check by its name; a check takes a Subject and raises AssertionError with what does not hold."""
