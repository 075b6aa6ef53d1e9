"""`pipe.views`: what a pipeline gets from this package."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from augreg.views.views import Views

__all__ = ["MakesViews"]


class MakesViews:
    """The method `views` of a pipeline."""

    def views(self, image: Any, n: int, index: int | str = 0, only: str | Iterable[str] | None = None) -> Views:
        """Up to `n` test-time views of an image, with weights: what training may show of it, at most `n` times.

        `image` is what `pipe.test` takes, an image or a sample; view 0 is `pipe.test(image)`. The mean of a model's
        predictions over the views, with their weights, stands for the expectation over what training draws.

        A step with few possible results, such as a flip, `d4` or `one_of`, has each of them; crops have the center
        and the corners, and `random_resized_crop` has them at three scales, that of the test image first. Views are
        combinations of these nodes. Each result is among the first of them about as often as it is drawn. The numbers
        of all other steps are drawn, from a low-discrepancy sequence. View k is a function of (seed, index,
        k), so 20 views begin with the 10 views of n=10. If fewer than `n` differ, these are returned. Views may
        differ in size.

        The weights sum to one. All combinations have their probabilities, divided by the number of their views; while
        combinations are missing because `n` is small, the others share their weight in proportion. A test image that
        is what training may give has the weight of a view of its combination, with the test-time rules in place of
        what is drawn. Any other stands for the first combination that is missing, and weighs nothing if none is.
        `views.exact` says whether the weighted mean is the exact expectation.

        `only` has the paths or the names of steps, such as `["rotate#0"]` or `["rotate"]`: these steps, and those
        inside them, have their noise, and all others follow their test-time rules. Raises ValueError for a step that
        the pipeline does not have, and ImageError.
        """
        from augreg.views.making import make_views

        pipe: Any = self
        if pipe.spec.views:
            one = pipe.spec.views[0].names[0]
            hint = f"pipe.of_view({one!r}).views(..) has those of one"
            raise ValueError(
                f"test-time views are for one image, and this spec has several named views of it; {hint}"
            )
        return make_views(pipe.steps, pipe.test._settings(None), pipe.options.seed, image, n, index, only)
