"""Records which modules of a model draw random numbers while it runs.

Operators that draw carry torch's tag `nondeterministic_seeded`. A draw belongs to the innermost module whose code is
running: the innermost Python frame whose `self` is a module of the model. So functional dropout, methods that are
called directly, and layers that hooks call are all found. Draws that no operator shows (Python's and NumPy's global
generators, kernels of other libraries) are found by the states of the generators, which are compared whenever a
module begins or ends.
"""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.overrides import TorchFunctionMode

from augreg.expectation.noise.kept_state import global_generators
from augreg.expectation.noise.operator_mode import OperatorMode
from augreg.nn.masks import SeededSource

__all__ = ["Draw", "DrawRecorder", "modules_in"]

_RATES = ("p", "drop_prob", "dropout_p", "dropout", "drop")
"""What functions that draw call their probability."""


@dataclass(frozen=True)
class Draw:
    """Random numbers that a module drew: by what, and whether they are a function of a seed."""

    name: str
    by: str
    seeded: bool = False


@dataclass
class DrawRecorder:
    """Records a run of a model: `with recorder: model(x)`.

    `names` has the name of each module by its id. `called` are the names of the modules that were called, `draws` is
    what drew, and `inactive` are functions such as `F.dropout` that were told not to draw; both without repetition.
    """

    names: Mapping[int, str]
    called: set[str] = field(default_factory=set)
    draws: dict[Draw, None] = field(default_factory=dict)
    inactive: dict[Draw, None] = field(default_factory=dict)

    def __enter__(self) -> DrawRecorder:
        self._base = sys._getframe(1)  # what lies outside is not the model's
        self._running: list[str] = []
        self._states = global_generators()
        self._open = contextlib.ExitStack()
        begins = register_module_forward_pre_hook(self._begins)
        ends = register_module_forward_hook(self._ends)
        self._open.callback(begins.remove)
        self._open.callback(ends.remove)
        self._open.enter_context(_Functions(self))
        self._open.enter_context(_Operators(self))
        return self

    def __exit__(self, *error: Any) -> None:
        self._open.close()

    def saw_operator(self, operator: str) -> None:
        """Note that an operator draws, called by the running code."""
        draw = _draw(self._frames(), self.names, operator)
        if draw is not None:
            self.draws[draw] = None
        self._states = global_generators()

    def saw_inactive(self, function: str) -> None:
        """Note that a function was told not to draw."""
        draw = _draw(self._frames(), self.names, function)
        if draw is not None:
            self.inactive[draw] = None

    def _frames(self) -> Iterator[FrameType]:
        """The frames of the running code, innermost first."""
        for frame, _ in traceback.walk_stack(sys._getframe(2)):
            if frame is self._base:
                return
            yield frame

    def _begins(self, module: nn.Module, inputs: Any) -> None:
        if id(module) in self.names:
            self._compare_states()
            self._running.append(self.names[id(module)])
            self.called.add(self._running[-1])

    def _ends(self, module: nn.Module, inputs: Any, output: Any) -> None:
        name = self.names.get(id(module))
        if name in self._running:
            self._compare_states()
            while self._running.pop() != name:
                pass

    def _compare_states(self) -> None:
        """Attribute a change of a generator since the last comparison to the module that has been running."""
        states = global_generators()
        for generator, state in states.items():
            if self._running and not _same(self._states.get(generator, state), state):
                self.draws[Draw(self._running[-1], generator)] = None
        self._states = states


def modules_in(error: BaseException, names: Mapping[int, str]) -> list[str]:
    """The modules whose code raised an error, innermost first."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    found = [names[id(owner)] for frame in reversed(frames) if id(owner := _owner(frame)) in names]
    return list(dict.fromkeys(found))


def _draw(frames: Iterable[FrameType], names: Mapping[int, str], operator: str) -> Draw | None:
    """The draw of an operator called in these frames: named by an attached layer, a function, or the operator.

    None if no module of the model is running.
    """
    function, layer, seeded = "", "", False
    for frame in frames:
        owner = _owner(frame)
        seeded = seeded or isinstance(owner, SeededSource)
        if owner is None:
            function = function or _described(frame)
        elif isinstance(owner, nn.Module):
            if id(owner) in names:
                by = "seeded mask" if seeded else operator
                return Draw(names[id(owner)], layer or function or by, seeded)
            layer = layer or f"attached {type(owner).__name__}"
    return None


def _owner(frame: FrameType) -> Any:
    """The object whose method a frame runs, or the module that a function takes first; None for other functions."""
    first = frame.f_locals.get(frame.f_code.co_varnames[0]) if frame.f_code.co_argcount else None
    return first if isinstance(first, nn.Module) else frame.f_locals.get("self")


def _described(frame: FrameType) -> str:
    """A function of torch.nn.functional or of another library, such as "drop_path(drop_prob=0.1)"; otherwise ""."""
    module = frame.f_globals.get("__name__", "")
    if module != "torch.nn.functional" and module.partition(".")[0] in ("torch", "augreg"):
        return ""
    values = frame.f_locals
    rates = (f"({name}={values[name]:g})" for name in _RATES if isinstance(values.get(name), float))
    return f"{frame.f_code.co_name}{next(rates, '')}"


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return bool(np.array_equal(one.numpy(), other.numpy()))
    if isinstance(one, tuple) and len(one) == 5:  # of NumPy: a name, an array and three numbers
        return bool(one[2:] == other[2:] and np.array_equal(one[1], other[1]))
    return bool(one == other)


class _Operators(OperatorMode):
    """Tells the recorder of operators that draw."""

    def __init__(self, recorder: DrawRecorder) -> None:
        super().__init__()
        self.recorder = recorder

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operator, and note it if it draws."""
        out = func(*args, **(kwargs or {}))
        if torch.Tag.nondeterministic_seeded in getattr(func, "tags", ()) and _draws(func, args, kwargs or {}):
            self.recorder.saw_operator(func._schema.name.partition("::")[2].strip("_"))
        return out


def _draws(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether an operator with the tag draws with these arguments: attention has it without dropout, too."""
    arguments = func._schema.arguments
    given = {argument.name: argument.default_value for argument in arguments if argument.has_default_value()}
    given |= dict(zip((argument.name for argument in arguments), args, strict=False)) | kwargs
    off = any(given.get(name) is False for name in ("train", "training"))
    return not off and all(given.get(name) != 0.0 for name in ("dropout_p", "dropout"))


class _Functions(TorchFunctionMode):
    """Tells the recorder of functional dropout that was told not to draw."""

    def __init__(self, recorder: DrawRecorder) -> None:
        super().__init__()
        self.recorder = recorder

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run a function, and note it if it would draw in training."""
        name = getattr(func, "__name__", "")
        if "dropout" in name and _is_inactive(args, kwargs or {}):
            self.recorder.saw_inactive(name)
        return func(*args, **(kwargs or {}))


def _is_inactive(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether dropout is given p > 0 and training = False; torch.dropout(x, p, train) takes no keywords."""
    p, training = kwargs.get("p"), kwargs.get("training")
    if len(args) == 3:
        _, p, training = args
    return training is False and bool(p)
