"""The gallery: one HTML page that shows what a pipeline does to images, and on demand every step that there is.

    augreg gallery --spec imagenet --images holiday/ --out gallery.html

The page is self-contained and makes no network requests. The same inputs give the same bytes. With `--live`, a local
server shows the page beside the spec, which can be edited there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from augreg.pipeline import Pipeline
    from augreg.registry.registry import Registry

__all__ = ["main", "render"]


def main(argv: list[str] | None = None) -> int:
    """Run the command `augreg gallery`, and return its exit code."""
    from augreg.gallery import command

    return command.main(argv)


def render(
    pipeline: Pipeline, images: Iterable[Any], seed: int | None = None, registry: Registry | None = None
) -> str:
    """Render the page of a pipeline as HTML; with a `registry`, with the catalogue of its steps.

    `images` are any inputs of a pipeline: paths, PIL images, arrays, encoded bytes; or samples, which are mappings
    with the image under `image`, and whose masks, boxes and keypoints are drawn over the image. For an image that
    cannot be read, the page shows the error. `seed` replaces the seed of the pipeline. Raises SpecError for a
    pipeline of several views, or of clips.
    """
    from augreg.gallery.page import page

    return page(pipeline, images, seed, registry).html
