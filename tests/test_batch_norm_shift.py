"""How far the statistics of batch norm are from those of images, and new ones from a pipeline's images."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import augreg
from augreg.expectation.batch_norm.channel_moments import RunningMoments
from augreg.expectation.batch_norm.shift import batch_norm_shift, recalibrate_batch_norm

IMAGES = [np.full((8, 8, 3), value, np.uint8) for value in (0, 51, 102, 255)]
HALF = {"mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]}
PLAIN = augreg.Pipeline.from_spec([{"normalize": HALF}])


def norm(mean: float = 0.0, variance: float = 1.0, channels: int = 3) -> Any:
    layer = nn.BatchNorm2d(channels, eps=1e-12)
    layer.running_mean.fill_(mean)
    layer.running_var.fill_(variance)
    return layer


def test_shift_and_ratio_of_a_layer_by_hand() -> None:
    x = torch.tensor([[0.0, 2.0], [4.0, 6.0]]).reshape(2, 1, 2, 1)  # mean 3, variance 5, means of the images 1 and 5
    (layer,) = batch_norm_shift(nn.Sequential(norm(1.0, 4.0, 1)), x)
    assert (layer.name, layer.channels, layer.is_off) == ("0", 1, False)  # of two images it may be chance
    assert layer.shift == layer.largest == pytest.approx((3 - 1) / 2)
    assert layer.ratio == layer.least_ratio == layer.largest_ratio == pytest.approx(5 / 4)
    assert layer.chance == pytest.approx(math.sqrt(8 / 2) / 2)  # of two images: the variance of 1 and 5 is 8
    # squares around 1: 1, 1 and 9, 25, so 1 and 17 in the images: mean 9, variance 128
    assert layer.chance_ratio == pytest.approx(math.exp(math.sqrt(128 / 2) / 9))


def test_the_epsilon_of_the_layer_counts() -> None:
    x = torch.tensor([0.0, 2.0, 4.0, 6.0]).reshape(4, 1)
    layer = nn.BatchNorm1d(1, eps=1.0)
    (found,) = batch_norm_shift(nn.Sequential(layer), x)
    assert (found.shift, found.ratio) == (pytest.approx(3 / 2**0.5), pytest.approx((5 + 1) / (1 + 1)))


def test_channels_are_summed_up() -> None:
    x = torch.tensor([[-1.0, 3.0], [1.0, 7.0]]).reshape(2, 2, 1)  # means 0 and 5, variances 1 and 4
    (layer,) = batch_norm_shift(nn.Sequential(nn.BatchNorm1d(2, eps=1e-12)), x)
    assert layer.shift == pytest.approx(math.sqrt((0 + 25) / 2)) and layer.largest == pytest.approx(5.0)
    assert layer.ratio == pytest.approx(2.0)
    assert (layer.least_ratio, layer.largest_ratio) == (pytest.approx(1.0), pytest.approx(4.0))


def test_what_is_right_is_not_off_and_a_few_images_alone_prove_nothing() -> None:
    torch.manual_seed(0)
    right = batch_norm_shift(nn.Sequential(norm()), torch.randn(64, 3, 8, 8))
    assert right.off == () and right["0"].shift < 0.1 and right.images == 64
    wrong = batch_norm_shift(nn.Sequential(norm(0.3)), torch.randn(64, 3, 8, 8))
    assert wrong.off == ("0",) and wrong["0"].shift == pytest.approx(0.3, abs=0.05)
    wide = batch_norm_shift(nn.Sequential(norm(0.0, 1.5)), torch.randn(64, 3, 8, 8))
    assert wide.off == ("0",) and wide["0"].ratio == pytest.approx(1 / 1.5, abs=0.05)
    few = torch.randn(4, 3, 1, 1).expand(4, 3, 8, 8)  # one number for each image and channel
    (layer,) = batch_norm_shift(nn.Sequential(norm(0.0, float(few.var(correction=0)))), few)
    assert layer.shift > 0.1 and layer.chance > layer.shift and not layer.is_off
    small = nn.Sequential(norm(0.0, 1.5 * float(few.var(correction=0))))
    assert batch_norm_shift(small, few)["0"].ratio < 1 / 1.25 and not batch_norm_shift(small, few).off
    (alone,) = batch_norm_shift(small, few[:1])
    assert alone.chance == math.inf and not alone.is_off


@pytest.mark.parametrize("sizes", [(10,), (1, 9), (4, 6), (3, 3, 3, 1)])
def test_moments_do_not_depend_on_how_rows_are_split(sizes: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    rows = 1e4 + torch.rand(10, 3, dtype=torch.float64)
    moments = RunningMoments()
    for part in rows.split(list(sizes)):
        moments.add(part)
    assert torch.allclose(moments.mean, rows.mean(0), rtol=1e-12)
    assert torch.allclose(moments.variance, rows.var(0, correction=0), rtol=1e-9)
    assert torch.allclose(moments.error, rows.std(0) / 10**0.5, rtol=1e-9)


def test_the_model_is_evaluated_and_stays_as_it_is() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Dropout(0.5), norm(0.25, 2.0), nn.ReLU(), norm(0.5, 3.0))
    state = {name: value.clone() for name, value in net.state_dict().items()}
    x = torch.rand(6, 3, 4, 4)
    table = batch_norm_shift(net, [(x[:2], 0), {"image": x[2:]}])
    inner = ((x - 0.25) / 2.0**0.5).relu()  # without dropout, by the running statistics
    expected = (inner.mean((0, 2, 3)) - 0.5) / 3.0**0.5
    assert table["3"].largest == pytest.approx(float(expected.abs().max()), rel=1e-5)
    assert [layer.name for layer in table] == ["1", "3"] and table.images == 6
    assert net[1].training and all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    assert not net[1]._forward_pre_hooks
    assert "2 of 2 layers are off, by the statistics of 6 images" in str(table)
    assert table.as_dict()["layers"][0]["name"] == "1" and "variance ratio" in table._repr_html_()


def test_models_without_batch_norm_have_an_empty_table() -> None:
    table = batch_norm_shift(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2, track_running_stats=False)), None)
    assert len(table) == 0 and "no batch norm layer with running statistics" in str(table)


@pytest.mark.parametrize("side", ["train", "test", "views"])
def test_a_pipeline_makes_the_images(side: Any) -> None:
    if side == "views" and not hasattr(PLAIN, "views"):
        pytest.skip("this pipeline has no views")
    spec = [{"horizontal_flip": {"p": 0.5}}, {"normalize": HALF}]
    pipe = augreg.Pipeline.from_spec(spec)
    half = np.zeros((4, 8, 3), np.uint8)
    half[:, :4] = 255
    table = batch_norm_shift(nn.Sequential(norm()), [(half, 1), (IMAGES[0][:4], 0)], pipe, side=side, views=2)
    assert table["0"].largest == pytest.approx(0.25) and table["0"].ratio == pytest.approx(0.1875)
    assert table.images == (4 if side == "views" else 2)


def test_views_count_by_their_weights() -> None:
    pipe = augreg.Pipeline.from_spec([{"invert": {"p": 0.25}}, {"normalize": HALF}])
    table = batch_norm_shift(nn.Sequential(norm()), IMAGES[:1], pipe, side="views", views=4)
    assert table["0"].shift == pytest.approx(0.25) and table.images == 4


def test_training_images_are_drawn_and_mixed() -> None:
    spec = {
        "image": [{"brightness": {"factor": [0.5, 0.5]}}, {"normalize": HALF}],
        "batch": [{"mixup": {"alpha": 1000.0}}],  # half and half
    }
    pipe = augreg.Pipeline.from_spec(spec)
    images = [{"image": each} for each in IMAGES[::3] * 8]
    train = batch_norm_shift(nn.Sequential(norm()), images, pipe, side="train", batch_size=16)
    test = batch_norm_shift(nn.Sequential(norm()), images, pipe, side="test")
    assert test["0"].largest == pytest.approx(train["0"].largest)
    assert test["0"].ratio == pytest.approx(0.25**2 * (128 / 127.5) ** 2, rel=0.02)
    assert train["0"].ratio < 0.75 * test["0"].ratio  # mixed images differ less


def test_recalibrated_statistics_are_those_of_the_images() -> None:
    net = nn.Sequential(norm(0.7, 5.0), nn.Dropout(0.5))
    net[1].eval()
    recalibrate_batch_norm(net, IMAGES, PLAIN, side="test", batch_size=4)
    assert torch.allclose(net[0].running_mean, torch.full((3,), 0.4))
    values = np.repeat([0.0, 0.2, 0.4, 1.0], 64)
    assert torch.allclose(net[0].running_var, torch.full((3,), float(values.var(ddof=1))))
    assert batch_norm_shift(net, IMAGES, PLAIN)["0"].shift < 1e-6
    assert net[0].training and not net[1].training


def test_batches_of_the_model_need_no_pipeline_and_have_its_dtype() -> None:
    net = nn.Sequential(nn.Conv2d(3, 3, 1), norm()).double()
    recalibrate_batch_norm(net, torch.rand(8, 3, 4, 4))
    assert batch_norm_shift(net, [torch.rand(8, 3, 4, 4)]).images == 8


def test_images_of_several_sizes_are_batched_by_size() -> None:
    images = [IMAGES[0], IMAGES[3], IMAGES[3][:4], IMAGES[3][:4]]
    assert batch_norm_shift(nn.Sequential(norm()), images, PLAIN)["0"].largest == pytest.approx(2 / 3)


def test_what_is_no_input_of_a_model_is_refused() -> None:
    net = nn.Sequential(norm())
    raw = augreg.Pipeline.from_spec(["horizontal_flip"])
    with pytest.raises(TypeError, match=r"returns uint8 of shape \(8, 8, 3\).*let it end with normalize"):
        batch_norm_shift(net, IMAGES, raw)
    with pytest.raises(TypeError, match="tensors or with a tensor in them, got a ndarray; give the pipeline, too"):
        batch_norm_shift(net, IMAGES)
    with pytest.raises(ValueError, match="there are no images"):
        batch_norm_shift(net, [], PLAIN)
    with pytest.raises(ValueError, match="no batches"):
        recalibrate_batch_norm(net, [], PLAIN)
    with pytest.raises(ValueError, match="side must be 'train', 'test' or 'views', got 'valid'"):
        recalibrate_batch_norm(net, IMAGES, PLAIN, side="valid")  # type: ignore[arg-type]
