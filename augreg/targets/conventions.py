"""Conventions: what a spec says, under `targets`, about the boxes, keypoints and masks of its samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from msgspec import Meta

from augreg.steps.fields import Probability

__all__ = ["Targets"]

_NORMALIZED = "_normalized"


@dataclass(frozen=True)
class Targets:
    """The option `targets`.

    `boxes` is the format of boxes, `normalized` whether they are in shares of the image's width and height. A box
    is dropped where less than `min_visible` of its area stays in the image, and with it its entry in the keys
    that `labels` names, and in masks of one for each box. `keypoints` says what becomes of points that leave the
    image. `swap` pairs the names that a mirrored image exchanges. `mask_fill` is what a mask says where there
    is no image.
    """

    boxes: Literal["xyxy", "xywh", "cxcywh", "xyxy_normalized", "xywh_normalized", "cxcywh_normalized"] | None = None
    normalized: bool = False
    min_visible: Probability = 0.1
    labels: tuple[Annotated[str, Meta(min_length=1)], ...] = ("labels", "label")
    keypoints: Literal["keep", "drop"] = "keep"
    swap: dict[str, str] = field(default_factory=dict)
    mask_fill: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] = 0

    def __post_init__(self) -> None:
        if self.boxes is not None and self.boxes.endswith(_NORMALIZED):
            raise ValueError(f"boxes: {self.boxes} and normalized: false contradict each other; leave one out")
        if self.normalized and self.boxes is None:
            raise ValueError("normalized speaks of boxes; give their format too, e.g. boxes: xyxy")
        names = [*self.swap, *self.swap.values()]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"swap names {', '.join(map(repr, twice))} twice; give each pair once, in one direction")

    @classmethod
    def complete(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        """`boxes: xyxy_normalized` is short for `boxes: xyxy` and `normalized: true`."""
        boxes = arguments.get("boxes")
        if isinstance(boxes, str) and boxes.endswith(_NORMALIZED) and arguments.get("normalized", True) is True:
            return {**arguments, "boxes": boxes.removesuffix(_NORMALIZED), "normalized": True}
        return arguments

    @property
    def partners(self) -> Mapping[str, str]:
        """What each name becomes in a mirrored image, both ways."""
        return {**self.swap, **{right: left for left, right in self.swap.items()}}
