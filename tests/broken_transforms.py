"""Transforms that break the contract, each in one way; importable by name, as some are sent to a spawned process."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import random
import time

import numpy as np

from augreg import ImageError, batch_transform, ops, transform
from augreg.batch.blends import Mix

_calls = itertools.count()
_scratch = np.zeros(1)
_buffers: dict[tuple, np.ndarray] = {}
_last = [0.5]


def brighter(array, amount):
    """Add `amount` to every pixel value, and wrap around at white."""
    return array + np.asarray(amount, array.dtype) if array.dtype == np.uint8 else (array + amount / 256) % 1


def ignores(array, seed):
    return array.copy()


def writes(array):
    array[...] = 0
    return array


def shared(array, seed):
    """Write and read memory that every thread uses."""
    _scratch[0] = seed
    time.sleep(0.0005)
    return np.full_like(array, _scratch[0] if array.dtype == np.uint8 else _scratch[0] / 256)


def needs_four(array):
    if min(array.shape[:2]) < 4:
        raise ValueError("too small")
    return array.copy()


def mirrored(array):
    return array[:, ::-1].copy()


def halved(array):
    return array[: (array.shape[0] + 1) // 2].copy()


def call(function, scene, **params):
    return ops.call(function, params, size=scene.size)


@transform("broken", kind="color")
class Docstring:
    """no sentence"""

    def sample(self, rng, scene):
        return ()


@transform("broken", kind="color")
class Preview:
    """Take no image."""

    def sample(self, rng, scene):
        raise ImageError("it needs seven channels")


@transform("broken", kind="color")
class Value:
    """Keep what was drawn."""

    def sample(self, rng, scene):
        object.__setattr__(self, "last", rng.random())
        return ()


@transform("broken", kind="color")
class Process:
    """Depend on the process."""

    def sample(self, rng, scene):
        return call(brighter, scene, amount=0 if multiprocessing.parent_process() else 100)


@transform("broken", kind="color")
class Growing:
    """Be unequal to its copies."""

    amount: int = 0

    @classmethod
    def complete(cls, arguments):
        return {"amount": arguments.get("amount", 0) + 1}

    def sample(self, rng, scene):
        return ()


@transform("broken", kind="color")
class Swallowing:
    """Take any argument."""

    @classmethod
    def complete(cls, arguments):
        return {}

    def sample(self, rng, scene):
        return ()


@transform("broken", kind="color")
class Counting:
    """Count its calls."""

    def sample(self, rng, scene):
        return call(brighter, scene, amount=next(_calls) % 256)


@transform("broken", kind="color")
class Sharing:
    """Use memory that threads share."""

    def sample(self, rng, scene):
        return call(shared, scene, seed=rng.integers(256))


@transform("broken", kind="color")
class Ignoring:
    """Draw, and do nothing with it."""

    def sample(self, rng, scene):
        return call(ignores, scene, seed=rng.bits())


@transform("broken", kind="color")
class Global:
    """Draw from the global generator."""

    def sample(self, rng, scene):
        return call(brighter, scene, amount=random.randrange(256))


@transform("broken", kind="color")
class Reading:
    """Read the shared generator without moving it."""

    def sample(self, rng, scene):
        state = random.getstate()
        amount = random.randrange(256)
        random.setstate(state)
        return call(brighter, scene, amount=amount)


@transform("broken", kind="color")
class Writing:
    """Write to what it was given."""

    def sample(self, rng, scene):
        return call(writes, scene)


@transform("broken", kind="texture")
class Small:
    """Fail on small images."""

    def sample(self, rng, scene):
        return call(needs_four, scene)


@transform("broken", kind="geometry")
class Lying:
    """Return half of the declared size."""

    def sample(self, rng, scene):
        return call(halved, scene)


@transform("broken", kind="color", rule="mean_parameter", exact="the mean of each pixel value")
class Mean:
    """Have another mean than declared."""

    def sample(self, rng, scene):
        return ops.point_function("brightness", rng.uniform(0.5, 1.0))

    def expect(self, scene, p):
        return ops.point_function("brightness", 0.9)


@transform("broken", kind="geometry")
class Leaving:
    """Move pixels without declaring it."""

    def sample(self, rng, scene):
        return call(mirrored, scene)


# Functions of images, each a little wrong, or right in an unusual way.


def white(array):
    return 255 if array.dtype == np.uint8 else 1


def times(array, factor):
    found = np.clip(array * factor, 0, white(array))
    return np.rint(found).astype(np.uint8) if array.dtype == np.uint8 else found.astype(np.float32)


def over(array):
    return times(array, 1.7) if array.dtype == np.uint8 else array * np.float32(1.7)


def plus_fifty(array):
    return np.minimum(array.astype(np.float32) + 50, white(array)).astype(array.dtype)


def wrapping(array):
    return array + np.uint8(100) if array.dtype == np.uint8 else array.copy()


def buffered(array):
    found = _buffers.setdefault((array.shape, array.dtype.str), np.empty_like(array))
    found[...] = times(array, 0.5)
    return found


def by_module(array):
    return times(array, _last[0])


def rolled(array, by):
    return np.roll(array, by, axis=1)


def rolled_one_more(array, by):
    return np.roll(array, by + 1, axis=1)


def moved(points, size, by):
    return points + np.array([by, 0])


def moved_five_more(points, size, by):
    return points + np.array([by + 5, 0])


def renumbered(array):
    found = array[:, ::-1].copy()
    found[found > 0] = 7
    return found


def mirrored_points(points, size):
    return np.stack([size[1] - points[:, 0], points[:, 1]], axis=1)


def lost(points, size):
    return points + 1e6


def halved_image(array):
    return np.ascontiguousarray(array[::2, ::2])


def unscaled(points, size):
    return points


@transform("broken", kind="geometry")
class MaskOff:
    """Shift the image, and its mask by a pixel more."""

    def sample(self, rng, scene):
        by = {"by": rng.integers(5)}
        return ops.call(rolled, by, scene.size, geometry=True, mask=rolled_one_more, keypoints=moved)


@transform("broken", kind="geometry")
class PointsOff:
    """Shift the image, and its points by five pixels more."""

    def sample(self, rng, scene):
        by = {"by": rng.integers(5)}
        return ops.call(rolled, by, scene.size, geometry=True, mask=rolled, keypoints=moved_five_more)


@transform("broken", kind="geometry")
class PointsLost:
    """Mirror the image, and move its points far outside."""

    def sample(self, rng, scene):
        return ops.call(mirrored, {}, scene.size, geometry=True, mask=mirrored, keypoints=lost)


@transform("broken", kind="geometry")
class PointsUnscaled:
    """Shrink to a half, and leave points where they were."""

    def sample(self, rng, scene):
        size = -(-scene.height // 2), -(-scene.width // 2)
        return ops.call(halved_image, {}, size, geometry=True, mask=halved_image, keypoints=unscaled)


@transform("broken", kind="geometry")
class Renumbering:
    """Mirror the image, and give all of its mask one class."""

    def sample(self, rng, scene):
        return ops.call(mirrored, {}, scene.size, geometry=True, mask=renumbered, keypoints=mirrored_points)


@transform("broken", kind="color")
class Sliding:
    """Move by three pixels without declaring it."""

    def sample(self, rng, scene):
        return call(rolled, scene, by=3)


@transform("broken", kind="erasing")
class Turning:
    """Mirror the image, declared as erasing."""

    def sample(self, rng, scene):
        return call(mirrored, scene)


@transform("broken", kind="color")
class Over:
    """Leave floats above 1."""

    def sample(self, rng, scene):
        return call(over, scene)


@transform("broken", kind="color")
class Unscaled:
    """Add 50 to bytes, and to floats."""

    def sample(self, rng, scene):
        return call(plus_fifty, scene)


@transform("broken", kind="color")
class Wrapping:
    """Add 100 to bytes, and wrap around at 256."""

    def sample(self, rng, scene):
        return call(wrapping, scene)


@transform("broken", kind="color")
class Buffered:
    """Return the same memory at every call."""

    def sample(self, rng, scene):
        return call(buffered, scene)


@transform("broken", kind="color")
class Remembering:
    """Leave what was drawn in the module, for the function to read."""

    def sample(self, rng, scene):
        _last[0] = rng.uniform(0.3, 0.9)
        return call(by_module, scene)


@transform("broken", kind="color")
class Crashing:
    """End any process that another one started."""

    def sample(self, rng, scene):
        if multiprocessing.parent_process() is not None:
            os._exit(3)
        return ()


@transform("broken", kind="geometry")
class Heavy:
    """Declare nodes whose weights sum to two."""

    def sample(self, rng, scene):
        return ops.rotate(scene, rng.uniform(-5, 5))

    def quadrature(self, scene):
        return [(1.0, ops.rotate(scene, -3)), (1.0, ops.rotate(scene, 3))]


@transform("broken", kind="color")
class Hidden:
    """Draw from elsewhere, unseen by augreg."""

    def sample(self, rng, scene):
        return ops.point_function("brightness", 0.9 - 0.1 * (next(_calls) % 5))


@transform("broken", kind="color")
class Apart:
    """Draw other numbers for many images than for one."""

    def sample(self, rng, scene):
        return ops.point_function("brightness", rng.uniform(0.5, 1.0))

    def sample_columns(self, rng, scene):
        return ops.point_function("brightness", rng.uniform(0.5, 1.0 + 1e-15))


def mirrored_together(points, size):
    """Mirrored about the middle of the points, which is that of the image for points on both of its sides."""
    x = points[:, 0]
    return np.stack((x.min() + x.max() - x, points[:, 1]), axis=1)


@transform("broken", kind="geometry")
class PointsTogether:
    """Mirror the image, and its points about their own middle."""

    def sample(self, rng, scene):
        return ops.call(mirrored, {}, scene.size, geometry=True, mask=mirrored, keypoints=mirrored_together)


def mirrored_whole(array):
    return mirrored(np.round(array))


@transform("broken", kind="geometry")
class WholeNumbers:
    """Mirror the image, and round what is a map and no mask."""

    def sample(self, rng, scene):
        return ops.call(mirrored, {}, scene.size, geometry=True, mask=mirrored_whole, keypoints=mirrored_points)


def mirrored_classes(array):
    return mirrored(array.astype(np.uint8))


@transform("broken", kind="geometry")
class ClassesOnly:
    """Mirror the image, and masks of bytes."""

    def sample(self, rng, scene):
        return ops.call(mirrored, {}, scene.size, geometry=True, mask=mirrored_classes, keypoints=mirrored_points)


def in_one_place(array):
    """What is returned has the memory that the last call returned, which no longer holds its result."""
    place = _buffers.setdefault(("frames", array.shape, array.dtype), np.empty_like(array))
    np.copyto(place, array[:, ::-1])
    return place


@transform("broken", kind="color")
class OnePlace:
    """Blend with a mirrored image, in one place of memory."""

    def sample(self, rng, scene):
        return call(in_one_place, scene)


def mirrored_once(array):
    """Mirror every second mask."""
    return mirrored(array) if next(_calls) % 2 else array.copy()


@transform("broken", kind="geometry")
class MasksApart:
    """Mirror the image, and one mask of two."""

    def sample(self, rng, scene):
        return ops.call(mirrored, {}, scene.size, geometry=True, mask=mirrored_once, keypoints=mirrored_points)


BROKEN = (
    ("has_a_docstring", Docstring),
    ("previews_run", Preview),
    ("is_a_value", Value),
    ("pickles", Process),
    ("spec_round_trip", Growing),
    ("wrong_arguments_are_refused", Swallowing),
    ("same_key_same_bytes", Counting),
    ("same_key_same_bytes", Remembering),
    ("same_bytes_in_threads", Sharing),
    ("batches_draw_the_same", Apart),
    ("other_key_other_draw", Ignoring),
    ("global_generators", Global),
    ("input_is_not_written", Writing),
    ("input_is_not_written", Buffered),
    ("dtypes_and_sizes", Small),
    ("dtypes_and_sizes", Over),
    ("bytes_and_floats_agree", Unscaled),
    ("bytes_and_floats_agree", Wrapping),
    ("size_matches_the_plan", Lying),
    ("test_rule_holds", Mean),
    ("quadrature_holds", Heavy),
    ("views_hold", Hidden),
    ("targets_follow", Leaving),
    ("targets_follow", MaskOff),
    ("targets_follow", PointsOff),
    ("targets_follow", PointsLost),
    ("targets_follow", PointsUnscaled),
    ("targets_follow", Renumbering),
    ("targets_follow", Sliding),
    ("targets_follow", Turning),
    ("figures_follow", PointsTogether),
    ("figures_follow", WholeNumbers),
    ("figures_follow", ClassesOnly),
    ("frames_follow", OnePlace),
    ("frames_follow", MasksApart),
)


# What is unusual and keeps to the contract.


def edges(array):
    values = array.astype(np.float32)
    across = np.abs(np.diff(values, axis=1, prepend=values[:, :1]))
    down = np.abs(np.diff(values, axis=0, prepend=values[:1]))
    return np.minimum(across + down, white(array)).astype(array.dtype)


def negative_mirrored(array):
    return (white(array) - array)[:, ::-1]


def gray_halved(array):
    if array.shape[2] != 1:
        raise ValueError("takes gray images only")
    return times(array, 0.5)


def bytes_halved(array):
    if array.dtype != np.uint8:
        raise ValueError("takes uint8 images only")
    return times(array, 0.5)


@transform("unusual", kind="texture")
class Edges:
    """Leave the edges."""

    def sample(self, rng, scene):
        return call(edges, scene)


@transform("unusual", kind="geometry")
class NegativeMirror:
    """Mirror the negative."""

    def sample(self, rng, scene):
        return ops.call(negative_mirrored, {}, scene.size, geometry=True, mask=mirrored, keypoints=mirrored_points)


@transform("unusual", kind="color")
class GrayOnly:
    """Halve the pixel values of gray images."""

    def sample(self, rng, scene):
        return call(gray_halved, scene)


@transform("unusual", kind="color")
class BytesOnly:
    """Halve the pixel values of bytes."""

    def sample(self, rng, scene):
        return call(bytes_halved, scene)


UNUSUAL = (Edges, NegativeMirror, GrayOnly, BytesOnly)


@batch_transform("broken")
class Unkeyed:
    """Mix by a count of its calls."""

    def sample(self, rng, count, scene):
        return Mix(tuple(reversed(range(count))), ((next(_calls) % 7) / 7,) * count)


@batch_transform("broken")
class Moving:
    """Draw from the global generator."""

    def sample(self, rng, count, scene):
        return Mix(tuple(reversed(range(count))), (random.random(),) * count)


@batch_transform("broken")
class Even:
    """Mix even batches only."""

    def sample(self, rng, count, scene):
        if count % 2:
            raise ValueError("even batches only")
        return Mix(tuple(reversed(range(count))), (rng.random(),) * count)


@batch_transform("broken")
class Wordless:
    """no sentence"""

    def sample(self, rng, count, scene):
        return ()


@batch_transform("broken")
class GrowingBatch:
    """Be unequal to its copies."""

    amount: int = 0

    @classmethod
    def complete(cls, arguments):
        return {"amount": arguments.get("amount", 0) + 1}

    def sample(self, rng, count, scene):
        return ()


@batch_transform("broken")
class SwallowingBatch:
    """Take any argument."""

    @classmethod
    def complete(cls, arguments):
        return {}

    def sample(self, rng, count, scene):
        return ()


BROKEN_BATCHES = {
    "has_a_docstring": Wordless,
    "spec_round_trip": GrowingBatch,
    "wrong_arguments_are_refused": SwallowingBatch,
    "same_keys_same_bytes": Unkeyed,
    "global_generators": Moving,
    "batches_of_all_sizes": Even,
}
