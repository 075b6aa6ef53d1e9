"""The runs that find what draws in a model: in evaluation, in training, and with each module's own mode."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from augreg.expectation.noise.draw_recorder import Draw, DrawRecorder, modules_in
from augreg.expectation.noise.modes import named_modules, training

__all__ = ["Found", "Noise", "Search", "running_eagerly"]

_MOST_FAILURES = 20  # modules that fail in training before the search ends


class Found(NamedTuple):
    """What draws in a module: functions, layers or operators; and whether from a seed."""

    by: tuple[str, ...]
    seeded: bool


@dataclass(frozen=True)
class Noise:
    """What a search found, by the names of modules. `flags` has the modules whose modes turn `draws` on."""

    draws: dict[str, Found]
    flags: dict[str, str]
    always: dict[str, Found]
    silent: dict[str, str]
    batch_norms: tuple[str, ...]
    notes: tuple[str, ...]


class Search:
    """Runs a model, whose modules are all in evaluation, with some of them in training."""

    def __init__(self, model: nn.Module, call: Callable[[], Any]) -> None:
        self.call = call
        self.modules = named_modules(model)
        self.names = {id(module): name for name, module in self.modules.items()}
        self.failed: dict[str, str] = {}

    def found(self) -> Noise:
        """Search: what draws, by which mode, and what does not."""
        evaluation, structure = self._run(())
        always = _by_module(evaluation.draws)
        drawn, inactive = self._in_training(evaluation.called)
        inactive |= evaluation.inactive  # chance may have passed by the function in training
        found = {name: each for name, each in _by_module([*drawn, *inactive]).items() if name not in always}
        flags = {name: name for name in self._own_mode_decides([*found])}
        flags |= self._mode_around_decides([name for name in found if name not in flags])
        told = _by_module(inactive)
        silent = {name: _INACTIVE.format(", ".join(told[name].by)) for name in found if name in told}
        silent |= {name: self._why_not(name, evaluation.called) for name in _by_module(drawn)}
        silent = {name: reason for name, reason in silent.items() if name not in flags and name in found}
        notes = tuple(self._notes(flags, structure))
        return Noise(found, flags, always, silent | self.failed, self._batch_norms(), notes)

    def _run(self, names: Iterable[str]) -> tuple[DrawRecorder, Any]:
        """One run with these modules in training: what it drew, and the structure of the output."""
        with training(self.modules[name] for name in names), DrawRecorder(self.names) as recorder:
            output = self.call()
        return recorder, _structure(output)

    def _in_training(self, called: set[str]) -> tuple[dict[Draw, None], dict[Draw, None]]:
        """What draws, and which functions are told not to, when modules are in training.

        All are in training at first. Chance may skip a block, and so what is in it: as long as modules are left that
        run in evaluation and did not run in training, they alone are in training in another run.
        """
        drawn: dict[Draw, None] = {}
        inactive: dict[Draw, None] = {}
        waiting = [*self.modules]
        while waiting:
            recorder = self._without_failures(waiting)
            drawn |= recorder.draws
            inactive |= recorder.inactive
            skipped = called - recorder.called
            left = [name for name in waiting if name in skipped]
            waiting = left if len(left) < len(waiting) else []
        return drawn, inactive

    def _without_failures(self, names: list[str]) -> DrawRecorder:
        """A run in training; modules that raise an error, such as for missing targets, stay in evaluation."""
        for _ in range(_MOST_FAILURES):
            now = [name for name in names if name not in self.failed]
            try:
                return self._run(now)[0]
            except Exception as error:
                # an error outside of the model comes from what the whole model returns in training
                culprit = next((name for name in [*modules_in(error, self.names), ""] if name in now), None)
                if culprit is None:
                    raise
                self.failed[culprit] = f"it cannot run in training: {type(error).__name__}: {error}"
        listed = "; ".join(f"{name or 'the model'}: {reason}" for name, reason in [*self.failed.items()][-3:])
        raise RuntimeError(f"{_MOST_FAILURES} modules cannot run in training, among them {listed}")

    def _own_mode_decides(self, names: list[str]) -> set[str]:
        """Those of the modules that draw if just they are in training. What chance skips is tried again alone."""
        decided: set[str] = set()
        waiting = names
        while waiting:
            drew = {draw.name for draw in self._run(waiting)[0].draws}
            left = [name for name in waiting if name not in drew]
            decided |= drew.intersection(waiting)
            waiting = left if len(left) < len(waiting) else []
        return decided

    def _mode_around_decides(self, names: list[str]) -> dict[str, str]:
        """The module around each of these, if there is one, whose mode lets it draw."""
        flags = {}
        for name in names:
            for outer in _around(name):
                with contextlib.suppress(Exception):  # which this mode of one module alone may raise
                    if name in {draw.name for draw in self._run([outer])[0].draws}:
                        flags[name] = outer
                        break
        return flags

    def _why_not(self, name: str, called: set[str]) -> str:
        """Why a module does not draw, although it did in training together with all others."""
        if isinstance(self.modules[name], torch.jit.ScriptModule):
            return _SCRIPTED
        return _OTHER if name in called else _TRAINING_ONLY

    def _batch_norms(self) -> tuple[str, ...]:
        return tuple(
            name
            for name, module in self.modules.items()
            if isinstance(module, _BatchNorm) and module.track_running_stats
        )

    def _notes(self, flags: Mapping[str, str], structure: Any) -> Iterator[str]:
        """Sentences about modules whose mode changes more than what is drawn."""
        around = [flag for flag in dict.fromkeys(flags.values()) if any(self.modules[flag].children())]
        if not around or self._structure(around) == structure:
            return
        for flag in around:
            if self._structure([flag]) != structure:
                yield f"{flag or 'the model'} draws only in a mode in which it also returns something else"

    def _structure(self, names: Iterable[str]) -> Any:
        """The structure of the output with these modules in training."""
        with training(self.modules[name] for name in names):
            return _structure(self.call())


_INACTIVE = "{} is told not to draw, whatever its mode is"
_OTHER = "its mode does not decide whether it draws"
_SCRIPTED = "it is scripted, and the modes of the modules in it cannot be told apart: use the module itself"
_TRAINING_ONLY = "it runs in training only, and the output in evaluation does not need it"


def _by_module(draws: Iterable[Draw]) -> dict[str, Found]:
    found: dict[str, Found] = {}
    for draw in draws:
        by, seeded = found.get(draw.name, Found((), False))
        found[draw.name] = Found((*by, draw.by) if draw.by not in by else by, seeded or draw.seeded)
    return found


def _around(name: str) -> Iterator[str]:
    """The names of the modules around a module, from the inside outwards."""
    while name:
        name = name.rpartition(".")[0]
        yield name


def _structure(output: Any) -> Any:
    """The types and shapes of an output, to compare."""
    if isinstance(output, Tensor):
        return tuple(output.shape)
    if isinstance(output, Mapping) or hasattr(output, "items"):
        return {key: _structure(value) for key, value in output.items()}
    if isinstance(output, tuple | list):
        return [type(output), *map(_structure, output)]
    return type(output)


def running_eagerly() -> contextlib.AbstractContextManager[Any]:
    """A context in which compiled code runs uncompiled, so that its operators are seen one by one."""
    if "torch._dynamo" not in sys.modules:  # nothing is compiled, and importing the compiler takes a second
        return contextlib.nullcontext()
    stance: contextlib.AbstractContextManager[Any] = torch.compiler.set_stance("force_eager")
    return stance
