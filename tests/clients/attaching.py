"""Attaches every regularizer, activation and init to a real model, checks it, and says what to write in a row."""

from __future__ import annotations

import copy
import io
import pickle
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from zoo import Model, built, first_tensor

from augreg import SpecError, regularize
from augreg.attachment.attach import attachments
from augreg.attachment.report import AttachmentReport

__all__ = ["Row", "checked"]


class Row(NamedTuple):
    """What to write for a rule of a model, and what that does."""

    rule: str
    write: str
    sites: str
    note: str


def rules(model: Model) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each rule by name, with the arguments that one would write first."""
    layers = {"type": ["Linear", "Conv2d"], "not": model.head}
    yield "dropout", {"at": "**"}
    for name in ("gaussian_dropout", "alpha_dropout", "activation_noise"):
        yield name, {"at": layers}
    for name in ("spatial_dropout", "drop_block"):
        yield name, {"at": {"type": "Conv2d"}}
    yield "drop_connect", {"at": layers, "per": "batch"}
    for name in ("stochastic_depth", "shake_drop"):
        yield name, {"at": model.blocks}
    yield "activation", {"to": "mish"}
    yield "init", {"rule": "kaiming", "seed": 0}


def checked(model: Model) -> list[Row]:
    """A row for each rule. Raises AssertionError where a rule does not do what it promises."""
    module = built(model)
    images = torch.randn(4, 3, model.size, model.size)
    plain = _evaluated(module, images)
    state = _state(module)
    rows = []
    for name, arguments in rules(model):
        try:
            attached = regularize(module, [{name: arguments}])
        except SpecError as error:
            assert _state(module) == state, f"{name} was refused and has changed the model"
            rows.append(Row(name, "", "0", _reason(error)))
            continue
        buffers = {key: value.clone() for key, value in module.named_buffers()}
        if name not in ("activation", "init", "shake_drop"):  # what these change in evaluation is their purpose
            assert torch.equal(_evaluated(module, images), plain), f"{name} changes evaluation"
        assert list(module.state_dict()) == state[0], f"{name} changes the keys"
        draws = [_trained(module, images, seed) for seed in (1, 2)]
        if name not in ("activation", "init"):
            assert not torch.equal(draws[0], draws[1]), f"{name} draws nothing"
        report = attached.report()
        assert name == "init" or any(row.runs or row.by == "set" for row in report), f"{name} never ran"
        for twin in (copy.deepcopy(module, _shared(module)), _unpickled(module)):
            assert torch.equal(_trained(twin, images, 1), draws[0]), f"{name}: a copy draws something else"
            attachments(twin)[0].detach()
            assert _state(twin) == state, f"{name} does not leave a copy as it was"
        attached.detach()
        with torch.no_grad():
            for key, value in module.named_buffers():
                value.copy_(buffers[key])
        assert _state(module) == state, f"{name} does not leave the model as it was"
        assert name == "init" or torch.equal(_evaluated(module, images), plain), f"{name} is not undone"
        rows.append(Row(name, _written(arguments), _sites(report), _note(report)))
    return _merged(rows)


def _evaluated(module: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return first_tensor(module.eval()(images))


def _trained(module: nn.Module, images: Tensor, seed: int) -> Tensor:
    torch.manual_seed(seed)
    return first_tensor(module.train()(images)).detach()


def _state(module: nn.Module) -> tuple[Any, ...]:
    """The keys of the state_dict, and the class, attributes and number of hooks of every module."""
    parts = [
        (name, type(part), sorted(vars(part)), len(part._forward_hooks), len(part._forward_pre_hooks))
        for name, part in module.named_modules()
    ]
    rates = [
        (name, getattr(part, "p", None), getattr(part, "drop_prob", None)) for name, part in module.named_modules()
    ]
    return list(module.state_dict()), parts, rates


def _shared(module: nn.Module) -> dict[int, Any]:
    """The parameters by id: a memo with which a deep copy has those of the original."""
    return {id(parameter): parameter for parameter in module.parameters()}


def _unpickled(module: nn.Module) -> nn.Module:
    """The module pickled and read again, without its parameters, which stay."""
    known = _shared(module)

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            return id(value) if id(value) in known else None

    class Unpickler(pickle.Unpickler):
        def persistent_load(self, key: Any) -> Any:
            return known[key]

    file = io.BytesIO()
    Pickler(file).dump(module)
    file.seek(0)
    return Unpickler(file).load()


def _written(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_written(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(_written, value))}]"
    text = str(value)
    return f'"{text}"' if "*" in text else text


def _sites(report: AttachmentReport) -> str:
    attached = sum(row.by != "none" for row in report)
    return str(attached) if attached == len(report) else f"{attached} of {len(report)}"


def _note(report: AttachmentReport) -> str:
    """Why modules were left out, how often; and how many were not called."""
    left = Counter(
        note.strip().replace("left: ", "")
        for row in report
        for note in row.note.split(";")
        if note.strip().startswith("left: ")
    )
    notes = [f"{count} left: {reason}" for reason, count in left.most_common(4)]
    silent = sum(row.runs == 0 and "left: " not in row.note for row in report)
    return "; ".join([*notes, *([f"{silent} not called"] if silent else [])])


def _reason(error: SpecError) -> str:
    return re.sub(r"; nearest[^;]*", "", error.problems[0].message)


def _merged(rows: list[Row]) -> list[Row]:
    """Rows that differ in nothing but the rule, as one."""
    merged: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        merged.setdefault(row[1:], []).append(row.rule)
    return [Row(", ".join(names), *rest) for rest, names in merged.items()]
