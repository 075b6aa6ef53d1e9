"""Update the blocks of the documents that show a file, or list the pages of a folder.

    <!-- file: plugins/augreg-example/augreg_example/snow.py -->
    ```python
    ...                       the text of the file, inserted by `make docs`
    ```

    <!-- pages: docs/decisions -->
    ...                       a list of the titles of its pages, with links
    <!-- end -->

A test fails if such a block differs from its files.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^(<!-- file: (?P<file>\S+) -->\n```\w*\n)(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)

PAGES = re.compile(r"^(<!-- pages: (?P<folder>\S+) -->\n).*?^(<!-- end -->)$", re.MULTILINE | re.DOTALL)


def updated(document: str, root: Path = ROOT) -> str:
    """The document with the current text of every file that it shows, and the titles of the pages that it lists.

    Raises ValueError for a missing file, a file that contains a code fence, and a marker without a code block.
    """
    if document.count("<!-- file:") != len(BLOCK.findall(document)):
        raise ValueError("each line `<!-- file: PATH -->` needs a code block below it")

    def block(match: re.Match[str]) -> str:
        path = root / match["file"]
        if not path.is_file():
            raise ValueError(f"no such file: {match['file']}")
        text = path.read_text(encoding="utf-8")
        if "```" in text:
            raise ValueError(f"{match['file']} contains a code fence, which would end the block")
        return f"{match[1]}{text.rstrip()}\n```"

    def listed(match: re.Match[str]) -> str:
        pages = sorted((root / match["folder"]).glob("[0-9]*.md"))
        titles = [page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ") for page in pages]
        lines = [f"- [{title}]({page.name})\n" for title, page in zip(titles, pages, strict=True)]
        return f"{match[1]}{''.join(lines)}{match[3]}"

    return PAGES.sub(listed, BLOCK.sub(block, document))


def main() -> int:
    """Update docs/*.md in place, and print the files that changed."""
    for path in sorted((ROOT / "docs").rglob("*.md")):
        before = path.read_text(encoding="utf-8")
        after = updated(before)
        if after != before:
            path.write_text(after, encoding="utf-8")
            print(path.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
