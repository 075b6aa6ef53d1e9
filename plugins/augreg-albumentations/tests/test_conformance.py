"""The conformance checks on every transform; expected failures are listed with their reasons.

Checks of keys, the input, global generators and targets must never be on that list.
"""

from augreg.testing import parametrize

SMALL = "albumentations fails on images of one pixel or of one row"
FIXED = "there are no random draws with its default arguments, yet it is seeded"
BOXES = "there are no random draws without boxes"
EXPECTED = {
    "AtLeastOneBBoxRandomCrop:dtypes_and_sizes": "the crop must fit into the image",
    "AtLeastOneBBoxRandomCrop:size_matches_the_plan": "the crop must fit into the image",
    "AtLeastOneBBoxRandomCrop:views_hold": "the crop must fit into the image",
    "BBoxSafeRandomCrop:other_key_other_draw": BOXES,
    "CLAHE:other_key_other_draw": "on an image this small every limit gives the same",
    "Downscale:dtypes_and_sizes": SMALL,
    "Downscale:other_key_other_draw": FIXED,
    "Erasing:dtypes_and_sizes": SMALL,
    "FancyPCA:dtypes_and_sizes": SMALL,
    "FrequencyMasking:dtypes_and_sizes": "the mask must fit into the image",
    "GlassBlur:dtypes_and_sizes": SMALL,
    "GridDistortion:dtypes_and_sizes": SMALL,
    "GridDropout:dtypes_and_sizes": SMALL,
    "HistogramMatching:dtypes_and_sizes": SMALL,
    "Morphological:other_key_other_draw": FIXED,
    "PixelDistributionAdaptation:bytes_and_floats_agree": "albumentations 2.0.8 makes any float image white",
    "PlasmaBrightnessContrast:dtypes_and_sizes": SMALL,
    "PlasmaShadow:dtypes_and_sizes": SMALL,
    "Posterize:other_key_other_draw": FIXED,
    "RandomGravel:other_key_other_draw": "on an image this small it draws no stone",
    "RandomSizedBBoxSafeCrop:other_key_other_draw": BOXES,
    "Solarize:other_key_other_draw": FIXED,
    "TimeMasking:dtypes_and_sizes": "the mask must fit into the image",
    "XYMasking:dtypes_and_sizes": "the mask must fit into the image",
}
NEVER = (
    "same_key_same_bytes", "input_is_not_written", "global_generators", "targets_follow", "figures_follow",
    "frames_follow",
)  # fmt: skip


@parametrize("albumentations", {f"albumentations/{key}": reason for key, reason in EXPECTED.items()})
def test_conformance(check):
    """One test for each transform and check."""
    check()


def test_nothing_that_matters_is_expected_to_fail():
    """Whatever is added to the list above."""
    assert not [key for key in EXPECTED if key.rpartition(":")[2] in NEVER]
