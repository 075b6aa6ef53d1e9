"""The JSON Schema of specs: it accepts what the parser accepts, and refuses specs with a wrong structure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from broken import broken
from hypothesis import given, settings
from jsonschema import Draft202012Validator
from strategies import CLASSES, EVERY, LEAVES, OTHERS, previews, specs

from augreg import SpecError
from augreg.__main__ import main
from augreg.registry.registry import Registry
from augreg.spec.files import presets, read
from augreg.spec.json_schema import schema
from augreg.spec.parse import parse
from augreg.steps import describe
from augreg.steps.declare import batch_transform, regularizer
from augreg.steps.fields import Probability
from augreg.steps.selectors import At

REGISTRY = Registry.installed()
SCHEMA = schema({name: REGISTRY[name] for name in REGISTRY if name in EVERY})
VALIDATOR = Draft202012Validator(SCHEMA)

# What the parser refuses and a schema cannot express: the order of two numbers, the check of a class, where normalize
# is allowed, a depth, and how two pairs must match. By the names of the functions in tests/broken.py.
BEYOND = ("_refused_by_check", "_after_normalize", "_too_deep")


def said(spec: Any) -> str:
    """The problems that the schema finds; "" for a good spec."""
    return "\n".join(f"{error.json_path}: {error.message[:200]}" for error in VALIDATOR.iter_errors(spec))


def test_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@given(specs())
@settings(max_examples=80, deadline=None, derandomize=True)
def test_takes_every_valid_spec(spec: Any) -> None:
    assert not said(json.loads(json.dumps(spec)))


@given(specs())
@settings(max_examples=40, deadline=None, derandomize=True)
def test_takes_every_canonical_spec(spec: Any) -> None:
    """`to_spec` writes every default out, and the schema accepts them all."""
    from augreg import Pipeline

    assert not said(Pipeline.from_spec(spec).to_spec())


@pytest.mark.parametrize("name", [*presets()])
def test_takes_the_presets(name: str) -> None:
    assert not said(read(name).data)


def structural(spec: Any) -> Any:
    """The spec as an editor would see it; None if it is not JSON, or has a number that editors cannot read."""
    try:
        text = json.dumps(spec, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return None
    return None if "0" * 300 in text else json.loads(text)


def test_refuses_every_spec_that_is_broken_in_its_structure() -> None:
    from broken import _BREAKERS

    beyond = [number for number, maker in enumerate(_BREAKERS) if maker.__name__ in BEYOND]
    seen = 0
    for number in range(600):
        if number % len(_BREAKERS) in beyond:
            continue
        spec = structural(broken(number).spec)
        if spec is None or _is_beyond(spec) or _reads(spec):
            continue
        seen += 1
        assert said(spec), f"broken({number}) passes: {spec}"
    assert seen > 300


def _is_beyond(spec: Any) -> bool:
    """Whether the only problem is one that no schema finds: low > high, or a file that does not exist."""
    written = json.dumps(spec)
    return "[3, 2]" in written or '"mean_image": "much"' in written


def _reads(spec: Any, registry: Registry = REGISTRY) -> bool:
    """Whether it is a good spec after JSON has turned keys into strings and tuples into lists."""
    try:
        parse(spec, registry)
    except SpecError:
        return False
    return True


@pytest.mark.parametrize("name", LEAVES)
def test_every_argument_is_described_and_bounded(name: str) -> None:
    (arguments, *_) = SCHEMA["$defs"][f"image:{name}"]["anyOf"]
    for row in describe.arguments(CLASSES[name]):
        assert row.takes in arguments["properties"][row.name]["description"]
    assert arguments["additionalProperties"] is False
    assert {"p", "test", "uid"} <= set(arguments["properties"])
    for given_ in previews(name):
        assert not said({"image": [{name: given_}]})
    assert said({"image": [{name: {"p": 1.5}}]})
    assert said({"image": [{name: {"no_such_argument": 1}}]})


@pytest.mark.parametrize(
    ("spec", "good"),
    [
        ([{"center_crop": 8}], True), ([{"center_crop": [8, 9]}], True), ([{"center_crop": 0}], False),
        ([{"center_crop": 70000}], False), ([{"center_crop": 8.5}], False), (["center_crop"], False),
        ([{"rotate": 10}], True), ([{"rotate": -10}], False), ([{"rotate": [-10, 10]}], True),
        ([{"brightness": 0.4}], True), ([{"brightness": [-0.1, 1]}], False),
        ([{"normalize": "imagenet"}], True), ([{"normalize": "imagenot"}], False),
        ([{"one_of": ["invert", {"one_of": ["invert", {"rotate": 5}]}]}], True),
        ([{"one_of": ["invert", {"one_of": ["invert", {"rotato": 5}]}]}], False),
        ([{"rotate": {"test": [{"resize": 8}], "uid": "a"}}], True), ([{"rotate": {"test": "center"}}], False),
        ([{"random_crop": {"size": 8, "test": "center"}}], True), ([["invert", "invert"]], True),
        ({"image": ["invert"], "seed": 3}, True), ({"seed": 3}, False), ({"image": ["invert"], "sed": 3}, False),
        ([{"invert": None}], True), ([{"invert": 5}], False), ([{"pad": {"fill": 3}}], False),
        ({"image": None}, True), ({"image": [], "targets": {"boxes": "xywh"}}, True),
        ({"batch": []}, True), ({"model": None, "classes": 10}, True), ({"loss": [], "classes": 0}, False),
        ({"batch": ["invert"]}, False), ({"batch": [{"one_of": ["invert"]}]}, False), ({"model": ["one_of"]}, False),
        ([{"rotate": {"linear": [5, 30], "over": [0, 10]}}], True), ([{"rotate": {"linear": [5, 30]}}], False),
        ([{"rotate": {"degrees": [-5, {"step": [1, 2, 3], "at": [3, 4.5]}]}}], True),
        ([{"rotate": {"degrees": {"cosine": [5], "over": [1]}}}], False),
        ([{"rotate": {"degrees": {"step": [5, 1], "over": [1]}}}], False),
        ([{"rotate": {"p": {"linear": [0, 1], "over": [-1, 1]}}}], False),
        ([{"rotate": {"interpolation": {"step": [0, 1], "at": [1]}}}], False),
        ([{"cutout": {"size": {"linear": [8, 16], "over": [0, 9]}, "p": {"step": [1, 0], "at": [3]}}}], True),
        ([{"rotate": {"uid": {"step": [1, 0], "at": [3]}}}], False),
        ({"seed": {"step": [1, 0], "at": [3]}, "image": []}, False),
        ({"model": [{"init": {"rule": {"normal": 0.01}}}]}, True), ({"model": [{"init": "kaiming"}]}, True),
        ({"model": [{"init": {"rule": {"kaiming": 0.01}}}]}, False), ({"model": [{"init": "kaimin"}]}, False),
        ({"image": [], "targets": {"boxes": "xyz"}}, False), ({"image": [], "targets": {"box": "xywh"}}, False),
    ],
    ids=str,
)  # fmt: skip
def test_accepts_the_same_as_the_parser(spec: Any, good: bool) -> None:
    assert _reads(spec) == good
    assert (said(spec) == "") == good


@batch_transform("swap", p=0.5)
class Swap:
    """Exchanges halves."""

    fraction: Probability = 0.5

    def sample(self, rng: Any, count: Any, scene: Any) -> Any:
        return ()


@regularizer("hush", preview=({"p": 0.5, "at": "fc"},))
class Hush:
    """Silences units."""

    p: Probability
    at: At

    def attach(self, site: Any) -> Any:
        return None


@regularizer("shrink", section="loss")
class Shrink:
    """Makes weights smaller."""

    weight: float = 1e-4

    def penalty(self, model: Any) -> Any:
        return 0.0


TOYS = REGISTRY.add(Swap).add(Hush).add(Shrink)
TOY_SCHEMA = Draft202012Validator(schema({name: TOYS[name] for name in (*CLASSES, "swap", "hush", "shrink")}))
ONE = {"linear": [0, 1], "over": [0, 9]}


@pytest.mark.parametrize(
    ("spec", "good"),
    [
        ({"batch": ["swap"]}, True), ({"image": ["swap"]}, False), ({"model": ["swap"]}, False),
        ({"batch": [{"swap": {"p": ONE, "fraction": ONE, "uid": "a"}}]}, True), ({"batch": [{"swap": ONE}]}, True),
        ({"batch": [{"swap": {"test": "off"}}]}, False), ({"batch": [{"swap": {"size": 3}}]}, False),
        ({"batch": [{"one_of": {"steps": ["swap", ["swap"]], "p": ONE}}]}, True),
        ({"batch": [{"one_of": {"steps": ["swap"], "test": "off"}}]}, False),
        ({"batch": [{"one_of": ["swap", "invert"]}]}, False), ({"image": [{"one_of": ["swap"]}]}, False),
        ({"image": [{"rotate": {"test": ["swap"]}}]}, False),
        ({"model": [{"hush": {"p": ONE, "at": "fc"}}]}, True), ({"model": [{"hush": {"p": 0.5}}]}, False),
        ({"model": ["hush"]}, False), ({"model": [{"hush": {"p": 1.5, "at": "fc"}}]}, False),
        ({"model": [{"hush": {"p": 1, "at": {"name": "fc", "type": "Linear"}}}]}, True),
        ({"model": [{"hush": {"p": 1, "at": [{"type": ["Linear", "Conv2d"]}, "fc"]}}]}, True),
        ({"model": [{"hush": {"p": 1, "at": {"names": "fc"}}}]}, False),
        ({"model": [{"hush": {"p": 1, "at": [{"names": "fc"}]}}]}, False),
        ({"model": [{"hush": {"p": 1, "at": []}}]}, False), ({"model": [{"hush": {"p": 1, "at": 5}}]}, False),
        ({"model": [{"hush": {"p": 1, "at": "fc", "uid": "a"}}]}, False),
        ({"loss": ["shrink"]}, True), ({"loss": [{"shrink": ONE}]}, True), ({"model": ["shrink"]}, False),
        ({"loss": [{"shrink": {"weight": 0.1, "p": 1}}]}, False), ({"loss": [["shrink"]]}, False),
    ],
    ids=str,
)  # fmt: skip
def test_each_section_has_steps_of_its_own(spec: Any, good: bool) -> None:
    assert _reads(spec, TOYS) == good
    assert TOY_SCHEMA.is_valid(spec) == good


@pytest.mark.parametrize(
    ("section", "name"),
    [
        (section, name)
        for section, found in OTHERS.items()
        for name, cls in found.items()
        if not cls.__augreg__.container
    ],
)
def test_steps_of_the_other_sections_are_described_and_bounded(section: str, name: str) -> None:
    (arguments, *_) = SCHEMA["$defs"][f"{section}:{name}"]["anyOf"]
    cls = EVERY[name]
    for row in describe.arguments(cls):
        assert row.takes in arguments["properties"][row.name]["description"]
    taken = {row.name for row in describe.arguments(cls)}
    assert set(arguments["properties"]) - taken == ({"p", "uid"} if section == "batch" else set())
    assert previews(name), f"{name} needs arguments: give preview=({{..}},) that shows it"
    for given_ in previews(name):
        assert not said({section: [{name: given_}]})
    assert said({section: [{name: {"no_such_argument": 1}}]})


def test_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(SCHEMA))


def test_the_docs_have_the_line_for_editors() -> None:
    text = (Path(__file__).parents[1] / "docs/command-line.md").read_text()
    assert "# yaml-language-server: $schema=" in text
