"""What is told while something is waited for: soon at first, ever more seldom, and at once what is new."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.failover_lab.lab.plugins.plugin_utils import telling

from failover_lab.run.layout import Run


def lines(
    pace: telling.Pace, seconds: float, every_s: float = 0.5, fresh: frozenset[float] = frozenset()
) -> int:
    looks = [look * every_s for look in range(1, int(seconds / every_s) + 1)]
    return sum(pace.is_due(look, fresh=look in fresh) for look in looks)


def test_what_does_not_change_is_told_ever_more_seldom() -> None:
    # It was a line each five seconds: 68.
    assert lines(telling.Pace(5.0, telling.MOST_IN_A_RUN_S), 340) <= 12
    assert 20 <= lines(telling.Pace(5.0), 340) <= 30


def test_nobody_waits_long_for_the_first_line() -> None:
    pace = telling.Pace(5.0)
    assert not pace.is_due(4.0)
    assert pace.is_due(5.0)


def test_what_is_new_is_told_at_once_and_soon_again() -> None:
    pace = telling.Pace(5.0)
    lines(pace, 200)
    assert pace.is_due(200.5, fresh=True)
    assert not pace.is_due(203.0)
    assert pace.is_due(205.5)


def test_beside_lines_that_come_all_the_time_figures_come_at_their_own_pace() -> None:
    pace = telling.Pace(5.0)
    told = 0
    for look in range(1, 61):
        pace.hasten(look * 0.5)
        told += pace.is_due(look * 0.5)
    assert 5 <= told <= 7


def test_figures_come_soon_after_what_was_told() -> None:
    pace = telling.Pace(5.0)
    lines(pace, 200)
    pace.hasten(200.5)
    assert not pace.is_due(201.0)
    assert pace.is_due(205.5)


def test_a_story_is_told_from_where_one_came_in(tmp_path: Path) -> None:
    told = {"said": ["+1.0 s  One."], "count": 1, "ahead": "two, 1 of about 5 s"}
    Run(tmp_path).live.write_text(json.dumps(told))
    story = telling.Story(str(tmp_path))
    assert story.news() == []
    assert story.ahead() == "two, 1 of about 5 s"
    told = {"said": ["+1.0 s  One.", "+2.0 s  Two.", "+3.0 s  Three."], "count": 3, "ahead": None}
    Run(tmp_path).live.write_text(json.dumps(told))
    assert story.news() == ["+2.0 s  Two.", "+3.0 s  Three."]
    assert story.news() == []
    assert story.ahead() is None


@pytest.mark.parametrize("content", [None, "", "[]", "{"])
def test_without_a_page_there_is_no_story(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        Run(tmp_path).live.write_text(content)
    story = telling.Story(str(tmp_path))
    assert (story.news(), story.ahead()) == ([], None)
    assert telling.Story(None).news() == []


def test_a_line_is_as_wide_as_the_terminal_and_its_end_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    terminal, file = SimpleNamespace(isatty=lambda: True), SimpleNamespace(isatty=lambda: False)
    text = "x" * 100 + " the end"
    assert telling.fitted(text, terminal) == "…" + text[-35:]
    assert telling.fitted(text, file) == text
    assert telling.fitted("short", terminal) == "short"
