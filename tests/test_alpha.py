"""Alpha is carried by what moves pixels and left alone by what changes colors; further bands are no alpha."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path
from typing import Any

import images
import numpy as np
import pytest
from PIL import Image, ImageEnhance

from augreg import Pipeline
from augreg.errors import ImageError
from augreg.registry.registry import Registry

NEEDS = {"pillow": "PIL", "opencv": "cv2", "native": "augreg_native"}
HAVE = tuple(name for name, module in NEEDS.items() if importlib.util.find_spec(module))
COLORS = images.made("noise", 40, 30)
ALPHA = np.random.default_rng(8).integers(0, 256, (40, 30, 1), np.uint8)
GIVEN = np.concatenate([COLORS, ALPHA], axis=2)
MOVING = {"aug_mix", "auto_augment", "rand_augment", "timm_policy", "trivial_augment_wide", "three_augment"}
ARGUMENTS: dict[str, Any] = {
    "color_jitter": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1},
    "timm_policy": "rand-m9-mstd0.5-inc1",
    "channel_drop": 2,
}
STILL_OPS = ["brightness", "color", "contrast", "sharpness", "posterize", "solarize", "auto_contrast", "equalize"]


def _steps() -> list[Any]:
    """Every built-in color step, and the noises; policies by their ops that move nothing too."""
    kinds = {name: step.__augreg__.kind for name, step in Registry.installed().section("image").items()}
    names = sorted(
        name for name, kind in kinds.items() if "/" not in name and (kind == "color" or name.endswith("_noise"))
    )
    steps: list[Any] = [
        {name: ARGUMENTS[name]} if name in ARGUMENTS else name for name in names if name not in MOVING
    ]
    still = [{name: {"ops": STILL_OPS}} for name in ("rand_augment", "aug_mix")]
    return steps + still


def _pipe(name: str, *steps: Any, channels: str = "keep") -> Pipeline:
    return Pipeline.from_spec({"backend": name, "channels": channels, "seed": 2, "image": list(steps)})


@pytest.mark.parametrize("name", HAVE)
@pytest.mark.parametrize("step", _steps(), ids=str)
def test_color_steps_change_the_colors_as_without_alpha_and_leave_alpha(step: Any, name: str) -> None:
    pipe = _pipe(name, step)
    pairs = [(pipe.test(Image.fromarray(GIVEN)), pipe.test(Image.fromarray(COLORS)))]
    pairs += [
        (pipe.train(Image.fromarray(GIVEN), index=i), pipe.train(Image.fromarray(COLORS), index=i)) for i in range(3)
    ]
    for with_alpha, without in pairs:
        found = np.asarray(with_alpha)
        assert np.array_equal(found[..., :3], np.asarray(without))
        assert np.array_equal(found[..., 3:], ALPHA)


@pytest.mark.parametrize("name", HAVE)
@pytest.mark.parametrize("step", sorted(MOVING))
def test_policies_run_on_alpha_and_draw_the_same_colors(step: str, name: str) -> None:
    pipe = _pipe(name, {step: ARGUMENTS[step]} if step in ARGUMENTS else step)
    opaque = np.concatenate([COLORS, np.full_like(ALPHA, 255)], axis=2)
    for index in range(8):
        found = np.asarray(pipe.train(Image.fromarray(opaque), index=index))
        assert np.array_equal(found[..., :3], np.asarray(pipe.train(Image.fromarray(COLORS), index=index)))


@pytest.mark.parametrize("name", HAVE)
@pytest.mark.parametrize(
    ("step", "enhancer"),
    [("brightness", ImageEnhance.Brightness), ("contrast", ImageEnhance.Contrast),
     ("saturation", ImageEnhance.Color), ("sharpness", ImageEnhance.Sharpness)],
)  # fmt: skip
@pytest.mark.parametrize("factor", [0.3, 1.7])
def test_alpha_is_that_of_pillows_enhancers(step: str, enhancer: Any, factor: float, name: str) -> None:
    found = _pipe(name, {step: [factor, factor]}).train(Image.fromarray(GIVEN), index=0)
    # Pillow takes the mean luma of all pixels, and its gray copy has the alpha of the image
    assert np.array_equal(np.asarray(found), np.asarray(enhancer(Image.fromarray(GIVEN)).enhance(factor)))


@pytest.mark.parametrize("name", HAVE)
def test_geometry_carries_alpha(name: str) -> None:
    pipe = _pipe(name, {"center_crop": 20}, "invert", {"horizontal_flip": {"p": 1}})
    found = np.asarray(pipe.train(Image.fromarray(GIVEN), index=0))
    part = GIVEN[10:30, 5:25][:, ::-1]
    assert np.array_equal(found[..., :3], 255 - part[..., :3])
    assert np.array_equal(found[..., 3], part[..., 3])


@pytest.mark.parametrize("name", HAVE)
def test_a_border_moved_behind_a_color_step_keeps_the_alpha_of_its_fill(name: str) -> None:
    for fill, alpha in ((40, 40), ([40, 40, 40], 255), ([40, 40, 40, 7], 7)):
        for step in ("invert", "grayscale"):
            found = np.asarray(_pipe(name, {"pad": {"padding": 2, "fill": fill}}, step).test(Image.fromarray(GIVEN)))
            assert found[0, 0].tolist() == [215 if step == "invert" else 40] * 3 + [alpha]
            assert np.array_equal(found[2:-2, 2:-2, 3:], ALPHA)


@pytest.mark.parametrize("name", HAVE)
@pytest.mark.parametrize("before", [[], ["invert"], ["equalize", "posterize"]])
def test_normalize_by_three_numbers_leaves_alpha_between_0_and_1(before: list[str], name: str) -> None:
    mean, std = [0.4, 0.5, 0.6], [0.2, 0.3, 0.4]
    pipe = _pipe(name, *before, {"normalize": {"mean": mean, "std": std}})
    found = pipe.train(Image.fromarray(GIVEN), index=0)
    assert np.array_equal(found[:3], pipe.train(Image.fromarray(COLORS), index=0))
    assert np.allclose(found[3], ALPHA[..., 0] / 255, atol=1e-7)


def _file() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(GIVEN).save(buffer, "PNG")
    return buffer.getvalue()


def test_what_is_alpha_and_what_is_a_band(tmp_path: Path) -> None:
    """A file and a PIL image say what their channels are; an array says nothing, so its spec has to."""
    torch = pytest.importorskip("torch")
    (tmp_path / "a.png").write_bytes(_file())
    inverted = np.concatenate([255 - COLORS, ALPHA], axis=2)
    tensor = torch.from_numpy(GIVEN).permute(2, 0, 1)
    keep, rgba, rgb = (_pipe("auto", "invert", channels=channels) for channels in ("keep", "rgba", "rgb"))
    for pipe in (keep, rgba):
        for encoded in (_file(), io.BytesIO(_file()), tmp_path / "a.png", str(tmp_path / "a.png")):
            assert np.array_equal(pipe.train(encoded, index=0), inverted)
    for pipe, wanted in ((keep, 255 - GIVEN), (rgb, 255 - GIVEN), (rgba, inverted)):
        assert np.array_equal(pipe.train(GIVEN, index=0), wanted)
        assert np.array_equal(pipe.train({"image": GIVEN}, index=0)["image"], wanted)
        assert np.array_equal(pipe.train(tensor, index=0).permute(1, 2, 0), wanted)
    bands = np.concatenate([GIVEN, ALPHA], axis=2)
    assert np.array_equal(rgba.train(bands, index=0), 255 - bands)


def test_rgba_reads_every_file_with_four_channels() -> None:
    pipe = _pipe("auto", channels="rgba")
    gray = Image.fromarray(COLORS[..., 0])
    for image in (Image.fromarray(COLORS), gray, Image.fromarray(GIVEN)):
        found = np.asarray(pipe.test(image))
        assert found.shape == (40, 30, 4)
        assert np.array_equal(found, np.asarray(image.convert("RGBA")))


def test_a_plan_of_four_channels_runs_on_what_its_spec_reads() -> None:
    pipe = _pipe("auto", "channel_shuffle", "contrast")
    plan = pipe.train.plan((40, 30), channels=4, index=3)
    assert np.array_equal(plan.run(Image.fromarray(GIVEN)), pipe.train(Image.fromarray(GIVEN), index=3))
    with pytest.raises(ImageError, match="40x30x4 uint8 with alpha, and the image is 40x30x4 uint8 without alpha"):
        plan.run(GIVEN)


def test_copies_of_files_keep_alpha(tmp_path: Path) -> None:
    from augreg.__main__ import main

    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(_file())
    (tmp_path / "spec.json").write_text('{"channels": "keep", "image": ["invert"]}')
    out = tmp_path / "out"
    assert main(["apply", str(tmp_path / "spec.json"), str(tmp_path / "in"), str(out), "--processes", "1"]) == 0
    (copy,) = out.rglob("*.png")
    assert np.array_equal(np.asarray(Image.open(copy)), np.concatenate([255 - COLORS, ALPHA], axis=2))
