"""The conformance kit: what a plugin's transforms, batch transforms and regularizers must keep to, as checks.

python -m augreg.testing rain                    # everything that the plugin `rain` brings

from augreg.testing import parametrize           # in the plugin's own tests: one test for each object and check

@parametrize("rain", expected_failures={"rain/drops:backends_agree": "it is drawn by OpenCV alone"})
def test_conformance(check):
    check()

Besides, hypothesis strategies for tests of your own: images, samples, arguments, specs; see strategies.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from augreg import lazy

if TYPE_CHECKING:
    from augreg.testing.batch_transforms import check_batch_transform as check_batch_transform
    from augreg.testing.parametrizing import parametrize as parametrize
    from augreg.testing.plugins import check_plugin as check_plugin
    from augreg.testing.regularizers import check_regularizer as check_regularizer
    from augreg.testing.strategies import arguments as arguments
    from augreg.testing.strategies import images as images
    from augreg.testing.strategies import samples as samples
    from augreg.testing.strategies import specs as specs
    from augreg.testing.transforms import check_transform as check_transform

__getattr__, __dir__, __all__ = lazy.names(
    __name__,
    {
        "batch_transforms": ("check_batch_transform",),
        "parametrizing": ("parametrize",),
        "plugins": ("check_plugin",),
        "regularizers": ("check_regularizer",),
        "strategies": ("arguments", "images", "samples", "specs"),
        "transforms": ("check_transform",),
    },
)
