"""Batches are the same whatever a program has set in torch: default dtypes and devices, autocast, inference mode."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from pretended_gpu import PretendedGPU, held  # noqa: E402

from augreg import Pipeline  # noqa: E402
from augreg.columns.philox import addresses_of  # noqa: E402
from augreg.devices import transformed  # noqa: E402

SPECS: dict[str, list[Any]] = {
    "colors": [
        {"random_resized_crop": 8},
        "horizontal_flip",
        {"color_jitter": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}},
        {"normalize": "imagenet"},
    ],
    "blurs": ["sharpness", {"gaussian_blur": [0.5, 1]}, "elastic", "motion_blur"],
    "policy": ["rand_augment", {"normalize": "imagenet"}, {"random_erasing": {"p": 1, "mode": "pixel"}}],
    "noise": [{"random_crop": {"size": 8, "padding": 2}}, "iso_noise", "equalize", {"cutout": 3}, "perspective"],
}


@contextlib.contextmanager
def _set(change: Callable[[Any], None], value: Any, before: Any) -> Iterator[None]:
    change(value)
    try:
        yield
    finally:
        change(before)


SETTINGS: dict[str, Callable[[], Any]] = {
    "float64": lambda: _set(torch.set_default_dtype, torch.float64, torch.float32),
    "bfloat16": lambda: _set(torch.set_default_dtype, torch.bfloat16, torch.float32),
    "another device": lambda: _set(torch.set_default_device, "meta", None),
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "deterministic": lambda: _set(torch.use_deterministic_algorithms, True, False),
    "inference mode": torch.inference_mode,
}


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("spec", SPECS)
def test_batches_do_not_depend_on_settings_of_torch(spec: str, setting: str) -> None:
    pipe = Pipeline.from_spec({"image": SPECS[spec], "seed": 2, "output": "torch", "backend": "pillow"})
    images = [np.random.default_rng(row).integers(0, 256, (12 + row % 2, 14, 3), dtype=np.uint8) for row in range(6)]
    stack = torch.from_numpy(np.stack(images[::2])).permute(0, 3, 1, 2)
    given: list[tuple[Any, Any]] = [(images, range(6)), (stack, range(0, 6, 2))]
    expected = [[pipe.train(images[row], row) for row in rows] for _, rows in given]
    for (batch, rows), each in zip(given, expected, strict=True):
        draws = pipe.train.batch_draws(addresses_of(2, rows))
        with SETTINGS[setting]():
            found = [transformed(batch, draws, kernels=True), pipe.train.batch(batch, rows)]
        assert all(torch.equal(one, other) for some in found for one, other in zip(some, each, strict=True))
        if setting != "inference mode":  # in which the tensors of the pretended GPU are no longer told apart
            with SETTINGS[setting](), PretendedGPU() as gpu:
                on_gpu = pipe.train.batch(gpu.put(batch) if batch is stack else batch, rows, device="cuda")
                on_gpu = list(map(held, on_gpu))
            assert all(torch.equal(one, other) for one, other in zip(on_gpu, each, strict=True))


@pytest.mark.parametrize(
    ("spec", "options"),
    [
        ([{"invert": {"p": 0.5}}, {"normalize": "imagenet"}], {"approximate": True}),
        (
            [{"resize": {"size": [40, 50]}}, {"random_crop": 9}, {"invert": {"p": 0.5}}, {"normalize": "imagenet"}],
            {"max_pixels": 1000},
        ),
        ([{"grid_distortion": {"cells": [1, 5]}}, {"grid_distortion": {"cells": [4, 1]}}], {}),
    ],
    ids=["approximate", "max_pixels", "grids of one row or column"],
)
def test_plans_of_which_each_has_other_ops(spec: Any, options: dict[str, Any]) -> None:
    pipe = Pipeline.from_spec({"image": spec, "seed": 1, "output": "torch", "backend": "pillow", **options})
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (8, 3, 9, 9), dtype=np.uint8))
    with PretendedGPU() as gpu:
        found = list(map(held, pipe.train.batch(gpu.put(images), range(8))))
    assert all(torch.equal(one, pipe.train(images[row], row)) for row, one in enumerate(found))


def test_a_compiler_leaves_batches_alone() -> None:
    pipe = Pipeline.from_spec({"image": SPECS["colors"], "seed": 2, "output": "torch", "backend": "pillow"})
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (4, 3, 9, 9), dtype=np.uint8))
    names = [f"photo {row}" for row in range(4)]
    seen: list[int] = []

    def step(batch: Any, indices: list[str]) -> Any:
        return pipe.train.batch(batch, indices).relu().sum(0)

    def backend(graph: Any, inputs: Any) -> Any:
        seen.append(len(graph.graph.nodes))
        return graph

    expected = step(images, names)
    torch._dynamo.reset()
    assert torch.equal(torch.compile(step, backend=backend)(images, names), expected)
    assert len(seen) == 1 and seen[0] < 6  # what comes after the batch


def test_rules_that_change_nothing_take_no_time_and_need_no_colors() -> None:
    slow, fast = (
        Pipeline.from_spec({"image": [{"resize": 9}, *steps, {"normalize": 0.5}], "backend": "pillow"})
        for steps in (["contrast", "saturation", "hue"], [])
    )
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (4, 5, 12, 12), dtype=np.uint8))
    calls = []
    for pipe in (slow, fast):
        with PretendedGPU() as gpu:
            found = list(map(held, pipe.test.batch(gpu.put(images))))
        assert all(torch.equal(one, slow.test(image)) for one, image in zip(found, images, strict=True))
        calls.append(gpu.calls)
    assert calls[0] == calls[1]
