"""`augreg apply`: what it writes where, what it leaves alone, and that being killed changes nothing."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from augreg import Pipeline
from augreg.__main__ import main
from augreg.commands.output_folder import MANIFEST
from augreg.commands.parallel import run as pooled
from augreg.commands.progress import progress

SPEC = "image:\n  - random_crop: {size: 24, padding: 4}\n  - horizontal_flip\n  - rotate: 20\n  - brightness: 0.4\n"


def photo(path: Path, seed: int = 0, size: tuple[int, int] = (30, 40)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a spec and images in class folders."""
    (tmp_path / "spec.yaml").write_text(SPEC)
    for number, name in enumerate(("cat/a.png", "cat/b.png", "dog/a.png", "dog/deep/c.webp", "top.png")):
        photo(tmp_path / "in" / name, number)
    return tmp_path


def apply(place: Path, *more: str, out: str = "out", spec: str | None = None) -> int:
    return main(["apply", spec or str(place / "spec.yaml"), str(place / "in"), str(place / out), "--quiet", *more])


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def opened(path: Path) -> Image.Image:
    return Image.open(io.BytesIO(path.read_bytes()))


def pixels(path: Path) -> np.ndarray:
    return np.asarray(opened(path))


def test_copies_are_what_the_pipeline_makes_at_the_images_key(place: Path) -> None:
    assert apply(place, "--copies", "2", "--processes", "1", "--epoch", "3") == 0
    found = tree(place / "out")
    names = ("cat/a", "cat/b", "dog/a", "dog/deep/c", "top")
    assert set(found) == {MANIFEST, *(f"{name}-{copy}.png" for name in names for copy in (0, 1))}
    pipe = Pipeline.from_spec(place / "spec.yaml")
    for key, copy in (("cat/a.png", 0), ("cat/a.png", 1), ("dog/deep/c.webp", 1)):
        want = pipe.train(str(place / "in" / key), index=key, epoch=3, view=copy)
        stem = key.rpartition(".")[0]
        np.testing.assert_array_equal(pixels(place / f"out/{stem}-{copy}.png"), want)
    assert found["cat/a-0.png"] != found["cat/a-1.png"]


def test_processes_change_nothing(place: Path) -> None:
    assert apply(place, "--copies", "3", "--processes", "1", out="one") == 0
    assert apply(place, "--copies", "3", "--processes", "2", out="two") == 0
    assert tree(place / "one") == tree(place / "two")


def test_one_image(place: Path) -> None:
    image = str(place / "in/cat/a.png")
    assert main(["apply", str(place / "spec.yaml"), image, str(place / "out"), "--quiet"]) == 0
    assert set(tree(place / "out")) == {MANIFEST, "a-0.png"}


def test_resuming_continues_and_extends_a_run(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    apply(place, "--copies", "2", "--processes", "1", out="whole")
    apply(place, "--copies", "1", "--processes", "1")
    (place / "out/cat/b-0.png").unlink()
    (place / "out/dog/a-0.png").write_bytes(b"")  # what a power cut may leave
    (place / "out/cat/.a-1.png.123.augreg-part").write_bytes(b"half")
    before = (place / "out/cat/a-0.png").stat().st_mtime_ns
    command = ["apply", str(place / "spec.yaml"), str(place / "in"), str(place / "out"), "--copies", "2"]
    assert main([*command, "--processes", "1"]) == 0
    assert "7 written" in (err := capsys.readouterr().err)
    assert "3 existed already" in err
    assert (place / "out/cat/a-0.png").stat().st_mtime_ns == before
    assert tree(place / "out") == tree(place / "whole")


@pytest.mark.parametrize(
    ("change", "named"),
    [(["--epoch", "1"], "epoch was 0 and is 1"), (["--test"], "side was train and is test"),
     (["--format", "jpg"], "format was png and is jpg")],
    ids=str,
)  # fmt: skip
def test_output_of_another_run_is_left_alone(
    change: list[str], named: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    apply(place, "--processes", "1")
    before = tree(place / "out")
    assert apply(place, *change) == 2
    assert named in capsys.readouterr().err
    assert tree(place / "out") == before


def test_output_of_another_spec_is_replaced_only_with_overwrite(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    apply(place, "--processes", "1")
    before = tree(place / "out")
    (place / "other.yaml").write_text("- invert\n")
    other = str(place / "other.yaml")
    assert apply(place, spec=other) == 2
    err = capsys.readouterr().err
    assert "fingerprint was" in err
    assert "--overwrite" in err
    assert tree(place / "out") == before
    assert apply(place, "--overwrite", "--processes", "1", spec=other) == 0
    np.testing.assert_array_equal(pixels(place / "out/cat/a-0.png"), 255 - pixels(place / "in/cat/a.png"))
    assert apply(place, spec=other) == 0  # and from now on it is this spec's
    assert apply(place) == 2


def test_overwriting_that_is_killed_leaves_nothing_that_passes_for_finished(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply(place, "--processes", "1")
    (place / "other.yaml").write_text("- invert\n")
    other = str(place / "other.yaml")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("augreg.commands.parallel.run", killed)
        assert apply(place, "--overwrite", spec=other) == 130
    assert apply(place, "--processes", "1", spec=other) == 0
    for name in ("cat/a", "cat/b", "dog/a", "top"):
        np.testing.assert_array_equal(pixels(place / f"out/{name}-0.png"), 255 - pixels(place / f"in/{name}.png"))


def test_overwriting_with_fewer_copies_leaves_nothing_that_passes_for_finished(place: Path) -> None:
    (place / "other.yaml").write_text("- invert\n")
    assert apply(place, "--copies", "3", "--processes", "1", spec=str(place / "other.yaml")) == 0
    assert apply(place, "--copies", "2", "--processes", "1", "--overwrite") == 0
    assert [name for name in tree(place / "out") if "-2.png" in name] == []
    assert apply(place, "--copies", "3", "--processes", "1") == 0
    assert apply(place, "--copies", "3", "--processes", "1", out="whole") == 0
    assert tree(place / "out") == tree(place / "whole")


def test_what_overwriting_left_over_is_not_taken_for_finished(place: Path) -> None:
    (place / "other.yaml").write_text("- invert\n")
    assert apply(place, "--processes", "1", spec=str(place / "other.yaml")) == 0
    (place / "in/top.png").rename(place / "top.png")
    assert apply(place, "--processes", "1", "--overwrite") == 0
    assert "top-0.png" in tree(place / "out")  # left where it is
    (place / "top.png").rename(place / "in/top.png")
    assert apply(place, "--processes", "1") == 0
    assert apply(place, "--processes", "1", out="whole") == 0
    assert tree(place / "out") == tree(place / "whole")


def test_another_folder_with_the_same_names_is_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    apply(place, "--processes", "1")
    before = tree(place / "out")
    for number, name in enumerate(("cat/a.png", "cat/b.png", "dog/a.png", "dog/deep/c.webp", "top.png")):
        photo(place / "in2" / name, number + 50)
    command = ["apply", str(place / "spec.yaml"), str(place / "in2"), str(place / "out"), "--processes", "1"]
    assert main(command) == 2
    err = capsys.readouterr().err
    assert f"source was {place / 'in'} and is {place / 'in2'}; choose another folder, or use --overwrite" in err
    assert tree(place / "out") == before
    assert main([*command, "--overwrite"]) == 0
    want = Pipeline.from_spec(place / "spec.yaml").train(str(place / "in2/top.png"), index="top.png")
    np.testing.assert_array_equal(pixels(place / "out/top-0.png"), want)


def test_another_choice_of_masks_is_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels(place / "in/cat/a_mask.png")
    labels(place / "masks/cat/a.png")
    apply(place, "--processes", "1")
    assert apply(place, "--masks", str(place / "masks")) == 2
    assert f"masks was beside the images and is {place / 'masks'}" in capsys.readouterr().err
    assert apply(place, "--no-masks") == 2
    assert "masks was beside the images and is taken for images" in capsys.readouterr().err


@pytest.mark.parametrize("side", [[], ["--test"]], ids=str)
def test_a_twin_that_comes_or_goes_is_refused(
    side: list[str], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    apply(place, "--processes", "1", *side)
    before = tree(place / "out")
    photo(place / "in/top.jpg", 9)
    assert apply(place, "--processes", "1", *side) == 2
    err = capsys.readouterr().err
    name = "top.png" if side else "top-0.png"
    assert f"{place / 'out' / name} was written before" in err
    assert "remove the old copies, or use --overwrite" in err
    assert tree(place / "out") == before
    (place / "out" / name).unlink()
    assert apply(place, "--processes", "1", *side) == 0
    (place / "in/top.jpg").unlink()
    assert apply(place, "--processes", "1", *side) == 2
    assert apply(place, "--processes", "1", "--overwrite", *side) == 0
    assert name in tree(place / "out")


@pytest.mark.skipif(os.name != "posix", reason="no such signal")
@pytest.mark.parametrize("processes", ["1", "2"])
def test_ctrl_c_is_answered_at_once_and_nothing_is_lost(processes: str, tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(SPEC.replace("24", "200"))
    for number in range(2):
        photo(tmp_path / f"in/{number}.png", number, (180, 200))
    out = tmp_path / "out"
    command = [sys.executable, "-m", "augreg", "apply", str(tmp_path / "spec.yaml"), str(tmp_path / "in"), str(out)]
    with subprocess.Popen(
        [*command, "--copies", "5000", "--processes", processes],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # tests in the background ignore Ctrl-C
    ) as process:
        while len(list(out.rglob("*-*.png"))) < 4:
            assert process.poll() is None, "it ended before it could be stopped"
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        err = process.communicate(timeout=20)[1]
    assert err.splitlines()[-1] == "stopping; run the command again to resume"
    assert process.returncode == 130
    names = [name for name in tree(out) if name != MANIFEST]
    assert 4 <= len(names) < 5000
    assert not any(name.startswith(".") for name in names)


def test_a_folder_of_something_else_is_left_alone(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "out").mkdir()
    (place / "out/letter.txt").write_text("dear")
    assert apply(place) == 2
    assert "was not written by augreg apply" in capsys.readouterr().err
    assert apply(place, out="in") == 2
    assert "contains the input images" in capsys.readouterr().err
    assert set(tree(place / "out")) == {"letter.txt"}
    assert MANIFEST not in tree(place / "in")


def test_output_inside_the_input_is_no_input(place: Path) -> None:
    assert apply(place, "--processes", "1", out="in/made") == 0
    first = tree(place / "in/made")
    assert apply(place, "--processes", "1", out="in/made") == 0
    assert tree(place / "in/made") == first
    assert len(first) == 6


def test_bad_files_are_listed_and_stop_nothing(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "in/cat/broken.jpg").write_bytes(b"no image")
    (place / "in/cat/cut.png").write_bytes((place / "in/cat/a.png").read_bytes()[:200])
    (place / "in/cat/notes.txt").write_text("no image either, and nobody says so")
    assert apply(place, "--processes", "1") == 1
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert lines[0] == "2 of 7 images failed:"
    assert lines[1].startswith("  cat/broken.jpg: not an image")
    assert lines[2].startswith("  cat/cut.png: ")
    assert len(lines) == 3
    assert len(tree(place / "out")) == 6


def test_images_that_differ_by_suffix_keep_it(place: Path) -> None:
    photo(place / "in/cat/a.jpg", 9)
    assert apply(place, "--processes", "1") == 0
    assert {"cat/a.png-0.png", "cat/a.jpg-0.png", "cat/b-0.png", "dog/a-0.png"} <= set(tree(place / "out"))


def test_names_that_cannot_be_told_apart_are_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo(place / "in/cat/a.jpg", 9)
    photo(place / "in/cat/a.png.png", 9)
    assert apply(place) == 2
    assert "rename one of the images" in capsys.readouterr().err


@pytest.mark.parametrize("format", ["png", "jpg", "webp", "npy"])
def test_formats(format: str, place: Path) -> None:
    assert apply(place, "--format", format, "--processes", "1") == 0
    path = place / f"out/cat/a-0.{format}"
    want = Pipeline.from_spec(place / "spec.yaml").train(str(place / "in/cat/a.png"), index="cat/a.png")
    if format in ("png", "npy"):
        np.testing.assert_array_equal(pixels(path) if format == "png" else np.load(path), want)
    else:
        assert opened(path).format == {"jpg": "JPEG", "webp": "WEBP"}[format]
        assert opened(path).size == (24, 24)


def test_floats_are_arrays_or_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "spec.yaml").write_text(
        "image: [{center_crop: 16}, {sequential: [{normalize: imagenet}]}]\noutput: torch\n"
    )
    with pytest.raises(SystemExit) as done:
        apply(place, "--format", "png")
    assert done.value.code == 2
    err = " ".join(capsys.readouterr().err.split())
    assert "normalizes, so its output is floats, which png cannot store: use --format npy" in err
    assert not (place / "out").exists()
    assert apply(place, "--processes", "1") == 0
    made = np.load(place / "out/cat/a-0.npy")
    assert made.shape == (3, 16, 16)
    assert made.dtype == np.float32


def test_alpha_needs_a_format_that_has_it(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "spec.yaml").write_text("image: [invert]\nchannels: keep\n")
    Image.new("RGBA", (9, 9), (1, 2, 3, 4)).save(place / "in/alpha.png")
    Image.new("L", (9, 9), 7).save(place / "in/gray.png")
    assert apply(place, "--format", "jpg", "--processes", "1") == 1
    assert "alpha.png: jpg cannot store 4 channels; use --format png or npy" in capsys.readouterr().err
    assert opened(place / "out/gray-0.jpg").mode == "L"
    assert apply(place, "--processes", "1", out="png") == 0
    assert opened(place / "png/alpha-0.png").mode == "RGBA"


def test_test_side(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert apply(place, "--test", "--processes", "1") == 0
    want = Pipeline.from_spec(place / "spec.yaml").test(str(place / "in/top.png"))
    np.testing.assert_array_equal(pixels(place / "out/top.png"), want)
    for wrong in (["--copies", "2"], ["--epoch", "1"]):
        with pytest.raises(SystemExit):
            apply(place, "--test", *wrong)
        assert "--test draws nothing" in capsys.readouterr().err


def labels(path: Path, palette: bool = False) -> np.ndarray:
    """A mask with a label for each column; written with a palette, or as gray."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.broadcast_to(np.arange(40, dtype=np.uint8), (30, 40))
    image = Image.fromarray(np.ascontiguousarray(mask))
    if palette:
        image.putpalette([value for index in range(256) for value in (index, 255 - index, 7)])
    image.save(path)
    return mask


@pytest.mark.parametrize("palette", [False, True])
@pytest.mark.parametrize("folder", [None, "masks"])
def test_masks_follow_their_images(folder: str | None, palette: bool, place: Path) -> None:
    """The mask says in which column each pixel was, so it says what the draw did to the image."""
    columns = np.broadcast_to(np.arange(40, dtype=np.uint8)[:, None] * 5 + 20, (30, 40, 3))
    Image.fromarray(np.ascontiguousarray(columns)).save(place / "in/cat/a.png")
    (place / "spec.yaml").write_text("[{random_crop: 20}, horizontal_flip]")
    more = []
    if folder is None:
        labels(place / "in/cat/a_mask.png", palette)
    else:
        more = ["--masks", str(place / folder)]
        labels(place / folder / "cat/a.png", palette)
    assert apply(place, "--copies", "4", "--processes", "1", *more) == 0
    found = tree(place / "out")
    assert [name for name in found if "b-" in name and "mask" in name] == []  # b has no mask
    for copy in range(4):
        made, mask = opened(place / f"out/cat/a-{copy}.png"), opened(place / f"out/cat/a-{copy}_mask.png")
        assert mask.mode == ("P" if palette else "L")
        np.testing.assert_array_equal(np.asarray(made)[..., 0], np.asarray(mask) * 5 + 20)
        if palette:
            assert mask.getpalette()[:6] == [0, 255, 7, 1, 254, 7]


def test_a_mask_that_is_missing_is_made_again(place: Path) -> None:
    labels(place / "in/cat/a_mask.png")
    apply(place, "--processes", "1")
    whole = tree(place / "out")
    (place / "out/cat/a-0_mask.png").unlink()
    assert apply(place, "--processes", "1") == 0
    assert tree(place / "out") == whole


def test_masks_can_be_images(place: Path) -> None:
    labels(place / "in/cat/a_mask.png")
    photo(place / "in/lonely_mask.png")  # the mask of nothing
    assert apply(place, "--processes", "1", "--no-masks", out="all") == 0
    assert "cat/a_mask-0.png" in tree(place / "all")
    assert apply(place, "--processes", "1") == 0
    assert {"lonely_mask-0.png", "cat/a-0_mask.png"} <= set(tree(place / "out"))
    assert "cat/a_mask-0.png" not in tree(place / "out")


def test_links_are_followed_but_not_in_a_circle(place: Path) -> None:
    (place / "elsewhere").mkdir()
    photo(place / "elsewhere/e.png")
    (place / "in/linked").symlink_to(place / "elsewhere")
    (place / "in/dog/round").symlink_to(place / "in")
    photo(place / "in/.hidden/x.png")
    assert apply(place, "--processes", "1") == 0
    assert set(tree(place / "out")) == {
        MANIFEST, "cat/a-0.png", "cat/b-0.png", "dog/a-0.png", "dog/deep/c-0.png", "top-0.png", "linked/e-0.png",
    }  # fmt: skip


@pytest.mark.parametrize(
    "argv",
    [["apply", "imagenet"], ["apply", "imagenet", "in", "out", "--copies", "0"],
     ["apply", "imagenet", "in", "out", "--processes", "-1"], ["apply", "imagenet", "in", "out", "--format", "bmp"]],
    ids=" ".join,
)  # fmt: skip
def test_wrong_call(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(argv)
    assert done.value.code == 2
    assert "usage: augreg" in capsys.readouterr().err


def test_wrong_places(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec, inside, out = str(place / "spec.yaml"), str(place / "in"), str(place / "out")
    (place / "empty").mkdir()
    (place / "file").write_text("")
    (place / "bad.yaml").write_text("- rotat: 5\n")
    for code, argv, err in (
        (2, [spec, str(place / "none"), out], "no such file or folder"),
        (2, [spec, str(place / "empty"), out], "no images in it"),
        (2, [spec, inside, str(place / "file")], "cannot be written to"),
        (2, [spec, inside, out, "--masks", str(place / "none")], "--masks expects a folder"),
        (2, ["imagenot", inside, out], "did you mean 'imagenet'?"),
        (1, [str(place / "bad.yaml"), inside, out], "bad.yaml:1: image[0]"),
    ):
        assert main(["apply", *argv]) == code
        assert err in capsys.readouterr().err
    assert not (place / "out").exists()


@pytest.mark.skipif(os.name != "posix", reason="no such locks")
def test_two_at_once_are_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from augreg.commands.output_folder import lock

    (place / "out").mkdir()
    with lock(place / "out"):
        assert apply(place) == 2
    assert "another augreg apply is writing there" in capsys.readouterr().err
    assert apply(place, "--processes", "1") == 0


def _deadly(task: int) -> int:
    if task == 5:
        os._exit(9)  # as a decoder that crashes, or the system when memory is short
    if task == 7:
        raise ValueError("no good")
    return task * task


def test_a_task_that_takes_its_process_down_stops_nothing() -> None:
    outcomes = {outcome.task: outcome for outcome in pooled(_deadly, range(20), 2)}
    assert sorted(outcomes) == list(range(20))
    assert "died" in outcomes[5].failure
    assert outcomes[7].failure == "ValueError: no good"
    assert all(outcomes[n].value == n * n for n in range(20) if n not in (5, 7))


def _killed(place: Path, out: Path, after: int, *more: str) -> set[int]:
    """Start a run, and kill -9 it once it wrote some files. Returns the processes that worked for it."""
    command = [sys.executable, "-m", "augreg", "apply", str(place / "spec.yaml"), str(place / "in"), str(out), *more]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    children: set[int] = set()
    listing = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    try:
        while len(list(out.rglob("*-*.png"))) < after:
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.002)
        children = set(map(int, listing.read_text().split())) if listing.exists() else set()
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    return children


def _works(process: int) -> bool:
    """Whether a process runs; one that ended and was not yet collected does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("processes", "count"),
    [pytest.param("1", 20, marks=pytest.mark.soak), ("2", 20), pytest.param("2", 500, marks=pytest.mark.soak)],
)
def test_kill_and_again_gives_the_same_bytes(processes: str, count: int, tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(SPEC.replace("24", "200"))
    copies = 8
    for number in range(count):
        photo(tmp_path / f"in/class{number % 3}/{number}.png", number, (180, 200))
    more = ["--copies", str(copies), "--processes", processes]
    assert apply(tmp_path, *more, out="undisturbed") == 0
    whole = tree(tmp_path / "undisturbed")
    assert len(whole) == count * copies + 1
    out = tmp_path / "out"
    for after in (1, count * copies // 3, count * copies // 2):
        children = _killed(tmp_path, out, after, *more)
        there = tree(out)
        finished = {name for name in there if not Path(name).name.startswith(".")}
        assert after <= len(finished) < len(whole)  # it was in the middle
        assert all(there[name] == whole[name] for name in finished)  # and no file is half written
        deadline = time.monotonic() + 60
        while any(map(_works, children)):  # nobody works on for the dead
            assert time.monotonic() < deadline, f"{children} outlived their parent"
            time.sleep(0.01)
    assert apply(tmp_path, *more) == 0
    assert tree(out) == whole


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_on_a_terminal_and_in_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream in (_Terminal(), io.StringIO()):
        now = 0.0
        monkeypatch.setattr("sys.stderr", stream)
        monkeypatch.setattr("tqdm.std.time", lambda: now)  # noqa: B023
        with progress("images", 100) as bar:
            for _ in range(100):
                now += 0.5
                bar.update()
        text = stream.getvalue()
        if stream.isatty():
            assert text.count("\n") == 1
            assert text.startswith("\r  0%|")
            assert re.search(r"\r 50%\|.*\| 50/100 \[00:25<00:25,  2.00 images/s\]", text)
            assert re.search(r"\r100%\|.*\| 100/100 \[00:50<00:00,  2.00 images/s\]", text)
        else:
            lines = text.splitlines()
            assert len(lines) == 10  # one in five seconds
            assert re.fullmatch(r"10%\|.*\| 10/100 \[00:05<00:45,  2.00 images/s\]", lines[0])
            assert "\r" not in text


def test_quiet_says_nothing(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert apply(place, "--processes", "1") == 0
    assert capsys.readouterr() == ("", "")


def test_the_manifest_says_what_made_it(place: Path) -> None:
    apply(place, "--processes", "1", "--epoch", "2")
    known = json.loads((place / "out" / MANIFEST).read_text())
    pipe = Pipeline.from_spec(place / "spec.yaml")
    assert known["fingerprint"] == pipe.fingerprint
    assert Pipeline.from_spec(known["spec"]) == pipe
    assert (known["side"], known["epoch"], known["format"]) == ("train", 2, "png")
    assert set(known["made_with"]) >= {"augreg", "numpy", "pillow"}


def test_copies_beside_the_images_cannot_take_their_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """OUT may not hold IN: `in/a.png` would be the copy of `in/a.png` seen from there."""
    photo(tmp_path / "in" / "x" / "a.png")
    spec = tmp_path / "s.yaml"
    spec.write_text(SPEC)
    assert main(["apply", str(spec), str(tmp_path / "in" / "x"), str(tmp_path / "in"), "--overwrite"]) == 2
    assert "contains the input images" in capsys.readouterr().err
    assert sorted(path.name for path in (tmp_path / "in").rglob("*") if path.is_file()) == ["a.png"]
