"""Pictures in: PIL, arrays, tensors, encoded bytes and paths, as one kind of array; and back to the kind given.

Inside augreg a picture is height x width x channels, uint8, or float32 with levels from 0 to 1. Files, bytes and PIL
pictures become RGB at the door, or what `channels` says, with their EXIF orientation applied; arrays and tensors
are taken as they are. What came in is never written to.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from augreg import buffers
from augreg.errors import ImageError
from augreg.ops import Scene

try:
    import simplejpeg as _simplejpeg
except ImportError:  # it comes with the extra `fast`
    _simplejpeg = None

__all__ = ["Picture", "hand_out", "take", "tensor"]

_BYTES = np.dtype(np.uint8)
Kind = Literal["array", "gray array", "pil", "tensor", "gray tensor"]


class Picture(NamedTuple):
    """A picture as augreg sees it, the kind that it came as, and the file or the like that it came from."""

    array: NDArray[Any]
    kind: Kind
    source: str = ""

    @property
    def name(self) -> str:
        """What to call it in a message."""
        return self.source or f"{self.kind} of {self.array.dtype} {self.array.shape}"

    def scene(self, epoch: int = 0) -> Scene:
        """What the steps get to know of it."""
        height, width, channels = self.array.shape
        dtype: Literal["uint8", "float32"] = "uint8" if self.array.dtype == _BYTES else "float32"
        return Scene(height, width, channels, dtype, epoch=epoch)


def take(image: Any, channels: str = "rgb") -> Picture:
    """The picture in whatever a user has. `channels` is rgb, gray or keep, for files, bytes and PIL pictures.

    Raises ImageError, which says which picture it is and why it cannot be taken.
    """
    if isinstance(image, np.ndarray):
        return _array(image)
    if isinstance(image, Image.Image):
        name = _described(image)
        return Picture(_pixels(image, channels, name), "pil", name)
    if isinstance(image, bytes | bytearray | memoryview):
        name = f"picture of {len(image)} bytes"
        return Picture(_decoded(bytes(image), channels, name), "array", name)
    if isinstance(image, str | Path):
        return Picture(_decoded(Path(image), channels, str(image)), "array", str(image))
    torch = sys.modules.get("torch")  # a tensor exists only where torch was imported already
    if torch is not None and isinstance(image, torch.Tensor):
        return _tensor(image)
    raise ImageError(
        f"cannot take a {type(image).__name__} as a picture: give a PIL image, a height x width x channels array, "
        "a channels x height x width tensor, encoded bytes or a path"
    )


def _checked(array: NDArray[Any], name: str) -> NDArray[Any]:
    """An array of the right kind, or an ImageError that says what is wrong with it."""
    if array.dtype == np.float64:
        raise ImageError(f"{name} has 64-bit floats; give float32, with levels from 0 to 1")
    if array.dtype not in (np.uint8, np.float32):
        raise ImageError(f"{name} has dtype {array.dtype}; give uint8, or float32 with levels from 0 to 1")
    if array.size == 0:
        raise ImageError(f"{name} has no pixels")
    if array.dtype == np.float32:
        low, high = float(array.min()), float(array.max())
        if not (low >= 0.0 and high <= 1.0):  # NaN fails both
            what = "contains NaN" if low != low or high != high else f"runs from {low:g} to {high:g}"
            raise ImageError(f"{name} {what}; a float picture has levels from 0 to 1 (divide by 255, or give uint8)")
    return array


def _array(image: NDArray[Any]) -> Picture:
    if image.dtype == _BYTES and image.ndim == 3 and image.shape[2] <= 64 and image.size:  # nothing to complain of
        return Picture(np.asarray(image), "array")
    name = f"array of {image.dtype} {image.shape}"
    if image.ndim not in (2, 3):
        raise ImageError(f"{name} is not one picture: give height x width, or height x width x channels")
    if image.ndim == 3 and image.shape[2] > 64:
        hint = (
            "; it looks like channels x height x width: give array.transpose(1, 2, 0)" if image.shape[0] <= 4 else ""
        )
        raise ImageError(f"{name} has {image.shape[2]} channels, and at most 64 are taken{hint}")
    if not image.dtype.isnative:
        image = image.astype(image.dtype.newbyteorder("="))
    array = _checked(np.asarray(image), name)
    if array.ndim == 2:
        return Picture(array[..., None], "gray array")
    return Picture(array, "array")


def _tensor(image: Any) -> Picture:
    name = f"tensor of {image.dtype} {tuple(image.shape)}"
    if image.device.type != "cpu":
        raise ImageError(f"{name} lies on {image.device}; give .cpu(), one picture at a time")
    if image.ndim not in (2, 3):
        raise ImageError(f"{name} is not one picture: give channels x height x width")
    if image.ndim == 3 and image.shape[0] > 64:
        raise ImageError(f"{name} has {image.shape[0]} channels, and at most 64 are taken; channels come first")
    try:
        array = image.detach().numpy()
    except (TypeError, RuntimeError) as error:
        raise ImageError(f"{name} cannot be read: {error}; give uint8 or float32") from None
    array = _checked(array, name)
    if array.ndim == 2:
        return Picture(array[..., None], "gray tensor")
    return Picture(array.transpose(1, 2, 0), "tensor")


def _described(image: Image.Image) -> str:
    name = getattr(image, "filename", "")
    return f"{name or 'PIL picture'} ({image.mode}, {image.height}x{image.width})"


# What Pillow's decoders raise on damaged files; warnings only where they are made errors.
_DAMAGE = (OSError, ValueError, SyntaxError, EOFError, ArithmeticError, LookupError, TypeError, MemoryError, Warning)


def _decoded(source: bytes | Path, channels: str, name: str) -> NDArray[np.uint8]:
    """The pixels of an encoded picture."""
    most = Image.MAX_IMAGE_PIXELS
    bomb = ImageError(f"{name}: more than {most} pixels; raise PIL.Image.MAX_IMAGE_PIXELS if that is meant")
    try:
        data = source if isinstance(source, bytes) else source.read_bytes()
        with Image.open(io.BytesIO(data)) as image:
            if most is not None and image.width * image.height > most:
                raise bomb  # Pillow itself refuses only twice as many
            if image.format == "JPEG" and image.mode == "RGB" and channels == "rgb" and _simplejpeg is not None:
                return _jpeg(data, image)
            return _pixels(image, channels, name)
    except UnidentifiedImageError:
        raise ImageError(f"{name}: not a picture in a format that Pillow reads") from None
    except FileNotFoundError:
        raise ImageError(f"{name}: there is no such file") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise bomb from None
    except ImageError:
        raise
    except _DAMAGE as error:
        raise ImageError(f"{name}: cannot be read: {error}") from None


def _jpeg(data: bytes, image: Image.Image) -> NDArray[np.uint8]:
    """A JPEG by the faster decoder, which gives the same pixels, upright."""
    out = buffers.empty((image.height, image.width, 3), np.uint8)
    array: NDArray[np.uint8] = _simplejpeg.decode_jpeg(data, "RGB", buffer=out)
    if image.getexif().get(0x0112, 1) == 1:
        return array
    upright = Image.fromarray(array)
    upright.info["exif"] = image.info["exif"]
    return np.asarray(ImageOps.exif_transpose(upright))


_EIGHT_BITS = {"rgb": "RGB", "gray": "L"}


def _pixels(image: Image.Image, channels: str, name: str) -> NDArray[np.uint8]:
    """The pixels of a PIL picture: upright, eight bits, in the channels that are wanted."""
    if image.mode in ("I", "F", "I;16", "I;16B", "I;16L", "I;16N"):
        raise ImageError(f"{name} has more than 8 bits a channel; scale it to 0..255 or give a float32 array")
    if 0 in image.size:
        raise ImageError(f"{name} has no pixels")
    try:
        upright = ImageOps.exif_transpose(image)
        mode = _EIGHT_BITS.get(channels) or _own_mode(upright)
        if upright.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in upright.info:
            upright = upright.convert("RGBA")
            if mode != "RGBA":  # show what is transparent as white, not as the colour that hides below
                white = Image.new("RGBA", upright.size, (255, 255, 255, 255))
                upright = Image.alpha_composite(white, upright).convert("RGB")
        if upright.mode != mode:
            upright = upright.convert(mode)
        array = np.asarray(upright)
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise ImageError(f"{name}: cannot be read: {error}") from None
    return array if array.ndim == 3 else array[..., None]


def _own_mode(image: Image.Image) -> str:
    """The eight-bit mode that keeps what a picture has."""
    if image.mode in ("1", "L"):
        return "L" if "transparency" not in image.info else "RGBA"
    return "RGBA" if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info else "RGB"


def hand_out(array: NDArray[Any], kind: Kind) -> Any:
    """A picture that is not normalized, as the kind that came in."""
    if kind == "pil":
        flat = array[..., 0] if array.shape[2] == 1 else array
        return Image.fromarray(np.ascontiguousarray(flat))
    if kind == "gray array":
        return np.ascontiguousarray(array[..., 0])
    if kind == "array":
        return np.ascontiguousarray(array)
    planes = np.ascontiguousarray(array.transpose(2, 0, 1))
    return tensor(planes[0] if kind == "gray tensor" else planes)


def tensor(array: NDArray[Any]) -> Any:
    """A torch tensor on the memory of an array. Raises ImportError with what to do where torch is missing."""
    try:
        import torch
    except ImportError:
        raise ImportError("`output: torch` needs torch: pip install 'augreg[torch]', or ask for numpy") from None
    return torch.from_numpy(array)
