"""The definition of every op in float64, slow and simple; the backends are compared with it.

Nothing is rounded, except where rounding is the definition (posterize, equalize). Pixel values are those of the
image: 0 to 255 for bytes, 0 to 1 for floats. This module imports NumPy, the standard library and the records of the
ops, so that it has none of the mistakes of the backends.
"""

from __future__ import annotations

import colorsys
import functools
import math
from collections.abc import Callable

import numpy as np

from augreg.ops import (
    BranchMix,
    ColorMatrix,
    Convolve,
    ConvolveColors,
    DropPixels,
    Enhance,
    Filter,
    Flare,
    Fog,
    Hue,
    ImageStatistic,
    LocalContrast,
    Lookup,
    Move,
    Noise,
    Normalize,
    Op,
    Pad,
    Paint,
    PointFunction,
    Rain,
    Remap,
    Resize,
    Shade,
    ShiftHsv,
    Warp,
)

Array = np.ndarray
LUMA = np.array([19595, 38470, 7471]) / 65536


def run(op: Op, image: Array) -> Array:
    """The image after one op, as float64."""
    white = 255.0 if image.dtype == np.uint8 else 1.0
    return _MEANINGS[type(op)](op, image.astype(np.float64), white)


def run_all(ops: tuple[Op, ...], image: Array, white: float) -> Array:
    """The image after several ops, nothing rounded in between."""
    for op in ops:
        image = _MEANINGS[type(op)](op, image, white)
    return image


# Where pixels come from


def _move(op: Move, image: Array, white: float) -> Array:
    height, width = (op.width, op.height) if op.transpose else (op.height, op.width)
    out = np.empty((height, width, image.shape[2]))
    for y, x in np.ndindex(height, width):
        v = height - 1 - y if op.flip_y else y
        u = width - 1 - x if op.flip_x else x
        if op.transpose:
            v, u = u, v
        out[y, x] = image[op.top + v, op.left + u]
    return out


def _beyond(place: int, size: int, mode: str) -> int:
    """The row that is shown at a position outside the image."""
    if mode == "edge":
        return min(max(place, 0), size - 1)
    if mode == "wrap":
        return place % size
    # a mirror, which shows the edge once (reflect) or twice (symmetric); mirrors repeat
    period = max(1, 2 * size - 2) if mode == "reflect" else 2 * size
    place %= period
    return place if place < size else period - place - (mode == "symmetric")


def _pad(op: Pad, image: Array, white: float) -> Array:
    height, width, channels = image.shape
    fill = run_all(op.fill_ops, np.broadcast_to(op.fill, (1, 1, channels)).astype(float), white)[0, 0]
    out = np.empty((height + op.top + op.bottom, width + op.left + op.right, channels))
    for y, x in np.ndindex(*out.shape[:2]):
        v, u = y - op.top, x - op.left
        if op.mode == "constant":
            out[y, x] = image[v, u] if 0 <= v < height and 0 <= u < width else fill
        else:
            out[y, x] = image[_beyond(v, height, op.mode), _beyond(u, width, op.mode)]
    return out


def _paint(op: Paint, image: Array, white: float) -> Array:
    out = image.copy()
    channels = image.shape[2]
    if op.noise is None:
        box = run_all(op.fill_ops, np.broadcast_to(op.fill, (1, 1, channels)).astype(float), white)
    else:
        box = _noise(op.noise, op.key, (op.height, op.width, channels)) * (256.0 if white == 255.0 else 1.0)
    out[op.top : op.top + op.height, op.left : op.left + op.width] = box
    return out


def _drop(op: DropPixels, image: Array, white: float) -> Array:
    height, width, channels = image.shape
    noise = _noise("uniform", op.key, (height, width, channels if op.per_channel else 1))
    out = image.copy()
    for y, x, c in np.ndindex(*image.shape):
        if noise[y, x, c if op.per_channel else 0] < op.fraction:
            out[y, x, c] = op.fill[c if len(op.fill) > 1 else 0]
    return out


def _noise(kind: str, key: int, shape: tuple[int, ...]) -> Array:
    """Words of Philox with this key; a normal number is Box and Muller's, of one word of each half."""
    count = math.prod(shape)
    half = (count + 1) // 2
    words = np.random.Philox(key=np.array([key, 5], np.uint64), counter=0).random_raw(2 * half)
    unit = np.array([(int(word) >> 11) / 2.0**53 for word in words])
    if kind == "normal":
        radius, angle = np.sqrt(-2 * np.log1p(-unit[:half])), 2 * np.pi * unit[half:]
        unit = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])
    return unit[:count].reshape(shape)


# Resampling


def _triangle(t: Array) -> Array:
    return np.maximum(0.0, 1.0 - np.abs(t))


def _cubic(a: float) -> Callable[[Array], Array]:
    """Keys's kernel; `a` is its slope at 1."""

    def kernel(t: Array) -> Array:
        t = np.abs(t)
        near = (a + 2) * t**3 - (a + 3) * t**2 + 1
        far = a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a
        return np.where(t < 1, near, np.where(t < 2, far, 0.0))

    return kernel


WARP_CUBIC, RESIZE_CUBIC = _cubic(-1.0), _cubic(-0.5)


def _lanczos(t: Array) -> Array:
    """sinc(t) sinc(t / 3), three pixels to each side."""
    return np.where(np.abs(t) < 3, np.sinc(t) * np.sinc(t / 3), 0.0)


_KERNELS = {"bilinear": _triangle, "bicubic": RESIZE_CUBIC, "lanczos": _lanczos}


def _resize(op: Resize, image: Array, white: float) -> Array:
    height, width = image.shape[:2]
    if op.interpolation == "nearest_floor":
        rows, columns = (
            [i * size // wanted for i in range(wanted)] for size, wanted in ((height, op.height), (width, op.width))
        )
        return image[rows][:, columns]
    if op.interpolation == "nearest" or not (op.antialias or op.interpolation == "lanczos"):
        ys = (np.arange(op.height)[:, None] + 0.5) * (height / op.height) + np.zeros((1, op.width))
        xs = (np.arange(op.width)[None] + 0.5) * (width / op.width) + np.zeros((op.height, 1))
        return _clipped(_sampled(image, ys, xs, op.interpolation, RESIZE_CUBIC), white)
    kernel = _KERNELS[op.interpolation]
    rows, columns = _weights(height, op.height, kernel), _weights(width, op.width, kernel)
    return _clipped(np.einsum("yv,xu,vuc->yxc", rows, columns, image, optimize=True), white)


def _clipped(image: Array, white: float) -> Array:
    """Bytes end at 0 and 255; floats may be pixel values or normalized, so nothing is known of where they end."""
    return np.clip(image, 0.0, white) if white == 255.0 else image


def _weights(size: int, wanted: int, kernel: Callable[[Array], Array]) -> Array:
    """wanted x size: the kernel around each output pixel's center, as wide as the scale, where there are pixels."""
    scale = size / wanted
    center = (np.arange(wanted)[:, None] + 0.5) * scale
    found = kernel((np.arange(size)[None] + 0.5 - center) / max(1.0, scale))
    return found / found.sum(axis=1, keepdims=True)


def _sampled(image: Array, ys: Array, xs: Array, interpolation: str, cubic: Callable[[Array], Array]) -> Array:
    """The image at these points, where (0.5, 0.5) is the middle of the first pixel; its edges are repeated."""
    height, width = image.shape[:2]
    if interpolation == "nearest":
        at = np.clip(np.floor(ys).astype(int), 0, height - 1), np.clip(np.floor(xs).astype(int), 0, width - 1)
        return image[at]
    kernel, reach = (_triangle, 1) if interpolation == "bilinear" else (cubic, 2)
    ys, xs = ys - 0.5, xs - 0.5
    first_y, first_x = np.floor(ys).astype(int), np.floor(xs).astype(int)
    total = np.zeros((*ys.shape, image.shape[2]))
    for v in range(1 - reach, reach + 1):
        for u in range(1 - reach, reach + 1):
            weight = kernel(ys - first_y - v) * kernel(xs - first_x - u)
            at = np.clip(first_y + v, 0, height - 1), np.clip(first_x + u, 0, width - 1)
            total += weight[..., None] * image[at]
    return total


def sources(op: Warp) -> tuple[Array, Array]:
    """Where in the input the center of each output pixel lies: ys, xs."""
    a, b, c, d, e, f, g, h = op.matrix
    y, x = np.mgrid[: op.height, : op.width] + 0.5
    below = g * x + h * y + 1
    return (d * x + e * y + f) / below, (a * x + b * y + c) / below


def _warp(op: Warp, image: Array, white: float) -> Array:
    height, width, channels = image.shape
    ys, xs = sources(op)
    if op.mode != "constant":
        return _clipped(_bordered(op, image, ys, xs), white)
    inside = (ys >= 0) & (ys < height) & (xs >= 0) & (xs < width)
    found = np.broadcast_to(op.fill, (op.height, op.width, channels)).astype(float)
    found[inside] = _sampled(image, ys[inside], xs[inside], op.interpolation, WARP_CUBIC)
    return _clipped(found, white)


def _bordered(op: Warp | Remap, image: Array, ys: Array, xs: Array) -> Array:
    """Sampled from an image that is padded so far that nothing beyond shows."""
    reach = math.ceil(max(-ys.min(), ys.max() - image.shape[0], -xs.min(), xs.max() - image.shape[1], 0)) + 3
    padded = np.pad(image, ((reach, reach), (reach, reach), (0, 0)), mode=op.mode)
    return _sampled(padded, ys + reach, xs + reach, op.interpolation, WARP_CUBIC)


def _remap(op: Remap, image: Array, white: float) -> Array:
    height, width = image.shape[:2]
    ys, xs = remapped(op, height, width)
    if op.mode != "constant":
        return _bordered(op, image, ys, xs)
    inside = (ys >= 0) & (ys < height) & (xs >= 0) & (xs < width)
    found = np.broadcast_to(op.fill, image.shape).astype(float)
    found[inside] = _sampled(image, ys[inside], xs[inside], op.interpolation, WARP_CUBIC)
    return found


@functools.cache
def remapped(op: Remap, height: int, width: int) -> tuple[Array, Array]:
    """Where in the input the center of each output pixel lies: ys, xs."""
    ys, xs = np.mgrid[:height, :width] + 0.5
    if op.field == "lens":
        y, x = ys - height / 2, xs - width / 2
        radius = np.hypot(y, x) / np.hypot(height / 2, width / 2)
        return height / 2 + y * (1 + op.numbers[0] * radius**2), width / 2 + x * (1 + op.numbers[0] * radius**2)
    if op.field in ("elastic", "elastic_normal"):
        alpha, sigma = op.numbers
        if op.field == "elastic":
            noise = 2 * _noise("uniform", op.key, (height, width, 2)) - 1
        else:
            noise = _noise("normal", op.key, (height, width, 2))
            noise = noise / max(noise.max(), -noise.min())
        smooth = _mirrored(height, sigma), _mirrored(width, sigma)
        shift = np.einsum("yv,xu,vuc->cyx", *smooth, noise, optimize=True) * alpha
        return ys + shift[0], xs + shift[1]
    rows, columns, limit = int(op.numbers[0]), int(op.numbers[1]), op.numbers[2]
    inner = _noise("uniform", op.key, (2, rows - 1, columns - 1)) * 2 - 1
    nodes = np.pad(inner, ((0, 0), (1, 1), (1, 1)))
    for y, x in np.ndindex(height, width):
        v, u = (y + 0.5) * rows / height, (x + 0.5) * columns / width
        around = [(i, j, _triangle(v - i) * _triangle(u - j)) for i in range(rows + 1) for j in range(columns + 1)]
        ys[y, x] += sum(weight * nodes[0, i, j] for i, j, weight in around) * limit * height / rows
        xs[y, x] += sum(weight * nodes[1, i, j] for i, j, weight in around) * limit * width / columns
    return ys, xs


def _mirrored(size: int, sigma: float) -> Array:
    """size x size: a Gaussian around each place, up to four deviations, what it has beyond the edges mirrored."""
    reach = math.ceil(4 * sigma)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    found = np.zeros((size, size))
    for place in range(size):
        for offset, weight in zip(range(-reach, reach + 1), weights / weights.sum(), strict=True):
            found[place, _beyond(place + offset, size, "symmetric")] += weight
    return found


def _filter(op: Filter, image: Array, white: float) -> Array:
    if op.name == "median":
        return _median(int(op.amount), image)
    return _motion(op.amount, op.angle, image) if op.name == "motion" else _gaussian(op, image)


def _convolve(op: Convolve, image: Array, white: float) -> Array:
    """Weighted sums of the image moved by so much; beyond its edge lies its mirror image, the edge not repeated."""
    total = np.zeros_like(image)
    middle_y, middle_x = len(op.kernel) // 2, len(op.kernel[0]) // 2
    for v, weights in enumerate(op.kernel):
        for u, weight in enumerate(weights):
            rows = [_beyond(y + v - middle_y, image.shape[0], "reflect") for y in range(image.shape[0])]
            columns = [_beyond(x + u - middle_x, image.shape[1], "reflect") for x in range(image.shape[1])]
            total += weight * image[rows][:, columns]
    return _clipped(total, white)


def _around(image: Array, y: int, x: int) -> Array:
    """The image moved by so much, its edges repeated: each place shows what lies (y, x) from it."""
    rows, columns = np.arange(image.shape[0]) + y, np.arange(image.shape[1]) + x
    return image[np.clip(rows, 0, len(rows) - 1)][:, np.clip(columns, 0, len(columns) - 1)]


def _median(size: int, image: Array) -> Array:
    reach = range(-(size // 2), size // 2 + 1)
    return np.median([_around(image, y, x) for y in reach for x in reach], axis=0)


def _motion(length: float, angle: float, image: Array) -> Array:
    """The mean along a line through each pixel's middle that is `length` - 1 long, of the image made bilinear."""
    reach = math.ceil(length / 2) + 1
    t = ((np.arange(4000) + 0.5) / 4000 - 0.5) * (length - 1)
    ys, xs = -t * math.sin(math.radians(angle)), t * math.cos(math.radians(angle))
    total = np.zeros_like(image)
    for y in range(-reach, reach + 1):
        for x in range(-reach, reach + 1):
            total += (_triangle(ys - y) * _triangle(xs - x)).mean() * _around(image, y, x)
    return total


def _gaussian(op: Filter, image: Array) -> Array:
    """A Gaussian at whole pixels up to four deviations, its weights summing to 1; edges repeated."""
    if op.amount == 0:
        return image
    reach = max(1, math.ceil(4 * op.amount))
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (offsets / op.amount) ** 2)
    weights /= weights.sum()
    for axis in (0, 1):
        size = image.shape[axis]
        places = np.arange(size)
        image = sum(
            weight * np.take(image, np.clip(places + offset, 0, size - 1), axis)
            for offset, weight in zip(offsets, weights, strict=True)
        )
    return image


# Pixel values and colors


def _luma(image: Array) -> Array:
    return image if image.shape[2] == 1 else (image @ LUMA)[..., None]


def _lookup(op: Lookup, image: Array, white: float) -> Array:
    for stage in op.stages:
        image = _curve(stage, image, white) if isinstance(stage, PointFunction) else _measured(stage, image, white)
    return image


def _curve(stage: PointFunction, image: Array, white: float) -> Array:
    unit = white / 255.0  # one step of a byte
    amount = stage.amount
    match stage.name:
        case "table":
            return np.interp(image / unit, np.arange(256), np.frombuffer(amount, np.uint8)) * unit
        case "brightness":
            return np.clip(image * amount, 0.0, white)
        case "multiply_add":
            return np.clip(image * amount[0] + amount[1] * white, 0.0, white)
        case "curve":
            part = image / white
            heights = zip((0.0, *amount, 1.0), (1, 3, 3, 1), range(4), strict=True)
            return white * np.clip(sum(c * h * part**k * (1 - part) ** (3 - k) for h, c, k in heights), 0, 1)
        case "invert":
            return white - image
        case "posterize":
            if amount == 8:
                return image
            bins = 2 ** int(amount)
            width = 256 / bins if white == 255.0 else 1 / bins  # bins of 256 values, or of the range up to 1
            return np.minimum(np.floor(image / width), bins - 1) * width
        case "solarize":
            return np.where(image < amount * unit, image, white - image)
        case "solarize_add":
            return np.where(image < 128 * unit, np.clip(image + int(amount) * unit, 0.0, white), image)
        case "gamma":
            return white * (image / white) ** amount
    raise AssertionError(stage)


def _measured(stage: ImageStatistic, image: Array, white: float) -> Array:
    if stage.name == "multiply_add_mean":
        return np.clip(image * stage.amount[0] + stage.amount[1] * image.mean(), 0.0, white)
    if stage.name == "contrast":
        mean = _luma(image).mean()
        return np.clip(mean + stage.amount * (image - mean), 0.0, white)
    unit = white / 255.0
    found = np.empty_like(image)
    for channel in range(image.shape[2]):
        values = np.sort(np.rint(image[..., channel] / unit).ravel())
        table = _equalized(values) if stage.name == "equalize" else _stretched(values, stage.amount)
        found[..., channel] = np.interp(image[..., channel] / unit, np.arange(256), table) * unit
    return found


def _stretched(values: Array, cutoff: float) -> Array:
    """Sorted pixel values to a table: what is left after cutting a percentage off each end spans the full range."""
    cut = int(len(values) * cutoff // 100)
    left = values[cut : len(values) - cut]
    if len(left) == 0 or left[0] == left[-1]:
        return np.arange(256.0)
    return np.clip((np.arange(256) - left[0]) * 255 / (left[-1] - left[0]), 0, 255)


def _equalized(values: Array) -> Array:
    """Sorted pixel values to a table: the number of pixels below each value, in steps of a 255th of them."""
    step = int(np.count_nonzero(values < values[-1])) // 255
    if step == 0:
        return np.arange(256.0)
    below = [int(np.count_nonzero(values < value)) for value in range(256)]
    return np.array([min(255, (step // 2 + count) // step) for count in below], float)


def _enhance(op: Enhance, image: Array, white: float) -> Array:
    if op.degenerate == "gray":
        degenerate = _luma(image)
    else:
        degenerate = image.copy()
        for y in range(1, image.shape[0] - 1):
            for x in range(1, image.shape[1] - 1):
                around = image[y - 1 : y + 2, x - 1 : x + 2].sum(axis=(0, 1))
                degenerate[y, x] = (around + 4 * image[y, x]) / 13
    return np.clip(degenerate + op.factor * (image - degenerate), 0.0, white)


def _hue(op: Hue, image: Array, white: float) -> Array:
    if image.shape[2] == 1:
        return image
    out = np.empty_like(image)
    for y, x in np.ndindex(*image.shape[:2]):
        hue, saturation, value = colorsys.rgb_to_hsv(*(image[y, x] / white))
        out[y, x] = colorsys.hsv_to_rgb((hue + op.shift) % 1.0, saturation, value)
    return out * white


def _shift_hsv(op: ShiftHsv, image: Array, white: float) -> Array:
    if image.shape[2] == 1:
        return np.clip(image + op.value * white, 0.0, white)
    out = np.empty_like(image)
    for y, x in np.ndindex(*image.shape[:2]):
        hue, saturation, value = colorsys.rgb_to_hsv(*(image[y, x] / white))
        if saturation > 0:
            saturation = min(max(saturation + op.saturation, 0.0), 1.0)
        value = min(max(value + op.value, 0.0), 1.0)
        out[y, x] = colorsys.hsv_to_rgb((hue + op.hue) % 1.0, saturation, value)
    return out * white


def _normalize(op: Normalize, image: Array, white: float) -> Array:
    image = _lookup(Lookup(op.stages), image, white)
    mean = np.array(op.mean)
    if op.mean_image is not None:
        mean = np.array(op.mean_image, float)
        mean = run_all(op.window, mean[..., None] if mean.ndim == 2 else mean, 1.0)
    return (image / white - mean) / np.array(op.std)


# Light and weather


def _shade(op: Shade, image: Array, white: float) -> Array:
    out = image.copy()
    for y, x in np.ndindex(*image.shape[:2]):
        if op.polygons and not any(_in_polygon(x, y, polygon) for polygon in op.polygons):
            continue
        if op.of == "values":
            out[y, x] = np.clip(image[y, x] * op.factor, 0, white)
            continue
        red, green, blue = np.broadcast_to(image[y, x] / white, 3)
        hue, lightness, saturation = colorsys.rgb_to_hls(red, green, blue)
        if lightness < op.below:
            found = colorsys.hls_to_rgb(hue, min(1.0, lightness * op.factor), saturation)
            out[y, x] = np.array(found[: image.shape[2]]) * white
    return out


def _in_polygon(x: int, y: int, polygon: tuple) -> bool:
    crossings = 0
    for (x0, y0), (x1, y1) in zip(polygon, (*polygon[1:], polygon[0]), strict=True):
        steps = max(abs(x1 - x0), abs(y1 - y0))
        step = abs(x - x0) if abs(x1 - x0) >= abs(y1 - y0) else abs(y - y0)
        at = [first + (step * (last - first) / steps if steps else 0) for first, last in ((x0, x1), (y0, y1))]
        if step <= steps and [math.floor(place + 0.5) for place in at] == [x, y]:
            return True
        crossings += (y0 <= y) != (y1 <= y) and x0 + (y - y0) * (x1 - x0) / (y1 - y0) <= x
    return crossings % 2 == 1


def _disk(image: Array, x: float, y: float, radius: int) -> Array:
    """The pixels whose centers are within the radius."""
    rows, columns = np.indices(image.shape[:2])
    return (columns - x) ** 2 + (rows - y) ** 2 <= radius**2


def _blend(image: Array, other: Array, opacity: float, white: float) -> Array:
    """Rounding on bytes is part of what these ops mean."""
    found = other * opacity + image * (1 - opacity)
    return np.rint(found) if white == 255.0 else found


def _fog(op: Fog, image: Array, white: float) -> Array:
    height, width = image.shape[:2]
    side, box = max(1, int(width // 3 * op.intensity)), [width, height]
    boxes = []
    for _ in range(10):
        if min(box) <= side:
            break
        boxes += [tuple(box)] * int(box[0] * box[1] / side**2 * op.intensity * 10)
        box = [int(length * 0.9) for length in box]
    largest = max(2, int(min(height, width) * 0.1 * op.intensity))
    least = max(1, largest // 2)
    units = np.floor(_noise("uniform", op.key, (len(boxes), 3)) * 2**24) / 2**24
    for (across, down), (u, v, w) in zip(boxes, units, strict=True):
        x = (width - 1) // 2 - across // 2 + math.floor(u * (2 * (across // 2) + 1))
        y = (height - 1) // 2 - down // 2 + math.floor(v * (2 * (down // 2) + 1))
        disk = _disk(image, x, y, least + math.floor(w * (largest - least)))[..., None]
        image = _blend(image, np.where(disk, white, image), op.opacity, white)
    return image


def _flare(op: Flare, image: Array, white: float) -> Array:
    overlay = image
    for x, y, radius, opacity, fill in op.circles:
        overlay = np.where(_disk(image, x, y, radius)[..., None], fill, overlay)
        image = _blend(image, overlay, opacity, white)
    count = op.radius // 10
    for number in range(count):
        part = number / (count - 1) if count > 1 else 0.0
        radius = int(1 + part * (op.radius - 1))
        opacity = (op.strength * (1 - part if count > 1 else 0.0)) ** 3
        disk = _disk(image, *op.center, radius)[..., None]
        image = _blend(image, np.where(disk, op.fill, image), opacity, white)
    return image


def _rain(op: Rain, image: Array, white: float) -> Array:
    height, width = image.shape[:2]
    hit = np.zeros((height, width, 1))
    units = np.floor(_noise("uniform", op.key, (op.count, 2)) * 2**24) / 2**24
    steps = op.length + abs(op.slant)
    for left, top in units * (width, max(1, height - op.length)):
        for step in range(steps + 1):
            down = math.floor(step * op.length / max(1, steps) + 0.5)
            y, x = math.floor(top) + down, math.floor(left) + (step - down) * (1 if op.slant >= 0 else -1)
            if y < height and 0 <= x < width:
                hit[y, x] = 1
    reach, mean = op.blur // 2, np.zeros_like(hit)
    for y, x in np.ndindex(height, width):
        around = [(_beyond(y + i, height, "reflect"), _beyond(x + j, width, "reflect"))
                  for i in range(-reach, reach + 1) for j in range(-reach, reach + 1)]  # fmt: skip
        mean[y, x] = sum(hit[place] for place in around) / op.blur**2
    layer = mean * np.array(op.fill)
    layer = np.rint(layer) if white == 255.0 else layer
    return np.clip(np.minimum(image + layer, white) * op.brightness, 0, white)


# Noise and local contrast


def _sensor(op: Noise, image: Array, white: float) -> Array:
    value = image / white
    height, width, channels = image.shape
    first, second = (*op.amounts, 0.0)[:2]
    if op.name == "lightness":
        value = _grained(op, value)
    elif "factor" in op.name:
        unit = _noise("uniform", op.key, (height, width, 1 if op.name == "gray factor" else channels))
        value = value * (first + (second - first) * np.floor(unit * 2**24) / 2**24)
    elif op.name == "gray":
        value = value + first * _noise("normal", op.key, (height, width, 1))
    elif op.name == "iso":
        normal = _noise("normal", op.key, (height, width, channels + 1))
        value = value + op.amounts[0] * np.sqrt(value) * normal[..., :1] + op.amounts[1] * normal[..., 1:]
    else:
        normal = _noise("normal", op.key, image.shape)
        if op.name == "gaussian":
            value = value + op.amounts[0] * normal
        else:
            mean = value * op.amounts[0]
            photons = np.maximum(0, np.rint(mean + np.sqrt(mean) * normal + (normal**2 - 1) / 6))
            value = np.where(mean > 0, photons, 0) / op.amounts[0]
    return np.clip(value, 0, 1) * white if op.clip or white == 255.0 else value * white


def _grained(op: Noise, value: Array) -> Array:
    """Poisson's count is the smallest whose cumulative probability is at least that of the normal number."""
    rate, gain, hue_deviation = op.amounts
    lightness = (value.max(axis=2) + value.min(axis=2)) / 2
    mean = rate * float(np.sqrt(((lightness - lightness.mean()) ** 2).mean()))
    normal = _noise("normal", op.key, (*lightness.shape, 2))
    out = np.empty_like(value)
    for y, x in np.ndindex(*lightness.shape):
        wanted, count, term = 0.5 * (1 + math.erf(normal[y, x, 0] / math.sqrt(2))), 0, math.exp(-mean)
        total = term
        while total < wanted and term > 1e-18:
            count += 1
            term *= mean / count
            total += term
        hue, light, saturation = colorsys.rgb_to_hls(*np.broadcast_to(value[y, x], 3))
        light = min(1.0, light + count * gain * (1 - light))
        found = colorsys.hls_to_rgb((hue + hue_deviation * normal[y, x, 1]) % 1.0, light, saturation)
        out[y, x] = found[: value.shape[2]]
    return out


def _color_matrix(op: ColorMatrix, image: Array, white: float) -> Array:
    return np.clip(image @ np.array(op.rows).T + np.array(op.offsets), 0, white)


def _local_contrast(op: LocalContrast, image: Array, white: float) -> Array:
    """The luma through tables of tiles; colors move by as much as the luma of the nearest bytes does."""
    whole = np.rint(image * (255 / white))
    luma = np.floor(_luma(whole) + 0.5)[..., 0].astype(int)
    height, width = luma.shape
    tile_y, tile_x = -(-height // op.tiles[0]), -(-width // op.tiles[1])
    tables = {}
    for row, column in np.ndindex(*op.tiles):
        ys = [_beyond(y, height, "reflect") for y in range(row * tile_y, (row + 1) * tile_y)]
        xs = [_beyond(x, width, "reflect") for x in range(column * tile_x, (column + 1) * tile_x)]
        tables[row, column] = _limited(luma[np.ix_(ys, xs)], op.clip)
    moved = np.empty(luma.shape)
    for y, x in np.ndindex(height, width):
        v, u = (y + 0.0) / tile_y - 0.5, (x + 0.0) / tile_x - 0.5
        found = 0.0
        for i, j in np.ndindex(2, 2):
            row, column = math.floor(v) + i, math.floor(u) + j
            at = min(max(row, 0), op.tiles[0] - 1), min(max(column, 0), op.tiles[1] - 1)
            found += tables[at][luma[y, x]] * _triangle(v - row) * _triangle(u - column)
        moved[y, x] = found - luma[y, x]
    return np.clip(image + moved[..., None] * (white / 255), 0, white)


def _limited(tile: Array, clip: float) -> Array:
    """The cumulated histogram of a tile up to 255, what exceeds the limit dealt out: evenly, the rest in steps."""
    limit = max(1, int(clip * tile.size / 256))
    counts = [int(np.count_nonzero(tile == value)) for value in range(256)]
    over = sum(max(0, count - limit) for count in counts)
    counts = [min(count, limit) + over // 256 for count in counts]
    rest = over % 256
    for number in range(rest):
        counts[number * max(1, 256 // rest)] += 1
    return np.rint(np.cumsum(counts) * 255 / tile.size)


def _mix(op: BranchMix, image: Array, white: float) -> Array:
    branches = [run_all(branch, image, white) for branch in op.branches]
    weights = [(1 - op.keep) * weight for weight in op.weights]
    return op.keep * image + sum(weight * branch for weight, branch in zip(weights, branches, strict=True))


_MEANINGS: dict[type[Op], Callable[..., Array]] = {
    BranchMix: _mix,
    Move: _move,
    Pad: _pad,
    Resize: _resize,
    Warp: _warp,
    Lookup: _lookup,
    Enhance: _enhance,
    Hue: _hue,
    ShiftHsv: _shift_hsv,
    Filter: _filter,
    Convolve: _convolve,
    ConvolveColors: _convolve,
    Paint: _paint,
    DropPixels: _drop,
    Normalize: _normalize,
    Remap: _remap,
    Noise: _sensor,
    ColorMatrix: _color_matrix,
    LocalContrast: _local_contrast,
    Shade: _shade,
    Fog: _fog,
    Rain: _rain,
    Flare: _flare,
}
