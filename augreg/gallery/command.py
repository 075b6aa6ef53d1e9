"""The command line of the gallery: which spec, which images, where to."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

__all__ = ["run"]


def run(argv: list[str] | None = None) -> int:
    """Write the page. Returns 0; 2 for a spec or images that cannot be used; 1 where the page cannot be written."""
    parser = _parser()
    options = parser.parse_args(argv)
    if options.out.is_dir() or not options.out.parent.is_dir():  # better said now than after the work is done
        parser.error(f"--out {options.out}: expected a file in a folder that exists")
    # after the options were read: --help should not wait for array libraries
    from augreg.errors import AugregError
    from augreg.gallery.page import page
    from augreg.gallery.photos import find, samples
    from augreg.pipeline import Pipeline

    try:
        pipeline = Pipeline.from_spec(options.spec)
        images = find(options.images) if options.images else samples()
    except (AugregError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 2
    html = page(pipeline, images, options.seed, title=Path(options.spec).name, size=options.size)
    try:
        _write(options.out, html)
    except OSError as error:
        print(f"{options.out}: cannot be written: {error.strerror or error}", file=sys.stderr)
        return 1
    print(f"wrote {options.out} ({options.out.stat().st_size / 1e6:.1f} MB); open it in a browser")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="augreg gallery",
        description="Write one page, everything inside it, that shows a pipeline and every registered transform.",
    )
    parser.add_argument("--spec", default="imagenet", help="a preset's name or a spec file (default: imagenet)")
    parser.add_argument(
        "--images", nargs="+", type=Path, metavar="PATH", help="images, or folders of them (default: sample photos)"
    )
    parser.add_argument("--out", type=Path, default=Path("gallery.html"), help="the page (default: gallery.html)")
    parser.add_argument(
        "--size", type=_size, metavar="N", help="first shrink the images to a shorter side of N, as cifar10 wants"
    )
    parser.add_argument("--seed", type=_seed, metavar="N", help="stands for the spec's own seed")
    return parser


def _seed(text: str) -> int:
    if text.isdecimal() and int(text) < 2**63:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a whole number from 0 to 2^63 - 1, got {text!r}")


def _size(text: str) -> int:
    if text.isdecimal() and 1 <= int(text) < 2**16:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a number of pixels from 1 to 65535, got {text!r}")


def _write(path: Path, text: str) -> None:
    """Whole or not at all: a page that is open in a browser is never found half written."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8", newline="\n")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
