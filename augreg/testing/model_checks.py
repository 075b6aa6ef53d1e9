"""The contract of regularizers of a model, as checks by name, on a model that they are attached to."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from augreg.nn.attachment import attachments
from augreg.testing.models import Trial, drawn, made, sites, trials
from augreg.testing.subjects import Subject
from augreg.testing.transforms import global_states

__all__ = ["CHECKS"]

_DRAWS = 400
_UNSEEN = 14  # what happens 14 times in so many draws on average does not happen at all once in exp(14), 1.2 million
_CALLS = 16


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
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    with torch.no_grad():
        output = drawn(model, batch, seed=1)[0]
    for module, training in modes:
        module.training = training
    return output


def training_draws_what_the_seed_says(tested: Subject) -> None:
    """The same generator gives the same output; each call draws anew, unless the rule says that nothing is drawn."""
    fresh = []
    for trial in trials(tested):
        trial.model.train()
        twin = copy.deepcopy(trial.model)  # a seed of its own counts calls
        first, again = drawn(trial.model, trial.batch, 5, _CALLS), drawn(twin, trial.batch, 5, _CALLS)
        assert all(torch.isfinite(output).all() for output in first), "an output in training is not finite"
        assert all(map(torch.equal, first, again)), "the same seed gives another output"
        fresh.append(any(not torch.equal(output, first[0]) for output in first))
        if all(row.test == "same" for row in trial.attached.report()):
            assert not fresh.pop(), "its rule is same, and training draws"
    assert any(fresh) or not fresh, f"{_CALLS} calls in training give one output"


def mean_is_the_test_output(tested: Subject) -> None:
    """Where `exact` begins with "the mean", the mean of draws at each module is its test output.

    A z-test at every position over 400 draws. Its limit, 8 standard errors and room for rare events that did not
    happen at all, is passed by chance less than once in a million.
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
            outputs = torch.stack(drawn_from(module, given)).double()
        error = outputs.std(0) / math.sqrt(len(outputs))
        off = (outputs.mean(0) - expected).abs()
        unseen = expected.abs() * _UNSEEN / _DRAWS
        worst = (off - 8 * error - unseen - 1e-5).max().item()
        assert worst <= 0, (
            f"the mean of {_DRAWS} draws at {row.module} is not the test output: off by {off.max():.3g}"
        )


def drawn_from(module: nn.Module, given: tuple[Any, ...]) -> list[Tensor]:
    """Many outputs of a module, from one seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        return [module(*given) for _ in range(_DRAWS)]


def _input_of(trial: Trial, name: str) -> tuple[Any, ...]:
    """What a module of the plain model is given in evaluation."""
    seen: list[tuple[Any, ...]] = []
    handle = trial.plain.get_submodule(name).register_forward_pre_hook(lambda module, args: seen.append(args))
    try:
        _evaluated(trial.plain, trial.batch)
    finally:
        handle.remove()
    return tuple(arg[:2].clone() if isinstance(arg, Tensor) else arg for arg in seen[0])


def gradients_flow(tested: Subject) -> None:
    """In training every parameter that has a gradient in the plain model gets one, finite, within 16 calls."""
    for trial in trials(tested):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            for model, calls in ((trial.plain.train(), 1), (trial.model.train(), _CALLS)):
                for _ in range(calls):
                    model(trial.batch).square().sum().backward()
        known = dict(trial.model.named_parameters())
        for name, parameter in trial.plain.named_parameters():
            if parameter.grad is None or not parameter.grad.any() or name not in known:
                continue
            gradient = known[name].grad
            assert gradient is not None and gradient.any(), f"no gradient reaches {name}"
            assert torch.isfinite(gradient).all(), f"the gradient of {name} is not finite"


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
    )
}
"""Every check by its name; a check takes a Subject and raises AssertionError with what does not hold."""
