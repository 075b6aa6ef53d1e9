"""kornia on batches of tensors. Its AutoAugment draws one sub-policy for a whole batch, which its name here says."""

from __future__ import annotations

from typing import Any

import kornia.augmentation as K  # noqa: N812 - as its users write
import numpy as np
import torch
from kornia.augmentation import auto

from peer_rows.rows import MEAN, SIZE, STD, Row, Work


def pipelines(name: str, row: Row, inputs: list[Any]) -> dict[str, Work]:
    """The rows that begin with arrays."""
    if row.encoded:
        return {}
    normalize = K.Normalize(torch.tensor(MEAN), torch.tensor(STD))
    if name in ("A", "A2"):
        policy = auto.AutoAugment("cifar10") if name == "A" else auto.RandAugment(2, 9)
        erase = K.RandomErasing((0.25, 0.25), (1.0, 1.0), p=1.0)
        steps = [K.RandomCrop((32, 32), padding=4), K.RandomHorizontalFlip(), policy, normalize, erase]
    else:
        crop = K.RandomResizedCrop((SIZE, SIZE), (0.08, 1.0), (0.75, 4 / 3))
        color = auto.AutoAugment("imagenet") if name == "C" else K.ColorJitter(0.4, 0.4, 0.4, 0.1, p=1.0)
        erase = [K.RandomErasing(p=0.25)] if name == "C" else []
        steps = [crop, K.RandomHorizontalFlip(), color, normalize, *erase]
    label = "kornia" if name == "B" else "kornia, one policy a batch"

    def work(indices: range) -> Any:
        stack = np.stack([inputs[index % len(inputs)] for index in indices]).transpose(0, 3, 1, 2)
        images = torch.from_numpy(np.ascontiguousarray(stack)).float().div_(255)
        for step in steps:
            images = step(images)
        return images.numpy()

    return {label: work}
