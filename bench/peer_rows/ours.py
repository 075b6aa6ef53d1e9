"""augreg, with each backend that is installed; large JPEGs also with `decode: scaled`."""

from __future__ import annotations

from typing import Any

from augreg import Pipeline, SpecError
from augreg.data import Augmented
from peer_rows.rows import MEAN, SIZE, STD, Row, Work, one_by_one

_NORMALIZE = {"normalize": {"mean": list(MEAN), "std": list(STD)}}
_CROP = [{"random_resized_crop": SIZE}, "horizontal_flip"]
_JITTER = {"color_jitter": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}}
_SMALL = [{"pad": 4}, {"random_crop": 32}, "horizontal_flip"]
_CUTOUT = {"cutout": {"size": 16}}


def _affine(low: float, high: float, fill: int) -> dict[str, Any]:
    shears = {"shear_x": 2, "shear_y": 2}
    return {"affine": {"degrees": 10, "translate": [0.1, 0.1], "scale": [low, high], **shears, "fill": fill}}


STEPS: dict[str, list[Any]] = {
    "A": [*_SMALL, {"auto_augment": {"policy": "cifar10"}}, _NORMALIZE, _CUTOUT],
    "A2": [*_SMALL, {"rand_augment": {"n": 2, "m": 9}}, _NORMALIZE, _CUTOUT],
    "B": [*_CROP, _JITTER, _NORMALIZE],
    "C": [*_CROP, {"auto_augment": {"policy": "imagenet"}}, _NORMALIZE, {"random_erasing": {"p": 0.25}}],
    "D": [*_CROP, _JITTER, _NORMALIZE],
    "E": [*_CROP, _JITTER, _NORMALIZE],
    "J": [
        {"random_scale": {"scale": [0.6, 1.4]}}, {"pad_to": 512}, {"random_crop": 512}, "horizontal_flip",
        _affine(0.9, 1.1, 0), {"color_jitter": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4}}, _NORMALIZE,
    ],
    "K": [
        {"letterbox": {"size": 640, "fill": 114}}, "horizontal_flip", _affine(0.5, 1.5, 114),
        {"hsv_shift": {"hue": 0.055, "saturation": 0.12, "value": 0.08}}, {"normalize": {"mean": 0, "std": 1}},
    ],
}  # fmt: skip


def pipelines(name: str, row: Row, inputs: list[Any]) -> dict[str, Work]:
    """A pipeline for each backend, and one that decodes smaller images where the row's are large."""
    found = {}
    for backend in ("native", "opencv", "pillow"):
        try:
            targets = {"boxes": "xyxy", "instances": ["masks"]} if row.targets else {}
            pipe = Pipeline.from_spec({"image": STEPS[name], "backend": backend, "targets": targets})
        except SpecError as error:
            if "not installed" not in str(error) and "expected" not in str(error):
                raise
            continue
        if row.targets:
            found[f"augreg {backend}"] = _samples(pipe, inputs)
            continue
        found[f"augreg {backend}"] = _batches(pipe, inputs)
        if name == "E":
            found[f"augreg {backend}, scaled"] = _batches(pipe.replace(decode="scaled"), inputs)
    return found


def _samples(pipe: Pipeline, inputs: list[Any]) -> Work:
    return one_by_one(lambda index: pipe.train(inputs[index % len(inputs)], index)["image"])


def _batches(pipe: Pipeline, inputs: list[Any]) -> Work:
    class Repeated:
        def __len__(self) -> int:
            return 1 << 30

        def __getitem__(self, index: int) -> Any:
            return inputs[index % len(inputs)]

    data = Augmented(Repeated(), pipe.train, epoch=0)
    return lambda indices: data.__getitems__(indices).images
