"""Where strides leave a rest, no position sees the last pixels of the image: compared with gradients."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
nn = torch.nn

from augreg.inspect import receptive_field  # noqa: E402


class Branches(nn.Module):
    """One branch leaves a rest, and the other reads it."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Conv2d(1, 1, 3, 2, padding=0), nn.Conv2d(1, 1, 4, 2)

    def forward(self, image: Any) -> Any:
        other = self.other(image)
        return self.one(image)[..., : other.shape[2], : other.shape[3]] + other


MODELS = {
    "a pool that rounds up": lambda: nn.Sequential(nn.Conv2d(1, 1, 3, 2), nn.AvgPool2d(3, 2, ceil_mode=True)),
    "twice, then padding": lambda: nn.Sequential(
        nn.Conv2d(1, 1, 3, 2), nn.Conv2d(1, 1, 3, 4), nn.Conv2d(1, 1, 3, padding=1), nn.AdaptiveAvgPool2d(1)
    ),
    "no overlap": lambda: nn.Sequential(nn.Conv2d(1, 1, 5, 5), nn.Conv2d(1, 1, 3, padding=1)),
    "one branch of two": Branches,
    "no rest": lambda: nn.Sequential(nn.Conv2d(1, 1, 3, 2, padding=1), nn.Conv2d(1, 1, 3, padding=1)),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_last_position_sees_what_its_gradient_reaches(name: str) -> None:
    model = MODELS[name]().double()
    for weight in model.parameters():
        nn.init.uniform_(weight, 0.5, 1.0)
    for side in (32, 33, 34, 36):
        image = torch.rand(1, 1, side, side, dtype=torch.float64, requires_grad=True)
        output = model(image)
        output[0, 0, -1, -1].backward()
        reached = image.grad[0, 0].nonzero()
        wanted = [(low, high) for low, high in zip(reached.amin(0).tolist(), reached.amax(0).tolist(), strict=True)]
        row = receptive_field(model, (1, side, side))[-1]
        assert list(row.seen(output.shape[2] - 1, output.shape[3] - 1)) == wanted, side
