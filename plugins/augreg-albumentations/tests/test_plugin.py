"""Arguments, targets, conversions, and an import without side effects."""

import re
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import albumentations
import numpy as np
import pytest
from augreg_albumentations import engine, from_dict, to_dict
from augreg_albumentations.catalog import catalog

import augreg

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def test_a_hundred_transforms_are_listed_without_importing_albumentations():
    """Names, docstrings and arguments come from the catalog."""
    code = (
        "import sys; from augreg import Registry; r = Registry.installed()\n"
        "names = [n for n in r if n.startswith('albumentations/')]; [r[n] for n in names]\n"
        "assert 'albumentations.core' not in sys.modules and 'torch' not in sys.modules; print(len(names))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == len(catalog()) >= 100


def test_the_catalog_is_that_of_the_installed_version():
    """Every name, argument and default; tools/catalog.py writes it."""
    import inspect

    for name, entry in catalog().items():
        parameters = inspect.signature(getattr(albumentations, name).__init__).parameters
        assert {*entry["fields"], *entry["needs"]} == {*parameters} - {"self", "p", "args", "kwargs", "read_fn"}, name
        assert entry["p"] == parameters["p"].default


def test_importing_it_makes_no_network_requests():
    """No socket is opened, not even to look for a newer version."""
    code = (
        "import socket\n"
        "def refuse(*a, **k): raise SystemExit('a socket was opened')\n"
        "socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse\n"
        "import augreg; augreg.Pipeline.from_spec(['albumentations/Blur'])\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"blur_limt": 3}, "did you mean 'blur_limit'?"),
        ({"blur_limit": "wide"}, "albumentations refuses blur_limit"),
        ({"p": 2}, "expected float <= 1.0"),
    ],
)
def test_arguments_are_checked_when_the_spec_is_read(arguments, message):
    """Albumentations by itself only warns of an unknown one."""
    with pytest.raises(augreg.SpecError, match=r"image\[0\].albumentations/Blur") as caught:
        augreg.Pipeline.from_spec([{"albumentations/Blur": arguments}])
    assert message in str(caught.value)


def test_an_image_keeps_its_channels():
    """Gray in one channel is refused when the spec is read."""
    with pytest.raises(augreg.SpecError, match="num_output_channels: an image keeps its channels"):
        augreg.Pipeline.from_spec([{"albumentations/ToGray": {"num_output_channels": 1}}])


def test_it_does_what_albumentations_does():
    """With the same seed, the same bytes."""
    pipe = augreg.Pipeline.from_spec([{"albumentations/ElasticTransform": {"alpha": 30, "sigma": 5, "p": 1}}])
    op = pipe.train.plan((40, 60), index=5).ops[0]
    compose = albumentations.Compose([albumentations.ElasticTransform(alpha=30, sigma=5, p=1)])
    compose.set_random_seed(dict(op.params)["seed"])
    assert np.array_equal(pipe.train(IMAGE, index=5), compose(image=IMAGE)["image"])


def test_boxes_steer_what_looks_at_them():
    """A crop that is safe for boxes sees those of the sample, and masks and boxes get the same draw."""
    pipe = augreg.Pipeline.from_spec(
        {"targets": {"boxes": "xyxy"}, "image": [{"albumentations/BBoxSafeRandomCrop": {"p": 1}}]}
    )
    image = np.zeros((40, 60, 3), np.uint8)
    image[10:20, 20:45] = 255
    for index in range(20):
        sample = {"image": image, "mask": image[..., 0] // 255, "boxes": np.array([[20.0, 10, 45, 20]])}
        found = pipe.train(sample, index=index)
        assert (found["mask"] == found["image"][..., 0] // 255).all()
        assert found["mask"].sum() == 250  # all of the box is there
        ys, xs = np.nonzero(found["mask"])
        assert np.allclose(found["boxes"][0], [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], atol=1)


def test_pipelines_become_specs_and_come_back():
    """And the spec's dictionary makes the same pipeline again."""
    import albumentations as A  # noqa: N812 - as its users write

    compose = A.Compose(
        [
            A.HorizontalFlip(),
            A.OneOf([A.Blur(p=0.3), A.MedianBlur(p=0.7)], p=0.5),
            A.SomeOf([A.CLAHE(), A.Posterize()], n=2),
            A.RandomOrder([A.CLAHE(), A.Affine(rotate=(-5, 5))], n=2),
            A.Sequential([A.RandomCrop(20, 20, p=1.0)], p=1.0),
            A.ToTensorV2(),
        ],
        bbox_params=A.BboxParams("pascal_voc", label_fields=["labels"]),
    )
    spec = from_dict(A.to_dict(compose))
    pipe = augreg.Pipeline.from_spec(spec)
    assert pipe.options.output == "torch"
    assert pipe.options.targets.boxes == "xyxy"
    assert tuple(pipe.train(IMAGE, index=1).shape) == (3, 20, 20)
    again = to_dict(pipe.to_spec())
    assert augreg.Pipeline.from_spec({**from_dict(again), "targets": spec["targets"]}) == pipe
    assert again["__version__"] == A.__version__
    assert isinstance(A.from_dict(again), A.Compose)


def composed(*transforms, **more):
    """The output of `A.to_dict` for a Compose, without importing anything."""
    return {"__class_fullname__": "Compose", "transforms": list(transforms), **more}


def of(name, *transforms, **arguments):
    """One transform in it, or one that holds others."""
    return {"__class_fullname__": name, **({"transforms": list(transforms)} if transforms else {}), **arguments}


def test_a_compose_by_chance_keeps_its_tensors():
    """ToTensorV2 at its end is the option `output`, and no step."""
    spec = from_dict(composed(of("Blur"), of("ToTensorV2"), p=0.4))
    assert spec["image"] == [{"sequential": {"steps": [{"albumentations/Blur": {}}], "p": 0.4}}]
    assert tuple(augreg.Pipeline.from_spec(spec).train(IMAGE, index=1).shape) == (3, 40, 60)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (composed(of("Mosaic"), of("X")), "Mosaic has no step here; X has no step here"),
        (composed(of("OneOf", of("ToTensorV2"), of("Blur"))), "ToTensorV2 is allowed only at the end"),
        (composed(of("ToTensorV2"), of("Blur")), "ToTensorV2 is allowed only at the end"),
        (composed(of("ToTensorV2", transpose_mask=True)), "transpose_mask has no equivalent"),
        (composed(of("RandomOrder", of("Blur"), of("CLAHE"), n=1)), "n=1 of 2 steps"),
        (composed(of("RandomOrder", of("Blur"), n=1, replace=True)), "RandomOrder: replace=True"),
        (composed(of("SomeOf", of("Blur"), of("CLAHE"), n=2, replace=True)), "SomeOf: replace=True"),
        (composed(additional_targets={"left": "image"}), "additional_targets: 'left' as 'image' is not kept"),
        (composed(additional_targets={"mask2": "image"}), "additional_targets: 'mask2' as 'image' is not kept"),
        (composed(keypoint_params={"format": "xya"}), "format='xya' is not kept"),
        (of("Compose"), "Compose: expected a list of `transforms`, got None"),
        (composed("Blur"), "expected the output of A.to_dict"),
        ([], "expected the output of A.to_dict"),
        (None, "expected the output of A.to_dict"),
        ({"transform": {}}, "expected the output of A.to_dict"),
    ],
)
def test_what_cannot_be_converted_is_named(data, message):
    """All of it at once, and why."""
    with pytest.raises(augreg.SpecError, match=re.escape(message)):
        from_dict(data)


def test_further_images_and_masks_are_kept():
    """By their keys, as augreg does."""
    data = composed(of("HorizontalFlip", p=1.0), additional_targets={"image2": "image", "mask_left": "mask"})
    sample = {"image": IMAGE, "image2": IMAGE, "mask_left": IMAGE[..., 0]}
    found = augreg.Pipeline.from_spec(from_dict(data)).train(sample, index=0)
    assert np.array_equal(found["image2"], IMAGE[:, ::-1])
    assert np.array_equal(found["mask_left"], IMAGE[:, ::-1, 0])


def test_what_albumentations_cannot_say_is_named():
    """On the way back."""
    with pytest.raises(augreg.SpecError, match="rotate is not a step of albumentations"):
        to_dict(["rotate"])


def test_threads_leave_the_filters_of_warnings_as_they_were():
    """Many threads that each make a transform of their own, in a program where warnings are errors."""
    pipe = augreg.Pipeline.from_spec([{"albumentations/InvertImg": {"p": 1}}])
    before, interval = list(warnings.filters), sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for _ in range(20):
            with ThreadPoolExecutor(8) as pool:
                found = list(pool.map(lambda key: pipe.train(IMAGE, index=key), range(16)))
            assert all(np.array_equal(image, 255 - IMAGE) for image in found)
            assert list(warnings.filters) == before
    finally:
        sys.setswitchinterval(interval)


def test_only_its_own_warnings_are_quiet():
    """What others have to say meanwhile is heard; here warnings are errors."""
    with engine._quiet():
        warnings.warn_explicit("of albumentations", UserWarning, "file.py", 1, module="albumentations.core")
        with pytest.raises(UserWarning, match="of somebody else"):
            warnings.warn_explicit("of somebody else", UserWarning, "file.py", 1, module="somebody")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("VerticalFlip", {}),
        ("Pad", {"padding": 3, "fill": -7.5}),
        ("GridDropout", {"ratio": 0.5, "fill": 4.0, "random_offset": False}),
        ("Resize", {"height": 25, "width": 31}),
    ],
)
def test_a_normalized_image_keeps_its_values(name, arguments):
    """Values below 0 and above 1 stay, before a plugin's step as after: the output is that of albumentations."""
    spec = ["albumentations/Normalize", {f"albumentations/{name}": {**arguments, "p": 1}}]
    found = augreg.Pipeline.from_spec({"seed": 1, "image": spec}).train(IMAGE, index=0)
    theirs = albumentations.Compose([albumentations.Normalize(), getattr(albumentations, name)(**arguments, p=1)])
    expected = theirs(image=IMAGE)["image"].transpose(2, 0, 1)
    assert expected.min() < -1.5 and expected.max() > 2
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_floats_that_are_not_normalized_stay_from_0_to_1():
    """A bicubic resize overshoots, and white stays 1."""
    edge = np.zeros((8, 8, 3), np.float32)
    edge[:, 4:] = 1.0
    step = {"albumentations/Resize": {"height": 20, "width": 20, "interpolation": 2, "p": 1}}
    assert albumentations.Resize(20, 20, interpolation=2, p=1)(image=edge)["image"].max() > 1.01
    found = augreg.Pipeline.from_spec([step]).train(edge, index=0)
    assert (found.min(), found.max()) == (0.0, 1.0)


@pytest.mark.parametrize("sigma", [3.0, 6.0])
def test_elastic_as_it_is_imported_moves_pixels_as_far(sigma):
    """The deviation of displacements away from the border, where theirs repeat the noise of the edge."""
    from albumentations.augmentations.geometric.functional import generate_displacement_fields

    step = albumentations.ElasticTransform(alpha=120, sigma=sigma, p=1)
    spec = augreg.from_albumentations(step).spec["image"]
    plan = augreg.Pipeline.from_spec({"seed": 1, "image": spec})
    inside, away = int(3 * sigma), []
    column = np.tile(np.arange(256, dtype=np.float32) / 256, (256, 1))[..., None]
    for index in range(6):
        moved = plan.train(column, index=index)[..., 0] * 256 - column[..., 0] * 256
        generator = np.random.default_rng(index)
        theirs = generate_displacement_fields((256, 256), 120, sigma, False, (0, 0), generator, "gaussian")[0]
        away.append([field[inside:-inside, inside:-inside].std() for field in (moved, theirs)])
    ours, theirs = np.mean(away, axis=0)
    assert abs(ours / theirs - 1) < 0.06
