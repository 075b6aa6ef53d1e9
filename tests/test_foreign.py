"""The step `call`: functions run only if code allows them, are reproducible, and must return valid images."""

from __future__ import annotations

import pickle
import random
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import callables
import numpy as np
import pytest
import torch
from images import made

from augreg import ImageError, Pipeline, PluginError, SpecError
from augreg.registry.foreign import Call
from augreg.registry.registry import Registry

IMAGE = made("noise", 9, 12)


def one(function, **arguments):
    return Pipeline([Call(function, **arguments)])


def test_a_function_is_applied_with_its_arguments() -> None:
    pipe = one(callables.darker, arguments={"strength": 0.25})
    assert np.array_equal(pipe.train(IMAGE, index=1), (IMAGE * 0.25).astype(np.uint8))
    assert pipe.to_spec()["image"][0]["call"]["function"] == "callables:darker"
    assert "call callables:darker" in str(pipe.train.plan((9, 12), index=1))


def test_a_callable_object_is_named_by_its_variable() -> None:
    assert np.array_equal(one("callables:posterize").train(IMAGE, index=0), IMAGE & 0xE0)
    with pytest.raises(SpecError, match="cannot be imported by name"):
        one(callables.posterize)


def test_the_function_gets_the_kind_it_takes() -> None:
    assert np.array_equal(one(callables.mirrored, takes="pil").train(IMAGE, index=0), IMAGE[:, ::-1])
    assert np.array_equal(one(callables.planes, takes="tensor").train(IMAGE, index=0), IMAGE[..., ::-1])


def test_what_it_is_given_is_its_own() -> None:
    before = IMAGE.copy()
    assert not one(callables.writes).train(IMAGE, index=0).any()
    assert np.array_equal(IMAGE, before)


@pytest.mark.parametrize(("function", "source"), [("seeded", "seed"), ("from_globals", "global")])
def test_random_functions_are_keyed(function: str, source: str) -> None:
    pipe = one(f"callables:{function}", random=source)
    first = pipe.train(IMAGE, index=1)
    random.random()
    torch.rand(3)
    assert np.array_equal(pipe.train(IMAGE, index=1), first)
    assert not np.array_equal(pipe.train(IMAGE, index=2), first)
    assert not np.array_equal(pipe.train(IMAGE, index=1, epoch=1), first)


def test_global_generators_are_put_back() -> None:
    pipe = one(callables.from_globals, random="global")
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    torch.manual_seed(5)
    expected = random.random(), np.random.random(), float(torch.rand(()))  # noqa: NPY002
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    torch.manual_seed(5)
    pipe.train(IMAGE, index=3)
    assert (random.random(), np.random.random(), float(torch.rand(()))) == expected  # noqa: NPY002


def test_a_spec_alone_runs_nothing() -> None:
    spec = one(callables.darker).to_spec()
    with pytest.raises(SpecError, match="a spec may only call functions that the program allows"):
        Pipeline.from_spec(spec)
    with pytest.raises(SpecError, match="would run callables:darker, which this registry does not allow"):
        Pipeline.from_spec(spec, Registry.installed().allow(callables.halved))
    allowed = Registry.installed().allow("callables:darker")
    assert Pipeline.from_spec(spec, allowed) == one(callables.darker)
    assert "call" not in Registry.installed()


def made_in_a_worker(pickled: bytes) -> bytes:
    return pickle.loads(pickled).train(IMAGE, index=4).tobytes()


def test_it_pickles_into_a_spawned_process() -> None:
    pipe = one(callables.seeded, random="seed")
    assert pickle.loads(pickle.dumps(pipe)) == pipe
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(made_in_a_worker, pickle.dumps(pipe)).result() == pipe.train(IMAGE, index=4).tobytes()


def test_sizes() -> None:
    assert one(callables.halved, resizes=True).train(IMAGE, index=0).shape == (5, 6, 3)
    with pytest.raises(ImageError, match="changed the size from 9x12 to 5x6; give `resizes: true`"):
        one(callables.halved).train(IMAGE, index=0)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("not_a_image", "callables:not_a_image returned no image"),
        ("floats", "that it takes: expected 3 channels of uint8, got 3 of float32"),
        ("fails", "out of film"),
        ("nowhere", "callables:nowhere cannot be imported: AttributeError"),
    ],
)
def test_results_that_are_no_image_are_refused(function: str, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        one(f"callables:{function}").train(IMAGE, index=0)


def test_names_are_checked() -> None:
    with pytest.raises(SpecError, match="cannot be imported by name"):
        one(lambda array: array)
    with pytest.raises(SpecError, match="a function is named 'module:name', got 'darker'"):
        one("darker")
    for wrong in (3, None, "nocolon"):
        with pytest.raises(ValueError, match="'module:name'"):
            Registry.installed().allow(wrong)


def test_an_added_class_called_call_is_not_replaced() -> None:
    registry = Registry.installed().add(Registry.installed()["invert"], "call")
    with pytest.raises(PluginError, match="another class was added to this registry as 'call'"):
        registry.allow(callables.darker)


def test_masks_are_refused_where_pixels_move() -> None:
    sample = {"image": IMAGE, "mask": np.zeros((9, 12), np.uint8)}
    assert set(one(callables.darker).train(sample, index=0)) == {"image", "mask"}
    with pytest.raises(ImageError, match="mask"):
        one(callables.mirrored, takes="pil", geometry=True).train(sample, index=0)


def test_at_test_time_it_is_left_out_if_it_is_random_or_the_spec_says_so() -> None:
    assert np.array_equal(one(callables.darker).test(IMAGE), (IMAGE * 0.5).astype(np.uint8))
    assert np.array_equal(one(callables.darker, random="global").test(IMAGE), IMAGE)
    spec = {"image": [{"call": {"function": "callables:darker", "test": "off"}}]}
    pipe = Pipeline.from_spec(spec, Registry.installed().allow(callables.darker))
    assert np.array_equal(pipe.test(IMAGE), IMAGE)
