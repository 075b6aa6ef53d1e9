"""Dicts and YAML files of albumentations 1: tests/data/albumentations_1.* were made with albumentations 1.3.1."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from albumentations_1_scene import scene, shares
from images import precise_warps

import augreg
from augreg import Pipeline

DATA = Path(__file__).parent / "data"
DICTS = json.loads((DATA / "albumentations_1.json").read_text())

NEAR = {"contrast": 1, "blur": 1, "gamma": 1, "bytes": 2e-6, "floats": 2e-6}
"""How far from theirs, where values are rounded at another place."""
WARPS = ("rotate", "shift scale rotate", "affine")


def alone(name: str, version: str = "1.3.1", **arguments: Any) -> Any:
    return augreg.from_albumentations(
        {"__version__": version, "transform": {"__class_fullname__": name, "p": 1.0, **arguments}}
    )


@pytest.mark.parametrize("name", DICTS["fixed"])
def test_old_names_do_what_they_did(name: str) -> None:
    with np.load(DATA / "albumentations_1.npz") as data:
        theirs = data[name]
    found = augreg.from_albumentations(DICTS["fixed"][name])
    assert not any("unknown parameter" in line or "left out" in line for line in found.report)
    ours = Pipeline.from_spec({**found.spec, "backend": "opencv", "output": "numpy"}).train(scene(), index=0)
    assert ours.shape == theirs.shape
    tolerance = NEAR.get(name, 0 if name not in WARPS or precise_warps() else 7)
    assert np.abs(ours.astype(np.float64) - theirs).max() <= tolerance


@pytest.mark.parametrize("name", DICTS["drawn"])
def test_draws_have_the_statistics_of_theirs(name: str) -> None:
    """Of pixels and of a box, over 200 draws: within 4.5 standard errors of the difference, and half a percent."""
    theirs = DICTS["drawn"][name]
    found = augreg.from_albumentations(theirs["pipeline"])
    assert not any("left out" in line or "is not kept" in line for line in found.report)
    pipe, draws = Pipeline.from_spec({**found.spec, "backend": "opencv", "seed": 3}), 200
    box = {"boxes": [], "labels": []} if name == "holes" else {"boxes": [[8, 5, 30, 20]], "labels": [1]}
    sample = {"image": scene(), **box}
    made = [pipe.train(sample, index=index) for index in range(draws)]
    ours = np.array([shares(one["image"], np.array(one["boxes"])) for one in made])
    known = ~np.isnan(ours).all(axis=0)  # not where a box is that never is
    ours, mean, variance = ours[:, known], np.array(theirs["mean"])[known], np.array(theirs["var"])[known]
    error = np.sqrt(np.nanvar(ours, axis=0) / draws + variance / DICTS["draws"])
    off = np.abs(np.nanmean(ours, axis=0) - mean)
    assert (off <= 4.5 * error + 0.005).all(), off / (4.5 * error + 0.005)


def test_a_pipeline_with_old_names() -> None:
    found = augreg.from_albumentations(DICTS["pipelines"]["names"])
    assert not any("unknown parameter" in line or "left out" in line for line in found.report)
    crop, flip, jpeg, holes, noise, elastic, some = found.spec["image"]
    assert crop["random_resized_crop"]["size"] == [32, 48]
    assert flip["one_of"]["p"] == 0.8 and len(flip["one_of"]["steps"]) == 3
    assert jpeg["jpeg"]["quality"] == [40, 80]
    assert holes["holes"] == {
        "count": [2, 6], "height": [4, 8], "width": [5, 10], "pixels": True, "fill": [3.0], "p": 0.5,
    }  # fmt: skip
    assert noise["gaussian_noise"]["std"] == [5 / 255, 5 / 255]  # the square root of 25, of 255
    assert elastic["elastic"]["noise"] == "uniform"
    drawn = {"one_of": {
        "steps": [{"horizontal_flip": {"p": 1.0}}, {"invert": {"p": 1.0}}], "weights": [0.3, 0.6], "p": 1.0,
    }}  # fmt: skip
    assert some == {"sequential": {"steps": [drawn, drawn], "p": 1}}
    assert found.spec["targets"] == {
        "boxes": "xywh", "min_visible": 0.2, "min_area": 12, "labels": ["kind", "crowd"], "nearest": "floor",
        "keys": {"depth_gt": "mask", "right": "image", "parts": "boxes", "joints": "keypoints"},
    }  # fmt: skip
    Pipeline.from_spec(found.spec)


def test_a_file_is_its_dict() -> None:
    for path in (DATA / "albumentations_1.yaml", str(DATA / "albumentations_1.yaml")):
        assert augreg.from_albumentations(path) == augreg.from_albumentations(DICTS["pipelines"]["names"])


def test_files_that_are_none(tmp_path: Path) -> None:
    for name, text in (("a.yaml", "{"), ("b.yaml", "- 3"), ("c.yaml", "p: 1")):
        tmp_path.joinpath(name).write_text(text)
        with pytest.raises(TypeError, match="expected a"):
            augreg.from_albumentations(tmp_path / name)
    with pytest.raises(TypeError, match=r"A\.save"):
        augreg.from_albumentations(tmp_path / "none.yaml")


def test_a_flip_is_horizontal_vertical_or_both() -> None:
    """Each a third of the time: 600 draws, with 5 standard deviations of a share, 0.1."""
    pipe = Pipeline.from_spec(augreg.from_albumentations(DICTS["pipelines"]["names of flips"]).spec)
    image = np.arange(4, dtype=np.uint8).reshape(2, 2, 1).repeat(3, axis=2)
    results = [tuple(pipe.train(image, index=index)[..., 0].ravel().tolist()) for index in range(600)]
    ways = {(1, 0, 3, 2), (2, 3, 0, 1), (3, 2, 1, 0)}
    assert {*results} == ways
    assert all(abs(results.count(way) / 600 - 1 / 3) < 0.1 for way in ways)


def test_a_sigma_of_0_follows_from_the_size_of_the_kernel() -> None:
    """Sizes 3 to 7, where even ones become the next odd one: 3 once in 5, and 5 and 7 twice. OpenCV's formula."""
    (step,) = augreg.from_albumentations(DICTS["pipelines"]["sizes of blurs"]).spec["image"]
    assert step["one_of"]["weights"] == [0.2, 0.4, 0.4]
    blurs = [child["gaussian_blur"] for child in step["one_of"]["steps"]]
    assert [blur["size"] for blur in blurs] == [[3, 3], [5, 5], [7, 7]]
    assert [blur["sigma"][0] for blur in blurs] == pytest.approx([0.8, 1.1, 1.4])


def test_what_version_1_did_otherwise_is_reported() -> None:
    said = {
        "RandomFog": ({"fog_coef_lower": 0.1, "fog_coef_upper": 0.4}, "the fog of this version is not kept"),
        "MotionBlur": ({"blur_limit": [3, 7]}, "joined two random pixels"),
        "Cutout": ({"num_holes": 2, "max_h_size": 4, "max_w_size": 4}, "may reach over the border"),
        "Affine": ({"cval": 9}, "fill=9 is for all channels here, and for the first one in version 1"),
    }
    rest = {"Affine": {"scale": {"x": [1, 1], "y": [1, 1]}, "shear": {"x": [0, 0], "y": [0, 0]}, "rotate": [0, 9]}}
    for name, (arguments, text) in said.items():
        assert any(text in line for line in alone(name, **arguments, **rest.get(name, {})).report), name
    assert not alone("MotionBlur", "2.0.8", blur_limit=[3, 7], allow_shifted=False).report
    some = {"n": 2, "replace": False, "transforms": [{"__class_fullname__": "HorizontalFlip", "p": 0.5}] * 3}
    assert "drawn by their p" in alone("SomeOf", **some).report[0]


def test_version_2_is_left_as_it_is() -> None:
    """Its noise has another default, and its SomeOf does not force what it draws."""
    assert alone("ElasticTransform", "2.0.8", alpha=1, sigma=5).spec["image"][0]["elastic"]["noise"] == "normal"
    flip = {"__class_fullname__": "HorizontalFlip", "p": 0.25}
    (some,) = alone("SomeOf", "2.0.8", n=2, replace=True, transforms=[flip, {**flip, "p": 0.5}]).spec["image"]
    quarter, half = {"horizontal_flip": {"p": 0.25}}, {"horizontal_flip": {"p": 0.5}}
    assert some["one_of"] == {
        "steps": [[quarter, quarter], [quarter, half], [half, half]], "weights": [1.0, 2.0, 1.0], "p": 1.0,
    }  # fmt: skip


def test_transforms_of_imgaug() -> None:
    """By dicts of version 0.5.2, with their default arguments."""
    cases: dict[str, tuple[Any, Any]] = {
        "IAAFliplr": ({}, {"horizontal_flip": {}}),
        "IAAFlipud": ({}, {"vertical_flip": {}}),
        "IAASharpen": ({"alpha": [0.2, 0.5], "lightness": [0.5, 1.0]},
                       {"sharpen": {"alpha": [0.2, 0.5], "lightness": [0.5, 1.0]}}),
        "IAAEmboss": ({"alpha": [0.2, 0.5], "strength": [0.2, 0.7]},
                      {"emboss": {"alpha": [0.2, 0.5], "strength": [0.2, 0.7]}}),
        "IAAPerspective": ({"scale": [0.05, 0.1], "keep_size": True}, {"perspective_zoom": {"scale": [0.05, 0.1]}}),
        "IAAPiecewiseAffine": (
            {"scale": [0.03, 0.05], "nb_rows": 4, "nb_cols": 4, "order": 3, "cval": 9, "mode": "symmetric"},
            {"piecewise_affine": {"rows": [4, 4], "columns": [4, 4], "scale": [0.03, 0.05], "unit": "sides",
                                  "interpolation": "bicubic", "mode": "symmetric", "fill": [9.0]}},
        ),
    }  # fmt: skip
    for name, (arguments, step) in cases.items():
        found = alone(name, "0.5.2", always_apply=False, p=0.25, **arguments)
        ((key, given),) = step.items()
        assert found.spec["image"] == [{key: {**given, "p": 0.25}}]
        assert bool(found.report) == (name in ("IAAPerspective", "IAAPiecewiseAffine")), name
    noise = alone("IAAAdditiveGaussianNoise", "0.5.2", loc=0, scale=[2.55, 12.75], per_channel=True)
    assert noise.spec["image"][0]["gaussian_noise"]["std"] == pytest.approx([0.01, 0.05])
    assert "IAASuperpixels: left out" in alone("IAASuperpixels", "0.5.2", p_replace=0.1).report[0]


def test_one_end_of_a_range_is_both() -> None:
    """As version 1 took `min_holes=None`, and every dict written by hand without it."""
    node = {"__class_fullname__": "CoarseDropout", "max_holes": 5, "max_height": 8, "max_width": 9, "min_width": None}
    (step,) = augreg.from_albumentations({"__version__": "1.3.1", "transform": node}).spec["image"]
    found = {key: step["holes"][key] for key in ("count", "height", "width")}
    assert found == {"count": [5, 5], "height": [8, 8], "width": [9, 9]}
