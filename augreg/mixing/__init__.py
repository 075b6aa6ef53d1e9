"""Batch mixing: what is blended with what, done to arrays and tensors, and the soft labels that follow."""
