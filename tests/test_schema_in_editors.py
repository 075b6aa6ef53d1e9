"""The JSON Schema as editors use it: completions, labels, messages, both drafts, and `$schema` in a spec."""

from __future__ import annotations

import ast
import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from broken import broken
from hypothesis import given, settings
from strategies import EVERY, specs

from augreg import Pipeline, SpecError
from augreg.__main__ import main
from augreg.registry.registry import Registry
from augreg.spec.files import presets, read
from augreg.spec.json_schema import schema

ROOT = Path(__file__).parents[1]
REGISTRY = Registry.installed()
CLASSES = {name: REGISTRY[name] for name in REGISTRY if name in EVERY}
SCHEMAS = {draft: schema(CLASSES, draft) for draft in ("2020-12", "7")}
VALIDATORS: dict[str, Any] = {
    "2020-12": jsonschema.Draft202012Validator(SCHEMAS["2020-12"]),
    "7": jsonschema.Draft7Validator(SCHEMAS["7"]),
}
KEYS = {"2020-12": "$defs", "7": "definitions"}
both = pytest.mark.parametrize("draft", ["2020-12", "7"])


def parts(schema: Any, names: bool = False) -> Iterator[dict[str, Any]]:
    """Every schema in a schema; `names` if its keys are names of properties or definitions."""
    if isinstance(schema, dict):
        if not names:
            yield schema
        for key, part in schema.items():
            if names or key not in ("enum", "default"):
                yield from parts(part, not names and key in ("properties", "definitions", "$defs"))
    elif isinstance(schema, list):
        for part in schema:
            yield from parts(part)


@both
def test_no_value_has_the_name_of_a_property_beside_it(draft: str) -> None:
    """yaml-language-server merges the two, and inserts `rotate: rotate` for the property."""
    known = SCHEMAS[draft][KEYS[draft]]
    seen = 0
    for part in parts(SCHEMAS[draft]):
        beside = [part]
        for one in beside:  # what an anyOf and a reference lead to stands in the same place
            beside += one.get("anyOf", [])
            if "$ref" in one and known[one["$ref"].rpartition("/")[2]] not in beside:
                beside.append(known[one["$ref"].rpartition("/")[2]])
        names = {name for one in beside for name in one.get("properties", ())}
        values = {value for one in beside for value in one.get("enum", ()) if isinstance(value, str)}
        assert not names & values, part
        seen += bool(names)
    assert seen > 100


@both
def test_a_bare_name_is_told_by_a_pattern(draft: str) -> None:
    step = SCHEMAS[draft][KEYS[draft]]["image.step"]
    bare = {name for name in EVERY if re.search(step["pattern"], name)}
    assert {"rotate", "horizontal_flip", "rot90"} <= bare <= set(step["properties"])
    for wrong in ("rotat", "rotates", "a rotate", "center_crop", "mixup"):
        assert not re.search(step["pattern"], wrong)
    pattern = schema({"mine/a.b-c": REGISTRY["invert"]}, draft)[KEYS[draft]]["image.step"]["pattern"]
    assert re.search(pattern, "mine/a.b-c") and not re.search(pattern, "mine/aXb-c")
    assert "\\" not in pattern  # escapes differ between the languages of editors


@both
def test_every_definition_and_argument_has_a_title(draft: str) -> None:
    for key, found in SCHEMAS[draft][KEYS[draft]].items():
        section, colon, name = key.partition(":")
        assert found["title"] == (name if colon else key.replace(".", " "))
        if colon:
            for argument, about in found.get("anyOf", [found])[0]["properties"].items():
                assert "$ref" in about or about.get("title", argument) in (argument, f"{section} steps")


def test_draft_7_has_no_words_of_later_drafts() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMAS["7"])
    later = {"$defs", "prefixItems", "dependentRequired", "unevaluatedProperties", "$anchor", "$dynamicRef"}
    references = 0
    for part in parts(SCHEMAS["7"]):
        assert not later & set(part)
        if "$ref" in part:
            assert set(part) == {"$ref"}  # draft 7 reads nothing beside it
            assert part["$ref"].removeprefix("#/definitions/") in SCHEMAS["7"]["definitions"]
            references += 1
    assert references > 100
    assert SCHEMAS["7"]["$schema"] == "http://json-schema.org/draft-07/schema#"


def documented() -> list[Any]:
    """All presets, and every whole spec in YAML or Python in the docs that needs no plugin and no more code."""
    found = [read(name).data for name in presets()]
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for language, block in re.findall(r"```(yaml|python)\n(.*?)```", page.read_text(), re.S):
            for spec in [yaml.safe_load(block)] if language == "yaml" else literals(block):
                if isinstance(spec, dict) and spec.keys() & {"image", "batch", "model", "loss"}:
                    try:
                        Pipeline.from_spec(spec)
                    except SpecError:
                        continue
                    found.append(json.loads(json.dumps(spec)))
    return found


def literals(code: str) -> Iterator[Any]:
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Dict):
            with contextlib.suppress(ValueError, TypeError):
                yield ast.literal_eval(node)


@both
def test_the_specs_of_the_docs_are_good(draft: str) -> None:
    found = documented()
    assert len(found) > 20
    for spec in found:
        assert not [error.message for error in VALIDATORS[draft].iter_errors(spec)], spec


@given(specs())
@settings(max_examples=50, deadline=None, derandomize=True)
def test_both_drafts_take_every_valid_spec(spec: Any) -> None:
    spec = json.loads(json.dumps(spec))
    assert [draft for draft, validator in VALIDATORS.items() if not validator.is_valid(spec)] == []


def test_both_drafts_refuse_the_same_specs() -> None:
    refused = 0
    for number in range(200):
        try:
            spec = json.loads(json.dumps(broken(number).spec, allow_nan=False))
        except (TypeError, ValueError, RecursionError):
            continue
        if json.dumps(spec).count("[") < 100:  # not those that are nested too deeply
            valid = [validator.is_valid(spec) for validator in VALIDATORS.values()]
            assert valid[0] == valid[1], spec
            refused += not valid[0]
    assert refused > 80


@pytest.mark.parametrize(
    ("spec", "path", "words"),
    [
        ({"image": ["invert", {"rotato": 5}]}, "$.image[1]", "'rotato' was unexpected"),
        ({"image": ["invert", "rotato"]}, "$.image[1]", "'rotato' does not match"),
        ([{"rotato": {"degrees": 5}}], "$[0]", "'rotato' was unexpected"),
        ([["invert", "rotato"]], "$[0][1]", "'rotato' does not match"),
        ([{"one_of": {"steps": ["rotato"]}}], "$[0].one_of.steps[0]", "'rotato' does not match"),
        ({"batch": [{"mixupp": 1}]}, "$.batch[0]", "'mixupp' was unexpected"),
        ({"model": [{"drop_out": {}}]}, "$.model[0]", "'drop_out' was unexpected"),
        ({"imge": [], "image": []}, "$", "'imge' was unexpected"),
    ],
    ids=str,
)
@both
def test_a_misspelt_name_is_the_one_error(draft: str, spec: Any, path: str, words: str) -> None:
    (error,) = VALIDATORS[draft].iter_errors(spec)
    leaves = [error]
    for each in leaves:
        leaves += each.context or []
    assert [each for each in leaves if each.json_path == path and words in each.message]
    assert "one_of" in path or error.json_path == path


FILES = {
    "spec.yaml": "$schema: augreg.schema.json\nseed: 3\nimage:\n- invert\n",
    "spec.json": '{"$schema": "./augreg.schema.json", "seed": 3, "image": ["invert"]}',
    "spec.toml": '"$schema" = "augreg.schema.json"\nseed = 3\nimage = ["invert"]\n',
}


@pytest.mark.parametrize("name", FILES)
def test_the_address_of_the_schema_is_no_part_of_the_pipeline(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_text(FILES[name])
    pipe, plain = Pipeline.from_spec(file), Pipeline(["invert"], seed=3)
    assert pipe == plain and pipe.fingerprint == plain.fingerprint
    assert "$schema" not in pipe.to_spec()
    assert main(["validate", str(file)]) == 0
    assert all(validator.is_valid(read(file).data) for validator in VALIDATORS.values())


@pytest.mark.parametrize("wrong", [3, None, ["a"]])
def test_the_address_of_the_schema_is_a_string(wrong: Any) -> None:
    spec = {"$schema": wrong, "image": []}
    with pytest.raises(SpecError, match=r"\$schema: expected the address of a JSON Schema, got"):
        Pipeline.from_spec(spec)
    assert not any(validator.is_valid(spec) for validator in VALIDATORS.values())


def test_the_command_prints_either_draft(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "--draft", "7", "--built-in"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert "image:rotate" in found["definitions"]
