"""The gallery: one page that shows a pipeline and every registered transform, from images to spec lines.

    python -m augreg.gallery --spec imagenet --images holiday/ --out gallery.html

The page holds everything that it shows, asks the network for nothing, and is the same bytes for the same inputs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from augreg.pipeline import Pipeline
    from augreg.registry.registry import Registry

__all__ = ["main", "render"]


def main(argv: list[str] | None = None) -> int:
    """The command `augreg gallery`: returns its exit code."""
    from augreg.gallery import command

    return command.main(argv)


def render(
    pipeline: Pipeline, images: Iterable[Any], seed: int | None = None, registry: Registry | None = None
) -> str:
    """The page as HTML.

    `images` are whatever a pipeline takes: paths, PIL images, arrays, encoded bytes; or samples, mappings with a
    image under `image`, whose masks, boxes and keypoints are drawn over the images. One that cannot be read is
    shown as broken, with its reason. `seed` stands for the pipeline's own, and `registry`, whose transforms are
    shown, for the one that the pipeline was made with.
    """
    from augreg.gallery.page import page

    return page(pipeline, images, seed, registry)
