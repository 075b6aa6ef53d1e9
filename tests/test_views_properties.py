"""What holds for the views of any pipeline and any image, found by hypothesis."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings, strategies as st

from augreg import ImageError, Pipeline
from augreg.testing.strategies import images, specs


def equal(one: object, other: object) -> bool:
    return np.array_equal(np.asarray(one), np.asarray(other), equal_nan=True)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(specs(), images(most=24), st.integers(1, 12), st.integers(1, 12))
def test_views_of_anything(spec: dict, image: object, some: int, more: int) -> None:
    try:
        pipe = Pipeline.from_spec({key: spec[key] for key in spec if key not in ("batch", "model", "loss")})
        test = pipe.test(image)
        views = pipe.views(image, some + more, index=3)
        found = [view.image for view in views]
    except ImageError:
        return
    assert 1 <= len(views) <= some + more
    assert equal(found[0], test)
    weights = views.weights
    assert (weights >= 0).all() and abs(weights.sum() - 1) < 1e-12
    fewer = pipe.views(image, some, index=3)
    assert len(fewer) == min(some, len(views))
    assert all(equal(one.image, other) for one, other in zip(fewer, found, strict=False))
    if views.exact:
        assert len(pipe.views(image, 500, index=3)) == len(views) and not any(view.drawn for view in views)
    assert str(views).count("\n") == len(views) + 1
