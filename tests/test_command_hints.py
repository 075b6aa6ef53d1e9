"""Commands that were given something near what they take say what to give."""

from __future__ import annotations

from pathlib import Path

import pytest

from augreg import Registry
from augreg.__main__ import main
from augreg.commands.console import USAGE


@pytest.mark.parametrize("group", ["color", "geometry", "regularizer", "image", "batch", "model", "loss"])
def test_the_steps_of_a_kind_or_a_section(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", group]) == 0
    listed = {line.split()[0] for line in capsys.readouterr().out.splitlines()}
    registry = Registry.installed()
    infos = {name: registry[name].__augreg__ for name in registry}
    assert listed and listed == {name for name, info in infos.items() if group in (info.kind, *info.sections)}


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["list", "rotate"], "'rotate' is a step; run `augreg show rotate`\n"),
        (["list", "colr"], "no plugin 'colr' is installed; expected one of augreg"),
        (["show", "imagenet"], "'imagenet' is a preset; run `augreg explain imagenet`\n"),
        (["show", "rotat"], "no transform named 'rotat'; did you mean 'rotate'?\n"),
    ],
)
def test_a_name_of_another_sort(command: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command) == USAGE
    out, err = capsys.readouterr()
    assert not out and err.startswith(message)


@pytest.mark.parametrize(("command", "named"), [(["--bogus"], "--bogus"), (["--"], "")])
def test_an_unknown_option_without_a_command(
    command: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as done:
        main(command)
    err = capsys.readouterr().err
    assert done.value.code == USAGE and "error: " in err and named in err.partition("error: ")[2]


@pytest.mark.parametrize(
    ("command", "usage", "hint"),
    [
        (["lisst"], "augreg", "did you mean 'list'?"),
        (["--verison"], "augreg", "unrecognized arguments: --verison; did you mean '--version'?"),
        (["list", "--jsn"], "augreg list", "unrecognized arguments: --jsn; did you mean '--json'?"),
        (["apply", "imagenet", "a", "b", "--fromat=of/the/old/copies"], "augreg apply", "did you mean '--format'?"),
        (["apply", "imagenet", "a", "b", "--format", "jpgg"], "augreg apply", "did you mean 'jpg'?"),
        (["doctor", "lodaer", "a:b"], "augreg doctor", "did you mean 'loader'?"),
        (["recipe", "run", "a:b", "--epcohs", "3"], "augreg recipe run", "did you mean '--epochs'?"),
        (["show", "rotate", "shear"], "augreg show", "unrecognized arguments: shear\n"),
    ],
)
def test_a_misspelt_command_option_or_choice_is_answered_with_the_nearest(
    command: list[str], usage: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the parser of the command, whose usage is shown."""
    with pytest.raises(SystemExit, match="2"):
        main(command)
    err = capsys.readouterr().err
    assert err.startswith(f"usage: {usage} [") and hint in err


def test_a_misspelt_kind_or_plugin_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "colr"]) == USAGE
    assert capsys.readouterr().err.endswith("; did you mean 'color'?\n")


def test_images_may_be_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["stats", str(tmp_path / "missing")])
    assert "no such file or folder; give an image or a folder of images\n" in capsys.readouterr().err
