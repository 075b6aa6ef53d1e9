"""The draws of a batch: what the training side draws at the address of each image, or the rules of the test side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from augreg.columns.cursors import Rows
from augreg.columns.philox import Addresses
from augreg.columns.records import Scenes
from augreg.devices.programs import Limits, Program, tested, trained
from augreg.execution.run import RunSettings
from augreg.ops.scene import Boxes
from augreg.rng import Address
from augreg.steps.step import Step

__all__ = ["BatchDraws"]

Alone = Callable[[Any, Address | None], Any]


class BatchDraws(msgspec.Struct, frozen=True, eq=False):
    """The steps, the addresses of the images (None at test time), and a run of a single image or sample.

    `boxes` are those of each image's sample, if it has any, for the steps that see them.
    """

    steps: Sequence[Step]
    settings: RunSettings
    addresses: Addresses | None
    run_alone: Alone
    boxes: Sequence[Boxes] = ()

    def program(self, scenes: Scenes, rows: Rows) -> Program:
        """The program of the images `rows` of the batch. Raises OneByOneError."""
        settings = self.settings
        limits = Limits(settings.approximate, settings.max_pixels)
        if self.addresses is None:
            return tested(self.steps, scenes, limits)
        boxes = [self.boxes[row] for row in rows.tolist()] if self.boxes else ()
        return trained(self.steps, scenes, self.addresses.taken(rows), settings.engine, limits, boxes)

    def alone(self, image: Any, row: int) -> Any:
        """One image or sample of the batch after a run of its own."""
        return self.run_alone(image, None if self.addresses is None else self.addresses.at(row))
