"""Mixing tensors: what arrays give, on every path, and soft labels straight into torch's losses."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from mixing_oracle import blended
from test_mixing import STEPS, pipeline

torch = pytest.importorskip("torch")

from augreg import Pipeline  # noqa: E402
from augreg.batch import torch_kernels  # noqa: E402
from augreg.batch.labels import SoftLabels  # noqa: E402

functional = torch.nn.functional
KINDS = {"uint8": 0, "float16": 2e-3, "bfloat16": 2e-2, "float32": 1e-6, "float64": 1e-14}


@pytest.fixture(params=["all at once", "one by one"])
def path(request: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of going through a batch; large batches on a processor take the second."""
    monkeypatch.setattr(torch_kernels, "_SMALL", 1 << 60 if request.param == "all at once" else 0)
    return str(request.param)


def photos(count: int, kind: str = "float32", size: tuple[int, int] = (13, 11)) -> Any:
    values = np.random.default_rng(0).integers(0, 256, (count, 3, *size), np.uint8)
    return torch.from_numpy(values) if kind == "uint8" else (torch.from_numpy(values) / 255).to(getattr(torch, kind))


@pytest.mark.parametrize("step", STEPS, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_tensors_come_out_as_arrays_do(step: Any, kind: str, path: str) -> None:
    pipe = Pipeline.from_spec({"image": ["normalize"], "batch": [step], "seed": 5})
    for count in (0, 1, 2, 7):
        batch = photos(count, kind)
        before = batch.clone()
        for number in range(3):
            found, labels = pipe.batch(batch, torch.arange(count), batch=number)
            assert torch.equal(batch, before) and found.dtype == batch.dtype
            plan = pipe.batch.plan(count, (13, 11), batch=number)
            if kind == "uint8":
                assert np.array_equal(found.numpy(), pipe.batch(batch.numpy(), batch=number))
            else:
                wanted = blended(plan.blends, batch.double().numpy())
                assert np.abs(found.double().numpy() - wanted).max(initial=0) <= KINDS[kind]
                if kind != "bfloat16":
                    array = pipe.batch(batch.numpy(), batch=number)
                    assert np.abs(found.numpy() - array).max(initial=0) <= KINDS[kind]
            same = SoftLabels(np.arange(count), *plan.sources_and_weights())
            assert np.array_equal(labels.dense(max(1, count)).numpy(), same.dense(max(1, count)))
            place = batch.clone()
            assert pipe.batch(place, batch=number, out=place) is place
            assert torch.equal(place, found)
            last = batch.contiguous(memory_format=torch.channels_last)
            again = pipe.batch(last, batch=number)
            assert torch.equal(again, found) and again.stride() == last.stride()
            out = torch.empty_like(batch)
            assert pipe.batch(last, batch=number, out=out) is out and torch.equal(out, found)


@pytest.mark.parametrize("step", ["cutmix", "resizemix", "mosaic", {"mosaic": {"fit": "resize"}}], ids=str)
def test_masks_follow(step: Any, path: str) -> None:
    pipe, images = pipeline(step), photos(5, "uint8")
    mask = torch.randint(0, 2**40, (5, 13, 11))
    planes = functional.one_hot(mask % 4, 4).permute(0, 3, 1, 2).float()
    given = {"image": images, "mask": mask, "mask_planes": planes, "labels": torch.arange(5)}
    arrays = {key: value.numpy() for key, value in given.items()}
    for number in range(5):
        found, wanted = pipe.batch(given, batch=number), pipe.batch(arrays, batch=number)
        for key in ("image", "mask", "mask_planes"):
            assert np.array_equal(found[key].numpy(), wanted[key]), key
        assert torch.equal(found["mask_planes"].argmax(1), found["mask"] % 4)
        place = {key: value.clone() for key, value in given.items()}
        pipe.batch(place, batch=number, out={"mask": place["mask"], "image": place["image"]})
        assert torch.equal(place["mask"], found["mask"])
    with pytest.raises(ValueError, match=r"class ids \(torch.int64\) cannot be averaged"):
        pipeline("mixup").batch({"image": images, "mask": mask}, batch=0)
    mixed = pipeline("mixup").batch({"image": images, "mask": planes}, batch=0)["mask"]
    assert torch.allclose(mixed.sum(1), torch.ones(()))


def test_tensors_that_are_no_batch() -> None:
    pipe = pipeline("mixup")
    with pytest.raises(ValueError, match="a batch of images is N x C x H x W"):
        pipe.batch(photos(2)[0])
    with pytest.raises(TypeError, match="images are uint8 or floats, got int64"):
        pipe.batch(photos(2).long())
    with pytest.raises(TypeError, match="masks of a batch are tensors"):
        pipe.batch({"image": photos(2), "mask": np.zeros((2, 13, 11))})
    with pytest.raises(TypeError, match="out is a Tensor, like images, got ndarray"):
        pipe.batch(photos(2), out=np.zeros((2, 3, 13, 11)))
    with pytest.raises(ValueError, match="out is expanded"):
        pipe.batch(photos(2), out=photos(1).expand(2, 3, 13, 11))
    whole = photos(4)
    with pytest.raises(ValueError, match="out overlaps images in memory"):
        pipe.batch(whole[:3], out=whole[1:])
    pool = torch.cat([photos(2), photos(2)])
    assert pipe.batch(pool[:2], batch=0, out=pool[2:]).data_ptr() == pool[2].data_ptr()


def test_settings_for_faster_products_change_nothing() -> None:
    pipe, batch = pipeline("resizemix"), photos(4, "uint8", (64, 64))
    wanted = pipe.batch(batch, batch=0)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(pipe.batch(batch, batch=0), wanted)
    finally:
        torch.set_float32_matmul_precision(before)


def test_torchs_generator_is_not_used() -> None:
    before = torch.random.get_rng_state()
    pipeline("cutmix", "mixup").batch(photos(4), batch=0)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_ids_stay_what_they_are_whatever_the_images(kind: str) -> None:
    ids = [257, 999, 2**24 + 1, 2**24 - 1]
    _, labels = pipeline({"mixup": {"pairing": "roll"}}).batch(photos(4, kind), torch.tensor(ids), batch=0)
    own, partners, weights = labels.pairs()
    assert own.tolist() == ids and partners.tolist() == [ids[3], *ids[:3]] and weights.dtype == torch.float32


# Soft labels as tensors


def mixed(labels: Any = None, **more: Any) -> SoftLabels:
    sources, weights = [[0, 2], [1, 0], [2, 2], [3, 1]], [[0.75, 0.25], [0.5, 0.5], [1.0, 0.0], [0.125, 0.875]]
    return SoftLabels(torch.tensor([2, 0, 1, 2]) if labels is None else labels, sources, weights, **more)


def logits(classes: int = 3, kind: Any = None) -> Any:
    numbers = np.random.default_rng(0).normal(size=(4, classes))
    return torch.tensor(numbers, dtype=kind or torch.float32, requires_grad=True)


def test_dense_and_the_rest_are_as_of_arrays() -> None:
    soft, array = mixed(), SoftLabels(np.array([2, 0, 1, 2]), mixed().sources.numpy(), mixed().weights.numpy())
    for one, other in ((soft, array), (soft.smoothed(0.1), array.smoothed(0.1))):
        assert one.dense(3).dtype == torch.float32
        assert np.array_equal(one.dense(3).numpy(), other.dense(3))
    for kind in (torch.uint8, torch.int16, torch.int32, torch.uint16):
        assert torch.equal(mixed(soft.labels.to(kind)).dense(3), soft.dense(3))
    hot = functional.one_hot(soft.labels, 3)
    for kind in (torch.bool, torch.int64, torch.float16, torch.bfloat16, torch.float32, torch.float64):
        target = mixed(hot.to(kind)).dense()
        assert target.dtype == (torch.float64 if kind == torch.float64 else torch.float32)
        assert torch.allclose(target.float(), soft.dense(3))
    z = logits().detach()
    assert soft.expected_accuracy(z) == array.expected_accuracy(z.numpy())
    assert soft.expected_accuracy(z.argmax(1)) == soft.expected_accuracy(z)
    for labels, message in [
        (torch.zeros(4), "class ids are integers, got float32"),
        (torch.zeros(4, 2, dtype=torch.complex64), "got complex64"),
    ]:
        with pytest.raises(TypeError, match=message):
            mixed(labels)


@pytest.mark.parametrize("kind", ["float32", "float64", "bfloat16", "float16"])
def test_cross_entropy_takes_them(kind: str) -> None:
    soft, z = mixed(), logits(3, getattr(torch, kind))
    own, partners, weights = soft.pairs()
    each = [functional.cross_entropy(z.float(), ids, reduction="none") for ids in (own, partners)]
    wanted = weights * each[0] + (1 - weights) * each[1]
    tolerance = {"float32": 1e-6, "float64": 1e-6}.get(kind, 2e-2)
    found = functional.cross_entropy(z, soft, reduction="none")
    assert torch.allclose(found.float(), wanted, atol=tolerance)
    assert torch.allclose(torch.nn.CrossEntropyLoss()(z, soft).float(), wanted.mean(), atol=tolerance)
    assert torch.allclose(functional.cross_entropy(input=z, target=soft).float(), wanted.mean(), atol=tolerance)
    torch.nn.CrossEntropyLoss()(z, soft).backward()
    assert z.grad is not None and z.grad.dtype == z.dtype and z.grad.isfinite().all()


def test_label_smoothing_of_the_loss_or_of_the_labels_but_not_of_both() -> None:
    soft, z = mixed(), logits()
    by_loss = torch.nn.CrossEntropyLoss(label_smoothing=0.1)(z, soft)
    assert torch.allclose(by_loss, functional.cross_entropy(z, soft.smoothed(0.1)), atol=1e-6)
    with pytest.raises(ValueError, match=r"already smoothed by 0\.1, and the loss would smooth them again"):
        functional.cross_entropy(z, soft.smoothed(0.1), label_smoothing=0.1)
    weight = torch.tensor([1.0, 2.0, 3.0])
    weighted = functional.cross_entropy(z, soft, weight=weight)
    assert torch.allclose(weighted, functional.cross_entropy(z, soft.dense(3), weight=weight))


@pytest.mark.parametrize("kind", ["float32", "bfloat16"])
def test_other_losses_that_are_linear_in_the_target(kind: str) -> None:
    soft, z = mixed(), logits(3, getattr(torch, kind))
    own, partners, weights = soft.pairs()
    found = functional.binary_cross_entropy_with_logits(z, soft, reduction="none")
    hot = [functional.one_hot(ids, 3).float() for ids in (own, partners)]
    each = [functional.binary_cross_entropy_with_logits(z.float(), one, reduction="none") for one in hot]
    wanted = weights[:, None] * each[0] + (1 - weights[:, None]) * each[1]
    assert torch.allclose(found.float(), wanted, atol=1e-6 if kind == "float32" else 2e-2)
    torch.nn.BCEWithLogitsLoss()(z, mixed(hot[0])).backward()
    if kind == "float32":
        assert torch.equal(functional.mse_loss(z, soft), functional.mse_loss(z, soft.dense(3)))
        log, chances, dense = z.log_softmax(1), z.sigmoid(), soft.dense(3)
        assert torch.equal(
            torch.nn.KLDivLoss(reduction="sum")(log, soft), functional.kl_div(log, dense, reduction="sum")
        )
        found = functional.binary_cross_entropy(chances, soft)
        assert torch.equal(found, functional.binary_cross_entropy(chances, dense))


def test_under_autocast_and_compile() -> None:
    soft, z = mixed(), logits()
    wanted = functional.cross_entropy(z, soft)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.allclose(functional.cross_entropy(z.bfloat16(), soft).float(), wanted, atol=2e-2)
    for labels in (soft, mixed(classes=3), mixed(functional.one_hot(soft.labels, 3).float())):
        torch._dynamo.reset()
        compiled = torch.compile(lambda z, y: functional.cross_entropy(z, y), backend="eager", fullgraph=True)
        assert torch.equal(compiled(z, labels), wanted)
        dense = torch.compile(lambda labels: labels.dense(3), backend="eager", fullgraph=True)
        assert torch.equal(dense(labels), soft.dense(3))


def test_a_matrix_is_made_without_looking_at_numbers_where_the_classes_are_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a device a look at a number waits for all that was asked of it before."""
    soft = mixed(classes=3)

    def waited(self: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr(torch.Tensor, "item", waited)
    assert soft.dense(3).shape == (4, 3)


def test_tensors_of_a_mixture_are_checked_as_lists_are() -> None:
    ids, sources = torch.tensor([0, 1]), torch.tensor([[0, 1], [1, 0]])
    with pytest.raises(ValueError, match="the weights of each image are 0 or more and sum to 1"):
        SoftLabels(ids, sources, torch.tensor([[0.7, 0.7], [1.0, 0.0]], dtype=torch.bfloat16))
    with pytest.raises(ValueError, match="sources are positions in a batch of 2, got 0 to 2"):
        SoftLabels(ids, sources * 2, torch.full((2, 2), 0.5))


def test_a_comparison_with_predictions_is_refused_with_what_to_do() -> None:
    for compare in (lambda: logits().argmax(1) == mixed(), lambda: mixed() == logits().argmax(1)):
        with pytest.raises(TypeError, match=r"labels.expected_accuracy\(predictions\)"):
            compare()
    assert mixed().expected_accuracy([2, 0, 1, 0]) == mixed().expected_accuracy(torch.tensor([2, 0, 1, 0]))


def test_an_untrained_model_still_starts_at_log_c() -> None:
    assert torch.isclose(functional.cross_entropy(torch.zeros(4, 7), mixed()), torch.tensor(7.0).log())


def test_calls_of_torch_that_make_no_sense() -> None:
    soft, z = mixed(classes=3), logits()
    with pytest.raises(TypeError, match=r"torch.nll_loss takes no SoftLabels: give it labels.dense\(\)"):
        functional.nll_loss(z, soft)
    with pytest.raises(TypeError, match=r"torch\.add takes no SoftLabels"):
        torch.add(z, soft)
    with pytest.raises(ValueError, match="have 3 classes, and 4 were asked for"):
        functional.cross_entropy(logits(4), soft)
    with pytest.raises(ValueError, match=r"cross_entropy of 4 soft labels takes N x C numbers, got \(3, 3\)"):
        functional.cross_entropy(z[:3], soft)
    with pytest.raises(ValueError, match=r"got \(4, 3, 2\)"):
        functional.cross_entropy(z[:, :, None].expand(4, 3, 2), soft)


def test_labels_in_arrays_go_to_the_device_of_the_logits() -> None:
    arrays = SoftLabels(np.array([2, 0, 1, 2]), mixed().sources.numpy(), mixed().weights.numpy())
    assert torch.equal(functional.cross_entropy(logits(), arrays), functional.cross_entropy(logits(), mixed()))
    assert arrays.expected_accuracy(logits()) == mixed().expected_accuracy(logits())


def test_they_move_and_pickle() -> None:
    soft = mixed(classes=3)
    assert soft.to("cpu") == soft == copy.deepcopy(soft) == pickle.loads(pickle.dumps(soft))
    assert soft.smoothed(0.1).to("cpu", non_blocking=True).smoothing == 0.1
    meta = soft.to("meta")
    assert meta.labels.device.type == meta.weights.device.type == meta.sources.device.type == "meta"
    arrays = SoftLabels(soft.labels.numpy(), soft.sources.numpy(), soft.weights.numpy(), 3)
    assert arrays.to("cpu") == soft and arrays != soft
    lists = pipeline("mixup").batch(photos(3), [0, 1, 2], batch=0)[1]
    assert torch.is_tensor(lists.labels)


def test_a_loader_can_pin_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """What DataLoader does with a batch; the tensors' own method is taken for done, as there is no device here."""
    from torch.utils.data._utils.pin_memory import pin_memory

    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self, device=None: self.clone())
    soft = mixed()
    pinned = pin_memory({"label": soft})["label"]
    assert pinned == soft and pinned is not soft and pinned.labels.data_ptr() != soft.labels.data_ptr()
