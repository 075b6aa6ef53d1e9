"""Writes augreg_albumentations/catalog.json: the names and fields of the transforms that are installed.

    NO_ALBUMENTATIONS_UPDATE=1 python tools/catalog.py

The plugin reads that file, so that listing its transforms does not import albumentations.
"""

import inspect
import json
from pathlib import Path

import albumentations

OUT = Path(__file__).parents[1] / "augreg_albumentations" / "catalog.json"

# What cannot be a step on one image, or is one of augreg already, and what to do instead.
LEFT_OUT = {
    "ConstrainedCoarseDropout": "it looks at the mask or labels, and a step knows the image's size and boxes alone",
    "CropNonEmptyMaskIfExists": "it looks at the mask, and a step knows the image's size and boxes alone",
    "FromFloat": "images become floats where they are normalized, and not bytes again",
    "Lambda": "give the function itself: augreg.Call",
    "MaskDropout": "it looks at the mask, and a step knows the image's size and boxes alone",
    "Mosaic": "use augreg's mosaic, in the batch section",
    "OverlayElements": "it needs another image for each sample",
    "TextImage": "it needs a text for each sample",
    "ToRGB": "say `channels: rgb`, which is the default",
    "ToTensor3D": "volumes are no images",
    "ToTensorV2": "say `output: torch`",
}


def entry(cls: type) -> dict[str, object]:
    """What is known of a transform without importing it."""
    fields, needs, p = {}, [], 1.0
    for parameter in inspect.signature(cls.__init__).parameters.values():
        if parameter.name == "p":
            p = float(parameter.default)
        if parameter.name in ("self", "p", "args", "kwargs", "read_fn"):
            continue
        if parameter.default is inspect.Parameter.empty:
            needs.append(parameter.name)
        else:
            fields[parameter.name] = parameter.default
    return {
        "moves": issubclass(cls, albumentations.DualTransform),
        "needs": needs,
        "p": p,
        "fields": fields,
    }


def main() -> None:
    """Write the catalog."""
    found = {}
    for name in sorted(dir(albumentations)):
        cls = getattr(albumentations, name)
        if not (isinstance(cls, type) and issubclass(cls, albumentations.BasicTransform)):
            continue
        if not cls.__module__.startswith(("albumentations.augmentations", "albumentations.pytorch")):
            continue
        if name in LEFT_OUT or name.endswith("3D") or name == "CubicSymmetry":
            continue
        found[name] = entry(cls)
    OUT.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(f"{len(found)} transforms of albumentations {albumentations.__version__} in {OUT}")


if __name__ == "__main__":
    main()
