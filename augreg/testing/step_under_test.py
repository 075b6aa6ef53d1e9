"""The step that is tested: a class, its name in specs, and the arguments to test it with."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from numpy.typing import NDArray

from augreg.pipeline import Pipeline
from augreg.registry.registry import Registry
from augreg.steps.declare import TransformInfo

__all__ = ["Array", "StepUnderTest", "by_name", "names", "step_under_test"]

Array = NDArray[Any]
_Step = TypeVar("_Step", bound="StepUnderTest")


@dataclass(frozen=True)
class StepUnderTest:
    """A registered class, its name, and the arguments that the checks use, by default its previews."""

    name: str
    cls: type
    arguments: tuple[Mapping[str, Any], ...]
    registry: Registry = field(default_factory=Registry.installed, repr=False)

    @property
    def info(self) -> TransformInfo:
        """What its decorator recorded."""
        info: TransformInfo = self.cls.__augreg__  # type: ignore[attr-defined]
        return info

    @property
    def section(self) -> str:
        """The section of a spec that it belongs to."""
        return self.info.sections[0]

    def pipelines(self, section: str = "image", **options: Any) -> Iterator[Pipeline]:
        """A pipeline of this step for each of the arguments; the options `p` and `test` are passed to the step."""
        common: dict[str, Any] = {key: options.pop(key) for key in ("p", "test") if key in options}
        for arguments in self.arguments:
            step = {self.name: {**arguments, **common}}
            yield Pipeline.from_spec({section: [step], **options}, self.registry)

    def run(self: _Step, checks: Mapping[str, Callable[[_Step], None]], without: Iterable[str]) -> None:
        """Run the checks except those in `without`. Raises AssertionError with the name of the check that fails."""
        skipped = set(without)
        for name, check in checks.items():
            if name in skipped:
                continue
            try:
                check(self)
            except AssertionError as error:
                raise AssertionError(f"{name}: {error}") from error


def step_under_test(
    cls: type,
    arguments: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    name: str | None = None,
    registry: Registry | None = None,
) -> StepUnderTest:
    """The step of a class; a class that the registry does not have is added to it."""
    info = getattr(cls, "__augreg__", None)
    if info is None or not isinstance(cls, type):
        raise TypeError(f"expected a class decorated with @augreg.transform or similar, got {cls!r}")
    registry = Registry.installed() if registry is None else registry
    if name is None:
        known = (key for key in registry if key.rpartition("/")[2] == info.name and registry[key] is cls)
        name = next(known, None)
    if name is None or name not in registry:
        name = name or info.name
        registry = registry.add(cls, name)
    if arguments is None:
        children: dict[str, Any] = {"steps": ["invert", "horizontal_flip"]} if info.container else {}
        arguments = info.preview or (children,)
    if isinstance(arguments, Mapping):
        arguments = (arguments,)
    return StepUnderTest(name, cls, tuple(arguments), registry)


def by_name(*checks: Callable[[StepUnderTest], None]) -> Mapping[str, Callable[[StepUnderTest], None]]:
    """The checks by their names; a check raises AssertionError with what is wrong and what to do."""
    return {check.__name__: _raising_assertions(check) for check in checks}


def _raising_assertions(check: Callable[[StepUnderTest], None]) -> Callable[[StepUnderTest], None]:
    """The check, with what a step raises unexpectedly turned into an AssertionError that says what it must do."""

    @functools.wraps(check)
    def checked(tested: StepUnderTest) -> None:
        try:
            check(tested)
        except AssertionError:
            raise
        except Exception as error:  # a step may raise anything
            contract = (check.__doc__ or "").split("\n")[0]
            message = f"{type(error).__name__}: {error}; it must not fail where this is checked: {contract}"
            raise AssertionError(message) from error

    return checked


def names(namespace: str, registry: Registry) -> list[str]:
    """The names of all steps in a namespace, without loading them; `augreg` means the built-ins."""
    prefix = "" if namespace == "augreg" else f"{namespace}/"
    return [name for name in registry if (name.startswith(prefix) if prefix else "/" not in name)]
