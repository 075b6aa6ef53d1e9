"""Train with Lightning, from the last checkpoint in the folder if there is one."""

from pathlib import Path

import torch
from lightning.pytorch import LightningModule, Trainer
from torch.utils.data import DataLoader

from augreg.data import Augmented, EpochSampler
from augreg.training.lightning import Regularized, epoch_to_load


class Classifier(LightningModule):
    def __init__(self, pipe, model, photos, loader=DataLoader):
        super().__init__()
        self.pipe, self.model, self.photos, self.loader = pipe, model, photos, loader
        self.attached, self.criterion = pipe.regularize(model), pipe.criterion()

    def train_dataloader(self):
        data = Augmented(self.photos, self.pipe.train)
        sampler = EpochSampler(data, seed=0, epoch=epoch_to_load(self.trainer))
        return self.loader(data, 8, sampler=sampler, collate_fn=self.pipe.collate)

    def training_step(self, batch, number):
        images, labels = batch
        return self.criterion(self.model(images), labels, self.model)

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), 1e-3)


def train(module, checkpoints, epochs=3, **arguments):
    """`checkpoints` is ModelCheckpoint(folder, save_last=True), which saves at the end of each epoch, for example."""
    regularized = Regularized(module.attached, module.criterion)
    trainer = Trainer(max_epochs=epochs, callbacks=[regularized, checkpoints], **arguments)
    last = Path(checkpoints.dirpath, "last.ckpt")
    trainer.fit(module, ckpt_path=last if last.exists() else None)
