"""The contract of loss steps (penalties, constraints, targets and terms), as checks by name."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from augreg.testing.model_trials import make_model
from augreg.testing.randomness_checks import global_states, moved_generators
from augreg.testing.step_under_test import StepUnderTest, by_name

__all__ = ["CHECKS"]

_DIFFERENTIABLE = "compute it with torch, without `detach`, `item` and `no_grad`"


def _used(step: Any, model: nn.Module) -> dict[str, Tensor]:
    """The results of each method of a loss step, for scores of 6 samples and 5 classes."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(6, 5, generator=generator, requires_grad=True)
    results: dict[str, Tensor] = {"scores": scores}
    if hasattr(step, "penalty"):
        results["penalty"] = step.penalty(model)
    if hasattr(step, "target"):
        results["target"] = step.target(torch.eye(5)[torch.arange(6) % 5])
    if hasattr(step, "term"):
        results["term"] = step.term(scores)
    if hasattr(step, "constrain"):
        with torch.no_grad():
            step.constrain(model)
    return results


def numbers_are_finite_and_have_gradients(tested: StepUnderTest) -> None:
    """A penalty is a finite scalar with finite gradients, a term one finite number per sample; targets sum to one."""
    for pipeline in tested.pipelines("loss"):
        model, _ = make_model(tested)
        found = _used(pipeline.spec.loss[0].transform, model)
        for name, value in found.items():
            assert torch.isfinite(value).all(), f"its {name} is not finite; guard logarithms, roots and divisions"
        if "penalty" in found:
            assert found["penalty"].ndim == 0, (
                f"its penalty has the shape {tuple(found['penalty'].shape)}, expected a scalar; return "
                "its sum or mean"
            )
            assert found["penalty"].requires_grad, f"its penalty has no gradient; {_DIFFERENTIABLE}"
            found["penalty"].backward()
            gradients = [p.grad for p in model.parameters() if p.grad is not None]
            assert any(g.any() for g in gradients), "its penalty has no gradient but 0; let it depend on the weights"
            assert all(torch.isfinite(g).all() for g in gradients), (
                "a gradient of its penalty is not finite; avoid roots and divisions at 0"
            )
        if "term" in found:
            assert found["term"].shape == (6,), (
                f"its term has the shape {tuple(found['term'].shape)}, expected one number for each sample; sum "
                "over the other axes"
            )
            assert found["term"].requires_grad, f"its term has no gradient; {_DIFFERENTIABLE}"
            found["term"].sum().backward()
            gradient = found["scores"].grad
            assert gradient is not None and torch.isfinite(gradient).all(), (
                "its term has no finite gradient; avoid roots and divisions at 0"
            )
        if "target" in found:
            assert found["target"].shape == (6, 5), "its target has another shape than its input; keep it"
            assert torch.allclose(found["target"].sum(1), torch.ones(6)), (
                "its target does not sum to one; divide it by its sum over axis 1"
            )


def only_constraints_write_weights(tested: StepUnderTest) -> None:
    """Only `constrain` writes weights, in place; a second call changes nothing; all results are reproducible."""
    for pipeline in tested.pipelines("loss"):
        step = pipeline.spec.loss[0].transform
        model, _ = make_model(tested)
        parameters = {name: id(parameter) for name, parameter in model.named_parameters()}
        values = {name: value.clone() for name, value in model.state_dict().items()}
        first, second = _used(step, model), _used(step, make_model(tested)[0])
        assert all(torch.equal(value, second[name]) for name, value in first.items()), (
            "results are not reproducible; draw nothing in the loss section, and keep nothing between calls"
        )
        assert {n: id(p) for n, p in model.named_parameters()} == parameters, (
            "it replaces parameters; write to them in place, in `constrain`"
        )
        now = model.state_dict()
        assert all(torch.isfinite(value).all() for value in now.values()), (
            "a weight is not finite; guard divisions: weights may be 0"
        )
        if not hasattr(step, "constrain"):
            assert all(torch.equal(value, now[name]) for name, value in values.items()), (
                "it writes weights; do that in `constrain` alone"
            )
        once = {name: value.clone() for name, value in now.items()}
        _used(step, model)
        assert all(torch.allclose(v, once[n], atol=1e-5) for n, v in model.state_dict().items()), (
            "a second call of `constrain` changes the weights again; change only weights that exceed the bound"
        )


def global_generators(tested: StepUnderTest) -> None:
    """It advances no global generator: losses are not random."""
    before = global_states()
    for pipeline in tested.pipelines("loss"):
        _used(pipeline.spec.loss[0].transform, make_model(tested)[0])
    moved = moved_generators(before)
    assert not moved, f"it advances a global generator: {moved}; draw nothing in the loss section"


CHECKS = by_name(
    global_generators,
    numbers_are_finite_and_have_gradients,
    only_constraints_write_weights,
)
