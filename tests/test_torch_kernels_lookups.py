"""Lookups of a batch whose images have different stages: the bytes of Pillow's backend."""

from __future__ import annotations

import numpy as np
import pytest

from augreg import ImageError, ops

torch = pytest.importorskip("torch")

from batched import assert_same, pictures, tensor  # noqa: E402

from augreg.backends.torch_kernels import lookups, tables  # noqa: E402

COUNT = 60


def _stage(rng: np.random.Generator) -> ops.PointFunction | ops.ImageStatistic:
    amount = float(rng.random())
    return [
        ops.PointFunction("brightness", 2 * amount),
        ops.PointFunction("invert"),
        ops.PointFunction("posterize", int(rng.integers(0, 9))),
        ops.PointFunction("solarize", 256 * amount),
        ops.PointFunction("solarize_add", 220 * amount - 110),
        ops.PointFunction("gamma", 3 * amount),
        ops.PointFunction("table", rng.integers(0, 256, 256, np.uint8).tobytes()),
        ops.ImageStatistic("contrast", 2 * amount),
        ops.ImageStatistic("equalize"),
        ops.ImageStatistic("auto_contrast", 30 * amount if amount < 0.7 else 0.0),
    ][rng.integers(10)]


@pytest.mark.parametrize("channels", [1, 3])
def test_each_image_has_its_stages(channels: int) -> None:
    rng = np.random.default_rng(channels)
    arrays = pictures(COUNT, 20, 31, channels)
    stages = [tuple(_stage(rng) for _ in range(rng.integers(0, 5))) for _ in arrays]
    images = tensor(arrays)
    assert {len(own) for own in stages} == {0, 1, 2, 3, 4}
    found = tables.looked_up(images, lookups.tables_of(stages, images))
    assert_same(found, [ops.Lookup(own) for own in stages], arrays)


def test_without_stages_nothing_changes() -> None:
    images = tensor(pictures(2, 5, 6, 4))
    assert torch.equal(tables.looked_up(images, lookups.tables_of([(), ()], images)), images)


def test_images_are_not_read_on_the_host() -> None:
    rng = np.random.default_rng(5)
    images = torch.empty((COUNT, 3, 8, 8), dtype=torch.uint8, device="meta")
    stages = [tuple(_stage(rng) for _ in range(3)) for _ in range(COUNT)]
    assert lookups.tables_of(stages, images).shape == (COUNT, 3, 256)


def test_an_unknown_stage_is_named() -> None:
    images = tensor(pictures(1, 5, 6, 3))
    with pytest.raises(ImageError, match="no point function or image statistic named 'sepia'"):
        lookups.tables_of([(ops.PointFunction("sepia"),)], images)
