"""Limits of specs, whatever their reader: size, depth, steps, schedules, problems; and readers that raise."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from augreg import Pipeline, Registry, SpecError, transform
from augreg.steps.sizes import check_size
from augreg.transforms import Rotate


def refusal(spec: Any) -> str:
    """The message of a spec that is refused, within five seconds."""
    start = time.perf_counter()
    with pytest.raises(SpecError) as caught:
        Pipeline.from_spec(spec)
    assert time.perf_counter() - start < 5
    message = str(caught.value)
    assert len(message) < 100_000
    return message


def doubled(times: int, last: Any) -> Any:
    """A list of two lists of two lists: 2^times values in the memory of a few."""
    for _ in range(times):
        last = [last, last]
    return last


class Numbers(Sequence[int]):
    """As many numbers as anybody asks for."""

    def __len__(self) -> int:
        return 2**62

    def __getitem__(self, index: Any) -> Any:
        return 1


class Raises(Mapping[str, Any]):
    """A mapping that cannot be read."""

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[str]:
        raise KeyError("gone")

    def __getitem__(self, key: str) -> Any:
        raise OSError("the disk is gone")


LARGE: dict[str, Callable[[], Any]] = {
    "steps that are shared": lambda: doubled(40, "rotate"),
    "an argument that is shared": lambda: [{"rotate": {"degrees": doubled(40, 1)}}],
    "shared in a test": lambda: [{"rotate": {"test": doubled(40, "rotate")}}],
    "shared in an option": lambda: {"image": [], "seed": doubled(40, 1)},
    "shared in targets": lambda: {"image": [], "targets": {"boxes": doubled(40, 1)}},
    "shared in the model section": lambda: {"model": [{"dropout": {"at": doubled(40, 1)}}]},
    "many children": lambda: [{"one_of": ["rotate"] * 1_000_000}],
    "many values": lambda: [{"rotate": {"degrees": [0.0] * 1_000_000}}],
    "endless values": lambda: [{"rotate": {"degrees": Numbers()}}],
    "a large array": lambda: [{"normalize": {"mean_image": np.zeros((600, 600, 1))}}],
    "many keys": lambda: {"image": [], **{f"key{number}": 1 for number in range(200_000)}},
}


@pytest.mark.parametrize("name", LARGE)
def test_what_is_too_large_is_refused_with_the_limit(name: str) -> None:
    assert "at most 300,000 values" in refusal(LARGE[name]())


def test_a_mean_image_written_out_is_not_too_large() -> None:
    check_size([{"normalize": {"mean_image": np.full((256, 256, 3), 0.5).tolist()}}])


def test_the_limit_holds_for_steps_made_by_hand() -> None:
    for value in (doubled(40, 1), Numbers()):
        with pytest.raises(SpecError, match="at most 300,000 values"):
            Rotate(value)  # type: ignore[arg-type]


def test_many_steps() -> None:
    assert "at most 10,000 steps" in refusal([{"one_of": ["rotate"] * 50_000}])
    assert "at most 10,000 steps" in refusal(["rotate"] * 50_000)
    shared = ["rotate"] * 200
    for _ in range(3):
        shared = [{"one_of": shared}] * 6
    assert "at most 10,000 steps" in refusal(shared)
    assert len(Pipeline.from_spec(["horizontal_flip"] * 5_000).steps) == 5_000


def test_a_long_schedule() -> None:
    points = {"linear": [float(number % 7) for number in range(20_000)], "over": list(range(20_000))}
    for argument in ("degrees", "p"):
        assert "a schedule takes at most 1000 numbers" in refusal([{"rotate": {argument: points}}])
    points = {name: numbers[:1000] for name, numbers in points.items()}
    assert Pipeline.from_spec([{"rotate": {"degrees": points}}]).steps[0].schedules


@pytest.mark.parametrize("spec", [
    [f"rotatte{number}" for number in range(45_000)],
    {f"imagee{number}": 1 for number in range(45_000)},
    [{"rotate": {f"degreess{number}": 1 for number in range(45_000)}}],
    {"image": [], "targets": {f"boxess{number}": 1 for number in range(45_000)}},
    [0.5] * 45_000,
    {"model": ["dropoutt"] * 45_000},
])  # fmt: skip
def test_many_problems(spec: Any) -> None:
    lines = refusal(spec).splitlines()
    assert len(lines) == 101 and lines[-1].endswith("only the first 100 problems are listed")


def test_a_hundred_problems_in_a_file_are_in_its_order(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text("\n".join(["image:", *(f"- rotatte{number}" for number in range(500))]))
    lines = refusal(path).splitlines()
    shown = [line.partition(": ")[0].rpartition(":")[2] for line in lines if "rotatte" in line]
    assert shown == [str(number) for number in range(2, 102)]


DEEP: dict[str, str] = {
    "a.json": '{"image": ' + "[" * 3000 + "]" * 3000 + "}",
    "b.json": '{"a":' * 100_000,
    "c.yaml": "image: " + "[" * 300 + "]" * 300,
    "d.yaml": "\n".join(" " * level + "a:" for level in range(900)),
    "e.toml": "a." * 20_000 + "a = 1",
    "f.toml": "[" + "a." * 20_000 + "a]",
    "g.toml": "x = {" + "a . " * 20_000 + "a = 1}",
    "h.toml": '"a".' * 20_000 + "a = 1",
    "i.toml": "image = " + "[" * 3000 + "]" * 3000,
}


@pytest.mark.parametrize("name", DEEP)
def test_what_is_too_deep_is_refused_by_every_reader(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(DEEP[name])
    assert "nested too deeply" in refusal(path)


@pytest.mark.parametrize("text", [
    'image = [{call = "' + "a." * 200 + 'b"}]',
    "image = ['''" + "a." * 200 + "''', \"\"\"\n" + "a." * 200 + '""", \'' + "a." * 200 + "']",
    "# " + "a." * 200 + "\nimage = []",
    "image = [{normalize = {mean = [" + "0.5, " * 60 + "]}}]",
    '# \\"\nimage = ["' + '\\"' * 10 + '"]',
])  # fmt: skip
def test_dots_that_are_no_keys_are_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "spec.toml"
    path.write_text(text)
    try:
        Pipeline.from_spec(path)
    except SpecError as error:
        assert "deeply" not in str(error) and "TOML" not in str(error)


def test_large_toml_takes_little_time(tmp_path: Path) -> None:
    """200 kB of what looks like the start of a string, a comment or a key, each once and again and again."""
    for start in ('"', "'", '"\\', "#", "a", "a ", ".", '""', "''' \n", '"""\n', "[", "{"):
        path = tmp_path / "spec.toml"
        path.write_text((start * 200_000)[:200_000])
        refusal(path)


def test_a_toml_file_takes_little_memory(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    path = tmp_path / "spec.toml"
    path.write_text("a." * 20_000 + "a = 1")
    code = f"import augreg.spec.files as f; f.read({str(path)!r})"
    limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))  # noqa: E731
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, preexec_fn=limit)
    assert "SpecError" in run.stderr and "MemoryError" not in run.stderr, run.stderr


@pytest.mark.parametrize(("name", "text", "message"), [
    ("a.yaml", "image: []\nseed: \x00", ":2: not valid YAML"),
    ("b.yaml", "image: [\x07]", ":1: not valid YAML"),
    ("c.yaml", "image: [\ufffe]", ":1: not valid YAML"),
    ("d.yaml", 'image: ["\\UFFFFFFFF"]', "not valid YAML"),
    ("e.yaml", f"seed: {'9' * 5000}", "a number has 5,000 digits"),
    ("f.json", f'{{"seed": {"9" * 5000}}}', "not valid JSON"),
    ("g.json", f'{{"image": [], "seed": -{"9" * 5000}}}', "not valid JSON"),
    ("h.toml", f"seed = {'9' * 5000}", "not valid TOML"),
    ("i.toml", "image = []\nseed = 1979-99-99", "not valid TOML"),
    ("j.toml", "image = []\nseed = 1979-05-27", "seed: expected"),
    ("k.json", '{"image": [{"rotate": 1e999}]}', "finite"),
    ("l.json", '{"image": [{"rotate": NaN}]}', "finite"),
    ("m.json", '["\\ud800"]', "no transform named"),
])  # fmt: skip
def test_whatever_a_reader_raises_is_a_spec_error(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert message in refusal(path)


OPTIONS = ("version", "seed", "backend", "targets", "classes", "output", "decode", "model", "batch", "loss")
ANY: list[Any] = [
    np.array(["auto", "pillow"]), np.array(3), np.array([1.5, 2.5]), 10**5000, -(10**5000), 1j, b"\xff", object(),
    {1}, Raises(), Numbers(), range(3), [], {}, {10**5000: 1}, {(1, 2): 3}, {None: 1}, lambda: 1, int, float("nan"),
    "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(ANY)))
def test_any_value_at_any_place(number: int) -> None:
    """Ran or refused, and no other error, with an array that is no single truth, too."""
    value = ANY[number]
    specs: list[Any] = [
        value,
        [value],
        {"image": value},
        {"image": [], "decode": value},
        {"image": [], "model": value},
    ]
    specs += [
        {"image": [], option: value} for option in ("version", "seed", "backend", "targets", "classes", "output")
    ]
    for key in ("degrees", "p", "test", "uid", "fill"):
        specs.append([{"rotate": {key: value}}])
    specs += [[{"one_of": value}], [{"one_of": {"steps": ["rotate"], "weights": value}}], [{"normalize": value}]]
    specs += [[{"rotate": {"degrees": {"linear": value, "over": value}}}], [{"auto_augment": {"policy": value}}]]
    for spec in specs:
        try:
            Pipeline.from_spec(spec)
        except SpecError as error:
            assert str(error)


def test_arrays_and_numbers_of_other_libraries_are_taken() -> None:
    """As before: the canonical form is the same."""
    pipe = Pipeline.from_spec([{"rotate": np.array([-5.0, 5.0])}], seed=np.int64(3))
    assert pipe == Pipeline.from_spec(json.loads(json.dumps([{"rotate": [-5, 5]}])), seed=3)


def test_hooks_that_raise_are_spec_errors() -> None:
    """`check` and `complete` of a class that somebody else wrote, on values that its author did not foresee."""

    @transform("checked", kind="color")
    class Checked:
        """Does nothing."""

        text: str = ""

        def check(self) -> None:
            if self.text:
                raise KeyError(self.text)

        def sample(self, rng: Any, scene: Any) -> Any:
            return ()

    @transform("completed", kind="color")
    class Completed:
        """Does nothing."""

        text: str = ""

        @classmethod
        def complete(cls, arguments: dict[str, Any]) -> dict[str, Any]:
            return {**arguments, "text": arguments.get("text", "") + ""}

        def sample(self, rng: Any, scene: Any) -> Any:
            return ()

    registry = Registry.installed().add(Checked).add(Completed)
    with pytest.raises(SpecError, match=r"image\[0\]\.checked: its check failed: KeyError: 'x'"):
        Pipeline.from_spec([{"checked": "x"}], registry)
    with pytest.raises(SpecError, match=r"image\[0\]\.completed: .*cannot take these arguments: TypeError"):
        Pipeline.from_spec([{"completed": 5}], registry)


def test_an_argument_that_is_nested_deeply_is_an_error_at_its_place() -> None:
    deep: Any = 1.0
    for _ in range(5_000):
        deep = [deep]
    with pytest.raises(SpecError, match=r"^image\[0\]\.rotate\.degrees: .*nested too deeply"):
        Pipeline.from_spec([{"rotate": {"degrees": deep}}])
