"""Test-time views: several test images of one image, with weights, and their predictions in the image's frame.

`pipe.views(image, n)` makes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from augreg import lazy

if TYPE_CHECKING:
    from augreg.views.views import View as View, Views as Views

__getattr__, __dir__, __all__ = lazy.names(__name__, {"views": ("View", "Views")})
