"""Find the parts of the JSON Schema of specs that are about a location of a spec."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

__all__ = ["Schema", "forms_at", "properties_of"]

Schema = dict[str, Any]


def forms_at(schema: Schema, location: Sequence[str | int]) -> list[Schema]:
    """What the schema says of a value at a location: one schema for each form that it may have."""
    found = list(_forms(schema, schema))
    for key in location:
        found = [form for one in found for below in _below(one, key) for form in _forms(schema, below)]
    return found


def properties_of(forms: Sequence[Schema]) -> dict[str, Schema]:
    """The keys that a value of one of these forms may have, each with its schema."""
    return {name: part for form in forms for name, part in form.get("properties", {}).items()}


def _forms(schema: Schema, part: Schema) -> Iterator[Schema]:
    """A part with its reference followed, and the forms that it is any of."""
    while "$ref" in part:
        part = schema["$defs"][part["$ref"].rpartition("/")[2]]
    yield part
    for one in part.get("anyOf", ()):
        yield from _forms(schema, one)


def _below(form: Schema, key: str | int) -> Iterator[Schema]:
    if isinstance(key, int):
        first = form.get("prefixItems", ())
        found = first[key] if key < len(first) else form.get("items")
    else:
        found = form.get("properties", {}).get(key, form.get("additionalProperties"))
    if isinstance(found, dict):
        yield found
