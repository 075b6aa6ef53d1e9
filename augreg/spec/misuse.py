"""What to write instead: for attributes that a pipeline does not have, and for what a spec rarely means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from augreg.spec.options import SECTIONS, Options
from augreg.steps.fields import MEANS, Factor, hints, without_none
from augreg.steps.step import Step, children
from augreg.steps.suggestions import nearest

__all__ = [
    "OF_CRITERION",
    "OF_TEST",
    "OF_TEST_BATCH",
    "OF_TRAIN",
    "OF_TRAIN_BATCH",
    "SaysWhatToUse",
    "check_order",
    "remarks",
]

_CALLED: Final = "a Pipeline has two sides: call pipe.train(image) for training, or pipe.test(image) for testing"

_OF_PIPELINE: Final[Mapping[str, str]] = {
    **dict.fromkeys(("transform", "apply", "augment", "forward", "run", "sample"), _CALLED),
    **dict.fromkeys(("eval", "training"), "pipe.test(image) is the side for evaluation, whatever was called before"),
    **dict.fromkeys(("transforms", "augmentations", "image"), "pipe.steps has the steps of the image section"),
    **dict.fromkeys(
        ("set_epoch", "epoch"),
        "an EpochSampler counts the epochs; without one, pipe.train(image, index=i, epoch=e) takes them",
    ),
    **dict.fromkeys(("to", "cuda", "cpu"), "train.batch(images, indices, device=..) and test.batch run on a device"),
    **dict.fromkeys(
        ("save", "dump", "to_yaml", "to_json", "to_dict", "dict", "state_dict", "serialize", "config"),
        "pipe.to_spec() is plain data for yaml.safe_dump or json.dump, and Pipeline.from_spec reads the file",
    ),
    **dict.fromkeys(("attach", "regularise"), "pipe.regularize(model) attaches the section model to a model"),
    **dict.fromkeys(("loss_fn", "loss_function"), "pipe.criterion() makes the loss"),
    **dict.fromkeys(("mixup", "cutmix", "mix", "mixer"), "pipe.batch(images, labels, keys=..) mixes a batch"),
    **dict.fromkeys(("tta", "test_time_augmentation"), "pipe.views(image, n) gives test-time views"),
    **dict.fromkeys(("collate_fn", "collator"), "pipe.collate is the collate_fn of a DataLoader"),
}


_SAMPLE: Final = "what belongs to an image goes with it: give {'image': image, 'mask': mask}"
OF_TRAIN: Final[Mapping[str, str]] = {
    **dict.fromkeys(("mask", "masks", "boxes", "bboxes", "keypoints", "label", "labels", "target"), _SAMPLE),
    "seed": "the seed is an option of the spec: pipe.replace(seed=..)",
    **dict.fromkeys(("idx", "i", "key", "id", "sample"), "the number of the sample is index"),
    "train": "pipe.train is for training, and pipe.test for testing",
    "": "it takes index, epoch and view",
}
"""What to say of arguments that `pipe.train(image)` does not have, by name."""
OF_TEST: Final[Mapping[str, str]] = {
    **OF_TRAIN,
    **dict.fromkeys(("index", "epoch", "view", "seed"), "testing draws no random numbers"),
    "": "it takes the image alone",
}


_MIXED: Final = "labels are mixed after the images, by pipe.batch(images, labels, keys=..)"
OF_TRAIN_BATCH: Final[Mapping[str, str]] = {
    **dict.fromkeys(("index", "keys", "ids"), "the numbers of the samples are indices"),
    **dict.fromkeys(("label", "labels", "targets"), _MIXED),
    "seed": OF_TRAIN["seed"],
    "": "it takes images, indices, epoch, view and device",
}
"""What to say of arguments that `pipe.train.batch(images)` does not have, by name."""
OF_TEST_BATCH: Final[Mapping[str, str]] = {
    **OF_TRAIN_BATCH,
    **dict.fromkeys(("index", "indices", "epoch", "view", "seed"), "testing draws no random numbers"),
    "": "it takes the images, and the device by name",
}


OF_CRITERION: Final[Mapping[str, str]] = {
    "": "it makes the loss: criterion = pipe.criterion(), then criterion(logits, target)"
}


def check_order(model: Any, spec: Any) -> None:
    """Raise TypeError if the arguments of `regularize` are in the other order."""
    if hasattr(spec, "named_modules") and not hasattr(model, "named_modules"):
        raise TypeError("the model comes first: regularize(model, spec)")


class SaysWhatToUse:
    """The base of Pipeline: for calls and attributes that it does not have, its errors name the right ones."""

    if not TYPE_CHECKING:

        def __call__(self, *args: object, **kwargs: object) -> None:
            raise TypeError(_CALLED)

        def __getattr__(self, name: str) -> Any:
            if hasattr(type(self), name):  # its code raised an AttributeError: raise that again
                return object.__getattribute__(self, name)
            raise AttributeError(f"a Pipeline has no attribute {name!r}{_hint(self, name)}", name=name, obj=self)


def _hint(pipeline: Any, name: str) -> str:
    """The hint for an attribute that a pipeline does not have; "" if there is none."""
    if name.startswith("_"):
        return ""
    if name in _OF_PIPELINE:
        return f"; {_OF_PIPELINE[name]}"
    if name in {field.name for field in fields(Options)}:
        return f"; it is pipe.options.{name}, and pipe.replace({name}=..) makes a pipeline with another"
    if name in SECTIONS:
        what = {
            "loss": ", and pipe.criterion() makes the loss",
            "model": ", and pipe.regularize(model) attaches them",
        }
        return f"; pipe.spec.{name} has the steps of this section{what.get(name, '')}"
    having = [f"pipe.{side}.{name}" for side in ("train", "test") if name in dir(vars(pipeline).get(side))]
    if having:
        return f"; it is {' or '.join(having)}"
    return nearest(name, [known for known in dir(type(pipeline)) if not known.startswith("_")])


def remarks(steps: Iterable[Step]) -> list[str]:
    """What is allowed in these steps, and rarely meant, for `explain`."""
    lines = []
    for step in steps:
        transform = step.transform
        cls: Any = type(transform)
        if step.name == "normalize" and any(transform.mean) and transform.std == (1.0,):
            names = [name for name, mean in MEANS.items() if mean == transform.mean]
            better = f"`normalize: {names[0]}` has both" if names else "give std too for values of variance 1"
            lines.append(f"normalize subtracts the mean and leaves the scale as it is, since std is 1; {better}")
        for key, hint in hints(cls).items():
            value = getattr(transform, key, None)
            if (
                without_none(hint) == Factor and value and value[0] == 0.0 and value[1] > 2.0
            ):  # 1 and more on both sides
                alone = f"{value[1] - 1:.4g}"
                lines.append(
                    f"{step.name} draws {key} from 0 to {value[1]:g}, as a single number is the largest distance "
                    f"from 1; give [{alone}, {alone}] for this factor alone"
                )
        lines += remarks(children(transform))
    return lines
