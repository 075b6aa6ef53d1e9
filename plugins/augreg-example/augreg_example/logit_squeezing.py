"""Logit squeezing: a regularizer of the loss section."""

from typing import Annotated

from msgspec import Meta

from augreg import regularizer


@regularizer("logit_squeezing", section="loss", preview=({"strength": 0.01}, {"strength": 0.1}))
class LogitSqueezing:
    """Add `strength` times the squared length of the logits to the loss of each sample.

    Kannan, Kurakin and Goodfellow 2018, arXiv 1803.06373.
    """

    strength: Annotated[float, Meta(ge=0)] = 0.05

    def term(self, logits):
        """One number for each sample of N x K x .. logits, whose classes are on axis 1."""
        return self.strength * logits.square().sum(1)
