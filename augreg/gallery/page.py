"""Render the page: collect its sections, and fill the template with them, the style and the script."""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jinja2
import yaml
from markupsafe import Markup, escape

from augreg import __version__
from augreg.backends import choose
from augreg.gallery.batches import batches
from augreg.gallery.cards import failures, groups
from augreg.gallery.means import MEAN_DRAWS
from augreg.gallery.photo_rows import DRAWS, row
from augreg.gallery.photos import read, samples
from augreg.gallery.policies import sheets
from augreg.gallery.repeated_images import repeated_images, style_of
from augreg.gallery.targets import SPEC, demonstrations
from augreg.pages.report import base_style, sha256
from augreg.pipeline import Pipeline
from augreg.registry.registry import Registry
from augreg.spec.one_view import check_one_view
from augreg.spec.options import SECTIONS

__all__ = ["Page", "page"]

_MOST_PHOTOS = 8
_SMALLEST_DEMO = 64


class Page(NamedTuple):
    """The page as HTML, and the photos that could not be read or transformed, each with the reason."""

    html: str
    failures: tuple[tuple[str, str], ...]


def page(
    pipeline: Pipeline,
    images: Iterable[Any],
    seed: int | None = None,
    registry: Registry | None = None,
    title: str = "",
    size: int | None = None,
    names: Mapping[Any, str] | None = None,
) -> Page:
    """The whole page; `title` names the pipeline, `size` is the shorter side to which photos are shrunk.

    `names` are the names of images that are paths, if they are not those of the files.
    """
    check_one_view(pipeline, "a gallery")
    original = pipeline.to_spec()
    # array output: it needs no torch
    spec = {**original, "output": "numpy", "layout": "chw", "seed": original["seed"] if seed is None else seed}
    rules = pipeline.test.explain()
    pipeline = Pipeline.from_spec(spec, pipeline.registry)
    registry = pipeline.registry if registry is None else registry
    images = list(images)
    photos = read(images[:_MOST_PHOTOS], pipeline.options.channels, size, names)
    # tiny images do not show what a transform does
    large = [photo for photo in photos if photo.array is not None and min(photo.array.shape[:2]) >= _SMALLEST_DEMO]
    demos = large or read(samples())
    rows = [row(pipeline, photo, index) for index, photo in enumerate(photos)]
    parts = {
        "title": title,
        "version": __version__,
        "seed": pipeline.options.seed,
        "backend": pipeline.backend,
        "steps": [(section, step.name) for section in SECTIONS for step in getattr(pipeline.spec, section)],
        "spec": yaml.safe_dump(
            {**original, "seed": spec["seed"]}, sort_keys=False, default_flow_style=None, width=88
        ),
        "rules": rules,
        "draws": DRAWS,
        "mean_draws": MEAN_DRAWS,
        "rows": rows,
        "batches": batches(pipeline, photos),
        "normalized": any(row.normalized for row in rows),
        "left_out": len(images) - len(photos),
        "sheets": sheets(pipeline, demos),
        "demonstrations": demonstrations(images[:_MOST_PHOTOS], pipeline.backend),
        "targets_spec": SPEC,
        "groups": groups(registry, demos, _backend_of_cards(pipeline, registry)),
        "failures": failures(registry),
        "script": _inlined("page.js"),
    }
    repeated = repeated_images(parts)
    style = Markup(base_style()) + _inlined("page.css") + _inlined("policies.css") + Markup(style_of(repeated))
    html = _template().render(parts, style=style, repeated=repeated)
    return Page(html, tuple((row.name, row.failure) for row in rows if row.failure))


def _backend_of_cards(pipeline: Pipeline, registry: Registry) -> str:
    """The backend of the pipeline; if it is that of a plugin that the registry of the cards lacks, the usual one."""
    name, plugins = pipeline.backend, registry.backends
    return choose("auto", plugins) if name in pipeline.registry.backends and name not in plugins else name


def _template() -> jinja2.Template:
    # some texts come from plugins: everything that is not our own markup is escaped
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_text), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(sha256=sha256, marked=_marked)
    return environment.get_template("page.html")


def _text(name: str) -> str:
    return (importlib.resources.files("augreg.gallery") / name).read_text(encoding="utf-8").replace("\r\n", "\n")


def _inlined(name: str) -> Markup:
    return Markup(_text(name))  # our own files need no escaping


def _marked(text: str) -> Markup:
    """The text of a docstring, with `code` marked up as code."""
    return Markup(re.sub(r"`([^`\n]+)`", r"<code>\1</code>", str(escape(text))))
