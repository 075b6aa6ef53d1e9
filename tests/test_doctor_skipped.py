"""The doctor when samples raise or hang: the others are examined, and the report says what was left out."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from doctored import KeptGenerator, Torch, load

from augreg.doctor import loader


class Unreadable(KeptGenerator):
    """Some files are broken; and every worker gets a copy of the generator."""

    def image(self, image: np.ndarray, index: int) -> Any:
        if index in self.settings["broken"]:
            raise OSError("truncated file")
        return super().image(image, index)


class Fetched(Unreadable):
    """Makes several samples at once, and never none."""

    def __getitems__(self, indices: list[int]) -> list[Any]:
        return [self[index] for index in indices] if indices[0] >= 0 else []


@pytest.mark.parametrize(("cls", "workers"), [(Unreadable, 2), (Unreadable, 0), (Fetched, 2)])
def test_unreadable_samples_are_left_out(cls: type[Unreadable], workers: int) -> None:
    data = cls(broken=(3, 13))
    report = loader(load(data, workers, shuffle=False), samples=40)
    faults = {finding.check: finding for finding in report.findings if finding.severity != "note"}
    repeats = {"workers repeat draws", "epochs repeat draws"} if workers else {"workers repeat draws"}
    assert set(faults) == {"error", *repeats}, str(report)
    assert faults["error"].samples == (3, 13)
    assert "2 of 40 samples raised" in faults["error"].seen
    assert "OSError: truncated file" in faults["error"].seen
    assert "train: draws of 2 samples that raised an exception" in report.unchecked
    assert "train: pixel values and labels of 2 batches that raised an exception" in report.unchecked
    assert "train: pixel values of 24 images from the loader" in report.checked


def test_if_no_sample_can_be_made_everything_else_is_listed() -> None:
    report = loader(load(Unreadable(broken=range(40)), 2), samples=40)
    assert [finding.check for finding in report.findings] == ["error"]
    skipped = "\n".join(report.unchecked)
    for text in ("random draws, generators", "pixel values"):
        assert text in skipped
    assert not report.checked, report.checked


class Hanging(Torch):
    def image(self, image: np.ndarray, index: int) -> Any:
        time.sleep(60 if index == 7 else 0)
        return super().image(image, index)


def test_a_sample_that_hangs_is_named_and_the_limit_holds() -> None:
    start = time.monotonic()
    report = loader(load(Hanging(), 2, shuffle=False), time_limit=2.2)
    assert time.monotonic() - start < 5  # torch alone would wait five seconds for each pass to end
    checks = {finding.check: finding for finding in report.findings}
    assert checks["a sample did not return"].samples == (7,)
    assert "the sample 7 had not returned after 1." in checks["a sample did not return"].seen
    assert "draws in workers and over epochs" in checks["time limit"].seen
    assert not report.ok


class Slow(Torch):
    def image(self, image: np.ndarray, index: int) -> Any:
        time.sleep(0.02)
        return super().image(image, index)


def test_a_slow_loader_does_not_hang_but_is_not_ok_within_its_limit() -> None:
    report = loader(load(Slow(), 1, shuffle=False), time_limit=0.6)
    assert [finding.check for finding in report.findings if finding.severity != "note"] == ["time limit"], str(report)
    assert not report.ok
