"""Layers return the memory format that torch's own layers return: channels_last for channels_last."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from augreg.nn import DropConnectConv2d, DropConnectConv3d  # noqa: E402


@pytest.mark.parametrize("per", ["sample", 4, 3, "batch"])
@pytest.mark.parametrize(
    "given",
    [
        {"kernel_size": 3, "padding": 1}, {"kernel_size": 3, "stride": 2}, {"kernel_size": 1},
        {"kernel_size": 3, "padding": 1, "padding_mode": "reflect"}, {"kernel_size": 3, "groups": 2},
    ],
)  # fmt: skip
def test_drop_connect_keeps_channels_last(per: Any, given: Any) -> None:
    layer = DropConnectConv2d(4, 6, p=0.5, per=per, seed=3, **given).train()
    image = torch.rand(8, 4, 7, 7)
    last = layer(image.to(memory_format=torch.channels_last))
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert layer(image).is_contiguous()


def test_drop_connect_keeps_the_values_and_channels_last_in_three_dimensions() -> None:
    """With a tiny p, a mask drops nothing: the output is that of torch's convolution."""
    layer = DropConnectConv3d(2, 3, 3, p=1e-12, per="sample").train()
    image = torch.rand(2, 2, 4, 4, 4).to(memory_format=torch.channels_last_3d)
    found = layer(image)
    assert found.is_contiguous(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(found, torch.nn.functional.conv3d(image, layer.weight, layer.bias))
