"""The forward pass of a model in which random tensors are represented by their moments."""

from __future__ import annotations

import fnmatch
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_map

from augreg.expectation.moments.conditions import ImageFactors
from augreg.expectation.moments.normal import Cumulants, Normal, NormalTensor, Push, pushed_twice

__all__ = ["DRAWS", "RULES", "Forward", "Settings", "Step", "Unknown", "has_normal", "rule", "wide"]

Rule = Callable[..., Any]
RULES: dict[str, Rule] = {}
"""What computes the moments behind a function of torch, by the function's name."""

DRAWS: dict[str, Rule | None] = {}
"""The functions that draw, by name, which make random tensors of plain ones; None for those without a rule."""

MOST_TERMS = 128
"""Sums of more terms count as normal: an excess kurtosis of the terms is that much smaller in the sum."""

MOST_UNITS = 128
"""The units of an image up to which covariance="auto" keeps covariances: layers then run on so many rows."""


def rule(*names: str, draws: bool = False) -> Callable[[Rule], Rule]:
    """A decorator: this computes the moments behind functions of these names.

    It gets the `Forward` and the function, and the function's arguments with a `Normal` for each random tensor.
    """

    def register(function: Rule) -> Rule:
        for name in names:
            (DRAWS if draws else RULES)[name] = function
        return function

    return register


@dataclass(frozen=True)
class Settings:
    """How moments are propagated; see `propagate`. `memory` is in bytes."""

    covariance: bool | str
    fourth_cumulant: bool
    monte_carlo: tuple[str, ...]
    samples: int
    seed: int
    memory: int
    conditions: int


@dataclass(frozen=True)
class Step:
    """What was done at one place: the module's name, the function or layer, and how it was computed.

    `covariance` is whether it was kept behind the step; `assumes_independence` whether something that shares
    noise was taken as independent.
    """

    name: str
    function: str
    how: str
    covariance: bool
    assumes_independence: bool = False


@dataclass(frozen=True)
class Unknown:
    """A function or layer whose moments are not known, at the module of this name."""

    name: str
    function: str

    def __str__(self) -> str:
        return f"{self.name or '(the model)'}: {self.function}"


@dataclass(eq=False)
class Forward(TorchFunctionMode):
    """Replaces functions of torch by their rules wherever a tensor is random; all others run as they are."""

    settings: Settings
    sampled: Callable[..., Any]  # Monte Carlo of a function
    steps: list[Step] = field(default_factory=list)
    unknown: dict[Unknown, None] = field(default_factory=dict)
    names: list[str] = field(default_factory=lambda: [""])
    plain: int = 0  # inside a sampled module nothing is replaced
    image_factors: ImageFactors | None = None  # None: they are multiplied by their moments, as other noise

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Called by torch for each function."""
        kwargs = kwargs or {}
        if self.plain:
            return func(*args, **kwargs)
        name = name_of(func)
        if any(issubclass(cls, NormalTensor) for cls in types) or has_normal((args, kwargs)):
            return self._replaced(func, name, args, kwargs)
        if name in DRAWS:
            return self._drawn(func, name, args, kwargs)
        return func(*args, **kwargs)

    def _replaced(self, func: Any, name: str, args: Any, kwargs: Any) -> Any:
        if name in _READS:
            return func(*tree_map(_mean, args), **tree_map(_mean, kwargs))
        found = DRAWS.get(name) or RULES.get(name)
        inner_args, inner_kwargs = tree_map(_normal, (args, kwargs))
        result = None if found is None else found(self, func, *inner_args, **inner_kwargs)
        if result is None:
            result = self._without_rule(func, name, args, kwargs)
        return self._written(name, args, kwargs, tree_map(_tensor, result))

    def _drawn(self, func: Any, name: str, args: Any, kwargs: Any) -> Any:
        found = DRAWS[name]
        result = None if found is None else found(self, func, *args, **kwargs)
        if result is None:
            return self._without_rule(func, name, args, kwargs)
        return self._written(name, args, kwargs, tree_map(_tensor, result))

    def _written(self, name: str, args: Any, kwargs: Any, result: Any) -> Any:
        """The result, written to the first argument by functions that work in place."""
        inplace = kwargs.get("inplace") is True or (name.endswith("_") and not name.endswith("__"))
        if (inplace or name in _ASSIGNS) and args and isinstance(result, NormalTensor):
            first = args[0]
            if isinstance(first, NormalTensor) and first.shape == result.shape:
                first.data = _mean(result)  # the old mean stays for what is still to be computed of it
                first.hold(result.normal)
                return first
        return result

    def _without_rule(self, func: Any, name: str, args: Any, kwargs: Any) -> Any:
        """The result of a function without a rule: by Monte Carlo if that was chosen, else noted as unknown."""
        place = self.names[-1]
        if any(":" in pattern and fnmatch.fnmatchcase(f"{place}:{name}", pattern) for pattern in self._patterns):
            return self.sampled(self, name, func, args, kwargs)
        self.unknown[Unknown(place, name)] = None
        self.plain += 1
        try:  # go on with the means, to find what else has no rule
            return tree_map(_certain, func(*tree_map(_mean, args), **tree_map(_mean, kwargs)))
        finally:
            self.plain -= 1

    @property
    def _patterns(self) -> tuple[str, ...]:
        return self.settings.monte_carlo

    def samples_module(self, name: str) -> bool:
        """Whether Monte Carlo was chosen for the module of this name."""
        return any(":" not in pattern and fnmatch.fnmatchcase(name, pattern) for pattern in self._patterns)

    def note(self, function: str, how: str, result: Normal | None = None, assumes: bool = False) -> None:
        """Add a line to the report. `assumes`: what shares noise was taken as independent."""
        kept = result is not None and result.covariance is not None
        self.steps.append(Step(self.names[-1], function, how, kept, assumes))

    def affords(self, *counts: int) -> bool:
        """Whether covariances batch x n x m are kept: one tensor may have a quarter of the memory."""
        batch, rows, columns = counts
        if self.settings.covariance == "auto":
            fits = batch * rows * columns * 8 <= self.settings.memory // 4
            return fits and max(rows, columns) <= MOST_UNITS
        return bool(self.settings.covariance)

    def full_covariance(self, x: Normal) -> Tensor | None:
        """The covariance of all units; that of independent ones if none was kept. None if it is not affordable."""
        if x.covariance is not None:
            return x.covariance
        if x.mean.dim() < 2 or not self.affords(len(x.mean), x.units, x.units):
            return None
        return torch.diag_embed(x.variance.reshape(len(x.mean), -1))

    def behind(self, mean: Tensor, variance: Tensor, parents: Iterable[tuple[Normal, Push]], **known: Any) -> Normal:
        """The random tensor computed from others. Its variance is the diagonal of a covariance, if one is given."""
        covariance = known.get("covariance")
        if covariance is not None:
            variance = covariance.diagonal(dim1=1, dim2=2).clamp(min=0.0).reshape(mean.shape)
        parents = [*parents]
        shared = known.pop("shared", False) or any(parent.shared for parent, _ in parents)
        noise = known.pop("noise", frozenset()).union(*(parent.noise for parent, _ in parents))
        kept = []
        if self.settings.covariance is not False and mean.dim() > 1:
            for parent, push in parents:
                if self.affords(len(parent.mean), parent.units, parent.units):
                    parent.children += 1
                    kept.append((parent, push))
        return Normal(mean, variance, parents=tuple(kept), shared=shared, noise=noise, **known)

    def new_noise(self) -> frozenset[tuple[int, str]]:
        """A number for noise that is drawn here, with the name of the module."""
        return frozenset({(next(_noise_numbers), self.names[-1] or "(the model)")})

    def linear(self, x: Normal, mean: Tensor, power: Callable[[Tensor, int], Tensor], terms: int = 1) -> Normal:
        """The random tensor behind a linear map: `power(t, k)` is the map with each weight raised to the k-th power.

        Sums of independent units have the sums of the cumulants. Those of many terms (`terms`) are normal.
        """

        def push(rows: Tensor) -> Tensor:
            return power(rows.flatten(0, 1), 1).unflatten(0, rows.shape[:2])

        batch, units = len(mean), mean[0].numel() if len(mean) else 0
        covariance = None
        if mean.dim() > 1 and self.affords(batch, units, max(units, x.units)):
            before = self.full_covariance(x)
            covariance = None if before is None else pushed_twice(before, push, x.shape)
        return self.behind(
            mean,
            power(x.variance, 2) if covariance is None else x.variance,
            [(x, push)],
            cumulants=x.cumulants.mapped(power) if x.cumulants is not None and terms <= MOST_TERMS else None,
            covariance=covariance,
        )

    def elementwise(
        self,
        x: Normal,
        mean: Tensor,
        variance: Tensor,
        gain: Tensor,
        between: Tensor | None,
        cumulants: Cumulants | None = None,
    ) -> Normal:
        """The random tensor behind an elementwise function with this mean derivative (`gain`).

        `between` is the covariance of the units; its diagonal is replaced by the variance.
        """

        def push(rows: Tensor) -> Tensor:
            return rows * gain

        if between is not None:
            between = between.clone()
            between.diagonal(dim1=1, dim2=2).copy_(variance.reshape(len(mean), -1))
        known = {"covariance": between, "independent": x.independent, "cumulants": cumulants}
        return self.behind(mean, variance, [(x, push)], **known)


_noise_numbers = itertools.count()


def name_of(func: Any) -> str:
    """The name of a function of torch; of an attribute, such as `shape`, that of the attribute."""
    name = getattr(func, "__name__", str(func))
    return getattr(getattr(func, "__self__", None), "__name__", name) if name in ("__get__", "__set__") else name


def has_normal(values: Any) -> bool:
    """Whether there is a random tensor among these values, which may be nested."""
    return any(isinstance(value, NormalTensor) for value in tree_flatten(values)[0])


def wide(value: Tensor) -> Tensor:
    """The tensor as a plain one, in float32 or better."""
    value = value.as_subclass(Tensor) if isinstance(value, NormalTensor) else value
    return value.to(torch.promote_types(value.dtype, torch.float32))


def _mean(value: Any) -> Any:
    return value.as_subclass(Tensor) if isinstance(value, NormalTensor) else value


def _certain(value: Any) -> Any:
    if not isinstance(value, Tensor) or not value.is_floating_point():
        return value
    return NormalTensor.of(Normal(wide(value), torch.zeros_like(wide(value))))


def _normal(value: Any) -> Any:
    return value.normal if isinstance(value, NormalTensor) else value


def _tensor(value: Any) -> Any:
    return NormalTensor.of(value) if isinstance(value, Normal) else value


_READS = frozenset(
    {
        *(
            "shape",
            "dtype",
            "device",
            "ndim",
            "is_nested",
            "requires_grad",
            "layout",
            "is_cuda",
            "is_sparse",
            "grad_fn",
        ),
        *("is_quantized", "is_mkldnn", "is_meta", "is_mps", "is_xpu", "is_leaf", "size", "dim", "numel", "stride"),
        *("is_contiguous", "is_floating_point", "is_complex", "element_size", "get_device", "__len__", "nelement"),
        *("ndimension", "storage_offset", "is_inference", "__hash__", "is_tensor", "names", "has_names", "data_ptr"),
        *("new_empty", "new_zeros", "new_ones", "new_full", "zeros_like", "ones_like", "empty_like", "__bool__"),
        *("is_same_size", "is_signed", "result_type", "_version", "is_shared", "__repr__", "is_coalesced"),
    }
)
"""What only reads properties of a tensor that is random, or makes a plain one like it."""

_ASSIGNS = frozenset({"__iadd__", "__isub__", "__imul__", "__itruediv__", "__idiv__"})
