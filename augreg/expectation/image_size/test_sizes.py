"""The size of test images at which objects look as large as in training, and the accuracy there.

A random resized crop enlarges what it shows, so objects appear larger in training than at test time. With larger test
images they appear equally large: FixRes, Touvron et al. 2019, arXiv 1906.06423.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from augreg.errors import SpecError
from augreg.expectation.image_size.apparent_size import test_magnification, training_magnifications
from augreg.expectation.image_size.enlarged import with_test_size
from augreg.expectation.preprocessing.model_predictions import predictions
from augreg.inspect.tables import table
from augreg.ops import Scene
from augreg.spec.one_view import check_one_view

if TYPE_CHECKING:
    from torch import nn

    from augreg.expectation.means.outputs import Select
    from augreg.pipeline import Pipeline

__all__ = ["SizeReport", "test_size"]

_NOMINAL = (500, 500)  # a square photo, if there are no images
_MOST_SIZES = 16
_TOLERANCE = 0.05


@dataclass(frozen=True)
class SizeReport:
    """How large objects appear at test time and in training, and what follows for the size of test images.

    `ratio` is the apparent size of an object in the test image, divided by that in a training image, on average over
    the draws; `low` and `high` are its 10 and 90 percent quantiles. `size` is the (height, width) of test images now,
    and `corrected_size` those at which the ratio is 1. `pipe` is the pipeline with such test images; None if its
    sizes do not follow from the arguments of its steps, as `note` says. `accuracy` and `corrected_accuracy` are
    fractions of right predictions at the two sizes, `gained` and `lost` the numbers of predictions that are right at
    one of the sizes only; None if they were not measured. `images` is the number of images of the measurement.
    """

    ratio: float
    low: float
    high: float
    size: tuple[int, int]
    corrected_size: tuple[int, int]
    pipe: Pipeline | None
    note: str = ""
    images: int = 0
    accuracy: float | None = None
    corrected_accuracy: float | None = None
    gained: int | None = None
    lost: int | None = None

    @property
    def difference(self) -> float | None:
        """The accuracy at the corrected size minus that at the size of now."""
        if self.gained is None or self.lost is None:
            return None
        return (self.gained - self.lost) / self.images

    @property
    def standard_error(self) -> float | None:
        """The standard error of the difference, with the images as pairs."""
        if self.gained is None or self.lost is None or self.difference is None:
            return None
        variance = (self.gained + self.lost) / self.images - self.difference**2
        return float(np.sqrt(max(variance, 0.0) / max(self.images - 1, 1)))

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {
            "ratio": self.ratio,
            "quantiles": [self.low, self.high],
            "size": list(self.size),
            "corrected_size": list(self.corrected_size),
            "spec": None if self.pipe is None else self.pipe.to_spec(),
            "note": self.note,
            "images": self.images,
            "accuracy": self.accuracy,
            "corrected_accuracy": self.corrected_accuracy,
            "gained": self.gained,
            "lost": self.lost,
            "difference": self.difference,
            "standard_error": self.standard_error,
        }

    def __str__(self) -> str:
        rows = [
            _row("test image now", self.size, self.ratio, self.accuracy),
            _row("objects as in training", self.corrected_size, 1.0, self.corrected_accuracy),
        ]
        lines = [table(("", "size", "apparent size / training", "accuracy"), rows)]
        lines.append(f"in 80 % of the training images the ratio is between {self.low:.2f} and {self.high:.2f}")
        if self.difference is not None and self.standard_error is not None:
            error = f"{100 * self.difference:+.2f} % (standard error {100 * self.standard_error:.2f} %)"
            turned = f"{self.gained} predictions become right and {self.lost} become wrong"
            lines.append(f"difference of the accuracies on {self.images} images: {error}; {turned}")
        return "\n".join([*lines, *filter(None, [self.note])])


def test_size(
    pipe: Pipeline,
    model: nn.Module | None = None,
    images: Iterable[Any] | None = None,
    labels: Iterable[int] | None = None,
    *,
    draws: int = 512,
    batch_size: int = 64,
    select: Select = None,
) -> SizeReport:
    """Compare the apparent sizes of objects in training and at test time, and the accuracy at a corrected size.

    The ratio is the mean, over `draws` draws of the pipeline's own training side, of the magnification of the test
    image divided by that of the training image; for `random_resized_crop` with areas a and a test crop c of the
    shorter side, of square photos, it is E[sqrt(a)] / c. The draws are spread over the sizes of the images, at most
    16 of them; without images, the original is square, with sides of 500 pixels. The corrected size is the size of
    now divided by the ratio, and its crop shows the same part of the image.

    With a model, images and labels (class numbers), the accuracy is measured at both sizes; `select` says where the
    logits are in what the model returns. The mode of the model is as before. Raises ValueError for wrong arguments,
    and ImageError for a step whose effect on sizes is not known before it runs.
    """
    check_one_view(pipe, "a test size")
    images = None if images is None else list(images)
    known = None if labels is None else np.asarray(list(labels))
    _check(model, images, known)
    scenes = _scenes(pipe, images)
    ratios = _ratios(pipe, scenes, draws)
    ratio = float(ratios.mean())
    size = test_magnification(pipe.steps, next(iter(scenes)))[1]
    corrected = max(1, round(size[0] / ratio)), max(1, round(size[1] / ratio))
    better, note = _corrected(pipe, ratio, next(iter(scenes)))
    low, high = (float(value) for value in np.quantile(ratios, (0.1, 0.9)))
    report = SizeReport(ratio, low, high, size, corrected, better, note)
    if model is None or images is None or known is None:
        return report
    right, right_then, note = _right(model, (pipe, better), images, known, batch_size, select)
    gained = lost = None
    if right_then is not None:
        gained, lost = int((right_then & ~right).sum()), int((right & ~right_then).sum())
    then = None if right_then is None else float(right_then.mean())
    note = "\n".join(filter(None, [report.note, note]))
    return SizeReport(
        ratio, low, high, size, corrected, better, note, len(images), float(right.mean()), then, gained, lost
    )


test_size.__test__ = False  # type: ignore[attr-defined] # not a test case, despite its name


def _row(name: str, size: tuple[int, int], ratio: float, accuracy: float | None) -> Sequence[str]:
    return name, f"{size[0]}x{size[1]}", f"{ratio:.2f}", "" if accuracy is None else f"{100 * accuracy:.2f} %"


def _check(model: Any, images: list[Any] | None, labels: NDArray[Any] | None) -> None:
    if model is not None and (images is None or labels is None):
        raise ValueError(
            "to measure the accuracy, give the model, images and labels: test_size(pipe, model, images, labels)"
        )
    if images is not None and not images:
        raise ValueError("there are no images: give some, or images=None for a square photo")
    if labels is None or images is None:
        return
    if len(labels) != len(images):
        raise ValueError(f"there are {len(images)} images and {len(labels)} labels")
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ValueError(
            f"labels must be class numbers, one for each image, got {labels.dtype} of shape {labels.shape}"
        )


def _scenes(pipe: Pipeline, images: list[Any] | None) -> dict[Scene, int]:
    """The distinct scenes of the images, the most frequent first, and how many images have each."""
    given = [_NOMINAL] if images is None else images
    counted = Counter(pipe.test.plan(image).scene for image in given)
    return dict(counted.most_common(_MOST_SIZES))


def _ratios(pipe: Pipeline, scenes: dict[Scene, int], draws: int) -> NDArray[np.float64]:
    """Apparent sizes of the test image divided by those of training: about `draws` of them, over all scenes."""
    if draws < 1:
        raise ValueError(f"draws must be at least 1, got {draws!r}")
    images = sum(scenes.values())
    found = []
    for number, (scene, count) in enumerate(scenes.items()):
        some = max(1, round(draws * count / images))
        found.append(
            test_magnification(pipe.steps, scene)[0] / training_magnifications(pipe.steps, scene, some, number)
        )
    return np.concatenate(found)


def _corrected(pipe: Pipeline, ratio: float, scene: Scene) -> tuple[Pipeline | None, str]:
    """The pipeline whose test images have the ratio 1, and a note where there is none."""
    wanted = test_magnification(pipe.steps, scene)[0] / ratio
    try:
        better = with_test_size(pipe, 1.0 / ratio)
        reached = test_magnification(better.steps, scene)[0]
    except SpecError as error:
        return None, f"no pipeline with this size could be made: {error}"
    if abs(reached / wanted - 1.0) > _TOLERANCE:
        note = "larger sizes of the steps do not enlarge objects: add a resize at test time (`test: [..]` of a step)"
        return None, note
    return better, ""


def _right(
    model: nn.Module, pipes: tuple[Pipeline, Pipeline | None], images: list[Any], labels: NDArray[Any],
    batch_size: int, select: Select,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_] | None, str]:  # fmt: skip
    """Which predictions are right with each pipeline, and a note if the model refuses the other size."""
    now, then = pipes
    right = predictions(model, images, now.test, batch_size, select).argmax(1) == labels
    if then is None:
        return right, None, ""
    try:
        return right, predictions(model, images, then.test, batch_size, select).argmax(1) == labels, ""
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        return right, None, f"the model does not take images of the corrected size: {reason}"
