"""Write the tables of docs/coming-from-torchvision.md: what each transform of torchvision.transforms.v2 becomes.

    python tools/coming_from_torchvision.py            # writes the tables anew
    python tools/coming_from_torchvision.py --check    # exit code 1 if they are not what the importer does

Needs torchvision 0.29 (`make clients` has it). Each transform is given to `from_torchvision` with its default
arguments, and then once with each other value of a switch, and of the arguments in `TRIED`. Only `ELSEWHERE` is
written by hand: what to do where there is no step.
"""

from __future__ import annotations

import inspect
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torchvision
from library_tables import line, lost, name_of, remarks, table, write_or_check
from torchvision.transforms import InterpolationMode, v2

import augreg
from augreg.steps.describe import flow

VERSION = "0.29."
PAGE = Path(__file__).parents[1] / "docs/coming-from-torchvision.md"

CONTAINERS = ("Compose", "RandomApply", "RandomChoice", "RandomOrder")
# what transforms need to be made, by the name of the argument
NEEDED: Mapping[str, Any] = {
    "size": 64, "padding": 4, "degrees": 15, "bits": 4, "threshold": 128, "sharpness_factor": 2, "kernel_size": 23,
    "quality": (50, 90), "mean": [0.5], "std": [0.5], "dtype": torch.float32, "min_size": 64, "max_size": 96,
    "target_size": (64, 64), "format": "XYXY", "num_samples": 4, "lambd": len, "num_classes": 10,
}  # fmt: skip
WARPS = (InterpolationMode.NEAREST, InterpolationMode.BILINEAR, InterpolationMode.BICUBIC)
# values to try for arguments that are neither switches nor names, for all transforms that have them or for one
TRIED: Mapping[str, tuple[Any, ...]] = {
    "interpolation": WARPS, "fill": (128, (1, 2, 3), {"others": 3}), "center": ([0.0, 0.0],), "size": ((48, 64),),
    "max_size": (96,), "value": ("random", (0.1, 0.2, 0.3)), "shear": (10, (0, 10, 0, 10)),
    "translate": ((0.1, 0.2),), "scale": ((0.5, 0.9),), "padding": (4, (1, 2, 3, 4)), "num_output_channels": (3,),
    "num_magnitude_bins": (11,),
    "degrees": ((0, 30),), "dtype": (torch.uint8, torch.float16), "kernel_size": ((5, 9),), "chain_depth": (2,),
    "magnitude": (3,), "sampler_options": ([0.3, 0.5],), "trials": (5,), "quality": (50,),
    "ElasticTransform.alpha": ([30.0, 60.0],), "RandomChoice.p": ([0.2, 0.8],), "RandomApply.p": (0.3,),
}  # fmt: skip
RESIZES = tuple(InterpolationMode)
FLOATS = {"normalize": {"mean": 0.0, "std": 1.0}}
"""What the importer adds at the end of pipelines with floats that never normalize; the page says so of all."""

COMMON = ("boxes", "min_visible")
"""The targets that all imports with boxes have."""
SAID_ABOVE = ("antialias=False is for tensors",)
"""How remarks begin that the page makes of all transforms together."""

CALLS = (
    "Resize(256)", "Resize((224, 224), InterpolationMode.BICUBIC)", "CenterCrop(224)", "RandomResizedCrop(224)",
    "RandomCrop(32, padding=4)", "Pad((1, 2, 3, 4), padding_mode='reflect')", "RandomHorizontalFlip()",
    "RandomRotation(30)", "RandomRotation((0, 90))", "RandomAffine((0, 15), (0.1, 0.2), (0.9, 1.1), 10)",
    "RandomPerspective(0.5)", "ElasticTransform(50.0, 5.0)", "ColorJitter(0.4, 0.4, 0.4, 0.1)",
    "RandomGrayscale(0.2)", "GaussianBlur(23, (0.1, 2.0))", "RandomSolarize(128, 0.2)", "RandomPosterize(4)",
    "RandomAdjustSharpness(2)", "TrivialAugmentWide()", "RandAugment(2, 9)", "AutoAugment()",
    "RandomErasing(0.25, value='random')", "Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])",
    "RandomApply([v2.GaussianBlur(23)], 0.5)", "RandomChoice([v2.RandomRotation(9), v2.RandomInvert(1)], [0.7, 0.3])",
)  # fmt: skip
"""Calls that the page shows beside the lines of a spec that the importer makes of them."""

ELSEWHERE: Mapping[str, str] = {
    "ClampKeyPoints": "nothing: points outside of the image stay there; `targets: {keypoints: drop}` drops them",
    "FiveCrop": "`pipe.views(image, 5)`, see [views](views.md)",
    "TenCrop": "`pipe.views(image, 10)`, see [views](views.md)",
    "Lambda": "`call` of its function, which the program [allows](write-a-transform.md#an-existing-function)",
    "LinearTransformation": "nothing: whitening is for small images and old models",
    "SanitizeKeyPoints": "`targets: {keypoints: drop}`",
    "SetClampingMode": "nothing: boxes are clipped once, at the end",
    "UniformTemporalSubsample": "nothing; choose the frames in the dataset, see [clips](targets.md#clips)",
}
"""What to do instead of transforms that have no step."""


def transforms() -> dict[str, type]:
    """The public transforms of torchvision.transforms.v2, by name, in alphabetical order."""
    return dict(
        sorted(
            (name, value)
            for name, value in vars(v2).items()
            if inspect.isclass(value) and issubclass(value, v2.Transform) and value is not v2.Transform
        )
    )


def arguments(cls: type) -> dict[str, Any]:
    """The arguments that a class needs, with values for them."""
    signature = inspect.signature(cls.__init__).parameters  # type: ignore[misc]
    if "transforms" in signature:
        return {"transforms": [v2.RandomHorizontalFlip(), v2.RandomVerticalFlip()]}
    if cls is v2.ToDtype:
        return {"dtype": torch.float32, "scale": True}
    needed = {key for key, parameter in signature.items() if parameter.default is parameter.empty} | {"num_classes"}
    return {key: value for key, value in NEEDED.items() if key in needed & signature.keys()}


def imported(cls: type, **more: Any) -> tuple[list[Any], list[str]] | None:
    """The steps of a transform, and what the report says of it; None if torchvision refuses the arguments."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ToTensor is deprecated
        try:
            made = cls(**{**arguments(cls), **more})
        except Exception:
            return None
    spec, report = augreg.from_torchvision([made])
    steps: list[Any] = [step for step in [*spec.get("image", []), *spec.get("batch", [])] if step != FLOATS]
    said = [text.partition(": ")[2] for text in report if text.startswith("transforms[0]")]
    options = {key: spec[key] for key in ("output", "channels", "targets") if key in spec}
    if len(options.get("targets", {})) > 2:  # those of its own, without what all imports with boxes have
        options["targets"] = {
            key: value for key, value in spec["targets"].items() if key not in ("boxes", "min_visible")
        }
    steps += [f"{key}: {flow(value)}" for key, value in options.items()]
    return steps, [text for text in said if not text.startswith(SAID_ABOVE)]


def values(cls: type) -> Iterator[tuple[str, Any]]:
    """The arguments to try, with the values to try."""
    signature = inspect.signature(cls.__init__).parameters  # type: ignore[misc]
    for key, parameter in signature.items():
        if isinstance(parameter.default, bool):
            yield key, not parameter.default
        for texts in re.findall(r"Literal\[(.*?)\]", str(parameter.annotation)):
            yield from ((key, text) for text in re.findall("'(.*?)'", texts))
        tried = RESIZES if key == "interpolation" and "antialias" in signature else TRIED.get(key, ())
        yield from ((key, value) for value in (*tried, *TRIED.get(f"{cls.__name__}.{key}", ())))


def row(name: str, cls: type) -> str:
    """The row of one transform."""
    if name in ELSEWHERE:
        return f"| {name} | {ELSEWHERE[name]} | |"
    outcome = imported(cls)
    if outcome is None:
        raise ValueError(f"{name} cannot be made: add what it needs to NEEDED")
    steps, report = outcome
    if any("left out" in text for text in report):
        raise ValueError(f"{name} has no step: add what to do to ELSEWHERE")
    here = ", ".join(f"`{name_of(step)}`" for step in steps) or "nothing is needed"
    if cls is v2.Compose:
        return f"| {name} | the spec; inside of another, `sequential` | |"
    said = remarks(
        report, values(cls), partial(imported, cls), lambda value: str(getattr(value, "name", repr(value)))
    )
    return f"| {name} | {here} | {'; '.join(said).replace('|', '/')} |"


def call(text: str) -> str:
    """The row of one call."""
    made = eval(f"v2.{text}", {"v2": v2, "InterpolationMode": InterpolationMode})
    spec, report = augreg.from_torchvision([made])
    assert not lost(report), (text, report)
    return f"| `{text}` | {'; '.join(map(line, spec['image']))} |"


def main() -> int:
    """Write the page, or check it."""
    if not torchvision.__version__.startswith(VERSION):
        print(f"needs torchvision {VERSION}, found {torchvision.__version__}", file=sys.stderr)
        return 2
    rows: dict[str, list[str]] = {"transforms": [], "containers": []}
    for name, cls in transforms().items():
        rows["containers" if name in CONTAINERS else "transforms"].append(row(name, cls))
    head = ("torchvision", "augreg", "differences")
    tables = {part: table(head, lines) for part, lines in rows.items()}
    tables["calls"] = table(("torchvision", "augreg"), map(call, CALLS))
    return write_or_check(PAGE, tables)


if __name__ == "__main__":
    sys.exit(main())
