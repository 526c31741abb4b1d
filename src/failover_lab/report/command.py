"""``report``: from a run's directory to its report."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema

from failover_lab import files
from failover_lab.errors import UserError
from failover_lab.report import html, junit, load, summary
from failover_lab.report.build import build

if TYPE_CHECKING:
    from failover_lab.arguments import Parser


def add_parser(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add ``report`` to the command line."""
    parser = commands.add_parser(
        "report",
        help="make report.json, junit.xml and report.html from a run's directory",
        description="Reads requests.csv.gz, marks.jsonl, events.jsonl, probe.json and run.json, writes "
        "report.json, junit.xml and report.html beside them, and prints a summary. Status 0 when the "
        "verdict is a pass, else 1.",
    )
    parser.add_argument("directory", type=Path, metavar="DIR", help="the run's directory")
    parser.set_defaults(run=run)


def write(directory: Path) -> tuple[list[str], bool]:
    """Make the report.

    Returns:
        the summary's lines, and whether the verdict is a pass.

    Raises:
        UserError: the directory is no run's, or the report cannot be written.
    """
    report = build(load.load(directory))
    jsonschema.validate(report.content, load.schema("report"), cls=jsonschema.Draft202012Validator)
    try:
        # The figures first: whatever may be wrong with the pictures, the verdict is there.
        files.write_json(directory / "report.json", report.content)
        files.write_atomic(directory / "junit.xml", junit.render(report.content))
        files.write_atomic(directory / "report.html", html.render(report))
    except OSError as error:
        raise UserError(f"cannot write the report to {directory}: {error.strerror}") from error
    return summary.lines(report.content, directory), report.content["verdict"]["passed"]


def run(options: argparse.Namespace) -> int:
    """Carry out ``report``."""
    lines, passed = write(options.directory)
    print("\n".join(lines), file=sys.stdout)
    return 0 if passed else 1
