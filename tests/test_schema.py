"""The JSON Schema of specs: it takes what the reader takes, and refuses what is wrong in a spec's structure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from broken import broken
from hypothesis import given, settings
from jsonschema import Draft202012Validator
from strategies import CLASSES, LEAVES, previews, specs

from augreg import SpecError, reference
from augreg.__main__ import main
from augreg.commands.schema import schema
from augreg.readers import presets, read
from augreg.registry import Registry
from augreg.spec import parse

SCHEMA = schema(CLASSES)
VALIDATOR = Draft202012Validator(SCHEMA)
REGISTRY = Registry.installed()

# What the reader refuses and a schema cannot say: the order of two numbers, a transform's own check, the place of
# normalize, a depth, and that a pair of pairs must fit. By the names of the families in tests/broken.py.
BEYOND = ("_refused_by_check", "_after_normalize", "_too_deep")


def said(spec: Any) -> str:
    """What the schema complains of, deepest first; nothing for a good spec."""
    return "\n".join(f"{error.json_path}: {error.message[:200]}" for error in VALIDATOR.iter_errors(spec))


def test_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@given(specs())
@settings(max_examples=150, deadline=None, derandomize=True)
def test_takes_every_valid_spec(spec: Any) -> None:
    assert not said(json.loads(json.dumps(spec)))


@given(specs())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_takes_every_canonical_spec(spec: Any) -> None:
    """`to_spec` writes every default out, and the schema knows them all."""
    from augreg import Pipeline

    assert not said(Pipeline.from_spec(spec).to_spec())


@pytest.mark.parametrize("name", [*presets()])
def test_takes_the_presets(name: str) -> None:
    assert not said(read(name).data)


def structural(spec: Any) -> Any:
    """The spec as an editor would see it, or None where it is no JSON, or has a number that no editor reads."""
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
        if spec is None or _ordered(spec) or _reads(spec):
            continue
        seen += 1
        assert said(spec), f"broken({number}) passes: {spec}"
    assert seen > 300


def _ordered(spec: Any) -> bool:
    """Whether what is wrong is only that low > high."""
    return "[3, 2]" in json.dumps(spec)


def _reads(spec: Any) -> bool:
    """Whether it is a good spec after all, once JSON has made text of a key or a list of a tuple."""
    try:
        parse(spec, REGISTRY)
    except SpecError:
        return False
    return True


@pytest.mark.parametrize("name", LEAVES)
def test_every_argument_is_described_and_bounded(name: str) -> None:
    (arguments, *_) = SCHEMA["$defs"][f"transform.{name}"]["anyOf"]
    for row in reference.arguments(CLASSES[name]):
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
        ([{"rotate": {"test": [{"resize": 8}], "uid": "a"}}], True), ([{"rotate": {"test": "centre"}}], False),
        ([{"random_crop": {"size": 8, "test": "centre"}}], True), ([["invert", "invert"]], True),
        ({"image": ["invert"], "seed": 3}, True), ({"seed": 3}, False), ({"image": ["invert"], "sed": 3}, False),
        ([{"invert": None}], True), ([{"invert": 5}], False), ([{"pad": {"fill": 3}}], False),
        ({"image": None}, True), ({"image": [], "targets": {"boxes": "xywh"}}, True),
        ({"image": [], "targets": {"boxes": "xyz"}}, False), ({"image": [], "targets": {"box": "xywh"}}, False),
    ],
    ids=str,
)  # fmt: skip
def test_says_the_same_as_the_reader(spec: Any, good: bool) -> None:
    assert _reads(spec) == good
    assert (said(spec) == "") == good


def test_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(SCHEMA))


def test_the_docs_have_the_line_for_editors() -> None:
    text = (Path(__file__).parents[1] / "docs/command-line.md").read_text()
    assert "# yaml-language-server: $schema=" in text
