"""The contract of a transform of images, as checks by name. Each raises AssertionError with what does not hold."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from augreg.errors import SpecError
from augreg.pipeline import Pipeline
from augreg.testing.attempts import KEYS, Array, attempt, pattern, run_checks, same, suited
from augreg.testing.image_checks import (
    backends_agree,
    bytes_and_floats_agree,
    input_is_not_written,
    kinds_and_sizes,
    leaves_the_size_it_says,
)
from augreg.testing.processes import pickles
from augreg.testing.randomness import (
    global_generators,
    global_states,
    other_key_other_draw,
    same_bytes_in_threads,
    same_key_same_bytes,
)
from augreg.testing.subjects import Subject, subject
from augreg.testing.targets import targets_follow

__all__ = ["CHECKS", "check_transform", "global_states"]


def check_transform(
    cls: Any,
    arguments: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    *,
    name: str | None = None,
    registry: Any = None,
    without: Iterable[str] = (),
) -> None:
    """Run every check on a transform of images, but those in `without`. Raises AssertionError with what fails.

    `arguments` are tried instead of its previews: one mapping, or a list of them.
    """
    run_checks(CHECKS, subject(cls, arguments, name, registry), without)


def has_a_docstring(tested: Subject) -> None:
    """The docstring begins with one line that says what it does."""
    first, *rest = (inspect.getdoc(tested.cls) or "").split("\n")
    assert first.endswith((".", ":")), f"the first line of the docstring should be a sentence, got {first!r}"
    assert len(first) <= 118, f"the first line of the docstring has {len(first)} characters; 118 fit into lists"
    assert rest[:1] in ([], [""]), "the docstring needs an empty line behind its first"


def previews_run(tested: Subject) -> None:
    """Every preview is valid and gives an image."""
    for pipeline in tested.pipelines():
        suited(pipeline.train, 24, 32)


def is_a_value(tested: Subject) -> None:
    """It is frozen, hashable, equal to its copy, and keeps nothing but its fields when it is used."""
    for pipeline in tested.pipelines():
        transform = pipeline.steps[0].transform
        names = {field.name for field in dataclasses.fields(transform)}
        suited(pipeline.train, 24, 32)
        assert set(vars(transform)) <= names, f"it keeps {sorted(set(vars(transform)) - names)} besides its fields"
        assert hash(transform) == hash(dataclasses.replace(transform)), "equal objects have different hashes"
        assert transform == dataclasses.replace(transform), "it is not equal to its copy"
        try:
            transform.anything = 1
        except dataclasses.FrozenInstanceError:
            continue
        raise AssertionError("it is not frozen")


def spec_comes_back(tested: Subject) -> None:
    """Its canonical spec, through JSON, is the same pipeline."""
    for pipeline in tested.pipelines():
        data = json.loads(json.dumps(pipeline.to_spec()))
        again = Pipeline.from_spec(data, tested.registry)
        assert again == pipeline, "from_spec(to_spec()) is another pipeline"
        assert again.to_spec() == data, "the canonical spec is not a fixed point"


def never_applied_is_identity(tested: Subject) -> None:
    """With p 0 nothing happens."""
    if tested.mark.kind == "normalize":
        return
    for pipeline in tested.pipelines(p=0, test="off"):
        image = suited(pipeline.train, 24, 32)
        for result in (pipeline.train(image, 1), pipeline.test(image)):
            assert np.array_equal(result, image), "with p: 0 the image is changed"


def test_rule_holds(tested: Subject) -> None:
    """At test time its rule is kept: nothing is drawn, `identity` changes nothing, `same` does what training does."""
    for pipeline in tested.pipelines(p=1):
        image = suited(pipeline.train, 24, 32)
        result = attempt(pipeline.test, image)
        if result is None:
            continue
        assert same(attempt(pipeline.test, image), result), "the test image differs from call to call"
        rule = pipeline.test.plan((24, 32))  # it can be planned
        assert str(rule)
        if tested.mark.rule == "identity":
            assert np.array_equal(result, image), "its rule is identity, and the test image is changed"
        if tested.mark.rule == "same":
            trained = [attempt(pipeline.train, image, key) for key in KEYS]
            assert all(same(found, result) for found in trained), "its rule is same, and training does otherwise"
        if tested.mark.rule == "mean_parameter":
            _near_the_mean(pipeline)


def _near_the_mean(pipeline: Pipeline) -> None:
    """The mean of many draws is the test image, where no level can clip; error rate below 1e-6 a level."""
    image = suited(pipeline.train, 8, 8, _middling)
    scale = 1.0 if image.dtype == np.uint8 else 255.0
    drawn = np.stack([pipeline.train(image, key).astype(float) * scale for key in range(512)])
    off = np.abs(drawn.mean(axis=0) - pipeline.test(image).astype(float) * scale)
    allowed = 5.0 * drawn.std(axis=0) / np.sqrt(len(drawn)) + 1.0
    assert (off <= allowed).all(), f"the mean of 512 draws is up to {off.max():.1f} levels from the test image"


def _middling(height: int, width: int, channels: int, dtype: str) -> Array:
    """Levels from 100 to 131, so that most changes of them clip none."""
    levels = pattern(height, width, channels) // 8 + np.uint8(100)
    return levels if dtype == "uint8" else (levels / np.float32(255)).astype(np.float32)


test_rule_holds.__test__ = False  # type: ignore[attr-defined]  # a check, not a test of its own


def wrong_arguments_are_refused(tested: Subject) -> None:
    """An unknown argument is a SpecError that names it."""
    for arguments in tested.arguments:
        spec = [{tested.name: {**arguments, "no_such_argument": 1}}]
        try:
            Pipeline.from_spec(spec, tested.registry)
        except SpecError as error:
            assert "no_such_argument" in str(error), str(error)
        else:
            raise AssertionError("an unknown argument is swallowed")


CHECKS: Mapping[str, Callable[[Subject], None]] = {
    check.__name__: check
    for check in (
        has_a_docstring,
        previews_run,
        is_a_value,
        pickles,
        spec_comes_back,
        wrong_arguments_are_refused,
        same_key_same_bytes,
        same_bytes_in_threads,
        other_key_other_draw,
        global_generators,
        input_is_not_written,
        kinds_and_sizes,
        bytes_and_floats_agree,
        leaves_the_size_it_says,
        never_applied_is_identity,
        backends_agree,
        test_rule_holds,
        targets_follow,
    )
}
"""Every check by its name; a check takes a Subject and raises AssertionError with what does not hold."""
