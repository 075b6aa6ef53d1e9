"""Hash the results of 2,000 and more fixed draws, to show that a change of the code left every byte as it was.

    python tools/digest.py --save before.json        # on the old code
    python tools/digest.py --compare before.json     # on the new code: exit code 1 and a list where a byte differs

The cases are every image transform, the policies, samples with targets, batch mixing, masks of regularizers, and the
fingerprints of the presets; with the Pillow and the OpenCV backend, and with byte, gray and float images. The hashes
hold for one machine and one set of versions, so they are compared in one place and not committed.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import augreg

BACKENDS = ("pillow", "opencv")
FAMILY: dict[str, list[Any]] = {
    "geometry": [
        {"affine": {"degrees": 20, "translate": [0.1, 0.2], "scale": [0.8, 1.2], "shear_x": 8, "fill": 30}},
        {"affine": {"degrees": 20, "interpolation": "bicubic"}},
        {"center_crop": 24},
        {"center_crop": 80},
        "d4",
        {"elastic": {"alpha": 40, "sigma": 4}},
        "grid_distortion",
        "horizontal_flip",
        {"letterbox": 50},
        {"longest_max_size": 40},
        "optical_distortion",
        {"pad": 5},
        {"pad": {"padding": 4, "mode": "reflect"}},
        "perspective",
        {"random_crop": {"size": 32, "padding": 4}},
        {"random_resized_crop": 32},
        {"random_resized_crop": {"size": 32, "interpolation": "bicubic"}},
        {"resize": 30},
        {"resize": {"size": [31, 77]}},
        {"resize": {"size": [31, 77], "interpolation": "nearest"}},
        "rot90",
        {"rotate": 30},
        {"rotate": {"degrees": 30, "interpolation": "bilinear", "fill": 99}},
        {"safe_crop": 32},
        {"shear_x": 0.3},
        {"shear_y": 0.3},
        {"translate_x": 0.3},
        {"translate_y": 0.3},
        "vertical_flip",
    ],
    "color": [
        "auto_contrast",
        {"brightness": [0.4, 1.6]},
        "channel_drop",
        "channel_shuffle",
        "clahe",
        {"color_jitter": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}},
        {"contrast": [0.4, 1.6]},
        "equalize",
        "gamma",
        "grayscale",
        {"hue": 0.2},
        "invert",
        "iso_noise",
        "jpeg",
        {"posterize": [2, 6]},
        "rgb_shift",
        {"saturation": [0.2, 2]},
        {"sharpness": [0.2, 2]},
        "shot_noise",
        {"solarize": [60, 200]},
        {"solarize_add": [10, 90]},
        "three_augment",
    ],
    "texture": ["downscale", "gaussian_blur", "gaussian_noise", "median_blur", "motion_blur"],
    "erasing": [
        {"cutout": 12},
        {"cutout": 0.3},
        "grid_mask",
        "random_erasing",
        {"random_erasing": {"mode": "pixel"}},
    ],
    "policies": [
        "aug_mix",
        "rand_augment",
        "trivial_augment_wide",
        {"timm_policy": "rand-m9-mstd0.5-inc1"},
        {"timm_policy": "original"},
        {"auto_augment": "imagenet"},
        {"auto_augment": "cifar10"},
        {"auto_augment": "svhn"},
        {"auto_augment": {"policy": "imagenet", "dialect": "timm"}},
        {"rand_augment": {"n": 3, "m": 15}},
    ],
    "containers": [
        {"one_of": ["invert", {"rotate": 40}, "horizontal_flip"]},
        {"some_of": {"count": 2, "steps": ["invert", {"rotate": 40}, "d4"]}},
        {"random_order": ["invert", {"brightness": [0.5, 1.5]}, "rot90"]},
        {"sequential": {"p": 0.5, "steps": ["invert", {"random_resized_crop": 20}], "test": "off"}},
    ],
}
WHOLE: list[list[Any]] = [
    [
        {"random_resized_crop": 32},
        "horizontal_flip",
        {"color_jitter": {"brightness": 0.4, "hue": 0.1}},
        "normalize",
        {"cutout": 8},
    ],
    [
        {"random_crop": {"size": 32, "padding": 4}},
        "horizontal_flip",
        {"auto_augment": "cifar10"},
        "normalize",
        {"cutout": 16},
    ],
    [
        {"pad": 3},
        "rot90",
        "invert",
        "equalize",
        "d4",
        {"brightness": [0.5, 1.5]},
        {"random_erasing": {"p": 1.0}},
        "normalize",
    ],
    [
        {"resize": 40},
        {"center_crop": 36},
        {"rotate": 20},
        {"gaussian_noise": 0.1},
        {"normalize": {"mean": [0.4], "std": [0.2]}},
    ],
    ["horizontal_flip", "posterize", "solarize", "normalize", "random_erasing"],
    [
        {"rotate": {"degrees": 30, "p": 0.5}},
        {"elastic": {"alpha": 30, "sigma": 4, "p": 0.5}},
        {"random_resized_crop": 24},
    ],
]
MIXING: list[list[Any]] = [
    [{"mixup": 0.4}],
    ["cutmix"],
    ["resizemix"],
    ["mosaic"],
    [{"one_of": ["mixup", "cutmix"]}],
    [{"mixup": {"alpha": 0.4, "p": 0.5}}, {"cutmix": {"p": 0.5}}],
    [{"mixup": {"alpha": 1.0, "per": "element"}}],
    [{"cutmix": {"alpha": 1.0, "per": "element"}}],
]
MODEL: list[list[Any]] = [
    [{"dropout": {"p": 0.5, "at": "0", "seed": 3}}],
    [{"dropout": {"p": 0.3, "at": "2", "seed": 3, "mode": "original"}}],
    [{"spatial_dropout": {"p": 0.3, "at": "0", "seed": 3}}],
    [{"drop_connect": {"p": 0.3, "at": "2", "seed": 3}}],
    [{"drop_block": {"p": 0.2, "at": "0", "seed": 3}}],
    [{"gaussian_dropout": {"p": 0.3, "at": "2", "seed": 3}}],
    [{"alpha_dropout": {"p": 0.3, "at": "2", "seed": 3}}],
    [{"activation_noise": {"std": 0.3, "at": "2", "seed": 3}}],
]


def image(kind: str, height: int = 61, width: int = 47) -> np.ndarray:
    """An image of waves and noise, the same in every run."""
    y, x = np.mgrid[:height, :width]
    noise = np.random.default_rng(5).integers(0, 40, (height, width, 3))
    waves = np.sin(x / 5.0) + np.cos(y / 7.0)
    pixels = np.clip(100 + 40 * waves[..., None] * [1.0, 0.7, -0.9] + noise, 0, 255).astype(np.uint8)
    if kind == "gray":
        return pixels[..., :1]
    return (pixels / np.float32(255)).astype(np.float32) if kind == "float" else pixels


def sample(kind: str) -> dict[str, Any]:
    """A sample with everything that follows an image."""
    pixels = image(kind)
    mask = (np.arange(61)[:, None] // 8 + np.arange(47) // 8).astype(np.uint8) % 7
    boxes = np.array([[3.0, 4.0, 20.0, 30.0], [22.5, 10.25, 45.0, 50.0], [1.0, 45.0, 9.0, 60.0]], np.float32)
    points = np.array([[5.0, 6.0], [30.5, 20.5], [44.0, 58.0]], np.float32)
    return {"image": pixels, "mask": mask, "boxes": boxes, "labels": np.array([1, 2, 3]), "keypoints": points}


def hashed(result: Any) -> str:
    """A hash of arrays and tensors, alone or in lists and mappings."""
    digest = hashlib.sha256()

    def visit(value: Any) -> None:
        if isinstance(value, dict):
            for key in sorted(value, key=str):
                digest.update(str(key).encode())
                visit(value[key])
        elif isinstance(value, list | tuple):
            for one in value:
                visit(one)
        else:
            array = np.ascontiguousarray(value.detach().numpy() if hasattr(value, "detach") else np.asarray(value))
            digest.update(f"{array.dtype}{array.shape}".encode() + array.tobytes())

    visit(result)
    return digest.hexdigest()[:20]


def made(work: Any, *arguments: Any, **options: Any) -> str:
    """The hash of a result, or the kind of its error: what is refused stays refused."""
    try:
        return hashed(work(*arguments, **options))
    except (ValueError, RuntimeError, TypeError) as error:
        return type(error).__name__


def image_cases() -> Iterator[tuple[str, str]]:
    """Every transform and policy on images of each kind, alone and in whole pipelines."""
    for backend, (family, steps) in itertools.product(BACKENDS, FAMILY.items()):
        draws = 6 if family == "policies" else 3
        for step, kind in itertools.product(steps, ("bytes", "gray", "float")):
            pipe = augreg.Pipeline.from_spec({"backend": backend, "channels": "keep", "seed": 4, "image": [step]})
            for index in range(draws):
                yield f"{backend} {kind} {step} {index}", made(pipe.train, image(kind), index=index, epoch=index % 2)
            yield f"{backend} {kind} {step} test", made(pipe.test, image(kind))
    for backend, steps, approximate in itertools.product(BACKENDS, WHOLE, (False, True)):
        pipe = augreg.Pipeline.from_spec({"backend": backend, "approximate": approximate, "image": steps})
        for index in range(8):
            yield f"{backend} {steps} {approximate} {index}", made(pipe.train, image("bytes"), index=f"name {index}")


def target_cases() -> Iterator[tuple[str, str]]:
    """Masks, boxes and keypoints under every geometric transform."""
    steps = [*FAMILY["geometry"], *FAMILY["erasing"], *FAMILY["containers"], {"auto_augment": "imagenet"}]
    for backend, step, kind in itertools.product(BACKENDS, steps, ("bytes", "float")):
        spec = {"backend": backend, "targets": {"boxes": "xyxy", "min_visible": 0.1}, "image": [step]}
        pipe = augreg.Pipeline.from_spec(spec)
        for index in range(3):
            yield f"targets {backend} {kind} {step} {index}", made(pipe.train, sample(kind), index=index)


def batch_cases() -> Iterator[tuple[str, str]]:
    """Mixed arrays and tensors, and their labels."""
    import torch

    images = np.stack([np.roll(image("bytes", 32, 32), 3 * number, 0) for number in range(6)])
    labels = np.array([0, 1, 2, 3, 4, 0])
    for steps, form in itertools.product(MIXING, ("bytes", "float", "tensor")):
        pipe = augreg.Pipeline.from_spec({"classes": 5, "seed": 1, "batch": steps})
        batch: Any = images if form == "bytes" else (images / np.float32(255)).astype(np.float32)
        batch = batch.transpose(0, 3, 1, 2)
        given: Any = labels
        if form == "tensor":
            batch, given = torch.from_numpy(batch.copy()), torch.from_numpy(labels)
        for number in range(4):
            mixed, soft = pipe.batch(
                batch.copy() if form != "tensor" else batch.clone(), given, epoch=1, batch=number
            )
            found = soft.dense() if hasattr(soft, "dense") else soft
            yield f"batch {steps} {form} {number}", hashed([mixed, np.asarray(found)])


def model_cases() -> Iterator[tuple[str, str]]:
    """Masks of regularizers that have a seed of their own."""
    import torch

    torch.set_num_threads(1)
    for steps in MODEL:
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.Flatten(), torch.nn.Linear(8 * 36, 5))
        pipe = augreg.Pipeline.from_spec({"seed": 1, "model": steps})
        pipe.regularize(model)
        inputs = torch.linspace(-1, 1, 4 * 3 * 64).reshape(4, 3, 8, 8)
        for call in range(3):
            yield f"model {steps} {call}", hashed(model.train()(inputs))


def fingerprints() -> Iterator[tuple[str, str]]:
    """The fingerprints of the presets and of every spec above."""
    for preset in ("imagenet", "cifar10"):
        pipe = augreg.Pipeline.from_spec(preset)
        yield f"fingerprint {preset}", f"{pipe.fingerprint} {pipe.test.fingerprint}"
    for section, lists in (("image", WHOLE), ("batch", MIXING), ("model", MODEL)):
        for steps in lists:
            pipe = augreg.Pipeline.from_spec({section: steps})
            yield f"fingerprint {steps}", f"{pipe.fingerprint} {pipe.test.fingerprint}"
    for steps in FAMILY.values():
        for step in steps:
            pipe = augreg.Pipeline.from_spec([step])
            yield f"fingerprint {step}", f"{pipe.fingerprint} {pipe.test.fingerprint}"


def main() -> int:
    """Save the hashes, or compare with saved ones."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--save", type=Path, help="write the hashes here")
    parser.add_argument("--compare", type=Path, help="compare with the hashes that were written here")
    options = parser.parse_args()
    cases = (image_cases, target_cases, batch_cases, model_cases, fingerprints)
    found = dict(case for each in cases for case in each())
    whole = hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()
    refused = sum(value.endswith("Error") for value in found.values())
    print(f"{len(found)} cases ({refused} of them refused), digest {whole}")
    if options.save:
        options.save.write_text(json.dumps(found, indent=1, sort_keys=True))
    if options.compare:
        before = json.loads(options.compare.read_text())
        changed = sorted(key for key in before.keys() | found.keys() if before.get(key) != found.get(key))
        for key in changed[:50]:
            print(f"  {key}: {before.get(key)} -> {found.get(key)}")
        print(f"{len(changed)} of {len(before)} differ")
        return bool(changed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
