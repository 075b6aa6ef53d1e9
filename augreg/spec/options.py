"""What a spec contains: its options, a section of steps each for images, batches, models and losses, and views."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from augreg.named_views.declared import Group
from augreg.steps.declare import Section
from augreg.steps.step import Step
from augreg.targets.conventions import Targets

__all__ = ["BACKENDS", "SECTIONS", "Options", "Spec"]

SECTIONS: tuple[Section, ...] = ("image", "batch", "model", "loss")
BACKENDS = ("auto", "pillow", "opencv", "native")
_DEFAULT_TARGETS = Targets()


@dataclass(frozen=True)
class Options:
    """The options of a spec, by their names in it."""

    version: Literal[1] = 1
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    output: Literal["auto", "numpy", "torch"] = "auto"
    channels: Literal["rgb", "gray", "keep", "rgba"] = "rgb"
    backend: Annotated[str, Meta(pattern=f"^({'|'.join(BACKENDS)}|[^/]+/.+)$")] = "auto"
    approximate: bool = False
    targets: Targets = _DEFAULT_TARGETS
    classes: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    max_pixels: Annotated[int, Meta(ge=1, le=2**48)] = 2**27
    decode: Literal["exact", "scaled"] = "exact"
    layout: Literal["chw", "hwc"] = "chw"


@dataclass(frozen=True)
class Spec:
    """A spec after parsing: its options, the steps of its sections, and its named views."""

    options: Options
    image: tuple[Step, ...] = ()
    batch: tuple[Step, ...] = ()
    model: tuple[Step, ...] = ()
    loss: tuple[Step, ...] = ()
    views: tuple[Group, ...] = ()

    @property
    def image_steps(self) -> tuple[Step, ...]:
        """The steps of `image`, and those of all views."""
        return (*self.image, *(step for group in self.views for step in group.steps))
