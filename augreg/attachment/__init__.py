"""Attaching regularizers to the modules of a model that was not built for them."""
