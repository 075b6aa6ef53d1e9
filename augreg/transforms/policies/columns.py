"""`sample_columns` of policies: the ops of each name together, at the arguments of each image.

Images use different numbers of words: an op with a sign, or with a random interpolation, needs one more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from augreg import lazy, ops
from augreg.transforms.policies.dialects import DIALECTS, GEOMETRY, Dialect
from augreg.transforms.policies.sampling import UNIFORM, build_op, check_channels

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from augreg.columns import cursors, ragged, records, warps
    from augreg.columns.cursors import Cursors, Floats, Integers, Rows, Some
    from augreg.columns.ragged import Ragged
    from augreg.columns.records import Scenes
else:
    np = lazy.module("numpy")
    ragged = lazy.module("augreg.columns.ragged")
    cursors, records = lazy.module("augreg.columns.cursors"), lazy.module("augreg.columns.records")
    warps = lazy.module("augreg.columns.warps")

__all__ = ["aug_mix", "auto_augment", "rand_augment", "three_augment", "trivial_augment_wide"]

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


def rand_augment(policy: Any, rng: Cursors, scene: Scenes) -> tuple[Some, ...]:
    """The first op of each image, then the second ones, and so on."""
    check_channels(policy, scene)
    dialect = DIALECTS["rand_augment", policy.dialect]
    names = dialect.ops if policy.ops is None else policy.ops
    if policy.weights:
        drawn = _without_repetition(rng, policy.weights, policy.n)
    else:
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


def _without_repetition(rng: Cursors, weights: Sequence[float], count: int) -> list[Integers]:
    """`count` different numbers for each image, drawn as by `choice`, with a weight of 0 for those drawn before."""
    everyone = np.arange(len(rng))
    left = np.tile(np.array(weights, np.float64), (len(rng), 1))
    drawn = []
    for _ in range(count):
        total = np.array([math.fsum(row) for row in left.tolist()])
        below = (rng.random() * total)[:, None] < np.add.accumulate(left, axis=1)
        last = len(weights) - 1 - (left[:, ::-1] > 0.0).argmax(axis=1)  # where rounding makes the sum smaller
        chosen = np.where(below.any(axis=1), below.argmax(axis=1), last)
        left[everyone, chosen] = 0.0
        drawn.append(chosen)
    return drawn


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


def aug_mix(policy: Any, rng: Cursors, scene: Scenes) -> records.BranchColumns:
    """A mix for each image."""
    check_channels(policy, scene)
    dialect = DIALECTS["aug_mix", policy.dialect]
    names = dialect.ops if policy.ops is None else policy.ops
    longest, count = policy.depth or 3, len(scene)
    numbers = ragged.Ragged(rng, 4 + policy.width * (2 + longest * (1 + _WORDS_OF_AN_OP)))
    everyone = np.arange(count)
    weights, keep = (
        _dirichlet(numbers, policy.alpha, policy.width, count),
        _dirichlet(numbers, policy.alpha, 2, count)[0],
    )
    chosen: list[list[_Chosen]] = [[] for _ in range(longest)]  # at each place of a chain, those of each branch
    for branch in range(policy.width):
        depth = policy.depth or 1 + numbers.integers(3, everyone)
        for place in range(longest):
            rows = everyone if policy.depth else np.flatnonzero(depth > place)
            which = numbers.integers(len(names), rows)
            m = _severity(policy, numbers, rows)
            signs, fine = _signs(policy, dialect, numbers, rows, names, which)
            chosen[place].append(_Chosen(rows + branch * count, which, m, signs, fine))
    # the branches of all images are sampled as those of one batch
    wide = scene.taken(np.tile(everyone, policy.width))
    made = [
        some
        for of_place in chosen
        for some in _made(policy, dialect, wide, names, *map(np.concatenate, zip(*of_place, strict=True)))
    ]
    return records.BranchColumns(tuple([records.Columns(some.item, some.rows) for some in made]), weights, keep)


def _severity(policy: Any, numbers: Ragged, rows: Rows) -> Floats:
    """The magnitudes of ops of `aug_mix`."""
    if policy.dialect == "torchvision":
        return numbers.integers(int(policy.severity), rows).astype(np.float64)
    if policy.dialect == "timm":
        m_std = 2 * UNIFORM if policy.m_std is None else policy.m_std
        return _noisy(numbers, np.full(len(rows), policy.severity), m_std, 10.0, rows)
    return numbers.uniform((0.1, policy.severity), rows)


def _dirichlet(numbers: Ragged, alpha: float, count: int, images: int) -> tuple[Floats, ...]:
    """As `dirichlet`, for each of so many images."""
    logs = [_log_gamma_variates(numbers, alpha, images) for _ in range(count)]
    largest = np.max(logs, axis=0)
    weights = [cursors.exactly(math.exp, log - largest) for log in logs]
    total = np.array([math.fsum(each) for each in zip(*[weight.tolist() for weight in weights], strict=True)])
    return tuple([weight / total for weight in weights])


def _log_gamma_variates(numbers: Ragged, shape: float, images: int) -> Floats:
    """As `_log_gamma_variate` of `augreg.transforms.dirichlet`, for each image."""
    rows, exactly = np.arange(images), cursors.exactly
    if shape == 1.0:
        exponential = -exactly(math.log1p, -numbers.random(rows))
        return exactly(math.log, np.where(exponential == 0.0, 1e-300, exponential))
    if shape < 1.0:
        boosted = _log_gamma_variates(numbers, shape + 1.0, images)
        return boosted + exactly(math.log, 1.0 - numbers.random(rows)) / shape
    d = shape - 1.0 / 3.0
    found = np.empty(images)
    while len(rows):
        x = numbers.normal(0.0, 1.0, rows)
        v = exactly(lambda base: base**3, 1.0 + x / math.sqrt(9.0 * d))
        tried = np.flatnonzero(v > 0.0)
        y, w = x[tried], v[tried]
        limit = 0.5 * y * y + d * (1.0 - w + exactly(math.log, w))
        below = exactly(math.log, 1.0 - numbers.random(rows[tried])) < limit
        taken = tried[below]
        found[rows[taken]] = exactly(math.log, d * v[taken])
        rows = np.delete(rows, taken)
    return found


def _noisy(numbers: Ragged, m: Floats, m_std: float, m_max: float, rows: Rows) -> Floats:
    """As `noisy_magnitude`."""
    if m_std > UNIFORM:
        m = 0.0 + (m - 0.0) * numbers.random(rows)
    elif m_std:
        m = numbers.normal(m, m_std, rows)
    return np.minimum(m_max, np.maximum(0.0, m))


class _Chosen(NamedTuple):
    """What was drawn for one op of each of the images `rows`: the number of its name, its magnitude and its sign.

    `fine` is whether a random interpolation is bicubic.
    """

    rows: Rows
    which: Integers
    m: Floats
    signs: Integers
    fine: NDArray[np.bool_]


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
    signs, fine = _signs(policy, dialect, numbers, rows, names, which)
    return _made(policy, dialect, scene, names, rows, which, m, signs, fine)


def _signs(
    policy: Any, dialect: Dialect, numbers: Ragged, rows: Rows, names: Sequence[str], which: Integers
) -> tuple[Integers, NDArray[np.bool_]]:
    """The signs of the ops, and whether a random interpolation is bicubic."""
    rules = [dialect.argument_rules[name] for name in names]
    signed = np.flatnonzero(np.array([rule is not None and rule.signed for rule in rules])[which])
    signs = np.ones(len(rows), np.int64)
    signs[signed] = numbers.sign(rows[signed])
    if (policy.interpolation or dialect.interpolation) != "random":
        return signs, np.zeros(len(rows), np.bool_)
    return signs, numbers.sign(rows) > 0


def _made(
    policy: Any,
    dialect: Dialect,
    scene: Scenes,
    names: Sequence[str],
    rows: Rows,
    which: Integers,
    m: Floats,
    signs: Integers,
    fine: NDArray[np.bool_],
) -> list[Some]:
    """The ops of each name together."""
    fill = dialect.fill if policy.fill is None else policy.fill
    interpolation: Any = policy.interpolation or dialect.interpolation
    together: Any = build_op
    found: list[Some] = []
    for index in np.flatnonzero(np.bincount(which, minlength=len(names))).tolist():
        name, there = names[index], np.flatnonzero(which == index)
        here = rows[there]
        arguments = _arguments(dialect, name, m[there], signs[there], scene, here)
        if name not in GEOMETRY:
            found += [cursors.Some(here, op) for op in together(name, arguments, scene, interpolation, fill)]
            continue
        kinds: dict[str, Any] = {interpolation: slice(None)}
        if interpolation == "random":
            kinds = {"bicubic": fine[there], "bilinear": ~fine[there]}
        for kind, of_kind in kinds.items():
            some, those = here[of_kind], arguments[of_kind]
            if name == "rotate":  # that is another kind of op at some angles
                turned = warps.rotated(scene.taken(some), those, kind, fill)
                found += [cursors.Some(some[part.rows], part.item) for part in turned]
            elif len(some):
                found += [cursors.Some(some, op) for op in together(name, those, scene.taken(some), kind, fill)]
    return found


def _arguments(dialect: Dialect, name: str, m: Floats, signs: Integers, scene: Scenes, rows: Rows) -> Floats:
    """As `op_argument`."""
    rule = dialect.argument_rules[name]
    if rule is None:
        return np.zeros(len(rows))
    sides = (scene.width if name.endswith("_x") else scene.height)[rows]
    computed = map(rule.compute, m.tolist(), signs.tolist(), sides.tolist())
    return np.fromiter(computed, np.float64, len(rows)) + 0.0
