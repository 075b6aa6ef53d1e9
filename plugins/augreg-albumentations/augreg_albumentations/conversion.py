"""Pipelines of albumentations as specs, and back: the dictionaries that `A.to_dict` makes and `A.from_dict` reads.

Every transform becomes the step of its own name, `albumentations/Name`, so that it does what it did, with the random
numbers of augreg. `augreg.from_albumentations` is the other way: it translates to augreg's own steps where it can.
"""

from collections.abc import Mapping
from importlib import metadata

import augreg
from augreg import SpecError
from augreg_albumentations.catalog import catalog

__all__ = ["from_dict", "to_dict"]

_PREFIX = "albumentations/"


def from_dict(data):
    """The spec of a pipeline that `A.to_dict` wrote. Raises SpecError with everything that cannot be said in one.

    `Compose` and `Sequential` become `sequential`, `OneOf` and `OneOrOther` `one_of` with the children's p as
    weights, `SomeOf` `some_of`, `RandomOrder` `random_order`, a `ToTensorV2` at the end the option `output: torch`;
    box and keypoint parameters become `targets`.
    """
    root = data.get("transform", data) if isinstance(data, Mapping) else data
    problems = []
    name, values, children = _opened(root)
    if name != "Compose":
        return {"image": _told([_step(root, problems)], problems)}
    options = _options(values, problems)
    if children and _opened(children[-1])[0] == "ToTensorV2":
        options["output"] = "torch"
        if _opened(children[-1])[1].get("transpose_mask"):
            problems.append("ToTensorV2: transpose_mask has no counterpart; masks stay as they come")
        children = children[:-1]
    image = [_step(child, problems) for child in children]
    if values.get("p", 1.0) != 1.0:
        image = [{"sequential": {"steps": image, "p": values["p"]}}]
    return {**options, "image": _told(image, problems)}


def _told(image, problems):
    if problems:
        raise SpecError("; ".join(problems))
    return image


def _opened(node):
    """The class's name, its arguments, and the transforms that it holds."""
    if not isinstance(node, Mapping) or "__class_fullname__" not in node:
        raise SpecError(f"expected what A.to_dict makes, with `__class_fullname__` in it, got {node!r}")
    values = {key: value for key, value in node.items() if key not in ("__class_fullname__", "transforms")}
    name = str(node["__class_fullname__"]).rpartition(".")[2]
    if name in _HOLDING and not isinstance(node.get("transforms"), list | tuple):
        raise SpecError(f"{name}: expected a list of `transforms`, got {node.get('transforms')!r}")
    return name, values, node.get("transforms", ())


_HOLDING = ("Compose", "Sequential", "OneOf", "OneOrOther", "SomeOf", "RandomOrder")


def _options(values, problems):
    """What a Compose says about boxes and keypoints, by augreg's own importer; what it cannot say is a problem."""
    said = {key: value for key, value in values.items() if key not in ("p", "additional_targets")}
    spec, report = augreg.from_albumentations({"__class_fullname__": "Compose", "transforms": [], **said})
    problems += [line.removeprefix("transform ") for line in report]
    for key, kind in (values.get("additional_targets") or {}).items():
        if kind not in ("image", "mask") or not str(key).startswith(kind):
            problems.append(
                f"additional_targets: {key!r} as {kind!r} is not kept: here further images and masks have keys "
                "that begin with image or mask, and other targets are there once"
            )
    return {key: value for key, value in spec.items() if key != "image"}


def _step(node, problems):
    name, values, children = _opened(node)
    if name in catalog():
        known = {*catalog()[name]["fields"], *catalog()[name]["needs"], "p"}
        return {_PREFIX + name: {key: value for key, value in values.items() if key in known}}
    if name in ("OneOf", "OneOrOther"):
        return _one_of(name, values, children, problems)
    steps = [_step(child, problems) for child in children]
    if name in ("Compose", "Sequential"):
        return {"sequential": {"steps": steps, "p": values.get("p", 1.0 if name == "Compose" else 0.5)}}
    if name in ("SomeOf", "RandomOrder"):
        return _some_of(name, values, steps, problems)
    if name != "NoOp":
        only_last = "ToTensorV2 can only stand at the end of the outermost Compose, for `output: torch`"
        problems.append(only_last if name == "ToTensorV2" else f"{name} has no step here")
    return {"sequential": []}


def _some_of(name, values, steps, problems):
    p, count = values.get("p", 1.0), values.get("n", 1)
    if values.get("replace"):
        problems.append(f"{name}: replace=True may do a step twice, and a step here is done once; use replace=False")
    if name == "SomeOf":
        return {"some_of": {"steps": steps, "count": count, "p": p}}
    if count != len(steps):
        problems.append(f"RandomOrder: n={count} of {len(steps)} steps, and random_order does all of them")
    return {"random_order": {"steps": steps, "p": p}}


def _one_of(name, values, children, problems):
    """Its children are surely done once they are chosen; their own p are the weights."""
    chances = [_opened(child)[1].get("p", 0.5) for child in children]
    steps = [_step({**child, "p": 1.0}, problems) for child in children]
    p = values.get("p", 0.5)
    if name == "OneOrOther":
        return {"one_of": {"steps": steps, "weights": [p, 1.0 - p]}}
    return {"one_of": {"steps": steps, "weights": chances, "p": p}}


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
    whole = {"__class_fullname__": "Compose", "p": 1.0, "transforms": nodes}
    return {"__version__": metadata.version("albumentations"), "transform": whole}


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
