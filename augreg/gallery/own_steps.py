"""The model and loss sections of a pipeline: what each step does to feature maps or to a target, and its rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, NamedTuple

from augreg.gallery import ready_made
from augreg.gallery.error_text import error_text
from augreg.gallery.regularizers import regularizer_pictures, target_pictures
from augreg.gallery.tiles import Tile, of_picture, torch_installed
from augreg.pipeline import Pipeline
from augreg.steps.describe import in_words, meaning, summary
from augreg.steps.fields import plain, plain_default, required

__all__ = ["OwnStep", "own_steps"]


class OwnStep(NamedTuple):
    """A step of the section `model` or `loss`, as a line of a spec, and its pictures; or a note why it has none."""

    section: str
    name: str
    line: str
    summary: str
    rule: str
    about: str = ""
    tiles: tuple[Tile, ...] = ()
    note: str = ""


def own_steps(pipeline: Pipeline) -> tuple[OwnStep, ...]:
    """The steps of the sections `model` and `loss` of a pipeline, in their order."""
    data = pipeline.to_spec()
    return tuple(
        _own(pipeline, section, name, arguments)
        for section in ("model", "loss")
        for step in data.get(section, ())
        for name, arguments in step.items()
    )


def _own(pipeline: Pipeline, section: str, name: str, arguments: Mapping[str, Any]) -> OwnStep:
    cls: Any = pipeline.registry[name]
    known = [field for field in fields(cls) if field.init]
    first = next((field.name for field in known if field.name != "at"), "")  # the one that says how much
    usual = {
        field.name: plain(plain_default(field)) for field in known if not required(field) and field.name != first
    }
    given = {key: value for key, value in arguments.items() if key not in usual or value != usual[key]}
    if isinstance(given.get("at"), list) and len(given["at"]) == 1:
        given["at"] = given["at"][0]
    rule = "nothing, it acts in training only" if section == "loss" else meaning(cls)
    step = OwnStep(section, name, f"{name}: {in_words(given)}" if given else name, summary(cls), rule)
    if not ready_made.has_pictures(cls):
        return step
    if not torch_installed():
        return step._replace(note="No images: they need PyTorch, which is not installed.")
    try:
        if section == "loss":
            pictures = target_pictures(cls, [arguments])
        else:
            pictures = regularizer_pictures(name, cls, [arguments], arguments, pipeline.registry)
    except Exception as error:  # a plugin may raise anything
        return step._replace(note=f"No images: {error_text(error)}")
    shown = [*pictures.strengths[:-1], *(picture._replace(heading="") for picture in pictures.strengths[-1:])]
    if pictures.test is not None:
        shown = [pictures.test._replace(heading="test time"), *(draw._replace(heading="") for draw in pictures.draws)]
    return step._replace(about=pictures.about, tiles=tuple(map(of_picture, shown)))
