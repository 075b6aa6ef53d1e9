"""The modules that a rule selects in a model, and what it is going to do there."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

from torch import nn

from augreg.attachment.actions import Replace
from augreg.attachment.deduplicate import settle
from augreg.attachment.site import Site
from augreg.errors import PluginError
from augreg.steps.schedules import resolve, scheduled, turning_points
from augreg.steps.selectors import nearest_names, selects
from augreg.steps.step import Step

__all__ = ["sites_of"]

_MOST = 5  # modules of one rule that an error names


def sites_of(
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
    wrong += _unmoved(step, sites[-1])
    if len(wrong) > _MOST:
        wrong[_MOST:] = [f"and {len(wrong) - _MOST} more modules of this rule"]
    if not wrong:
        settle(sites)
    else:
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


def _unmoved(step: Step, site: Site) -> list[str]:
    """The schedules that would change nothing, as no number of the regularizer follows them."""
    found = []
    for key, value in step.schedules:
        made = [replace(step.transform, **{key: resolve(value, epoch)}) for epoch in turning_points(step)]
        if len({repr(one.numbers(site)) for one in made}) == 1 < len({repr(one) for one in made}):
            follow = ", ".join(site.numbers())
            found.append(f"{key} cannot follow a schedule here; what can follow one is {follow}")
    return found


def _attach(site: Site, selected: list[tuple[str, nn.Module]]) -> None:
    """Let the regularizer record what it does at a site. Raises ValueError if it cannot be there."""
    if not site.claim(site.module, site.step):
        raise ValueError(f"{site.step} is attached to it already; detach that first")
    try:
        numbers = site.takes_over(site.module)
        site.own = numbers is not None
        if numbers is not None and site.adopt(site.module, numbers):
            return
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
