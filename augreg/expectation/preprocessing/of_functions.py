"""Which common mistakes explain how a function prepares images, compared with a pipeline.

The function is a black box: only its results are seen. For every combination of a crop, a filter and a channel order,
a linear map of each channel is fitted to the results, so that the normalization need not be known. The combination
that leaves the smallest error is taken; among those that are about as good, the one that changes least. Then the
linear map is compared with those of common normalizations.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from augreg.expectation.preprocessing.effect import Inputs, Measure, mean_difference
from augreg.expectation.preprocessing.guesses import (
    Guess,
    guessed_geometry,
    guesses,
    made_by,
    orders,
    own_guess,
    resized_by,
)
from augreg.expectation.preprocessing.known_normalizations import LinearMap, fitted, known_maps, map_of
from augreg.expectation.preprocessing.of_pipelines import described_geometry, described_normalization
from augreg.expectation.preprocessing.prepared_image import PreparedImage
from augreg.expectation.preprocessing.report import Difference, Skew

__all__ = ["function_skew"]

_MOST_SEARCHED = 4
_CLEARLY = 0.8  # a guess with more changes has to leave less than this part of the error of one with fewer
_HALF = 0.5  # another normalization has to leave less than this part: of unrelated images, a flat one leaves 0.7
_ROUNDING = 1e-3  # errors below this fraction of the spread of the values come from rounding
_NO_DIFFERENCE = 1e-6

_Images = Sequence[PreparedImage]
_Results = Sequence[NDArray[np.float64]]


def function_skew(images: _Images, results: _Results, measure: Measure) -> Skew:
    """The differences of a function's results (1 or 3 channels x height x width) from the pipeline's images."""
    reference = [image.values for image in images]
    total = measure(reference, results)
    if total.pixels is not None and total.pixels < _NO_DIFFERENCE:
        return Skew((), total, 0.0, len(results))
    own = own_guess(images[0])
    best = _best(images[:_MOST_SEARCHED], results[:_MOST_SEARCHED], own)
    if best is None:
        sizes = ", ".join(dict.fromkeys(f"{one.shape[1]}x{one.shape[2]}" for one in results))
        return Skew((), total, None, len(results), (f"no crop that was tried leads to these sizes: {sizes}",))
    own_map = map_of(images[0].normalization, images[0].scene.white)
    made = [made_by(best, image, result.shape) for image, result in zip(images, results, strict=True)]
    chosen = _chosen_map(made, results, images[0], own_map)
    differences = [
        Difference(what, expected, found, measure(reference, _with(guess, own_map, images, results)))
        for what, expected, found, guess in _named(best, own, images, results[0].shape)
    ]
    if chosen is not own_map:
        alone = [chosen.applied(made_by(own, image, image.values.shape)) for image in images]
        words = described_normalization(images[0].normalization)
        differences.append(Difference("normalization", words, chosen.name, measure(reference, alone)))
    residual = mean_difference(results, [chosen.applied(one) for one in made])
    return Skew(tuple(differences), total, residual, len(results))


def _best(images: _Images, results: _Results, own: Guess) -> Guess | None:
    """The guess that explains the results up to a linear map of each channel, with the fewest changes; None if none
    leads to their sizes.
    """
    errors: dict[Guess, float] = {}
    for guess in guesses(images[0], results[0].shape):
        inputs = [resized_by(guess, image, result.shape) for image, result in zip(images, results, strict=True)]
        if all(one.shape[1:] == result.shape[1:] for one, result in zip(inputs, results, strict=True)):
            found = _errors(inputs, results, orders(images[0], results[0].shape[0]))
            errors |= {guess._replace(order=order): error for order, error in found.items()}
    if not errors:
        return None
    best, *others = sorted(errors, key=lambda guess: (guess.changes(own), errors[guess]))
    for guess in others:
        if errors[guess] < _CLEARLY * errors[best] - _ROUNDING:
            best = guess
    return best


def _errors(inputs: _Results, results: _Results, matrices: Mapping[str, NDArray[np.float64]]) -> dict[str, float]:
    """What the best linear map of each channel leaves, for each channel order.

    It is the root mean square of the rest divided by that of the centered results: sqrt(1 - r^2) for one channel. All
    orders follow from the covariances of the channels.
    """
    x, y = (np.concatenate([one.reshape(one.shape[0], -1) for one in arrays], 1) for arrays in (inputs, results))
    x, y = x - x.mean(1, keepdims=True), y - y.mean(1, keepdims=True)
    own, cross, total = x @ x.T, x @ y.T, (y * y).sum(1)
    found = {}
    for order, matrix in matrices.items():
        variance = np.einsum("dc,ce,de->d", matrix, own, matrix)
        covariance = np.einsum("dc,cd->d", matrix, cross)
        explained = np.divide(covariance**2, variance, out=np.zeros_like(variance), where=variance > 1e-12)
        found[order] = math.sqrt(max(0.0, float((total - explained).sum())) / max(float(total.sum()), 1e-12))
    return found


def _chosen_map(made: _Results, results: _Results, image: PreparedImage, own: LinearMap) -> LinearMap:
    """The pipeline's own normalization unless another leaves less than half of the error; then the best known one if
    it is as good as the fitted one, else that.
    """
    best = fitted(made, results)
    known = [own, *known_maps(image.normalization)]
    errors = [mean_difference(results, [one.applied(image) for image in made]) or 0.0 for one in [best, *known]]
    spread = float(np.mean([np.abs(one - one.mean()).mean() for one in results]))
    enough = 1.05 * errors[0] + 5 * _ROUNDING * spread
    if errors[1] <= enough or errors[0] > _HALF * errors[1]:
        return own
    place = int(np.argmin(errors[1:]))
    return known[place] if errors[1 + place] <= enough else best


def _named(best: Guess, own: Guess, images: _Images, shape: tuple[int, ...]) -> Iterator[tuple[str, str, str, Guess]]:
    """What differs, in words: the pipeline's, the function's, and the guess with this difference alone."""
    if best.crop != own.crop:
        what = "crop" if shape[1:] == images[0].size else "crop and size"
        yield what, *_crops(best.crop, images, shape), own._replace(crop=best.crop)
    if best.interpolation != own.interpolation:
        alone = own._replace(interpolation=best.interpolation, antialias=best.antialias)
        yield "resize filter", own.interpolation, best.interpolation, alone
    if best.antialias != own.antialias and best.interpolation != "nearest":
        words = {True: "on", False: "off"}
        yield "antialiasing", words[own.antialias], words[best.antialias], own._replace(antialias=best.antialias)
    if best.order != own.order:
        yield "channel order", own.order, best.order, own._replace(order=best.order)


def _crops(crop: float | str, images: _Images, shape: tuple[int, ...]) -> tuple[str, str]:
    """The pipeline's crop and the guessed one in words, for the first image for which they differ."""
    for image in images:
        ours = described_geometry(image.geometry, image.scene)
        guessed = described_geometry(guessed_geometry(crop, image, shape), image.scene)
        if ours != guessed:
            break
    return ours, guessed


def _with(guess: Guess, linear: LinearMap, images: _Images, results: _Results) -> Inputs:
    """The model inputs of a guess, with this normalization."""
    pairs = zip(images, results, strict=True)
    shapes = [
        (image.values.shape[0], *(result.shape if guess.crop != "own" else image.values.shape)[1:])
        for image, result in pairs
    ]
    return [linear.applied(made_by(guess, image, shape)) for image, shape in zip(images, shapes, strict=True)]
