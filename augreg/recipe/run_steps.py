"""The whole recipe: its steps in order, each with the task as the steps before it tuned it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from augreg.recipe.recipe_steps import STEPS, Progress, Situation, Step
from augreg.recipe.report import Report
from augreg.recipe.run_folder import RunFolder
from augreg.recipe.search.paths import space_of
from augreg.recipe.state import kept
from augreg.recipe.task import Task, as_task
from augreg.steps.suggestions import nearest

__all__ = ["chosen_steps", "run"]


def run(
    task: Any,
    folder: str | Path | None = None,
    *,
    steps: Iterable[str | int] | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    go_on: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Run the steps of the recipe on a task, and stop where one fails, unless `go_on`.

    `task` is a Task, a mapping of its arguments, or a function that returns one. `steps` has names or numbers of
    steps; the default is all. `settings` has arguments of the steps by name: `{"curves": {"epochs": 50}}`. A rate
    that is far better than the task's own is used from step 3 on.

    With `folder`, each result is written there, as are runs that last, and a run that was killed goes on where it
    was; steps that failed, and all after a step that is run again, are run again. Nothing else is written.
    `progress(name, done, total)` is called now and then. The task, generators and loaders are as before at the end.
    Raises ValueError for an unknown step or setting, a step that needs another one, or a folder of another task, and
    SpecError with every problem of a space, before anything is trained.
    """
    task = as_task(task)
    chosen = chosen_steps(steps)
    given = _checked(settings or {}, task)
    now = Situation(task, progress or _silent)
    with kept(task):
        if folder is None:
            _run(now, chosen, given, go_on, None)
        else:
            with RunFolder(folder, task).opened([[step.name for step in chosen], given, go_on]) as files:
                _run(now, chosen, given, go_on, files)
    return Report(task.name, now.results, tuple(step.name for step in chosen if step.name not in now.results))


def _run(
    now: Situation, chosen: Iterable[Step], given: Mapping[str, Any], go_on: bool, folder: RunFolder | None
) -> None:
    again = False
    for step in chosen:
        now.progress(step.name, 0, 0)
        settings = given.get(step.name, {})
        files = None
        if folder is not None:
            files = folder.step(step.number, step.name, now.task, settings, now.results.values())
        result = None if files is None or again else files.read()
        if result is None:
            again = True
            now.folder = files.work() if files is not None and step.lasts else None
            result = step.run(now, settings)
            if files is not None:
                files.write(result)
        now.results[step.name] = result
        if not result.ok and not go_on:
            break
        now.task = step.tuned(now.task, result)


def chosen_steps(steps: Iterable[str | int] | None) -> tuple[Step, ...]:
    """The steps of these names or numbers, in their order; all for None. Raises ValueError if one is unknown."""
    if steps is None:
        return STEPS
    known = {**{step.name: step for step in STEPS}, **{str(step.number): step for step in STEPS}}
    wanted = [steps] if isinstance(steps, str | int) else list(steps)
    for name in wanted:
        if str(name) not in known:
            names = ", ".join(f"{step.number} ({step.name})" for step in STEPS)
            raise ValueError(f"steps: there is no step {str(name)!r}{nearest(str(name), known)}; there are: {names}")
    chosen = [step for step in STEPS if any(known[str(name)] is step for name in wanted)]
    if not chosen:
        raise ValueError("steps: expected at least one")
    for step in chosen:
        if step.needs and step.needs not in [each.name for each in chosen]:
            raise ValueError(f"steps: {step.name} needs the result of {step.needs}: add it")
    return tuple(chosen)


def _checked(settings: Mapping[str, Any], task: Task) -> dict[str, dict[str, Any]]:
    known = {step.name: step for step in STEPS}
    for name, arguments in settings.items():
        if name not in known:
            raise ValueError(f"settings: there is no step {name!r}{nearest(name, known)}")
        if not isinstance(arguments, Mapping):
            raise TypeError(f"settings: {name}: expected a mapping of arguments, got {arguments!r}")
        for each in arguments:
            if each not in known[name].arguments:
                names = sorted(known[name].arguments)
                raise ValueError(
                    f"settings: {name} has no argument {each!r}{nearest(str(each), names)}; it has {', '.join(names)}"
                )
    space = settings.get("coarse search", {}).get("space")
    if space is not None:
        space_of(task, space)
    return {name: dict(arguments) for name, arguments in settings.items()}


def _silent(name: str, done: int, total: int) -> None:
    pass
