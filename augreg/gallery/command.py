"""`augreg gallery`: the arguments of the command, and writing the page."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from augreg.commands.console import FAILED, INSTEAD, USAGE, check_readable, print_error, print_lines, print_problems
from augreg.files.whole_files import whole_file

__all__ = ["add", "main"]

_ABOUT = "Write one self-contained page that shows what a pipeline does to images; or edit its spec beside them."


def add(commands: Any) -> None:
    """Declare the command among others."""
    _declare(
        commands.add_parser(
            "gallery", help="write a page that shows what a pipeline does to images", description=_ABOUT
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
        "--images",
        nargs="+",
        type=Path,
        metavar="PATH",
        help="images, or folders of images or of class folders (default: sample photos)",
    )
    parser.add_argument("--out", type=Path, help="the page (default: gallery.html)")
    parser.add_argument(
        "--live", action="store_true", help="instead of writing a page, show it in the browser, beside an editor"
    )
    parser.add_argument(
        "--port", type=_port, default=0, metavar="N", help="the port for --live (default: any that is free)"
    )
    parser.add_argument(
        "--size", type=_size, metavar="N", help="first shrink the images to a shorter side of N, as cifar10 needs"
    )
    parser.add_argument(
        "--catalogue", action="store_true", help="also show every registered transform and regularizer"
    )
    parser.add_argument("--seed", type=_seed, metavar="N", help="used in place of the spec's seed")
    parser.set_defaults(run=_run, usage_error=parser.error)


def _run(arguments: argparse.Namespace) -> int:
    """Write the page. Returns 0; 1 for an invalid spec or images that failed; 2 for files that cannot be used."""
    if arguments.live:
        return _serve(arguments)
    out: Path = arguments.out or Path("gallery.html")
    if out.is_dir() or not out.parent.is_dir():  # checked before the work is done
        missing = f"there is no folder {out.parent}; make it first"
        why = f"{out} is a folder; give a file in it" if out.is_dir() else missing
        arguments.usage_error(f"--out {out}: {why}")
    code = check_readable(arguments.spec)
    if code:
        return code
    # imported here: --help should not wait for array libraries
    from augreg.errors import AugregError
    from augreg.gallery.page import check_shown, page
    from augreg.gallery.photos import find, samples
    from augreg.pipeline import Pipeline

    try:
        pipeline = Pipeline.from_spec(arguments.spec)
        check_shown(pipeline, "augreg gallery", INSTEAD)
    except AugregError as error:
        return print_problems(arguments.spec, error)
    try:
        names = find(arguments.images) if arguments.images else {path: path.name for path in samples()}
    except (AugregError, OSError) as error:
        print_error(error)
        return USAGE
    registry = pipeline.registry if arguments.catalogue else None
    title = Path(arguments.spec).name
    made = page(pipeline, names, arguments.seed, registry, title=title, size=arguments.size, names=names)
    try:
        with whole_file(out) as part:
            part.write_text(made.html, encoding="utf-8", newline="\n")
    except OSError as error:
        print_error(f"{out}: cannot be written: {error.strerror or error}")
        return USAGE
    print_lines(f"wrote {out} ({out.stat().st_size / 1e6:.1f} MB); open it in a browser")
    if made.failures:
        print_error(f"{len(made.failures)} of the images on the page failed:")
        print_error(*(f"  {name}: {error.removeprefix(f'{name}: ')}" for name, error in made.failures))
    return FAILED if made.failures else 0


def _serve(arguments: argparse.Namespace) -> int:
    """Serve the live page until Ctrl-C. Returns 0, or 2 for files and ports that cannot be used."""
    if arguments.out is not None or arguments.catalogue:
        arguments.usage_error("--live writes no page: leave out --out and --catalogue")
    code = check_readable(arguments.spec)
    if code:
        return code
    from augreg.errors import AugregError
    from augreg.gallery.live.server import MOST_LETTERS, Live
    from augreg.gallery.live.worker import Worker
    from augreg.gallery.photos import find, samples
    from augreg.images.files import read_file
    from augreg.registry.registry import Registry
    from augreg.spec.files import presets

    path = {**presets(), **Registry.installed().presets}.get(arguments.spec, Path(arguments.spec))
    suffix = path.suffix.lower()
    try:
        text = read_file(path).decode("utf-8-sig")
        names = find(arguments.images) if arguments.images else {path: path.name for path in samples()}
        if suffix not in (".yaml", ".yml", ".json", ".toml"):
            raise ValueError(f"{path}: a spec file must end in .yaml, .yml, .json or .toml")
        if len(text) > MOST_LETTERS:
            raise ValueError(f"{path}: the editor takes specs of at most {MOST_LETTERS} letters")
    except (AugregError, OSError, ValueError) as error:
        print_error(error)
        return USAGE
    with closing(Worker(suffix, names, arguments.seed, arguments.size)) as worker:
        try:
            server = Live(text, Path(arguments.spec).name, suffix, worker, arguments.port)
        except OSError as error:
            print_error(f"--port {arguments.port}: {error.strerror or error}; leave it out to take any that is free")
            return USAGE
        with server:
            print_lines(f"open {server.address} in a browser of this machine; Ctrl+C ends it")
            sys.stdout.flush()
            try:
                server.serve_forever()
            except KeyboardInterrupt:
                print_lines("ended")
    return 0


def _port(text: str) -> int:
    if text.isdecimal() and int(text[:6]) < 2**16:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a port from 0 to 65535, got {text!r}")


def _seed(text: str) -> int:
    if text.isdecimal() and int(text) < 2**63:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a whole number from 0 to 2^63 - 1, got {text!r}")


def _size(text: str) -> int:
    if text.isdecimal() and 1 <= int(text) < 2**16:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a number of pixels from 1 to 65535, got {text!r}")
