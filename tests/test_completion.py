"""`augreg completion`: scripts that shells read, and what bash makes of one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from augreg.__main__ import main
from augreg.spec.files import presets

COMMANDS = {
    "list", "show", "validate", "explain", "apply", "stats", "schema", "gallery", "completion",
    "doctor", "audit", "new-plugin", "recipe", "plots",
}  # fmt: skip


def script(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


def test_wrong_shell(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(["completion", "dos"])
    assert done.value.code == 2
    assert "bash" in capsys.readouterr().err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_names_every_command_and_option(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = script(shell, capsys)
    words = set(
        text.replace("'", " ").replace('"', " ").replace(")", " ").replace(":", " ").replace("[", " ").split()
    )
    assert words >= COMMANDS
    for option in ("copies", "mean-image", "built-in", "overwrite"):
        assert {f"--{option}", option} & words, option


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_can_read_it(shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if not shutil.which(shell):
        pytest.skip(f"there is no {shell} here")
    path = tmp_path / "script"
    path.write_text(script(shell, capsys))
    subprocess.run([shell, "-n", str(path)], check=True)


BASH = """
source "$1"; shift
augreg() { printf 'rotate  geometry  Turn\\nresize  geometry  Scale\\n'; }
COMP_WORDS=("$@"); COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
_shtab_augreg
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash here")
@pytest.mark.parametrize(
    ("line", "found"),
    [
        (["a"], {"apply", "audit"}),
        ([""], COMMANDS),
        (["--"], {"--help", "--version"}),
        (["recipe", ""], {"run"}),
        (["recipe", "run", "--go"], {"--go-on"}),
        (["recipe", "run", "--sampler", ""], {"quasi-random", "random", "grid", "tpe"}),
        (["apply", "--co"], {"--copies", "--columns"}),
        (["apply", "spec.yaml", "in", "--format", ""], {"png", "jpg", "webp", "npy"}),
        (["apply", ""], {*presets(), "folder", "a spec.yaml"}),
        (["validate", "a"], {"a spec.yaml"}),
        (["validate", "imagenet", "cif"], {"cifar10"}),
        (["apply", "imagenet", "f"], {"folder"}),
        (["apply", "imagenet", "folder", "--copies", ""], {""}),
        (["apply", "imagenet", "--test", "f"], {"folder"}),
        (["gallery", "--spec", "cif"], {"cifar10"}),
        (["new-plugin", "ro"], {""}),
        (["show", "ro"], {"rotate"}),
        (["show", ""], {"rotate", "resize"}),
        (["completion", ""], {"bash", "zsh", "fish"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_bash_offers(
    line: list[str], found: set[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = tmp_path / "here"
    (here / "folder").mkdir(parents=True)
    (here / "a spec.yaml").write_text("[]")
    path = tmp_path / "script"
    path.write_text(script("bash", capsys))
    done = subprocess.run(
        ["bash", "-c", BASH, "bash", str(path), "augreg", *line], cwd=here, capture_output=True, text=True, check=True
    )
    assert set(done.stdout.removesuffix("\n").split("\n")) == found
    assert done.stderr == ""


def test_loads_no_array_library() -> None:
    code = (
        "import sys\nfrom augreg.__main__ import main\ntry: main(sys.argv[1:])\nexcept SystemExit: pass\n"
        "print('loaded', *sorted(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "completion", "zsh"], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "shtab" in loaded
    assert not {"numpy", "PIL", "cv2", "torch"} & loaded
