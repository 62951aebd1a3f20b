"""``python -m dotcount``: the command line, also where the ``dotcount`` script is not on the PATH."""

import sys

from dotcount.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
