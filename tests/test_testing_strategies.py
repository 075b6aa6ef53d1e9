"""The strategies of the conformance kit: what they draw is valid, reaches what it should, says what is missing."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings, strategies as st
from hypothesis.errors import NoSuchExample
from msgspec import Meta

import augreg
from augreg import Pipeline, Registry, ops, transform
from augreg.batch.blends import Paste, Patch
from augreg.steps.fields import Range
from augreg.steps.selectors import At
from augreg.testing import arguments, images, samples, specs
from augreg.testing.argument_strategies import values

FEW = settings(
    max_examples=20, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)


def reached(strategy: st.SearchStrategy[Any], what: Callable[[Any], bool]) -> bool:
    """Whether something of this kind is among what is drawn."""
    try:
        generate = settings(FEW, max_examples=400, derandomize=False, phases=[Phase.generate])  # nothing is shrunk
        find(strategy, what, settings=generate, random=random.Random(0))
    except NoSuchExample:
        return False
    return True


@transform("band", kind="erasing", preview=({"fraction": 0.2},))
class Band:
    """Paint a horizontal band."""

    fraction: Range = (0.1, 0.3)
    value: Annotated[int, Meta(ge=0, le=9)] = 0
    side: Literal["top", "bottom"] = "top"

    def check(self) -> None:
        if not 0 <= self.fraction[0] <= self.fraction[1] <= 1:
            raise ValueError("fraction must lie within 0 and 1")

    def sample(self, rng, scene):
        height = round(rng.uniform(*self.fraction) * scene.height)
        top = 0 if self.side == "top" else scene.height - height
        return ops.paint(scene, top, 0, height, scene.width, (float(self.value),)) if height else ()


@augreg.batch_transform("halves")
class Halves:
    """Replace the left half of each image by that of the next one."""

    def sample(self, rng, count, scene):
        box = (0, 0, scene.height, scene.width // 2)
        return Paste(tuple(Patch(i, box, (i + 1) % count, box) for i in range(count)))


@augreg.regularizer("louder", preview=({"at": "**"},))
class Louder:
    """Attach nothing."""

    at: At
    by: Annotated[float, Meta(ge=1, le=2)] = 1.5

    def attach(self, site):
        pass


@transform("named", kind="color", preview=({"name": "one"}, {"name": "two"}))
class Named:
    """Take a text, for which there is no general example."""

    name: str

    def sample(self, rng, scene):
        return ()


OURS = Registry.installed().add(Band, "mine/band").add(Halves, "mine/halves").add(Louder, "mine/louder")


@FEW
@given(image=images(channels=(1, 3), least=2, most=9))
def test_images_are_what_was_asked_for(image: np.ndarray) -> None:
    assert image.ndim == 3 and image.shape[2] in (1, 3)
    assert all(2 <= side <= 9 for side in image.shape[:2])
    assert image.dtype in (np.uint8, np.float32)
    assert image.dtype == np.uint8 or (image.min() >= 0 and image.max() <= 1)


def test_images_of_all_kinds_come() -> None:
    assert reached(images(), lambda image: image.shape[:2] == (1, 1))
    assert reached(images(), lambda image: image.shape[2] == 4 and image.dtype == np.float32)
    assert reached(images(), lambda image: not image.flags.c_contiguous)
    assert not reached(images(dtypes=("float32",)), lambda image: image.dtype != np.float32)
    assert not reached(images(dtypes=("uint8",)), lambda image: image.dtype != np.uint8)
    with pytest.raises(ValueError, match="got least 5 and most 4"):
        reached(images(least=5, most=4), lambda image: True)


@FEW
@given(sample=samples(count=3, classes=4))
def test_samples_are_taken_by_a_pipeline(sample: dict[str, Any]) -> None:
    height, width = sample["image"].shape[:2]
    assert sample["mask"].shape == (height, width) and sample["mask"].max() < 4
    boxes, points = sample["boxes"], sample["keypoints"]
    assert boxes.shape[1] == 4 and points.shape[1] == 2 and len(boxes) <= 3 and len(points) <= 3
    assert (boxes[:, 2:] - boxes[:, :2] >= 1).all() and (boxes >= 0).all()
    assert (boxes[:, 2:] <= (width, height)).all() and (points < (width, height)).all() and (points >= 0).all()
    pipe = Pipeline.from_spec({"targets": {"boxes": "xyxy"}, "image": ["horizontal_flip", {"rotate": 20}]})
    after = pipe.train(sample, index=3)
    assert after["mask"].shape == after["image"].shape[:2]
    assert len(after["boxes"]) == len(after["labels"])


def test_samples_without_boxes_and_with_many_come() -> None:
    assert reached(samples(), lambda sample: len(sample["boxes"]) == 0 and len(sample["keypoints"]) == 4)
    assert reached(samples(), lambda sample: len(sample["boxes"]) == 4)


@FEW
@given(data=st.data())
@pytest.mark.parametrize("name", ["mine/band", "mine/halves", "mine/louder", "rotate", "one_of", "l2", "dropout"])
def test_arguments_are_taken(name: str, data: st.DataObject) -> None:
    section = OURS[name].__augreg__.sections[0]
    chosen = data.draw(arguments(name, registry=OURS))
    Pipeline.from_spec({section: [{name: chosen}]}, OURS)


def test_arguments_reach_what_the_annotation_says() -> None:
    mine = arguments(Band)
    assert reached(mine, lambda given: given.get("value") == 9)
    assert reached(mine, lambda given: given.get("side") == "bottom")
    assert reached(mine, lambda given: isinstance(given.get("fraction"), list))
    assert reached(mine, lambda given: isinstance(given.get("fraction"), int | float))  # the short form
    assert not reached(mine, lambda given: given.get("value", 0) > 9)
    assert reached(values(At), lambda at: isinstance(at, dict))


def test_arguments_without_a_general_example_come_from_the_previews() -> None:
    assert reached(arguments(Named), lambda given: given == {"name": "two"})
    assert not reached(arguments(Named), lambda given: given["name"] not in ("one", "two"))

    @transform("blank", kind="color")
    class Blank:
        """Take a text, and show none."""

        name: str

        def sample(self, rng, scene):
            return ()

    with pytest.raises(ValueError, match=r"arguments of blank .* preview"):
        reached(arguments(Blank), lambda given: True)


def test_an_unknown_name_is_reported() -> None:
    with pytest.raises(ValueError, match="did you mean 'mine/band'"):
        arguments("mine/bands", registry=OURS)
    with pytest.raises(ValueError, match="did you mean 'rotate'"):
        specs(having="rotat")
    with pytest.raises(ValueError, match="not one of the names"):
        specs(names=["rotate"], having="invert")


def names_in(data: Any) -> Iterable[str]:
    """Every word of a spec."""
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict):
        for key, value in data.items():
            yield key
            yield from names_in(value)
    elif isinstance(data, list):
        for item in data:
            yield from names_in(item)


@FEW
@given(data=st.data())
@pytest.mark.parametrize("having", ["mine/band", "mine/halves", "mine/louder", "normalize", "some_of", "l2"])
def test_specs_are_valid_and_have_what_they_must(having: str, data: st.DataObject) -> None:
    spec = data.draw(specs(OURS, having=having))
    assert having in names_in(spec)
    assert Pipeline.from_spec(spec, OURS).to_spec()


@FEW
@given(spec=specs(OURS, names=["mine/band", "mine/louder"]), image=images(most=12))
def test_specs_over_some_names(spec: dict[str, Any], image: np.ndarray) -> None:
    assert not {"rotate", "one_of", "dropout", "mixup"} & set(names_in(spec))
    pipe = Pipeline.from_spec(spec, OURS)
    assert np.array_equal(pipe.train(image, index=1), pipe.train(image, index=1))


def test_specs_have_containers_schedules_and_other_sections() -> None:
    every = specs(OURS)
    assert reached(every, lambda spec: "one_of" in names_in(spec))
    assert reached(every, lambda spec: "over" in names_in(spec))
    assert reached(every, lambda spec: "mine/band" in names_in(spec["image"]))
    assert reached(every, lambda spec: bool(spec.get("model")) and bool(spec.get("batch")))


def test_without_hypothesis_the_import_says_what_to_install() -> None:
    code = "import sys; sys.modules['hypothesis'] = None\nfrom augreg.testing import check_transform, parametrize\n"
    kit = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (kit.returncode, kit.stderr) == (0, "")
    done = subprocess.run(
        [sys.executable, "-c", code + "from augreg.testing import specs"], capture_output=True, text=True, check=False
    )
    assert "ImportError: strategies need hypothesis: pip install 'augreg[testing]'" in done.stderr
