"""Running a program: each op on all images that it is for, as torch tensors on a device.

Images of one size are a group, one tensor. An op is run on the images of a group that it is for; where that changes
their size, they become another group. What has no kernel for batches runs image by image on the CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import torch

from augreg.backends import Backend, alpha, torch as kernels
from augreg.backends.torch_kernels.columns import table
from augreg.backends.torch_kernels.resizing import crop_resize, resize_box
from augreg.columns.cursors import Rows
from augreg.columns.records import Columns
from augreg.devices.fusing import CropResize
from augreg.devices.loading import Pack
from augreg.ops import Op, ResizeBox, Scene

__all__ = ["Group", "refusal", "run"]


class Group(msgspec.Struct, eq=False):
    """The images `rows` of a batch, which have one size: n x channels x height x width.

    `own` is whether nobody else has the tensor, so that it may be written to.
    """

    rows: Rows
    images: torch.Tensor
    own: bool = True

    @property
    def size(self) -> tuple[int, int]:
        """The height and the width."""
        return self.images.shape[2], self.images.shape[3]


class Work(msgspec.Struct, frozen=True):
    """What a run needs to know besides images and ops: the scene before each op, and what runs single images."""

    engine: Backend
    scene: Scene


def run(
    groups: list[Group], packs: Sequence[Pack], columns: Sequence[Columns], work: Work, device: Any
) -> list[Group]:
    """The images after the ops. `packs` are copied to the device, where the groups are."""
    for pack in packs:
        groups = _joined([*groups, *_started(pack, device)])
    for column in columns:
        groups = _joined([after for group in groups for after in _after(group, column, work)])
        if type(column.op).after is not Op.after:
            work = Work(work.engine, column.op.after(work.scene))
    return groups


def _started(pack: Pack, device: Any) -> list[Group]:
    """The images of a pack after the op that has to run first."""
    images = pack.pixels.to(device, non_blocking=True).permute(0, 3, 1, 2)
    if pack.start is None or pack.sizes is None:
        # a tensor of the CPU may be memory that a loader uses again
        return [Group(pack.rows, images.contiguous(), images.device != pack.pixels.device)]
    found = []
    whole = Columns(pack.start, pack.rows)
    for places, size in _by_size(pack.start, pack.sizes[:, 0], pack.sizes[:, 1]):
        everything = len(places) == len(pack.rows)
        op = pack.start if everything else whole.taken(places, pack.rows[places]).op
        some = images if everything else images[_index(places, images.device)]
        found.append(Group(pack.rows[places], _resized(op, some, size, pack.sizes[places])))
    return found


def _after(group: Group, column: Columns, work: Work) -> list[Group]:
    """The images of a group after an op for some images of the batch."""
    if len(column.rows) == len(group.rows) and np.array_equal(column.rows, group.rows):
        chosen: Rows | None = None
        op, count = column.op, len(group.rows)
    else:
        chosen = np.flatnonzero(np.isin(group.rows, column.rows))
        if not len(chosen):
            return [group]
        rows = group.rows[chosen]
        places = np.searchsorted(column.rows, rows)
        op, count = column.taken(places, rows).op, len(rows)
        if count == len(group.rows):
            chosen = None
    height, width = (np.full(count, side) for side in group.size)
    parts = list(_by_size(op, height, width))
    if len(parts) == 1:
        if chosen is None:
            images = _applied(op, group.images, parts[0][1], work)
            return [Group(group.rows, images, group.own or not _shares(images, group.images))]
        index = _index(chosen, group.images.device)
        images = _applied(op, group.images[index], parts[0][1], work)
        if images.shape[1:] == group.images.shape[1:] and images.dtype == group.images.dtype:
            whole = group.images if group.own else group.images.clone()
            return [Group(group.rows, whole.index_copy_(0, index, images))]
        others = np.setdiff1d(np.arange(len(group.rows)), chosen)
        kept = Group(group.rows[others], group.images[_index(others, group.images.device)])
        return [Group(group.rows[chosen], images), kept]
    everyone = np.arange(len(group.rows)) if chosen is None else chosen
    found = []
    for places, size in parts:
        own = Columns(op, everyone).taken(places, everyone[places]).op
        rows = everyone[places]
        images = _applied(own, group.images[_index(rows, group.images.device)], size, work)
        found.append(Group(group.rows[rows], images))
    others = np.setdiff1d(np.arange(len(group.rows)), everyone)
    if len(others):
        found.append(Group(group.rows[others], group.images[_index(others, group.images.device)]))
    return found


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


def _joined(groups: list[Group]) -> list[Group]:
    """The groups, of which those with one size are one, with their images in order."""
    if len(groups) < 2:
        return groups
    kinds: dict[Any, list[Group]] = {}
    for group in groups:
        kinds.setdefault((group.size, group.images.dtype), []).append(group)
    found = []
    for same in kinds.values():
        if len(same) == 1:
            found += same
            continue
        rows = np.concatenate([group.rows for group in same])
        order = rows.argsort()
        images = torch.cat([group.images for group in same])
        if (order[1:] < order[:-1]).any():
            images = images[_index(order, images.device)]
        found.append(Group(rows[order], images))
    return found


def _index(places: Rows, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(places)).to(device, non_blocking=True)


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
    if refusal(op, work.scene):
        return _one_by_one(op, images, work)
    if work.scene.alpha:
        return _beside_alpha(op, images)
    return kernels.apply(op, images)


def refusal(op: Op, scene: Scene) -> str:
    """Why an op cannot be run on many images of this kind at once; "" if it can."""
    if isinstance(op, CropResize):
        return ""
    dtype: Any = scene.dtype
    return kernels.refused(op, dtype, scene.colors if op.on_colors else scene.channels)


def _beside_alpha(op: Op, images: torch.Tensor) -> torch.Tensor:
    """An op on images with alpha: it moves with the image, and what changes colors gets the colors alone."""
    if op.on_colors:
        return torch.cat([kernels.apply(op, images[:, :-1]), images[:, -1:]], dim=1)
    return kernels.apply(op, images)


def _one_by_one(op: Op, images: torch.Tensor, work: Work) -> torch.Tensor:
    """The same by the backend for single images."""
    engine = alpha.engine_for(work.scene, work.engine)
    column = Columns(op, np.arange(len(images)))
    arrays = images.permute(0, 2, 3, 1).cpu().numpy()
    found = [engine.apply(column.at(place), array) for place, array in enumerate(arrays)]
    stack = torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2)
    return stack.contiguous().to(images.device)
