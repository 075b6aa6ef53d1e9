"""augreg.from_albumentations with the plugin installed, against albumentations itself."""

import albumentations as A  # noqa: N812 - as its own documentation calls it
import cv2
import numpy as np
import pytest

import augreg
from augreg import Pipeline

Y, X = np.mgrid[0:48, 0:64].astype(np.float64)
PLANES = (3 * X + Y * Y / 12, 250 - 4 * Y + X * X / 40, 128 + 100 * np.sin(X / 7 + Y / 5))
IMAGE = np.clip(np.stack(PLANES, axis=2), 0, 255).astype(np.uint8)
MASK = (IMAGE[..., 2] > 128).astype(np.uint8)
DRAWS = 100


def ours(pipeline, **options):
    imported = augreg.from_albumentations(pipeline)
    return Pipeline.from_spec({**imported.spec, "seed": 5, **options}), imported.report


def theirs(transforms, **more):
    compose = A.Compose(transforms, **more)
    compose.set_random_seed(11)
    return compose


EXACT = {
    "area": [A.Resize(20, 30, interpolation=cv2.INTER_AREA)],
    "bordered crop": [A.CenterCrop(60, 60, pad_if_needed=True, border_mode=1)],
    "fit": [A.Affine(rotate=(30, 30), fit_output=True, p=1), A.Resize(30, 40)],
    "lossless gray": [A.ToGray(method="max", p=1)],
    "longest of a list": [A.LongestMaxSize(max_size=[24])],
}


@pytest.mark.parametrize("name", EXACT)
def test_without_chance_the_pixels_and_masks_are_theirs(name):
    pipe, report = ours(A.Compose(EXACT[name]), backend="opencv")
    assert any("a step of the plugin" in line for line in report)
    want = theirs(EXACT[name])(image=IMAGE, mask=MASK)
    made = pipe.train({"image": IMAGE, "mask": MASK}, index=0)
    assert np.array_equal(made["image"], want["image"])
    assert np.array_equal(made["mask"], want["mask"])


RANDOM = {
    "texture": [A.GlassBlur(p=0.6), A.HorizontalFlip(p=0.5)],
    "shadow": [A.PlasmaShadow(p=0.8), A.RandomBrightnessContrast(p=0.5), A.VerticalFlip(p=0.5)],
    "axes": [A.Affine(scale={"x": (0.6, 1.4), "y": (0.9, 1.1)}, keep_ratio=False, p=1)],
    "crop of a rotation": [A.Rotate(limit=(-30, 30), crop_border=True, p=1), A.Resize(32, 32)],
    "bent": [A.GridElasticDeform(num_grid_xy=(3, 2), magnitude=4, p=0.7)],
    "choice": [A.OneOf([A.SaltAndPepper(p=1), A.ZoomBlur(p=3 / 4)], p=0.9), A.D4(p=0.3)],
}


def shares(done, boxes):
    """The mean of the picture, of the mask, and where the box is, and how often it is there."""
    height, width = done["image"].shape[:2]
    found = np.asarray(done[boxes], np.float64).reshape(-1, 4)
    place = (found / (width, height, width, height))[0] if len(found) else np.full(4, np.nan)
    return [done["image"].mean() / 255, done["image"].std() / 255, done["mask"].mean(), *place, float(len(found))]


@pytest.mark.parametrize("name", RANDOM)
def test_a_hundred_draws_have_the_statistics_of_theirs(name):
    """Means of the image, its deviation, the mask and the box: within 4.5 standard errors of the difference."""
    params = A.BboxParams(format="pascal_voc", label_fields=["labels"])
    pipe, report = ours(A.Compose(RANDOM[name], bbox_params=params), backend="opencv")
    assert any("a step of the plugin" in line for line in report)
    assert not any("left out" in line for line in report)
    assert all("natively" in line for line in report if "is not kept" in line)
    compose, box = theirs(RANDOM[name], bbox_params=params), [[20, 10, 44, 30]]
    want, made = [], []
    for index in range(DRAWS):
        done = compose(image=IMAGE, mask=MASK, bboxes=np.array(box), labels=[1])
        want.append(shares(done, "bboxes"))
        sample = {"image": IMAGE, "mask": MASK, "boxes": box, "labels": [1]}
        made.append(shares(pipe.train(sample, index=index), "boxes"))
    for number, (a, b) in enumerate(zip(np.array(want).T, np.array(made).T, strict=True)):
        a, b = a[~np.isnan(a)], b[~np.isnan(b)]
        error = np.sqrt((a.var() + b.var()) / DRAWS)
        assert abs(a.mean() - b.mean()) <= 4.5 * error + 0.004, number


def test_what_the_plugin_does_not_have_either_is_left_out():
    """MaskDropout depends on the mask."""
    pipe, report = ours(A.Compose([A.MaskDropout(), A.HorizontalFlip(p=1)]))
    assert "left out" in report[0] and "does not have it either" in report[0]
    assert np.array_equal(pipe.train(IMAGE, index=0), IMAGE[:, ::-1])


def brighter(image, **params):
    return np.minimum(image.astype(np.int32) + 40, 255).astype(np.uint8)


def test_real_lambdas_and_replay_compose():
    """Of a Compose of albumentations itself: with and without a name, and a dict with the name."""
    with_name = A.Lambda(image=brighter, name="brighter", p=1.0)
    registry = augreg.Registry.installed().allow(brighter)
    want = brighter(IMAGE)[:, ::-1]
    for pipeline, more in (
        (A.ReplayCompose([A.HorizontalFlip(p=1), A.Lambda(image=brighter, p=1.0)]), {}),
        (A.Compose([A.HorizontalFlip(p=1), with_name]), {}),
        (A.to_dict(A.Compose([A.HorizontalFlip(p=1), with_name])), {"nonserializable": {"brighter": with_name}}),
    ):
        imported = augreg.from_albumentations(pipeline, **more)
        assert not any("left out" in line or "is not kept" in line for line in imported.report)
        made = Pipeline.from_spec(imported.spec, registry).train(IMAGE, index=0)
        assert np.array_equal(made, want)


class Own(A.ImageOnlyTransform):
    """A transform of the user's, of which albumentations has no arguments."""

    def __init__(self, strength, p=0.5):
        super().__init__(p=p)
        self._strength = strength

    def apply(self, img, **params):
        return img


def test_a_transform_of_the_users_own_does_not_stop_the_import():
    imported = augreg.from_albumentations(A.Compose([A.HorizontalFlip(p=1), Own(3)]))
    assert imported.spec["image"] == [{"horizontal_flip": {"p": 1}}]
    assert len(imported.report) == 1 and "Own" in imported.report[0]


def test_saved_files(tmp_path):
    """As A.save writes them."""
    compose = A.Compose([A.RandomFog(p=0.3), A.Rotate(limit=(-10, 20), p=0.5)])
    for form in ("yaml", "json"):
        path = tmp_path / f"pipeline.{form}"
        A.save(compose, path, data_format=form)
        assert augreg.from_albumentations(path) == augreg.from_albumentations(compose)


def test_targets_of_ones_own_agree():
    """Boxes and keypoints under several names, in a flip and a crop; keypoints are half a pixel off."""
    flips = [A.HorizontalFlip(p=1), A.Crop(4, 2, 60, 40)]
    names = {"parts": "bboxes", "joints": "keypoints", "left": "image", "classes": "mask"}
    params = {
        "bbox_params": A.BboxParams(format="pascal_voc", min_area=30, min_width=4),
        "keypoint_params": A.KeypointParams(format="xy", remove_invisible=True),
        "additional_targets": names,
    }
    boxes = np.array([[0, 0, 10, 10], [20, 10, 44, 30], [58, 20, 63, 24]], np.float64)
    points = np.array([[1.0, 5.0], [30.0, 12.0]])
    want = theirs(flips, **params)(
        image=IMAGE, bboxes=boxes, parts=boxes[1:], keypoints=points, joints=points[::-1].copy(), left=IMAGE // 2,
        classes=MASK,
    )  # fmt: skip
    pipe, _ = ours(A.Compose(flips, **params))
    made = pipe.train(
        {"image": IMAGE, "boxes": boxes, "parts": boxes[1:], "keypoints": points + 0.5, "joints": points[::-1] + 0.5,
         "left": IMAGE // 2, "classes": MASK}, index=0,
    )  # fmt: skip
    for key, other in (("boxes", "bboxes"), ("parts", "parts")):
        assert np.allclose(made[key], np.asarray(want[other]).reshape(-1, 4)), key
    for key in ("keypoints", "joints"):
        assert np.allclose(made[key] - 0.5, np.asarray(want[key]).reshape(-1, 2)), key
    for key in ("image", "left"):
        assert np.array_equal(made[key], want[key])
    assert np.array_equal(made["classes"], want["classes"])
