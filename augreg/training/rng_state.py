"""What the random numbers of a training run depend on, as a state to save: torch's generators, and counted calls.

rng = RngState(model)
torch.save({"model": model.state_dict(), "rng": rng.state_dict()}, path)
rng.load_state_dict(torch.load(path)["rng"])   # in a resumed run, before the first pass begins
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import torch
from torch import nn

from augreg.attachment.attach import attachments
from augreg.loss.penalties import unwrapped
from augreg.nn.masks import SeededSource, rank_and_count

__all__ = ["RngState", "counted_calls", "hashed_seed", "of_ranks", "seeded_sources", "set_counted_calls"]

_T = TypeVar("_T")


class RngState:
    """The random state of a training process, which a resumed run needs for the masks of an uninterrupted one.

    It has the states of torch's generators on the CPU and on the devices of the model, and the calls of every layer
    and attached regularizer with a `seed`. Images are not part of it: they are functions of their keys. Attach
    regularizers before loading a state.

    Beginning a pass of a DataLoader draws a number from torch's generator, too. If a run is resumed in the middle of
    an epoch, this number would be drawn once more, unless the loader has a generator of its own:
    `DataLoader(.., generator=torch.Generator())`.
    """

    def __init__(self, model: nn.Module) -> None:
        """`model` may be wrapped in DistributedDataParallel, be compiled, or contain other models."""
        if not isinstance(model, nn.Module):
            raise TypeError(f"expected the model, a torch.nn.Module, got {type(model).__name__}")
        self._model = model

    def state_dict(self) -> dict[str, Any]:
        """The state to save. In a distributed run, call it on every rank: it has the generators of all of them."""
        ranks = of_ranks([torch.get_rng_state(), *(get() for get, _ in self._devices())])
        seeded = {name: source.state_dict() for name, source in seeded_sources(self._model).items()}
        return {"generators": ranks, "seeded": seeded}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state.

        Raises ValueError if it is that of a model with other seeded regularizers. With another number of ranks or
        devices a run cannot continue identically; the generators are then set as far as they go.
        """
        _load(self._model, state["seeded"])
        ranks = state["generators"]
        cpu, *others = ranks[rank_and_count()[0] % len(ranks)]
        torch.set_rng_state(cpu.cpu())
        for (_, put), saved in zip(self._devices(), others, strict=False):
            put(saved.cpu())

    def _devices(self) -> list[tuple[Any, Any]]:
        """The functions that get and set the state of the generator of each device of the model, except the CPU."""
        devices = {tensor.device for tensor in self._model.parameters()} - {torch.device("cpu"), torch.device("meta")}
        return [_generator(device) for device in sorted(devices, key=str)]


def seeded_sources(model: nn.Module) -> dict[str, SeededSource]:
    """The counted sources of masks in a model, by the names of their layers or rules, in the order of the model."""
    found: dict[str, SeededSource] = {}
    known: set[int] = set()
    for name, source in _sources(unwrapped(model)):  # names are the same with and without wrappers
        if id(source) not in known:
            known.add(id(source))
            same = sum(other.partition(" #")[0] == name for other in found)
            found[f"{name} #{same + 1}" if same else name] = source
    return found


def counted_calls(model: nn.Module) -> dict[str, int]:
    """How often each counted source was called: a state without tensors."""
    return {name: int(source.calls) for name, source in seeded_sources(model).items()}


def set_counted_calls(model: nn.Module, calls: Mapping[str, int]) -> None:
    """Continue after so many calls. Raises ValueError if the model has other seeded regularizers."""
    _load(model, {name: {"calls": number} for name, number in calls.items()})


def hashed_seed(seed: int, *numbers: int) -> int:
    """A seed for torch's generator that is a function of a seed and these numbers: 64 bits."""
    return int.from_bytes(hashlib.blake2b(repr((seed, *numbers)).encode(), digest_size=8).digest(), "little")


def of_ranks(value: _T) -> list[_T]:
    """The value of each rank. In a distributed run every rank has to call it."""
    _, count = rank_and_count()
    if count == 1:
        return [value]
    values: list[Any] = [None] * count
    torch.distributed.all_gather_object(values, value)
    return values


def _load(model: nn.Module, states: Mapping[str, Mapping[str, Any]]) -> None:
    sources = seeded_sources(model)
    if sources.keys() != states.keys():
        here, there = (", ".join(sorted(names)) or "none" for names in (sources, states))
        raise ValueError(
            f"the checkpoint has the calls of other seeded regularizers than the model: {there}; the model has: "
            f"{here}. Attach the regularizers of the saved run before loading"
        )
    for name, source in sources.items():
        source.load_state_dict(states[name])


def _sources(model: nn.Module) -> Iterator[tuple[str, SeededSource]]:
    """The sources of the modules, then those of what is attached: such layers are no modules of the model."""
    for name, module in model.named_modules():
        yield from _own_sources(name or type(module).__name__, module)
    for attached in attachments(model):
        for step, site in attached._sites:
            for target, _ in site.targets:
                for layer in target.modules() if isinstance(target, nn.Module) else [target]:
                    yield from _own_sources(f"{step.name} at {site.name or type(site.module).__name__}", layer)


def _own_sources(name: str, layer: Any) -> Iterator[tuple[str, SeededSource]]:
    for value in getattr(layer, "__dict__", {}).values():
        if isinstance(value, SeededSource):
            yield name, value


def _generator(device: torch.device) -> tuple[Any, Any]:
    backend = getattr(torch, device.type)
    if device.type == "mps":  # one device, without a number
        return backend.get_rng_state, backend.set_rng_state
    return lambda: backend.get_rng_state(device), lambda state: backend.set_rng_state(state, device)
