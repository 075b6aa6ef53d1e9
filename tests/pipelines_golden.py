"""Makes tests/data/pipelines.json: the dicts that `A.to_dict` makes of the pipelines in tests/data/pipelines.yaml.

Run once with albumentations 1.3.1 and once with 2.0.8, each in an environment of its own (neither is a dependency):
python tests/pipelines_golden.py. Each run writes the pipelines that are written for its version and keeps the others.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import albumentations as A  # noqa: N812 - as its own documentation calls it
import yaml
from albumentations.pytorch import ToTensorV2

DATA = Path(__file__).parent / "data"


def built(entry: Any) -> Any:
    """The transform of an entry: a name, or a name with arguments."""
    name, arguments = (entry, {}) if isinstance(entry, str) else next(iter(entry.items()))
    arguments = dict(arguments)
    for key in ("first", "second"):
        if key in arguments:
            arguments[key] = built(arguments[key])
    if "transforms" in arguments:
        arguments["transforms"] = [built(child) for child in arguments["transforms"]]
    return ToTensorV2(**arguments) if name == "ToTensorV2" else getattr(A, name)(**arguments)


def compose(pipeline: dict[str, Any]) -> Any:
    """The Compose of a pipeline."""
    more: dict[str, Any] = {key: pipeline[key] for key in ("p", "additional_targets") if key in pipeline}
    if "boxes" in pipeline:
        more["bbox_params"] = A.BboxParams(**pipeline["boxes"])
    if "points" in pipeline:
        more["keypoint_params"] = A.KeypointParams(**pipeline["points"])
    container = A.ReplayCompose if pipeline.get("replay") else A.Compose
    return container([built(step) for step in pipeline["steps"]], **more)


def main() -> None:
    """Write the dicts of this version's pipelines, one pipeline a line."""
    pipelines = yaml.safe_load((DATA / "pipelines.yaml").read_text(encoding="utf-8"))["albumentations"]
    path = DATA / "pipelines.json"
    dicts = json.loads(path.read_text(encoding="utf-8")) if path.exists() else [None] * len(pipelines)
    dicts += [None] * (len(pipelines) - len(dicts))
    for number, pipeline in enumerate(pipelines):
        if str(pipeline["library"]) == A.__version__[0]:
            dicts[number] = A.to_dict(compose(pipeline))
    lines = ",\n".join(json.dumps(entry, separators=(",", ":"), sort_keys=True) for entry in dicts)
    path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
