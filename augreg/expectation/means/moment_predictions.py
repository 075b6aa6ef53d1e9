"""Predictions from the moments of a model's outputs, which one pass propagates, in place of samples."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.quasirandom import SobolEngine

from augreg.expectation.means.model_inputs import Arguments
from augreg.expectation.means.outputs import Output, check_outputs, entropy_of, selected_output
from augreg.expectation.means.settings import Settings
from augreg.expectation.moments import Moments, propagate
from augreg.expectation.moments.conditions import Condition
from augreg.expectation.moments.softmax_mean import root
from augreg.expectation.noise.find_noise import NoiseReport

__all__ = ["moment_output", "normal_output"]

_POINTS = 1024
"""Points at which the probabilities of normal logits are averaged."""
_REPEATS = 8
"""Independent scramblings of the points, whose spread is the error of the integration."""
_MOST_NUMBERS = 1 << 22


def moment_output(model: nn.Module, noise: NoiseReport, arguments: Arguments, settings: Settings) -> Output:
    """What the outputs of a model for these arguments are on average over its noise, by one pass of moments.

    Raises NotImplementedError that names layers without a rule.
    """
    positional, named = arguments
    if positional and named:
        raise TypeError('by="moments" takes arguments all by position, or all by name')
    select = None if settings.select is None else lambda output: selected_output(output, settings.select)
    moments = propagate(
        model,
        positional or named,
        monte_carlo=settings.monte_carlo,
        only=settings.only if "model" in settings.over else None,
        noise=noise,
        select=select,
        seed=settings.seed,
        memory=settings.memory or 1 << 28,
    )
    check_outputs(moments.mean, settings.space, settings.multi_label)
    return normal_output(moments, settings.space, settings.multi_label, settings.seed)


def normal_output(moments: Moments, space: str, multi_label: bool, seed: int) -> Output:
    """The mean of what is averaged, of the probabilities and of the entropies, for normal outputs.

    Where noise of whole images was held at its values, the outputs are normal under each of these conditions.
    """
    mean = Output.of(moments.mean, space, multi_label)
    if mean.probabilities is None:
        return mean
    whole = Condition(1.0, moments.mean, moments.variance, moments.covariance)
    probabilities, entropies = [], []
    for repeat in range(_REPEATS):
        found = [
            [each.weight * part for part in _sums(each, multi_label, seed * _REPEATS + repeat)]
            for each in moments.conditions or (whole,)
        ]
        totals = [torch.stack(parts).sum(0) / (_POINTS // _REPEATS) for parts in zip(*found, strict=True)]
        probabilities.append(totals[0].clamp(0.0, 1.0))  # some weights may be negative
        entropies.append(totals[1].clamp(min=0.0))
    stacked = torch.stack(probabilities).to(mean.values.dtype)
    if moments.conditions and not multi_label:
        stacked /= stacked.sum(2, keepdim=True)
    average, error = stacked.mean(0), stacked.std(0) / _REPEATS**0.5
    values = mean.values if space == "logit" else average
    return Output(
        values,
        average,
        torch.stack(entropies).mean(0).to(values.dtype),
        torch.zeros_like(values) if space == "logit" else error,
    )


def _sums(condition: Condition, multi_label: bool, seed: int) -> list[Tensor]:
    """The sums of the probabilities and of the entropies over points of the normal distribution of the outputs."""
    deviation = condition.variance.clamp(min=0.0).sqrt().flatten(1)
    factor = None if condition.covariance is None else root(condition.covariance)
    units, rows = deviation.shape[1], len(deviation)
    points = _normal_points(_POINTS // _REPEATS, units, seed).to(deviation)
    sums: list[Tensor] = []
    for part in points.split(max(1, _MOST_NUMBERS // max(1, rows * units))):
        change = part[:, None] * deviation if factor is None else torch.einsum("pu,nvu->pnv", part, factor)
        logits = condition.mean + change.unflatten(2, condition.mean.shape[1:])
        one = logits.sigmoid() if multi_label else logits.softmax(2)
        entropy = entropy_of(one.flatten(0, 1), multi_label)
        found = [one.sum(0), entropy.unflatten(0, one.shape[:2]).sum(0)]
        sums = found if not sums else [total + more for total, more in zip(sums, found, strict=True)]
    return sums


def _normal_points(count: int, units: int, seed: int) -> Tensor:
    """Quasi-random normal vectors, count x units; plain random ones where Sobol's points have too few dimensions."""
    if units <= SobolEngine.MAXDIM:
        uniform = SobolEngine(units, scramble=True, seed=seed).draw(count, dtype=torch.float64)
    else:
        uniform = torch.rand(count, units, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    edge = torch.finfo(torch.float64).eps
    return torch.special.ndtri(uniform.clamp(edge, 1 - edge))
