"""``python -m cnncli`` is ``cnn``."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
