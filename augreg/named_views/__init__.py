"""Named views: several views of one image from one spec, such as global and local crops, and how they correspond.

They are what the section `views` of a spec declares, for training that compares views of one image. Test-time views,
whose predictions are averaged, are another thing: `augreg.views`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from augreg import lazy

if TYPE_CHECKING:
    from augreg.named_views.plan import Overlap as Overlap, ViewsPlan as ViewsPlan
    from augreg.named_views.result import NamedViews as NamedViews

__getattr__, __dir__, __all__ = lazy.names(__name__, {"plan": ("Overlap", "ViewsPlan"), "result": ("NamedViews",)})
