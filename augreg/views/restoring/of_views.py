"""Restoring, as methods of the views of one image: predictions on all views come back, and are averaged or fused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

from augreg.errors import ImageError
from augreg.execution.plan import Plan
from augreg.views.restoring.fusion import FusedBoxes, fuse_boxes, mean_boxes, mean_keypoints
from augreg.views.restoring.maps import Filling, RestoredMap, restore_map
from augreg.views.restoring.means import MeanMap, Space, mean_map, mean_scores, one_each
from augreg.views.restoring.points import restore_boxes, restore_keypoints, restore_labels
from augreg.views.restoring.routes import Size

__all__ = ["FrameName", "RestoringViews"]

FrameName: TypeAlias = Literal["image", "test"]
"""Where predictions come back to: the original image, or the test image, which is view 0."""


class RestoringViews:
    """What brings predictions back: for a sequence of views that have a `plan` and a `weight`.

    Every method takes one prediction per view, in the order of the views, as a list, or stacked along the first axis.
    For means and fusion, that of a view of weight 0 may be None.
    `frame` is where they come back to: "image", the image that was given, or "test", the test image.
    """

    def mean_map(
        self,
        predictions: Any,
        *,
        space: Space = "value",
        frame: FrameName = "image",
        size: Size | None = None,
        interpolation: Filling = "auto",
        fill: float = float("nan"),
        key: str | None = None,
        classes: Sequence[str] | None = None,
    ) -> MeanMap:
        """The weighted mean of dense predictions, .. x height x width for each view, in the frame of the image.

        It has `.values`, `.coverage` (the weight of the views that saw each pixel, 0 to 1) and `.labels()`. At each
        pixel it is the mean over the views that show it; pixels that no view shows get `fill`. `space` is
        "probability" for the mean of the softmax of logits, with the classes third from the end, "logit" for the mean
        of logits, and "value" for the mean of the numbers as they are. Predictions may have fewer rows and columns
        than the view, at an output stride; `size` is the height and width of the result, those of the frame by
        default. `interpolation` is bilinear by default; `key` names a map of the spec's `targets: {maps: ..}`, such
        as a flow of vectors, and `classes` the channels that mirrored views exchange. Raises ImageError.
        """
        return mean_map(
            self._plans,
            self._shares,
            predictions,
            space=space,
            frame=self._frame(frame),
            size=size,
            interpolation=interpolation,
            fill=fill,
            key=key,
            classes=classes,
        )

    def mean_scores(self, predictions: Any, *, space: Space = "value", classes: Sequence[str] | None = None) -> Any:
        """The weighted mean of scores of classes, the classes last, with left and right exchanged in mirrored views.

        `space` is as for `mean_map`. Raises ImageError.
        """
        return mean_scores(self._plans, self._shares, predictions, space=space, classes=classes)

    def mean_boxes(self, boxes: Any, *, frame: FrameName = "image") -> Any:
        """The weighted mean of boxes whose rows are the same objects on every view, in the format of the spec.

        Raises ImageError.
        """
        return mean_boxes(self._plans, self._shares, boxes, frame=self._frame(frame))

    def mean_keypoints(
        self, keypoints: Any, names: Sequence[str] | None = None, *, frame: FrameName = "image"
    ) -> Any:
        """The weighted mean of keypoints whose rows are the same points on every view.

        With a third column each point also counts by its confidence. Raises ImageError.
        """
        return mean_keypoints(self._plans, self._shares, keypoints, names, frame=self._frame(frame))

    def fuse_boxes(
        self,
        boxes: Any,
        scores: Any,
        labels: Any = None,
        *,
        overlap: float = 0.55,
        min_score: float = 0.0,
        frame: FrameName = "image",
    ) -> FusedBoxes:
        """Weighted box fusion of what a detector found on each view: n boxes, n scores and n labels for each.

        It has `.boxes`, `.scores`, `.labels` and `.counts`, the highest score first. Boxes of one label whose
        intersection over union is more than `overlap` are one object. Raises ImageError.
        """
        return fuse_boxes(
            self._plans,
            self._shares,
            boxes,
            scores,
            labels,
            overlap=overlap,
            min_score=min_score,
            frame=self._frame(frame),
        )

    def restore_map(
        self,
        predictions: Any,
        *,
        frame: FrameName = "image",
        size: Size | None = None,
        interpolation: Filling = "auto",
        fill: float | None = None,
        key: str | None = None,
        classes: Sequence[str] | None = None,
    ) -> list[RestoredMap]:
        """The dense prediction of each view in the frame of the image.

        Each has `.values`, and `.seen`, which is true where the view shows the pixel. Label masks (integers) come
        back by the nearest pixel. The arguments are those of `mean_map`. Raises ImageError.
        """
        to = self._frame(frame)
        return [
            restore_map(
                plan, one, frame=to, size=size, interpolation=interpolation, fill=fill, key=key, classes=classes
            )
            for plan, one in self._each(predictions)
        ]

    def restore_boxes(
        self, boxes: Any, *, frame: FrameName = "image", corners: bool = True, clip: bool = False
    ) -> list[Any]:
        """The boxes of each view in the frame of the image: their corners, n x 4 x 2, or the boxes around these.

        Raises ImageError.
        """
        to = self._frame(frame)
        return [restore_boxes(plan, one, frame=to, corners=corners, clip=clip) for plan, one in self._each(boxes)]

    def restore_keypoints(
        self, keypoints: Any, names: Sequence[str] | None = None, *, frame: FrameName = "image"
    ) -> list[Any]:
        """The keypoints of each view in the frame of the image; mirrored views exchange names that the spec swaps.

        Raises ImageError.
        """
        to = self._frame(frame)
        return [restore_keypoints(plan, one, names, frame=to) for plan, one in self._each(keypoints)]

    def restore_labels(self, labels: Any, *, frame: FrameName = "image") -> list[Any]:
        """The labels of each view; mirrored views exchange those that the spec swaps."""
        to = self._frame(frame)
        return [restore_labels(plan, one, frame=to) for plan, one in self._each(labels)]

    @property
    def _plans(self) -> list[Plan]:
        return [view.plan for view in self]  # type: ignore[attr-defined]

    @property
    def _shares(self) -> list[float]:
        return [view.weight for view in self]  # type: ignore[attr-defined]

    def _each(self, predictions: Any) -> list[tuple[Plan, Any]]:
        plans = self._plans
        return list(zip(plans, one_each(predictions, plans), strict=True))

    def _frame(self, frame: str) -> Plan | None:
        if frame not in ("image", "test"):
            raise ImageError(f"frame: expected 'image' or 'test', got {frame!r}")
        return None if frame == "image" else self._plans[0]
