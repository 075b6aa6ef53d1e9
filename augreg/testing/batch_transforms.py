"""The contract of a batch transform, as checks by name. Each raises AssertionError with what does not hold."""

from __future__ import annotations

import importlib.util
import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from augreg.testing import transforms
from augreg.testing.attempts import pattern, run_checks
from augreg.testing.subjects import Array, Subject, subject

__all__ = ["CHECKS", "check_batch_transform"]

_COUNTS = (1, 2, 3, 8)


def check_batch_transform(
    cls: Any,
    arguments: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    *,
    name: str | None = None,
    registry: Any = None,
    without: Iterable[str] = (),
) -> None:
    """Run every check on a batch transform, but those in `without`. Raises AssertionError with what fails."""
    run_checks(CHECKS, subject(cls, arguments, name, registry), without)


def _batch(count: int, dtype: str = "uint8", height: int = 13, width: int = 10) -> tuple[Array, Array]:
    """`count` different images and their class ids."""
    images = [np.roll(pattern(height, width, 3, dtype), 3 * index, axis=1) for index in range(count)]
    return np.stack(images), np.arange(count) % 5


def _keys(count: int, first: int = 0) -> list[int]:
    return list(range(first, first + count))


def is_a_value(tested: Subject) -> None:
    """It is hashable and pickles, and so does its pipeline's mixer."""
    for pipeline in tested.pipelines("batch"):
        transform = pipeline.spec.batch[0].transform
        assert hash(transform) == hash(pickle.loads(pickle.dumps(transform))), "its copy has another hash"
        images, labels = _batch(4)
        again = pickle.loads(pickle.dumps(pipeline.batch))
        first, second = (mix(images, labels, keys=_keys(4)) for mix in (pipeline.batch, again))
        assert np.array_equal(first[0], second[0]) and first[1] == second[1], "it mixes otherwise after pickling"


def spec_comes_back(tested: Subject) -> None:
    """Its canonical spec is the same pipeline."""
    for pipeline in tested.pipelines("batch"):
        again = type(pipeline).from_spec(pipeline.to_spec(), tested.registry)
        assert again == pipeline and again.to_spec() == pipeline.to_spec(), "from_spec(to_spec()) is another one"


def same_keys_same_bytes(tested: Subject) -> None:
    """One composition of a batch, one result; another epoch or other keys, another one, if it draws."""
    images, labels = _batch(8)
    differ = draws = False
    for pipeline in tested.pipelines("batch"):
        first = pipeline.batch(images, labels, keys=_keys(8), epoch=1)
        pipeline.batch(*_batch(3), keys=_keys(3))
        again = pipeline.batch(images, labels, keys=_keys(8), epoch=1)
        assert np.array_equal(first[0], again[0]) and first[1] == again[1], "the same keys gave two results"
        plans = [str(pipeline.batch.plan(8, (13, 10), keys=_keys(8, start), epoch=0)) for start in range(0, 80, 8)]
        draws |= len(set(plans)) > 1
        others = [pipeline.batch(images, labels, keys=_keys(8, start))[0] for start in range(0, 80, 8)]
        differ |= any(not np.array_equal(others[0], other) for other in others)
    assert differ or not draws, "it draws, yet ten batches are mixed alike"


def global_generators(tested: Subject) -> None:
    """It does not move the generators of `random`, NumPy and torch."""
    for pipeline in tested.pipelines("batch"):
        before = transforms.global_states()
        pipeline.batch(*_batch(8), keys=_keys(8))
        assert transforms.global_states() == before, "it moves a global generator"


def input_is_not_written(tested: Subject) -> None:
    """Images and labels that come in stay as they are; read-only ones are taken."""
    for pipeline in tested.pipelines("batch"):
        for dtype in ("uint8", "float32"):
            images, labels = _batch(5, dtype)
            before, ids = images.copy(), labels.copy()
            images.flags.writeable = labels.flags.writeable = False
            pipeline.batch(images, labels, keys=_keys(5))
            assert np.array_equal(images, before) and np.array_equal(labels, ids), "it writes to its input"


def batches_of_all_sizes(tested: Subject) -> None:
    """Batches of 1, 2, 3 and 8, bytes and floats, images from one pixel up: the same shape and dtype come out."""
    for pipeline in tested.pipelines("batch"):
        for count in _COUNTS:
            for dtype in ("uint8", "float32"):
                for height, width in ((1, 1), (1, 9), (13, 10)):
                    images, labels = _batch(count, dtype, height, width)
                    mixed, soft = pipeline.batch(images, labels, keys=_keys(count))
                    assert mixed.shape == images.shape, f"{images.shape} became {mixed.shape}"
                    assert mixed.dtype == images.dtype, f"{images.dtype} became {mixed.dtype}"
                    assert np.isfinite(mixed).all() and len(soft) == count, "not finite, or labels are missing"


def labels_are_shares(tested: Subject) -> None:
    """The weights of an image's labels are shares of a whole, and sources are in the batch."""
    for pipeline in tested.pipelines("batch"):
        for count in _COUNTS:
            for start in range(0, 40, 8):
                _, soft = pipeline.batch(*_batch(count), keys=_keys(count, start))
                weights, sources = np.asarray(soft.weights), np.asarray(soft.sources)
                assert (weights >= 0).all() and (weights <= 1 + 1e-6).all(), f"weights from {weights.min():g}"
                assert np.abs(weights.sum(axis=1) - 1).max() < 1e-5, "the weights of an image do not sum to 1"
                assert sources.min() >= 0 and sources.max() < count, "a source is not in the batch"


def labels_match_the_pixels(tested: Subject) -> None:
    """Of images of one level each, the mean level of a mixed one is the weighted mean of its sources."""
    for pipeline in tested.pipelines("batch"):
        for start in range(0, 64, 8):
            levels = np.linspace(0, 1, 8, dtype=np.float32)
            images = np.broadcast_to(levels[:, None, None, None], (8, 24, 24, 3)).copy()
            mixed, soft = pipeline.batch(images, np.arange(8), keys=_keys(8, start))
            expected = (np.asarray(soft.weights) * levels[np.asarray(soft.sources)]).sum(axis=1)
            off = np.abs(mixed.mean(axis=(1, 2, 3)) - expected).max()
            assert off < 1e-3, f"labels and pixels are {off:.3f} apart"


def never_applied_is_identity(tested: Subject) -> None:
    """With p 0, and at test time, nothing is mixed."""
    images, labels = _batch(6)
    for pipeline in tested.pipelines("batch", p=0):
        mixed, soft = pipeline.batch(images, labels, keys=_keys(6))
        assert np.array_equal(mixed, images), "with p: 0 the batch is mixed"
        assert np.array_equal(soft.dense(5).argmax(axis=1), labels), "with p: 0 the labels are mixed"
    for pipeline in tested.pipelines("batch"):
        same, plain = pipeline.batch.test(images, labels)
        assert np.array_equal(same, images) and np.array_equal(plain, labels), "it mixes at test time"


def arrays_and_tensors_agree(tested: Subject) -> None:
    """A torch batch is mixed as the same batch of arrays is."""
    if importlib.util.find_spec("torch") is None:
        return
    import torch

    for pipeline in tested.pipelines("batch"):
        for dtype, slack in (("uint8", 0.0), ("float32", 1e-5)):
            images, labels = _batch(7, dtype)
            mixed, soft = pipeline.batch(images, labels, keys=_keys(7))
            planes = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
            found, other = pipeline.batch(planes, torch.from_numpy(labels), keys=_keys(7))
            off = np.abs(found.numpy().transpose(0, 2, 3, 1).astype(float) - mixed.astype(float)).max()
            assert off <= slack, f"{dtype}: arrays and tensors are {off:g} apart"
            assert np.allclose(other.dense(5).numpy(), soft.dense(5), atol=1e-6), "labels differ"


CHECKS: Mapping[str, Callable[[Subject], None]] = {
    check.__name__: check
    for check in (
        transforms.has_a_docstring,
        is_a_value,
        spec_comes_back,
        same_keys_same_bytes,
        global_generators,
        input_is_not_written,
        batches_of_all_sizes,
        labels_are_shares,
        labels_match_the_pixels,
        never_applied_is_identity,
        arrays_and_tensors_agree,
    )
}
"""Every check by its name; a check takes a Subject and raises AssertionError with what does not hold."""
