"""The subcommands of the package, as its own parser has them."""

from __future__ import annotations

import argparse

from failover_lab import cli


def subcommands() -> dict[str, argparse.ArgumentParser]:
    """The parser of each, by its name."""
    (found,) = (
        action.choices for action in cli.parser()._actions if isinstance(action, argparse._SubParsersAction)
    )
    return dict(found)
