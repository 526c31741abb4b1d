"""``python -m failover_lab``."""

import sys

from failover_lab.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
