"""Datasets for test_workers.py: one as people write them around albumentations, and one of augreg."""

import albumentations
import numpy as np

IMAGE = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)


class Plain:
    """The same image for every index, through a transform of its own."""

    def __init__(self):
        self.transform = albumentations.Compose([albumentations.GaussNoise(p=1.0)], seed=0)

    def __len__(self):
        return 16

    def __getitem__(self, index):
        return self.transform(image=IMAGE)["image"]


class Images:
    """The same image for every index."""

    def __len__(self):
        return 16

    def __getitem__(self, index):
        return IMAGE
