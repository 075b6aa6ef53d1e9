"""The changes that an attachment makes to a model, each with its inverse.

The `attach` of a regularizer only records actions. They are executed when every rule has been accepted, and undone in
reverse order by `detach`. Each action keeps what it needs for its undo, so a copy of the model, with its copy of the
actions, can be detached independently.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from torch import nn

from augreg.attachment.counting import RunCounter
from augreg.attachment.hooks import CallHook, InputHook, OutputHook, force_call
from augreg.attachment.residual import ResidualParts
from augreg.attachment.skipping import SkippingForward
from augreg.attachment.skipping_graph import BlockGraphs, SkippingGraph

__all__ = [
    "Action",
    "AddHook",
    "ChangeClass",
    "ReplaceForward",
    "ReplaceModule",
    "Reserve",
    "RunOnce",
    "SetAttribute",
    "format_values",
    "locations",
    "reservations",
]

RESERVATIONS = "_augreg_reservations"
"""The attribute of a module that holds its `Reservations`."""
_HOOK_ATTRIBUTES = tuple(name for name in vars(nn.Module()) if "hook" in name)
"""The attributes of a module that hold its hooks."""


class Action(Protocol):
    """A change to a model that can be undone. `by` is how the report calls it; without `runs` nothing is counted."""

    by: str
    runs: RunCounter | None

    def do(self) -> None:
        """Make the change."""

    def undo(self) -> None:
        """Restore the previous state."""

    def numbers(self) -> str:
        """The current numbers, for the report."""


def _describe(layer: Any) -> str:
    extra_repr = getattr(layer, "extra_repr", None)
    return str(extra_repr()) if callable(extra_repr) else type(layer).__name__


class AddHook:
    """Add a hook that passes a module's output or input through a layer."""

    def __init__(self, module: nn.Module, hook: OutputHook | InputHook, by: str = "hook") -> None:
        self.module, self.hook, self.by = module, hook, by
        self.runs: RunCounter | None = hook.runs

    def do(self) -> None:
        """Register the hook."""
        self.hook.register(self.module)

    def undo(self) -> None:
        """Remove the hook."""
        self.hook.remove()

    def numbers(self) -> str:
        """Those of the layer."""
        return _describe(self.hook.layer)


class ChangeClass:
    """Change the class of a module to a subclass, and set attributes.

    Torch's fast path for transformers reads the weights without calling the modules, unless one of them has hooks. So
    if the rule changes evaluation too, the module gets a hook that does nothing.

    A class with an attribute `run_counter` gets a `RunCounter` there, and counts its training calls itself: a hook
    would miss direct calls of `forward`, which the class does not.
    """

    by = "class"

    def __init__(self, module: nn.Module, cls: type[nn.Module], attributes: dict[str, Any], identity: bool) -> None:
        self.module, self.cls, self.identity = module, cls, identity
        self.runs = RunCounter() if hasattr(cls, "run_counter") else None
        self.attributes = attributes if self.runs is None else {**attributes, "run_counter": self.runs}
        self.previous: Any = None
        self.handle: Any = None

    def do(self) -> None:
        """Change the class, and set the attributes on the instance."""
        values = vars(self.module)
        self.previous = type(self.module), {name: values[name] for name in self.attributes if name in values}
        self.module.__class__ = self.cls
        values.update(self.attributes)
        if not self.identity:
            self.handle = self.module.register_forward_pre_hook(force_call)

    def undo(self) -> None:
        """Restore the class and the attributes."""
        if self.handle is not None:
            self.handle.remove()
        cls, attributes = self.previous
        for name in self.attributes:
            vars(self.module).pop(name, None)
        vars(self.module).update(attributes)
        self.module.__class__ = _rebased(type(self.module), self.cls, cls)

    def numbers(self) -> str:
        """The attributes that are numbers or strings."""
        values = {name: getattr(self.module, name) for name in self.attributes}
        return format_values({name: value for name, value in values.items() if isinstance(value, int | float | str)})


def _rebased(cls: Any, old: Any, new: Any) -> Any:
    """A class that derives from `new` where `cls` derives from `old`.

    Parametrizations and FSDP derive a class of their own from that of a module, and it has to stay.
    """
    if cls is old or old not in cls.__mro__:
        return new if cls is old else cls
    namespace = {name: value for name, value in vars(cls).items() if name not in ("__dict__", "__weakref__")}
    bases = tuple(_rebased(base, old, new) for base in cls.__bases__)
    return type(cls)(cls.__name__.replace(old.__name__, new.__name__), bases, namespace)


class SetAttribute:
    """Set an attribute of an object."""

    by = "set"
    runs: RunCounter | None = None

    def __init__(self, owner: Any, name: str, value: Any) -> None:
        self.owner, self.name, self.value = owner, name, value
        self.previous: Any = None
        self.existed = False

    def do(self) -> None:
        """Set the value."""
        stores = [getattr(self.owner, store, {}) for store in ("__dict__", "_modules", "_buffers", "_parameters")]
        self.existed = any(self.name in store for store in stores)
        self.previous = getattr(self.owner, self.name) if self.existed else None
        setattr(self.owner, self.name, self.value)

    def undo(self) -> None:
        """Restore the value, or delete the attribute if the object did not have it."""
        if self.existed:
            setattr(self.owner, self.name, self.previous)
        else:
            delattr(self.owner, self.name)

    def numbers(self) -> str:
        """The current value."""
        return format_values({self.name: getattr(self.owner, self.name, self.value)})


class ReplaceForward:
    """Replace the forward of a residual block by one that passes its branch through a layer, and may skip it."""

    def __init__(
        self, block: nn.Module, parts: ResidualParts | BlockGraphs, layer: Any, identity: bool, by: str
    ) -> None:
        cls = SkippingGraph if isinstance(parts, BlockGraphs) else SkippingForward
        self.block, self.forward, self.by = block, cls(block, parts, layer, identity), by
        self.runs: RunCounter | None = self.forward.runs

    def do(self) -> None:
        """Set the forward on the instance, which takes precedence over the class."""
        vars(self.block)["forward"] = self.forward

    def undo(self) -> None:
        """Remove it. If other code has wrapped it since, it stays and calls the forward of the class."""
        self.forward.layer = None
        if vars(self.block).get("forward") is self.forward:
            del vars(self.block)["forward"]

    def numbers(self) -> str:
        """Those of the layer."""
        return _describe(self.forward.layer)


class ReplaceModule:
    """Replace a module by another one at all its locations in the model. Its hooks and reservations move along.

    `copied` names attributes whose values the new module takes over from the old one. The new module gets a hook that
    counts its calls, so that torch's fast path for transformers calls it.
    """

    by = "replaced"

    def __init__(
        self,
        locations: Sequence[tuple[nn.Module, str]],
        old: nn.Module,
        new: nn.Module,
        copied: Sequence[str] = (),
    ) -> None:
        self.locations, self.old, self.new, self.copied = list(locations), old, new, tuple(copied)
        self.hook = CallHook()
        self.runs: RunCounter | None = self.hook.runs
        self.handle: Any = None

    def do(self) -> None:
        """Install the new module, with the training flag of the old one."""
        for name in self.copied:
            setattr(self.new, name, getattr(self.old, name))
        self._install(self.new, self.old)
        self.handle = self.new.register_forward_pre_hook(self.hook)

    def undo(self) -> None:
        """Install the old module again, with the training flag of the new one."""
        self.handle.remove()
        self._install(self.old, self.new)

    def _install(self, module: nn.Module, removed: nn.Module) -> None:
        module.train(removed.training)
        values, removed_values = vars(module), vars(removed)
        for name in _HOOK_ATTRIBUTES:
            values[name], removed_values[name] = removed_values[name], values[name]
        if RESERVATIONS in removed_values:
            values[RESERVATIONS] = removed_values.pop(RESERVATIONS)
            values[RESERVATIONS].owner = module
        for parent, name in self.locations:
            setattr(parent, name, module)

    def numbers(self) -> str:
        """The class and the `extra_repr` of the new module."""
        return f"{type(self.new).__name__}({_describe(self.new)})"


class RunOnce:
    """Call a function on a module, for example to write its weights. It is not undone."""

    by = "written"
    runs: RunCounter | None = None

    def __init__(self, module: nn.Module, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self.module, self.function, self.arguments = module, function, arguments

    def do(self) -> None:
        """Call the function."""
        self.function(self.module, *self.arguments)

    def undo(self) -> None:
        """Do nothing: the weights stay as they are."""

    def numbers(self) -> str:
        """None."""
        return ""


class Reservations:
    """What rules have reserved of an object. It is stored on the object, so copies and unpickled models keep it.

    `records` are the site records of what was attached to the object. A copy of only a part of a model is detached
    by them, as it has no copy of the attachment.
    """

    def __init__(self, owner: Any) -> None:
        self.owner = owner
        self.names: list[str] = []
        self.records: list[Any] = []


class Reserve:
    """Add a name to the reservations of an object. If the object is replaced, they move to the new one."""

    by = ""
    runs: RunCounter | None = None

    def __init__(self, owner: Any, name: str) -> None:
        self.owner, self.name = owner, name
        self.reservations: Any = None

    def do(self) -> None:
        """Add the name."""
        self.reservations = vars(self.owner).setdefault(RESERVATIONS, Reservations(self.owner))
        self.reservations.names.append(self.name)

    def undo(self) -> None:
        """Remove the name, and with the last one the attribute."""
        self.reservations.names.remove(self.name)
        if not self.reservations.names:
            vars(self.reservations.owner).pop(RESERVATIONS, None)

    def numbers(self) -> str:
        """None."""
        return ""


def reservations(owner: Any) -> tuple[str, ...]:
    """The names that are reserved on an object."""
    existing = getattr(owner, "__dict__", {}).get(RESERVATIONS)
    return () if existing is None else tuple(existing.names)


def locations(model: nn.Module, module: nn.Module) -> list[tuple[nn.Module, str]]:
    """Every parent of a module in a model, with the module's name there."""
    return [
        (parent, name)
        for parent in model.modules()
        for name, child in parent._modules.items()  # named_children gives a module once, even if it has two names
        if child is module
    ]


def format_values(values: dict[str, Any]) -> str:
    """Names and values as the report shows them."""
    return ", ".join(f"{name}={_format(value)}" for name, value in values.items())


def _format(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return type(value).__name__ if isinstance(value, nn.Module) else str(value)
