"""What the regularizer of the loss section does."""

import pytest

import augreg


def test_logit_squeezing_adds_the_squared_length():
    """0.1 (3 * 3 + 4 * 4) = 2.5 for the first sample and 0 for the second: 1.25 on average."""
    torch = pytest.importorskip("torch")
    logits, labels = torch.tensor([[3.0, 4.0], [0.0, 0.0]]), torch.tensor([0, 1])
    criterion = augreg.Pipeline.from_spec({"loss": [{"example/logit_squeezing": 0.1}]}).criterion()
    plain = torch.nn.functional.cross_entropy(logits, labels)
    assert torch.isclose(criterion(logits, labels), plain + 1.25)
