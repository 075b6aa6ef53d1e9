"""Errors of wrong calls name the right one: of a pipeline, its sides, transforms, data sets, batches and models."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import augreg
from augreg import Pipeline, SpecError, Step
from augreg.data import Augmented, EpochSampler, folder
from augreg.steps.selectors import Selector, nearest_names

PHOTO = np.zeros((40, 50, 3), np.uint8)
PIPE: Any = Pipeline(["rotate", {"normalize": "imagenet"}], batch=["mixup"], loss=["l2"], classes=10)
TRANSFORMS: Any = augreg.transforms
TENSORS = torch.zeros(2, 3, 8, 8)
DATA: Any = [(PHOTO, 0), (PHOTO, 1)]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: PIPE(PHOTO), r"call pipe.train\(image\) for training, or pipe.test\(image\) for testing"),
        (lambda: PIPE.train(PHOTO, seed=3), r"'seed'; .* pipe.replace\(seed=..\)"),
        (lambda: PIPE.train(PHOTO, idx=3), "'idx'; the number of the sample is index"),
        (lambda: PIPE.train(PHOTO, mask=PHOTO), "'mask'; .* give {'image': image, 'mask': mask}"),
        (lambda: PIPE.train(PHOTO, indx=3), "'indx'; did you mean 'index'?"),
        (lambda: PIPE.test(PHOTO, index=3), "'index'; testing draws no random numbers"),
        (lambda: PIPE.test(PHOTO, 3), "too many arguments; it takes the image alone"),
        (lambda: TRANSFORMS.Rotate(limit=30), "Rotate has no argument 'limit'; did you mean 'degrees'?"),
        (lambda: TRANSFORMS.Rotate(10, p=0.5), r"'p': it belongs to the step, augreg.Step\(Rotate\(..\), p=..\)"),
        (lambda: TRANSFORMS.HorizontalFlip(0.5), r"got 1 arguments, and takes none; for p, there is augreg.Step\("),
        (lambda: PIPE.batch(TENSORS, torch.zeros(2), key=[1, 2]), "'key'; the ids of the samples are keys"),
        (lambda: PIPE.collate(TENSORS, torch.zeros(2)), r"a list of samples; pipe.batch\("),
        (lambda: PIPE.criterion(smoothing=0.1), "'smoothing'; the section `loss` of the spec says it"),
        (lambda: PIPE.criterion(TENSORS, TENSORS), r"then criterion\(logits, target\)"),
        (lambda: Augmented(DATA, transform=PIPE), "'transform'; the second one is pipe.train or pipe.test"),  # type: ignore[call-arg]
        (lambda: Augmented(PIPE, DATA), r"the dataset comes first: Augmented\(dataset, pipe.train\)"),
        (lambda: Augmented("photos", PIPE.train), r"give augreg.data.folder\('photos'\)"),
        (lambda: EpochSampler(DATA, num_replicas=2), r"EpochSampler\(DistributedSampler\(data\)\)"),  # type: ignore[call-arg]
        (lambda: folder(".", transform=PIPE), r"Augmented\(folder\(path\), pipe.train\)"),  # type: ignore[call-arg]
        (lambda: folder(".", PIPE), r"Augmented\(folder\(path\), pipe.train\)"),
        (lambda: augreg.regularize([{"dropout": 0.5}], nn.Linear(2, 2)), r"regularize\(model, spec\)"),  # type: ignore[arg-type]
        (lambda: augreg.from_torchvision("imagenet"), "expected a transform of torchvision"),
        (lambda: augreg.from_timm("rand-m9"), "`timm_policy: {policy: rand-m9}`"),
    ],
)  # fmt: skip
def test_a_wrong_call(call: Any, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        call()


@pytest.mark.parametrize(
    ("owner", "name", "text"),
    [
        (PIPE, "transform", r"pipe.train\(image\)"), (PIPE, "eval", r"pipe.test\(image\)"),
        (PIPE, "seed", "pipe.options.seed"), (PIPE, "explain", "it is pipe.test.explain"),
        (PIPE, "plan", "pipe.train.plan or pipe.test.plan"), (PIPE, "transforms", "pipe.steps"),
        (PIPE, "set_epoch", "EpochSampler"), (PIPE, "to_yaml", r"pipe.to_spec\(\)"), (PIPE, "loss", "pipe.criterion"),
        (PIPE, "regularise", "pipe.regularize"), (PIPE, "fingerprnt", "did you mean 'fingerprint'"),
        (augreg, "Augmented", "it is augreg.data.Augmented"), (augreg, "Rotate", "it is augreg.transforms.Rotate"),
        (augreg, "Compose", "the list under `image`"), (augreg.transforms, "RandomRotation", "did you mean 'Rotate'"),
        (augreg.transforms, "ToTensor", "`output: torch`"), (augreg.transforms, "rotate", "'rotate'$"),
        (augreg.regularizers, "DropPath", "did you mean 'StochasticDepth'"),
    ],
)  # fmt: skip
def test_a_wrong_name(owner: Any, name: str, text: str) -> None:
    with pytest.raises(AttributeError, match=text):
        getattr(owner, name)


def test_a_pipeline_is_otherwise_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies and pickles work, and an AttributeError inside a property is not replaced."""
    assert copy.deepcopy(PIPE) == PIPE == pickle.loads(pickle.dumps(PIPE))
    assert not hasattr(PIPE, "__array__") and not hasattr(PIPE, "seed")
    monkeypatch.setattr("augreg.batch.mixer.Mixer", lambda *args, **kwargs: PHOTO.no_such_name)
    with pytest.raises(AttributeError, match="no_such_name"):
        Pipeline(["rotate"]).batch  # noqa: B018


def test_a_step_takes_the_name_of_its_transform() -> None:
    assert Step(augreg.transforms.Rotate(10), p=0.5) == Step(augreg.transforms.Rotate(10), "rotate", 0.5)
    assert Pipeline([Step(augreg.transforms.Rotate(10), p=0.5)]) == Pipeline([{"rotate": {"degrees": 10, "p": 0.5}}])
    with pytest.raises(SpecError, match=r"make one, Rotate\(..\)"):
        Step(augreg.transforms.Rotate)
    with pytest.raises(SpecError, match="give transforms, such as Rotate"):
        Step("rotate")


def test_image_steps_are_given_once() -> None:
    with pytest.raises(SpecError, match="image: its steps are the first argument already"):
        Pipeline(["rotate"], image=["invert"])
    assert Pipeline(image=["rotate"]) == Pipeline(["rotate"])


def test_endings_may_be_one(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    for name in ("a.png", "b.jpg"):
        (tmp_path / "cat" / name).touch()
    assert [path.name for path, _ in folder(tmp_path, ".png").samples] == ["a.png"]
    with pytest.raises(ValueError, match="give Augmented a list of their paths"):
        folder(tmp_path / "cat")


@pytest.mark.parametrize("given", [[PHOTO, PHOTO], (PHOTO, 1)], ids=["list", "tuple"])
def test_images_one_at_a_time(given: Any) -> None:
    with pytest.raises(augreg.ImageError, match="of several images, give each by itself"):
        PIPE.train(given)
    with pytest.raises(augreg.ImageError, match=r"there is no such file; .* download it first"):
        PIPE.train("https://example.com/a.jpg")


# What a pattern selects


def test_patterns_in_messages_are_short() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    for at, shown in (
        ("x" * 100_000, "matches xxx.*[.]{3}; nearest: 0, 1"),
        ("", "matches ''; nearest: 0, 1"),
        ({"type": ["X" * 1000]}, r"matches \*\* of type XXX.*[.]{3}; nearest"),
        ([f"layer{number}" for number in range(1000)], "matches layer0 or .* or layer4 or 995 more; nearest"),
    ):
        with pytest.raises(SpecError, match=shown) as caught:
            augreg.regularize(model, [{"dropout": {"at": at, "p": 0.5}}])
        assert len(str(caught.value)) < 300
    assert nearest_names([Selector("x" * 100_000)], ["a", "b"]) == ["a", "b"]


# Batches


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(28, 40), (16, 16), (224, 224)], ids=str)
def test_tensors_of_images_with_channels_last(size: tuple[int, int], channels: int) -> None:
    batch = Pipeline(batch=["cutmix"]).batch
    with pytest.raises(ValueError, match=r"looks like N x H x W x C.*images.permute\(0, 3, 1, 2\)"):
        batch(torch.zeros(2, *size, channels, dtype=torch.uint8), batch=0)
    images = torch.zeros(2, channels, *size, dtype=torch.uint8)
    assert batch(images, batch=0).shape == images.shape
    if channels > 2 or size[0] == size[1]:
        with pytest.raises(ValueError, match="looks like N x H x W x C"):
            batch(torch.zeros(2, *size, channels), batch=0)


@pytest.mark.parametrize(
    "shape", [(64, 100, 1), (64, 1, 1), (512, 4, 4), (512, 7, 7), (32, 20, 2), (8, 16, 4)], ids=str
)
def test_features_of_a_model_are_taken_as_they_are(shape: tuple[int, int, int]) -> None:
    assert Pipeline(batch=["mixup"]).batch(torch.zeros(2, *shape), batch=0).shape == (2, *shape)
