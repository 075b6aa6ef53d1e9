"""Step 7 of the recipe: patches of specs and tasks, where dropout goes, the rules, and what a patch does."""

from __future__ import annotations

import copy
import json
import math
import runpy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from recipe_tasks import TinyViT, cnn, digits, mlp, normalized_cnn, regularized, table
from torch import Tensor, nn

import augreg
from augreg import Pipeline
from augreg.errors import SpecError
from augreg.recipe import Change, Effect, Patch, Result, Task, advice, advised_patch, fit, measure_patch
from augreg.recipe.patches.dropout_places import DropoutPlace, dropout_places

NORMALIZE = {"normalize": {"mean": [0.3], "std": [0.38]}}
SPEC = {"image": ["horizontal_flip", NORMALIZE], "batch": ["mixup"], "classes": 10}


def change(place: str, action: Any, value: Any = None) -> Change:
    return Change(place, action, value, "a reason")


def shown(state: str, epochs: int = 10) -> Result:
    """A result of the curves with this state."""
    return Result("curves", "warning", "", {"state": state, "epochs": epochs, "gap": 0.2})


def images(spec: Any, **arguments: Any) -> Task:
    (known, labels), _ = digits()
    pixels = list(((known[:40] + 1) * 80).clamp(0, 255).to(torch.uint8))
    return Task(cnn, (pixels, labels[:40].tolist()), spec=spec, **arguments)


def test_changes_refer_to_the_steps_before_the_patch() -> None:
    patch = Patch(
        (
            change("image[1]", "insert", {"rotate": 5}),
            change("image[0]", "remove"),
            change("image[1]", "replace", {"normalize": {"mean": [0.5], "std": [0.5]}}),
            change("image[2]", "insert", {"cutout": 0.5}),
            change("batch[0]", "remove"),
            change("model[0]", "insert", {"dropout": {"at": "7", "p": 0.3}}),
            change("classes", "set", 12),
            change("weight_decay", "set", 0.1),
        )
    )
    wanted = {
        "image": [{"rotate": 5}, {"normalize": {"mean": [0.5], "std": [0.5]}}, {"cutout": 0.5}],
        "model": [{"dropout": {"at": "7", "p": 0.3}}],
        "classes": 12,
    }
    assert Pipeline.from_spec(patch.apply(SPEC)) == Pipeline.from_spec(wanted)
    assert patch.apply(Pipeline.from_spec(SPEC)) == Pipeline.from_spec(wanted)
    assert Patch.from_dict(json.loads(json.dumps(patch.as_dict()))).apply(SPEC) == patch.apply(SPEC)
    assert Patch().apply(SPEC) == Pipeline.from_spec(SPEC).to_spec() and not Patch()


def test_a_part_of_a_patch() -> None:
    changes = (change("classes", "set", 3), change("batch[0]", "insert", "mixup"), change("epochs", "set", 9))
    assert Patch(changes).only(1).changes == changes[:2]  # mixing needs the number of classes


def test_a_patch_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(SpecError, match="cutoff"):
        Patch((change("image[0]", "insert", {"cutoff": 0.5}),)).apply(SPEC)


def test_the_diff() -> None:
    before = {**Pipeline.from_spec(SPEC).to_spec(), "weight_decay": 0.01, "epochs": 10}
    changes = (change("image[1]", "insert", {"rotate": 5}), change("weight_decay", "set", 0.1))
    text = Patch(changes, before=before).show()
    assert text.splitlines() == [
        "--- before",
        "+++ after",
        "...",
        "   - horizontal_flip",
        "+  - rotate: {degrees: [-5, 5]}",
        "   - normalize: {mean: [0.3], std: [0.38]}",
        "...",
        " classes: 10",
        "-weight_decay: 0.01",
        "+weight_decay: 0.1",
        " epochs: 10",
    ]
    assert "image[1]: a reason" in str(Patch(changes, ("use more data",), before=before))


def test_a_task_without_a_spec_gets_a_regularized_model() -> None:
    task = Task(mlp, digits()[0], weight_decay=0.5)
    patch = Patch((change("model[0]", "insert", {"dropout": {"at": "3", "p": 0.9, "on": "input"}}),))
    model: Any = patch.apply_to(task).model
    made = model()
    inputs = torch.ones(200, 64)
    assert (made(inputs).std(0) > 0).all() and (made.eval()(inputs).std(0) == 0).all()
    assert torch.equal(mlp().train()(inputs)[0], torch.zeros(10)) is False
    given = mlp()
    assert patch.apply_to(task.replace(model=given)).model() is not given  # type: ignore[operator]
    assert patch.apply_to(task).weight_decay == 0.5
    with pytest.raises(ValueError, match="the task has no spec"):
        Patch((change("image[0]", "insert", {"rotate": 5}),)).apply_to(task)


class Shared(nn.Module):
    """A linear layer that runs twice, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.head = nn.Linear(16, 16), nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.inner(self.inner(x).relu()).relu())


def dense_then_cnn() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 64), nn.Unflatten(1, (1, 8, 8)), cnn())


@pytest.mark.parametrize(
    ("make", "shape", "places"),
    [
        (mlp, (2, 64), [DropoutPlace("1", 64, first=True), DropoutPlace("3", 64)]),
        (partial(mlp, 30, 2), (2, 30), [DropoutPlace("3", 64)]),  # few inputs, which are not pixels
        (cnn, (2, 1, 8, 8), [DropoutPlace("7", 128)]),
        (partial(normalized_cnn, 0.2), (2, 1, 8, 8), [DropoutPlace("10", 128, "9", 0.2)]),
        (TinyViT, (2, 1, 8, 8), [DropoutPlace("head", 32)]),  # its other linear layers are for tokens
        (Shared, (2, 16), [DropoutPlace("head", 16)]),
        (lambda: nn.Linear(64, 2), (2, 64), []),
        (lambda: nn.Sequential(nn.Linear(64, 4), nn.Linear(4, 2)), (2, 64), [DropoutPlace("0", 64, first=True)]),
        (dense_then_cnn, (2, 64), [DropoutPlace("2.7", 128)]),
    ],
)  # fmt: skip
def test_places_for_dropout(make: Any, shape: tuple[int, ...], places: list[DropoutPlace]) -> None:
    model = make()
    assert list(dropout_places(model, lambda: model(torch.zeros(shape)))) == places
    steps: Any = [{"dropout": {"at": each.linear, "p": 0.3, "on": "input"}} for each in places if not each.layer]
    augreg.regularize(model, steps)  # accepts them
    assert not any(module._forward_pre_hooks for module in make().modules())


AFFINE = {"degrees": 10, "translate": [0.1, 0.1], "scale": [0.9, 1.1], "shear_x": 0}
CROP = {"random_resized_crop": {"size": 8, "scale": [0.5, 1.0]}}


@pytest.mark.parametrize(
    ("spec", "changes"),
    [
        ({"image": [NORMALIZE]}, [("image[0]", "insert", {"affine": AFFINE})]),
        (
            {"image": [{"rotate": 5}, NORMALIZE]},
            [("classes", "set", 10), ("batch[0]", "insert", {"mixup": {"alpha": 0.2}})],
        ),
        (
            {"image": [{"rotate": 5}, NORMALIZE], "batch": ["mixup"], "classes": 10},
            [("image[2]", "insert", {"cutout": {"size": 0.25, "p": 0.5}})],
        ),
    ],
)  # fmt: skip
def test_against_overfitting_the_data_come_first(spec: Any, changes: list[Any]) -> None:
    patch = advised_patch(images(spec), shown("overfitting"))
    found = [(each.place, each.action, each.value) for each in patch.changes]
    assert found == [*changes, ("epochs", "set", 30)]
    assert all(each.reason for each in patch.changes) and "more training data" in patch.notes[-1]


@pytest.mark.parametrize(
    ("spec", "place", "name", "argument", "value"),
    [
        ({"image": [CROP, NORMALIZE], "batch": ["mixup"]}, "image[0]", "random_resized_crop", "scale", [0.3, 1.0]),
        ({"image": ["rand_augment", NORMALIZE], "batch": ["mixup"]}, "image[0]", "rand_augment", "m", 14.0),
        ({"image": [{"rotate": 5}, NORMALIZE], "batch": [{"mixup": 0.2}]}, "batch[0]", "mixup", "alpha", 0.4),
    ],
)  # fmt: skip
def test_numbers_are_raised_where_there_are_some(spec: Any, place: str, name: str, argument: str, value: Any) -> None:
    patch = advised_patch(images({**spec, "classes": 10}), shown("validation loss rising"))
    assert patch.changes[0].place == place and patch.changes[0].value[name][argument] == value


def test_dropout_and_weight_decay_where_the_data_leave_nothing() -> None:
    patch = advised_patch(Task(cnn, digits()[0], batch_size=100, learning_rate=1e-3), shown("overfitting"))
    assert [each.place for each in patch.changes] == ["model[0]", "weight_decay", "epochs"]
    assert patch.changes[0].value == {"dropout": {"at": "7", "p": 0.3, "on": "input"}}
    assert patch.changes[1].value == 1.0  # 0.5 / (rate 1e-3 x 30 epochs of 12 updates) is 1.4
    decayed = advised_patch(Task(cnn, digits()[0], weight_decay=5.0), shown("overfitting"))
    assert [each.place for each in decayed.changes] == ["model[0]", "epochs"]
    full = {
        "image": [{"rotate": 5}, {"cutout": 0.2}, NORMALIZE],
        "batch": ["mixup"],
        "model": [{"dropout": {"at": "7", "p": 0.5}}],
    }
    patch = advised_patch(images({**full, "classes": 10}), shown("overfitting"))
    assert patch.changes[0].place == "model[0]" and patch.changes[0].value["dropout"]["p"] == 0.6
    dropped = advised_patch(Task(partial(normalized_cnn, 0.2), digits()[0]), shown("overfitting"))
    assert dropped.changes[0].value == {"dropout": {"at": "9", "p": 0.4}}
    dropped.apply_to(Task(partial(normalized_cnn, 0.2), digits()[0])).model()  # type: ignore[operator]


def test_steps_that_are_not_installed() -> None:
    @augreg.transform("twist", kind="color")
    class Twist:
        """Do nothing."""

        def sample(self, rng: Any, scene: Any) -> Any:
            return ()

    pipe = Pipeline([Twist(), NORMALIZE], classes=10)
    patch = advised_patch(images(pipe), shown("overfitting"))
    assert "   - twist" in patch.show() and "affine" in patch.apply(pipe).to_spec()["image"][1]


def test_a_change_that_the_task_cannot_take_is_left_out() -> None:
    def classes_only(outputs: Tensor, targets: Any) -> Tensor:
        if not isinstance(targets, Tensor):
            raise TypeError("expected class ids")
        return nn.functional.cross_entropy(outputs, targets)

    patch = advised_patch(images({"image": [{"rotate": 5}, NORMALIZE]}, loss=classes_only), shown("overfitting"))
    assert not patch.changes  # nothing is left that regularizes
    assert patch.notes[0] == "left out: batch[0]: mixup: expected class ids"


def test_against_underfitting() -> None:
    patch = advised_patch(regularized(), shown("underfitting", 5))
    found = {each.place: (each.action, each.value) for each in patch.changes}
    assert found["batch[0]"] == ("remove", None) and found["epochs"] == ("set", 10)
    assert found["model[0]"][0] == "replace" and found["model[0]"][1]["dropout"]["p"] == 0.1
    assert "a bigger model" in patch.notes[-1]


def test_other_states() -> None:
    task = Task(mlp, digits()[0], learning_rate=0.03)
    assert [(each.place, each.value) for each in advised_patch(task, shown("still rising")).changes] == [
        ("epochs", 20)
    ]
    (slower,) = advised_patch(task, shown("spikes")).changes
    assert slower.place == "learning_rate" and slower.value == pytest.approx(0.01)
    assert not advised_patch(task, shown("good"))


def test_the_effect() -> None:
    effect = Effect((0.5, 0.6, 0.7), (0.6, 0.8, 1.0))  # differences 0.1, 0.2, 0.3: standard deviation 0.1
    assert effect.difference == pytest.approx(0.2) and effect.standard_error == pytest.approx(0.1 / math.sqrt(3))
    assert effect.interval == pytest.approx((0.2 - 0.2484, 0.2 + 0.2484), abs=1e-4)  # Student's t is 4.3027
    assert effect.answer == "no difference seen"
    assert Effect((0.5, 0.6, 0.7), (0.6, 0.71, 0.8)).answer == "helped"
    assert Effect((0.6, 0.71, 0.8), (0.5, 0.6, 0.7)).answer == "hurt"
    assert Effect((0.5,), (0.9,)).answer == "no difference seen"


def test_runs_that_diverge_count_and_equal_seeds_are_chance() -> None:
    nan = float("nan")
    worse = Effect((0.5, 0.6, 0.7), (0.9, nan, 0.9))
    assert worse.answer == "hurt" and "0 diverged without, 1 with" in str(worse)
    assert worse.differences == pytest.approx((0.4, 0.2)) and worse.difference == pytest.approx(0.3)
    assert Effect((nan, 0.6), (0.5, 0.6)).answer == "helped"
    equal = Effect((0.5, 0.6), (0.51, 0.61), samples=100)  # one sample more is right in both
    assert equal.standard_error == pytest.approx(0.01 / math.sqrt(2)) and equal.answer == "no difference seen"
    assert Effect((0.5, 0.6), (0.51, 0.61)).standard_error == pytest.approx(0, abs=1e-9)


def test_a_patch_with_which_runs_diverge() -> None:
    task = Task(partial(mlp, 13, 3), *table("wine"), optimizer=partial(torch.optim.SGD, lr=0.1))
    patch = Patch((Change("learning_rate", "set", 1e30, "for the test"),))
    effect = measure_patch(task, patch, 1, seeds=2)
    assert effect.answer == "hurt" and all(map(math.isnan, effect.after)) and effect.samples == 45


def test_a_patch_is_measured_in_pairs(tmp_path: Any) -> None:
    task = Task(partial(mlp, 4, 3), *table("iris"), batch_size=28, learning_rate=1e-3)
    patch = Patch((change("learning_rate", "set", 0.02), change("epochs", "set", 4)))
    before = torch.get_rng_state()
    effect = measure_patch(task, patch, 2, seeds=[3, 5], folder=tmp_path)
    assert torch.equal(torch.get_rng_state(), before)
    assert effect.before == tuple(fit(task, 2, seed=seed).last("validation metric") for seed in (3, 5))
    faster = task.replace(learning_rate=0.02)
    assert effect.after == tuple(fit(faster, 4, seed=seed).last("validation metric") for seed in (3, 5))
    assert effect.difference > 0.1 and (effect.epochs, effect.epochs_after) == (2, 4)
    assert measure_patch(task, patch, 2, seeds=[3, 5], folder=tmp_path) == effect
    with pytest.raises(ValueError, match="measured on validation data"):
        measure_patch(task.replace(validation=None), patch, 2)


def test_advice() -> None:
    task = Task(partial(mlp, 4, 3), *table("iris"), batch_size=28)
    counted = []
    result = advice(
        task, shown("still rising", 2), seeds=2, progress=lambda done, total: counted.append((done, total))
    )
    assert counted == [(1, 4), (2, 4), (3, 4), (4, 4)]
    again = Result.from_dict(json.loads(json.dumps(result.as_dict(), allow_nan=False)))
    assert again.evidence["effect"]["epochs_after"] == 4 and "+epochs: 4" in again.evidence["diff"]
    assert Patch.from_dict(again.evidence["patch"]).epochs_of(2) == 4
    assert advice(task, shown("still rising"), measure=False).verdict == "warning"
    deep = nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3))
    fewer = advice(task.replace(model=partial(copy.deepcopy, deep)), shown("overfitting"), measure=False)
    assert [each["place"] for each in fewer.evidence["patch"]["changes"]].count("model[0]") == 2  # two dropouts
    assert fewer.summary == "insert dropout, set weight_decay, set epochs: not measured"
    nothing = advice(task, shown("good"))
    assert nothing.verdict == "pass" and "effect" not in nothing.evidence


EXAMPLE: Any = runpy.run_path(str(Path(__file__).parents[1] / "docs/examples/advice.py"))


def test_the_example_makes_a_row() -> None:
    task = Task(EXAMPLE["regressor"], **EXAMPLE["friedman"](30), learning_rate=1e-2)
    state, patch, *numbers, difference, _ = EXAMPLE["row"](task, 25, 2).split(" | ")
    assert (state, patch) == ("overfitting", "dropout, weight_decay, epochs")
    without, _, with_patch = map(float, numbers)
    assert float(difference.split()[0]) == pytest.approx(with_patch - without, abs=0.0016)


def test_the_table_of_the_docs() -> None:
    page = (Path(__file__).parents[1] / "docs/recipe.md").read_text()
    lines = page.partition("| model | state |")[2].partition("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert [row[0] for row in rows] == list(EXAMPLE["MODELS"])
    assert all(row[1] in ("overfitting", "validation loss rising") for row in rows)
    assert sum(float(row[5]) > float(row[3]) for row in rows) >= 5  # the validation error falls
    for _, _, _, without, _, with_patch, difference, answer in rows:
        mean, low, high = (float(each.strip("()")) for each in difference.replace("to", "").split())
        assert mean == pytest.approx(float(with_patch) - float(without), abs=0.0016) and low < mean < high
        assert answer == ("helped" if low > 0 else "hurt" if high < 0 else "no difference seen")
