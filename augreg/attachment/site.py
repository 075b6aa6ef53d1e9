"""A site: one module of a model, as the `attach` of a regularizer sees it.

    def attach(self, site):
        site.after(SomeLayer(self.p))

Its methods record what is to be done; it is done when every rule has been accepted for every module, and undone by
`detach`. So an `attach` that raises leaves the model as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeAlias

from torch import nn

from augreg.attachment.actions import (
    Action,
    Become,
    Claim,
    Hook,
    Replace,
    Set,
    Skip,
    Write,
    claims,
    listed,
    places_of,
)
from augreg.attachment.hooks import After, Before
from augreg.attachment.residual import Chains, additions, outline_of, takes_more

__all__ = ["Site"]

Class: TypeAlias = type[nn.Module]


@dataclass(eq=False)
class Site:
    """A selected module, and what a regularizer may do to it.

    `index` counts from 0 to `count` - 1 among the modules that the rule selects, in the order of the model. `targets`
    are the layers, modules and other objects that carry the rule's numbers.
    """

    model: nn.Module
    name: str
    module: nn.Module
    index: int
    count: int
    transform: Any
    rule: str
    taken: dict[tuple[int, str], Site]
    type: str
    step: str
    scheduled: bool
    own: bool = False  # the module does already what the rule asks for
    actions: list[Action] = field(default_factory=list)
    targets: list[tuple[Any, bool]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def after(self, layer: Any) -> None:
        """Send the module's output through a layer: a torch module, or a callable for training alone.

        The layer is no submodule; it follows the training flag of this module. It is picklable if it and its class
        are. In evaluation it is called only where the rule is not `identity`.
        """
        if isinstance(self.module, _TUPLES):
            raise ValueError(
                f"what comes out of the {type(self.module).__name__} is a tuple, and a layer takes one tensor; "
                f"take the module that its output goes to"
            )
        self._must_be_called()
        self._record(Hook(self.module, After(layer, self._identity)), layer)

    def before(self, layer: Any) -> None:
        """Send the module's first input through a layer; see `after`."""
        self._must_be_called()
        self._record(Hook(self.module, Before(layer, self._identity)), layer)

    def become(self, cls: Class, **attributes: Any) -> None:
        """Give the module a subclass of its class, and attributes. The class must be importable to be pickled."""
        if not issubclass(cls, type(self.module)):
            raise ValueError(f"{cls.__name__} does not derive from {type(self.module).__name__}")
        self._must_be_called()
        self._take(self.module, "its class")
        self._record(Become(self.module, cls, attributes, self._identity), self.module, attributes)

    def set(self, owner: Any, name: str, value: Any) -> None:
        """Set an attribute of the module, or of another object in the model."""
        self._take(owner, name)
        self.actions.append(Set(owner, name, value))

    def adopt(self, owner: nn.Module, numbers: Mapping[str, float]) -> bool:
        """Set the numbers of a module that does already what the rule asks for: an nn.Dropout, or a drop path.

        False where the numbers have a schedule and the module is foreign: torch.compile would compile it anew for
        each number, so it is switched off instead, and a layer of ours is to be put behind it.
        """
        self._must_have(owner, numbers)
        ours = type(owner).__module__.startswith("augreg.")
        if self.scheduled and not ours:
            for name in numbers:
                self.set(owner, name, 0.0)
            self.note(f"own {' and '.join(numbers)} off: scheduled")
            return False
        for name, value in numbers.items():
            self.set(owner, name, value)
        self.targets.append((owner, True))
        return True

    def replace(self, module: nn.Module) -> None:
        """Put another module in the place of this one, wherever it stands in the model."""
        places = places_of(self.model, self.module)
        if not places:
            raise ValueError("the model itself cannot be replaced; give the module that it stands in")
        self._take(self.module, "its place")
        for owner, what in [key for key in self.taken if key[0] == id(self.module)]:
            self.taken[id(module), what] = self.taken[owner, what]
        self._record(Replace(places, self.module, module), module)

    def touch(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Call `function(module, *arguments)` once, to write weights or the like. It is not undone by `detach`."""
        self.actions.append(Write(self.module, function, arguments))

    def residual(self, layer: Any) -> None:
        """Send the branch of a residual block through a layer with `residual(shortcut, branch, x)`.

        A drop path that the block has of its own is set. Else, if the layer has `skip` and the parts of the block are
        known, a dropped branch is not computed. Else the outputs of the modules are masked that torch.fx finds at the
        ends of the branches. Raises ValueError where there are none.
        """
        if self._adopt_paths(layer):
            return
        skip = bool(getattr(layer, "skip", False))
        why = "the block has a forward of its own" if "forward" in vars(self.module) else ""
        outline = outline_of(self.module) if skip and not why else None
        if isinstance(outline, Chains) and takes_more(self.module):
            outline, why = None, "its forward takes more than one tensor"
        ends = additions(self.module, layer) if outline is None else []
        if outline is None and not ends and not why:  # a block that only its own methods or an adapter explain
            outline = outline_of(self.module)
        if outline is not None:
            self._take(self.module, "forward")
            self._record(Skip(self.module, outline, layer, self._identity, "skip" if skip else "computed"), layer)
            if isinstance(outline, Chains):
                self.note(f"branch: {outline.named()}")
            return
        if not ends:
            raise ValueError(
                f"it is not known which branch of a {type(self.module).__name__} is added to its input"
                f"{f' ({why})' if why else ''}; select "
                f"residual blocks, or give the block a method residual_branch(x), or its class an adapter "
                f"(augreg.attachment.residual.adapter)"
            )
        for end in ends:
            self._record(Hook(self.module.get_submodule(end), After(layer, self._identity), "computed"), layer)
        self.note(f"at {', '.join(ends)}" + (f"; no skip: {why or 'its parts are not known'}" if skip else ""))

    def _adopt_paths(self, layer: Any) -> bool:
        """Set the drop paths that the block has; hook those that were built as an Identity."""
        paths = {name: child for name, child in self.module.named_children() if _is_path(name, child)}
        for name, path in paths.items():
            self.note(f"at {name}")
            numbers = self.takes_over(path)
            if numbers is None and not isinstance(path, nn.Identity):
                raise ValueError(
                    f"the block has a {type(path).__name__} of its own, {name}, that the rule cannot set"
                )
            if numbers is None or not self.adopt(path, numbers):
                self._record(Hook(path, After(layer, self._identity), "computed"), layer)
        if paths and getattr(layer, "skip", False):
            self.note("no skip: the block's own drop path")
        return bool(paths)

    def takes_over(self, module: nn.Module) -> Mapping[str, float] | None:
        """The numbers to set on a module that does already what the rule asks for; None for other modules."""
        asked = getattr(self.transform, "takes_over", None)
        return asked(module, self.numbers()) if asked is not None else None

    def numbers(self) -> Mapping[str, float]:
        """The rule's numbers for this module, by the names that its layer has for them."""
        asked = getattr(self.transform, "numbers", None)
        return asked(self) if asked is not None else {}

    def move(self, transform: Any) -> None:
        """Give what was attached the numbers of the same regularizer in another epoch."""
        self.transform = transform
        numbers = self.numbers()
        for target, foreign in self.targets:
            found = self.takes_over(target) if foreign else numbers
            for name, value in (found or {}).items():
                setattr(target, name, value)

    def shown(self) -> str:
        """The numbers that hold now, as the report shows them."""
        found: dict[str, None] = {}
        for target, foreign in self.targets:
            numbers = (self.takes_over(target) if foreign else self.numbers()) or {}
            found[listed({name: getattr(target, name, value) for name, value in numbers.items()})] = None
        texts = [*found] if any(found) else [action.numbers() for action in self.actions]
        return ", ".join(dict.fromkeys(filter(None, texts)))

    def note(self, text: str) -> None:
        """Say something in the report."""
        self.notes.append(text)

    def hook(self) -> After | Before | None:
        """The hook that was recorded for the module itself."""
        hooks = [a.hook for a in self.actions if isinstance(a, Hook) and a.module is self.module]
        return hooks[0] if hooks else None

    def sibling(self, steps: int) -> tuple[str, nn.Module] | None:
        """The module so many places further in the same nn.Sequential, and its name; None where there is none."""
        parent, _, own = self.name.rpartition(".")
        row = self.model.get_submodule(parent)
        names = [name for name, _ in row.named_children()] if isinstance(row, nn.Sequential) else []
        place = names.index(own) + steps if own in names else -1
        if not 0 <= place < len(names):
            return None
        return ".".join(filter(None, (parent, names[place]))), row.get_submodule(names[place])

    def doubles(self) -> str | None:
        """The name of the next module that does already what was recorded here on the same tensor, if one does."""
        hook = self.hook()
        beside = self.sibling(1 if isinstance(hook, After) else -1) if hook is not None else None
        return beside[0] if beside is not None and _does(self, beside[1]) else None

    def leave(self, text: str) -> None:
        """Record nothing after all, and say why."""
        self.actions, self.targets, self.notes = [], [], [text]
        for key in [key for key, site in self.taken.items() if site is self]:
            del self.taken[key]

    def refuse(self, why: str, *types: Class) -> NoReturn:
        """Raise ValueError: the module cannot take the regularizer; `types` are those that can, if they are few."""
        few = f"; it is for {', '.join(cls.__name__ for cls in types)}" if 0 < len(types) <= 8 else ""
        raise ValueError(f"{why}{few}")

    @property
    def _identity(self) -> bool:
        return self.rule == "identity"

    def _record(self, action: Action, target: Any, attributes: Mapping[str, Any] | None = None) -> None:
        """Note an action, and the object that carries the rule's numbers, or will once it has these attributes."""
        self.actions.append(action)
        if all(target is not known for known, _ in self.targets):
            self._must_have(target, [name for name in self.numbers() if name not in (attributes or {})])
            self.targets.append((target, False))

    @staticmethod
    def _must_have(target: Any, names: Iterable[str]) -> None:
        """TypeError where numbers have names that what carries them does not know, and would not follow."""
        lost = [name for name in names if not hasattr(target, name)]
        if lost:
            raise TypeError(
                f"the numbers are called {', '.join(map(repr, lost))}, and a {type(target).__name__} has no such "
                f"attribute, so that no schedule would reach it; name them as the layer does"
            )

    def _must_be_called(self) -> None:
        """ValueError for a module that others read the weights of, and do not call."""
        for name, owner in self.model.named_modules():
            if isinstance(owner, nn.MultiheadAttention) and owner.out_proj is self.module:
                raise ValueError(
                    f"the MultiheadAttention {name} reads its weights and never calls it, so nothing would "
                    f"happen; name the layers to take, and not this one"
                )

    def claim(self, owner: Any, what: str) -> bool:
        """Take something that one rule at a time may have; False where another has it, of this attachment or not."""
        if what in claims(owner) or self.taken.setdefault((id(owner), what), self) is not self:
            return False
        self.actions.append(Claim(owner, what))
        return True

    def _take(self, owner: Any, what: str) -> None:
        if not self.claim(owner, what):
            raise ValueError(
                f"another rule has set {what!r} of this {type(owner).__name__} already; detach that first"
            )


_TUPLES = (nn.RNNBase, nn.LSTMCell, nn.MultiheadAttention)
"""Modules that give more than one tensor."""


def _does(site: Site, module: nn.Module) -> bool:
    try:
        return site.takes_over(module) is not None
    except ValueError:  # it does, in another way
        return True


def _is_path(name: str, child: nn.Module) -> bool:
    """Whether a child of a block is a drop path, or an Identity in its place."""
    if name.rstrip("0123456789") == "drop_path":
        return hasattr(child, "drop_prob") or isinstance(child, nn.Identity)
    return type(child).__name__ in ("DropPath", "StochasticDepth")
