"""The built-in transforms, a family a file. Adding one is writing its class: the registry finds it.

    from augreg.transforms import Mixup, Rotate

The first use of a name imports the modules, which load no array library.
"""

# ruff: noqa: F403
from __future__ import annotations

from typing import TYPE_CHECKING

from augreg import lazy
from augreg.steps.other_names import of_class

if TYPE_CHECKING:
    from augreg.transforms.affine_maps import *
    from augreg.transforms.batch import *
    from augreg.transforms.channels import *
    from augreg.transforms.choose import *
    from augreg.transforms.color import *
    from augreg.transforms.curves import *
    from augreg.transforms.detection import *
    from augreg.transforms.distortion import *
    from augreg.transforms.edges import *
    from augreg.transforms.erasing import *
    from augreg.transforms.fitting import *
    from augreg.transforms.framing import *
    from augreg.transforms.geometry import *
    from augreg.transforms.grid_holes import *
    from augreg.transforms.grids import *
    from augreg.transforms.noise import *
    from augreg.transforms.normalize import *
    from augreg.transforms.per_axis import *
    from augreg.transforms.policies.steps import *
    from augreg.transforms.symmetries import *
    from augreg.transforms.texture import *
    from augreg.transforms.warps import *
    from augreg.transforms.weather import *

__getattr__, __dir__ = lazy.modules(__name__, declared=True, hint=of_class)
