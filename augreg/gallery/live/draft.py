"""A draft: the text of a spec in the editor, and the answer to it: the images, or the problems with their lines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from augreg.errors import AugregError, Problem, SpecError
from augreg.gallery.error_text import error_text, hide_folders
from augreg.gallery.page import check_shown, parts_of, with_arrays
from augreg.gallery.photos import Photo, classes_of, one_of_each_class, read
from augreg.gallery.templates import template
from augreg.pipeline import Pipeline

__all__ = ["Drafts"]

_MOST_PHOTOS = 4
_DRAWS = 4
_MOST_PIXELS = 2**25  # of an image on the way: more takes too long to be drawn again at each letter


class Drafts:
    """Answers to drafts, all with the same images, which are read once for each kind of channels.

    `folder` takes the file of each draft, so that it is read as any spec is, with the same limits; `suffix` says
    whether it is YAML, JSON or TOML. `names` are the images, by path, with their names.
    """

    def __init__(
        self, folder: Path, suffix: str, names: Mapping[Path, str], seed: int | None = None, size: int | None = None
    ) -> None:
        self._file = folder / f"spec{suffix}"
        self._names, self._seed, self._size = names, seed, size
        self._photos: dict[str, list[Photo]] = {}

    def answer(self, text: str) -> dict[str, Any]:
        """The page's part for this text, under `html`, and `problems`, a list of lines and messages."""
        try:
            self._file.write_text(text, encoding="utf-8", newline="\n")
            pipeline = Pipeline.from_spec(str(self._file))
            pixels = min(pipeline.options.max_pixels, _MOST_PIXELS)
            pipeline = with_arrays(pipeline, self._seed).replace(max_pixels=pixels)
            check_shown(pipeline, instead="make it a spec of one: its steps after those of image")
            return {"html": self._html(pipeline), "problems": []}
        except SpecError as error:
            return {"html": None, "problems": [_problem(one, text) for one in error.problems]}
        except AugregError as error:
            return {"html": None, "problems": [{"line": None, "message": error_text(error)}]}
        except Exception as error:  # a plugin may raise anything
            return {"html": None, "problems": [{"line": None, "message": f"it failed: {error_text(error)}"}]}

    def _html(self, pipeline: Pipeline) -> str:
        channels = pipeline.options.channels
        if channels not in self._photos:
            shown = one_of_each_class(self._names)[:_MOST_PHOTOS]
            self._photos[channels] = read(shown, channels, self._size, self._names)
        photos = self._photos[channels]
        parts = parts_of(pipeline, photos, _DRAWS, walks=False)
        left_out, classes = len(self._names) - len(photos), bool(classes_of(self._names))
        return template("photos.html").render(
            parts, repeated={}, left_out=left_out, classes=classes, most=_MOST_PHOTOS
        )


def _problem(problem: Problem, text: str) -> dict[str, Any]:
    """A problem without the file; one of a section as a whole has the line at which the section begins."""
    line = problem.line
    if line is None and problem.path:
        section = problem.path.partition(".")[0]
        lines = text.split("\n")
        line = next((number for number, one in enumerate(lines, 1) if one.startswith(f"{section}:")), None)
    # the name of the draft's file is of no use to the reader
    named = problem.path if "/" not in problem.path else ""
    return {"line": line, "message": hide_folders(": ".join(filter(None, (named, problem.message))))}
