"""Checks of test-time views: the quadrature that a transform declares, and the views that are made of its draws."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from augreg.ops import Op, Scene
from augreg.pipeline import Pipeline
from augreg.steps.enumeration import same_results, weighted_outcomes
from augreg.steps.step import Step
from augreg.testing.running import KEYS, Array, accepted_image, attempt, same
from augreg.testing.step_under_test import StepUnderTest

__all__ = ["quadrature_holds", "views_hold"]

_MOST_RESULTS = 300
_RETURN = "return (weight, result) pairs, with results as `sample` returns them"


def quadrature_holds(tested: StepUnderTest) -> None:
    """The weights of a declared quadrature are positive and sum to one; its nodes are what `sample` may return."""
    if not hasattr(tested.cls, "quadrature"):
        return
    for pipeline in tested.pipelines(p=1):
        transform = pipeline.steps[0].transform
        for height, width in ((24, 32), (13, 7), (1, 1)):
            image = accepted_image(pipeline.train, height, width)
            dtype: Any = str(image.dtype)
            scene = Scene(height, width, image.shape[2], dtype)
            nodes = list(transform.quadrature(scene))
            assert str(nodes) == str(list(transform.quadrature(scene))), (
                "`quadrature` returns something else at the second call; draw nothing in it, and keep nothing"
            )
            if nodes:  # none: there the numbers are drawn
                _weights_are_right(nodes)
                _nodes_are_results(pipeline, scene, image, [_parts(result) for _, result in nodes])


def _weights_are_right(nodes: list[Any]) -> None:
    for node in nodes:
        assert isinstance(node, tuple) and len(node) == 2, f"`quadrature` returns {node!r}; {_RETURN}"
        assert node[0] > 0, f"`quadrature` has the weight {node[0]!r}; weights must be positive: leave the node out"
    total = math.fsum(weight for weight, _ in nodes)
    assert abs(total - 1) < 1e-9, f"the weights of `quadrature` sum to {total:.6g}; divide each by their sum"


def _parts(result: Any) -> tuple[Any, ...]:
    parts = result if isinstance(result, tuple) else (result,)
    assert all(isinstance(part, Op | Step) for part in parts), f"`quadrature` has the result {result!r}; {_RETURN}"
    return parts


def _nodes_are_results(pipeline: Pipeline, scene: Scene, image: Array, nodes: list[tuple[Any, ...]]) -> None:
    """Each node is a result of `sample`, if these are few; else it runs, and leaves a size that training leaves."""
    transform = pipeline.steps[0].transform
    results = weighted_outcomes(transform, scene, _MOST_RESULTS)
    kinds: dict[str, Any] = {"channels": scene.channels, "dtype": scene.dtype}
    trained = {pipeline.train.plan(scene.size, key, **kinds).after.size for key in KEYS}
    tested_as = _parts(transform.expect(scene, 1.0)) if hasattr(transform, "expect") else (None,)
    for node in nodes:
        if results is not None:
            possible = any(same_results(node, other) for other in (*(result for _, result in results), tested_as))
            shown = ", ".join(map(str, node)) or "nothing"
            assert possible, f"the node [{shown}] of `quadrature` is none of the results of `sample`; {_RETURN}"
        if len(trained) == 1 and all(isinstance(part, Op) for part in node):
            after = scene
            for op in node:
                after = op.after(after)
            assert after.size in trained, (
                f"a node of `quadrature` leaves a {after.height}x{after.width} image, training another size; crop or "
                "resize it to the same size"
            )


def views_hold(tested: StepUnderTest) -> None:
    """Its views begin with the test image, and are the same at every call; exact ones have every training image."""
    for pipeline in tested.pipelines():
        image = accepted_image(pipeline.train, 12, 16)
        if attempt(pipeline.test, image) is None:
            continue
        views = pipeline.views(image, 70)
        assert same(views[0].image, pipeline.test(image)), "view 0 is not the test image; draw nothing in `expect`"
        fewer = pipeline.views(image, 3)
        assert all(same(one.image, other.image) for one, other in zip(fewer, views, strict=False)), (
            "the first views of 3 and of 70 differ; draw from `rng` alone, and keep nothing between calls"
        )
        if views.exact:
            known = [view.image for view in views if view.weight]
            for key in KEYS:
                trained = attempt(pipeline.train, image, key)
                assert any(_equal(trained, one) for one in known), (
                    f"the training image of key {key} is none of the views, which are all results of `sample`; draw "
                    "from `rng` alone"
                )


def _equal(one: Array, other: Array) -> bool:
    return one.shape == other.shape and bool(np.array_equal(one, other))
