"""The gallery: one HTML page that shows a pipeline and every registered transform, with images and spec lines.

    python -m augreg.gallery --spec imagenet --images holiday/ --out gallery.html

The page is self-contained and makes no network requests. The same inputs give the same bytes.
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
    """Render the page as HTML.

    `images` are any inputs of a pipeline: paths, PIL images, arrays, encoded bytes; or samples, which are mappings
    with the image under `image`, and whose masks, boxes and keypoints are drawn over the image. For an image that
    cannot be read, the page shows the error. `seed` replaces the seed of the pipeline, and `registry`, which
    determines the transforms on the page, replaces the registry of the pipeline.
    """
    from augreg.gallery.page import page

    return page(pipeline, images, seed, registry).html
