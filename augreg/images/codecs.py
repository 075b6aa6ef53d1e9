"""Images in: PIL images, arrays, tensors, bytes, files and paths, converted to one kind of array, and back.

Inside augreg an image is height x width x channels, uint8, or float32 with pixel values from 0 to 1. Files, bytes and
PIL images are converted on input to RGB, or to what `channels` says, with their EXIF orientation applied; arrays and
tensors keep their channels. The input is never written to. docs/images.md lists what is accepted and refused.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from augreg.errors import ImageError, printable
from augreg.images import buffers
from augreg.images.files import read_file
from augreg.images.jpeg import Box, JpegHeader, decode_jpeg, decode_scaled, read_header
from augreg.images.orientation import turn_of
from augreg.ops import Scene
from augreg.ops.scene import Boxes

__all__ = ["Image", "from_array", "tensor", "to_array"]

_BYTES = np.dtype(np.uint8)
_NO_PIXELS: Final = b"\0"
_MOST_CHANNELS: Final = 64
_OF_CLIP: Final = ("", "; for a clip, the spec says `targets: {clip: true}`, and `train.batch` takes a batch")
Kind = Literal["array", "gray array", "pil", "tensor", "gray tensor"]


class InputImage(msgspec.Struct, frozen=True):
    """An image as an array, the kind of the input, and a name for messages, such as its path."""

    array: NDArray[Any]
    kind: Kind
    source: str = ""
    alpha: bool = False
    pending: Callable[[Box | None], NDArray[np.uint8]] | None = None
    """What decodes a box, or the whole image: `array` then has the shape of the image and no pixels."""
    scaled: Callable[[Box, int], NDArray[np.uint8] | None] | None = None
    """What decodes a box at 1/2, 1/4 or 1/8 of the size: `decode_scaled` of a JPEG."""

    def decode(self, box: Box | None = None) -> NDArray[Any]:
        """The whole array, of which the pixels outside the box may have any values. Raises ImageError."""
        return self.array if self.pending is None else self.pending(box)

    @property
    def name(self) -> str:
        """The name of the image in messages."""
        return self.source or f"{self.kind} of {self.array.dtype} {self.array.shape}"

    def scene(self, epoch: int = 0, boxes: Boxes = ()) -> Scene:
        """What the steps know about it."""
        height, width, channels = self.array.shape
        dtype: Literal["uint8", "float32"] = "uint8" if self.array.dtype == _BYTES else "float32"
        return Scene(height, width, channels, dtype, epoch=epoch, boxes=boxes, alpha=self.alpha)


def to_array(image: Any, channels: str = "rgb", decoded: bool = True) -> InputImage:
    """The image of a PIL image, array, tensor, bytes, open file or path.

    `channels` is rgb, gray, keep or rgba, for files, bytes and PIL images. Without `decoded`, the pixels are those
    that `decode` of the result returns. Raises ImageError, which names the image and says what is wrong with it.
    """
    try:
        found = _converted(image, channels)
        if decoded and found.pending is not None:
            found = msgspec.structs.replace(found, array=found.decode(), pending=None)  # else each view would do it
        return found
    except ImageError:
        raise
    except Exception as error:  # a nested tensor, or a class whose methods raise anything
        reason = _printable(str(error).partition("\n")[0] or type(error).__name__)
        raise ImageError(f"{type(image).__name__} object: cannot be read: {reason}") from error


def _converted(image: Any, channels: str) -> InputImage:
    if isinstance(image, np.ndarray):
        return _banded(_array(image), channels)
    if isinstance(image, InputImage):  # read before, for several views
        return image
    if isinstance(image, Image.Image):
        name = _described(image)
        return _colored(_pixels(image, channels, name), name, "pil")
    if isinstance(image, str | Path):
        name = _printable(image)
        return _encoded(image, channels, name)
    if isinstance(image, bytes | bytearray | memoryview):
        return _from_bytes(image, channels)
    torch = sys.modules.get("torch")  # a tensor can only exist if torch was imported
    if torch is not None and isinstance(image, torch.Tensor):
        return _banded(_tensor(image), channels)
    if callable(getattr(image, "read", None)):
        return _from_file(image, channels)
    if isinstance(image, os.PathLike):
        name = f"{type(image).__name__} object"
        with _refused(name):
            path = os.fsdecode(image)
        return _converted(path, channels)
    each = "; of several images, give each by itself" if isinstance(image, list | tuple) else ""
    raise ImageError(
        f"cannot take a {type(image).__name__} as an image: give a PIL image, a height x width x channels array, "
        f"a channels x height x width tensor, encoded bytes, an open file or a path{each}"
    )


@contextlib.contextmanager
def _refused(name: str) -> Iterator[None]:
    """Turn every exception inside into an ImageError: decoders raise many types on damaged files."""
    try:
        yield
    except ImageError:
        raise
    except FileNotFoundError:
        hint = "; it is the address of a page: download it first" if "://" in name else ""
        raise ImageError(f"{name}: there is no such file{hint}") from None
    except Exception as error:
        if isinstance(error, OSError | ValueError | SyntaxError) and str(error):
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        else:  # a KeyError says only its key
            reason = f"{type(error).__name__}: {error}"
        raise ImageError(f"{name}: cannot be read: {_printable(reason)}") from error


# Alpha, or a further band of a multispectral image: they are told apart here and nowhere else


def _colored(array: NDArray[Any], name: str, kind: Kind = "array") -> InputImage:
    """The image of a file or of a PIL image: its mode says what its channels are, and a fourth is always alpha."""
    return InputImage(array, kind, name, alpha=array.shape[2] == 4)


def _banded(image: InputImage, channels: str) -> InputImage:
    """The image of an array or a tensor: nothing says what its channels are, unless the spec does."""
    return msgspec.structs.replace(image, alpha=True) if channels == "rgba" and image.array.shape[2] == 4 else image


# Arrays and tensors

_REMEDIES: Final = {  # for arrays, and for tensors
    "bool": ("give .astype(np.uint8) * 255", "give .to(torch.uint8) * 255"),
    "float16": ("give .astype(np.float32), with values from 0 to 1", "give .float(), with values from 0 to 1"),
    "float64": ("give .astype(np.float32), with values from 0 to 1", "give .float(), with values from 0 to 1"),
    "uint16": (
        "give .astype(np.float32) / 65535, or divided by the value of white",
        "give .float() / 65535, or divided by the value of white",
    ),
}


def _checked(array: NDArray[Any], name: str, tensor: bool = False) -> NDArray[Any]:
    """The array, if it is uint8 or float32 from 0 to 1 and not empty. Raises ImageError."""
    if array.dtype not in (np.uint8, np.float32):
        known = _REMEDIES.get(array.dtype.name)
        remedy = known[tensor] if known else "give uint8, or float32 with values from 0 to 1"
        raise ImageError(f"{name} has dtype {array.dtype}; {remedy}")
    if array.size == 0:
        raise ImageError(f"{name} has no pixels")
    if array.dtype == np.float32:
        low, high = float(array.min()), float(array.max())
        if not (low >= 0.0 and high <= 1.0):  # NaN fails both
            what = "contains NaN" if low != low or high != high else f"runs from {low:g} to {high:g}"
            raise ImageError(f"{name} {what}; a float image has values from 0 to 1 (divide by 255, or give uint8)")
    return array


def _channels_misplaced(first: int, middle: int, last: int) -> bool:
    """Whether height x width x channels are probably those of an image with its channels first, such as 3 x 50 x 60.

    Read as it is given, it would be a strip of less than 16 rows that has 16 channels or more.
    """
    return first < 16 <= min(middle, last)


def _array(image: NDArray[Any]) -> InputImage:
    if image.dtype == _BYTES and image.ndim == 3 and image.shape[2] <= 4 and image.size:  # needs no checks
        return InputImage(np.asarray(image), "array")
    name = f"array of {image.dtype} {image.shape}"
    if image.ndim not in (2, 3):
        raise ImageError(f"{name} is not one image: give height x width (x channels){_OF_CLIP[image.ndim == 4]}")
    if image.ndim == 3:
        if _channels_misplaced(*image.shape):
            hint = "it looks like channels x height x width: give array.transpose(1, 2, 0)"
            raise ImageError(f"{name} has {image.shape[2]} channels; {hint}")
        if image.shape[2] > _MOST_CHANNELS:
            raise ImageError(f"{name} has {image.shape[2]} channels; at most {_MOST_CHANNELS} are accepted")
    array = np.asarray(image)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    array = _checked(array, name)
    if array.ndim == 2:
        return InputImage(array[..., None], "gray array")
    return InputImage(array, "array")


def _tensor(image: Any) -> InputImage:
    name = f"tensor of {image.dtype} {tuple(image.shape)}"
    if image.device.type != "cpu":
        raise ImageError(f"{name} is on {image.device}; give .cpu(), one image at a time")
    if image.ndim not in (2, 3):
        raise ImageError(f"{name} is not one image: give channels x height x width{_OF_CLIP[image.ndim == 4]}")
    if image.ndim == 3:
        has = f"{name} has {image.shape[0]} channels; channels come first"
        if _channels_misplaced(*reversed(image.shape)):
            raise ImageError(f"{has}: give tensor.permute(2, 0, 1)")
        if image.shape[0] > _MOST_CHANNELS:
            raise ImageError(f"{has}, and at most {_MOST_CHANNELS} are accepted")
    try:
        array = image.numpy(force=True)
    except Exception as error:  # sparse, quantized, traced and other special tensors
        raise ImageError(f"{name} cannot be read: {error}; give uint8 or float32, .float() for one") from None
    array = _checked(array, name, tensor=True)
    if array.ndim == 2:
        return InputImage(array[..., None], "gray tensor")
    return InputImage(array.transpose(1, 2, 0), "tensor")


# Encoded images


def _printable(name: Any) -> str:
    """A name or other text for a message, shortened, with unprintable characters escaped."""
    text = printable(os.fsdecode(name))
    return (text if len(text) <= 300 else f"{text[:200]}..{text[-80:]}") or "''"


def _from_bytes(data: bytes | bytearray | memoryview, channels: str) -> InputImage:
    with _refused("image in a memoryview"):
        data = bytes(data)  # a released view raises
    name = f"image of {len(data)} bytes"
    return _encoded(data, channels, name)


def _from_file(file: Any, channels: str) -> InputImage:
    """The image in an open file, read from its start like Pillow, so that a file can be passed twice."""
    given = getattr(file, "name", None)
    name = _printable(given) if isinstance(given, str | bytes) else f"{type(file).__name__} object"
    with _refused(name):
        if getattr(file, "seekable", bool)():
            file.seek(0)
        data = file.read()
    if not isinstance(data, bytes | bytearray | memoryview):
        raise ImageError(f"{name}: reading it gives {type(data).__name__}, not bytes; open it with mode 'rb'")
    return _encoded(bytes(data), channels, name)


# it is put first, so that it wins over a user's own `error` filter
_PILLOW_IS_QUIET: Final = ("ignore", None, Warning, re.compile(r"PIL\."), 0)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide Pillow's warnings about metadata: they do not name the image, and the pixels are good.

    `warnings.catch_warnings` would leave its filters behind where two threads overlap, and would make Python show
    every old warning again after each image. Adding and removing one entry does neither.
    """
    filters: Any = warnings.filters
    filters.insert(0, _PILLOW_IS_QUIET)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # the filters were reset in between
            filters.remove(_PILLOW_IS_QUIET)


def _encoded(source: bytes | str | Path, channels: str, name: str) -> InputImage:
    """An encoded image."""
    with _refused(name):
        data = source if isinstance(source, bytes) else read_file(source)
    found = _jpeg(data, name) if channels == "rgb" else None
    return _colored(_by_pillow(data, channels, name), name) if found is None else found


def _by_pillow(data: bytes, channels: str, name: str) -> NDArray[np.uint8]:
    """The pixels of an encoded image. Raises ImageError."""
    limit = Image.MAX_IMAGE_PIXELS
    bomb = f"{name}: more than {limit} pixels; raise PIL.Image.MAX_IMAGE_PIXELS if you trust the file"
    with _refused(name), _quiet():
        try:
            image = Image.open(io.BytesIO(data))
        except UnidentifiedImageError:
            what = "not an image in a format that Pillow reads" if data else "not an image: it is empty"
            raise ImageError(f"{name}: {what}") from None
        except Image.DecompressionBombError:
            raise ImageError(bomb) from None
        with image:
            if limit is not None and image.width * image.height > limit:
                raise ImageError(bomb)  # Pillow itself only refuses twice as many
            if image.format == "EPS":  # to read one, Pillow starts another program
                raise ImageError(f"{name}: EPS is a program, not an image; convert it to a PNG")
            return _pixels(image, channels, name)


def _jpeg(data: bytes, name: str) -> InputImage | None:
    """A JPEG that is decoded when it is known which part of it is read; None for what Pillow should read."""
    header, limit = read_header(data), Image.MAX_IMAGE_PIXELS
    if header is None or (limit is not None and header.height * header.width > limit):
        return None
    shape = header.height, header.width, 3
    if header.turn is None:
        fill = functools.partial(_decoded, data, header, name)
        outline: NDArray[np.uint8] = np.ndarray(shape, np.uint8, _NO_PIXELS, strides=(0, 0, 0))
        return InputImage(outline, "array", name, pending=fill, scaled=functools.partial(decode_scaled, data, header))
    out = buffers.empty(shape, np.uint8)
    if not decode_jpeg(data, header, out, None):
        return None
    return InputImage(np.asarray(Image.fromarray(out).transpose(header.turn)), "array", name)


def _decoded(data: bytes, header: JpegHeader, name: str, box: Box | None) -> NDArray[np.uint8]:
    out = buffers.empty((header.height, header.width, 3), np.uint8)
    if decode_jpeg(data, header, out, box):
        return out
    found = _by_pillow(data, "rgb", name)  # it reads more, and says what is wrong
    if found.shape != out.shape:
        raise ImageError(f"{name}: cannot be read: its header says another size than its pixels")
    return found


def _described(image: Image.Image) -> str:
    name = getattr(image, "filename", "")
    name = _printable(name) if name and isinstance(name, str | bytes | os.PathLike) else "PIL image"
    return f"{name} ({image.mode}, {image.height}x{image.width})"


_EIGHT_BITS: Final = {"rgb": "RGB", "gray": "L", "rgba": "RGBA"}
_WITH_ALPHA: Final = ("RGBA", "LA", "PA", "RGBa", "La")


def _pixels(image: Image.Image, channels: str, name: str) -> NDArray[np.uint8]:
    """The pixels of a PIL image: upright, eight bits, in the given channels."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        raise ImageError(
            f"{name} has more than 8 bits per channel; give np.asarray(Image.open(..), np.float32) / 65535, or "
            "divided by the value of white"
        )
    if 0 in image.size:
        raise ImageError(f"{name} has no pixels")
    with _refused(name), _quiet():
        image.load()
        turn = turn_of(image)
        upright = image if turn is None else image.transpose(turn)
        array = np.asarray(_eight_bits(upright, _EIGHT_BITS.get(channels)))
    return array if array.ndim == 3 else array[..., None]


def _eight_bits(image: Image.Image, mode: str | None) -> Image.Image:
    """An image in a mode of eight bits; None for the mode that keeps the image's channels."""
    if image.mode in _WITH_ALPHA or "transparency" in image.info:
        if image.mode in ("La", "RGBa"):  # premultiplied by alpha
            image = image.convert(image.mode.upper())
        image = image.convert("RGBA")
        mode = mode or "RGBA"
        if mode != "RGBA":  # transparent pixels become white, not the color that is stored under them
            white = Image.new("RGBA", image.size, (255, 255, 255, 255))
            image = Image.alpha_composite(white, image).convert("RGB")
    elif image.mode in ("1", "L"):
        mode = mode or "L"
    elif image.mode != "RGB":
        image = image.convert("RGB")  # every mode converts to RGB, but not every mode to gray
    mode = mode or "RGB"
    return image if image.mode == mode else image.convert(mode)


def from_array(array: NDArray[Any], kind: Kind) -> Any:
    """An image that is not normalized, as the given kind."""
    if kind == "array":
        return np.ascontiguousarray(array)
    if kind == "pil":
        flat = array[..., 0] if array.shape[2] == 1 else array
        return Image.fromarray(np.ascontiguousarray(flat))
    if kind == "gray array":
        return np.ascontiguousarray(array[..., 0])
    planes = np.ascontiguousarray(array.transpose(2, 0, 1))
    return tensor(planes[0] if kind == "gray tensor" else planes)


def tensor(array: NDArray[Any]) -> Any:
    """A torch tensor that shares the memory of an array. Raises ImportError, with instructions, without torch."""
    try:
        import torch
    except ImportError:
        raise ImportError("`output: torch` needs torch: pip install 'augreg[torch]', or use numpy") from None
    # an axis of one pixel may have a negative stride, even in a contiguous array
    return torch.from_numpy(array.copy() if min(array.strides, default=0) < 0 else array)
