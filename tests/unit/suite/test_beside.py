"""What runs beside the cluster's tests: one by one, and nothing beside what measures."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from tests import beside
from tests.beside import Beside, Done

pytest_plugins = ["pytester"]


class Played:
    """Commands that end when they are told to."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.may_end = threading.Event()
        self.status = 0

    def run(self, argv: Any, _timeout_s: float, **_environment: str) -> Done:
        self.begun.append(argv[-1])
        assert self.may_end.wait(10)
        return Done(self.status, "said\n== 3 passed in 1s ==\n")


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Iterator[Played]:
    result = Played()
    monkeypatch.setattr(beside, "_run", result.run)
    monkeypatch.setattr(beside, "FOLDER", tmp_path)
    yield result
    result.may_end.set()


def running(*wanted: str) -> Beside:
    made = Beside([])
    made.wanted = set(wanted)
    return made


def test_one_at_a_time_in_their_order(played: Played) -> None:
    made = running()
    made.begin(["browser", "pythons"])
    assert made.done() == {}
    played.may_end.set()
    made.quiet()
    assert played.begun == ["tests/browser", "tests/pythons"]
    assert {name: done.last_line for name, done in made.done().items()} == {
        "browser": "3 passed in 1s",
        "pythons": "3 passed in 1s",
    }
    made.begin(["browser"])
    made.close()
    assert len(played.begun) == 2, "one ran twice"


def test_only_what_a_test_tells_of_is_run_ahead(played: Played) -> None:
    played.may_end.set()
    made = running("browser")
    made.ahead(["pythons", "browser", "toolchain"])
    made.quiet()
    assert played.begun == ["tests/browser"]
    # Whoever asks for another has it.
    assert made.ended("pythons").returncode == 0


def test_a_measurement_waits_until_it_is_quiet(played: Played) -> None:
    made = running()
    made.begin(["browser"])
    waiting = threading.Thread(target=made.quiet)
    waiting.start()
    waiting.join(0.3)
    assert waiting.is_alive(), "it measured beside another part"
    played.may_end.set()
    waiting.join(10)
    assert not waiting.is_alive()
    assert made.waited_s >= 0.2


def test_what_ends_badly_is_known(played: Played) -> None:
    played.status = 1
    played.may_end.set()
    made = running()
    made.begin(["browser"])
    made.quiet()
    assert made.failed() == ["browser"]


def test_what_has_not_begun_at_the_end_does_not_begin(played: Played) -> None:
    made = running()
    made.begin(["browser", "pythons"])
    while not played.begun:
        pass
    threading.Timer(0.1, played.may_end.set).start()
    made.close()
    assert played.begun == ["tests/browser"]


STORY = """
import pytest

@pytest.mark.shares
@pytest.mark.parametrize("part", ["quick"])
def test_early(beside, part):
    beside.quiet()

@pytest.mark.shares
def test_late(beside):
    pass
"""


@pytest.mark.parametrize(("status", "passed"), [(0, 2), (1, 1)])
def test_a_slip_that_cheap_tests_find_ends_the_story(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, status: int, passed: int
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(beside.ROOT))
    pytester.makeconftest(
        f"""
from pathlib import Path
from tests.conftest import *
import tests.beside as parts
parts._run = lambda *_args, **_environment: parts.Done({status}, "a slip")
parts.FOLDER = Path("said")
"""
    )
    pytester.makeini("[pytest]\nmarkers =\n    shares\n    nightly\n")
    ended = pytester.runpytest_subprocess("-p", "no:cacheprovider", pytester.makepyfile(STORY))
    assert ended.ret == status
    assert ended.parseoutcomes().get("passed") == passed
    if status:
        ended.stdout.fnmatch_lines(["*what ran beside these tests has failed: quick*"])


def test_more_options_reach_pytest_through_make_as_well() -> None:
    """Not by PYTEST_ADDOPTS: with another's there, `make test` would end well with nothing tested."""
    assert beside.PARTS["browser"].given("-x", "--y=a b")[-3:] == ("-x", "--y=a b", "tests/browser")
    assert beside.PARTS["quick"].given("-x", "--y=a b")[-1] == "ARGS=-x '--y=a b'"


def test_what_the_day_leaves_out_has_its_turn_at_night() -> None:
    """No quick test is in neither: `make fast` and the part `night` differ in one word."""
    makefile = (beside.ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"\nFAST_TESTS = $(wildcard {' '.join(beside.QUICK)})\n" in makefile
    assert 'BY_DAY = -m "not nightly"\n' in makefile
    assert "@pytest -q $(TWO) $(BY_DAY) $(FAST_TESTS) $(ARGS)\n" in makefile
    night = beside.PARTS["night"]
    assert night.nightly
    assert night.command[-len(beside.QUICK) - 2 :] == ("-m", "nightly", *beside.QUICK)
