"""The templates, styles and scripts of the pages, which lie beside this module."""

from __future__ import annotations

import functools
import importlib.resources
import re

import jinja2
from markupsafe import Markup, escape

from augreg.pages.report import sha256

__all__ = ["inlined", "template"]


def template(name: str) -> jinja2.Template:
    """A template, by the name of its file."""
    return _environment().get_template(name)


def inlined(*names: str) -> Markup:
    """Styles or scripts, one after the other, as they are: our own files need no escaping."""
    return Markup("".join(map(_text, names)))


@functools.cache
def _environment() -> jinja2.Environment:
    # some texts come from plugins: everything that is not our own markup is escaped
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_text), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(sha256=sha256, marked=_marked)
    return environment


def _text(name: str) -> str:
    return (importlib.resources.files("augreg.gallery") / name).read_text(encoding="utf-8").replace("\r\n", "\n")


def _marked(text: str) -> Markup:
    """The text of a docstring, with `code` marked up as code."""
    return Markup(re.sub(r"`([^`\n]+)`", r"<code>\1</code>", str(escape(text))))
