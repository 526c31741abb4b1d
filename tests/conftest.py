"""What all tests share: the programs of the environment that runs the tests come first, activated or not."""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from collections.abc import Generator, Iterator
from pathlib import Path

import coverage
import pytest
from tests.beside import PARTS, Beside

HERE = Path(__file__).parent
# Of these the terminal tells where the time went: they take minutes, and one at a time.
SLOW = ("cluster", "molecule", "instrument")
# Tests look at each task: how a play looks to a person has a test of its own.
os.environ.setdefault("ANSIBLE_STDOUT_CALLBACK", "ansible.builtin.default")
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

_took_s: defaultdict[str, float] = defaultdict(float)
_beside: list[Beside] = []


def is_slow(path: Path) -> bool:
    """Whether a file of tests is one of those that take minutes."""
    return path.is_relative_to(HERE) and path.relative_to(HERE).parts[0] in SLOW


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """In one of several processes pytest-cov has begun to count twice, and pauses once."""
    left = coverage.Coverage.current() if item.get_closest_marker("no_cover") else None
    if left is None:
        return (yield)
    left.stop()
    try:
        return (yield)
    finally:
        left.start()


@pytest.fixture(scope="session")
def beside(request: pytest.FixtureRequest) -> Iterator[Beside]:
    """What runs beside these tests; what it has made is gone at the end."""
    result = Beside(request.session.items)
    _beside.append(result)
    result.ahead(name for name, part in PARTS.items() if not part.nightly)
    yield result
    result.close()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """What measures has the machine to itself: all that takes minutes, but for tests that say otherwise.

    A slip that cheap tests have found is not paid for with a quarter of an hour.
    """
    for running in _beside:
        if is_slow(item.path) and not item.get_closest_marker("shares"):
            running.quiet()
        if running.gives_up and (failed := running.failed()):
            item.session.shouldfail = f"what ran beside these tests has failed: {', '.join(failed)}"
            pytest.skip("it is of no use any more")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add up where the time goes."""
    path = HERE.parent / report.nodeid.partition("::")[0]
    if is_slow(path):
        _took_s[str(path.relative_to(HERE))] += report.duration


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell how what ran beside has ended, and where the time went."""
    if not _took_s:
        return
    for running in _beside:
        for name, done in running.done().items():
            terminalreporter.section(f"beside: {name}", red=done.returncode != 0, green=done.returncode == 0)
            terminalreporter.line(done.last_line if done.returncode == 0 else done.stdout[-12000:])
    terminalreporter.section("where the time went, in seconds")
    for file, took_s in _took_s.items():
        terminalreporter.line(f"{took_s:7.0f}  {file}")
    terminalreporter.line(
        f"{sum(running.waited_s for running in _beside):7.0f}  of it waiting for what ran beside"
    )
