"""Two classes of one name: pipelines with them are not equal, and have other fingerprints, in every place."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from augreg import Pipeline, Registry, batch_transform, regularizer, transform


def _image(name: str) -> tuple[Any, Any]:
    @transform(name, kind="color")
    class First:
        """Does nothing."""

        def sample(self, rng: Any, scene: Any) -> Any:
            return ()

    @transform(name, kind="color")
    class Second:
        """Does nothing, in another way."""

        def sample(self, rng: Any, scene: Any) -> Any:
            return ()

    return First, Second


@batch_transform("same")
class FirstBatch:
    """Does nothing."""

    def sample(self, rng: Any, count: Any, scene: Any) -> Any:
        return ()


@batch_transform("same")
class SecondBatch:
    """Does nothing."""

    def sample(self, rng: Any, count: Any, scene: Any) -> Any:
        return ()


@regularizer("same")
class FirstModel:
    """Does nothing."""

    def attach(self, site: Any) -> None:
        return None


@regularizer("same")
class SecondModel:
    """Does nothing."""

    def attach(self, site: Any) -> None:
        return None


@regularizer("same", section="loss")
class FirstLoss:
    """Does nothing."""

    def penalty(self, model: Any) -> float:
        return 0.0


@regularizer("same", section="loss")
class SecondLoss:
    """Does nothing."""

    def penalty(self, model: Any) -> float:
        return 0.0


IMAGE = _image("same")
PLACES: dict[str, tuple[tuple[Any, Any], Any]] = {
    "image": (IMAGE, {"image": ["same"]}),
    "inside a container": (IMAGE, {"image": [{"one_of": ["rotate", {"sequential": ["same"]}]}]}),
    "in test": (IMAGE, {"image": [{"rotate": {"degrees": 10, "test": ["same"]}}]}),
    "batch": ((FirstBatch, SecondBatch), {"batch": ["same"]}),
    "model": ((FirstModel, SecondModel), {"model": ["same"]}),
    "loss": ((FirstLoss, SecondLoss), {"loss": ["same"]}),
}


@pytest.mark.parametrize("place", PLACES)
def test_two_classes_of_one_name_are_two(place: str) -> None:
    classes, spec = PLACES[place]
    first, again, second = (
        Pipeline.from_spec(spec, Registry.installed().add(cls)) for cls in (classes[0], classes[0], classes[1])
    )
    assert first == again and hash(first) == hash(again) and first.fingerprint == again.fingerprint
    assert first.to_spec() == second.to_spec()
    assert first != second and first.fingerprint != second.fingerprint
    tests_differ = first.test.fingerprint != second.test.fingerprint
    assert tests_differ == (place not in ("batch", "loss"))  # test images do not depend on these


def test_objects_of_two_classes() -> None:
    first, second = IMAGE
    assert Pipeline([first()]) == Pipeline([first()]) != Pipeline([second()])


def test_a_pipeline_is_the_one_that_was_pickled() -> None:
    pipe = Pipeline(batch=[FirstBatch()])
    back = pickle.loads(pickle.dumps(pipe))
    assert back == pipe and back.fingerprint == pipe.fingerprint


def test_what_is_added_and_not_used_makes_no_difference() -> None:
    """Nor does a function that a registry allows, which adds the built-in step `call`."""
    plain = Pipeline.from_spec(["rotate"])
    registry = Registry.installed().add(IMAGE[0]).allow("math:sqrt")
    assert Pipeline.from_spec(["rotate"], registry) == plain
    assert Pipeline.from_spec(["rotate"], registry).fingerprint == plain.fingerprint
    call = Pipeline.from_spec([{"call": "math:sqrt"}], registry)
    assert call.fingerprint == "8c6ef11db9284fd701806618f22d7124e45dcf2e92dbbd14c4845581026930fb"


def test_fingerprints_of_built_in_steps_stay() -> None:
    """As they were before classes were hashed."""
    before = "441b507e7b448f617e15833aadfb5689a974ce11d96b7afcb1fc9785166e7c64"
    assert Pipeline.from_spec(["rotate"]).fingerprint == before
