"""The Lightning callbacks, in a Trainer on scikit-learn's digits."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
with warnings.catch_warnings():  # what Lightning's own imports warn of is not ours
    warnings.simplefilter("ignore")
    L = pytest.importorskip("lightning.pytorch")
nn = torch.nn

import augreg  # noqa: E402 - after the questions what there is
from augreg.training.lightning import BestWeights, RecalibrateBatchNorm, Regularized  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step`"),
]


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Threads only cost time in models this small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def digits() -> Any:
    found = pytest.importorskip("sklearn.datasets").load_digits()
    return torch.tensor(found.data / 16, dtype=torch.float32), torch.tensor(found.target)


def loader(data: Any, start: int, stop: int, size: int = 50) -> Any:
    images, labels = data
    dataset = torch.utils.data.TensorDataset(images[start:stop], labels[start:stop])
    return torch.utils.data.DataLoader(dataset, batch_size=size)


class Classifier(L.LightningModule):  # type: ignore[misc,name-defined]
    """A small classifier; `scores`, if given, are what its validations say."""

    def __init__(self, loss: Any = None, rate: float = 0.1, scores: list[float] | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 10))
        self.loss = loss or nn.CrossEntropyLoss()
        self.rate = rate
        self.scores = scores
        self.attached: Any = None
        self.seen: list[Any] = []

    def forward(self, x: Any) -> Any:
        return self.net(x)

    def training_step(self, batch: Any, index: int) -> Any:
        x, y = batch
        return self.loss(self(x), y) if self.attached is None else self.loss(self(x), y, self.net)

    def validation_step(self, batch: Any, index: int) -> None:
        x, y = batch
        score = self.scores[self.current_epoch] if self.scores else nn.functional.cross_entropy(self(x), y)
        self.log("val_loss", score, batch_size=len(x))

    def on_validation_end(self) -> None:
        if not self.trainer.sanity_checking:
            self.seen.append({name: value.clone() for name, value in self.state_dict().items()})

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=self.rate)


def trainer(folder: Path, *callbacks: Any, epochs: int = 3, **more: Any) -> Any:
    return L.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=epochs,
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=more.pop("enable_checkpointing", False),
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        **more,
    )


def equal(one: Any, other: Any) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def test_the_best_weights_come_back_when_lightning_stops_early(digits: Any, tmp_path: Path) -> None:
    scores = [3.0, 1.0, 2.0, 1.5, 9.0, 0.1]
    model, best = Classifier(scores=scores), BestWeights("val_loss")
    stop = L.callbacks.EarlyStopping("val_loss", patience=2)
    trainer(tmp_path, stop, best, epochs=6).fit(model, loader(digits, 0, 200), loader(digits, 200, 300))
    assert len(model.seen) == 4
    assert equal(dict(model.state_dict()), model.seen[1])
    assert (best.best.score, best.best.best_at) == (1.0, 1)


def test_best_weights_survive_a_checkpoint(digits: Any, tmp_path: Path) -> None:
    data = loader(digits, 0, 200), loader(digits, 200, 300)
    first = Classifier(scores=[3.0, 1.0])
    one = trainer(tmp_path, BestWeights("val_loss"), epochs=2)
    one.fit(first, *data)
    one.save_checkpoint(tmp_path / "two.ckpt")
    second = Classifier(scores=[0.0, 0.0, 2.0, 3.0])
    trainer(tmp_path, BestWeights("val_loss"), epochs=4).fit(second, *data, ckpt_path=tmp_path / "two.ckpt")
    assert len(second.seen) == 2
    assert equal(dict(second.state_dict()), first.seen[1])


def test_best_weights_say_what_is_missing(digits: Any, tmp_path: Path) -> None:
    data = loader(digits, 0, 100), loader(digits, 200, 300)
    with pytest.raises(ValueError, match="monitors 'accuracy', which was not logged; logged are: val_loss"):
        trainer(tmp_path, BestWeights("accuracy", "max"), epochs=1).fit(Classifier(), *data)
    averaging = L.callbacks.EMAWeightAveraging()
    with pytest.raises(ValueError, match=r"EMAWeightAveraging validates averaged weights.*ModelCheckpoint"):
        trainer(tmp_path, averaging, BestWeights("val_loss"), epochs=1).fit(Classifier(), *data)


def test_batch_norm_is_recomputed_for_averaged_weights(digits: Any, tmp_path: Path) -> None:
    data = loader(digits, 0, 200)
    plain, model = Classifier(), Classifier()
    trainer(tmp_path, L.callbacks.EMAWeightAveraging(decay=0.9), epochs=2).fit(plain, data)
    last = trainer(tmp_path, L.callbacks.EMAWeightAveraging(decay=0.9), RecalibrateBatchNorm(), epochs=2)
    last.fit(model, data)
    assert torch.equal(model.net[0].weight, plain.net[0].weight)
    with torch.no_grad():
        outs = [model.net[0](x) for x, _ in data]
    mean, variance = (
        torch.stack([f(out) for out in outs]).mean(0) for f in (lambda o: o.mean(0), lambda o: o.var(0))
    )
    torch.testing.assert_close(model.net[1].running_mean, mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.net[1].running_var, variance, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(plain.net[1].running_var, variance, rtol=1e-2)
    last.save_checkpoint(tmp_path / "end.ckpt")
    saved = torch.load(tmp_path / "end.ckpt", weights_only=True)["state_dict"]
    assert equal(saved, dict(model.state_dict()))
    given = Classifier()
    other = [(x + 1, y) for x, y in data]
    recalibrated = RecalibrateBatchNorm([{"moved": x} for x, _ in other], take=lambda batch: batch["moved"])
    trainer(tmp_path, L.callbacks.EMAWeightAveraging(decay=0.9), recalibrated, epochs=2).fit(given, data)
    moved = model.net[0].weight.detach().sum(1)
    torch.testing.assert_close(given.net[1].running_mean, mean + moved, rtol=1e-4, atol=1e-4)


def test_a_module_without_a_forward_is_refused_before_the_training(digits: Any, tmp_path: Path) -> None:
    class Silent(L.LightningModule):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Linear(64, 16), nn.BatchNorm1d(16), nn.Linear(16, 10))

        def training_step(self, batch: Any, index: int) -> Any:
            raise AssertionError("training has begun")

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    with pytest.raises(TypeError, match=r"Silent has no forward: define forward\(self, images\)"):
        trainer(tmp_path, RecalibrateBatchNorm(), epochs=1).fit(Silent(), loader(digits, 0, 100))


class Watch(L.Callback):  # type: ignore[misc,name-defined]
    """Notes the norms of the weights after each batch, and the smoothing of the loss."""

    def __init__(self) -> None:
        self.norms: list[float] = []
        self.smoothing: list[float] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *rest: Any) -> None:
        self.norms.append(pl_module.net[0].weight.detach().norm(dim=1).max().item())
        x, y = torch.zeros(1, 10), torch.zeros(1, dtype=torch.int64)
        x[0, 0] = 100.0
        self.smoothing.append(pl_module.loss(x, y).item() / 90.0)


def test_schedules_and_constraints_are_kept_in_step(digits: Any, tmp_path: Path) -> None:
    pipe = augreg.Pipeline.from_spec(
        {
            "model": [{"dropout": {"p": {"linear": [0.0, 0.4], "over": [0, 2]}, "at": "2"}}],
            "loss": [
                {"label_smoothing": {"linear": [0.0, 0.2], "over": [0, 2]}},
                {"l2": {"strength": 1e-3}},
                {"max_norm": {"limit": {"step": [0.5, 0.3], "at": [1]}, "at": "0.weight"}},
            ],
        }
    )
    model = Classifier(pipe.criterion(), rate=1.0)
    model.attached = pipe.regularize(model.net)
    watch, regularized = Watch(), Regularized(model.attached, model.loss)
    trainer(tmp_path, regularized, watch, accumulate_grad_batches=2).fit(model, loader(digits, 0, 200))
    assert len(watch.norms) == 12
    for number, (norm, smoothing) in enumerate(zip(watch.norms, watch.smoothing, strict=True)):
        epoch, batch = divmod(number, 4)
        # of two batches that are one step, the first of all comes before any constraint
        limit = 0.5 if epoch == 0 or (epoch == 1 and batch == 0) else 0.3
        assert norm <= limit * (1 + 1e-5) or number == 0
        assert smoothing == pytest.approx(0.1 * epoch, abs=1e-6)
    assert watch.norms[-1] == pytest.approx(0.3, rel=1e-5)  # it does bind
    with pytest.raises(ValueError, match=r"Regularized needs what pipe\.regularize"):
        Regularized()


def test_trainers_of_the_other_package_take_them_too(digits: Any, tmp_path: Path) -> None:
    other = pytest.importorskip("pytorch_lightning")

    class Other(other.LightningModule):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Linear(64, 16), nn.BatchNorm1d(16), nn.Linear(16, 10))
            self.kept: list[Any] = []

        def forward(self, x: Any) -> Any:
            return self.net(x)

        def training_step(self, batch: Any, index: int) -> Any:
            return nn.functional.cross_entropy(self(batch[0]), batch[1])

        def validation_step(self, batch: Any, index: int) -> None:
            self.log("val_loss", [1.0, 0.5, 2.0][self.current_epoch], batch_size=1)

        def on_validation_end(self) -> None:
            self.kept.append(self.net[0].weight.clone())

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    model = Other()
    other.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=3,
        callbacks=[
            BestWeights("val_loss"),
            RecalibrateBatchNorm(),
            Regularized(criterion=augreg.Pipeline().criterion()),
        ],
        logger=False,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    ).fit(model, loader(digits, 0, 200), loader(digits, 200, 300))
    assert torch.equal(model.net[0].weight, model.kept[1])
    assert model.net[1].num_batches_tracked == 4
