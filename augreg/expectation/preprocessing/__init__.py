"""`skew`: how the images that a model gets differ from those of its pipeline."""
