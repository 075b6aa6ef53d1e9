"""Loading: images of any size into few tensors on the CPU, of which only the part is read that the first op needs."""

from __future__ import annotations

import concurrent.futures
import functools
import os
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np
import torch
from msgspec.structs import replace

from augreg.columns.cursors import Integers, Rows
from augreg.columns.records import Columns, Scenes, gathered
from augreg.devices.fusing import CropResize
from augreg.execution.scaling import decoded
from augreg.images.codecs import InputImage
from augreg.ops import Move, Op, Resize, Scene

__all__ = ["Loaded", "Memory", "Pack", "load", "packed", "pinned_memory", "plain_memory"]

Memory: TypeAlias = Callable[[tuple[int, ...], torch.dtype], torch.Tensor]
"""Makes a tensor of this shape and dtype, with any content."""
_WASTE: Final = 2.0  # times as many pixels as the images of a large pack have may be reserved for them
_LARGE: Final = 1 << 26  # values of a pack; smaller ones may waste more, since each pack is work of its own
_MOST_THREADS: Final = 8


def plain_memory(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """A tensor in ordinary memory."""
    return torch.empty(shape, dtype=dtype, device="cpu")


def pinned_memory(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """A tensor in pinned memory, from which a GPU copies while other work is done."""
    return torch.empty(shape, dtype=dtype, device="cpu", pin_memory=True)


class Pack(msgspec.Struct, frozen=True, eq=False):
    """The images `rows` of a batch in one tensor: n x height x width x channels, each at the top left.

    `sizes` are n x 2, or None if all of them fill the tensor. `start` is the op that has to run first, which takes
    images of different sizes; its numbers are for these images.
    """

    rows: Rows
    pixels: torch.Tensor
    sizes: Integers | None = None
    start: Op | None = None


class Loaded(msgspec.Struct, frozen=True, eq=False):
    """The images of a batch, and the columns of ops that are left to run."""

    packs: Sequence[Pack]
    columns: Sequence[Columns]


def load(
    images: Sequence[InputImage],
    columns: Sequence[Columns],
    scenes: Scenes,
    scaled: bool = False,
    memory: Memory = plain_memory,
    threads: bool = True,
) -> Loaded:
    """Decode the images and put them together. `columns` are those of `fusing.fused`.

    `scaled` is whether the spec allows JPEGs to be decoded smaller, and `threads` whether several are decoded at
    once. Raises ImageError.
    """
    count = len(images)
    first = columns[0].op if columns and len(columns[0]) == count else None
    rest = list(columns[1:])
    everyone = np.arange(count)
    if isinstance(first, CropResize):
        if scaled and any(image.scaled is not None for image in images):
            return _scaled(images, first, rest, scenes, memory, threads)
        boxes = _boxes(first.box, count)
        start = replace(first, box=(0, 0, boxes[:, 2], boxes[:, 3]))
        return Loaded(packed(images, boxes, everyone, start, memory, threads), rest)
    if isinstance(first, Move) and np.all(first.within(scenes.height, scenes.width)):
        boxes = _boxes((first.top, first.left, first.height, first.width), count)
        if np.any(first.rearranges):
            rest.insert(0, Columns(replace(first, top=0, left=0), everyone))
        return Loaded(packed(images, boxes, everyone, None, memory, threads), rest)
    return Loaded(packed(images, None, everyone, None, memory, threads), columns)


def _boxes(sides: tuple[Any, Any, Any, Any], count: int) -> Integers:
    """A box for each image: n x 4, top, left, height, width."""
    return np.stack([np.broadcast_to(np.asarray(side, np.int64), (count,)) for side in sides], axis=1)


def _each(function: Callable[[int], Any], count: int, threads: bool) -> list[Any]:
    """The function of 0, 1, .., count - 1. Decoders let other threads run."""
    if not threads:
        return [function(number) for number in range(count)]
    with concurrent.futures.ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1)) as pool:
        return list(pool.map(function, range(count)))


def _scaled(
    images: Sequence[InputImage],
    first: CropResize,
    rest: list[Columns],
    scenes: Scenes,
    memory: Memory,
    threads: bool,
) -> Loaded:
    """Images of which some are JPEGs that are decoded at a fraction of their size."""
    count = len(images)
    boxes, wholes = _boxes(first.box, count), _boxes((*first.whole, *first.part), count)
    one = functools.partial(_one_scaled, images, boxes, wholes, first.interpolation, scenes)
    found = _each(one, count, threads)
    pixels = [InputImage(array, "array") for array, _ in found]
    smaller = [(row, op) for row, (_, op) in enumerate(found) if op is not None]
    others = np.array([row for row, (_, op) in enumerate(found) if op is None], np.intp)
    packs: list[Pack] = []
    for column in gathered(smaller):
        packs += packed([pixels[row] for row in column.rows], None, column.rows, column.op, memory)
    if smaller:  # the part of the resized box, and flips, come after
        part = Move(*first.part, first.height, first.width, False, first.flip_y, first.flip_x)
        rows = np.array([row for row, _ in smaller], np.intp)
        rest = [Columns(part, np.arange(count)).taken(rows, rows), *rest]
    if len(others):
        start = Columns(replace(first, box=(0, 0, boxes[:, 2], boxes[:, 3])), np.arange(count)).taken(others, others)
        packs += packed([pixels[row] for row in others], None, others, start.op, memory)
    return Loaded(packs, rest)


def _one_scaled(
    images: Sequence[InputImage], boxes: Integers, wholes: Integers, interpolation: Any, scenes: Scenes, row: int
) -> tuple[Any, Op | None]:
    """The pixels of an image and, if they are those of a smaller one, the op that resizes them."""
    top, left, height, width = box = tuple(boxes[row].tolist())
    scene: Scene = scenes.at(row)
    resize = Resize(int(wholes[row, 0]), int(wholes[row, 1]), interpolation)
    is_whole = box == (0, 0, *scene.size)
    ops: tuple[Op, ...] = (resize,) if is_whole else (Move(top, left, height, width), resize)
    pixels, start = decoded(images[row], ops, scene, None if is_whole else box, True)
    if start is not None:
        return pixels, start.ops[0]
    return pixels[top : top + height, left : left + width].copy(), None  # the whole image would stay in memory


def packed(
    images: Sequence[InputImage],
    boxes: Integers | None,
    rows: Rows,
    start: Op | None,
    memory: Memory,
    threads: bool = False,
) -> list[Pack]:
    """The boxes of images in as few tensors as they fit in without much waste: without `start`, those of one kind.

    Without `boxes` they are whole. Each image is decoded and copied by itself, so that one at a time is in memory.
    """
    if boxes is None:
        boxes = np.array([(0, 0, *image.array.shape[:2]) for image in images], np.int64)
    sizes = boxes[:, 2:]
    packs: list[Pack] = []
    into: list[Any] = [None] * len(images)
    for places in _alike(images, sizes) if start is None else _sorted(sizes, images[0].array.shape[2]):
        height, width = sizes[places].max(axis=0).tolist()
        first = images[places[0]].array
        dtype = torch.uint8 if first.dtype == np.uint8 else torch.float32
        tensor = memory((len(places), height, width, first.shape[2]), dtype)
        if start is not None and dtype is torch.float32:
            tensor.zero_()  # beyond the images there may be NaN, which stays NaN with a weight of 0
        for whole, place in zip(tensor.numpy(), places.tolist(), strict=True):
            into[place] = whole[: sizes[place, 0], : sizes[place, 1]]
        if start is None:
            packs.append(Pack(rows[places], tensor))
        else:
            own = Columns(start, rows).taken(places, rows[places]).op
            packs.append(Pack(rows[places], tensor, sizes[places], own))
    every = boxes.tolist()

    def copy(place: int) -> None:
        top, left, height, width = box = tuple(every[place])
        into[place][...] = images[place].decode(box)[top : top + height, left : left + width]

    pending = sum(image.pending is not None for image in images)
    _each(copy, len(images), threads and pending > 1)
    return packs


def _alike(images: Sequence[InputImage], sizes: Integers) -> list[Rows]:
    """The numbers of the images of each pack, increasing: those of one size, dtype and number of channels."""
    kinds: dict[Any, list[int]] = {}
    for place, (image, size) in enumerate(zip(images, sizes.tolist(), strict=True)):
        kinds.setdefault((*size, image.array.shape[2], image.array.dtype), []).append(place)
    return [np.array(places, np.intp) for places in kinds.values()]


def _sorted(sizes: Integers, channels: int) -> list[Rows]:
    """The numbers of the images of each pack, increasing: those of similar sizes."""
    packs: list[list[int]] = []
    height = width = pixels = 0
    for place in np.lexsort((sizes[:, 1], sizes[:, 0])).tolist():
        own_height, own_width = sizes[place].tolist()
        tallest, widest = max(height, own_height), max(width, own_width)
        total = pixels + own_height * own_width
        reserved = tallest * widest * (len(packs[-1]) + 1) if packs else 0
        if not packs or (reserved * channels > _LARGE and reserved > _WASTE * total):
            packs.append([])
            tallest, widest, total = own_height, own_width, own_height * own_width
        packs[-1].append(place)
        height, width, pixels = tallest, widest, total
    return [np.array(sorted(places), np.intp) for places in packs]
