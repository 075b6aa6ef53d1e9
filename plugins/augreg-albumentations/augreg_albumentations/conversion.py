"""Convert pipelines of albumentations to specs, and back, as the dictionaries of `A.to_dict` and `A.from_dict`.

Every transform becomes the step `albumentations/Name`, so its effect is the same, with the random numbers of augreg.
The alternative is `augreg.from_albumentations`, which translates to augreg's own steps where possible.
"""

from collections.abc import Mapping
from importlib import metadata

import augreg
from augreg import SpecError
from augreg.importers.albumentations import OTHER_CENTERS
from augreg_albumentations.catalog import catalog

__all__ = ["from_dict", "to_dict"]

_PREFIX = "albumentations/"


def from_dict(data):
    """Convert the dictionary of `A.to_dict` to a spec. Raises SpecError that lists everything that has no equivalent.

    `Compose` and `Sequential` become `sequential`; `OneOf` and `OneOrOther` become `one_of` with the p of the
    children as weights; `SomeOf` becomes `some_of`, `RandomOrder` `random_order`, and a `ToTensorV2` at the end the
    option `output: torch`. Box and keypoint parameters become `targets`.
    """
    root = data.get("transform", data) if isinstance(data, Mapping) else data
    problems = []
    name, values, children = _parts(root)
    if name != "Compose":
        return {"image": _checked([_step(root, problems)], problems)}
    options = _options(values, problems)
    if children and _parts(children[-1])[0] == "ToTensorV2":
        options["output"] = "torch"
        if _parts(children[-1])[1].get("transpose_mask"):
            problems.append("ToTensorV2: transpose_mask has no equivalent; the layout of masks does not change")
        children = children[:-1]
    image = [_step(child, problems) for child in children]
    if values.get("p", 1.0) != 1.0:
        image = [{"sequential": {"steps": image, "p": values["p"]}}]
    return {**options, "image": _checked(image, problems)}


def _checked(image, problems):
    if problems:
        raise SpecError("; ".join(problems))
    return image


def _parts(node):
    """The class name of a node, its arguments, and its children."""
    if not isinstance(node, Mapping) or "__class_fullname__" not in node:
        raise SpecError(f"expected the output of A.to_dict, with `__class_fullname__`, got {node!r}")
    values = {key: value for key, value in node.items() if key not in ("__class_fullname__", "transforms")}
    name = str(node["__class_fullname__"]).rpartition(".")[2]
    if name in _WITH_CHILDREN and not isinstance(node.get("transforms"), list | tuple):
        raise SpecError(f"{name}: expected a list of `transforms`, got {node.get('transforms')!r}")
    return name, values, node.get("transforms", ())


_WITH_CHILDREN = ("Compose", "Sequential", "OneOf", "OneOrOther", "SomeOf", "RandomOrder")


def _options(values, problems):
    """The options for the boxes and keypoints of a Compose, from augreg's own importer; adds to `problems`."""
    parameters = {key: value for key, value in values.items() if key not in ("p", "additional_targets")}
    spec, report = augreg.from_albumentations({"__class_fullname__": "Compose", "transforms": [], **parameters})
    problems += [line.removeprefix("transform ") for line in report if OTHER_CENTERS not in line]
    for key, kind in (values.get("additional_targets") or {}).items():
        if kind not in ("image", "mask") or not str(key).startswith(kind):
            problems.append(
                f"additional_targets: {key!r} as {kind!r} is not kept: in augreg the keys of more images and "
                "masks begin with image or mask, and each other target exists only once"
            )
    return {key: value for key, value in spec.items() if key != "image"}


def _step(node, problems):
    name, values, children = _parts(node)
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
        only_last = "ToTensorV2 is allowed only at the end of the outermost Compose, for `output: torch`"
        problems.append(only_last if name == "ToTensorV2" else f"{name} has no step here")
    return {"sequential": []}


def _some_of(name, values, steps, problems):
    p, count = values.get("p", 1.0), values.get("n", 1)
    if values.get("replace"):
        problems.append(f"{name}: replace=True may apply a step twice, which augreg cannot; use replace=False")
    if name == "SomeOf":
        return {"some_of": {"steps": steps, "count": count, "p": p}}
    if count != len(steps):
        problems.append(f"RandomOrder: n={count} of {len(steps)} steps, but random_order applies all of them")
    return {"random_order": {"steps": steps, "p": p}}


def _one_of(name, values, children, problems):
    """The step of a OneOf or OneOrOther: a chosen child is always applied, and the p of the children are weights."""
    weights = [_parts(child)[1].get("p", 0.5) for child in children]
    steps = [_step({**child, "p": 1.0}, problems) for child in children]
    p = values.get("p", 0.5)
    if name == "OneOrOther":
        return {"one_of": {"steps": steps, "weights": [p, 1.0 - p]}}
    return {"one_of": {"steps": steps, "weights": weights, "p": p}}


def to_dict(spec):
    """Convert a spec, all of whose steps come from albumentations, to the dictionary for `A.from_dict`.

    Raises SpecError that lists the steps without an equivalent. Of the options, only `output: torch` is converted:
    seeds, targets and test-time rules exist only in augreg.
    """
    pipeline = augreg.Pipeline.from_spec(spec)
    problems = []
    nodes = [_node(step, problems) for step in pipeline.to_spec()["image"]]
    if problems:
        raise SpecError("; ".join(problems))
    if pipeline.options.output == "torch":
        nodes.append({"__class_fullname__": "ToTensorV2", "p": 1.0, "transpose_mask": False})
    compose = {"__class_fullname__": "Compose", "p": 1.0, "transforms": nodes}
    return {"__version__": metadata.version("albumentations"), "transform": compose}


_CONTAINERS = {"sequential": "Sequential", "one_of": "OneOf", "some_of": "SomeOf", "random_order": "RandomOrder"}


def _node(step, problems):
    ((name, arguments),) = step.items()
    arguments = {key: value for key, value in arguments.items() if key not in ("test", "uid")}
    if name.startswith(_PREFIX):
        return {"__class_fullname__": name.removeprefix(_PREFIX), **_plain(arguments)}
    if name not in _CONTAINERS:
        problems.append(f"{name} is not a step of albumentations")
        return {}
    children = [_node(child, problems) for child in arguments["steps"]]
    node = {"__class_fullname__": _CONTAINERS[name], "p": arguments["p"], "transforms": children}
    if name == "one_of":
        if any(child.get("p") != 1.0 for child in children):
            problems.append("one_of: its steps must have p 1, because albumentations uses their p as weights")
        for child, weight in zip(children, arguments["weights"] or [1.0] * len(children), strict=True):
            child["p"] = weight
    if name == "some_of":
        low, high = arguments["count"]
        if low != high:
            problems.append("some_of: albumentations supports only a single count")
        node |= {"n": high, "replace": False}
    if name == "random_order":
        node |= {"n": len(children), "replace": False}
    return node


def _plain(value):
    """Convert frozen mappings in the arguments of a step back to dictionaries."""
    from augreg_albumentations.engine import MAPPING

    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        if value[:1] == [MAPPING]:
            return {key: _plain(item) for key, item in value[1:]}
        return [_plain(item) for item in value]
    return value
