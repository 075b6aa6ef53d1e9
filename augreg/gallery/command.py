"""`augreg gallery`: the arguments of the command, and writing the page."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

__all__ = ["add", "main"]

_ABOUT = "Write one self-contained page that shows a pipeline and every registered transform."


def add(commands: Any) -> None:
    """Declare the command among others."""
    _declare(
        commands.add_parser(
            "gallery", help="write a page that shows a pipeline and every transform", description=_ABOUT
        )
    )


def main(argv: list[str] | None = None) -> int:
    """Run the command by itself, as `python -m augreg.gallery` does."""
    parser = argparse.ArgumentParser(prog="augreg gallery", description=_ABOUT)
    _declare(parser)
    return _run(parser.parse_args(argv))


def _declare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--spec", default="imagenet", help="a preset's name or a spec file (default: imagenet)")
    parser.add_argument(
        "--images", nargs="+", type=Path, metavar="PATH", help="images, or folders of them (default: sample photos)"
    )
    parser.add_argument("--out", type=Path, default=Path("gallery.html"), help="the page (default: gallery.html)")
    parser.add_argument(
        "--size", type=_size, metavar="N", help="first shrink the images to a shorter side of N, as cifar10 needs"
    )
    parser.add_argument("--seed", type=_seed, metavar="N", help="used in place of the spec's seed")
    parser.set_defaults(run=_run, usage_error=parser.error)


def _run(arguments: argparse.Namespace) -> int:
    """Write the page. Returns 0; 2 for a spec or images that cannot be used; 1 where the page cannot be written."""
    out: Path = arguments.out
    if out.is_dir() or not out.parent.is_dir():  # checked before the work is done
        arguments.usage_error(f"--out {out}: expected a file in a folder that exists")
    # imported here: --help should not wait for array libraries
    from augreg.errors import AugregError, SpecError, printable
    from augreg.gallery.page import page
    from augreg.gallery.photos import find, samples
    from augreg.pipeline import Pipeline

    try:
        pipeline = Pipeline.from_spec(arguments.spec)
        images = find(arguments.images) if arguments.images else samples()
    except (AugregError, FileNotFoundError) as error:
        print(error if isinstance(error, SpecError) else printable(error), file=sys.stderr)
        return 2
    html = page(pipeline, images, arguments.seed, title=Path(arguments.spec).name, size=arguments.size)
    try:
        _write(out, html)
    except OSError as error:
        print(printable(f"{out}: cannot be written: {error.strerror or error}"), file=sys.stderr)
        return 1
    print(printable(f"wrote {out} ({out.stat().st_size / 1e6:.1f} MB); open it in a browser"))
    return 0


def _seed(text: str) -> int:
    if text.isdecimal() and int(text) < 2**63:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a whole number from 0 to 2^63 - 1, got {text!r}")


def _size(text: str) -> int:
    if text.isdecimal() and 1 <= int(text) < 2**16:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a number of pixels from 1 to 65535, got {text!r}")


def _write(path: Path, text: str) -> None:
    """Write the file whole or not at all: a browser that has the page open never reads half of it."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8", newline="\n")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
