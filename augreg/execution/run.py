"""Running: a plan's ops, one after the other, on one image, by a backend."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from augreg.backends import Backend, backend
from augreg.errors import AugregError, ImageError
from augreg.execution.plan import Plan, merge
from augreg.execution.sampling import Drawn, resume
from augreg.images import buffers
from augreg.images.codecs import InputImage, from_array, tensor, to_array
from augreg.ops import Op, Scene

__all__ = ["finish", "fitting", "run_ops", "run_plan", "to_output"]

Array = NDArray[Any]


def run_ops(ops: Iterable[Op], array: Array, engine: Backend) -> Array:
    """The image after the ops. Raises ImageError, with the op that failed."""
    for op in ops:
        try:
            array = engine.apply(op, array)
        except AugregError:
            raise
        except Exception as error:
            shape = "x".join(map(str, array.shape))
            raise ImageError(f"{op} failed on a {shape} {array.dtype} image ({engine.name}): {error}") from error
    return array


def finish(
    drawn: Drawn, array: Array, scene: Scene, address: Any, approximate: bool, engine: Backend
) -> tuple[Array, Scene]:
    """Merge and run what was drawn; where an op left a size that nobody knew, draw and run the rest."""
    array = run_ops(merge(drawn.ops, scene, approximate), array, engine)
    scene = drawn.scene
    while drawn.deferred:
        height, width, channels = array.shape
        scene = replace(scene, height=height, width=width, channels=channels)
        drawn = resume(drawn, scene, address)
        array = run_ops(merge(drawn.ops, scene, approximate), array, engine)
        scene = drawn.scene
    return array, scene


def to_output(array: Array, normalized: bool, loaded: InputImage, output: str) -> Any:
    """The result in the kind that is wanted: the caller's own memory, contiguous."""
    if normalized:
        planes = array.transpose(2, 0, 1)
        if not planes.flags.c_contiguous or not planes.flags.writeable:
            own = buffers.empty(planes.shape, np.float32)
            own[:] = planes
            planes = own
        return tensor(planes) if output == "torch" else planes
    if not array.flags.writeable or np.may_share_memory(array, loaded.array):
        array = array.copy()
    if array.dtype == np.float32:  # a bicubic kernel can overshoot
        np.clip(array, 0.0, 1.0, out=array)
    kind = loaded.kind
    if output == "torch":
        kind = "tensor"
    elif output == "numpy" and kind not in ("array", "gray array"):
        kind = "array"
    return from_array(array, kind)


def fitting(plan: Plan, given: Scene) -> None:
    """Raise ImageError unless this is what was planned for."""
    planned = plan.scene
    if given != planned:
        raise ImageError(
            f"this plan is for {planned.height}x{planned.width}x{planned.channels} {planned.dtype}, "
            f"and the image is {given.height}x{given.width}x{given.channels} {given.dtype}"
        )


def run_plan(plan: Plan, image: Any) -> Any:
    """`Plan.run` of an image."""
    loaded = to_array(image, plan.channels)
    scene = loaded.scene(plan.scene.epoch)
    fitting(plan, scene)
    engine = backend(plan.backend)
    array = run_ops(plan.ops, loaded.array, engine)
    for op in plan.ops:
        scene = op.after(scene)
    rest = Drawn([], [], scene, list(plan.deferred))
    array, scene = finish(rest, array, scene, plan.address, plan.approximate, engine)
    return to_output(array, scene.normalized, loaded, plan.output)
