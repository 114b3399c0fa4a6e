"""`python -m qwenpick` is the console script."""

import sys

from qwenpick.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
