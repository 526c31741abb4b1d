"""Frames: live, replayed and merged, they count what the report counts, and tell the same story."""

from __future__ import annotations

import base64
import gzip
import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from failover_lab import cli
from failover_lab.live import film, replay, story
from failover_lab.live.feed import Feed
from failover_lab.report import command, words
from failover_lab.run import instants, records
from failover_lab.run.layout import Run

if TYPE_CHECKING:
    from tests.unit.made_up import MadeUpRun


def drain(run: MadeUpRun) -> MadeUpRun:
    run.rate, run.reused_rate = 20.0, 2.0
    run.observed_drain()
    run.lose(7.0, 7.5)
    run.lose(9.0, 9.2, "connect_timeout", took=3.0)
    return run


def grow(run: MadeUpRun, to: Path, steps: int) -> list[film.Frame]:
    """What a feed tells while the run's files grow in a folder of their own, piece by piece."""
    whole = Run(run.write())
    command.write(run.directory)
    there = Run(to)
    to.mkdir()
    shutil.copy(whole.facts, there.facts)
    shutil.copy(whole.probe().about, there.probe().about)
    feed = Feed(to)
    frames: list[film.Frame | None] = [feed.look()]
    texts = {
        name: getattr(whole, name).read_bytes().splitlines(keepends=True) for name in ("marks", "events")
    }
    rows = [records.HEADER, *run.rows]
    writer = records.RecordWriter(there.probe().records)
    for step in range(steps):
        for name, lines in texts.items():
            with getattr(there, name).open("ab") as file:
                file.writelines(lines[step * len(lines) // steps : (step + 1) * len(lines) // steps])
        part = rows[step * len(rows) // steps : (step + 1) * len(rows) // steps]
        writer.write("\n".join(part) + "\n")
        frames.append(feed.look())
    writer.close()
    for name in ("report", "page"):
        shutil.copy(getattr(whole, name), getattr(there, name))
    while not feed.over:
        frames.append(feed.look())
    assert film.totals(feed.film.frames) == film.totals(filter(None, frames))
    return [frame for frame in frames if frame is not None]


def counted(run: MadeUpRun) -> dict[str, int]:
    requests = json.loads((run.directory / "report.json").read_text())["requests"]
    return {"answered": requests["total"] - requests["failed"], "failed": requests["failed"]}


def test_page_replay_and_report_count_the_same(made_up: MadeUpRun, tmp_path: Path) -> None:
    frames = grow(drain(made_up), tmp_path / "growing", 7)
    assert counted(made_up)["failed"] == 14
    assert film.totals(frames) == counted(made_up)
    assert film.totals(replay.film(made_up.directory)["frames"]) == counted(made_up)
    end = frames[-1]["end"]
    assert (end["total"] - end["failed"], end["failed"]) == tuple(counted(made_up).values())


def test_what_this_machine_dropped_counts_as_in_the_report(made_up: MadeUpRun, tmp_path: Path) -> None:
    drain(made_up)
    made_up.dropped = [("conntrack", 8.9, 12.5, 50, 65536)]
    frames = grow(made_up, tmp_path / "growing", 3)
    # Until probe.json said so they were lost; in the end they are the probe's own.
    assert film.totals(frames[:-1])["failed"] == 14
    assert counted(made_up)["failed"] == 10
    assert film.totals(frames) == counted(made_up) == film.totals(replay.film(made_up.directory)["frames"])


def test_a_growing_run_is_told_as_it_happens(made_up: MadeUpRun, tmp_path: Path) -> None:
    frames = grow(drain(made_up), tmp_path / "growing", 12)
    texts = [said["text"] for frame in frames for said in frame.get("say", ())]
    assert len(texts) == len(set(texts))
    replayed = [
        said["text"] for frame in replay.film(made_up.directory)["frames"] for said in frame.get("say", ())
    ]
    assert sorted(replayed) == sorted(texts)
    assert "Draining lab-m02 begins." in texts
    scenes = [frame["scene"] for frame in frames if "scene" in frame]
    assert [node["states"] for node in scenes[-1]["nodes"]] == [[], [], []]
    assert any("cordoned" in node["states"] for scene in scenes for node in scene["nodes"])
    assert {pod["name"] for pod in scenes[-1]["pods"]} == {"site-c", "site-d", "site-x", "site-y"}


def test_every_step_of_a_kill_is_shown(made_up: MadeUpRun) -> None:
    made_up.observed_kill()
    assert made_up.play is not None
    made_up.play["predicted_s"] = {"address": 5.5, "endpoints": 4.8, "capacity": 11.9, "stale_flows": None}
    made_up.marks = [(-2.0, "steady_before"), (0.0, "fault_begin"), (0.1, "injected"), (20.0, "returned"),
                     (22.0, "healed"), (36.0, "steady_after")]  # fmt: skip
    made_up.change(-20, "ServiceL2Status", "l2-1", "LISTED", service="site", node="lab-m02")
    made_up.change(4.7, "ServiceL2Status", "l2-1", service="site", node="lab")
    made_up.change(5.5, "Node", "lab-m02", ready="Unknown",
                   taints=["node.kubernetes.io/out-of-service:NoExecute"])  # fmt: skip
    made_up.write()
    shown = replay.film(made_up.directory)
    zero = instants.parse("2026-11-23T19:00:00Z") - shown["head"]["zero"]

    def at(second: float, key: str) -> Any:
        known = [
            frame[key] for frame in shown["frames"] if key in frame and frame["t"] <= zero + second + 0.11
        ]
        return known[-1]

    def states(second: float) -> list[str]:
        return next(node["states"] for node in at(second, "scene")["nodes"] if node["name"] == "lab-m02")

    assert states(-1) == []
    assert states(1) == ["killed"]
    assert states(5.2) == ["killed", "NotReady"]
    assert states(5.6) == ["killed", "NotReady", "out of service"]
    assert at(1, "scene")["announcer"] == "lab-m02"
    assert at(5, "scene")["announcer"] == "lab"
    assert at(-10, "ahead")["text"] == "a steady state, before anything is broken"
    assert at(1, "ahead") == {
        "text": "another node to announce the address",
        "since": zero + 0.1,
        "about": 5.5,
    }
    assert at(4.8, "ahead")["text"] == "lab-m02 to be found dead"
    assert at(5.2, "ahead")["text"] == "its pods to leave the list of endpoints"
    assert at(7, "ahead")["text"] == "all 4 replicas to be ready again"
    assert at(13, "ahead")["text"] == "what was broken to be put right"
    assert at(1, "clocks") == {"address": None, "endpoints": None, "capacity": None, "stale_flows": None}
    assert at(8, "clocks")["address"] == pytest.approx(4.6)
    assert at(8, "clocks")["capacity"] is None
    assert shown["frames"][-1]["end"]["clocks"]["capacity"] == pytest.approx(11.9)


def test_an_operator_is_told_what_to_type(made_up: MadeUpRun) -> None:
    made_up.observed_kill()
    typed = "cd /lab && ansible-playbook recover.yml -e lab_profile=lab"
    made_up.marks = [(0.0, "fault_begin"), (0.1, "injected"), (1.0, "operator_called", {"type": typed}),
                     (6.1, "operator_done")]  # fmt: skip
    made_up.write()
    asked = [frame["ahead"] for frame in replay.film(made_up.directory)["frames"] if frame.get("ahead")]
    assert [wait["type"] for wait in asked if "type" in wait] == [typed]


def test_longer_steps_tell_the_same(made_up: MadeUpRun) -> None:
    drain(made_up).write()
    frames = replay.film(made_up.directory)["frames"]
    merged = film.merged(frames, 10.0)
    assert len(merged) < len(frames) / 5
    assert film.totals(merged) == film.totals(frames)
    for key in ("say", "marks"):
        assert [one for frame in merged for one in frame.get(key, ())] == [
            one for frame in frames for one in frame.get(key, ())
        ]
    scenes = [[frame["scene"] for frame in some if "scene" in frame] for some in (merged, frames)]
    assert scenes[0] == scenes[1]


def test_a_film_of_hours_stays_small() -> None:
    long = film.Film()
    for second in range(7200):
        long.add({"t": second, "rows": [[second, "n", "p", "ok", 200]]})
    assert len(long.frames) < 5000
    assert film.totals(long.frames) == {"answered": 7200 * 200}


def test_a_lost_request_is_shown_where_it_was_lost(made_up: MadeUpRun, tmp_path: Path) -> None:
    """By what the nodes' kernels say: the node that received it, and the pod to which it was sent."""
    made_up.rate, made_up.reused_rate = 20.0, 2.0
    made_up.observed_drain()
    made_up.lose(7.0, 7.2, "connect_timeout", took=3.0)
    for change in made_up.changes:
        if change["kind"] == "Pod":
            change["address"] = f"10.0.0.{ord(change['name'][-1])}"
    made_up.write()
    zero = instants.parse("2026-11-23T19:00:00Z")
    about = {"format": 1, "address": "a", "clients": ["9.9.9.9"], "by": {"lab": "netlink"}, "written": 0,
             "spans": [{"node": "lab", "begin": instants.text(zero - 20), "end": None}]}  # fmt: skip
    (made_up.directory / "trace.json").write_text(json.dumps(about))
    lines = ["at,within_ms,node,change,client,client_port,pod,pod_port"]
    for row in made_up.rows:
        fields = row.split(",")
        at = instants.parse(fields[2])
        if zero + 6.9 <= at <= zero + 7.3 and fields[1] == "new":
            lines.append(f"{instants.text(at + 0.01)},20.0,lab,new,9.9.9.9,{fields[10]},10.0.0.98,80")
    with gzip.open(made_up.directory / "trace.csv.gz", "wt") as file:
        file.write("\n".join(lines) + "\n")
    shown = replay.film(made_up.directory)["frames"]
    command.write(made_up.directory)
    feed = Feed(made_up.directory)
    while not feed.over:
        feed.look()
    for frames in (shown, feed.film.frames):
        lost = {tuple(row[1:4]) for frame in frames for row in frame.get("rows", ()) if row[3] != "ok"}
        assert lost == {("lab", "site-b", "connect_timeout")}


def test_one_file_has_all_of_it(
    made_up: MadeUpRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drain(made_up).write()
    target = tmp_path / "film.html"
    assert cli.main(["replay", str(made_up.directory), "--export", str(target)]) == 0
    page = target.read_text()
    # Nothing is fetched, from the network or from beside it.
    assert not re.findall(r'(?:src|href)="(?!data:)[^"]*"|@import|\bimport [^;]* from', page)
    assert "export " not in "".join(re.findall(r"^export .*", page, re.MULTILINE))
    packed = re.search(r'id="film">([^<]*)<', page)
    assert packed is not None
    assert json.loads(gzip.decompress(base64.b64decode(packed[1]))) == replay.film(made_up.directory)
    assert page.count("<script") == 2
    assert str(target) in capsys.readouterr().out


def test_a_file_of_20_000_requests_is_small(made_up: MadeUpRun) -> None:
    drain(made_up)
    made_up.rate, made_up.reused_rate = 300.0, 34.0
    made_up.write()
    assert len(made_up.rows) > 20_000
    assert len(replay.export(replay.film(made_up.directory))) < 1.5 * 2**20


def test_modules_are_inlined_after_what_they_take() -> None:
    known: set[str] = set()
    for name in replay.MODULES:
        taken = re.findall(r'from "\./([a-z]+\.js)"', replay.asset(name))
        assert set(taken) <= known, name
        known.add(name)
    assert known == {path.name for path in Path(replay.__file__).with_name("page").glob("*.js")}
    # In one script, a name is one thing.
    top = re.compile(r"^(?:export )?(?:async )?(?:const|let|function|class) (\w+)", re.MULTILINE)
    names = [name for module in replay.MODULES for name in top.findall(replay.asset(module))]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize(
    ("name", "short"),
    [("site-6b7c7cff57-2t7mj", "2t7mj"), ("site-a", "site-a"), ("shop-web-0", "shop-web-0"), ("one", "one")],
)
def test_pods_have_short_names(name: str, short: str) -> None:
    assert words.short(name) == short


def test_a_pod_is_told_of_with_its_node_or_once_it_has_waited_for_one() -> None:
    life = SimpleNamespace(
        name="site-6b8f7c9d54-abcde", node="", seen=10.0, ready=None, told_to_stop=None, gone=None
    )

    def told(until: float) -> list[str]:
        data = SimpleNamespace(mark=lambda _event: 9.0, changes=[SimpleNamespace(at=until)])
        return [sentence.text for sentence in story._of_pod(cast("Any", life), cast("Any", data))]

    assert told(10.2) == []
    assert told(11.0) == ["Pod abcde is made, and bound to no node yet."]
    life.node = "lab-m02"
    assert told(10.2) == ["Pod abcde is made on lab-m02."]


def test_losses_begin_and_stop() -> None:
    losses = story.Losses()
    assert [one.text for one in losses.lose(5.0)] == ["A request is lost."]
    assert list(losses.lose(5.5)) == []
    assert list(losses.quiet(6.0)) == []
    assert [(one.at, one.text.replace("\u00a0", " ")) for one in losses.quiet(8.0)] == [
        (5.5, "The losses stop: 2 requests were lost within 0.50 s.")
    ]
    assert list(losses.quiet(20.0)) == []


def test_an_empty_run_can_be_played(made_up: MadeUpRun) -> None:
    made_up.end = made_up.begin
    made_up.marks = [(0.0, "aborted")]
    made_up.write()
    shown = replay.film(made_up.directory)
    assert film.totals(shown["frames"]) == {}
    assert shown["frames"][-1]["end"]["heading"] == "Aborted"
