"""expect over image views: exact and drawn ones, alone and with the noise of the model, and dense predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import augreg

NORMALIZE = {"normalize": {"mean": [0.5] * 3, "std": [0.25] * 3}}


def pipeline(*steps: Any, **options: Any) -> augreg.Pipeline:
    return augreg.Pipeline.from_spec({"image": [*steps, NORMALIZE], **options})


def image(seed: int, side: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def network(*noise: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), *noise, nn.Linear(144, 3))


def as_input(pipe: augreg.Pipeline, one: Any) -> Tensor:
    return torch.from_numpy(np.asarray(pipe.test(one)))


@torch.no_grad()
def mean_of(model: nn.Module, inputs: list[Tensor]) -> np.ndarray:
    outputs = model.eval()(torch.stack(inputs)).double()
    return outputs.softmax(1).mean(0).numpy()


def test_a_flip_is_the_mean_of_two() -> None:
    pipe, model = pipeline("horizontal_flip"), network()
    p = augreg.expect(model, pipe, over="image")([image(0), Image.fromarray(image(1))])
    for number in range(2):
        x = as_input(pipe, image(number))
        assert p.mean[number].numpy() == pytest.approx(mean_of(model, [x, x.flip(-1)]), abs=1e-7)
    assert not p.standard_error.any() and p.samples.tolist() == [2, 2]
    assert p.report.exact_views and "2 exact views" in str(p)


def test_weights_of_views_count() -> None:
    pipe, model = pipeline({"horizontal_flip": {"p": 0.25}}), network()
    x = as_input(pipe, image(0))
    p = augreg.expect(model, pipe, over="image", space="value")(image(0))
    with torch.no_grad():
        one, other = model(x[None])[0].double(), model(x.flip(-1)[None])[0].double()
    assert torch.allclose(p.mean[0], 0.75 * one + 0.25 * other, atol=1e-6)


def test_a_model_is_invariant_under_the_group_that_it_is_averaged_over() -> None:
    model = network()
    p = augreg.expect(model, pipeline("d4"), over="image")([image(0), np.rot90(image(0)).copy()])
    assert p.samples.tolist() == [8, 8]
    assert torch.allclose(p.mean[0], p.mean[1], rtol=0, atol=1e-6)


def test_fewer_views_than_there_are_is_said() -> None:
    p = augreg.expect(network(), pipeline("d4"), over="image", views=3)(image(0))
    assert p.samples.tolist() == [3] and not p.report.exact_views
    assert "3 fixed views" in str(p) and "approximate the expectation" in str(p)


def test_a_single_view_is_the_test_image() -> None:
    turned = {"one_of": [{"horizontal_flip": {"p": 1.0}}, {"vertical_flip": {"p": 1.0}}]}  # never the image itself
    pipe, model = pipeline(turned), network()
    x = as_input(pipe, image(0))
    one = augreg.expect(model, pipe, over="image", views=1)(image(0))
    assert one.mean[0].numpy() == pytest.approx(mean_of(model, [x]), abs=1e-7)
    all_of_them = augreg.expect(model, pipe, over="image")(image(0))
    assert all_of_them.samples.tolist() == [2] and all_of_them.report.exact_views
    assert all_of_them.mean[0].numpy() == pytest.approx(mean_of(model, [x.flip(-1), x.flip(-2)]), abs=1e-7)


def test_images_may_be_a_batch_a_list_or_one() -> None:
    pipe = pipeline("horizontal_flip")
    e = augreg.expect(network(), pipe, over="image")
    batch = np.stack([image(0), image(1)])
    expected = e([image(0), image(1)]).mean
    assert torch.equal(e(batch).mean, expected)
    assert torch.equal(e(torch.from_numpy(batch).permute(0, 3, 1, 2)).mean, expected)
    assert torch.equal(e({"image": image(1)}).mean[0], expected[1])
    with pytest.raises(TypeError, match="one argument"):
        e(image(0), image(1))
    with pytest.raises(ValueError, match="there are 2, got 1"):
        e(batch, index=[3])
    with pytest.raises(ValueError, match="at least one image"):
        e([])


def test_views_are_the_same_alone_and_in_a_batch() -> None:
    pipe = pipeline({"rotate": {"degrees": [-20, 20]}})
    e = augreg.expect(network(), pipe, over="image", samples=8)
    together = e([image(0), image(1), image(2)], index=[7, "a", 9])
    assert torch.allclose(e(image(1), index="a").mean[0], together.mean[1], rtol=0, atol=1e-7)
    assert not torch.allclose(e(image(1), index=7).mean[0], together.mean[1], rtol=0, atol=1e-5)
    assert torch.equal(e(image(1)).mean, e(image(1), index=np.int64(0)).mean)


def test_drawn_views_are_those_of_the_pipeline_without_the_test_image() -> None:
    pipe, model = pipeline({"rotate": {"degrees": [-20, 20]}}), network()
    p = augreg.expect(model, pipe, over="image", samples=4)(image(0), index=3)
    views = pipe.views(image(0), 5, index=3)
    drawn = [torch.from_numpy(view.image) for view in views if view.drawn]
    assert len(drawn) == 4
    assert p.mean[0].numpy() == pytest.approx(mean_of(model, drawn), abs=1e-7)
    assert p.report.drawn_views and "drawn views" in str(p)


class Squares(nn.Module):
    """The mean of the squared pixel values: a prediction whose expectation over brightness is known."""

    def forward(self, x: Tensor) -> Tensor:
        return x.square().mean((1, 2, 3))[:, None]


def test_intervals_over_drawn_views_cover_the_truth() -> None:
    pipe = augreg.Pipeline.from_spec(
        {"image": [{"brightness": [0.5, 1.0]}, {"normalize": {"mean": [0.0] * 3, "std": [1.0] * 3}}]}
    )
    one = np.ones((1, 1, 3), np.float32)  # no rounding
    e = augreg.expect(Squares(), pipe, over="image", space="value", samples=16)
    p = e([one] * 100, index=range(100))
    truth = (1 - 0.5**3) / 3 / 0.5  # the mean of b^2 for b uniform in [0.5, 1]
    low, high = p.interval()
    assert ((low <= truth) & (truth <= high)).double().mean() >= 0.95
    assert p.mean.mean().item() == pytest.approx(truth, abs=0.001)
    spread, error = p.mean.std(), p.standard_error.mean()
    assert spread < error / 2  # points that cover the range evenly do better than independent draws
    assert error.item() == pytest.approx(np.sqrt(((1 - 0.5**5) / 5 / 0.5 - truth**2) / 16), rel=0.1)


def test_views_with_noise_of_the_model_are_strata() -> None:
    """Two views that differ much: the error is that of the noise at each, and views add nothing to it."""
    model = network(nn.Dropout(0.5))
    p = augreg.expect(model, pipeline("horizontal_flip"), samples=16, space="value")([image(0)] * 300)
    assert p.samples.tolist() == [16] * 300 and p.observations.tolist() == [8] * 300
    error = p.standard_error.square().mean(0).sqrt()
    assert error.numpy() == pytest.approx(p.mean.std(0).numpy(), rel=0.15)


def test_several_masks_for_each_drawn_view() -> None:
    """The views are the observations: the error is honest although masks share a view."""
    model = network(nn.Dropout(0.1))
    pipe = pipeline({"brightness": [0.1, 2.0]})
    p = augreg.expect(model, pipe, samples=16, views=4, space="value")([image(0)] * 60, index=range(60))
    assert p.samples.tolist() == [16] * 60 and p.observations.tolist() == [4] * 60
    assert p.report.forwards == 960
    same_views = augreg.expect(model, pipe, over="image", samples=16, views=4, space="value")
    without = same_views([image(0)] * 60, index=range(60))  # the layer behind the dropout is linear
    assert torch.allclose(p.mean.mean(0), without.mean.mean(0), atol=0.02)
    assert without.samples.tolist() == [4] * 60  # more masks would be the same
    assert (p.standard_error.square().mean(0).sqrt() > 0.8 * p.mean.std(0)).all()
    with pytest.raises(ValueError, match="leave views= out"):
        augreg.expect(model, pipe, views=4, until=0.1)(image(0))
    with pytest.raises(ValueError, match="views=2 or more"):
        augreg.expect(model, pipe, views=1)(image(0))


def test_until_draws_further_views() -> None:
    pipe = pipeline({"brightness": [0.1, 2.0]})
    e = augreg.expect(network(), pipe, over="image", space="value", until=0.02, max_samples=64)
    p = e([image(0), np.zeros((8, 8, 3), np.uint8)])
    assert p.samples.tolist() == [64, 32] and p.report.reached is False


def test_the_test_image_alone() -> None:
    pipe, model = pipeline({"rotate": {"degrees": [-20, 20]}}), network()
    p = augreg.expect(model, pipe, over="model")([image(0)])
    assert p.mean[0].numpy() == pytest.approx(mean_of(model, [as_input(pipe, image(0))]), abs=1e-7)


class Pixelwise(nn.Module):
    """A dense model that does the same at every pixel."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Conv2d(3, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


@pytest.mark.parametrize("space", ["probability", "logit"])
def test_maps_of_an_equivariant_model_come_back(space: Any) -> None:
    pipe, model = pipeline("d4"), Pixelwise()
    p = augreg.expect(model, pipe, over="image", space=space)([image(0), image(1)])
    with torch.no_grad():
        logits = model(torch.stack([as_input(pipe, image(0)), as_input(pipe, image(1))]))
    expected = logits if space == "logit" else logits.softmax(1)
    assert torch.allclose(p.mean, expected, atol=1e-6)
    assert p.entropy is not None and p.mutual_information is not None
    assert p.entropy.shape == (2, 8, 8)
    assert torch.allclose(p.entropy, torch.special.entr(logits.softmax(1)).sum(1), atol=1e-5)
    assert p.mutual_information.max() < 1e-5


def test_maps_with_noise_have_the_error_of_each_pixel() -> None:
    model = nn.Sequential(Pixelwise(), nn.Dropout(0.5))
    e = augreg.expect(model, pipeline("horizontal_flip"), samples=16, space="value")
    p = e([image(0)] * 60)
    error = p.standard_error.square().mean(0).sqrt()
    assert error.numpy() == pytest.approx(p.mean.std(0).numpy(), rel=0.5)
    assert error.mean().item() == pytest.approx(p.mean.std(0).mean().item(), rel=0.05)


def test_pixels_count_for_the_views_that_show_them() -> None:
    pipe, model = pipeline({"random_crop": {"size": 6}}), Pixelwise()
    p = augreg.expect(model, pipe, over="image", frame="image")(image(0))
    whole = pipeline()
    with torch.no_grad():
        expected = model(as_input(whole, image(0))[None]).softmax(1)
    assert p.mean.shape == (1, 4, 8, 8)
    assert torch.allclose(p.mean, expected, atol=1e-6)
    inner = augreg.expect(model, pipe, over="image")(image(0))  # in the frame of the test image
    assert torch.allclose(inner.mean, expected[:, :, 1:7, 1:7], atol=1e-6)


def test_pixels_that_no_view_shows_are_nan() -> None:
    pipe = pipeline({"center_crop": {"size": 6}})
    p = augreg.expect(Pixelwise(), pipe, over="image", frame="image")(image(0))
    assert p.mean[0, 0].isnan().sum() == 64 - 36
    assert "nan" not in str(p)


def test_left_and_right_are_exchanged_in_mirrored_views() -> None:
    class Sides(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([x[..., :4].mean((1, 2, 3)), x[..., 4:].mean((1, 2, 3))], 1)

    targets = {"classes": ["left", "right"], "swap": {"left": "right"}}
    pipe = pipeline("horizontal_flip", targets=targets)
    p = augreg.expect(Sides(), pipe, over="image", space="value")(image(0))
    expected = Sides()(as_input(pipe, image(0))[None]).double()
    assert torch.allclose(p.mean, expected, atol=1e-6)


def test_images_with_other_numbers_of_views_keep_their_places() -> None:
    pipe, model = pipeline("rot90"), nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 3))
    wide = image(3)[:4]
    e = augreg.expect(model, pipe, over="image")
    with pytest.raises(ValueError, match="views differ in size"):
        e([image(0), wide])
    cropped = pipeline({"center_crop": {"size": 4}})
    with pytest.raises(ValueError, match=r"several sizes in the frame \(8x8, 4x8\)"):
        augreg.expect(Pixelwise(), cropped, over="image", frame="image")([image(0), wide])
    square = e([image(0), image(1)])
    assert torch.allclose(e([image(1), image(0)]).mean.flip(0), square.mean)


def test_images_with_more_views_than_others_are_in_order() -> None:
    pipe = pipeline({"random_crop": {"size": 6}})  # one of nine places, or the whole image
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(108, 3))
    given = [image(0), image(1, side=6), image(2), image(3), image(4, side=6)]
    e = augreg.expect(model, pipe, over="image")
    p = e(given)
    assert p.samples.tolist() == [9, 1, 9, 9, 1]
    for number, one in enumerate(given):
        assert torch.allclose(p.mean[number], e(one).mean[0], atol=1e-7)
    assert p.report.forwards == 29 and p.report.views == 9
    reached = augreg.expect(model, pipe, until=0.02, space="value", max_samples=200)(given)
    assert reached.report.reached is False


def test_what_a_pipeline_must_give() -> None:
    pipe = augreg.Pipeline(["horizontal_flip"])
    with pytest.raises(ValueError, match="add a step `normalize`"):
        augreg.expect(network(), pipe, over="image")(image(0))
    with pytest.raises(ValueError, match="needs the pipeline"):
        augreg.expect(network(), over="image")
    with pytest.raises(TypeError, match="expected a Pipeline"):
        augreg.expect(network(), pipe.test)
    with pytest.raises(TypeError, match="none"):
        augreg.expect(network())(torch.zeros(1, 3, 8, 8), index=3)
    with pytest.raises(ValueError, match="samples=16 or more"):
        augreg.expect(network(nn.Dropout(0.5)), pipeline("d4"), samples=10, views=8)(image(0))


def test_half_precision_models_get_half_precision_images() -> None:
    pipe, model = pipeline("horizontal_flip"), network()
    expected = augreg.expect(model, pipe, over="image")(image(0)).mean
    p = augreg.expect(model.bfloat16(), pipe, over="image")(image(0))
    assert p.mean.dtype == torch.float64
    assert torch.allclose(p.mean, expected, atol=0.02)
