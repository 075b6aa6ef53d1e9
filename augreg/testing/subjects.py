"""What is tested: a class under the name that a spec has for it, with arguments to try it with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from augreg.pipeline import Pipeline
from augreg.registry.registry import Registry

__all__ = ["Subject", "names", "subject"]

Array = NDArray[Any]


@dataclass(frozen=True)
class Subject:
    """A registered class, its name, and the arguments that the checks use: its previews, or none."""

    name: str
    cls: Any
    arguments: tuple[Mapping[str, Any], ...]
    registry: Registry = field(default_factory=Registry.installed, repr=False)

    @property
    def mark(self) -> Any:
        """What its decorator noted."""
        return self.cls.__augreg__

    def pipelines(self, section: str = "image", **options: Any) -> Iterator[Pipeline]:
        """A pipeline of this one step for each of the arguments; `p` and `test` among the options go to the step."""
        common: dict[str, Any] = {key: options.pop(key) for key in ("p", "test") if key in options}
        for arguments in self.arguments:
            step = {self.name: {**arguments, **common}}
            yield Pipeline.from_spec({section: [step], **options}, self.registry)


def subject(
    cls: Any,
    arguments: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    name: str | None = None,
    registry: Registry | None = None,
) -> Subject:
    """The subject of a class; one that the registry does not know is added to it."""
    mark = getattr(cls, "__augreg__", None)
    if mark is None or not isinstance(cls, type):
        raise TypeError(f"expected a class marked by @augreg.transform or its like, got {cls!r}")
    registry = Registry.installed() if registry is None else registry
    if name is None:
        known = (key for key in registry if key.rpartition("/")[2] == mark.name and registry[key] is cls)
        name = next(known, None)
    if name is None or name not in registry:
        name = name or mark.name
        registry = registry.add(cls, name)
    if arguments is None:
        children: dict[str, Any] = {"steps": ["invert", "horizontal_flip"]} if mark.container else {}
        arguments = mark.preview or (children,)
    if isinstance(arguments, Mapping):
        arguments = (arguments,)
    return Subject(name, cls, tuple(arguments), registry)


def names(namespace: str, registry: Registry) -> list[str]:
    """The names of all steps that a namespace brings; `augreg` means the built-ins. None of them is loaded."""
    prefix = "" if namespace == "augreg" else f"{namespace}/"
    return [name for name in registry if (name.startswith(prefix) if prefix else "/" not in name)]
