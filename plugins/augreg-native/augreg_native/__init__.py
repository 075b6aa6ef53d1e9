"""The compiled backend of augreg: the bytes of Pillow, several times as fast."""

from augreg import __version__ as _installed

__version__ = "0.1.0"

# It packs the ops of augreg as it knows them: those of another version could run, with other bytes and no error.
if _installed != __version__:
    raise ImportError(
        f"augreg-native {__version__} works with augreg {__version__} only, and this is augreg {_installed}: "
        "install both from the same checkout, or pip uninstall augreg-native"
    )
