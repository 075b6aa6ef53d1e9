"""Color steps need the pixel values from before `normalize`, and an image must be normalized always or never."""

from __future__ import annotations

from augreg.steps.step import Location, Step

__all__ = ["normalize_problems"]


def normalize_problems(image: tuple[Step, ...]) -> list[tuple[Location, str]]:
    """The steps of the image section that are in a wrong place before or after `normalize`, and what is wrong."""
    problems: list[tuple[Location, str]] = []
    normalizes = []
    for steps in (_flat(image), _flat(image, testing=True)):
        normalized = False
        for location, step, certain in steps:
            kind = step.transform.__augreg__.kind
            message = ""
            if kind == "color" and normalized:
                message = f"{step.name} cannot be used on a normalized image; put it before normalize"
            elif kind == "normalize" and normalized:
                message = "the image is normalized already; normalize once"
            elif kind == "normalize" and not certain:
                message = "normalize must always be applied: with p: 1, outside one_of, some_of, random_order"
            normalized = normalized or kind == "normalize"
            if message:
                problems.append((location, message))
        normalizes.append(normalized)
    if normalizes[0] != normalizes[1] and not problems:
        one, other = ("training", "testing") if normalizes[0] else ("testing", "training")
        which = f"{one} normalizes the image and {other} does not"
        problems.append((("image",), f"{which}: `test:` must neither remove nor add a normalize"))
    return problems


def _flat(
    steps: tuple[Step, ...], certain: bool = True, testing: bool = False, location: Location = ("image",)
) -> list[tuple[Location, Step, bool]]:
    """Every step in order, with its location and whether it is certain to be applied exactly once, in this place.

    `testing` takes the steps of `test:` instead, where a step has some.
    """
    result: list[tuple[Location, Step, bool]] = []
    for index, step in enumerate(steps):
        sure = certain and step.p == 1.0 and all(key != "p" for key, _ in step.schedules)
        here = (*location, index, step.name)
        if testing and step.test == "off":
            continue
        if testing and isinstance(step.test, tuple):
            result += _flat(step.test, certain, testing, (*here, "test"))
        elif step.transform.__augreg__.container:
            result += _flat(step.transform.steps, sure and step.name == "sequential", testing, (*here, "steps"))
        else:
            result.append((here, step, sure))
    return result
