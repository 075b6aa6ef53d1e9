"""The random state of a run: after loading it, masks continue as if nothing had happened."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

import augreg  # noqa: E402
from augreg.nn import Dropout  # noqa: E402
from augreg.training import RngState  # noqa: E402


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.inner = nn.LayerNorm(6), nn.Linear(6, 6)

    def forward(self, x: Any) -> Any:
        return x + self.inner(self.norm(x))


def network() -> nn.Module:
    """Every way in which a mask gets into a model, with and without a seed."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(6, 6), nn.ReLU(), Dropout(0.5, seed=3), nn.Dropout(0.5), Block(), Block(), nn.Linear(6, 6)
    )
    augreg.regularize(
        model,
        [
            {"dropout": {"p": 0.3, "seed": 1, "at": ["0", "5.inner"]}},
            {"drop_connect": {"p": 0.3, "seed": 2, "at": "6"}},
            {"stochastic_depth": {"survival": 0.6, "seed": 4, "at": ["4", "5"]}},
            {"activation_noise": {"std": 0.1, "at": "4.norm"}},
        ],
    )
    return model.train()


def draws(model: nn.Module, count: int) -> list[Any]:
    return [model(torch.ones(16, 6)).detach().clone() for _ in range(count)]


def test_a_loaded_state_continues_the_masks_of_every_layer() -> None:
    model, x = network(), torch.ones(16, 6)
    draws(model, 5)
    file = io.BytesIO()
    torch.save(RngState(model).state_dict(), file)
    wanted = draws(model, 3)
    file.seek(0)
    again = network()
    torch.manual_seed(99)
    RngState(nn.DataParallel(again)).load_state_dict(torch.load(file, weights_only=True))
    assert all(torch.equal(one, other) for one, other in zip(draws(again, 3), wanted, strict=True))
    fresh = network()
    assert not torch.equal(fresh(x), wanted[0])


def test_each_part_of_the_state_is_needed() -> None:
    model = network()
    draws(model, 5)
    state = RngState(model).state_dict()
    assert len(state["seeded"]) == 6 and {part["calls"] for part in state["seeded"].values()} == {5}
    wanted = draws(model, 1)[0]
    for name in state["seeded"]:
        other = network()
        changed = copy.deepcopy(state)
        changed["seeded"][name]["calls"] -= 1
        RngState(other).load_state_dict(changed)
        assert not torch.equal(draws(other, 1)[0], wanted), name
    other = network()
    state["generators"][0][0] = torch.Generator().manual_seed(5).get_state()
    RngState(other).load_state_dict(state)
    assert not torch.equal(draws(other, 1)[0], wanted)


def test_a_program_that_sets_the_generator_back_repeats_its_masks_after_loading_too() -> None:
    """As `SeededSource` says of calls from the same state of the generator: the state has their tickets."""
    layer = Dropout(0.5, seed=3)
    x = torch.ones(50)
    torch.manual_seed(1)
    first = layer(x)
    state = RngState(layer).state_dict()
    again = Dropout(0.5, seed=3)
    RngState(again).load_state_dict(state)
    torch.manual_seed(1)
    assert torch.equal(again(x), first)


def test_the_model_of_another_spec_is_refused() -> None:
    state = RngState(network()).state_dict()
    plain = nn.Sequential(nn.Linear(6, 6), Dropout(0.5, seed=3))
    with pytest.raises(ValueError, match=r"other seeded regularizers.*dropout at 0.*; the model has: 1\. Attach"):
        RngState(plain).load_state_dict(state)
    with pytest.raises(TypeError, match=r"expected the model, a torch\.nn\.Module, got dict"):
        RngState({})  # type: ignore[arg-type]


def test_ranks_have_their_own_generators(monkeypatch: pytest.MonkeyPatch) -> None:
    """The state of two ranks: each takes its own part (tests/clients runs real ranks)."""
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))
    state = RngState(model).state_dict()
    other = torch.Generator().manual_seed(8)
    state["generators"].append([other.get_state()])
    from augreg.training import rng_state

    monkeypatch.setattr(rng_state, "rank_and_count", lambda: (1, 2))
    RngState(model).load_state_dict(state)
    assert torch.equal(torch.rand(5), torch.rand(5, generator=other))
