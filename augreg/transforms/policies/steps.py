"""Policies: tables and recipes over the ops, in the dialects of the libraries that people quote.

What a magnitude means is said in `dialects.py`, and how the dialects differ in `docs/policies.md`. At test time
all of them are left out, as in their papers.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from msgspec import Meta

from augreg import ops
from augreg.errors import ImageError
from augreg.steps.declare import transform
from augreg.steps.fields import Factor, Fill, Probability, Range, Shorthand
from augreg.steps.step import Step
from augreg.transforms.color import ColorJitter
from augreg.transforms.policies.dialects import DIALECTS, Way
from augreg.transforms.policies.dirichlet import dirichlet
from augreg.transforms.policies.drawing import UNIFORM, check_entry, check_noise, drawn, noisy
from augreg.transforms.policies.notation import Entry, Table, op_name, published, read
from augreg.transforms.policies.strings import read_timm

if TYPE_CHECKING:
    from augreg.ops import Op, Scene
    from augreg.rng import Cursor

_Policy = Annotated[
    str | Table, Shorthand(read, "the name of a table, or a table: lines of ShearX,0.9,7 / Invert,0.2,3")
]
_DialectName: TypeAlias = Literal["paper", "torchvision", "timm"]
_Level: TypeAlias = Annotated[float, Meta(ge=0, le=100)]
_Noise: TypeAlias = Annotated[float, Meta(ge=0, le=1000)]


def _names(given: Any) -> Any:
    """Names of ops, in either spelling."""
    if isinstance(given, str):
        given = [name.strip() for name in given.split(",")]
    return [op_name(name) for name in given] if isinstance(given, list | tuple) else given


_Names = Annotated[tuple[str, ...], Shorthand(_names, "names of ops")]


def _need_color(policy: Any, scene: Scene) -> None:
    """ImageError at the first image, not at the first draw of an op that needs color."""
    if scene.channels not in (1, 3):
        name = policy.__augreg__.name
        raise ImageError(f"{name} needs a gray or RGB image, and this one has {scene.channels} channels")


@transform(
    "auto_augment", kind="color",
    preview=({"policy": "cifar10"}, {"policy": "svhn-figure"}, {"policy": "imagenet", "dialect": "timm"}),
)  # fmt: skip
class AutoAugment:
    """Draw one sub-policy of a table, and apply each of its ops by its own chance.

    `policy` is cifar10, imagenet, svhn, svhn-figure (five examples that are often shown) or v0 (dialect timm), or a
    table of your own: [[[shear_x, 0.9, 7], [invert, 0.2, 3]], ..] or lines such as `ShearX,0.9,7 / Invert,0.2,3`.
    `dialect` says what a magnitude means, and how geometry interpolates and fills where that is not given. `m_std` is
    timm's noise of the magnitudes. Cubuk et al. 2019, arXiv 1805.09501.
    """

    policy: _Policy = "imagenet"
    dialect: _DialectName = "torchvision"
    interpolation: Way | None = None
    fill: Fill | None = None
    m_std: _Noise = 0.0

    @property
    def table(self) -> Table:
        """The sub-policies."""
        return published(self.policy) if isinstance(self.policy, str) else self.policy

    def check(self) -> None:
        dialect = DIALECTS["auto_augment", self.dialect]
        check_noise(self.dialect, self.m_std)
        for number, row in enumerate(self.table):
            for name, _, magnitude in row:
                check_entry(dialect, name, magnitude, f"sub-policy {number}: dialect {self.dialect}")

    def sample(self, rng: Cursor, scene: Scene) -> tuple[Op, ...]:
        _need_color(self, scene)
        table = self.table
        row = table[rng.integers(len(table))]
        return tuple(op for entry in row for op in self._entry(rng, scene, entry))

    def _entry(self, rng: Cursor, scene: Scene, entry: Entry) -> tuple[Op, ...]:
        name, chance, magnitude = entry
        if not rng.bernoulli(chance):
            return ()
        if self.m_std:
            magnitude = noisy(rng, magnitude, self.m_std)
        return drawn(
            rng, scene, DIALECTS["auto_augment", self.dialect], name, magnitude, self.interpolation, self.fill
        )


@transform(
    "rand_augment", kind="color", preview=({"m": 3}, {"m": 9}, {"n": 3, "m": 15}, {"n": 3, "m": 30}),
)  # fmt: skip
class RandAugment:
    """Apply `n` ops drawn from a list, all at magnitude `m`.

    m counts to 30 in torchvision's dialect and to 10 in timm's: m 9 of timm is three times as strong. In the paper's
    dialect it goes to 30 in parts of 10, beyond the ranges, as in the authors' code. `ops` names what is drawn from;
    with `weights` they are drawn by weight and without repetition. `chance` is that of each op: 1, and 0.5 in timm,
    where `m_std` is the noise of m (above 100: uniform from 0 to m) and `m_max` its upper bound (10).
    Cubuk et al. 2020, arXiv 1909.13719.
    """

    n: Annotated[int, Meta(ge=0, le=32)] = 2
    m: _Level = 9.0
    dialect: _DialectName = "torchvision"
    interpolation: Way | None = None
    fill: Fill | None = None
    chance: Probability | None = None
    ops: _Names | None = None
    weights: tuple[Annotated[float, Meta(ge=0)], ...] = ()
    m_std: Annotated[float, Meta(ge=0)] = 0.0
    m_max: _Level | None = None

    def check(self) -> None:
        dialect = DIALECTS["rand_augment", self.dialect]
        names = dialect.names if self.ops is None else self.ops
        check_noise(self.dialect, self.m_std)
        if self.m_max is not None and self.dialect != "timm":
            raise ValueError(
                f"m_max, the bound of m, is timm's; take dialect: timm, or leave it out of {self.dialect}"
            )
        if not names:
            raise ValueError("ops must name at least one op")
        for name in names:
            check_entry(dialect, name, self.m, f"dialect {self.dialect}")
        if self.weights and len(self.weights) != len(names):
            raise ValueError(f"there are {len(names)} ops and {len(self.weights)} weights")
        if self.weights and sum(weight > 0 for weight in self.weights) < self.n:
            raise ValueError(f"with weights no op is drawn twice, so n must be at most their number, got n {self.n}")

    def sample(self, rng: Cursor, scene: Scene) -> tuple[Op, ...]:
        _need_color(self, scene)
        dialect = DIALECTS["rand_augment", self.dialect]
        chance = dialect.chance if self.chance is None else self.chance
        found: list[Op] = []
        for name in self._chosen(rng, dialect.names if self.ops is None else self.ops):
            if rng.bernoulli(chance):
                bound = 10.0 if self.m_max is None else self.m_max
                m = noisy(rng, self.m, self.m_std, bound) if self.dialect == "timm" else self.m
                found += drawn(rng, scene, dialect, name, m, self.interpolation, self.fill)
        return tuple(found)

    def _chosen(self, rng: Cursor, names: tuple[str, ...]) -> list[str]:
        if not self.weights:
            return [names[rng.integers(len(names))] for _ in range(self.n)]
        left = list(self.weights)
        chosen = []
        for _ in range(self.n):
            index = rng.choice(left)
            left[index] = 0.0
            chosen.append(names[index])
        return chosen


@transform("trivial_augment_wide", kind="color", preview=({}, {"dialect": "paper"}))
class TrivialAugmentWide:
    """Apply one op drawn from fourteen, at a magnitude drawn from 31 over wide ranges.

    There is nothing to tune. Translations go to 32 pixels at any size. Müller and Hutter 2021, arXiv 2103.10158.
    """

    dialect: Literal["paper", "torchvision"] = "torchvision"
    interpolation: Way | None = None
    fill: Fill | None = None

    def sample(self, rng: Cursor, scene: Scene) -> tuple[Op, ...]:
        _need_color(self, scene)
        dialect = DIALECTS["trivial_augment_wide", self.dialect]
        name = dialect.names[rng.integers(len(dialect.names))]
        m = float(rng.integers(31))
        return drawn(rng, scene, dialect, name, m, self.interpolation, self.fill)


@transform("aug_mix", kind="color", preview=({"severity": 1}, {"severity": 3}, {"severity": 10, "width": 1}))
class AugMix:
    """Mix the image with several short chains of ops, by random shares.

    Each of `width` chains has `depth` ops, or 1 to 3 where none is given; the chains' shares are Dirichlet(alpha),
    and the image's own is Beta(alpha, alpha). `ops` are what is drawn from: in the paper's dialect the nine that do
    not occur in ImageNet-C, in the others thirteen. `severity` bounds the magnitudes, of 10. `m_std` is timm's noise
    of magnitudes, which are uniform without it. Hendrycks et al. 2020, arXiv 1912.02781.
    """

    severity: Annotated[float, Meta(ge=1, le=10)] = 3.0
    width: Annotated[int, Meta(ge=1, le=32)] = 3
    depth: Annotated[int, Meta(ge=1, le=32)] | None = None
    alpha: Annotated[float, Meta(ge=0.01, le=1000)] = 1.0
    dialect: _DialectName = "paper"
    interpolation: Way | None = None
    fill: Fill | None = None
    ops: _Names | None = None
    m_std: _Noise | None = None

    def check(self) -> None:
        dialect = DIALECTS["aug_mix", self.dialect]
        check_noise(self.dialect, self.m_std)
        if self.ops == ():
            raise ValueError("ops must name at least one op")
        for name in self.ops or ():
            check_entry(dialect, name, 0.0, f"dialect {self.dialect}")
        if dialect.whole and self.severity != int(self.severity):
            raise ValueError(f"severity must be a whole number in dialect {self.dialect}, got {self.severity:g}")

    def sample(self, rng: Cursor, scene: Scene) -> Op:
        _need_color(self, scene)
        shares = dirichlet(rng, self.alpha, self.width)
        keep = dirichlet(rng, self.alpha, 2)[0]
        branches = tuple(self._chain(rng, scene) for _ in range(self.width))
        said = [f"{share:.2f} ({', '.join(map(str, chain))})" for share, chain in zip(shares, branches, strict=True)]
        return ops.BranchMix(branches, shares, keep, label=f"{keep:.2f} kept, mixed with {' + '.join(said)}")

    def _chain(self, rng: Cursor, scene: Scene) -> tuple[Op, ...]:
        dialect = DIALECTS["aug_mix", self.dialect]
        names = dialect.names if self.ops is None else self.ops
        found: list[Op] = []
        for _ in range(self.depth or 1 + rng.integers(3)):
            name = names[rng.integers(len(names))]
            found += drawn(rng, scene, dialect, name, self._magnitude(rng), self.interpolation, self.fill)
        return tuple(found)

    def _magnitude(self, rng: Cursor) -> float:
        if self.dialect == "torchvision":
            return float(rng.integers(int(self.severity)))  # one of the first bins of ten
        if self.dialect == "timm":
            return noisy(rng, self.severity, 2 * UNIFORM if self.m_std is None else self.m_std)
        return rng.uniform(0.1, self.severity)


@transform("three_augment", kind="color", preview=({"jitter": 0.0}, {}, {"jitter": 0.6}))
class ThreeAugment:
    """Apply one of grayscale, solarize and Gaussian blur, then a color jitter.

    `jitter` is that of brightness, contrast and saturation: a bare 0.3 means factors in [0.7, 1.3].
    Touvron et al. 2022, arXiv 2204.07118.
    """

    jitter: Factor = (0.7, 1.3)
    threshold: Annotated[float, Meta(ge=0, le=256)] = 128.0
    sigma: Range = (0.1, 2.0)

    def check(self) -> None:
        if self.sigma[0] < 0 or self.sigma[1] > 256:
            raise ValueError(f"sigma must lie within 0 and 256 pixels, got {list(self.sigma)}")

    def sample(self, rng: Cursor, scene: Scene) -> tuple[Op | Step, ...]:
        _need_color(self, scene)
        which = rng.integers(3)
        if which == 0:
            first: Op = ops.Enhance("gray", 0.0, label="grayscale")
        elif which == 1:
            first = ops.point_function("solarize", self.threshold)
        else:
            first = ops.gaussian_blur(rng.uniform(*self.sigma))
        if self.jitter == (1.0, 1.0):
            return (first,)
        return first, Step(ColorJitter(self.jitter, self.jitter, self.jitter), "color_jitter")


_KINDS = {
    "auto_augment": AutoAugment,
    "rand_augment": RandAugment,
    "aug_mix": AugMix,
    "three_augment": ThreeAugment,
}


@functools.lru_cache(maxsize=64)
def _meant(policy: str, interpolation: Way | None, fill: ops.PixelValues | None) -> Any:
    """The transform that a policy string of timm means."""
    name, arguments = read_timm(policy)
    if name != "three_augment":
        arguments |= {"interpolation": interpolation, "fill": fill}
    return _KINDS[name](**arguments)


@transform(
    "timm_policy", kind="color",
    preview=tuple({"policy": text} for text in ("3a", "augmix-m3-w3", "original", "rand-m9-mstd0.5-inc1")),
)  # fmt: skip
class TimmPolicy:
    """Do what a policy string of timm says, such as rand-m9-mstd0.5-inc1.

    It starts with rand, augmix, original, originalr, v0, v0r or 3a, and its sections are read strictly: what timm
    does not know is refused. timm's recipes fill with the mean color of their data: `fill: imagenet`. Where a
    magnitude leaves no bit to posterize, the image becomes black.
    """

    policy: str
    interpolation: Way | None = None
    fill: Fill | None = None

    def check(self) -> None:
        _meant(self.policy, self.interpolation, self.fill)

    def sample(self, rng: Cursor, scene: Scene) -> Any:
        return _meant(self.policy, self.interpolation, self.fill).sample(rng, scene)
