"""Targets as detection models of torchvision take them: a list with a mapping for each image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from augreg.batch.label_arrays import is_tensor

__all__ = ["as_columns", "as_mappings", "is_target_list", "stacked"]


def is_target_list(value: Any) -> bool:
    """Whether this is a list of mappings."""
    return isinstance(value, list | tuple) and len(value) > 0 and all(isinstance(one, Mapping) for one in value)


def as_columns(targets: Sequence[Mapping[Any, Any]]) -> dict[Any, Any]:
    """The values of all images by key. Raises ValueError unless all have the same keys."""
    keys = list(targets[0])
    for i, one in enumerate(targets):
        if one.keys() != targets[0].keys():
            raise ValueError(f"targets[{i}] has the keys {list(one)}, and targets[0] has {keys}; give all the same")
    if "image" in keys:
        raise ValueError("targets[0] has an 'image'; the images are the first argument")
    return {key: [one[key] for one in targets] for key in keys}


def as_mappings(columns: Mapping[Any, Sequence[Any]], like: Sequence[Any]) -> Any:
    """The targets of each image again, in a list or a tuple."""
    found = [{key: column[i] for key, column in columns.items()} for i in range(len(like))]
    return tuple(found) if isinstance(like, tuple) else found


def stacked(images: Any, key: str = "images") -> Any:
    """Images of one size in a list as one array or tensor; anything else as it is."""
    if not isinstance(images, list | tuple) or not images:
        return images
    if not all(is_tensor(one) or isinstance(one, np.ndarray) for one in images):
        return images
    shapes = list(dict.fromkeys(tuple(one.shape) for one in images))
    if len(shapes) > 1:
        raise ValueError(
            f"{key}: a batch that is mixed has images of one size, got {shapes[0]} and {shapes[1]}: add a step with "
            "a fixed output size to the image section"
        )
    if is_tensor(images[0]):
        from augreg.batch import torch_kernels

        return torch_kernels.stacked(images)
    return np.stack(images)
