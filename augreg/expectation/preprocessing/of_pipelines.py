"""The differences between the test sides of two pipelines, each with the effect that it has alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from augreg.expectation.image_size.apparent_size import composed
from augreg.expectation.preprocessing.effect import Measure
from augreg.expectation.preprocessing.prepared_image import PreparedImage, prepared
from augreg.expectation.preprocessing.report import Difference, Skew
from augreg.ops import Enlarge, Normalize, Op, Resize, Scene

if TYPE_CHECKING:
    from augreg.pipeline import Pipeline

__all__ = ["described_geometry", "described_normalization", "pipeline_skew"]

_Change = Callable[[PreparedImage, PreparedImage], PreparedImage]


class _Named(NamedTuple):
    """A difference in words, and the change that gives the expected image this difference alone."""

    what: str
    expected: str
    found: str
    change: _Change


def pipeline_skew(pipe: Pipeline, other: Pipeline, images: Sequence[Any], measure: Measure) -> Skew:
    """The differences of the test side of `other` from that of `pipe`; without images, for a photo of 375x500."""
    if pipe.test.fingerprint == other.test.fingerprint and pipe.backend == other.backend:
        return Skew(())
    pairs = [(prepared(pipe, image), prepared(other, image)) for image in images or [_noise()]]
    named: dict[str, _Named] = {}
    for expected, found in pairs:
        for one in [*_of_options(pipe, other), *_of_steps(expected, found)]:
            named.setdefault(one.what, one)
    reference = [expected.values for expected, _ in pairs]
    measure = measure if images else Measure()
    differences = [
        Difference(
            one.what, one.expected, one.found,
            measure(reference, [_values(one.change, expected, found) for expected, found in pairs]),
        )
        for one in named.values()
    ]  # fmt: skip
    # not those of steps that do nothing; noise is an array, whose channels stay as they are
    known = tuple(one for one in differences if one.effect.pixels != 0.0 or (not images and one.what == "channels"))
    if not images:
        return Skew(tuple(Difference(one.what, one.expected, one.found) for one in known))
    total = measure(reference, [found.values for _, found in pairs])
    return Skew(known, total, images=len(pairs))


def _noise() -> NDArray[np.uint8]:
    """A photo's size of noise: what differs at all differs on it."""
    return np.random.Generator(np.random.Philox(0)).integers(0, 256, (375, 500, 3), np.uint8)


def _values(change: _Change, expected: PreparedImage, found: PreparedImage) -> Any:
    """The model's input with one change; None where this change alone is impossible."""
    try:
        return change(expected, found).values
    except (ValueError, TypeError):
        return None


def _of_options(pipe: Pipeline, other: Pipeline) -> Iterator[_Named]:
    if pipe.options.channels != other.options.channels:

        def decoded(expected: PreparedImage, found: PreparedImage) -> PreparedImage:
            return PreparedImage(found.array, found.scene, expected.ops, expected.engine)

        yield _Named("channels", pipe.options.channels, other.options.channels, decoded)
    if pipe.backend != other.backend:

        def run(expected: PreparedImage, found: PreparedImage) -> PreparedImage:
            return PreparedImage(expected.array, expected.scene, expected.ops, found.engine)

        yield _Named("backend", pipe.backend, other.backend, run)


def _of_steps(expected: PreparedImage, found: PreparedImage) -> Iterator[_Named]:
    ours, theirs = _resampling(expected.ops), _resampling(found.ops)
    for field, what in (("interpolation", "resize filter"), ("antialias", "antialiasing")):
        old, new = ([getattr(op, field) for op in ops] for ops in (ours, theirs))
        if ours and theirs and set(old) != set(new):

            def filtered(one: PreparedImage, other: PreparedImage, field: str = field) -> PreparedImage:
                return one.with_fields(**{field: getattr(_resampling(other.ops)[0], field)})

            yield _Named(what, _listed(old), _listed(new), filtered)
    if _plain(expected) != _plain(found):

        def moved(one: PreparedImage, other: PreparedImage) -> PreparedImage:
            geometry = one.with_ops(other.geometry)
            if resampling := _resampling(one.ops):
                first = resampling[0]
                geometry = geometry.with_fields(interpolation=first.interpolation, antialias=first.antialias)
            return one.with_geometry(geometry.ops)

        old_words, new_words = (described_geometry(one.geometry, one.scene) for one in (expected, found))
        what = "crop and size" if expected.size != found.size else "crop"
        yield _Named(what, old_words, new_words, moved)
    if expected.normalization != found.normalization:
        yield _Named(
            "normalization", described_normalization(expected.normalization),
            described_normalization(found.normalization),
            lambda one, other: one.with_normalization(other.normalization),
        )  # fmt: skip
    if expected.others != found.others:
        old_words, new_words = (", ".join(map(str, one.others)) or "none" for one in (expected, found))
        yield _Named("other steps", old_words, new_words, _with_others)


def _with_others(one: PreparedImage, other: PreparedImage) -> PreparedImage:
    """The image with the other steps of the second; they come after those that move pixels."""
    kept = [op for op in one.ops if op not in one.others and op != one.normalization]
    changed = one.with_ops([*kept, *other.others])
    return changed if one.normalization is None else changed.with_normalization(one.normalization)


def _resampling(ops: Sequence[Op]) -> list[Any]:
    return [op for op in ops if isinstance(op, Resize | Enlarge)]


def _listed(values: Sequence[Any]) -> str:
    return ", ".join(dict.fromkeys({True: "on", False: "off"}.get(value, str(value)) for value in values))


def _plain(image: PreparedImage) -> tuple[Op, ...]:
    """The ops that move pixels, without the filter of their resampling."""
    return image.with_fields(interpolation="bilinear", antialias=True).geometry


def described_geometry(ops: Sequence[Op], scene: Scene) -> str:
    """What moves pixels, in words, and which part of the height and of the width of the image the result shows."""
    whole, after = composed(ops, scene)
    back = np.linalg.inv(whole)
    corners = [back @ (x, y, 1.0) for x in (0.0, after.width) for y in (0.0, after.height)]
    points = np.array([corner[:2] / corner[2] for corner in corners])
    width, height = (points.max(0) - points.min(0)).tolist()
    part = f"{100 * height / scene.height:.1f} % x {100 * width / scene.width:.1f} % of the image"
    stretch = (after.width / width) / (after.height / height)
    words = f", stretched {stretch:.2f} times in width" if abs(stretch - 1.0) > 0.02 else ""
    return f"{', '.join(map(str, ops)) or 'nothing'} ({part}{words})"


def described_normalization(normalize: Normalize | None) -> str:
    """A normalization in words."""
    if normalize is None:
        return "none"
    if normalize.mean_image is not None:
        return "a mean image"
    mean, std = (", ".join(f"{value:.4g}" for value in values) for values in (normalize.mean, normalize.std))
    return f"mean {mean} and std {std}"
