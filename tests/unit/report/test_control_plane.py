"""A control plane of several nodes in the report: when its API answered again, and who leads since."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.unit.made_up import MadeUpRun

from failover_lab.report import html, summary, words
from failover_lab.report.build import build
from failover_lab.report.load import load


def asked(made_up: MadeUpRun, kind: str, *lost: tuple[float, float], rate: float = 10.0) -> None:
    """What was asked of the API, of which these spans were lost."""
    run = MadeUpRun(made_up.directory / "api.asked" / kind, rate=rate, reused_rate=0.0)
    for begin, end in lost:
        run.lose(begin, end, "connect_timeout", took=1.0)
    run.write()


def led(made_up: MadeUpRun, program: str, *who: tuple[float, str]) -> None:
    for at, node in who:
        made_up.change(at, "Leader", program, node=node, stamped=None)


def described(made_up: MadeUpRun) -> dict[str, Any]:
    found = made_up.content()["control_plane"]
    assert isinstance(found, dict)
    return found


def test_nothing_where_nobody_looked(made_up: MadeUpRun) -> None:
    made_up.observed_kill()
    content = made_up.content()
    assert content["control_plane"] is None
    assert words.control_plane(content) == []


def test_why_nobody_asked(made_up: MadeUpRun) -> None:
    made_up.observed_kill()
    made_up.write()
    told = {"pid": 1, "state": "ended", "trouble": "the context's user has no certificate"}
    (made_up.directory / "api.asked.json").write_text(json.dumps(told))
    assert described(made_up)["trouble"] == "the context's user has no certificate"
    assert words.control_plane(made_up.content()) == [
        "The cluster's API was not measured to the end: the context's user has no certificate"
    ]


def test_until_answers_came_again(made_up: MadeUpRun) -> None:
    made_up.observed_kill()
    asked(made_up, "reads", (0.05, 0.95))
    asked(made_up, "writes", (0.05, 1.75), (30.0, 33.0), rate=5.0)
    found = described(made_up)
    assert 0.9 < found["reads"]["back_s"] < 1.1
    # What fails later, as the node comes back, is another matter.
    assert 1.7 < found["writes"]["back_s"] < 2.0
    assert (found["reads"]["total"], found["reads"]["failed"]) == (600, 9)
    assert found["lost"] == "lab-m02"


def test_an_api_that_never_ceased_and_one_that_never_came_back(made_up: MadeUpRun) -> None:
    made_up.observed_kill()
    # One lost between two that are not is no silence, and one that comes later is of something else.
    asked(made_up, "reads", (3.0, 3.05), (25.0, 27.0))
    asked(made_up, "writes", (0.05, 41.0), rate=5.0)
    found = described(made_up)
    assert found["reads"]["back_s"] == 0.0
    assert found["writes"]["back_s"] is None
    said, *_ = words.control_plane(made_up.content())
    assert said == "The cluster's API: read all the time, written not again (lost 21 of 600, 199 of 300)"


def test_who_leads_since_and_what_waited_for_it(made_up: MadeUpRun) -> None:
    made_up.observed_kill()
    led(made_up, "kube-controller-manager", (-20, "lab-m02"), (-1, "lab-m02"), (4.0, "lab-m03"), (9.0, "lab"))
    led(made_up, "kube-scheduler", (-20, "lab"), (2.0, "lab"))
    made_up.play["predicted_s"] = {"endpoints": 2.0}  # type: ignore[index]
    content = made_up.content()
    manager, scheduler = content["control_plane"]["leaders"]
    assert manager == {
        "program": "kube-controller-manager", "before": "lab-m02", "after": "lab-m03", "taken_s": 4.0,
    }  # fmt: skip
    assert (scheduler["before"], scheduler["after"], scheduler["taken_s"]) == ("lab", None, None)
    assert (
        "lab-m03 led the kube-controller-manager since +4.0\u00a0s, before it lab-m02"
        in (content["clock_reasons"]["endpoints"])
    )
    assert words.control_plane(content) == [
        "kube-controller-manager: lab-m03 leads since 4.00\u00a0s after the fault, before it lab-m02"
    ]


def test_a_leader_that_was_not_lost_explains_nothing(made_up: MadeUpRun) -> None:
    made_up.observed_kill()
    led(made_up, "kube-controller-manager", (-20, "lab"), (4.0, "lab-m03"))
    made_up.play["predicted_s"] = {"endpoints": 2.0}  # type: ignore[index]
    assert "led the" not in made_up.content()["clock_reasons"]["endpoints"]


def test_it_stands_in_summary_and_page(made_up: MadeUpRun, tmp_path: Path) -> None:
    made_up.observed_kill()
    asked(made_up, "reads", (0.05, 0.95))
    asked(made_up, "writes", rate=5.0)
    report = build(load(made_up.write()))
    told = next(
        line for line in summary.lines(report.content, tmp_path) if line.startswith("The cluster's API")
    )
    assert told in html.render(report).replace("&#39;", "'")
