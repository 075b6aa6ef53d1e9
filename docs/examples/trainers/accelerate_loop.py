"""Train with accelerate, from the last checkpoint in the folder if there is one."""

from pathlib import Path

import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader

from augreg.data import Augmented, EpochSampler
from augreg.training import Epochs, RngState


def train(pipe, model, photos, folder, epochs=3, **arguments):
    accelerator = Accelerator(**arguments)
    attached, criterion = pipe.regularize(model), pipe.criterion()
    data = Augmented(photos, pipe.train)
    sampler = EpochSampler(data, seed=0)
    loader = DataLoader(data, 8, sampler=sampler, collate_fn=pipe.collate, generator=torch.Generator())
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    accelerator.register_for_checkpointing(RngState(model))  # accelerate saves generators, but not counts of calls

    step = max((int(path.name) for path in Path(folder).glob("[0-9]*")), default=0)
    if step:
        accelerator.load_state(Path(folder, str(step)))
    first, done = divmod(step, len(loader))
    for _ in Epochs(epochs, sampler, attached, criterion, start=first):
        batches, done = accelerator.skip_first_batches(loader, done) if done else loader, 0
        for images, labels in batches:
            optimizer.zero_grad()
            accelerator.backward(criterion(model(images), labels, model))
            optimizer.step()
            attached.constrain()
            step += 1
            if step % 3 == 0:
                accelerator.save_state(Path(folder, str(step)))
