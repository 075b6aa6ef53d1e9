"""Running: apply the ops that were drawn, in order, to images of one kind and their targets."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from augreg.backends import Backend, alpha
from augreg.errors import AugregError, ImageError
from augreg.execution.passes import passes
from augreg.execution.sampling import Choices, Drawn, Entry, resume
from augreg.execution.scaling import ScaledStart, decoded
from augreg.images import buffers
from augreg.images.codecs import InputImage, from_array, tensor, to_array
from augreg.images.jpeg import Box
from augreg.ops import BranchMix, FunctionCall, Move, Op, Scene
from augreg.rng import Address
from augreg.targets.conventions import Targets
from augreg.targets.propagate import TargetSet

__all__ = ["RunSettings", "Start", "read_pixels", "run_drawn", "run_image", "run_ops", "step_of", "to_output"]

Array = NDArray[Any]

_OF_USERS: Final = frozenset({FunctionCall, BranchMix})
"""The ops that may run functions of users."""
_FLOATS: Final = np.dtype(np.float32)


class RunSettings(msgspec.Struct, frozen=True):
    """What a run needs to know besides the image and the ops.

    `address` is None at test time, and the choices of a test-time view.
    """

    engine: Backend
    targets: Targets
    channels: str
    output: str
    approximate: bool
    max_pixels: int
    address: Address | Choices | None
    decode: str = "exact"
    layout: str = "chw"

    @property
    def epoch(self) -> int:
        """The epoch of the address; 0 at test time."""
        return 0 if self.address is None else self.address.epoch


Start = Callable[[Scene, bool], tuple[Sequence[Op], Drawn]]
"""Returns the ops to run first on an image of this scene, and the draw that they come from.

The second argument says that only the pixels of the result matter, as no targets follow the image: then ops are
merged only where that saves time.
"""


def run_ops(ops: Sequence[Op], array: Array, engine: Backend) -> Array:
    """The image after the ops. Raises ImageError, which names the op that failed."""
    at, end, run_many = 0, len(ops), engine.run_many
    while at < end:
        if run_many is not None:
            try:
                count, array = run_many(ops, at, array)
            except AugregError:
                raise
            except Exception as error:
                raise _failed(f"{ops[at]}, or an op after it,", array, engine, error) from error
            at += count
            if at == end:
                break
        op = ops[at]
        at += 1
        try:
            array = engine.apply(op, array)
        except AugregError:
            raise
        except Exception as error:
            raise _failed(str(op), array, engine, error) from error
    return array


def _failed(what: str, array: Array, engine: Backend, error: Exception) -> ImageError:
    shape = "x".join(map(str, array.shape))
    reason = str(error) or type(error).__name__  # a MemoryError says nothing
    return ImageError(f"{what} failed on a {shape} {array.dtype} image ({engine.name}): {reason}")


def run_drawn(
    started: tuple[Sequence[Op], Drawn],
    arrays: list[Array],
    scene: Scene,
    settings: RunSettings,
    targets: TargetSet | None = None,
    frames: Sequence[int] = (0,),
    begun: Sequence[ScaledStart | None] = (None,),
    offer: buffers.offered | None = None,
) -> tuple[list[Array], Scene]:
    """Run what `start` returned on images of one scene, and on their targets. Returns the images and their new scene.

    `frames` are the numbers of the images within their sample, and `begun` says how the ops begin on each that was
    decoded smaller; the targets follow the ops themselves. After an op of unknown size, the remaining steps are
    drawn for the size that the image then has. `offer` is memory for the first image.
    """
    ops, drawn = started
    entries = drawn.entries
    while True:
        engine = alpha.engine_for(scene, settings.engine)
        offer = _usable(offer, ops)
        if targets is None:
            arrays = _on_each(ops, arrays, frames, engine, begun, offer)
        else:
            targets.check(ops, scene, functools.partial(step_of, entries))
            size = scene.size
            for part in _parts(ops):
                arrays = _on_each(part, arrays, frames, engine, begun, offer)
                _same_size(part, arrays)
                begun = (None,) * len(arrays)
                for op in part:
                    after = arrays[0].shape[:2] if op is part[-1] else op.size_after(*size) or size
                    targets.apply(op, size, after, settings.engine)
                    size = after
        if not drawn.deferred:
            return arrays, drawn.scene
        scene = drawn.scene.with_shape(arrays[0].shape)
        drawn = resume(drawn, scene, settings.address, entries, settings.engine.cursor)
        entries = entries + drawn.entries
        ops = passes(drawn, scene, settings.approximate, settings.max_pixels)
        begun = (None,) * len(arrays)


def _parts(ops: Sequence[Op]) -> Iterator[Sequence[Op]]:
    """The ops in parts that run as one; a user's function is a part of its own, as it may return any size."""
    of_user = [isinstance(op, FunctionCall) for op in ops]
    start = 0
    for end in range(1, len(ops) + 1):
        if end == len(ops) or of_user[end] or of_user[end - 1]:
            yield ops[start:end]
            start = end


def _same_size(ops: Sequence[Op], arrays: Sequence[Array]) -> None:
    """Raise ImageError if the images have come apart: targets follow only one of them."""
    shapes = {array.shape[:2] for array in arrays}
    if len(shapes) > 1:
        sizes = " and ".join(f"{height}x{width}" for height, width in sorted(shapes))
        raise ImageError(f"{ops[-1]} leaves images that share a draw with the sizes {sizes}, and targets follow one")


def _on_each(
    ops: Sequence[Op],
    arrays: list[Array],
    frames: Sequence[int],
    engine: Backend,
    begun: Sequence[ScaledStart | None],
    offer: buffers.offered | None,
) -> list[Array]:
    results: list[Array] = []
    for frame, array, start in zip(frames, arrays, begun, strict=True):
        own = ops if start is None else (*start.ops, *ops[start.replaced :])
        own = [op.for_frame(frame) for op in own] if frame else own
        results.append(_run_into(None if results else offer, own, array, engine))
    return results


def _usable(offer: buffers.offered | None, ops: Sequence[Op]) -> buffers.offered | None:
    """The offer, unless a function of the user runs: it may keep what it is given, or run a pipeline itself."""
    return None if offer is None or not _OF_USERS.isdisjoint(map(type, ops)) else offer


def _run_into(offer: buffers.offered | None, ops: Sequence[Op], array: Array, engine: Backend) -> Array:
    if offer is None:
        return run_ops(ops, array, engine)
    with offer:
        return run_ops(ops, array, engine)


def step_of(entries: Iterable[Entry], op: Op) -> str:
    """The name of the step that drew an op, or the op's own description if it was merged."""
    return next((entry.name for entry in entries if any(drawn is op for drawn in entry.ops)), str(op))


def run_image(image: Any, start: Start, settings: RunSettings) -> Any:
    """One image after the ops. Raises ImageError, which names the image."""
    offer = buffers.accepted()
    loaded = to_array(image, settings.channels, decoded=False)
    scene = loaded.scene(settings.epoch)
    # whether a JPEG is decoded smaller is seen from its first ops after merging
    started = ops, drawn = start(scene, loaded.scaled is None or settings.decode == "exact")
    if ops is drawn.ops:
        try:
            return _run_loaded(loaded, scene, started, settings, offer)
        except ImageError:  # merging may leave out the op that failed
            started = start(scene, False)
    return _run_loaded(loaded, scene, started, settings, offer)


def _run_loaded(
    loaded: InputImage,
    scene: Scene,
    started: tuple[Sequence[Op], Drawn],
    settings: RunSettings,
    offer: buffers.offered | None,
) -> Any:
    ops, drawn = started
    pixels, begun = read_pixels(loaded, ops, scene, settings)
    after = drawn.scene
    try:
        if begun is None and not drawn.deferred:
            array = _run_into(_usable(offer, ops), ops, pixels, alpha.engine_for(scene, settings.engine))
        else:
            (array,), after = run_drawn(started, [pixels], scene, settings, begun=(begun,), offer=offer)
    except ImageError as error:
        raise ImageError(f"{loaded.name}: {error}") from error
    return to_output(array, after.normalized, loaded, settings)


def read_pixels(
    image: InputImage, ops: Sequence[Op], scene: Scene, settings: RunSettings
) -> tuple[Array, ScaledStart | None]:
    """The pixels of an image that the ops read, and how the ops begin on them if they were decoded smaller.

    Raises ImageError.
    """
    if image.pending is None and image.scaled is None:
        return image.array, None
    return decoded(image, ops, scene, _part_read(ops, scene), settings.decode == "scaled")


def _part_read(ops: Sequence[Op], scene: Scene) -> Box | None:
    """The part of an image that the ops read, if the first one cuts it out; None for all of it."""
    if not ops or type(ops[0]) is not Move:
        return None
    move = ops[0]
    return (move.top, move.left, move.height, move.width) if move.within(*scene.size) else None


def to_output(array: Array, normalized: bool, loaded: InputImage, settings: RunSettings) -> Any:
    """The result as the kind of the input, or as `output` says; contiguous and writable, in its own memory.

    A normalized image is float32 channels x height x width: a tensor for a tensor, else an array, which is height x
    width x channels where `layout` says so.
    """
    kind, output = loaded.kind, settings.output
    if normalized:
        as_tensor = output == "torch" or (output == "auto" and kind in ("tensor", "gray tensor"))
        planes = array if settings.layout == "hwc" and not as_tensor else array.transpose(2, 0, 1)
        if not planes.flags.c_contiguous or not planes.flags.writeable:
            own = buffers.empty(planes.shape, np.float32)
            own[:] = planes
            planes = own
        return tensor(planes) if as_tensor else planes
    if not array.flags.writeable or np.may_share_memory(array, loaded.array):
        array = array.copy()
    if array.dtype == _FLOATS:  # a bicubic kernel can overshoot
        np.clip(array, 0.0, 1.0, out=array)
    if output == "torch":
        kind = "tensor"
    elif output == "numpy" and kind not in ("array", "gray array"):
        kind = "array"
    return from_array(array, kind)
