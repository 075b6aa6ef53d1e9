"""Batches take few operations: a crop, a resize, a second crop and flips are one, and so are warps, and blends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from augreg import ImageError, Pipeline, Registry, ops, transform  # noqa: E402
from augreg.columns.philox import addresses_of  # noqa: E402
from augreg.columns.records import Scenes  # noqa: E402
from augreg.devices import transformed  # noqa: E402
from augreg.devices.fusing import fused  # noqa: E402
from augreg.ops import Scene  # noqa: E402

COUNT = 64
JITTER = {"color_jitter": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4}}


@pytest.mark.parametrize(
    ("steps", "kinds"),
    [
        ([{"random_resized_crop": 8}, "horizontal_flip"], ["CropResize"]),
        ([{"random_crop": 20}, {"resize": 16}, {"random_crop": 8}, "horizontal_flip"], ["CropResize"]),
        ([{"resize": 16}, {"random_crop": 8}, "horizontal_flip", "vertical_flip"], ["CropResize"]),
        ([{"resize": 16}, "horizontal_flip", {"random_crop": 8}], ["CropResize", "Move"]),
        ([{"resize": 16}, "vertical_flip", {"random_crop": 8}], ["CropResize", "Move"]),
        ([{"resize": 16}, "rot90"], ["CropResize", "Move", "Move", "Move"]),
        ([{"random_crop": 8}, {"resize": {"size": [9, 9], "interpolation": "nearest"}}], ["Move", "Resize"]),
        ([{"one_of": [{"rotate": 20}, {"shear_x": 0.2}, {"shear_y": 0.2}]}], ["Warp"]),
        ([{"one_of": [{"rotate": 20}, {"shear_x": {"amount": 0.2, "fill": 7}}]}], ["Warp", "Warp"]),
        ([{"one_of": ["brightness", "contrast", "saturation"]}], ["Fade"]),
        ([{"one_of": ["brightness", "contrast"]}], ["Lookup", "Lookup"]),
        ([JITTER, {"normalize": 0.5}], ["Fade", "Fade", "Fade", "Normalize"]),
    ],
    ids=str,
)
def test_columns_are_put_together(steps: list[Any], kinds: list[str]) -> None:
    pipe = Pipeline.from_spec(steps)
    scenes = Scenes(np.full(COUNT, 24), np.arange(COUNT) % 5 + 24, Scene(1, 1, 3))
    draws = pipe.train.batch_draws(addresses_of(0, range(COUNT)))
    columns = fused(draws.program(scenes, np.arange(COUNT)).columns, scenes)
    assert [type(column.op).__name__ for column in columns] == kinds
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (24, 24 + row % 5, 3), dtype=np.uint8) for row in range(COUNT)]
    found = transformed(images, draws, kernels=True)
    exact = pipe.replace(backend="pillow", output="torch")
    assert all(torch.equal(one, exact.train(images[row], row)) for row, one in enumerate(found))


@transform("beyond", kind="geometry")
class Beyond:
    """A crop that is not within its image."""

    top: int = 1

    def sample(self, rng: Any, scene: Any) -> Any:
        return ops.crop(self.top, 0, scene.height, scene.width)


@pytest.mark.parametrize("top", [-1, 2])
@pytest.mark.parametrize("after", [[], ["horizontal_flip"], [{"resize": 9}]])
def test_a_crop_beyond_the_image_is_refused_also_with_a_resize(top: int, after: list[Any]) -> None:
    pipe = Pipeline.from_spec([{"beyond": {"top": top}}, *after], Registry.installed().add(Beyond))
    stack = torch.zeros(2, 3, 12, 14, dtype=torch.uint8)
    for images in (stack, list(stack), [*stack, torch.zeros(3, 20, 14, dtype=torch.uint8)]):
        with pytest.raises(ImageError, match="a crop is not within the images"):
            transformed(images, pipe.train.batch_draws(addresses_of(0, range(len(images)))), kernels=True)
