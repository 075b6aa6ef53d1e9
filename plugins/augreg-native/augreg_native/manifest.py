"""The contents of this plugin: names, and where to import them from. Nothing is imported here."""

from augreg import Plugin

PLUGIN = Plugin(
    api=1,
    # a backend with the name of the namespace: a spec says `backend: native`
    backends={"native": "augreg_native.kernels:KERNELS"},
)
