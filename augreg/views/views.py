"""Test-time views of an image: what training may show of it, as a few images with weights."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from augreg import notebook
from augreg.execution.plan import Plan
from augreg.views.restoring.of_views import RestoringViews

__all__ = ["View", "Views"]


class View:
    """One view of an image: its `number`, its `weight`, its `plan`, and its `image`.

    `node` is the number of the view's combination of quadrature nodes: views with the same number differ only in what
    was drawn. It is None for a test image that is none of these combinations. `drawn` says whether random numbers
    were drawn for the view.
    """

    number: int
    weight: float
    plan: Plan
    node: int | None
    drawn: bool

    def __init__(
        self, number: int, weight: float, plan: Plan, node: int | None, drawn: bool, compute: Callable[[], Any]
    ) -> None:
        self.number = number
        self.weight = weight
        self.plan = plan
        self.node = node
        self.drawn = drawn
        self._compute = compute

    @functools.cached_property
    def image(self) -> Any:
        """What `pipe.test` would return: an image, or a sample for a sample. Computed when first read, and kept."""
        return self._compute()

    def __str__(self) -> str:
        return f"view {self.number}, weight {self.weight:.4f}: {_words(self)}"

    __repr__ = __str__


class Views(RestoringViews, Sequence[View]):
    """The views of one image, in order of importance; view 0 is the test image. Made by `pipe.views`.

    `exact` says whether the weighted mean over the views, of whatever is computed from an image, is its exact
    expectation over what the steps draw in training. Predictions on the views come back into the frame of the image,
    and are averaged, by `mean_map`, `mean_scores`, `mean_boxes`, `mean_keypoints`, `fuse_boxes` and `restore_..`.
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
        """The weights of the views; they sum to one."""
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
    noisy = None  # the depth of the last step that does not follow its test-time rule
    for entry in view.plan.entries:
        if noisy is not None and entry.depth <= noisy:
            noisy = None
        if not entry.rule and noisy is None:
            noisy = entry.depth
        if noisy is None:
            continue
        done = ", ".join(map(str, entry.ops))
        if done or not entry.applied:
            words.append(f"{entry.name}: {done or 'not applied'}")
    return "; ".join(words) or "nothing"
