"""Views of samples, files, tensors and PIL images, and views that differ in size."""

from __future__ import annotations

import io

import numpy as np
import pytest
from images import made
from PIL import Image

from augreg import ImageError, Pipeline

IMAGE = made("noise", 12, 17)


def test_samples() -> None:
    mask = np.zeros((12, 17), np.uint8)
    mask[2:5, 1:4] = 7
    sample = {"image": IMAGE, "mask": mask, "boxes": np.array([[1.0, 2.0, 4.0, 5.0]]), "label": 3}
    views = Pipeline(["horizontal_flip"], targets={"boxes": "xyxy"}).views(sample, 2)
    mirrored = views[1].image
    assert np.array_equal(mirrored["image"], IMAGE[:, ::-1]) and np.array_equal(mirrored["mask"], mask[:, ::-1])
    assert mirrored["boxes"].tolist() == [[13.0, 2.0, 16.0, 5.0]] and mirrored["label"] == 3
    with pytest.raises(ValueError, match=r"read `view\.image` of each view"):
        views.images  # noqa: B018


def test_images_of_every_kind(tmp_path) -> None:
    pipe = Pipeline(["horizontal_flip", {"brightness": 0.3}], backend="pillow")
    wanted = pipe.views(IMAGE, 5).images
    pil = Image.fromarray(IMAGE)
    path = tmp_path / "image.png"
    pil.save(path)
    views = pipe.views(pil, 5)
    assert isinstance(views[3].image, Image.Image) and np.array_equal(views.images, wanted)
    for given in (path, path.read_bytes(), io.BytesIO(path.read_bytes())):
        assert np.array_equal(pipe.views(given, 5).images, wanted)
    with path.open("rb") as file:
        assert np.array_equal(pipe.views({"image": file}, 5)[4].image["image"], wanted[4])
    with pytest.raises(ImageError, match="there is no such file"):
        pipe.views(tmp_path / "none.png", 5)
    with pytest.raises(ImageError, match=r"image\.png: normalize's mean has 3 numbers"):
        Pipeline([{"normalize": "imagenet"}], channels="gray").views(path, 5)[0].image  # noqa: B018


def test_tensors() -> None:
    torch = pytest.importorskip("torch")
    pipe = Pipeline(["horizontal_flip", {"brightness": 0.3}])
    views = pipe.views(torch.from_numpy(IMAGE).permute(2, 0, 1), 5)
    assert views.images.shape == (5, 3, 12, 17) and views.images.dtype == torch.uint8
    assert np.array_equal(views.images.permute(0, 2, 3, 1).numpy(), pipe.views(IMAGE, 5).images)


def test_a_size_by_chance_is_views_of_several_sizes() -> None:
    pipe = Pipeline([{"resize": {"size": [6, 8], "p": 0.5, "test": "off"}}])
    views = pipe.views(IMAGE, 4)
    assert views.exact and [view.image.shape for view in views] == [(12, 17, 3), (6, 8, 3)]
    with pytest.raises(ValueError, match=r"differ in size \(12x17x3, 6x8x3\).*view\.image"):
        views.images  # noqa: B018


class Download:
    """An open file that can be read only once."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def read(self, size: int = -1) -> bytes:
        data, self.data = self.data, b""
        return data


def test_a_file_that_can_be_read_only_once(tmp_path) -> None:
    path = tmp_path / "image.png"
    Image.fromarray(IMAGE).save(path)
    pipe = Pipeline(["horizontal_flip"])
    for given in (Download(path.read_bytes()), {"image": Download(path.read_bytes())}):
        found = pipe.views(given, 2)[1].image
        assert np.array_equal(found["image"] if isinstance(found, dict) else found, IMAGE[:, ::-1])
    with path.open("rb") as file:
        file.read()
        assert np.array_equal(pipe.views(file, 2)[1].image, IMAGE[:, ::-1]), "from its start, as pipe.test does"
        file.close()
        with pytest.raises(ImageError, match="closed file"):
            pipe.views(file, 2)


@pytest.mark.parametrize("channels", ["keep", "rgba", "gray", "rgb"])
def test_channels_of_files(tmp_path, channels: str) -> None:
    path = tmp_path / "image.png"
    Image.fromarray(made("noise", 9, 7, 4), "RGBA").save(path)
    pipe = Pipeline(["invert", "horizontal_flip"], channels=channels)
    other = {"image": path, "images": [path, path.read_bytes()], "path": {"of": path}, "label": Download(b"")}
    views = pipe.views(path, 2), pipe.views(other, 2)
    for number in range(2):
        found = views[0][number].image
        opened = np.asarray(pipe.views(Image.open(path), 2)[number].image)
        assert np.array_equal(found, opened.reshape(found.shape))
        sample = views[1][number].image
        assert all(np.array_equal(found, one) for one in (sample["image"], *sample["images"]))
        assert sample["path"] is other["path"] and sample["label"] is other["label"]
    assert np.array_equal(views[0][0].image, pipe.test(path))
    once = {"image": path, "images": [Download(path.read_bytes()), path]}
    assert np.array_equal(pipe.views(once, 2)[1].image["images"][0], views[0][1].image)
