"""What an attachment does to a model, each with its undoing.

A regularizer's `attach` only records actions; they are done when every rule has been accepted, and undone in reverse
order by `detach`. All of them keep what they need to be undone, so that a copy of the model, with its copy of the
actions, can be detached by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from torch import nn

from augreg.attachment.hooks import After, Before, be_called
from augreg.attachment.residual import Outline
from augreg.attachment.skipping import SkippingForward

__all__ = ["Action", "Become", "Claim", "Hook", "Replace", "Set", "Skip", "Write", "claims", "listed", "places_of"]

CLAIMS = "_augreg_claims"
"""The attribute under which a module keeps the names of the rules attached to it."""
_HANGING = tuple(name for name in vars(nn.Module()) if "hook" in name)
"""The attributes under which a module keeps its hooks."""


class Action(Protocol):
    """Something done to a model that can be undone. `by` is the means, as the report calls it."""

    by: str

    def do(self) -> None:
        """Do it."""

    def undo(self) -> None:
        """Restore what was there before."""

    def numbers(self) -> str:
        """The numbers that hold now, for the report."""


def _words(layer: Any) -> str:
    words = getattr(layer, "extra_repr", None)
    return str(words()) if callable(words) else type(layer).__name__


class Hook:
    """A layer behind or before a module."""

    def __init__(self, module: nn.Module, hook: After | Before, by: str = "hook") -> None:
        self.module, self.hook, self.by = module, hook, by

    def do(self) -> None:
        """Register the hook."""
        self.hook.register(self.module)

    def undo(self) -> None:
        """Remove it."""
        self.hook.handle.remove()

    def numbers(self) -> str:
        """The layer's."""
        return _words(self.hook.layer)


class Become:
    """Another class, and attributes of its own, for a module.

    Where evaluation changes too, the module has a hook that does nothing: torch's fast path for transformers reads
    the weights without calling the modules, unless one has hooks.
    """

    by = "class"

    def __init__(self, module: nn.Module, cls: type[nn.Module], attributes: dict[str, Any], identity: bool) -> None:
        self.module, self.cls, self.attributes, self.identity = module, cls, attributes, identity
        self.was: Any = None
        self.handle: Any = None

    def do(self) -> None:
        """Change the class."""
        own = vars(self.module)
        self.was = type(self.module), {name: own[name] for name in self.attributes if name in own}
        self.module.__class__ = self.cls
        own.update(self.attributes)
        if not self.identity:
            self.handle = self.module.register_forward_pre_hook(be_called)

    def undo(self) -> None:
        """Give the old class and attributes back."""
        if self.handle is not None:
            self.handle.remove()
        cls, attributes = self.was
        for name in self.attributes:
            vars(self.module).pop(name, None)
        vars(self.module).update(attributes)
        self.module.__class__ = cls

    def numbers(self) -> str:
        """The attributes that are numbers or words."""
        now = {name: getattr(self.module, name) for name in self.attributes}
        return listed({name: value for name, value in now.items() if isinstance(value, int | float | str)})


class Set:
    """Another value for an attribute."""

    by = "set"

    def __init__(self, owner: Any, name: str, value: Any) -> None:
        self.owner, self.name, self.value = owner, name, value
        self.was: Any = None
        self.had = False

    def do(self) -> None:
        """Set it."""
        places = [getattr(self.owner, place, {}) for place in ("__dict__", "_modules", "_buffers", "_parameters")]
        self.had = any(self.name in place for place in places)
        self.was = getattr(self.owner, self.name) if self.had else None
        setattr(self.owner, self.name, self.value)

    def undo(self) -> None:
        """Set it back, or delete it if there was none."""
        if self.had:
            setattr(self.owner, self.name, self.was)
        else:
            delattr(self.owner, self.name)

    def numbers(self) -> str:
        """The value that holds now."""
        return listed({self.name: getattr(self.owner, self.name, self.value)})


class Skip:
    """A forward of a residual block that sends its branch through a layer, which may not compute a dropped one."""

    def __init__(self, block: nn.Module, outline: Outline, layer: Any, identity: bool, by: str) -> None:
        self.block, self.forward, self.by = block, SkippingForward(block, outline, layer, identity), by

    def do(self) -> None:
        """Put the forward into the block's own dictionary, where it is found before the class's."""
        vars(self.block)["forward"] = self.forward

    def undo(self) -> None:
        """Leave the class's forward; where somebody has wrapped ours since, it becomes that."""
        self.forward.layer = None
        if vars(self.block).get("forward") is self.forward:
            del vars(self.block)["forward"]

    def numbers(self) -> str:
        """The layer's."""
        return _words(self.forward.layer)


class Replace:
    """Another module in all the places where one stands, with its hooks and what is attached to it.

    `copied` are attributes whose values the new one takes over. A hook that does nothing makes torch's fast path for
    transformers call it.
    """

    by = "replaced"

    def __init__(
        self,
        places: Sequence[tuple[nn.Module, str]],
        old: nn.Module,
        new: nn.Module,
        copied: Sequence[str] = (),
    ) -> None:
        self.places, self.old, self.new, self.copied = list(places), old, new, tuple(copied)
        self.handle: Any = None

    def do(self) -> None:
        """Put the new module there, in the old one's training state."""
        for name in self.copied:
            setattr(self.new, name, getattr(self.old, name))
        self._put(self.new, self.old)
        self.handle = self.new.register_forward_pre_hook(be_called)

    def undo(self) -> None:
        """Put the old one back, in the new one's training state."""
        self.handle.remove()
        self._put(self.old, self.new)

    def _put(self, module: nn.Module, instead_of: nn.Module) -> None:
        module.train(instead_of.training)
        here, there = vars(module), vars(instead_of)
        for name in _HANGING:
            here[name], there[name] = there[name], here[name]
        if CLAIMS in there:
            here[CLAIMS] = there.pop(CLAIMS)
            here[CLAIMS].owner = module
        for parent, name in self.places:
            setattr(parent, name, module)

    def numbers(self) -> str:
        """The new module's name and words."""
        return f"{type(self.new).__name__}({_words(self.new)})"


class Write:
    """Something done to a module once, such as writing its weights, that is not undone."""

    by = "written"

    def __init__(self, module: nn.Module, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self.module, self.function, self.arguments = module, function, arguments

    def do(self) -> None:
        """Call the function."""
        self.function(self.module, *self.arguments)

    def undo(self) -> None:
        """Nothing: the weights stay as they are."""

    def numbers(self) -> str:
        """None."""
        return ""


class Claims:
    """The names of the rules attached to an object, kept with it, so that copies and loaded models know them too.

    `parts` is what was attached here, for a copy of a part of a model, which has nothing else to be detached by.
    """

    def __init__(self, owner: Any) -> None:
        self.owner = owner
        self.names: list[str] = []
        self.parts: list[Any] = []


class Claim:
    """A rule's name among the claims of an object; they go along if another module takes the object's place."""

    by = ""

    def __init__(self, owner: Any, name: str) -> None:
        self.owner, self.name = owner, name
        self.among: Any = None

    def do(self) -> None:
        """Add the name."""
        self.among = vars(self.owner).setdefault(CLAIMS, Claims(self.owner))
        self.among.names.append(self.name)

    def undo(self) -> None:
        """Remove it, and the attribute with the last one."""
        self.among.names.remove(self.name)
        if not self.among.names:
            vars(self.among.owner).pop(CLAIMS, None)

    def numbers(self) -> str:
        """None."""
        return ""


def claims(owner: Any) -> tuple[str, ...]:
    """What is attached to an object of a model."""
    found = getattr(owner, "__dict__", {}).get(CLAIMS)
    return () if found is None else tuple(found.names)


def places_of(model: nn.Module, module: nn.Module) -> list[tuple[nn.Module, str]]:
    """The parents in a model that a module stands in, with its name there."""
    return [
        (parent, name)
        for parent in model.modules()
        for name, child in parent._modules.items()  # named_children gives a module once, whatever its names
        if child is module
    ]


def listed(values: dict[str, Any]) -> str:
    """Names and values as the report shows them."""
    return ", ".join(f"{name}={_shown(value)}" for name, value in values.items())


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return type(value).__name__ if isinstance(value, nn.Module) else str(value)
