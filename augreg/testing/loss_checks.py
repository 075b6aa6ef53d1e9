"""The contract of loss steps (penalties, constraints, targets and terms), as checks by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from augreg.testing.models import made
from augreg.testing.subjects import Subject
from augreg.testing.transforms import global_states

__all__ = ["CHECKS"]


def _used(step: Any, model: nn.Module) -> dict[str, Tensor]:
    """What each method of a loss step gives, for scores of 6 samples and 5 classes."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(6, 5, generator=generator, requires_grad=True)
    found: dict[str, Tensor] = {"scores": scores}
    if hasattr(step, "penalty"):
        found["penalty"] = step.penalty(model)
    if hasattr(step, "target"):
        found["target"] = step.target(torch.eye(5)[torch.arange(6) % 5])
    if hasattr(step, "term"):
        found["term"] = step.term(scores)
    if hasattr(step, "constrain"):
        with torch.no_grad():
            step.constrain(model)
    return found


def numbers_are_finite_and_have_gradients(tested: Subject) -> None:
    """A penalty is a finite scalar with finite gradients, a term one finite number a sample, a target sums to one."""
    for pipeline in tested.pipelines("loss"):
        model, _ = made(tested)
        found = _used(pipeline.spec.loss[0].transform, model)
        for name, value in found.items():
            assert torch.isfinite(value).all(), f"its {name} is not finite"
        if "penalty" in found:
            assert found["penalty"].ndim == 0, (
                f"its penalty has the shape {tuple(found['penalty'].shape)}; expected a scalar"
            )
            assert found["penalty"].requires_grad, "its penalty has no gradient"
            found["penalty"].backward()
            gradients = [p.grad for p in model.parameters() if p.grad is not None]
            assert any(g.any() for g in gradients), "its penalty has no gradient"
            assert all(torch.isfinite(g).all() for g in gradients), "a gradient of its penalty is not finite"
        if "term" in found:
            assert found["term"].shape == (6,), (
                f"its term has the shape {tuple(found['term'].shape)}; expected one a sample"
            )
            found["term"].sum().backward()
            gradient = found["scores"].grad
            assert gradient is not None and torch.isfinite(gradient).all(), "its term has no finite gradient"
        if "target" in found:
            assert found["target"].shape == (6, 5), "its target has another shape than it was given"
            assert torch.allclose(found["target"].sum(1), torch.ones(6)), "its target does not sum to one"


def weights_are_written_by_constraints_alone(tested: Subject) -> None:
    """Only `constrain` writes weights, in place; done again it changes nothing more; the same numbers come out."""
    for pipeline in tested.pipelines("loss"):
        step = pipeline.spec.loss[0].transform
        model, _ = made(tested)
        parameters = {name: id(parameter) for name, parameter in model.named_parameters()}
        values = {name: value.clone() for name, value in model.state_dict().items()}
        first, second = _used(step, model), _used(step, made(tested)[0])
        assert all(torch.equal(value, second[name]) for name, value in first.items()), "it gives other numbers again"
        assert {n: id(p) for n, p in model.named_parameters()} == parameters, "it puts other parameters in"
        now = model.state_dict()
        assert all(torch.isfinite(value).all() for value in now.values()), "a weight is not finite"
        if not hasattr(step, "constrain"):
            assert all(torch.equal(value, now[name]) for name, value in values.items()), "it writes weights"
        once = {name: value.clone() for name, value in now.items()}
        _used(step, model)
        assert all(torch.allclose(v, once[n], atol=1e-5) for n, v in model.state_dict().items()), (
            "done again it changes the weights again"
        )


def global_generators(tested: Subject) -> None:
    """It moves no generator: nothing of a loss is drawn."""
    before = global_states()
    for pipeline in tested.pipelines("loss"):
        _used(pipeline.spec.loss[0].transform, made(tested)[0])
    assert global_states() == before, "it moves a global generator"


CHECKS: Mapping[str, Callable[[Subject], None]] = {
    check.__name__: check
    for check in (
        global_generators,
        numbers_are_finite_and_have_gradients,
        weights_are_written_by_constraints_alone,
    )
}
"""Every check by its name; a check takes a Subject and raises AssertionError with what does not hold."""
