"""The objects of a batch by their keys: read, checked that none is left behind, and chosen to be copied."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from augreg.batch.object_keys import check_left_behind, object_sets
from augreg.batch.objects import Objects
from augreg.batch.placements import Chosen, Placement
from augreg.batch.shapes import Copy
from augreg.batch.stacks import Stack
from augreg.errors import ImageError
from augreg.steps.step import Step, children
from augreg.targets.conventions import Targets
from augreg.targets.kinds import NEARLY_BOXES

__all__ = ["check_masks", "choose", "copies_instances", "objects_of"]


def objects_of(given: Mapping[Any, Any], first: Stack, targets: Targets, normalized: bool) -> list[Objects]:
    """The sets of objects of a batch. Raises ImageError for what is none, or would be left behind."""
    for key in NEARLY_BOXES:
        if given.get(key) is not None and key not in targets.keys:
            raise ImageError(
                f"{key}: boxes follow their images under the key 'boxes': rename it, or say "
                f"`targets: {{keys: {{{key}: boxes}}}}`, or `{key}: other` for what is not to change"
            )
    sets = object_sets(given, targets, first.count)
    objects = [Objects(given, keys, first.count, first.size, targets, normalized) for keys in sets]
    known = {"image", *targets.keys, *targets.maps, *(key for keys in sets for key in (*keys.all, keys.weights))}
    check_left_behind(given, sets, known, targets, objects[0].counts if objects else ())
    return objects


def copies_instances(steps: Iterable[Step]) -> bool:
    """Whether any step pastes instances with their masks."""
    transforms = [step.transform for step in steps]
    return any(getattr(one, "pastes_instances", False) or copies_instances(children(one)) for one in transforms)


def check_masks(objects: Sequence[Objects]) -> None:
    """Raise ImageError unless there are masks of instances, and nothing that cannot follow where they are copied."""
    if not objects or not objects[0].keys.masks:
        raise ImageError(
            "instances are copied with their masks, and this batch has none: give one mask for each object, and say "
            "`targets: {instances: [masks]}`, or leave copy_paste out"
        )
    for each in objects:
        if each.keys.outlines:
            key = each.keys.outlines[0]
            raise ImageError(
                f"{key}: polygons cannot follow where instances are pasted over them by their masks: give the masks "
                f"alone, or leave copy_paste out"
            )
        if each.keys.boxes is not None and not each.keys.masks:
            raise ImageError(
                f"{each.keys.boxes}: boxes without masks cannot follow where instances are pasted over them: say "
                f"`targets: {{keys: {{{each.keys.boxes}: other}}}}`, or leave copy_paste out"
            )


def choose(objects: Sequence[Objects], blend: Copy, before: Sequence[Sequence[Placement]]) -> Iterable[Chosen]:
    """The instances that a copy pastes. Raises ImageError if there are no masks of instances."""
    check_masks(objects)
    return objects[0].choose(blend, before)
