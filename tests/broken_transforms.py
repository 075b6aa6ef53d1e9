"""Transforms that break the contract, each in one way; importable by name, as some are sent to a spawned process."""

from __future__ import annotations

import itertools
import os
import random
import time

import numpy as np

from augreg import ImageError, batch_transform, ops, transform
from augreg.mixing.blends import Mix

_calls = itertools.count()
_scratch = np.zeros(1)


def level(array, amount):
    """One level more, `amount` times, round and round."""
    return array + np.asarray(amount, array.dtype) if array.dtype == np.uint8 else (array + amount / 256) % 1


def ignores(array, seed):
    return array.copy()


def writes(array):
    array[...] = 0
    return array


def shared(array, seed):
    """Through memory that every thread uses."""
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
    """Take no picture."""

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
        return call(level, scene, amount=os.getpid() % 251)


@transform("broken", kind="color")
class Growing:
    """Become another one whenever it is made."""

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
        return call(level, scene, amount=next(_calls) % 256)


@transform("broken", kind="color")
class Sharing:
    """Go through memory that threads share."""

    def sample(self, rng, scene):
        return call(shared, scene, seed=rng.integers(256))


@transform("broken", kind="color")
class Ignoring:
    """Draw, and do nothing with it."""

    def sample(self, rng, scene):
        return call(ignores, scene, seed=rng.bits())


@transform("broken", kind="color")
class Global:
    """Draw from the generator that everybody shares."""

    def sample(self, rng, scene):
        return call(level, scene, amount=random.randrange(256))


@transform("broken", kind="color")
class Reading:
    """Read the shared generator without moving it."""

    def sample(self, rng, scene):
        state = random.getstate()
        amount = random.randrange(256)
        random.setstate(state)
        return call(level, scene, amount=amount)


@transform("broken", kind="color")
class Writing:
    """Write to what it was given."""

    def sample(self, rng, scene):
        return call(writes, scene)


@transform("broken", kind="texture")
class Small:
    """Fail on small pictures."""

    def sample(self, rng, scene):
        return call(needs_four, scene)


@transform("broken", kind="geometry")
class Lying:
    """Leave half the size that it says."""

    def sample(self, rng, scene):
        return call(halved, scene)


@transform("broken", kind="color", rule="mean_parameter", exact="the mean of each level")
class Mean:
    """Have another mean than it says."""

    def sample(self, rng, scene):
        return ops.curve("brightness", rng.uniform(0.5, 1.0))

    def expect(self, scene, p):
        return ops.curve("brightness", 0.9)


@transform("broken", kind="geometry")
class Leaving:
    """Move pixels and tell nobody."""

    def sample(self, rng, scene):
        return call(mirrored, scene)


BROKEN = {
    "has_a_docstring": Docstring,
    "previews_run": Preview,
    "is_a_value": Value,
    "pickles": Process,
    "spec_comes_back": Growing,
    "wrong_arguments_are_refused": Swallowing,
    "same_key_same_bytes": Counting,
    "same_bytes_in_threads": Sharing,
    "other_key_other_draw": Ignoring,
    "global_generators": Global,
    "input_is_not_written": Writing,
    "kinds_and_sizes": Small,
    "leaves_the_size_it_says": Lying,
    "test_rule_holds": Mean,
    "targets_follow": Leaving,
}


@batch_transform("broken")
class Unkeyed:
    """Mix by a count of its calls."""

    def sample(self, rng, count, scene):
        return Mix(tuple(reversed(range(count))), ((next(_calls) % 7) / 7,) * count)


@batch_transform("broken")
class Moving:
    """Mix by the generator that everybody shares."""

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


BROKEN_BATCHES = {
    "has_a_docstring": Wordless,
    "same_keys_same_bytes": Unkeyed,
    "global_generators": Moving,
    "batches_of_all_sizes": Even,
}
