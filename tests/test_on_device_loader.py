"""`OnDevice` gives the batches of the same loader without `defer`: workers do a part, and the device the rest."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from images import made
from loading import Digits, Rows
from PIL import Image

from augreg import ImageError, Pipeline, SoftLabels, ops
from augreg.batch.collate import Collate
from augreg.batch.samples import Deferred
from augreg.data import Augmented, EpochSampler, OnDevice, folder
from augreg.training import Epochs

torch = pytest.importorskip("torch")
from deferred_batches import (  # noqa: E402
    COUNT,
    CROPS,
    CUTMIX,
    DIGITS,
    GRAY,
    IMAGENET,
    JITTER,
    MIXUP,
    Annotated,
    Bare,
    Instances,
    Masked,
    Photos,
    Stereo,
    alike,
    check_equal,
    loaders,
    pipe_of,
    weighted,
)
from pretended_gpu import DEVICE, OnGPU, PretendedGPU  # noqa: E402
from torch.utils._pytree import tree_map  # noqa: E402
from torch.utils.data import DataLoader, DistributedSampler  # noqa: E402
from torch.utils.data._utils.pin_memory import pin_memory  # noqa: E402

from augreg.data.finishing import Finisher, finisher  # noqa: E402

CASES: dict[str, tuple[Pipeline, Any, dict[str, Any]]] = {
    "different sizes": (pipe_of(CROPS), Photos(), {}),
    "nothing normalized": (pipe_of(CROPS[:3]), Photos(), {}),
    "a pad first": (pipe_of(DIGITS), Digits(COUNT), {}),
    "floats": (pipe_of([{"random_resized_crop": {"size": 16, "interpolation": "bicubic"}}]), Photos("float"), {}),
    "jpeg": (pipe_of(CROPS), Photos("jpeg"), {"ids": lambda item: f"photo {item[1]}"}),
    "jpeg, scaled": (pipe_of(CROPS, decode="scaled"), Photos("jpeg"), {}),
    "jpeg, scaled, some": (
        pipe_of(
            [{"random_resized_crop": {"size": 16, "p": 0.5}}, {"resize": {"size": [16, 16]}}, IMAGENET],
            decode="scaled",
        ),
        Photos("jpeg"),
        {},
    ),
    "many ops": (
        pipe_of([{"gaussian_blur": {"p": 0.5}}, *CROPS[:3], {"elastic": {"p": 0.4}}, {"jpeg": {"p": 0.3}}, IMAGENET]),
        Photos(),
        {},
    ),
    "functions": (pipe_of([JITTER, {"halved": {"p": 0.5}}, *CROPS[:2], {"jpeg": {"p": 0.5}}]), Photos(), {}),
    "after normalize": (
        pipe_of([{"halved": {"p": 0.3}}, CROPS[0], IMAGENET, {"halved": {"p": 0.5}}, {"random_erasing": {"p": 0.5}}]),
        Photos(),
        {},
    ),
    "one by one": (pipe_of(["upper_half", *CROPS]), Photos(), {}),
    "policy": (pipe_of([CROPS[0], "rand_augment", IMAGENET]), Photos(), {}),
    "mixup": (pipe_of(DIGITS, [MIXUP]), Digits(COUNT), {}),
    "mixup of floats": (pipe_of(CROPS, [{"one_of": [MIXUP, CUTMIX]}]), Photos(), {}),
    "cutmix of masks": (pipe_of([*DIGITS, GRAY], [CUTMIX], output="auto"), Rows(COUNT), {}),
    "cutmix of channels": (pipe_of(CROPS, [CUTMIX], output="auto"), Masked(), {}),
    "targets": (
        pipe_of(
            [{"rotate": {"degrees": 20, "p": 0.7}}, *CROPS],
            targets={"boxes": "xyxy", "instances": []},
            output="auto",
        ),
        Annotated(),
        {},
    ),
    **{
        f"{step} of objects": (
            pipe_of(CROPS, [step], targets={"boxes": "xyxy", "instances": ["masks"], "min_visible": 0.3}, **output),
            Instances(),
            {},
        )
        for step, output in (("mosaic", {"output": "auto"}), ("mixup", {}), ("copy_paste", {"output": "auto"}))
    },
    "targets, one by one": (pipe_of(["upper_half", *CROPS], output="auto"), Masked(), {}),
    "two images": (pipe_of(CROPS, [MIXUP]), Stereo(), {}),
    "bare": (pipe_of(CROPS), Bare(), {}),
    "bare, mixed": (pipe_of(CROPS, [MIXUP]), Bare(), {}),
    "test side": (pipe_of(CROPS, [MIXUP]), Photos(), {"side": "test"}),
    "views": (pipe_of(CROPS, [CUTMIX]), Photos(), {"views": 2}),
    "bare views": (pipe_of(CROPS), Bare(), {"views": 2}),
    "drawn again": (pipe_of(CROPS), Photos(), {"sampler": weighted}),
    "a rank": (pipe_of(CROPS), Photos(), {"sampler": lambda data: DistributedSampler(data, 2, 1), "drop_last": True}),
}


@pytest.mark.parametrize("case", CASES)
def test_batches_equal_those_of_the_loader_that_does_all(case: str) -> None:
    pipe, dataset, options = CASES[case]
    check_equal(*loaders(pipe, dataset, **options))


@pytest.mark.parametrize("case", ["different sizes", "functions", "two images", "cutmix of masks"])
def test_batches_come_from_workers(case: str) -> None:
    pipe, dataset, options = CASES[case]
    plain, found = loaders(pipe, dataset, num_workers=2, persistent_workers=True, batch_size=2, **options)
    for epoch in Epochs(2, found):
        plain.sampler.set_epoch(epoch)
        check_equal(plain, found)


@pytest.mark.soak
@pytest.mark.parametrize("case", ["different sizes", "targets"])
def test_workers_may_be_spawned(case: str) -> None:
    pipe, dataset, options = CASES[case]
    check_equal(*loaders(pipe, dataset, num_workers=1, multiprocessing_context="spawn", **options))


def test_what_is_sent_has_no_ops_of_users() -> None:
    """Images with an op that has no kernel are run up to it, and the others are left for the device."""
    some = {"halved": {"p": 0.4}}
    pipe = pipe_of([some, CROPS[0], IMAGENET, some, {"vertical_flip": {"p": 1}}])
    data = Augmented(Photos(), pipe.train, defer=True)
    batch = data.__getitems__([(1, index) for index in range(COUNT)])
    whole, begun = batch.images.images.parts
    assert sorted([*whole.rows, *begun.rows]) == list(range(COUNT)) and 0 < len(whole.rows) < COUNT
    images = [Photos()[index][0] for index in range(COUNT)]
    drawn = [[type(op) for op in pipe.train.plan(image, index, 1).ops] for index, image in enumerate(images)]
    without = [row for row, kinds in enumerate(drawn) if ops.FunctionCall not in kinds]
    assert whole.rows.tolist() == without
    assert not whole.scene.normalized and whole.packs[0].start is not None
    assert {pack.pixels.dtype for pack in begun.packs} == {torch.uint8, torch.float32}
    starts = [pack.start for part in (whole, begun) for pack in part.packs if pack.start is not None]
    left = [column.op for part in (whole, begun) for column in part.columns]
    assert {op.label for op in (*starts, *left)} == {""} and not any(isinstance(op, ops.FunctionCall) for op in left)
    assert batch[3].key == batch.keys[3] == (1, 3, 0)

    last = Augmented(Photos(), pipe_of([CROPS[0], IMAGENET, "halved", "horizontal_flip"]).train, defer=True)
    (part,) = last.__getitems__([(1, index) for index in range(8)]).images.images.parts
    assert part.scene.normalized and [type(column.op) for column in part.columns] == [ops.Move]


def test_batches_do_not_depend_on_their_size_or_order() -> None:
    pipe, dataset = pipe_of(CROPS), Photos()
    _, found = loaders(pipe, dataset, batch_size=8)
    place = {key.index: number for number, key in enumerate(found.sampler)}
    images = torch.cat([images for images, _ in found])
    data = Augmented(dataset, pipe.train, epoch=1, defer=True)
    ordered = OnDevice(DataLoader(data, 3, collate_fn=pipe.collate), pipe, "cpu")
    again = torch.cat([images for images, _ in ordered])
    assert torch.equal(again, images[[place[index] for index in range(COUNT)]])
    assert torch.equal(again[7], pipe.train(dataset[7][0], index=7, epoch=1))


def test_a_folder_of_images(tmp_path: Path) -> None:
    for number in range(6):
        path = tmp_path / ("cat", "dog")[number % 2] / f"{number}.{('jpg', 'png', 'jpg')[number % 3]}"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(made("noise", 40 + 3 * number, 50 - 2 * number)).save(path)
    files = folder(tmp_path)
    check_equal(*loaders(pipe_of(CROPS), files, batch_size=4, ids=files.ids))


class _Damaged(Photos):
    def __getitem__(self, index: int) -> Any:
        image, label = super().__getitem__(index)
        return (image[: len(image) // 3] if index == 3 else image), label


def test_an_error_names_the_sample() -> None:
    _, found = loaders(pipe_of(CROPS), _Damaged("jpeg"))
    with pytest.raises(ImageError, match="sample 3: "):
        list(found)


def test_a_single_item_is_made_as_ever() -> None:
    pipe = pipe_of(CROPS)
    image, label = Augmented(Photos(), pipe.train, defer=True)[1, 4]
    assert torch.equal(image, pipe.train(Photos()[4][0], index=4, epoch=1)) and label == 4


def test_loaders_that_do_not_fit_are_refused() -> None:
    pipe = pipe_of(CROPS)
    plain, found = loaders(pipe, Photos())
    deferred = found.loader
    with pytest.raises(ValueError, match="defer=True"):
        OnDevice(plain, pipe, "cpu")
    with pytest.raises(TypeError, match="defer=True"):  # a loader whose dataset is not known
        next(iter(OnDevice(list(plain), pipe, "cpu")))
    with pytest.raises(ValueError, match=r"pipe\.collate"):
        OnDevice(DataLoader(deferred.dataset, 4), pipe, "cpu")
    with pytest.raises(ValueError, match="another pipeline"):
        OnDevice(deferred, pipe.replace(seed=6), "cpu")
    with pytest.raises(ValueError, match="another pipeline"):
        next(iter(OnDevice(list(deferred), pipe.replace(seed=6), "cpu")))
    with pytest.raises(TypeError, match="got a Train"):
        OnDevice(deferred, pipe.train, "cpu")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="got a int"):
        OnDevice(7, pipe, "cpu")
    with pytest.raises(ValueError, match="output: numpy"):
        Augmented(Photos(), pipe.replace(output="numpy").train, defer=True)
    with pytest.raises(ValueError, match="one epoch"):
        deferred.dataset.__getitems__([(0, 1), (1, 2)])
    _, uncropped = loaders(pipe_of([JITTER]), Photos())
    with pytest.raises(ValueError, match="resize"):  # images of different sizes
        list(uncropped)


def test_frameworks_find_the_parts_of_the_loader() -> None:
    pipe = pipe_of(CROPS)
    _, found = loaders(pipe, Photos())
    assert (len(found), found.batch_size, found.dataset.defer) == (5, 5, True)
    assert found.sampler is found.loader.sampler and found.batch_sampler is found.loader.batch_sampler
    assert not hasattr(found, "state_dict")
    found.set_epoch(4)
    assert found.sampler.epoch == 4
    found.hold_epoch(7)
    found.set_epoch(0)
    assert found.sampler.epoch == 7
    data = Augmented(Photos(), pipe.train, defer=True)
    of_data = OnDevice(DataLoader(data, 5, shuffle=True, collate_fn=pipe.collate), pipe, "cpu")
    of_data.hold_epoch(3)
    of_data.hold_epoch(None)
    assert data.epoch == 3
    with pytest.raises(TypeError, match="EpochSampler"):
        OnDevice([1, 2], pipe, "cpu").set_epoch(1)


@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning")  # torchdata 0.11 beside torch 2.13
def test_the_state_is_that_of_the_batch_that_the_loop_got_last() -> None:
    from torchdata.stateful_dataloader import StatefulDataLoader

    pipe = pipe_of(CROPS)

    def loader() -> OnDevice:
        data = Augmented(Photos(), pipe.train, defer=True)
        made = StatefulDataLoader(data, 4, sampler=EpochSampler(data, epoch=2), collate_fn=pipe.collate)
        return OnDevice(made, pipe, "cpu")

    batches = iter(first := loader())
    next(batches), next(batches)
    state = first.state_dict()
    rest = list(batches)
    assert first.state_dict() == first.loader.state_dict()
    resumed = loader()
    resumed.load_state_dict(state)
    assert len(rest) == 4 and alike(rest, list(resumed))


def test_an_early_break_leaves_nothing_running() -> None:
    before = {*threading.enumerate(), *multiprocessing.active_children()}  # other tests may have left some
    _, found = loaders(pipe_of(CROPS), Photos(), num_workers=2)
    for _ in found:
        break
    with pytest.raises(RuntimeError, match="the training"):
        for _ in found:
            raise RuntimeError("the training fails")
    gc.collect()
    assert {*threading.enumerate(), *multiprocessing.active_children()} <= before


def test_pixels_are_pinned_where_the_loader_pins() -> None:
    pipe, dataset, options = CASES["targets"]
    plain, found = loaders(pipe, dataset, **options)
    batch = next(iter(found.loader))
    count = sum(len(part.packs) for part in batch["image"].images.parts)
    pinned: list[Any] = []
    with mock.patch.object(torch.Tensor, "pin_memory", lambda pixels: pinned.append(pixels) or pixels.clone()):
        batch = pin_memory(batch)
    assert isinstance(batch["image"], Deferred) and len(pinned) >= count > 0
    assert alike(next(iter(plain)), finisher(pipe, "cpu").finish(batch))


class _Streams:
    """Streams of a GPU that only write down what happens."""

    def __init__(self) -> None:
        self.log: list[Any] = []
        self.now: Any = "training"

    def stream(self, device: Any) -> Any:
        made = mock.Mock(device=DEVICE)
        made.wait_stream = lambda other: self.log.append("the other stream waits")
        made.record_event = lambda: self.log.append("event") or len(self.log)
        return made

    def current(self, device: Any = None) -> Any:
        return mock.Mock(wait_event=lambda event: self.log.append("the training waits"))

    def entered(self, stream: Any) -> Any:
        @contextlib.contextmanager
        def entered() -> Iterator[None]:
            self.now = "other"
            yield
            self.now = "training"

        return entered()


@pytest.mark.parametrize(
    ("batch", "dataset", "options"),
    [
        ([], Photos(), {}),
        ([], Stereo(), {}),
        ([MIXUP], Digits(COUNT), {}),
        ([CUTMIX], Masked(), {}),
        ([CUTMIX], Masked(), {"views": 2}),
        ([MIXUP], Photos(), {"side": "test"}),
    ],
)
def test_a_device_makes_the_next_batch_while_one_is_used(batch: Any, dataset: Any, options: dict[str, Any]) -> None:
    pipe = pipe_of([{"random_crop": 8}, "horizontal_flip", {"brightness": 0.5}], batch)
    plain, found = loaders(pipe, dataset, **options)
    expected = list(plain)
    found = OnDevice(found.loader, pipe, DEVICE)
    batches = list(found.loader)
    streams = _Streams()
    moved: list[Any] = []

    def images(maker: Any, deferred: Any) -> Any:
        assert streams.now == "other"
        if streams.log[-1] != "made":  # once for all views
            streams.log.append("made")
        return images_on(maker, deferred)

    def mixed(collate: Any, members: dict[Any, Any], *more: Any) -> Any:
        pixels.extend(value for value in members.values() if isinstance(value, torch.Tensor) and value.ndim > 2)
        return mixed_on(collate, members, *more)

    pixels: list[Any] = []
    images_on, mixed_on = Finisher._images, Collate.mixed
    with (
        mock.patch.object(torch.cuda, "Stream", streams.stream),
        mock.patch.object(torch.cuda, "current_stream", streams.current),
        mock.patch.object(torch.cuda, "stream", streams.entered),
        mock.patch.object(torch.Tensor, "record_stream", lambda tensor, stream: moved.append(tensor)),
        mock.patch.object(Finisher, "_images", images),
        mock.patch.object(Collate, "mixed", mixed),
        PretendedGPU(),
    ):
        found.loader = batches
        results = []
        for batch in found:
            assert streams.now == "training"
            streams.log.append("used")
            results.append(batch)
    one = ["the other stream waits", "made", "event"]
    handed = ["the training waits", "used"]
    assert streams.log == one + (one + handed) * (len(batches) - 1) + handed
    assert moved and pixels and all(isinstance(tensor, OnGPU) for tensor in (*moved, *pixels))
    assert all(map(same, results, expected))


def same(one: Any, other: Any) -> bool:
    """Whether a batch on the pretended GPU is like one of the CPU."""

    def held(part: Any) -> Any:
        if isinstance(part, SoftLabels):
            return part._map(held)
        return part.held if isinstance(part, OnGPU) else part

    return alike(tree_map(held, one), other)
