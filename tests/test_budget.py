"""No op makes more pixels than a spec allows, and of what is enlarged and cropped only the rest is made."""

from __future__ import annotations

import io
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from images import precise_warps
from PIL import Image

import augreg
from augreg import ImageError, Pipeline, ops
from augreg.execution.budget import within_budget
from augreg.gallery.step_by_step import stages

BACKENDS = ("pillow", "opencv")
# OpenCV 4 rounds the positions that a warp reads to 1/32 of a pixel: docs/backends.md has the tolerance
NEAR = {"pillow": 1, "opencv": 1 if precise_warps() else 7}
SMALL = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)

BOMB = """
import io, resource, sys
import numpy as np
from PIL import Image
import augreg

line = Image.fromarray(np.arange(30000, dtype=np.uint32).astype(np.uint8).reshape(1, 10000, 3))
file = io.BytesIO()
line.save(file, "PNG")
pipes = [augreg.Pipeline.from_spec("imagenet", backend=backend) for backend in ("pillow", "opencv")]
for pipe in pipes:
    pipe.test(np.zeros((300, 300, 3), np.uint8))  # loads what it needs
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (300 << 20), resource.RLIM_INFINITY))
for pipe in pipes:
    assert pipe.test(file.getvalue()).shape == (3, 224, 224)
    assert pipe.test(line.rotate(90, expand=True)).shape == (3, 224, 224)
    for step in ({"resize": {"size": 65536}}, {"pad": 65536}, {"random_crop": 65536}, {"letterbox": 65536}):
        for side in ("train", "test"):
            try:
                getattr(augreg.Pipeline([step], backend=pipe.backend), side)(line)
            except augreg.ImageError as error:
                assert "max_pixels" in str(error), error
            else:
                raise AssertionError(step)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits the memory of a process")
def test_a_small_file_takes_little_memory() -> None:
    done = subprocess.run([sys.executable, "-c", BOMB], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_center_of_a_line(backend: str) -> None:
    """A line of 10,000 is enlarged 256 times, as by linear interpolation between the centers of its pixels."""
    line = np.random.default_rng(3).integers(0, 256, (1, 10000, 1), dtype=np.uint8)
    column = (10000 * 256 - 224) // 2 + np.arange(224)
    place = (column + 0.5) / 256 - 0.5
    before = np.floor(place).astype(int)
    row = line[0, before, 0] * (before + 1 - place) + line[0, before + 1, 0] * (place - before)
    pipe = augreg.Pipeline([{"random_resized_crop": 224}], backend=backend)
    found = pipe.test(line)
    assert np.abs(found[..., 0] - row).max() <= NEAR[backend]
    turned = pipe.test(line.transpose(1, 0, 2))
    assert np.abs(turned[..., 0] - row[:, None]).max() <= NEAR[backend]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
def test_the_part_is_that_of_the_whole(backend: str, antialias: bool, interpolation: Any) -> None:
    for shape in ((3, 50, 3), (1, 1, 1), (37, 21, 5), (99, 107, 3)):
        pixels = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
        given = {"shorter": 111, "interpolation": interpolation, "antialias": antialias}
        steps = [{"resize": given}, {"center_crop": [100, 93]}, {"horizontal_flip": {"p": 1, "test": "same"}}]
        for image in (pixels, pixels.astype(np.float32) / 255):
            whole = augreg.Pipeline(steps, backend=backend)
            part = augreg.Pipeline(steps, backend=backend, max_pixels=100 * 93)
            off = np.abs(whole.test(image).astype(float) - part.test(image)) * (
                255 if image.dtype == np.float32 else 1
            )
            if interpolation == "nearest":  # a point on the border of two pixels may fall to either
                assert (off > 0).mean() <= 0.01, shape
            else:
                assert off.max() <= NEAR[backend], shape
            size = (image.shape[0], image.shape[1])
            plan = part.test.plan(size, channels=shape[2], dtype=str(image.dtype))
            assert max(np.prod(op.size_after(*size)) for op in plan.ops) <= 100 * 93


@pytest.mark.parametrize("backend", BACKENDS)
def test_targets_follow_the_part(backend: str) -> None:
    sample = {
        "image": np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8),
        "mask": np.random.default_rng(2).integers(0, 9, (20, 30), dtype=np.uint8),
        "boxes": [[4.0, 5.0, 20.0, 15.0]],
        "keypoints": [[15.0, 10.0]],
    }
    spec = {"image": [{"resize": {"shorter": 60}}, {"center_crop": 36}], "targets": {"boxes": "xyxy"}}
    found = augreg.Pipeline.from_spec(spec, backend=backend, max_pixels=36 * 36).test(sample)
    # three times as large, less the margins (90 - 36) / 2 = 27 on the left and (60 - 36) / 2 = 12 at the top
    assert found["boxes"] == [[0.0, 3.0, 33.0, 33.0]]
    assert found["keypoints"] == [[18.0, 18.0]]
    rows, columns = (np.arange(12, 48) // 3)[:, None], np.arange(27, 63) // 3
    assert (found["mask"] == sample["mask"][rows, columns]).all()


def test_the_whole_is_not_made_where_nearly_all_of_it_is_cut_away() -> None:
    """A spec that allows everything does not change it: 2,560,000 x 256 pixels for 224 x 224."""
    plan = augreg.Pipeline.from_spec("imagenet", max_pixels=2**40).test.plan((1, 10000))
    assert [op.size_after(1, 10000) for op in plan.ops[:1]] == [(224, 224)]
    usual = augreg.Pipeline.from_spec("imagenet").test.plan((375, 500))
    assert usual.ops[0].size_after(375, 500) == (256, 341)


def test_a_spec_may_raise_and_lower_it() -> None:
    steps = [{"pad": 10}]
    for allowed in (784, 2**40):
        assert augreg.Pipeline(steps, max_pixels=allowed).train(SMALL, index=0).shape == (28, 28, 3)
    pipe = augreg.Pipeline(steps, max_pixels=783)
    for run in (
        lambda: pipe.train(SMALL, index=0),
        lambda: pipe.train.plan((8, 8), index=0),
        lambda: pipe.test(SMALL),
    ):
        with pytest.raises(
            ImageError, match=r"pad 10 would make 28x28 = 784 pixels of a 8x8 image.*at most 783 are allowed; raise"
        ):
            run()
    with pytest.raises(augreg.SpecError, match="max_pixels"):
        augreg.Pipeline(steps, max_pixels=0)


def test_the_image_itself_is_always_allowed() -> None:
    steps = ["horizontal_flip", {"rotate": {"p": 1}}, {"brightness": {"p": 1}}, {"center_crop": 4}, "normalize"]
    assert augreg.Pipeline(steps, max_pixels=1).train(SMALL, index=0).shape == (3, 4, 4)
    with pytest.raises(ImageError, match="max_pixels"):  # half of the pixels are gone, and may not come back fourfold
        augreg.Pipeline([{"resize": {"size": [8, 4]}}, {"resize": {"size": [16, 16]}}], max_pixels=1).train(
            SMALL, index=0
        )


def doubled(array: Any) -> Any:
    return array.repeat(2, 0)


@augreg.transform("taller", kind="geometry")
class Taller:
    """Twice as high; only running it tells."""

    def sample(self, rng: Any, scene: Any) -> Any:
        return ops.call(doubled)


def test_steps_after_an_op_of_unknown_size_are_checked_for_what_it_left() -> None:
    pipe = augreg.Pipeline([Taller(), {"pad": 2}], max_pixels=239)
    with pytest.raises(ImageError, match=r"20x12 = 240 pixels of a 16x8 image"):
        pipe.train(SMALL, index=0)
    assert pipe.replace(max_pixels=240).train(SMALL, index=0).shape == (20, 12, 3)


def test_specs_keep_their_fingerprints() -> None:
    pipe = augreg.Pipeline.from_spec("imagenet")
    assert "max_pixels" not in pipe.to_spec()
    assert pipe.replace(max_pixels=2**27) == pipe
    raised = pipe.replace(max_pixels=2**30)
    assert raised.to_spec()["max_pixels"] == 2**30
    assert raised.fingerprint != pipe.fingerprint
    file = io.BytesIO()
    Image.fromarray(SMALL).save(file, "PNG")
    assert (raised.train(file, index=1) == pipe.train(file, index=1)).all()


def test_the_steps_of_the_gallery_keep_the_budget_too() -> None:
    pipe = Pipeline.from_spec("imagenet", max_pixels=200_000)
    line = np.zeros((1000, 2, 3), np.uint8)
    shown = [stage.array for stage in stages(pipe, line, None) if stage.array is not None]
    assert (
        shown[-1].size == pipe.test(line).size and max(array.shape[0] * array.shape[1] for array in shown) <= 200_000
    )


def test_the_move_behind_an_enlarged_part_has_its_name() -> None:
    scene = ops.Scene(4, 4)
    found = within_budget(
        (ops.resize(4000, 4000), ops.Move(8, 8, 16, 16, flip_x=True, label="crop, flip")), scene, 9_000
    )
    assert [str(op) for op in found] == ["resize to 4000x4000", "crop, flip"]
