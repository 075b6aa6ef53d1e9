"""Receptive fields and output sizes of a model, layer by layer.

For a chain of layers with kernels k, dilations d and strides s, the receptive field is
1 + sum over layers of d (k - 1) times the product of the strides before it. The same is computed here exactly for
whatever a model does, branches, transposed convolutions and enlargements included, by following its input through one
forward pass. See W. Luo et al. 2016, arXiv 1701.04128, for how much of it counts in practice.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import nn

from augreg.inspect.extents import Extent
from augreg.inspect.following import Following
from augreg.inspect.modes import evaluating
from augreg.inspect.tables import ByLayer, table
from augreg.inspect.tracks import Track, start

__all__ = ["LayerField", "ReceptiveFields", "receptive_field"]


@dataclass(frozen=True)
class LayerField:
    """The output of one layer and what of the input it sees. Of the tuples, one number for each spatial axis.

    `output` is the shape without the batch. `size` is the side of the receptive field, in input positions; borders
    are not considered, so it can be larger than the input. `stride` is how far the field moves from one position of
    the output to the next, a Fraction behind enlargements, and 0 where all positions see the same. `start` is the
    center of the first position's field, where 0 is the center of the first input position; nan, printed as `-`, if
    that position sees nothing, as at the padding of a transposed convolution.
    """

    name: str
    kind: str
    output: tuple[int, ...]
    size: tuple[int, ...]
    stride: tuple[Fraction, ...]
    start: tuple[float, ...]
    extents: tuple[Extent, ...]
    limits: tuple[int, ...]

    def seen(self, *position: int) -> tuple[tuple[int, int] | None, ...]:
        """The first and last input index that a position of the output sees, for each axis; None for nothing.

        Clipped to the input, with one index for each axis. What lies between the two need not all be seen: a dilated
        kernel has gaps, and where the border of the input falls into one, the border itself is the index given.
        """
        if len(position) != len(self.extents):
            raise ValueError(f"expected an index for each of {len(self.extents)} axes, got {len(position)}")
        return tuple(
            _clipped(extent, index, limit)
            for extent, index, limit in zip(self.extents, position, self.limits, strict=True)
        )


def _clipped(extent: Extent, index: int, limit: int) -> tuple[int, int] | None:
    span = extent.at(index)
    if span is None or span[1] < 0 or span[0] >= limit:
        return None
    return (max(0, span[0]), min(limit - 1, span[1]))


@dataclass(frozen=True)
class ReceptiveFields(ByLayer[LayerField]):
    """The layers in the order in which they ran; by index, or by name. Prints as a table."""

    def __str__(self) -> str:
        rows = (
            (each.name, each.kind, "x".join(map(str, each.output)), *map(_word, (each.size, each.stride, each.start)))
            for each in self.layers
        )
        return table(("layer", "type", "output", "field", "stride", "start"), rows)


def _word(numbers: Sequence[Any]) -> str:
    words = [f"{number:g}".replace("nan", "-") if isinstance(number, float) else str(number) for number in numbers]
    return words[0] if len(set(words)) == 1 else "x".join(words)


def receptive_field(model: nn.Module, input_size: int | Sequence[int]) -> ReceptiveFields:
    """The receptive field and output size of each layer, for an input of this size.

    `input_size` is (channels, *axes), one to three axes; a bare n means (3, n, n). The model runs once, in eval mode,
    on a batch of one, and is left as it was. Every module without children has a row, and so has one that does more
    than its last child (adding a shortcut), and a convolution, pooling or enlargement that is called as a function. A
    module that runs again has a row for each run: `relu`, `relu (2)`. Where branches join, the field reaches from the
    first to the last position of theirs. Behind a global pooling, or a linear layer over the flattened map, it is the
    union of those of all positions.

    Raises ValueError at an operation whose receptive field is not known, with the operation's name and the module's.
    """
    shape = (3, input_size, input_size) if isinstance(input_size, int) else tuple(input_size)
    if not 2 <= len(shape) <= 4 or not all(isinstance(side, int) and side > 0 for side in shape):
        raise ValueError(f"input_size is (channels, *axes) with one to three axes, or one number, got {input_size!r}")
    model = getattr(model, "_orig_mod", model)  # a compiled model's own
    recorder = _Recorder()
    like = next((p for p in model.parameters() if p.is_floating_point()), torch.empty(0))
    with evaluating(model), torch.inference_mode(False), torch.enable_grad(), recorder.hooked(model):
        # some operations are seen only where gradients are recorded; a clone may be written to, a leaf may not
        image = torch.zeros((1, *shape), device=like.device, dtype=like.dtype, requires_grad=True).clone()
        recorder.following.follow(image, start((1, *shape)))
        with recorder.following:
            model(image)
    if not recorder.layers:
        raise ValueError(f"nothing in {type(model).__name__} depends on its input in a way that can be followed")
    return ReceptiveFields(tuple(recorder.layers))


class _Recorder:
    """Makes rows while a model runs."""

    def __init__(self) -> None:
        self.following = Following(self._moved)
        self.layers: list[LayerField] = []
        self._running: list[tuple[str, nn.Module]] = []
        self._last: tuple[Any, Track | None] = (None, None)

    @contextlib.contextmanager
    def hooked(self, model: nn.Module) -> Iterator[None]:
        """Hooks on every module of a model, taken off again."""
        handles = []
        try:
            for name, module in model.named_modules():
                handles.append(module.register_forward_pre_hook(lambda m, args, name=name: self._enter(name, m)))
                handles.append(module.register_forward_hook(lambda m, args, out: self._leave(m, out)))
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _enter(self, name: str, module: nn.Module) -> None:
        self._running.append((name, module))
        self.following.inside = name

    def _leave(self, module: nn.Module, output: Any) -> None:
        name, _ = self._running.pop()
        self.following.inside = self._running[-1][0] if self._running else ""
        tensor = _first_tensor(output)
        track = self.following.track(tensor)
        if track is not None and (self._last[0] is not tensor or self._last[1] != track or not _has_children(module)):
            self._record(name or "output", type(module).__name__, tensor, track)

    def _moved(self, name: str, tensor: torch.Tensor) -> None:
        where, module = self._running[-1] if self._running else ("", None)
        track = self.following.track(tensor)
        if track is not None and (module is None or _has_children(module)):
            self._record(f"{where}.{name}" if where else name, "function", tensor, track)

    def _record(self, name: str, kind: str, tensor: Any, track: Track) -> None:
        self._last = (tensor, track)
        runs = 1 + sum(layer.name == name or layer.name.startswith(f"{name} (") for layer in self.layers)
        moving = [e.stride if track.place(axis) is not None else Fraction(0) for axis, e in enumerate(track.extents)]
        firsts = [extent.at(0) for extent in track.extents]
        self.layers.append(
            LayerField(
                name=name if runs == 1 else f"{name} ({runs})",
                kind=kind,
                output=track.shape[1:],
                size=tuple(extent.size for extent in track.extents),
                stride=tuple(moving),
                start=tuple(float("nan") if span is None else (span[0] + span[1]) / 2 for span in firsts),
                extents=track.extents,
                limits=track.limits,
            )
        )


def _has_children(module: nn.Module) -> bool:
    return next(module.children(), None) is not None


def _first_tensor(output: Any) -> Any:
    while isinstance(output, tuple | list) and output:
        output = output[0]
    if isinstance(output, dict) and output:
        return _first_tensor(next(iter(output.values())))
    return output
