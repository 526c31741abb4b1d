"""What a reader does with a report: have it again, try something else, see of what a clock was made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from failover_lab.report import build, charts, load, repeat, series, words

if TYPE_CHECKING:
    from tests.unit.made_up import MadeUpRun


def report(run: Any) -> build.Report:
    return build.build(load.load(run.write()))


def test_the_same_again(made_up: MadeUpRun) -> None:
    made_up.observed_drain()
    assert repeat.command(report(made_up)) == (
        "ansible-playbook failover.yml -e lab_profile=lab -e fault_kind=drain -e fault_node=lab-m02"
    )


@pytest.mark.parametrize(
    ("event", "who"), [("watchdog_fenced", "watchdog"), ("operator_called", "manual"), ("noted", "automatic")]
)
def test_who_gave_the_work_away_is_had_again(made_up: MadeUpRun, event: str, who: str) -> None:
    made_up.observed_kill()
    made_up.marks.append((2.0, event))
    found = report(made_up)
    assert repeat.recovery(found) == who
    assert (f"-e fault_recovery={who}" in repeat.command(found)) == (who != "automatic")
    tried = [typed for typed, _ in repeat.suggestions(found)]
    assert any("fault_recovery=watchdog" in typed for typed in tried) == (who != "watchdog")
    assert any("cluster_failure_detection=fast" in typed for typed in tried)


def test_a_clock_is_told_as_a_sum_with_the_settings_that_change_it(made_up: MadeUpRun) -> None:
    made_up.observed_kill()
    for pod, node, made in (("site-x", "lab", 5.8), ("site-y", "lab-m03", 5.9)):
        made_up.change(made, "Pod", pod, "ADDED", uid=f"uid-{pod[-1]}", node=node, ready=False)
    found = report(made_up)
    assert [part.seconds for part in repeat.parts(found)] == pytest.approx([5.0, 0.9, 6.1])
    assert sum(part.seconds for part in repeat.parts(found)) == found.content["clocks_s"]["capacity"]
    told = repeat.composed(found)
    assert "5.00\u00a0s until the node was found dead (cluster_failure_detection)" in told
    assert "site_toleration_s" in told


def test_what_nobody_saw_is_not_composed(made_up: MadeUpRun) -> None:
    assert repeat.composed(report(made_up)) == ""


def test_a_long_quiet_is_left_out_of_the_axis(made_up: MadeUpRun) -> None:
    made_up.observed_drain()
    made_up.end, made_up.rate, made_up.reused_rate = 330.0, 10.0, 1.0
    made_up.marks = [*made_up.marks[:-1], (320.0, "steady_after")]
    found = report(made_up)
    axis = series.span(found, 200)
    # Between the healing and the steady state, but for five seconds at each end.
    assert axis.quiet == ((27.0, 315.0),)
    assert [axis.place(second) for second in (-20.0, 0.0, 27.0)] == [-20.0, 0.0, 27.0]
    assert axis.place(315.0) == pytest.approx(27.0 + axis.gap)
    assert axis.place(320.0) == pytest.approx(32.0 + axis.gap)
    # What matters has most of the width.
    assert axis.gap < 0.1 * (axis.place(axis.end) - axis.place(axis.begin))
    rows: list[dict[str, Any]] = [{"t": 0.0, "u": 1.0}, {"t": 100.0, "u": 101.0}, {"t": 20.0, "u": 320.0}]
    assert [row["t"] for row in axis.placed(rows)] == [0.0, 20.0]
    spec = charts.timeline_spec(found, charts.SIZES[0])
    assert "288 s without change" in str(spec)
    assert "315" not in str(spec["vconcat"][1]["layer"][0]["encoding"]["x"]["scale"])


def test_losses_are_never_left_out(made_up: MadeUpRun) -> None:
    made_up.observed_drain()
    made_up.end, made_up.rate, made_up.reused_rate = 330.0, 10.0, 1.0
    made_up.lose(100.0, 101.0)
    quiet = series.span(report(made_up), 200).quiet
    assert quiet
    assert all(end <= 95.5 or begin >= 105.0 for begin, end in quiet)


def test_a_short_run_has_a_whole_axis(made_up: MadeUpRun) -> None:
    made_up.observed_drain()
    assert series.span(report(made_up), 200).quiet == ()


def test_rare_failures_share_a_lane(made_up: MadeUpRun) -> None:
    for index, outcome in enumerate(
        ("reset", "refused", "connect_timeout", "read_timeout", "closed_early", "unreachable")
    ):
        made_up.lose(index, index + (1.0 if index < 4 else 0.02), outcome)
    found = report(made_up)
    lanes = {row["what"] for row in series.Requests(found.data.records, series.span(found, 200)).failures()}
    assert len(lanes) == 5
    assert "2 other kinds" in lanes


def test_pods_of_a_deployment_have_short_names() -> None:
    names = ["site-6b7c7cff57-2t7mj", "site-6b7c7cff57-6v7qs"]
    spec = charts._names(names, charts.SIZES[1])
    assert '"site-6b7c7cff57-2t7mj": "2t7mj"' in spec["axis"]["labelExpr"]
    assert words.many(1, "pod") == "1 pod"
    assert words.many(2, "pod") == "2 pods"


def test_a_part_of_the_losses(made_up: MadeUpRun) -> None:
    content = {"requests": {"failed": 300}}
    assert [repeat.share(count, content) for count in (300, 3, 1)] == ["100%", "1%", "under 1%"]
