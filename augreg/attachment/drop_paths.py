"""Drop paths: the children of residual blocks that drop a branch, as timm, torchvision and transformers have them."""

from __future__ import annotations

from torch import nn

__all__ = ["does_nothing", "drop_paths", "rate_name"]


def drop_paths(block: nn.Module) -> dict[str, nn.Module]:
    """The children of a block that are drop paths, or an Identity that replaces one, by name."""
    return {name: child for name, child in block.named_children() if _is_drop_path(name, child)}


def _is_drop_path(name: str, child: nn.Module) -> bool:
    if name.rstrip("0123456789") == "drop_path":
        return hasattr(child, "drop_prob") or isinstance(child, nn.Identity)
    return type(child).__name__.endswith(("DropPath", "StochasticDepth"))


def rate_name(path: nn.Module) -> str | None:
    """The name of the attribute with the rate of a drop path; None if it has none."""
    return next((name for name in ("drop_prob", "p") if hasattr(path, name)), None)


def does_nothing(path: nn.Module) -> bool:
    """Whether a drop path drops nothing: an Identity in its place, or a rate of 0."""
    name = rate_name(path)
    return isinstance(path, nn.Identity) or (name is not None and not getattr(path, name))
