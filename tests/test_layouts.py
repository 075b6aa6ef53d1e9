"""An image with its channels at the wrong end is refused, whatever its sides; images of many channels are not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import augreg

PIPE = augreg.Pipeline(["horizontal_flip"])
SIDES = [(50, 60), (60, 50), (28, 40), (16, 64), (16, 16), (64, 17), (480, 640)]


@pytest.mark.parametrize("sides", SIDES, ids=str)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_channels_at_the_wrong_end_are_refused(channels: int, sides: tuple[int, int]) -> None:
    for dtype in (np.uint8, np.float32):
        with pytest.raises(augreg.ImageError, match=r"looks like channels x height x width.*transpose\(1, 2, 0\)"):
            PIPE.train(np.zeros((channels, *sides), dtype), index=0)
        with pytest.raises(augreg.ImageError, match=r"channels come first: give tensor.permute\(2, 0, 1\)"):
            PIPE.train({"image": torch.from_numpy(np.zeros((*sides, channels), dtype))}, index=0)


@pytest.mark.parametrize("bands", [5, 8, 13, 15])
def test_multispectral_images_too(bands: int) -> None:
    with pytest.raises(augreg.ImageError, match="looks like"):
        PIPE.train(np.zeros((bands, 64, 50), np.uint8), index=0)
    with pytest.raises(augreg.ImageError, match="permute"):
        PIPE.train(torch.zeros(64, 50, bands), index=0)


@pytest.mark.parametrize(
    "shape",
    [
        (50, 60, 3),
        (16, 16, 16),
        (9, 9, 30),
        (5, 5, 64),
        (64, 64, 31),
        (1, 640, 3),
        (3, 3, 3),
        (2, 50, 4),
        (64, 2, 13),
    ],
    ids=str,
)
def test_images_of_any_channels_are_taken_as_they_are(shape: tuple[int, int, int]) -> None:
    array = np.arange(np.prod(shape), dtype=np.uint32).astype(np.uint8).reshape(shape)
    pipe = augreg.Pipeline([{"horizontal_flip": {"p": 1}}])
    assert (pipe.train(array, index=0) == array[:, ::-1]).all()
    planes = torch.from_numpy(array).permute(2, 0, 1)
    assert (pipe.train(planes, index=0) == planes.flip(2)).all()


def test_batches_of_tensors_with_channels_last_are_refused() -> None:
    batch = augreg.Pipeline(batch=["cutmix"]).batch
    with pytest.raises(ValueError, match=r"looks like N x H x W x C.*images.permute\(0, 3, 1, 2\)"):
        batch(torch.zeros(8, 28, 40, 3), batch=0)
    for shape in ((8, 3, 28, 40), (8, 64, 7, 7), (8, 64, 56, 56), (8, 64, 100, 1)):
        assert batch(torch.zeros(shape), batch=0).shape == shape
