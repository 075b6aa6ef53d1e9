"""Outputs: the copies of a shard stored as a tar, as a Parquet file, or as files in folders."""

from __future__ import annotations

from augreg.sharding.outputs.opening import check_output, digest_of, open_writer
from augreg.sharding.outputs.output import KINDS, Output, OutputError, Writer, shard_file

__all__ = ["KINDS", "Output", "OutputError", "Writer", "check_output", "digest_of", "open_writer", "shard_file"]
