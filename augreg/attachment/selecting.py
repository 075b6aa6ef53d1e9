"""Find the modules that a rule selects, and let the regularizer record its changes there."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any, TypeAlias

from torch import nn

from augreg.attachment.actions import ReplaceModule
from augreg.attachment.deduplicate import selected_exactly, skip_duplicates
from augreg.attachment.site import NeverCalledError, Site
from augreg.errors import PluginError
from augreg.steps.rules import fixed_rule_and_exactness
from augreg.steps.schedules import resolve, scheduled, turning_points
from augreg.steps.selectors import listed, nearest_names, selects
from augreg.steps.step import Step

__all__ = ["sites_of"]

Modules: TypeAlias = dict[str, nn.Module]
"""The modules of a model by name, including the replacements of the rules so far."""
Reserved: TypeAlias = dict[tuple[int, str], Site]

_MAX_NAMED = 5  # an error lists at most so many modules of one rule


def sites_of(model: nn.Module, step: Step, modules: Modules, reserved: Reserved) -> tuple[list[Site], list[str]]:
    """The sites of a rule with all recorded changes, and the error messages. Updates `modules` and `reserved`."""
    transform = scheduled(step, 0.0).transform if step.schedules else step.transform
    if step.schedules and not hasattr(transform, "numbers"):
        return [], [f"{step.name} cannot follow a schedule: it has no numbers(self, site)"]
    selected = _selected(transform.at, modules)
    if not selected:
        hint = getattr(transform, "hint", "")
        nearest = ", ".join(_nearest(transform.at, modules))
        patterns = listed(transform.at, " or ")
        return [], [f"no module of the model matches {patterns}; nearest: {nearest}{f'; {hint}' if hint else ''}"]
    reserved_before = dict(reserved)
    sites: list[Site] = []
    errors: list[str] = []
    containers: list[str] = []
    for index, (name, module) in enumerate(selected):
        site = _site(model, name, module, index, len(selected), step, transform, reserved)
        sites.append(site)
        try:
            _record(site, selected)
        except NeverCalledError as error:
            message = f"{name or 'the model'} ({site.type}): {error}"
            (errors if selected_exactly(site) else containers).append(message)
            site.skip(f"skipped: a {site.type} is never called")
        except ValueError as error:
            errors.append(f"{name or 'the model'} ({type(module).__name__}): {error}")
        _apply_replacements(site, modules)
    if len(containers) == len(sites):  # a pattern that selects other modules too just leaves them out
        errors += containers
    errors += _ineffective_schedules(step, sites[-1])
    if len(errors) > _MAX_NAMED:
        errors[_MAX_NAMED:] = [f"and {len(errors) - _MAX_NAMED} more modules of this rule"]
    if not errors:
        skip_duplicates(sites)
    else:
        order = {name: place for place, name in enumerate(modules)}
        candidates = _candidates(model, step, transform, modules, reserved_before)
        candidates.sort(key=lambda name: abs(order[name] - order.get(selected[0][0], 0)))
        errors[-1] += f"; nearest that can take {step.name}: {', '.join(candidates[:_MAX_NAMED]) or 'none'}"
    return sites, errors


def _site(
    model: nn.Module,
    name: str,
    module: nn.Module,
    index: int,
    count: int,
    step: Step,
    transform: Any,
    reserved: Reserved,
) -> Site:
    rule, exact = fixed_rule_and_exactness(transform)
    cls = type(module).__name__
    return Site(
        model, name, module, cls, index, count, transform, step.name, rule, exact, bool(step.schedules), reserved
    )


def _ineffective_schedules(step: Step, site: Site) -> list[str]:
    """Errors for the schedules that change no number of the regularizer."""
    errors = []
    for key, value in step.schedules:
        transforms = [replace(step.transform, **{key: resolve(value, epoch)}) for epoch in turning_points(step)]
        if len({repr(t.numbers(site)) for t in transforms}) == 1 < len({repr(t) for t in transforms}):
            numbers = ", ".join(site.numbers())
            errors.append(f"{key} cannot follow a schedule here; only {numbers} can")
    return errors


def _record(site: Site, selected: list[tuple[str, nn.Module]]) -> None:
    """Let the regularizer record its changes at a site. Raises ValueError if it cannot be attached there."""
    if not site.reserve(site.module, site.rule):
        raise ValueError(f"{site.rule} is already attached to it; detach it first")
    try:
        numbers = site.takes_over(site.module)
        site.existing = numbers is not None
        if numbers is not None and site.adopt(site.module, numbers):
            return
        site.transform.attach(site)
    except ValueError:
        raise
    except Exception as error:  # a plugin may raise anything
        message = f"{site.rule}.attach failed at {site.name}: {type(error).__name__}: {error}"
        raise PluginError(message) from error
    duplicate = site.duplicate() if numbers is None else None
    if duplicate is not None and duplicate not in dict(selected):
        raise ValueError(f"{duplicate} next to it already does this, so it would be done twice; select that module")
    if duplicate is not None:
        site.skip(f"skipped: done at {duplicate}")


def _candidates(model: nn.Module, step: Step, transform: Any, modules: Modules, reserved: Reserved) -> list[str]:
    """The names of the modules that a rule can be attached to. Trying is harmless: nothing but records is made."""
    names = []
    for name, module in modules.items():
        site = _site(model, name, module, 0, 1, step, transform, dict(reserved))
        if name:
            with contextlib.suppress(ValueError, PluginError):
                _record(site, [])
                names.append(name)
    return names


def _selected(at: Any, modules: Modules) -> list[tuple[str, nn.Module]]:
    """The modules that a rule selects, each once; the model itself only if it has no submodules."""
    selected: dict[int, tuple[str, nn.Module]] = {}
    for name, module in modules.items():
        whole = name == "" and len(modules) > 1
        if not whole and selects(at, name, [cls.__name__ for cls in type(module).__mro__]):
            selected.setdefault(id(module), (name, module))
    return list(selected.values())


def _nearest(at: Any, modules: Modules) -> list[str]:
    """The module names most similar to the patterns of `at`; if it has types, also the types of the model."""
    types = [name for selector in at for name in selector.type]
    names = nearest_names(at, filter(None, modules)) if any(selector.name != "**" for selector in at) else []
    if types:
        known = {type(module).__name__ for name, module in modules.items() if name}
        names += [f"type {name}" for name in sorted(known)]
    return names or ["the model has no submodules"]


def _apply_replacements(site: Site, modules: Modules) -> None:
    """Put the new modules of a site into `modules`, so that later rules select those."""
    for action in site.actions:
        if not isinstance(action, ReplaceModule):
            continue
        before = list(modules.items())
        names = [name for name, module in before if module is action.old]
        modules.clear()
        for name, module in before:
            if name in names:
                modules.update(action.new.named_modules(prefix=name))
            elif not any(name.startswith(f"{replaced}.") for replaced in names):
                modules[name] = module
