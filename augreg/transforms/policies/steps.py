"""Transforms for augmentation policies: AutoAugment, RandAugment, TrivialAugment, AugMix, 3-Augment, timm's strings.

`dialects.py` defines what a magnitude means, and docs/policies.md compares the dialects. None of these transforms is
applied at test time, as in their papers.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from msgspec import Meta

from augreg import lazy, ops
from augreg.steps.declare import transform
from augreg.steps.fields import Converted, Factor, Fill, Probability, Range, Shorthand
from augreg.steps.step import Step
from augreg.transforms.color import ColorJitter
from augreg.transforms.dirichlet import dirichlet
from augreg.transforms.policies.dialects import DIALECTS, InterpolationMode, check_entry
from augreg.transforms.policies.notation import Table, load_table, op_name, read_policy
from augreg.transforms.policies.sampling import (
    UNIFORM,
    check_channels,
    check_magnitude_noise,
    noisy_magnitude,
    sample_op,
)
from augreg.transforms.policies.timm_strings import parse_timm
from augreg.transforms.ranges import check_range, check_weights

if TYPE_CHECKING:
    from augreg.columns.cursors import Cursors
    from augreg.columns.records import Scenes
    from augreg.ops import Op, Scene
    from augreg.rng import Cursor

_Policy = Annotated[
    Converted[str | Table],
    Shorthand(read_policy, "the name of a table, or a table: lines of ShearX,0.9,7 / Invert,0.2,3"),
]
_DialectName: TypeAlias = Literal["paper", "torchvision", "timm"]
_Magnitude: TypeAlias = Annotated[float, Meta(ge=0, le=100)]
_MagnitudeStd: TypeAlias = Annotated[float, Meta(ge=0, le=1000)]


def _op_names(value: Any) -> Any:
    """The canonical names of ops."""
    if isinstance(value, str):
        value = [name.strip() for name in value.split(",")]
    return [op_name(name) for name in value] if isinstance(value, list | tuple) else value


_OpNames = Annotated[Converted[tuple[str, ...]], Shorthand(_op_names, "names of ops")]


@transform(
    "auto_augment", kind="color",
    preview=({"policy": "cifar10"}, {"policy": "imagenet"}, {"policy": "imagenet", "dialect": "timm"}),
)  # fmt: skip
class AutoAugment:
    """Apply a random sub-policy of an AutoAugment table: a few ops, each with its own probability and magnitude.

    `policy` is cifar10, imagenet, svhn, svhn-figure (five examples that are often shown) or v0 (needs dialect timm),
    or your own table: [[[shear_x, 0.9, 7], [invert, 0.2, 3]], ..] or lines such as `ShearX,0.9,7 / Invert,0.2,3`.
    `dialect` decides what a magnitude means, and the defaults of `interpolation` and `fill`, which geometric ops use.
    `m_std` is the standard deviation of timm's noise on the magnitude. Cubuk et al. 2019, arXiv 1805.09501.
    """

    policy: _Policy = "imagenet"
    dialect: _DialectName = "torchvision"
    interpolation: InterpolationMode | None = None
    fill: Fill | None = None
    m_std: _MagnitudeStd = 0.0

    @property
    def table(self) -> Table:
        """The sub-policies."""
        return load_table(self.policy) if isinstance(self.policy, str) else self.policy

    def check(self) -> None:
        dialect = DIALECTS["auto_augment", self.dialect]
        check_magnitude_noise(self.dialect, self.m_std)
        for number, row in enumerate(self.table):
            for name, _, magnitude in row:
                check_entry(dialect, name, magnitude, f"sub-policy {number}: dialect {self.dialect}")

    def sample(self, rng: Cursor, scene: Scene) -> tuple[Op, ...]:
        check_channels(self, scene)
        table = self.table
        row = table[rng.integers(len(table))]
        dialect = DIALECTS["auto_augment", self.dialect]
        sampled: list[Op] = []
        for name, p, magnitude in row:
            if rng.bernoulli(p):
                if self.m_std:
                    magnitude = noisy_magnitude(rng, magnitude, self.m_std)
                sampled += sample_op(rng, scene, dialect, name, magnitude, self.interpolation, self.fill)
        return tuple(sampled)

    sample_columns = lazy.method("augreg.transforms.policies.columns", "auto_augment")


@transform(
    "rand_augment", kind="color", preview=({"m": 3}, {"m": 9}, {"n": 3, "m": 15}, {"n": 3, "m": 30}),
)  # fmt: skip
class RandAugment:
    """Apply `n` random ops, all at magnitude `m`.

    The scale of `m` ends at 30 in dialect torchvision and at 10 in dialect timm, so m: 9 is three times as strong in
    timm. In dialect paper, 10 is the end of each range, and m may go up to 30, beyond the ranges, as in the authors'
    code. `ops` lists the ops to draw from, uniformly and with repetition; with `weights` they are drawn by weight,
    without repetition. `chance` is the probability that a drawn op is applied: by default 1, in timm 0.5. Only timm
    has `m_std`, the standard deviation of the noise on m (above 100: uniform from 0 to m), and `m_max`, the upper
    bound of m (by default 10). Cubuk et al. 2020, arXiv 1909.13719.
    """

    n: Annotated[int, Meta(ge=0, le=32)] = 2
    m: _Magnitude = 9.0
    dialect: _DialectName = "torchvision"
    interpolation: InterpolationMode | None = None
    fill: Fill | None = None
    chance: Probability | None = None
    ops: _OpNames | None = None
    weights: tuple[Annotated[float, Meta(ge=0)], ...] = ()
    m_std: Annotated[float, Meta(ge=0)] = 0.0
    m_max: _Magnitude | None = None

    def check(self) -> None:
        dialect = DIALECTS["rand_augment", self.dialect]
        names = dialect.ops if self.ops is None else self.ops
        check_magnitude_noise(self.dialect, self.m_std)
        if self.m_max is not None and self.dialect != "timm":
            raise ValueError(
                f"m_max, the upper bound of m, needs dialect: timm; leave it out for dialect {self.dialect}"
            )
        if not names:
            raise ValueError("ops must name at least one op")
        for name in names:
            check_entry(dialect, name, self.m, f"dialect {self.dialect}")
        check_weights(self.weights, len(names), "ops")
        if self.weights and sum(weight > 0 for weight in self.weights) < self.n:
            raise ValueError(f"with weights no op is drawn twice, so n must be at most their number, got {self.n}")

    def sample(self, rng: Cursor, scene: Scene) -> tuple[Op, ...]:
        check_channels(self, scene)
        dialect = DIALECTS["rand_augment", self.dialect]
        p = dialect.probability if self.chance is None else self.chance
        m_max = 10.0 if self.m_max is None else self.m_max
        sampled: list[Op] = []
        for name in self._sample_names(rng, dialect.ops if self.ops is None else self.ops):
            if rng.bernoulli(p):
                m = noisy_magnitude(rng, self.m, self.m_std, m_max) if self.dialect == "timm" else self.m
                sampled += sample_op(rng, scene, dialect, name, m, self.interpolation, self.fill)
        return tuple(sampled)

    sample_columns = lazy.method("augreg.transforms.policies.columns", "rand_augment")

    def _sample_names(self, rng: Cursor, names: tuple[str, ...]) -> list[str]:
        if not self.weights:
            return [names[rng.integers(len(names))] for _ in range(self.n)]
        weights = list(self.weights)
        chosen = []
        for _ in range(self.n):
            index = rng.choice(weights)
            weights[index] = 0.0
            chosen.append(names[index])
        return chosen


@transform("trivial_augment_wide", kind="color", preview=({}, {"dialect": "paper"}))
class TrivialAugmentWide:
    """Apply one of 14 ops, at one of 31 magnitudes over wide ranges, both drawn uniformly.

    There is nothing to tune. Translations go up to 32 pixels, whatever the size of the image.
    Müller and Hutter 2021, arXiv 2103.10158.
    """

    dialect: Literal["paper", "torchvision"] = "torchvision"
    interpolation: InterpolationMode | None = None
    fill: Fill | None = None

    def sample(self, rng: Cursor, scene: Scene) -> tuple[Op, ...]:
        check_channels(self, scene)
        dialect = DIALECTS["trivial_augment_wide", self.dialect]
        name = dialect.ops[rng.integers(len(dialect.ops))]
        m = float(rng.integers(31))
        return sample_op(rng, scene, dialect, name, m, self.interpolation, self.fill)

    sample_columns = lazy.method("augreg.transforms.policies.columns", "trivial_augment_wide")


@transform("aug_mix", kind="color", preview=({"severity": 1}, {"severity": 3}, {"severity": 10, "width": 1}))
class AugMix:
    """Mix the image with copies of it, each changed by a chain of random ops, with random weights.

    The result is keep * image + (1 - keep) * sum(w[i] * chain[i]): `width` chains with weights w from
    Dirichlet(alpha), and keep from Beta(alpha, alpha). A chain has `depth` ops, by default a random number from 1 to
    3. `ops` lists the ops to draw from: by default the nine that do not occur in ImageNet-C in dialect paper, and
    thirteen in the others. Magnitudes are uniform up to `severity`, on a scale of 10. With `m_std` (only in dialect
    timm), they are normal around `severity` with this standard deviation, or uniform if it is above 100. Hendrycks et
    al. 2020, arXiv 1912.02781.
    """

    severity: Annotated[float, Meta(ge=1, le=10)] = 3.0
    width: Annotated[int, Meta(ge=1, le=32)] = 3
    depth: Annotated[int, Meta(ge=1, le=32)] | None = None
    alpha: Annotated[float, Meta(ge=0.01, le=1000)] = 1.0
    dialect: _DialectName = "paper"
    interpolation: InterpolationMode | None = None
    fill: Fill | None = None
    ops: _OpNames | None = None
    m_std: _MagnitudeStd | None = None

    def check(self) -> None:
        dialect = DIALECTS["aug_mix", self.dialect]
        check_magnitude_noise(self.dialect, self.m_std)
        if self.ops == ():
            raise ValueError("ops must name at least one op")
        for name in self.ops or ():
            check_entry(dialect, name, 0.0, f"dialect {self.dialect}")
        if dialect.integer_magnitudes and self.severity != int(self.severity):
            raise ValueError(f"severity must be an integer in dialect {self.dialect}, got {self.severity:g}")

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        check_channels(self, scene)
        weights = dirichlet(rng, self.alpha, self.width)
        keep = dirichlet(rng, self.alpha, 2)[0]
        chains = tuple(self._chain(rng, scene) for _ in range(self.width))
        return ops.mix(chains, weights, keep)

    sample_columns = lazy.method("augreg.transforms.policies.columns", "aug_mix")

    def _chain(self, rng: Cursor, scene: Scene) -> tuple[Op, ...]:
        dialect = DIALECTS["aug_mix", self.dialect]
        names = dialect.ops if self.ops is None else self.ops
        chain: list[Op] = []
        for _ in range(self.depth or 1 + rng.integers(3)):
            name = names[rng.integers(len(names))]
            chain += sample_op(rng, scene, dialect, name, self._magnitude(rng), self.interpolation, self.fill)
        return tuple(chain)

    def _magnitude(self, rng: Cursor) -> float:
        if self.dialect == "torchvision":
            return float(rng.integers(int(self.severity)))  # one of the first of ten bins
        if self.dialect == "timm":
            return noisy_magnitude(rng, self.severity, 2 * UNIFORM if self.m_std is None else self.m_std)
        return rng.uniform(0.1, self.severity)


@transform("three_augment", kind="color", preview=({"jitter": 0.0}, {}, {"jitter": 0.6}))
class ThreeAugment:
    """Apply grayscale, solarize or Gaussian blur, each equally likely, and then a color jitter.

    `threshold` is where solarize inverts, on the 0..256 scale. `sigma` is the standard deviation of the blur in
    pixels, drawn uniformly. `jitter` is the range of the brightness, contrast and saturation factors: 0.3 means
    [0.7, 1.3]. Touvron et al. 2022, arXiv 2204.07118.
    """

    jitter: Factor = (0.7, 1.3)
    threshold: Annotated[float, Meta(ge=0, le=256)] = 128.0
    sigma: Range = (0.1, 2.0)

    def check(self) -> None:
        check_range("sigma", self.sigma, 0, 256, " pixels")

    def sample(self, rng: Cursor, scene: Scene) -> tuple[Op | Step, ...]:
        check_channels(self, scene)
        choice = rng.integers(3)
        if choice == 0:
            first: Op = ops.Enhance("gray", 0.0, label="grayscale")
        elif choice == 1:
            first = ops.point_function("solarize", self.threshold)
        else:
            first = ops.gaussian_blur(rng.uniform(*self.sigma))
        return first, *self.jitters

    sample_columns = lazy.method("augreg.transforms.policies.columns", "three_augment")

    @property
    def jitters(self) -> tuple[Step, ...]:
        """The color jitter, if it changes anything."""
        if self.jitter == (1.0, 1.0):
            return ()
        return (Step(ColorJitter(self.jitter, self.jitter, self.jitter), "color_jitter"),)


_TimmTransform: TypeAlias = AutoAugment | RandAugment | AugMix | ThreeAugment
_CLASSES: dict[str, type[_TimmTransform]] = {
    "auto_augment": AutoAugment,
    "rand_augment": RandAugment,
    "aug_mix": AugMix,
    "three_augment": ThreeAugment,
}


@functools.lru_cache(maxsize=64)
def _timm_transform(
    policy: str, interpolation: InterpolationMode | None, fill: ops.PixelValues | None
) -> _TimmTransform:
    """The transform that a policy string of timm means."""
    name, arguments = parse_timm(policy)
    if name != "three_augment":
        arguments |= {"interpolation": interpolation, "fill": fill}
    return _CLASSES[name](**arguments)


@transform(
    "timm_policy", kind="color",
    preview=tuple({"policy": text} for text in ("3a", "rand-m9-mstd0.5-inc1", "original", "augmix-m3-w3")),
)  # fmt: skip
class TimmPolicy:
    """Apply the policy of a timm string, such as rand-m9-mstd0.5-inc1.

    The string starts with rand, augmix, original, originalr, v0, v0r or 3a. It is parsed strictly: an unknown section
    is an error. timm's training scripts fill with the mean color of their dataset: `fill: imagenet`. Where the
    magnitude of posterize means 0 bits, the image becomes black.
    """

    policy: str
    interpolation: InterpolationMode | None = None
    fill: Fill | None = None

    def check(self) -> None:
        _timm_transform(self.policy, self.interpolation, self.fill)

    def sample(self, rng: Cursor, scene: Scene) -> Op | tuple[Op | Step, ...]:
        return _timm_transform(self.policy, self.interpolation, self.fill).sample(rng, scene)

    def sample_columns(self, rng: Cursors, scene: Scenes) -> Any:
        chosen: Any = _timm_transform(self.policy, self.interpolation, self.fill)
        return chosen.sample_columns(rng, scene)
