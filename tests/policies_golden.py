"""Makes tests/data/policies_golden.json: what other people's code does to one image, at every magnitude.

Run once, by hand, in an environment of its own; the tests need none of it:

    python3.11 -m venv /tmp/golden
    /tmp/golden/bin/pip install torch==2.14.1 torchvision==0.29.1 timm==1.0.31 pillow==13.0.0
    git clone https://github.com/automl/trivialaugment /tmp/authors/trivialaugment      # at e6545d8
    git clone https://github.com/google-research/augmix /tmp/authors/augmix             # at 9b9824c
    /tmp/golden/bin/python tests/policies_golden.py /tmp/authors/trivialaugment/aug_lib.py \
        /tmp/authors/augmix/augmentations.py

torchvision and timm are asked through their own functions, on PIL images. For the dialect `paper`: AutoAugment's
first code works on images of 32x32 only, inside a training script; TrivialAugment's authors ship the same functions
with the ranges as parameters, and in their space `autoaug_paper` with 11 strengths the arithmetic is AutoAugment's.
Pillow 13 refuses to keep 0 bits, where earlier ones gave black: `posterize` is replaced by one that gives black.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

GOLDEN = Path(__file__).parent / "data" / "policies_golden.json"
SIZES = {"paper": (32, 32), "torchvision": (40, 56), "timm": (40, 56)}  # the authors' code wants squares
TIMM = {
    "auto_contrast": "AutoContrast", "equalize": "Equalize", "invert": "Invert", "rotate": "Rotate",
    "solarize": "Solarize", "solarize_increasing": "SolarizeIncreasing", "solarize_add": "SolarizeAdd",
    "posterize": "Posterize", "posterize_tpu": "Posterize", "posterize_increasing": "PosterizeIncreasing",
    "posterize_original": "PosterizeOriginal", "color": "Color", "color_increasing": "ColorIncreasing",
    "contrast": "Contrast", "contrast_increasing": "ContrastIncreasing", "brightness": "Brightness",
    "brightness_increasing": "BrightnessIncreasing", "sharpness": "Sharpness",
    "sharpness_increasing": "SharpnessIncreasing", "shear_x": "ShearX", "shear_y": "ShearY",
    "translate_x": "TranslateXRel", "translate_y": "TranslateYRel", "desaturate": "Desaturate",
    "gaussian_blur": "GaussianBlur",
}  # fmt: skip
CAMEL = (
    "Identity", "ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate", "AutoContrast", "Invert", "Equalize",
    "Solarize", "Posterize", "Contrast", "Color", "Brightness", "Sharpness",
)  # fmt: skip


def made(height: int, width: int) -> np.ndarray:
    """An image of whole numbers alone, so that it is the same everywhere: a slope, a texture and an edge."""
    y, x = np.mgrid[:height, :width]
    red = (5 * x + 2 * y) % 256
    green = 30 + (x * x * 7 + y * y * 13 + x * y * 3) % 151
    blue = np.where(x + y > (height + width) // 2, 210, 45) + (x * 31 + y * 17) % 23
    return np.stack([red, green, blue], axis=2).astype(np.uint8)


def digest(image: Any) -> str:
    """The first 16 hexadecimal digits of the sha256 of an image's bytes."""
    return hashlib.sha256(np.ascontiguousarray(np.asarray(image)).tobytes()).hexdigest()[:16]


def snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)[1:]


def torchvision_space(space: dict[str, Any], interpolation: str, images: bool = True) -> dict[str, Any]:
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.autoaugment import _apply_op

    image, found = Image.fromarray(made(*SIZES["torchvision"])), {}
    for name, (magnitudes, signed) in space.items():
        values = magnitudes.tolist() if magnitudes.ndim else [0.0]
        entry: dict[str, Any] = {"numbers": [argument(name, value) for value in values]}
        for sign in ("plus", "minus")[: 1 + signed] if images else ():
            done = [
                _apply_op(image, name, v if sign == "plus" else -v, InterpolationMode(interpolation), None)
                for v in values
            ]
            entry[sign] = [digest(one) for one in done]
        found[snake(name)] = entry
    return found


def argument(name: str, value: float) -> float:
    """The number that torchvision gives to the op, at the positive sign."""
    if name in ("Brightness", "Color", "Contrast", "Sharpness"):
        return 1.0 + value
    return int(value) if name.startswith("Translate") else value


def timm_space(names: dict[str, str], way: str, percent: float) -> dict[str, Any]:
    from timm.data import auto_augment as timm

    timm.ImageOps.posterize = posterize
    image, found = Image.fromarray(made(*SIZES["timm"])), {}
    resample = Image.Resampling[way.upper()]
    for name, theirs in names.items():
        entry: dict[str, Any] = {"numbers": []}
        for sign, chance in (("plus", 0.1), ("minus", 0.9)):
            random.random = lambda chance=chance: chance  # above 0.5 it negates
            hashes = []
            for magnitude in range(11):
                to_argument = timm.LEVEL_TO_ARG[theirs]
                given = to_argument(float(magnitude), {"translate_pct": percent}) if to_argument else ()
                done = timm.NAME_TO_OP[theirs](image, *given, fillcolor=(128, 128, 128), resample=resample)
                hashes.append(digest(done))
                if sign == "plus":
                    value = given[0] if given else 0.0
                    if name.startswith("translate"):  # for a positive fraction, the image moves left or up
                        value = -value * image.size[name == "translate_y"]
                    entry["numbers"].append(1.0 - value if name == "desaturate" else value)
            if sign == "plus" or hashes != entry["plus"]:
                entry[sign] = hashes
        found[name] = entry
    return found


def posterize(image: Any, bits: int, original: Any = ImageOps.posterize) -> Any:
    return original(image, bits) if bits else Image.new(image.mode, image.size)


def authors_space(path: Path, space: str, strengths: int) -> dict[str, Any]:
    """The functions of TrivialAugment's authors, with the ranges of one of their spaces."""
    library: dict[str, Any] = {"__name__": "aug_lib"}
    # Python 3.11 wants defaults that cannot change
    text = path.read_text().replace("@dataclass\nclass MinMax:", "@dataclass(frozen=True)\nclass MinMax:")
    sys.modules["aug_lib"] = type(sys)("aug_lib")
    exec(compile(text, str(path), "exec"), library)
    ImageOps.posterize = posterize
    library["set_augmentation_space"](space, strengths)
    image, found = Image.fromarray(made(*SIZES["paper"])), {}
    for name in CAMEL:
        transform = library[snake(name)].xform
        found[snake(name)] = both_signs(
            lambda magnitude, transform=transform: transform(image, magnitude), range(strengths)
        )
    return found


def augmix_space(path: Path) -> dict[str, Any]:
    """The functions of AugMix's authors; their own draw of a magnitude is removed."""
    library: dict[str, Any] = {}
    exec(compile(path.read_text(), str(path), "exec"), library)
    library["sample_level"] = lambda magnitude: magnitude
    image, found = Image.fromarray(made(*SIZES["paper"])), {}
    for name in CAMEL:
        theirs = "autocontrast" if name == "AutoContrast" else snake(name)
        if theirs in library:
            done = both_signs(lambda magnitude, theirs=theirs: library[theirs](image, magnitude), range(11))
            found[snake(name)] = done
    return found


def both_signs(apply: Any, magnitudes: range) -> dict[str, Any]:
    entry = {}
    for sign, chance in (("plus", 0.1), ("minus", 0.9)):
        random.random = lambda chance=chance: chance
        np.random.uniform = np.random.random = lambda *_, chance=chance: chance
        hashes = [digest(apply(magnitude)) for magnitude in magnitudes]
        if sign == "plus" or hashes != entry["plus"]:
            entry[sign] = hashes
    return entry


def tables() -> dict[str, Any]:
    """The tables and the lists of ops, as the libraries have them."""
    from timm.data import auto_augment as timm
    from torchvision.transforms import AutoAugment, AutoAugmentPolicy

    found: dict[str, Any] = {
        policy.value: [[[snake(name), p, m] for name, p, m in row] for row in AutoAugment(policy).policies]
        for policy in AutoAugmentPolicy
    }
    back = {theirs: ours for ours, theirs in TIMM.items()}
    for name in ("original", "originalr", "v0", "v0r"):
        rows = timm.auto_augment_policy(name)
        found[f"timm {name}"] = [[[back[op.name], op.prob, op.magnitude] for op in row] for row in rows]
    for text in ("rand-m9-mstd0.5-inc1", "rand-m7-n3-p0.8", "rand-tweights", "rand-t3aw", "rand-t3a"):
        ra = timm.rand_augment_transform(text)
        weights = None if ra.choice_weights is None else [float(weight) for weight in ra.choice_weights]
        op = ra.ops[0]
        found[f"timm {text}"] = {
            "ops": [back[one.name] for one in ra.ops], "weights": weights, "n": ra.num_layers, "m": op.magnitude,
            "chance": op.prob, "m_std": op.magnitude_std,
        }  # fmt: skip
    mix = timm.augment_and_mix_transform("augmix-m5-w4-d2-a0.5")
    found["timm augmix-m5-w4-d2-a0.5"] = {
        "ops": [back[one.name] for one in mix.ops], "width": mix.width, "depth": mix.depth, "alpha": mix.alpha,
        "severity": mix.ops[0].magnitude,
    }  # fmt: skip
    return found


def main() -> None:
    from torchvision.transforms import autoaugment

    authors, augmix = map(Path, sys.argv[1:])
    size = SIZES["torchvision"]
    auto = autoaugment.AutoAugment()._augmentation_space(10, size)
    geometry = {name: auto[name] for name in ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")}
    both = {ours: TIMM[ours] for ours in TIMM}
    golden: dict[str, Any] = {
        "versions": {name: importlib.metadata.version(name) for name in ("torch", "torchvision", "timm", "pillow")},
        "image": {dialect: digest(made(*shape)) for dialect, shape in SIZES.items()},
        "tables": tables(),
        "auto_augment torchvision nearest": torchvision_space(auto, "nearest"),
        "auto_augment torchvision bilinear": torchvision_space(geometry, "bilinear"),
        "auto_augment torchvision bicubic": torchvision_space(geometry, "bicubic"),
        "rand_augment torchvision nearest": torchvision_space(
            autoaugment.RandAugment()._augmentation_space(31, size), "nearest"
        ),
        "trivial_augment_wide torchvision nearest": torchvision_space(
            autoaugment.TrivialAugmentWide()._augmentation_space(31), "nearest"
        ),
        "aug_mix torchvision bilinear": torchvision_space(
            autoaugment.AugMix()._augmentation_space(10, size), "bilinear", images=False
        ),
        "rand_augment timm bilinear": timm_space(both, "bilinear", 0.45),
        "rand_augment timm bicubic": timm_space(both, "bicubic", 0.45),
        "auto_augment timm bicubic": timm_space({**both, "posterize": "PosterizeOriginal"}, "bicubic", 0.45),
        "aug_mix timm bilinear": timm_space(both, "bilinear", 0.3),
        "auto_augment paper nearest": authors_space(authors, "autoaug_paper", 11),
        "trivial_augment_wide paper nearest": authors_space(authors, "wide_standard", 31),
        "aug_mix paper bilinear": augmix_space(augmix),
    }
    entries = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in golden.items())
    GOLDEN.write_text("{\n" + entries + "\n}\n")


if __name__ == "__main__":
    main()
