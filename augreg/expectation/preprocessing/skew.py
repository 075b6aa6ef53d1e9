"""Training-serving skew: how the images that a model gets in use differ from those of its pipeline.

print(augreg.skew(pipe, serve, photos))               # serve: your function from an image to the model's input
print(augreg.skew(pipe, other_pipe, photos, model))   # with the change of the model's predictions
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from augreg.expectation.preprocessing.effect import Measure
from augreg.expectation.preprocessing.of_functions import function_skew
from augreg.expectation.preprocessing.of_pipelines import pipeline_skew
from augreg.expectation.preprocessing.prepared_image import prepared
from augreg.expectation.preprocessing.report import Skew
from augreg.pipeline import Pipeline
from augreg.spec.one_view import check_one_view

if TYPE_CHECKING:
    from torch import nn

    from augreg.expectation.means.outputs import Select

__all__ = ["skew"]

_LAST = "the function returns height x width x channels; the pipeline, channels x height x width"

_Made = NDArray[np.float64]


def skew(
    pipe: Pipeline,
    other: Pipeline | Callable[[Any], Any],
    images: Iterable[Any] = (),
    model: nn.Module | None = None,
    *,
    select: Select = None,
) -> Skew:
    """Name the differences between the test images of a pipeline and what something else makes of the same images.

    `other` is a pipeline, or a function that makes the model's input of an image: channels x height x width with 1
    or 3 channels, channels last, or a batch of one. It is called with the image as given, and if it refuses that,
    with a PIL image or a height x width x 3 array of bytes. `images` are what `pipe.test` takes; a few are enough.

    Two pipelines are compared step by step: channels, backend, resize filter, antialiasing, crop and size,
    normalization, other steps; without images, the effects are not measured. Of a function, only the results are
    seen: the crop, resize filter, antialiasing, channel order and normalization are found that explain them best,
    and `residual` is what they leave.

    Each difference has its effect alone: the mean absolute difference of the pixel values of the model's input, and
    with a model, whose logits `select` finds in its output, the change of its predictions. Raises ValueError for
    arguments that cannot be compared.
    """
    for one in (pipe, other):
        check_one_view(one, "skew")
    images = list(images)
    measure = Measure(model, select)
    if isinstance(other, Pipeline):
        return pipeline_skew(pipe, other, images, measure)
    if not callable(other):
        raise TypeError(f"expected a pipeline, or a function from an image to the model's input, got {other!r}")
    if not images:
        raise ValueError("a function is compared by its results: give some images")
    expected = [prepared(pipe, image) for image in images]
    if any(one.normalization is not None and one.normalization.mean_image is not None for one in expected):
        raise ValueError("a pipeline that subtracts a mean image can be compared with pipelines only")
    if expected[0].scene.channels not in (1, 3):
        raise ValueError(
            f"functions are compared for images with 1 or 3 channels, and those of the pipeline have "
            f"{expected[0].scene.channels}: compare it with a pipeline"
        )
    called = _accepting(other, images[0], expected[0].array)
    made = [_channels_first(called(image, one.array)) for image, one in zip(images, expected, strict=True)]
    found = function_skew(expected, [array for array, _ in made], measure)
    notes = [_LAST] if any(moved for _, moved in made) else []
    return Skew(found.differences, found.total, found.residual, found.images, (*found.notes, *notes))


def _accepting(function: Callable[[Any], Any], image: Any, array: NDArray[Any]) -> Callable[[Any, NDArray[Any]], Any]:
    """A call of the function with the first kind of image that it takes. Raises ValueError if it takes none."""
    kinds: dict[str, Callable[[Any, NDArray[Any]], Any]] = {
        f"the image as given ({type(image).__name__})": lambda image, array: function(_fresh(image)),
        "a PIL image": lambda image, array: function(_pil_image(array)),
        "an array of bytes": lambda image, array: function(array.copy()),
    }
    errors = []
    for kind, call in kinds.items():
        try:
            _channels_first(call(image, array))  # torchvision returns a path as it is
        except Exception as error:  # another kind may be what it takes
            errors.append(f"{kind}: {type(error).__name__}: {error}")
        else:
            return call
    raise ValueError("the function takes neither kind of image; " + "; ".join(errors))


def _fresh(image: Any) -> Any:
    """The image itself, or a copy of an array: the function may write to what it gets."""
    if isinstance(image, str | bytes | os.PathLike):
        return image
    return image.copy() if callable(getattr(image, "copy", None)) else image


def _pil_image(array: NDArray[Any]) -> Any:
    from PIL import Image

    return Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)


def _channels_first(result: Any) -> tuple[_Made, bool]:
    """A result as channels x height x width floats, and whether its channels were last. Raises ValueError."""
    given = result.detach().cpu().numpy() if hasattr(result, "detach") else np.asarray(result)
    array = given[0] if given.ndim == 4 and given.shape[0] == 1 else given
    array = array[..., None] if array.ndim == 2 else array
    if given.dtype.kind == "f" and not np.isfinite(given).all():
        raise ValueError(f"the function must return finite pixel values, got nan or infinity in {_shown(result)}")
    if given.dtype.kind in "fiub" and array.ndim == 3:
        if array.shape[0] in (1, 3):
            return np.ascontiguousarray(array, np.float64), False
        if array.shape[2] in (1, 3):
            return np.ascontiguousarray(array.transpose(2, 0, 1), np.float64), True
    raise ValueError(f"the function must return an image with 1 or 3 channels, got {_shown(result)}")


def _shown(result: Any) -> str:
    shape = getattr(result, "shape", None)
    return type(result).__name__ if shape is None else f"{type(result).__name__} of shape {tuple(shape)}"
