"""The contract of a transform of pictures, as checks by name. Each raises AssertionError with what does not hold."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import multiprocessing
import pickle
import random
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import numpy as np

from augreg.errors import SpecError
from augreg.pipeline import Pipeline
from augreg.testing.subjects import Array, Subject, attempt, pattern, subject
from augreg.testing.targets import targets_follow

__all__ = ["CHECKS", "check_transform", "global_states"]

_KEYS = range(12)
_SIZES = ((1, 1), (1, 17), (17, 1), (13, 22))


def check_transform(
    cls: Any,
    arguments: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    *,
    name: str | None = None,
    registry: Any = None,
    without: Iterable[str] = (),
) -> None:
    """Run every check on a transform of pictures, but those in `without`. Raises AssertionError with what fails.

    `arguments` are tried instead of its previews: one mapping, or a list of them.
    """
    tested = subject(cls, arguments, name, registry)
    for key, check in CHECKS.items():
        if key not in without:
            check(tested)


def _draws(pipeline: Pipeline) -> bool:
    """Whether what is to be done depends on the key."""
    plans = {str(pipeline.train.plan((32, 48), key).ops) for key in _KEYS}
    return len(plans) > 1


def _same(first: Any, second: Any) -> bool:
    return first is second or (
        first is not None
        and second is not None
        and first.dtype == second.dtype
        and np.array_equal(first, second, equal_nan=True)
    )


def _alike(first: Any, second: Any) -> bool:
    """The same bytes; the same floats within rounding, as the order of a sum may follow the layout."""
    if first is None or second is None or first.dtype != np.float32:
        return _same(first, second)
    return first.shape == second.shape and np.allclose(first, second, rtol=0, atol=2e-6)


def has_a_docstring(tested: Subject) -> None:
    """The docstring begins with one line that says what it does."""
    first, *rest = (inspect.getdoc(tested.cls) or "").split("\n")
    assert first.endswith((".", ":")), f"the first line of the docstring should be a sentence, got {first!r}"
    assert len(first) <= 118, f"the first line of the docstring has {len(first)} characters; 118 fit into lists"
    assert rest[:1] in ([], [""]), "the docstring needs an empty line behind its first"


def previews_run(tested: Subject) -> None:
    """Every preview is valid and gives a picture."""
    for pipeline in tested.pipelines():
        assert any(attempt(pipeline.train, pattern(24, 32, c), 0) is not None for c in (3, 1)), "no picture was taken"


def is_a_value(tested: Subject) -> None:
    """It is frozen, hashable, equal to its copy, and keeps nothing but its fields when it is used."""
    for pipeline in tested.pipelines():
        transform = pipeline.steps[0].transform
        names = {field.name for field in dataclasses.fields(transform)}
        attempt(pipeline.train, pattern(24, 32), 1)
        assert set(vars(transform)) <= names, f"it keeps {sorted(set(vars(transform)) - names)} besides its fields"
        assert hash(transform) == hash(dataclasses.replace(transform)), "equal objects have different hashes"
        assert transform == dataclasses.replace(transform), "it is not equal to its copy"
        try:
            transform.anything = 1
        except dataclasses.FrozenInstanceError:
            continue
        raise AssertionError("it is not frozen")


def pickles(tested: Subject) -> None:
    """It pickles, here and into a spawned process, and gives the same bytes there."""
    picture = pattern(24, 32)
    for pipeline in tested.pipelines():
        data = pickle.dumps(pipeline)
        assert pickle.loads(data) == pipeline, "it is another one after pickling"
        expected = attempt(pipeline.train, picture, 5)
        found = _elsewhere(_trained, data, picture)
        assert _same(found, expected), "a spawned process makes another picture"


@functools.lru_cache(maxsize=1)
def _pool() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


def _elsewhere(function: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a function in a process that shares nothing with this one."""
    future: Future[Any] = _pool().submit(function, *arguments)
    return future.result(timeout=120)


def _trained(data: bytes, picture: Array) -> Any:
    return attempt(pickle.loads(data).train, picture, 5)


def spec_comes_back(tested: Subject) -> None:
    """Its canonical spec, through JSON, is the same pipeline."""
    for pipeline in tested.pipelines():
        data = json.loads(json.dumps(pipeline.to_spec()))
        again = Pipeline.from_spec(data, tested.registry)
        assert again == pipeline, "from_spec(to_spec()) is another pipeline"
        assert again.to_spec() == data, "the canonical spec is not a fixed point"


def same_key_same_bytes(tested: Subject) -> None:
    """One key, one picture: after other calls, in another order, and replayed from the plan."""
    picture = pattern(24, 32)
    for pipeline in tested.pipelines(seed=3):
        first = [attempt(pipeline.train, picture, key) for key in _KEYS]
        attempt(pipeline.train, pattern(30, 26), 77)
        for key in reversed(_KEYS):
            assert _same(attempt(pipeline.train, picture, key), first[key]), f"key {key} gave two different pictures"
        if first[0] is not None:
            replayed = pipeline.train.plan((24, 32), 0).run(picture)
            assert _same(replayed, first[0]), "the plan, run, gives another picture"


def same_bytes_in_threads(tested: Subject) -> None:
    """Four threads at once give what one gives."""
    picture = pattern(24, 32)
    keys = [*_KEYS] * 3
    for pipeline in tested.pipelines():
        alone = [attempt(pipeline.train, picture, key) for key in _KEYS]
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(lambda key: attempt(pipeline.train, picture, key), keys))  # noqa: B023
        assert all(_same(found, alone[key]) for key, found in zip(keys, together, strict=True)), "threads disagree"


def other_key_other_draw(tested: Subject) -> None:
    """If it draws, other keys and other epochs give other pictures."""
    picture = pattern(32, 48)
    drawing = [pipeline for pipeline in tested.pipelines(p=1) if _draws(pipeline)]
    for pipeline in drawing:
        found = [attempt(pipeline.train, picture, key, epoch) for key in _KEYS for epoch in (0, 1, 2)]
        if found[0] is not None and any(not _same(result, found[0]) for result in found):
            return
    assert not drawing, "it draws, yet twelve keys in three epochs give one picture"


def global_generators(tested: Subject) -> None:
    """It neither moves nor reads the generators of `random`, NumPy and torch."""
    picture = pattern(24, 32)
    for pipeline in tested.pipelines():
        before = global_states()
        first = [attempt(pipeline.train, picture, key) for key in _KEYS]
        assert global_states() == before, f"it moves a global generator: {_moved(before)}"
        kept = random.getstate(), np.random.get_state()  # noqa: NPY002
        try:
            random.seed(1)
            np.random.seed(1)  # noqa: NPY002
            second = [attempt(pipeline.train, picture, key) for key in _KEYS]
        finally:
            random.setstate(kept[0])
            np.random.set_state(kept[1])  # noqa: NPY002
        assert all(map(_same, first, second)), "it reads a global generator: seeding one changed the picture"


def global_states() -> dict[str, Any]:
    """The states of the generators that everybody shares, by whose they are."""
    states: dict[str, Any] = {"random": random.getstate()}
    numpy: Any = np.random.get_state()  # noqa: NPY002
    states["numpy.random"] = (numpy[0], bytes(numpy[1]), *numpy[2:])
    torch = sys.modules.get("torch")
    if torch is not None:
        states["torch"] = bytes(torch.random.get_rng_state().numpy())
    return states


def _moved(before: Mapping[str, Any]) -> str:
    now = global_states()
    return ", ".join(name for name in before if now[name] != before[name])


def input_is_not_written(tested: Subject) -> None:
    """What it is given stays as it is; read-only and non-contiguous pictures are taken."""
    for pipeline in tested.pipelines(p=1):
        for dtype in ("uint8", "float32"):
            picture = pattern(24, 32, 3, dtype)
            before = picture.copy()
            expected = attempt(pipeline.train, picture, 3)
            assert np.array_equal(picture, before), "it writes to the picture that it was given"
            strided = np.repeat(np.repeat(picture, 2, axis=0), 2, axis=1)[::2, ::2]
            picture.flags.writeable = False
            for other in (picture, strided, np.asfortranarray(picture)):
                found = attempt(pipeline.train, other, 3)
                assert _alike(found, expected), "the layout of the picture in memory changes the result"
            if expected is not None:
                assert expected.flags.writeable, "what it hands out is read-only"
                expected[...] = 0
                assert np.array_equal(picture, before), "what it hands out is the caller's own picture"


def kinds_and_sizes(tested: Subject) -> None:
    """Bytes and floats, 1, 3 and 4 channels, from one pixel up: a picture, or a refusal that names the channels."""
    for pipeline in tested.pipelines(p=1):
        taken = []
        for channels in (1, 3, 4):
            for dtype in ("uint8", "float32"):
                for height, width in _SIZES:
                    picture = pattern(height, width, channels, dtype)
                    for result in (attempt(pipeline.train, picture, 2), attempt(pipeline.test, picture)):
                        if result is None:
                            continue
                        taken.append(channels)
                        assert np.isfinite(result).all(), f"{height}x{width}x{channels} {dtype}: not finite"
                        if tested.mark.kind != "normalize":
                            assert result.dtype == picture.dtype, f"{dtype} became {result.dtype}"
                            assert result.shape[2:] == (channels,), f"{channels} channels became {result.shape[2:]}"
        assert taken, "it takes pictures of neither 1, 3 nor 4 channels"


def leaves_the_size_it_says(tested: Subject) -> None:
    """The plan knows the size that comes out, or says that it does not."""
    for pipeline in tested.pipelines(p=1):
        for height, width in ((13, 22), (40, 31)):
            result = attempt(pipeline.train, pattern(height, width), 4)
            plan = pipeline.train.plan((height, width), 4)
            known = not plan.waiting
            scene = plan.scene
            for op in plan.ops:
                if not known or op.size_after(*scene.size) is None:
                    known = False
                    break
                scene = op.after(scene)
            if result is None or not known:
                continue
            shape = (3, *scene.size) if scene.normalized else (*scene.size, 3)
            assert result.shape == shape, f"{height}x{width}: its ops say {shape}, and it leaves {result.shape}"


def never_applied_is_identity(tested: Subject) -> None:
    """With p 0 nothing happens."""
    if tested.mark.kind == "normalize":
        return
    for pipeline in tested.pipelines(p=0, test="off"):
        picture = pattern(24, 32)
        for result in (pipeline.train(picture, 1), pipeline.test(picture)):
            assert np.array_equal(result, picture), "with p: 0 the picture is changed"


def backends_agree(tested: Subject) -> None:
    """The picture is the same with either backend, within 10 levels on average: they round places differently."""
    if not _opencv():
        return
    picture = _smooth(48, 64)
    for first, second in zip(tested.pipelines(backend="pillow"), tested.pipelines(backend="opencv"), strict=True):
        for key in _KEYS:
            one, other = attempt(first.train, picture, key), attempt(second.train, picture, key)
            if one is None or other is None:
                continue
            assert one.shape == other.shape, f"{one.shape} with pillow, {other.shape} with opencv"
            scale = 255.0 if tested.mark.kind == "normalize" else 1.0
            off = np.abs(one.astype(float) - other.astype(float)).mean() * scale
            assert off <= 10.0, f"key {key}: the backends are {off:.1f} levels apart"


def _smooth(height: int, width: int) -> Array:
    """A picture without noise, for which it matters little how a backend rounds a place."""
    y, x = np.mgrid[:height, :width]
    waves = np.sin(x[..., None] / 9.0 + np.arange(3)) + np.cos(y[..., None] / 7.0)
    return np.asarray(128 + 50 * waves).astype(np.uint8)


def _opencv() -> bool:
    import importlib.util

    return importlib.util.find_spec("cv2") is not None


def test_rule_holds(tested: Subject) -> None:
    """At test time its rule is kept: nothing is drawn, `identity` changes nothing, `same` does what training does."""
    picture = pattern(24, 32)
    for pipeline in tested.pipelines(p=1):
        result = attempt(pipeline.test, picture)
        if result is None:
            continue
        assert _same(attempt(pipeline.test, picture), result), "the test picture differs from call to call"
        rule = pipeline.test.plan((24, 32))  # it can be planned
        assert str(rule)
        if tested.mark.rule == "identity":
            assert np.array_equal(result, picture), "its rule is identity, and the test picture is changed"
        if tested.mark.rule == "same":
            trained = [attempt(pipeline.train, picture, key) for key in _KEYS]
            assert all(_same(found, result) for found in trained), "its rule is same, and training does otherwise"
        if tested.mark.rule == "mean_parameter":
            _near_the_mean(pipeline)


def _near_the_mean(pipeline: Pipeline) -> None:
    """The mean of many draws is the test picture, where no level can clip; error rate below 1e-6 a level."""
    picture = np.clip(pattern(8, 8) // 8 + 100, 0, 255).astype(np.uint8)
    drawn = np.stack([pipeline.train(picture, key).astype(float) for key in range(512)])
    off = np.abs(drawn.mean(axis=0) - pipeline.test(picture).astype(float))
    allowed = 5.0 * drawn.std(axis=0) / np.sqrt(len(drawn)) + 1.0
    assert (off <= allowed).all(), f"the mean of 512 draws is up to {off.max():.1f} levels from the test picture"


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
        leaves_the_size_it_says,
        never_applied_is_identity,
        backends_agree,
        test_rule_holds,
        targets_follow,
    )
}
"""Every check by its name; a check takes a Subject and raises AssertionError with what does not hold."""
