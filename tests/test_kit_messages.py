"""Each failure of the conformance kit says what is wrong and, after a semicolon, what to do."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

import augreg
from augreg import ImageError, Pipeline, batch_transform, ops, transform
from augreg.batch.blends import Mix
from augreg.testing import check_transform

KIT = Path(augreg.__file__).parent / "testing"
WITH_CHECKS = sorted(
    {*KIT.glob("*_checks.py"), *KIT.glob("*_transforms.py"), KIT / "regularizers.py", KIT / "running.py"}
)


def messages(tree: ast.AST) -> list[ast.expr]:
    """The messages of its assertions."""
    return [node.msg for node in ast.walk(tree) if isinstance(node, ast.Assert) and node.msg] + [
        node.args[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "AssertionError" and node.args
    ]


def text(message: ast.expr) -> str:
    """The message, with the sources of the values in it."""
    parts = message.values if isinstance(message, ast.JoinedStr) else [message]
    return "".join(str(part.value) if isinstance(part, ast.Constant) else ast.unparse(part) for part in parts)


@pytest.mark.parametrize("path", WITH_CHECKS, ids=lambda path: path.stem)
def test_each_message_says_what_to_do(path: Path) -> None:
    tree = ast.parse(path.read_text())
    bare = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Assert) and node.msg is None]
    assert not bare
    for message in messages(tree):
        if not isinstance(message, ast.Name):  # a variable is a message that is made above
            what, _, advice = text(message).rpartition("; ")
            assert what and advice, text(message)


@transform("broken", kind="geometry")
class Halving:
    """Keep the left half of the columns."""

    def sample(self, rng, scene):
        return ops.crop(0, 0, scene.height, scene.width // 2)


@batch_transform("broken")
class Pairing:
    """Mix pairs of images."""

    def sample(self, rng, count, scene):
        return Mix((*range(1, count), 0), tuple(1 / (count - 1) for _ in range(count)))


@transform("broken", kind="color")
class Dividing:
    """Scale by the size of the image."""

    def sample(self, rng, scene):
        return ops.point_function("brightness", 1 / (scene.width - 24) / (scene.width - 32))


def test_a_step_that_cannot_take_small_images_is_told_to_return_nothing() -> None:
    with pytest.raises(
        AssertionError, match=r"dtypes_and_sizes: .*crop 1x0 .*; take images from one pixel on \(return"
    ):
        check_transform(Halving, without=["pickles"])
    with pytest.raises(
        AssertionError, match=r"batches_of_all_sizes: .*ZeroDivisionError.*; return \(\) for an image or"
    ):
        check_transform(Pairing)


def test_what_is_raised_by_a_step_is_explained_by_the_contract_of_the_check() -> None:
    with pytest.raises(
        AssertionError, match=r"previews_run: SpecError: .*ZeroDivisionError.*; it must not fail where"
    ):
        check_transform(Dividing)


@pytest.mark.parametrize("backend", ["pillow", "opencv"])
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda scene: ops.crop(0, 0, 0, 5), "crop 0x5 .* would make 0x5 of a 8x8 image; an image has at least one"),
        (lambda scene: ops.crop(2, 2, 3, 0), "crop 3x0 .* would make 3x0 of a 8x8 image"),
        (lambda scene: ops.resize(0, 5), "resize to 0x5 would make 0x5"),
        (lambda scene: ops.pad(scene, -8, 0, 0, 0), "would make 0x8"),
        (lambda scene: ops.call(np.atleast_3d, size=(0, 8)), "would make 0x8"),
        (lambda scene: ops.call(nothing), "nothing must return at least one pixel, got 0x8"),
    ],
)
def test_no_op_makes_an_image_without_pixels(make, message: str, backend: str) -> None:
    if backend == "opencv":
        pytest.importorskip("cv2")

    @transform("cutting", kind="geometry")
    class Cutting:
        """Leave nothing."""

        def sample(self, rng, scene):
            return make(scene)

    with pytest.raises(ImageError, match=message):
        Pipeline([Cutting()], backend=backend).train(np.zeros((8, 8, 3), np.uint8), index=0)


def nothing(array):
    return array[:0]
