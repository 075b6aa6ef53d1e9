"""Rewrites the blocks of the documents that show a file: what a reader sees is the file itself.

    <!-- file: plugins/augreg-example/augreg_example/snow.py -->
    ```python
    ...                       the file's text, put here by `make docs`
    ```

A test fails where such a block differs from its file.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^(<!-- file: (?P<file>\S+) -->\n```\w*\n)(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def renewed(document: str, root: Path = ROOT) -> str:
    """The document with the present text of every file that it shows.

    Raises ValueError for a file that is not there, one that has a fence itself, and a marker without a block.
    """
    if document.count("<!-- file:") != len(BLOCK.findall(document)):
        raise ValueError("each line `<!-- file: PATH -->` needs a block of code below it")

    def shown(found: re.Match[str]) -> str:
        path = root / found["file"]
        if not path.is_file():
            raise ValueError(f"there is no {found['file']} to show")
        text = path.read_text(encoding="utf-8")
        if "```" in text:
            raise ValueError(f"{found['file']} has a fence of its own, which would end the block")
        return f"{found[1]}{text.rstrip()}\n```"

    return BLOCK.sub(shown, document)


def main() -> int:
    """Rewrite docs/*.md in place, and name those that changed."""
    for path in sorted((ROOT / "docs").rglob("*.md")):
        before = path.read_text(encoding="utf-8")
        after = renewed(before)
        if after != before:
            path.write_text(after, encoding="utf-8")
            print(path.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
