"""Maps of values: depth, disparity, optical flow, heatmaps. They move with the image and keep their values.

By the nearest pixel their bytes are moved as those of a mask are, exactly for every dtype; bilinear interpolation is
computed in float32. A field of vectors is also turned, mirrored and scaled with the image.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray
from PIL import Image

from augreg.backends import Backend
from augreg.errors import ImageError
from augreg.images.codecs import tensor
from augreg.ops import Op, Pad, Remap, Resize, Warp
from augreg.targets import rows
from augreg.targets.conventions import MapOptions, Nearest
from augreg.targets.masks import by_nearest, planes_of

__all__ = ["ValueMap"]

Array = NDArray[Any]
Points = NDArray[np.float64]
Size = tuple[int, int]

_MODES = ("L", "I", "I;16", "F")


class ValueMap:
    """One map while ops run: height x width x channels."""

    def __init__(self, value: Any, key: str, options: MapOptions, size: Size, nearest: Nearest = "center") -> None:
        """Read it; a resize takes the `nearest` pixel. Raises ImageError for what is no map, or not of this size."""
        self._given, self._key, self._options, self._nearest = value, key, options, nearest
        array = planes_of(value, key, "map of values", _MODES)
        if array.shape[:2] != size:
            shape = "x".join(map(str, array.shape[:2]))
            raise ImageError(f"{key}: the map is {shape} and the image is {size[0]}x{size[1]}")
        if array.dtype.kind not in "iuf" or not array.shape[2]:
            raise ImageError(
                f"{key}: a map of {array.dtype} with {array.shape[2]} channels; give integers or floats, "
                "height x width x channels, and bools as a mask"
            )
        if options.vectors and (array.shape[2] != 2 or array.dtype.kind != "f"):
            raise ImageError(
                f"{key}: vectors are two channels of floats, along x and along y in pixels; got {array.shape[2]} of "
                f"{array.dtype}"
            )
        self._dtype = array.dtype
        native = array.dtype.newbyteorder("=")
        self._fill = self._checked_fill(native)
        self._exact = options.interpolation == "nearest"
        self._array: Array = np.ascontiguousarray(array, native if self._exact else np.float32)
        self._deferred: tuple[Resize, Backend] | None = None

    @property
    def vectors(self) -> bool:
        """Whether these are vectors, which change with what moves them."""
        return self._options.vectors

    def _checked_fill(self, dtype: np.dtype[Any]) -> Any:
        fill = float(self._options.fill)
        if dtype.kind == "f":
            return dtype.type(fill)
        span = np.iinfo(dtype)
        if not (fill.is_integer() and span.min <= fill <= span.max):
            raise ImageError(f"{self._key}: the spec fills with {fill:g}, and a map of {dtype} has no such value")
        return dtype.type(int(fill))

    def apply(self, op: Op, engine: Backend, forward: Callable[[Points], Points] | None = None) -> None:
        """Apply an op as to an image, in the map's own way; `forward` moves points, which vectors need.

        Of several resizes in a row only the last is applied, so that shrinking and growing again loses no detail.
        """
        if forward is not None:
            self._turn(op, forward)
        if isinstance(op, Resize):
            self._deferred = op, engine
            return
        self._flush_resize()
        self._apply(op, engine)
        if self.vectors and isinstance(op, Pad) and op.mode in ("reflect", "symmetric"):
            self._mirror_border(op)

    def _flush_resize(self) -> None:
        if self._deferred is not None:
            op, engine = self._deferred
            self._deferred = None
            self._apply(op, engine)

    def _apply(self, op: Op, engine: Backend) -> None:
        read = by_nearest(op, self._nearest) if self._exact else self._options.interpolation
        own: dict[str, Any] = {"interpolation": read, "fill_ops": ()}
        height, width, channels = self._array.shape
        if self._exact:  # the bytes of a value are channels, as in a mask
            dtype = self._array.dtype
            given = np.ascontiguousarray(self._array).view(np.uint8).reshape(height, width, -1)
            one = np.array([self._fill], dtype).view(np.uint8).astype(np.float64).tolist()
            own["fill"] = tuple(one) * channels
        else:
            given, own["fill"] = self._array, (float(self._fill),) * channels
        if self.vectors and isinstance(op, Warp | Remap):  # a mirror image would have to turn them
            own["mode"] = "constant"
        known = {name: value for name, value in own.items() if name in op.__struct_fields__}
        found = engine.apply(replace(op, **known) if known else op, given)
        self._array = np.ascontiguousarray(found).view(self._array.dtype)

    def _turn(self, op: Op | None, forward: Callable[[Points], Points]) -> None:
        """Change each vector as the op moves its two ends; those that are not finite, or a fill other than 0, stay.

        This is done before pixels move, so that what is filled in is as the spec says.
        """
        if not isinstance(op, Resize):
            self._flush_resize()
        height, width = self._array.shape[:2]
        ends = np.array(self._array, np.float64).reshape(-1, 2)
        finite = self._known().reshape(-1)
        ys, xs = np.mgrid[:height, :width] + 0.5
        starts = np.stack((xs, ys), axis=-1).reshape(-1, 2)[finite]
        moved = forward(np.concatenate((starts, starts + ends[finite])))
        ends[finite] = moved[len(starts) :] - moved[: len(starts)]
        self._array = ends.reshape(self._array.shape).astype(self._array.dtype)

    def _known(self) -> NDArray[np.bool_]:
        """Where there is a vector: height x width."""
        known = np.isfinite(self._array).all(axis=2)
        return np.asarray(known if self._fill == 0 else known & (self._array != self._fill).any(axis=2))

    def _mirror_border(self, op: Pad) -> None:
        """Mirror the vectors of a border that shows a mirror image."""
        height, width = self._array.shape[:2]
        known = self._known()
        inner = height - op.top - op.bottom, width - op.left - op.right
        for channel, axis, before in ((0, 1, op.left), (1, 0, op.top)):
            period = max(1, inner[axis] - (op.mode == "reflect"))
            places = np.arange(self._array.shape[axis]) - before
            odd = (places // period) % 2 == 1
            odd[before : before + inner[axis]] = False
            turned = known & (odd[None, :] if axis else odd[:, None])
            self._array[..., channel] = np.where(turned, -self._array[..., channel], self._array[..., channel])

    def call(
        self,
        fn: Callable[..., Any],
        params: dict[str, Any],
        name: str,
        size: Size,
        forward: Callable[[Points], Points] | None = None,
    ) -> None:
        """Move it with a plugin's own function for masks: `fn(array, **params)` on height x width x channels."""
        self._flush_resize()
        if forward is not None:
            self._turn(None, forward)
        array = self._array.view()
        array.flags.writeable = False
        found = np.asarray(fn(array, **params))
        wanted = (*size, array.shape[2])
        if found.dtype != array.dtype or found.shape != wanted:
            raise ImageError(
                f"{self._key}: the mask function of {name} must return {'x'.join(map(str, wanted))} of "
                f"{array.dtype}, and returned {'x'.join(map(str, found.shape))} of {found.dtype}"
            )
        self._array = np.array(found)

    def write(self, output: str) -> Any:
        """The map in the form that came in, or as an array or a tensor if the spec's `output` says so."""
        self._flush_resize()
        array, given = self._array, self._given
        if not self._exact and self._dtype.kind != "f":
            span = np.iinfo(self._dtype)
            array = np.clip(np.rint(array.astype(np.float64)), span.min, span.max)
        array = np.array(array.astype(self._dtype), order="C")
        flat = isinstance(given, Image.Image) or given.ndim == 2
        if isinstance(given, Image.Image) and output == "auto":
            return Image.fromarray(np.ascontiguousarray(array[..., 0]))
        if output == "torch" or (rows.is_tensor(given) and output == "auto"):
            return tensor(np.array(array[..., 0] if flat else array.transpose(2, 0, 1), order="C"))
        return np.array(array[..., 0], order="C") if flat else array
