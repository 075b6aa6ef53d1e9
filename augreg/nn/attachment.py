"""Attaching the model section of a spec to a torch module, and taking it off again.

    attached = augreg.regularize(model, [{"dropout": {"p": 0.5, "at": "head.*"}}])
    print(attached.report())
    attached.step(epoch)      # numbers with a schedule
    attached.detach()         # the model is what it was

Every rule is checked at every module that it selects before anything is done. The keys of the state_dict and the
parameters stay as they are. The attachment is kept in the model's own dictionary, so that copies and loaded models
have one of their own: `attachments(copy)`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from augreg.errors import PluginError, Problem, SpecError
from augreg.nn import penalties
from augreg.nn.actions import Replace, Touch
from augreg.nn.report import Report, Row
from augreg.nn.site import Site
from augreg.schedules import scheduled
from augreg.selection import nearest_names, selects
from augreg.steps import Step

__all__ = ["Attached", "attachments", "regularize"]

_KEPT = "_augreg_attachments"
_MOST = 5  # modules of one rule that an error names


def regularize(model: nn.Module, rules: Any) -> Attached:
    """Attach regularizers to a model.

    `rules` is a pipeline, whose model section is taken (and whose loss section gives `penalty` and `constrain`), a
    whole spec, a list of entries of a model section, or of regularizer objects. Numbers with a schedule start as they
    are in epoch 0. Raises SpecError with all that is wrong: a pattern that matches nothing, a module that cannot take
    a regularizer, one that has it already; then nothing is attached. Regularize a model before torch.compile.
    """
    pipeline = _pipeline(rules)
    model = _plain(model)
    sites: list[tuple[Step, Site]] = []
    problems: list[Problem] = []
    taken: dict[tuple[int, str], Site] = {}
    standing = dict(model.named_modules(remove_duplicate=False))
    for index, step in enumerate(pipeline.spec.model):
        found, wrong = _sites(model, step, standing, taken)
        sites += [(step, site) for site in found]
        problems += [Problem(f"model[{index}].{step.name}.at", message) for message in wrong]
    try:
        penalties.check(pipeline.spec.loss, model)
    except SpecError as error:
        problems += error.problems
    if problems:
        raise SpecError(problems)
    attached = Attached(model, pipeline.spec.loss, sites)
    attached._attach()
    return attached


def attachments(model: nn.Module) -> tuple[Attached, ...]:
    """What is attached to a model now, or to parts of it; for copies, averages and models that were loaded whole."""
    return tuple(attached for module in model.modules() for attached in vars(module).get(_KEPT, ()))


class Attached:
    """Regularizers on a model, until `detach`; as a context manager, until the end of the block."""

    def __init__(self, model: nn.Module, loss: tuple[Step, ...], sites: list[tuple[Step, Site]]) -> None:
        self.model = model
        self.progress = 0.0
        self._loss = loss
        self._sites = sites
        self._rows: Report | None = None  # the last report of what is detached

    def report(self) -> Report:
        """The rows of what is attached, with the numbers that hold now; prints as a table."""
        if self._rows is not None:
            return self._rows
        return Report(_row(step, site) for step, site in self._sites)

    def step(self, progress: float) -> None:
        """Give all numbers with a schedule their values at this epoch; half epochs are fine."""
        self._check()
        self.progress = float(progress)
        for step, site in self._sites:
            if step.schedules:
                site.move(scheduled(step, self.progress).transform)

    def penalty(self) -> Tensor:
        """What the loss section adds to the loss for this model's weights: a scalar with gradients, or 0."""
        self._check()
        return penalties.penalty(self._loss, self.model, self.progress)

    def constrain(self) -> None:
        """Do what the loss section constrains: call it after each step of the optimizer."""
        self._check()
        penalties.constrain(self._loss, self.model, self.progress)

    def detach(self) -> None:
        """Restore the model's classes, modules and attributes, and remove the hooks; again is harmless.

        Weights that `init` wrote stay.
        """
        if self._rows is not None:
            return
        self._rows = self.report()
        self._undo([action for _, site in self._sites for action in site.actions])
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
        return f"Attached({len(self._sites)} sites{', detached' if self._rows is not None else ''})"

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

    @staticmethod
    def _undo(actions: list[Any]) -> None:
        for action in reversed(actions):
            action.undo()

    def _check(self) -> None:
        if self._rows is not None:
            raise RuntimeError("it was detached; call regularize again")


def _pipeline(rules: Any) -> Any:
    from augreg.pipeline import Pipeline

    if isinstance(rules, Pipeline):
        return rules
    if isinstance(rules, Mapping | str | Path):
        return Pipeline.from_spec(rules)
    rules = [rules] if hasattr(rules, "__augreg__") or isinstance(rules, Step) else list(rules)
    if all(isinstance(rule, str | Mapping) for rule in rules):
        return Pipeline.from_spec({"model": rules})
    return Pipeline(model=rules)


def _plain(model: Any) -> nn.Module:
    """The model itself, out of its DistributedDataParallel."""
    if isinstance(model, nn.parallel.DistributedDataParallel | nn.DataParallel):
        model = model.module
    if isinstance(model, torch.jit.ScriptModule) or not isinstance(model, nn.Module):
        raise TypeError(f"expected a torch.nn.Module, got {type(model).__name__}")
    if hasattr(model, "_orig_mod") or getattr(model, "_compiled_call_impl", None) is not None:
        raise TypeError(
            "the model is compiled, and what is attached now would not be seen: attach, then torch.compile"
        )
    return model


def _names(model: nn.Module) -> list[tuple[str, int]]:
    found = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    return [(name, id(tensor)) for name, tensor in found]


def _sites(
    model: nn.Module, step: Step, standing: dict[str, nn.Module], taken: dict[tuple[int, str], Site]
) -> tuple[list[Site], list[str]]:
    """The sites of a rule with all that it will do there, and what is wrong with it."""
    transform = scheduled(step, 0.0).transform if step.schedules else step.transform
    if step.schedules and not hasattr(transform, "numbers"):
        return [], [f"{step.name} cannot follow a schedule: it has no numbers(self, site)"]
    selected = _selected(transform.at, standing)
    if not selected:
        hint = getattr(transform, "hint", "")
        nearest = ", ".join(_nearest(transform.at, standing))
        wanted = " or ".join(map(str, transform.at))
        return [], [f"nothing in the model is called {wanted}; nearest: {nearest}{f'; {hint}' if hint else ''}"]
    before = dict(taken)
    sites: list[Site] = []
    wrong: list[str] = []
    for index, (name, module) in enumerate(selected):
        site = _site(model, name, module, index, len(selected), step, transform, taken)
        sites.append(site)
        try:
            _attach(site, selected)
        except ValueError as error:
            wrong.append(f"{name or 'the model'} ({type(module).__name__}): {error}")
        _restand(site, standing)
    if len(wrong) > _MOST:
        wrong[_MOST:] = [f"and {len(wrong) - _MOST} more modules of this rule"]
    if wrong:
        order = {name: place for place, name in enumerate(standing)}
        able = _able(model, step, transform, standing, before)
        able.sort(key=lambda name: abs(order[name] - order.get(selected[0][0], 0)))
        wrong[-1] += f"; nearest that can take {step.name}: {', '.join(able[:_MOST]) or 'none'}"
    return sites, wrong


def _site(
    model: nn.Module, name: str, module: nn.Module, index: int, count: int, step: Step, transform: Any, taken: Any
) -> Site:
    rule = transform.test_rule() if hasattr(transform, "test_rule") else transform.__augreg__.rule
    kind = type(module).__name__
    return Site(model, name, module, index, count, transform, rule, taken, kind, step.name, bool(step.schedules))


def _attach(site: Site, selected: list[tuple[str, nn.Module]]) -> None:
    """Let the regularizer record what it does at a site. Raises ValueError if it cannot be there."""
    if not site.claim(site.module, site.step):
        raise ValueError(f"{site.step} is attached to it already; detach that first")
    numbers = site.takes_over(site.module)
    if numbers is not None and site.adopt(site.module, numbers):
        return
    try:
        site.transform.attach(site)
    except ValueError:
        raise
    except Exception as error:  # whatever a plugin does
        message = f"{site.step}.attach failed at {site.name}: {type(error).__name__}: {error}"
        raise PluginError(message) from error
    beside = site.doubles() if numbers is None else None
    if beside is not None and beside not in dict(selected):
        raise ValueError(f"{beside} beside it does this already, and it would be done twice; select that one")
    if beside is not None:
        site.leave(f"left to {beside}")


def _able(model: nn.Module, step: Step, transform: Any, standing: dict[str, nn.Module], taken: Any) -> list[str]:
    """The names of the modules at which a rule could be attached: tried, as an `attach` only records."""
    able = []
    for name, module in standing.items():
        site = _site(model, name, module, 0, 1, step, transform, dict(taken))
        if name:
            with contextlib.suppress(ValueError, PluginError):
                _attach(site, [])
                able.append(name)
    return able


def _selected(at: Any, standing: dict[str, nn.Module]) -> list[tuple[str, nn.Module]]:
    """The modules that a rule selects, each once; the model itself only where it has no parts."""
    found: dict[int, tuple[str, nn.Module]] = {}
    for name, module in standing.items():
        whole = name == "" and len(standing) > 1
        if not whole and selects(at, name, [cls.__name__ for cls in type(module).__mro__]):
            found.setdefault(id(module), (name, module))
    return list(found.values())


def _nearest(at: Any, standing: dict[str, nn.Module]) -> list[str]:
    """The names nearest to what was asked for; those of types, where types were."""
    types = [name for selector in at for name in selector.type]
    names = nearest_names(at, filter(None, standing)) if any(selector.name != "**" for selector in at) else []
    if types:
        known = {type(module).__name__ for name, module in standing.items() if name}
        names += [f"type {name}" for name in sorted(known)]
    return names or ["the model has no parts"]


def _restand(site: Site, standing: dict[str, nn.Module]) -> None:
    """Let later rules select what this one puts in a module's place."""
    for action in site.actions:
        if not isinstance(action, Replace):
            continue
        before = list(standing.items())
        names = [name for name, module in before if module is action.old]
        standing.clear()
        for name, module in before:
            if name in names:
                standing.update(action.new.named_modules(prefix=name))
            elif not any(name.startswith(f"{old}.") for old in names):
                standing[name] = module


def _row(step: Step, site: Site) -> Row:
    by = ", ".join(dict.fromkeys(action.by for action in site.actions if action.by)) or "left"
    unchanged = site.rule == "identity" and not any(isinstance(action, Replace | Touch) for action in site.actions)
    evaluation = "unchanged" if unchanged else "changes"
    return Row(site.name, site.type, step.name, site.shown(), by, site.rule, evaluation, "; ".join(site.notes))
