"""`python -m quantvsr` is the command line."""

import sys

from quantvsr.cli import main

if __name__ == "__main__":
    sys.exit(main())
