"""The rest of a batch on the CPU, image by image: the backend of single images takes less time there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from augreg.backends import alpha
from augreg.columns.records import Columns, by_image
from augreg.devices.fading import Fade
from augreg.devices.fusing import CropResize
from augreg.devices.groups import Group
from augreg.devices.loading import Pack
from augreg.devices.running import Work
from augreg.execution.merging import merge
from augreg.execution.run import run_ops
from augreg.images.codecs import tensor
from augreg.ops import Op

__all__ = ["run_singly"]


def run_singly(packs: Sequence[Pack], columns: Sequence[Columns], work: Work) -> list[Group]:
    """The images of packs after the ops: those of one shape and dtype as a group."""
    places = sorted((row, pack, place) for pack in range(len(packs)) for place, row in enumerate(packs[pack].rows))
    ops = by_image(columns, len(places))
    kinds: dict[Any, tuple[list[int], list[torch.Tensor]]] = {}
    for row, number, place in places:
        pack = packs[number]
        height, width = pack.pixels.shape[1:3] if pack.sizes is None else pack.sizes[place].tolist()
        start = [] if pack.start is None else [Columns(pack.start, pack.rows).at(place)]
        array = _run([*start, *ops[row]], pack.pixels[place, :height, :width].numpy(), work)
        planes = tensor(np.ascontiguousarray(array.transpose(2, 0, 1)))
        rows, images = kinds.setdefault((planes.shape, planes.dtype), ([], []))
        rows.append(row)
        images.append(planes)
    return [Group(np.array(rows), torch.stack(images)) for rows, images in kinds.values()]


def _run(ops: Sequence[Op], array: Any, work: Work) -> Any:
    single = [part for op in ops for part in (op.parts() if isinstance(op, CropResize | Fade) else (op,))]
    scene = work.scene.with_shape(array.shape)
    return run_ops(merge(single, scene), array, alpha.engine_for(scene, work.engine))
