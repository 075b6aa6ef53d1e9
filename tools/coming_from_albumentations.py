"""Write the tables of docs/coming-from-albumentations.md: what each transform of albumentations 2.0.8 becomes.

    python tools/coming_from_albumentations.py            # writes the tables anew
    python tools/coming_from_albumentations.py --check    # exit code 1 if they are not what the importer does

Needs albumentations 2.0.8. Each transform is given to `from_albumentations` with its default arguments, and then
once with each other value of a switch or of an argument that is one of several names, and of those in `TRIED`. Only
`ELSEWHERE` is written by hand: what to do where there is neither a step nor one of the plugin.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

os.environ["AUGREG_PLUGINS"] = "-albumentations"  # the table is about what is there without the plugin
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

import albumentations as A  # noqa: N812 - as its own documentation calls it
from library_tables import name_of, remarks, table, write_or_check

import augreg

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "coming-from-albumentations.md"
CATALOG = ROOT / "plugins" / "augreg-albumentations" / "augreg_albumentations" / "catalog.json"

BASES = {"BaseCompose", "BasicTransform", "DualTransform", "ImageOnlyTransform", "Transform3D"}
# what transforms need to be made, by the name of the argument
NEEDED = {"height": 64, "width": 64, "size": (64, 64), "min_max_height": (32, 64), "max_size": 64, "percent": 0.1}
# values to try for arguments that are neither switches nor names
TRIED: Mapping[str, tuple[Any, ...]] = {
    "border_mode": (0, 1, 2, 3, 4), "interpolation": (0, 1, 2, 3, 4, 6), "mask_interpolation": (0, 1, 6),
    "fill": (128, "random", "random_uniform", "inpaint_telea"), "fill_mask": (1,), "drop_value": (128, None),
    "mask_drop_value": (1,), "mean_range": ((0.1, 0.2),), "noise_scale_factor": (0.5,), "erosion_rate": (0.2,),
    "translate_px": ({"x": (-5, 5), "y": (-5, 5)},), "translate_percent": ((-0.1, 0.1), (0.0, 0.1)),
    "scale": ((0.8, 1.2), {"x": (0.8, 1.2), "y": (0.9, 1.1)}), "rotate": ((-20, 20), (0, 20)), "limit": ((0, 20),),
    "max_size": ([64, 96],), "max_size_hw": ((64, 96),), "padding": ((1, 2, 3, 4),), "max_pixel_value": (1.0,),
    "num_bits": ([(3, 5), (4, 6), (4, 6)],), "r_shift_limit": (10,), "num_output_channels": (1,),
    "shift_limit": ((0.0, 0.1),), "distort_limit": ((0.0, 0.3),), "ignore": (255,), "max_value": (1.0,),
    "pad_height_divisor": (32,), "n": (1,), "blur_limit": ((0, 5),), "shear": ((-10, 10),),
}  # fmt: skip

SAID_ABOVE = ("bicubic is a little sharper here", "where the border shows a mirror image")
"""How remarks begin that the page makes of all transforms together."""

ELSEWHERE: Mapping[str, str] = {
    "CenterCrop3D": "nothing: volumes are not supported",
    "CoarseDropout3D": "nothing: volumes are not supported",
    "ConstrainedCoarseDropout": "nothing; `holes` do not depend on masks and boxes",
    "CropNonEmptyMaskIfExists": "nothing; `safe_crop` keeps the boxes of a sample",
    "CubicSymmetry": "nothing: volumes are not supported",
    "FromFloat": "nothing is needed after `ToFloat`; images that come as floats stay so",
    "Lambda": "`call` of its function, which the program [allows](write-a-transform.md#an-existing-function)",
    "MaskDropout": "nothing",
    "Mosaic": "`mosaic` in the section `batch`, see [mixing](mixing.md)",
    "OverlayElements": "nothing; `copy_paste` pastes the objects of other images, see [mixing](mixing.md)",
    "Pad3D": "nothing: volumes are not supported",
    "PadIfNeeded3D": "nothing: volumes are not supported",
    "RandomCrop3D": "nothing: volumes are not supported",
    "ReplayCompose": "every pipeline: `plan.run` repeats a draw, see above",
    "SelectiveChannelTransform": "nothing",
    "TextImage": "nothing",
    "ToRGB": "`channels: rgb`, which holds for the whole spec",
    "ToTensor3D": "nothing: volumes are not supported",
}
"""What to do instead of transforms that neither augreg nor the plugin has."""


def transforms() -> dict[str, type]:
    """The public classes of albumentations, by name, in alphabetical order."""
    found = {
        name: value
        for name, value in vars(A).items()
        if inspect.isclass(value) and issubclass(value, A.BasicTransform | A.BaseCompose) and name not in BASES
    }
    return dict(sorted({**found, "ToTensorV2": A.pytorch.ToTensorV2}.items()))


def arguments(cls: type) -> dict[str, Any]:
    """The arguments that a class needs, with values for them."""
    if issubclass(cls, A.BaseCompose):
        children = [A.HorizontalFlip(), A.VerticalFlip()]
        return {"transforms": children, **({"n": 2} if cls in (A.SomeOf, A.RandomOrder) else {})}
    signature = inspect.signature(cls.__init__).parameters
    needed = {key: value for key, value in NEEDED.items() if key in signature}
    return {} if cls is A.PadIfNeeded else needed


def imported(cls: type, **more: Any) -> tuple[list[Any], list[str]] | None:
    """The steps of a transform, and what the report says of it; None if albumentations refuses the arguments."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # unknown arguments are warnings
        warnings.filterwarnings("ignore", "ShiftScaleRotate is a special case|This augmenter is very slow")
        try:
            made = cls(**{**arguments(cls), **more})
        except Exception:
            return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # boxes that no transform changes
        whole = A.Compose([made], bbox_params=A.BboxParams("pascal_voc"))
    try:
        values = A.to_dict(whole)
    except NotImplementedError:  # it holds images, or a function
        values = {"__class_fullname__": "Compose", "transforms": [{"__class_fullname__": cls.__name__}]}
    spec, report = augreg.from_albumentations(values)
    steps = list(spec.get("image", []))
    if "output" in spec:
        steps.append(f"output: {spec['output']}")
    said = [line.partition(": ")[2] for line in report if line.startswith("transforms[0]")]
    return steps, [text for text in said if not text.startswith(SAID_ABOVE)]


def values(cls: type) -> Iterator[tuple[str, Any]]:
    """The arguments to try, with the values to try."""
    for key, parameter in inspect.signature(cls.__init__).parameters.items():
        if key in ("self", "p", "transforms"):
            continue
        if isinstance(parameter.default, bool):
            yield key, not parameter.default
        for texts in re.findall(r"Literal\[(.*?)\]", str(parameter.annotation)):
            yield from ((key, text) for text in re.findall("'(.*?)'", texts))
        for value in TRIED.get(key, ()):
            yield key, value


def row(name: str, cls: type, in_plugin: bool) -> str:
    """The row of one transform."""
    outcome = imported(cls) if name not in ELSEWHERE else None
    steps, report = outcome if outcome is not None else ([], ["left out"])
    if any("left out" in text for text in report):
        if in_plugin:
            return f"| {name} | plugin: `albumentations/{name}` | |"
        return f"| {name} | {ELSEWHERE[name]} | |"
    if cls is A.Compose:
        return f"| {name} | the spec; inside of another, `{name_of(steps[0])}` | |"
    here = ", ".join(f"`{name_of(step)}`" for step in steps) or "nothing is needed"
    said = remarks(report, values(cls), partial(imported, cls))
    return f"| {name} | {here} | {'; '.join(said).replace('|', '/')} |"


def tables() -> dict[str, str]:
    """The text between the markers of the page, by the name of the marker."""
    catalog = json.loads(CATALOG.read_text(encoding="utf-8"))
    rows: dict[str, list[str]] = {"transforms": [], "containers": []}
    for name, cls in transforms().items():
        part = "containers" if issubclass(cls, A.BaseCompose) else "transforms"
        rows[part].append(row(name, cls, name in catalog))
    head = ("albumentations", "augreg", "differences")
    return {part: table(head, lines) for part, lines in rows.items()}


def main() -> int:
    """Write the page, or check it."""
    if A.__version__ != "2.0.8":
        print(f"needs albumentations 2.0.8, found {A.__version__}", file=sys.stderr)
        return 2
    return write_or_check(PAGE, tables())


if __name__ == "__main__":
    sys.exit(main())
