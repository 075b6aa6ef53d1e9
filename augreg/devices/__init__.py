"""Batches on a device: each image by its own draw, ops run by kind for all images at once.

`programs` draws what is to be done, `fusing` makes fewer passes of it, `loading` reads the images, `running` runs the
ops as torch tensors, and `batches`, `samples` and `views` put these together for `pipe.train.batch` and
`pipe.test.batch`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from augreg import lazy

if TYPE_CHECKING:
    from augreg.devices.batches import transformed as transformed
    from augreg.devices.draws import BatchDraws as BatchDraws
    from augreg.devices.explaining import remarks as remarks
    from augreg.devices.samples import transformed_samples as transformed_samples
    from augreg.devices.views import transformed_views as transformed_views

__getattr__, __dir__, __all__ = lazy.names(
    __name__,
    {
        "batches": ("transformed",),
        "draws": ("BatchDraws",),
        "explaining": ("remarks",),
        "samples": ("transformed_samples",),
        "views": ("transformed_views",),
    },
    needs="torch",
)
