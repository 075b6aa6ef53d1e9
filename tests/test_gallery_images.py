"""`augreg gallery --images`: which images it finds, in which order, and the exit codes of the command."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import augreg
from augreg import gallery
from augreg.__main__ import main
from augreg.data import sample_photo
from augreg.gallery.photos import classes_of, find, one_of_each_class
from augreg.registry.discovery import Contributions
from augreg.registry.registry import Registry


@pytest.fixture(autouse=True)
def _few_transforms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of all transforms take seconds; the first page also needs those of the table of policies."""
    names = (
        "invert",
        "auto_augment",
        "horizontal_flip",
        "affine",
        "random_resized_crop",
        "center_crop",
        "rotate",
        "resize",
    )
    installed = Registry.installed()
    few = Registry(Contributions({name: installed[name] for name in names}))
    monkeypatch.setattr(Registry, "installed", classmethod(lambda cls: few))


def put(folder: Path, *names: str) -> None:
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (80, 64), (number, 10, 10)).save(path)


def shown(page: Path) -> list[str]:
    """The names of the photos on a page, in order."""
    return re.findall(r'<article class="photo" aria-label="([^"]*)">', page.read_text("utf-8"))


def run(*arguments: object) -> int:
    try:
        return gallery.main([str(argument) for argument in arguments])
    except SystemExit as stopped:
        return int(stopped.code or 0)


def test_class_folders_are_looked_into_and_each_class_has_one_image(tmp_path: Path, capsys: Any) -> None:
    put(tmp_path, *(f"data/{name}/{number}.png" for name in ("ant", "bee", "cat") for number in (1, 2, 3, 4)))
    put(tmp_path, "data/dog/old/7.png", "data/dog/5.png", "data/.hidden/0.png", "data/ant/.0.png")
    (tmp_path / "spec.yaml").write_text("[invert]")
    assert run("--images", tmp_path / "data", "--out", tmp_path / "page.html", "--spec", tmp_path / "spec.yaml") == 0
    assert shown(tmp_path / "page.html") == ["ant/1.png", "bee/1.png", "cat/1.png", "dog/5.png"]
    assert "10 more images are not shown" in (tmp_path / "page.html").read_text("utf-8")
    assert str(tmp_path) not in (tmp_path / "page.html").read_text("utf-8")


def test_the_images_found_are_those_of_the_other_commands(tmp_path: Path, capsys: Any) -> None:
    """As many as `stats` measures and `folder` lists: without masks beside images and copies that `apply` wrote."""
    put(tmp_path, "data/ant/1.png", "data/ant/1_mask.png", "data/bee/2.JPG", "data/bee/below/3.png")
    (tmp_path / "data/bee/notes.txt").write_text("no image")
    (tmp_path / "spec.yaml").write_text("[horizontal_flip]")
    out = tmp_path / "data/copies"
    assert main(["apply", str(tmp_path / "spec.yaml"), str(tmp_path / "data"), str(out), "--processes=1"]) == 0
    names = set(find([tmp_path / "data"]).values())
    assert names == {"ant/1.png", "bee/2.JPG", "bee/below/3.png"}
    capsys.readouterr()
    assert main(["stats", str(tmp_path / "data"), "--processes=1", "--quiet"]) == 0
    assert capsys.readouterr().out.startswith("3 images")
    for path in out.rglob("*"):
        if path.is_file():
            path.unlink()
    for path in sorted(out.rglob("*"), reverse=True):
        path.rmdir()
    out.rmdir()
    assert names == set(augreg.data.folder(tmp_path / "data").ids) - {"ant/1_mask.png"}


def test_splits_take_turns_and_their_classes_too(tmp_path: Path) -> None:
    put(tmp_path, "0.png", *(f"{split}/{name}/{i}.png" for split in ("train", "val") for name in "ab" for i in "12"))
    assert list(find([tmp_path]).values()) == [
        "0.png", "train/a/1.png", "val/a/1.png", "train/b/1.png", "val/b/1.png",
        "train/a/2.png", "val/a/2.png", "train/b/2.png", "val/b/2.png",
    ]  # fmt: skip


def test_classes_are_the_folders_of_images_or_of_each_split() -> None:
    def classes(*names: str) -> list[str]:
        return [*classes_of({Path(name): name for name in names}).values()]

    assert classes("a/1.png", "b/2.png", "b/old/3.png") == ["a", "b", "b"]
    assert classes("train/a/1.png", "val/a/1.png", "train/b/1.png") == ["a", "a", "b"]
    assert classes("1.png", "2.png") == classes("a/1.png", "a/2.png") == []  # one class is none
    names = {Path(name): name for name in ("a/1.png", "b/1.png", "a/2.png")}
    assert one_of_each_class(names) == [Path("a/1.png"), Path("b/1.png")]
    assert one_of_each_class({Path("x.png"): "x.png", Path("y.png"): "y.png"}) == [Path("x.png"), Path("y.png")]


def test_files_and_folders_keep_the_order_in_which_they_are_given(tmp_path: Path) -> None:
    put(tmp_path, "one.png", "many/b/1.png", "many/a/1.png")
    paths = [tmp_path / "many", tmp_path / "one.png", tmp_path / "many/b/1.png"]
    assert list(find(paths)) == [tmp_path / "many/a/1.png", tmp_path / "many/b/1.png", tmp_path / "one.png"]


def test_exit_codes_are_those_of_the_other_commands(tmp_path: Path, capsys: Any) -> None:
    """0, 1 for an invalid spec or images that failed, 2 for wrong arguments and files; as `apply` has them."""
    put(tmp_path, "in/good.png")
    put(tmp_path, "both/cat/good.png")
    (tmp_path / "both/cat/broken.png").write_bytes(b"no image")
    (tmp_path / "good.yaml").write_text("[horizontal_flip]")
    (tmp_path / "wrong.yaml").write_text("image:\n  - rotate: {degree: 3}\n  - rot\n")
    (tmp_path / "large.yaml").write_text("{image: [{center_crop: 200}], max_pixels: 1000}")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "empty").mkdir()
    for spec, images, code, said in (
        ("good.yaml", "in", 0, ""),
        ("good.yaml", "both", 1, "cat/broken.png: not an image"),
        ("large.yaml", "in", 1, "max_pixels"),
        ("wrong.yaml", "in", 1, "wrong.yaml:2: image[0].rotate.degree: "),
        ("wrong.yaml", "in", 1, "wrong.yaml:3: image[1]: no transform named 'rot'"),
        ("binary.yaml", "in", 1, "binary.yaml: "),
        ("none.yaml", "in", 2, "none.yaml: cannot be read"),
        ("folder.yaml", "in", 2, "folder.yaml: cannot be read"),
        ("good.yaml", "none", 2, "none: no such file or folder"),
        ("good.yaml", "empty", 2, "empty: no images in it or below it"),
    ):
        spec, images = str(tmp_path / spec), str(tmp_path / images)
        assert run("--spec", spec, "--images", images, "--out", tmp_path / "page.html") == code, (spec, images)
        printed = capsys.readouterr()
        assert said in printed.err and "Traceback" not in printed.err
        assert printed.out.startswith("wrote ") == (code == 0 or "failed:" in printed.err)
        assert main(["apply", spec, images, str(tmp_path / "out"), "--overwrite", "--quiet", "--processes=1"]) == code
        capsys.readouterr()
    for wrong in (["--seed", "-1"], ["--size", "0"], ["--images"], ["--out", tmp_path / "none" / "page.html"], ["x"]):
        assert run(*wrong) == 2
    assert "usage:" in capsys.readouterr().err


def test_a_page_that_cannot_be_written_and_a_folder_that_cannot_be_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    put(tmp_path, "in/good.png")
    (tmp_path / "good.yaml").write_text("[horizontal_flip]")
    arguments = ("--spec", tmp_path / "good.yaml", "--images", tmp_path / "in", "--out", tmp_path / "page.html")

    def refuse(*_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied", str(tmp_path / "in"))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", refuse)
        assert run(*arguments) == 2
    assert "page.html: cannot be written: Permission denied" in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()
    with monkeypatch.context() as patch:
        patch.setattr("augreg.images.folders.os.scandir", refuse)
        assert run(*arguments) == 2
    assert "Permission denied" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that even root cannot write to")
def test_an_output_that_cannot_be_written_is_exit_code_2_of_every_command(tmp_path: Path, capsys: Any) -> None:
    put(tmp_path, "in/good.png")
    (tmp_path / "good.yaml").write_text("[horizontal_flip]")
    spec, images, quiet = str(tmp_path / "good.yaml"), str(tmp_path / "in"), ["--quiet", "--processes=1"]
    for arguments in (
        ["gallery", "--spec", spec, "--images", images, "--out", "/proc/page.html"],
        ["apply", spec, images, "/proc/copies", *quiet],
        ["stats", images, "--size", "4", "4", "--mean-image", "/proc/mean.npy", *quiet],
        ["new-plugin", "rain", "--folder", "/proc"],
    ):
        assert main(arguments) == 2, arguments
        printed = capsys.readouterr()
        assert printed.err.startswith("/proc/") and "cannot be written" in printed.err
        assert printed.out == ""


def test_sample_photos_are_images_of_the_documented_sizes() -> None:
    sizes = {"chelsea": (451, 300), "coffee": (480, 320), "astronaut": (480, 480), "rocket": (480, 320)}
    for name, size in sizes.items():
        with Image.open(sample_photo(name)) as photo:
            assert (photo.size, photo.mode) == (size, "RGB")
    assert sample_photo() == sample_photo("chelsea")
    with pytest.raises(ValueError, match="expected one of chelsea, coffee, astronaut, rocket, got 'cat'"):
        sample_photo("cat")
