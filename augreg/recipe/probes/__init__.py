"""What the steps look at to name causes: the outputs and inputs of a model, gradients, labels, validation data."""
