"""A mixture: what was drawn for a batch, to print, to inspect, or to apply."""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Iterable
from itertools import islice
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from augreg import notebook
from augreg.batch.blends import Blend, Mix, Paste, SourceWeights
from augreg.batch.shapes import Copy
from augreg.batch.visibility import visible_columns, visible_fractions
from augreg.execution.sampling import DrawKind, Entry, draw
from augreg.ops import Scene
from augreg.rng import Address, Cursor
from augreg.steps.step import Step

__all__ = ["Mixture", "draw_mixture"]

_SHOWN = 8  # images that a printed mixture lists


class Mixture(msgspec.Struct, frozen=True, dict=True):
    """What each step drew for a batch of `count` images of height x width, in order."""

    count: int
    height: int
    width: int
    entries: tuple[Entry, ...] = ()
    title: str = ""

    @functools.cached_property
    def blends(self) -> tuple[Blend, ...]:
        """The blends in the order in which they are applied, without those that change nothing."""
        return tuple(blend for entry in self.entries for blend in entry.ops if blend.changes)

    @property
    def averages(self) -> bool:
        """Whether pixel values are averaged, which the class ids of a mask cannot be."""
        return any(isinstance(blend, Mix) for blend in self.blends)

    def source_weights(self) -> list[SourceWeights]:
        """For each image, the images that are visible in it, itself first, and their weights in its label."""
        return visible_fractions(self.blends, self.count, self.height, self.width)

    def sources_and_weights(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """`source_weights` as two N x K tables; short rows are filled with the image itself at weight 0."""
        return visible_columns(self.blends, self.count, self.height, self.width)

    def __str__(self) -> str:
        lines = [f"{self.title}: a batch of {self.count}, {self.height}x{self.width}"]
        for entry in self.entries:
            done = ", ".join(map(_described, entry.ops)) if entry.applied else "not this time"
            lines.append(f"  {'  ' * entry.depth}{entry.name}  p {entry.p:g}  {done}".rstrip())
        if not self.blends:
            lines.append("  nothing is mixed")
            return "\n".join(lines)
        copies = [blend for blend in self.blends if isinstance(blend, Copy)]
        if copies:  # how much of each is visible depends on the masks of a batch
            return "\n".join([*lines, *_copied(copies, self.count)])
        for i, row in islice(enumerate(self.source_weights()), _SHOWN):
            parts = " + ".join(f"{weight:.4g} of {source}" for source, weight in row.items() if weight)
            lines.append(f"  image {i}: {parts}")
        if self.count > _SHOWN:
            lines.append(f"  and {self.count - _SHOWN} more")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """For notebooks."""
        title, _, text = str(self).partition("\n")
        return notebook.lines(title, textwrap.dedent(text))


def _copied(copies: Iterable[Copy], count: int) -> list[str]:
    """The partners of each image, as lines."""
    lines = []
    for i in range(min(count, _SHOWN)):
        partners = [str(source) for blend in copies for source in blend.reads().get(i, ())]
        if partners:
            lines.append(f"  image {i}: with instances of {' and '.join(partners)}")
    return [*lines, f"  and {count - _SHOWN} more"] if count > _SHOWN else lines


def _described(blend: Blend) -> str:
    if isinstance(blend, Mix) and len(set(blend.weights)) == 1:
        return f"{blend}, {blend.weights[0]:.4g} of each its own"
    if isinstance(blend, Paste) and len({patch.box for patch in blend.patches}) == 1:
        top, left, height, width = blend.patches[0].box
        return f"{blend}, {height}x{width} at ({top}, {left})"
    return str(blend)


def draw_mixture(steps: Iterable[Step], count: int, scene: Scene, address: Address, title: str) -> Mixture:
    """Sample the steps for a batch of `count` images. Raises SpecError where a step fails or returns no blend."""

    def sample(step: Step, rng: Cursor, scene: Scene) -> Any:
        mixes = step.transform.__augreg__.kind == "mixing"
        result = step.transform.sample(rng, count, scene) if mixes else step.transform.sample(rng, scene)
        for part in result if isinstance(result, tuple) else (result,):
            if isinstance(part, Blend):
                part.check(count, *scene.size)
        return result

    name = f"a batch of {count} images of {{0.height}}x{{0.width}}"
    drawn = draw(steps, scene, address, DrawKind(Blend, "a blend", name, sample))
    return Mixture(count, *scene.size, tuple(drawn.entries), title)
