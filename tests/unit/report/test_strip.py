"""The drawing at the report's head: which moments it shows, and what of nodes, pods and requests."""

from __future__ import annotations

import functools
import re
from typing import Any

import pytest

from failover_lab.faults import kinds
from failover_lab.report import charts, html, load, moments, scene, strip, words
from failover_lab.report.build import Report, build

SUDDEN = [(-2.0, "steady_before"), (0.0, "fault_begin"), (0.0, "injected"), (15.5, "returned"),
          (22.0, "healed"), (36.0, "steady_after")]  # fmt: skip
ANNOUNCER = (-20, "ServiceL2Status", "l2-1", "LISTED")


def report_of(made_up: Any) -> Report:
    # Few requests do: what is counted is a second's.
    made_up.rate, made_up.reused_rate = min(made_up.rate, 40.0), 0.0
    return build(load.load(made_up.write()))


@pytest.fixture
def _undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The timeline takes longest, and is another's."""
    monkeypatch.setattr(charts, "draw", lambda _spec: "")


def head(made_up: Any) -> dict[str, Any]:
    found = strip.strip(report_of(made_up))
    assert found is not None
    return found


def titles(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [(moment["title"], moment["at"].replace("\u00a0", " ")) for moment in found["moments"]]


def boxes(found: dict[str, Any], title: str) -> dict[str, dict[str, Any]]:
    moment = next(moment for moment in found["moments"] if moment["title"] == title)
    return {node["name"]: node for node in moment["nodes"]}


def pods(box: dict[str, Any]) -> list[tuple[str, ...]]:
    return [(pod["sign"], pod["name"], pod["says"]) for pod in box["pods"]]


def killed(made_up: Any) -> None:
    """The announcer dies; another node takes over after 4.7 seconds, and the list is clean after six."""
    made_up.observed_drain()
    made_up.changes = [one for one in made_up.changes if one["kind"] == "Pod" and one["at"] < 0]
    made_up.observed_kill()
    made_up.change(*ANNOUNCER, service="site", node="lab-m02")
    made_up.change(4.7, "ServiceL2Status", "l2-1", service="site", node="lab")
    made_up.change(5.9, "Pod", "site-a", "DELETED", uid="uid-a", node="lab-m02")
    made_up.change(5.9, "Pod", "site-x", "ADDED", uid="uid-x", node="lab", ready=False)
    made_up.change(12.0, "Pod", "site-x", uid="uid-x", node="lab", ready=True)
    made_up.marks = SUDDEN
    made_up.lose(0.0, 4.7, "connect_timeout", took=3.0)
    made_up.pods_at = lambda at: (
        ["site-a", "site-b", "site-c", "site-d"] if at < 5.9 else ["site-c", "site-d"]
    )


# Which moments


def drained(made_up: Any) -> None:
    made_up.observed_drain()


def drained_with_losses_later(made_up: Any) -> None:
    made_up.observed_drain()
    made_up.lose(24.25, 24.5)


def pods_deleted(made_up: Any) -> None:
    made_up.observed_drain()
    made_up.play["fault"]["kind"] = "pod"
    made_up.marks = SUDDEN
    made_up.lose(0.25, 0.5)


def not_begun(made_up: Any) -> None:
    made_up.observed_drain()
    made_up.marks = [(-2.0, "aborted")]


def without_a_fault(made_up: Any) -> None:
    made_up.observed_drain()
    made_up.play, made_up.marks = None, []
    made_up.lose(7.0, 7.25)


def nobody_observed(made_up: Any) -> None:
    made_up.play, made_up.marks = None, []


def short_and_aborted(made_up: Any) -> None:
    killed(made_up)
    made_up.begin, made_up.end = -0.2, 3.0
    made_up.marks = [(-0.1, "fault_begin"), (0.0, "injected"), (2.9, "aborted")]


@pytest.mark.parametrize(
    ("happens", "told"),
    [
        (drained, [("Before", "\u22121.0 s"), ("Under way", "+0.6 s"), ("All replicas ready", "+13.0 s"),
                   ("Afterwards", "+39.0 s")]),
        (drained_with_losses_later, [("Before", "\u22121.0 s"), ("Under way", "+0.6 s"),
                                     ("The worst moment", "+24.8 s"), ("Afterwards", "+39.0 s")]),
        (killed, [("Before", "\u22121.0 s"), ("Struck", "+0.5 s"), ("Endpoints clean", "+6.0 s"),
                  ("Afterwards", "+39.0 s")]),
        (pods_deleted, [("Before", "\u22121.0 s"), ("Struck", "+0.8 s"), ("Endpoints clean", "+7.0 s"),
                        ("Afterwards", "+39.0 s")]),
        (not_begun, [("At the beginning", "+0.0 s"), ("At the end", "+59.0 s")]),
        (without_a_fault, [("At the beginning", "+0.0 s"), ("The worst moment", "+27.5 s"),
                           ("At the end", "+59.0 s")]),
        (nobody_observed, [("At the beginning", "+0.0 s"), ("At the end", "+59.0 s")]),
        (short_and_aborted, [("Struck", "+0.5 s"), ("At the end", "+2.0 s")]),
    ],
)  # fmt: skip
def test_the_moments_that_tell_the_story(happens: Any, told: list[tuple[str, str]], made_up: Any) -> None:
    happens(made_up)
    assert titles(head(made_up)) == told


def test_of_few_requests_a_moment_is_longer(made_up: Any) -> None:
    made_up.observed_drain()
    made_up.rate = 5.0
    found = head(made_up)
    assert found["span_s"] == 4
    assert [moment["answered"] for moment in found["moments"]] == ["5", "5", "5", "5"]


@pytest.mark.parametrize(("begin", "end"), [(-20.0, 40.0), (0.0, 0.0)])
def test_where_nobody_knows_of_a_node_or_a_request_there_is_no_drawing(
    begin: float, end: float, made_up: Any
) -> None:
    made_up.play, made_up.marks, made_up.begin, made_up.end = None, [], begin, end
    made_up.differ = lambda *_: {"pod": "", "node": ""}
    assert strip.strip(report_of(made_up)) is None


# What there was, and what became of requests


def test_a_kill_from_box_to_box(made_up: Any) -> None:
    killed(made_up)
    found = head(made_up)
    before, struck, over = (boxes(found, name) for name in ("Before", "Struck", "Endpoints clean"))
    assert list(before) == ["lab", "m02", "m03"]
    assert pods(before["m02"]) == [("●", "site-a", "10/s"), ("●", "site-b", "10/s")]
    assert (before["m02"]["announces"], before["m02"]["look"], before["m02"]["states"]) == (
        scene.ANNOUNCES, "", [],
    )  # fmt: skip
    # All of them went to the node that was dead, and nobody else.
    assert found["moments"][1] | {"nodes": []} == {
        "title": "Struck", "at": "+0.5\u00a0s", "answered": "0", "lost": "40", "at_address": "", "cut": True,
        "nodes": [], "waiting": [],
    }  # fmt: skip
    assert [struck[name]["lost"] for name in struck] == ["", "40", ""]
    assert (struck["m02"]["look"], struck["m02"]["states"]) == ("lost", [("✕", "bad", "killed")])
    assert over["lab"]["announces"]
    assert not over["m02"]["announces"]
    assert pods(over["lab"]) == [("●", "site-d", "20/s"), ("◔", "site-x", "starts")]
    assert over["m02"]["states"] == [("✕", "bad", "killed"), ("✕", "bad", "NotReady")]
    # The longest bar of all moments is the whole.
    assert [pod["share"] for pod in (*before["lab"]["pods"], *over["lab"]["pods"])] == [0.5, 1.0, 0.0]
    # On the left to the node that receives, on the right from there to those that answer.
    lines = {name: [box["lines"] for box in of.values()] for name, of in (("before", before), ("over", over))}
    assert lines == {
        "before": ["in on on-here on-begin", "in in-here in-end on on-here", "on on-here on-end"],
        "over": ["in in-here in-end on on-here on-begin", "on", "on on-here on-end"],
    }


def test_a_drain_from_state_to_state(made_up: Any) -> None:
    made_up.observed_drain()
    found = head(made_up)
    way = boxes(found, "Under way")
    assert way["m02"]["states"] == [("⇣", "warn", "being drained"), ("⊘", "warn", "cordoned")]
    assert way["m02"]["look"] == "away"
    assert pods(way["m02"]) == [("◌", "site-a", "10/s"), ("●", "site-b", "10/s")]
    assert pods(way["lab"]) == [("●", "site-d", "10/s"), ("◔", "site-x", "starts")]
    assert boxes(found, "Afterwards")["m02"]["pods"] == []


@pytest.mark.parametrize(
    ("more", "announced", "where"),
    [
        ({"pod": "site-c", "node": "lab-m03"}, True, "site-c"),
        ({"pod": "site-gone"}, True, "m02"),
        ({}, True, "m02"),
        ({}, False, "address"),
    ],
)
def test_a_request_is_lost_where_it_was_last_known_to_be(
    more: dict[str, str], announced: bool, where: str, made_up: Any
) -> None:
    made_up.observed_drain()
    if not announced:
        made_up.changes = [one for one in made_up.changes if one["kind"] != "ServiceL2Status"]
    made_up.lose(0.0, 0.5, "wrong_status", **more)
    found = head(made_up)
    moment = next(one for one in found["moments"] if one["title"] == "Under way")
    assert moment["lost"] == "20"
    spots = {"address": moment["at_address"]}
    for box in moment["nodes"]:
        spots |= {box["name"]: box["lost"]} | {pod["name"]: pod["lost"] for pod in box["pods"]}
    assert {name: lost for name, lost in spots.items() if lost} == {where: "20"}


def test_where_nobody_announces_the_line_leads_to_all_that_answer(made_up: Any) -> None:
    nobody_observed(made_up)
    found = head(made_up)
    assert [box["lines"] for box in boxes(found, "At the beginning").values()] == [
        "in in-here", "in in-here", "in in-here in-end",
    ]  # fmt: skip
    # Whose pods they are, the answers say.
    assert [box["name"] for box in boxes(found, "At the end").values()] == ["lab", "lab-m02", "lab-m03"]


# Many


def crowd(made_up: Any, nodes: int, each: int) -> None:
    names = ["lab", *(f"lab-m{number:02}" for number in range(2, nodes + 1))]
    there = {f"site-7d47859c96-{i:05}": names[i % nodes] for i in range(nodes * each)}
    made_up.play |= {"displaced": [], "replacements": [], "spread": {}}
    made_up.play["lab"] = {**made_up.play["lab"], "nodes": names}
    for name in names:
        made_up.change(-20, "Node", name, "LISTED", ready="True")
    made_up.change(0.2, "Node", "lab-m02", ready="True", unschedulable=True)
    for pod, node in there.items():
        made_up.change(-20, "Pod", pod, "LISTED", uid=pod, node=node, ready=True)
        if node == "lab-m02":
            made_up.change(1, "Pod", pod, uid=pod, node=node, ready=True, deletion="2026")
    made_up.change(*ANNOUNCER, service="site", node=names[-1])
    made_up.pods_at = lambda _at: list(there)
    made_up.differ = lambda _due, _kind, number: {"node": list(there.values())[number % len(there)]}


@pytest.mark.usefixtures("_undrawn")
@pytest.mark.parametrize(
    ("nodes", "each", "alone", "shown"),
    [
        (5, 12, 5, ["lab", "m02", "m03", "m04", "m05"]),
        # What happens to a node is seen, pod by pod; of the others it is enough how many they have.
        (8, 12, 1, ["lab", "m02", "m03", "m04", "m05", "m06", "m07", "m08"]),
        (8, 13, 0, ["lab", "m02", "m03", "m04", "m05", "m06", "m07", "m08"]),
        (30, 2, 7, ["lab", "m02", "m03", "m04", "m05", "m06", "m30", "23 more nodes"]),
    ],
)
def test_what_is_too_much_to_be_drawn_is_summed_up(
    nodes: int, each: int, alone: int, shown: list[str], made_up: Any
) -> None:
    crowd(made_up, nodes, each)
    report = report_of(made_up)
    found = strip.strip(report)
    assert found is not None
    drawn = boxes(found, "Under way")
    assert list(drawn) == shown
    assert sum(not box["summed"] for box in drawn.values()) == alone
    struck = drawn["m02"]
    assert {pod["state"] for pod in struck["pods"]} == {"stopping"}
    if struck["summed"]:
        assert [pod["name"] for pod in struck["pods"]] == [f"{each} pods stopping"]
    if nodes > 8:
        assert [pod["name"] for pod in drawn["23 more nodes"]["pods"]] == ["46 pods"]
    page = html.render(report)
    drawing = page[page.index('<h2 class="strip-title">') : page.index("<dl class")]
    assert len(drawing.encode()) < 40_000


# On the page


@pytest.mark.usefixtures("_undrawn")
def test_the_page_says_it_in_words(made_up: Any) -> None:
    killed(made_up)
    page = html.render(report_of(made_up))
    # At the head: below the verdict, and above the figures.
    assert page.index('class="lead"') < page.index('<ol class="strip') < page.index('<dl class="figures"')
    struck = page.split('<li class="moment')[2]
    said = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", "<" + struck)).strip()
    assert said.startswith(
        "Struck +0.5 s Users 0/s answered ✕ 40/s lost 192.168.49.100 lab ● site-d 0/s "
        "m02 ⚑ announces the address ✕ killed ✕ 40/s lost ● site-a 0/s ● site-b 0/s m03 ● site-c 0/s"
    )
    assert "<script" not in page


def test_no_request_no_drawing_on_the_page(made_up: Any) -> None:
    made_up.end = made_up.begin
    page = html.render(report_of(made_up))
    assert "strip" not in page
    assert "moment" not in page


def test_every_state_of_a_node_has_its_sign_and_every_kind_that_takes_a_node_its_word() -> None:
    assert set(scene._BROKEN.values()) <= set(scene.NODES)
    taken = {kind.symptom for kind in kinds.table().values() if kind.takes_node}
    assert taken <= set(scene._BROKEN)
    assert {scene._BROKEN[kind.symptom or ""] in scene._LOST for kind in kinds.table().values()
            if kind.takes_node and kind.takes != "share"} == {True}  # fmt: skip


@pytest.mark.parametrize(
    ("value", "text"), [(-1, "\u22121.0 s"), (0, "+0.0 s"), (3.46, "+3.5 s"), (86395, "+86\u202f395 s")]
)
def test_seconds_before_and_after(value: float, text: str) -> None:
    assert words.signed(value).replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("node", "profile", "short"),
    [
        ("lab-m02", "lab", "m02"),
        ("lab", "lab", "lab"),
        ("lab-m02", None, "lab-m02"),
        ("other", "lab", "other"),
    ],
)
def test_a_node_goes_by_what_it_has_alone(node: str, profile: str | None, short: str) -> None:
    assert words.short_node(node, profile) == short


def test_a_record_of_a_day_is_not_read_again(made_up: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    killed(made_up)
    report = report_of(made_up)
    # Whoever goes over all requests goes by these.
    for name in ("__iter__", "columns", "pick", "where"):
        monkeypatch.setattr(type(report.data.records), name, functools.partial(pytest.fail, name))
    chosen = moments.chosen(report, scene.Scenes(report.data, report.cluster))
    found = strip.strip(report)
    assert found is not None
    assert len(chosen) == len(found["moments"]) == 4
