"""Resuming in frameworks that set the epoch themselves: the images are those of the epoch, or it is an error."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from loading import IMAGE, Digits, digest
from torch.utils.data import DataLoader

from augreg import Pipeline
from augreg.data import Augmented, EpochSampler
from augreg.training import Epochs

PIPE = Pipeline.from_spec({"seed": 5, "image": IMAGE})


def made(kind: str, workers: int = 0, epoch: int | None = None) -> tuple[DataLoader[Any], Any]:
    """A loader, and the part of it that has the epoch."""
    data = Augmented(Digits(), PIPE.train)
    options: Any = {"num_workers": workers, "collate_fn": list}
    if kind == "data":  # plain indices: the framework makes the sampler
        return DataLoader(data, 8, shuffle=True, **options), data  # type: ignore[arg-type]
    sampler = EpochSampler(data, epoch=epoch)
    return DataLoader(data, 8, sampler=sampler, **options), sampler  # type: ignore[arg-type]


def images(loader: Any) -> list[str]:
    return sorted(digest(sample[0]) for batch in loader for sample in batch)


def alone(epoch: int) -> list[str]:
    """The images of an epoch, each made by the pipeline by itself."""
    return sorted(digest(PIPE.train(image, index=i, epoch=epoch)) for i, image in enumerate(Digits().images))


class Accelerated:
    """A loader as `accelerator.prepare` makes it, by the order of its calls.

    Accelerate is not a requirement of the tests; its DataLoaderShard.__iter__ calls its set_epoch(self.iteration),
    which calls that of the sampler, or of the dataset, then begins the pass, and counts it.
    """

    def __init__(self, loader: Any) -> None:
        self.loader, self.iteration = loader, 0

    def set_epoch(self, epoch: int) -> None:
        self.iteration = epoch
        if hasattr(self.loader.batch_sampler.sampler, "set_epoch"):
            self.loader.batch_sampler.sampler.set_epoch(epoch)
        if hasattr(self.loader.dataset, "set_epoch"):
            self.loader.dataset.set_epoch(epoch)

    def __iter__(self) -> Any:
        self.set_epoch(self.iteration)
        yield from self.loader
        self.iteration += 1


def prepared(framework: str, loader: Any) -> Any:
    if framework == "accelerate":
        return Accelerated(loader)
    fabric = pytest.importorskip("lightning").Fabric(accelerator="cpu", devices=1)
    return fabric.setup_dataloaders(loader, use_distributed_sampler=False)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kind", ["sampler", "data"])
@pytest.mark.parametrize("framework", ["accelerate", "fabric"])
def test_epochs_holds_the_epoch_of_a_resumed_run(framework: str, kind: str, workers: int) -> None:
    loader, part = made(kind, workers)
    passes = prepared(framework, loader)
    for epoch in Epochs(7, part, start=5):
        assert images(passes) == alone(epoch)
    part.set_epoch(1)  # after the loop it can be set again
    assert part.epoch == 1


@pytest.mark.parametrize("kind", ["sampler", "data"])
def test_without_epochs_a_lost_epoch_is_an_error(kind: str) -> None:
    for framework in ("accelerate", "fabric")[: 2 if kind == "sampler" else 1]:  # Fabric knows no dataset
        loader, part = made(kind)
        passes = prepared(framework, loader)
        part.set_epoch(5)
        with pytest.raises(RuntimeError, match=r"epoch 5 was set, and epoch 0 is set before .* start=5\)"):
            images(passes)
        assert part.epoch == 5
    loader, part = made(kind)
    passes = Accelerated(loader)
    passes.set_epoch(5)  # accelerate's own way
    assert [images(passes) for _ in range(2)] == [alone(5), alone(6)]
    part.hold_epoch(3)
    passes.set_epoch(0)
    assert images(passes) == alone(3)


def test_from_the_start_frameworks_count_as_the_loop_does() -> None:
    for framework in ("accelerate", "fabric"):
        loader, sampler = made("sampler")
        passes = prepared(framework, loader)
        for epoch in range(2):
            sampler.set_epoch(epoch)
            assert images(passes) == alone(epoch)
        again, _ = made("sampler")
        assert [images(pass_) for pass_ in [prepared(framework, again)] * 2] == [alone(0), alone(1)]


def test_epochs_lets_go_when_the_loop_is_left() -> None:
    _, sampler = made("sampler")
    for _ in Epochs(9, sampler, start=4):
        break
    next(iter(sampler))
    sampler.set_epoch(0)
    assert sampler.epoch == 0


def test_the_first_pass_can_be_in_another_epoch() -> None:
    loader, sampler = made("sampler", epoch=4)
    assert sampler.epoch == 4 and images(loader) == alone(4)
    for epoch in (-1, 1.5):
        with pytest.raises((TypeError, ValueError), match="an epoch must be an integer from 0"):
            made("sampler", epoch=epoch)  # type: ignore[arg-type]


def test_a_pass_that_began_before_the_epoch_was_set_is_an_error() -> None:
    loader, sampler = made("sampler", workers=2)
    running = iter(loader)  # workers are given the keys of epoch 0
    with pytest.raises(
        RuntimeError, match=r"epoch 5 is set while a pass is running that began in epoch 0.*epoch=epoch_to_load"
    ):
        sampler.set_epoch(5)
    sampler.set_epoch(0)  # as in a run from the start
    assert images(running) == alone(0)
    loader, sampler = made("sampler")
    next(iter(loader))  # a look at the data, which is over
    sampler.set_epoch(5)
    assert images(loader) == alone(5)


@pytest.mark.parametrize("workers", [0, 2])
def test_lightning_resumes_with_the_epoch_of_the_trainer(workers: int, tmp_path: Path) -> None:
    lightning = pytest.importorskip("lightning")

    class Model(lightning.LightningModule):  # type: ignore[misc,name-defined]
        def __init__(self, named: bool) -> None:
            super().__init__()
            self.layer, self.named = torch.nn.Linear(1, 1), named
            self.seen: dict[int, list[str]] = {}

        def train_dataloader(self) -> Any:
            return made("sampler", workers, self.trainer.current_epoch if self.named else None)[0]

        def training_step(self, batch: Any, number: int) -> Any:
            self.seen.setdefault(self.current_epoch, []).extend(digest(sample[0]) for sample in batch)
            return self.layer(torch.ones(1)).sum()

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 0.1)

    def fit(epochs: int, checkpoint: Any = None, named: bool = True, **options: Any) -> Any:
        model = Model(named)
        trainer = lightning.Trainer(
            max_epochs=epochs, accelerator="cpu", devices=1, logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, **options,
        )  # fmt: skip
        trainer.fit(model, ckpt_path=checkpoint)
        return trainer, {epoch: sorted(found) for epoch, found in model.seen.items()}

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer, seen = fit(2)
        assert seen == {0: alone(0), 1: alone(1)}
        trainer.save_checkpoint(tmp_path / "two.ckpt")
        assert fit(4, tmp_path / "two.ckpt")[1] == {2: alone(2), 3: alone(3)}
        assert fit(3, reload_dataloaders_every_n_epochs=1)[1] == {0: alone(0), 1: alone(1), 2: alone(2)}
        assert fit(2, named=False)[1] == {0: alone(0), 1: alone(1)}
        if workers:  # its iterator asks for keys before the epoch is set
            with pytest.raises(RuntimeError, match=r"epoch 2 is set while a pass is running that began in epoch 0"):
                fit(4, tmp_path / "two.ckpt", named=False)
        else:
            assert fit(4, tmp_path / "two.ckpt", named=False)[1] == {2: alone(2), 3: alone(3)}
