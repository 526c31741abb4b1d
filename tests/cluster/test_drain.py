"""failover.yml with a drain: the report says what the cluster itself says."""

from __future__ import annotations

import csv
import gzip
import json
import re
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.children import output_of

from .conftest import BUSY, ROOT, SHORT, docker
from .sudden import is_traced

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Lab

pytestmark = pytest.mark.cluster


def observed(run: Path) -> list[dict[str, Any]]:
    """Every change that the cluster reported during a run."""
    return [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]


def make_lab(lab: Lab) -> str:
    """What the README begins with, on the lab that there is: setup again, then a drain; what it said."""
    # Not of the announcer: a node that was drained carries nothing, and the next test drains that one.
    arguments = f"-e lab_profile={lab.profile} -e lab_reports_dir={lab.reports} -e fault_node=other"
    lab.is_as_set_up = False
    return output_of("make", "lab", f"ARGS={arguments}", cwd=ROOT, environment=lab.environment)


def test_a_drain_is_proven_by_uid(lab: Lab) -> None:
    before = lab.pods()
    output = make_lab(lab)
    after = lab.pods()
    run = (lab.reports / "latest").resolve()
    report = json.loads((run / "report.json").read_text())
    node = report["fault"]["node"]

    displaced = {name for name, (_, where) in before.items() if where == node}
    assert displaced, "the node that was drained carried no pod"
    assert not displaced & set(after)
    fresh = {uid for uid, _ in after.values()} - {uid for uid, _ in before.values()}
    assert {row["uid"] for row in report["replacements"]} == fresh
    assert len(fresh) == len(displaced)
    assert all(row["first_answer_s"] is not None for row in report["replacements"])
    assert node not in {where for _, where in after.values()}
    assert lab.cordoned() == []

    with gzip.open(run / "requests.csv.gz", "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    assert report["requests"]["total"] == len(rows)
    assert report["requests"]["failed"] == sum(row["outcome"] != "ok" for row in rows)
    # The requests' own words: each replacement was named in an answer.
    answered = {row["pod"] for row in rows if row["outcome"] == "ok"}
    assert {row["pod"] for row in report["replacements"]} <= answered
    # The cluster's own words: cordoned and free again, each old pod deleted, each new one added.
    changes = observed(run)
    kinds = {change["kind"] for change in changes}
    assert kinds >= {"Node", "Lease", "EndpointSlice", "Pod", "Event", "ServiceL2Status"}
    cordons = [c.get("unschedulable") for c in changes if c["kind"] == "Node" and c["name"] == node]
    assert True in cordons
    assert not cordons[-1]
    uids = {
        what: {c.get("uid") for c in changes if (c["kind"], c["change"]) == ("Pod", what)}
        for what in ("ADDED", "DELETED")
    }
    assert {before[name][0] for name in displaced} <= uids["DELETED"]
    assert fresh <= uids["ADDED"]

    assert report["verdict"]["passed"] is True
    is_traced(report)
    assert run.name.endswith("-drain")
    assert "Report:" in output
    assert re.search(r"\d+ requests, \d+ failed; waiting for \w", output)
    lab.drains.append(run)


@pytest.mark.nightly
def test_the_node_that_announces_is_taken(lab: Lab) -> None:
    lab.spread_anew()
    played = lab.play("failover", "-e", "fault_node=announcer", "-e", "witness_duration=30")
    assert played.returncode == 0, played.output[-6000:]
    report = json.loads((lab.reports / "latest" / "report.json").read_text())
    assert report["requests"]["by_connection"]["new"]["total"] >= 30 * 200
    fault = report["fault"]
    assert fault["announcer"] is not None
    assert fault["node"] == fault["announcer"]


@pytest.mark.nightly
def test_nothing_is_broken_where_the_site_is_not_steady(lab: Lab) -> None:
    # Every request to one pod is refused, by its node; the kubelet, which asks from within, finds it well.
    before = lab.pods()
    pod = lab.get("pod", next(iter(before)), "--namespace=site")
    node, address = pod["spec"]["nodeName"], pod["status"]["podIP"]
    latest = lab.reports / "latest"
    earlier = latest.resolve()
    rule = [
        *("FORWARD", "-d", address, "-p", "tcp", "--dport", "8080", "--syn"),
        *("-j", "REJECT", "--reject-with", "tcp-reset"),
    ]
    docker("exec", node, "iptables", "-I", *rule)
    try:
        played = lab.play("failover", "-e", "witness_steady_timeout_s=8")
    finally:
        docker("exec", node, "iptables", "-D", *rule)
    assert played.returncode != 0
    run = latest.resolve()
    assert run != earlier, played.output[-4000:]
    assert not [c for c in observed(run) if c["kind"] == "Node" and c.get("unschedulable")]
    assert lab.cordoned() == []
    assert lab.pods() == before

    report = json.loads((run / "report.json").read_text())
    assert report["fault"]["injected_at"] is None
    assert report["verdict"]["passed"] is False
    reasons = [reason for reason in report["verdict"]["reasons"] if "Steady | " in reason]
    assert reasons, report["verdict"]
    assert "not steady after 8 s" in reasons[0]
    assert not [reason for reason in report["verdict"]["reasons"] if "no fault was marked" in reason], (
        "what follows from the cause stands beside it"
    )


@pytest.mark.nightly
def test_a_named_node_is_taken_and_the_cordon_of_somebody_else_left_alone(lab: Lab) -> None:
    workers = sorted({node for _, node in lab.pods().values() if node.endswith(("-m02", "-m03"))})
    lab.kubectl("cordon", workers[0])
    try:
        played = lab.play("failover", *SHORT, "-e", f"fault_node={workers[0]}")
        assert played.returncode == 0, played.output[-6000:]
        report = json.loads((lab.reports / "latest" / "report.json").read_text())
        assert report["fault"]["node"] == workers[0], "another node than the named one"
        assert lab.cordoned() == [workers[0]]
    finally:
        lab.kubectl("uncordon", workers[0])


@pytest.mark.nightly
def test_a_second_run_is_refused_before_the_first_has_struck(lab: Lab) -> None:
    # Long enough for two other plays to come and go, which have the processors to themselves for a while.
    first = lab.start("failover", *BUSY, "-e", "witness_steady_s=15")
    try:
        deadline = time.monotonic() + 120
        while not (found := lab.journal()):
            assert first.poll() is None, first.communicate()[0][-4000:]
            assert time.monotonic() < deadline
            time.sleep(0.2)
        second = lab.play("failover")
        assert second.returncode != 0
        assert "Another run is going on: drain of" in second.error
        recovering = lab.play("recover")
        assert recovering.returncode != 0
        assert "A run is going on" in recovering.error
        assert lab.journal() == found, "the first has struck meanwhile, or its journal is another one"
    finally:
        output = first.communicate(timeout=300)[0]
    assert first.returncode == 0, output[-4000:]
    assert lab.cordoned() == []
    assert lab.journal() == {}
    run = (lab.reports / "latest").resolve()
    assert str(run) == found["run_dir"]
    report = json.loads((run / "report.json").read_text())
    assert report["fault"]["node"] == found["node"]
    assert report["verdict"]["passed"] is True
    # The second one has not even made a folder.
    assert max(lab.reports.glob("2*")) == run
