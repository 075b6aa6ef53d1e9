"""The views of one image side by side, with what the model predicts for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from augreg.expectation.auditing.sampling import Predictor
from augreg.images.thumbnails import viewable
from augreg.ops import Normalize

__all__ = ["ExampleView", "example_views"]

_VIEWS = 8


@dataclass(frozen=True)
class ExampleView:
    """One view: its number and weight, what it shows, its image (height x width x channels, uint8) and prediction."""

    number: int
    weight: float
    shows: str
    image: NDArray[np.uint8]
    predicted: int
    probability: float

    def as_dict(self) -> dict[str, Any]:
        """Plain data, without the image."""
        return {
            "number": self.number,
            "weight": self.weight,
            "shows": self.shows,
            "predicted": self.predicted,
            "probability": self.probability,
        }


def example_views(predictor: Predictor, image: Any) -> tuple[ExampleView, ...]:
    """The first views of an image, at most 8. The first is the test image."""
    found = []
    with torch.no_grad(), predictor.drawing(()):
        for view in predictor.pipe.channels_first.views(image, _VIEWS):
            made = view.image["image"] if isinstance(view.image, dict) else view.image
            array = np.asarray(made)
            probabilities = predictor.of_input(torch.from_numpy(np.ascontiguousarray(array)))
            top = int(probabilities.argmax())
            normalize = next((op for op in view.plan.ops if isinstance(op, Normalize)), None)
            shown, _ = viewable(array.transpose(1, 2, 0), normalize)
            words = str(view).partition(": ")[2]
            found.append(ExampleView(view.number, view.weight, words, shown, top, float(probabilities[top])))
    return tuple(found)
