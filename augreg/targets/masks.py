"""Masks: an integer per pixel, moved by nearest neighbor, so that no new value appears except the fill.

For a backend a mask is a byte image: the bytes of its integers are the channels. So every kernel that moves pixels
also moves masks of any integer dtype exactly, to the same pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray
from PIL import Image, ImageOps

from augreg.backends import Backend
from augreg.errors import ImageError
from augreg.images.codecs import tensor
from augreg.ops import Enlarge, Op, Resize
from augreg.ops.scene import PixelValues
from augreg.targets import rows
from augreg.targets.classes import exchanged_numbers
from augreg.targets.conventions import Nearest, Targets

__all__ = ["Mask", "by_nearest", "is_pixels", "planes_of"]

Array = NDArray[Any]
Size = tuple[int, int]

_MODES = ("1", "L", "P", "I", "I;16")


def is_pixels(value: Any) -> bool:
    """Whether this is pixel data: an array or a tensor with two or three axes, or a PIL image."""
    if isinstance(value, Image.Image):
        return True
    return (isinstance(value, np.ndarray) or rows.is_tensor(value)) and value.ndim in (2, 3)


class Mask:
    """One mask while ops run: its bytes, height x width x (channels times bytes per integer)."""

    def __init__(
        self, value: Any, key: str, fill: int, size: Size, nearest: Nearest = "center", hole: int | None = None
    ) -> None:
        """Read it; a resize takes the `nearest` pixel, and `hole` is what it shows where the image is painted over.

        Raises ImageError for what is no mask, or not of this size.
        """
        self._given, self._key, self._fill, self._nearest, self._hole = value, key, fill, nearest, hole
        array = planes_of(value, key, "mask", _MODES)
        if array.shape[:2] != size:
            shape = "x".join(map(str, array.shape[:2]))
            raise ImageError(
                f"{key}: the mask is {shape} and the image is {size[0]}x{size[1]}; a mask has a number for every "
                "pixel of its image after the image's EXIF orientation is applied"
            )
        if array.dtype.kind not in "iub":
            raise ImageError(
                f"{key}: a mask of {array.dtype} has no class numbers: give integers or bools, or put an image "
                "under a key that begins with `image`"
            )
        self._dtype = array.dtype
        self._deferred: tuple[Resize, Backend] | None = None
        self._set(array)

    def _set(self, array: Array) -> None:
        """Store an array as bytes, as few as its values need."""
        kind = self._dtype
        span = (0, 1) if kind.kind == "b" else (np.iinfo(kind).min, np.iinfo(kind).max)
        own = {"mask_fill": self._fill} | ({} if self._hole is None else {"mask_holes": self._hole})
        for option, number in own.items():
            if not span[0] <= number <= span[1]:
                raise ImageError(
                    f"{self._key}: the spec's {option} is {number}, and a mask of {kind} has {span[0]} to "
                    f"{span[1]}; give the mask in a wider dtype, or another {option}"
                )
        self._channels: int = array.shape[2]
        if not self._channels:  # no instances: one plane that keeps the size
            array = np.zeros((*array.shape[:2], 1), np.uint8)
        narrow = np.dtype(np.uint8)
        if kind.itemsize > 1 or kind.kind == "i":
            low, high = min(int(array.min()), *own.values()), max(int(array.max()), *own.values())
            small = (np.dtype(name) for name in ("u1", "u2", "u4"))
            fits = (one for one in small if low >= 0 and high <= np.iinfo(one).max and one.itemsize <= kind.itemsize)
            narrow = next(fits, kind.newbyteorder("="))
        self._narrow = narrow
        self._bytes: NDArray[np.uint8] = np.ascontiguousarray(array, narrow).view(np.uint8)

    @property
    def fill(self) -> PixelValues:
        """The fill as one pixel of the byte image."""
        values: list[float] = self._pixel(self._fill).astype(np.float64).tolist()
        return tuple(values)

    def _pixel(self, number: int) -> NDArray[np.uint8]:
        """A number as one pixel of the byte image."""
        return np.tile(np.array([number], self._narrow).view(np.uint8), max(1, self._channels))

    @property
    def _array(self) -> Array:
        """The mask in its original dtype."""
        found = np.ascontiguousarray(self._bytes).view(self._narrow).astype(self._dtype)
        return found[..., : self._channels]

    def apply(self, op: Op, engine: Backend) -> None:
        """Apply an op as to an image, but with nearest neighbor and the mask's own fill.

        Of several resizes in a row only the last is applied, so that shrinking and growing again loses no detail.
        """
        if isinstance(op, Resize):
            self._deferred = op, engine
            return
        self._flush_resize()
        self._apply(op, engine)

    def hide(self, rows: slice, columns: slice) -> None:
        """Show the number of holes in these rows and columns, if the spec has one."""
        if self._hole is not None:
            self._flush_resize()
            self._bytes = self._bytes.copy()  # they may be the input's
            self._bytes[rows, columns] = self._pixel(self._hole)

    def _flush_resize(self) -> None:
        if self._deferred is not None:
            op, engine = self._deferred
            self._deferred = None
            self._apply(op, engine)

    def _apply(self, op: Op, engine: Backend) -> None:
        own = {"interpolation": by_nearest(op, self._nearest), "fill": self.fill, "fill_ops": ()}
        given = {name: value for name, value in own.items() if name in op.__struct_fields__}
        self._bytes = engine.apply(replace(op, **given) if given else op, self._bytes)

    def shown(self) -> NDArray[np.bool_]:
        """Where each of its channels has a value other than 0 and the fill: height x width x channels."""
        self._flush_resize()
        values = np.ascontiguousarray(self._bytes).view(self._narrow)[..., : self._channels]
        shown: NDArray[np.bool_] = np.asarray(values != 0)
        if self._fill:
            shown &= np.asarray(values != self._fill)
        return shown

    def shows(self) -> NDArray[np.bool_]:
        """Whether each of its channels has such a value."""
        self._flush_resize()
        if self._channels == 1 and not self._fill:
            return np.array([self._bytes.any()])
        return np.asarray(self.shown().any(axis=(0, 1)))

    def exchange(self, targets: Targets) -> None:
        """Exchange the numbers of classes as in a mirrored image, in masks of integers."""
        self._flush_resize()
        if self._dtype.kind != "b":
            self._set(exchanged_numbers(self._array, targets.classes, targets))

    def call(self, fn: Callable[..., Any], params: dict[str, Any], name: str, size: Size) -> None:
        """Move it with a plugin's own function: `fn(array, **params)` on height x width x channels."""
        self._flush_resize()
        array = self._array
        array.flags.writeable = False
        found = np.asarray(fn(array, **params))
        wanted = (*size, self._channels)
        if found.dtype != self._dtype or found.shape != wanted:
            raise ImageError(
                f"{self._key}: the mask function of {name} must return {'x'.join(map(str, wanted))} of "
                f"{self._dtype}, the size of the image, "
                f"and returned {'x'.join(map(str, found.shape))} of {found.dtype}"
            )
        self._set(found)

    def write(self, output: str) -> Any:
        """The mask in the form of the input, or as an array or a tensor if the spec's `output` says so."""
        self._flush_resize()
        array, given = self._array, self._given
        if isinstance(given, Image.Image) and output == "auto":
            return _image(array[..., 0], given)
        flat = isinstance(given, Image.Image) or given.ndim == 2
        if output == "torch" or (rows.is_tensor(given) and output == "auto"):
            planes = array[..., 0] if flat else array.transpose(2, 0, 1)
            return tensor(np.array(planes, order="C"))
        return np.array(array[..., 0] if flat else array, order="C")


def by_nearest(op: Op, nearest: Nearest) -> str:
    """The interpolation of an op that takes the nearest pixel; other ops than resizes read at centers."""
    return "nearest_floor" if nearest == "floor" and isinstance(op, Resize | Enlarge) else "nearest"


def planes_of(value: Any, key: str, what: str, modes: Sequence[str]) -> Array:
    """A mask, or what else the message calls it, as a height x width x channels array; `modes` are those of PIL."""
    if isinstance(value, Image.Image):
        if value.mode not in modes:
            raise ImageError(
                f"{key}: a PIL image of mode {value.mode} is not a {what}; expected mode {', '.join(modes)}: one "
                "number per pixel, such as image.convert('L')"
            )
        return np.asarray(ImageOps.exif_transpose(value))[..., None]
    if not is_pixels(value):
        shape = f" of shape {tuple(value.shape)}" if hasattr(value, "shape") else ""
        raise ImageError(
            f"{key}: a {type(value).__name__}{shape} is not a {what}: give an array height x width (x channels), a "
            "tensor (channels x) height x width, or a PIL image"
        )
    if rows.is_tensor(value):
        if value.device.type != "cpu":
            raise ImageError(f"{key}: the {what} is on {value.device}; give .cpu()")
        try:
            array: Array = value.detach().numpy()
        except (TypeError, RuntimeError) as error:
            other = "int64" if what == "mask" else "float32"
            raise ImageError(f"{key}: a {what} of {value.dtype} cannot be read: {error}; give {other}") from None
        return array[..., None] if array.ndim == 2 else array.transpose(1, 2, 0)
    return np.asarray(value[..., None] if value.ndim == 2 else value)


def _image(array: Array, given: Image.Image) -> Image.Image:
    """A PIL image with the mode and the palette of the input."""
    if given.mode == "1":
        return Image.fromarray(array.astype(np.uint8) * np.uint8(255)).convert("1", dither=Image.Dither.NONE)
    made = Image.fromarray(np.ascontiguousarray(array))
    palette = given.getpalette()
    if palette is not None:
        made.putpalette(palette)
    return made
