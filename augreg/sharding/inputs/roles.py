"""What a part of a sample is, by the name of its column, of its key in JSON, or of its member in a tar."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from augreg.images.folders import is_image, key_of
from augreg.sharding.records import InputError
from augreg.targets.conventions import Targets

__all__ = ["Role", "Roles", "id_of", "label_of", "number_or_text"]

_MASK: Final = re.compile(r"masks?\d*|\w+_mask")
_OTHER: Final = re.compile(r"other\d*")
_WHOLE: Final = re.compile(r"0|-?[1-9][0-9]{0,17}")
_IMAGES: Final = ("image", "img")


class Role(NamedTuple):
    """What a part is: image, mask, label, id, targets, carried or json; and its name in the sample.

    "unknown" is the kind of an image of which nothing says whether it follows the image of the sample.
    """

    kind: str
    name: str


class Roles:
    """The roles of parts, by what the user says of them, by what the spec says, and else by their names."""

    def __init__(self, columns: Mapping[str, str], targets: Targets) -> None:
        """`columns` maps names to places: {"image": "jpg", "mask": "seg.png", "boxes": "bbox", "id": "name"}."""
        self.columns = dict(columns)
        self.places = {place: name for name, place in columns.items()}
        if len(self.places) < len(columns):
            place = next(place for name, place in columns.items() if self.places[place] != name)
            names = ", ".join(name for name, other in columns.items() if other == place)
            raise InputError(f"{place!r} is given two names: {names}; give it one")
        for name, place in columns.items():
            if not name or not place:
                raise InputError(f"{name}={place}: expected NAME=COLUMN, such as image=jpg")
        kinds = targets.keys
        self._masks = {name for name, kind in kinds.items() if kind == "mask"}
        self._others = {name for name, kind in kinds.items() if kind == "other"}
        self._targets = {"boxes", "keypoints", "keypoint_names", *targets.labels, *targets.keypoint_labels}
        self._targets |= {
            *targets.polygons,
            *(name for name, kind in kinds.items() if kind in ("boxes", "keypoints")),
        }
        self.labels_objects = "label" in self._targets
        """Whether `label`, where it is a list, has the labels of objects."""
        self._targets -= {"label"}
        known = {"image", "mask", "label", "id", "other", *self._masks, *self._others, *self._targets}
        for name, place in columns.items():
            if name not in known and not _MASK.fullmatch(name) and not _OTHER.fullmatch(name):
                raise InputError(
                    f"{name}={place}: the spec knows no {name!r}, but {', '.join(sorted(known))}; write one of "
                    f"these, or say what it is in the spec, such as targets: {{keys: {{{name}: boxes}}}}"
                )

    def of(self, place: str) -> Role:
        """The role of a column, or of a key in JSON. Raises InputError where its name is that of another place."""
        if place in self.places:
            name = self.places[place]
            return Role("carried", place) if self._is_other(name) else self._named(name)
        if place in self.columns and place != "id":
            raise InputError(
                f"{place!r} is there, and {self.columns[place]!r} is to be used as {place!r}; rename one of them"
            )
        if place == "seg":
            place = "mask"
        role = self._named(place)
        if role.kind == "id" or (role.kind == "targets" and place not in self._targets):
            return Role("carried", place)
        return role

    def of_key(self, key: str) -> Role:
        """The role of a key in the JSON of a sample of a tar, which has no images. Raises InputError as `of`."""
        known = key in self.places or key in self._targets or key == "label"
        return self.of(key) if known else Role("carried", key)

    def of_member(self, suffix: str) -> Role:
        """The role of a member of a tar by its suffix in lower case, without the first dot: `jpg`, `seg.png`."""
        if suffix in self.places:
            return self.of(suffix)
        if is_image(f"x.{suffix}"):
            base = suffix.rpartition(".")[0]
            if base in ("", *_IMAGES):
                return Role("unknown", suffix) if "image" in self.columns else Role("image", "image")
            role = self.of(base)
            return role if role.kind == "mask" or self._is_other(base) else Role("unknown", suffix)
        if suffix == "cls" and "label" not in self.columns:
            return Role("label", "label")
        return Role("json" if suffix == "json" else "carried", suffix)

    def _named(self, name: str) -> Role:
        if name in ("image", "label", "id"):
            return Role(name, name)
        if name in self._masks or _MASK.fullmatch(name):
            return Role("mask", name)
        return Role("carried" if self._is_other(name) else "targets", name)

    def _is_other(self, name: str) -> bool:
        return name in self._others or _OTHER.fullmatch(name) is not None

    def of_columns(self, columns: Iterable[str]) -> dict[str, Role]:
        """The roles of all columns of a table. Raises InputError where two would be the same part."""
        found = {column: self.of(column) for column in columns}
        parts: dict[Role, str] = {}
        for column, role in found.items():
            other = parts.setdefault(role, column)
            if other != column:
                raise InputError(f"two columns are the {role.name}: {other!r} and {column!r}; rename one of them")
        return found

    def advice(self, places: Iterable[str], what: str = "image") -> str:
        """What there is, and how to say which part is the image."""
        found = ", ".join(sorted(places)) or "nothing"
        return f"there are: {found}; say which is the {what}: --columns {what}=NAME"


def number_or_text(text: str) -> int | str:
    """A whole number as such, and any other text as it is: 007 is a name."""
    return int(text) if _WHOLE.fullmatch(text) else text


def id_of(value: Any, written: bool = False) -> int | str:
    """The id of a sample; of a `written` one, a text may be a number. Raises ValueError for what is none."""
    if written and isinstance(value, str):
        value = number_or_text(value)
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        raise ValueError(f"an id is a number or a text, got {json.dumps(value, default=str)[:60]}")
    return key_of(value) if isinstance(value, str) else value


def label_of(value: Any) -> int | str | None:
    """The label of an image. Raises ValueError for what is none."""
    if isinstance(value, bytes):
        value = number_or_text(value.decode().strip())
    if isinstance(value, bool) or not isinstance(value, int | str | None):
        raise ValueError(f"a label is the number of a class or its name, got {json.dumps(value, default=str)[:60]}")
    return value
