"""What comes from outside is printed on one line, and steers no terminal: names of files, keys, versions, texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from augreg import ImageError, Pipeline, Registry, SpecError
from augreg.__main__ import main
from augreg.commands.console import align_columns, print_error, print_lines
from augreg.errors import Problem, printable
from augreg.registry.discovery import PluginRecord

HOSTILE = "a\nforged: ok\r\x1b[2J\x9b1m\u202e\u2028\x00\x7f"
ESCAPED = "a\\nforged: ok\\r\\x1b[2J\\x9b1m\\u202e\\u2028\\x00\\x7f"
NAME = HOSTILE.replace("\x00", "")  # a file cannot have it in its name
SHOWN = ESCAPED.replace("\\x00", "")


def harmless(text: str, lines: int | None = None) -> None:
    """No control character but the line ends, and no forged line."""
    assert all(line.isprintable() for line in text.split("\n")), text
    assert not any(line.startswith("forged") for line in text.split("\n")), text
    assert lines is None or len(text.strip().split("\n")) == lines, text


def test_what_is_escaped() -> None:
    assert printable(HOSTILE) == ESCAPED
    assert printable("\udcff\ud800") == "\\udcff\\ud800"
    for kept in ("", "plain text", "größer °", "日本語", "'quotes' \\ {}"):
        assert printable(kept) == kept
    assert printable("one\ntwo\x1b", lines=True) == "one\ntwo\\x1b"
    assert printable(ValueError(HOSTILE)) == ESCAPED


@pytest.mark.parametrize("spec", [
    {HOSTILE: 1, "image": []}, [HOSTILE], [{HOSTILE: 1}], [{"rotate": {HOSTILE: 1}}], [{"rotate": HOSTILE}],
    {"image": [], "backend": HOSTILE}, {"image": [], "backend": f"x/{HOSTILE}"},
    {"image": [], "targets": {HOSTILE: 1}},
    {"model": [{"dropout": {"at": HOSTILE, HOSTILE: 1}}]}, [{"normalize": {"mean": HOSTILE}}], [f"{HOSTILE}/x"],
    [{"auto_augment": {"policy": HOSTILE}}], [{"rotate": {"test": HOSTILE}}], [{"rotate": {"uid": HOSTILE + "#"}}],
    {"image": [], "decode": HOSTILE}, [{"call": f"x:{HOSTILE}"}], [{"rotate": {"p": {"linear": HOSTILE, "over": 1}}}],
    HOSTILE, f"{HOSTILE}.yaml", f"x/{HOSTILE}", Path(f"{HOSTILE}.json"),
])  # fmt: skip
def test_errors_of_specs(spec: Any) -> None:
    with pytest.raises(SpecError) as caught:
        Pipeline.from_spec(spec)
    harmless(str(caught.value), len(caught.value.problems))


def test_errors_of_files(tmp_path: Path) -> None:
    for suffix, text in (
        (".yaml", "a: ]"),
        (".json", "{"),
        (".toml", "="),
        (".yaml", '"\\e[2J\\n": 1'),
        (".yaml", "\x07"),
    ):
        path = tmp_path / f"{NAME}{suffix}"
        path.write_text(text)
        with pytest.raises(SpecError) as caught:
            Pipeline.from_spec(path)
        harmless(str(caught.value))
        assert SHOWN in str(caught.value)
    with pytest.raises(ImageError) as refused:
        Pipeline([]).train(tmp_path / NAME)
    harmless(str(refused.value), 1)


def test_lines_and_tables(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(HOSTILE, ValueError(HOSTILE), SpecError([Problem(HOSTILE, HOSTILE), Problem("", "second")]))
    print_lines(HOSTILE, *align_columns([(HOSTILE, "b"), ("c", HOSTILE)]))
    out, errors = capsys.readouterr()
    harmless(out, 3)
    harmless(errors, 4)


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Names of files in every command that takes some, for good files and bad ones."""
    folder = tmp_path / "in" / NAME
    folder.mkdir(parents=True)
    Image.new("RGB", (9, 8), (10, 200, 90)).save(folder / f"{NAME}.png")
    (folder / f"bad{NAME}.png").write_bytes(b"no image")
    good, bad = tmp_path / f"{NAME}.yaml", tmp_path / f"bad{NAME}.yaml"
    good.write_text("[horizontal_flip]")
    bad.write_text('- "rot\\nforged: ok"\n')
    out = str(tmp_path / f"out{NAME}")
    for arguments, code in (
        (["validate", good], 0),
        (["validate", bad, f"{tmp_path}/none{NAME}"], 2),
        (["explain", bad], 1),
        (["apply", good, tmp_path / "in", out, "--processes=1"], 1),
        (["apply", good, folder / f"{NAME}.png", out, "--processes=1", "--format", "jpg"], 2),
        (["apply", good, f"none{NAME}", out], 2),
        (["stats", tmp_path / "in", "--processes=1"], 1),
        (
            ["stats", tmp_path / "in", "--size", "4", "4", "--mean-image", tmp_path / f"{NAME}.npy", "--processes=1"],
            1,
        ),
        (["show", HOSTILE], 2),
        (["doctor", "loader", f"{HOSTILE}:x"], 2),
        (["new-plugin", "rain", "--folder", folder], 0),
        (["new-plugin", NAME], 2),
        (["gallery", "--images", folder / "none", "--out", folder / "page.html"], 2),
        (["gallery", "--spec", bad], 1),
    ):
        assert main([str(argument) for argument in arguments]) == code, arguments
        printed = capsys.readouterr()
        harmless(printed.out)
        harmless(printed.err)
        assert printed.out + printed.err
    for arguments in (
        ["validate", good, f"--{HOSTILE}".replace(" ", "")],
        [HOSTILE],
        ["gallery", "--out", tmp_path / NAME / "x" / "y"],
    ):
        with pytest.raises(SystemExit):
            main([str(argument) for argument in arguments])
        harmless(capsys.readouterr().err)


def test_texts_of_plugins(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry.installed()
    record = PluginRecord(HOSTILE, HOSTILE, HOSTILE, error=HOSTILE, license=HOSTILE, remedy=HOSTILE)
    monkeypatch.setattr(registry, "plugins", (*registry.plugins, record))
    for arguments, code in ((["doctor"], 1), (["list"], 0), (["doctor", "--json"], 1)):
        assert main(arguments) == code
        printed = capsys.readouterr()
        harmless(printed.out)
        harmless(printed.err)
        assert "--json" in arguments or ESCAPED in printed.out + printed.err
