"""The contract of batch transforms, as checks by name. Each raises AssertionError with what is wrong."""

from __future__ import annotations

import importlib.util
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from augreg.errors import SpecError
from augreg.pipeline import Pipeline
from augreg.testing.image_transforms import has_a_docstring, wrong_arguments_are_refused
from augreg.testing.randomness_checks import global_states, moved_generators
from augreg.testing.running import pattern
from augreg.testing.step_under_test import Array, StepUnderTest, by_name

__all__ = ["CHECKS"]

_COUNTS = (1, 2, 3, 8)


def _batch(count: int, dtype: str = "uint8", height: int = 13, width: int = 10) -> tuple[Array, Array]:
    """`count` different images and their class ids."""
    images = [np.roll(pattern(height, width, 3, dtype), 3 * index, axis=1) for index in range(count)]
    return np.stack(images), np.arange(count) % 5


def _masks(images: Array) -> Array:
    """Masks of two instances for each image of a batch: N x 2 x height x width."""
    masks = np.zeros((len(images), 2, *images.shape[1:3]), np.uint8)
    masks[:, 0, : (images.shape[1] + 1) // 2] = 1
    masks[:, 1, :, images.shape[2] // 2 :] = 1
    return masks


def _pipelines(tested: StepUnderTest, **options: Any) -> Iterator[Pipeline]:
    return tested.pipelines("batch", targets={"instances": ["masks"]}, **options)


def _mixed(mix: Callable[..., Any], images: Array, labels: Any, **key: Any) -> tuple[Any, Any]:
    """The images and labels of a mixed batch; it has masks of instances, which some steps copy."""
    masks: Any = _masks(images)
    if not isinstance(images, np.ndarray):
        import torch

        masks = torch.from_numpy(_masks(np.asarray(images).transpose(0, 2, 3, 1)))
    found = mix({"image": images, "label": labels, "masks": masks}, **key)
    return found["image"], found["label"]


def _inner(shown: Array) -> Array:
    """The pixels whose neighbors on all sides are shown too."""
    wide = np.pad(shown, 1)
    return np.asarray(shown & wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:])


def _keys(count: int, first: int = 0) -> list[int]:
    return list(range(first, first + count))


def is_a_value(tested: StepUnderTest) -> None:
    """It is hashable, and can be pickled, like the mixer of its pipeline."""
    for pipeline in _pipelines(tested):
        transform = pipeline.spec.batch[0].transform
        assert hash(transform) == hash(pickle.loads(pickle.dumps(transform))), (
            "its hash changes after pickling; have only fields with plain values: numbers, strings, tuples"
        )
        images, labels = _batch(4)
        again = pickle.loads(pickle.dumps(pipeline.batch))
        first, second = (_mixed(mix, images, labels, keys=_keys(4)) for mix in (pipeline.batch, again))
        assert np.array_equal(first[0], second[0]) and first[1] == second[1], (
            "it mixes in another way after pickling; keep nothing between calls, on the object or in its module"
        )


def spec_round_trip(tested: StepUnderTest) -> None:
    """Its canonical spec is the same pipeline."""
    for pipeline in _pipelines(tested):
        again = type(pipeline).from_spec(pipeline.to_spec(), tested.registry)
        assert again == pipeline and again.to_spec() == pipeline.to_spec(), (
            "from_spec(to_spec()) is another pipeline; `complete` must leave complete arguments as they are"
        )


def same_keys_same_bytes(tested: StepUnderTest) -> None:
    """The same batch with the same keys has the same result; other keys have another, if it is random."""
    images, labels = _batch(8)
    differ = draws = False
    for pipeline in _pipelines(tested):
        first = _mixed(pipeline.batch, images, labels, keys=_keys(8), epoch=1)
        _mixed(pipeline.batch, *_batch(3), keys=_keys(3))
        again = _mixed(pipeline.batch, images, labels, keys=_keys(8), epoch=1)
        assert np.array_equal(first[0], again[0]) and first[1] == again[1], (
            "the same keys gave two results; draw from `rng` alone, and keep nothing between calls"
        )
        plans = [str(pipeline.batch.plan(8, (13, 10), keys=_keys(8, start), epoch=0)) for start in range(0, 80, 8)]
        draws |= len(set(plans)) > 1
        others = [_mixed(pipeline.batch, images, labels, keys=_keys(8, start))[0] for start in range(0, 80, 8)]
        differ |= any(not np.array_equal(others[0], other) for other in others)
    assert differ or not draws, (
        "it draws random numbers, but ten batches are mixed in the same way; use what is drawn, or do not draw"
    )


def global_generators(tested: StepUnderTest) -> None:
    """It does not advance the global generators of `random`, NumPy and torch."""
    for pipeline in _pipelines(tested):
        before = global_states()
        _mixed(pipeline.batch, *_batch(8), keys=_keys(8))
        moved = moved_generators(before)
        assert not moved, f"it advances a global generator: {moved}; draw from `rng` alone"


def input_is_not_written(tested: StepUnderTest) -> None:
    """Input images and labels are not modified, and may be read-only."""
    for pipeline in _pipelines(tested):
        for dtype in ("uint8", "float32"):
            images, labels = _batch(5, dtype)
            before, ids = images.copy(), labels.copy()
            images.flags.writeable = labels.flags.writeable = False
            _mixed(pipeline.batch, images, labels, keys=_keys(5))
            assert np.array_equal(images, before) and np.array_equal(labels, ids), (
                "it writes to its input; change images only by the blends that `sample` returns"
            )


def batches_of_all_sizes(tested: StepUnderTest) -> None:
    """Batches of 1, 2, 3 and 8 uint8 or float32 images, down to one pixel, keep their shape and dtype."""
    for pipeline in _pipelines(tested):
        for count in _COUNTS:
            for dtype in ("uint8", "float32"):
                for height, width in ((1, 1), (1, 9), (13, 10)):
                    images, labels = _batch(count, dtype, height, width)
                    try:
                        mixed, soft = _mixed(pipeline.batch, images, labels, keys=_keys(count))
                    except SpecError as error:
                        advice = "return () for an image or a batch that is too small"
                        raise AssertionError(f"{error}; {advice}") from error
                    assert mixed.shape == images.shape, (
                        f"{images.shape} became {mixed.shape}; return only `Mix` and `Paste`"
                    )
                    assert mixed.dtype == images.dtype, (
                        f"{images.dtype} became {mixed.dtype}; return only `Mix` and `Paste`"
                    )
                    assert np.isfinite(mixed).all(), "a pixel value is not finite; return finite weights"
                    assert len(soft) == count, (
                        f"{count} images have {len(soft)} labels; return only `Mix` and `Paste`"
                    )


def label_weights_sum_to_one(tested: StepUnderTest) -> None:
    """The label weights of an image sum to one, and sources are images of the batch."""
    for pipeline in _pipelines(tested):
        for count in _COUNTS:
            for start in range(0, 40, 8):
                _, soft = _mixed(pipeline.batch, *_batch(count), keys=_keys(count, start))
                weights, sources = np.asarray(soft.weights), np.asarray(soft.sources)
                assert (weights >= 0).all() and (weights <= 1 + 1e-6).all(), (
                    f"label weights are from {weights.min():g} to {weights.max():g}; return only `Mix` and `Paste`"
                )
                assert np.abs(weights.sum(axis=1) - 1).max() < 1e-5, (
                    "the label weights of an image do not sum to 1; return only `Mix` and `Paste`"
                )
                assert sources.min() >= 0 and sources.max() < count, (
                    f"a source is not in the batch; number images from 0 to {count - 1}"
                )


def labels_match_the_pixels(tested: StepUnderTest) -> None:
    """If each image has one pixel value, the mean of a mixed image is the weighted mean of its sources."""
    for pipeline in _pipelines(tested):
        for start in range(0, 64, 8):
            values = np.linspace(0, 1, 8, dtype=np.float32)
            images = np.broadcast_to(values[:, None, None, None], (8, 24, 24, 3)).copy()
            mixed, soft = _mixed(pipeline.batch, images, np.arange(8), keys=_keys(8, start))
            expected = (np.asarray(soft.weights) * values[np.asarray(soft.sources)]).sum(axis=1)
            off = np.abs(mixed.mean(axis=(1, 2, 3)) - expected).max()
            assert off < 1e-3, f"label weights and pixels differ by {off:.3f}; return only `Mix` and `Paste`"


def objects_follow_the_pixels(tested: StepUnderTest) -> None:
    """Boxes, masks and labels of objects are where a mixed image shows their pixels."""
    images, masks = np.zeros((8, 24, 32, 3), np.uint8), np.zeros((8, 24, 32, 1), np.uint8)
    ids, boxes = [[i] for i in range(8)], []
    for i in range(8):
        top, left, bottom, right = 2 + i, 3 + 2 * i, 12 + i, 15 + 2 * i
        images[i, top:bottom, left:right], masks[i, top:bottom, left:right] = 40 + 20 * i, 1
        boxes.append([[left, top, right, bottom]])
    targets = {"boxes": "xyxy", "instances": ["masks"], "min_visible": 0}
    for pipeline in tested.pipelines("batch", targets=targets):
        for start in range(0, 40, 8):
            batch = {"image": images, "boxes": boxes, "masks": masks, "labels": ids}
            found = pipeline.batch(batch, keys=_keys(8, start))
            if pipeline.batch.plan(8, (24, 32), keys=_keys(8, start), dtype="uint8").averages:
                continue
            for image, edges, planes, numbers in zip(*(found[key] for key in batch), strict=True):
                for plane, number, box in zip(np.moveaxis(planes, 2, 0), numbers, edges, strict=True):
                    shown = image[_inner(plane > 0)]  # the border of a scaled object is blurred
                    assert not len(shown) or abs(np.median(shown) - 40 - 20 * number) <= 1, (
                        "the mask of an object is not where its pixels are; return only `Mix` and `Paste`"
                    )
                    ys, xs = np.nonzero(plane)
                    off = np.abs(np.subtract(box, (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1))).max()
                    assert off <= 1.0, "a box is not around what is seen of its object; return only `Mix` and `Paste`"


def never_applied_is_identity(tested: StepUnderTest) -> None:
    """With p: 0, and at test time, nothing is mixed."""
    images, labels = _batch(6)
    for pipeline in _pipelines(tested, p=0):
        mixed, soft = _mixed(pipeline.batch, images, labels, keys=_keys(6))
        assert np.array_equal(mixed, images), "with p: 0 the batch is mixed; mix in `sample` alone"
        assert np.array_equal(soft.dense(5).argmax(axis=1), labels), (
            "with p: 0 the labels are mixed; mix in `sample` alone"
        )
    for pipeline in _pipelines(tested):
        same, plain = pipeline.batch.test(images, labels)
        assert np.array_equal(same, images) and np.array_equal(plain, labels), (
            "it mixes at test time; mix in `sample` alone"
        )


def arrays_and_tensors_agree(tested: StepUnderTest) -> None:
    """A torch batch is mixed like the same batch of arrays."""
    if importlib.util.find_spec("torch") is None:
        return
    import torch

    for pipeline in _pipelines(tested):
        for dtype, tolerance in (("uint8", 0.0), ("float32", 1e-5)):
            images, labels = _batch(7, dtype)
            mixed, soft = _mixed(pipeline.batch, images, labels, keys=_keys(7))
            planes = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
            found, other = _mixed(pipeline.batch, planes, torch.from_numpy(labels), keys=_keys(7))
            off = np.abs(found.numpy().transpose(0, 2, 3, 1).astype(float) - mixed.astype(float)).max()
            assert off <= tolerance, f"{dtype}: arrays and tensors differ by {off:g}; return only `Mix` and `Paste`"
            assert np.allclose(other.dense(5).numpy(), soft.dense(5), atol=1e-6), (
                "labels of arrays and tensors differ; return only `Mix` and `Paste`"
            )


CHECKS = by_name(
    has_a_docstring,
    is_a_value,
    spec_round_trip,
    wrong_arguments_are_refused,
    same_keys_same_bytes,
    global_generators,
    input_is_not_written,
    batches_of_all_sizes,
    label_weights_sum_to_one,
    labels_match_the_pixels,
    objects_follow_the_pixels,
    never_applied_is_identity,
    arrays_and_tensors_agree,
)
