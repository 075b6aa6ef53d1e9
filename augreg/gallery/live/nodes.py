"""The nodes of a text in YAML or JSON, with their places; for text that is not finished, and may be hostile."""

from __future__ import annotations

from itertools import accumulate

import yaml

from augreg.steps.sizes import MOST_LEVELS

__all__ = ["nodes_of", "too_deep"]


def too_deep(text: str) -> bool:
    """Whether brackets are nested deeper than a spec may be; PyYAML's scanner takes time by the square of it."""
    depths = accumulate((letter in "[{") - (letter in "]}") for letter in text)
    return max(depths, default=0) > MOST_LEVELS


def nodes_of(text: str) -> yaml.Node | None:
    """The root of the nodes of a text; None for one that is empty or not valid.

    Nodes may be shared, by aliases: who walks over them has to remember where it has been.
    """
    try:
        root: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError, ValueError):
        return None
    return root
