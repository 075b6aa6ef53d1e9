"""Ensembles: the mean of several models' predictions, as one module.

    ensemble = Ensemble([first, second, third]).eval()
    probabilities = ensemble(images)

The members are models from independent trainings, or snapshots of one training.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

__all__ = ["Ensemble"]


class Ensemble(nn.Module):
    """A module of several models for one task, which returns the mean of their predictions.

    The members take the same input and return logits, N x C or N x C x ... `mean` says what is averaged and returned:

    - `probabilities`: the mean of softmax(logits), which are probabilities.
    - `geometric`: the geometric mean of the probabilities, normalized to sum to 1, which is softmax(mean logits).
    - `logits`: the mean of the outputs of the members, unchanged; for regression too.

    With `multi_label` each class is true or false independently of the others, and the probabilities are
    sigmoid(logits). Probabilities are computed in float32 or better. Members are not copied, and train() and eval()
    apply to them. Hansen and Salamon 1990. Raises ValueError if there are no members, or if one is given twice.
    """

    def __init__(
        self,
        members: Iterable[nn.Module],
        mean: Literal["probabilities", "geometric", "logits"] = "probabilities",
        *,
        multi_label: bool = False,
    ) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        if not self.members:
            raise ValueError("an ensemble needs at least one member")
        if len({id(member) for member in self.members}) < len(self.members):
            raise ValueError("a model was given twice: for snapshots of one model, use Ensemble.of_snapshots")
        if mean not in ("probabilities", "geometric", "logits"):
            raise ValueError(f"mean is 'probabilities', 'geometric' or 'logits', got {mean!r}")
        self.mean = mean
        self.multi_label = multi_label

    @classmethod
    def of_snapshots(cls, model: nn.Module, states: Iterable[Mapping[str, Any]], **arguments: Any) -> Ensemble:
        """An ensemble of copies of one model with several of its state_dicts; the model itself is not changed.

        Huang et al. 2017, arXiv 1704.00109, take the snapshots at the ends of cycles of the learning rate.
        """
        members = []
        for state in states:
            member = copy.deepcopy(model)
            member.load_state_dict(state)
            members.append(member)
        return cls(members, **arguments)

    def forward(self, *inputs: Any, **named: Any) -> Tensor:
        """The mean prediction; the arguments are passed to every member."""
        total: Tensor | None = None
        for member in self.members:
            prediction = self._prediction(member(*inputs, **named))
            total = prediction if total is None else total + prediction
        assert total is not None  # there is at least one member
        mean = total / len(self.members)
        return self._probabilities(mean) if self.mean == "geometric" else mean

    def _prediction(self, output: Any) -> Tensor:
        if not isinstance(output, Tensor):
            raise TypeError(f"members of an ensemble must return a tensor of logits, got {type(output).__name__}")
        if self.mean == "logits":
            return output
        if output.ndim < 2:
            raise ValueError(f"logits must be samples x classes x .., got the shape {list(output.shape)}")
        output = output if output.dtype == torch.float64 else output.float()
        return output if self.mean == "geometric" else self._probabilities(output)

    def _probabilities(self, logits: Tensor) -> Tensor:
        return logits.sigmoid() if self.multi_label else logits.softmax(1)
