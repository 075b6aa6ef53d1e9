"""What an attachment does to a model, each with its undoing.

A regularizer's `attach` only records actions; they are done when every rule has been accepted, and undone in reverse
order by `detach`. All of them keep what they need to be undone, so that a copy of the model, with its copy of the
actions, can be detached by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from torch import nn

from augreg.nn.hooks import After, Before
from augreg.nn.residual import Outline
from augreg.nn.skipping import SkippingForward

__all__ = ["Action", "Become", "Claim", "Hook", "Replace", "Set", "Skip", "Touch", "claims", "listed"]

CLAIMS = "_augreg_claims"
"""The attribute under which a module keeps the names of the rules attached to it."""


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
    """Another class, and attributes of its own, for a module."""

    by = "class"

    def __init__(self, module: nn.Module, cls: type[nn.Module], attributes: dict[str, Any]) -> None:
        self.module, self.cls, self.attributes = module, cls, attributes
        self.was: Any = None

    def do(self) -> None:
        """Change the class."""
        own = vars(self.module)
        self.was = type(self.module), {name: own[name] for name in self.attributes if name in own}
        self.module.__class__ = self.cls
        own.update(self.attributes)

    def undo(self) -> None:
        """Give the old class and attributes back."""
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
        """Leave the class's forward."""
        vars(self.block).pop("forward", None)

    def numbers(self) -> str:
        """The layer's."""
        return _words(self.forward.layer)


class Replace:
    """Another module in all the places where one stands."""

    by = "replaced"

    def __init__(self, places: Sequence[tuple[nn.Module, str]], old: nn.Module, new: nn.Module) -> None:
        self.places, self.old, self.new = list(places), old, new

    def do(self) -> None:
        """Put the new module there, in the old one's training state."""
        self.new.train(self.old.training)
        self._put(self.new)

    def undo(self) -> None:
        """Put the old one back, in the new one's training state."""
        self.old.train(self.new.training)
        self._put(self.old)

    def _put(self, module: nn.Module) -> None:
        for parent, name in self.places:
            setattr(parent, name, module)

    def numbers(self) -> str:
        """The new module's words."""
        return _words(self.new)


class Touch:
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


class Claim:
    """The names of the rules attached to a module, kept with it, so that copies and loaded models know them too."""

    by = ""

    def __init__(self, owner: Any, name: str) -> None:
        self.owner, self.name = owner, name

    def do(self) -> None:
        """Add the name."""
        vars(self.owner)[CLAIMS] = (*claims(self.owner), self.name)

    def undo(self) -> None:
        """Remove it, and the attribute with the last one."""
        left = tuple(name for name in claims(self.owner) if name != self.name)
        if left:
            vars(self.owner)[CLAIMS] = left
        else:
            vars(self.owner).pop(CLAIMS, None)

    def numbers(self) -> str:
        """None."""
        return ""


def claims(owner: Any) -> tuple[str, ...]:
    """What is attached to an object of a model."""
    return tuple(getattr(owner, "__dict__", {}).get(CLAIMS, ()))


def listed(values: dict[str, Any]) -> str:
    """Names and values as the report shows them."""
    return ", ".join(f"{name}={_shown(value)}" for name, value in values.items())


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return type(value).__name__ if isinstance(value, nn.Module) else str(value)
