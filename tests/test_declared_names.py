"""Names that a spec or augreg takes for its own are refused where a class declares them as fields."""

from __future__ import annotations

from typing import Any

import pytest

import augreg.transforms
from augreg import Pipeline, Registry, SpecError, batch_transform, regularizer, transform
from augreg.steps.fields import Probability

METHODS: dict[str, dict[str, Any]] = {
    "image": {"sample": lambda self, rng, scene: ()},
    "batch": {"sample": lambda self, rng, count, scene: ()},
    "model": {"attach": lambda self, site: None},
    "loss": {"penalty": lambda self, model: 0.0},
}
DECORATORS: dict[str, Any] = {
    "image": lambda: transform("named", kind="color"),
    "batch": lambda: batch_transform("named"),
    "model": lambda: regularizer("named"),
    "loss": lambda: regularizer("named", section="loss"),
}
TAKEN = [
    *((section, name) for section in METHODS for name in ("test", "uid", "steps", "check", "complete", "functions")),
    *((section, "p") for section in ("image", "batch")),
    ("image", "expect"),
    ("model", "test_rule"),
    ("loss", "target"),
]


def declare(section: str, field: str, hint: Any = float, default: Any = 0.5) -> Any:
    """A class with one field, declared for a section; one of its base classes may have the field."""
    body = {"__doc__": "Has a field.", "__annotations__": {field: hint}, field: default, **METHODS[section]}
    return DECORATORS[section]()(type("Named", (), body))


@pytest.mark.parametrize(("section", "field"), TAKEN)
def test_a_name_that_is_taken_is_refused_where_it_is_declared(section: str, field: str) -> None:
    with pytest.raises(SpecError, match=rf"Named\.{field}: .*give the field another name"):
        declare(section, field)


@pytest.mark.parametrize("field", ["p", "uid", "test"])
def test_an_inherited_field_is_refused_too(field: str) -> None:
    base = augreg.transform("base", kind="color")(
        type("Base", (), {"__doc__": "A base.", "__annotations__": {}, **METHODS["image"]})
    )
    body = {"__doc__": "Has a field.", "__annotations__": {field: float}, field: 0.5}
    with pytest.raises(SpecError, match="another name"):
        transform("named", kind="color")(type("Named", (base,), body))


@pytest.mark.parametrize("section", ["model", "loss"])
def test_p_is_a_regularizers_own(section: str) -> None:
    """As in `dropout: {p: 0.5}`: a regularizer is always applied, so no other p exists; a schedule reaches it."""
    registry = Registry.installed().add(declare(section, "p", Probability))
    pipe = Pipeline.from_spec({section: [{"named": {"p": {"linear": [0.0, 0.25], "over": [0, 5]}}}]}, registry)
    (step,) = getattr(pipe.spec, section)
    assert (step.transform.p, step.p) == (0.25, 1.0)


def test_a_property_p_does_not_take_the_schedule_of_the_step() -> None:
    body = {"__doc__": "Has a property.", "p": property(lambda self: "mine"), **METHODS["image"]}
    registry = Registry.installed().add(transform("named", kind="color")(type("Named", (), body)))
    pipe = Pipeline.from_spec([{"named": {"p": {"linear": [0.0, 1.0], "over": [0, 5]}}}], registry)
    assert pipe.steps[0].p == 1.0 and pipe.train.plan((8, 8), index=0, epoch=0) is not None


def test_steps_of_a_base_class_make_a_container() -> None:
    kind = transform("holder", kind="choose")
    holder = kind(type("Holder", (augreg.transforms.Sequential,), {"__doc__": "Applies its steps in order."}))
    pipe = Pipeline.from_spec([{"holder": ["horizontal_flip"]}], Registry.installed().add(holder))
    assert [step.name for step in pipe.steps[0].transform.steps] == ["horizontal_flip"]
