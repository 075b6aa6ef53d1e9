"""Render the page of a pipeline, with the catalogue or without: fill the template, the style and the script."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import yaml
from markupsafe import Markup

from augreg import __version__
from augreg.errors import SpecError
from augreg.gallery.batches import batches
from augreg.gallery.catalogue import catalogue
from augreg.gallery.own_steps import own_steps
from augreg.gallery.photo_rows import DRAWS, row
from augreg.gallery.photos import Photo, classes_of, one_of_each_class, read
from augreg.gallery.policies import sheets
from augreg.gallery.repeated_images import repeated_images, style_of
from augreg.gallery.templates import inlined, template
from augreg.pages.report import base_style
from augreg.pipeline import Pipeline
from augreg.registry.registry import Registry
from augreg.spec.one_view import check_one_view
from augreg.spec.options import SECTIONS

__all__ = ["Page", "check_shown", "page", "parts_of", "with_arrays"]

_MOST_PHOTOS = 8


class Page(NamedTuple):
    """The page as HTML, and the photos that could not be read or transformed, each with the reason."""

    html: str
    failures: tuple[tuple[str, str], ...]


def check_shown(pipeline: Pipeline, what: str = "a gallery", instead: str = "give it {}") -> None:
    """Raise SpecError for a pipeline that has no page: of several views, or of clips."""
    check_one_view(pipeline, what, instead)
    if pipeline.options.targets.clip:
        raise SpecError("targets.clip", f"{what} is for single images, not clips; leave it out to see one frame")


def page(
    pipeline: Pipeline,
    images: Iterable[Any],
    seed: int | None = None,
    registry: Registry | None = None,
    title: str = "",
    size: int | None = None,
    names: Mapping[Any, str] | None = None,
) -> Page:
    """The page of a pipeline; `title` names it, `size` is the shorter side to which photos are shrunk.

    With a `registry` the page has the catalogue of its steps too. `names` are the names of images that are paths, if
    they are not those of the files: paths below a folder, of which the page shows one image for each class. Raises
    SpecError for a pipeline that has no page.
    """
    check_shown(pipeline)
    original = pipeline.to_spec()
    rules = pipeline.test.explain()
    pipeline = with_arrays(pipeline, seed)
    images = list(images)
    shown = (one_of_each_class(names) if names else images)[:_MOST_PHOTOS]
    photos = read(shown, pipeline.options.channels, size, names)
    parts = {
        **parts_of(pipeline, photos),
        "title": title,
        "version": __version__,
        "spec": yaml.safe_dump(
            {**original, "seed": pipeline.options.seed}, sort_keys=False, default_flow_style=None, width=88
        ),
        "rules": rules,
        "left_out": len(images) - len(photos),
        "classes": bool(classes_of(names or {})),
        "most": _MOST_PHOTOS,
        **({"groups": ()} if registry is None else catalogue(pipeline, shown, photos, registry)),
    }
    repeated = repeated_images(parts)
    style = Markup(base_style()) + inlined("page.css") + Markup(style_of(repeated))
    script = inlined("zoom.js", "copy.js", *(("catalogue.js",) if parts["groups"] else ()))
    html = template("page.html").render(parts, style=style, script=script, repeated=repeated)
    return Page(html, tuple((row.name, row.failure) for row in parts["rows"] if row.failure))


def with_arrays(pipeline: Pipeline, seed: int | None = None) -> Pipeline:
    """The pipeline with arrays as its output, which need no torch, and with another seed if one is given."""
    return pipeline.replace(output="numpy", layout="chw", **({} if seed is None else {"seed": seed}))


def parts_of(pipeline: Pipeline, photos: list[Photo], draws: int = DRAWS, walks: bool = True) -> dict[str, Any]:
    """What the page shows of a pipeline: its steps and facts, rows of photos, batches, and steps of a model.

    Without `walks`, the rows have no runs step by step.
    """
    rows = [row(pipeline, photo, index, draws, walks) for index, photo in enumerate(photos)]
    return {
        "steps": [(section, step.name) for section in SECTIONS for step in getattr(pipeline.spec, section)],
        "seed": pipeline.options.seed,
        "backend": pipeline.backend,
        "draws": draws,
        "rows": rows,
        "normalized": any(row.normalized for row in rows),
        "sheets": sheets(pipeline, photos),
        "batches": batches(pipeline, photos),
        "own_steps": own_steps(pipeline),
    }
