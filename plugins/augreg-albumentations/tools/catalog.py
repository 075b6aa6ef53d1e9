"""Write augreg_albumentations/catalog.json: the names and arguments of the installed transforms.

    NO_ALBUMENTATIONS_UPDATE=1 python tools/catalog.py

The plugin reads this file, so that listing its transforms does not import albumentations.
"""

import inspect
import json
from pathlib import Path

import albumentations

OUT = Path(__file__).parents[1] / "augreg_albumentations" / "catalog.json"

# Transforms that cannot be a step on one image, or that augreg has already, with the reason or the alternative.
LEFT_OUT = {
    "ConstrainedCoarseDropout": "it uses the mask or labels, and a step knows only the size and boxes of the image",
    "CropNonEmptyMaskIfExists": "it uses the mask, and a step knows only the size and boxes of the image",
    "FromFloat": "images become floats when they are normalized, and are not converted back to bytes",
    "Lambda": "use the function itself: augreg.Call",
    "MaskDropout": "it uses the mask, and a step knows only the size and boxes of the image",
    "Mosaic": "use augreg's mosaic, in the batch section",
    "OverlayElements": "it needs another image for each sample",
    "TextImage": "it needs a text for each sample",
    "ToRGB": "use `channels: rgb`, which is the default",
    "ToTensor3D": "volumes are not images",
    "ToTensorV2": "use `output: torch`",
}


def entry(cls: type) -> dict[str, object]:
    """The catalog entry of a transform."""
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
    entries = {}
    for name in sorted(dir(albumentations)):
        cls = getattr(albumentations, name)
        if not (isinstance(cls, type) and issubclass(cls, albumentations.BasicTransform)):
            continue
        if not cls.__module__.startswith(("albumentations.augmentations", "albumentations.pytorch")):
            continue
        if name in LEFT_OUT or name.endswith("3D") or name == "CubicSymmetry":
            continue
        entries[name] = entry(cls)
    OUT.write_text(json.dumps(entries, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(f"{len(entries)} transforms of albumentations {albumentations.__version__} in {OUT}")


if __name__ == "__main__":
    main()
