"""The conformance kit: checks of the contract of transforms, batch transforms and regularizers.

    python -m augreg.testing rain                    # every object of the plugin `rain`

    from augreg.testing import parametrize           # in the plugin's own tests: one test for each object and check

    @parametrize("rain", expected_failures={"rain/drops:backends_agree": "only OpenCV draws it"})
    def test_conformance(check):
        check()

There are also hypothesis strategies for other tests: images, samples, arguments and specs; see strategies.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from augreg import lazy

if TYPE_CHECKING:
    from augreg.testing.parametrizing import parametrize as parametrize
    from augreg.testing.plugins import check_plugin as check_plugin
    from augreg.testing.regularizers import check_regularizer as check_regularizer
    from augreg.testing.strategies import arguments as arguments, images as images, samples as samples, specs as specs
    from augreg.testing.transforms import check_transform as check_transform

__getattr__, __dir__, __all__ = lazy.names(
    __name__,
    {
        "parametrizing": ("parametrize",),
        "plugins": ("check_plugin",),
        "regularizers": ("check_regularizer",),
        "strategies": ("arguments", "images", "samples", "specs"),
        "transforms": ("check_transform",),
    },
)
