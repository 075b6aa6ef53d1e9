"""Several threads make and use a first pipeline of a process at the same time."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

from augreg import backends

FIRST_USE = """
import sys, threading
import numpy as np
import augreg

image = np.arange(40 * 40 * 3, dtype=np.uint8).reshape(40, 40, 3)
results, failures = [], []
ready = threading.Barrier(4)

def work():
    ready.wait()
    try:
        pipe = augreg.Pipeline.from_spec("imagenet")
        results.append(pipe.train(image, index=3).tobytes() + pipe.test(image).tobytes())
    except BaseException as error:
        failures.append(error)

sys.setswitchinterval(1e-5)
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert not failures, failures
assert len(results) == 4 and len(set(results)) == 1
"""


def test_a_first_pipeline_in_four_threads() -> None:
    done = subprocess.run([sys.executable, "-c", FIRST_USE], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


class _Vanishing(dict[str, ModuleType]):
    """`sys.modules` while a module takes itself out: it is there when asked for, and gone when read."""

    def __getitem__(self, name: str) -> ModuleType:
        raise KeyError(name)


@pytest.mark.parametrize("state", ["without a spec", "gone when read"])
def test_opencv_is_found_while_another_thread_imports_it(state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    half = ModuleType("cv2")
    assert half.__spec__ is None
    if state == "without a spec":
        monkeypatch.setitem(sys.modules, "cv2", half)
    else:
        monkeypatch.setattr(sys, "modules", _Vanishing(cv2=half))
    found = backends.choose("auto")
    monkeypatch.undo()
    assert found == "opencv"


def test_opencv_that_is_barred_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert backends.choose("auto") == "pillow"
