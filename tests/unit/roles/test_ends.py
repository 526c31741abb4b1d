"""A run's journal stays while something may be left to put right, and a lost node's pods replace nobody."""

from __future__ import annotations

from typing import Any

import pytest
from tests.role_variables import holds, task, templated


@pytest.mark.parametrize(
    ("found", "closed"),
    [
        ({}, False),
        ({"begun": True}, False),
        ({"begun": False}, True),
        ({"begun": True, "healed": True}, True),
    ],
)
def test_the_journal_stays_while_something_may_be_left(found: dict[str, Any], *, closed: bool) -> None:
    close = task("journal", "close", "Close | Nothing is left to put right")
    assert holds("journal", close["when"], __journal_ending={"found": found}) is closed


@pytest.mark.parametrize(("loses_node", "without"), [(True, ["lab-m02"]), (False, [])])
def test_pods_of_the_lost_node_are_no_replacements(*, loses_node: bool, without: list[str]) -> None:
    wait = task("failover", "recovered", "Recovered | Wait for the replacements")["failover_lab.lab.rollout"]
    seen = {"__failover_row": {"loses_node": loses_node}, "fault_plan": {"targets": ["lab-m02"]}}
    assert templated("failover", wait["without_nodes"], **seen) == without
