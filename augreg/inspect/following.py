"""Following an input through a model: every operation of torch that runs is seen, and its rule applied."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary

from augreg.inspect.operators import CONSTANT, MOVES, TABLE, Call, Result
from augreg.inspect.tracks import Track, merged

__all__ = ["Following"]

_OVERWRITES = {"copy_": "src", "fill_": "value", "zero_": ""}


class Following(TorchDispatchMode):
    """While this is entered, `track(tensor)` says what each tensor depends on.

    `moved(name, tensor)` is called after each operation that moves along axes. Raises ValueError at an operation
    whose effect is not known.
    """

    def __init__(self, moved: Callable[[str, torch.Tensor], None]) -> None:
        super().__init__()
        self._tracks = WeakIdKeyDictionary()
        self._moved = moved
        self.inside = ""  # which module runs, for messages

    def track(self, tensor: Any) -> Track | None:
        """What a tensor depends on; None for what does not depend on the input."""
        found: Track | None = self._tracks.get(tensor) if isinstance(tensor, torch.Tensor) else None
        return found

    def follow(self, tensor: torch.Tensor, track: Track) -> None:
        """Follow this tensor from now on."""
        self._tracks[tensor] = track

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation, then apply its rule."""
        kwargs = kwargs or {}
        named = _named(func, args, kwargs)
        tracks = {name: found for name, value in named.items() if (found := self._found(value)) is not None}
        out = func(*args, **kwargs)
        name = func._schema.name.partition("::")[2]
        written = [named[a.name] for a in func._schema.arguments if a.alias_info and a.alias_info.is_write]
        if name in _OVERWRITES:
            tracks = {key: value for key, value in tracks.items() if key == _OVERWRITES[name]}
            if not tracks:
                self._tracks.pop(written[0], None)
        if not tracks or name in CONSTANT:
            return out
        outputs = list(out) if isinstance(out, tuple | list) else [out]
        try:
            self._refuse_writes_into_views(written, tracks, name in _OVERWRITES)
            tensors = [each for each in outputs if isinstance(each, torch.Tensor)]
            call = Call(named, tracks, tuple(tuple(each.shape) for each in tensors))
            results = _apply(func, name, call)
            for tensor, track in zip(tensors, results if isinstance(results, list) else [results], strict=True):
                if track is not None:
                    assert track.shape == tuple(tensor.shape), f"{func}: {track.shape}, {tuple(tensor.shape)}"
                    self._tracks[tensor] = track
        except ValueError as error:
            where = f" in {self.inside}" if self.inside else ""
            raise ValueError(f"cannot follow the input through {func}{where}: {error}") from None
        if name in MOVES:
            self._moved(name.strip("_").removesuffix("_with_indices"), outputs[0])
        return out

    def _found(self, value: Any) -> Any:
        if isinstance(value, tuple | list):
            found = [self.track(each) for each in value]
            return found if any(each is not None for each in found) else None
        return self.track(value)

    def _refuse_writes_into_views(self, written: list[Any], tracks: dict[str, Any], overwrites: bool) -> None:
        for tensor in written:
            if len(tracks) + overwrites < 2 or not isinstance(tensor, torch.Tensor):
                continue  # it depends on nothing that it did not depend on before
            if tensor._base is not None or any(other._base is tensor for other in self._alive()):
                raise ValueError("it writes into a part of a tensor, or into a tensor with parts in use")

    def _alive(self) -> Iterator[torch.Tensor]:
        return iter(list(self._tracks.keys()))


def _named(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments by the names of the schema, defaults included."""
    arguments = func._schema.arguments
    given = dict(zip((argument.name for argument in arguments), args, strict=False))
    defaults = {argument.name: argument.default_value for argument in arguments if argument.has_default_value()}
    return {**defaults, **given, **kwargs}


def _apply(func: Any, name: str, call: Call) -> Result:
    if not call.shapes:
        raise ValueError("it makes a number of a tensor, and what depends on that number is not known")
    plain = name if name in TABLE else name.rstrip("_")
    if plain in TABLE:
        return TABLE[plain](call)
    if torch.Tag.pointwise in func.tags or name in _OVERWRITES:
        tracks = [track for track in call.tracks.values() if isinstance(track, Track)]
        return [merged(tracks, shape) for shape in call.shapes]
    raise ValueError("its receptive field is not known")
