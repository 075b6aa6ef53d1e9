"""Rules for layers that draw: those of augreg, and stochastic depth of torchvision, timm and transformers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from augreg.attachment.drop_paths import rate_name
from augreg.expectation.moments.forward import MOST_TERMS, Forward
from augreg.expectation.moments.linear_rules import powered
from augreg.expectation.moments.noise_rules import (
    Factor,
    bernoulli,
    multiplied,
    of_image,
    with_dropout,
    with_saturation,
)
from augreg.expectation.moments.normal import Normal
from augreg.nn.drop_block import MapDropBlock, numbers
from augreg.nn.drop_connect import DropConnectLinear, _DropConnect
from augreg.nn.dropout import AlphaDropout, Dropout, GaussianDropout
from augreg.nn.masks import kept_scale
from augreg.nn.noise import GaussianNoise
from augreg.nn.shake import ShakeDrop, _shape
from augreg.nn.stochastic_depth import StochasticDepth

__all__ = ["layer_rule"]

LayerRule = Callable[[Forward, Any, Any], Any]


def layer_rule(layer: nn.Module) -> LayerRule | None:
    """What computes the moments behind a layer that draws in training; None if the layer's own forward does."""
    for cls, found in _LAYERS.items():
        if isinstance(layer, cls):
            return found
    if type(layer).__name__.endswith(("DropPath", "StochasticDepth")) and rate_name(layer) is not None:
        return _drop_path
    return None


def _dropout(run: Forward, layer: Dropout, x: Any) -> Any:
    keep = 1.0 - layer.p
    shape = tuple(layer.mask_shape(x.mean if isinstance(x, Normal) else x))
    what = "element" if shape == tuple(x.shape) else "channel"
    return with_dropout(run, type(layer).__name__, x, keep, kept_scale(layer.mode, keep), shape, what)


def _alpha_dropout(run: Forward, layer: AlphaDropout, x: Any) -> Any:
    return with_saturation(run, "AlphaDropout", x, layer.p, None) if layer.p else x


def _gaussian_dropout(run: Forward, layer: GaussianDropout, x: Any) -> Any:
    spread = layer.p / (1.0 - layer.p)
    result = multiplied(run, x, Factor(1.0, spread, 0.0, 3 * spread**2))
    run.note("GaussianDropout", "exact: normal factors", result)
    return result


def _gaussian_noise(run: Forward, layer: GaussianNoise, x: Any) -> Any:
    x = multiplied(run, x, bernoulli(1.0)) if not isinstance(x, Normal) else x
    covariance = x.covariance
    if covariance is not None:
        covariance = covariance.clone()
        covariance.diagonal(dim1=1, dim2=2).add_(layer.std**2)
    result = run.behind(
        x.mean,
        x.variance + layer.std**2,
        [(x, lambda rows: rows)],
        cumulants=x.cumulants,
        covariance=covariance,
        noise=run.new_noise(),
    )
    run.note("GaussianNoise", "exact: independent normal noise", result)
    return result


def _stochastic_depth(run: Forward, layer: StochasticDepth, x: Any) -> Any:
    scale = kept_scale(layer.scaling, layer.survival)
    return _of_image(run, "StochasticDepth", x, layer.survival, scale)


def _drop_path(run: Forward, layer: nn.Module, x: Any) -> Any:
    rate = getattr(layer, rate_name(layer) or "")
    keep = 1.0 - float(rate or 0.0)
    scaling = getattr(layer, "scale_by_keep", True)
    return _of_image(run, type(layer).__name__, x, keep, 1 / keep if scaling and keep > 0 else 1.0)


def _of_image(run: Forward, name: str, x: Any, keep: float, scale: float) -> Any:
    """A number for each image."""
    return with_dropout(run, name, x, keep, scale, (x.shape[0], *(1 for _ in x.shape[1:])), "image")


def _shake_drop(run: Forward, layer: ShakeDrop, x: Any) -> Any:
    """1 with probability p, else uniform between a and b."""
    low, high = layer.alpha
    keep, middle, half = layer.survival, sum(layer.alpha) / 2, (high - low) / 2
    mean = keep + (1 - keep) * middle
    about = middle - mean
    spread, fourth = half**2 / 3, half**4 / 5
    one = 1 - mean
    factor = Factor(
        mean,
        keep * one**2 + (1 - keep) * (about**2 + spread),
        keep * one**3 + (1 - keep) * (about**3 + 3 * about * spread),
        keep * one**4 + (1 - keep) * (about**4 + 6 * about**2 * spread + fourth),
    )
    shape = _shape(layer, x.mean if isinstance(x, Normal) else x, layer.per)
    if math.prod(shape[1:]) == 1 and factor.second > 0:
        return of_image(run, "ShakeDrop", x, factor)
    result = multiplied(run, x, factor, shape)
    run.note("ShakeDrop", f"exact: a random factor for each {layer.per}", result)
    return result


def _drop_block(run: Forward, layer: MapDropBlock, x: Any) -> Any:
    """Each position has its own probability 1 / scale of being kept."""
    if layer.p == 0.0 or layer.p == 1.0:
        return x * 0.0 if layer.p else x
    mean = x.mean if isinstance(x, Normal) else x
    _, scale = numbers(tuple(mean.shape[-layer._dims(mean) :]), layer.block_size, layer.p, mean.device, torch.float64)
    scale = torch.as_tensor(scale, device=mean.device).to(torch.promote_types(mean.dtype, torch.float32))
    factor = _bernoulli_of(1 / scale, scale)
    result = multiplied(run, x, factor)
    run.note(type(layer).__name__, "exact at each position; positions of a block taken as independent", result)
    return result


def _bernoulli_of(keep: Any, scale: Any) -> Factor:
    factor: Factor = bernoulli(keep, scale)
    return factor


def _drop_connect(run: Forward, layer: Any, x: Any) -> Any:
    """Dropped weights: each output has the moments it would have if the inputs were dropped for it alone.

    So the masks add variance, and no covariance between outputs.
    """
    keep = 1.0 - layer.p
    known = x if isinstance(x, Normal) else multiplied(run, x, bernoulli(1.0))
    scale = kept_scale(layer.mode, keep)
    dropped = multiplied(run, known, bernoulli(keep, scale))
    weight = layer.weight.to(known.mean.dtype)
    bias = None if layer.bias is None else layer.bias.to(known.mean.dtype)

    def power(part: Any, k: int) -> Any:
        return layer._shared(part, powered(weight, k), None)

    terms = weight[:, 0].numel() if "Transpose" in type(layer).__name__ else weight[0].numel()
    added: Any = 0.0
    if bias is not None and layer.mask_bias:
        added = bias.square() * keep * layer.p * scale**2
        bias = bias * (keep * scale)
    mean = layer._shared(dropped.mean, weight, bias)
    if bias is not None and layer.mask_bias and not isinstance(layer, DropConnectLinear):
        added = added.reshape(-1, *(1 for _ in mean.shape[2:]))
    variance = power(dropped.variance, 2) + added
    kept = run.linear(known, mean, lambda part, k: power(part, k) * (keep * scale) ** k)
    covariance = kept.covariance
    if covariance is not None:
        own = power(dropped.variance - (keep * scale) ** 2 * known.variance, 2) + added
        covariance = covariance.clone()
        covariance.diagonal(dim1=1, dim2=2).add_(own.reshape(len(mean), -1))
    result = run.behind(
        mean,
        variance,
        kept.parents,
        cumulants=dropped.cumulants.mapped(power) if dropped.cumulants is not None and terms <= MOST_TERMS else None,
        covariance=covariance,
        noise=run.new_noise(),
    )
    how = "mean and variance over the masks; places that share a mask taken as independent"
    linear = isinstance(layer, DropConnectLinear) and mean.dim() == 2
    run.note(type(layer).__name__, "mean and variance over the masks" if linear else how, result)
    return result


_LAYERS: dict[type[nn.Module], LayerRule] = {
    Dropout: _dropout,
    AlphaDropout: _alpha_dropout,
    GaussianDropout: _gaussian_dropout,
    GaussianNoise: _gaussian_noise,
    StochasticDepth: _stochastic_depth,
    ShakeDrop: _shake_drop,
    MapDropBlock: _drop_block,
    _DropConnect: _drop_connect,
}
