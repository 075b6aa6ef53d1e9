"""Restoring maps: dense predictions on a view (class maps, label masks, values, vectors) come back into the frame.

Each pixel of the frame reads the prediction at its place in the view. All ops of the view are one function from the
frame to the view, so there is one interpolation, and none where places fall on centers of pixels: after crops, flips
and quarter turns every value comes back bit for bit.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from augreg.errors import ImageError
from augreg.execution.plan import Plan
from augreg.images.codecs import tensor
from augreg.targets import rows
from augreg.targets.classes import exchanged_channels, exchanged_numbers
from augreg.targets.conventions import MapOptions, Targets
from augreg.views.restoring.routes import Points, Route, Size, grid

__all__ = ["Filling", "RestoredMap", "dtype_name", "like", "restore_map"]

Filling: TypeAlias = Literal["auto", "nearest", "bilinear"]

_CENTERED: Final = 1e-6
"""Pixels of the prediction. A place this near to a pixel's center is on it: rounding put it beside."""
_LEAST: Final = 1e-6
"""A pixel whose neighbors in the view show the image with less than this weight has no prediction."""


class RestoredMap(NamedTuple):
    """A prediction in the frame, and which pixels of the frame the view shows: height x width of bools.

    Where it shows none, `values` has the fill.
    """

    values: Any
    seen: Any


class Reading(NamedTuple):
    """For each pixel of the frame, the pixels of a flat prediction to read, and their weights: reads x pixels.

    Without weights there is one read per pixel, and it is copied.
    """

    places: NDArray[np.intp]
    weights: NDArray[np.float64] | None
    seen: NDArray[np.bool_]


def restore_map(
    plan: Plan,
    prediction: Any,
    *,
    frame: Plan | None = None,
    size: Size | None = None,
    interpolation: Filling = "auto",
    fill: float | None = None,
    key: str | None = None,
    classes: Sequence[str] | None = None,
) -> RestoredMap:
    """A dense prediction on a view, in the frame of the image.

    `prediction` is an array or a tensor whose last two axes are the height and width: class maps C x h x w, N x C x h
    x w, label masks h x w. They may be those of the view, or fewer at an output stride; then each pixel of the
    prediction stands for an equal part of the view. `frame` is the plan whose result is the frame; None is the image
    itself. `size` is the height and width of the result, those of the frame by default; with the size of the
    prediction, flips and turns are exact at a stride too.

    `interpolation` "auto" is the nearest pixel for integers and bools, and bilinear for floats, without smoothing:
    shrinking reads single places. `key` names a map under `targets: {maps: ..}` of the spec, whose interpolation,
    fill and vectors count. Vectors are two channels, along x and y in pixels of the view, and of the frame after it.
    `classes` are the names of the channels, by default the spec's `targets: {classes: ..}`: names that `targets:
    {swap: ..}` pairs are exchanged if the view is mirrored, as channels, or as numbers of a label mask.

    `fill` is the value of pixels that the view does not show: by default nan for floats and the spec's `mask_fill`
    for label masks. Tensors stay on their device, and gradients flow back. Raises ImageError.
    """
    targets = plan.settings.targets
    options = _options(key, targets)
    route = Route(plan, frame)
    _checked(prediction, route.view_size, options)
    out = route.size if size is None else _checked_size(size)
    points = grid(route.size, out)
    cells = (int(prediction.shape[-2]), int(prediction.shape[-1]))
    reading = _reading(route, points, cells, _interpolation(interpolation, prediction, options))
    values = _read(prediction, reading)
    if options is not None and options.vectors:
        values = _turned(route, points, values)
    elif options is None and route.mirrored:
        values = _exchanged(values, targets.classes if classes is None else classes, targets)
    seen = like(reading.seen, prediction)
    values = _where(seen, values, _default_fill(values, options, targets) if fill is None else fill)
    return RestoredMap(values.reshape(*values.shape[:-1], *out), seen.reshape(out))


def dtype_name(values: Any) -> str:
    """The name of the dtype of an array or a tensor: "float32", whatever the byte order."""
    return str(values.dtype).removeprefix("torch.") if rows.is_tensor(values) else str(values.dtype.name)


def like(array: NDArray[Any], prediction: Any) -> Any:
    """The array, or a tensor of it on the device of a prediction that is one."""
    return tensor(np.ascontiguousarray(array)).to(prediction.device) if rows.is_tensor(prediction) else array


def _options(key: str | None, targets: Targets) -> MapOptions | None:
    """How the map of this key moves, None for class maps and label masks."""
    if key is None or key in targets.maps:
        return None if key is None else targets.maps[key]
    known = ", ".join(map(repr, targets.maps)) or "none"
    raise ImageError(
        f"the spec has no map {key!r}; it has {known}; add it under `targets: {{maps: ..}}`, or leave key out"
    )


def _interpolation(given: str, prediction: Any, options: MapOptions | None) -> str:
    """How a prediction is interpolated. Raises ImageError for numbers of classes that would be mixed."""
    labels = not _is_float(prediction)
    if given == "auto":
        given = options.interpolation if options is not None else "nearest" if labels else "bilinear"
    if given not in ("nearest", "bilinear"):
        raise ImageError(f"interpolation: expected 'auto', 'nearest' or 'bilinear', got {given!r}")
    if labels and given != "nearest":
        raise ImageError(
            f"a prediction of {prediction.dtype} holds numbers of classes, which {given} interpolation would mix; "
            "give it as floats if it holds values, or take interpolation='nearest'"
        )
    return given


def _exchanged(values: Any, names: Sequence[str] | None, targets: Targets) -> Any:
    """A prediction on a mirrored view, .. x channels x pixels, with left and right exchanged."""
    if _is_float(values) or dtype_name(values) == "bool":
        return exchanged_channels(values, names, targets, axis=-2)
    return exchanged_numbers(values, names, targets)


def _default_fill(values: Any, options: MapOptions | None, targets: Targets) -> float:
    """The value of pixels that a view does not show, where none is given."""
    if options is not None:
        return float(options.fill)
    if _is_float(values):
        return float("nan")
    return 0 if dtype_name(values) == "bool" else targets.mask_fill


def _is_float(prediction: Any) -> bool:
    return bool(prediction.is_floating_point() if rows.is_tensor(prediction) else prediction.dtype.kind == "f")


def _checked(prediction: Any, view: Size, options: MapOptions | None) -> None:
    """Raise ImageError for what is not a dense prediction on a view of this size."""
    if not (isinstance(prediction, np.ndarray) or rows.is_tensor(prediction)) or prediction.ndim < 2:
        got = f"the shape {tuple(prediction.shape)}" if hasattr(prediction, "shape") else type(prediction).__name__
        raise ImageError(f"expected an array or a tensor with axes .. x height x width, got {got}")
    if isinstance(prediction, np.ndarray) and prediction.dtype.kind not in "biuf":
        raise ImageError(f"expected numbers, got an array of {prediction.dtype}")
    shape = tuple(prediction.shape)
    if not 1 <= shape[-2] <= view[0] or not 1 <= shape[-1] <= view[1]:
        raise ImageError(
            f"a prediction on a view of {view[0]}x{view[1]} has at most as many rows and columns, got the shape "
            f"{shape}; its last two axes are height and width"
        )
    if (
        options is not None
        and options.vectors
        and (prediction.ndim < 3 or shape[-3] != 2 or not _is_float(prediction))
    ):
        raise ImageError(
            f"vectors are .. x 2 x height x width of floats, got {prediction.dtype} of the shape {shape}"
        )


def _checked_size(size: Any) -> Size:
    try:
        height, width = map(operator.index, size)
    except (TypeError, ValueError):
        height = width = 0
    if height < 1 or width < 1:
        raise ImageError(f"size: expected the (height, width) of the result, got {size!r}")
    return height, width


def _reading(route: Route, points: Points, cells: Size, interpolation: str) -> Reading:
    """What to read for points of the frame in a prediction of this many rows and columns."""
    places, seen = route.to_view(points)
    scale = cells[1] / route.view_size[1], cells[0] / route.view_size[0]
    # where pixels are not seen, any place within the view will do
    places = np.where(seen[:, None], places, 0.5) * scale - 0.5
    whole = np.rint(places)
    places = np.where(np.abs(places - whole) < _CENTERED, whole, places)
    shown = _shown_cells(route, cells)
    ends = cells[1] - 1, cells[0] - 1
    if interpolation == "nearest" or (places == np.rint(places))[seen].all():
        nearest = np.clip(np.floor(places + 0.5), 0, ends).astype(np.intp)
        flat = nearest[:, 1] * cells[1] + nearest[:, 0]
        return Reading(flat[None], None, seen if shown is None else seen & shown[flat])
    first = np.floor(places)
    after = places - first
    flat_places, weights = [], []
    for down in (0, 1):
        for right in (0, 1):
            x, y = np.clip(first + np.array((right, down)), 0, ends).astype(np.intp).T
            part = np.abs(1 - right - after[:, 0]) * np.abs(1 - down - after[:, 1])
            flat_places.append(y * cells[1] + x)
            weights.append(part if shown is None else part * shown[flat_places[-1]])
    total = np.sum(weights, axis=0)
    seen = seen & (total > _LEAST)
    return Reading(np.stack(flat_places), np.stack(weights) / np.where(seen, total, 1.0), seen)


def _shown_cells(route: Route, cells: Size) -> NDArray[np.bool_] | None:
    """Which pixels of a prediction have a center that shows the image, flat; None if all do."""
    shown = route.shown()
    if shown is None:
        return None
    xs, ys = np.floor(grid(route.view_size, cells)).astype(np.intp).T
    return np.asarray(shown[ys, xs])


def _read(prediction: Any, reading: Reading) -> Any:
    """The values of a prediction at a reading: .. x pixels."""
    flat = prediction.reshape(*prediction.shape[:-2], -1)
    if reading.weights is None:
        return flat[..., like(reading.places[0], prediction)]
    found: Any = 0
    for places, weights in zip(reading.places, reading.weights, strict=True):
        # half precision is computed in float32
        precise = weights if dtype_name(prediction) == "float64" else weights.astype(np.float32)
        found = found + flat[..., like(places, prediction)] * like(precise, prediction)
    return found.to(prediction.dtype) if rows.is_tensor(prediction) else found.astype(prediction.dtype)


def _where(seen: Any, values: Any, fill: float) -> Any:
    """The values, and the fill where they are not seen. Raises ImageError if they cannot hold it."""
    if bool(seen.all()):
        return values
    if not _is_float(values) and dtype_name(values) != "bool":
        span = np.iinfo(dtype_name(values))
        if not (span.min <= fill <= span.max and float(fill).is_integer()):
            raise ImageError(
                f"a prediction of {values.dtype} has no value {fill:g} for pixels that the view does not show; "
                "give another fill="
            )
    if not rows.is_tensor(values):
        return np.where(seen, values, np.asarray(fill).astype(values.dtype))
    return values.where(seen, values.new_full((), fill))


def _turned(route: Route, points: Points, vectors: Any) -> Any:
    """Vectors of the view at these points of the frame (.. x 2 x points), as the view moved their two ends."""
    if route.linear is not None:
        matrix = like(route.linear, vectors)
        return (matrix.to(vectors.dtype) if rows.is_tensor(vectors) else matrix.astype(vectors.dtype)) @ vectors
    starts = route.to_view(points)[0]
    given = np.asarray(vectors.detach().cpu() if rows.is_tensor(vectors) else vectors, np.float64)
    found = np.array(given)
    for place in np.ndindex(given.shape[:-2]):
        known = np.isfinite(given[place]).all(axis=0)
        ends = route.to_frame(starts[known] + given[place].T[known])
        found[place][:, known] = (ends - points[known]).T
    if rows.is_tensor(vectors):
        return tensor(found).to(vectors.device, vectors.dtype)
    return found.astype(vectors.dtype)
