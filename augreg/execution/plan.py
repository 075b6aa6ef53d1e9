"""The plan: the ops for one image, as a record that can be printed, pickled, compared and run."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, overload

import msgspec

from augreg import notebook
from augreg.errors import ImageError
from augreg.execution.run import RunSettings
from augreg.execution.samples import run, scene_of
from augreg.execution.sampling import Drawn, Entry
from augreg.ops import Op, Scene

if TYPE_CHECKING:
    from os import PathLike
    from typing import BinaryIO, TypeAlias

    from numpy.typing import NDArray
    from PIL.Image import Image
    from torch import Tensor

    Source: TypeAlias = NDArray[Any] | str | bytes | PathLike[str] | BinaryIO
    """An image that comes out as an array."""

__all__ = ["Plan", "planned_scene"]


class Plan(msgspec.Struct, frozen=True):
    """What will be done to an image of this scene: the ops to run, and which step drew them.

    `run(image)` does it to an image of the same size, or to a sample, a mapping. Plans pickle, compare and print.
    `after` is the scene that the ops leave. `deferred` are the steps after an op of unknown size; they are drawn when
    the plan runs. The boxes that steps see are those of the sample that the plan was made for, also in other samples.
    """

    ops: tuple[Op, ...]
    scene: Scene
    entries: tuple[Entry, ...]
    title: str
    settings: RunSettings
    after: Scene
    deferred: tuple[Any, ...] = ()

    @overload
    def run(self, image: Mapping[Any, Any]) -> dict[Any, Any]: ...
    @overload
    def run(self, image: Image) -> Image | NDArray[Any]: ...
    @overload
    def run(self, image: Source) -> NDArray[Any]: ...
    @overload
    def run(self, image: Tensor) -> Tensor: ...
    def run(self, image: Any) -> Any:
        """The image, or the sample, after it. Raises ImageError for another size or kind than was planned for."""
        return run(image, self._start, self.settings)

    def _start(self, scene: Scene, alone: bool) -> tuple[Sequence[Op], Drawn]:
        planned = self.scene
        if msgspec.structs.replace(scene, boxes=planned.boxes) != planned:
            raise ImageError(f"this plan is for {_kind(planned)}, and the image is {_kind(scene)}")
        if not self.deferred:
            return self.ops, Drawn([], list(self.entries), self.after, [])
        # a run adds ops to the entries of the steps that go on: to copies, so that the plan stays as it is
        copies = {id(entry): msgspec.structs.replace(entry, ops=list(entry.ops)) for entry in self.entries}
        deferred = [(item, copies.get(id(parent), parent)) for item, parent in self.deferred]
        return self.ops, Drawn([], list(copies.values()), self.after, deferred)

    def __str__(self) -> str:
        lines = [self._headline()]
        width = max((2 * entry.depth + len(entry.name) for entry in self.entries), default=0)
        for entry in self.entries:
            lines.append(f"  {'  ' * entry.depth + entry.name:{width}}  {_drawn(entry)}".rstrip())
        return "\n".join([*lines, *(f"  {line}" for line in self._passes())])

    def _repr_html_(self) -> str:
        """For notebooks."""
        rows = (("  " * entry.depth + entry.name, _drawn(entry)) for entry in self.entries)
        return notebook.table(self._headline(), ("step", "drawn"), rows, self._passes())

    def _headline(self) -> str:
        scene = self.scene
        kind = {1: "gray", 3: "rgb"}.get(scene.channels, "rgba" if scene.alpha else f"{scene.channels} channels")
        backend = self.settings.engine.name
        boxes = f" with {len(scene.boxes)} box{'es' * (len(scene.boxes) > 1)}" if scene.boxes else ""
        return f"{self.title}: {scene.height}x{scene.width} {kind} {scene.dtype}{boxes}, backend {backend}"

    def _passes(self) -> list[str]:
        passes = ", then ".join(f"[{op}]" for op in self.ops) or "nothing"
        lines = [f"runs as {len(self.ops)} op{'s' * (len(self.ops) != 1)}: {passes}"]
        if self.deferred:
            lines.append("deferred: the remaining steps are drawn once the size after the last op is known")
        return lines


_NO_IMAGES: Final = (tuple, list, int, float)


def planned_scene(given: Any, channels: int, dtype: Any, settings: RunSettings) -> Scene:
    """The scene of an image or a sample, or of a (height, width) with these channels and dtype.

    Raises ValueError, and ImageError, which is one, for an image that is none.
    """
    if given is not None and not isinstance(given, _NO_IMAGES):
        return scene_of(given, settings)
    try:
        height, width = map(operator.index, given)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        height = width = 0
    if height < 1 or width < 1:
        numbers = not isinstance(given, tuple | list) or all(isinstance(item, int | float | str) for item in given)
        got = repr(given) if numbers else f"a {type(given).__name__} of other things"
        raise ValueError(f"a plan needs the image's size as (height, width), an image or a sample, got {got}")
    if dtype not in ("uint8", "float32") or not isinstance(channels, int) or not 1 <= channels <= 64:
        wrong = f"{channels!r} channels of {dtype!r}"
        raise ValueError(f"a plan is for 1 to 64 channels of 'uint8' or 'float32', got {wrong}")
    alpha = channels == 4 and settings.channels in ("keep", "rgba")
    return Scene(height, width, channels, dtype, epoch=settings.epoch, alpha=alpha)


def _kind(scene: Scene) -> str:
    """The size and the kind of an image, for messages."""
    alpha = "" if scene.channels != 4 else " with alpha" if scene.alpha else " without alpha"
    return f"{scene.height}x{scene.width}x{scene.channels} {scene.dtype}{alpha}"


def _drawn(entry: Entry) -> str:
    """What a step drew, in words."""
    if entry.rule:
        done = ", ".join(map(str, entry.ops))
        return f"{entry.rule}{': ' if done else ''}{done}"
    if not entry.applied:
        return f"not applied (p = {entry.p:g})"
    return ", ".join(map(str, entry.ops))
