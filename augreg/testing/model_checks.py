"""The contract of regularizers of the model section, as checks by name on an example model."""

from __future__ import annotations

import copy
import dataclasses
import math
import pickle
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from augreg.attachment.attach import attachments
from augreg.errors import AugregError
from augreg.nn.modes import modes_kept
from augreg.testing.model_trials import Trial, attach_again, make_model, seeded_outputs, sites, trials
from augreg.testing.randomness_checks import global_states, moved_generators
from augreg.testing.step_under_test import StepUnderTest, by_name

__all__ = ["CHECKS"]

_DRAWS = 1000
_UNSEEN = 14  # an event with an expected count of 14 does not occur with a probability of exp(-14), 1 in 1.2 million
_CALLS = 16
_STEP = 1e-7  # for derivatives, in float64
_COPIES = 8  # of each sample in a batch, to average draws that are independent between samples
_NO_DETACH = "use no `detach`, `.data` and `no_grad` between input and output"
_BY_SITE = "change the model by methods of `site` alone, which can be undone"
_MEAN = "scale what training or evaluation returns, so that both have one mean, or leave out `exact`"


def evaluation_follows_its_rule(tested: StepUnderTest) -> None:
    """In eval mode nothing is random, and with the rule identity the output is exactly that of the plain model."""
    for trial in trials(tested):
        report = trial.attached.report()
        assert report, "nothing is attached; call a method of `site` in `attach`, such as `site.after(layer)`"
        plain_output, first, second = (_evaluated(m, trial.batch) for m in (trial.plain, trial.model, trial.model))
        assert torch.equal(first, second), (
            "the output in eval mode differs between calls; draw only if `self.training`"
        )
        if all(row.eval == "unchanged" for row in report):
            assert torch.equal(first, plain_output), (
                "its rule is identity, but the output in eval mode is changed; return `x` unless `self.training`, or "
                "declare another rule: rule= in the decorator"
            )


def _evaluated(model: nn.Module, batch: Any) -> Tensor:
    with modes_kept(model), torch.no_grad():
        return seeded_outputs(model.eval(), batch, seed=1)[0]


def training_is_seeded(tested: StepUnderTest) -> None:
    """The same seed gives the same output; calls differ, unless the rule says that nothing is random."""
    silent = []
    for trial in trials(tested):
        trial.model.train()
        twin = copy.deepcopy(trial.model)  # it may have its own seed and count calls
        first, second = (
            seeded_outputs(trial.model, trial.batch, 5, _CALLS),
            seeded_outputs(twin, trial.batch, 5, _CALLS),
        )
        assert all(torch.isfinite(output).all() for output in first), (
            "an output in training mode is not finite; guard divisions: what is drawn may be 0"
        )
        assert all(map(torch.equal, first, second)), (
            "the same seed gives another output; draw from torch's generator alone"
        )
        fresh = any(not torch.equal(output, first[0]) for output in first)
        if all(row.test == "same" for row in trial.attached.report()):
            assert not fresh, "its test rule is same, but training is random; declare another rule, or draw nothing"
        elif fresh:
            return
        else:
            silent.append(trial)
    for trial in silent:  # its effect may be rare
        with torch.no_grad():
            outputs = seeded_outputs(trial.model, trial.batch, 6, _DRAWS)
        if any(not torch.equal(output, outputs[0]) for output in outputs):
            return
    assert not silent, (
        f'{_DRAWS} calls in training mode give the same output; draw if `self.training`, or declare rule="same"'
    )


def mean_is_the_test_output(tested: StepUnderTest) -> None:
    """If `exact` begins with "the mean", the mean of draws at each module is its test output.

    Over 1000 draws there is a z-test at every position, with a limit of 8 standard errors, and one for the scale of
    the whole output, with a limit of 5.5. Both allow for rare events that did not occur, 1.4 % of the output. A
    correct regularizer fails less than once in a million runs. An error of 2 % in the mean is detected, unless there
    are few large draws, such as one for a whole batch.
    """
    if not tested.info.exact.startswith("the mean"):
        return
    for trial in sites(tested):
        row = trial.attached.report()[0]
        given = _input_of(trial, row.module)
        module, plain_module = trial.model.get_submodule(row.module), trial.plain.get_submodule(row.module)
        with torch.no_grad():
            expected = module.eval()(*given)
            module.train()
            steady = torch.equal(plain_module.train()(*given), plain_module.eval()(*given))
            if not steady:  # training changes more than draws, such as batch statistics
                continue
            outputs = _outputs_of(module, given)
        expected = _merged(expected)
        off = (outputs.mean(0) - expected).abs()
        assert (off <= _tolerance(outputs - expected, expected.abs(), 8)).all(), (
            f"the mean of {_DRAWS} draws at {row.module} differs from the test output by {off.max():.3g}; {_MEAN}"
        )
        # the projection of each draw on the test output, relative to it: the error that all positions share
        size = expected.square().sum()
        scales = ((outputs - expected) * expected).flatten(1).sum(1) / size.clamp(min=1e-12)
        assert scales.mean().abs() <= _tolerance(scales, torch.ones(()), 5.5), (
            f"the mean of {_DRAWS} draws at {row.module} differs from the test output by {scales.mean():+.1%} of it; "
            f"{_MEAN}"
        )


def _tolerance(errors: Tensor, size: Tensor, limit: float) -> Tensor:
    """The mean error that chance allows: standard errors, and rare events as large as those that occurred."""
    unseen = torch.maximum(size, errors.abs().amax(0)) * _UNSEEN / len(errors)
    return limit * errors.std(0) / math.sqrt(len(errors)) + unseen + 1e-5


def _outputs_of(module: nn.Module, given: tuple[Any, ...]) -> Tensor:
    """Outputs of many calls of a module, from one seed, in float64: draws x samples x .."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        return torch.stack([_merged(module(*given)) for _ in range(_DRAWS)])


def _merged(output: Tensor) -> Tensor:
    """The mean over the copies of each sample, in float64."""
    return output.double().unflatten(0, (_COPIES, -1)).mean(0)


def _input_of(trial: Trial, name: str) -> tuple[Any, ...]:
    """The arguments of a module of the plain model in eval mode, with copies of two samples."""
    seen: list[tuple[Any, ...]] = []
    handle = trial.plain.get_submodule(name).register_forward_pre_hook(lambda module, args: seen.append(args))
    try:
        _evaluated(trial.plain, trial.batch)
    finally:
        handle.remove()
    return tuple(torch.cat([arg[:2]] * _COPIES) if isinstance(arg, Tensor) else arg for arg in seen[0])


def gradients_flow(tested: StepUnderTest) -> None:
    """At one module, every parameter with a gradient in the plain model gets a finite one within 1000 calls."""
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
            assert _reached(parameter), f"no gradient reaches {name}; {_NO_DETACH}"
            assert torch.isfinite(parameter.grad).all(), (
                f"the gradient of {name} is not finite; avoid roots and divisions at 0"
            )


def _reached(parameter: Tensor) -> bool:
    return parameter.grad is not None and bool(parameter.grad.any())


def gradients_match_the_outputs(tested: StepUnderTest) -> None:
    """In training mode gradients are the derivatives of the output, for the same draws, in float64.

    A regularizer with custom gradients declares them by a method `own_gradients(self)` that returns True.
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
            direction = [torch.randn_like(value) for value in given]
        found = torch.autograd.grad(_score(model, values, batch, given), given, allow_unused=True)
        slope = sum(float((g * d).sum()) for g, d in zip(found, direction, strict=True) if g is not None)
        with torch.no_grad():
            ends = [[v + s * _STEP * d for v, d in zip(given, direction, strict=True)] for s in (1, -1)]
            up, down = (float(_score(model, values, batch, end)) for end in ends)
        difference = (up - down) / (2 * _STEP)
        assert abs(slope - difference) <= 1e-4 * max(1.0, abs(difference)), (
            f"its gradients are wrong: the derivative in one direction is {difference:.6g}, not {slope:.6g}; "
            f"{_NO_DETACH}, or define `own_gradients(self)` that returns True, if that is meant"
        )


def _score(model: nn.Module, values: Mapping[str, Any], batch: Any, given: list[Tensor]) -> Tensor:
    """A scalar function of the output for the given parameters, and the input after them, from one seed."""
    batch = given[-1] if len(given) > len(values) else batch
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(8)
        own = dict(zip(values, given, strict=False))
        return functional_call(copy.deepcopy(model), own, (batch,)).sin().sum()


def keeps_dtypes(tested: StepUnderTest) -> None:
    """In bfloat16 and float64, the output of a module has the same dtype as without the regularizer."""
    for dtype in (torch.bfloat16, torch.float64):
        for trial in sites(tested):
            name = trial.attached.report()[0].module
            given = tuple(_cast(arg, dtype) for arg in _input_of(trial, name))
            before, after = (m.to(dtype).get_submodule(name) for m in (trial.plain, trial.model))
            for training in (True, False):
                with torch.no_grad(), torch.random.fork_rng(devices=[]):
                    expected, found = before.train(training)(*given), after.train(training)(*given)
                if isinstance(expected, Tensor):
                    assert found.dtype == expected.dtype, (
                        f"{name}: {expected.dtype} changes to {found.dtype}; make tensors with `dtype=x.dtype`"
                    )


def _cast(value: Any, dtype: torch.dtype) -> Any:
    return value.to(dtype) if isinstance(value, Tensor) and value.is_floating_point() else value


def schedules_take_effect(tested: StepUnderTest) -> None:
    """A scheduled number has the effect of the final number at the end, and of the first before."""
    if not hasattr(tested.cls, "numbers"):  # it accepts no schedules
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
            except AugregError:  # half of the number is not allowed
                continue
            start, end = (_at(tested, trial, {field.name: moving}, epoch) for epoch in (0.0, 10.0))
            if _same(low, high):
                continue
            assert not _same(start, end), (
                f"a schedule of {field.name} changes nothing; return from `numbers` the layer's attributes by name, "
                "and read them in `forward`"
            )
            # without a schedule torch's own module may be used, which draws other numbers than its replacement
            correct = _same(end, high) or not _same(start, low)
            assert correct, (
                f"a schedule of {field.name} lacks the effect of {value:g} at its end; read the number in `forward`, "
                "and not once before"
            )


def _at(tested: StepUnderTest, trial: Trial, change: Mapping[str, Any], epoch: float = 0.0) -> list[Tensor]:
    """Outputs in training mode, and one in eval mode, with other arguments, in an epoch."""
    model, attached = attach_again(tested, trial, {**trial.arguments, **change})
    attached.set_epoch(epoch)
    with torch.no_grad():
        return [*seeded_outputs(model.train(), trial.batch, 9, 4), *seeded_outputs(model.eval(), trial.batch, 9)]


def _same(some: list[Tensor], others: list[Tensor]) -> bool:
    return all(map(torch.equal, some, others))


def keeps_the_state_dict(tested: StepUnderTest) -> None:
    """Keys and values of the state_dict, and the parameters, do not change; it can be loaded with and without."""
    for pipeline in (trial.pipeline for trial in trials(tested)):
        model, batch = make_model(tested)
        values = {key: value.clone() for key, value in model.state_dict().items()}
        parameters = {name: id(parameter) for name, parameter in model.named_parameters()}
        with pipeline.regularize(model) as attached:
            seeded_outputs(model.train(), batch, 4)
            now = model.state_dict()
            assert list(now) == list(values), (
                f"it changes keys: {sorted(now.keys() ^ values.keys())}; attach layers without parameters and "
                "buffers, by `site.after` or `site.before`"
            )
            assert {n: id(p) for n, p in model.named_parameters()} == parameters, (
                "it replaces parameters; change outputs, or write weights in place by `site.run_once`"
            )
            if not any("written" in row.by for row in attached.report()):
                changed = [key for key, value in values.items() if not torch.equal(value, now[key])]
                assert not changed, (
                    f"it changes the values of {', '.join(changed)}; write no weights in `forward`, but once, by "
                    "`site.run_once`"
                )
            make_model(tested)[0].load_state_dict(now)
            model.load_state_dict(values)


def detach_restores(tested: StepUnderTest) -> None:
    """`detach` restores modules, classes, hooks and attributes, and the outputs in both modes."""
    for pipeline in (trial.pipeline for trial in trials(tested)):
        model, batch = make_model(tested)
        before, outputs = _anatomy(model), _outputs(model, batch)
        attached = pipeline.regularize(model)
        seeded_outputs(model.train(), batch, 4, 2)
        written = any("written" in row.by for row in attached.report())
        attached.detach()
        after = _anatomy(model)
        wrong = sorted(
            name or "the model" for name in before.keys() | after.keys() if before.get(name) != after.get(name)
        )
        assert not wrong, f"detach does not restore {', '.join(wrong)}; {_BY_SITE}"
        if not written:
            assert all(map(torch.equal, _outputs(model, batch), outputs)), (
                f"the output is different after detach; {_BY_SITE}"
            )


def _outputs(model: nn.Module, batch: Any) -> list[Tensor]:
    return [seeded_outputs(model.train(), batch, 6)[0], seeded_outputs(model.eval(), batch, 6)[0]]


def _anatomy(model: nn.Module) -> dict[str, Any]:
    """The identity, class, attributes and numbers of hooks of each module."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return {
        name: (id(module), type(module), sorted(vars(module)), [len(getattr(module, kind, ())) for kind in hooks])
        for name, module in model.named_modules()
    }


def copies_are_independent(tested: StepUnderTest) -> None:
    """A deep copy and a pickled copy behave the same; detaching from one does not change the others."""
    for trial in trials(tested):
        others = {
            "a deep copy": copy.deepcopy(trial.model),
            "a pickled copy": pickle.loads(pickle.dumps(trial.model)),
        }
        for name, other in others.items():
            spare = copy.deepcopy(other)
            first, second = (
                seeded_outputs(m.train(), trial.batch, 7, 3) for m in (copy.deepcopy(trial.model), spare)
            )
            assert all(map(torch.equal, first, second)), (
                f"{name} behaves differently in training mode; keep what the layer uses in its attributes, and leave "
                "out `__deepcopy__` and `__reduce__`"
            )
            own = attachments(other)
            assert len(own) == 1, f"{name} has lost its attachment; {_BY_SITE}"
            own[0].detach()
            third = seeded_outputs(copy.deepcopy(trial.model).train(), trial.batch, 7, 3)
            assert all(map(torch.equal, first, third)), (
                f"detaching from {name} changed the original model; keep nothing that models share, in a "
                "class or module"
            )
            if not trial.written:
                plain_outputs = seeded_outputs(trial.plain.train(), trial.batch, 7, 3)
                now = seeded_outputs(other.train(), trial.batch, 7, 3)
                assert all(map(torch.equal, plain_outputs, now)), (
                    f"{name} is still regularized after detach; {_BY_SITE}"
                )


def global_generators(tested: StepUnderTest) -> None:
    """It advances no generator except torch's, and that one only in training mode or when it is attached."""
    before = {name: state for name, state in global_states().items() if name != "torch"}
    for trial in trials(tested):
        trial.model.train()(trial.batch)
        trial.model.eval()
        state = torch.get_rng_state()
        with torch.no_grad():
            trial.model(trial.batch)
        assert torch.equal(torch.get_rng_state(), state), (
            "it draws random numbers in eval mode; draw only if `self.training`"
        )
        moved = moved_generators(before)
        assert not moved, f"it advances a global generator: {moved}; draw from torch's generator alone"


CHECKS = by_name(
    evaluation_follows_its_rule,
    training_is_seeded,
    mean_is_the_test_output,
    gradients_flow,
    keeps_the_state_dict,
    detach_restores,
    copies_are_independent,
    global_generators,
    keeps_dtypes,
    gradients_match_the_outputs,
    schedules_take_effect,
)
