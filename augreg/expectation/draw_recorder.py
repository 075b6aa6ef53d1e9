"""Records which modules of a model draw random numbers while it runs.

Operators that draw carry torch's tag `nondeterministic_seeded`. A draw belongs to the innermost module whose code is
running: the innermost Python frame whose `self` is a module of the model. So functional dropout, methods that are
called directly, and layers that hooks call are all found. Draws that no operator shows (Python's and NumPy's global
generators, kernels of other libraries) are found by the states of the generators, which are compared whenever a module
begins or ends.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import FrameType, TracebackType
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from augreg.nn.masks import SeededSource

__all__ = ["Draw", "DrawRecorder", "modules_in"]

_DROPOUTS = {"multi_head_attention_forward": "dropout_p", "lstm": "", "gru": "", "rrelu": "upper"}
"""Functions with an argument `training`, and which argument says how much they draw; those called dropout have p."""


@dataclass(frozen=True)
class Draw:
    """Random numbers that a module drew: by what, through which attached layer ("" for none), and from a seed?"""

    name: str
    by: str
    layer: str = ""
    seeded: bool = False


@dataclass
class DrawRecorder:
    """Records one run of a model: `with recorder: model(x)`.

    `names` has the name of each module by its id. `draws` are what drew, in order; `called` are the modules that were
    called; `inactive` are functions such as `F.dropout` that were told not to draw, although their module is in
    training.
    """

    names: Mapping[int, str]
    draws: dict[Draw, int] = field(default_factory=dict)
    called: set[str] = field(default_factory=set)
    inactive: dict[Draw, int] = field(default_factory=dict)

    def __enter__(self) -> DrawRecorder:
        self._running: list[str] = [""]
        self._states = _generator_states()
        register = torch.nn.modules.module
        self._handles = [
            register.register_module_forward_pre_hook(self._begins),
            register.register_module_forward_hook(self._ends),
        ]
        self._modes = [_Functions(self), _Operators(self)]
        for mode in self._modes:
            mode.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        for mode in reversed(self._modes):
            mode.__exit__(*error)
        for handle in self._handles:
            handle.remove()
        self._compare_states()

    def saw_operator(self, by: str) -> None:
        """Note that an operator draws, called by the running code."""
        name, layer, seeded = innermost(_frames(sys._getframe(2)), self.names)
        draw = Draw(name, "seeded mask" if seeded else by, layer, seeded)
        self.draws[draw] = self.draws.get(draw, 0) + 1
        self._states = _generator_states()

    def saw_inactive(self, by: str) -> None:
        """Note that a function was told not to draw."""
        name, layer, _ = innermost(_frames(sys._getframe(2)), self.names)
        draw = Draw(name, by, layer)
        self.inactive[draw] = self.inactive.get(draw, 0) + 1

    def _begins(self, module: nn.Module, inputs: Any) -> None:
        if id(module) in self.names:
            self._compare_states()
            self._running.append(self.names[id(module)])
            self.called.add(self._running[-1])

    def _ends(self, module: nn.Module, inputs: Any, output: Any) -> None:
        name = self.names.get(id(module))
        if name in self._running[1:]:
            self._compare_states()
            while self._running.pop() != name:
                pass

    def _compare_states(self) -> None:
        """Attribute a change of a generator since the last comparison to the module that has been running."""
        states = _generator_states()
        for by, state in states.items():
            if not _same(self._states.get(by, state), state):
                draw = Draw(self._running[-1], by)
                self.draws[draw] = self.draws.get(draw, 0) + 1
        self._states = states


def modules_in(error: BaseException, names: Mapping[int, str]) -> list[str]:
    """The modules whose code raised an error, innermost first."""
    frames = _traceback_frames(error.__traceback__)
    found = [names[id(owner)] for frame in reversed(frames) if id(owner := _owner(frame)) in names]
    return list(dict.fromkeys(found))


def innermost(frames: Iterator[FrameType], names: Mapping[int, str]) -> tuple[str, str, bool]:
    """The module whose code is running, the layer attached to it that runs ("" for none), and whether it is seeded."""
    layer, seeded = "", False
    for frame in frames:
        owner = _owner(frame)
        seeded = seeded or isinstance(owner, SeededSource)
        if isinstance(owner, nn.Module):
            if id(owner) in names:
                return names[id(owner)], layer, seeded
            layer = layer or type(owner).__name__
    return "", layer, seeded


def _owner(frame: FrameType) -> Any:
    return frame.f_locals.get("self")


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _traceback_frames(traceback: TracebackType | None) -> list[FrameType]:
    frames = []
    while traceback is not None:
        frames.append(traceback.tb_frame)
        traceback = traceback.tb_next
    return frames


def _generator_states() -> dict[str, Any]:
    """The states of the global generators that a forward may draw from."""
    states: dict[str, Any] = {
        "random": random.getstate(),
        "numpy.random": np.random.get_state(legacy=True),
        "torch on cpu": torch.get_rng_state(),
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        for index in range(torch.cuda.device_count()):
            states[f"torch on cuda:{index}"] = torch.cuda.get_rng_state(index)
    return states


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, tuple) and len(one) == 5:  # NumPy's: a name, an array and three numbers
        return one[2:] == other[2:] and bool(np.array_equal(one[1], other[1]))
    return bool(one == other)


class _Operators(TorchDispatchMode):
    """Tells the recorder of operators that draw."""

    def __init__(self, recorder: DrawRecorder) -> None:
        super().__init__()
        self.recorder = recorder

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operator, and note it if it draws."""
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if torch.Tag.nondeterministic_seeded in func.tags and _draws(func, args, kwargs):
            self.recorder.saw_operator(func._schema.name.partition("::")[2].strip("_"))
        return out


def _draws(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether an operator with this tag draws with these arguments: attention has the tag without dropout, too."""
    names = [argument.name for argument in func._schema.arguments]
    given = {
        **{a.name: a.default_value for a in func._schema.arguments if a.has_default_value()},
        **dict(zip(names, args, strict=False)),
        **kwargs,
    }
    if given.get("train", True) is False or given.get("training", True) is False:
        return False
    return all(given.get(name, 1.0) != 0.0 for name in ("dropout_p", "dropout"))


class _Functions(TorchFunctionMode):
    """Tells the recorder of functional dropout that was told not to draw."""

    def __init__(self, recorder: DrawRecorder) -> None:
        super().__init__()
        self.recorder = recorder

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run a function, and note it if it would draw in training."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if _is_inactive(func, name, args, kwargs):
            self.recorder.saw_inactive(name)
        return func(*args, **kwargs)


def _is_inactive(func: Callable[..., Any], name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a function with an argument `training` has it False, and would draw if it were True."""
    if "dropout" not in name and name not in _DROPOUTS:
        return False
    if "training" in kwargs:
        amount = kwargs.get(_DROPOUTS.get(name, "p"))
        if amount is None and name == "multi_head_attention_forward":
            amount = args[10] if len(args) > 10 else 0.0
        return not kwargs["training"] and bool(amount)
    return len(args) == 3 and "dropout" in name and args[2] is False and bool(args[1])  # torch.dropout(x, p, train)
