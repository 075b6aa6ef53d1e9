"""Specs: all forms of a spec, all errors together with their locations, and specs back to plain data."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import OrderedDict, UserDict, UserList
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import numpy as np
import pytest

import augreg
from augreg import Pipeline, Registry, SpecError, transform
from augreg.steps.fields import Shorthand
from augreg.steps.schedules import scheduled

YAML = """\
version: 1
seed: 5
image:
  - random_resized_crop: {size: 32, scale: [0.2, 1]}
  - horizontal_flip
  - one_of:
      - rotate: 15
      - sequential: [{shear_x: 0.2}, {shear_y: {amount: [-1e-1, 1e-1], p: 0.5}}]
  - normalize: {mean: cifar10, std: cifar10}
"""


def problems(spec: Any) -> list[str]:
    with pytest.raises(SpecError) as caught:
        Pipeline.from_spec(spec)
    return [str(problem) for problem in caught.value.problems]


def write(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def test_a_spec_can_be_a_mapping_a_list_a_preset_or_a_file(tmp_path: Path) -> None:
    pipe = Pipeline.from_spec(write(tmp_path, "a.yaml", YAML))
    data = pipe.to_spec()
    toml = 'version = 1\nseed = 5\nimage = ["horizontal_flip", {rotate = 15}]\n'
    assert Pipeline.from_spec(data) == pipe
    assert Pipeline.from_spec(write(tmp_path, "a.json", json.dumps(data))) == pipe
    assert Pipeline.from_spec(tmp_path / "a.yaml") == pipe
    assert [step.name for step in Pipeline.from_spec(write(tmp_path, "a.toml", toml)).steps] == [
        "horizontal_flip",
        "rotate",
    ]
    assert Pipeline.from_spec({"seed": 5, "image": data["image"]}) == pipe != Pipeline.from_spec(data["image"])
    assert Pipeline.from_spec("cifar10").steps[0].name == "random_crop"


def test_any_mapping_and_sequence_will_do() -> None:
    plain = {"image": [{"rotate": {"degrees": [-5, 5]}}]}
    foreign = UserDict(
        image=UserList([OrderedDict(rotate=MappingProxyType({"degrees": (np.float32(-5), np.int64(5))}))])
    )
    assert Pipeline.from_spec(foreign) == Pipeline.from_spec(plain)


def test_the_canonical_spec_writes_every_default_out() -> None:
    data = Pipeline.from_spec([{"rotate": 30}, {"cutout": 8}, {"normalize": "imagenet"}]).to_spec()
    assert data == {
        "version": 1,
        "seed": 0,
        "output": "auto",
        "channels": "rgb",
        "backend": "auto",
        "approximate": False,
        "image": [
            {"rotate": {"degrees": [-30.0, 30.0], "interpolation": "bilinear", "fill": [0.0], "p": 1.0}},
            {"cutout": {"size": 8, "holes": 1, "fill": [0.0], "p": 1.0}},
            {
                "normalize": {
                    "mean": [0.485, 0.456, 0.406],
                    "std": [0.229, 0.224, 0.225],
                    "mean_image": None,
                    "p": 1.0,
                }
            },
        ],
    }
    assert json.loads(json.dumps(data)) == data


def test_short_forms() -> None:
    def arguments(step: Any) -> dict[str, Any]:
        return next(iter(Pipeline.from_spec([step]).to_spec()["image"][0].values()))

    assert arguments({"color_jitter": {"brightness": 0.4, "hue": 0.1}})["brightness"] == [0.6, 1.4]
    assert arguments({"color_jitter": {"hue": 0.1}})["hue"] == [-0.1, 0.1]
    assert arguments({"brightness": 1.5})["factor"] == [0.0, 2.5]
    assert arguments({"resize": 256})["shorter"] == 256
    assert arguments({"resize": {"size": 256}})["size"] == [256, 256]
    assert arguments({"pad": 4})["padding"] == [4, 4, 4, 4]
    assert arguments({"rotate": {"degrees": 10, "fill": "imagenet"}})["fill"] == [124.0, 116.0, 104.0]
    assert arguments({"normalize": {"mean": "imagenet", "std": 1}})["std"] == [1.0]
    assert arguments({"normalize": 0.5})["std"] == [1.0]
    assert arguments({"gaussian_blur": 2})["sigma"] == [2.0, 2.0]
    nested = arguments({"one_of": ["invert", ["equalize", {"rotate": 5}]]})
    assert [next(iter(step)) for step in nested["steps"]] == ["invert", "sequential"]


def test_fingerprints() -> None:
    pipe, other = (
        Pipeline.from_spec("imagenet"),
        Pipeline.from_spec({**Pipeline.from_spec("imagenet").to_spec(), "seed": 1}),
    )
    assert len(pipe.fingerprint) == 64 and pipe.fingerprint == Pipeline.from_spec("imagenet").fingerprint
    assert pipe.fingerprint != other.fingerprint and pipe.test.fingerprint == other.test.fingerprint
    assert Pipeline.from_spec([{"normalize": "imagenet"}]) == Pipeline.from_spec(
        [{"normalize": {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}}]
    )
    golden = "7e9d13ab24ab507714d19ebdb5c25a6506bb259af4c5d32923cec54698f0fdee"
    assert pipe.fingerprint == golden, "a default or the canonical form changed: that takes a new spec version"


def test_a_stored_spec_of_version_1_may_say_decode_exact() -> None:
    """It was always written; it is the default, and fingerprints are those of the time when it was written."""
    pipe = Pipeline.from_spec("imagenet")
    stored = {"version": 1, "decode": "exact", **pipe.to_spec()}
    assert "decode" not in pipe.to_spec()
    assert Pipeline.from_spec(stored) == pipe and Pipeline.from_spec(stored).fingerprint == pipe.fingerprint
    text = json.dumps(stored, sort_keys=True, separators=(",", ":"))
    assert pipe.fingerprint == hashlib.sha256(text.encode()).hexdigest()
    assert problems({"image": [], "decode": "fast"}) == ["decode: expected exact, scaled, got 'fast'"]
    assert problems({"image": [], "decode": None}) == ["decode: expected exact, scaled, got None"]


# An argument is converted once.


@pytest.fixture
def expanded() -> Iterator[list[Any]]:
    """The values that the shorthand of `Counted` and `CountedBox` expanded."""
    _EXPANDED.clear()
    yield _EXPANDED
    _EXPANDED.clear()


_EXPANDED: list[Any] = []


def _expand(value: Any) -> Any:
    _EXPANDED.append(value)
    return [value, value] if isinstance(value, int) else value


_Pair = Annotated[tuple[int, int], Shorthand(_expand, "integer or pair")]


@transform("counted", kind="color")
class Counted:
    """Does nothing, with arguments."""

    pair: _Pair
    other: _Pair = (1, 1)
    plain: int = 0

    def sample(self, rng: Any, scene: Any) -> Any:
        return ()


@transform("counted_box", kind="choose", rule="children")
class CountedBox:
    """Applies its steps in order, with an argument."""

    steps: tuple[augreg.Step, ...]
    pair: _Pair

    def sample(self, rng: Any, scene: Any) -> Any:
        return self.steps

    def expect(self, scene: Any, p: float) -> Any:
        return self.steps


def test_an_argument_is_converted_once(expanded: list[Any]) -> None:
    """By hand and from a spec, also inside containers, whose steps are replaced when paths are assigned."""
    registry = Registry.installed().add(Counted).add(CountedBox)
    Pipeline.from_spec([{"counted": 2}], registry)  # converts the default, once for the class
    expanded.clear()
    step = Counted(3)
    assert step.pair == (3, 3) and expanded == [3, [1, 1]]
    expanded.clear()
    pipe = Pipeline.from_spec([{"counted": 4}, {"counted": {"pair": 5, "other": [6, 7]}}], registry)
    assert expanded == [4, 5, [6, 7]]
    assert [(step.transform.pair, step.transform.other) for step in pipe.steps] == [
        ((4, 4), (1, 1)),
        ((5, 5), (6, 7)),
    ]
    expanded.clear()
    box = {"counted_box": {"steps": [{"counted": 8}], "pair": 9}}
    nested = Pipeline.from_spec([{"one_of": [box, {"counted": {"pair": 10, "test": [{"counted": 11}]}}]}], registry)
    assert expanded == [8, 9, 11, 10]
    (one_of,) = nested.steps
    assert one_of.transform.steps[0].transform == CountedBox((step_of(nested),), (9, 9))


def step_of(pipe: Pipeline) -> augreg.Step:
    """The innermost first step of a pipeline."""
    step = pipe.steps[0]
    while step.transform.__augreg__.container:
        step = step.transform.steps[0]
    return step


def test_a_scheduled_step_converts_its_scheduled_arguments_alone(expanded: list[Any]) -> None:
    registry = Registry.installed().add(Counted)
    schedule = {"step": [1, 2], "at": [5]}
    (step,) = Pipeline.from_spec([{"counted": {"pair": [schedule, 3], "other": 4}}], registry).steps
    expanded.clear()
    early = scheduled(step, 0.25).transform
    assert expanded == [[1, 3]]
    assert early == Counted((1, 3), (4, 4))


def test_a_required_argument_of_a_container_may_not_be_missing() -> None:
    registry = Registry.installed().add(Counted).add(CountedBox)
    with pytest.raises(SpecError, match=r"image\[0\].counted_box: counted_box needs 'pair'"):
        Pipeline.from_spec([{"counted_box": [{"counted": 1}]}], registry)


def test_all_errors_at_once_with_file_and_line(tmp_path: Path) -> None:
    text = YAML.replace("rotate: 15", "rotat: 15").replace("size: 32", "sise: 32").replace("p: 0.5", "p: 1.5")
    path = write(tmp_path, "bad.yaml", text.replace("seed: 5", "sede: 5"))
    assert problems(path) == [
        f"{path}:2: sede: a spec has no option or section 'sede'; did you mean 'seed'?",
        f"{path}:4: image[0].random_resized_crop.sise: random_resized_crop has no field 'sise'; did you mean 'size'?",
        f"{path}:7: image[2].one_of.steps[0]: no transform named 'rotat'; did you mean 'rotate'?",
        f"{path}:8: image[2].one_of.steps[1].sequential.steps[1].shear_y.p: expected float <= 1.0, got 1.5",
    ]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            [{"rotate": {"degree": 5}}],
            "image[0].rotate.degree: rotate has no field 'degree'; did you mean 'degrees'?",
        ),
        (
            [{"rotate": {"zzz": 5}}],
            "image[0].rotate.zzz: rotate has no field 'zzz'; it takes degrees, interpolation, fill",
        ),
        (
            [{"rotate": [30, -30]}],
            "image[0].rotate.degrees: expected [low, high] with low <= high, got [30.0, -30.0]",
        ),
        ([{"rotate": float("nan")}], "image[0].rotate.degrees: expected a finite number, got nan"),
        (
            [{"rotate": {"interpolation": "cubic"}}],
            "interpolation: expected nearest, bilinear, bicubic, got 'cubic'; did you mean 'bicubic'?",
        ),
        ([{"horizontal_flip": 3}], "image[0].horizontal_flip: horizontal_flip takes no arguments, got 3"),
        ([{"invert": {"p": "often"}}], "image[0].invert.p: expected float, got 'often'"),
        ([{"random_crop": {}}], "image[0].random_crop: random_crop needs 'size'"),
        ([{"random_crop": 0}], "image[0].random_crop.size: expected int >= 1"),
        (
            [{"rotate": 5, "p": 0.5}],
            "image[0]: a step is a mapping of one name to its arguments, got the keys 'rotate', 'p'",
        ),
        ([7], "image[0]: a step is a name, or a mapping of one name to its arguments, got 7"),
        ({"image": "rotate"}, "image: expected a list of steps, got 'rotate'"),
        ({"seed": -1, "image": []}, "seed: expected int >= 0"),
        ({"version": 2, "image": []}, "version: expected 1, got 2"),
        ({}, "a spec needs a section: give 'image', a list of steps"),
        ([{"resize": {"size": 3, "shorter": 4}}], "image[0].resize: give either 'shorter'"),
        ([{"posterize": 2.5}], "image[0].posterize.bits: bits must be integers from 1 to 8"),
        ([{"one_of": {"weights": [1]}}], "image[0].one_of: one_of needs 'steps'"),
        ([{"one_of": {"steps": ["invert"], "weights": [1, 2]}}], "image[0].one_of: there are 1 steps and 2 weights"),
        (
            [{"some_of": {"steps": ["invert"], "count": 2}}],
            "image[0].some_of.count: count must be at most the number of steps, 1",
        ),
        (
            [{"normalize": "imagenet"}, "invert"],
            "invert cannot be used on a normalized image; put it before normalize",
        ),
        ([{"normalize": "imagenet"}, {"normalize": "half"}], "the image is normalized already; normalize once"),
        ([{"one_of": [{"normalize": "half"}]}], "normalize must always be applied"),
        ([{"normalize": {"mean": "half", "p": 0.5}}], "normalize must always be applied"),
        ([{"rotate": {"test": "center"}}], "image[0].rotate.test: the rules of rotate are off, same, got 'center'"),
        ([{"one_of": [{"resize": 8}, {"resize": 9}]}], "add `test:` with the steps to apply at test time"),
        ([{"some_of": [{"resize": 8}, "invert"]}], "add `test:` with the steps to apply at test time"),
        (
            ["invert", {"some_of": [{"resize": 8}, "invert"]}],
            "image[1].some_of: some_of ends at the size before it or another size",
        ),
        (
            [{"rotate": {"test": "same"}}],
            "image[0].rotate: rotate draws random numbers, so it cannot have `test: same`; use test: off, or steps",
        ),
        (
            [{"normalize": "half"}, {"cutout": {"test": ["invert"]}}],
            "image[1].cutout.test[0].invert: invert cannot be used on a normalized image",
        ),
        (
            [{"cutout": {"test": [{"normalize": "half"}]}}, {"normalize": "half"}],
            "normalized already; normalize once",
        ),
        ([{"rotate": 10**400}], "image[0].rotate.degrees: "),
        ([{"normalize": {"mean": "half", "test": "off"}}], "training normalizes the image and testing does not"),
        ([{"cutout": {"test": [{"normalize": "half"}]}}], "testing normalizes the image and training does not"),
        ([{"invert": {"uid": "a"}}, {"rotate": {"uid": "a"}}], "image[1].rotate.uid: the uid 'a' is used twice"),
        ([{"invert": {"uid": "a#1"}}], "image[0].invert.uid: "),
        (
            [{"pad": {"padding": 1, "mode": "mirror"}}],
            "expected constant, edge, reflect, symmetric, wrap, got 'mirror'",
        ),
        ({"batch": [{"rotate": 3}]}, "batch[0]: rotate cannot be used in 'batch'; it belongs in 'image'"),
        (
            [{"rotate": {"linear": [0, 30], "over": [0]}}],
            "image[0].rotate.degrees: a linear schedule takes at least 2",
        ),
        ([{"invert": {"p": {"step": [1, 2], "at": [3]}}}], "image[0].invert.p: expected float <= 1.0, got 2.0"),
        (
            [{"invert": {"p": {"cosine": [1, 0], "over": [3, 3]}}}],
            "image[0].invert.p: the epochs of a schedule must be 0 or more and increase",
        ),
        ([{"snow/flakes": {}}], "image[0]: no transform named 'snow/flakes': no plugin 'snow' is installed"),
    ],
)
def test_messages(spec: Any, message: str) -> None:
    found = problems(spec)
    assert len(found) == 1 and message in found[0], found


def test_a_preset_or_file_that_is_not_there() -> None:
    assert "did you mean 'imagenet'" in problems("imagnet")[0]
    assert "cannot be read: No such file" in problems("nowhere.yaml")[0]
    with pytest.raises(SpecError, match="a spec is a mapping, a list of steps, a preset's name or a path, got 3"):
        Pipeline.from_spec(3)


YAML_VALUES = {
    "1e-3": 0.001,
    "no": "no",
    "on": "on",
    "010": 10,
    "12:30": "12:30",
    "0o17": "0o17",
    "1_000": "1_000",
    "true": True,
    "~": None,
    "-.5": -0.5,
    ".inf": float("inf"),
    "'1'": "1",
    "2024-01-01": "2024-01-01",
}


@pytest.mark.parametrize(("text", "value"), YAML_VALUES.items())
def test_yaml_follows_version_1_2(tmp_path: Path, text: str, value: object) -> None:
    from augreg.spec.files import read

    assert read(write(tmp_path, "a.yaml", f"x: {text}")).data == {"x": value}


BOMB = "a: &a [x]\n" + "".join(f"{c}: &{c} [*{b}, *{b}, *{b}, *{b}]\n" for b, c in itertools.pairwise("abcdefghijkl"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image: []\nimage: []\n", ":2: the key 'image' is given twice"),
        ("image: [!!python/object/apply:os.system [echo]]", "are not allowed in a spec"),
        ("image: !custom []", "are not allowed in a spec"),
        (BOMB, "too large"),
        ("image: &a [*a]", "nested too deeply"),
        ("[" * 500, "nested too deeply"),
        ("image: [", ":1: not valid YAML"),
        ("? [1]\n: 2", "a key must be a string or a number"),
    ],
)  # fmt: skip
def test_hostile_yaml(tmp_path: Path, text: str, message: str) -> None:
    found = problems(write(tmp_path, "bad.yaml", text))
    assert len(found) == 1 and message in found[0], found


def test_other_files(tmp_path: Path) -> None:
    assert "a.json:2: not valid JSON" in problems(write(tmp_path, "a.json", '{"image":\n}'))[0]
    assert problems(write(tmp_path, "b.json", '{"a": 1, "a": 2}')) == [
        f"{tmp_path / 'b.json'}: the key 'a' is given twice"
    ]
    assert "nested too deeply" in problems(write(tmp_path, "d.json", "[" * 100_000))[0]
    assert "not valid TOML" in problems(write(tmp_path, "a.toml", "image ="))[0]
    assert "more than 1,048,576 bytes" in problems(write(tmp_path, "big.yaml", "#" * (1 << 21)))[0]
    (tmp_path / "latin.yaml").write_bytes(b"image: [\xff]")
    assert "not UTF-8" in problems(str(tmp_path / "latin.yaml"))[0]


def test_a_spec_that_contains_itself() -> None:
    steps: list[Any] = []
    steps.append({"one_of": steps})
    assert "nested too deeply" in problems(steps)[0]


def test_errors_pickle() -> None:
    import pickle

    with pytest.raises(SpecError) as caught:
        Pipeline.from_spec([{"rotat": 3}, {"invert": {"p": 3}}])
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value) and again.problems == caught.value.problems


def test_steps_by_hand() -> None:
    from augreg.transforms.choose import OneOf
    from augreg.transforms.color import Invert
    from augreg.transforms.geometry import HorizontalFlip
    from augreg.transforms.warps import Rotate

    by_hand = Pipeline([HorizontalFlip(), augreg.Step(OneOf((Rotate(12), Invert())), "one_of", p=0.5)], seed=3)
    spec = {"seed": 3, "image": ["horizontal_flip", {"one_of": {"steps": [{"rotate": 12}, "invert"], "p": 0.5}}]}
    assert by_hand == Pipeline.from_spec(spec)
    with pytest.raises(SpecError, match=r"rotate\.degrees: expected number or"):
        Rotate("much")
    with pytest.raises(SpecError, match="expected a transform or a Step"):
        Pipeline([Rotate])


def test_the_test_side_is_written_out_where_it_follows_from_the_children() -> None:
    pipe = Pipeline.from_spec(
        [{"one_of": {"steps": [{"random_resized_crop": 8}, [{"resize": 9}, {"center_crop": 8}]], "weights": [1, 3]}}]
    )
    assert pipe.test(np.zeros((20, 30, 3), np.uint8)).shape == (8, 8, 3)
    assert "sequential" in pipe.to_spec()["image"][0]["one_of"]["test"][0]
    assert Pipeline.from_spec(pipe.to_spec()) == pipe


def test_test_overrides() -> None:
    image = np.random.default_rng(0).integers(0, 256, (10, 12, 3), dtype=np.uint8)

    def tested(step: Any) -> Any:
        return Pipeline.from_spec([step]).test(image)

    assert np.array_equal(tested({"vertical_flip": {"test": "same"}}), image[::-1])
    assert np.array_equal(tested({"invert": {"test": "off"}}), image)
    assert np.array_equal(tested({"invert": {"p": 0.5}}), image)
    assert np.array_equal(tested({"invert": {"p": 0.5, "test": "same"}}), 255 - image)
    assert np.array_equal(tested({"rotate": {"test": ["invert", "horizontal_flip"]}}), 255 - image)
    assert np.array_equal(tested({"rotate": {"test": ["invert"]}}), 255 - image)


@pytest.mark.parametrize("size", [(61, 83), (97, 64)])
def test_a_size_that_is_right_by_chance_for_one_image_is_found(size: tuple[int, int]) -> None:
    """A crop to the size of one probe changes nothing there; the other probe shows that it changes the size."""
    crop = {"center_crop": list(size)}
    ends = f"one_of ends at {size[0]}x{size[1]} or the size before it, so"
    assert ends in problems([{"one_of": [crop, "invert"]}])[0]
    assert problems([{"some_of": [crop, "invert"]}])


def test_the_steps_of_a_test_override_have_paths_of_their_own() -> None:
    """Otherwise a child of a container and a step of its `test` would draw the same random numbers."""
    pipe = Pipeline.from_spec([{"one_of": {"steps": ["invert"], "test": ["invert", [{"rotate": 5}]]}}])
    (one_of,) = pipe.steps
    assert isinstance(one_of.test, tuple)
    assert [step.path for step in one_of.test] == ["one_of#0/test/invert#0", "one_of#0/test/sequential#0"]
    assert [step.path for step in one_of.transform.steps] == ["one_of#0/invert#0"]
    assert one_of.test[1].transform.steps[0].path == "one_of#0/test/sequential#0/rotate#0"
    keys = {step.stream_key for step in (*one_of.test, *one_of.transform.steps, one_of)}
    assert len(keys) == 4


def test_all_problems_with_the_test_side_are_reported() -> None:
    found = problems([{"one_of": [{"resize": 8}, "invert"]}, {"some_of": [{"resize": 8}, "invert"]}])
    assert [line.split(":")[0] for line in found] == ["image[0].one_of", "image[1].some_of"]


def test_names_of_statistics() -> None:
    assert "did you mean 'imagenet'?" in problems([{"normalize": "imagenett"}])[0]
    assert "expected float <= 1.0" in problems([{"normalize": {"mean": [124, 117, 104]}}])[0]
    assert "expected float <= 1.0" in problems([{"normalize": {"mean": "half", "std": 58}}])[0]


def test_arrays_and_paths_are_plain_data(tmp_path: Path) -> None:
    pipe = Pipeline.from_spec([{"normalize": {"mean": np.array([0.1, 0.2, 0.3]), "std": np.float32(0.5)}}])
    assert pipe.to_spec()["image"][0]["normalize"]["mean"] == [0.1, 0.2, 0.3]
    np.save(tmp_path / "mean.npy", np.zeros((4, 4, 3), np.float32))
    by_path = Pipeline.from_spec([{"normalize": {"mean_image": tmp_path / "mean.npy"}}])
    assert by_path.to_spec()["image"][0]["normalize"]["mean_image"] == str(tmp_path / "mean.npy")
