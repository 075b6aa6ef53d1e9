"""Makes the views of an image: which combinations of nodes and which draws they have, their plans and weights."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from augreg.execution.passes import passes
from augreg.execution.plan import Plan
from augreg.execution.reading import read_once
from augreg.execution.run import RunSettings
from augreg.execution.samples import run, scene_of
from augreg.execution.sampling import Drawn, draw, expect
from augreg.ops import Op, Scene
from augreg.rng import address_of
from augreg.steps.enumeration import same_results
from augreg.steps.step import Step
from augreg.views.choices import ViewChoices
from augreg.views.combinations import Combination, combinations
from augreg.views.low_discrepancy import ViewStreams
from augreg.views.selection import named_paths
from augreg.views.views import View, Views
from augreg.views.weights import is_exact, places, weights

__all__ = ["make_views"]


class _Drawing(msgspec.Struct, frozen=True):
    """Draws the ops of one view for a scene: at `choices`, or by the test-time rules without."""

    steps: tuple[Step, ...]
    settings: RunSettings
    choices: ViewChoices | None

    def start(self, scene: Scene, alone: bool = False) -> tuple[Sequence[Op], Drawn]:
        """The merged ops for an image of this scene, and the draw that they come from."""
        drawn = expect(self.steps, scene) if self.choices is None else draw(self.steps, scene, self.choices)
        return passes(drawn, scene, self.settings.approximate, self.settings.max_pixels), drawn

    def plan(self, scene: Scene, title: str) -> Plan:
        """What is done to an image of this scene."""
        settings = msgspec.structs.replace(self.settings, address=self.choices)
        ops, drawn = self.start(scene)
        return Plan(tuple(ops), scene, tuple(drawn.entries), title, settings, drawn.scene, tuple(drawn.deferred))


_Found = tuple[tuple[Combination, ...], bool]
"""The combinations in the order of the views, and whether the test image is the first of them."""


def _combinations(
    steps: tuple[Step, ...], scene: Scene, only: tuple[str, ...] | None, approximate: bool, max_pixels: int
) -> _Found:
    found = combinations(steps, scene, only, lambda drawn: tuple(passes(drawn, scene, approximate, max_pixels)))
    test = tuple(passes(expect(steps, scene), scene, approximate, max_pixels))
    first = next((one for one in found if same_results(one.ops, test)), None)
    if first is None:
        return tuple(found), False
    return (first, *(one for one in found if one is not first)), True


_remembered = functools.lru_cache(maxsize=128)(_combinations)


def _combinations_of(
    steps: tuple[Step, ...], scene: Scene, only: tuple[str, ...] | None, settings: RunSettings
) -> _Found:
    """The combinations for images of this scene, which are found once."""
    arguments = steps, scene, only, settings.approximate, settings.max_pixels
    try:
        return _remembered(*arguments)
    except TypeError:  # an argument of a plugin's transform cannot be hashed
        return _combinations(*arguments)


def make_views(
    steps: tuple[Step, ...],
    settings: RunSettings,
    seed: int,
    given: Any,
    n: int,
    index: int | str = 0,
    only: str | Iterable[str] | None = None,
) -> Views:
    """The first `n` views of an image, or all if there are fewer. `settings` are those of a test image."""
    if isinstance(n, bool) or not hasattr(n, "__index__") or n.__index__() < 1:
        raise ValueError(f"the number of views must be a positive integer, got {n!r}")
    given = read_once(given, settings)
    scene = scene_of(given, settings)
    named = None if only is None else named_paths(steps, only)
    address = address_of(seed, index)
    test = _Drawing(steps, settings, None)
    found, test_is_first = _combinations_of(steps, scene, named, settings)
    chosen = list(itertools.islice(places(found, test_is_first), n.__index__()))
    views = []
    for number, (place, weight) in enumerate(zip(chosen, weights(found, chosen).tolist(), strict=True)):
        drawing = test
        drawn = False
        if place.draw is not None and place.node is not None:
            one = found[place.node]
            streams = ViewStreams(address.seed, address.index, number, place.node, place.draw)
            drawing = _Drawing(steps, settings, ViewChoices(streams, one.choices, named))
            drawn = one.drawn
        plan = drawing.plan(scene, f"view {number}" if number else "view 0, the test image")
        compute = functools.partial(plan.run, given)
        if isinstance(given, Mapping):  # its other images may be of another kind, for which a plan does not stand
            compute = functools.partial(run, given, drawing.start, plan.settings)
        views.append(View(number, weight, plan, place.node, drawn, compute))
    return Views(views, is_exact(found, chosen))
