"""Test-time views of an image: what training may show of it, as a few images with weights."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

import msgspec
import numpy as np
from numpy.typing import NDArray

from augreg import notebook
from augreg.errors import ImageError
from augreg.execution.budget import within_budget
from augreg.execution.merging import merge
from augreg.execution.plan import Plan
from augreg.execution.run import RunSettings
from augreg.execution.samples import run, scene_of
from augreg.execution.sampling import Drawn, draw, expect
from augreg.ops import Op, Scene
from augreg.rng import address_of
from augreg.steps.step import Step
from augreg.views.choices import ViewChoices
from augreg.views.low_discrepancy import ViewStreams
from augreg.views.nodes import combinations
from augreg.views.weights import Place, is_exact, places, weights

__all__ = ["View", "Views", "make_views"]


class View:
    """One view of an image: its `number`, its `weight`, its `plan`, and its `image`, which is computed when it is read.

    `image` is what `pipe.test` would return: an image, or a sample for a sample. `node` is the number of the view's
    combination of quadrature nodes: views with the same number differ in what was drawn only. It is None for a test
    image that is none of these combinations. `drawn` says whether random numbers were drawn for it.
    """

    number: int
    weight: float
    plan: Plan
    node: int | None
    drawn: bool

    def __init__(
        self, number: int, weight: float, plan: Plan, node: int | None, drawn: bool, given: Any, drawing: Drawing
    ) -> None:
        self.number = number
        self.weight = weight
        self.plan = plan
        self.node = node
        self.drawn = drawn
        self._given = given
        self._drawing = drawing

    @functools.cached_property
    def image(self) -> Any:
        """The image, or the sample, of this view."""
        return self._drawing.run(self._given, self.plan.settings)

    def __str__(self) -> str:
        return f"view {self.number}, weight {self.weight:.4f}: {_words(self)}"

    __repr__ = __str__


class Views(Sequence[View]):
    """The views of one image, in order of importance; view 0 is the test image. Made by `pipe.views`.

    `weights` are float64 and sum to one; `exact` says whether the mean of anything over the views, with these weights,
    is its exact expectation over what the steps draw in training.
    """

    exact: bool

    def __init__(self, views: Sequence[View], exact: bool) -> None:
        self._views = tuple(views)
        self.exact = exact

    @overload
    def __getitem__(self, place: int) -> View: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[View, ...]: ...
    def __getitem__(self, place: int | slice) -> View | tuple[View, ...]:
        return self._views[place]

    def __len__(self) -> int:
        return len(self._views)

    @functools.cached_property
    def weights(self) -> NDArray[np.float64]:
        """The weights of the views: float64, they sum to one."""
        return np.array([view.weight for view in self._views], np.float64)

    @property
    def images(self) -> Any:
        """The images as one array (or a tensor, if they are tensors): views first, then the shape of an image.

        PIL images become arrays. Raises ValueError if the views differ in size, or if they are samples.
        """
        images = [view.image for view in self._views]
        if isinstance(images[0], Mapping):
            raise ValueError(
                "views of a sample are mappings, which cannot be stacked: read `view.image` of each view"
            )
        if hasattr(images[0], "new_empty"):  # a tensor
            shapes = [tuple(image.shape) for image in images]
        else:
            images = [np.asarray(image) for image in images]
            shapes = [image.shape for image in images]
        if len(set(shapes)) > 1:
            sizes = ", ".join("x".join(map(str, shape)) for shape in dict.fromkeys(shapes))
            raise ValueError(
                f"the views differ in size ({sizes}), so they cannot be stacked: read `view.image` of each view, "
                "or end the pipeline with a step that leads to one size"
            )
        if hasattr(images[0], "new_empty"):
            stacked = images[0].new_empty((len(images), *shapes[0]))
            for place, image in enumerate(images):
                stacked[place] = image
            return stacked
        return np.stack(images)

    def __str__(self) -> str:
        rows = [("view", "weight", "drawn"), *self._rows()]
        widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
        lines = [f"{row[0]:>{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]}".rstrip() for row in rows]
        return "\n".join([self._headline(), *lines])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """For notebooks."""
        return notebook.table(self._headline(), ("view", "weight", "drawn"), self._rows())

    def _headline(self) -> str:
        scene = self._views[0].plan.scene
        count = f"{len(self)} view{'s' * (len(self) != 1)}"
        mean = "the exact expectation" if self.exact else "an approximation of the expectation"
        return f"{count} of a {scene.height}x{scene.width} image; their weighted mean is {mean}"

    def _rows(self) -> Iterator[tuple[str, str, str]]:
        for view in self._views:
            yield str(view.number), f"{view.weight:.4f}", _words(view)


def _words(view: View) -> str:
    """What was drawn for a view, step by step."""
    if view.number == 0:
        return "the test image"
    words = []
    for entry in view.plan.entries:
        if entry.rule:  # it follows its test-time rule
            continue
        done = ", ".join(map(str, entry.ops))
        if done or not entry.applied:
            words.append(f"{entry.name}: {done or 'not applied'}")
    return "; ".join(words) or "nothing"


class Drawing(msgspec.Struct, frozen=True):
    """Draws the ops of one view for a scene: at `choices`, or by the test-time rules without."""

    steps: tuple[Step, ...]
    settings: RunSettings
    choices: ViewChoices | None

    def start(self, scene: Scene) -> tuple[tuple[Op, ...], Drawn]:
        """The merged ops for an image of this scene, and the draw that they come from."""
        drawn = expect(self.steps, scene) if self.choices is None else draw(self.steps, scene, self.choices)
        return merged(drawn, scene, self.settings), drawn

    def plan(self, scene: Scene, title: str) -> Plan:
        """What is done to an image of this scene."""
        settings = msgspec.structs.replace(self.settings, address=self.choices)
        ops, drawn = self.start(scene)
        return Plan(ops, scene, tuple(drawn.entries), title, settings, drawn.scene, tuple(drawn.deferred))

    def run(self, given: Any, settings: RunSettings) -> Any:
        """The image, or the sample, of the view."""
        return run(given, self.start, settings)


def merged(drawn: Drawn, scene: Scene, settings: RunSettings) -> tuple[Op, ...]:
    """The ops that run for a draw."""
    return within_budget(merge(drawn.ops, scene, settings.approximate), scene, settings.max_pixels)


def make_views(
    steps: tuple[Step, ...],
    settings: RunSettings,
    seed: int,
    given: Any,
    n: int,
    index: int | str = 0,
    only: Sequence[str] | None = None,
) -> Views:
    """The first `n` views of an image, or all if there are fewer. `settings` are those of a test image."""
    if isinstance(n, bool) or not hasattr(n, "__index__") or n.__index__() < 1:
        raise ValueError(f"the number of views must be a positive integer, got {n!r}")
    given = _rereadable(given)
    scene = scene_of(given, settings)
    named = None if only is None else tuple(only)
    address = address_of(seed, index)
    test = Drawing(steps, settings, None)
    found = combinations(steps, scene, named, lambda drawn: merged(drawn, scene, settings))
    ops = test.start(scene)[0]
    first = next((one for one in found if one.ops == ops), None)
    if first is not None:
        found.remove(first)
        found.insert(0, first)
    chosen = list(itertools.islice(places(found, first is not None), n.__index__()))
    views = []
    for number, (place, weight) in enumerate(zip(chosen, weights(found, chosen).tolist(), strict=True)):
        drawing = test
        drawn = False
        if place.draw is not None and place.node is not None:
            one = found[place.node]
            streams = ViewStreams(address.seed, address.index, number, place.node, place.draw)
            drawing = Drawing(steps, settings, ViewChoices(streams, one.choices, named))
            drawn = one.drawn
        title = f"view {number}" if number else "view 0, the test image"
        views.append(View(number, weight, drawing.plan(scene, title), place.node, drawn, given, drawing))
    return Views(views, is_exact(found, chosen))


def _rereadable(given: Any) -> Any:
    """The image or sample, with the bytes of open files in place of the files, which can be read only once."""
    if isinstance(given, Mapping):
        return {key: _rereadable(value) for key, value in given.items()}
    if callable(getattr(given, "read", None)):
        try:
            return given.read()
        except Exception as error:
            raise ImageError(f"{type(given).__name__}: cannot be read: {error}") from error
    return given
