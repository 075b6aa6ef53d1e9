"""The named views of the images of a batch: a batch for each view, of images that are read once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import msgspec
import torch

from augreg.columns.cursors import Rows
from augreg.columns.philox import Addresses
from augreg.columns.records import Scenes
from augreg.devices.batches import transformed
from augreg.devices.draws import BatchDraws
from augreg.devices.programs import OneByOneError
from augreg.devices.samples import transformed_samples
from augreg.errors import ImageError
from augreg.execution.reading import read_once
from augreg.execution.run import RunSettings
from augreg.execution.samples import run
from augreg.named_views.declared import PATCH_MASK, NamedView
from augreg.named_views.drawing import ViewDraws
from augreg.named_views.patches import draw_mask
from augreg.named_views.result import NamedViews
from augreg.rng import Address

__all__ = ["transformed_views"]


class _OneByOne(BatchDraws, frozen=True, eq=False):
    """The draws of a view that has the geometry of another: no list of steps makes it."""

    def program(self, scenes: Scenes, rows: Rows) -> NoReturn:
        raise OneByOneError("the view has the geometry of another one")


def transformed_views(
    given: Any, draws: ViewDraws, addresses: Addresses | None, device: Any = None, kernels: bool | None = None
) -> NamedViews:
    """The batches by view, each in the form in which `given` is; see `transformed` and `transformed_samples`.

    `draws` are those without an address. If a view has a patch mask, all are samples. Raises ImageError.
    """
    as_mapping = isinstance(given, Mapping)
    as_list = isinstance(given, list | tuple) and len(given) > 0
    samples = as_mapping or (as_list and isinstance(given[0], Mapping))
    settings = draws.settings
    if settings.targets.clip:
        raise ImageError("clips do not run as a batch on a device: give each to pipe.train or pipe.test")
    if as_mapping:
        given = read_once(given, settings)
    elif as_list:
        given = [read_once(one, settings) for one in given]
    kinds = [given] if as_mapping else given if samples else ()
    if any(PATCH_MASK in one for one in kinds):
        raise ImageError(f"{PATCH_MASK!r} is the key of the masks that the views get; rename it")
    found = NamedViews()
    for view in draws.views:
        own = _draws_of(view, draws, addresses)
        batch = (transformed_samples if samples else transformed)(given, own, device, kernels)
        found[view.name] = _with_masks(batch, view, addresses, samples) if draws.has_patches else batch
    return found


def _draws_of(view: NamedView, draws: ViewDraws, addresses: Addresses | None) -> BatchDraws:
    settings = draws.settings
    if addresses is not None:
        settings = msgspec.structs.replace(settings, address=addresses.at(0) if len(addresses) else None)

    def run_alone(image: Any, address: Address | None) -> Any:
        own = _as_tensor(image, msgspec.structs.replace(draws.settings, address=address))
        return run(image, msgspec.structs.replace(draws, settings=own).start(view), own)

    kind = BatchDraws if view.geometry is None else _OneByOne
    return kind((*draws.shared, *view.steps), settings, addresses, run_alone)


def _as_tensor(image: Any, settings: RunSettings) -> RunSettings:
    """Settings by which a bare image becomes a tensor, as in any batch."""
    output = settings.output if isinstance(image, Mapping) and settings.output != "numpy" else "torch"
    return msgspec.structs.replace(settings, output=output, layout="chw")


def _with_masks(batch: Any, view: NamedView, addresses: Addresses | None, samples: bool) -> Any:
    """A batch of a view as samples with their patch masks."""
    if not samples:
        batch = {"image": batch}
    if view.group.patches is None:
        return batch
    images = batch["image"] if isinstance(batch, Mapping) else [sample["image"] for sample in batch]
    masks = []
    for row, image in enumerate(images):
        address = None if addresses is None else addresses.at(row)
        mask = draw_mask(view.group.patches, tuple(image.shape[-2:]), address, view.patches_key, view.name)
        masks.append(torch.from_numpy(mask.array).to(image.device))
    if not isinstance(batch, Mapping):
        return [{**sample, PATCH_MASK: mask} for sample, mask in zip(batch, masks, strict=True)]
    same = len({mask.shape for mask in masks}) == 1
    return {**batch, PATCH_MASK: torch.stack(masks) if same else masks}
