"""The work of `augreg apply` on one image: read it, make its copies, and write them."""

from __future__ import annotations

import errno
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from augreg.commands import parallel
from augreg.commands.output_folder import finished, identity, write
from augreg.errors import ImageError
from augreg.images.codecs import to_array
from augreg.images.encoding import encode, encode_mask, read_mask
from augreg.pipeline import Pipeline

__all__ = ["Task", "WriteCopies"]

_NO_MORE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


@dataclass(frozen=True)
class Task:
    """An image, its key, and the copies to write: (number, path of the image, path of the mask or None)."""

    image: Path
    key: str
    mask: Path | None
    copies: tuple[tuple[int, Path, Path | None], ...]


@dataclass(frozen=True)
class WriteCopies:
    """Writes the copies of a task; pickled for the worker processes."""

    spec: Mapping[str, Any]
    format: str
    epoch: int = 0
    test: bool = False
    out: Path | None = None
    identity: tuple[int, int] | None = None
    """What the folder `out` was when the run began; None to write to wherever the paths lead."""

    @functools.cached_property
    def pipeline(self) -> Pipeline:
        """The pipeline of the spec; created once in each process."""
        return Pipeline.from_spec(self.spec)

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def __call__(self, task: Task) -> None:
        """Write every missing copy; the mask first, because an existing image counts as a finished copy."""
        read = to_array(task.image, self.pipeline.options.channels)
        pipeline = self.pipeline.replace(channels="rgba") if read.alpha else self.pipeline  # an array shows no alpha
        mask, palette = (None, None) if task.mask is None else read_mask(task.mask)
        for view, to, mask_to in task.copies:
            if parallel.stopping():
                return
            copy, copy_mask = self._copy(pipeline, read.array, mask, task.key, view)
            if mask_to is not None and not finished(mask_to):
                self._write(mask_to, encode_mask(copy_mask, palette))
            if not finished(to):
                self._write(to, encode(copy, self.format))

    def _write(self, path: Path, data: bytes) -> None:
        """Write a file. Raises StopError if no other could be written either, and ImageError if only this one not."""
        try:
            self._check_folder()
            write(path, data, self.out)
        except OSError as error:
            self._check_folder()
            why = error.strerror or str(error)
            if error.errno in _NO_MORE:
                raise parallel.StopError(f"{self.out or path.parent}: cannot be written to: {why}") from None
            if error.errno == errno.ENAMETOOLONG:  # the name is said once, that of the image
                raise ImageError(f"its copies cannot be written: {why}; give the image a shorter name") from None
            raise ImageError(f"{path.name}: cannot be written: {why}") from None

    def _check_folder(self) -> None:
        if self.identity is not None and self.out is not None and identity(self.out) != self.identity:
            raise parallel.StopError(f"{self.out} was moved, removed or replaced during the run; put it back")

    def _copy(self, pipeline: Pipeline, image: Any, mask: Any, key: str, view: int) -> tuple[Any, Any]:
        sample = image if mask is None else {"image": image, "mask": mask}
        if self.test:
            result = pipeline.test(sample)
        else:
            result = pipeline.train(sample, index=key, epoch=self.epoch, view=view)
        return (result, None) if mask is None else (result["image"], result["mask"])
