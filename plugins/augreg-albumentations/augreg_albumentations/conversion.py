"""Pipelines of albumentations as specs, and back: the dictionaries that `A.to_dict` makes and `A.from_dict` reads.

Every transform becomes the step of its own name, `albumentations/Name`, so that it does what it did, with the random
numbers of augreg. `augreg.from_albumentations` is the other way: it translates to augreg's own steps where it can.
"""

from collections.abc import Mapping

import augreg
from augreg import SpecError
from augreg_albumentations.catalogue import catalogue

__all__ = ["from_dict", "to_dict"]

_PREFIX = "albumentations/"


def from_dict(data):
    """The spec of a pipeline that `A.to_dict` wrote. Raises SpecError with everything that has no step.

    `Compose` and `Sequential` become `sequential`, `OneOf` and `OneOrOther` `one_of` with the children's p as
    weights, `SomeOf` `some_of`, `RandomOrder` `random_order`, `ToTensorV2` the option `output: torch`; box and
    keypoint parameters become `targets`.
    """
    root = data.get("transform", data)
    problems = []
    if _name(root) == "Compose":
        outer = {key: value for key, value in root.items() if key != "transforms"}
        options = augreg.from_albumentations({**outer, "transforms": []}).spec
        options = (
            {key: value for key, value in options.items() if key != "image"} if isinstance(options, dict) else {}
        )
        image = [_step(child, problems) for child in root["transforms"]]
        if outer.get("p", 1.0) != 1.0:
            image = [{"sequential": {"steps": image, "p": outer["p"]}}]
    else:
        options, image = {}, [_step(root, problems)]
    if problems:
        raise SpecError("; ".join(problems))
    if "output" in image:
        options["output"] = "torch"
    return {**options, "image": [step for step in image if step != "output"]}


def _name(node):
    if not isinstance(node, Mapping) or "__class_fullname__" not in node:
        raise TypeError("expected the dictionary that A.to_dict makes, with `__class_fullname__` in it")
    return str(node["__class_fullname__"]).rpartition(".")[2]


def _step(node, problems):
    name = _name(node)
    values = {key: value for key, value in node.items() if key != "__class_fullname__"}
    children = values.pop("transforms", None)
    if name == "ToTensorV2":
        return "output"
    if name in catalogue():
        known = {*catalogue()[name]["fields"], *catalogue()[name]["needs"], "p"}
        return {_PREFIX + name: {key: value for key, value in values.items() if key in known}}
    if name in ("Compose", "Sequential"):
        return {"sequential": {"steps": [_step(child, problems) for child in children], "p": values.get("p", 0.5)}}
    if name in ("OneOf", "OneOrOther"):
        return _one_of(name, values, children, problems)
    if name == "SomeOf" and not values.get("replace"):
        count = {"count": values["n"], "p": values.get("p", 1.0)}
        return {"some_of": {"steps": [_step(child, problems) for child in children], **count}}
    if name == "RandomOrder" and not values.get("replace") and values.get("n", len(children)) == len(children):
        return {"random_order": {"steps": [_step(child, problems) for child in children], "p": values.get("p", 1.0)}}
    if name == "NoOp":
        return {"sequential": []}
    problems.append(f"{name} has no step here")
    return {"sequential": []}


def _one_of(name, values, children, problems):
    """Its children are surely done once they are chosen; their own p are the weights."""
    steps = [_step({**child, "p": 1.0}, problems) for child in children]
    p = values.get("p", 0.5)
    if name == "OneOrOther":
        return {"one_of": {"steps": steps, "weights": [p, 1.0 - p]}}
    return {"one_of": {"steps": steps, "weights": [child.get("p", 0.5) for child in children], "p": p}}


def to_dict(spec):
    """The dictionary for `A.from_dict` of a spec whose steps are all albumentations' own.

    Raises SpecError with the steps that it has no name for. What a spec says beyond steps, but for `output: torch`,
    is not in it: seeds, targets and test-time rules are augreg's.
    """
    pipeline = augreg.Pipeline.from_spec(spec)
    problems = []
    nodes = [_node(step, problems) for step in pipeline.to_spec()["image"]]
    if problems:
        raise SpecError("; ".join(problems))
    if pipeline.options.output == "torch":
        nodes.append({"__class_fullname__": "ToTensorV2", "p": 1.0, "transpose_mask": False})
    version = {"__version__": "2.0.8"}
    return {**version, "transform": {"__class_fullname__": "Compose", "p": 1.0, "transforms": nodes}}


_CONTAINERS = {"sequential": "Sequential", "one_of": "OneOf", "some_of": "SomeOf", "random_order": "RandomOrder"}


def _node(step, problems):
    ((name, arguments),) = step.items()
    arguments = {key: value for key, value in arguments.items() if key not in ("test", "uid")}
    if name.startswith(_PREFIX):
        return {"__class_fullname__": name.removeprefix(_PREFIX), **_plain(arguments)}
    if name not in _CONTAINERS:
        problems.append(f"{name} is no step of albumentations")
        return {}
    children = [_node(child, problems) for child in arguments["steps"]]
    node = {"__class_fullname__": _CONTAINERS[name], "p": arguments["p"], "transforms": children}
    if name == "one_of":
        if any(child.get("p") != 1.0 for child in children):
            problems.append("one_of: its steps must have p 1, as albumentations takes their p for weights")
        for child, weight in zip(children, arguments["weights"] or [1.0] * len(children), strict=True):
            child["p"] = weight
    if name == "some_of":
        low, high = arguments["count"]
        if low != high:
            problems.append("some_of: albumentations takes one count")
        node |= {"n": high, "replace": False}
    if name == "random_order":
        node |= {"n": len(children), "replace": False}
    return node


def _plain(value):
    """Mappings again where the step's fields hold tuples of pairs."""
    from augreg_albumentations.engine import MAPPING

    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        if value[:1] == [MAPPING]:
            return {key: _plain(item) for key, item in value[1:]}
        return [_plain(item) for item in value]
    return value
