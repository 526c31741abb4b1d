"""``htpasswd``: the password file of the lab's own registry."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import bcrypt

from failover_lab import files
from failover_lab.errors import UserError

if TYPE_CHECKING:
    import argparse


def fits(line: str, username: str, password: bytes) -> bool:
    """Whether a line of a password file lets this user in with this password."""
    name, _, hashed = line.strip().partition(":")
    try:
        return name == username and bcrypt.checkpw(password, hashed.encode())
    except ValueError:
        return False


def run(options: argparse.Namespace) -> int:
    """Write the file unless it fits already; print ``written`` or ``kept``.

    Raises:
        UserError: the password file cannot be read or is empty, or the result cannot be written.
    """
    try:
        password = options.password_file.read_bytes().strip()
    except OSError as error:
        raise UserError(f"cannot read {options.password_file}: {error.strerror}") from error
    # bcrypt looks at 72 bytes: a longer password would let in whoever knows its beginning.
    if not 0 < len(password) <= 72:
        raise UserError(f"{options.password_file} must hold a password of 1 to 72 bytes")
    try:
        if options.out.is_file() and fits(
            options.out.read_text(encoding="utf-8"), options.username, password
        ):
            print("kept")
            return 0
        hashed = bcrypt.hashpw(password, bcrypt.gensalt(rounds=options.rounds)).decode()
        files.write_atomic(options.out, f"{options.username}:{hashed}\n")
        # The registry reads it as whatever user its image has; a hash behind a 0700 folder is safe from the others.
        options.out.chmod(0o644)
    except OSError as error:
        raise UserError(f"cannot write {options.out}: {error.strerror}") from error
    print("written")
    return 0


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this subcommand."""
    parser = commands.add_parser("htpasswd", help="write the password file of the lab's own registry")
    parser.add_argument("--username", required=True)
    parser.add_argument("--password-file", type=Path, required=True, metavar="FILE")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    parser.add_argument("--rounds", type=int, default=10, help="bcrypt's cost (default: %(default)s)")
    parser.set_defaults(run=run)
