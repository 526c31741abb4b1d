"""The parts of the suite: what each is for, how long it takes, and which of them a change touches.

usage: python -m tests.suite [list | table | touched [--base REVISION] [-- pytest's options]]
"""

from __future__ import annotations

import argparse
import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILE = Path(__file__).with_suffix(".toml")
PAGE = ROOT / "CONTRIBUTING.md"
# What all tests on the cluster stand on: whoever changes it has touched each of them.
SHARED = ("tests/beside.py", "tests/conftest.py")


@dataclass(frozen=True)
class Part:
    """A file or a folder of tests.

    Attributes:
        path: relative to the checkout.
        purpose: what it is for, in a line.
        touches: the folders and files that it is the test of, relative to the checkout; "" is all of them.
        test_s: how long it takes in `make test`, in seconds; None where it is not in there.
        more_s: how long what it has besides takes in `make test-all`; None where that is nothing.
        beside: whether it runs beside others.
    """

    path: str
    purpose: str
    touches: tuple[str, ...]
    test_s: int | None = None
    more_s: int | None = None
    beside: bool = False

    def _time(self, seconds: int | None) -> str:
        """Minutes and seconds, with a star where others run meanwhile."""
        if seconds is None:
            return ""
        return f"{seconds // 60}:{seconds % 60:02}{'*' if self.beside else ''}"

    @property
    def time_in_test(self) -> str:
        """How long it takes in `make test`; nothing where it is not in there."""
        return self._time(self.test_s)

    @property
    def time_more(self) -> str:
        """How long what it has besides takes in `make test-all`; nothing where that is nothing."""
        return self._time(self.more_s)


def _first_line(path: Path) -> str:
    """What a file of tests says that it is for."""
    told = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return told.partition("\n")[0].rstrip(".")


def parts() -> list[Part]:
    """All of them, in the order in which they run."""
    rows = tomllib.loads(FILE.read_text(encoding="utf-8"))["part"]
    return [
        Part(
            path=row["path"],
            purpose=row.get("purpose") or _first_line(ROOT / row["path"]),
            touches=tuple(row["touches"]),
            test_s=row.get("test_s"),
            more_s=row.get("more_s"),
            beside=row.get("beside", False),
        )
        for row in rows
    ]


def table() -> str:
    """The table of CONTRIBUTING.md: Markdown, times in minutes and seconds."""
    rows = [
        "| part | what it is for | `make test` | and in `make test-all` | is the test of |",
        "|---|---|---|---|---|",
    ]
    for part in parts():
        path = f"[{part.path.removeprefix('tests/')}]({part.path})"
        touched = ", ".join(f"`{where}`" for where in part.touches if where) or "all of it"
        rows.append(f"| {path} | {part.purpose} | {part.time_in_test} | {part.time_more} | {touched} |")
    return "\n".join(rows)


def listing() -> str:
    """What `make help` shows: both times, the part and what it is for."""
    rows = ["  test  test-all"]
    for part in parts():
        name = part.path.removeprefix("tests/")
        rows.append(f"  {part.time_in_test:>6} {part.time_more:>7}  {name}: {part.purpose}")
    return "\n".join([*rows, "  (minutes and seconds on two processors; *: while others run)"])


def _is_within(file: str, place: str) -> bool:
    return place in ("", file) or file.startswith(f"{place}/")


def touched(files: Iterable[str]) -> list[Part]:
    """The parts that a change of these files touches."""
    files = [*files]
    found = []
    for part in parts():
        folder = part.path.rpartition("/")[0] if part.path.endswith(".py") else part.path
        helpers = [f for f in files if _is_within(f, folder) and not Path(f).name.startswith("test_")]
        if helpers or any(
            _is_within(file, place) for file in files for place in (*part.touches, part.path, *SHARED)
        ):
            found.append(part)
    return found if files else []


def changed(base: str) -> list[str]:
    """The files that differ from where this work left the base, with those that git does not know yet.

    Raises:
        SystemExit: git does not know the base.
    """

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(
                f"make touched: {done.stderr.strip()}; name another base: make touched BASE=main"
            )
        return done.stdout

    began = git("merge-base", base, "HEAD").strip()
    named = git("diff", "--name-only", began) + git("ls-files", "--others", "--exclude-standard")
    return sorted(set(named.splitlines()))


def run_touched(base: str, options: list[str]) -> int:
    """Run the parts that the change touches; gives back pytest's status."""
    files = changed(base)
    chosen = touched(files)
    if not chosen:
        print(f"make touched: nothing differs from {base}")
        return 0
    print(f"make touched: {len(files)} files differ from {base}; that touches")
    for part in chosen:
        print(f"  {part.path}: {part.purpose}")
    quick = [part.path for part in chosen if part.touches == ("",)]
    rest = [part.path for part in chosen if part.path not in quick]
    two = ["-n", "2", "--dist", "worksteal"]
    pytest = [sys.executable, "-m", "pytest"]
    sys.stdout.flush()
    ended = subprocess.run([*pytest, "-q", *two, *quick, *options], cwd=ROOT, check=False)
    if ended.returncode == 0 and rest:
        ended = subprocess.run([*pytest, *rest, *options], cwd=ROOT, check=False)
    return ended.returncode


def main() -> int:
    """Print the table, or run what is touched."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="the parts, what each is for and how long it takes")
    commands.add_parser("table", help="the table of CONTRIBUTING.md")
    run = commands.add_parser("touched", help="run the parts that a change touches")
    run.add_argument("--base", default="main", help="a revision of git (default: %(default)s)")
    run.add_argument("options", nargs="*", help="pytest's options, after --")
    given = parser.parse_args()
    if given.command == "touched":
        return run_touched(given.base, given.options)
    print(listing() if given.command == "list" else table())
    return 0


if __name__ == "__main__":
    sys.exit(main())
