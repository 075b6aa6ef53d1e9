"""Attach the model section of a spec to a torch module, and detach it again.

    attached = augreg.regularize(model, [{"dropout": {"p": 0.5, "at": "head.*"}}])
    print(attached.report())
    attached.set_epoch(epoch) # numbers with a schedule
    attached.detach()         # restores the model

Every rule is checked at every module that it selects before anything is changed. The keys of the state_dict and the
parameter objects stay the same. The attachment is stored in the model's `__dict__`, so copies and unpickled models
have their own: `attachments(copy)`.
"""

from __future__ import annotations

import dataclasses
import math
import warnings
import weakref
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn

from augreg.attachment.actions import RESERVATIONS, Action, ReplaceForward, ReplaceModule, Reserve, RunOnce
from augreg.attachment.foreign_tensors import Unscriptable
from augreg.attachment.report import AttachmentReport, AttachmentRow
from augreg.attachment.runs import PATIENCE, runs, without_effect
from augreg.attachment.selecting import sites_of
from augreg.attachment.site import Site
from augreg.attachment.tracing import Graphs
from augreg.errors import Problem, SpecError
from augreg.loss import penalties
from augreg.steps.schedules import scheduled
from augreg.steps.step import Step

__all__ = ["Attachment", "attach", "attachments"]

_ATTACHMENTS = "_augreg_attachments"
"""The attribute of a model that holds its attachments."""


def attach(model: nn.Module, model_steps: Iterable[Step], loss_steps: Iterable[Step] = ()) -> Attachment:
    """Attach the steps of a model section to a model; `constrain` applies those of a loss section.

    Numbers with a schedule start with their values in epoch 0. Call it before torch.compile. Raises SpecError with
    every problem: a pattern that matches no module, a module that cannot take a regularizer, or that already has it.
    Then nothing is attached. Raises TypeError if the model is no torch.nn.Module or is compiled.
    """
    model, loss_steps = _unwrapped(model), tuple(loss_steps)
    sites: list[tuple[Step, Site]] = []
    problems: list[Problem] = []
    reserved: dict[tuple[int, str], Site] = {}
    graphs = Graphs()
    modules = dict(model.named_modules(remove_duplicate=False))
    for index, step in enumerate(model_steps):
        selected, errors = sites_of(model, step, modules, reserved, graphs)
        sites += [(step, site) for site in selected]
        problems += [Problem(f"model[{index}].{step.name}.at", message) for message in errors]
    try:
        penalties.check(loss_steps, model)
    except SpecError as error:
        problems += error.problems
    if problems:
        raise SpecError(problems)
    attached = Attachment(model, loss_steps, sites)
    attached._attach()
    return attached


def attachments(model: nn.Module) -> tuple[Attachment, ...]:
    """The attachments of a model and its submodules, also of deep copies, averaged models and unpickled models.

    A copy of only a part of a model, such as `copy.deepcopy(model.layer1)`, gets its own attachment for what is
    attached in that part, without the loss section. For a part that still belongs to its model the result is empty:
    it is controlled by the attachment of the whole model.
    """
    result = [attached for module in model.modules() for attached in vars(module).get(_ATTACHMENTS, ())]
    known = {id(site.actions) for attached in result for _, site in attached._sites}
    holders = [vars(module)[RESERVATIONS] for module in model.modules() if RESERVATIONS in vars(module)]
    orphans = [
        record
        for holder in holders
        for record in holder.records
        if record.attachment() is None and id(record.site.actions) not in known
    ]
    if orphans:
        attached = Attachment(model, (), [(record.step, record.site) for record in orphans])
        vars(model).setdefault(_ATTACHMENTS, []).append(attached)
        result.append(attached)
    return tuple(result)


class _AttachmentRef:
    """A weak reference to an attachment. A copied or unpickled reference is None."""

    def __init__(self, attachment: Attachment | None) -> None:
        self.reference = None if attachment is None else weakref.ref(attachment)

    def __call__(self) -> Attachment | None:
        return None if self.reference is None else self.reference()

    def __reduce__(self) -> tuple[Any, ...]:
        return _AttachmentRef, (None,)


@dataclasses.dataclass(eq=False)
class _SiteRecord:
    """What an attachment changed at one module, without references to the rest of the model."""

    step: Step
    site: Site
    attachment: _AttachmentRef


class Attachment:
    """Regularizers that are attached to a model until `detach`. As a context manager it detaches at the end."""

    def __init__(self, model: nn.Module, loss: tuple[Step, ...], sites: list[tuple[Step, Site]]) -> None:
        self.model = model
        self.epoch = 0.0
        self._loss = loss
        self._sites = sites
        self._final_report: AttachmentReport | None = None  # set by `detach`
        self._watch: _Watch | None = None

    def report(self) -> AttachmentReport:
        """What is attached to which module, with the current numbers; prints as a table."""
        if self._final_report is not None:
            return self._final_report
        return AttachmentReport(_row(step, site) for step, site in self._sites)

    def set_epoch(self, epoch: float) -> None:
        """Give all numbers with a schedule their values at this epoch, which may be fractional."""
        self._check()
        if math.isnan(epoch):
            raise ValueError("expected the number of an epoch, got nan")
        self.epoch = float(epoch)
        for step, site in self._sites:
            if step.schedules:
                site.update(scheduled(step, self.epoch).transform)

    def constrain(self) -> None:
        """Apply the constraints of the loss section; call it after each optimizer step."""
        self._check()
        penalties.constrain(self._loss, self.model, self.epoch)

    def detach(self) -> None:
        """Restore the model's classes, modules and attributes, and remove the hooks; a second call does nothing.

        Weights that `init` wrote stay.
        """
        if self._final_report is not None:
            return
        self._final_report = self.report()
        actions = [action for _, site in self._sites for action in site.actions]
        self._undo(actions)
        if self._watch is not None:
            self._watch.handle.remove()
        for _, site in self._sites:
            site.actions.clear()  # the attachment of a copied part shares this list
        for action in actions:
            if isinstance(action, Reserve):
                holder = action.reservations
                holder.records = [record for record in holder.records if record.site.actions]
        remaining = [other for other in vars(self.model).get(_ATTACHMENTS, ()) if other is not self]
        if remaining:
            vars(self.model)[_ATTACHMENTS] = remaining
        else:
            vars(self.model).pop(_ATTACHMENTS, None)

    def __enter__(self) -> Attachment:
        return self

    def __exit__(self, *error: object) -> None:
        self.detach()

    def __repr__(self) -> str:
        return f"Attachment({len(self._sites)} sites{', detached' if self._final_report is not None else ''})"

    def _attach(self) -> None:
        for _, site in self._sites:
            site.reserved.clear()
            site.graphs.clear()
        before = _tensors(self.model)
        done: list[Action] = []
        try:
            for _, site in self._sites:
                for action in site.actions:
                    action.do()
                    done.append(action)
            replaced = any(isinstance(action, ReplaceModule) for action in done)
            if not replaced and _tensors(self.model) != before:
                raise RuntimeError("a regularizer has changed the parameters or buffers of the model; it must not")
        except BaseException:
            self._undo(done)
            raise
        vars(self.model).setdefault(_ATTACHMENTS, []).append(self)
        if not isinstance(self.model, nn.TransformerEncoderLayer):  # a hook on it would end torch's fast path
            self._watch = _Watch(self.model, [site for _, site in self._sites])
        for step, site in self._sites:
            record = _SiteRecord(step, dataclasses.replace(site, model=site.module), _AttachmentRef(self))
            for action in site.actions[:1]:
                if isinstance(action, Reserve):
                    action.reservations.records.append(record)

    @staticmethod
    def _undo(actions: Sequence[Action]) -> None:
        for action in reversed(actions):
            action.undo()

    def _check(self) -> None:
        if self._final_report is not None:
            raise RuntimeError("the regularizers were detached; attach them again")


class _Watch(Unscriptable):
    """A forward hook of the whole model that warns, once, of rules without effect; then it is gone."""

    def __init__(self, model: nn.Module, sites: list[Site]) -> None:
        self.passes = 0
        rules: dict[int, list[Site]] = {}
        for site in sites:
            rules.setdefault(id(site.transform), []).append(site)
        self.rules = [*rules.values()]
        self.handle = model.register_forward_hook(self)

    def __call__(self, model: nn.Module, inputs: Any, output: Any) -> None:
        if torch.compiler.is_compiling() or not model.training or not torch.is_grad_enabled():
            return
        self.passes += 1
        found = without_effect(model, self.rules, output, self.passes) if self.passes in (1, PATIENCE) else []
        if found or self.passes == PATIENCE:
            self.handle.remove()
        if found:
            warnings.warn(
                f"regularizers that have no effect: {'; '.join(found)}. A rule runs when the model calls the module, "
                f"as module(x): select modules that it calls; report() shows how often each rule ran",
                stacklevel=5,  # the caller of the model: torch's __call__ lies between
            )


def _unwrapped(model: Any) -> nn.Module:
    """The model inside DistributedDataParallel and AveragedModel. Raises TypeError if it is compiled."""
    inner = penalties.unwrapped(model)
    if isinstance(inner, torch.jit.ScriptModule) or not isinstance(inner, nn.Module):
        raise TypeError(f"expected a torch.nn.Module, got {type(inner).__name__}")
    while True:
        if hasattr(model, "_orig_mod") or getattr(model, "_compiled_call_impl", None) is not None:
            raise TypeError(
                "the model is compiled, and compiled code may ignore what is attached now: attach, then torch.compile"
            )
        if model is inner:
            return inner
        model = model.module


def _tensors(model: nn.Module) -> list[tuple[str, int]]:
    """The names and ids of all parameters and buffers."""
    tensors = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    return [(name, id(tensor)) for name, tensor in tensors]


def _row(step: Step, site: Site) -> AttachmentRow:
    by = ", ".join(dict.fromkeys(action.by for action in site.actions if action.by)) or "none"
    changed = site.test_rule != "identity" or any(isinstance(a, ReplaceModule | RunOnce) for a in site.actions)
    whole = [action.forward.whole for action in site.actions if isinstance(action, ReplaceForward)]
    return AttachmentRow(
        site.name,
        site.type,
        step.name,
        site.current_numbers(),
        by,
        site.test_rule,
        "changes" if changed else "unchanged",
        runs(site),
        "; ".join([*site.notes, *([f"left: {left}"] if (left := site.left()) else []), *filter(None, whole)]),
        site.exact,
    )
