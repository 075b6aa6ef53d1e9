"""Preparing: what is done to a batch on the CPU, perhaps in another process, and what is left for a device.

The images are read, of which only the part is decoded that a first crop keeps. `finished` runs the rest.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, Final, Protocol

import msgspec
import numpy as np
import torch
from msgspec.structs import replace

from augreg.backends import Backend, alpha
from augreg.columns.cursors import Integers, Rows
from augreg.columns.records import Columns, Scenes
from augreg.devices.fusing import CropResize, fused
from augreg.devices.groups import Group, joined
from augreg.devices.loading import Loaded, Memory, Pack, load, packed, plain_memory
from augreg.devices.programs import OneByOneError, Program
from augreg.devices.running import Work, refusal, run
from augreg.devices.singly import run_singly
from augreg.errors import ImageError
from augreg.execution.merging import merge
from augreg.execution.run import RunSettings, read_pixels, run_ops
from augreg.images.codecs import InputImage
from augreg.ops import Op, Resize, Scene

__all__ = [
    "Draws",
    "Prepared",
    "by_kernels",
    "clamped",
    "finished",
    "finished_alone",
    "output",
    "prepared",
]


_NAMED: Final = 5  # images in an error


class Draws(Protocol):
    """Gives the ops of the images of a batch: what a side of a pipeline draws, or its test-time rules."""

    @property
    def settings(self) -> RunSettings:
        """What runs need to know besides."""

    def program(self, scenes: Scenes, rows: Rows) -> Program:
        """The program of the images `rows` of the batch. Raises OneByOneError."""

    def alone(self, image: Any, row: int) -> Any:
        """One image of the batch after a run of its own, as a tensor on the CPU."""


class Part(msgspec.Struct, frozen=True, eq=False):
    """The images `rows` of a batch, which packs and columns number from 0, and the columns that are left to run.

    `scene` is what they have in common before these, and `clamps` whether the results are to be from 0 to 1.
    """

    rows: Rows
    packs: Sequence[Pack]
    columns: Sequence[Columns]
    scene: Scene
    clamps: bool = False


class Prepared(msgspec.Struct, frozen=True, eq=False):
    """A batch of `count` images of which a device has to do the rest. It can be sent to another process."""

    count: int
    parts: Sequence[Part]

    def pinned(self) -> Prepared:
        """The same with the pixels in pinned memory, from which they are copied while other work is done."""

        def pinned(pack: Pack) -> Pack:
            return replace(pack, pixels=pack.pixels.pin_memory())

        return replace(self, parts=[replace(part, packs=[*map(pinned, part.packs)]) for part in self.parts])


def prepared(
    images: Sequence[InputImage],
    draws: Draws,
    memory: Memory = plain_memory,
    threads: bool = True,
    sent: bool = False,
) -> Prepared:
    """Draw for images of any sizes and kinds, and read them; those of one kind together.

    What is `sent` to another process has no functions of users in it, and no op that would run image by image there:
    images that have one are run here up to the last one. Raises ImageError.
    """
    settings = draws.settings
    kinds: dict[Scene, list[int]] = {}
    for row, image in enumerate(images):
        kinds.setdefault(replace(image.scene(settings.epoch), height=1, width=1), []).append(row)
    parts: list[Part] = []
    for common, numbers in kinds.items():
        rows = np.array(numbers, np.intp)
        some = [images[row] for row in numbers]
        sizes = np.array([image.array.shape[:2] for image in some], np.int64)
        scenes = Scenes(sizes[:, 0], sizes[:, 1], common)
        try:
            program = draws.program(scenes, rows)
            _check_scaled(some, program, settings)
        except OneByOneError:
            parts.append(_alone(some, draws, rows, memory))
            continue
        begun = _begun(program.columns, scenes) if sent else np.zeros(len(rows), np.intp)
        for places in filter(len, (np.flatnonzero(begun == 0), np.flatnonzero(begun))):
            own, before = [some[place] for place in places], scenes.taken(places)
            columns = program.columns if len(places) == len(rows) else _of(program.columns, places)
            if begun[places].any():
                own, columns, before = _run_first(own, columns, before, begun[places], settings)
            before, columns = _from_first(columns, before)
            loaded = load(own, fused(columns, before), before, settings.decode == "scaled", memory, threads)
            loaded = _without_labels(loaded) if sent else loaded
            parts.append(Part(rows[places], loaded.packs, loaded.columns, before.common, program.clamps))
    return Prepared(len(images), parts)


def by_kernels(kernels: bool | None, device: torch.device) -> bool:
    """Whether ops run by the kernels of batches.

    By default they do not on the CPU, where the backend of single images takes less time, nor on the GPUs of Apple,
    which have no float64.
    """
    return device.type not in ("cpu", "mps") if kernels is None else kernels


def finished_alone(images: Sequence[Any], draws: Draws, device: torch.device) -> Any:
    """The images of a batch after runs of their own, on the device: one tensor, or a list if they differ in shape."""
    found = [_run_alone(image, draws, row) for row, image in enumerate(images)]
    if len({(image.shape, image.dtype) for image in found}) == 1:
        return torch.stack(found).to(device)
    return [image.to(device) for image in found]


def _run_alone(image: Any, draws: Draws, row: int) -> torch.Tensor:
    """One image after a run of its own: channels x height x width."""
    with _naming([row]):
        found: torch.Tensor = draws.alone(image, row)
    return found if found.ndim == 3 else found[None]


@contextlib.contextmanager
def _naming(rows: Sequence[Any] | Rows) -> Iterator[None]:
    """Let errors say which images of the batch they are about: the first of them."""
    try:
        yield
    except ImageError as error:
        if not len(rows) or str(error).startswith("sample "):  # which is named already
            raise
        more = ", .." if len(rows) > _NAMED else ""
        raise ImageError(f"images[{', '.join(map(str, rows[:_NAMED]))}{more}]: {error}") from error


def finished(batch: Prepared, engine: Backend, device: torch.device, kernels: bool | None = None) -> Any:
    """The images of a batch after all ops, on the device: one tensor, or a list if they differ in shape.

    `kernels` is whether ops run by the kernels of batches, as for `by_kernels`.
    """
    groups: list[Group] = []
    for part in batch.parts:
        work = Work(engine, part.scene)
        with _naming(part.rows if len(part.rows) < batch.count else ()):  # what is wrong with all needs no name
            if by_kernels(kernels, device):
                found = run([], part.packs, part.columns, work, device)
            else:
                found = run_singly(part.packs, part.columns, work)
                found = [replace(group, images=group.images.to(device)) for group in found]
        found = clamped(found) if part.clamps else found
        groups += [replace(group, rows=part.rows[group.rows]) for group in found]
    return output(groups, batch.count)


def clamped(groups: Sequence[Group]) -> list[Group]:
    """The groups with pixel values from 0 to 1: a bicubic kernel can overshoot."""
    return [Group(group.rows, group.images.clamp(0.0, 1.0)) for group in groups]


def output(groups: Sequence[Group], count: int) -> Any:
    """The images of a batch in their order: one tensor if they have one shape and dtype, else a list."""
    found = joined(groups)
    if len(found) == 1:
        return found[0].images if found[0].own else found[0].images.clone()
    every: list[Any] = [None] * count
    for group in found:
        for place, row in enumerate(group.rows.tolist()):
            every[row] = group.images[place]
    return every


def _alone(images: Sequence[Any], draws: Draws, rows: Rows, memory: Memory) -> Part:
    """The images `rows` of a batch after runs of their own."""
    each = zip(images, rows.tolist(), strict=True)
    found = [InputImage(_run_alone(image, draws, row).permute(1, 2, 0).numpy(), "array") for image, row in each]
    return Part(rows, packed(found, None, np.arange(len(rows)), None, memory), (), Scene(1, 1))


def _check_scaled(images: Sequence[InputImage], program: Program, settings: RunSettings) -> None:
    """Raise OneByOneError if some of the images may be decoded smaller, and others not, because of their ops."""
    if settings.decode == "scaled" and any(image.scaled is not None for image in images):
        columns = fused(program.columns, program.before)
        resizes = [column for column in columns if isinstance(column.op, Resize | CropResize)]
        if resizes and not (resizes[0] is columns[0] and len(resizes[0]) == len(images)):
            raise OneByOneError("images begin with different ops")


def _begun(columns: Sequence[Columns], scenes: Scenes) -> Integers:
    """The number of columns up to the last op of each image that has no kernel for batches."""
    found = np.zeros(len(scenes), np.intp)
    scene = scenes.common
    for number, column in enumerate(columns, 1):
        if refusal(column.op, scene):
            found[column.rows] = number
        scene = scene if column.op.keeps_kind else column.op.after(scene)
    return found


def _of(columns: Sequence[Columns], places: Rows) -> list[Columns]:
    """The columns for some images, which become 0, 1, ..; one may be for none of them."""
    found = []
    for column in columns:
        kept = np.flatnonzero(np.isin(column.rows, places))
        found.append(column.taken(kept, np.searchsorted(places, column.rows[kept])))
    return found


def _run_first(
    images: Sequence[InputImage], columns: Sequence[Columns], scenes: Scenes, begun: Integers, settings: RunSettings
) -> tuple[list[InputImage], list[Columns], Scenes]:
    """Run the first ops of each image, those of `begun` columns. Returns the images, and what is left for them."""
    first: list[list[Op]] = [[] for _ in images]
    left = []
    for number, column in enumerate(columns):
        done = begun[column.rows] > number
        for place in np.flatnonzero(done).tolist():
            first[column.rows[place]].append(column.at(place))
        kept = np.flatnonzero(~done)
        left.append(column.taken(kept, column.rows[kept]))
    found = []
    for row, image in enumerate(images):
        scene = scenes.at(row)
        ops = merge(first[row], scene)
        pixels, start = read_pixels(image, ops, scene, settings)
        ops = ops if start is None else (*start.ops, *ops[start.replaced :])
        try:
            array = run_ops(ops, pixels, alpha.engine_for(scene, settings.engine))
        except ImageError as error:
            raise ImageError(f"{image.name}: {error}") from error
        found.append(InputImage(array, "array"))
    sizes = np.array([image.array.shape[:2] for image in found], np.int64)
    return found, left, Scenes(sizes[:, 0], sizes[:, 1], scenes.common)


def _from_first(columns: Sequence[Columns], scenes: Scenes) -> tuple[Scenes, list[Columns]]:
    """The scenes before the first column that has images, and the columns that have some."""
    common = scenes.common
    for column in columns:
        if len(column):
            break
        common = common if column.op.keeps_kind else column.op.after(common)
    return replace(scenes, common=common), [column for column in columns if len(column)]


def _without_labels(loaded: Loaded) -> Loaded:
    """The same without what describes the ops, which may hold functions."""

    def bare(op: Any) -> Any:
        return None if op is None else replace(op, label="")

    packs = [replace(pack, start=bare(pack.start)) for pack in loaded.packs]
    return Loaded(packs, [replace(column, op=bare(column.op)) for column in loaded.columns])
