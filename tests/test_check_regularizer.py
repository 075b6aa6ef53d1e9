"""The conformance kit for regularizers: ours pass, and each check fails on one that is broken in just that way."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import augreg
from augreg import Registry
from augreg.steps.declare import regularizer
from augreg.steps.selectors import At, Selector

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from augreg.regularizers.dropout import Dropout  # noqa: E402
from augreg.testing import check_regularizer  # noqa: E402
from augreg.testing.regularizers import checks  # noqa: E402
from augreg.testing.step_under_test import step_under_test  # noqa: E402

CONVOLUTIONS = (Selector(type=("Conv2d",)),)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Small tensors are faster so."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


BUILT_IN = [name for part in ("model", "loss") for name in Registry.installed().section(part) if "/" not in name]


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_regularizer_of_ours_passes(name: str) -> None:
    cls = Registry.installed()[name]
    check_regularizer(cls, cls.__augreg__.preview[-1:])  # the strongest one


MODEL, LOSS = (checks(step_under_test(Registry.installed()[name])) for name in ("dropout", "l2"))


def test_each_section_has_its_checks() -> None:
    assert MODEL.keys() & LOSS.keys() == {"is_a_documented_value", "spec_round_trip", "global_generators"}
    assert "mean_is_the_test_output" in MODEL and "numbers_are_finite_and_have_gradients" in LOSS


class Noise(nn.Module):
    """Adds noise; what derives from it does something wrong besides."""

    def __init__(self, size: float = 0.1) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Any) -> Any:
        return x + self.size * torch.randn_like(x)


class Unrepeatable(Noise):
    def forward(self, x: Any) -> Any:
        generator = torch.Generator().manual_seed(int.from_bytes(os.urandom(4), "little"))
        return x + torch.randn(x.shape, generator=generator)


class Steady(Noise):
    def forward(self, x: Any) -> Any:
        return 1.5 * x


class Infinite(Noise):
    def forward(self, x: Any) -> Any:
        return super().forward(x) / 0.0


class Unscaled(Noise):
    def forward(self, x: Any) -> Any:
        return torch.where(torch.rand_like(x) < 0.5, x, 0.0)


class Detached(Noise):
    def forward(self, x: Any) -> Any:
        return super().forward(x).detach()


class Exploding(Noise):
    def forward(self, x: Any) -> Any:
        return super().forward(x) + (x * 0).abs().sqrt()


class Loud(Noise):
    """2 % too large in the mean."""

    def forward(self, x: Any) -> Any:
        return 1.02 * torch.where(torch.rand_like(x) < 0.5, 2 * x, 0.0)


class Steep(Noise):
    """With another gradient than the output's."""

    def forward(self, x: Any) -> Any:
        return super().forward(x) + 5 * (x - x.detach())


class Single(Noise):
    """In float32, whatever comes."""

    def forward(self, x: Any) -> Any:
        return super().forward(x).float()


class Rare(nn.Module):
    """Keeps a whole batch with a chance of 2 %, as it may."""

    def forward(self, x: Any) -> Any:
        return torch.where(torch.rand(()) < 0.02, 50 * x, 0.0)


class Precomputed(Noise):
    """Scales by a number that it computes once: what is set later does nothing."""

    def __init__(self, size: float) -> None:
        super().__init__(size)
        self.root = size**0.5

    def forward(self, x: Any) -> Any:
        return x + self.root * torch.randn_like(x)


class Forgetful(Noise):
    def __deepcopy__(self, memo: Any) -> Any:
        return Forgetful(self.size)

    def __reduce__(self) -> Any:
        return Forgetful, (0.5,)


class Reseeding(Noise):
    def forward(self, x: Any) -> Any:
        np.random.random()  # noqa: NPY002
        return super().forward(x)


class ChangedInEvaluation(nn.Conv2d):
    def forward(self, x: Any) -> Any:
        return super().forward(x) * (torch.rand(()) + 0.5 if self.training else 1.01)


class DrawingInEvaluation(nn.Conv2d):
    def forward(self, x: Any) -> Any:
        return super().forward(x) * (torch.rand(()) + 0.5 if self.training else 1.0 + 0 * torch.rand(()))


class RandomInEvaluation(nn.Conv2d):
    def forward(self, x: Any) -> Any:
        return super().forward(x) + torch.randn(1, generator=GENERATOR)


GENERATOR = torch.Generator().manual_seed(0)


class WritesWeights(nn.Conv2d):
    def forward(self, x: Any) -> Any:
        if self.training:
            with torch.no_grad():
                self.weight.mul_(0.9)
        return super().forward(x)


def broken(how: Any, name: str = "broken", exact: str = "", rule: Any = "identity") -> Any:
    """A regularizer that attaches a broken layer, or gives convolutions a broken class."""

    class Broken:
        """Do something wrong."""

        at: At = CONVOLUTIONS

        def attach(self, site: Any) -> None:
            if isinstance(how, type) and issubclass(how, nn.Conv2d):
                site.change_class(how)
            elif isinstance(how, type):
                site.after(how())
            else:
                how(site)

    return importable(regularizer(name, exact=exact, rule=rule)(Broken))


def importable(cls: Any) -> Any:
    """The class as one of this module, as it would be in a plugin, so that it pickles."""
    cls.__qualname__ = f"Made{len(globals())}"
    globals()[cls.__qualname__] = cls
    return cls


def wraps(site: Any) -> None:
    site.replace(nn.Sequential(site.module))


def leaves_a_mark(site: Any) -> None:
    site.module.was_here = True
    site.after(Noise())


@regularizer("undocumented")
class Undocumented:
    """attaches noise"""

    at: At = CONVOLUTIONS

    def attach(self, site: Any) -> None:
        site.after(Noise())


@regularizer("stuck")
class Stuck:
    """Attach noise whose size is computed once."""

    at: At = CONVOLUTIONS
    size: float = 0.5

    def numbers(self, site: Any) -> dict[str, float]:
        return {"size": self.size}

    def attach(self, site: Any) -> None:
        site.after(Precomputed(self.size))


@regularizer("swallows")
class Swallows:
    """Attach noise, whatever else is asked for."""

    at: At = CONVOLUTIONS

    @classmethod
    def complete(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        return {"at": arguments["at"]} if "at" in arguments else {}

    def attach(self, site: Any) -> None:
        site.after(Noise())


def loss(**methods: Any) -> Any:
    """A loss step with these methods."""

    class Step:
        """Do something wrong."""

    for name, method in methods.items():
        setattr(Step, name, method)
    return importable(regularizer("broken_loss", section="loss")(Step))


def writes(self: Any, model: Any) -> Any:
    with torch.no_grad():
        next(model.parameters()).mul_(0.5)
    return next(model.parameters()).sum()


def shrinks(self: Any, model: Any) -> None:
    next(model.parameters()).mul_(0.5)


def steals(self: Any, model: Any) -> Any:
    layer = model.features[0]
    layer.weight = nn.Parameter(layer.weight.detach().clone())
    return layer.weight.sum()


def reseeds(self: Any, model: Any) -> Any:
    return next(model.parameters()).sum() * float(np.random.random() > 2)  # noqa: NPY002


def spoils(self: Any, model: Any) -> None:
    model.classifier[2].bias[0] = float("nan")


def counts(self: Any, model: Any) -> Any:
    CALLS.append(1)
    return next(model.parameters()).sum() * len(CALLS)


CALLS: list[int] = []


def rooted(values: Any) -> Any:
    """0, with a gradient that is not finite."""
    return (values * 0).abs().sqrt()


BROKEN: list[tuple[str, str, Any]] = [
    ("is_a_documented_value", "must be a sentence", lambda: Undocumented),
    ("spec_round_trip", "an unknown argument is ignored", lambda: Swallows),
    ("evaluation_follows_its_rule", "in eval mode is changed", lambda: broken(ChangedInEvaluation)),
    ("evaluation_follows_its_rule", "differs between calls", lambda: broken(RandomInEvaluation)),
    ("training_is_seeded", "the same seed gives another", lambda: broken(Unrepeatable)),
    ("training_is_seeded", "in training mode give the same output", lambda: broken(Steady)),
    ("training_is_seeded", "is not finite", lambda: broken(Infinite)),
    ("training_is_seeded", "is same, but training is random", lambda: broken(Noise, rule="same")),
    ("mean_is_the_test_output", "the test output by", lambda: broken(Unscaled, exact="the mean of the output")),
    ("mean_is_the_test_output", "% of it", lambda: broken(Loud, exact="the mean of the output")),
    ("keeps_dtypes", "to torch.float32", lambda: broken(Single)),
    ("gradients_match_the_outputs", "its gradients are wrong", lambda: broken(Steep)),
    ("schedules_take_effect", "a schedule of size changes nothing", lambda: Stuck),
    ("gradients_flow", "no gradient reaches", lambda: broken(Detached)),
    ("gradients_flow", "is not finite", lambda: broken(Exploding)),
    ("keeps_the_state_dict", "it changes keys", lambda: broken(wraps, rule="same")),
    ("keeps_the_state_dict", "it changes the values", lambda: broken(WritesWeights)),
    ("detach_restores", "detach does not restore ", lambda: broken(leaves_a_mark)),
    ("copies_are_independent", "a pickled copy behaves differently", lambda: broken(Forgetful)),
    ("global_generators", "it advances a global generator: numpy.random", lambda: broken(Reseeding)),
    ("global_generators", "it draws random numbers in eval mode", lambda: broken(DrawingInEvaluation)),
    ("global_generators", "it advances a global generator", lambda: loss(penalty=reseeds)),
    (
        "numbers_are_finite_and_have_gradients", "expected a scalar",
        lambda: loss(penalty=lambda self, model: next(model.parameters()).flatten()),
    ),
    (
        "numbers_are_finite_and_have_gradients", "has no gradient",
        lambda: loss(penalty=lambda self, model: torch.tensor(1.0)),
    ),
    (
        "numbers_are_finite_and_have_gradients", "its penalty is not finite",
        lambda: loss(penalty=lambda self, model: next(model.parameters()).sum().abs().neg().log()),
    ),
    (
        "numbers_are_finite_and_have_gradients", "expected one number for each sample",
        lambda: loss(term=lambda self, logits: logits.sum()),
    ),
    (
        "numbers_are_finite_and_have_gradients", "does not sum to one",
        lambda: loss(target=lambda self, probabilities: probabilities * 0.9),
    ),
    (
        "numbers_are_finite_and_have_gradients", "has no gradient but 0",
        lambda: loss(penalty=lambda self, model: (next(model.parameters()) * 0).sum()),
    ),
    (
        "numbers_are_finite_and_have_gradients", "a gradient of its penalty is not finite",
        lambda: loss(penalty=lambda self, model: rooted(next(model.parameters())).sum()),
    ),
    (
        "numbers_are_finite_and_have_gradients", "its term is not finite",
        lambda: loss(term=lambda self, logits: logits.sum(1) / 0),
    ),
    (
        "numbers_are_finite_and_have_gradients", "its term has no gradient; compute it with torch",
        lambda: loss(term=lambda self, logits: logits.detach().sum(1)),
    ),
    (
        "numbers_are_finite_and_have_gradients", "its term has no finite gradient",
        lambda: loss(term=lambda self, logits: rooted(logits).sum(1)),
    ),
    (
        "numbers_are_finite_and_have_gradients", "its target has another shape",
        lambda: loss(target=lambda self, probabilities: probabilities[:, :3]),
    ),
    ("only_constraints_write_weights", "a weight is not finite", lambda: loss(constrain=spoils)),
    ("only_constraints_write_weights", "results are not reproducible", lambda: loss(penalty=counts)),
    ("only_constraints_write_weights", "it writes weights", lambda: loss(penalty=writes)),
    ("only_constraints_write_weights", "changes the weights again", lambda: loss(constrain=shrinks)),
    ("only_constraints_write_weights", "it replaces parameters", lambda: loss(penalty=steals)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("check", "words", "make"), BROKEN, ids=lambda value: value if isinstance(value, str) else ""
)
def test_what_is_broken_fails_the_check_for_it(check: str, words: str, make: Any) -> None:
    """The checks before it pass, as the first one that fails is raised."""
    with pytest.raises(AssertionError) as raised:
        check_regularizer(make())
    assert str(raised.value).startswith(f"{check}: ")
    assert words in str(raised.value)
    assert "; " in str(raised.value), "it must say what to do"


def test_every_check_is_shown_to_fail() -> None:
    assert {check for check, _, _ in BROKEN} == MODEL.keys() | LOSS.keys()


def test_a_sound_one_passes_and_known_failures_can_be_left_out() -> None:
    check_regularizer(broken(Rare, exact="the mean of the output"))
    check_regularizer(broken(leaves_a_mark), without=["detach_restores"])


def test_an_object_a_model_and_arguments_of_ones_own() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 6), nn.Tanh(), nn.Linear(6, 3))
    kept = {key: value.clone() for key, value in model.state_dict().items()}
    batch = torch.randn(5, 3, 2, 2)
    check_regularizer(Dropout(at="1", p=0.3), model=model, batch=batch)
    seeded = {"at": "2", "p": 0.3, "seed": 5}
    check_regularizer(Dropout, seeded, model=model, batch=batch, without=["mean_is_the_test_output"])
    anywhere = [{"at": "encoder.*", "p": 0.3}]  # nothing is called so: wherever it can be
    check_regularizer(Dropout, anywhere, without=["mean_is_the_test_output"])
    assert all(torch.equal(value, kept[key]) for key, value in model.state_dict().items())
    assert augreg.regularize(model, []).report() == ()
    with pytest.raises(ValueError, match="model and batch must be given together"):
        check_regularizer(Dropout, model=model)
    with pytest.raises(ValueError, match="no arguments to check it with"):
        check_regularizer(Dropout, [])
    with pytest.raises(TypeError, match="expected a class decorated"):
        check_regularizer(Noise)


def test_a_regularizer_that_no_module_accepts_is_reported() -> None:
    def refuses(site: Any) -> None:
        raise ValueError("never")

    with pytest.raises(AssertionError, match="no module of Example accepts it; pass a model that has one"):
        check_regularizer(broken(refuses))
