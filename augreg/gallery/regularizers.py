"""Regularizers on the page: their effect on a constant feature map, and the effect of loss steps on a target.

This needs torch. The tiny models return a feature map of ones unchanged, so the output shows the regularizer alone.
`ready_made` has the same pictures in files, for pages that are made without torch.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from augreg.errors import SpecError
from augreg.gallery.strengths import title_of
from augreg.pipeline import Pipeline, regularize
from augreg.registry.registry import Registry
from augreg.steps.describe import flow

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Picture", "Pictures", "regularizer_pictures", "target_pictures"]

_SAMPLES, _CHANNELS, _SIDE = 4, 4, 14
_DRAWS = 4
_CLASSES, _TRUE = 10, 3
_ZERO, _POSITIVE, _NEGATIVE, _GRID = (24, 28, 32), (99, 205, 185), (242, 140, 110), (120, 126, 132)
_PLOT = 64
_PLOT_LIMIT = 3.0  # activation functions are plotted from -3 to 3


class Picture(NamedTuple):
    """The pixels of a tile (height x width x 3, uint8), what they show, and its heading and caption."""

    pixels: NDArray[np.uint8]
    subject: str
    heading: str
    caption: str


class Pictures(NamedTuple):
    """The pictures of a step: those of its previews, which `about` describes; at test time; and draws in training."""

    about: str
    strengths: tuple[Picture, ...]
    test: Picture | None = None
    draws: tuple[Picture, ...] = ()


def regularizer_pictures(
    name: str, cls: Any, previews: Sequence[Mapping[str, Any]], example: Mapping[str, Any], registry: Registry
) -> Pictures:
    """Pictures of a regularizer on the first tiny model that it can be attached to. Raises SpecError for none."""
    import torch

    errors: list[str] = []
    for kind, make in _models().items():
        try:
            with torch.random.fork_rng(devices=[]):
                return _pictures(name, cls, previews, example, registry, kind, make)
        except SpecError as error:
            errors.append(f"{kind}: {error.problems[0].message}")
    raise SpecError(f"it cannot be attached to any model of the gallery; {'; '.join(errors)}")


def _models() -> dict[str, Callable[[], nn.Module]]:
    """A layer, a residual block, and an activation function, each by the name of the module to attach to."""
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
    """A 1x1 convolution that outputs the mean of its input channels."""
    from torch import nn

    layer = nn.Conv2d(_CHANNELS, _CHANNELS, 1, bias=False)
    layer.weight.data.fill_(1.0 / _CHANNELS)
    return layer


def _pictures(
    name: str,
    cls: Any,
    previews: Sequence[Mapping[str, Any]],
    example: Mapping[str, Any],
    registry: Registry,
    kind: str,
    make: Callable[[], nn.Module],
) -> Pictures:
    def outputs(arguments: Mapping[str, Any], training: bool, count: int) -> Iterator[Tensor]:
        import torch

        target = {"at": kind} if any(field.name == "at" for field in fields(cls)) else {}
        torch.manual_seed(0)
        model = make()
        regularize(model, Pipeline.from_spec({"model": [{name: {**arguments, **target}}]}, registry))
        model.train(training)
        with torch.no_grad():
            for _ in range(count):
                yield model(_input(kind))

    plain = make().eval()(_input(kind)).detach().numpy()
    strengths = [
        _picture(array, kind, flow({key: value for key, value in preview.items() if key != "at"}).strip("{}"), plain)
        for preview in previews or [example]
        for array in outputs(preview, True, 1)
    ]
    if kind == "activation":
        before = _picture(plain, kind, "", plain)._replace(caption="before: relu")
        return Pictures("the function, from -3 to 3", (before, *strengths))
    about = f"{_SAMPLES} samples by {_CHANNELS} channels of ones"
    if cls.__augreg__.rule == "same":  # nothing is random: testing and every pass in training give the same
        before = _picture(plain, kind, "", plain)
        return Pictures(f"on {about}", (before._replace(caption=f"before: {before.caption}"), *strengths))
    test = next(_picture(array, kind, "", plain) for array in outputs(example, False, 1))
    draws = tuple(_picture(array, kind, "", plain) for array in outputs(example, True, _DRAWS))
    order = title_of(previews, cls)
    return Pictures(f"{order}, on {about}" if order else f"on {about}", tuple(strengths), test, draws)


def _input(kind: str) -> Tensor:
    import torch

    if kind == "activation":
        return torch.linspace(-_PLOT_LIMIT, _PLOT_LIMIT, _PLOT).reshape(1, 1, 1, _PLOT)
    return torch.ones(_SAMPLES, _CHANNELS, _SIDE, _SIDE)


def _picture(output: Any, kind: str, heading: str, plain: NDArray[Any]) -> Picture:
    """A picture of the output of a model, with its mean and the fraction of zeros."""
    values = np.asarray(output)
    if kind == "activation":
        return Picture(_plot(values.reshape(-1)), "an activation function", heading, "")
    image = _maps(values, 2.0 * float(np.abs(plain).max()))
    caption = [f"mean {values.mean():.2f}"]
    if np.any(values == 0):
        caption.insert(0, f"{np.mean(values == 0):.0%} zero")
    return Picture(image, "feature maps", heading, ", ".join(caption))


def _maps(values: NDArray[Any], maximum: float) -> NDArray[np.uint8]:
    """Samples as rows and channels as columns, with lines between; 0 is dark, `maximum` and above are bright."""
    samples, channels, height, width = values.shape
    image = np.full((samples * (height + 1) + 1, channels * (width + 1) + 1, 3), _GRID, np.uint8)
    for row in range(samples):
        for column in range(channels):
            top, left = row * (height + 1) + 1, column * (width + 1) + 1
            image[top : top + height, left : left + width] = _colored(values[row, column], maximum)
    return image


def _colored(values: NDArray[Any], maximum: float) -> NDArray[np.uint8]:
    weight = np.clip(np.abs(values) / maximum, 0.0, 1.0)[..., None]
    end = np.where(values[..., None] < 0, _NEGATIVE, _POSITIVE)
    colored: NDArray[np.uint8] = np.rint(np.asarray(_ZERO) * (1.0 - weight) + end * weight).astype(np.uint8)
    return colored


def _plot(values: NDArray[Any]) -> NDArray[np.uint8]:
    """A plot of the values of a function from left to right, with axes."""
    image = np.full((_PLOT, _PLOT, 3), _ZERO, np.uint8)
    rows = np.clip(np.rint((_PLOT_LIMIT - values) / (2 * _PLOT_LIMIT) * (_PLOT - 1)), 0, _PLOT - 1).astype(int)
    image[_PLOT // 2, :] = image[:, _PLOT // 2] = _GRID
    for column, (row, following) in enumerate(zip(rows, [*rows[1:], rows[-1]], strict=True)):
        image[min(row, following) : max(row, following) + 1, column] = _POSITIVE
    return image


def target_pictures(cls: Any, previews: Sequence[Mapping[str, Any]]) -> Pictures:
    """For a loss step that changes targets: the target of one of ten classes, before and after, as bars."""
    import torch

    before = torch.nn.functional.one_hot(torch.tensor([_TRUE]), _CLASSES).float()
    pictures = [Picture(_bars(before[0].numpy()), "a target", "", "the label")]
    for preview in previews:
        after = cls(**preview).target(before)[0].numpy()
        caption = f"{after[_TRUE]:.3g} and {after[_TRUE - 1]:.3g}"
        pictures.append(Picture(_bars(after), "a target", flow(preview).strip("{}"), caption))
    about = "the target for ten classes: the weight of the true class, and of each other class"
    return Pictures(about, tuple(pictures))


def _bars(heights: NDArray[Any]) -> NDArray[np.uint8]:
    image = np.full((48, _CLASSES * 6 + 4, 3), _ZERO, np.uint8)
    for place, height in enumerate(heights):
        top = 45 - round(float(height) * 42)
        image[min(top, 45) : 46, 3 + place * 6 : 7 + place * 6] = _POSITIVE
    return image
