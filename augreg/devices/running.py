"""Running a program: each op on all images that it is for, as torch tensors on a device.

An op is run on the images of a group that it is for; where that changes their size, they become another group. What
has no kernel for batches runs image by image on the CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import torch
from msgspec.structs import replace

from augreg.backends import Backend, alpha, torch as kernels
from augreg.backends.torch_kernels.columns import table, uploaded
from augreg.backends.torch_kernels.fading import faded
from augreg.backends.torch_kernels.lookups import column_tables
from augreg.backends.torch_kernels.normalizing import normalized
from augreg.backends.torch_kernels.resizing import crop_resize, resize_box
from augreg.columns.cursors import Rows
from augreg.columns.records import BranchColumns, Columns
from augreg.devices.fading import Fade
from augreg.devices.fusing import CropResize
from augreg.devices.groups import Group, joined
from augreg.devices.loading import Pack
from augreg.errors import ImageError
from augreg.ops import BranchMix, Lookup, Move, Normalize, Op, Pad, Paint, ResizeBox, Scene

__all__ = ["Work", "refusal", "run"]


class Work(msgspec.Struct, frozen=True):
    """What a run needs to know besides images and ops: the scene before each op, and what runs single images."""

    engine: Backend
    scene: Scene


def run(
    groups: Sequence[Group], packs: Sequence[Pack], columns: Sequence[Columns], work: Work, device: Any
) -> list[Group]:
    """The images after the ops. `packs` are copied to the device, where the groups are."""
    found = joined([*groups, *(group for pack in packs for group in _started(pack, device))])
    for column in columns:
        found = joined([after for group in found for after in _after(group, column, work)])
        if not column.op.keeps_kind:
            work = Work(work.engine, column.op.after(work.scene))
    for group in found:
        group.settle()
    return found


def _started(pack: Pack, device: Any) -> list[Group]:
    """The images of a pack after the op that has to run first."""
    images = pack.pixels.to(device, non_blocking=True).permute(0, 3, 1, 2)
    if pack.start is None or pack.sizes is None:
        # a tensor of the CPU may be memory that a loader uses again
        return [Group(pack.rows, images.contiguous(), images.device != pack.pixels.device)]
    whole, column = Group(pack.rows, images), Columns(pack.start, pack.rows)
    found = []
    for places, size in _by_size(pack.start, pack.sizes[:, 0], pack.sizes[:, 1]):
        part = whole if len(places) == len(pack.rows) else whole.part(places)
        op = column.op if part is whole else column.taken(places, part.rows).op
        found.append(Group(part.rows, _resized(op, part.images, size, pack.sizes[places])))
    return found


def _after(group: Group, column: Columns, work: Work) -> list[Group]:
    """The images of a group after an op for some images of the batch."""
    chosen: Rows | None = None
    if not np.array_equal(column.rows, group.rows):
        chosen = _shared(group.rows, column.rows)
        if not len(chosen):
            return [group]
        rows = group.rows[chosen]
        column = column.taken(np.searchsorted(column.rows, rows), rows)
        chosen = None if len(chosen) == len(group.rows) else chosen
    op, count = column.op, len(column.rows)
    simple = work.scene.dtype == "uint8" and not work.scene.alpha and not refusal(op, work.scene)
    if simple and isinstance(op, Lookup):
        group.look_up(op.stages, chosen)
        return [group]
    if simple and isinstance(op, Normalize) and chosen is None and group.tables is not None:
        before = column_tables(op.stages, group.images, group.tables) if op.stages else group.tables
        return [Group(group.rows, normalized(group.images, op.mean, op.std, before))]
    parts = _by_size(op, *(np.full(count, side) for side in group.size))
    changes = parts[0][1] != group.size or not op.keeps_kind  # floats are no group with bytes
    if len(parts) > 1 or (chosen is not None and changes):
        return _split(group, column, chosen, parts, work)
    if chosen is not None:
        group.replace(chosen, _applied(op, group.picked(chosen), group.size, work))
        return [group]
    if not isinstance(op, Move):  # a move takes the tables along
        group.settle()
    images = _applied(op, group.images, parts[0][1], work)
    own = group.own or not _shares(images, group.images)
    return [Group(group.rows, images, own, group.tables, group.waiting)]


def _shared(rows: Rows, others: Rows) -> Rows:
    """The places of the rows that are among the others. For some hundred `np.isin` takes several times as long."""
    among = np.zeros(max(rows.max(), others.max()) + 1, bool)
    among[others] = True
    return np.flatnonzero(among[rows])


def _split(group: Group, column: Columns, chosen: Rows | None, parts: Sequence[Any], work: Work) -> list[Group]:
    """The images after an op that leaves them with different sizes, or some of them as floats."""
    group.settle()
    everyone = np.arange(len(group.rows)) if chosen is None else chosen
    found = []
    for places, size in parts:
        part = group.part(everyone[places])
        op = column.taken(places, part.rows).op
        found.append(Group(part.rows, _applied(op, part.images, size, work)))
    others = np.setdiff1d(np.arange(len(group.rows)), everyone)
    return [*found, group.part(others)] if len(others) else found


def _shares(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors may have memory in common: some ops return what they were given."""
    return bool(one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr())


def _by_size(op: Op, height: Any, width: Any) -> list[tuple[Rows, tuple[int, int] | None]]:
    """The places of the images that get one size, and the size; None for an op that does not tell."""
    count = len(height)
    everyone: Rows = np.arange(count)
    if op.keeps_scene:
        return [(everyone, (int(height[0]), int(width[0])))]
    after: Any = op.size_after(height, width)
    if after is None:
        return [(everyone, None)]
    sizes = np.stack([np.broadcast_to(np.asarray(side, np.int64), (count,)) for side in after], axis=1)
    if (sizes == sizes[0]).all():
        return [(everyone, (int(sizes[0, 0]), int(sizes[0, 1])))]
    found, which = np.unique(sizes, axis=0, return_inverse=True)
    return [(np.flatnonzero(which == number), (int(h), int(w))) for number, (h, w) in enumerate(found)]


def _resized(op: Any, images: torch.Tensor, size: tuple[int, int] | None, sizes: Any = None) -> torch.Tensor:
    """Images of different sizes after a `CropResize`, or after the `ResizeBox` of JPEGs that were decoded smaller."""
    count, (height, width) = len(images), size or (0, 0)
    if isinstance(op, ResizeBox):
        boxes = table((op.top, op.left, op.box_height, op.box_width), count).T
        return resize_box(images, boxes, height, width, op.interpolation, sizes)
    flips = [np.broadcast_to(flip, (count,)) if np.any(flip) else None for flip in (op.flip_y, op.flip_x)]
    boxes, parts = table(op.box, count).T, table((*op.part, *op.whole), count).T
    return crop_resize(images, boxes, height, width, op.interpolation, flips[0], flips[1], parts)


def _applied(op: Op, images: torch.Tensor, size: tuple[int, int] | None, work: Work) -> torch.Tensor:
    """Images of one size after an op with numbers for each of them."""
    if isinstance(op, CropResize):
        return _resized(op, images, size)
    if isinstance(op, BranchColumns):
        return _mixed(op, images, work)
    if isinstance(op, Fade):
        return faded(images, *uploaded((op.of_luma, op.of_mean, op.factor), len(images), images.device))
    if refusal(op, work.scene):
        return _one_by_one(op, images, work)
    if work.scene.alpha:
        return _beside_alpha(op, images)
    return kernels.apply(op, images)


def refusal(op: Op, scene: Scene) -> str:
    """Why an op cannot be run on many images of this kind at once; "" if it can."""
    if isinstance(op, CropResize | BranchColumns | Fade):
        return ""
    if isinstance(op, BranchMix):
        return next(filter(None, (refusal(part, scene) for branch in op.branches for part in branch)), "")
    if scene.alpha and isinstance(op, Pad | Paint) and op.fill_ops:
        return "no batch kernel for fills of images with alpha that other ops change"
    dtype: Any = scene.dtype
    return kernels.refused(op, dtype, scene.colors if op.on_colors else scene.channels)


def _mixed(op: BranchColumns, images: torch.Tensor, work: Work) -> torch.Tensor:
    """A mix of the images with branches of ops, computed as for one image: in float32, in this order."""
    count, width = len(images), len(op.weights)
    shares = [op.keep, *((1.0 - op.keep) * weight for weight in op.weights)]
    numbers = [number.to(torch.float32)[:, None, None, None] for number in uploaded(shares, count, images.device)]
    whole = Group(np.arange(count * width), images.repeat(width, 1, 1, 1))
    groups = run([whole], (), op.chains, work, images.device)
    if len(groups) > 1 or groups[0].size != tuple(images.shape[2:]) or groups[0].images.dtype != images.dtype:
        raise ImageError("a branch of a mix must keep the size and the kind of its image")
    total = images.to(torch.float32) * numbers[0]
    for branch, share in zip(groups[0].images.split(count), numbers[1:], strict=True):
        total += share * branch
    return total.round_().clamp_(0.0, 255.0).to(torch.uint8) if images.dtype == torch.uint8 else total


def _beside_alpha(op: Op, images: torch.Tensor) -> torch.Tensor:
    """An op on images with alpha: it moves with the image, and what changes colors gets the colors alone."""
    if op.on_colors:
        return torch.cat([kernels.apply(op, images[:, :-1]), images[:, -1:]], dim=1)
    if isinstance(op, Normalize) and op.stages:
        images = _beside_alpha(Lookup(op.stages), images)
        op = replace(op, stages=())
    return kernels.apply(alpha.completed(op, images.shape[1], images.dtype == torch.uint8), images)


def _one_by_one(op: Op, images: torch.Tensor, work: Work) -> torch.Tensor:
    """The same by the backend for single images."""
    engine = alpha.engine_for(work.scene, work.engine)
    column = Columns(op, np.arange(len(images)))
    arrays = images.permute(0, 2, 3, 1).cpu().numpy()
    found = [engine.apply(column.at(place), array) for place, array in enumerate(arrays)]
    stack = torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2)
    return stack.contiguous().to(images.device)
