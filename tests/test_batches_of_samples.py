"""Samples of which more than the image is on a GPU: what follows the image is moved on the CPU, and comes back."""

from __future__ import annotations

from typing import Any
from unittest import mock

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from pretended_gpu import OnGPU, PretendedGPU  # noqa: E402

from augreg import ImageError, Pipeline  # noqa: E402
from augreg.backends import torch as torch_kernels  # noqa: E402
from augreg.columns.philox import addresses_of  # noqa: E402
from augreg.devices import transformed, transformed_samples  # noqa: E402
from augreg.devices.loading import plain_memory  # noqa: E402
from augreg.devices.preparing import finished  # noqa: E402
from augreg.devices.samples import prepared_samples  # noqa: E402

COUNT = 5


def _held(value: Any) -> Any:
    return value.held if isinstance(value, OnGPU) else value


@pytest.mark.parametrize("others", [(), ("mask",), ("masks", "weight"), ("image2",), ("depth",)])
@pytest.mark.parametrize("form", ["stacks", "lists", "samples"])
def test_what_follows_an_image_may_be_on_the_device_too(others: tuple[str, ...], form: str) -> None:
    images = torch.randint(0, 256, (COUNT, 3, 12, 14), dtype=torch.uint8)
    steps = [{"random_resized_crop": 8}, "horizontal_flip", {"normalize": "imagenet"}]
    options = {"output": "torch", "backend": "pillow", "targets": {"maps": {"depth": {}}}}
    pipe = Pipeline.from_spec({"image": steps, **options})
    known = {"mask": images[:, 0], "masks": images[:, :2], "image2": images, "weight": torch.rand(COUNT)}
    batch = {"image": images} | {key: known.get(key, images[:, :1] / 255) for key in others}
    samples = [{key: value[row] for key, value in batch.items()} for row in range(COUNT)]
    expected = [pipe.train(sample, row) for row, sample in enumerate(samples)]
    with PretendedGPU(waiting=True) as gpu, mock.patch.object(OnGPU, "cpu", _held):
        given: Any = {key: gpu.put(value) for key, value in batch.items()}
        if form == "lists":
            given = {key: list(value) for key, value in given.items()}
        if form == "samples":
            given = [{key: value[row] for key, value in given.items()} for row in range(COUNT)]
        found = pipe.train.batch(given, range(COUNT), device="cuda")
        if form != "samples":
            found = [{key: value[row] for key, value in found.items()} for row in range(COUNT)]
        for one, other in zip(found, expected, strict=True):
            assert one.keys() == other.keys() and all(isinstance(value, OnGPU) for value in one.values())
            assert all(torch.equal(_held(value), other[key]) for key, value in one.items())


def test_samples_of_a_loader_may_be_on_the_device() -> None:
    images = torch.randint(1, 256, (COUNT, 3, 12, 14), dtype=torch.uint8)
    pipe = Pipeline.from_spec(["horizontal_flip"])
    draws = pipe.train.batch_draws(addresses_of(pipe.options.seed, range(COUNT)))
    with PretendedGPU(waiting=True) as gpu, mock.patch.object(OnGPU, "cpu", _held):
        samples = [{"image": gpu.put(image)} for image in images]
        batch, _ = prepared_samples(samples, draws, range(COUNT), plain_memory, False)
        found = _held(finished(batch, pipe.train.engine, torch.device("cuda")))
    assert all(torch.equal(one, pipe.train(images[row], row)) for row, one in enumerate(found))


def test_errors_say_which_images_they_are_about() -> None:
    pipe = Pipeline.from_spec([{"normalize": "imagenet"}])
    images = [np.zeros((5, 6, 3 - 2 * (row % 2)), np.uint8) for row in range(14)]
    with PretendedGPU(), pytest.raises(ImageError, match=r"^images\[1, 3, 5, 7, 9, \.\.\]: .* has 1 channels"):
        pipe.train.batch(images, device="cuda")
    with PretendedGPU(), pytest.raises(ImageError, match=r"^normalize's .* has 1 channels"):
        pipe.train.batch(images[1::2], device="cuda")
    with pytest.raises(ImageError, match=r"^images\[1\]: array .* has 1 channels"):
        pipe.train.batch(images)


def test_a_side_of_one_pixel_may_be_reversed() -> None:
    pipe = Pipeline.from_spec(["horizontal_flip", "channel_shuffle", "vertical_flip"])
    for shape in ((1, 5, 3), (5, 1, 2), (5, 5, 1), (1, 1, 5)):
        whole = np.random.default_rng(0).integers(0, 256, (3, *shape), dtype=np.uint8)
        for images in (whole[:1][::-1], whole[::-1], whole[:, ::-1], whole[:, :, ::-1], whole[..., ::-1]):
            expected = [pipe.train(np.ascontiguousarray(image), row) for row, image in enumerate(images)]
            tensors = list(torch.from_numpy(images.copy()).permute(0, 3, 1, 2))
            assert all(
                torch.equal(pipe.train(image, row), torch.from_numpy(expected[row].copy()).permute(2, 0, 1))
                for row, image in enumerate(tensors)
            )
            for given in (images, list(images), tensors):
                found = pipe.train.batch(given, range(len(images))).permute(0, 2, 3, 1).numpy()
                assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("kernels", [True, False])
def test_lists_on_the_cpu_run_by_kernels_where_that_is_asked_for(kernels: bool) -> None:
    pipe = Pipeline.from_spec([{"random_crop": 4}, {"rotate": 20}])
    images = [np.zeros((6, 7 + row, 3), np.uint8) for row in range(3)]
    draws = pipe.train.batch_draws(addresses_of(0, range(3)))
    with mock.patch.object(torch_kernels, "apply", wraps=torch_kernels.apply) as apply:
        for given in (images, [{"image": image} for image in images]):
            (transformed if given is images else transformed_samples)(given, draws, kernels=kernels)
    assert bool(apply.call_count) == kernels
