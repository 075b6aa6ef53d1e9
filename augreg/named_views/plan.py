"""The plan of several views of one image: a plan for each, and how the views correspond."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from augreg.errors import ImageError
from augreg.execution.plan import Plan
from augreg.named_views.correspondence import Overlap, Polygon, corners, homography, outline, overlap
from augreg.named_views.declared import IMAGE
from augreg.named_views.drawing import ViewDraws, size_of
from augreg.named_views.patches import PatchMask
from augreg.named_views.result import NamedViews
from augreg.named_views.running import read_images, with_mask
from augreg.ops import Scene
from augreg.steps.suggestions import nearest

__all__ = ["Overlap", "ViewsPlan", "plan_views"]


class ViewsPlan(msgspec.Struct, frozen=True):
    """What will be done to an image for each of its views: `plan["global_1"]` is the `Plan` of one.

    `run(image)` does it. Plans pickle, compare and print. `homography` and `overlap` say how the views correspond, in
    pixels with pixel centers at +0.5; "image" stands for the image itself. `masks` has the patch masks by view.
    """

    plans: dict[str, Plan]
    masks: dict[str, PatchMask]
    title: str

    def __getitem__(self, name: str) -> Plan:
        if name not in self.plans:
            raise KeyError(f"there is no view {name!r}{nearest(name, list(self.plans))}; {self._known()}")
        return self.plans[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.plans)

    def __len__(self) -> int:
        return len(self.plans)

    def __contains__(self, name: object) -> bool:
        return name in self.plans

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the views."""
        return tuple(self.plans)

    @property
    def scene(self) -> Scene:
        """The scene of the image."""
        return next(iter(self.plans.values())).scene

    def run(self, image: Any) -> NamedViews:
        """The views of an image, or of a sample. Raises ImageError for another size or kind than was planned for."""
        settings = next(iter(self.plans.values())).settings
        given = read_images(image, settings)
        found = {name: plan.run(given) for name, plan in self.plans.items()}
        return NamedViews(
            (name, with_mask(view, self.masks.get(name)) if self.masks else view) for name, view in found.items()
        )

    def homography(self, first: str, second: str = IMAGE) -> NDArray[np.float64]:
        """The map from points of one view to points of another, or of the image, as a 3x3 matrix.

        A point (x, y) of the first view shows the same as (u / w, v / w) of the second, where (u, v, w) is the
        product of the matrix and (x, y, 1). Steps that both views begin with may bend the image. Raises ImageError
        where another step has no such map, with its name, and ValueError for a view that is not there.
        """
        return homography(self._plan(first), self._plan(second), (first, second))

    def region(self, view: str) -> Polygon:
        """What a view shows of the image: the corners (x, y) of a convex figure, clockwise, in pixels of the image.

        Borders and fill are left out. Raises as `homography`.
        """
        return corners(outline(self._plan(view), view))

    def overlap(self, first: str, second: str) -> Overlap:
        """The part of the image that two views both show: its corners, its area, and which fraction of each it is.

        Raises as `homography`.
        """
        return overlap(self._plan(first), self._plan(second), (first, second))

    def _plan(self, name: str) -> Plan:
        if name == IMAGE:
            return msgspec.structs.replace(next(iter(self.plans.values())), ops=(), deferred=())
        if name not in self.plans:
            known = [*self.plans, IMAGE]
            raise ValueError(f"there is no view {name!r}{nearest(name, known)}; {self._known()}, or {IMAGE!r}")
        plan = self.plans[name]
        if plan.deferred:
            raise ImageError(f"{name}: the steps after an op of unknown size are drawn only when the plan runs")
        return plan

    def _known(self) -> str:
        return f"the views are: {', '.join(self.plans)}"

    def __str__(self) -> str:
        return "\n".join(self._parts())

    def _parts(self) -> Iterator[str]:
        for name, plan in self.plans.items():
            yield str(plan)
            if name in self.masks:
                yield f"  {self.masks[name]}"

    def _repr_html_(self) -> str:
        """For notebooks."""
        return "".join(plan._repr_html_() for plan in self.plans.values())


def plan_views(draws: ViewDraws, scene: Scene, title: str) -> ViewsPlan:
    """The plan of all views of an image of this scene. Raises ImageError and SpecError."""
    plans: dict[str, Plan] = {}
    masks: dict[str, PatchMask] = {}
    for view in draws.views:
        ops, drawn = draws.start(view)(scene, False)
        name, entries = f"{title}, view {view.name}", tuple(drawn.entries)
        plans[view.name] = Plan(tuple(ops), scene, entries, name, draws.settings, drawn.scene, tuple(drawn.deferred))
        mask = draws.mask(view, size_of(drawn))
        if mask is not None:
            masks[view.name] = mask
    return ViewsPlan(plans, masks, title)
