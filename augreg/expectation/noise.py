"""Finds the noise of a model: which of its modules draw random numbers in training.

report = find_noise(model, image[None])
print(report)
with kept(model), drawing(model, report):
    samples = [model(image[None]) for _ in range(32)]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

from augreg import notebook
from augreg.expectation.draw_recorder import Draw, DrawRecorder, modules_in
from augreg.expectation.drawing import drawing as drawing, evaluating
from augreg.expectation.kept import kept as kept
from augreg.inspect.tables import table
from augreg.loss.penalties import unwrapped

__all__ = ["NoiseReport", "NoiseSource", "drawing", "find_noise", "kept"]

_MOST_FAILURES = 20  # modules that fail in training before the search is given up


@dataclass(frozen=True)
class NoiseSource:
    """A module that draws: its name, its class, what draws in it, and the name of the module whose mode decides.

    `seeded` is whether its masks are a function of a seed and not of torch's generator.
    """

    name: str
    type: str
    draws: tuple[str, ...]
    flag: str
    seeded: bool = False


@dataclass(frozen=True)
class NoiseReport:
    """What draws random numbers in a model.

    `sources` draw in training and not in evaluation, so that `drawing` can turn each on and off. `always` draw in
    evaluation too. `silent` has what cannot be turned on, as name and reason. `batch_norms` are the names of the batch
    norm layers that have running statistics. `notes` are sentences.
    """

    sources: tuple[NoiseSource, ...]
    always: tuple[NoiseSource, ...] = ()
    silent: tuple[tuple[str, str], ...] = ()
    batch_norms: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the modules that draw in training."""
        return tuple(source.name for source in self.sources)

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        return {
            "sources": [_plain(source) for source in self.sources],
            "always": [_plain(source) for source in self.always],
            "silent": [{"name": name, "reason": reason} for name, reason in self.silent],
            "batch_norms": list(self.batch_norms),
            "notes": list(self.notes),
        }

    def _header(self) -> Sequence[str]:
        return ("module", "type", "draws", "when")

    def _rows(self) -> Iterable[Sequence[str]]:
        for when, sources in (("in training", self.sources), ("always", self.always)):
            for source in sources:
                yield (_shown(source.name), source.type, ", ".join(source.draws), when)

    def _notes(self) -> Sequence[str]:
        lines = [f"does not draw: {_shown(name)}: {reason}" for name, reason in self.silent]
        if self.batch_norms:
            lines.append(f"batch norm layers with running statistics: {len(self.batch_norms)}")
        return [*lines, *self.notes]

    def __str__(self) -> str:
        rows = [*self._rows()]
        shown = table(self._header(), rows) if rows else "no module draws random numbers"
        return "\n".join([shown, *self._notes()])

    def _repr_html_(self) -> str:
        """For notebooks."""
        return notebook.table(type(self).__name__, self._header(), self._rows(), self._notes())


def find_noise(model: nn.Module, call: Any) -> NoiseReport:
    """Run a model a few times on a small input, and find which of its modules draw random numbers.

    `call` is the model's argument (a tensor, a tuple of arguments, or a mapping of keyword arguments), or a function
    without arguments that runs the model. One image is enough. The runs take no gradients; batch norm stays in
    evaluation; the model and all generators are as before at the end. Modules that do not run for this input are not
    seen. Raises TypeError for a scripted model, whose modules Python does not see.
    """
    if isinstance(unwrapped(model), torch.jit.ScriptModule):
        raise TypeError(
            "the model is scripted, and its modes and random draws cannot be seen from Python: give the torch.nn.Module "
            "that was scripted"
        )
    with torch.no_grad(), kept(model), evaluating(model):
        return _Search(model, _caller(model, call)).report()


def _caller(model: nn.Module, call: Any) -> Callable[[], Any]:
    if callable(call) and not isinstance(call, Mapping):
        return call  # type: ignore[no-any-return]
    inner = unwrapped(model)
    if isinstance(call, Mapping):
        return lambda: inner(**call)
    return (lambda: inner(*call)) if isinstance(call, tuple) else (lambda: inner(call))


class _Search:
    """The runs of `find_noise`. All modules are in evaluation before and after each run."""

    def __init__(self, model: nn.Module, call: Callable[[], Any]) -> None:
        self.model = unwrapped(model)
        self.call = call
        self.modules = dict(self.model.named_modules())
        self.names = {id(module): name for name, module in self.modules.items()}
        self.failed: dict[str, str] = {}

    def report(self) -> NoiseReport:
        """Find what draws in evaluation, what draws in training, and whether its own mode decides."""
        evaluation = self._run(())
        training = self._in_training(evaluation.called)
        always = self._sources(evaluation.draws)
        found = [s for s in self._sources(training.draws) if s.name not in {a.name for a in always}]
        confirmed = self._drawing([source.name for source in found])
        sources = tuple(source for source in found if source.name in confirmed)
        silent = [(s.name, "its draws do not depend on its own mode") for s in found if s.name not in confirmed]
        silent += [
            (draw.name, f"{draw.by} is told not to draw, whatever the mode of the module is")
            for draw in training.inactive
            if draw.name not in confirmed
        ]
        silent += self.failed.items()
        return NoiseReport(sources, always, tuple(dict(silent).items()), self._batch_norms())

    def _run(self, training: Iterable[str]) -> DrawRecorder:
        """One run with these modules in training."""
        recorder = DrawRecorder(self.names)
        modules = [self.modules[name] for name in training]
        try:
            for module in modules:
                module.training = True
            with recorder:
                self.call()
        finally:
            for module in modules:
                module.training = False
        recorder.inactive = {draw: count for draw, count in recorder.inactive.items() if draw.name in set(training)}
        return recorder

    def _in_training(self, called: set[str]) -> DrawRecorder:
        """Runs until each module that runs in evaluation has run in training, also where chance skips a block.

        A block that skips others is in evaluation once it has run.
        """
        waiting = [name for name, module in self.modules.items() if not isinstance(module, _NormBase)]
        total = DrawRecorder(self.names)
        while waiting:
            recorder = self._without_failures(waiting)
            for draw, count in recorder.draws.items():
                total.draws[draw] = total.draws.get(draw, 0) + count
            total.inactive.update(recorder.inactive)
            left = [name for name in waiting if name in called and name not in recorder.called | self.failed.keys()]
            waiting = left if len(left) < len(waiting) else []
        return total

    def _without_failures(self, training: Sequence[str]) -> DrawRecorder:
        """A run in training; modules that raise an error, such as for missing targets, stay in evaluation."""
        for _ in range(_MOST_FAILURES):
            now = [name for name in training if name not in self.failed]
            try:
                return self._run(now)
            except Exception as error:
                culprit = next((name for name in modules_in(error, self.names) if name in now), None)
                if culprit is None:
                    raise
                self.failed[culprit] = f"it cannot run in training: {type(error).__name__}: {error}"
        raise RuntimeError(f"more than {_MOST_FAILURES} modules cannot run in training: {', '.join(self.failed)}")

    def _drawing(self, names: Sequence[str]) -> set[str]:
        """Those of the modules that draw if exactly they are in training."""
        confirmed: set[str] = set()
        waiting = list(names)
        while waiting:
            drew = {draw.name for draw in self._run(waiting).draws}
            left = [name for name in waiting if name not in drew]
            confirmed.update(set(waiting) - set(left))
            waiting = left if len(left) < len(waiting) else []
        return confirmed

    def _sources(self, draws: Mapping[Draw, int]) -> tuple[NoiseSource, ...]:
        """The draws by module, in the order of the model."""
        by_name: dict[str, list[Draw]] = {}
        for draw in draws:
            by_name.setdefault(draw.name, []).append(draw)
        return tuple(
            NoiseSource(
                name,
                type(self.modules[name]).__name__,
                tuple(dict.fromkeys(f"{d.by} ({d.layer})" if d.layer else d.by for d in by_name[name])),
                name,
                any(draw.seeded for draw in by_name[name]),
            )
            for name in self.modules
            if name in by_name
        )

    def _batch_norms(self) -> tuple[str, ...]:
        return tuple(
            name
            for name, module in self.modules.items()
            if isinstance(module, _BatchNorm) and module.track_running_stats
        )


def _plain(source: NoiseSource) -> dict[str, Any]:
    return {
        "name": source.name,
        "type": source.type,
        "draws": list(source.draws),
        "seeded": source.seeded,
    }


def _shown(name: str) -> str:
    return name or "(the model)"
