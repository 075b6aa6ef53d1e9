"""Train with the Trainer of transformers, from the last checkpoint in the folder if there is one."""

from pathlib import Path

from transformers import Trainer, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from augreg.data import Augmented
from augreg.data.huggingface import collator
from augreg.training.huggingface import Loss, Regularized


def train(pipe, model, photos, folder, epochs=3, **arguments):
    checkpoint = get_last_checkpoint(folder) if Path(folder).is_dir() else None
    if checkpoint:  # the Trainer of transformers 5 loads no weights that have other names in files, as in ViT
        model.load_state_dict(type(model).from_pretrained(checkpoint).state_dict())
    attached, criterion = pipe.regularize(model), pipe.criterion()
    trainer = Trainer(
        model,
        TrainingArguments(
            folder,
            num_train_epochs=epochs,
            per_device_train_batch_size=8,
            save_steps=3,
            remove_unused_columns=False,  # the collator needs the key of each sample
            **arguments,
        ),
        train_dataset=Augmented(photos, pipe.train),
        eval_dataset=Augmented(photos, pipe.test),
        data_collator=collator(pipe),
        compute_loss_func=Loss(criterion, model),
        callbacks=[Regularized(attached, criterion)],
    )
    trainer.train(resume_from_checkpoint=checkpoint)
    return trainer
