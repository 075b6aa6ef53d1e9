"""`layout: hwc`: normalized arrays stay height x width x channels, through every door; tensors do not."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import augreg
from augreg import Pipeline

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (12, 18, 3)).astype(np.uint8)
SPEC: dict[str, Any] = {"image": ["horizontal_flip", {"normalize": {"mean": 0.5, "std": 0.25}}], "seed": 4}
FIRST, LAST = Pipeline.from_spec(SPEC), Pipeline.from_spec({**SPEC, "layout": "hwc"})


def axes_last(array: Any) -> Any:
    return np.moveaxis(np.asarray(array), -3, -1)


def test_arrays_are_the_same_with_their_channels_last() -> None:
    for channels in (1, 3, 4):
        image = RNG.integers(0, 256, (12, 18, channels)).astype(np.uint8)
        for given in (image, image.astype(np.float32) / 255):
            for index in range(4):
                found = LAST.train(given, index)
                assert found.shape == (12, 18, channels) and found.dtype == np.float32
                assert found.flags.c_contiguous and found.flags.writeable
                assert np.array_equal(found, axes_last(FIRST.train(given, index)))
        assert np.array_equal(LAST.test(image), axes_last(FIRST.test(image)))
        plan = pickle.loads(pickle.dumps(LAST.train.plan((12, 18), 1, channels=channels)))
        assert np.array_equal(plan.run(image), axes_last(FIRST.train(image, 1)))
    bytes_only = Pipeline(["horizontal_flip"], layout="hwc")
    assert np.array_equal(bytes_only.test(IMAGE), IMAGE)


def test_in_samples_and_views() -> None:
    sample = {"image": IMAGE, "images": [IMAGE, IMAGE], "mask": IMAGE[..., 0].astype(int)}
    last, first = LAST.train(sample, 3), FIRST.train(sample, 3)
    assert np.array_equal(last["image"], axes_last(first["image"]))
    assert all(
        np.array_equal(one, axes_last(other)) for one, other in zip(last["images"], first["images"], strict=True)
    )
    assert np.array_equal(last["mask"], first["mask"])
    views, others = LAST.views(IMAGE, 2), FIRST.views(IMAGE, 2)
    assert all(np.array_equal(a.image, axes_last(b.image)) for a, b in zip(views, others, strict=True))


def test_tensors_and_models_have_channels_first() -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(IMAGE.transpose(2, 0, 1).copy())
    assert LAST.train(tensor, 2).shape == (3, 12, 18)
    assert Pipeline.from_spec({**SPEC, "layout": "hwc", "output": "torch"}).train(IMAGE, 2).shape == (3, 12, 18)
    assert torch.equal(LAST.train.batch([IMAGE] * 3, [0, 1, 2]), FIRST.train.batch([IMAGE] * 3, [0, 1, 2]))
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    means = [augreg.expect(model, pipe, samples=4)(IMAGE).mean for pipe in (LAST, FIRST)]
    assert torch.equal(*means)
    assert LAST.channels_first.fingerprint == FIRST.fingerprint and FIRST.channels_first is FIRST


@pytest.mark.parametrize("output", ["auto", "numpy"])
def test_batches_are_mixed_alike(output: str) -> None:
    """Two images of 12 x 18 by cutmix, whose boxes go by height and width."""
    mixed = {**SPEC, "batch": [{"cutmix": {"p": 1.0}}], "classes": 2, "output": output}
    batches = []
    for spec in (mixed, {**mixed, "layout": "hwc"}):
        pipe = Pipeline.from_spec(spec)
        data = augreg.data.Augmented([(IMAGE, 0), (255 - IMAGE, 1)] * 2, pipe.train)
        keys = [(1, index) for index in range(4)]
        batches.append(pipe.collate([data[key] for key in keys]))
        assert np.array_equal(np.asarray(pipe.collate(data.__getitems__(keys))[0]), np.asarray(batches[-1][0]))
    (first, labels), (last, others) = batches
    assert tuple(last.shape) == (4, 12, 18, 3) and tuple(first.shape) == (4, 3, 12, 18)
    assert np.array_equal(np.asarray(last), axes_last(first)) and np.array_equal(
        np.asarray(labels), np.asarray(others)
    )


def test_the_default_is_not_written() -> None:
    assert "layout" not in FIRST.to_spec() and LAST.to_spec()["layout"] == "hwc"
    assert Pipeline.from_spec({**SPEC, "layout": "chw"}).fingerprint == FIRST.fingerprint != LAST.fingerprint
    with pytest.raises(augreg.SpecError, match="layout"):
        Pipeline.from_spec({**SPEC, "layout": "nhwc"})
