"""`python -m augreg.gallery`."""

import sys

from augreg.gallery import main

if __name__ == "__main__":
    sys.exit(main())
