"""Named views in data loaders and in batches."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from images import made
from PIL import Image

from augreg import ImageError, Pipeline
from augreg.columns.philox import addresses_of
from augreg.data import Augmented, EpochSampler, huggingface
from augreg.named_views import NamedViews

torch = pytest.importorskip("torch")

from augreg.devices import transformed_views  # noqa: E402 - it needs torch

IMAGES = [made("noise", 40 + 4 * number, 50) for number in range(4)]
FLIP = "horizontal_flip"
NORMALIZE = {"normalize": "imagenet"}
SPEC: dict[str, Any] = {
    "image": [{"rotate": 10}],
    "views": {
        "global": {"count": 2, "steps": [{"random_resized_crop": 32}, FLIP, {"brightness": 0.4}, NORMALIZE]},
        "local": {"count": 2, "steps": [{"random_resized_crop": {"size": 16, "scale": [0.1, 0.4]}}, NORMALIZE]},
        "teacher": {"count": 2, "geometry": "global", "steps": [NORMALIZE]},
    },
}  # fmt: skip
MASKED = {**SPEC, "views": {**SPEC["views"], "masked": {"geometry": "global_1", "steps": [NORMALIZE], "patches": 8}}}


def flat(batch: Any, path: str = "") -> dict[str, Any]:
    """The arrays and tensors of a batch by their paths."""
    if isinstance(batch, dict | list | tuple):
        items = batch.items() if isinstance(batch, dict) else enumerate(batch)
        return {name: part for key, value in items for name, part in flat(value, f"{path}/{key}").items()}
    return {path: np.asarray(batch)}


def equal(one: Any, other: Any) -> bool:
    parts, others = flat(one), flat(other)
    return parts.keys() == others.keys() and all(np.array_equal(parts[key], others[key]) for key in parts)


@pytest.mark.parametrize("workers", [0, 2])
def test_the_default_collate_and_workers(workers: int) -> None:
    """The batch of a loader has what `train` gives for each key."""
    pipe = Pipeline.from_spec(MASKED)
    data = Augmented([(image, number) for number, image in enumerate(IMAGES)], pipe.train)
    sampler = EpochSampler(data, seed=1)
    sampler.set_epoch(3)
    loader = torch.utils.data.DataLoader(data, batch_size=2, sampler=sampler, num_workers=workers)
    views, labels = next(iter(loader))
    assert list(views) == ["global_1", "global_2", "local_1", "local_2", "teacher_1", "teacher_2", "masked"]
    assert views["global_1"]["image"].shape == (2, 3, 32, 32) and views["local_2"]["image"].shape == (2, 3, 16, 16)
    assert views["masked"]["patch_mask"].shape == (2, 4, 4) and views["masked"]["patch_mask"].dtype == torch.bool
    for place, label in enumerate(labels.tolist()):
        alone = pipe.train(IMAGES[label], index=label, epoch=3)
        found = {name: {key: value[place] for key, value in view.items()} for name, view in views.items()}
        assert equal(alone, found)


@pytest.mark.parametrize("item", ["image", "tuple", "fields", "mapping"])
def test_forms_of_samples_and_the_collate_of_the_pipeline(item: str) -> None:
    pipe = Pipeline.from_spec(SPEC)
    mask = np.arange(40 * 50, dtype=np.uint8).reshape(40, 50)
    image = made("noise", 40, 50)
    given: Any = {
        "image": image, "tuple": (image, 7), "fields": (image, mask, 7),
        "mapping": {"photo": image, "seg": mask, "label": 7},
    }[item]  # fmt: skip
    named = {
        "fields": {"fields": ("image", "mask", "label")},
        "mapping": {"image": "photo", "names": {"mask": "seg"}},
    }
    data = Augmented([given] * 3, pipe.train, **named.get(item, {}))
    loader = torch.utils.data.DataLoader(data, batch_size=3, sampler=EpochSampler(data), collate_fn=pipe.collate)
    sample, batch = data[0, 1], next(iter(loader))
    alone = pipe.train({"image": image, "mask": mask}, index=1)
    if item == "image":
        assert equal(sample, {name: view["image"] for name, view in alone.items()})
        assert type(batch) is NamedViews and batch["local_1"].shape == (3, 3, 16, 16) and sample.key == (0, 1, 0)
        together = torch.utils.data.default_collate([sample, sample])
        assert type(together) is NamedViews and not hasattr(together, "key"), "which is that of one sample"
    elif item == "tuple":
        assert sample[1] == 7 and equal(sample[0], {name: view["image"] for name, view in alone.items()})
        assert batch[0]["local", 2].shape == (3, 3, 16, 16) and batch[1].tolist() == [7, 7, 7]
    elif item == "fields":
        assert equal(sample, {name: (view["image"], view["mask"], 7) for name, view in alone.items()})
        assert batch["teacher_1"][1].shape == (3, 32, 32) and torch.equal(batch["teacher_1"][1], batch["global_1"][1])
    else:
        wanted = {name: {"photo": view["image"], "seg": view["mask"], "label": 7} for name, view in alone.items()}
        assert equal(sample, wanted) and sample["local_1"].key == (0, 1, 0)
        assert batch["global_2"]["photo"].shape == (3, 3, 32, 32) and batch["local_1"]["label"].tolist() == [7, 7, 7]


def test_what_loaders_cannot_do() -> None:
    pipe = Pipeline.from_spec(MASKED)
    with pytest.raises(ValueError, match="named views of a spec cannot be deferred"):
        Augmented(IMAGES, pipe.train, defer=True)
    data = Augmented([(IMAGES[0], IMAGES[0][..., 0])], pipe.train, fields=("image", "mask"))
    with pytest.raises(ValueError, match="patch masks have no place in a tuple"):
        data[0, 0]


def test_twice_as_many_views_with_other_draws() -> None:
    pipe = Pipeline.from_spec(SPEC)
    data = Augmented(IMAGES, pipe.train, views=2)
    first, second = data[0, 3]
    assert equal(first, pipe.train(IMAGES[3], index=3)) and equal(second, pipe.train(IMAGES[3], index=3, view=1))


def test_rows_of_hugging_face() -> None:
    pipe = Pipeline.from_spec(SPEC)
    change = huggingface.transform(pipe.train, index="id", epoch=0)
    rows = change({"image": [Image.fromarray(IMAGES[0])] * 2, "id": [4, 5], "label": [1, 2]})
    assert list(rows) == ["global_1", "global_2", "local_1", "local_2", "teacher_1", "teacher_2"]
    alone = pipe.train(IMAGES[0], index=5)
    assert np.array_equal(rows["local_1"][1]["image"], alone["local_1"]) and rows["local_1"][1]["label"] == 2


@pytest.mark.parametrize("spec", [SPEC, MASKED])
def test_batches_have_the_views_of_each_image(spec: Any) -> None:
    """Of a stack, a list of sizes and files, and of samples, on both sides."""
    pipe = Pipeline.from_spec({**spec, "backend": "pillow"})
    file = io.BytesIO()
    Image.fromarray(IMAGES[1]).save(file, "PNG")
    given = [IMAGES[0], file.getvalue(), IMAGES[2]]
    alone = [pipe.train(image, index=index, epoch=2) for image, index in zip(given, (4, 5, 6), strict=True)]
    found = pipe.train.batch(given, [4, 5, 6], epoch=2)
    assert type(found) is NamedViews
    for name, batch in found.items():
        for row, views in enumerate(alone):
            one = views[name]
            assert equal(
                one, {key: value[row] for key, value in batch.items()} if isinstance(one, dict) else batch[row]
            )
    tested = pipe.test.batch(np.stack([IMAGES[0]] * 2))
    one = pipe.test(IMAGES[0])
    for name, batch in tested.items():
        last = {key: value[1] for key, value in batch.items()} if isinstance(batch, dict) else batch[1]
        assert equal(one[name], last)


def test_kernels_for_batches_draw_the_same_views() -> None:
    """Those of devices, which run here on the CPU too, on what is drawn in columns."""
    pipe = Pipeline.from_spec({**MASKED, "backend": "pillow"})
    draws, addresses = pipe.train._view_draws(None), addresses_of(0, [4, 5, 6], 2)
    batch = transformed_views(IMAGES[:3], draws, addresses, None, kernels=True)
    for row, index in enumerate((4, 5, 6)):
        alone = pipe.train(IMAGES[row], index=index, epoch=2)
        assert equal(alone, {name: {key: value[row] for key, value in view.items()} for name, view in batch.items()})
    tested = transformed_views(IMAGES[:2], draws, None, None, kernels=True)
    assert equal(pipe.test(IMAGES[1])["local_2"], {key: value[1] for key, value in tested["local_2"].items()})


def test_batches_of_samples() -> None:
    pipe = Pipeline.from_spec({**MASKED, "targets": {"boxes": "xyxy"}, "backend": "pillow"})
    samples = [{"image": image, "boxes": [[5, 5, 40, 30]], "labels": [1]} for image in IMAGES[:2]]
    alone = [pipe.train(sample, index=index) for index, sample in enumerate(samples)]
    as_list = pipe.train.batch(samples, [0, 1])
    as_mapping = pipe.train.batch({key: [sample[key] for sample in samples] for key in samples[0]}, [0, 1])
    for name in as_list:
        for row in (0, 1):
            assert equal(as_list[name][row], alone[row][name])
            assert equal({key: value[row] for key, value in as_mapping[name].items()}, alone[row][name])
    clips = Pipeline(views={"one": []}, targets={"clip": True})
    with pytest.raises(ImageError, match="clips do not run as a batch"):
        clips.train.batch(np.stack(IMAGES[:1]), [0])
    with pytest.raises(ImageError, match="'patch_mask' is the key"):
        pipe.train.batch([{**samples[0], "patch_mask": 1}], [0])
