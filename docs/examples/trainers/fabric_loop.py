"""Train with Lightning Fabric, from the checkpoint in the folder if there is one."""

from itertools import islice
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from augreg.data import Augmented, EpochSampler
from augreg.training import Epochs, RngState


def train(fabric, pipe, model, photos, folder, epochs=3):
    attached, criterion = pipe.regularize(model), pipe.criterion()
    data = Augmented(photos, pipe.train)
    sampler = EpochSampler(data, seed=0)
    loader = DataLoader(data, 8, sampler=sampler, collate_fn=pipe.collate, generator=torch.Generator())
    wrapped, optimizer = fabric.setup(model, torch.optim.AdamW(model.parameters(), 1e-3))
    loader = fabric.setup_dataloaders(loader)

    state = {"model": wrapped, "optimizer": optimizer, "rng": RngState(model), "step": 0}
    checkpoint = Path(folder, "last.ckpt")
    if checkpoint.exists():
        fabric.load(checkpoint, state)
    first, done = divmod(state["step"], len(loader))
    for _ in Epochs(epochs, sampler, attached, criterion, start=first):
        batches, done = islice(loader, done, None), 0  # loads the batches that it skips
        for images, labels in batches:
            optimizer.zero_grad()
            fabric.backward(criterion(wrapped(images), labels, model))
            optimizer.step()
            attached.constrain()
            state["step"] += 1
            if state["step"] % 3 == 0:
                fabric.save(checkpoint, state)
