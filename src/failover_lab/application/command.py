"""``application``: how the application of an image is to be run."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from failover_lab.application import image, profile
from failover_lab.door.answer import Answer
from failover_lab.errors import UserError

if TYPE_CHECKING:
    import argparse


def _object(text: str, name: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise UserError(f"{name} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise UserError(f"{name} is no JSON object")
    return found


def run(options: argparse.Namespace) -> Answer:
    """Say how it is run.

    Raises:
        UserError: the image leaves open what has to be known, or a setting is none.
    """
    wanted = _object(options.wanted, "--wanted")
    fields = {field.name for field in dataclasses.fields(profile.Wanted)}
    if strange := sorted(wanted.keys() - fields):
        raise UserError(f"--wanted has {', '.join(strange)}: it takes {', '.join(sorted(fields))}")
    chosen = profile.choose(image.read(_object(options.config, "--config")), profile.Wanted(**wanted))
    print(chosen.line)
    return Answer(dataclasses.asdict(chosen))


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this subcommand."""
    parser = commands.add_parser("application", help="say how the application of an image is to be run")
    parser.add_argument("--config", required=True, metavar="JSON", help="the image's configuration")
    parser.add_argument("--wanted", default="{}", metavar="JSON", help="what is set instead of what it says")
    parser.set_defaults(run=run)
