"""`augreg stats`: measures that NumPy agrees with, in any order, and a line to copy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from augreg import Pipeline
from augreg.__main__ import main

SIZES = ((8, 9), (20, 5), (1, 1), (13, 13))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images of several sizes, in two class folders, and something that is none."""
    rng = np.random.default_rng(3)
    for number, size in enumerate(SIZES):
        path = tmp_path / f"in/class{number % 2}/{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(path)
    (tmp_path / "in/notes.txt").write_text("no image")
    return tmp_path / "in"


def arrays(folder: Path) -> list[np.ndarray]:
    found = []
    for path in sorted(folder.rglob("*.png")):
        with Image.open(path) as image:
            found.append(np.asarray(image.convert("RGB")))
    return found


def stats(folder: Path, *more: str) -> int:
    return main(["stats", str(folder), "--quiet", *more])


def normalize(out: str) -> dict[str, list[float]]:
    """The arguments in the line to copy."""
    line = out.splitlines()[-1]
    assert line.startswith("- normalize: ")
    Pipeline.from_spec(yaml.safe_load(line))
    return yaml.safe_load(line)[0]["normalize"]


def test_mean_and_std_over_all_pixels(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert stats(folder, "--processes", "1") == 0
    out, err = capsys.readouterr()
    pixels = np.concatenate([array.reshape(-1, 3) for array in arrays(folder)]) / 255.0
    given = normalize(out)
    np.testing.assert_allclose(given["mean"], pixels.mean(0), rtol=1e-5)
    np.testing.assert_allclose(given["std"], pixels.std(0), rtol=1e-5)
    assert out.splitlines()[0] == f"4 images, {len(pixels)} pixels"
    assert err == ""
    assert stats(folder, "--processes", "2") == 0
    assert capsys.readouterr().out == out  # to the last digit, in whatever order they came


def test_the_line_normalizes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stats(folder, "--processes", "1")
    pipe = Pipeline.from_spec(yaml.safe_load(capsys.readouterr().out.splitlines()[-1]))
    done = np.concatenate([pipe.test(array).reshape(3, -1) for array in arrays(folder)], axis=1)
    np.testing.assert_allclose(done.mean(1), 0, atol=1e-4)
    np.testing.assert_allclose(done.std(1), 1, atol=1e-4)


def test_bad_files_are_listed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert stats(folder, "--processes", "1") == 0
    good = capsys.readouterr().out
    (folder / "class0/broken.jpg").write_bytes(b"no image")
    assert stats(folder, "--processes", "1") == 1
    out, err = capsys.readouterr()
    assert out == good
    assert err.splitlines()[0] == "1 of 5 images failed:"
    assert err.splitlines()[1].startswith("  class0/broken.jpg: not an image")


def test_masks_are_not_measured(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stats(folder, "--processes", "1")
    before = capsys.readouterr().out
    Image.new("L", (9, 8), 200).save(folder / "class0/0_mask.png")
    stats(folder, "--processes", "1")
    assert capsys.readouterr().out == before


def test_gray_and_channels_that_differ(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert stats(folder, "--channels", "gray", "--processes", "1") == 0
    assert len(normalize(capsys.readouterr().out)["mean"]) == 1
    Image.new("L", (9, 8), 200).save(folder / "z.png")
    assert stats(folder, "--channels", "keep", "--processes", "1") == 1
    assert "z.png: its channels differ from those of the other images: 1 and 3" in capsys.readouterr().err


def test_a_flat_channel_is_not_divided_by_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (9, 8), (10, 20, 30)).save(tmp_path / "flat.png")
    assert stats(tmp_path, "--processes", "1") == 0
    out, err = capsys.readouterr()
    assert normalize(out)["std"] == [1.0, 1.0, 1.0]
    assert "standard deviation is 0" in err


def test_mean_image(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    to = tmp_path / "mean.npy"
    assert stats(folder, "--mean-image", str(to), "--size", "6", "4", "--processes", "2") == 0
    resize = Pipeline.from_spec([{"resize": {"size": [6, 4]}}])
    want = np.mean([resize.test(array).astype(np.float64) for array in arrays(folder)], axis=0) / 255
    mean = np.load(to)
    assert (mean.shape, mean.dtype) == ((6, 4, 3), np.float32)
    np.testing.assert_allclose(mean, want, atol=1e-6)
    pipe = Pipeline.from_spec(
        [{"resize": {"size": [6, 4]}}, *yaml.safe_load(capsys.readouterr().out.splitlines()[-1])]
    )
    centerd = np.mean([pipe.test(array) for array in arrays(folder)], axis=0)
    np.testing.assert_allclose(centerd, 0, atol=1e-5)


def test_spec_up_to_normalize(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text("- random_crop: 6\n- [invert, {normalize: imagenet}]\n- cutout: 3\n")
    assert stats(folder, "--spec", str(spec), "--processes", "1") == 0
    measured = normalize(capsys.readouterr().out)
    made = [Pipeline.from_spec([{"random_crop": 6}, "invert"]).test(array) for array in arrays(folder)]
    np.testing.assert_allclose(measured["mean"], np.mean(made, axis=(0, 1, 2)) / 255, rtol=1e-5)
    to = tmp_path / "mean.npy"
    assert stats(folder, "--spec", str(spec), "--mean-image", str(to), "--processes", "1") == 0
    np.testing.assert_allclose(np.load(to), np.mean(made, axis=0) / 255, atol=1e-6)


def test_images_of_other_sizes_have_no_mean(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text("- invert\n")
    to = tmp_path / "mean.npy"
    assert stats(folder, "--spec", str(spec), "--mean-image", str(to), "--processes", "1") == 1
    assert "class1/1.png: its height, width and channels differ" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "err"),
    [(["--mean-image", "x.npy"], "give --size H W"), (["--mean-image", "x.png", "--size", "2", "2"], "ends in .npy"),
     (["--size", "2", "2", "--spec", "imagenet"], "not both"), (["--size", "0", "2"], "whole number from 1")],
    ids=str,
)  # fmt: skip
def test_wrong_call(more: list[str], err: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        stats(folder, *more)
    assert done.value.code == 2
    assert err in " ".join(capsys.readouterr().err.split())


def test_wrong_places(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert stats(folder / "none") == 2
    assert "no such file or folder" in capsys.readouterr().err
    assert stats(folder, "--spec", "imagenot") == 2
    assert "did you mean 'imagenet'?" in capsys.readouterr().err
