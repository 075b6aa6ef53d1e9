"""What this plugin brings: names, and where to find what they stand for. Imports nothing of it."""

from augreg import Plugin

PLUGIN = Plugin(
    api=1,  # the contract with augreg that this was written for
    transforms={
        "snow": "augreg_example.snow:Snow",
        "vignette": "augreg_example.vignette:Vignette",
    },
    regularizers={"scale_noise": "augreg_example.scale_noise:ScaleNoise"},
    presets={"winter": "augreg_example:presets/winter.yaml"},
)
