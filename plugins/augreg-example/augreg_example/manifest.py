"""The contents of this plugin: names, and where to import them from. Nothing is imported here."""

from augreg import Plugin

PLUGIN = Plugin(
    api=1,  # the version of the plugin API that this was written for
    transforms={
        "snow": "augreg_example.snow:Snow",
        "vignette": "augreg_example.vignette:Vignette",
    },
    batch_transforms={"horizontal_concat": "augreg_example.horizontal_concat:HorizontalConcat"},
    regularizers={
        "scale_noise": "augreg_example.scale_noise:ScaleNoise",
        "logit_squeezing": "augreg_example.logit_squeezing:LogitSqueezing",
    },
    presets={"winter": "augreg_example:presets/winter.yaml"},
)
