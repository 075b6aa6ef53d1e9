"""One of the named views of a pipeline as a pipeline of its own, for what works on one image."""

from __future__ import annotations

from typing import Any, Self

from augreg.errors import SpecError
from augreg.steps.suggestions import nearest

__all__ = ["OfOneView", "check_one_view"]


class OfOneView:
    """The method `of_view` of a pipeline."""

    def of_view(self, name: str) -> Self:
        """A pipeline of one named view alone: its image section has the shared steps, then those of the view.

        `name` is that of the view, `global_1`, or of its group, `global`. It is for what works on one image: a probe
        on frozen features, `expect`, the command line. Its steps draw other numbers than in the views, and there are
        no patch masks. Raises ValueError for a name that is not there, and for a view with the geometry of another.
        """
        pipe: Any = self
        groups = pipe.spec.views
        known = [one for group in groups for one in dict.fromkeys((*group.names, group.name))]
        group = next((each for each in groups if name == each.name or name in each.names), None)
        if group is None:
            there = f"the views are: {', '.join(known)}" if known else "the pipeline has no named views"
            raise ValueError(f"there is no view {name!r}{nearest(str(name), known)}; {there}")
        if group.geometry is not None:
            raise ValueError(f"{name} has the geometry of {group.geometry}, so its steps do not make it alone")
        data = pipe.to_spec()
        steps = data.pop("views")[group.name]["steps"]
        alone: Self = type(self).from_spec({**data, "image": [*data["image"], *steps]}, pipe.registry)  # type: ignore[attr-defined]
        return alone


def check_one_view(pipe: Any, what: str, instead: str = "give it {}") -> None:
    """Raise SpecError for a pipeline with named views: `what` is for a pipeline of one image."""
    spec = getattr(pipe, "spec", None)
    groups = getattr(spec, "views", ())
    if groups:
        one = groups[0].names[0]
        names = ", ".join(name for group in groups for name in group.names)
        hint = instead.format(f"pipe.of_view({one!r})")
        raise SpecError("views", f"{what} is for one image, and this spec has several views of it ({names}); {hint}")
