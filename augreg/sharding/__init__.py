"""Augment more images than one machine should: outputs in shards, each a function of spec, input and number.

An *input* is a list of samples (a folder, tar shards, Parquet files, a list of paths). A *piece* is what one output
shard reads of it. A *job* says how the samples of every piece become the samples of a shard.
"""
