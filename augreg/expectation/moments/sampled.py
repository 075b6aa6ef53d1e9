"""Monte Carlo for what has no rule: normal samples go in, and the moments of what comes out are those of samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

from augreg.expectation.moments.forward import Forward, wide
from augreg.expectation.moments.normal import Normal, NormalTensor
from augreg.expectation.moments.softmax_mean import root

__all__ = ["sampled"]


def sampled(run: Forward, name: str, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """The moments of what a function returns, over samples of its random arguments and over its own noise.

    Random arguments are drawn independently of one another. Each sample is seeded by the settings, its number and how
    many steps came before, so that a run can be repeated.
    """
    settings = run.settings
    draw = _sampler(run, len(run.steps))
    first: Any = None
    totals: list[Any] = []
    run.plain += 1
    try:
        for number in range(settings.samples):
            torch.manual_seed(settings.seed * 1_000_003 + len(run.steps) * 1009 + number)
            one_args, one_kwargs = tree_map(draw, (args, kwargs))
            output = function(*one_args, **one_kwargs)
            leaves, structure = tree_flatten(output)
            if first is None:
                first = structure
                totals = [_Total(run, leaf) if _is_float(leaf) else leaf for leaf in leaves]
            for total, leaf in zip(totals, leaves, strict=True):
                if isinstance(total, _Total):
                    total.add(leaf)
    finally:
        run.plain -= 1
    noise = run.new_noise().union(
        *(value.normal.noise for value in tree_flatten((args, kwargs))[0] if isinstance(value, NormalTensor))
    )
    found = [total.normal(noise) if isinstance(total, _Total) else total for total in totals]
    normals = [each for each in found if isinstance(each, Normal)]
    how = f"Monte Carlo, {settings.samples} samples; independent of what was computed before"
    run.note(name, how, normals[0] if normals else None)
    return tree_unflatten([NormalTensor.of(each) if isinstance(each, Normal) else each for each in found], first)


def _is_float(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def _sampler(run: Forward, step: int) -> Callable[[Any], Any]:
    """A function that replaces a random tensor by a sample of it, each time another one."""
    generator = torch.Generator().manual_seed(run.settings.seed * 1_000_003 + step)
    roots: dict[int, Tensor] = {}

    def draw(value: Any) -> Any:
        if not isinstance(value, NormalTensor):
            return value
        normal = value.normal
        noise = torch.randn(normal.shape, generator=generator, dtype=torch.float64).to(normal.mean)
        if normal.covariance is None:
            return normal.mean + noise * normal.variance.clamp(min=0.0).sqrt()
        if normal.number not in roots:
            roots[normal.number] = root(normal.covariance)
        change = roots[normal.number] @ noise.reshape(len(noise), -1, 1)
        return normal.mean + change.reshape(normal.shape)

    return draw


class _Total:
    """Running moments of the samples of a tensor: Welford's, with the covariance where it is affordable."""

    def __init__(self, run: Forward, like: Tensor) -> None:
        like = wide(like)
        self.count = 0
        self.mean = torch.zeros_like(like)
        self.squares = torch.zeros_like(like)
        self.products: Tensor | None = None
        if like.dim() > 1 and run.affords(len(like), like[0].numel(), like[0].numel()):
            units = like[0].numel()
            self.products = like.new_zeros(len(like), units, units)

    def add(self, value: Tensor) -> None:
        """Add a sample."""
        value = wide(value)
        self.count += 1
        before = value - self.mean
        self.mean = self.mean + before / self.count
        after = value - self.mean
        self.squares += before * after
        if self.products is not None:
            self.products += before.flatten(1).unsqueeze(2) * after.flatten(1).unsqueeze(1)

    def normal(self, noise: frozenset[tuple[int, str]]) -> Normal:
        """The moments of the samples, which depend on this noise."""
        degrees = self.count - 1
        products = None if self.products is None else (self.products + self.products.transpose(1, 2)) / (2 * degrees)
        return Normal(self.mean, self.squares / degrees, covariance=products, noise=noise)
