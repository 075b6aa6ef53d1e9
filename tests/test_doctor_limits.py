"""The doctor within its limits: time, progress, errors of its own; and the command."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from doctored import Photos, Torch, load
from torch.utils.data import DataLoader

from augreg.__main__ import main
from augreg.doctor import loader


def held_out(**options: Any) -> DataLoader:
    return load(Photos(held_out=True), shuffle=False, **options)


class Slow(Torch):
    """Takes a while for each sample, and does not end for one if `hangs`."""

    def image(self, image: np.ndarray, index: int) -> Any:
        time.sleep(60 if self.settings.get("hangs") and index == 7 else 0.01)
        return super().image(image, index)


class TestLimits:
    """Time, progress, and errors of the doctor itself."""

    @pytest.mark.parametrize(("workers", "hangs"), [(0, False), (1, True)])
    def test_a_time_limit(self, workers: int, hangs: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL", 0.1)  # for workers to end
        start = time.monotonic()
        train = load(Slow(hangs=hangs), workers, shuffle=False)
        report = loader(train, held_out(), time_limit=0.6 if not hangs else 1.0)
        assert time.monotonic() - start < 15
        late = [line for line in report.unchecked if line.endswith("s was over")]
        assert any(line.startswith("train: making 40 samples") for line in late), str(report)
        assert not any("draws" in line for line in report.checked)
        assert any(line.startswith("validation: pixel values") for line in report.checked), str(report)
        assert "error" not in {finding.check for finding in report.findings}

    def test_progress(self) -> None:
        steps: list[tuple[str, int, int]] = []
        loader(load(Torch()), samples=8, epochs=1, progress=lambda *step: steps.append(step))
        stages = list(dict.fromkeys(stage for stage, _, _ in steps))
        assert stages[0] == "train: samples, one by one"
        assert len(stages) >= 3
        assert all(done <= total for _, done, total in steps)

    @pytest.mark.parametrize("limit", [0, -1.0, True])
    def test_a_wrong_limit(self, limit: Any) -> None:
        with pytest.raises(ValueError, match="time_limit"):
            loader([], time_limit=limit)

    def test_an_error_of_the_doctor_is_no_fault_of_the_loader(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from augreg.doctor import boxes

        monkeypatch.setattr(boxes, "examine", lambda *_: boxes._shown(None))  # type: ignore[arg-type]
        report = loader(None, held_out(), samples=8)
        assert report.ok
        assert any("which the doctor could not do: TypeError" in line for line in report.unchecked)


def triple() -> Any:
    """For the command."""
    return load(Torch()), held_out(), load(Torch(), shuffle=False)


def named() -> Any:
    """For the command: `valid`, and loaders of a module."""
    return {"train": [load(Torch())], "valid": held_out(), "ignore_index": -1}


class TestCommand:
    @pytest.fixture(autouse=True)
    def here(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(Path(__file__).parent)

    @pytest.mark.parametrize(("source", "code"), [("limits:triple", 1), ("limits:named", 0), ("sides:Module", 1)])
    def test_what_functions_return(self, source: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
        options = ["--samples", "24", "--epochs", "1", "--time-limit", "60"]
        assert main(["doctor", "loader", f"test_doctor_{source}", *options]) == code
        assert "checked: train: pixel values of 24 images" in capsys.readouterr().out

    @pytest.mark.parametrize("terminal", [True, False])
    def test_progress(
        self, terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        from augreg.commands import progress

        monkeypatch.setattr(progress, "_LOG", 0.0)
        monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
        with progress.stages() as show:
            for stage in ("train: one", "train: two"):
                for done in range(3):
                    time.sleep(0.11 * terminal)  # the least time between two states of a bar
                    show(stage, done, 3)
        err = capsys.readouterr().err
        assert ("train: two:  67%" if terminal else "train: two: 2 of 3\n") in err
        with progress.stages() as show:
            for done, total in ((0, 0), (1, 4), (4, 5)):  # how much there is to do becomes known, and more
                time.sleep(0.11 * terminal)
                show("search", done, total)
        err = capsys.readouterr().err
        expected = (
            ("\rsearch ..", "search:  25%", "search:  80%") if terminal else ("search: 0\n", "search: 1 of 4\n")
        )
        assert all(words in err for words in expected)
        with progress.stages(quiet=True) as show:
            show("train: one", 1, 3)
        assert capsys.readouterr().err == ""

    def test_a_limit_that_is_no_time(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            main(["doctor", "loader", "test_doctor_limits:named", "--time-limit", "0"])
        assert "expected a number of seconds above 0" in capsys.readouterr().err
