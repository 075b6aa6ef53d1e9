"""The layer of scale noise, usable by itself."""

import torch


class ScaleNoiseLayer(torch.nn.Module):
    """Multiply each sample of a batch by a number drawn from N(1, std) while training; does nothing in eval mode."""

    def __init__(self, std):
        super().__init__()
        self.std = std

    def forward(self, x):
        """The same shape; the first dimension is the batch."""
        if not self.training:
            return x
        shape = (x.shape[0],) + (1,) * (x.ndim - 1)
        return x * (1 + self.std * torch.randn(shape, dtype=x.dtype, device=x.device))

    def extra_repr(self):
        """What the report shows."""
        return f"std={self.std:g}"
