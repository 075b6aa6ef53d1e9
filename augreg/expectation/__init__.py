"""The expectation of a model's predictions over image views and model noise, and how far fast rules are from it."""
