"""Pipelines as fields of pydantic models: read from a spec, written as a spec. Only pydantic itself calls this."""

from __future__ import annotations

from typing import Any, Self

from augreg.errors import AugregError
from augreg.registry.registry import Registry

__all__ = ["PydanticField"]

_ID = "https://augreg.invalid/spec"
"""The base of the references in a schema that is a part of another; `.invalid` is a domain that never exists."""


class PydanticField:
    """What pydantic asks a class: how to validate, to serialize, and its JSON Schema."""

    @classmethod
    def from_spec(cls, spec: object, registry: Registry | None = None, **options: object) -> Self:
        """The object that a spec describes."""
        raise NotImplementedError

    def to_spec(self) -> dict[str, Any]:
        """The canonical spec."""
        raise NotImplementedError

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """A field takes an object, a spec, a preset's name or a path; it is dumped as the canonical spec.

        The problems of a spec become those of the field.
        """
        from pydantic_core import core_schema

        def read(value: Any) -> Any:
            return value if isinstance(value, cls) else cls.from_spec(value)

        return core_schema.no_info_before_validator_function(
            read,
            core_schema.any_schema(),
            ref=f"{cls.__module__}.{cls.__qualname__}",  # so that a JSON Schema has it once
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda value: value.to_spec(), return_schema=core_schema.dict_schema()
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> dict[str, Any]:
        """The JSON Schema of specs with all that is installed, or a string: a preset's name or a path."""
        from augreg.spec.json_schema import schema

        reference: dict[str, Any] = handler(core_schema)
        forms = [schema(_classes(Registry.installed()), address=_ID)]
        if handler.mode == "validation":
            forms.insert(0, {"type": "string", "description": "The name of a preset, or the path of a file."})
        found = handler.resolve_ref_schema(reference)
        found.clear()
        found.update(title="augreg spec", anyOf=forms)
        return reference


def _classes(registry: Registry) -> dict[str, Any]:
    """The classes that load, by name."""
    found = {}
    for name in registry:
        try:
            found[name] = registry[name]
        except AugregError:
            continue
    return found
