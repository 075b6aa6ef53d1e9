"""The mixer, a pipeline's `batch`: it draws for a batch, blends its images and masks, and mixes its labels."""

from __future__ import annotations

import functools
import hashlib
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from augreg.batch import numpy_kernels
from augreg.batch.blends import Blend
from augreg.batch.instance_ids import highest_ids, renumbered, shifts_of
from augreg.batch.keys import Key
from augreg.batch.label_arrays import check_list, is_tensor, on_a_device
from augreg.batch.label_keys import LABELS, is_pixels, label_keys, unnamed_numbers
from augreg.batch.labels import SoftLabels
from augreg.batch.mixture import Mixture, draw_mixture
from augreg.batch.object_keys import object_sets
from augreg.batch.objects_of import check_masks, choose, copies_instances, objects_of
from augreg.batch.placements import compose, visible_weights
from augreg.batch.shapes import Copy
from augreg.batch.stacks import Stack, check_out, image_stack, mask_stack, same_memory
from augreg.batch.target_lists import as_columns, as_mappings, is_target_list, stacked
from augreg.ops.scene import Scene
from augreg.rng import BATCH, Address, address_of, fresh_seed
from augreg.steps.calls import explains
from augreg.steps.step import Step
from augreg.targets.conventions import Targets
from augreg.targets.kinds import how_to_say

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

Images = TypeVar("Images", bound="NDArray[Any] | Tensor")
Labels = TypeVar("Labels", bound="NDArray[Any] | Sequence[Any] | Tensor")

__all__ = ["Mixer"]

_DEFAULT_TARGETS = Targets()


class Mixer:
    """Mixes the images and labels of a batch by the steps of a batch section; `pipe.batch` is one."""

    def __init__(
        self,
        steps: Iterable[Step],
        *,
        seed: int = 0,
        classes: int | None = None,
        normalized: bool = False,
        channels_last: bool = False,
        targets: Targets = _DEFAULT_TARGETS,
    ) -> None:
        """`steps` are those of a pipeline's spec; `seed`, `classes` and `targets` are its options.

        With `normalized`, images have been normalized, and arrays are N x C x H x W, unless `channels_last`; else
        they are N x H x W x C.
        """
        self.steps = tuple(steps)
        self._seed = seed
        self._classes = classes
        self._normalized = normalized
        self._channels_first = normalized and not channels_last
        self.targets = targets
        self._copies = copies_instances(self.steps)

    def __repr__(self) -> str:
        return f"Mixer({', '.join(step.name for step in self.steps) or 'nothing'})"

    @overload
    def __call__(
        self,
        images: Mapping[Any, Any],
        labels: None = None,
        keys: Iterable[int | str | Key] | None = None,
        epoch: int = 0,
        batch: int | None = None,
        rank: int = 0,
        out: Mapping[Any, Any] | None = None,
    ) -> dict[Any, Any]: ...
    @overload
    def __call__(
        self,
        images: Images,
        labels: None = None,
        keys: Iterable[int | str | Key] | None = None,
        epoch: int = 0,
        batch: int | None = None,
        rank: int = 0,
        out: Images | None = None,
    ) -> Images: ...
    @overload
    def __call__(
        self,
        images: Images | list[Tensor] | tuple[Tensor, ...],
        labels: list[dict[str, Any]] | tuple[dict[str, Any], ...],
        keys: Iterable[int | str | Key] | None = None,
        epoch: int = 0,
        batch: int | None = None,
        rank: int = 0,
        out: Images | None = None,
    ) -> tuple[Any, Sequence[dict[str, Any]]]: ...
    @overload
    def __call__(
        self,
        images: Images,
        labels: NDArray[Any] | Sequence[Any] | Tensor,
        keys: Iterable[int | str | Key] | None = None,
        epoch: int = 0,
        batch: int | None = None,
        rank: int = 0,
        out: Images | None = None,
    ) -> tuple[Images, SoftLabels]: ...
    @explains(
        "pipe.batch(images, labels)",
        {
            **dict.fromkeys(("key", "ids", "index", "indices"), "the ids of the samples are keys"),
            **dict.fromkeys(
                ("mask", "masks"), "give them in a mapping: {'image': images, 'mask': masks, 'label': labels}"
            ),
            **dict.fromkeys(
                ("boxes", "bboxes", "keypoints"),
                "give them in a mapping: {'image': images, 'boxes': boxes, 'labels': labels}",
            ),
            **dict.fromkeys(("target", "targets", "label"), "these are the labels"),
        },
    )
    def __call__(
        self,
        images: Any,
        labels: Any = None,
        keys: Iterable[int | str | Key] | None = None,
        epoch: int = 0,
        batch: int | None = None,
        rank: int = 0,
        out: Any = None,
    ) -> Any:
        """Mix a batch: `images, labels = pipe.batch(images, labels, keys=..)`; without labels, images are returned.

        `images` are uint8 or floats: tensors of N x C x H x W, or arrays of N x C x H x W if the pipeline normalizes
        and of N x H x W x C if not. `labels` are N class ids or N x C numbers from 0 to 1, and `SoftLabels` are
        returned. Alternatively `images` is a mapping with `image` and optionally `mask`, `label` and targets such as
        `boxes`, each in a list with those of every image, and a mapping is returned. Or `labels` is a list of
        mappings, the targets of each image as detection models of torchvision take them, and such a list is returned.

        `keys` are the ids of the samples, integers or strings, or their `Key`s, of which the index and the view
        count: the draw is a function of (seed, epoch, keys in order). Without keys it is a function of (seed, epoch,
        `batch`, `rank`), where `batch` is the number of the batch and `rank` that of the process. Without both, every
        call draws new numbers from the system's entropy, and `seed` has no effect.

        `out` takes the mixed images, and may be `images`; for a mapping it is a mapping of some of its keys. Other
        inputs are not written to. Without `out`, images that do not change are returned themselves.
        Raises TypeError or ValueError for batches that cannot be mixed.
        """
        if not isinstance(images, Mapping) and is_target_list(labels):
            return self._with_targets(images, labels, (keys, epoch, batch, rank), out)
        if isinstance(images, Mapping):
            if labels is not None:
                raise TypeError("give the labels of a mapping under 'label', not as an argument")
            if out is not None and not isinstance(out, Mapping):
                raise TypeError(f"expected out as a mapping such as {{'image': array}}, got {type(out).__name__}")
            return self._mixed(dict(images), (keys, epoch, batch, rank), {} if out is None else out)
        sample = {"image": images} if labels is None else {"image": images, "label": labels}
        mixed = self._mixed(sample, (keys, epoch, batch, rank), {} if out is None else {"image": out}, "images")
        return mixed["image"] if labels is None else (mixed["image"], mixed["label"])

    def plan(
        self,
        count: int,
        size: tuple[int, int],
        keys: Iterable[int | str | Key] | None = None,
        epoch: int = 0,
        batch: int | None = None,
        rank: int = 0,
        channels: int = 3,
        dtype: Literal["uint8", "float32"] = "float32",
    ) -> Mixture:
        """What would be done to a batch of `count` images of this (height, width). Print it for a summary."""
        if not (isinstance(size, tuple | list) and len(size) == 2 and all(hasattr(n, "__index__") for n in size)):
            raise ValueError(f"a plan needs the images' size as (height, width), got {size!r}")
        if not hasattr(count, "__index__") or count < 0 or min(size) < 1:
            raise ValueError(f"a plan is for 0 or more images of at least 1x1, got {count!r} of {size!r}")
        scene = Scene(int(size[0]), int(size[1]), channels, dtype, self._normalized and dtype == "float32", epoch)
        return self._drawn(int(count), scene, (keys, epoch, batch, rank))

    @overload
    def test(self, images: Images, labels: None = None) -> Images: ...
    @overload
    def test(self, images: Images, labels: Labels) -> tuple[Images, Labels]: ...
    def test(self, images: Any, labels: Any = None) -> Any:
        """A batch at test time: the images and labels, unchanged."""
        return images if labels is None else (images, labels)

    def _with_targets(self, images: Any, targets: Any, key: tuple[Any, int, int | None, int], out: Any) -> Any:
        """Images, and a mapping for each of them, as detection models of torchvision take them."""
        if not self.steps:
            return images, targets
        columns, batch = as_columns(targets), stacked(images)
        for held, values in columns.items():
            if held not in (self.targets.instances or ()) and self._kind(held, values) in ("image", "mask", "map"):
                columns[held] = stacked(values, held)
        mixed = self._mixed(
            {"image": batch, **columns}, key, {} if out is None else {"image": out}, "images", listed=True
        )
        whole = mixed.pop("image")
        return (type(images)(whole) if isinstance(images, list | tuple) else whole), as_mappings(mixed, targets)

    def _mixed(
        self,
        given: dict[Any, Any],
        key: tuple[Any, int, int | None, int],
        out: Mapping[Any, Any],
        name: str = "",
        listed: bool = False,
    ) -> dict[Any, Any]:
        """The mapping with its images, targets and labels mixed; `listed` if it comes from a list of targets."""
        if "image" not in given:
            raise ValueError(f"a batch needs images under 'image', got the keys {', '.join(map(repr, given))}")
        first = image_stack(given["image"], self._channels_first, name or "image")
        objects = objects_of(given, first, self.targets, self._normalized) if self.steps else []
        if self._copies:
            check_masks(objects)
        of_objects = {held for each in objects for held in (*each.keys.all, each.keys.weights)}
        batches = self._batches({held: given[held] for held in given if held not in of_objects}, first)
        if self.steps and (found := unnamed_numbers(given, first.count, self.declared, of_objects)):
            raise ValueError(
                f"there is no 'label', and {found[0]!r} may be the labels: name it 'label', or give 'label': None if "
                "there are no labels"
            )
        for held in out:
            if held not in batches:
                raise ValueError(f"out[{held!r}] is not an image or mask of the batch")
            check_out(out[held], batches[held])
        dtype: Literal["uint8", "float32"] = "float32" if first.floats else "uint8"
        scene = Scene(*first.size, first.channels, dtype, self._normalized and first.floats, key[1])
        labels: Iterable[Any] = LABELS
        if self.steps:
            labels = label_keys(given, first.count, self.declared, of_objects)
        if listed and (named := [held for held in labels if given.get(held) is not None]):
            raise ValueError(
                f"targets[0][{named[0]!r}]: one label for an image is mixed, and has no place in a list of targets: "
                "give {'image': images, 'boxes': .., 'label': labels}"
            )
        mixture = self._drawn(first.count, scene, key)
        blends, weights = mixture.blends, mixture.sources_and_weights
        done: dict[Any, Any] = {}
        ids = [held for held in self.targets.ids if given.get(held) is not None] if self.steps else []
        shifts = None
        if objects or ids or any(isinstance(blend, Copy) for blend in blends):
            composition = compose(blends, first.count, first.size, functools.partial(choose, objects))
            if any(isinstance(blend, Copy) for blend in blends):
                blends, weights = composition.blends, lambda: visible_weights(composition.placements)
            if ids:
                shifts = shifts_of(composition.placements, highest_ids(given, batches, objects, self.targets))
            for each in objects:
                done.update(each.follow(composition.placements, shifts))
        soft = {held: self._soft(given[held], first, held, weights) for held in labels if given.get(held) is not None}
        for held, one in batches.items():
            masks = self._kind(held, one.array) in ("mask", "map")
            done[held] = _blended(one, blends, mixture.averages, out.get(held), masks)
            if held in ids and shifts is not None:
                done[held] = renumbered(done[held], one, composition.placements, shifts, self.targets.mask_fill)
                if held in out:
                    out[held][...] = done[held]
                    done[held] = out[held]
        return {**given, **done, **soft}

    @property
    def declared(self) -> Set[str]:
        """The keys of which the spec says what they are."""
        return {*self.targets.keys, *self.targets.maps}

    def object_keys(self, given: Mapping[Any, Any], count: int) -> Set[Any]:
        """The keys that hold parts of objects, such as boxes and their labels. Raises ImageError."""
        sets = object_sets(given, self.targets, count) if self.steps else []
        return {key for keys in sets for key in (*keys.all, keys.weights)}

    def _batches(self, given: Mapping[Any, Any], first: Stack) -> dict[str, Stack]:
        """The images and masks of a mapping, `image` first."""
        found = {"image": first}
        for key, value in given.items():
            kind = self._kind(key, value)
            if kind == "image" and key != "image":
                found[key] = one = image_stack(value, self._channels_first, key)
                if (one.count, one.size) != (first.count, first.size):
                    raise ValueError(
                        f"{key}: {one.count} images of {one.size}, expected {first.count} of {first.size}"
                    )
            elif kind == "map" and self.steps and self.targets.maps[key].vectors:
                raise ValueError(
                    f"{key}: vectors do not follow when a batch is mixed: remove {key}, or the batch section"
                )
            elif kind in ("mask", "map"):
                found[key] = mask_stack(value, first, key)
            elif kind is None and self.steps and _covers(value, first):
                raise ValueError(
                    f"{key}: an array of the size of the images, which does not follow them: remove it, "
                    f"{how_to_say(key)}"
                )
        return found

    def _kind(self, key: Any, value: Any) -> str | None:
        """What an entry is by the spec or by its key; None for one of no kind, such as labels."""
        if isinstance(key, str) and key in self.targets.maps:
            return "map"
        if isinstance(key, str) and key in self.targets.keys:
            return self.targets.keys[key]
        kinds = (kind for kind, axes in (("image", 4), ("mask", 3)) if is_pixels(kind, key, value, axes))
        return next(kinds, "other" if key == "other" else None)

    def _soft(self, labels: Any, images: Stack, name: str, weights: Callable[[], tuple[Any, Any]]) -> SoftLabels:
        """The labels after a mixture."""
        if isinstance(labels, SoftLabels):
            raise TypeError(f"{name}: these labels are already mixed: mix once, with both steps in one batch section")
        if isinstance(labels, list | tuple) and is_tensor(images.array):
            from augreg.batch.torch_kernels import as_tensor

            check_list(labels, self._classes)
            labels = as_tensor(labels)
        if getattr(labels, "ndim", 1) and hasattr(labels, "__len__") and len(labels) != images.count:
            raise ValueError(f"{name}: expected {images.count} labels for {images.count} images, got {len(labels)}")
        soft = SoftLabels(labels, *weights(), self._classes)  # labels on the CPU are checked there
        return soft.to(images.array.device, non_blocking=True) if on_a_device(images.array) else soft

    def _drawn(self, count: int, scene: Scene, key: tuple[Any, int, int | None, int]) -> Mixture:
        return draw_mixture(self.steps, count, scene, *self._address(count, *key))

    def _address(
        self, count: int, keys: Iterable[int | str | Key] | None, epoch: int, batch: int | None, rank: int
    ) -> tuple[Address, str]:
        seed = self._seed
        if keys is not None:
            return address_of(
                seed, _hash_of(keys, count), epoch, domain=BATCH
            ), f"seed {seed}, epoch {epoch}, by keys"
        if batch is None:
            return address_of(fresh_seed(), 0, epoch, domain=BATCH), "drawn afresh"
        batch = _integer("batch is the number of the batch", batch, 64, "; give ids of samples as keys")
        rank = _integer("rank is the number of the process", rank, 32)
        return address_of(seed, batch, epoch, rank, BATCH), f"seed {seed}, epoch {epoch}, batch {batch}, rank {rank}"


def _covers(value: Any, images: Stack) -> bool:
    """Whether something has the shape of one number for each pixel of the images."""
    shape = tuple(getattr(value, "shape", ()))
    return len(shape) in (3, 4) and shape[0] == images.count and images.size in (shape[-2:], shape[1:3])


def _integer(what: str, value: Any, bits: int, hint: str = "") -> int:
    """An integer of so many bits. Raises TypeError or ValueError, with messages that start with `what`."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{what}, expected an integer from 0, got {value!r}{hint}")
    if not 0 <= (number := operator.index(value)) < 1 << bits:
        raise ValueError(f"{what}, expected an integer from 0 to 2^{bits} - 1, got {value}{hint}")
    return number


def _hash_of(keys: Iterable[int | str | Key], count: int) -> int:
    """A 64-bit hash of the ids in order: blake2b of their types, lengths and values."""
    if isinstance(keys, str | bytes) or not isinstance(keys, Iterable):
        raise TypeError(f"keys are the ids of the batch's samples, integers or strings, got {keys!r}")
    ids = list(keys.tolist() if hasattr(keys, "tolist") else keys)
    if len(ids) != count:
        raise ValueError(f"expected {count} keys for {count} images, got {len(ids)}")
    digest = hashlib.blake2b(digest_size=8)
    for place, key in enumerate(ids):
        view = key.view if isinstance(key, Key) else 0
        key = key.index if isinstance(key, Key) else key
        if isinstance(key, str):
            data = key.encode("utf-8", "surrogatepass")
            digest.update(b"s" + len(data).to_bytes(8, "little") + data)
        else:
            digest.update(b"i" + _integer(f"keys[{place}] is the id of a sample", key, 64).to_bytes(8, "little"))
        if view:
            digest.update(b"v" + view.to_bytes(8, "little"))
    return int.from_bytes(digest.digest(), "little")


def _blended(batch: Stack, blends: Sequence[Blend], averages: bool, out: Any, masks: bool) -> Any:
    """The images or masks of a batch after these blends."""
    array = batch.array
    if not blends and out is None:
        return array
    if masks and averages and not batch.floats:
        raise ValueError(
            f"{batch.name}: mixup averages, and class ids ({array.dtype}) cannot be averaged: give masks as floats, "
            "one plane per class (N x K x H x W), or mix with cutmix, resizemix or mosaic"
        )
    if out is not None and same_memory(out, array):
        array = out  # in place: `array` may be a read-only view of it
    if is_tensor(array):
        from augreg.batch import torch_kernels

        return torch_kernels.apply(blends, array, out, masks)
    return numpy_kernels.apply(blends, array, out, batch.channels_last, masks)
