"""The layer of scale noise, which can also be used without augreg."""

import torch


class ScaleNoiseLayer(torch.nn.Module):
    """Multiply each sample of a batch by a random number from N(1, std) in training; the identity in eval mode."""

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
        """The arguments, for `repr` and for reports."""
        return f"std={self.std:g}"
