"""The task of the recipe: a model, its data, and how it is trained.

    task = Task(model=make_model, train=(images, labels), validation=(more_images, more_labels))
    task = Task(make_model, train_set, validation_set, optimizer=partial(SGD, lr=0.1), spec="train.yaml")
    task = Task(LitClassifier(), train_loader, validation_loader)

Steps of the recipe never touch what a task was given: a function makes a new model for each run, and a model or an
optimizer that was given itself is copied.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from augreg.pipeline import Pipeline
from augreg.spec.one_view import check_one_view

__all__ = ["Task"]


@dataclass(frozen=True, eq=False)
class Task:
    """What is trained, on which data, and how.

    `model`: a function without arguments that makes a torch.nn.Module (torch's generator is seeded before), or a
    module, which is copied for each run. A LightningModule brings its own loss and optimizer; a model of
    transformers gets the batch as keywords, and its `logits` are the outputs.

    `train`, `validation`: a pair (inputs, targets) of tensors or arrays; a map-style dataset of (input, target) or of
    mappings; or a torch DataLoader. Of a mapping, the target is under `labels`, `label` or `target`, and with a
    `spec` the image is under `image` or `pixel_values`.

    `clean`: the training data without augmentation, if `train` augments its images itself. With a `spec`, and for a
    loader of `augreg.data.Augmented`, this is known already.

    `optimizer`: a function that gets the model and returns a torch.optim.Optimizer; a class of optimizers or a
    functools.partial of one, which gets the parameters; or an optimizer of the parameters of `model`, which is copied
    with it. The default is AdamW with a rate of 1e-3. `learning_rate` and `weight_decay` replace its own. Of several
    groups of parameters, the ratios of the rates stay, and groups without weight decay stay without.

    `loss`: a function of (outputs, targets) that returns a scalar, the mean over the batch. The default is the loss
    of the spec if it has classes, binary cross-entropy for targets of 0 and 1 in the shape of the outputs, the mean
    squared error for other targets of this shape, and cross-entropy for class ids. `metric`: a function of (outputs,
    targets) that returns a score per sample or their mean, higher is better. The default is the accuracy, and R² for
    a regression.

    `spec`: a pipeline or whatever `Pipeline.from_spec` takes. Datasets then have images as `pipe.train` takes them.

    `step`: a function of (model, optimizer, inputs, targets) that does one update and returns the loss, if your loop
    does anything special: it is what the recipe examines for a missing `zero_grad`, for example.

    `frozen`: name patterns, such as `("backbone.*",)`, of parameters that are not meant to be trained.
    """

    model: nn.Module | Callable[[], nn.Module]
    train: Any
    validation: Any = None
    optimizer: Any = None
    loss: Callable[[Any, Any], Any] | None = None
    metric: Callable[[Any, Any], Any] | None = None
    spec: Any = None
    step: Callable[[Any, Any, Any, Any], Any] | None = None
    clean: Any = None
    batch_size: int = 32
    seed: int = 0
    learning_rate: float | None = None
    weight_decay: float | None = None
    frozen: tuple[str, ...] = ()
    name: str = "task"

    def __post_init__(self) -> None:
        if not callable(self.model):
            raise TypeError(f"model: expected a function that makes a model, or a model, got {self.model!r}")
        if self.train is None:
            raise TypeError("train: expected data, got None")
        for name in ("loss", "metric", "step"):
            if getattr(self, name) is not None and not callable(getattr(self, name)):
                raise TypeError(f"{name}: expected a function, got {getattr(self, name)!r}")
        if isinstance(self.batch_size, bool) or not isinstance(self.batch_size, int) or self.batch_size < 1:
            raise ValueError(f"batch_size: expected a whole number from 1, got {self.batch_size!r}")
        for name in ("learning_rate", "weight_decay"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < float("inf"):
                raise ValueError(f"{name}: expected a number from 0, got {value!r}")
        if isinstance(self.frozen, str):
            raise TypeError(f"frozen: expected a tuple of patterns, got {self.frozen!r}: write ({self.frozen!r},)")
        if self.spec is not None and not isinstance(self.spec, Pipeline):
            object.__setattr__(self, "spec", Pipeline.from_spec(self.spec))
        check_one_view(self.spec, "a task of the recipe")

    @property
    def pipe(self) -> Pipeline | None:
        """The pipeline of the spec; None without a spec."""
        pipe: Pipeline | None = self.spec
        return pipe

    def replace(self, **changes: Any) -> Task:
        """The task with other values: `task.replace(learning_rate=0.01, spec=other)`."""
        return dataclasses.replace(self, **changes)

    def without_noise(self) -> Task:
        """The task without augmentation, mixing, regularizers, penalties, label smoothing and weight decay.

        The noise of layers of the model itself is not part of a task: see `noise_off`.
        """
        pipe = self.pipe
        quiet = None if pipe is None else pipe.replace(batch=[], model=[], loss=[])
        return self.replace(spec=quiet, weight_decay=0.0)


def as_task(value: Any) -> Task:
    """The task itself, or that of a mapping of its arguments, or of a function without arguments that returns one."""
    if callable(value) and not isinstance(value, nn.Module | type):
        value = value()
    if isinstance(value, Task):
        return value
    if isinstance(value, Mapping):
        return Task(**value)
    raise TypeError(f"expected a Task, a mapping of its arguments or a function that returns one, got {value!r}")
