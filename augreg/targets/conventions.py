"""Conventions: the section `targets` of a spec, which describes the boxes, keypoints and masks of its samples."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from augreg.steps.fields import Probability

__all__ = ["NEAR", "MapOptions", "Nearest", "Targets"]

NEAR: Final = 1e-3
"""Pixels. Edges and points this near to a border are on it: rounding put them there, not the user."""

Nearest: TypeAlias = Literal["center", "floor"]
BoxFormat: TypeAlias = Literal[
    "xyxy", "xywh", "cxcywh", "xyxy_normalized", "xywh_normalized", "cxcywh_normalized",
    "cxcywhr", "xyxyxyxy", "xyxyxyxy_normalized",
]  # fmt: skip
Angle: TypeAlias = Literal["radians", "degrees", "radians_counterclockwise", "degrees_counterclockwise"]

_NORMALIZED = "_normalized"
_LABELS = ("labels", "label")
_Class: TypeAlias = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
_Pixels: TypeAlias = Annotated[float, Meta(ge=0.0, le=1e12)]
_Place: TypeAlias = Annotated[int, Meta(ge=0, le=2**31)]
_LATER: Final[Mapping[str, Any]] = {
    "keys": {}, "maps": {}, "instances": None, "boxes_from": None, "classes": None, "nearest": "center",
    "min_area": 0.0, "min_width": 0.0, "min_height": 0.0,
    "angle": None, "heading": False, "holes": "ignore", "polygons": [], "ids": [],
    "mask_holes": None, "centers": "keep", "swap_keypoints": None, "keypoint_labels": [], "clip": False,
}  # fmt: skip
"""What later options are where a spec says nothing of them."""


class MapOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a map of values moves.

    `fill` is its value where the image shows fill. `vectors` says that it is a field of vectors, along x and y in
    pixels, such as optical flow: they are turned, mirrored and scaled with the image.
    """

    interpolation: Literal["nearest", "bilinear"] = "nearest"
    fill: float | Literal["nan"] = 0.0
    vectors: bool = False

    def __post_init__(self) -> None:
        if not math.isfinite(float(self.fill)) and self.fill != "nan":
            raise ValueError(f"expected a finite number or 'nan' for fill, got {self.fill!r}")


@dataclass(frozen=True)
class Targets:
    """The option `targets`.

    `boxes` is the format of boxes; `normalized` says that they are fractions of the image's width and height. `angle`
    is the unit of the fifth number of `cxcywhr`, and the way it turns: clockwise as the image is displayed unless it
    says otherwise. With `heading` it is that of the whole turn, -180 to 180 degrees, else -90 to 90. A box is dropped
    where less than the fraction `min_visible` of its area stays in the image; where `holes` hide it, what is painted
    over counts as not visible. With `centers` drop, it is also dropped where its center leaves the image. A box of
    the result is also dropped below `min_area`, `min_width` or `min_height` in pixels. Its entries under the keys in
    `labels`, and its masks under the keys in `instances`, are dropped with it, and it is dropped where such a mask
    has left the image. `boxes_from` names the instance masks that boxes are drawn around at the end. `keypoints` says
    whether points that leave the image are kept or dropped. `swap` pairs names, or numbers of classes, that are
    exchanged in a mirrored image. `classes` names the classes in the order of their numbers, so that `swap` exchanges
    these too: in masks, in labels that are integers, and in the channels of predictions on views. `swap_keypoints`
    pairs the numbers of keypoints, where those of `swap` are others. `keypoint_labels` are the keys with one entry
    per keypoint. With `clip` a sample is a clip: every key has an entry for each of its frames. `mask_fill` is the
    value of a mask where the image shows only fill, and `mask_holes` where erasing paints over the image, if masks
    are to be erased too. `nearest` says which pixel a resize takes for masks and for maps by the nearest pixel: the
    one at the center of the pixel of the result, or as OpenCV at its top left corner. `keys` says what the entries
    under other keys are, further boxes and keypoints too, `polygons` which have the polygons around each object, and
    `maps` which are maps of values, such as depth, and how these move. `ids` names the masks and labels whose numbers
    are ids of instances, which stay apart where images are mixed.
    """

    boxes: BoxFormat | None = None
    normalized: bool = False
    min_visible: Probability = 0.1
    labels: tuple[Annotated[str, Meta(min_length=1)], ...] = _LABELS
    keypoints: Literal["keep", "drop"] = "keep"
    swap: dict[str, str] | tuple[tuple[int | str, int | str], ...] = field(default_factory=dict)
    mask_fill: _Class = 0
    nearest: Nearest = "center"
    keys: dict[Annotated[str, Meta(min_length=1)], Literal["mask", "image", "boxes", "keypoints", "other"]] = field(
        default_factory=dict
    )
    maps: dict[Annotated[str, Meta(min_length=1)], MapOptions] = field(default_factory=dict)
    instances: tuple[Annotated[str, Meta(min_length=1)], ...] | None = None
    boxes_from: Annotated[str, Meta(min_length=1)] | None = None
    classes: tuple[Annotated[str, Meta(min_length=1)], ...] | None = None
    min_area: _Pixels = 0.0
    min_width: _Pixels = 0.0
    min_height: _Pixels = 0.0
    angle: Angle | None = None
    heading: bool = False
    holes: Literal["ignore", "hide"] = "ignore"
    mask_holes: _Class | None = None
    polygons: tuple[Annotated[str, Meta(min_length=1)], ...] = ()
    centers: Literal["keep", "drop"] = "keep"
    swap_keypoints: tuple[tuple[_Place, _Place], ...] | None = None
    keypoint_labels: tuple[Annotated[str, Meta(min_length=1)], ...] = ()
    clip: bool = False
    ids: tuple[Annotated[str, Meta(min_length=1)], ...] = ()

    def __post_init__(self) -> None:
        if self.boxes is not None and self.boxes.endswith(_NORMALIZED):
            raise ValueError(f"boxes: {self.boxes} and normalized: false contradict each other; leave one out")
        if self.normalized and self.boxes is None:
            raise ValueError("normalized is for boxes; give their format too, e.g. boxes: xyxy")
        if self.boxes == "cxcywhr" and self.angle is None:
            raise ValueError("boxes: cxcywhr needs the unit of its angle; give angle: radians or angle: degrees")
        if self.boxes != "cxcywhr" and (self.angle is not None or self.heading):
            raise ValueError("angle and heading are for boxes: cxcywhr; leave them out")
        if self.boxes == "cxcywhr" and self.normalized:
            raise ValueError(
                "normalized: the sides of a turned box are no fractions of the image's width and height; give "
                "pixels, or corners, boxes: xyxyxyxy_normalized"
            )
        if self.boxes_from is not None and (self.boxes is None or self.boxes_from not in (self.instances or ())):
            raise ValueError(
                f"boxes_from: boxes are drawn around instance masks; give `boxes`, their format, and "
                f"instances: [{self.boxes_from}]"
            )
        for option, pairs in (("swap", self._pairs), ("swap_keypoints", self.swap_keypoints or ())):
            names = [name for pair in pairs for name in pair]
            if mixed := [list(pair) for pair in pairs if isinstance(pair[0], str) != isinstance(pair[1], str)]:
                raise ValueError(f"{option}: {mixed[0]} pairs a name with a number; give two names or two numbers")
            if twice := sorted({repr(name) for name in names if names.count(name) > 1}):
                raise ValueError(f"{option} names {', '.join(twice)} twice; give each pair once, in one direction")
        if self.classes and self.numbers:
            raise ValueError("swap has numbers, and classes names them; give pairs of names, or leave classes out")
        if len(set(self.classes or ())) < len(self.classes or ()):
            raise ValueError(f"classes: give every channel a name of its own, got {list(self.classes or ())}")
        for option, said in (("keys", self.keys), ("maps", self.maps)):
            own = sorted({"image", "boxes", "keypoints", "keypoint_names"} & said.keys())
            if own:
                raise ValueError(f"{option}: {', '.join(map(repr, own))} always has the same meaning; leave it out")
        # the default names of labels are not said by anybody, and may be those of something else
        labels = () if self.labels == _LABELS else self.labels
        for option, keys in (
            ("labels", labels), ("instances", self.instances or ()), ("polygons", self.polygons),
            ("keypoint_labels", self.keypoint_labels),
        ):  # fmt: skip
            own = sorted({"image", "boxes", *(("keypoints", "keypoint_names") if option != "labels" else ())})
            if taken := [key for key in own if key in keys]:
                raise ValueError(f"{option}: {', '.join(map(repr, taken))} always has the same meaning; leave it out")
        others = {key for key, kind in self.keys.items() if kind != "mask"}
        images = {key for key, kind in self.keys.items() if kind in ("image", "boxes", "keypoints")}
        for one, other, both in (
            ("keys", "maps", self.keys.keys() & self.maps.keys()),
            ("labels", "maps", self.maps.keys() & {*labels}),
            ("labels", "instances", {*labels} & {*(self.instances or ())}),
            ("labels", "keys", images & {*labels}),
            ("instances", "maps", self.maps.keys() & {*(self.instances or ())}),
            ("instances", "keys", others & {*(self.instances or ())}),
            ("polygons", "keys", self.keys.keys() & {*self.polygons}),
            ("polygons", "maps", self.maps.keys() & {*self.polygons}),
            ("polygons", "labels", {*labels} & {*self.polygons}),
            ("polygons", "instances", {*(self.instances or ())} & {*self.polygons}),
            ("keypoint_labels", "labels", {*self.labels} & {*self.keypoint_labels}),
            ("keypoint_labels", "keys", self.keys.keys() & {*self.keypoint_labels}),
            ("keypoint_labels", "maps", self.maps.keys() & {*self.keypoint_labels}),
            ("keypoint_labels", "polygons", {*self.polygons} & {*self.keypoint_labels}),
            ("keypoint_labels", "instances", {*(self.instances or ())} & {*self.keypoint_labels}),
        ):
            if both:
                raise ValueError(f"{one} and {other} both name {', '.join(map(repr, sorted(both)))}; say one of them")

    @classmethod
    def complete(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        """`boxes: xyxy_normalized` is short for `boxes: xyxy` and `normalized: true`.

        Pairs of names become a mapping, and a mapping of numbers becomes pairs.
        """
        pairs = arguments.get("swap")
        if (
            isinstance(pairs, Mapping)
            and pairs
            and all(isinstance(name, int) for pair in pairs.items() for name in pair)
        ):
            arguments = {**arguments, "swap": [*pairs.items()]}
        if isinstance(pairs, list | tuple) and all(isinstance(pair, list | tuple) for pair in pairs):
            names = [pair for pair in pairs if len(pair) == 2 and all(isinstance(name, str) for name in pair)]
            if len(names) == len(pairs) == len({name for pair in names for name in pair}) / 2:
                arguments = {**arguments, "swap": dict(names)}
        boxes = arguments.get("boxes")
        if isinstance(boxes, str) and boxes.endswith(_NORMALIZED) and arguments.get("normalized", True) is True:
            return {**arguments, "boxes": boxes.removesuffix(_NORMALIZED), "normalized": True}
        return arguments

    def written(self, data: dict[str, Any]) -> dict[str, Any]:
        """The plain data of these conventions, without later options that say nothing: fingerprints stay."""
        data = {**data, "maps": {key: msgspec.structs.asdict(options) for key, options in self.maps.items()}}
        return {key: value for key, value in data.items() if key not in _LATER or value != _LATER[key]}

    @property
    def _pairs(self) -> tuple[tuple[int | str, int | str], ...]:
        return tuple(self.swap.items()) if isinstance(self.swap, Mapping) else self.swap

    @cached_property
    def partners(self) -> Mapping[str, str]:
        """The name that replaces each name in a mirrored image, in both directions."""
        pairs = [(one, other) for one, other in self._pairs if isinstance(one, str) and isinstance(other, str)]
        return dict((*pairs, *((other, one) for one, other in pairs)))

    @cached_property
    def numbers(self) -> Mapping[int, int]:
        """The number of a class that replaces each number in a mirrored image, in both directions."""
        pairs = [(one, other) for one, other in self._pairs if isinstance(one, int) and isinstance(other, int)]
        return dict((*pairs, *((other, one) for one, other in pairs)))

    @cached_property
    def points(self) -> Mapping[int, int]:
        """The number of a keypoint that replaces each number in a mirrored image, in both directions."""
        pairs = self.swap_keypoints
        return self.numbers if pairs is None else dict((*pairs, *((other, one) for one, other in pairs)))
