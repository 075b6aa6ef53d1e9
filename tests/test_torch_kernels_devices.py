"""Kernels on a device that holds no values: they read none back, and mix no tensors of two devices."""

from __future__ import annotations

from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch")

from augreg.backends.torch_kernels import (  # noqa: E402
    colors,
    measuring,
    moving,
    normalizing,
    painting,
    resizing,
    sharpening,
    tables,
    warping,
)

COUNT, CHANNELS, HEIGHT, WIDTH = 4, 3, 30, 40
SIZE = 8, 9
Columns = Callable[..., "torch.Tensor"]


def _columns(device: str) -> Columns:
    """Columns of numbers on a device: ones, as N or N x `width`."""

    def made(width: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
        return torch.ones((COUNT, width) if width else (COUNT,), dtype=dtype).to(device)

    return made


def _flags(columns: Columns, count: int) -> list[torch.Tensor]:
    return [columns(dtype=torch.bool) for _ in range(count)]


HOST = _columns("cpu")

KERNELS: dict[str, Callable[[torch.Tensor, Columns], torch.Tensor]] = {
    "crop_resize": lambda x, c: resizing.crop_resize(x, HOST(4, torch.int64), *SIZE, "bicubic", *_flags(HOST, 2)),
    "resize_box": lambda x, c: resizing.resize_box(x, HOST(4), *SIZE, "lanczos", None, *_flags(HOST, 2)),
    "flipped": lambda x, c: moving.flipped(x, *_flags(c, 2)),
    "cut": lambda x, c: moving.cut(x, c(dtype=torch.int64), c(dtype=torch.int64), *SIZE, *_flags(c, 3)),
    "cut_padded": lambda x, c: moving.cut_padded(
        x, c(dtype=torch.int64), c(dtype=torch.int64), *SIZE, c(3), "constant", *_flags(c, 2)
    ),
    "painted": lambda x, c: painting.painted(x, c(4, torch.int64), c(3)),
    "contrast": lambda x, c: tables.looked_up(x, measuring.contrast(x, c())),
    "equalize": lambda x, c: tables.looked_up(x, measuring.equalize(measuring.histograms(x))),
    "auto_contrast": lambda x, c: tables.looked_up(x, measuring.auto_contrast(measuring.histograms(x), c())),
    "saturated": lambda x, c: colors.saturated(x, c()),
    "shifted_hue": lambda x, c: colors.shifted_hue(x, c()),
    "sharpened": lambda x, c: sharpening.sharpened(x, c()),
    "normalized": lambda x, c: normalizing.normalized(x, (0.5,), (0.2,), measuring.equalize(measuring.histograms(x))),
}
POINTS = tables.brightness, tables.posterize, tables.solarize, tables.solarize_add, tables.gamma


@pytest.mark.parametrize("columns_on", ["cpu", "meta"])
@pytest.mark.parametrize("name", KERNELS)
def test_images_without_values(name: str, columns_on: str) -> None:
    images = torch.empty((COUNT, CHANNELS, HEIGHT, WIDTH), dtype=torch.uint8, device="meta")
    found = KERNELS[name](images, _columns(columns_on))
    assert found.device.type == "meta"
    same_size = name in ("flipped", "painted") or name not in list(KERNELS)[:5]
    assert found.shape == (COUNT, CHANNELS, *((HEIGHT, WIDTH) if same_size else SIZE))


def test_tables_are_made_where_the_numbers_are() -> None:
    images = torch.empty((COUNT, CHANNELS, HEIGHT, WIDTH), dtype=torch.uint8, device="meta")
    amounts = _columns("meta")()
    total = tables.identity(COUNT, images.device)
    for make in POINTS:
        total = tables.after(total, tables.where(_columns("cpu")(dtype=torch.bool), make(amounts)))
    total = tables.after(total, tables.invert(COUNT, images.device))
    counts = measuring.histograms_after(measuring.histograms(images), total)
    total = tables.after(total, measuring.equalize(counts))
    assert tables.looked_up(images, total).device.type == "meta"


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_warps_read_their_maps_on_the_cpu(interpolation: str) -> None:
    images = torch.empty((4, CHANNELS, HEIGHT, WIDTH), dtype=torch.uint8, device="meta")
    straight, fixed = (1.0, 0, 2, 0, 1, 0, 0, 0), (1.0, 0.1, 2, 0.1, 1, 0, 0, 0)
    far, projective = (1.0, 3000.0, 2, 0.1, 1, 0, 0, 0), (1.0, 0.1, 2, 0.1, 1, 0, 0.001, 0)
    matrices = torch.tensor([straight, fixed, far, projective], dtype=torch.float64)
    found = warping.warped(images, matrices, *SIZE, interpolation, _columns("cpu")(3))
    assert (found.device.type, found.shape) == ("meta", (4, CHANNELS, *SIZE))
