"""What holds for every registered transform, for random specs, and for broken ones.

The tests go over the registry by name, so that a new transform, a plugin's too, is covered without an edit here:
`pytest tests/test_properties.py -k NAME`.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import inspect
import itertools
import json
import pickle
from typing import Any

import hypothesis
import numpy as np
import pytest
from broken import broken
from hypothesis import given, settings, strategies as st
from images import made
from strategies import CLASSES, arguments, images, previews, specs

from augreg import ImageError, Pipeline, SpecError
from augreg.steps.fields import Ordered, hints, required

BACKENDS = ["pillow", *(["opencv"] if importlib.util.find_spec("cv2") else [])]
NORMALIZING = [name for name, cls in CLASSES.items() if cls.__augreg__.kind == "normalize"]

every_transform = pytest.mark.parametrize("name", CLASSES)
few = settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(hypothesis.HealthCheck),
    phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
)


def pipeline(name: str, chosen: dict[str, Any], **options: Any) -> Pipeline:
    """A pipeline of one step."""
    return Pipeline.from_spec({"image": [{name: chosen}], **options})


def run(do: Any, image: np.ndarray, *rest: Any) -> Any:
    """A result, or None where a step refuses the image's channels, and says so."""
    try:
        return do(image, *rest)
    except ImageError as error:
        assert f"{image.shape[2]} channels" in str(error)
        assert image.shape[2] not in (1, 3) or "numbers" in str(error)  # gray and RGB are for everyone
        return None


def shape_after(plan: Any) -> tuple[int, ...] | None:
    """The shape that a plan leaves, by what its ops say; None where only running it tells."""
    scene = plan.scene
    if plan.deferred:
        return None
    for op in plan.ops:
        if op.size_after(*scene.size) is None:
            return None
        scene = op.after(scene)
    return (scene.channels, *scene.size) if scene.normalized else (*scene.size, scene.channels)


# What a transform is.


@every_transform
def test_first_line_says_what_it_does(name: str) -> None:
    first, *rest = (inspect.getdoc(CLASSES[name]) or "").split("\n")
    assert first.endswith(".")
    assert len(first) <= 118
    assert rest[:1] in ([], [""])


@every_transform
def test_is_a_value(name: str) -> None:
    for chosen in previews(name):
        (step,) = pipeline(name, chosen).steps
        transform = step.transform
        assert transform == pickle.loads(pickle.dumps(transform))
        assert hash(transform) == hash(dataclasses.replace(transform))
        with pytest.raises(dataclasses.FrozenInstanceError):
            transform.anything = 1


@every_transform
def test_has_examples_for_the_gallery(name: str) -> None:
    """Where arguments are needed there are previews that give them, and every preview is valid."""
    assert previews(name), f"{name} needs arguments: give @transform(.., preview=({{..}},)) that show it"
    for chosen in previews(name):
        pipeline(name, chosen)


# What it does to an image.


@every_transform
@few
@given(data=st.data(), image=images(), index=st.integers(0, 2**64 - 1))
def test_same_index_same_bytes(name: str, data: st.DataObject, image: np.ndarray, index: int) -> None:
    """An equal pipeline comes back from its spec and from pickle, and gives them too; at p = 0 nothing changes."""
    chosen = data.draw(arguments(name))
    pipe = pipeline(name, chosen, seed=5)
    spec = json.loads(json.dumps(pipe.to_spec()))
    same = {"spec": Pipeline.from_spec(spec), "pickle": pickle.loads(pickle.dumps(pipe))}
    assert same["spec"].to_spec() == spec
    for other in same.values():
        assert other == pipe
        assert other.fingerprint == pipe.fingerprint
    never_applied_is_identity(name, chosen, image)
    result = run(pipe.train, image, index)
    if result is None:
        return
    run(pipe.train, image, index // 2)  # what is drawn in between changes nothing
    again = pipe.train.plan(image.shape[:2], index, channels=image.shape[2], dtype=str(image.dtype)).run(image)
    for other in (again, *(pipe.train(image, index) for pipe in same.values())):
        assert other.dtype == result.dtype
        assert np.array_equal(other, result, equal_nan=True)


def never_applied_is_identity(name: str, chosen: dict[str, Any], image: np.ndarray) -> None:
    if name in NORMALIZING:  # its result has another kind, so it must not be left to chance
        with pytest.raises(SpecError, match="always"):
            pipeline(name, chosen | {"p": 0})
        return
    pipe = pipeline(name, chosen | {"p": 0, "test": "off"})
    for result in (pipe.train(image, 0), pipe.test(image)):
        assert result.dtype == image.dtype
        assert np.array_equal(result, image)


@every_transform
def test_other_index_other_draw(name: str) -> None:
    """At p = 0.5 the index decides whether it is done; and a range in its defaults is drawn from."""
    cls = CLASSES[name]
    if name not in NORMALIZING:
        pipe = pipeline(name, previews(name)[0] | {"p": 0.5, "test": "off"})
        assert {pipe.train.plan((32, 32), index).entries[0].applied for index in range(64)} == {True, False}
    ranges = [
        field.default
        for field in dataclasses.fields(cls)
        if not required(field)
        and any(isinstance(mark, Ordered) for mark in getattr(hints(cls)[field.name], "__metadata__", ()))
    ]
    plain = [chosen for chosen in previews(name) if name not in NORMALIZING][:1]
    if plain and cls.__augreg__.rule == "same":
        pipe = pipeline(name, plain[0] | {"p": 1})
        assert len({pipe.train.plan((256, 256), index).ops for index in range(16)}) == 1
    elif plain and any(low < high for low, high in ranges):
        pipe = Pipeline.from_spec({"targets": {"boxes": "xyxy"}, "image": [{name: plain[0] | {"p": 1}}]})
        sample = {"image": np.zeros((256, 256, 3), np.uint8), "boxes": [[60, 70, 150, 180]]}
        drawn = {pipe.train.plan(sample, index).ops for index in range(16)}  # some ranges are pixels
        assert len(drawn) > 1


@every_transform
@pytest.mark.parametrize("backend", BACKENDS)
@few
@given(data=st.data(), image=images())
def test_leaves_the_size_that_it_says_and_its_input(
    name: str, backend: str, data: st.DataObject, image: np.ndarray
) -> None:
    before = image.copy()
    image.flags.writeable = False
    pipe = pipeline(name, data.draw(arguments(name)), backend=backend)
    size, kind = image.shape[:2], {"channels": image.shape[2], "dtype": str(image.dtype)}
    for result, planned in (
        (run(pipe.train, image, 11), lambda: pipe.train.plan(size, 11, **kind)),
        (run(pipe.test, image), lambda: pipe.test.plan(size, **kind)),
    ):
        if result is None:  # refused, as such an image is when it is planned for
            continue
        plan = planned()
        assert shape_after(plan) in (None, result.shape)
        if name in NORMALIZING:
            assert result.dtype == np.float32
        else:
            assert result.dtype == image.dtype
            if result.dtype == np.float32 and CLASSES[name].__augreg__.kind == "color":
                assert result.min() >= 0.0
                assert result.max() <= 1.0
        assert result.flags.writeable
        result[...] = 0  # it is the caller's own
        assert np.array_equal(image, before)


@every_transform
@pytest.mark.parametrize("backend", BACKENDS)
def test_smallest_images(name: str, backend: str) -> None:
    sizes = (1, 1), (1, 37), (37, 1), (2, 3)
    for chosen in previews(name):
        pipe = pipeline(name, chosen, backend=backend)
        for size, dtype, channels in itertools.product(sizes, ("uint8", "float32"), (1, 3)):
            result = run(pipe.train, made("noise", *size, channels, dtype), channels)
            assert result is None or np.isfinite(result).all(), (chosen, size, dtype, channels)


# Specs.


@pytest.mark.parametrize("part", [0, *(pytest.param(part, marks=pytest.mark.soak) for part in range(1, 8))])
def test_random_specs(part: int) -> None:
    """150 specs over everything registered: each is valid, comes back from its own words, and runs."""
    counts = {"run": 0, "refused": 0}

    @hypothesis.seed(part)
    @settings(few, max_examples=150)
    @given(spec=specs(), image=images(most=16), index=st.integers(0, 2**32))
    def check(spec: dict[str, Any], image: np.ndarray, index: int) -> None:
        try:
            pipe = Pipeline.from_spec(spec)
        except SpecError as error:  # the strategy does not know how sizes follow from scheduled choices
            assert "differ in size" in str(error)
            hypothesis.reject()
        again = Pipeline.from_spec(json.loads(json.dumps(pipe.to_spec())))
        assert again == pipe
        assert again.fingerprint == pipe.fingerprint
        result = run(pipe.train, image, index)
        if result is None:
            counts["refused"] += 1
            return
        counts["run"] += 1
        assert np.array_equal(again.train(image, index), result, equal_nan=True)
        plan = pipe.train.plan(image.shape[:2], index, channels=image.shape[2], dtype=str(image.dtype))
        assert shape_after(plan) in (None, result.shape)
        assert str(plan)
        tested = run(pipe.test, image)
        assert tested is None or np.array_equal(tested, again.test(image), equal_nan=True)
        assert pipe.test.explain()

    check()
    assert counts["run"] > counts["refused"]


@pytest.mark.parametrize("number", range(240))
def test_broken_spec_is_refused_where_it_is_broken(number: int) -> None:
    spec, path = broken(number)
    with pytest.raises(SpecError) as caught:
        Pipeline.from_spec(spec)
    (problem,) = caught.value.problems
    # a wrong argument may be pointed at more closely, and what is too deep has a long path
    assert problem.path == path or problem.path.startswith(path if path.endswith(".") else f"{path}[")
    assert problem.message


def test_all_problems_are_reported_together() -> None:
    spec = {"image": ["rotat", {"cutout": {"size": 0, "hole": 1}}, {"one_of": [{"hue": 3}]}], "sed": 1}
    with pytest.raises(SpecError) as caught:
        Pipeline.from_spec(spec)
    assert {problem.path for problem in caught.value.problems} == {
        "image[0]",
        "image[1].cutout.size",
        "image[1].cutout.hole",
        "image[2].one_of.steps[0].hue.shift",
        "sed",
    }
