"""Inside a model: what a regularizer does to a constant feature map, and what a loss step makes of a target.

It needs torch. The tiny models leave a map of ones as it is, so that the image of the output is that of the noise.
"""

from __future__ import annotations

import importlib.util
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from augreg.errors import SpecError
from augreg.gallery.tiles import Tile, tile
from augreg.pipeline import Pipeline, regularize
from augreg.registry.registry import Registry
from augreg.steps.describe import flow

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Inside", "inside", "targets", "torch_is_there"]

_SAMPLES, _CHANNELS, _SIDE = 4, 4, 14
_LONGEST = 192
_DRAWS = 4
_CLASSES, _TRUE = 10, 3
_NONE, _MOST, _NEGATIVE, _GRID = (24, 28, 32), (99, 205, 185), (242, 140, 110), (120, 126, 132)
_PLOT = 64
_REACH = 3.0  # activations are drawn from -3 to 3


class Inside(NamedTuple):
    """A regularizer in images: weak to strong, at test time, and some draws."""

    strengths: tuple[Tile, ...]
    test: Tile | None
    draws: tuple[Tile, ...]
    about: str


def torch_is_there() -> bool:
    """Whether torch is installed; asked without importing it."""
    return importlib.util.find_spec("torch") is not None


def inside(
    name: str, cls: Any, previews: Sequence[Mapping[str, Any]], given: Mapping[str, Any], registry: Registry
) -> Inside:
    """A model regularizer on the first of the tiny models that it can be attached to. Raises SpecError for none."""
    import torch

    refused: list[str] = []
    for kind, make in _models().items():
        try:
            with torch.random.fork_rng(devices=[]):
                return _shown(name, cls, previews, given, registry, kind, make)
        except SpecError as error:
            refused.append(f"{kind}: {error.problems[0].message}")
    raise SpecError(f"it can be attached to none of the gallery's models; {'; '.join(refused)}")


def _models() -> dict[str, Callable[[], nn.Module]]:
    """A layer, a residual block, and an activation function; each name is that of the module to attach to."""
    from torch import nn

    class Residual(nn.Module):  # type: ignore[misc] # torch's classes are not analyzed
        def __init__(self) -> None:
            super().__init__()
            self.branch = _mean_of_channels()

        def forward(self, x: Tensor) -> Tensor:
            return x + self.branch(x)

    return {
        "layer": lambda: nn.Sequential(OrderedDict(layer=_mean_of_channels())),
        "block": lambda: nn.Sequential(OrderedDict(block=Residual())),
        "activation": lambda: nn.Sequential(OrderedDict(activation=nn.ReLU())),
    }


def _mean_of_channels() -> nn.Conv2d:
    """A 1x1 convolution whose every output is the mean of its inputs."""
    from torch import nn

    layer = nn.Conv2d(_CHANNELS, _CHANNELS, 1, bias=False)
    layer.weight.data.fill_(1.0 / _CHANNELS)
    return layer


def _shown(
    name: str,
    cls: Any,
    previews: Sequence[Mapping[str, Any]],
    given: Mapping[str, Any],
    registry: Registry,
    kind: str,
    make: Callable[[], nn.Module],
) -> Inside:
    def outputs(arguments: Mapping[str, Any], training: bool, count: int) -> Iterator[Tensor]:
        import torch

        here = {"at": kind} if any(field.name == "at" for field in fields(cls)) else {}
        torch.manual_seed(0)
        model = make()
        regularize(model, Pipeline.from_spec({"model": [{name: {**arguments, **here}}]}, registry))
        model.train(training)
        with torch.no_grad():
            for _ in range(count):
                yield model(_input(kind))

    plain = make().eval()(_input(kind)).detach().numpy()
    strengths = [
        _tile(array, kind, flow({key: value for key, value in preview.items() if key != "at"}).strip("{}"), plain)
        for preview in previews or [given]
        for array in outputs(preview, True, 1)
    ]
    if kind == "activation":
        before = _tile(_input(kind), kind, "", plain)._replace(words="before: relu")
        before = before._replace(image=_tile(plain, kind, "", plain).image)
        return Inside((before, *strengths), None, (), "the function, from -3 to 3")
    test = next(_tile(array, kind, "", plain) for array in outputs(given, False, 1))
    draws = tuple(_tile(array, kind, "", plain) for array in outputs(given, True, _DRAWS))
    about = f"{'weak to strong, on ' if len(strengths) > 1 else ''}{_SAMPLES} samples by {_CHANNELS} channels of ones"
    return Inside(tuple(strengths), test, draws, about)


def _input(kind: str) -> Tensor:
    import torch

    if kind == "activation":
        return torch.linspace(-_REACH, _REACH, _PLOT).reshape(1, 1, 1, _PLOT)
    return torch.ones(_SAMPLES, _CHANNELS, _SIDE, _SIDE)


def _tile(output: Any, kind: str, words: str, plain: NDArray[Any]) -> Tile:
    """An image of what the model made of its input, and how much of it is zero."""
    found = np.asarray(output)
    if kind == "activation":
        return tile(_plot(found.reshape(-1)), "an activation function", words, "", _LONGEST)
    image = _maps(found, 2.0 * float(np.abs(plain).max()))
    said = [f"mean {found.mean():.2f}"]
    if np.any(found == 0):
        said.insert(0, f"{np.mean(found == 0):.0%} zero")
    return tile(image, "feature maps", words, ", ".join(said), _LONGEST)


def _maps(found: NDArray[Any], most: float) -> NDArray[np.uint8]:
    """Samples as rows and channels as columns, with lines between them; 0 is dark, `most` and above bright."""
    samples, channels, height, width = found.shape
    image = np.full((samples * (height + 1) + 1, channels * (width + 1) + 1, 3), _GRID, np.uint8)
    for row in range(samples):
        for column in range(channels):
            top, left = row * (height + 1) + 1, column * (width + 1) + 1
            image[top : top + height, left : left + width] = _colored(found[row, column], most)
    return image


def _colored(levels: NDArray[Any], most: float) -> NDArray[np.uint8]:
    share = np.clip(np.abs(levels) / most, 0.0, 1.0)[..., None]
    end = np.where(levels[..., None] < 0, _NEGATIVE, _MOST)
    colored: NDArray[np.uint8] = np.rint(np.asarray(_NONE) * (1.0 - share) + end * share).astype(np.uint8)
    return colored


def _plot(values: NDArray[Any]) -> NDArray[np.uint8]:
    """A function's values from left to right, with its axes."""
    image = np.full((_PLOT, _PLOT, 3), _NONE, np.uint8)
    rows = np.clip(np.rint((_REACH - values) / (2 * _REACH) * (_PLOT - 1)), 0, _PLOT - 1).astype(int)
    image[_PLOT // 2, :] = image[:, _PLOT // 2] = _GRID
    for column, (row, following) in enumerate(zip(rows, [*rows[1:], rows[-1]], strict=True)):
        image[min(row, following) : max(row, following) + 1, column] = _MOST
    return image


def targets(cls: Any, previews: Sequence[Mapping[str, Any]]) -> tuple[Tile, ...]:
    """For a loss step that changes targets: the target of a class among ten, before and after, as bars."""
    import torch

    before = torch.nn.functional.one_hot(torch.tensor([_TRUE]), _CLASSES).float()
    found = [tile(_bars(before[0].numpy()), "a target", "", "the label", _LONGEST)]
    for preview in previews:
        after = cls(**preview).target(before)[0].numpy()
        words = f"{after[_TRUE]:.3g} and {after[_TRUE - 1]:.3g}"
        found.append(tile(_bars(after), "a target", flow(preview).strip("{}"), words, _LONGEST))
    return tuple(found)


def _bars(heights: NDArray[Any]) -> NDArray[np.uint8]:
    image = np.full((48, _CLASSES * 6 + 4, 3), _NONE, np.uint8)
    for place, height in enumerate(heights):
        top = 45 - round(float(height) * 42)
        image[min(top, 45) : 46, 3 + place * 6 : 7 + place * 6] = _MOST
    return image
