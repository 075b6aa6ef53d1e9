"""Read a pipeline of albumentations: an object, a dict of `A.to_dict` or a file of `A.save`, of version 1 or 2."""

from __future__ import annotations

import copy
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from augreg.importers.albumentations_renamed import renamed

__all__ = ["Node", "leaves", "read"]


class Node(NamedTuple):
    """A transform by its present names: its class, its parameters, and what the report says of it.

    The `transforms` of a container are nodes. `problem` says why a transform could not be read.
    """

    name: str
    values: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    problem: str = ""


def leaves(node: Node) -> Iterator[Node]:
    """The transforms of a pipeline that are no containers, in their order."""
    children = node.values.get("transforms")
    if isinstance(children, list | tuple):
        for child in children:
            yield from leaves(child)
    else:
        yield node


def read(pipeline: Any, nonserializable: Mapping[str, Any]) -> Node:
    """The tree of a pipeline. `nonserializable` has the Lambdas of a dict by their names, as `A.from_dict` takes it.

    Raises TypeError for what is none.
    """
    if isinstance(pipeline, str | Path):
        try:
            pipeline = yaml.safe_load(Path(pipeline).read_text(encoding="utf-8"))  # JSON is YAML too
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise TypeError(f"expected a YAML or JSON file of A.save: {error}") from error
        if not isinstance(pipeline, Mapping):
            raise TypeError("expected a YAML or JSON file of A.save, with the key `__class_fullname__`")
    if isinstance(pipeline, Mapping):
        inner = pipeline.get("transform", pipeline)
        if not isinstance(inner, Mapping) or "__class_fullname__" not in inner:
            raise TypeError("expected a dict from A.to_dict, with the key `__class_fullname__`")
        version = pipeline.get("__version__")
        return _Reader(nonserializable, None if version is None else str(version)).node(inner)
    if not callable(getattr(pipeline, "to_dict", None)):
        raise TypeError(f"expected an albumentations transform or its dict, got {type(pipeline).__name__}")
    return _Reader(nonserializable, None).node(pipeline)


class _Reader:
    """`version` is that of the library that wrote a dict."""

    def __init__(self, nonserializable: Mapping[str, Any], version: str | None) -> None:
        self._nonserializable = nonserializable
        self._version = version

    def node(self, transform: Any) -> Node:
        """The node of an object or of a dict."""
        if isinstance(transform, Mapping):
            return self._of_dict(transform)
        return self._of_object(transform)

    def _of_dict(self, data: Mapping[str, Any]) -> Node:
        name = str(data.get("__class_fullname__", "")).rpartition(".")[2]
        if not name:
            return Node("?", {}, problem="expected a transform, with the key `__class_fullname__`")
        if "__name__" in data:
            return self._by_name(name, str(data["__name__"]))
        values = {key: value for key, value in data.items() if key != "__class_fullname__"}
        return self._present(name, values)

    def _by_name(self, name: str, key: str) -> Node:
        """A Lambda, of which a dict has only the name."""
        given = self._nonserializable.get(key)
        if given is None:
            return Node(name, {}, problem=f"a dict has only its name; pass nonserializable={{{key!r}: the {name}}}")
        return self.node(given)

    def _of_object(self, transform: Any) -> Node:
        name = type(transform).__name__
        functions = getattr(transform, "custom_apply_fns", None)
        if isinstance(functions, Mapping):  # only a Lambda with a name has a dict, without its functions
            return Node(name, {"functions": functions, "p": getattr(transform, "p", 1.0)})
        children = getattr(transform, "transforms", None)
        if _has_children(transform):  # one by one: a child without a dict leaves the others as they are
            transform = copy.copy(transform)
            transform.transforms = []
        else:
            children = None
        try:
            data = transform.to_dict()
        except Exception as error:  # of a class of the user's
            return Node(name, {}, problem=f"it is no transform of albumentations, and has no dict: {error}")
        self._version = data.get("__version__", self._version)
        data = data.get("transform", data)
        return self._of_dict({**data, "transforms": children} if isinstance(children, list | tuple) else data)

    def _present(self, name: str, values: Mapping[str, Any]) -> Node:
        name, values, notes = renamed(name, values, self._version)
        children = values.get("transforms")
        if isinstance(children, list | tuple):
            values = {**values, "transforms": [self.node(child) for child in children]}
        return Node(name, values, notes)


def _has_children(transform: Any) -> bool:
    """Whether this is a container; ColorJitter has a list of functions under the same name."""
    children = getattr(transform, "transforms", None)
    return isinstance(children, list | tuple) and not any(isinstance(child, types.FunctionType) for child in children)
