"""The gallery draws masks, boxes and keypoints over the images of samples, and demonstrates them on two photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from augreg import Pipeline, Registry, gallery
from augreg.gallery.annotations import ANNOTATED, annotated
from augreg.gallery.overlays import _COLORS, names_in, overlaid
from augreg.gallery.photos import samples
from augreg.gallery.targets import demonstrations
from augreg.registry.discovery import Contributions
from augreg.targets.conventions import Targets

GRAY = np.full((300, 400, 3), 90, np.uint8)
BOXES = Targets(boxes="xyxy")


def changed(sample: dict, targets: Targets = BOXES, image: np.ndarray = GRAY) -> np.ndarray:
    """Where an overlay changes a plain image."""
    return (overlaid(image, sample, targets, names_in(sample)) != 90).any(axis=2)


def test_a_box_is_an_outline_where_it_is() -> None:
    where = changed({"boxes": [[50, 60, 150, 200]]})
    ys, xs = np.nonzero(where)
    assert (xs.min(), ys.min(), xs.max(), ys.max()) == (50, 60, 150, 200)
    assert not where[100:150, 80:120].any()
    normalized = changed({"boxes": [[0.25, 0.5, 0.25, 0.5]]}, Targets(boxes="cxcywh", normalized=True))
    ys, xs = np.nonzero(normalized)
    assert (xs.min(), ys.min(), xs.max(), ys.max()) == (50, 75, 150, 225)


def test_points_and_masks_are_drawn_where_they_are() -> None:
    for points in ([[200, 100]], {"nose": (200, 100)}, np.array([[200, 100, 2], [20, 20, 0]])):
        where = changed({"keypoints": points})
        assert where[100, 200] and not where[:80].any() and not where[:, :180].any()
    mask = np.zeros((300, 400), np.uint8)
    mask[10:20, 30:40] = 3
    for given in (mask, [mask], Image.fromarray(mask)):
        assert np.array_equal(changed({"mask": given}), mask > 0)


def test_a_mask_is_outlined_and_the_image_stays_visible_inside() -> None:
    mask = np.zeros((300, 400), np.uint8)
    mask[100:160, 100:200] = 1
    mask[100:160, 150:200] = 2
    mask[280:, :] = 3  # it goes on beyond the image, where there is no outline
    found = overlaid(GRAY, {"mask": mask}, BOXES, [])
    thick = 3  # round(400 / 150)
    for label, top, left, bottom, right in ((1, 100, 100, 160, 150), (2, 100, 150, 160, 200)):
        color, box = np.array(_COLORS[label - 1]), found[top:bottom, left:right]
        edge = np.ones(box.shape[:2], bool)
        edge[thick:-thick, thick:-thick] = False
        assert (box[edge] == color).all()
        assert (box[~edge] == np.rint(0.85 * 90 + 0.15 * color)).all()
    assert (found[280:283] == _COLORS[2]).all() and (found[283:] == np.rint(76.5 + 0.15 * np.array(_COLORS[2]))).all()
    assert (found[mask == 0] == 90).all()


def test_names_keep_their_color_and_small_images_grow() -> None:
    sample = {"boxes": [[20, 120, 80, 180], [200, 120, 280, 180]], "labels": ["cat", "dog"]}
    names = names_in(sample)
    both = overlaid(GRAY, sample, BOXES, names)
    dog = overlaid(GRAY, {"boxes": [[200, 120, 280, 180]], "labels": ["dog"]}, BOXES, names)
    assert (both[150, 20] != both[150, 200]).any() and np.array_equal(dog[150, 200], both[150, 200])
    small = overlaid(GRAY[:30, :40, :1], {"boxes": [[10, 10, 20, 20]]}, BOXES, [])
    assert small.shape == (210, 280, 3) and (small[70, 70:140] != 90).any()


def test_a_sample_on_the_page_has_its_targets_drawn() -> None:
    names = ("horizontal_flip", "normalize")
    registry = Registry(Contributions({name: Registry.installed()[name] for name in names}))
    spec = {"targets": {"boxes": "xyxy"}, "image": [{"horizontal_flip": {"p": 1}}, "normalize"]}
    pipeline = Pipeline.from_spec(spec, registry)
    sample = {"image": GRAY, "boxes": [[50, 60, 150, 200]], "keypoints": [[200, 100]], "mask": GRAY[..., 0] // 90}
    page = gallery.render(pipeline, [sample])
    assert "pipe.train(sample, index=0, epoch=0)" in page
    assert gallery.render(pipeline, [sample]) == page != gallery.render(pipeline, [GRAY])
    wrong = gallery.render(pipeline, [{**sample, "boxes": [[1, 2]]}])
    assert "sample[&#39;boxes&#39;]: the shape (1, 2)" in wrong
    missing = gallery.render(pipeline, [{"mask": GRAY}])
    assert "This image cannot be read" in missing


def test_the_demonstration_shows_photos_that_it_knows() -> None:
    found = demonstrations([*map(str, samples()), GRAY, "other/chelsea.jpg"], "pillow")
    assert [one.name for one in found] == [path.name for path in samples() if path.name in ANNOTATED]
    for one in found:
        assert len(one.draws) == 4 and all(tile.image for tile in (one.photo, *one.draws))
    assert demonstrations([Path("other/chelsea.jpg"), GRAY], "pillow") == ()


@pytest.mark.parametrize("name", ANNOTATED)
def test_annotations_lie_on_their_photos(name: str) -> None:
    (path,) = [path for path in samples() if path.name == name]
    photo = np.asarray(Image.open(path))
    sample = annotated(name, photo, *photo.shape[:2])
    found = Pipeline.from_spec({"image": [], "targets": {"boxes": "xyxy", "min_visible": 1}}).train(sample, index=0)
    assert found["boxes"] == sample["boxes"] and len(found["keypoints"]) == 3
    assert set(np.unique(sample["mask"])) == set(range(1 + len(ANNOTATED[name]["outlines"])))
