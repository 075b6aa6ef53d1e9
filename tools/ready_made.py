"""Draw the gallery's pictures of regularizers, which the page shows where torch is not installed.

    python tools/ready_made.py         # writes gallery/ready-made; needs torch

Run it when a regularizer, its previews or the drawing changes: tests/test_gallery_ready_made.py compares the files
with what the code draws.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import torch

from augreg.gallery.ready_made import FOLDER, write
from augreg.registry.registry import Registry


def main() -> int:
    """Write the files anew, and print their number and size."""
    folder = Path(__file__).parents[1] / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write(folder, torch.__version__.partition("+")[0], Registry.installed())
    files = [path for path in folder.iterdir() if path.is_file()]
    print(f"{len(files)} files, {sum(path.stat().st_size for path in files) / 1000:.0f} kB in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
