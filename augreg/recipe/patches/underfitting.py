"""Rules against underfitting: less mixing, dropout, augmentation and weight decay, and more epochs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from augreg.recipe.patches.overfitting import HIDES
from augreg.recipe.patches.patch import Change
from augreg.recipe.patches.situation import Situation

__all__ = ["against_underfitting", "longer"]

_LITTLE = 0.1  # dropout, below which it is removed
_DECAYS = {True: 0.01, False: 1e-4}  # decoupled or in the gradient: below, it hardly counts
_SMALL_DECAY = 0.1  # times
_LARGE_CROP = 0.35


def against_underfitting(seen: Situation) -> Iterator[Change]:
    """The changes: of what regularizes, half of it or none."""
    for index, name, _ in seen.steps("batch"):
        yield Change(f"batch[{index}]", "remove", None, f"{name} makes the task harder, and training is not good yet")
    for index, name, arguments in seen.steps("model"):
        p = arguments.get("p")
        if isinstance(p, int | float) and p > 0:
            yield _halved(index, name, arguments, p)
    for place in seen.places:
        if place.layer and place.p > 0:
            half: dict[str, Any] = {"dropout": {"at": place.layer, "p": round(place.p / 2, 3)}}
            yield Change("model[0]", "insert", half, f"it drops {place.p:g}, and training is not good yet")
    for index, name, arguments in seen.steps("image"):
        weaker = _weaker(name, arguments)
        if weaker is not None:
            value, reason = weaker
            yield Change(f"image[{index}]", "replace" if value else "remove", value, reason)
    if seen.weight_decay > _DECAYS[seen.decoupled]:
        reason = f"{seen.weight_decay:g} keeps weights small, and training is not good yet"
        yield Change("weight_decay", "set", seen.weight_decay * _SMALL_DECAY, reason)
    yield longer(seen, "training is not good yet")


def longer(seen: Situation, because: str) -> Change:
    """Twice as many epochs."""
    return Change("epochs", "set", 2 * seen.epochs, because)


def _halved(index: int, name: str, arguments: dict[str, Any], p: float) -> Change:
    reason = f"it drops {p:g}, and training is not good yet"
    if p <= _LITTLE:
        return Change(f"model[{index}]", "remove", None, reason)
    return Change(f"model[{index}]", "replace", {name: {**arguments, "p": round(p / 2, 3)}}, reason)


def _weaker(name: str, arguments: dict[str, Any]) -> tuple[dict[str, Any] | None, str] | None:
    """A weaker step, or None to remove it, with a sentence; None if it is no such step."""
    if name == "rand_augment" and isinstance(arguments["m"], int | float):
        return {name: {**arguments, "m": arguments["m"] / 2}}, f"the magnitude of the ops is {arguments['m']:g}"
    if name == "random_resized_crop" and arguments["scale"][0] < _LARGE_CROP:
        scale = [_LARGE_CROP, arguments["scale"][1]]
        return {name: {**arguments, "scale": scale}}, f"crops have as little as {arguments['scale'][0]:g} of the area"
    if name in HIDES:
        return None, f"{name} hides parts of the images, and training is not good yet"
    return None
