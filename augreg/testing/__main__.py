"""`python -m augreg.testing NAMESPACE`: runs the conformance kit on a plugin."""

from __future__ import annotations

import argparse
import sys

from augreg.errors import AugregError, SpecError, printable
from augreg.testing.plugins import cases


def main(argv: list[str] | None = None) -> int:
    """Run every check and print failures. Return 0, 1 if a check failed, or 2 for invalid arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m augreg.testing", description="Run the conformance kit on every object of a plugin."
    )
    parser.add_argument(
        "namespace", help="the plugin's entry point, such as `example`, or `augreg` for the built-ins"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="also print the checks that pass")
    options = parser.parse_args(argv)
    passed = failed = 0
    try:
        for case in cases(options.namespace):
            try:
                case.check()
            except Exception as error:  # a check may raise anything
                failed += 1
                print(printable(f"FAILED {case.id}: {str(error) or type(error).__name__}", lines=True))
            else:
                passed += 1
                if options.verbose:
                    print(printable(f"passed {case.id}"))
    except AugregError as error:
        print(error if isinstance(error, SpecError) else printable(error), file=sys.stderr)
        return 2
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
