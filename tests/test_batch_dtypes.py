"""Batches do not depend on settings of torch that users change."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from augreg import Pipeline
from augreg.columns.philox import addresses_of

torch = pytest.importorskip("torch")

from augreg.devices.batches import transformed  # noqa: E402

JITTER = {"color_jitter": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}}
CROP = {"random_resized_crop": {"size": 12, "interpolation": "bicubic"}}


@pytest.fixture(params=["bfloat16", "float64"])
def default_dtype(request: pytest.FixtureRequest) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, request.param))
    yield
    torch.set_default_dtype(before)


@pytest.mark.usefixtures("default_dtype")
@pytest.mark.parametrize(
    "steps",
    [
        [CROP, "horizontal_flip", JITTER, {"normalize": "imagenet"}],
        [{"sharpness": [0.0, 2.0]}, {"grayscale": {"p": 0.5}}, {"contrast": [0.2, 2.0]}],
        [{"hue": [-0.5, 0.5]}, {"rotate": {"degrees": 30, "interpolation": "bilinear"}}, "equalize"],
        ["gaussian_blur", {"affine": {"degrees": 10, "interpolation": "bicubic"}}, "auto_contrast"],
        ["elastic", "gaussian_noise", "rgb_shift"],
    ],
    ids=["crop and jitter", "blends", "hue", "blur", "noise"],
)
def test_the_default_dtype_changes_nothing(steps: list[object]) -> None:
    pipe = Pipeline.from_spec({"image": steps, "seed": 2, "backend": "pillow", "output": "torch"})
    images = torch.randint(0, 256, (24, 3, 17, 21), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    found = transformed(images, pipe.train.batch_draws(addresses_of(2, range(24))), kernels=True)
    for row, image in enumerate(images):
        assert torch.equal(found[row], pipe.train(image, row))
