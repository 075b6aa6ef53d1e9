"""DropConnect: linear and convolutional layers whose weights are dropped, with their test-time rules.

A layer here is torch's own with other behavior and the same parameters, so an existing `nn.Linear` becomes one when
its `__class__` is set to `DropConnectLinear`; the class attributes are the settings, until an instance has its own.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from augreg.nn.checks import choice, floating, number
from augreg.nn.dropout import MODES, Mode
from augreg.nn.masks import TORCH, Source, scale_of, source_of, thinned

__all__ = ["DropConnectConv1d", "DropConnectConv2d", "DropConnectConv3d", "DropConnectLinear", "relu_moments"]


class _DropConnect:
    """What the layers share; see `DropConnectLinear`."""

    p: float = 0.5
    per: Literal["sample", "batch"] = "sample"
    mode: Mode = "inverted"
    inference: Literal["scale", "moment"] = "scale"
    through: Literal["relu", "none"] = "relu"
    mask_bias: bool = False
    source: Source = TORCH

    weight: Any
    bias: Any
    training: bool

    def __init__(
        self,
        *args: Any,
        p: float = 0.5,
        per: Literal["sample", "batch"] = "sample",
        mode: Mode = "inverted",
        inference: Literal["scale", "moment"] = "scale",
        through: Literal["relu", "none"] = "relu",
        mask_bias: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.p = number("p", p, 0, 1)
        self.per = choice("per", per, ("sample", "batch"))
        self.mode = choice("mode", mode, MODES)
        self.inference = choice("inference", inference, ("scale", "moment"))
        self.through = choice("through", through, ("relu", "none"))
        self.mask_bias = mask_bias
        self.source = source_of(seed)

    def forward(self, input: Tensor) -> Tensor:
        """With dropped weights in training; by the rule that `inference` names in testing."""
        floating(self, input)
        if not self.training and self.inference == "moment" and self.through == "relu":
            mean, _ = relu_moments(*self.moments(input))
            return mean.to(_output_dtype(input))
        if self.p == 0.0 or not (self.training or self.mode == "original"):
            return self._plain(input)
        if not self.training:
            return self._shared(input, *self._scaled(1.0 - self.p))
        if self.per == "batch":
            return self._shared(input, *self._masked(()))
        return self._each(input)

    def moments(self, input: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of the output over the masks, before any activation, in float32 or better.

        With q = 1 - p, u = (M * W) v + b has mean q W v + b and variance q (1 - q) (W * W)(v * v); in the inverted
        mode W / q stands for W. A masked bias counts as a weight of the input 1. The paper draws from N(mean,
        variance) at test time; `relu_moments` goes through a ReLU in closed form.
        """
        keep = 1.0 - self.p
        scale = scale_of(self.mode, keep)
        with torch.autocast(input.device.type, enabled=False):
            dtype = torch.promote_types(input.dtype, torch.float32)
            wide, weight = input.to(dtype), self.weight.to(dtype)
            bias = None if self.bias is None else self.bias.to(dtype)
            squared = None if bias is None or not self.mask_bias else bias.square() * (keep * self.p * scale * scale)
            if bias is not None and self.mask_bias:
                bias = bias * (keep * scale)
            mean = self._shared(wide, weight * (keep * scale), bias)
            variance = self._shared(wide.square(), weight.square() * (keep * self.p * scale * scale), squared)
        return mean, variance

    def _scaled(self, share: float) -> tuple[Tensor, Tensor | None]:
        bias = self.bias if self.bias is None or not self.mask_bias else self.bias * share
        return self.weight * share, bias

    def _masked(self, samples: tuple[int, ...]) -> tuple[Tensor, Tensor | None]:
        """Weight and bias with parts dropped; `samples` is (), or (batch,) for a mask of its own for each sample."""
        bias = self.bias
        if bias is not None and self.mask_bias:
            bias = self._thinned(bias, samples)
        return self._thinned(self.weight, samples), bias

    def _thinned(self, weight: Tensor, samples: tuple[int, ...]) -> Tensor:
        return thinned(weight, 1.0 - self.p, self.mode, self.source, (*samples, *weight.shape))

    def _plain(self, input: Tensor) -> Tensor:
        output: Tensor = super().forward(input)  # type: ignore[misc]
        return output

    def _shared(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        raise NotImplementedError

    def _each(self, input: Tensor) -> Tensor:
        raise NotImplementedError

    def extra_repr(self) -> str:
        """The settings, for print(model)."""
        return (
            f"{super().extra_repr()}, p={self.p}, per={self.per!r}, mode={self.mode!r}, "  # type: ignore[misc]
            f"inference={self.inference!r}, source={self.source}"
        )


class DropConnectLinear(_DropConnect, nn.Linear):
    """A linear layer whose weights are dropped: Wan et al. 2013 (ICML, PMLR 28(3):1058-1066).

        M ~ Bernoulli(1 - p) for each weight, and for each sample (`per="sample"`, as the paper) or once for the batch
        inverted:               training  (M * W) v / (1 - p) + b    testing  W v + b
        original, as the paper: training  (M * W) v + b              testing  (1 - p) W v + b

    Test-time rule: `inference="scale"` is the line above, exact for the mean of the output before the activation.
    `inference="moment"` with `through="relu"` takes the output as normal with its exact mean mu and variance s^2 (see
    `moments`) and gives the mean behind a ReLU, mu Phi(mu/s) + s phi(mu/s), in closed form; a ReLU that follows
    leaves it alone. It approximates the mean of ReLU(u), and well where many weights meet in a unit; weight scaling
    ignores the variance and is far off there. `through="none"` gives the mean itself: the same as scale.

    `mask_bias` also masks the bias, as the paper's code does. A sample is an entry of the first dimension: positions
    of one sample share a mask, and a vector is one sample. A dropped weight is dropped whatever it is; an input of
    infinity meets zeros in the product and gives NaN, as in any linear layer.

    Cost: a mask per sample makes batch * out * in weights, kept with their masks (1 byte each) until backward, and a
    batched product in place of one; a mask per batch costs out * in and is a weaker regularizer.
    """

    def _shared(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return functional.linear(input, weight, bias)

    def _each(self, input: Tensor) -> Tensor:
        if input.dim() < 2:
            return self._shared(input, *self._masked(()))
        weight, bias = self._masked((input.shape[0],))
        rows = input.reshape(input.shape[0], math.prod(input.shape[1:-1]), input.shape[-1])
        output = torch.bmm(rows, weight.transpose(1, 2))
        if bias is not None:
            output = output + (bias if bias.dim() == 1 else bias.unsqueeze(1)).to(output.dtype)
        return output.reshape(*input.shape[:-1], output.shape[-1])


class _DropConnectConv(_DropConnect):
    """A convolution whose weights are dropped: `DropConnectLinear` with W a kernel.

    One mask serves every position of a sample. The moments are exact as well: each weight enters an output once. A
    mask per sample runs as one grouped convolution, over batch * out * in * kernel weights.
    """

    dims: ClassVar[int]
    convolve: ClassVar[Any]

    groups: int
    stride: Any
    padding: Any
    dilation: Any
    padding_mode: str
    _reversed_padding_repeated_twice: Any
    _conv_forward: Any

    def _shared(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        output: Tensor = self._conv_forward(input, weight, bias)
        return output

    def _each(self, input: Tensor) -> Tensor:
        if input.dim() != self.dims + 2:
            return self._shared(input, *self._masked(()))
        batch = input.shape[0]
        if batch == 0:
            return self._shared(input, self.weight, self.bias)
        weight, bias = self._masked((batch,))
        padding = self.padding
        if self.padding_mode != "zeros":
            input = functional.pad(input, self._reversed_padding_repeated_twice, mode=self.padding_mode)
            padding = 0
        output: Tensor = type(self).convolve(
            input.reshape(1, batch * input.shape[1], *input.shape[2:]),
            weight.flatten(0, 1),
            None,
            self.stride,
            padding,
            self.dilation,
            batch * self.groups,
        )
        output = output.reshape(batch, weight.shape[1], *output.shape[2:])
        if bias is not None:
            bias = bias.expand(batch, weight.shape[1]).to(output.dtype)
            output = output + bias.reshape(batch, weight.shape[1], *(1 for _ in range(self.dims)))
        return output


class DropConnectConv1d(_DropConnectConv, nn.Conv1d):
    """`nn.Conv1d` whose weights are dropped; see `DropConnectLinear` (Wan et al. 2013).

    One mask serves every position of a sample; mean and variance are exact as they are there. A mask per sample is
    one grouped convolution over batch * out * in * kernel weights.
    """

    dims = 1
    convolve = staticmethod(functional.conv1d)


class DropConnectConv2d(_DropConnectConv, nn.Conv2d):
    """`nn.Conv2d` whose weights are dropped; see `DropConnectConv1d`."""

    dims = 2
    convolve = staticmethod(functional.conv2d)


class DropConnectConv3d(_DropConnectConv, nn.Conv3d):
    """`nn.Conv3d` whose weights are dropped; see `DropConnectConv1d`."""

    dims = 3
    convolve = staticmethod(functional.conv3d)


_CLASSES: dict[type[nn.Module], type[_DropConnect]] = {
    nn.Linear: DropConnectLinear,
    nn.Conv1d: DropConnectConv1d,
    nn.Conv2d: DropConnectConv2d,
    nn.Conv3d: DropConnectConv3d,
}


def _output_dtype(input: Tensor) -> torch.dtype:
    """The dtype of torch's own layer for this input: under autocast, the one that it computes with."""
    kind = input.device.type
    if input.dtype != torch.float64 and torch.is_autocast_enabled(kind):
        return torch.get_autocast_dtype(kind)
    return input.dtype


def drop_connect_class(module: nn.Module) -> type[Any]:
    """The class that this module becomes when its weights are to be dropped.

    Raises ValueError unless the module is exactly one of torch's own: a subclass may use its weights in other ways.
    """
    found = _CLASSES.get(type(module))
    if found is None:
        names = ", ".join(cls.__name__ for cls in _CLASSES)
        raise ValueError(f"DropConnect takes modules of exactly these classes: {names}; got {type(module).__name__}")
    return found


def relu_moments(mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of ReLU(u) for normal u, in closed form (Wang and Manning 2013, ICML, PMLR 28(2):118-126).

    E[ReLU(u)] = mu Phi(mu/s) + s phi(mu/s) and E[ReLU(u)^2] = (mu^2 + s^2) Phi(mu/s) + mu s phi(mu/s), with Phi and
    phi the distribution and density of the standard normal. A variance of 0 gives ReLU(mu) and 0.
    """
    deviation = variance.clamp(min=1e-24).sqrt()  # so small that it changes nothing, and gradients stay finite
    ratio = mean / deviation
    below = torch.special.ndtr(ratio)
    density = torch.exp(-0.5 * ratio.square()) / math.sqrt(2.0 * math.pi)
    first = (mean * below + deviation * density).clamp(min=0.0)
    second = (mean.square() + variance) * below + mean * deviation * density
    return first, (second - first.square()).clamp(min=0.0)
