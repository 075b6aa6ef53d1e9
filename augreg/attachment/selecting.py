"""Find the modules that a rule selects, and let the regularizer record its changes there."""

from __future__ import annotations

import contextlib
import functools
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

from torch import nn

from augreg.attachment.actions import ReplaceModule
from augreg.attachment.activations import NAMES as ACTIVATIONS, computes
from augreg.attachment.deduplicate import skip_duplicates
from augreg.attachment.site import CannotTakeError, Site
from augreg.attachment.tracing import Graphs
from augreg.errors import PluginError
from augreg.loss.penalties import type_names
from augreg.steps.rules import fixed_rule_and_exactness
from augreg.steps.schedules import resolve, scheduled, turning_points
from augreg.steps.selectors import around, listed, nearest_names, selects, without_match
from augreg.steps.step import Step

__all__ = ["sites_of"]

Modules: TypeAlias = dict[str, nn.Module]
"""The modules of a model by name, including the replacements of the rules so far."""
Selected: TypeAlias = list[tuple[str, nn.Module]]
Reserved: TypeAlias = dict[tuple[int, str], Site]

_MAX_NAMED = 5  # an error lists at most so many modules of one rule


def sites_of(
    model: nn.Module, step: Step, modules: Modules, reserved: Reserved, graphs: Graphs
) -> tuple[list[Site], list[str]]:
    """The sites of a rule with all recorded changes, and the error messages. Updates `modules` and `reserved`.

    Modules that cannot take the rule are left out, and do not count, if others can and `at` does not name them.
    """
    transform = scheduled(step, 0.0).transform if step.schedules else step.transform
    if step.schedules and not hasattr(transform, "numbers"):
        return [], [f"{step.name} cannot follow a schedule: it has no numbers(self, site)"]
    misspelled = without_match(transform.at, _types(transform.at, modules).items())
    if misspelled:
        return [], misspelled
    selected = _selected(transform.at, modules)
    if not selected:
        hint = getattr(transform, "hint", "")
        nearest = ", ".join(_nearest(transform.at, modules))
        patterns = listed(transform.at, " or ")
        return [], [f"no module of the model matches {patterns}; nearest: {nearest}{f'; {hint}' if hint else ''}"]
    rule = _Rule(model, step, transform, graphs)
    modules_before, reserved_before = dict(modules), dict(reserved)
    left: dict[str, Site] = {}
    while True:
        suitable = [(name, module) for name, module in selected if name not in left]
        sites, errors, unsuitable = _attempt(rule, suitable, selected, modules, reserved)
        if not unsuitable or errors:
            break
        left |= unsuitable
        for known, before in ((modules, modules_before), (reserved, reserved_before)):  # again, without them
            known.clear()
            known.update(before)  # type: ignore[arg-type]
    errors += _ineffective_schedules(step, sites[-1])
    if len(errors) > _MAX_NAMED:
        errors[_MAX_NAMED:] = [f"and {len(errors) - _MAX_NAMED} more modules of this rule"]
    if not errors:
        skip_duplicates(sites)
    else:
        order = {name: place for place, name in enumerate(modules)}
        candidates = _candidates(rule, modules, reserved_before)
        candidates.sort(key=lambda name: abs(order[name] - order.get(selected[0][0], 0)))
        errors[-1] += f"; nearest that can take {step.name}: {', '.join(candidates[:_MAX_NAMED]) or 'none'}"
    found = {**left, **{site.name: site for site in sites}}
    return [found[name] for name, _ in selected], errors


class _Rule(NamedTuple):
    """A rule of a spec for a model: `transform` is the regularizer, with the numbers of epoch 0."""

    model: nn.Module
    step: Step
    transform: Any
    graphs: Graphs

    def site(self, name: str, module: nn.Module, index: int, count: int, reserved: Reserved) -> Site:
        """The site of a module, with nothing recorded."""
        transform = self.transform
        test_rule, exact = fixed_rule_and_exactness(transform)
        return Site(
            self.model,
            name,
            module,
            type(module).__name__,
            index,
            count,
            transform,
            self.step.name,
            test_rule,
            exact,
            bool(self.step.schedules),
            any(selector.name == name for selector in transform.at),
            reserved,
            self.graphs,
        )


def _attempt(
    rule: _Rule, suitable: Selected, selected: Selected, modules: Modules, reserved: Reserved
) -> tuple[list[Site], list[str], dict[str, Site]]:
    """Record the changes of a rule at modules: the sites, the errors, and the sites that cannot take the rule."""
    sites: list[Site] = []
    errors: list[str] = []
    refused: dict[tuple[str, str], list[str]] = {}
    reasons: dict[str, list[str]] = {}
    unsuitable: dict[str, Site] = {}
    for index, (name, module) in enumerate(suitable):
        site = rule.site(name, module, index, len(suitable), reserved)
        sites.append(site)
        try:
            _record(site, selected)
        except CannotTakeError as error:
            where = f"{name or 'the model'} ({site.type})"
            if site.by_name:
                errors.append(f"{where}: {error}")
            reasons.setdefault(str(error), []).append(where)
            site.skip(error.note)
            unsuitable[name] = site
        except ValueError as error:
            refused.setdefault((type(module).__name__, str(error)), []).append(name or "the model")
        _apply_replacements(site, modules)
    for (kind, message), names in refused.items():
        shown = names if len(names) <= 3 else [*names[:2], f"{len(names) - 2} more"]
        listed = f"{', '.join(shown[:-1])} and {shown[-1]}" if shown[1:] else shown[0]
        errors.append(f"{listed} ({kind}): {message}")
    if len(unsuitable) == len(sites):  # none is left
        for reason, (first, *others) in reasons.items():
            more = f" and {len(others)} more" if others else ""
            errors += [] if f"{first}: {reason}" in errors else [f"{first}{more}: {reason}"]
    return sites, errors, unsuitable


def _ineffective_schedules(step: Step, site: Site) -> list[str]:
    """Errors for the schedules that change no number of the regularizer."""
    errors = []
    for key, value in step.schedules:
        transforms = [replace(step.transform, **{key: resolve(value, epoch)}) for epoch in turning_points(step)]
        if len({repr(t.numbers(site)) for t in transforms}) == 1 < len({repr(t) for t in transforms}):
            numbers = ", ".join(site.numbers())
            errors.append(f"{key} cannot follow a schedule here; only {numbers} can")
    return errors


def _record(site: Site, selected: Selected) -> None:
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
        raise CannotTakeError(
            f"{duplicate} next to it already does this, so it would be done twice; select that module",
            f"left: {duplicate} next to it already does this",
        )
    if duplicate is not None:
        site.skip(f"skipped: done at {duplicate}")


def _candidates(rule: _Rule, modules: Modules, reserved: Reserved) -> list[str]:
    """The names of the modules that a rule can be attached to. Trying is harmless: nothing but records is made."""
    names = []
    for name, module in modules.items():
        if name:
            with contextlib.suppress(ValueError, PluginError):
                _record(rule.site(name, module, 0, 1, dict(reserved)), [])
                names.append(name)
    return names


def _selected(at: Any, modules: Modules) -> Selected:
    """The modules that a rule selects, each once; the model itself only if it has no submodules."""
    selected: dict[int, tuple[str, nn.Module]] = {}
    types = _types(at, modules)
    for name, module in modules.items():
        whole = name == "" and len(modules) > 1
        if not whole and selects(at, name, types[name], functools.partial(around, name, types)):
            selected.setdefault(id(module), (name, module))
    return list(selected.values())


def _types(at: Any, modules: Modules) -> dict[str, tuple[str, ...]]:
    """The type names of each module; if `at` has such a type, also that of the activation that it computes."""
    types = {name: type_names(module) for name, module in modules.items()}
    asked = {name for selector in at for each in (selector, *selector.exclude) for name in each.type}
    if not asked.isdisjoint(ACTIVATIONS):
        for name, module in modules.items():
            types[name] += tuple(filter(None, [computes(module)]))
    return types


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
