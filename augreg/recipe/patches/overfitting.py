"""Rules against overfitting: more augmentation, mixup, dropout before the last linear layers, more weight decay.

The data come first, and one change of them at a time: several at once were too much for small models. The rules were
chosen on models and data other than those of the table in docs/recipe.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from augreg.recipe.patches.patch import Change
from augreg.recipe.patches.situation import Situation

__all__ = ["against_overfitting"]

MOVES = {
    *("affine", "rotate", "translate_x", "translate_y", "shear_x", "shear_y", "perspective", "perspective_zoom"),
    *("random_crop", "random_resized_crop", "random_sized_crop", "safe_crop", "crop_around_boxes"),
    *("elastic", "grid_distortion", "optical_distortion", "grid_stretch", "piecewise_affine", "safe_rotate"),
    "affine_points",
}
POLICIES = {"rand_augment", "trivial_augment_wide", "auto_augment", "aug_mix", "timm_policy", "three_augment"}
HIDES = {"cutout", "holes", "pixel_dropout", "random_erasing", "grid_mask"}

_AFFINE = {"degrees": 10, "translate": [0.1, 0.1], "scale": [0.9, 1.1], "shear_x": 0}
_MAGNITUDE = {"torchvision": (5.0, 20.0), "timm": (2.0, 10.0), "paper": (3.0, 20.0)}  # more, and the most
_CROP = 0.3  # the smallest area
_MIXUP = 0.2
_DROPOUT = 0.3
_INPUTS = 0.2  # of many inputs of a fully connected model
_MORE_DROPOUT = 0.2
_MOST_DROPOUT = 0.6
_MOST_DECAY = {True: 2.0, False: 5e-2}  # decoupled or in the gradient
_SHRINKS = 0.5  # the product of rate, decay and updates
_LONGER = 3


def against_overfitting(seen: Situation) -> Iterator[Change]:
    """One change of the data; if none is left, dropout and more weight decay; and more epochs."""
    data = list(_data(seen)) if seen.spec is not None else []
    yield from data or [*_dropout(seen), *_weight_decay(seen)]
    reason = "a model that is regularized more learns more slowly"
    yield Change("epochs", "set", _LONGER * seen.epochs, reason)


def _data(seen: Situation) -> Iterator[Change]:
    """The first change that is left of: moving images, mixing them, stronger augmentation, hiding parts."""
    for rule in (_moving, _mixing, _stronger_steps, _hiding):
        changes = list(rule(seen))
        if changes:
            yield from changes
            return


def _moving(seen: Situation) -> Iterator[Change]:
    steps = list(seen.steps("image"))
    if not {name for _, name, _ in steps} & (MOVES | POLICIES):
        reason = "no image is moved yet: a model that sees small shifts and turns cannot memorize exact positions"
        yield Change(f"image[{_end(steps)}]", "insert", {"affine": _AFFINE}, reason)


def _stronger_steps(seen: Situation) -> Iterator[Change]:
    for section in ("image", "batch"):
        for index, name, arguments in seen.steps(section):
            stronger = _stronger(name, arguments)
            if stronger is not None:
                changed, reason = stronger
                yield Change(f"{section}[{index}]", "replace", {name: changed}, reason)
                return


def _hiding(seen: Situation) -> Iterator[Change]:
    steps = list(seen.steps("image"))
    if not {name for _, name, _ in steps} & HIDES:
        reason = "images are moved and mixed already; with parts hidden, the model has to use more than one part"
        yield Change(f"image[{len(steps)}]", "insert", {"cutout": {"size": 0.25, "p": 0.5}}, reason)


def _end(steps: Sequence[tuple[int, str, dict[str, Any]]]) -> int:
    """Where steps for images of bytes end: before `normalize`."""
    return next((index for index, name, _ in steps if name == "normalize"), len(steps))


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
            return {
                **arguments,
                "scale": [_CROP, high],
            }, f"crops have at least {low:g} of the area"
    if name == "mixup" and isinstance(arguments["alpha"], int | float) and arguments["alpha"] < 1:
        alpha = min(1.0, 2 * arguments["alpha"])
        return {**arguments, "alpha": alpha}, f"alpha {arguments['alpha']:g} mixes little; the paper uses up to 1"
    return None


def _mixing(seen: Situation) -> Iterator[Change]:
    if seen.classes is None or seen.classes < 2 or any(seen.steps("batch")):
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
            p = _INPUTS if place.first else _DROPOUT
            step = {"at": place.linear, "p": p, "on": "input"}
        if step is not None:
            reason = f"{place.units} units feed {place.linear!r}: dropped at random, they cannot rely on one another"
            yield Change("model[0]", "insert", {"dropout": step}, reason)


def _dropout_at(layer: str, p: float) -> dict[str, Any] | None:
    return {"at": layer, "p": _more(p)} if p < _MOST_DROPOUT else None


def _more(p: float) -> float:
    return round(min(p + _MORE_DROPOUT, _MOST_DROPOUT), 3)


def _weight_decay(seen: Situation) -> Iterator[Change]:
    """A decay that counts within the run.

    The weights forget their start in 1 / (rate x decay) updates, by Wang and Aitchison 2024 (arXiv 2405.13698); here
    in two runs as long.
    """
    rate = seen.learning_rate * max(1, _LONGER * seen.updates)
    new = min(_SHRINKS / rate, _MOST_DECAY[seen.decoupled]) if rate > 0 else 0.0
    if new > 1.5 * seen.weight_decay:
        reason = f"it is {seen.weight_decay:g}, which changes little in {seen.updates} updates"
        yield Change("weight_decay", "set", float(f"{new:.1g}"), reason)
