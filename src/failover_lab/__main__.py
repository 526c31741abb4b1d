"""``python -m failover_lab``."""

import os
import sys

from failover_lab.cli import main
from failover_lab.host import surroundings

__all__ = ["main"]

if __name__ == "__main__":
    surroundings.settle(os.environ)
    sys.exit(main())
