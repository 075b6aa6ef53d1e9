"""The contract of image transforms, as checks by name. Each raises AssertionError with what is wrong."""

from __future__ import annotations

import dataclasses
import inspect
import json

import numpy as np

from augreg.errors import SpecError
from augreg.pipeline import Pipeline
from augreg.steps.rules import rule_of
from augreg.testing import figure_checks, image_checks, randomness_checks, view_checks
from augreg.testing.pickling_checks import pickles
from augreg.testing.running import KEYS, Array, accepted_image, attempt, pattern, same
from augreg.testing.step_under_test import StepUnderTest, by_name
from augreg.testing.target_checks import targets_follow

__all__ = ["CHECKS", "has_a_docstring", "wrong_arguments_are_refused"]

_PASS_ON = "`complete` must pass on the arguments that it does not know"


def has_a_docstring(tested: StepUnderTest) -> None:
    """The docstring begins with one line that says what it does."""
    first, *rest = (inspect.getdoc(tested.cls) or "").split("\n")
    assert first.endswith((".", ":")), (
        f"the first line of the docstring must be a sentence, got {first!r}; end it with a period"
    )
    assert len(first) <= 118, (
        f"the first line of the docstring has {len(first)} characters; put what exceeds 118 below an empty line"
    )
    assert rest[:1] in ([], [""]), "the first line of the docstring goes on; insert an empty line after it"


def previews_run(tested: StepUnderTest) -> None:
    """Every preview is valid and returns an image."""
    for pipeline in tested.pipelines():
        accepted_image(pipeline.train, 24, 32)


def is_a_value(tested: StepUnderTest) -> None:
    """It is frozen, hashable and equal to its copy, and use adds no attributes to it."""
    for pipeline in tested.pipelines():
        transform = pipeline.steps[0].transform
        names = {field.name for field in dataclasses.fields(transform)}
        accepted_image(pipeline.train, 24, 32)
        assert set(vars(transform)) <= names, (
            f"it sets attributes: {sorted(set(vars(transform)) - names)}; keep nothing between calls"
        )
        assert hash(transform) == hash(dataclasses.replace(transform)), (
            "equal objects have different hashes; have only fields with plain values: numbers, strings, tuples"
        )
        assert transform == dataclasses.replace(transform), (
            "it is not equal to its copy; have only fields with plain values, and let `complete` and `__post_init__` "
            "leave complete values as they are"
        )
        try:
            transform.anything = 1
        except dataclasses.FrozenInstanceError:
            continue
        raise AssertionError("it is not frozen; leave `__setattr__` to the decorator")


def spec_round_trip(tested: StepUnderTest) -> None:
    """Its canonical spec, through JSON, is the same pipeline."""
    for pipeline in tested.pipelines():
        data = json.loads(json.dumps(pipeline.to_spec()))
        again = Pipeline.from_spec(data, tested.registry)
        assert again == pipeline, (
            "from_spec(to_spec()) is another pipeline; `complete` must leave complete arguments as they are"
        )
        assert again.to_spec() == data, (
            "the spec of the spec is another one; `complete` must leave complete arguments as they are"
        )


def never_applied_is_identity(tested: StepUnderTest) -> None:
    """With p: 0 images are unchanged."""
    if tested.info.kind == "normalize":
        return
    for pipeline in tested.pipelines(p=0, test="off"):
        image = accepted_image(pipeline.train, 24, 32)
        for result in (pipeline.train(image, 1), pipeline.test(image)):
            assert np.array_equal(result, image), (
                "with p: 0 the image changes; change it only by the ops that `sample` returns"
            )


def test_rule_holds(tested: StepUnderTest) -> None:
    """Its test rule holds: nothing is random, `identity` changes nothing, and `same` does the same as training."""
    for pipeline in tested.pipelines(p=1):
        image = accepted_image(pipeline.train, 24, 32)
        result = attempt(pipeline.test, image)
        if result is None:
            continue
        assert same(attempt(pipeline.test, image), result), (
            "the test image differs between calls; draw nothing in `expect`, and keep nothing between calls"
        )
        assert str(pipeline.test.plan((24, 32))), "its test plan prints as nothing; give its ops labels"
        rule = rule_of(pipeline.steps[0])  # `same` where the arguments leave nothing random
        if rule == "identity":
            assert np.array_equal(result, image), (
                "its test rule is identity, but the test image changes; declare what it does: rule= in the decorator"
            )
        if rule == "same":
            trained = [attempt(pipeline.train, image, key) for key in KEYS]
            assert all(same(found, result) for found in trained), (
                "its test rule is same, but training differs; draw nothing in `sample`, or declare another rule"
            )
        if rule == "mean_parameter":
            _near_the_mean(pipeline)


def _near_the_mean(pipeline: Pipeline) -> None:
    """The mean of many draws is the test image if no pixel value is clipped; error rate below 1e-6 a value."""
    image = accepted_image(pipeline.train, 8, 8, _middling)
    scale = 1.0 if image.dtype == np.uint8 else 255.0
    drawn = np.stack([pipeline.train(image, key).astype(float) * scale for key in range(512)])
    off = np.abs(drawn.mean(axis=0) - pipeline.test(image).astype(float) * scale)
    allowed = 5.0 * drawn.std(axis=0) / np.sqrt(len(drawn)) + 1.0
    assert (off <= allowed).all(), (
        f"mean of 512 draws and test image differ by {off.max():.1f} of 255; return from `expect` the mean of what "
        "`sample` draws"
    )


def _middling(height: int, width: int, channels: int, dtype: str) -> Array:
    """Pixel values from 100 to 131, so that most transforms clip none."""
    image = pattern(height, width, channels) // 8 + np.uint8(100)
    return image if dtype == "uint8" else (image / np.float32(255)).astype(np.float32)


test_rule_holds.__test__ = False  # type: ignore[attr-defined]  # a check, not a test for pytest


def wrong_arguments_are_refused(tested: StepUnderTest) -> None:
    """An unknown argument is a SpecError that names it."""
    for arguments in tested.arguments:
        spec = {tested.section: [{tested.name: {**arguments, "no_such_argument": 1}}]}
        try:
            Pipeline.from_spec(spec, tested.registry)
        except SpecError as error:
            assert "no_such_argument" in str(error), (
                f"an unknown argument is refused without its name: {error}; {_PASS_ON}"
            )
        else:
            raise AssertionError(f"an unknown argument is ignored; {_PASS_ON}")


CHECKS = by_name(
    has_a_docstring,
    previews_run,
    is_a_value,
    pickles,
    spec_round_trip,
    wrong_arguments_are_refused,
    randomness_checks.same_key_same_bytes,
    randomness_checks.same_bytes_in_threads,
    randomness_checks.batches_draw_the_same,
    randomness_checks.other_key_other_draw,
    randomness_checks.global_generators,
    image_checks.input_is_not_written,
    image_checks.dtypes_and_sizes,
    image_checks.bytes_and_floats_agree,
    image_checks.size_matches_the_plan,
    never_applied_is_identity,
    image_checks.backends_agree,
    test_rule_holds,
    view_checks.quadrature_holds,
    view_checks.views_hold,
    targets_follow,
    figure_checks.figures_follow,
    figure_checks.frames_follow,
)
