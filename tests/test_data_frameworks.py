"""Loaders of others, the real ones, on small real data: what they return is what `pipe.train` gives by hand."""

from __future__ import annotations

import importlib.util
import io
import pickle
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
if importlib.util.find_spec("sklearn") is None:  # for the digits that it ships; to import it takes a second
    pytest.skip("needs the digits of scikit-learn", allow_module_level=True)

import loading  # noqa: E402
from loading import Digits, Rows, digest  # noqa: E402
from torch.utils.data import (  # noqa: E402
    BatchSampler,
    ConcatDataset,
    DataLoader,
    DistributedSampler,
    RandomSampler,
    Subset,
    WeightedRandomSampler,
)

from augreg import Pipeline  # noqa: E402
from augreg.data import Augmented, EpochSampler, Key  # noqa: E402
from augreg.data.huggingface import transform  # noqa: E402
from augreg.data.webdataset import mapper  # noqa: E402

PIPE = Pipeline.from_spec({**loading.SPEC, "batch": []})
MIXED = Pipeline.from_spec(loading.SPEC)
pytestmark = [
    # from Python 3.12 on; it is what the DataLoader does on Linux by default
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning"),  # torchdata 0.11 beside torch 2.13
]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterable[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def alone(index: int | str, epoch: int, image: Any = None, pipe: Pipeline = PIPE) -> np.ndarray:
    return pipe.train(Digits()[int(index)][0] if image is None else image, index=index, epoch=epoch)


# Plain torch.


def test_torch_s_own_collate_takes_the_samples_as_they_are() -> None:
    data = Augmented(Digits(), PIPE.train)
    for workers in (0, 2):
        sampler = EpochSampler(data, shuffle=False)
        sampler.set_epoch(2)
        images, labels = next(iter(DataLoader(data, 5, sampler=sampler, num_workers=workers)))
        assert images.shape == (5, 1, 8, 8) and labels.tolist() == [Digits()[index][1] for index in range(5)]
        assert all(np.array_equal(images[index], alone(index, 2)) for index in range(5))
    rows = Augmented(Rows(), PIPE.train, image="image", ids="name", epoch=1)
    batch = next(iter(DataLoader(rows, 5)))
    assert batch["image"].shape == (5, 1, 8, 8) and batch["mask"].shape == (5, 8, 8)
    image = PIPE.train({"image": Rows()[3]["image"], "mask": Rows()[3]["mask"]}, index="digit/3", epoch=1)
    assert np.array_equal(batch["image"][3], image["image"]) and np.array_equal(batch["mask"][3], image["mask"])


def test_collate_makes_the_same_of_it_with_and_without_workers_and_of_arrays_and_tensors() -> None:
    batches = []
    for output in ("auto", "torch", "numpy"):
        pipe = Pipeline.from_spec({**PIPE.to_spec(), "output": output})
        for workers in (0, 1):
            data = Augmented(Digits(), pipe.train)
            sampler = EpochSampler(data, seed=1)
            images, labels = next(
                iter(DataLoader(data, 8, sampler=sampler, num_workers=workers, collate_fn=pipe.collate))
            )
            assert isinstance(images, np.ndarray if output == "numpy" else torch.Tensor)
            if workers and output != "numpy":
                assert images.untyped_storage().nbytes() > images.nbytes  # a block of the worker, and no copy
            batches.append((digest(images), labels.tolist()))
    assert all(batch == batches[0] for batch in batches)


def test_shared_bytes_keep_the_order_of_their_axes() -> None:
    pipe = Pipeline.from_spec({"classes": 10, "batch": [{"cutmix": {"alpha": 1.0}}], "image": ["horizontal_flip"]})
    data = Augmented([(np.full((6, 10, 3), 20 * index, np.uint8), index) for index in range(10)], pipe.train, epoch=0)
    images, labels = next(iter(DataLoader(data, 10, num_workers=1, collate_fn=pipe.collate)))
    assert images.shape == (10, 6, 10, 3) and images.untyped_storage().nbytes() > images.nbytes
    fractions = torch.stack([(images[..., 0] == 20 * index).double().mean(dim=(1, 2)) for index in range(10)], dim=1)
    assert torch.allclose(fractions, labels.dense().double(), atol=1e-6) and (fractions.amax(dim=1) < 1).any()


def test_samplers_of_torch_go_inside() -> None:
    data = Augmented(Digits(), PIPE.train)
    weighted = WeightedRandomSampler([1.0] * 40, 10, generator=torch.Generator().manual_seed(0))
    loader = DataLoader(data, 5, sampler=EpochSampler(weighted))
    assert len(loader) == 2 and [len(images) for images, _ in loader] == [5, 5]
    batches = BatchSampler(DistributedSampler(data, 2, 0, shuffle=False), 4, drop_last=True)  # type: ignore[arg-type]
    loader = DataLoader(data, batch_sampler=EpochSampler(batches))
    assert next(iter(loader))[1].tolist() == [Digits()[index][1] for index in (0, 2, 4, 6)]


def test_a_batch_sampler_passes_the_epoch_on_to_what_it_is_around() -> None:
    ranked = DistributedSampler(range(40), 2, 0)  # type: ignore[arg-type]
    sampler = EpochSampler(BatchSampler(ranked, 4, drop_last=True))
    sampler.set_epoch(3)
    assert ranked.epoch == 3 and next(iter(sampler))[0].epoch == 3


def test_a_dataset_around_an_augmented_one_must_go_inside() -> None:
    data = Augmented(Digits(), PIPE.train)
    for outer in (Subset(data, range(4)), Subset(data, [2, 3]), ConcatDataset([data, data])):
        for workers in (0, 1):
            loader = DataLoader(outer, 2, sampler=EpochSampler(data), num_workers=workers)
            with pytest.raises(
                TypeError,
                match=r"make the Augmented the outermost dataset.* as in Augmented\(Subset\(data, indices\)",
            ):
                next(iter(loader))
    inside = Augmented(Subset(Digits(), [5, 6]), PIPE.train)
    assert np.array_equal(inside[0, 1][0], PIPE.train(Digits()[6][0], index=1, epoch=0))
    with pytest.raises(TypeError, match="a sampler of indices, got a DataLoader"):
        EpochSampler(DataLoader(data))


@pytest.mark.parametrize("kind", ["random", "weighted", "replacement", "batches"])
def test_a_sampler_with_a_generator_resumes_in_a_later_epoch(kind: str) -> None:
    torchdata = pytest.importorskip("torchdata.stateful_dataloader")
    data = Augmented(Digits(), PIPE.train)

    def made(state: int) -> tuple[Any, EpochSampler]:
        generator = torch.Generator().manual_seed(state)  # a new process creates it again, or continues with another
        inner: Any = {
            "random": lambda: RandomSampler(data, generator=generator),
            "batches": lambda: BatchSampler(RandomSampler(data, generator=generator), 8, drop_last=False),
            "weighted": lambda: WeightedRandomSampler([1.0] * 40, 40, generator=generator),
            "replacement": lambda: RandomSampler(data, replacement=True, generator=generator),
        }[kind]()
        sampler = EpochSampler(inner, seed=4)
        options = {"batch_sampler": sampler} if kind == "batches" else {"batch_size": 8, "sampler": sampler}
        return torchdata.StatefulDataLoader(data, collate_fn=PIPE.collate, **options), sampler

    loader, sampler = made(0)
    orders = []
    for epoch in (0, 1):
        sampler.set_epoch(epoch)
        orders.append([digest(images) for images, _ in loader])
    sampler.set_epoch(1)
    running = iter(loader)
    first = [digest(next(running)[0]) for _ in range(2)]
    state = loader.state_dict()
    again, sampler = made(1)
    again.load_state_dict(state)
    sampler.set_epoch(1)
    assert first + [digest(images) for images, _ in again] == orders[1] != orders[0]
    assert list(EpochSampler(RandomSampler(data, generator=torch.Generator()), seed=5)) != list(
        EpochSampler(RandomSampler(data, generator=torch.Generator()), seed=6)
    )


def test_a_shuffle_of_torch_s_own_needs_an_epoch_and_takes_it_from_set_epoch_even_in_old_workers() -> None:
    data = Augmented(Digits(), PIPE.train)
    with pytest.raises(TypeError, match="has no epoch"):
        next(iter(DataLoader(data, 5, shuffle=True, num_workers=1)))
    for start in ("fork", "spawn"):
        loader = DataLoader(data, 20, num_workers=1, persistent_workers=True, multiprocessing_context=start)
        for epoch in (3, 5):
            data.set_epoch(epoch)
            images = torch.cat([images for images, _ in loader])
            assert all(np.array_equal(images[index], alone(index, epoch)) for index in range(40))


def test_an_error_in_a_worker_names_the_sample() -> None:
    data = Augmented([(b"nothing", 0)] * 2, PIPE.train, epoch=0)
    with pytest.raises(ValueError, match="sample 0: image of 7 bytes: not an image"):
        next(iter(DataLoader(data, 2, num_workers=1)))


# torchdata.


def test_a_stateful_loader_saved_between_epochs_begins_the_next_one() -> None:
    torchdata = pytest.importorskip("torchdata.stateful_dataloader")
    data = Augmented(Digits(), PIPE.train)

    def made() -> tuple[Any, EpochSampler]:
        sampler = EpochSampler(data, seed=2)
        return torchdata.StatefulDataLoader(data, 16, sampler=sampler, collate_fn=PIPE.collate), sampler

    loader, sampler = made()
    sampler.set_epoch(0)
    list(loader)
    state = loader.state_dict()
    sampler.set_epoch(1)
    wanted = [digest(images) for images, _ in loader]
    loader, sampler = made()
    loader.load_state_dict(state)
    sampler.set_epoch(1)
    assert [digest(images) for images, _ in loader] == wanted


def test_torchdatas_random_sampler_resumes_inside() -> None:
    torchdata = pytest.importorskip("torchdata.stateful_dataloader")
    from torchdata.stateful_dataloader.sampler import RandomSampler

    data = Augmented(Digits(), PIPE.train)

    def made(seed: int) -> Any:
        sampler = EpochSampler(RandomSampler(data, generator=torch.Generator().manual_seed(seed)))
        return torchdata.StatefulDataLoader(data, 4, sampler=sampler, collate_fn=PIPE.collate)

    loader = made(0)
    iterator = iter(loader)
    for _ in range(3):
        next(iterator)
    state = pickle.loads(pickle.dumps(loader.state_dict()))
    wanted = [digest(images) for images, _ in iterator]
    again = made(99)  # another seed: the order has to come from the state
    again.load_state_dict(state)
    assert [digest(images) for images, _ in again] == wanted and len(wanted) == 7


# Hugging Face datasets.


@pytest.fixture(scope="module")
def rows() -> Any:
    datasets = pytest.importorskip("datasets")
    digits = Digits()
    images = [Image.fromarray(image[..., 0]) for image in digits.images]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    return datasets.Dataset.from_dict({"image": images, "label": digits.labels}, features=features)


def test_a_hugging_face_dataset_is_a_data_set_as_it_is(rows: Any) -> None:
    pipe = Pipeline.from_spec({**loading.SPEC, "channels": "gray"})
    data = Augmented(rows, pipe.train)
    sampler = EpochSampler(data, seed=3)
    sampler.set_epoch(4)
    keys = list(sampler)[:8]
    batch = next(iter(DataLoader(data, 8, sampler=sampler, num_workers=1, collate_fn=pipe.collate)))
    plain = np.stack([pipe.train(rows[key.index]["image"], index=key.index, epoch=4) for key in keys])
    labels = np.array([rows[key.index]["label"] for key in keys])
    wanted, soft = pipe.batch(plain, labels, keys=[key.index for key in keys], epoch=4)
    assert list(batch) == ["image", "label"]
    assert np.array_equal(batch["image"], wanted) and np.array_equal(batch["label"].dense(), soft.dense())


def test_a_transform_goes_by_a_column_of_row_numbers(rows: Any) -> None:
    pipe = Pipeline.from_spec({**PIPE.to_spec(), "channels": "gray"})
    augment = transform(pipe.train, index="idx")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # such as one that the transform has no hash
        data = rows.add_column("idx", list(range(len(rows)))).with_transform(augment).shuffle(seed=0)
    for epoch in (0, 3):
        augment.set_epoch(epoch)
        batch = next(iter(DataLoader(data, 6, num_workers=1)))
        for index, image in zip(batch["idx"].tolist(), batch["image"], strict=True):
            assert np.array_equal(image, pipe.train(rows[index]["image"], index=index, epoch=epoch))
        one = data[2]
        wanted = pipe.train(rows[one["idx"]]["image"], index=one["idx"], epoch=epoch)
        assert np.array_equal(one["image"], wanted)
    tested = rows.with_transform(transform(pipe.test))
    assert np.array_equal(tested[1]["image"], pipe.test(rows[1]["image"]))


def test_a_transform_that_knows_too_little_says_so(rows: Any) -> None:
    with pytest.raises(TypeError, match=r"does not know which rows it gets.*add_column\('idx'.*Augmented\(dataset"):
        transform(PIPE.train)
    with pytest.raises(
        KeyError, match=r"no column 'img'; they have: 'image', 'label'. Name the column of the image:.*image="
    ):
        rows.with_transform(transform(PIPE.test, image="img"))[0]
    with pytest.raises(
        KeyError, match=r"the rows have no column 'idx'; they have: 'image', 'label'. To add a column of row"
    ):
        rows.with_transform(transform(PIPE.train, index="idx", epoch=0))[0]
    numbered = rows.add_column("idx", list(range(len(rows))))
    with pytest.raises(TypeError, match=r"the epoch is not set.*set_epoch\(epoch\) of the transform"):
        numbered.with_transform(transform(PIPE.train, index="idx"))[0]
    with pytest.raises(TypeError, match=r"expected pipe\.train or pipe\.test"):
        transform(PIPE)  # type: ignore[arg-type]


# WebDataset.


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    webdataset = pytest.importorskip("webdataset")
    folder: Path = tmp_path_factory.mktemp("shards")
    digits = Digits()
    for shard in range(2):
        with webdataset.TarWriter(str(folder / f"{shard}.tar")) as writer:
            for index in range(shard, len(digits), 2):
                image, label = digits[index]
                data = io.BytesIO()
                Image.fromarray(image[..., 0]).save(data, "PNG")
                writer.write({"__key__": f"digit/{index:02}", "png": data.getvalue(), "cls": str(label).encode()})
    return [str(folder / "0.tar"), str(folder / "1.tar")]


def test_a_web_dataset_is_drawn_by_its_keys(shards: list[str]) -> None:
    import webdataset

    pipe = Pipeline.from_spec({**loading.SPEC, "channels": "gray"})
    augment = mapper(pipe.train, image="png", names={"label": "cls"})
    stream = webdataset.WebDataset(shards, shardshuffle=False).decode(only="cls", partial=True).map(augment)
    loader = DataLoader(
        stream.batched(7, collation_fn=pipe.collate), None, num_workers=2, persistent_workers=True
    )  # fmt: skip
    images = {f"digit/{index:02}": Digits()[index] for index in range(40)}
    for epoch in (0, 2):
        augment.set_epoch(epoch)
        seen = []
        for batch in loader:
            keys = batch["__key__"]
            seen += keys
            plain = np.stack([pipe.train(images[key][0], index=key, epoch=epoch) for key in keys])
            wanted, soft = pipe.batch(plain, np.array([images[key][1] for key in keys]), keys=keys, epoch=epoch)
            assert np.array_equal(batch["png"], wanted) and np.array_equal(batch["cls"].dense(), soft.dense())
        assert sorted(seen) == sorted(images)


def test_a_mapper_has_to_know_the_epoch_and_takes_ids_of_another_kind(shards: list[str]) -> None:
    sample = {"__key__": "a", "__url__": "s0.tar", "jpg": Digits()[0][0], "cls": 1}
    with pytest.raises(TypeError, match=r"the epoch is not set.*set_epoch\(epoch\) of the mapper"):
        mapper(PIPE.train)(sample)
    by_shard = mapper(PIPE.train, key=_shard_and_key, epoch=1)(sample)
    assert by_shard.key == Key(1, "s0.tar:a") and list(by_shard) == list(sample)
    assert np.array_equal(by_shard["jpg"], PIPE.train(sample["jpg"], index="s0.tar:a", epoch=1))
    assert mapper(PIPE.test)(sample).key == Key(None, "a")
    with pytest.raises(KeyError, match="a sample has no 'png'"):
        mapper(PIPE.test, image="png")(sample)


def _shard_and_key(sample: Any) -> str:
    return f"{sample['__url__']}:{sample['__key__']}"


# Lightning.


def test_lightning_tells_the_sampler_the_epoch() -> None:
    lightning = pytest.importorskip("lightning")
    seen: list[Any] = []

    class Data(lightning.LightningDataModule):  # type: ignore[misc,name-defined]
        def train_dataloader(self) -> Any:
            data = Augmented(Digits(), MIXED.train)
            return DataLoader(data, 16, sampler=EpochSampler(data), collate_fn=loading.Traced(MIXED))

        def val_dataloader(self) -> Any:
            return DataLoader(Augmented(Digits(), MIXED.test), 16, collate_fn=MIXED.collate)

    class Model(lightning.LightningModule):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(64, 10)

        def training_step(self, batch: Any, number: int) -> Any:
            samples, (images, labels) = batch
            seen.extend(samples)
            return torch.nn.functional.cross_entropy(self.layer(images.flatten(1)), labels.dense())

        def validation_step(self, batch: Any, number: int) -> None:
            images, labels = batch
            assert images.shape[1:] == (1, 8, 8) and labels.dtype == torch.int64

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 0.1)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning has much to say on workers and logging
        trainer = lightning.Trainer(
            max_epochs=3, accelerator="cpu", devices=1, logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip
        trainer.fit(Model(), Data())
    assert [key[0] for key, _ in seen] == [epoch for epoch in range(3) for _ in range(40)]
    assert all(hash == digest(alone(index, epoch, pipe=MIXED)) for (epoch, index), hash in seen)


def test_lightnings_distributed_wrapper_of_a_sampler_keeps_the_keys() -> None:
    pytest.importorskip("lightning")
    from lightning.fabric.utilities.distributed import DistributedSamplerWrapper

    data = Augmented(Digits(), PIPE.train)
    for epoch in (0, 1):
        found = []
        for rank in range(2):
            wrapped = DistributedSamplerWrapper(EpochSampler(data, seed=1), num_replicas=2, rank=rank, shuffle=False)
            wrapped.set_epoch(epoch)
            found.append(list(wrapped))
        order = EpochSampler(data, seed=1)
        order.set_epoch(epoch)
        whole = list(order)
        assert found == [whole[0::2], whole[1::2]]
