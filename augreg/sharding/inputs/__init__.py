"""Inputs of many samples: folders of images, tars in WebDataset's layout, Parquet files, lists of paths and URLs."""

from augreg.sharding.inputs.opening import kind_of, open_input

__all__ = ["kind_of", "open_input"]
