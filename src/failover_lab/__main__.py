"""``python -m failover_lab``."""

import os
import sys

from failover_lab import arguments, cli
from failover_lab.host import streams, surroundings

__all__ = ["main"]


def main() -> int:
    """Run one subcommand as a process of its own.

    Returns:
        As ``cli.main``; 2 as well where what it says cannot be written.
    """
    streams.open_all()
    surroundings.settle(os.environ)
    try:
        try:
            return cli.main()
        finally:
            # --help ends by an exception.
            streams.flushed()
    except BrokenPipeError:
        return 1
    except OSError as error:
        # Status 1 would be the answer no.
        if error.errno not in streams.NO_ROOM:
            raise
        print(
            f"{arguments.PROGRAM}: error: what it says cannot be written: {error.strerror}", file=sys.stderr
        )
        return 2


if __name__ == "__main__":
    sys.exit(main())
