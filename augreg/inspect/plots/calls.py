"""What the functions of the plots share: the checks of their numbers, and the state of torch's generator."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

__all__ = ["check_least", "keeping_generator"]

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def keeping_generator(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """The function, after which torch's generator is as it was before: a plot must not change a training run."""

    @functools.wraps(function)
    def call(*arguments: _Arguments.args, **keywords: _Arguments.kwargs) -> _Result:
        import torch

        with torch.random.fork_rng(devices=[]):
            return function(*arguments, **keywords)

    return call


def check_least(function: str, least: int, **numbers: int) -> None:
    """Raise ValueError for the first of these numbers that is too small."""
    for name, number in numbers.items():
        if number < least:
            raise ValueError(f"{function}: {name} must be at least {least}, got {number!r}")
