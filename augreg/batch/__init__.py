"""Mixing the images of a batch, and their labels."""
