"""Errors of calls with arguments that a function does not have: they name the right one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from augreg.steps.suggestions import nearest

__all__ = ["explains"]

_Function = TypeVar("_Function", bound=Callable[..., Any])


def explains(name: str, hints: Mapping[str, str]) -> Callable[[_Function], _Function]:
    """Let the TypeError for arguments that a function does not have say what to do instead.

    `name` is the function as users write it, and `hints` what to say of an argument; that of "" is for any other one,
    and for too many arguments.
    """

    def decorate(function: _Function) -> _Function:
        @functools.wraps(function)
        def explained(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except TypeError:
                why = _why(function, args, kwargs)
                if why:
                    raise TypeError(f"{name} {why}") from None
                raise

        def _why(function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
            parameters = inspect.signature(function).parameters
            kinds = [one.kind for one in parameters.values()]
            known = [key for key in parameters if key not in ("self", "cls")]
            unknown = () if inspect.Parameter.VAR_KEYWORD in kinds else (key for key in kwargs if key not in known)
            takes = ", ".join(known)
            otherwise = f"; {hints.get('', f'it takes {takes}')}"
            for key in unknown:
                hint = f"; {hints[key]}" if key in hints else nearest(key, known) or otherwise
                return f"has no argument {key!r}{hint}"
            by_name = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD)
            if len(args) > sum(kind not in by_name for kind in kinds):
                return f"got too many arguments{otherwise}"
            return ""

        return explained  # type: ignore[return-value]

    return decorate
