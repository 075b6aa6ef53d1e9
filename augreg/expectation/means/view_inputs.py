"""The views of images as the input of a model.

The views of an image are its nodes (the results of steps whose draws are discrete, with their probabilities), and for
each node in which something else is drawn, one draw after another. The test image stands for a node in `pipe.views`;
here it is left out where draws take its place, so that the mean over the draws is unbiased.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from augreg.execution.plan import Plan
from augreg.expectation.means.model_inputs import Arguments
from augreg.pipeline import Pipeline
from augreg.targets.classes import exchanged_channels
from augreg.views.restoring.maps import restore_map
from augreg.views.restoring.routes import Correspondence
from augreg.views.views import View

__all__ = ["ImageViews", "ViewInputs", "view_groups"]

_MOST_NODES = 66
"""`pipe.views` has at most 64 nodes, and a test image that may be none of them."""


class ImageViews:
    """The nodes of one image with their weights, and the draws of each, which are made when they are asked for.

    `weights` are those of the nodes and sum to one; `drawn` says whether something is drawn in any of them; `exact`
    whether the weighted mean is the exact expectation over what training draws; `test` is the plan of the test image.
    """

    def __init__(self, pipe: Pipeline, image: Any, index: int | str, most: int | None, draws: int) -> None:
        """`most` is the largest number of nodes, None takes the test image alone; about `draws` are needed."""
        shown = getattr(pipe, "channels_first", pipe)
        self._make: Callable[[int], Any] = lambda count: shown.views(image, count, index)
        views = self._make(1) if most is None else self._with_all_nodes(2 + draws)
        self.test: Plan = views[0].plan
        self.drawn = most is not None and any(view.drawn for view in views)
        weights = _weights_by_node(views)
        self._all = len(weights)
        self.exact = most is None or views.exact
        if most is not None and len(weights) > most:
            weights, self.exact = _weights_by_node(self._make(most)), False
        self.weights = [*weights.values()]
        self._draws: dict[int | None, list[View]] = {node: [] for node in weights}
        self._take(views)

    def _with_all_nodes(self, count: int) -> Any:
        """So many views, or more: `pipe.views` has a node twice only after it has had all of them."""
        views = self._make(count)
        numbers = [view.node for view in views]
        return views if len(views) < count or len(set(numbers)) < len(numbers) else self._make(_MOST_NODES)

    def view(self, node: int, draw: int) -> View:
        """The view of a node (its position) for a draw; a node in which nothing is drawn has the same for all."""
        views = list(self._draws.values())[node]
        if views[0].drawn and draw >= len(views):
            self._take(self._make(2 + self._all * (1 + max(draw + 1, 2 * len(views)))))
            views = list(self._draws.values())[node]
        return views[draw] if views[0].drawn else views[0]

    def _take(self, views: Iterable[View]) -> None:
        for node in self._draws:
            found = [view for view in views if view.node == node]
            self._draws[node] = [view for view in found if view.drawn] or found


def _weights_by_node(views: Iterable[View]) -> dict[int | None, float]:
    """The weights of the nodes that weigh anything, by number; None is a test image that stands for a missing one."""
    weights: dict[int | None, float] = {}
    for view in views:
        if view.weight > 0.0:
            weights[view.node] = weights.get(view.node, 0.0) + view.weight
    return weights


class ViewInputs:
    """Images with their views, as many nodes for each.

    A view of an observation is a node, and `masks` says how often each is used. The images are put on the device of
    the tensor `like`, and floats into its type.
    """

    def __init__(self, images: Sequence[ImageViews], masks: int, like: Tensor, frame: str) -> None:
        self.images = images
        self.count = len(images)
        self.nodes = len(images[0].weights)
        self.drawn = images[0].drawn
        self.exact = all(image.exact for image in images)
        self.masks = masks
        weights = torch.tensor([image.weights for image in images], dtype=torch.float64).T
        self.view_weights: Tensor = weights.repeat(masks, 1) / masks
        self._like = like
        self._frame = frame
        self._same: Tensor | None = None

    def with_masks(self, masks: int) -> ViewInputs:
        """The same with each view this often in an observation."""
        return ViewInputs(self.images, masks, self._like, self._frame)

    def part(self, first: int, last: int) -> ViewInputs:
        """The images from a number to another, the last not included."""
        return ViewInputs(self.images[first:last], self.masks, self._like, self._frame)

    def rows(self, images: Tensor | None, observations: range, views: range) -> Arguments:
        """The arguments for some observations of these images (None: all): rows by observation, view and image."""
        numbers = range(self.count) if images is None else images.tolist()
        nodes = [view % self.nodes for view in views]
        if self.drawn:
            rows = [
                self._read(self.images[number].view(node, draw))
                for draw in observations
                for node in nodes
                for number in numbers
            ]
            return (self._stacked(rows),), {}
        if self._same is None:
            every = [self._read(image.view(node, 0)) for node in range(self.nodes) for image in self.images]
            self._same = self._stacked(every).unflatten(0, (self.nodes, self.count))
        chosen = self._same if images is None else self._same.index_select(1, images.to(self._same.device))
        chosen = chosen if nodes == list(range(self.nodes)) else chosen[nodes]
        flat = chosen.flatten(0, 1)
        return (flat.repeat(len(observations), *[1] * (flat.ndim - 1)) if len(observations) > 1 else flat,), {}

    def first(self, copies: int) -> Arguments:
        """The first view of the first image, this often."""
        one = self._stacked([self._read(self.images[0].view(0, 0))])
        return (one.repeat(copies, *[1] * (one.ndim - 1)),), {}

    def device_type(self) -> str:
        """Where the model runs: "cpu", "cuda", .."""
        return self._like.device.type  # type: ignore[no-any-return]

    def restored(
        self, values: Tensor, images: Tensor | None, observations: range, views: range
    ) -> tuple[Tensor, Tensor | None]:
        """Predictions, observations x views x images x .., in the frame of the image, and which pixels were seen.

        Maps (C x H x W for each) move; scores of classes that the spec pairs are exchanged in mirrored views.
        """
        numbers = list(range(self.count) if images is None else images.tolist())
        maps = values.ndim == 6
        if not maps and not self._exchanges():
            return values, None
        parts, seen = [], []
        for place, draw in enumerate(observations) if self.drawn else ((slice(None), 0),):
            for at, view in enumerate(views):
                for column, number in enumerate(numbers):
                    plan = self.images[number].view(view % self.nodes, draw).plan
                    value = values[place, at, column]
                    if maps:
                        frame = self.images[number].test if self._frame == "test" else None
                        back = restore_map(plan, value, frame=frame, fill=0.0)
                        parts.append(back.values)
                        seen.append(back.seen[None])
                    else:
                        parts.append(_exchanged(plan, value))
        return self._arranged(parts, values, len(views), len(numbers)), (
            self._arranged(seen, values, len(views), len(numbers), spread=True) if maps else None
        )

    def _arranged(self, parts: list[Tensor], values: Tensor, views: int, images: int, spread: bool = False) -> Tensor:
        """Parts by observation, view and image as one tensor; those of all observations at once come apart."""
        _check_sizes(parts)
        stacked = torch.stack(parts)
        if self.drawn:
            return stacked.unflatten(0, (len(values), views, images))
        stacked = stacked.unflatten(0, (views, images))
        if spread:
            return stacked.expand(len(values), *stacked.shape)
        return stacked.movedim(2, 0)

    def _exchanges(self) -> bool:
        targets = self.images[0].test.settings.targets
        return bool((targets.classes and targets.partners) or targets.numbers)

    def _read(self, view: View) -> Tensor:
        """The image of a view as a tensor, on the device and in the type of the model."""
        image = view.image
        vars(view).pop("image", None)  # the tensor is kept, if it is used again
        if isinstance(image, Mapping):
            image = image["image"]
        if not isinstance(image, Tensor):
            array = np.asarray(image)
            if not np.issubdtype(array.dtype, np.floating):
                raise ValueError(
                    f"the pipeline gives images of {array.dtype}, height x width x channels, and models take floats, "
                    "channels x height x width: add a step `normalize` to its spec"
                )
            image = torch.from_numpy(np.ascontiguousarray(array))
        dtype = self._like.dtype if image.is_floating_point() else image.dtype
        return image.to(self._like.device, dtype)

    def _stacked(self, rows: list[Tensor]) -> Tensor:
        sizes = dict.fromkeys(tuple(row.shape) for row in rows)
        if len(sizes) > 1:
            shown = ", ".join("x".join(map(str, size)) for size in sizes)
            raise ValueError(
                f"the views differ in size ({shown}), and one forward pass needs one size: end the pipeline with a "
                "step that leads to one size, or give images of one size"
            )
        return torch.stack(rows)


def _exchanged(plan: Plan, value: Tensor) -> Tensor:
    if not Correspondence(plan).mirrored:
        return value
    targets = plan.settings.targets
    found: Tensor = exchanged_channels(value, targets.classes, targets, axis=-1)
    return found


def _check_sizes(parts: Iterable[Tensor]) -> None:
    sizes = dict.fromkeys(tuple(part.shape[-2:]) for part in parts)
    if len(sizes) > 1:
        shown = ", ".join("x".join(map(str, size)) for size in sizes)
        raise ValueError(
            f"the maps have several sizes in the frame ({shown}), so they cannot be stacked: give one image at a time"
        )


def view_groups(
    pipe: Pipeline, given: Any, index: Any, most: int | None, draws: int, like: Tensor, frame: str
) -> list[tuple[list[int], ViewInputs]]:
    """The images that a caller gives with their views, in groups of those with as many views, and their places.

    `index` has the index of each image, or is that of all.
    """
    images = _images_of(given)
    indices = (
        [0 if index is None else index] * len(images)
        if isinstance(index, str | int | np.integer | None)
        else list(index)
    )
    if not images:
        raise ValueError("there must be at least one image")
    if len(indices) != len(images):
        raise ValueError(f"index= must have the index of each image: there are {len(images)}, got {len(indices)}")
    groups: dict[tuple[int, bool], tuple[list[int], list[ImageViews]]] = {}
    for place, (image, own) in enumerate(zip(images, indices, strict=True)):
        views = ImageViews(pipe, image, own if isinstance(own, str) else int(own), most, draws)
        places, members = groups.setdefault((len(views.weights), views.drawn), ([], []))
        places.append(place)
        members.append(views)
    return [(places, ViewInputs(members, 1, like, frame)) for places, members in groups.values()]


def _images_of(given: Any) -> list[Any]:
    """The images in what a caller gives: one image, a list of images, or a batch as one array or tensor."""
    if isinstance(given, list | tuple):
        return list(given)
    return list(given) if getattr(given, "ndim", 0) == 4 else [given]
