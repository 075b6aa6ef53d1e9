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


def aug_mix(policy: Any, rng: Cursors, scene: Scenes) -> Any:
    """A mix for each image. With an `alpha` other than 1, weights use any number of words: one by one."""
    check_channels(policy, scene)
    if policy.alpha != 1.0:
        return NotImplemented
    weights, keep = _dirichlet(rng, policy.width), _dirichlet(rng, 2)[0]
    dialect = DIALECTS["aug_mix", policy.dialect]
    names = dialect.ops if policy.ops is None else policy.ops
    longest, count = policy.depth or 3, len(scene)
    numbers = ragged.Ragged(rng, policy.width * (1 + longest * (1 + _WORDS_OF_AN_OP)))
    everyone = np.arange(count)
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


def _dirichlet(rng: Cursors, count: int) -> tuple[Floats, ...]:
    """As `dirichlet` with an alpha of 1."""
    logs = []
    for _ in range(count):
        exponential = -cursors.exactly(math.log1p, -rng.random())
        logs.append(cursors.exactly(math.log, np.where(exponential == 0.0, 1e-300, exponential)))
    largest = np.max(logs, axis=0)
    weights = [cursors.exactly(math.exp, log - largest) for log in logs]
    total = np.array([math.fsum(each) for each in zip(*[weight.tolist() for weight in weights], strict=True)])
    return tuple([weight / total for weight in weights])


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
    """As `op_argument`; each argument is computed once."""
    rule = dialect.argument_rules[name]
    if rule is None:
        return np.zeros(len(rows))
    sides = (scene.width if name.endswith("_x") else scene.height)[rows]
    keys = list(zip(m.tolist(), signs.tolist(), sides.tolist(), strict=True))
    known = {key: rule.compute(*key) + 0.0 for key in set(keys)}
    return np.array([known[key] for key in keys], np.float64)
