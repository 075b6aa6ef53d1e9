"""`python -m augreg.testing NAMESPACE`: the conformance kit on a plugin, from the command line."""

from __future__ import annotations

import argparse
import sys

from augreg.errors import AugregError
from augreg.testing.plugins import cases


def main(argv: list[str] | None = None) -> int:
    """Run every check; print what fails. Returns 0, 1 where a check failed, 2 for a wrong call."""
    parser = argparse.ArgumentParser(
        prog="python -m augreg.testing", description="Check everything that a plugin brings against the contract."
    )
    parser.add_argument("namespace", help="the plugin's entry point, such as `example`; `augreg` for the built-ins")
    parser.add_argument("-v", "--verbose", action="store_true", help="name the checks that pass too")
    options = parser.parse_args(argv)
    passed = failed = 0
    try:
        for case in cases(options.namespace):
            try:
                case.check()
            except Exception as error:  # a check reports whatever goes wrong
                failed += 1
                print(f"FAILED {case.id}: {str(error) or type(error).__name__}")
            else:
                passed += 1
                if options.verbose:
                    print(f"passed {case.id}")
    except AugregError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
