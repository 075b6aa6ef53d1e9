"""Collects the probabilities of the labels by view, to which learned weights of views are fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from augreg.expectation.auditing.images import Chunk
from augreg.expectation.auditing.learned_weights import LearnedWeights, learned_weights
from augreg.expectation.auditing.sampling import Noise, Predictor
from augreg.expectation.means.view_inputs import ViewInputs

__all__ = ["ViewLikelihoods"]

_MOST_VIEWS = 16  # views that get learned weights


@dataclass
class ViewLikelihoods:
    """The probabilities of the labels by view, for learned weights."""

    steps: tuple[str, ...]
    declared: NDArray[np.float64]
    names: tuple[str, ...]
    likelihoods: list[NDArray[np.float64]] = field(default_factory=list)
    fast: list[NDArray[np.float64]] = field(default_factory=list)
    usable: bool = True

    @classmethod
    def of(cls, predictor: Predictor, chunk: Chunk, noises: Sequence[Noise]) -> ViewLikelihoods | None:
        """For the image steps of which each view shows the same for all images: those in which nothing is drawn."""
        fixed: list[str] = []
        for noise in noises:
            if len(noise.steps) == 1 and not noise.modules:
                (_, inputs), *_ = predictor.groups(chunk.images[:1], [0], noise.steps, _MOST_VIEWS)
                fixed += [] if inputs.drawn else noise.steps
        if not fixed:
            return None
        (_, inputs), *_ = predictor.groups(chunk.images[:1], [0], tuple(fixed), _MOST_VIEWS)
        first = inputs.images[0]
        names = tuple(_shown(str(first.view(node, 0))) for node in range(inputs.nodes))
        return cls(tuple(fixed), np.array(first.weights), names)

    def add(self, predictor: Predictor, chunk: Chunk, fast: NDArray[np.float64]) -> None:
        """Add the images of a chunk."""
        labels = np.array(chunk.labels)
        found = np.empty((len(labels), len(self.declared)))
        for numbers, inputs in predictor.groups(chunk.images, list(range(len(labels))), self.steps, _MOST_VIEWS):
            if not isinstance(inputs, ViewInputs) or inputs.nodes != len(self.declared):
                self.usable = False
                return
            with torch.no_grad(), predictor.drawing(()):
                for node in range(inputs.nodes):
                    found[numbers, node] = predictor.of_view(inputs, node)[range(len(numbers)), labels[numbers]]
        self.likelihoods.append(found)
        self.fast.append(fast[range(len(labels)), labels])

    def learned(self, seed: int) -> LearnedWeights | None:
        """The weights; None if there are too few images, or images with other views."""
        if not self.usable or not self.likelihoods:
            return None
        return learned_weights(
            np.concatenate(self.likelihoods), np.concatenate(self.fast), self.declared, self.names, seed
        )


def _shown(view: str) -> str:
    """What a view shows, without its number and weight."""
    return view.partition(": ")[2]
