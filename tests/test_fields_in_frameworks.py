"""A pipeline as a field of a pydantic model, and as an argument of jsonargparse."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from augreg import Pipeline

PIPE = Pipeline(["rotate", {"horizontal_flip": {"p": 0.3}}], batch=["mixup"], seed=3, classes=5)
SPEC = {"image": ["rotate", {"horizontal_flip": {"p": 0.3}}], "batch": ["mixup"], "seed": 3, "classes": 5}


@pytest.fixture
def pydantic() -> Any:
    return pytest.importorskip("pydantic")


@pytest.fixture
def settings(pydantic: Any) -> Any:
    return pydantic.create_model(
        "Settings", pipe=(Pipeline, ...), other=(Pipeline | None, None), several=(list[Pipeline], [])
    )


@pytest.mark.parametrize("form", ["pipeline", "mapping", "file", "path"])
def test_a_field_takes_a_pipeline_a_spec_or_a_file(settings: Any, tmp_path: Path, form: str) -> None:
    file = tmp_path / "spec.json"
    file.write_text(json.dumps(SPEC))
    given = {"pipeline": PIPE, "mapping": SPEC, "file": str(file), "path": file}[form]
    found = settings(pipe=given, other=["invert"], several=["imagenet", ["invert"]])
    assert found.pipe == PIPE and found.pipe.fingerprint == PIPE.fingerprint
    assert (found.pipe is PIPE) == (form == "pipeline")
    assert found.other == Pipeline(["invert"])
    assert found.several == [Pipeline.from_spec("imagenet"), Pipeline(["invert"])]


def test_a_field_is_dumped_as_the_spec(settings: Any) -> None:
    found = settings(pipe=SPEC)
    assert found.model_dump() == {"pipe": PIPE.to_spec(), "other": None, "several": []}
    assert json.loads(found.model_dump_json()) == found.model_dump(mode="json") == found.model_dump()
    assert settings.model_validate_json(found.model_dump_json()) == found
    assert found.model_copy(deep=True) == found


def test_the_problems_of_a_spec_are_those_of_the_field(pydantic: Any, settings: Any) -> None:
    with pytest.raises(pydantic.ValidationError) as refused:
        settings(pipe=[{"rotate": {"degree": 15}}, "rotato"], several=["invert"])
    pipe, several = refused.value.errors()
    assert pipe["loc"] == ("pipe",) and several["loc"] == ("several", 0)
    assert "image[0].rotate.degree: rotate has no field 'degree'" in pipe["msg"]
    assert "image[1]: no transform named 'rotato'; did you mean 'rotate'?" in pipe["msg"]
    with pytest.raises(pydantic.ValidationError, match="a spec is a mapping, a list of steps"):
        settings(pipe=3)


@pytest.mark.parametrize("mode", ["validation", pytest.param("serialization", marks=pytest.mark.soak)])
def test_the_json_schema_of_a_model_has_that_of_specs(settings: Any, mode: str) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = settings.model_json_schema(mode=mode)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert len(schema["$defs"]) == 1  # once, however many fields there are
    validator = jsonschema.Draft202012Validator(schema)
    rest: dict[str, Any] = {"other": None, "several": []}
    assert validator.is_valid({"pipe": SPEC, **rest})
    assert validator.is_valid(settings(pipe=SPEC, several=[["invert"]]).model_dump())
    assert validator.is_valid({"pipe": "imagenet", **rest}) == (mode == "validation")
    for wrong in (3, None, {"image": ["rotato"]}, {"image": [{"rotate": {"degree": 5}}]}, {"seed": 3}):
        assert not validator.is_valid({"pipe": wrong, **rest})
    assert not validator.is_valid({"pipe": SPEC, "other": None, "several": [["rotato"]]})


def test_other_kinds_of_models_take_pipelines(pydantic: Any) -> None:
    adapter = pydantic.TypeAdapter(dict[str, Pipeline])
    assert adapter.validate_python({"a": SPEC}) == {"a": PIPE}
    assert pydantic.validate_call(lambda pipe: pipe)(PIPE) is PIPE

    frozen = pydantic.create_model("Frozen", pipe=(Pipeline, ...), __config__={"frozen": True})
    assert hash(frozen(pipe=SPEC)) == hash(frozen(pipe=PIPE))


CLI = """
import json, sys
from pathlib import Path
{imports}

class Data:
    def __init__(self, pipe: {pipeline}, size: int = 4, other: {pipeline} | None = None) -> None:
        self.pipe, self.other = pipe, other

folder = Path(sys.argv[1])
spec = {{"image": ["rotate", {{"horizontal_flip": {{"p": 0.3}}}}], "batch": ["mixup"], "seed": 3, "classes": 5}}
wanted = augreg.Pipeline.from_spec(spec)
(folder / "spec.json").write_text(json.dumps(spec))
inside = {{"data": {{"pipe": spec, "other": ["invert"]}}}}
(folder / "inside.yaml").write_text(json.dumps(inside))
(folder / "beside.yaml").write_text(json.dumps({{"data": {{"pipe": str(folder / "spec.json")}}}}))
parser = jsonargparse.ArgumentParser(exit_on_error=False)
parser.add_class_arguments(Data, "data")
parser.add_argument("--config", action="config")
def made(*arguments):
    config = parser.parse_args(list(arguments))
    dumped = folder / "dumped.yaml"
    dumped.write_text(parser.dump(config))
    again = parser.parse_args([f"--config={{dumped}}"])
    instantiate = getattr(parser, "instantiate", None) or parser.instantiate_classes
    one, two = instantiate(config).data, instantiate(again).data
    assert one.pipe == two.pipe and one.other == two.other
    return one
assert made(f"--config={{folder / 'inside.yaml'}}").pipe == wanted
assert made(f"--config={{folder / 'inside.yaml'}}").other == augreg.Pipeline(["invert"])
assert made(f"--config={{folder / 'beside.yaml'}}").pipe == wanted
assert made(f"--data.pipe={{folder / 'spec.json'}}").pipe == wanted
assert made("--data.pipe=" + json.dumps(spec)).pipe == wanted
assert made("--data.pipe=imagenet").pipe == augreg.Pipeline.from_spec("imagenet")
try:
    parser.parse_args(['--data.pipe=["rotato"]'])
except jsonargparse.ArgumentError as error:
    assert "no transform named 'rotato'; did you mean 'rotate'?" in str(error), error
else:
    raise AssertionError
for first in ([f"--config={{folder / 'inside.yaml'}}"], []):
    try:
        parser.parse_args([*first, "--data.pipe.seed=4"])
    except jsonargparse.ArgumentError as error:
        assert "a pipeline is given as a whole, a spec or its path: set `seed: 4` in it" in str(error), error
    else:
        raise AssertionError
assert not [finder for finder in sys.meta_path if type(finder).__module__.startswith("augreg")]
"""
AUGREG_FIRST = "import augreg\nfrom augreg import Pipeline\nimport jsonargparse"
ASKED_FIRST = AUGREG_FIRST.replace(
    "import json", "import importlib.util\nassert importlib.util.find_spec('jsonargparse.typing')\nimport json"
)


@pytest.mark.parametrize(
    ("imports", "pipeline"),
    [
        (AUGREG_FIRST, "Pipeline"),
        ("import jsonargparse\nimport augreg", "augreg.Pipeline"),
        ("from __future__ import annotations\nimport augreg, jsonargparse", "augreg.Pipeline"),
        ("import augreg\naugreg.Pipeline\nimport jsonargparse.typing", "augreg.Pipeline"),
        (ASKED_FIRST, "Pipeline"),
    ],
    ids=["augreg first", "jsonargparse first", "by name", "the module of types", "asked for before"],
)
def test_an_argument_is_the_spec_alone(tmp_path: Path, imports: str, pipeline: str) -> None:
    pytest.importorskip("jsonargparse")
    future = "from __future__ import annotations\n"
    script = tmp_path / "cli.py"
    code = CLI.format(imports=imports.replace(future, ""), pipeline=pipeline)
    script.write_text(future + code if future in imports else code)
    command = [sys.executable, "-W", "ignore", str(script), str(tmp_path)]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_neither_is_imported_by_augreg() -> None:
    code = (
        "import sys, augreg\n"
        "augreg.Pipeline.from_spec('imagenet')\n"
        "assert not {'pydantic', 'pydantic_core', 'jsonargparse', 'augreg.spec.json_schema'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
