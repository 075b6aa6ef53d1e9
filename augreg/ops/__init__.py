"""The ops: frozen records that say, with concrete numbers, what is to be done to an image.

A transform's `sample` returns ops and a backend runs them; neither knows the other. Ops are the result of a draw:
they print, pickle, compare and replay. They have plain data only and touch no pixel, so this package needs no array
library. Functions such as `rotate(scene, degrees)` make ops from everyday parameters; the records, such as `Warp`,
are what the planner and the backends read.

Coordinates are (y, x) from the top left; sizes are (height, width). Pixel values are 0 to 255 in byte images, 0 to 1
in float images, and anything once an image is normalized.
"""

# ruff: noqa: F403
from __future__ import annotations

from augreg.ops.color import *
from augreg.ops.composite import *
from augreg.ops.convolution import *
from augreg.ops.erasing import *
from augreg.ops.geometry import *
from augreg.ops.noise import *
from augreg.ops.op import *
from augreg.ops.remaps import *
from augreg.ops.scene import *
from augreg.ops.weather import *
