"""Mixed images, and the images that a policy makes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from augreg.data.sample_photos import sample_photo
from augreg.pages.canvas import COLORS, SIZE, panels, show_image
from augreg.pipeline import Pipeline
from augreg.transforms.policies.notation import format_row
from augreg.transforms.policies.steps import AutoAugment

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["auto_augment", "mixed", "mixup"]

_SIDE = 160
_SMALL = 88
_OURS = {"cat": "chelsea", "coffee": "coffee"}


def mixup(lam: float = 0.4, photos: dict[str, str | Path] | None = None) -> Figure:
    """Two photos and their mixture, with the label of each: `lam` of the first, and the rest of the second.

    `photos` has two photos by the names of their classes; by default those that come with augreg, a cat and a cup of
    coffee. Raises ValueError for another number of photos.
    """
    photos = {name: sample_photo(photo) for name, photo in _OURS.items()} if photos is None else photos
    if len(photos) != 2:
        raise ValueError(f"mixup: expected two photos by the names of their classes, got {len(photos)}")
    images, mixture, label = mixed(list(photos.values()), lam)
    names = list(photos)
    titles = [
        *(f"{name}: 1" for name in names),
        ", ".join(f"{name}: {part:.2g}" for name, part in zip(names, label, strict=True)),
    ]
    figure, grid = panels(1, 3, 1.95)
    for axes, image, title in zip(grid.flat, [*images, mixture], titles, strict=True):
        show_image(axes, image, title)
    return figure


def mixed(photos: Sequence[str | Path], lam: float) -> tuple[NDArray[np.uint8], NDArray[np.uint8], list[float]]:
    """The two photos as squares, the first one mixed with the second, and the parts of the two in its label."""
    pipe = Pipeline.from_spec(
        {
            "image": [{"resize": {"shorter": _SIDE}}, {"center_crop": _SIDE}],
            "batch": [{"mixup": {"lam": lam, "pairing": "roll"}}],
            "classes": 2,
        }
    )
    images = np.stack([np.asarray(pipe.train(photo, index=0)) for photo in photos])
    mixture, labels = pipe.batch(images, np.arange(2), batch=0)
    return images, mixture[0], labels.dense()[0].tolist()


def auto_augment(policy: str = "svhn-figure", photos: Sequence[str | Path] | None = None, seed: int = 0) -> Figure:
    """A table of photos (columns) and the first five sub-policies of AutoAugment (rows), with what each one says.

    The default is the policy of the figure in the paper. Of an op the probability is written first, then the
    magnitude, so that in some images one op is left out, or both.
    """
    chosen = [sample_photo(name) for name in ("chelsea", "coffee", "rocket")] if photos is None else list(photos)
    rows = AutoAugment(policy=policy).table[:5]
    figure, grid = panels(len(rows) + 1, 1 + len(chosen), 1.0 * (len(rows) + 1), widths=[1.4, *[1.0] * len(chosen)])
    square = [{"resize": {"shorter": _SMALL}}, {"center_crop": _SMALL}]
    for line, sub_policy in enumerate([None, *rows]):
        steps: list[Any] = list(square)
        words = "original"
        if sub_policy is not None:
            steps.append({"auto_augment": {"policy": [sub_policy]}})
            words = f"sub-policy {line}\n" + format_row(sub_policy).replace(" / ", "\n").replace(",", ", ")
        grid[line, 0].text(0, 0.5, words, va="center", color=COLORS["ink"], fontsize=SIZE)
        grid[line, 0].set_axis_off()
        pipe = Pipeline.from_spec({"image": steps, "seed": seed})
        for column, photo in enumerate(chosen):
            # each row is another epoch: at the same address all rows would draw the same numbers
            show_image(grid[line, column + 1], np.asarray(pipe.train(photo, index=column, epoch=line)))
    return figure
