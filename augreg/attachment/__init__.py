"""Attach regularizers to the modules of an existing model, and detach them again."""
