"""Steps that change the size of the image by chance: refused alike wherever they stand, unless it is certain."""

from __future__ import annotations

from typing import Any

import images
import numpy as np
import pytest

import augreg
from augreg import Pipeline
from augreg.errors import SpecError

IMAGE = images.made("noise", 30, 40)
RESIZE = {"resize": {"size": 20, "p": 0.5}}
SURE = {"resize": {"size": 20}}


def problems(spec: Any) -> list[str]:
    try:
        Pipeline.from_spec(spec)
    except SpecError as error:
        return [f"{problem.path}: {problem.message}" for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("step", "where"),
    [
        (RESIZE, "resize"),
        ({"center_crop": {"size": 20, "p": 0.5}}, "center_crop"),
        ({"random_crop": {"size": 20, "p": 0.5}}, "random_crop"),
        ({"random_resized_crop": {"size": 20, "p": 0.01}}, "random_resized_crop"),
        ({"safe_crop": {"size": 20, "p": 0.5}}, "safe_crop"),
        ({"letterbox": {"size": 20, "p": 0.5}}, "letterbox"),
        ({"longest_max_size": {"longer": 20, "p": 0.5}}, "longest_max_size"),
        ({"pad": {"padding": 3, "p": 0.5}}, "pad"),
        ({"resize": {"size": 20, "p": {"linear": [0, 0.5], "over": [0, 9]}}}, "resize"),
        ([RESIZE], "sequential.steps[0].resize"),
        ({"random_order": ["invert", RESIZE]}, "random_order.steps[1].resize"),
        ({"sequential": {"p": 0.5, "steps": [SURE]}}, "sequential.steps[0].resize"),
        ({"random_order": {"p": 0.5, "steps": [SURE]}}, "random_order.steps[0].resize"),
        ({"sequential": {"p": 0.5, "steps": [[SURE]]}}, "sequential.steps[0].sequential.steps[0].resize"),
        ({"one_of": [RESIZE]}, "one_of.steps[0].resize"),
        ({"one_of": [SURE, "invert"]}, "one_of"),
        ({"one_of": [SURE, {"resize": {"size": 10}}]}, "one_of"),
        ({"one_of": {"p": 0.5, "steps": [SURE]}}, "one_of"),
        ({"one_of": [{"one_of": ["invert", SURE]}, "invert"]}, "one_of"),
        ({"some_of": [SURE, "invert"]}, "some_of"),
        ({"some_of": {"count": 2, "steps": [RESIZE, "invert"]}}, "some_of.steps[0].resize"),
        ({"some_of": [["invert", RESIZE], "invert"]}, "some_of"),
        ({"invert": {"test": [RESIZE]}}, "invert.test[0].resize"),
    ],
    ids=str,
)  # fmt: skip
def test_refused_with_what_to_do(step: Any, where: str) -> None:
    for spec, index in (([step], 0), (["invert", step, {"horizontal_flip": {"p": 1}}], 1)):
        (found,) = problems(spec)
        assert found.startswith(f"image[{index}].{where}: ")
        assert "so the size of the test image is not known: add `test:" in found
    # a later step leads to one size; one that depends on the size before it does not
    assert problems([step, {"center_crop": 8}]) == []
    assert problems([step, {"random_resized_crop": 8}]) == []
    assert len(problems([step, {"pad": 1}])) == 1
    assert len(problems([{"resize": {"size": 28}}, step, RESIZE])) >= 1


def test_both_steps_are_named_and_the_line_of_the_file(tmp_path: Any) -> None:
    path = tmp_path / "train.yaml"
    path.write_text("image:\n  - invert\n  - resize: {size: 20, p: 0.5}\n  - center_crop: {size: 8, p: 0.5}\n")
    with pytest.raises(SpecError) as caught:
        Pipeline.from_spec(path)
    lines = str(caught.value).splitlines()
    assert [line for line in lines if "train.yaml:3" in line and "image[1].resize" in line and "test: same" in line]
    assert [line for line in lines if "train.yaml:4" in line and "image[2].center_crop" in line]


@pytest.mark.parametrize(
    ("step", "size"),
    [
        ({"resize": {"size": 20, "p": 0.5, "test": "same"}}, (20, 20)),
        ({"resize": {"size": 20, "p": 0.5, "test": "off"}}, (30, 40)),
        ({"resize": {"size": 20, "p": 0.5, "test": [{"resize": {"size": 10}}]}}, (10, 10)),
        ({"random_resized_crop": {"size": 20, "p": 0.5, "test": "center"}}, (20, 20)),
        ({"sequential": {"p": 0.5, "steps": [{"resize": {"size": 20, "test": "same"}}]}}, (20, 20)),
        ({"sequential": {"p": 0.5, "steps": [SURE], "test": "off"}}, (30, 40)),
        ({"sequential": {"p": 0.5, "steps": [SURE], "test": "same"}}, (20, 20)),
        ({"sequential": {"p": 0.0, "steps": [SURE]}}, (30, 40)),
        ({"one_of": {"p": 0, "steps": [SURE, "invert"]}}, (30, 40)),
        ({"one_of": [SURE]}, (20, 20)),
        ({"one_of": {"steps": [SURE, "invert"], "weights": [1, 0]}}, (20, 20)),
        ({"some_of": {"count": 2, "steps": [SURE, "invert"]}}, (20, 20)),
        ({"one_of": [{"random_resized_crop": 20}, SURE]}, (20, 20)),
        ({"one_of": [{"resize": {"size": 20, "p": 0}}, "invert"]}, (30, 40)),
        ({"resize": {"size": 20, "p": 0}}, (30, 40)),
        ({"resize": {"size": 20, "p": {"step": [0, 1], "at": [9]}}}, (20, 20)),
        ({"resize": {"size": 20, "p": {"linear": [1, 0], "over": [8, 9]}}}, (30, 40)),
        ({"pad": {"padding": 0, "p": 0.5}}, (30, 40)),
        ({"rot90": {"p": 0.5}}, (30, 40)),
        ({"one_of": ["rot90", "d4"]}, (30, 40)),
        ({"some_of": ["rotate", "perspective"]}, (30, 40)),
    ],
    ids=str,
)  # fmt: skip
def test_where_the_size_is_certain_nothing_is_refused(step: Any, size: tuple[int, int]) -> None:
    pipe = Pipeline.from_spec([step])
    assert pipe.test(IMAGE).shape[:2] == size
    assert Pipeline.from_spec(pipe.to_spec()) == pipe


def test_a_resize_that_leaves_the_same_size_decides_nothing() -> None:
    pipe = Pipeline.from_spec([{"resize": {"size": 32}}, {"random_crop": {"size": 32, "padding": 4, "p": 0.5}}])
    assert pipe.test(IMAGE).shape[:2] == (32, 32)


def test_an_imported_pipeline_keeps_a_crop_by_chance() -> None:
    """albumentations pipelines often crop by chance, and then resize all images."""
    crop = {"__class_fullname__": "CenterCrop", "height": 20, "width": 20, "p": 0.5}
    resize = {"__class_fullname__": "Resize", "height": 8, "width": 8, "p": 1.0}

    def imported(*transforms: Any) -> Any:
        compose = {"__class_fullname__": "Compose", "p": 1.0, "transforms": transforms}
        return augreg.from_albumentations({"__version__": "2.0.8", "transform": compose})

    found = imported(crop, resize)
    assert [next(iter(step)) for step in found.spec["image"]] == ["center_crop", "resize"]
    assert Pipeline.from_spec(found.spec).test(IMAGE).shape == (8, 8, 3)
    alone = imported(crop)
    assert any("`test: off` was added" in line for line in alone.report)
    assert Pipeline.from_spec(alone.spec).test(IMAGE).shape == IMAGE.shape


def test_batches_have_no_steps_that_change_the_size() -> None:
    for step in (RESIZE, {"one_of": [RESIZE, "mixup"]}):
        (found,) = problems({"batch": [step]})
        assert "resize cannot be used in 'batch'" in found


def test_many_of_them_are_read_in_time() -> None:
    steps = [{"pad": {"padding": number % 50 + 1, "p": 0.5}} for number in range(300)]
    assert len(problems(steps)) == 101  # the last line says that no more are listed
    assert problems([*steps, {"resize": {"size": 9}}]) == []
    assert np.array_equal(Pipeline.from_spec([*steps[:3], {"resize": {"size": 9}}]).test(IMAGE).shape, (9, 9, 3))
