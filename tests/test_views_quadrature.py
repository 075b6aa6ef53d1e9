"""Quadrature nodes: the crops that are declared, and the results of draws that are enumerated."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest
from images import made
from PIL import Image

from augreg import Pipeline, Registry, SpecError, Step, ops, transform
from augreg.ops import Scene
from augreg.steps.enumeration import weighted_outcomes
from augreg.testing import check_transform, image_transforms
from augreg.testing.step_under_test import step_under_test
from augreg.transforms.choose import OneOf, RandomOrder, SomeOf
from augreg.transforms.color import Brightness, Invert
from augreg.transforms.geometry import RandomCrop, RandomResizedCrop, VerticalFlip
from augreg.transforms.symmetries import D4

SCENE = Scene(20, 30)
IMAGE = made("noise", 20, 30)


def resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))


def corners(image: np.ndarray, height: int, width: int) -> list[np.ndarray]:
    return [image[:height, :width], image[:height, -width:], image[-height:, :width], image[-height:, -width:]]


def test_five_crops_of_random_crop() -> None:
    pipe = Pipeline([{"random_crop": {"size": [12, 16], "padding": 2, "fill": 9}}])
    views = pipe.views(IMAGE, 30)
    padded = np.pad(IMAGE, ((2, 2), (2, 2), (0, 0)), constant_values=9)
    wanted = [IMAGE[4:16, 7:23], *corners(padded, 12, 16)]
    assert len(views) == 5 and not views.exact and np.allclose(views.weights, 0.2)
    assert all(np.array_equal(view.image, one) for view, one in zip(views, wanted, strict=True))


def test_ten_crops() -> None:
    pipe = Pipeline([{"random_resized_crop": {"size": 10, "crop": 0.8}}, "horizontal_flip"], backend="pillow")
    views = pipe.views(IMAGE, 10)
    # the smallest image that covers 10 / 0.8 in both directions has 12.5 rows, which are rounded half to even
    smaller = resized(IMAGE, 12, 19)
    five = [smaller[1:11, 4:14], *corners(smaller, 10, 10)]
    wanted = [one for crop in five for one in (crop, crop[:, ::-1])]
    assert not views.exact and np.allclose(views.weights, 0.1)
    assert all(np.array_equal(view.image, one) for view, one in zip(views, wanted, strict=True))


def test_a_ladder_of_scales() -> None:
    pipe = Pipeline(
        [{"random_resized_crop": {"size": 10, "scale": [0.1, 0.5], "ratio": [0.5, 2.0]}}], backend="pillow"
    )
    views = pipe.views(IMAGE, 40)
    # Gauss-Legendre on [0.1, 0.5]: 0.3 -+ 0.2 sqrt(0.6) = 0.14508 and 0.45492 of 600 pixels: squares of 9 and 17
    assert len(views) == 15 and np.allclose(views.weights, [4 / 45] * 5 + [1 / 18] * 10)
    small = [IMAGE[6:15, 10:19], *corners(IMAGE, 9, 9)]
    large = [IMAGE[2:19, 6:23], *corners(IMAGE, 17, 17)]
    wanted = {resized(np.ascontiguousarray(box), 10, 10).tobytes() for box in (*small, *large)}
    assert {view.image.tobytes() for view in views[5:]} == wanted and len(wanted) == 10


def test_the_nodes_of_the_scale_have_the_moments_of_its_distribution() -> None:
    """Areas are uniform: the three-point rule is exact for polynomials of degree 5; here for the outer two."""
    crop = RandomResizedCrop(8, scale=(0.2, 0.6), ratio=(1.0, 1.0))
    nodes = list(crop.quadrature(Scene(1000, 1000)))
    areas = [parts[0].height * parts[0].width / 1e6 for _, parts in nodes[5:]]
    weights = np.array([weight for weight, _ in nodes[5:]])
    for power in (1, 2, 3, 4, 5):
        exact = (0.6 ** (power + 1) - 0.2 ** (power + 1)) / (power + 1) / 0.4
        found = float(weights @ np.power(areas, power)) + 4 / 9 * 0.4**power
        assert found == pytest.approx(exact, rel=2e-3), power


def test_few_positions_are_enumerated_and_exact() -> None:
    views = Pipeline([{"random_crop": [19, 27]}]).views(IMAGE, 30)
    wanted = {IMAGE[top : top + 19, left : left + 27].tobytes() for top in range(2) for left in range(4)}
    assert views.exact and len(views) == 8 and {view.image.tobytes() for view in views} == wanted
    assert np.allclose(views.weights, 1 / 8)


def test_crop_or_pad_at_the_corners() -> None:
    views = Pipeline([{"crop_or_pad": {"size": [10, 40], "position": "random", "fill": 5}}]).views(IMAGE, 9)
    wide = [np.pad(IMAGE, ((0, 0), (before, 10 - before), (0, 0)), constant_values=5) for before in (5, 0, 10)]
    wanted = [wide[0][5:15], wide[1][:10], wide[2][:10], wide[1][10:], wide[2][10:]]
    assert len(views) == 5 and all(np.array_equal(view.image, one) for view, one in zip(views, wanted, strict=True))


def test_crops_that_keep_boxes_have_no_nodes_that_cut_them() -> None:
    pipe = Pipeline([{"safe_crop": 8}], targets={"boxes": "xyxy"})
    sample = {"image": IMAGE, "boxes": np.array([[2.0, 3.0, 28.0, 18.0]])}
    for view in pipe.views(sample, 12)[1:]:
        assert view.drawn and len(view.image["boxes"]) == 1
        x0, y0, x1, y1 = view.image["boxes"][0]
        assert (
            view.plan.ops[0].left <= 2 and view.plan.ops[0].top <= 3 and x0 >= 0 and y0 >= 0 and x1 <= 8 and y1 <= 8
        )
    assert not any(view.drawn for view in pipe.views(IMAGE, 12))


@pytest.mark.parametrize(
    ("container", "wanted"),
    [
        (OneOf([Invert(), VerticalFlip(), Brightness(1)], weights=[1, 0, 3]), {"i": 0.25, "b": 0.75}),
        (SomeOf([Invert(), VerticalFlip(), Brightness(1)], count=2), {"iv": 1 / 3, "ib": 1 / 3, "vb": 1 / 3}),
        (SomeOf([Invert(), VerticalFlip()], count=(0, 2)), {"": 1 / 3, "i": 1 / 6, "v": 1 / 6, "iv": 1 / 3}),
        (RandomOrder([Invert(), Brightness(1)]), {"ib": 0.5, "bi": 0.5}),
    ],
)
def test_results_of_containers_and_their_probabilities(container: object, wanted: dict[str, float]) -> None:
    found: dict[str, float] = {}
    for probability, steps in weighted_outcomes(container, SCENE, 16):
        key = "".join(step.name[0] for step in steps)
        assert key not in found
        found[key] = probability
    assert found == pytest.approx(wanted)


def test_continuous_and_large_draws_are_not_enumerated() -> None:
    assert weighted_outcomes(Brightness((0.5, 1.0)), SCENE, 16) is None
    assert len(weighted_outcomes(Brightness((0.5, 0.5)), SCENE, 16)) == 1
    assert len(weighted_outcomes(D4(), SCENE, 8)) == 8 and weighted_outcomes(D4(), SCENE, 7) is None
    assert weighted_outcomes(RandomCrop(8), SCENE, 16) is None
    many = RandomOrder([Invert() for _ in range(6)])
    assert weighted_outcomes(many, SCENE, 16) is None


@transform("toss", kind="color")
class Toss:
    """Draw from a sign, a coin and a permutation, in this order."""

    def sample(self, rng, scene):
        sign, coin, order = rng.sign(), rng.bernoulli(0.2), rng.permutation(3)
        return ops.point_function("brightness", 1 + 0.1 * sign + 0.2 * coin + 0.01 * order[0])


def test_every_discrete_draw_is_enumerated() -> None:
    found = weighted_outcomes(Toss(), SCENE, 16)
    probabilities = {str(result): probability for probability, (result,) in found}
    wanted: dict[str, float] = {}
    for sign, (coin, p), first in itertools.product((-1, 1), ((0, 0.8), (1, 0.2)), range(3)):
        op = str(ops.point_function("brightness", 1 + 0.1 * sign + 0.2 * coin + 0.01 * first))
        wanted[op] = wanted.get(op, 0.0) + 0.5 * p / 3
    assert probabilities == pytest.approx(wanted) and len(found) == len(wanted)


@transform("tosses", kind="color")
class Tosses:
    """Draw in a way that has too many results, or only one."""

    how: str = "many"

    def sample(self, rng, scene):
        match self.how:
            case "many":
                rng.integers(1 << 20)
            case "until":
                while not rng.bernoulli(0.5):
                    pass
            case "one":
                for _ in range(40):
                    assert rng.choice([0.0, 2.0]) == 1 and rng.integers(1) == 0 and rng.permutation(1) == [0]
        return ()


def test_draws_without_end_are_not_enumerated() -> None:
    tracemalloc.start()
    assert weighted_outcomes(Tosses("many"), SCENE, 16) is None
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20, "its results are not listed"
    assert weighted_outcomes(Tosses("until"), SCENE, 16) is None
    assert weighted_outcomes(Tosses("one"), SCENE, 16) == [(1.0, ())]


def broken(nodes: object) -> type:
    """A transform that shifts by one of three numbers, and declares these nodes."""

    @transform("broken", kind="geometry")
    class Shift:
        """Shift by 0, 1, .. pixels."""

        span: int = 3

        def sample(self, rng, scene):
            return ops.translate(scene, float(rng.integers(self.span)), 0.0)

        def quadrature(self, scene):
            return nodes(scene)

    return Shift


def shifted(scene: Scene, by: float) -> object:
    return ops.translate(scene, by, 0.0)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        (lambda scene: [(0.5, shifted(scene, 0.0)), (0.6, shifted(scene, 1.0))], "sum to 1.1"),
        (lambda scene: [(1.5, shifted(scene, 0.0)), (-0.5, shifted(scene, 1.0))], "weights must be positive"),
        (lambda scene: [(1.0, shifted(scene, 7.0))], "none of the results of `sample`"),
        (lambda scene: [(1.0, "left")], "has the result 'left'"),
        (lambda scene: [shifted(scene, 0.0)], "return .weight, result. pairs"),
        (lambda scene: [(1.0, (shifted(scene, 0.0), ops.crop(0, 0, 1, 1)))], "none of the results|another size"),
    ],
)
def test_the_conformance_kit_checks_declared_nodes(nodes: object, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        image_transforms.CHECKS["quadrature_holds"](step_under_test(broken(nodes)))


def test_the_conformance_kit_takes_right_nodes() -> None:
    right = broken(lambda scene: [(0.5, shifted(scene, 0.0)), (0.5, shifted(scene, 2.0))])
    check_transform(right, without=["pickles"])


@pytest.mark.parametrize("weights", [(0.5, 0.6), (1.5, -0.5), (float("nan"), 1.0)])
def test_weights_that_are_none_are_refused(weights: tuple[float, float]) -> None:
    wrong = broken(lambda scene: [(weights[0], shifted(scene, 0.0)), (weights[1], shifted(scene, 40.0))])
    with pytest.raises(SpecError, match=r"broken#0: .*they must be positive and sum to one"):
        Pipeline([Step(wrong(span=40))]).views(IMAGE, 3)


def test_arguments_that_cannot_be_hashed() -> None:
    @transform("pick", kind="color")
    class Pick:
        """Multiply the pixel values by one of a list of numbers."""

        factors: dict[str, float]

        def sample(self, rng, scene):
            return ops.point_function("brightness", self.factors["ab"[rng.integers(2)]])

    views = Pipeline([{"pick": {"factors": {"a": 0.5, "b": 1.0}}}], Registry.installed().add(Pick)).views(IMAGE, 5)
    halved = (IMAGE * np.float32(0.5)).astype(np.uint8)
    shown = {view.image.tobytes() for view in views if view.weight}
    assert views.exact and shown == {IMAGE.tobytes(), halved.tobytes()}


def test_nodes_of_a_plugin_in_place_of_draws() -> None:
    @transform("tilt", kind="geometry")
    class Tilt:
        """Rotate by up to 6 degrees; the two-point Gauss-Legendre rule stands for it."""

        def sample(self, rng, scene):
            return ops.rotate(scene, rng.uniform(-6, 6))

        def quadrature(self, scene):
            return [(0.5, ops.rotate(scene, angle)) for angle in (-6 / 3**0.5, 6 / 3**0.5)]

    check_transform(Tilt, without=["pickles"])
    views = Pipeline([Step(Tilt(), p=0.5)], Registry.installed()).views(IMAGE, 9)
    assert views.weights.tolist() == [0.5, 0.25, 0.25] and not views.exact and not any(v.drawn for v in views)
