"""Named views: their draws, their results, what they share, and their specs."""

from __future__ import annotations

import io
import pickle
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from images import made
from PIL import Image

import augreg
from augreg import ImageError, Pipeline, SpecError, ops, transform
from augreg.__main__ import main
from augreg.images import codecs
from augreg.named_views import NamedViews, ViewsPlan
from augreg.registry.registry import Registry
from augreg.rng import Cursor
from augreg.spec.json_schema import schema
from augreg.spec.write import added

IMAGE = made("smooth", 60, 80)
NORMALIZE = {"normalize": "imagenet"}
COLORS = {"color_jitter": {"brightness": 0.4, "contrast": 0.4}}
CROP = {"random_resized_crop": {"size": 32, "scale": [0.4, 1.0]}}
SMALL = {"random_resized_crop": {"size": 16, "scale": [0.05, 0.4]}}
DINO: dict[str, Any] = {
    "seed": 3,
    "views": {
        "global": {"count": 2, "steps": [CROP, "horizontal_flip", COLORS, NORMALIZE]},
        "local": {"count": 3, "steps": [SMALL, "horizontal_flip", COLORS, NORMALIZE]},
    },
}
FLIP = {"horizontal_flip": {"p": 1.0}}


@transform("turned_by_function", kind="geometry", rule="same")
class Turned:
    """Turn upside down by a function of which nobody knows the size of the result."""

    def sample(self, rng: Cursor, scene: ops.Scene) -> ops.Op:
        return ops.call(turned)


def turned(image: np.ndarray) -> np.ndarray:
    return image[::-1].copy()


def same(one: Any, other: Any) -> bool:
    return list(one) == list(other) and all(np.array_equal(one[name], other[name]) for name in one)


def drawn(pipe: Pipeline, view: str, step: str, **key: Any) -> list[Any]:
    """The ops that a step of a view draws."""
    plan = pipe.train.plan((60, 80), **{"index": 7, **key})
    return [op for entry in plan[view].entries if entry.name == step for op in entry.ops]


def test_crops_by_name_and_number() -> None:
    views = Pipeline.from_spec(DINO).train(IMAGE, index=7)
    assert type(views) is NamedViews
    assert list(views) == ["global_1", "global_2", "local_1", "local_2", "local_3"]
    assert [view.shape for view in views.values()] == [(3, 32, 32)] * 2 + [(3, 16, 16)] * 3
    assert all(view.dtype == np.float32 for view in views.values())
    assert views["local", 2] is views["local_2"]
    assert [id(view) for view in views.of("local")] == [id(views[f"local_{number}"]) for number in (1, 2, 3)]
    for wrong in ("local_4", ("local", 4)):
        with pytest.raises(KeyError, match="the views are: global_1, global_2, local_1"):
            views[wrong]
    with pytest.raises(KeyError, match="there are no views 'locals'"):
        views.of("locals")


def test_more_than_nine_views() -> None:
    views = Pipeline(views={"one": {"count": 11}, "one_more": []}).train(IMAGE)
    assert len(views) == 12 and [id(view) for view in views.of("one")] == [id(views["one", n]) for n in range(1, 12)]
    turned = NamedViews(reversed(views.items()))
    assert [id(view) for view in turned.of("one")] == [id(views["one", n]) for n in range(1, 12)]


def test_a_view_without_a_count_has_no_number() -> None:
    pipe = Pipeline(views={"student": [FLIP], "teacher": {"steps": []}, "local": {"steps": [FLIP], "count": 1}})
    views = pipe.train(IMAGE)
    assert list(views) == ["student", "teacher", "local_1"]
    assert np.array_equal(views["teacher"], IMAGE) and np.array_equal(views["student"], IMAGE[:, ::-1])
    assert views.of("student") == [views["student"]] or views.of("student")[0] is views["student"]


def test_draws_are_functions_of_the_key_and_the_view() -> None:
    pipe = Pipeline.from_spec(DINO)
    key = {"index": 7, "epoch": 2, "view": 1}
    first = pipe.train(IMAGE, **key)
    assert same(first, pipe.train(IMAGE, **key)) and same(first, pickle.loads(pickle.dumps(pipe)).train(IMAGE, **key))
    for other in ({"index": 8}, {"epoch": 3}, {"view": 0}):
        changed = pipe.train(IMAGE, **{**key, **other})
        assert not any(np.array_equal(first[name], changed[name]) for name in first)
    changed = pipe.replace(seed=4).train(IMAGE, **key)
    assert not any(np.array_equal(first[name], changed[name]) for name in first)
    crops = {str(op) for name in first for op in drawn(pipe, name, "random_resized_crop")[:1]}
    assert len(crops) == len(first), "each view draws its own"


def test_further_views_change_no_other() -> None:
    views = DINO["views"]
    first = Pipeline.from_spec(DINO).train(IMAGE, index=7)
    more = {"views": {"new": [FLIP], **views, "local": {**views["local"], "count": 5}}, "seed": 3}
    found = Pipeline.from_spec(more).train(IMAGE, index=7)
    assert len(found) == 8 and all(np.array_equal(found[name], first[name]) for name in first)


def test_the_steps_of_image_come_first_with_one_draw() -> None:
    shared = [{"random_crop": {"size": [40, 50]}}, "vertical_flip", {"rotate": 20}]
    alone = Pipeline(shared, seed=5)
    views = {"as_it_is": [], "mirrored": [FLIP], "smaller": [{"resize": {"size": [20, 20]}}]}
    pipe = Pipeline(shared, views=views, seed=5)
    for index in range(4):
        found, base = pipe.train(IMAGE, index=index), alone.train(IMAGE, index=index)
        assert np.array_equal(found["as_it_is"], base) and np.array_equal(found["mirrored"], base[:, ::-1])
        assert np.array_equal(found["smaller"], Pipeline([{"resize": {"size": [20, 20]}}]).test(base))


STEPS = st.lists(
    st.sampled_from(
        [
            {"random_crop": {"size": [30, 40]}},
            {"resize": {"size": [45, 50]}},
            "horizontal_flip",
            {"rotate": 20},
            {"pad": {"padding": 5, "fill": [9, 8, 7]}},
            {"brightness": 0.4},
            {"auto_contrast": {}},
            {"gaussian_blur": {}},
            {"cutout": {"size": 0.3}},
            {"gaussian_noise": {}},
            "invert",
        ]
    ),
    max_size=3,
)


@settings(max_examples=15, deadline=None)
@given(STEPS, STEPS, STEPS, st.integers(0, 99), st.booleans(), st.booleans(), st.sampled_from(["uint8", "float32"]))
def test_views_are_those_of_their_plans(
    image: Any, one: Any, other: Any, index: int, ends: bool, approximate: bool, dtype: str
) -> None:
    """A plan runs all ops of a view on the image; `train` runs those that are shared once."""
    end = [NORMALIZE] if ends else []
    views = {"one": [*one, *end], "other": [*other, *end], "moved": {"geometry": "one", "steps": other}}
    pipe = Pipeline(image, views=views, approximate=approximate)
    given = made("smooth", 50, 60, dtype=dtype)
    kept = given.copy()
    try:
        plan = pipe.train.plan(given, index=index)
    except ImageError:  # a crop of what is smaller
        return
    found = pipe.train(given, index=index)
    assert same(found, plan.run(given)) and same(found, {name: plan[name].run(given) for name in plan})
    assert pickle.loads(pickle.dumps(plan)) == plan and plan == pipe.train.plan(given, index=index)
    assert np.array_equal(given, kept)
    for name, view in found.items():
        assert not np.may_share_memory(view, given)
        assert not any(np.may_share_memory(view, found[another]) for another in found if another != name)


def test_a_plan_may_merge_what_views_share_with_their_own() -> None:
    """Two turns into one, where a spec allows it; and of what is enlarged, only the part that is kept."""
    pipe = Pipeline([{"rotate": 20}], views={"one": [{"rotate": 20}], "other": []}, approximate=True)
    assert len(pipe.train.plan((60, 80), index=1)["one"].ops) == 1
    assert same(pipe.train(IMAGE, index=1), pipe.train.plan((60, 80), index=1).run(IMAGE))
    large = [{"resize": {"size": [3000, 3000]}}]
    pipe = Pipeline(large, views={"one": [{"random_crop": {"size": [20, 20]}}]}, max_pixels=100_000)
    assert same(pipe.train(IMAGE, index=1), pipe.train.plan((60, 80), index=1).run(IMAGE))
    pipe = Pipeline(views={"one": large, "other": {"geometry": "one"}}, max_pixels=2**40)
    draws = pipe.train._view_draws(None)
    assert not any(draws.drawn(view, ops.Scene(60, 80)).modest for view in draws.views)


def test_views_have_pixels_of_their_own() -> None:
    """Also of one channel, whose planes are the array itself."""
    pipe = Pipeline([{"normalize": {"mean": [0.5], "std": [0.5]}}], views={"one": [], "other": []})
    views = pipe.train(IMAGE[..., :1].copy(), index=1)
    views["one"][:] = 7.0
    assert not (views["other"] == 7.0).any()
    views = Pipeline(views={"one": [], "other": []}).train(IMAGE)
    assert not np.may_share_memory(views["one"], views["other"])


def test_further_images_of_a_sample() -> None:
    pipe = Pipeline(views={"one": [FLIP], "other": [{"random_crop": {"size": [20, 20]}}]})
    sample = {"image": IMAGE, "image_left": Image.fromarray(IMAGE), "image2": [IMAGE[..., :1].copy()]}
    views = pipe.train(sample, index=1)
    assert np.array_equal(views["one"]["image_left"], IMAGE[:, ::-1])
    assert isinstance(views["other"]["image_left"], Image.Image)
    assert np.array_equal(views["other"]["image_left"], views["other"]["image"])
    assert np.array_equal(views["other"]["image2"][0], views["other"]["image"][..., :1])


def test_clips_have_one_draw_for_each_view() -> None:
    """Frames as an array, as a list, and in a sample; and normalized ones with their channels last."""
    steps = [{"random_crop": {"size": [32, 48]}}, "horizontal_flip", {"brightness": 0.4}, NORMALIZE]
    views = {"one": {"count": 2, "steps": steps}, "moved": {"geometry": "one_1", "patches": 16}}
    pipe = Pipeline([{"rotate": 10}], views=views, targets={"clip": True}, layout="hwc")
    clip = np.stack([IMAGE, 255 - IMAGE])
    alone = [pipe.replace(targets={}).train(frame, index=3) for frame in clip]
    plan = pipe.train.plan((60, 80), index=3)
    for frames in (clip, list(clip), {"image": clip, "label": 4}):
        found = pipe.train(frames, index=3)
        assert found["one_1"]["image"][0].shape == (32, 48, 3) and found["moved"]["patch_mask"].shape == (2, 3)
        for name in found:
            assert np.array_equal(found[name]["image"], [frame[name]["image"] for frame in alone])
            assert np.array_equal(plan.run(frames)[name]["image"], found[name]["image"])
    file = io.BytesIO()
    Image.fromarray(IMAGE).save(file, "PNG")
    assert np.array_equal(pipe.train([file.getvalue()], index=3)["moved"]["image"][0], alone[0]["moved"]["image"])


def test_the_image_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    encoded = codecs._encoded
    monkeypatch.setattr(codecs, "_encoded", lambda *given: read.append(1) or encoded(*given))
    decoded: list[int] = []
    decode = codecs.decode_jpeg
    monkeypatch.setattr(codecs, "decode_jpeg", lambda *given: decoded.append(1) or decode(*given))
    pipe = Pipeline.from_spec(DINO)
    for kind in ("PNG", "JPEG"):
        file = io.BytesIO()
        Image.fromarray(IMAGE).save(file, kind)
        for given_as in (file.getvalue(), {"image": file.getvalue()}):
            pipe.train(given_as, index=1)
            pipe.test(given_as)
            pipe.train.plan((60, 80), index=1).run(given_as)
            assert len(read) == 3 and len(decoded) <= 3
            read.clear()
            decoded.clear()
    scaled = pipe.replace(decode="scaled")
    for given_as in (file.getvalue(), {"image": file.getvalue()}):
        scaled.train(given_as, index=1)
    assert len(read) == len(decoded) == 2
    plan = scaled.train.plan((60, 80), index=1)
    assert np.array_equal(plan["local_1"].run(file.getvalue()), scaled.train(file.getvalue(), index=1)["local_1"])
    large = io.BytesIO()
    Image.fromarray(made("smooth", 480, 640)).save(large, "JPEG")
    assert same(scaled.test(large.getvalue()), pipe.test(large.getvalue()))
    assert same(pipe.train(file.getvalue(), index=1), pipe.train(np.asarray(Image.open(file)), index=1))


def test_what_belongs_to_the_image_follows_each_view() -> None:
    spec = {
        "targets": {"boxes": "xyxy"},
        "views": {"left": [{"center_crop": {"size": [60, 40]}}], "mirrored": [FLIP], "masked": {"patches": 20}},
    }
    mask = np.zeros((60, 80), np.uint8)
    mask[10:20, 0:30] = 1
    sample = {
        "image": IMAGE, "mask": mask, "boxes": [[10, 10, 30, 20], [70, 0, 80, 5]], "labels": ["a", "b"],
        "keypoints": [[30.0, 5.0]], "id": 4,
    }  # fmt: skip
    views = Pipeline.from_spec(spec).train(sample, index=0)
    left, mirrored, masked = (views[name] for name in ("left", "mirrored", "masked"))
    assert left["image"].shape == (60, 40, 3) and np.array_equal(left["mask"], mask[:, 20:60])
    assert left["boxes"] == [[0.0, 10.0, 10.0, 20.0]] and left["labels"] == ["a"] and left["id"] == 4
    assert left["keypoints"] == [[10.0, 5.0]]
    assert mirrored["boxes"] == [[50.0, 10.0, 70.0, 20.0], [0.0, 0.0, 10.0, 5.0]]
    assert mirrored["keypoints"] == [[50.0, 5.0]] and np.array_equal(mirrored["mask"], mask[:, ::-1])
    assert masked["boxes"] == sample["boxes"] and masked["patch_mask"].shape == (3, 4)
    assert "patch_mask" not in left and sample["boxes"] == [[10, 10, 30, 20], [70, 0, 80, 5]]
    with pytest.raises(ImageError, match="'patch_mask'"):
        Pipeline.from_spec(spec).train({"image": IMAGE, "patch_mask": 1})


def test_kinds_of_images() -> None:
    torch = pytest.importorskip("torch")
    views = {"one": [FLIP], "other": {"patches": {"size": 20}}}
    mirrored = IMAGE[:, ::-1]
    found = Pipeline(views={"one": [FLIP], "other": []}).train(Image.fromarray(IMAGE))
    assert isinstance(found["one"], Image.Image) and np.array_equal(found["one"], mirrored)
    tensor = torch.from_numpy(IMAGE.transpose(2, 0, 1).copy())
    found = Pipeline(views=views).train(tensor, index=1)
    assert torch.equal(found["one"]["image"], tensor.flip(2)) and found["other"]["patch_mask"].dtype == torch.bool
    found = Pipeline(views=views, output="torch").train(IMAGE, index=1)
    assert torch.equal(found["one"]["image"], tensor.flip(2)) and isinstance(
        found["other"]["patch_mask"], torch.Tensor
    )


def test_a_teacher_has_the_geometry_of_its_student() -> None:
    """Its moves are those of the student, and its colors its own."""
    views = {
        "student": {"count": 2, "steps": [CROP, COLORS, "horizontal_flip", {"rotate": 20}]},
        "teacher": {"count": 2, "geometry": "student", "steps": [{"brightness": [0.9, 1.1]}]},
        "first": {"geometry": "student_1", "steps": [FLIP]},
    }
    pipe = Pipeline(views=views)
    sample = {"image": IMAGE, "mask": made("noise", 60, 80)[..., 0], "keypoints": [[40.0, 30.0]]}
    for index in range(4):
        plan = pipe.train.plan((60, 80), index=index)
        found = pipe.train(sample, index=index)
        for number in (1, 2):
            names = f"student_{number}", f"teacher_{number}"
            assert np.array_equal(plan.homography(*names), np.eye(3)) and plan.overlap(*names)[2:] == (1.0, 1.0)
            one, other = (found[name] for name in names)
            assert np.array_equal(one["mask"], other["mask"]) and one["keypoints"] == other["keypoints"]
            assert not np.array_equal(one["image"], other["image"])
            moving = "random_resized_crop", "horizontal_flip", "rotate"
            moves = [op for entry in plan[names[0]].entries if entry.name in moving for op in entry.ops]
            own = [op for entry in plan[names[1]].entries if entry.name == "brightness" for op in entry.ops]
            assert [op for entry in plan[names[1]].entries for op in entry.ops] == [*moves, *own]
        assert np.array_equal(found["first"]["mask"], found["student_1"]["mask"][:, ::-1])
        assert np.allclose(plan.homography("first", "student_1"), [[-1, 0, 32], [0, 1, 0], [0, 0, 1]])
    assert pipe.test(IMAGE)["teacher_1"].shape == (32, 32, 3)


def test_steps_of_one_name_may_draw_the_same_numbers() -> None:
    """The same box at another size, and the same jitter; what has a `uid` draws its own."""
    views = {
        "one": {"count": 2, "steps": [CROP, "horizontal_flip", {"brightness": 0.4}]},
        "large": {
            "count": 2,
            "draws": "one",
            "steps": [
                {"random_resized_crop": {"size": 48, "scale": [0.4, 1.0]}},
                "horizontal_flip",
                {"brightness": {"factor": 0.4, "uid": "own"}},
            ],
        },
    }
    pipe = Pipeline(views=views)
    for index, number in ((0, 1), (1, 2), (2, 1)):
        names = f"one_{number}", f"large_{number}"
        crops = [drawn(pipe, name, "random_resized_crop", index=index)[0] for name in names]
        assert crops[0] == crops[1]
        flips = [len(drawn(pipe, name, "horizontal_flip", index=index)) for name in names]
        assert flips[0] == flips[1]
        jitters = [drawn(pipe, name, "brightness", index=index)[0] for name in names]
        assert jitters[0] != jitters[1]
        plan = pipe.train.plan((60, 80), index=index)
        assert np.allclose(plan.homography(*names), np.diag([1.5, 1.5, 1.0]), atol=1e-12)


def test_geometry_that_cannot_be_taken_over() -> None:
    for steps, message in (
        ([NORMALIZE, {"rotate": [30, 30]}], "rotate comes after normalize"),
        ([{"aug_mix": {}}], "changes more than where pixels are"),
        ([Turned()], "known only once a function has run"),
    ):
        pipe = Pipeline(views={"one": steps, "other": {"geometry": "one"}})
        with pytest.raises(ImageError, match=f"other has the geometry of one, .*{message}"):
            for index in range(20):  # a mix may move nothing
                pipe.train(IMAGE, index=index)


def test_steps_of_unknown_size() -> None:
    pipe = Pipeline([Turned()], views={"one": [FLIP], "other": [{"random_crop": {"size": [20, 20]}}]})
    views, plan = pipe.train(IMAGE, index=1), pipe.train.plan((60, 80), index=1)
    assert np.array_equal(views["one"], IMAGE[::-1, ::-1]) and views["other"].shape == (20, 20, 3)
    assert same(views, plan.run(IMAGE))
    pipe = Pipeline([Turned()], views={"one": {"patches": 4}})
    with pytest.raises(ImageError, match="one has patches, and its size is known only"):
        pipe.train(IMAGE)


def test_testing_gives_the_expectation_of_each_view() -> None:
    """Under the names of training, so that code that reads them works on both sides."""
    pipe = Pipeline.from_spec(DINO)
    views = pipe.test(IMAGE)
    assert list(views) == list(pipe.train(IMAGE)) and type(views) is NamedViews
    for name, steps in (("global_1", "global"), ("global_2", "global"), ("local_3", "local")):
        assert np.array_equal(views[name], Pipeline(DINO["views"][steps]["steps"]).test(IMAGE))
    plan = pipe.test.plan((60, 80))
    assert isinstance(plan, ViewsPlan) and same(views, plan.run(IMAGE))
    assert plan.homography("global_1", "global_2").tolist() == np.eye(3).tolist()


def test_one_view_alone() -> None:
    pipe = Pipeline.from_spec({**DINO, "image": [{"resize": {"size": [50, 50]}}]})
    alone = pipe.of_view("global")
    assert alone == pipe.of_view("global_2")
    names = "resize random_resized_crop horizontal_flip color_jitter normalize"
    assert " ".join(step.name for step in alone.steps) == names
    assert np.array_equal(alone.test(IMAGE), pipe.test(IMAGE)["global_1"])
    assert len(alone.views(IMAGE, 4)) == 4
    with pytest.raises(ValueError, match=r"no view 'globel'; did you mean 'global'\?"):
        pipe.of_view("globel")
    with pytest.raises(ValueError, match="the pipeline has no named views"):
        alone.of_view("global")
    with pytest.raises(ValueError, match="has the geometry of a"):
        Pipeline(views={"a": [], "b": {"geometry": "a"}}).of_view("b")


def test_what_is_for_one_image_says_so() -> None:
    pipe = Pipeline.from_spec(DINO)
    with pytest.raises(ValueError, match=r"pipe.of_view\('global_1'\).views"):
        pipe.views(IMAGE, 3)
    with pytest.raises(SpecError, match=r"skew is for one image.*pipe.of_view\('global_1'\)"):
        augreg.skew(pipe, pipe)
    with pytest.raises(SpecError, match="a batch of several views is not mixed"):
        pipe.replace(batch=["mixup"])


def test_a_spec_with_views_is_written_and_read() -> None:
    spec = {
        **DINO,
        "image": [{"resize": {"size": [50, 50]}}],
        "views": {
            **DINO["views"],
            "teacher": {"geometry": "global", "count": 2, "steps": [NORMALIZE], "patches": {"size": [8, 4]}},
            "again": {"draws": "local_2", "steps": [SMALL]},
        },
    }  # fmt: skip
    pipe = Pipeline.from_spec(spec)
    assert Pipeline.from_spec(pipe.to_spec()) == pipe and pickle.loads(pickle.dumps(pipe)) == pipe
    assert list(pipe.to_spec()["views"]["again"]) == ["steps", "draws"]
    by_hand = Pipeline(views={"a": [Turned()]})
    assert added(by_hand.spec, by_hand.registry) == {"turned_by_function": Turned}
    assert pickle.loads(pickle.dumps(by_hand)) == by_hand
    other = Pipeline.from_spec({**spec, "views": {**spec["views"], "again": {"draws": "local_1", "steps": [SMALL]}}})
    assert pipe != other and pipe.fingerprint != other.fingerprint and pipe.test.fingerprint != other.test.fingerprint
    registry = Registry.installed()
    names = "resize", "random_resized_crop", "horizontal_flip", "color_jitter", "normalize"
    validator = jsonschema.Draft202012Validator(schema({name: registry[name] for name in names}))
    for right in (pipe.to_spec(), {"views": {"a": ["horizontal_flip"], "b": {"patches": 16}, "c": None}}):
        assert validator.is_valid(right)
    for wrong in ({"image": []}, {"a": {"count": 0}}, {"a": {"step": []}}, {"a": {"patches": {"ratio": 0.5}}}):
        assert not validator.is_valid({"views": wrong})


@pytest.mark.parametrize(
    ("views", "message"),
    [
        ({"a": [], "b": {"geometry": "c"}}, "views.b.geometry: there is no view 'c'; the views are: a, b"),
        ({"a": {"count": 2}, "b": {"geometry": "a"}}, "views.b.geometry: 'a' has 2 views and 'b' one view: give"),
        ({"a": {"draws": "a"}}, "views.a.draws: 'a' is this view itself"),
        ({"a": [], "b": {"draws": "a"}, "c": {"draws": "b"}}, "views.c.draws: 'b' has itself the draws of 'a'"),
        ({"a": {"count": 2}, "a_1": []}, "views.a_1: another view has the name 'a_1' already"),
        ({"image": []}, "views.image: this is the name of the image itself"),
        ({"two words": []}, "views.two words: the name of a view is a word"),
        ({"a": 3}, "views.a: expected a list of steps, or a mapping with `steps`, got 3"),
        ({"a": {"step": []}}, "views.a.step: a view has no 'step'; did you mean 'steps'?"),
        ({"a": {"count": 0}}, "views.a.count: expected int >= 1, got 0"),
        ({"a": ["horizontl_flip"]}, "views.a.steps[0]: no transform named 'horizontl_flip'"),
        ({"a": [{"rotate": {"degree": 3}}]}, "views.a.steps[0].rotate.degree: rotate has no field 'degree'"),
        ({"a": [NORMALIZE, "brightness"]}, "views.a.steps[1].brightness: brightness cannot be used on a normalized"),
        ({"a": {"patches": {"ratio": 0.5}}}, "views.a.patches: patches needs 'size'"),
        ({"a": {"patches": {"size": 16, "masking": "block"}}}, "views.a.patches.masking: expected random, blocks"),
        ({"a": {"patches": {"size": 16, "ratio": 1.5}}}, "views.a.patches: ratio expected numbers from 0 to 1"),
        ({"a": [{"resize": {"size": [9, 9], "p": 0.5}}]}, "views.a.steps[0].resize: resize changes the image's size"),
        ([1], "views: expected a mapping of names to views, got [1]"),
    ],
)  # fmt: skip
def test_errors_say_where(views: Any, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        Pipeline.from_spec({"views": views})
    (problem,) = caught.value.problems
    assert str(problem).startswith(message)


def test_all_errors_are_reported_together(tmp_path: Any) -> None:
    spec = tmp_path / "views.yaml"
    spec.write_text(
        "views:\n  a: [{rotate: {degree: 3}}]\n  b: {geometry: z}\n  c: {count: 0}\n  d: {draws: c}\n"
        "  e: [normalize, brightness]\n  f: {patches: {size: 3, ratio: 7}}\nbatch: [mixup]\n"
    )
    with pytest.raises(SpecError) as caught:
        Pipeline.from_spec(spec)
    where = [str(problem).removeprefix(f"{spec}:").split(": ")[:2] for problem in caught.value.problems]
    assert where == [
        ["2", "views.a.steps[0].rotate.degree"],
        ["3", "views.b.geometry"],
        ["4", "views.c.count"],
        ["6", "views.e.steps[1].brightness"],
        ["7", "views.f.patches"],
        ["8", "batch"],
    ]


def test_color_steps_after_the_normalize_of_all_views() -> None:
    with pytest.raises(SpecError) as caught:
        Pipeline([NORMALIZE], views={"a": [FLIP, "brightness"], "b": [NORMALIZE]})
    where = [str(problem).partition(": ")[0] for problem in caught.value.problems]
    assert where == ["views.a.steps[1].brightness", "views.b.steps[0].normalize"]


def test_views_less_one_step() -> None:
    pipe = Pipeline.from_spec(DINO)
    path = "views/global/horizontal_flip#0"
    assert pipe.spec.views[0].steps[1].path == path
    found = pipe.without(path)
    assert [step.name for step in found.spec.views[0].steps] == ["random_resized_crop", "color_jitter", "normalize"]
    assert len(found.spec.views[1].steps) == 4
    assert np.array_equal(found.train(IMAGE, index=1)["local_1"], pipe.train(IMAGE, index=1)["local_1"])


def test_what_is_printed() -> None:
    pipe = Pipeline(
        [FLIP], views={"global": {"count": 2, "steps": [CROP], "patches": 8}, "t": {"geometry": "global_2"}}
    )
    plan = pipe.train.plan((60, 80), index=7, epoch=2)
    text = str(plan)
    for name in ("global_1", "global_2", "t"):
        assert f"train, seed 0, epoch 2, index 7, view {name}: 60x80 rgb uint8" in text
        assert name in plan._repr_html_() and name in repr(pipe)
    assert text.count("12 of 4x4 patches are masked") == 2 and "geometry of global_2  crop " in text
    explained = pipe.test.explain()
    assert (
        "view global_1, global_2\n  random_resized_crop " in explained
        and "view t\n  geometry of global_2" in explained
    )
    assert "train without an index draws new numbers" in explained
    assert "view global_1, global_2" in pipe._repr_html_() and "geometry: global_2" in pipe._repr_html_()


def test_commands(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    spec = tmp_path / "views.yaml"
    spec.write_text("views:\n  global: {count: 2, steps: [{random_resized_crop: 32}]}\n  small: [{resize: 20}]\n")
    Image.fromarray(IMAGE).save(tmp_path / "photo.png")
    assert main(["validate", str(spec)]) == 0 and ": ok, 2 steps, " in capsys.readouterr().out
    assert main(["explain", str(spec), "--size", "60", "80", "--index", "1", "--batch"]) == 0
    assert "view global_2: 60x80" in capsys.readouterr().out
    for command in (
        ["apply", str(spec), str(tmp_path / "photo.png"), str(tmp_path / "out")],
        ["gallery", "--spec", str(spec), "--out", str(tmp_path / "page.html")],
        ["stats", str(tmp_path), "--spec", str(spec)],
    ):
        assert main(command) == 1
        error = capsys.readouterr().err
        assert f"augreg {command[0]} is for one image" in error and "pipe.of_view('global_1').to_spec()" in error
    assert not (tmp_path / "out").exists() and not (tmp_path / "page.html").exists()
