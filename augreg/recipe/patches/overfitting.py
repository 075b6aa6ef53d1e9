"""Rules against overfitting: more augmentation, mixup, dropout before the last linear layers, more weight decay.

Doses are moderate, because the changes are made together. They were chosen on models and data other than those of
the table in docs/recipe.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from augreg.recipe.patches.patch import Change
from augreg.recipe.patches.situation import Situation

__all__ = ["against_overfitting"]

MOVES = {
    *("affine", "rotate", "translate_x", "translate_y", "shear_x", "shear_y", "perspective", "elastic"),
    *("random_crop", "random_resized_crop", "safe_crop", "grid_distortion", "optical_distortion"),
}
POLICIES = {"rand_augment", "trivial_augment_wide", "auto_augment", "aug_mix", "timm_policy", "three_augment"}
HIDES = {"cutout", "random_erasing", "grid_mask"}

_AFFINE = {"degrees": 10, "translate": [0.1, 0.1], "scale": [0.9, 1.1], "shear_x": 0}
_MAGNITUDE = {"torchvision": (5.0, 20.0), "timm": (2.0, 10.0), "paper": (3.0, 20.0)}  # more, and the most
_CROP = 0.3  # the smallest area
_MIXUP = 0.2
_WIDE = 64  # units
_DROPOUT = 0.5, 0.3  # of wide and narrow layers
_MORE_DROPOUT = 0.2
_MOST_DROPOUT = 0.6
_DECAYS = {True: (0.05, 0.3), False: (5e-4, 5e-3)}  # at least, and at most, decoupled or in the gradient
_FACTOR = 5.0


def against_overfitting(seen: Situation) -> Iterator[Change]:
    """The changes, strongest first."""
    if seen.spec is not None:
        yield from _augmentation(seen)
        yield from _mixing(seen)
    yield from _dropout(seen)
    yield from _weight_decay(seen)


def _augmentation(seen: Situation) -> Iterator[Change]:
    """Stronger augmentation where there is a number for it; else the kind that is missing."""
    steps = list(seen.steps("image"))
    names = {name for _, name, _ in steps}
    for index, name, arguments in steps:
        stronger = _stronger(name, arguments)
        if stronger is not None:
            changed, reason = stronger
            yield Change(f"image[{index}]", "replace", {name: changed}, reason)
            return
    end = next((index for index, name, _ in steps if name == "normalize"), len(steps))
    if not names & (MOVES | POLICIES):
        reason = "no image is moved yet: a model that sees small shifts and turns cannot learn exact positions by heart"
        yield Change(f"image[{end}]", "insert", {"affine": _AFFINE}, reason)
    elif not names & HIDES:
        after = len(steps) if end < len(steps) else end  # after normalize, fill 0 is the mean color
        reason = "images are moved already; with parts hidden, the model has to use more than one part"
        yield Change(f"image[{after}]", "insert", {"cutout": {"size": 0.25, "p": 0.5}}, reason)


def _stronger(name: str, arguments: dict[str, Any]) -> tuple[dict[str, Any], str] | None:
    """The arguments of a step that is stronger, and a sentence; None if it has no such number, or is at its end."""
    if name == "rand_augment":
        more, most = _MAGNITUDE[arguments["dialect"]]
        m = arguments["m"]
        if isinstance(m, int | float) and m < most:
            changed = min(m + more, most)
            return {**arguments, "m": changed}, f"the magnitude of the ops is {m:g}, of up to {most:g} that is usual"
    if name == "random_resized_crop":
        low, high = arguments["scale"]
        if low > _CROP:
            return {**arguments, "scale": [_CROP, high]}, f"crops have at least {low:g} of the area: allow smaller ones"
    return None


def _mixing(seen: Situation) -> Iterator[Change]:
    steps = list(seen.steps("batch"))
    if seen.classes is None or seen.classes < 2:
        return
    for index, name, arguments in steps:
        if name == "mixup" and isinstance(arguments["alpha"], int | float) and arguments["alpha"] < 1:
            alpha = min(1.0, 2 * arguments["alpha"])
            reason = f"alpha {arguments['alpha']:g} mixes little; the paper uses up to 1"
            yield Change(f"batch[{index}]", "replace", {"mixup": {**arguments, "alpha": alpha}}, reason)
            return
    if steps:
        return
    if seen.spec is not None and seen.spec.get("classes") is None:
        yield Change("classes", "set", seen.classes, "mixed labels need the number of classes")
    reason = "blends of images and labels keep the model from being certain about single images"
    yield Change("batch[0]", "insert", {"mixup": {"alpha": _MIXUP}}, reason)


def _dropout(seen: Situation) -> Iterator[Change]:
    for index, name, arguments in seen.steps("model"):
        if name in ("dropout", "spatial_dropout", "alpha_dropout") and isinstance(arguments["p"], int | float):
            if arguments["p"] < _MOST_DROPOUT:
                changed = {**arguments, "p": _more(arguments["p"])}
                reason = f"it drops {arguments['p']:g}, and the model overfits all the same"
                yield Change(f"model[{index}]", "replace", {name: changed}, reason)
            return
    for place in seen.places:
        step = _dropout_at(place.layer, place.p) if place.layer else None
        if step is None and not place.layer:
            p = _DROPOUT[place.units < _WIDE]
            step = {"at": place.linear, "p": p, "on": "input"}
        if step is not None:
            reason = f"{place.units} units feed {place.linear!r}: dropped at random, they cannot rely on one another"
            yield Change("model[0]", "insert", {"dropout": step}, reason)


def _dropout_at(layer: str, p: float) -> dict[str, Any] | None:
    return {"at": layer, "p": _more(p)} if p < _MOST_DROPOUT else None


def _more(p: float) -> float:
    return round(min(p + _MORE_DROPOUT, _MOST_DROPOUT), 3)


def _weight_decay(seen: Situation) -> Iterator[Change]:
    least, most = _DECAYS[seen.decoupled]
    new = min(max(_FACTOR * seen.weight_decay, least), most)
    if new > seen.weight_decay:
        reason = f"it is {seen.weight_decay:g}; smaller weights make smoother functions"
        yield Change("weight_decay", "set", new, reason)
