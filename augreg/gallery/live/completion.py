"""Completion in the text of a spec: what the JSON Schema allows where the cursor is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import yaml

from augreg.gallery.live.nodes import nodes_of, too_deep
from augreg.gallery.live.schema_walk import Schema, forms_at, properties_of

__all__ = ["Completions", "Item", "complete"]

_MOST = 40
_HERE = "zzCURSORzz"  # stands in the text where the cursor is
_WORD = re.compile(r"[\w/.$-]*\Z")
_BEGINS = re.compile(r"(?:^|[-,\[])[ ]*\Z")  # the part of a line before an item
_CLOSING = {yaml.FlowSequenceStartToken: "]", yaml.FlowMappingStartToken: "}"}


class Item(NamedTuple):
    """A completion: its name, the text that takes the place of the word, and what it is about."""

    name: str
    text: str
    about: str


class Completions(NamedTuple):
    """The completions of the word that begins at `start`."""

    start: int
    items: list[Item]


class _Place(NamedTuple):
    """Where the cursor is: the location in the spec; in a key, with the other keys, or in a value."""

    location: tuple[str | int, ...]
    is_key: bool
    others: frozenset[str] = frozenset()
    in_list: bool = False
    in_brackets: bool = False


def complete(text: str, cursor: int, schema: Schema) -> Completions:
    """What may take the place of the word before the cursor, names that begin with it first."""
    head = text[:cursor]
    word = _WORD.search(head)
    start = word.start() if word else cursor
    typed, before = head[start:], head[:start]
    line = before.rpartition("\n")[2]
    found: dict[str, Item] = {}
    for place in [] if too_deep(before) else _places(before):
        for item in _items(place, line, schema, text[cursor:]):
            found.setdefault(item.name, item)
    lower = typed.lower()
    begin = [item for name, item in found.items() if name.lower().startswith(lower)]
    begin.sort(key=lambda item: item.name.startswith("$"))  # `$schema` is for other editors
    inside = [item for name, item in found.items() if lower in name.lower() and item not in begin]
    return Completions(start, [item for item in (*begin, *inside) if item.text.strip() != typed][:_MOST])


def _places(before: str) -> Iterator[_Place]:
    """Where the cursor may be: in a value, or in a key."""
    closers = _closers(before)
    for probe in (_HERE, f"{_HERE}:"):
        root = nodes_of(f"{before}{probe}{closers}")
        place = None if root is None else _find(root, (), set())
        if place is not None:
            yield place._replace(in_brackets=bool(closers))


def _closers(before: str) -> str:
    """The brackets that are open at the end of a text, closed."""
    opened: list[str] = []
    try:
        for token in yaml.scan(before, Loader=yaml.SafeLoader):
            if type(token) in _CLOSING:
                opened.append(_CLOSING[type(token)])
            elif isinstance(token, yaml.FlowSequenceEndToken | yaml.FlowMappingEndToken) and opened:
                opened.pop()
    except yaml.YAMLError:
        pass  # it goes on after the cursor
    return "".join(reversed(opened))


def _find(node: yaml.Node, location: tuple[str | int, ...], seen: set[int]) -> _Place | None:
    """The place of the cursor in or below a node, unless it is in those seen before, which aliases repeat."""
    if id(node) in seen:
        return None
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        return _Place(location, False) if node.value == _HERE else None
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            place = _find(item, (*location, index), seen)
            if place is not None:
                return place._replace(in_list=True) if place.location == (*location, index) else place
        return None
    keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
    if _HERE in keys:
        return _Place(location, True, frozenset(keys))
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode):
            place = _find(value, (*location, key.value), seen)
            if place is not None:
                return place
    return None


def _items(place: _Place, line: str, schema: Schema, after: str) -> Iterator[Item]:
    forms = forms_at(schema, place.location)
    at_end = not after.partition("\n")[0].strip()  # nothing follows in the line
    if not place.is_key:
        for form in forms:
            names = [*form.get("enum", ()), *([True, False] if "boolean" in form.get("type", ()) else ())]
            for value in names:
                yield Item(_written(value), _written(value), "")
        if at_end and not place.in_list and line.rstrip().endswith(":"):  # behind `rotate: `, an argument in braces
            for name, part in properties_of(forms).items():
                yield Item(name, f"{{{name}: }}", _about(schema, part))
    begins = _BEGINS.search(line) if place.in_list else not line.strip()
    if place.is_key or begins:
        bare = [form["pattern"] for form in forms if "pattern" in form and "properties" in form]
        colon = "" if re.match(r"[ ]*:", after) else ": "
        for name, part in properties_of(forms).items():
            if name not in place.others:
                needs_none = not place.is_key and any(re.search(pattern, name) for pattern in bare)
                rest = "" if needs_none else colon
                if rest and not place.in_brackets and at_end and _has_steps(schema, part):
                    rest = f":\n{' ' * len(line)}  - "
                yield Item(name, f"{name}{rest}", _about(schema, part))


def _has_steps(schema: Schema, part: Schema) -> bool:
    """Whether a part is a list of steps."""
    forms = forms_at({**part, "$defs": schema["$defs"]}, ())
    items = [form["items"] for form in forms if isinstance(form.get("items"), dict)]
    return any(item.get("$ref", "").endswith(".step") for item in items)


def _written(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _about(schema: Schema, part: Schema) -> str:
    """The first sentence of the description of a part, and its default."""
    forms: Sequence[Schema] = forms_at({**part, "$defs": schema["$defs"]}, ())
    about = next((form["description"] for form in forms if form.get("description")), "").partition("\n")[0]
    default = next((f"default {_written(form['default'])}" for form in forms if "default" in form), "")
    return "; ".join(filter(None, (about, default)))
