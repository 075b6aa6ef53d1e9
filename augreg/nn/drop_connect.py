"""DropConnect: linear and convolutional layers that drop weights, with their test-time rules.

The layers are subclasses of torch's with the same parameters, so setting the `__class__` of an `nn.Linear` to
`DropConnectLinear` converts it. The class attributes are the defaults of the settings.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from augreg.attachment.foreign_tensors import through
from augreg.nn.checks import check_choice, check_floating, check_number
from augreg.nn.dropout import MODES, Mode
from augreg.nn.masks import TORCH, Source, kept_scale, source_of

__all__ = ["DropConnectConv1d", "DropConnectConv2d", "DropConnectConv3d", "DropConnectLinear", "relu_moments"]

Per = Literal["sample", "batch"] | int
"""A mask for each sample, one for the batch, or one for each group of this many consecutive samples."""


class _DropConnect:
    """The base of the layers; see `DropConnectLinear`."""

    p: float = 0.5
    per: Per = "sample"
    mode: Mode = "inverted"
    inference: Literal["scale", "moment"] = "scale"
    through: Literal["relu", "none"] = "relu"
    mask_bias: bool = False
    source: Source = TORCH
    run_counter: Any = None

    weight: Any
    bias: Any
    training: bool
    _batched_dims: ClassVar[int]
    product: ClassVar[Any]  # the function of torch that multiplies by the weight

    def __init__(
        self,
        *args: Any,
        p: float = 0.5,
        per: Per = "sample",
        mode: Mode = "inverted",
        inference: Literal["scale", "moment"] = "scale",
        through: Literal["relu", "none"] = "relu",
        mask_bias: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.p = check_number("p", p, 0, 1)
        self.per = check_per(per)
        self.mode = check_choice("mode", mode, MODES)
        self.inference = check_choice("inference", inference, ("scale", "moment"))
        self.through = check_choice("through", through, ("relu", "none"))
        self.mask_bias = mask_bias
        self.source = source_of(seed)

    def forward(self, input: Tensor) -> Tensor:
        """The output with dropped weights in training, and by the rule `inference` in testing."""
        check_floating(self, input)
        if self.training and self.run_counter is not None:
            self.run_counter.count()
        if not self.training and self.inference == "moment" and self.through == "relu":
            return through(self._mean_after_relu, input, self.training)
        if self.p == 0.0 or not (self.training or self.mode == "original"):
            return self._plain(input)
        if not self.training:
            return self._shared(input, *self._scaled_weights(1.0 - self.p))
        if self.per == "batch" or input.dim() < self._batched_dims:
            return self._shared(input, *self._masked_weights(input, ()))
        return self._per_group(input, 1 if self.per == "sample" else self.per)

    def _per_group(self, input: Tensor, size: int) -> Tensor:
        """The output with a mask for each group of this many samples; the last group may be smaller."""
        batch = input.shape[0]
        if batch == 0:
            return self._shared(input, self.weight, self.bias)
        size = min(size, batch)
        groups = -(-batch // size)
        missing = groups * size - batch
        channels_last = _channels_last(input)
        if missing:
            input = torch.cat([input, input.new_zeros((missing, *input.shape[1:]))])
        weight, bias = self._masked_weights(input, (groups,))
        output = self._grouped(input.unflatten(0, (groups, size)), weight, bias).flatten(0, 1)
        output = output[:batch] if missing else output
        return output if channels_last is None else output.contiguous(memory_format=channels_last)

    def _mean_after_relu(self, input: Tensor) -> Tensor:
        mean, _ = relu_moments(*self.moments(input))
        return mean.to(_output_dtype(input))

    def moments(self, input: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of the output over the masks, before any activation, in float32 or better.

        With q = 1 - p, u = (M * W) v + b has mean q W v + b and variance q (1 - q) (W * W)(v * v); in inverted mode,
        replace W by W / q. A masked bias counts as a weight of the constant input 1. The paper draws from N(mean,
        variance) at test time; `relu_moments` computes the moments after a ReLU in closed form.
        """
        keep = 1.0 - self.p
        scale = kept_scale(self.mode, keep)
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

    def _scaled_weights(self, factor: float) -> tuple[Tensor, Tensor | None]:
        bias = self.bias if self.bias is None or not self.mask_bias else self.bias * factor
        return self.weight * factor, bias

    def _masked_weights(self, input: Tensor, groups: tuple[int, ...]) -> tuple[Tensor, Tensor | None]:
        """Weight and bias with elements dropped; `groups` is (), or the number of masks."""
        bias = self.bias
        if bias is not None and self.mask_bias:
            bias = self._dropped(bias, groups, bias.dtype)
        # under autocast the product casts the weight: cast one set of weights, not one for each mask
        dtype = self.weight.dtype if self.weight.dtype == torch.float64 else _autocast_dtype(input, self.weight.dtype)
        return self._dropped(self.weight, groups, dtype), bias

    def _dropped(self, weight: Tensor, groups: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        keep = 1.0 - self.p
        mask = self.source.kept(keep, (*groups, *weight.shape), weight)
        return torch.where(mask, (weight * kept_scale(self.mode, keep)).to(dtype), 0.0)

    def _plain(self, input: Tensor) -> Tensor:
        output: Tensor = super().forward(input)  # type: ignore[misc]
        return output

    def _shared(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        raise NotImplementedError

    def _grouped(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The output for an input of (groups, samples, ...), with a weight for each group."""
        raise NotImplementedError

    def __prepare_scriptable__(self) -> Any:
        """Refuse torch.jit.script, which asks for this."""
        raise TypeError(
            f"torch.jit.script cannot compile a {type(self).__name__}: detach() the regularizers first, or use "
            f"torch.jit.trace or torch.export"
        )

    @property
    def qconfig(self) -> Any:
        """None: it cannot be quantized, and setting this says so. Torch would leave it as it is without a word."""
        return None

    @qconfig.setter
    def qconfig(self, value: Any) -> None:
        raise TypeError(
            f"torch.ao.quantization does not know {type(self).__name__}: detach() the regularizers before quantizing"
        )

    def extra_repr(self) -> str:
        """The settings, as `print(model)` shows them."""
        return (
            f"{super().extra_repr()}, p={self.p}, per={self.per!r}, mode={self.mode!r}, "  # type: ignore[misc]
            f"inference={self.inference!r}, source={self.source}"
        )


class DropConnectLinear(_DropConnect, nn.Linear):
    """A linear layer that drops weights: Wan et al. 2013 (ICML, PMLR 28(3):1058-1066).

        M ~ Bernoulli(1 - p) per weight, and per sample (`per="sample"`, as in the paper) or once for the batch
        inverted:                  training  (M * W) v / (1 - p) + b    testing  W v + b
        original, as in the paper: training  (M * W) v + b              testing  (1 - p) W v + b

    Test-time rule: `inference="scale"` is shown above, exact for the mean of the output before the activation.
    `inference="moment"` with `through="relu"` treats the output as normal with its exact mean mu and variance s^2
    (see `moments`) and returns the mean after a ReLU, mu Phi(mu/s) + s phi(mu/s), in closed form; a ReLU that follows
    does not change it. It approximates the mean of ReLU(u), well if a unit sums many weights, where weight scaling is
    far off because it ignores the variance. `through="none"` returns the mean itself, the same as scale.

    `mask_bias` also masks the bias, as the paper's code does. A sample is an entry of the first dimension: positions
    of one sample share a mask, and a vector is one sample. Dropping an infinite or NaN weight removes it; an infinite
    input times a dropped weight gives NaN, as in any linear layer.

    Cost: one mask per sample needs batch * out * in weights, kept with their masks (1 byte each) until backward, and
    a batched matrix product; one mask per batch costs out * in and is a weaker regularizer. `per=8` draws one mask
    for every 8 consecutive samples: an eighth of the cost, and the same distribution for each sample. Samples of one
    group share a mask; different groups are independent.
    """

    _batched_dims = 2
    product = staticmethod(functional.linear)

    def _shared(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return functional.linear(input, weight, bias)

    def _grouped(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        output = torch.bmm(input.flatten(1, -2), weight.transpose(1, 2))
        if bias is not None:
            output = output + (bias if bias.dim() == 1 else bias.unsqueeze(1)).to(output.dtype)
        return output.reshape(*input.shape[:-1], output.shape[-1])


class _DropConnectConv(_DropConnect):
    """A convolution that drops weights: `DropConnectLinear` with a kernel for W.

    All positions of a sample share a mask. The moments are exact as well: each weight enters an output once. One
    mask per sample runs as one grouped convolution over batch * out * in * kernel weights, or as a batched matrix
    product if the kernel has one weight (1 x 1).
    """

    dims: ClassVar[int]

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

    def _grouped(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        masks, samples, channels = input.shape[:3]
        if bias is not None:
            bias = bias.expand(masks, weight.shape[1]).reshape(masks, 1, -1, *(1 for _ in range(self.dims)))
        if self._is_pointwise():
            last = input.movedim(2, -1)
            if last.is_contiguous() and not input.is_contiguous():  # channels_last, and so is the output
                output = torch.bmm(last.flatten(1, -2), weight.flatten(2).transpose(1, 2))
                output = output.reshape(*last.shape[:-1], -1).movedim(-1, 2)
                return output if bias is None else output + bias.to(output.dtype)
            if samples == 1:
                output = torch.bmm(weight.flatten(2), input.flatten(3).squeeze(1))
                output = output.reshape(masks, 1, -1, *input.shape[3:])
                return output if bias is None else output + bias.to(output.dtype)
        # the masks are groups of channels: the samples at one place of all groups become one sample
        input = input.transpose(0, 1).reshape(samples, masks * channels, *input.shape[3:])
        padding = self.padding
        if self.padding_mode != "zeros":
            input = functional.pad(input, self._reversed_padding_repeated_twice, mode=self.padding_mode)
            padding = 0
        output = type(self).product(
            input, weight.flatten(0, 1), None, self.stride, padding, self.dilation, masks * self.groups
        )
        output = output.unflatten(1, (masks, weight.shape[1])).transpose(0, 1)
        return output if bias is None else output + bias.to(output.dtype)

    def _is_pointwise(self) -> bool:
        """Whether the convolution is a matrix product at each position."""
        ones = all(size == 1 for size in (*self.weight.shape[2:], *self.stride, self.groups))
        return ones and (self.padding == "valid" or self.padding == (0,) * self.dims)


class DropConnectConv1d(_DropConnectConv, nn.Conv1d):
    """`nn.Conv1d` that drops weights; see `DropConnectLinear` (Wan et al. 2013).

    All positions of a sample share a mask; mean and variance are exact as in `DropConnectLinear`. One mask per sample
    runs as one grouped convolution over batch * out * in * kernel weights, or as a batched matrix product if the
    kernel has one weight.
    """

    dims = 1
    _batched_dims = 3
    product = staticmethod(functional.conv1d)


class DropConnectConv2d(_DropConnectConv, nn.Conv2d):
    """`nn.Conv2d` that drops weights; see `DropConnectConv1d`."""

    dims = 2
    _batched_dims = 4
    product = staticmethod(functional.conv2d)


class DropConnectConv3d(_DropConnectConv, nn.Conv3d):
    """`nn.Conv3d` that drops weights; see `DropConnectConv1d`."""

    dims = 3
    _batched_dims = 5
    product = staticmethod(functional.conv3d)


CLASSES: dict[type[nn.Module], type[_DropConnect]] = {
    nn.Linear: DropConnectLinear,
    nn.Conv1d: DropConnectConv1d,
    nn.Conv2d: DropConnectConv2d,
    nn.Conv3d: DropConnectConv3d,
}


def check_per(per: Any) -> Per:
    """The value; ValueError unless it is "sample", "batch" or a number of samples."""
    if isinstance(per, int) and not isinstance(per, bool) and per >= 1:
        return per
    if per in ("sample", "batch"):
        chosen: Per = per
        return chosen
    raise ValueError(f"per must be 'sample', 'batch' or a number of samples of at least 1, got {per!r}")


def _channels_last(input: Tensor) -> torch.memory_format | None:
    """The memory format of an input with its channels last in memory; None for any other input."""
    last = {4: torch.channels_last, 5: torch.channels_last_3d}.get(input.dim())
    if last is None or input.is_contiguous() or not input.is_contiguous(memory_format=last):
        return None
    return last


def _output_dtype(input: Tensor) -> torch.dtype:
    """The output dtype of torch's layer for this input: under autocast, that of autocast."""
    return input.dtype if input.dtype == torch.float64 else _autocast_dtype(input, input.dtype)


def _autocast_dtype(input: Tensor, otherwise: torch.dtype) -> torch.dtype:
    """The dtype in which autocast computes products on the input's device, or the other one without autocast."""
    kind = input.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else otherwise


def drop_connect_class(module: nn.Module) -> type[Any]:
    """The DropConnect class for a module.

    Raises ValueError unless the module's class is exactly torch's: a subclass may use its weights in other ways.
    """
    cls = CLASSES.get(type(module))
    if cls is None:
        names = ", ".join(known.__name__ for known in CLASSES)
        name = type(module).__name__
        hint = "; attach before you call fully_shard on it" if name.startswith("FSDP") else ""
        raise ValueError(f"DropConnect takes modules of exactly these classes: {names}; got {name}{hint}")
    return cls


def relu_moments(mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of ReLU(u) for normal u, in closed form (Wang and Manning 2013, ICML, PMLR 28(2):118-126).

    E[ReLU(u)] = mu Phi(mu/s) + s phi(mu/s) and E[ReLU(u)^2] = (mu^2 + s^2) Phi(mu/s) + mu s phi(mu/s), with Phi and
    phi the distribution and density of the standard normal. A variance of 0 gives ReLU(mu) and 0.
    """
    deviation = variance.clamp(min=1e-24).sqrt()  # small enough to change nothing, and it keeps gradients finite
    ratio = mean / deviation
    probability = torch.special.ndtr(ratio)
    density = torch.exp(-0.5 * ratio.square()) / math.sqrt(2.0 * math.pi)
    first = (mean * probability + deviation * density).clamp(min=0.0)
    second = (mean.square() + variance) * probability + mean * deviation * density
    return first, (second - first.square()).clamp(min=0.0)
