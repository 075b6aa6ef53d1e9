"""Batches of random specs over all steps, also of plugins, are their images alone, and have the errors of these."""

from __future__ import annotations

from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from strategies import specs

torch = pytest.importorskip("torch")

from augreg import ImageError, Pipeline  # noqa: E402
from augreg.columns.philox import addresses_of  # noqa: E402
from augreg.devices import transformed  # noqa: E402


def _images(rng: np.random.Generator, kind: str) -> Any:
    """A batch: images of one size, or of many."""
    count = int(rng.integers(1, 7))
    sizes = rng.integers(1, 30, (count, 2))
    if kind != "list":
        stack = torch.from_numpy(rng.integers(0, 256, (count, 3, *sizes[0]), dtype=np.uint8))
        return stack / 255 if kind == "floats" else stack
    channels = rng.choice([1, 3], count)
    shapes = zip(sizes.tolist(), channels.tolist(), strict=True)
    return [rng.integers(0, 256, (*size, own), dtype=np.uint8) for size, own in shapes]


def _unlike(one: Any, other: Any) -> bool:
    """Whether two images differ: floats by more than what a float image is allowed to."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return True
    return not torch.allclose(one.double(), other.double(), rtol=0, atol=0 if one.dtype == torch.uint8 else 1e-4)


@pytest.mark.parametrize("kind", ["bytes", "floats", "list"])
@settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(hypothesis.HealthCheck),
    phases=[hypothesis.Phase.generate],
)
@given(specs(), st.integers(0, 10**6))
def test_a_batch_is_what_its_images_are_alone(kind: str, spec: dict[str, Any], number: int) -> None:
    rng = np.random.default_rng(number)
    own = {key: value for key, value in spec.items() if key not in ("batch", "model", "loss", "classes")}
    pipe = Pipeline.from_spec({**own, "backend": "pillow", "output": "torch"})
    images, epoch = _images(rng, kind), int(rng.integers(4))
    indices = rng.integers(0, 10**9, len(images)).tolist()
    drawn = addresses_of(pipe.options.seed, indices, epoch)
    singly: tuple[Any, Any] = (
        lambda: [pipe.train(image, index, epoch) for image, index in zip(images, indices, strict=True)],
        lambda: [pipe.test(image) for image in images],
    )
    for alone, draws in zip(singly, (pipe.train.batch_draws(drawn), pipe.test.batch_draws(None)), strict=True):
        try:
            expected = [image[None] if image.ndim == 2 else image for image in alone()]
        except ImageError:
            with pytest.raises(ImageError):
                transformed(images, draws, kernels=True)
            continue
        try:
            found = transformed(images, draws, kernels=True)
        except ImageError as error:  # a batch reads fills for other channels also where nothing is to be filled
            assert "fill has 3 numbers and the image has" in str(error)
            continue
        assert not any(_unlike(one, other) for one, other in zip(found, expected, strict=True))
