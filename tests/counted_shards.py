"""`augreg apply` that logs, as a line each, the shards that it begins and the samples that it reads and augments.

It is run as a script. The processes that it spawns import it too, and so they log to the same file, AUGREG_LOG.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

from augreg.__main__ import main
from augreg.sharding import shard

_log = os.open(os.environ["AUGREG_LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
_make, _read, _augment = shard._make, shard._read, shard.augment


_shard = -1  # the one that this process makes


def _note(what: str, key: object = "") -> None:
    os.write(_log, f"{what} {_shard} {key}\n".encode())


def _logged_make(job: Any, task: Any, *more: Any) -> Any:
    global _shard
    _shard = task.shard
    _note("begin")
    return _make(job, task, *more)


def _logged_read(piece: Any) -> Iterator[Any]:
    for sample in _read(piece):
        _note("read", sample.key)
        yield sample


def _logged_augment(job: Any, sample: Any, *first: Any) -> Any:
    _note("augment", sample.key)
    return _augment(job, sample, *first)


shard._make, shard._read, shard.augment = _logged_make, _logged_read, _logged_augment

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
