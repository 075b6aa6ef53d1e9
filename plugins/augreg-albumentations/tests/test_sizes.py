"""The test side: transforms that draw only for some arguments, and crops, whose output size must be the same."""

import numpy as np
import pytest

import augreg

IMAGE = np.random.default_rng(0).integers(1, 256, (40, 60, 3), dtype=np.uint8)


def pipeline(name, arguments):
    """Of one step, always applied."""
    return augreg.Pipeline.from_spec([{f"albumentations/{name}": arguments}])


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("AtLeastOneBBoxRandomCrop", {"height": 20, "width": 22, "erosion_factor": 0.2}),
        ("RandomCrop", {"height": 30, "width": 24}),
        ("RandomCrop", {"height": 70, "width": 24, "pad_if_needed": True, "pad_position": "random"}),
        ("RandomResizedCrop", {"size": [24, 32]}),
        ("RandomSizedBBoxSafeCrop", {"height": 24, "width": 20}),
        ("RandomSizedCrop", {"min_max_height": [20, 30], "size": [24, 28], "w2h_ratio": 1.5}),
        ("RandomSizedCrop", {"min_max_height": [40, 40], "size": [24, 28], "w2h_ratio": 1.5}),
    ],
)
def test_crops_of_one_size_leave_it_on_both_sides(name, arguments):
    """So that a loader can stack them, and the plan knows the size."""
    pipe = pipeline(name, arguments)
    size = tuple(arguments["size"]) if "size" in arguments else (arguments["height"], arguments["width"])
    assert {pipe.train(IMAGE, index=index).shape for index in range(5)} == {(*size, 3)}
    assert pipe.test(IMAGE).shape == (*size, 3)
    assert not pipe.train.plan((40, 60), index=0).deferred


def test_the_test_side_of_a_crop_is_its_center():
    """Of the image's own pixels, or padded evenly."""
    found = pipeline("RandomCrop", {"height": 30, "width": 24}).test(IMAGE)
    assert np.array_equal(found, IMAGE[5:35, 18:42])
    padded = pipeline("RandomCrop", {"height": 50, "width": 24, "pad_if_needed": True, "pad_position": "random"})
    assert np.array_equal(padded.test(IMAGE)[5:45], IMAGE[:, 18:42])
    below = pipeline("RandomCrop", {"height": 50, "width": 24, "pad_if_needed": True, "pad_position": "bottom_left"})
    assert np.array_equal(below.test(IMAGE) > 0, below.train(IMAGE, index=0) > 0)
    sized = pipeline("RandomSizedCrop", {"min_max_height": [10, 30], "size": [20, 30], "w2h_ratio": 1.5})
    assert np.array_equal(sized.test(IMAGE), IMAGE[10:30, 15:45])


@pytest.mark.parametrize(
    ("name", "arguments", "test"),
    [
        ("CenterCrop", {"height": 60, "width": 60, "pad_if_needed": True, "pad_position": "random"}, (60, 60)),
        ("Crop", {"x_max": 60, "y_max": 60, "pad_if_needed": True, "pad_position": "random"}, (60, 60)),
        ("PadIfNeeded", {"min_height": 60, "min_width": 60, "position": "random"}, (60, 60)),
        ("LongestMaxSize", {"max_size": [20, 45, 30]}, (20, 30)),
        ("SmallestMaxSize", {"max_size": [10, 20, 30]}, (20, 30)),
    ],
)
def test_what_draws_by_one_argument_draws(name, arguments, test):
    """Training differs from key to key, and testing is the middle of it."""
    pipe = pipeline(name, arguments)
    found = [pipe.train(IMAGE, index=index) for index in range(30)]
    assert len({image.tobytes() for image in found}) > 2
    assert pipe.test(IMAGE).shape[:2] == test
    if test == (60, 60):
        assert np.array_equal(pipe.test(IMAGE)[10:50], IMAGE)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("CenterCrop", {"height": 20, "width": 20}),
        ("PadIfNeeded", {"min_height": 60, "min_width": 70}),
        ("LongestMaxSize", {"max_size": 30}),
    ],
)
def test_without_that_argument_they_do_one_thing(name, arguments):
    """Both sides do the same; where it is applied by chance, the test side leaves it out."""
    pipe = pipeline(name, arguments)
    assert np.array_equal(pipe.train(IMAGE, index=3), pipe.test(IMAGE))
    assert np.array_equal(pipeline(name, {**arguments, "p": 0.5}).test(IMAGE), IMAGE)
