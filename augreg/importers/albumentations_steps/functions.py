"""The translator of Lambda: the step `call` runs its function, where the program allows a spec to do so."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from typing import Any

from augreg.importers.albumentations_steps.arguments import probability
from augreg.importers.translation import Parameters, Steps, Translation, Translator, UnsupportedError
from augreg.registry.foreign import function_name

__all__ = ["TRANSLATORS"]


def _lambda(params: Parameters, walk: Translation) -> Steps:
    functions = {key: each for key, each in params.values["functions"].items() if not _does_nothing(each)}
    params.ignore("functions")
    options = probability(params)
    function = functions.pop("image", None)
    if not functions and function is None:
        return []
    if function is None:
        raise UnsupportedError(f"a step changes the image, and this Lambda only {', '.join(functions)}")
    function, arguments = _parts(function)
    try:
        name = function_name(function)
    except ValueError as error:
        raise UnsupportedError(str(error)) from None
    needed = _needed(function, arguments)
    if needed:
        raise UnsupportedError(f"{name} needs {', '.join(needed)}, and `call` passes the image alone")
    walk.registry = walk.registry.allow(name)
    params.note(
        f"a spec may only call a function that the program allows: "
        f"Pipeline.from_spec(spec, Registry.installed().allow({name!r}))"
    )
    step = {"function": name, **({"arguments": arguments} if arguments else {}), **options}
    if functions:
        params.note(f"its functions for {', '.join(functions)} are not kept: samples with these are refused")
        step["geometry"] = True
    return [{"call": step}]


def _does_nothing(function: Any) -> bool:
    module = str(getattr(function, "__module__", ""))
    return function is None or (module.startswith("albumentations") and getattr(function, "__name__", "") == "noop")


def _parts(function: Any) -> tuple[Any, Mapping[str, Any]]:
    """The function of a partial, and its keywords."""
    if isinstance(function, functools.partial) and not function.args:
        return function.func, function.keywords
    return function, {}


def _needed(function: Any, arguments: Mapping[str, Any]) -> list[str]:
    """The parameters that a call with the image alone leaves out."""
    try:
        parameters = list(inspect.signature(function).parameters.values())[1:]
    except (TypeError, ValueError):  # of a function in C
        return []
    fixed = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    empty = inspect.Parameter.empty
    return [
        each.name
        for each in parameters
        if each.default is empty and each.kind not in fixed and each.name not in arguments
    ]


TRANSLATORS: Mapping[str, Translator] = {"Lambda": _lambda}
"""The translators by class name."""
