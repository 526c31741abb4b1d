"""A command by the name that it had in the version before: it works, and says what it is called now."""

from __future__ import annotations

import pytest
from tests.subcommands import subcommands

from failover_lab import cli
from failover_lab.door import check_mode
from failover_lab.door.former import FORMER, present

NETWORK = "--network=192.168.49.0/24"


def test_nobody_has_two_names_at_once() -> None:
    known = subcommands()
    assert not set(FORMER) & set(known)
    assert set(FORMER.values()) <= set(known)


@pytest.mark.parametrize(
    ("words", "now", "notice"),
    [
        (["routes", "--profile=lab"], ["proxy-rules", "--profile=lab"], "routes is called proxy-rules now"),
        (
            ["--json", "give-away", "routes"],
            ["--json", "remediate", "routes"],
            "give-away is called remediate",
        ),
    ],
)
def test_the_former_name_is_the_present_one(words: list[str], now: list[str], notice: str) -> None:
    found, said = present(words)
    assert found == now
    assert said.startswith(notice)


@pytest.mark.parametrize("words", [[], ["--help"], ["mark", "routes"], ["proxy-rules"]])
def test_whatever_else_is_typed_stays_as_it_is(words: list[str]) -> None:
    assert present(words) == (words, "")


def test_it_does_its_work_with_a_notice(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["no-proxy", NETWORK]) == 0
    now = capsys.readouterr()
    assert cli.main(["direct", NETWORK]) == 0
    before = capsys.readouterr()
    assert before.out == now.out
    notice = "direct is called no-proxy now, and the next version knows it by that name alone"
    assert before.err == f"failover-lab: {notice}\n{now.err}"


def test_check_mode_does_the_same_with_both() -> None:
    for name, now in FORMER.items():
        assert check_mode.check([name]) is check_mode.check([now])
        assert now in check_mode.COMMANDS
