"""The contract of regularizers, of a model and of a loss. It needs torch.

A regularizer of the model section is attached to a small model with convolutions, residual blocks, a norm and linear
layers, by its previews; where the patterns of these fit nothing there, wherever it can be.
"""

from __future__ import annotations

import dataclasses
import json
import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from augreg.errors import SpecError
from augreg.pipeline import Pipeline
from augreg.steps.fields import plain
from augreg.testing import loss_checks, model_checks
from augreg.testing.models import ModelSubject
from augreg.testing.subjects import Subject, subject
from augreg.testing.transforms import has_a_docstring

__all__ = ["check_regularizer", "checks"]

_Check = Callable[[Subject], None]


def check_regularizer(
    cls: Any,
    arguments: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    *,
    model: Any = None,
    batch: Any = None,
    name: str | None = None,
    registry: Any = None,
    without: Iterable[str] = (),
) -> None:
    """Run every check on a regularizer, but those in `without`. Raises AssertionError with the check and what fails.

    `cls` is a class marked by @augreg.regularizer, or an object of it, which is tried with its own arguments;
    `arguments` are tried instead of its previews: one mapping, or a list of them. `model` and `batch`, its input,
    stand in for the small model; they are copied, and not touched.
    """
    if not isinstance(cls, type) and dataclasses.is_dataclass(cls):
        given = {field.name: plain(getattr(cls, field.name)) for field in dataclasses.fields(cls)}
        cls, arguments = type(cls), given if arguments is None else arguments
    if (model is None) != (batch is None):
        raise ValueError("a model needs a batch, and a batch its model")
    found = subject(cls, arguments, name, registry)
    if not found.arguments:
        raise ValueError("no arguments to try it with: give one mapping or more")
    tested = ModelSubject(found.name, found.cls, found.arguments, found.registry, model, batch)
    for key, check in checks(tested).items():
        if key not in without:
            try:
                check(tested)
            except AssertionError as error:
                raise AssertionError(f"{key}: {error}") from None
            except Exception as error:  # whatever a regularizer does
                raise AssertionError(f"{key}: {type(error).__name__}: {error}") from error


def checks(tested: Subject) -> Mapping[str, _Check]:
    """The checks that concern the section in which the subject stands."""
    own = model_checks.CHECKS if _section(tested) == "model" else loss_checks.CHECKS
    return {"is_a_documented_value": is_a_documented_value, "spec_comes_back": spec_comes_back, **own}


def _section(tested: Subject) -> str:
    return str(tested.mark.sections[0])


def is_a_documented_value(tested: Subject) -> None:
    """Its docstring begins with a sentence; it is frozen, hashable, and pickles."""
    has_a_docstring(tested)
    for pipeline in tested.pipelines(_section(tested)):
        step = getattr(pipeline.spec, _section(tested))[0].transform
        assert hash(step) == hash(dataclasses.replace(step)), "equal objects have different hashes"
        assert pickle.loads(pickle.dumps(step)) == step, "it is another one after pickling"


def spec_comes_back(tested: Subject) -> None:
    """Its canonical spec, through JSON, is the same pipeline; an unknown argument is a SpecError that names it."""
    section = _section(tested)
    for pipeline in tested.pipelines(section):
        data = json.loads(json.dumps(pipeline.to_spec()))
        assert Pipeline.from_spec(data, tested.registry) == pipeline, "from_spec(to_spec()) is another pipeline"
    for arguments in tested.arguments:
        try:
            Pipeline.from_spec({section: [{tested.name: {**arguments, "no_such_argument": 1}}]}, tested.registry)
        except SpecError as error:
            assert "no_such_argument" in str(error), str(error)
        else:
            raise AssertionError("an unknown argument is swallowed")
