"""Finds what draws random numbers in a model, turns it on exactly, and keeps the state of the model."""
