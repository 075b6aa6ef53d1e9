"""The rows by torchvision and kornia, where they are installed."""

from __future__ import annotations

from typing import Any

import torch

from gpu_rows.rows import MEAN, STD, Row, Work

__all__ = ["peers"]

_FEW = 32  # images are enough where they are made one by one


def peers(name: str, row: Row, images: Any, device: str) -> tuple[dict[str, Work], dict[str, str]]:
    """The pipelines of all peers by name, and why there are none of others."""
    found: dict[str, Work] = {}
    missing: dict[str, str] = {}
    for library, pipelines in (("torchvision", _torchvision), ("kornia", _kornia)):
        try:
            found |= pipelines(name, row, images, device)
        except ImportError as error:
            missing[library] = f"not installed ({error})"
        except Exception as error:  # of a version of it that is another than the one it was written for
            missing[library] = f"{type(error).__name__}: {str(error)[-200:]}"
    return found, missing


def _stacked(images: Any, device: str) -> torch.Tensor:
    """The images in one tensor on the device."""
    if isinstance(images, torch.Tensor):
        return images
    return torch.stack([image.to(device, non_blocking=True) for image in images])


def _torchvision(name: str, row: Row, images: Any, device: str) -> dict[str, Work]:
    from torchvision.transforms import AutoAugmentPolicy, v2

    normalize = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    steps: dict[str, list[Any]] = {
        "crop": [
            v2.RandomResizedCrop(row.side, antialias=True), v2.RandomHorizontalFlip(), v2.ColorJitter(0.4, 0.4, 0.4),
        ],
        "rand": [v2.RandAugment(2, 9)],
        "auto": [v2.AutoAugment(AutoAugmentPolicy.IMAGENET)],
        "cifar": [
            v2.RandomCrop(32, 4), v2.RandomHorizontalFlip(), v2.AutoAugment(AutoAugmentPolicy.CIFAR10),
            v2.RandomErasing(1.0, scale=(0.25, 0.25), ratio=(1.0, 1.0)),
        ],
        "test": [v2.Resize(256, antialias=True), v2.CenterCrop(row.side)],
    }  # fmt: skip
    compose = v2.Compose([*steps["crop" if name == "list" else name], *normalize])
    few = images[:_FEW]

    def one_by_one() -> Any:
        return torch.stack([compose(image.to(device, non_blocking=True)) for image in few])

    if row.is_test:
        return {"torchvision": Work(lambda: compose(_stacked(images, device)), len(images))}
    return {
        "torchvision, one draw": Work(lambda: compose(_stacked(images, device)), len(images)),
        "torchvision, a draw for each image": Work(one_by_one, len(few)),
    }


def _kornia(name: str, row: Row, images: Any, device: str) -> dict[str, Work]:
    """On floats. Its policies draw their ops once for a batch."""
    import kornia.augmentation as K  # noqa: N812 - as its users write
    from kornia.augmentation import auto

    steps: dict[str, list[Any]] = {
        "crop": [
            K.RandomResizedCrop((row.side, row.side), (0.08, 1.0), (0.75, 4 / 3)), K.RandomHorizontalFlip(),
            K.ColorJitter(0.4, 0.4, 0.4, p=1.0),
        ],
        "rand": [auto.RandAugment(2, 9)],
        "auto": [auto.AutoAugment("imagenet")],
        "cifar": [
            K.RandomCrop((32, 32), padding=4), K.RandomHorizontalFlip(), auto.AutoAugment("cifar10"),
            K.RandomErasing((0.25, 0.25), (1.0, 1.0), p=1.0),
        ],
        "test": [K.Resize(256, side="short", antialias=True), K.CenterCrop(row.side)],
    }  # fmt: skip
    chosen = [*steps["crop" if name == "list" else name], K.Normalize(torch.tensor(MEAN), torch.tensor(STD))]
    modules = [step.to(device) for step in chosen]

    def run() -> Any:
        batch = _stacked(images, device).float().div_(255)
        for step in modules:
            batch = step(batch)
        return batch

    kind = {"crop": ", not antialiased", "list": ", not antialiased", "test": ""}.get(name, ", one policy a batch")
    return {f"kornia{kind}": Work(run, len(images))}
