"""Attaching the model section of a spec to a torch module, and taking it off again.

    attached = augreg.regularize(model, [{"dropout": {"p": 0.5, "at": "head.*"}}])
    print(attached.report())
    attached.set_epoch(epoch) # numbers with a schedule
    attached.detach()         # the model is what it was

Every rule is checked at every module that it selects before anything is done. The keys of the state_dict and the
parameters stay as they are. The attachment is kept in the model's own dictionary, so that copies and loaded models
have one of their own: `attachments(copy)`.
"""

from __future__ import annotations

import dataclasses
import math
import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from augreg.attachment.actions import CLAIMS, Claim, Replace, Write
from augreg.attachment.report import Report, Row
from augreg.attachment.selecting import sites_of
from augreg.attachment.site import Site
from augreg.errors import Problem, SpecError
from augreg.loss import penalties
from augreg.steps.schedules import scheduled
from augreg.steps.step import Step

__all__ = ["Attached", "attach", "attachments"]

_KEPT = "_augreg_attachments"


def attach(model: nn.Module, model_steps: Iterable[Step], loss_steps: Iterable[Step] = ()) -> Attached:
    """Attach the steps of a model section to a model; those of a loss section give `constrain`.

    Numbers with a schedule start as they are in epoch 0. Raises SpecError with all that is wrong: a pattern that
    matches nothing, a module that cannot take a regularizer, one that has it already; then nothing is attached.
    """
    loss_steps = tuple(loss_steps)
    model = _plain(model)
    sites: list[tuple[Step, Site]] = []
    problems: list[Problem] = []
    taken: dict[tuple[int, str], Site] = {}
    standing = dict(model.named_modules(remove_duplicate=False))
    for index, step in enumerate(model_steps):
        found, wrong = sites_of(model, step, standing, taken)
        sites += [(step, site) for site in found]
        problems += [Problem(f"model[{index}].{step.name}.at", message) for message in wrong]
    try:
        penalties.check(loss_steps, model)
    except SpecError as error:
        problems += error.problems
    if problems:
        raise SpecError(problems)
    attached = Attached(model, loss_steps, sites)
    attached._attach()
    return attached


def attachments(model: nn.Module) -> tuple[Attached, ...]:
    """What is attached to a model now, or to parts of it; for copies, averages and models that were loaded.

    For a copy of a part of a model it is a handle of that part's own, without the loss section; for the part itself
    it is nothing, as the handle of the whole is there.
    """
    found = [attached for module in model.modules() for attached in vars(module).get(_KEPT, ())]
    known = {id(site.actions) for attached in found for _, site in attached._sites}
    parts = [part for module in model.modules() if CLAIMS in vars(module) for part in vars(module)[CLAIMS].parts]
    lost = [part for part in parts if part.whole() is None and id(part.site.actions) not in known]
    if lost:
        attached = Attached(model, (), [(part.step, part.site) for part in lost])
        vars(model).setdefault(_KEPT, []).append(attached)
        found.append(attached)
    return tuple(found)


class _Whole:
    """The attachment that something belongs to; in a copy or a pickle, None."""

    def __init__(self, attached: Attached | None) -> None:
        self.attached = None if attached is None else weakref.ref(attached)

    def __call__(self) -> Attached | None:
        return None if self.attached is None else self.attached()

    def __reduce__(self) -> tuple[Any, ...]:
        return _Whole, (None,)


@dataclasses.dataclass(eq=False)
class _Part:
    """What an attachment did at one module, without the rest of the model."""

    step: Step
    site: Site
    whole: _Whole


class Attached:
    """Regularizers on a model, until `detach`; as a context manager, until the end of the block."""

    def __init__(self, model: nn.Module, loss: tuple[Step, ...], sites: list[tuple[Step, Site]]) -> None:
        self.model = model
        self.epoch = 0.0
        self._loss = loss
        self._sites = sites
        self._last: Report | None = None  # the last report of what is detached

    def report(self) -> Report:
        """The rows of what is attached, with the numbers that hold now; prints as a table."""
        if self._last is not None:
            return self._last
        return Report(_row(step, site) for step, site in self._sites)

    def set_epoch(self, epoch: float) -> None:
        """Give all numbers with a schedule their values at this epoch; half epochs are fine."""
        self._check()
        if math.isnan(epoch):
            raise ValueError("expected the number of an epoch, got nan")
        self.epoch = float(epoch)
        for step, site in self._sites:
            if step.schedules:
                site.move(scheduled(step, self.epoch).transform)

    def constrain(self) -> None:
        """Do what the loss section constrains: call it after each step of the optimizer."""
        self._check()
        penalties.constrain(self._loss, self.model, self.epoch)

    def detach(self) -> None:
        """Restore the model's classes, modules and attributes, and remove the hooks; again is harmless.

        Weights that `init` wrote stay.
        """
        if self._last is not None:
            return
        self._last = self.report()
        actions = [action for _, site in self._sites for action in site.actions]
        self._undo(actions)
        for _, site in self._sites:
            site.actions.clear()  # another handle, of a part, has the same list
        for among in {id(action.among): action.among for action in actions if isinstance(action, Claim)}.values():
            among.parts = [part for part in among.parts if part.site.actions]
        kept = [other for other in vars(self.model).get(_KEPT, ()) if other is not self]
        if kept:
            vars(self.model)[_KEPT] = kept
        else:
            vars(self.model).pop(_KEPT, None)

    def __enter__(self) -> Attached:
        return self

    def __exit__(self, *error: object) -> None:
        self.detach()

    def __repr__(self) -> str:
        return f"Attached({len(self._sites)} sites{', detached' if self._last is not None else ''})"

    def _attach(self) -> None:
        for _, site in self._sites:
            site.taken.clear()
        before = _names(self.model)
        done: list[Any] = []
        try:
            for _, site in self._sites:
                for action in site.actions:
                    action.do()
                    done.append(action)
            exempt = any(isinstance(action, Replace) for action in done)
            if not exempt and _names(self.model) != before:
                raise RuntimeError(
                    "a regularizer has changed the parameters or buffers of the model, which it must not"
                )
        except BaseException:
            self._undo(done)
            raise
        vars(self.model).setdefault(_KEPT, []).append(self)
        for step, site in self._sites:
            part = _Part(step, dataclasses.replace(site, model=site.module), _Whole(self))
            for action in site.actions[:1]:
                if isinstance(action, Claim):
                    action.among.parts.append(part)

    @staticmethod
    def _undo(actions: list[Any]) -> None:
        for action in reversed(actions):
            action.undo()

    def _check(self) -> None:
        if self._last is not None:
            raise RuntimeError("it was detached; call regularize again")


def _plain(model: Any) -> nn.Module:
    """The model itself, out of DistributedDataParallel and AveragedModel."""
    plain = penalties.unwrapped(model)
    if isinstance(plain, torch.jit.ScriptModule) or not isinstance(plain, nn.Module):
        raise TypeError(f"expected a torch.nn.Module, got {type(plain).__name__}")
    while True:
        if hasattr(model, "_orig_mod") or getattr(model, "_compiled_call_impl", None) is not None:
            raise TypeError(
                "the model is compiled, and what is attached now would not be seen: attach, then torch.compile"
            )
        if model is plain:
            return plain
        model = model.module


def _names(model: nn.Module) -> list[tuple[str, int]]:
    found = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    return [(name, id(tensor)) for name, tensor in found]


def _row(step: Step, site: Site) -> Row:
    by = ", ".join(dict.fromkeys(action.by for action in site.actions if action.by)) or "left"
    unchanged = site.rule == "identity" and not any(isinstance(action, Replace | Write) for action in site.actions)
    evaluation = "unchanged" if unchanged else "changes"
    return Row(site.name, site.type, step.name, site.shown(), by, site.rule, evaluation, "; ".join(site.notes))
