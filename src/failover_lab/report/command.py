"""``report``: from a run's directory to its report."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from failover_lab.door.answer import Answer, no, say
from failover_lab.errors import UserError
from failover_lab.run import files, marks
from failover_lab.run.layout import Run, may_point

if TYPE_CHECKING:
    from failover_lab.arguments import Parser

_BEGAN = re.compile(r"\d{8}T\d{6}Z-")


def facts(value: str) -> dict[str, Any]:
    """A type for the content of run.json."""
    try:
        # Of other programs' messages, which the play tells, some are in no character set.
        content = files.parse(value.encode("utf-8", errors="replace"))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"no JSON: {error}") from None
    if not isinstance(content, dict):
        raise argparse.ArgumentTypeError("no JSON object")
    return content


def add_parser(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add ``report`` and ``facts`` to the command line."""
    parser = commands.add_parser(
        "report",
        help="make report.json, junit.xml and report.html from a run's directory",
        description="Reads requests.csv.gz, marks.jsonl, events.jsonl, probe.json and run.json, writes "
        "report.json, junit.xml, report.html and summary.txt beside them, and prints the summary. Status 0 "
        "when the verdict is a pass, else 1.",
    )
    parser.add_argument("directory", type=Path, metavar="DIR", help="the run's directory")
    parser.add_argument("--facts", type=facts, metavar="JSON", help="write this to run.json first")
    parser.add_argument(
        "--latest",
        action="store_true",
        help="let the link `latest` beside the directory lead to it, unless it leads to a newer run's",
    )
    parser.add_argument(
        "--aborted-by", metavar="WHAT", help="mark first that this ended the run, unless something has"
    )
    parser.set_defaults(run=run)
    parser = commands.add_parser(
        "facts",
        help="make a run's directory and write down what is known before it begins",
        description="Writes run.json, whose shape is run.schema.json; report shows it. Without it a report "
        "does not say what was broken, and where.",
    )
    parser.add_argument("directory", type=Path, metavar="DIR", help="the run's directory; made if missing")
    parser.add_argument("facts", type=facts, metavar="JSON", help="what is known")
    parser.set_defaults(run=run_facts)


def write(directory: Path) -> tuple[list[str], bool]:
    """Make the report.

    Returns:
        the summary's lines, and whether the verdict is a pass.

    Raises:
        UserError: the directory is no run's, or the report cannot be written.
    """
    # A fifth of a second of imports, for which the other commands need not wait for.
    from failover_lab.report import html, junit, load, summary  # noqa: PLC0415
    from failover_lab.report.build import build  # noqa: PLC0415

    report = build(load.load(directory))
    load.validator("report").validate(report.content)
    lines = summary.lines(report.content, directory)
    folder = Run(directory)
    try:
        # The figures first: whatever may be wrong with the pictures, the verdict is there.
        files.write_json(folder.report, report.content)
        files.write_atomic(folder.junit, junit.render(report.content))
        files.write_atomic(folder.summary, "\n".join(lines) + "\n")
        files.write_atomic(folder.page, html.render(report))
    except OSError as error:
        raise UserError(f"cannot write the report to {directory}: {error.strerror}") from error
    return lines, report.content["verdict"]["passed"]


def _keep(directory: Path, content: dict[str, Any]) -> None:
    files.existing_directory(directory)
    try:
        files.write_json(Run(directory).facts, content)
    except OSError as error:
        raise UserError(f"cannot write {Run(directory).facts}: {error.strerror}") from error


def _see_to(content: dict[str, Any], *, so_far: bool = False) -> None:
    from failover_lab.report import load  # noqa: PLC0415  as above

    load.checked(content, "what is given for run.json", so_far=so_far)


def point_to(directory: Path) -> None:
    """Let the link beside the directory lead to it, in one step; one that leads to a newer run's stays.

    Raises:
        UserError: something else has the link's name, or the link cannot be made.
    """
    target = directory.resolve()
    link = Run(target).latest
    mine = link.with_name(f".{link.name}.{os.getpid()}")
    may_point(target)
    present = link.resolve()
    # Runs bear the instant at which they began.
    if (
        present.is_dir()
        and all(_BEGAN.match(run.name) for run in (present, target))
        and present.name > target.name
    ):
        return
    try:
        mine.symlink_to(target.name)
        mine.replace(link)
    except OSError as error:
        mine.unlink(missing_ok=True)
        raise UserError(f"cannot make the link {link}: {error.strerror}") from error


def run(options: argparse.Namespace) -> Answer:
    """Carry out ``report``."""
    if options.facts is not None:
        files.existing_directory(options.directory)
        # Those that are there may be good ones: they stay unless these are.
        _see_to(options.facts)
        _keep(options.directory, options.facts)
    if options.aborted_by is not None and not marks.has(options.directory, marks.ABORTED):
        marks.append(options.directory, [marks.ABORTED], {"by": options.aborted_by})
    lines, passed = write(options.directory)
    if options.latest:
        try:
            point_to(options.directory)
        except UserError as error:
            # The verdict stands, whatever leads to it.
            lines.append(f"Mind: {error}")
    say("\n".join(lines))
    data = {"passed": passed, "summary": lines}
    return Answer(data, changed=True) if passed else no(lines[0], data, changed=True)


def run_facts(options: argparse.Namespace) -> Answer:
    """Carry out ``facts``."""
    # Before anything is made: found out at the report, it would be too late.
    _see_to(options.facts, so_far=True)
    try:
        options.directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make {options.directory}: {error.strerror}") from error
    try:
        # Two runs that begin within one second would have one folder.
        Run(options.directory).facts.touch(exist_ok=False)
    except FileExistsError as error:
        raise UserError(f"{options.directory} is another run's; run this again") from error
    except OSError as error:
        raise UserError(f"cannot write to {options.directory}: {error.strerror}") from error
    _keep(options.directory, options.facts)
    return Answer(changed=True)
