"""Checkpoints that carry the pipeline a model was trained with."""
