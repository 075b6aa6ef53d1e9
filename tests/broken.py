"""Specs with one problem at a known location."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import fields
from typing import Any, NamedTuple

from strategies import CLASSES, CONTAINERS, LEAVES, previews, reads, values

from augreg.steps.fields import hints


class Broken(NamedTuple):
    """A spec that must be refused, and the path that the error must have."""

    spec: Any
    path: str


_WRONG = (None, {"a": 1}, [[1]], "much", b"1", object(), [1, 2, 3, 4, 5, 6], float("nan"), float("inf"), 10**400)


def broken(number: int) -> Broken:
    """The broken spec with this number, which is always the same."""
    rng = random.Random(number)
    return _BREAKERS[number % len(_BREAKERS)](rng)


def _placed(rng: random.Random, step: Any, inner: str) -> Broken:
    """A broken step somewhere among good ones; `inner` is the path within it."""
    good: list[Any] = ["horizontal_flip", {"rotate": 10}, {"cutout": {"size": 0.5}}, ["vertical_flip"]]
    path = "image"
    for _ in range(rng.randrange(3)):
        siblings = rng.sample(good, rng.randrange(3))
        place = rng.randrange(len(siblings) + 1)
        siblings.insert(place, step)
        name = rng.choice(["sequential", "one_of", "random_order"])
        step = rng.choice([{name: {"steps": siblings}}, {name: siblings}])
        inner = f".{name}.steps[{place}]{inner}"
    siblings = rng.sample(good, rng.randrange(4))
    place = rng.randrange(len(siblings) + 1)
    siblings.insert(place, step)
    return Broken(
        rng.choice([siblings, {"image": siblings}, {"seed": 3, "image": siblings}]), f"{path}[{place}]{inner}"
    )


def _misspelled(rng: random.Random, word: str) -> str:
    place = rng.randrange(len(word))
    return word[:place] + "qj" + word[place + 1 :]


def _misspelled_name(rng: random.Random) -> Broken:
    name = _misspelled(rng, rng.choice(sorted(CLASSES)))
    return _placed(rng, rng.choice([name, {name: {}}, {name: 5}]), "")


def _misspelled_argument(rng: random.Random) -> Broken:
    name = rng.choice(LEAVES)
    given = dict(rng.choice(previews(name)))
    key = _misspelled(rng, rng.choice([field.name for field in fields(CLASSES[name])] or ["p"]))
    return _placed(rng, {name: {**given, key: 1}}, f".{name}.{key}")


def _wrong_value(rng: random.Random) -> Broken:
    """A value of another type, not finite, or far too large, for one argument."""
    while True:
        name = rng.choice(LEAVES)
        keys = [
            field.name
            for field in fields(CLASSES[name])
            if field.init and not values(hints(CLASSES[name])[field.name]).is_empty
        ]
        if not keys:
            continue
        key = rng.choice(keys)
        hint = hints(CLASSES[name])[key]
        wrong = [value for value in _WRONG if not _takes(hint, value)]
        given = dict(rng.choice(previews(name))) | {key: rng.choice(wrong)}
        return _placed(rng, {name: given}, f".{name}.{key}")


def _takes(hint: Any, value: Any) -> bool:
    """Whether a value is valid after all: None for an optional argument, a long list where any length is allowed."""
    return (value is None or (isinstance(value, list) and len(value) == 6)) and reads(hint, value)


def _out_of_range(rng: random.Random) -> Broken:
    name, given, key = rng.choice(
        [
            ("rotate", {"p": 1.5}, "p"),
            ("rotate", {"p": -0.1}, "p"),
            ("rotate", {"degrees": [3, 2]}, "degrees"),
            ("cutout", {"size": 0}, "size"),
            ("cutout", {"size": 1.5}, "size"),
            ("cutout", {"holes": 65}, "holes"),
            ("auto_contrast", {"cutoff": 50}, "cutoff"),
            ("perspective", {"distortion": 1.0}, "distortion"),
            ("center_crop", {"size": 0}, "size"),
            ("center_crop", {"size": [8, 70000]}, "size[1]"),
            ("pad", {"padding": [1, 2, 3, -4]}, "padding[3]"),
            ("brightness", {"factor": [-1, 2]}, "factor[0]"),
            ("affine", {"translate": [0.1, 2]}, "translate[1]"),
            ("normalize", {"mean": 0, "std": 0}, "std"),
        ]
    )
    return _placed(rng, {name: given}, f".{name}.{key}")


def _refused_by_check(rng: random.Random) -> Broken:
    """Numbers that are valid for their types, but not for the step, or not together."""
    name, given, key = rng.choice(
        [
            ("hue", {"shift": 0.6}, ".shift"),
            ("posterize", {"bits": [0, 8]}, ".bits"),
            ("posterize", {"bits": [2.5, 4]}, ".bits"),
            ("solarize", {"threshold": 300}, ".threshold"),
            ("resize", {"shorter": 8, "size": 8}, ""),
            ("resize", {}, ""),
            ("random_resized_crop", {"size": 8, "scale": [0, 1]}, ".scale"),
            ("random_erasing", {"ratio": [0, 1]}, ".ratio"),
            ("affine", {"shear_x": 90}, ""),
            ("gaussian_blur", {"sigma": [-1, 1]}, ".sigma"),
            ("one_of", {"steps": ["invert"], "weights": [1, 2]}, ""),
            ("some_of", {"steps": ["invert"], "count": 2}, ".count"),
            ("random_crop", {}, ""),
            ("pad", {"mode": "edge"}, ""),
            ("one_of", {"weights": [1]}, ""),
        ]
    )
    return _placed(rng, {name: given}, f".{name}{key}")


def _wrong_step(rng: random.Random) -> Broken:
    """Items that are not steps: two names, no name, a number, keys that are not strings."""
    step = rng.choice(
        [
            {"rotate": None, "degrees": 10},
            {"rotate": 5, "invert": None},
            {},
            {5: {"degrees": 10}},
            {None: 1},
            {("rotate",): 1},
            None,
            7,
            2.5,
            True,
            b"rotate",
            object(),
            "",
        ]
    )
    return _placed(rng, step, "")


def _wrong_common(rng: random.Random) -> Broken:
    key, value = rng.choice(
        [
            ("p", "half"), ("p", None), ("p", [0.5]), ("p", float("nan")), ("p", True), ("p", 10**400),
            ("uid", ""), ("uid", 5), ("uid", ["a"]),
            ("test", "center"), ("test", "of"), ("test", 5), ("test", 0.5), ("test", "children"),
        ]
    )  # fmt: skip
    return _placed(rng, {"rotate": {"degrees": 10, key: value}}, f".rotate.{key}")


def _wrong_children(rng: random.Random) -> Broken:
    name = rng.choice(CONTAINERS)
    value = rng.choice([5, "rotate", {"rotate": 10}, b"x", True])
    return _placed(rng, {name: {"steps": value}}, f".{name}.steps")


def _wrong_test_steps(rng: random.Random) -> Broken:
    step, inner = rng.choice(
        [
            ({"resise": 8}, "[0]"),
            ({"resize": {"sise": 8}}, "[0].resize.sise"),
            ({"rotate": "x"}, "[0].rotate.degrees"),
        ]
    )
    return _placed(rng, {"random_crop": {"size": 8, "test": [step]}}, f".random_crop.test{inner}")


def _wrong_schedule(rng: random.Random) -> Broken:
    value = rng.choice(
        [
            {"linear": [0, 30]}, {"over": [0, 30]}, {"linear": [0, 30], "at": [3]}, {"linear": [0, 30], "over": [0]},
            {"linear": [5], "over": [0]}, {"step": [0, 30], "at": []}, {"cosine": 5, "over": [0, 1]},
            {"linear": ["a", 30], "over": [0, 1]}, {"linear": [0, 30], "over": [-1, 1]}, {"linear": [], "over": []},
            {"linear": [0, 30], "over": [0, 9], "every": 2}, {"step": [0, None], "at": [1]},
        ]
    )  # fmt: skip
    return _placed(rng, {"rotate": {"degrees": rng.choice([value, [-5, value]])}}, ".rotate.degrees")


def _wrong_elsewhere(rng: random.Random) -> Broken:
    """Problems in the sections for batches, models and losses."""
    section, step, inner = rng.choice(
        [
            ("batch", "rotate", ""), ("batch", "mixapp", ""), ("batch", {"mixup": {"alfa": 1}}, ".mixup.alfa"),
            ("batch", {"mixup": {"test": "off"}}, ".mixup.test"), ("batch", {"mixup": {"p": 2}}, ".mixup.p"),
            ("batch", {"one_of": ["mixup", "invert"]}, ".one_of.steps[1]"), ("batch", {"mixup": -1}, ".mixup.alpha"),
            ("model", "mixup", ""), ("model", {"dropout": {"p": 2, "at": "a"}}, ".dropout.p"),
            ("model", {"dropout": {"at": 5}}, ".dropout.at"), ("model", {"dropout": {"at": []}}, ".dropout.at"),
            ("model", {"dropout": {"p": 0.5}}, ".dropout"),
            ("model", {"dropout": {"at": "a", "uid": "b"}}, ".dropout.uid"),
            ("model", ["one_of"], ""), ("loss", {"l2": {"strength": -1}}, ".l2.strength"), ("loss", "dropout", ""),
            ("loss", {"l2": {"strength": 1, "p": 1}}, ".l2.p"), ("loss", 5, ""), ("loss", {"l2": 1, "l1": 1}, ""),
        ]
    )  # fmt: skip
    good = {"batch": ["mixup"], "model": [{"dropout": {"at": "a"}}], "loss": ["l2"]}[section]
    place = rng.randrange(2)
    return Broken({"image": ["invert"], section: [*good[:place], step]}, f"{section}[{place}]{inner}")


def _key_is_no_word(rng: random.Random) -> Broken:
    key = rng.choice([5, None, 2.5, True])
    return _placed(rng, {"rotate": {"degrees": 10, key: 1}}, f".rotate.{key}")


def _argument_of_none(rng: random.Random) -> Broken:
    name = rng.choice([name for name, cls in CLASSES.items() if not fields(cls)])
    return _placed(rng, {name: rng.choice([5, "x", [1], True])}, f".{name}")


def _wrong_section(rng: random.Random) -> Broken:
    key = rng.choice(["imag", "augment", "train", 5, None, "Image", "steps"])
    return Broken({"image": ["invert"], key: []}, f"[{key}]" if isinstance(key, int) else str(key))


def _wrong_option(rng: random.Random) -> Broken:
    key, value = rng.choice(
        [
            ("seed", -1), ("seed", 2**63), ("seed", "1"), ("seed", 1.5), ("seed", None), ("seed", True),
            ("version", 2), ("version", "1"), ("backend", "abacus"), ("output", "paper"), ("decode", None),
            ("approximate", 1), ("channels", ["rgb"]), ("image", 5), ("image", "invert"), ("image", {"invert": None}),
            ("batch", [{"blend": 1}]), ("model", {"drop": 1}), ("loss", 5), ("targets", 5),
        ]
    )  # fmt: skip
    return Broken({"image": ["invert"]} | {key: value}, key)


def _after_normalize(rng: random.Random) -> Broken:
    color = rng.choice([name for name, cls in CLASSES.items() if cls.__augreg__.kind == "color"])
    good = rng.choice(previews(color))
    spec, last = rng.choice(
        [
            (["normalize", {color: good}], f"[1].{color}"),
            (["invert", "normalize", "cutout", {color: good}], f"[3].{color}"),
            (["normalize", {"one_of": ["cutout", {color: good}]}], f"[1].one_of.steps[1].{color}"),
            (["normalize", {"cutout": {"test": ["cutout", {color: good}]}}], f"[1].cutout.test[1].{color}"),
            (["normalize", "cutout", "normalize"], "[2].normalize"),
            ([{"normalize": {"p": 0.5}}], "[0].normalize"),
            ([{"sequential": {"steps": ["normalize"], "p": 0.5}}], "[0].sequential.steps[0].normalize"),
            (["invert", {"one_of": ["normalize", "cutout"]}], "[1].one_of.steps[0].normalize"),
        ]
    )
    return Broken(spec, f"image{last}")


def _too_deep(rng: random.Random) -> Broken:
    names = ["sequential", "one_of", "random_order", "some_of"]
    outer = rng.choice(names)
    step: Any = "invert"
    for _ in range(rng.choice([20, 100, 5000])):
        step = {rng.choice(names): [step]}
    return Broken([{outer: [step]}], f"image[0].{outer}.steps[0].")


def _no_spec(rng: random.Random) -> Broken:
    looped: dict[str, Any] = {}
    looped["degrees"] = looped
    nothing = [5, None, b"[]", {1, 2}, object(), {}, {"seed": 1}]
    return rng.choice(
        [*(Broken(spec, "") for spec in nothing), Broken([{"rotate": looped}], "image[0].rotate.degrees")]
    )


_BREAKERS: tuple[Callable[[random.Random], Broken], ...] = (
    _misspelled_name,
    _misspelled_argument,
    _wrong_value,
    _out_of_range,
    _refused_by_check,
    _wrong_step,
    _wrong_common,
    _wrong_children,
    _wrong_schedule,
    _wrong_elsewhere,
    _wrong_test_steps,
    _key_is_no_word,
    _argument_of_none,
    _wrong_section,
    _wrong_option,
    _after_normalize,
    _too_deep,
    _no_spec,
)
