"""The nodes of a text in YAML or JSON, with their places; for text that is not finished, and may be hostile."""

from __future__ import annotations

import yaml

__all__ = ["nodes_of"]


def nodes_of(text: str) -> yaml.Node | None:
    """The root of the nodes of a text; None for one that is empty, not valid, or nested too deeply.

    Nodes may be shared, by aliases: who walks over them has to remember where it has been.
    """
    try:
        root: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError, ValueError):
        return None
    return root
