"""Checks of regularizers, of the model section and of the loss section. Needs torch.

A regularizer of the model section is attached, with its previews, to a small model with convolutions, residual
blocks, a norm and linear layers; if the patterns in the previews match nothing there, to the first module that
accepts it.
"""

from __future__ import annotations

import dataclasses
import json
import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from torch import nn

from augreg.pipeline import Pipeline
from augreg.registry.registry import Registry
from augreg.steps.fields import plain
from augreg.testing import loss_checks, model_checks
from augreg.testing.image_transforms import has_a_docstring, wrong_arguments_are_refused
from augreg.testing.model_trials import RegularizerUnderTest
from augreg.testing.step_under_test import StepUnderTest, by_name, step_under_test

__all__ = ["check_regularizer", "checks"]


def check_regularizer(
    cls: Any,  # a class, or an object of one
    arguments: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    *,
    model: nn.Module | None = None,
    batch: Any = None,
    name: str | None = None,
    registry: Registry | None = None,
    without: Iterable[str] = (),
) -> None:
    """Run every check on a regularizer, except those in `without`.

    `cls` is a class decorated with @augreg.regularizer, or an instance, which is checked with its own arguments.
    `arguments` replace its previews: one mapping, or a list of them. `model` and its input `batch` replace the small
    model; they are copied, not modified. Raises AssertionError with the check that fails and what is wrong, and
    ValueError if there are no arguments, or only one of `model` and `batch`.
    """
    if not isinstance(cls, type) and dataclasses.is_dataclass(cls):
        values = {field.name: plain(getattr(cls, field.name)) for field in dataclasses.fields(cls)}
        cls, arguments = type(cls), values if arguments is None else arguments
    if (model is None) != (batch is None):
        raise ValueError("model and batch must be given together")
    step = step_under_test(cls, arguments, name, registry)
    if not step.arguments:
        raise ValueError("no arguments to check it with: give at least one mapping")
    tested = RegularizerUnderTest(step.name, step.cls, step.arguments, step.registry, model, batch)
    tested.run(checks(tested), without)


def checks(tested: StepUnderTest) -> Mapping[str, Callable[[StepUnderTest], None]]:
    """The checks for the section of the step, by name."""
    own = model_checks.CHECKS if tested.section == "model" else loss_checks.CHECKS
    return {**by_name(is_a_documented_value, spec_round_trip), **own}


def is_a_documented_value(tested: StepUnderTest) -> None:
    """Its docstring begins with a sentence; it is frozen, hashable, and can be pickled."""
    has_a_docstring(tested)
    for pipeline in tested.pipelines(tested.section):
        step = getattr(pipeline.spec, tested.section)[0].transform
        assert hash(step) == hash(dataclasses.replace(step)), (
            "equal objects have different hashes; have only fields with plain values: numbers, strings, tuples"
        )
        assert pickle.loads(pickle.dumps(step)) == step, (
            "it differs after pickling; have only fields with plain values"
        )


def spec_round_trip(tested: StepUnderTest) -> None:
    """Its canonical spec, through JSON, is the same pipeline; an unknown argument is a SpecError that names it."""
    for pipeline in tested.pipelines(tested.section):
        data = json.loads(json.dumps(pipeline.to_spec()))
        assert Pipeline.from_spec(data, tested.registry) == pipeline, (
            "from_spec(to_spec()) is another pipeline; `complete` must leave complete arguments as they are"
        )
    wrong_arguments_are_refused(tested)
