"""Makes samples one by one, each several times: what changes, and which generators it depends on.

Before each sample the global generators get a state of their own. A generator that has the same state after two
samples, which began with different states, was seeded while the sample was made; and an image that is the same again
from the same states is a function of them.

`Make` may change the dataset that it is given, since a dataset may open files or create generators on first use. So
`Subject.apart` calls it, with the dataset of an extra worker or with a copy.
"""

from __future__ import annotations

import pickle
import traceback
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from augreg.doctor import batch_mixing, generators
from augreg.doctor.arrays import digest, likeness
from augreg.doctor.isolation import GLOBAL_NAMES, global_digests, seed_globals
from augreg.doctor.samples import digest_image, label_rows, split
from augreg.doctor.seeds import Seeds, SeedWatch
from augreg.doctor.workers import Unreadable

__all__ = ["COMPARED", "Draw", "Draws", "Make", "rekeyed"]

_WATCHED = 4  # samples during which the creation of generators is watched, which is slow
COMPARED = 64  # samples whose images are compared pixel by pixel
_POOL = 12  # samples from which batches are made
_SEEDS = 7_919  # the first of the numbers that the global generators are seeded with


@dataclass(frozen=True)
class Draw:
    """The sample of one key, made twice in one epoch and, if the dataset has epochs, once in the next.

    `likeness` is that of the two images, for the first few keys. `varies` is whether the images
    differ, `moves_on` whether the image of the next epoch differs from both, `by_globals` whether the image is a
    function of the states of the global generators, and `relabeled` whether the labels differ; fractional labels may
    be mixed, and do not count. `label` is the label, if it is a whole number or a name, and `has_image` whether an
    image was found. `moved` are the generators that the sample advanced, `seeded` the global ones that it seeded.
    `cached` is whether generators advanced when it was made first, and none when it was made again. `places` are the
    positions in a sample that hold its key.
    """

    key: Any
    likeness: Literal["same", "mirrored"] | None
    relabeled: bool
    varies: bool
    moves_on: bool
    by_globals: bool
    label: int | str | None = None
    has_image: bool = True
    moved: tuple[str, ...] = ()
    seeded: tuple[str, ...] = ()
    cached: bool = False
    places: frozenset[int] = frozenset()


@dataclass
class Draws:
    """All draws of a subject.

    `asked` is the number of keys that were to be drawn. `seeds` is whether samples create NumPy generators from
    seeds. `raw` are two samples before collation, empty if they cannot be pickled. `mixes` is the result of
    `batch_mixing.mixes` for the collate_fn. `kept` is whether generators were found in the dataset. `unreadable` are
    the samples that raised an exception; they have no rows.
    """

    asked: int = 0
    rows: list[Draw] = field(default_factory=list)
    seeds: Seeds = None
    raw: list[Any] = field(default_factory=list)
    mixes: batch_mixing.Mixes = None
    kept: bool = False
    unreadable: list[Unreadable] = field(default_factory=list)

    @property
    def vary(self) -> bool:
        """Whether any image changed when it was made again in the same epoch."""
        return any(row.varies for row in self.rows)

    @property
    def move_on(self) -> bool:
        """Whether any image changed with the epoch."""
        return any(row.moves_on for row in self.rows)

    @property
    def cached(self) -> list[Draw]:
        """The samples that were augmented once and then kept."""
        return [row for row in self.rows if row.cached]

    @property
    def index_places(self) -> frozenset[int]:
        """The positions in a sample that hold its key in all samples, and so no label."""
        return frozenset.intersection(*(row.places for row in self.rows)) if len(self.rows) > 8 else frozenset()

    @property
    def labeled_by_index(self) -> bool:
        """Whether the label of every sample is its index."""
        labels = [(row.label, row.key[1] if isinstance(row.key, tuple) else row.key) for row in self.rows]
        return len(labels) > 8 and all(isinstance(label, int) and label == key for label, key in labels)

    def counts(self, what: str) -> dict[str, int]:
        """How many samples `moved` or `seeded` each of the global generators."""
        counts = {name: sum(name in getattr(row, what) for row in self.rows) for name in GLOBAL_NAMES}
        return {name: count for name, count in counts.items() if count}


class Make:
    """Makes the sample of each key several times, one key a call, and then batches of them.

    `keyed` is whether keys are (epoch, index), in which case set_epoch is not called on the dataset, and `whole`
    whether samples are collated into batches. `__call__` returns a `Draw` or, after the last key, the rest as a
    mapping of attributes of `Draws`. A sample that raises an exception is returned as `Unreadable`.
    """

    def __init__(self, keys: list[Any], epoch: int, keyed: bool, whole: bool) -> None:
        self.keys = keys
        self.epoch = epoch
        self.keyed = keyed
        self.whole = whole
        self.watch = SeedWatch()
        self.readable = False  # whether any sample could be made
        self.pool: list[Any] = []
        self.kept: list[generators.Generator] | None = None

    def __call__(self, dataset: Any, collate_fn: Any, number: int) -> Draw | Unreadable | dict[str, Any]:
        """Called with 0 for the first key, and with the number of keys at the end."""
        if number == len(self.keys):
            return self._finish(collate_fn)
        try:
            return self._row(dataset, self.keys[number], number)
        except Exception as error:
            text = "".join(traceback.format_exception(error))
            traceback.clear_frames(error.__traceback__)
            return Unreadable(self.keys[number], text)

    def _row(self, dataset: Any, key: Any, number: int) -> Draw:
        set_epoch = None if self.keyed else getattr(dataset, "set_epoch", None)
        if number < _WATCHED or not self.readable:
            with self.watch.watching():
                _fetch(dataset, key, self.whole)  # as a loop without set_epoch would
            self.readable = True
        if self.kept is None:
            self.kept = generators.find(dataset=dataset)  # after the first sample, which may create them
        if set_epoch is not None:
            set_epoch(self.epoch)
        sample, row = self._draw(dataset, key, number)
        if len(self.pool) < _POOL:
            self.pool.append(sample)
        if set_epoch is not None:
            set_epoch(self.epoch)
        return row

    def _finish(self, collate_fn: Any) -> dict[str, Any]:
        mixed = batch_mixing.mixes(collate_fn, self.pool) if self.whole else None
        raw = self.pool[:2] if _pickles(self.pool[:2]) else []
        kept = bool(self.kept)
        return {"mixes": mixed, "raw": raw, "seeds": self.watch.seeds, "kept": kept}

    def _draw(self, dataset: Any, key: Any, number: int) -> tuple[Any, Draw]:
        """The first sample of a key, and the comparison with three more samples of it."""
        kept = self.kept or []
        sample, moved, ends = self._made(dataset, key, 2 * number, kept)
        again, moved_again, ends_again = self._made(dataset, key, 2 * number + 1, kept)
        seed_globals(_SEEDS + 2 * number)
        replayed = digest_image(_fetch(dataset, key, self.whole))
        later = self._next_epoch(dataset, key)
        first, second = digest_image(sample), digest_image(again)
        (one, label), (two, label_again) = split(sample), split(again)
        plain_label = _plain_label(label)
        return sample, Draw(
            key,
            likeness(one, two) if number < COMPARED else None,
            relabeled=plain_label is not None and digest(label) != digest(label_again),
            varies=first != second,
            moves_on=later is not None and later not in (first, second),
            by_globals=first == replayed != second,
            label=plain_label,
            has_image=one is not None,
            moved=moved,
            seeded=tuple(name for name in GLOBAL_NAMES if name in moved and ends[name] == ends_again[name]),
            cached=number >= _WATCHED and bool(moved) and not moved_again and first == second,
            places=_key_places(sample, key[1] if self.keyed else key),
        )

    def _made(
        self, dataset: Any, key: Any, number: int, kept: list[generators.Generator]
    ) -> tuple[Any, tuple[str, ...], dict[str, bytes]]:
        """A sample, the generators that it advanced, and the states of the global ones after it."""
        seed_globals(_SEEDS + number)
        starts = {**global_digests(), **generators.states(kept)}
        sample = _fetch(dataset, key, self.whole)
        globals_after = global_digests()
        ends = {**globals_after, **generators.states(kept)}
        return sample, tuple(name for name in starts if starts[name] != ends[name]), globals_after

    def _next_epoch(self, dataset: Any, key: Any) -> bytes | None:
        """The digest of the sample in the next epoch; None if neither keys nor dataset have an epoch."""
        if self.keyed:
            return digest_image(_fetch(dataset, rekeyed(key, self.epoch + 1), self.whole))
        if hasattr(dataset, "set_epoch"):
            dataset.set_epoch(self.epoch + 1)
            return digest_image(_fetch(dataset, key, self.whole))
        return None


def _fetch(dataset: Any, key: Any, whole: bool) -> Any:
    """One sample, or what a loader that makes no batches gets. The key is added as a note to an exception."""
    try:
        return dataset.__getitems__([key])[0] if whole and hasattr(dataset, "__getitems__") else dataset[key]
    except Exception as error:
        error.add_note(f"sample {key!r}")
        raise


def rekeyed(key: Any, epoch: int) -> Any:
    """The key (epoch, index) in another epoch, of the same type."""
    return key._replace(epoch=epoch) if hasattr(key, "_replace") and "epoch" in key._fields else (epoch, key[1])


def _plain_label(label: Any) -> int | str | None:
    """A label that is a name or one whole number, as such; else None."""
    if isinstance(label, str | int):
        return label
    if isinstance(label, bytes):
        return label.decode(errors="replace")
    rows = label_rows([label])
    if rows is not None and rows.size == 1 and np.isfinite(rows).all() and (rows == np.round(rows)).all():
        return int(rows.ravel()[0])
    return None


def _key_places(sample: Any, key: Any) -> frozenset[int]:
    """The positions in a sample of three or more parts that hold its key."""
    if not isinstance(sample, list | tuple) or len(sample) < 3 or not hasattr(key, "__index__"):
        return frozenset()
    values = [(place, _plain_label(part)) for place, part in enumerate(sample)]
    return frozenset(place for place, value in values if isinstance(value, int) and value == int(key))


def _pickles(samples: Any) -> bool:
    try:
        pickle.dumps(samples)
    except Exception:
        return False
    return True
