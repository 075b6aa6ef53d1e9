"""A site: one module of a model, as the `attach` of a regularizer sees it.

    def attach(self, site):
        site.after(SomeLayer(self.p))

Its methods record changes, which are made when every rule has been accepted for every module, and undone by
`detach`. So if an `attach` raises, the model is unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeAlias

from torch import nn

from augreg.attachment.actions import (
    Action,
    AddHook,
    ChangeClass,
    ReplaceForward,
    ReplaceModule,
    Reserve,
    RunOnce,
    SetAttribute,
    format_values,
    locations,
    reservations,
)
from augreg.attachment.drop_paths import does_nothing, drop_paths, rate_name
from augreg.attachment.hooks import InputHook, OutputHook
from augreg.attachment.residual import (
    ResidualParts,
    TracedParts,
    branch_outputs,
    has_no_shortcut,
    residual_parts,
    takes_several_inputs,
)
from augreg.attachment.skipping_graph import BlockGraphs
from augreg.attachment.tracing import Graphs

__all__ = ["CannotTakeError", "Site"]

Class: TypeAlias = type[nn.Module]


class CannotTakeError(ValueError):
    """Raised at a module that cannot take a rule, whatever its arguments, such as dropout of weights at a ReLU.

    A rule that selects other modules too leaves it out, with `note` in the report, unless `at` has its exact name.
    """

    def __init__(self, reason: str, note: str = "") -> None:
        super().__init__(reason)
        self.note = note or f"left: {reason}"


@dataclass(eq=False)
class Site:
    """A selected module, and the changes that a regularizer makes to it.

    `type` is the name of the module's class before any change. `index` counts from 0 to `count` - 1 among the modules
    that the rule selects, in the order of the model. `transform` is the regularizer, `rule` its name in the spec and
    `test_rule` its test-time rule, which is exact for the quantity `exact`. `by_name` is whether `at` has the exact
    name of the module. `reserved` maps what the rules of this attachment have reserved (an object's id and a name) to
    the site that reserved it, and `graphs` has the graphs of modules. `existing` is whether the module already does
    what the rule asks for. `targets` are the objects that carry the rule's numbers; True if they are named by
    `takes_over`, not by `numbers`.
    """

    model: nn.Module
    name: str
    module: nn.Module
    type: str
    index: int
    count: int
    transform: Any
    rule: str
    test_rule: str
    exact: str
    scheduled: bool
    by_name: bool
    reserved: dict[tuple[int, str], Site]
    graphs: Graphs
    existing: bool = False
    actions: list[Action] = field(default_factory=list)
    targets: list[tuple[Any, bool]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def after(self, layer: Any) -> None:
        """Pass the module's output through a layer: a torch module, or a callable for training only.

        An output that the layer cannot take, such as a tuple, is left as it is, unless `at` has the module's name.
        The layer does not become a submodule; it gets the training flag of this module. It can be pickled if the
        layer and its class can. In evaluation it is called only if the test-time rule is not `identity`.
        """
        if isinstance(self.module, _TUPLE_OUTPUTS):
            raise CannotTakeError(
                "its output is a tuple, and a layer takes one tensor; select the module that uses its output"
            )
        self._check_called()
        self._record(AddHook(self.module, OutputHook(layer, self._identity, not self.by_name)), layer)

    def before(self, layer: Any) -> None:
        """Pass the module's first input through a layer; see `after`."""
        self._check_called()
        self._record(AddHook(self.module, InputHook(layer, self._identity, not self.by_name)), layer)

    def change_class(self, cls: Class, **attributes: Any) -> None:
        """Change the module's class to a subclass, and set attributes. To be pickled, it must be importable."""
        if not issubclass(cls, type(self.module)):
            raise ValueError(f"{cls.__name__} does not derive from {type(self.module).__name__}")
        self._check_called(direct=True)
        self._reserve(self.module, "class")
        self._record(ChangeClass(self.module, cls, attributes, self._identity), self.module, attributes)

    def set(self, owner: Any, name: str, value: Any) -> None:
        """Set an attribute of the module, or of another object in the model."""
        self._reserve(owner, name)
        self.actions.append(SetAttribute(owner, name, value))

    def adopt(self, owner: nn.Module, numbers: Mapping[str, float]) -> bool:
        """Set the numbers of a module that already does what the rule asks for: an nn.Dropout, or a drop path.

        If the numbers have a schedule and the module is not augreg's, its numbers are set to 0 and the result is
        False: the caller adds a layer of augreg instead, as torch.compile would recompile the module for each number.
        """
        self._check_attributes(owner, numbers)
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

    def replace(self, new: nn.Module, old: nn.Module | None = None, copied: Iterable[str] = ()) -> None:
        """Replace this module, or the module `old` of the same model, by a new one at all its locations.

        The new module takes over the values of the attributes `copied` when the change is made.
        """
        old = self.module if old is None else old
        places = locations(self.model, old)
        if not places:
            raise ValueError("the model itself cannot be replaced; attach to the module that contains it")
        self._reserve(old, "location")
        for owner, name in [key for key in self.reserved if key[0] == id(old)]:
            self.reserved[id(new), name] = self.reserved[owner, name]
        self._record(ReplaceModule(places, old, new, tuple(copied)), new)

    def run_once(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Call `function(module, *arguments)` once, for example to write weights. `detach` does not undo it."""
        self.actions.append(RunOnce(self.module, function, arguments))

    def residual(self, layer: Any) -> None:
        """Pass the branch of a residual block through a layer with a method `residual(shortcut, branch, x)`.

        If the layer has `skip` and the branches of the block are known, a dropped branch is not computed, and drop
        paths of the block are off. Otherwise a drop path of the block is set. Otherwise the outputs of the modules
        that compute the branches, as traced by torch.fx, are masked. Raises ValueError if there are none, and if the
        block has no shortcut.
        """
        if has_no_shortcut(self.module, self.graphs):
            raise CannotTakeError(
                "it has no shortcut, so there is no branch that could be dropped; select residual blocks, or give "
                "the block a method residual_branch(x)",
                "left: no shortcut",
            )
        reason = self._skip_branches(layer) if getattr(layer, "skip", False) else None
        if reason == "":
            return
        if not self._adopt_paths(layer):
            self._mask_branches(layer, reason or "")
        if reason:
            self.note(f"masked, not saved: {reason}")

    def _skip_branches(self, layer: Any) -> str:
        """Let a layer with `skip` leave out dropped branches; otherwise the reason why that is not possible."""
        if "forward" in vars(self.module):
            return _REPLACED
        rates = {}
        for name, path in drop_paths(self.module).items():
            rate = rate_name(path)
            if rate is None and not isinstance(path, nn.Identity):
                return f"the block has a {type(path).__name__} of its own"
            if rate is not None:
                rates[name] = rate
        parts: ResidualParts | BlockGraphs | None = residual_parts(self.module)
        if isinstance(parts, TracedParts) and takes_several_inputs(self.module):
            parts = None
        if parts is None:
            try:
                parts = BlockGraphs(self.module, evaluation=not self._identity)
            except ValueError as error:
                return str(error)
            if getattr(layer, "mode", "row") == "row" and parts.sequence_first:
                return "a module in a branch has the samples in the second dimension"
        for name, rate in rates.items():
            self.set(getattr(self.module, name), rate, 0.0)
            self.note(f"own {name} off")
        self._reserve(self.module, "forward")
        self._record(ReplaceForward(self.module, parts, layer, self._identity, "skip"), layer)
        if not isinstance(parts, ResidualParts):
            self.note(f"branches: {parts.branch_names()}")
        elif isinstance(parts, TracedParts):
            self.note(f"branch: {parts.branch_name()}")
        return ""

    def _mask_branches(self, layer: Any, reason: str) -> None:
        """Mask the outputs of the branches, in the parts of the block or by hooks. `reason`: why none is skipped."""
        reason = _REPLACED if "forward" in vars(self.module) else reason
        outputs = branch_outputs(self.module, layer)
        parts = residual_parts(self.module) if not outputs and reason != _REPLACED else None
        if parts is not None:  # methods or an adapter may define them
            self._reserve(self.module, "forward")
            self._record(ReplaceForward(self.module, parts, layer, self._identity, "computed"), layer)
            if isinstance(parts, TracedParts):
                self.note(f"branch: {parts.branch_name()}")
            return
        if not outputs:
            raise ValueError(
                f"the residual branch of this {type(self.module).__name__} is not known"
                f"{f' ({reason})' if reason else ''}; select residual blocks, give the block a method "
                f"residual_branch(x), or register an adapter for its class (augreg.attachment.residual.adapter)"
            )
        for name in outputs:
            hook = OutputHook(layer, self._identity)
            self._record(AddHook(self.module.get_submodule(name), hook, "computed"), layer)
        self.note(f"at {', '.join(outputs)}")

    def _adopt_paths(self, layer: Any) -> bool:
        """Set the drop paths of the block, and hook those that are an Identity. False if it has none."""
        paths = drop_paths(self.module)
        for name, path in paths.items():
            self.note(f"at {name}")
            numbers = self.takes_over(path)
            if numbers is None and not does_nothing(path):
                raise ValueError(
                    f"the block has a drop path {name}, a {type(path).__name__}, which {self.rule} cannot set; build "
                    f"the model with drop paths of rate 0"
                )
            if numbers is None or not self.adopt(path, numbers):
                self._record(AddHook(path, OutputHook(layer, self._identity), "computed"), layer)
        return bool(paths)

    def takes_over(self, module: nn.Module) -> Mapping[str, float] | None:
        """The numbers to set on a module that already does what the rule asks for; None for other modules."""
        method = getattr(self.transform, "takes_over", None)
        return method(module, self.numbers()) if method is not None else None

    def numbers(self) -> Mapping[str, float]:
        """The rule's numbers for this module, under the names of the layer's attributes."""
        method = getattr(self.transform, "numbers", None)
        return method(self) if method is not None else {}

    def update(self, transform: Any) -> None:
        """Set the numbers of the same regularizer in another epoch."""
        self.transform = transform
        numbers = self.numbers()
        for target, existing in self.targets:
            values = self.takes_over(target) if existing else numbers
            for name, value in (values or {}).items():
                setattr(target, name, value)

    def current_numbers(self) -> str:
        """The numbers that apply now, as the report shows them."""
        shown: dict[str, None] = {}
        for target, existing in self.targets:
            numbers = (self.takes_over(target) if existing else self.numbers()) or {}
            shown[format_values({name: getattr(target, name, value) for name, value in numbers.items()})] = None
        texts = [*shown] if any(shown) else [action.numbers() for action in self.actions]
        return ", ".join(dict.fromkeys(filter(None, texts)))

    def note(self, text: str) -> None:
        """Add a note to the report."""
        self.notes.append(text)

    def hook(self) -> OutputHook | InputHook | None:
        """The hook that was recorded for the module itself."""
        return next((a.hook for a in self.actions if isinstance(a, AddHook) and a.module is self.module), None)

    def left(self) -> str:
        """Why the output of the module passes by the layer: the layer could not take it. "" if it never did so."""
        hook = self.hook()
        return "" if hook is None else hook.left

    def sibling(self, offset: int) -> tuple[str, nn.Module] | None:
        """The module `offset` places later in the same nn.Sequential, with its name; None if there is none."""
        parent, _, child_name = self.name.rpartition(".")
        container = self.model.get_submodule(parent)
        names = [name for name, _ in container.named_children()] if isinstance(container, nn.Sequential) else []
        place = names.index(child_name) + offset if child_name in names else -1
        if not 0 <= place < len(names):
            return None
        return ".".join(filter(None, (parent, names[place]))), container.get_submodule(names[place])

    def duplicate(self) -> str | None:
        """The name of the neighbor that already does to the same tensor what was recorded here, if there is one."""
        hook = self.hook()
        neighbor = self.sibling(1 if isinstance(hook, OutputHook) else -1) if hook is not None else None
        return neighbor[0] if neighbor is not None and _is_for(self, neighbor[1]) else None

    def skip(self, reason: str) -> None:
        """Discard everything that was recorded, and note the reason."""
        self.actions, self.targets, self.notes = [], [], [reason]
        for key in [key for key, site in self.reserved.items() if site is self]:
            del self.reserved[key]

    def refuse(self, reason: str, *types: Class) -> NoReturn:
        """Raise CannotTakeError: the module cannot take the regularizer. Up to 8 `types` that can are listed.

        If `at` selects other modules too, the rule leaves this one out. For a rule that is wrong as a whole, such as
        arguments that contradict the model, raise ValueError.
        """
        listed = f"; it is for {', '.join(cls.__name__ for cls in types)}" if 0 < len(types) <= 8 else ""
        raise CannotTakeError(f"{reason}{listed}", f"left: {reason}")

    @property
    def _identity(self) -> bool:
        return self.test_rule == "identity"

    def _record(self, action: Action, target: Any, attributes: Mapping[str, Any] | None = None) -> None:
        """Record an action, and the object that carries the rule's numbers (`attributes` are those it will get)."""
        self.actions.append(action)
        if all(target is not known for known, _ in self.targets):
            self._check_attributes(target, [name for name in self.numbers() if name not in (attributes or {})])
            self.targets.append((target, False))

    @staticmethod
    def _check_attributes(target: Any, names: Iterable[str]) -> None:
        """TypeError if a number is not an attribute of its target: a schedule would have no effect."""
        missing = [name for name in names if not hasattr(target, name)]
        if missing:
            raise TypeError(
                f"the numbers are called {', '.join(map(repr, missing))}, and a {type(target).__name__} has no such "
                f"attribute, so a schedule would have no effect; name them as the layer does"
            )

    def _check_called(self, direct: bool = False) -> None:
        """CannotTakeError for a module that is never called: a container, or one whose weights another one reads."""
        if type(self.module).forward is nn.Module.forward and "forward" not in vars(self.module):
            raise CannotTakeError(
                f"a {type(self.module).__name__} is a container without a forward and is never called, so attaching "
                f"to it has no effect; select the modules in it: {self.name}.*",
                f"skipped: a {type(self.module).__name__} is never called",
            )
        reader = self.graphs.reader(self.model, self.name, direct)
        if reader is not None:
            kind = type(self.model.get_submodule(reader)).__name__
            raise CannotTakeError(
                f"the {kind} {reader or 'itself'} reads its weights and never calls it, so attaching to it has no "
                f"effect; select other modules",
                f"left: never called, the {kind} reads its weights",
            )

    def reserve(self, owner: Any, name: str) -> bool:
        """Reserve a name that only one rule may change. False if another rule has it, in any attachment."""
        if name in reservations(owner) or self.reserved.setdefault((id(owner), name), self) is not self:
            return False
        self.actions.append(Reserve(owner, name))
        return True

    def _reserve(self, owner: Any, name: str) -> None:
        if not self.reserve(owner, name):
            raise ValueError(
                f"another rule has already changed {name!r} of this {type(owner).__name__}; detach it first"
            )


_REPLACED = "the forward of this block was replaced"
_TUPLE_OUTPUTS = (nn.RNNBase, nn.LSTMCell, nn.MultiheadAttention)


def _is_for(site: Site, module: nn.Module) -> bool:
    """Whether a module does what the rule of a site asks for, with these or other settings."""
    try:
        return site.takes_over(module) is not None
    except ValueError:
        return True
