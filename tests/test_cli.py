"""The command line: what it prints where, and with which exit code."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import augreg
from augreg import Pipeline, SpecError
from augreg.__main__ import main
from augreg.registry.registry import Registry
from augreg.spec.options import SECTIONS
from augreg.steps import describe, describe as reference

REGISTRY = Registry.installed()
BY_SECTION = sorted(REGISTRY, key=lambda name: SECTIONS.index(REGISTRY[name].__augreg__.sections[0]))
OTHERS = [name for name in BY_SECTION if REGISTRY[name].__augreg__.sections[0] != "image"]
HEAVY = {"numpy", "PIL", "cv2", "torch", "shtab", "tqdm"}


@pytest.fixture
def spec(tmp_path: Path):
    """A function that writes a spec file and returns its name."""

    def write(text: str, name: str = "train.yaml") -> str:
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return write


GOOD = "image:\n  - rotate: 10\n  - invert\n"
BAD = "seed: -1\nimage:\n  - horizontal_flip\n  - rotate: {degree: 10}\n  - cutout:\n      size: 0\n"


@pytest.mark.parametrize(
    "argv",
    [["--help"], ["--version"], ["list"], ["list", "--json"], ["list", "--markdown"], ["show", "rotate"],
     ["show", "l2"], ["show", "nothing"], ["schema"], ["validate", "imagenet"], ["gallery", "--help"],
     ["apply", "--help"], ["stats", "--help"], ["apply", "imagenot", "in", "out"]],
    ids=" ".join,
)  # fmt: skip
def test_loads_no_array_library(argv: list[str]) -> None:
    code = (
        "import sys\nfrom augreg.__main__ import main\ntry: main(sys.argv[1:])\nexcept SystemExit: pass\n"
        "print('loaded', *sorted(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code, *argv], capture_output=True, text=True, check=True)
    loaded = done.stdout.splitlines()[-1].split()
    assert loaded[0] == "loaded"
    assert "augreg.errors" in loaded
    assert not HEAVY & set(loaded)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(["--version"])
    assert done.value.code == 0
    assert capsys.readouterr().out == f"augreg {augreg.__version__}\n"


@pytest.mark.parametrize(
    "argv",
    [["lisst"], ["show"], ["validate"], ["explain", "imagenet", "--size", "8"], ["list", "--json", "--markdown"],
     ["explain", "imagenet", "--index", "7"], ["explain", "imagenet", "--size", "0", "8"],
     ["explain", "imagenet", "--size", "8", "8", "--index", "-1"],
     ["explain", "imagenet", "--size", "8", "8", "--epoch", "-1"]],
    ids=" ".join,
)  # fmt: skip
def test_wrong_call(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(argv)
    assert done.value.code == 2
    assert "usage: augreg" in capsys.readouterr().err


def test_no_arguments_print_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    bare = capsys.readouterr()
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    assert (bare.out, bare.err) == (capsys.readouterr().out, "")
    assert "new-plugin" in bare.out


def test_list_has_a_line_for_every_transform(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == BY_SECTION
    column = lines[0].index(describe.summary(REGISTRY[BY_SECTION[0]]))
    for line in lines:
        name, kind = line.split()[:2]
        assert kind == REGISTRY[name].__augreg__.kind
        assert line[column - 1] == " "
        assert line[column:] == describe.summary(REGISTRY[name])


def test_list_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--json"]) == 0
    found = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert list(found) == BY_SECTION
    assert found["horizontal_flip"]["p"] == 0.5
    assert found["one_of"]["sections"] == ["image", "batch"]
    for name in OTHERS:
        (section,) = found[name]["sections"]
        assert (found[name]["p"] is None) == (section != "batch")
    assert found["random_crop"]["test"] == "center"
    arguments = [row["name"] for row in found["resize"]["arguments"]]
    assert arguments == ["shorter", "size", "interpolation", "antialias", "rounding"]


@pytest.mark.parametrize("name", REGISTRY)
def test_show(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", name]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{name} ({REGISTRY[name].__augreg__.kind})\n")
    table = out.partition("\nargument ")[2].splitlines()
    for row in describe.arguments(REGISTRY[name]):
        (line,) = [line for line in table if line.startswith(f"{row.name} ")]
        assert row.takes in line
        assert line.endswith(row.default)
    section = REGISTRY[name].__augreg__.sections[0]
    to_copy = out.splitlines()[-1]
    assert to_copy.startswith("- ")
    Pipeline.from_spec({section: yaml.safe_load(to_copy)})  # a line that one can copy


def test_show_says_types_in_plain_words(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("rotate", "cutout", "random_crop", "random_erasing"):
        main(["show", name])
    out = capsys.readouterr().out
    assert "number or [low, high]; 0.5 means [-0.5, 0.5]" in out
    assert "nearest, bilinear or bicubic" in out
    assert "integer at least 2, or number above 0 and at most 1" in out
    assert "integer or [height, width], each from 1 to 65536" in out
    assert "required" in out
    assert "0.5 by default" in out


@pytest.mark.parametrize("name", OTHERS)
def test_show_says_what_steps_of_the_other_sections_take(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`p` is listed only where every step takes it."""
    main(["show", name])
    section, *rows, _, _ = capsys.readouterr().out.rpartition("\nsection ")[2].splitlines()
    assert (section.strip(),) == REGISTRY[name].__augreg__.sections
    assert [row.split()[0] for row in rows] == {
        "batch": ["p", "test", "exact"], "model": ["test", "exact"], "loss": ["test"],
    }[section.strip()]  # fmt: skip


def test_show_of_an_unknown_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "rotat"]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", "no transform named 'rotat'; did you mean 'rotate'?\n")


def test_validate_good_specs(spec, capsys: pytest.CaptureFixture[str]) -> None:
    """The fingerprint is the pipeline's own, with containers and without."""
    nested = spec("- one_of: [{center_crop: 8}, {random_crop: 8}]\n- invert\n", "nested.yaml")
    single = spec('[{"invert": {"p": 0.5}}]', "single.json")
    names = ["imagenet", "cifar10", spec(GOOD), nested, single]
    assert main(["validate", *names]) == 0
    out, err = capsys.readouterr()
    counts = ["4 steps", "4 steps", "2 steps", "2 steps", "1 step"]
    assert out.splitlines() == [
        f"{name}: ok, {count}, fingerprint {Pipeline.from_spec(name).fingerprint}"
        for name, count in zip(names, counts, strict=True)
    ]
    assert err == ""


def test_validate_prints_every_problem(spec, capsys: pytest.CaptureFixture[str]) -> None:
    name = spec(BAD)
    assert main(["validate", name, "imagenet"]) == 1
    out, err = capsys.readouterr()
    assert out.startswith("imagenet: ok")  # one bad spec hides no good one
    seed, degree, size = err.splitlines()
    assert seed.startswith(f"{name}:1: seed: ")
    assert degree == f"{name}:4: image[1].rotate.degree: rotate has no field 'degree'; did you mean 'degrees'?"
    assert size.startswith(f"{name}:6: image[2].cutout.size: ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("image: [rotate", "not valid YAML"),
        ("image: 5", "image: expected a list of steps, got 5"),
        ("", "a spec is a mapping or a list of steps"),
        ("some_of: [center_crop: 8]", "a spec has no option or section 'some_of'"),
        ("- some_of: [{center_crop: 8}, {resize: 9}]", "add `test:`"),
        ("- rotate: {degrees: !!python/name:os.system x}", "tags"),
    ],
)
def test_validate_names_the_file(text: str, said: str, spec, capsys: pytest.CaptureFixture[str]) -> None:
    name = spec(text)
    assert main(["validate", name]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert all(line.startswith(name) for line in err.splitlines())
    assert said in err


@pytest.mark.parametrize("command", ["validate", "explain"])
def test_unreadable_file(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "folder.yaml"
    folder.mkdir()
    for name in (str(tmp_path / "missing.yaml"), str(folder), "imagenot", "a\0b.yaml"):
        assert main([command, name]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith(name.replace("\0", "\\x00"))
    main([command, "imagenot"])
    assert "did you mean 'imagenet'?" in capsys.readouterr().err


def test_explain(spec, capsys: pytest.CaptureFixture[str]) -> None:
    name = spec(GOOD)
    pipe = Pipeline.from_spec(name)
    assert main(["explain", name]) == 0
    assert capsys.readouterr().out == f"{pipe.test.explain()}\n"
    assert main(["explain", name, "--size", "30", "40", "--index", "7", "--epoch", "2"]) == 0
    plan = pipe.train.plan((30, 40), index=7, epoch=2)
    assert capsys.readouterr().out == f"{pipe.test.explain()}\n\n{plan}\n"
    assert main(["explain", name, "--size", "30", "40", "--index", "cat.png"]) == 0
    assert str(pipe.train.plan((30, 40), index="cat.png")) in capsys.readouterr().out
    assert main(["explain", name, "--size", "30", "40"]) == 0
    assert "drawn afresh" in capsys.readouterr().out


def test_explain_names_what_is_done_in_training_only(spec, capsys: pytest.CaptureFixture[str]) -> None:
    name = spec(GOOD + "loss: [l2, {label_smoothing: 0.1}]\n")
    assert main(["explain", name]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[3:5]] == [
        ["loss:", "l2", "identity", "(training", "only)", "nothing"],
        ["loss:", "label_smoothing", "identity", "(training", "only)", "nothing"],
    ]  # fmt: skip
    without = Pipeline.from_spec(spec(GOOD, "without.yaml")).test.explain().splitlines()
    assert [line.split() for line in lines[:3] + lines[5:]] == [line.split() for line in without]
    assert main(["validate", name]) == 0
    assert ": ok, 4 steps, " in capsys.readouterr().out


def test_explain_says_the_rule_of_each_regularizer_and_indents_children(
    spec, capsys: pytest.CaptureFixture[str]
) -> None:
    """A regularizer with several modes has the rule of the one that was chosen."""
    mixing = "batch: [{one_of: [mixup, cutmix]}]\n"
    model = "model: [{dropout: {at: a}}, {dropout: {at: b, mode: original}}]\n"
    assert main(["explain", spec(f"image: []\n{mixing}{model}")]) == 0
    _, *rows, _, _ = capsys.readouterr().out.splitlines()
    names, rules = zip(*(re.split(r"  +", row.replace("  batch", "..batch"))[:2] for row in rows), strict=True)
    assert names == ("batch: one_of", "..batch: mixup", "..batch: cutmix", "model: dropout", "model: dropout")
    assert rules == (*["identity (training only)"] * 3, "identity", "scale")


def test_explain_of_an_invalid_spec(spec, capsys: pytest.CaptureFixture[str]) -> None:
    name = spec(BAD)
    assert main(["explain", name]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert f"{name}:4: image[1].rotate.degree" in err


def test_gallery_gets_its_arguments(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gallery", "--spec", "imagenot", "--out", str(tmp_path / "page.html")]) == 2
    assert "did you mean 'imagenet'?" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["gallery", "--out", str(tmp_path)])
    assert "usage: augreg gallery" in capsys.readouterr().err


def test_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(cls: type) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(reference, "summary", interrupt)
    assert main(["list"]) == 130


def test_broken_pipe_is_quiet() -> None:
    reader, writer = os.pipe()
    os.close(reader)  # as `| head` does once it has enough
    try:
        done = subprocess.run(
            [sys.executable, "-m", "augreg", "list", "--markdown"], stdout=writer, stderr=subprocess.PIPE, check=False
        )
    finally:
        os.close(writer)
    assert done.stderr == b""
    assert done.returncode == 141


def test_terminal_that_knows_only_ascii() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "augreg", "explain", "imagenet", "--size", "8", "8"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, check=True,
    )  # fmt: skip
    assert done.stderr == b""


def test_reference_has_every_transform_and_argument() -> None:
    page = describe.markdown({name: REGISTRY[name] for name in REGISTRY})
    for name in REGISTRY:
        section = page.partition(f"\n### `{name}`\n")[2].partition("\n### ")[0]
        assert describe.summary(REGISTRY[name]) in section
        for row in describe.arguments(REGISTRY[name]):
            assert f"| `{row.name}` | {row.takes} | {row.default} |" in section
        step = section.partition("```yaml\n")[2].partition("```")[0]
        try:
            Pipeline.from_spec({REGISTRY[name].__augreg__.sections[0]: yaml.safe_load(step)})
        except SpecError as error:
            pytest.fail(f"the example of {name} is no spec: {error}")
