"""What of a pipeline does not run for all images of a batch at once, in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from augreg.devices.running import refusal
from augreg.execution.sampling import Drawn
from augreg.execution.sampling_columns import one_by_one
from augreg.ops import Scene
from augreg.steps.step import Step

__all__ = ["remarks"]


def remarks(name: str, drawn: Iterable[Drawn], scene: Scene, steps: Sequence[Step] = ()) -> list[str]:
    """Lines about `train.batch` or `test.batch`, the `name`, from what is drawn for some images of this scene.

    `steps` are those of the spec, if each image has a draw.
    """
    reasons: dict[str, str] = {}
    for one in drawn:
        if one.deferred:
            last = next(entry.name for entry in reversed(one.entries) if entry.ops)
            return [f"{name} runs each image by itself on the CPU: its size is known only after {last} has run"]
        now = scene
        names = {id(op): entry.name for entry in one.entries for op in entry.ops}
        for op in one.ops:
            why = refusal(op, now)
            if why:
                reasons.setdefault(names[id(op)], why)
            now = op.after(now)
    lines = []
    if reasons:
        each = ", ".join(f"{step} ({why})" for step, why in reasons.items())
        lines.append(f"{name} runs image by image on the CPU: {each}")
    else:
        lines.append(f"{name} runs every step for all images at once")
    slow = list(dict.fromkeys(one_by_one(steps)))
    if slow:
        lines.append(f"{name} draws the numbers of each image by itself for: {', '.join(slow)}")
    return lines
