"""Maps of values move with the image and keep their values; vectors turn, mirror and grow with it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from augreg import ImageError, Pipeline, Registry, SpecError, ops, transform
from augreg.spec.json_schema import schema

HEIGHT, WIDTH = 40, 60
IMAGE = (np.arange(HEIGHT * WIDTH * 3) % 251).astype(np.uint8).reshape(HEIGHT, WIDTH, 3)
RNG = np.random.default_rng(0)
DEPTH = RNG.uniform(-1e6, 1e6, (HEIGHT, WIDTH))
FLIP = {"horizontal_flip": {"p": 1}}
BACKENDS = pytest.mark.parametrize("backend", ["pillow", "opencv"])


def pipeline(*steps: Any, backend: str = "pillow", **maps: Any) -> Pipeline:
    return Pipeline.from_spec({"image": list(steps), "backend": backend, "targets": {"maps": maps}})


@BACKENDS
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", ">f4", "int16", "uint16", "int64"])
@pytest.mark.parametrize("channels", [None, 1, 3, 21])
def test_values_of_every_kind_are_kept(backend: str, dtype: str, channels: int | None) -> None:
    """By the nearest pixel no value appears that was not there, but the fill; the places are those of a mask."""
    small = DEPTH / 1e3 if dtype in ("float16", "int16") else abs(DEPTH) / 100 if dtype == "uint16" else DEPTH
    given = small.astype(dtype)
    given = given if channels is None else np.repeat(given[..., None], channels, 2)
    steps = [
        {"affine": {"degrees": 40}},
        {"resize": {"size": [33, 50]}},
        {"pad": {"padding": 3, "fill": 9}},
        "invert",
    ]
    pipe = pipeline(*steps, {"cutout": {"size": 20}}, "color_jitter", backend=backend, depth={"fill": 7})
    places = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
    masked = Pipeline.from_spec({**pipe.to_spec(), "targets": {"maps": {"depth": {"fill": 7}}, "mask_fill": -1}})
    found = masked.train({"image": IMAGE, "depth": given, "mask": places}, 2)
    at = found["mask"]
    wanted = np.where(at.reshape(at.shape + (1,) * (given.ndim - 2)) < 0, 7, given.reshape(-1, *given.shape[2:])[at])
    assert found["depth"].dtype == given.dtype and np.array_equal(found["depth"], wanted.astype(dtype))
    assert (at < 0).sum() > 300


def test_maps_in_every_form() -> None:
    torch = pytest.importorskip("torch")
    plane = DEPTH.astype(np.float32)
    pipe = pipeline(FLIP, "normalize", depth={})
    for value, back in (
        (plane, lambda v: v), (plane[..., None], lambda v: v[..., 0]), (Image.fromarray(plane), np.asarray),
        (torch.from_numpy(plane), lambda v: v.numpy()), (torch.from_numpy(plane)[None], lambda v: v[0].numpy()),
        ([plane, plane], lambda v: v[1]), ((plane,), lambda v: v[0]),
        (Image.fromarray(plane.astype(np.int32)), lambda v: np.asarray(v)),
    ):  # fmt: skip
        found = pipe.train({"image": IMAGE, "depth": value}, 0)["depth"]
        assert type(found) is type(value) or isinstance(found, Image.Image)
        wanted = np.asarray(value)[:, ::-1] if isinstance(value, Image.Image) else plane[:, ::-1]
        assert np.array_equal(back(found), wanted)
    for output, kind in (("torch", torch.Tensor), ("numpy", np.ndarray)):
        spec = {**pipe.to_spec(), "output": output}
        assert isinstance(Pipeline.from_spec(spec).train({"image": IMAGE, "depth": plane}, 0)["depth"], kind)


@BACKENDS
def test_bilinear_maps_are_interpolated_in_their_own_range(backend: str) -> None:
    """A plane a x + b y + c stays one: at the pixel center (x, y) of the result it has the value of its source."""
    ys, xs = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    plane = 500 * xs - 900 * ys + 3e4
    pipe = pipeline({"rotate": [30, 30]}, backend=backend, depth={"interpolation": "bilinear", "fill": -1e6})
    found = pipe.train({"image": IMAGE, "depth": plane}, 0)["depth"]
    # by 30 degrees counter-clockwise about the middle, so a result's pixel shows the one turned back
    x, y = xs - WIDTH / 2, ys - HEIGHT / 2
    cos, sin = np.cos(np.pi / 6), np.sin(np.pi / 6)
    source_x, source_y = x * cos - y * sin + WIDTH / 2, x * sin + y * cos + HEIGHT / 2
    inside = (np.abs(source_x - WIDTH / 2) < WIDTH / 2 - 1) & (np.abs(source_y - HEIGHT / 2) < HEIGHT / 2 - 1)
    assert np.abs(found - (500 * source_x - 900 * source_y + 3e4))[inside].max() < 1500 / 64 + 5
    outside = (np.abs(source_x - WIDTH / 2) > WIDTH / 2 + 1) | (np.abs(source_y - HEIGHT / 2) > HEIGHT / 2 + 1)
    assert (found[outside] == -1e6).all() and outside.sum() > 100
    heat = np.zeros((HEIGHT, WIDTH, 17), np.float32)
    heat[20, 30] = np.arange(17)
    spread = pipeline({"resize": {"size": [80, 120]}}, backend=backend, heat={"interpolation": "bilinear"})
    large = spread.train({"image": IMAGE, "heat": heat}, 0)["heat"]
    assert large.shape == (80, 120, 17) and np.allclose(large.sum((0, 1)), 4 * np.arange(17), rtol=1e-3)
    whole = pipeline({"resize": {"size": [80, 120]}}, backend=backend, count={"interpolation": "bilinear"})
    found = whole.train({"image": IMAGE, "count": np.full((HEIGHT, WIDTH), 40_000, np.uint16)}, 0)["count"]
    assert found.dtype == np.uint16 and (found == 40_000).all()


@BACKENDS
def test_unknown_values_stay_unknown_and_fill_may_be_unknown(backend: str) -> None:
    depth = DEPTH.astype(np.float32)
    depth[::3, ::4] = np.nan
    depth[1, 1] = np.inf
    for kind in ("nearest", "bilinear"):
        steps = {"pad": 5}, {"elastic": {"alpha": [60, 60]}}, FLIP
        pipe = pipeline(*steps, backend=backend, depth={"interpolation": kind, "fill": "nan"})
        found = pipe.train({"image": IMAGE, "depth": depth}, 1)["depth"]
        assert np.isnan(found[:3]).all() and np.isfinite(found).any()
        if kind == "nearest":
            assert set(found[np.isfinite(found)]) <= set(depth[np.isfinite(depth)])


def test_erasing_color_and_loss_of_detail_leave_maps_alone() -> None:
    pipe = pipeline(
        {"cutout": 30},
        "solarize",
        {"downscale": 0.25},
        {"gaussian_blur": 2},
        depth={},
        heat={"interpolation": "bilinear"},
    )
    heat = DEPTH.astype(np.float32)
    found = pipe.train({"image": IMAGE, "depth": DEPTH, "heat": heat}, 0)
    assert np.array_equal(found["depth"], DEPTH) and np.array_equal(found["heat"], heat)


def flow_of(u: float, v: float) -> np.ndarray:
    return np.broadcast_to(np.array([u, v], np.float32), (HEIGHT, WIDTH, 2)).copy()


VECTORS = {"flow": {"vectors": True}}


@BACKENDS
@pytest.mark.parametrize(
    ("step", "wanted"),
    [
        (FLIP, (-3, 5)), ({"vertical_flip": {"p": 1}}, (3, -5)), ({"rotate": {"degrees": [180, 180]}}, (-3, -5)),
        # counter-clockwise: what pointed right points up, and what pointed down points right
        ({"rotate": {"degrees": [90, 90]}}, (5, -3)),
        ({"resize": {"size": [80, 90]}}, (4.5, 10)), ({"center_crop": 20}, (3, 5)),
        ({"pad": 4}, (3, 5)),
    ],
    ids=str,
)  # fmt: skip
def test_vectors_turn_mirror_and_grow_with_the_image(backend: str, step: Any, wanted: Any) -> None:
    pipe = pipeline(step, backend=backend, **VECTORS)
    found = pipe.train({"image": IMAGE, "flow": flow_of(3, 5)}, 0)["flow"]
    height, width = found.shape[:2]
    assert np.allclose(found[height // 2 - 5 : height // 2 + 5, width // 2 - 5 : width // 2 + 5], wanted, atol=1e-5)


@BACKENDS
@pytest.mark.parametrize(
    "steps",
    [["affine"], ["perspective", FLIP], [{"elastic": {"alpha": [20, 20], "sigma": 6}}], ["optical_distortion"],
     [{"random_resized_crop": 50}, "rot90"], [{"grid_distortion": {"p": 1}}, {"shear_x": 0.3}]],
    ids=str,
)  # fmt: skip
def test_flow_still_leads_from_one_frame_to_the_other(backend: str, steps: list[Any]) -> None:
    """A point and where the flow takes it, moved as keypoints, are joined by the flow of the result."""
    ys, xs = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    flow = np.stack((3 + 0.05 * xs - 0.04 * ys, -2 + 0.03 * ys), axis=-1)
    rng = np.random.default_rng(3)
    rows, columns = rng.integers(8, HEIGHT - 8, 40), rng.integers(8, WIDTH - 8, 40)
    starts = np.stack((columns, rows), axis=1) + 0.5
    points = np.concatenate((starts, starts + flow[rows, columns]))
    pipe = pipeline(*steps, backend=backend, flow={"vectors": True, "interpolation": "bilinear"})
    compared = 0
    for index in range(4):
        found = pipe.train({"image": IMAGE, "flow": flow, "keypoints": points}, index)
        moved, ends = np.split(found["keypoints"], 2)
        height, width = found["flow"].shape[:2]
        inside = ((moved > 2) & (moved < (width - 2, height - 2))).all(axis=1)
        x, y = moved[inside].astype(int).T
        assert np.abs(found["flow"][y, x] - (ends - moved)[inside]).max() < 0.6
        compared += inside.sum()
    assert compared > 40


def test_vectors_in_a_mirrored_border_are_mirrored_and_fill_is_as_it_is() -> None:
    for mode, at in (("symmetric", 0), ("reflect", 1)):
        pipe = pipeline({"pad": {"padding": [5, 0, 0, 7], "mode": mode}}, **VECTORS)
        flow = flow_of(3, 5)
        flow[:, :8, 0] = np.arange(8)
        found = pipe.train({"image": IMAGE, "flow": flow}, 0)["flow"]
        assert (found[5:, WIDTH:] == (-3, 5)).all() and (found[:5, 8:WIDTH] == (3, -5)).all()
        assert (found[5:, 8:WIDTH] == (3, 5)).all() and at in (0, 1)
    pipe = pipeline({"pad": 5}, FLIP, {"resize": {"size": [100, 140]}}, flow={"vectors": True, "fill": 9})
    assert (pipe.train({"image": IMAGE, "flow": flow_of(3, 5)}, 0)["flow"][:10] == 9).all()
    unknown = flow_of(3, 5)
    unknown[10, 10] = np.nan
    found = pipeline(FLIP, **VECTORS).train({"image": IMAGE, "flow": unknown}, 0)["flow"]
    assert np.isnan(found[10, WIDTH - 11]).all() and np.isfinite(found).sum() == found.size - 2


@BACKENDS
@pytest.mark.parametrize("mode", ["edge", "reflect", "wrap"])
def test_vectors_beyond_the_border_of_a_warp_are_unknown(backend: str, mode: str) -> None:
    """Other maps show there what the image shows."""
    pipe = pipeline(
        {"affine": {"degrees": 0, "translate": [0, 0], "scale": [0.5, 0.5], "shear_x": 0, "mode": mode}},
        backend=backend,
        depth={}, flow={"vectors": True, "fill": 9},
    )  # fmt: skip
    found = pipe.train({"image": IMAGE, "flow": flow_of(2, 6), "depth": np.full((HEIGHT, WIDTH), 7)}, 0)
    assert (found["flow"][:8] == 9).all() and (found["flow"][HEIGHT // 2, WIDTH // 2] == (1, 3)).all()
    assert (found["depth"] == 7).all()


def test_a_plugins_functions_carry_maps() -> None:
    def doubled(array: np.ndarray) -> np.ndarray:
        return np.repeat(array, 2, axis=1)

    @transform("widen", kind="geometry")
    class Widen:
        """Repeat every column."""

        says: bool = True

        def sample(self, rng: Any, scene: Any) -> Any:
            points = (lambda points, size: points * (2, 1)) if self.says else None
            return ops.call(doubled, {}, geometry=True, mask=doubled, keypoints=points)

    registry = Registry.installed().add(Widen)
    spec = {"image": [{"widen": {"says": False}}], "targets": {"maps": {"depth": {}}}}
    found = Pipeline.from_spec(spec, registry).train({"image": IMAGE, "depth": DEPTH}, 0)["depth"]
    assert np.array_equal(found, np.repeat(DEPTH, 2, axis=1))
    spec["targets"] = {"maps": VECTORS}
    with pytest.raises(ImageError, match="widen moves pixels and does not say where vectors go"):
        Pipeline.from_spec(spec, registry).train({"image": IMAGE, "flow": flow_of(3, 5)}, 0)
    found = Pipeline.from_spec({**spec, "image": ["widen"]}, registry).train(
        {"image": IMAGE, "flow": flow_of(3, 5)}, 0
    )
    assert np.allclose(found["flow"], (6, 5))


def test_batches_paste_maps_and_refuse_vectors() -> None:
    images, depth = np.stack([IMAGE] * 4), np.stack([np.full((HEIGHT, WIDTH), float(k)) for k in range(4)])
    spec = {"image": [], "batch": [{"cutmix": {"p": 1}}], "classes": 4, "targets": {"maps": {"depth": {}, **VECTORS}}}
    batch = {"image": images, "label": np.arange(4)}
    pipe = Pipeline.from_spec(spec)
    found = pipe.batch({**batch, "depth": depth}, keys=range(4))["depth"]
    assert not np.array_equal(found, depth) and set(np.unique(found)) <= {0.0, 1.0, 2.0, 3.0}
    with pytest.raises(ValueError, match="flow: vectors do not follow when a batch is mixed"):
        pipe.batch({**batch, "flow": np.stack([flow_of(1, 2)] * 4)}, keys=range(4))


@pytest.mark.parametrize(
    ("value", "options", "message"),
    [
        (None, {}, r"sample\['m'\]: a NoneType is not a map of values"),
        (DEPTH[1:], {}, r"sample\['m'\]: the map is 39x60 and the image is 40x60"),
        (DEPTH > 0, {}, "a map of bool with 1 channels; .* bools as a mask"),
        (DEPTH, {"vectors": True}, "vectors are two channels of floats, .* got 1 of float64"),
        (np.zeros((40, 60, 2), int), {"vectors": True}, "got 2 of int64"),
        (IMAGE, {"fill": 0.5}, "the spec fills with 0.5, and a map of uint8 has no such value"),
        (IMAGE, {"fill": "nan"}, "the spec fills with nan"),
        (Image.fromarray(IMAGE), {}, "a PIL image of mode RGB is not a map of values"),
    ],
)
def test_what_is_wrong_is_told(value: Any, options: Any, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        pipeline(FLIP, m=options).train({"image": IMAGE, "m": value}, 0)


def test_the_schema_knows_the_options_of_maps() -> None:
    validator = pytest.importorskip("jsonschema").Draft202012Validator(schema(Registry.installed()))
    for maps, good in (
        ({"depth": {}, "flow": {"vectors": True, "fill": "nan"}}, True),
        ({"depth": {"interpolation": "cubic"}}, False),
        ({"depth": {"interp": "nearest"}}, False), ({"depth": {"fill": 3.5}}, True), (["depth"], False),
    ):  # fmt: skip
        assert validator.is_valid({"image": [], "targets": {"maps": maps}}) == good, maps


def test_what_a_spec_says_of_maps() -> None:
    pipe = Pipeline.from_spec({"image": [], "targets": {"maps": {"depth": {}}}})
    wanted = {"depth": {"interpolation": "nearest", "fill": 0.0, "vectors": False}}
    assert pipe.to_spec()["targets"]["maps"] == wanted
    assert Pipeline.from_spec(pipe.to_spec()) == pipe == pipeline(backend="auto", depth={})
    assert "maps" not in Pipeline.from_spec({"image": [], "targets": {"boxes": "xyxy"}}).to_spec()["targets"]
    for maps, message in (
        ({"depth": {"interp": "nearest"}}, "interp"), ({"depth": {"fill": float("inf")}}, "finite number or 'nan'"),
        ({"depth": {"interpolation": "cubic"}}, "interpolation"), ({"image": {}}, "'image' always has the same"),
        ({"depth": None}, "maps"), (5, "maps"), (["depth"], "maps: expected mapping"),
    ):  # fmt: skip
        with pytest.raises(SpecError, match=message):
            Pipeline.from_spec({"image": [], "targets": {"maps": maps}})
    with pytest.raises(SpecError, match="keys and maps both name 'depth'"):
        Pipeline.from_spec({"image": [], "targets": {"maps": {"depth": {}}, "keys": {"depth": "mask"}}})
