"""Lookups of a batch, by tables: what is not told by comparing the ops of `batch_ops` with Pillow's backend."""

from __future__ import annotations

import numpy as np
import pytest

from augreg import ImageError, ops

torch = pytest.importorskip("torch")

from batch_ops import COUNT, stages  # noqa: E402
from batched import assert_same, pictures, tensor  # noqa: E402

from augreg.backends.torch_kernels import lookups, tables  # noqa: E402
from augreg.columns.records import Columns  # noqa: E402

NAMES = "brightness", "equalize", "solarize", "contrast", "posterize", "auto_contrast", "table", "invert"


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("split", range(len(NAMES) + 1))
def test_stages_after_tables(split: int, channels: int) -> None:
    """The tables of the first stages, and then those of the others after them, are those of all."""
    arrays = pictures(COUNT, 20, 31, channels)
    images = tensor(arrays)
    every = stages(np.random.default_rng(channels), *NAMES)
    first = lookups.column_tables(every[:split], images)
    whole = Columns(ops.Lookup(every), np.arange(COUNT))
    found = tables.looked_up(images, lookups.column_tables(every[split:], images, first))
    assert_same(found, [whole.at(place) for place in range(COUNT)], arrays)


def test_without_stages_nothing_changes() -> None:
    images = tensor(pictures(2, 5, 6, 4))
    found = lookups.column_tables((), images)
    assert found.shape == (1, 256)
    assert torch.equal(tables.looked_up(images, found), images)


@pytest.mark.parametrize("amount", [0.5, np.array([0.5, 0.7])])
@pytest.mark.parametrize("kind", [ops.PointFunction, ops.ImageStatistic])
def test_an_unknown_stage_is_named(kind: type, amount: object) -> None:
    images = tensor(pictures(2, 5, 6, 3))
    with pytest.raises(ImageError, match=r"no point function (or image statistic )?named 'sepia'"):
        lookups.column_tables((kind("sepia", amount),), images)
    with pytest.raises(ImageError, match="no point function or image statistic named 'sepia'"):
        lookups.column_tables((ops.ImageStatistic("equalize"), kind("sepia", amount)), images)
