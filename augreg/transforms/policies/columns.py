"""`sample_columns` of policies: the ops of each name together, at the arguments of each image.

Images use different numbers of words: an op with a sign, or with a random interpolation, needs one more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from augreg import lazy, ops
from augreg.transforms.policies.dialects import DIALECTS, Dialect, op_argument
from augreg.transforms.policies.sampling import UNIFORM, build_op, check_channels

if TYPE_CHECKING:
    import numpy as np

    from augreg.columns import cursors, ragged, records
    from augreg.columns.cursors import Cursors, Floats, Integers, Rows, Some
    from augreg.columns.ragged import Ragged
    from augreg.columns.records import Scenes
else:
    np = lazy.module("numpy")
    ragged = lazy.module("augreg.columns.ragged")
    cursors, records = lazy.module("augreg.columns.cursors"), lazy.module("augreg.columns.records")

__all__ = ["auto_augment", "rand_augment", "three_augment", "trivial_augment_wide"]

_WORDS_OF_AN_OP: Final = 5  # whether it is applied, two for a noisy magnitude, its sign, its interpolation


def auto_augment(policy: Any, rng: Cursors, scene: Scenes) -> tuple[Some, ...]:
    """The ops at each place of the sub-policies that the images drew."""
    check_channels(policy, scene)
    table, dialect = policy.table, DIALECTS["auto_augment", policy.dialect]
    drawn = rng.integers(len(table))
    longest = max(map(len, table))
    numbers = ragged.Ragged(rng, longest * _WORDS_OF_AN_OP)
    found: list[Some] = []
    for place in range(longest):
        # a shorter sub-policy has an op that is never applied; the word that it uses is not read by another
        entries = [row[place] if place < len(row) else ("identity", 0.0, 0.0) for row in table]
        names, chances, magnitudes = zip(*entries, strict=True)
        rows = numbers.bernoulli(np.array(chances)[drawn], np.arange(len(scene)))
        m = np.array(magnitudes, np.float64)[drawn[rows]]
        if policy.m_std:
            m = _noisy(numbers, m, policy.m_std, 10.0, rows)
        known = list(dict.fromkeys(names))
        which = np.array([known.index(name) for name in names])[drawn[rows]]
        found += _ops(policy, dialect, numbers, scene, rows, known, which, m)
    return tuple(found)


def rand_augment(policy: Any, rng: Cursors, scene: Scenes) -> Any:
    """The first op of each image, then the second ones, and so on. With weights, images are sampled one by one."""
    check_channels(policy, scene)
    if policy.weights:
        return NotImplemented
    dialect = DIALECTS["rand_augment", policy.dialect]
    names = dialect.ops if policy.ops is None else policy.ops
    drawn = [rng.integers(len(names)) for _ in range(policy.n)]
    numbers = ragged.Ragged(rng, policy.n * _WORDS_OF_AN_OP)
    found: list[Some] = []
    for which in drawn:
        p = dialect.probability if policy.chance is None else policy.chance
        rows = numbers.bernoulli(p, np.arange(len(scene)))
        m = np.full(len(rows), float(policy.m))
        if policy.dialect == "timm":
            m = _noisy(numbers, m, policy.m_std, 10.0 if policy.m_max is None else policy.m_max, rows)
        found += _ops(policy, dialect, numbers, scene, rows, names, which[rows], m)
    return tuple(found)


def trivial_augment_wide(policy: Any, rng: Cursors, scene: Scenes) -> tuple[Some, ...]:
    """One op for each image."""
    check_channels(policy, scene)
    dialect = DIALECTS["trivial_augment_wide", policy.dialect]
    which, m = rng.integers(len(dialect.ops)), rng.integers(31).astype(np.float64)
    numbers = ragged.Ragged(rng, _WORDS_OF_AN_OP)
    rows = np.arange(len(scene))
    return tuple(_ops(policy, dialect, numbers, scene, rows, dialect.ops, which, m))


def three_augment(policy: Any, rng: Cursors, scene: Scenes) -> tuple[Any, ...]:
    """One of three ops for each image, and the jitter for all."""
    check_channels(policy, scene)
    choice = rng.integers(3)
    gray, solarized, blurred = (np.flatnonzero(choice == number) for number in range(3))
    blur: Any = ops.gaussian_blur
    return (
        cursors.Some(gray, ops.Enhance("gray", 0.0, label="grayscale")),
        cursors.Some(solarized, ops.point_function("solarize", policy.threshold)),
        cursors.Some(blurred, blur(rng.taken(blurred).uniform(*policy.sigma))),
        *policy.jitters,
    )


def _noisy(numbers: Ragged, m: Floats, m_std: float, m_max: float, rows: Rows) -> Floats:
    """As `noisy_magnitude`."""
    if m_std > UNIFORM:
        m = 0.0 + (m - 0.0) * numbers.random(rows)
    elif m_std:
        m = numbers.normal(m, m_std, rows)
    return np.minimum(m_max, np.maximum(0.0, m))


def _ops(
    policy: Any,
    dialect: Dialect,
    numbers: Ragged,
    scene: Scenes,
    rows: Rows,
    names: Sequence[str],
    which: Integers,
    m: Floats,
) -> list[Some]:
    """The ops names[which] at the magnitudes `m`, one for each of the images `rows`."""
    found: list[Some] = []
    fill = dialect.fill if policy.fill is None else policy.fill
    for index in np.flatnonzero(np.bincount(which, minlength=len(names))).tolist():
        name, there = names[index], which == index
        rule, here, magnitudes = dialect.argument_rules[name], rows[there], m[there]
        signs = numbers.sign(here) if rule is not None and rule.signed else np.ones(len(here), np.int64)
        interpolation = policy.interpolation or dialect.interpolation
        kinds = {interpolation: np.ones(len(here), np.bool_)}
        if interpolation == "random":
            fine = numbers.sign(here) > 0
            kinds = {"bicubic": fine, "bilinear": ~fine}
        arguments = _arguments(dialect, name, magnitudes, signs, scene, here)
        for kind, of_kind in kinds.items():
            some = here[of_kind]
            if len(some):
                found += _made(name, arguments[of_kind], scene, some, kind, fill)
    return found


def _arguments(dialect: Dialect, name: str, m: Floats, signs: Integers, scene: Scenes, rows: Rows) -> Floats:
    """The arguments of an op; each is computed once, as dialects compute it."""
    known: dict[Any, float] = {}
    found = []
    keys = zip(m.tolist(), signs.tolist(), scene.height[rows].tolist(), scene.width[rows].tolist(), strict=True)
    for row, key in zip(rows.tolist(), keys, strict=True):
        if key not in known:
            known[key] = op_argument(dialect.argument_rules, name, key[0], key[1], scene.at(row))
        found.append(known[key])
    return np.array(found, np.float64)


def _made(name: str, arguments: Floats, scene: Scenes, rows: Rows, interpolation: Any, fill: Any) -> list[Some]:
    """The ops of a name, with arrays of arguments where it can have them."""
    if name != "rotate":  # that is another kind of op at some angles
        together: Any = build_op
        return [cursors.Some(rows, op) for op in together(name, arguments, scene.taken(rows), interpolation, fill)]
    known: dict[Any, Any] = {}
    drawn = []
    for row, argument in zip(rows.tolist(), arguments.tolist(), strict=True):
        key = argument, int(scene.height[row]), int(scene.width[row])
        if key not in known:
            (known[key],) = build_op(name, argument, scene.at(row), interpolation, fill)
        drawn.append((row, known[key]))
    return [cursors.Some(column.rows, column.op) for column in records.gathered(drawn)]
