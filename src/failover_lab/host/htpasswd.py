"""``htpasswd``: the password file of the lab's own registry."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from failover_lab import arguments
from failover_lab.door.answer import Answer
from failover_lab.errors import UserError
from failover_lab.run import files

if TYPE_CHECKING:
    from types import ModuleType


def hashing() -> ModuleType:
    """The package that makes and checks the hashes; no other command needs it.

    Raises:
        UserError: it is missing.
    """
    try:
        import bcrypt  # noqa: PLC0415
    except ImportError as error:
        raise UserError(
            f"the registry's password file needs the Python package bcrypt ({error}); run `make env`"
        ) from error
    return bcrypt


def user(value: str) -> str:
    """A type for a name that a line of the file can begin with."""
    if not value or ":" in value or not value.isprintable():
        raise argparse.ArgumentTypeError(f"{value!r} is no user name; give one without a colon")
    return value


def fits(line: str, username: str, password: bytes) -> bool:
    """Whether a line of a password file lets this user in with this password."""
    name, _, hashed = line.strip().partition(":")
    try:
        return name == username and bool(hashing().checkpw(password, hashed.encode()))
    except ValueError:
        return False


def run(options: argparse.Namespace) -> Answer:
    """Write the password file of the lab's own registry.

    Prints `written`, or `kept` where the file fits already.

    Raises:
        UserError: the password file cannot be read or is empty, the result cannot be written, or
            bcrypt is missing.
    """
    bcrypt = hashing()
    try:
        password = options.password_file.read_bytes().strip()
    except OSError as error:
        raise UserError(f"cannot read {options.password_file}: {error.strerror}") from error
    # bcrypt looks at 72 bytes: a longer password would let in whoever knows its beginning.
    if not 0 < len(password) <= 72:
        raise UserError(f"{options.password_file} must hold a password of 1 to 72 bytes")
    try:
        if options.out.is_file() and fits(
            options.out.read_text(encoding="utf-8", errors="replace"), options.username, password
        ):
            print("kept")
            return Answer()
        hashed = bcrypt.hashpw(password, bcrypt.gensalt(rounds=options.rounds)).decode()
        files.write_atomic(options.out, f"{options.username}:{hashed}\n")
        # The registry reads it as whatever user its image has; behind a 0700 folder others cannot.
        options.out.chmod(0o644)
    except OSError as error:
        raise UserError(f"cannot write {options.out}: {error.strerror}") from error
    print("written")
    return Answer(changed=True)


def add_parser(commands: arguments.Commands) -> None:
    """Add this subcommand."""
    parser = arguments.command(commands, "htpasswd", run)
    parser.add_argument("--username", required=True, type=user)
    parser.add_argument("--password-file", type=Path, required=True, metavar="FILE")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    parser.add_argument(
        "--rounds", type=arguments.whole(4, 16), default=10, help="bcrypt's cost (default: %(default)s)"
    )
