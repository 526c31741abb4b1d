"""Runs made up for the tests: a directory as probe, observer and play would leave it."""

from __future__ import annotations

import functools
import gzip
import itertools
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from failover_lab.host import priority
from failover_lab.observe import command as observe_command
from failover_lab.probe import engine, wait
from failover_lab.report import build, load
from failover_lab.run import instants, records

ZERO = instants.parse("2026-11-23T19:00:00Z")
NODES = ["lab", "lab-m02", "lab-m03"]
# Two pods of four are on the node that is drained.
BEFORE = {"site-a": "lab-m02", "site-b": "lab-m02", "site-c": "lab-m03", "site-d": "lab"}
AFTER = {"site-c": "lab-m03", "site-d": "lab", "site-x": "lab", "site-y": "lab-m03"}


def _no_difference(_due: float, _kind: str, _number: int) -> dict[str, Any]:
    return {}


@functools.lru_cache(maxsize=8)
def _usual(begin: float, end: float, rate: float, reused_rate: float) -> tuple[list[str], bytes]:
    """What is recorded where nothing is out of the ordinary, made once."""
    return MadeUpRun(Path(os.devnull).parent, begin, end, rate, reused_rate).record()


@dataclass
class MadeUpRun:
    """A drain of lab-m02 at ZERO; times are seconds after it."""

    directory: Path
    begin: float = -20.0
    end: float = 40.0
    rate: float = 100.0
    reused_rate: float = 10.0
    whole: bool = True
    fault_kind: str = "drain"
    scheduling: str = "real_time"
    # What the probe's own machine dropped: what, from, to, packets, and how much of it there may be.
    dropped: list[tuple[Any, ...]] = field(default_factory=list)
    # What the probe could not write beside its record.
    trouble: list[str] = field(default_factory=list)
    # Instant, event, and, if there are any, its details.
    marks: list[tuple[Any, ...]] = field(
        default_factory=lambda: [
            (-2.0, "steady_before"),
            (0.0, "fault_begin"),
            (0.2, "cordoned"),
            (19.0, "drained"),
            (22.0, "healed"),
            (36.0, "steady_after"),
        ]
    )
    changes: list[dict[str, Any]] = field(default_factory=list)
    play: dict[str, Any] | None = field(default_factory=dict)
    rows: list[str] = field(default_factory=list)
    # A hook for each request: (due, kind, number) to what differs from a good answer.
    differ: Callable[[float, str, int], dict[str, Any]] = _no_difference

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.play = {
            "schema_version": 1,
            "address": "http://192.168.49.100/whoami",
            "lab": {"profile": "lab", "nodes": NODES, "kubernetes": "v1.99.1", "minikube": "v1.99.0"},
            "fault": {"kind": self.fault_kind, "node": "lab-m02", "announcer": "lab-m02"},
            "settings": {"steady_window_s": 10, "max_lost": 0, "expected_replicas": 4},
            "displaced": [
                {"pod": "site-a", "uid": "uid-a", "node": "lab-m02"},
                {"pod": "site-b", "uid": "uid-b", "node": "lab-m02"},
            ],
            "replacements": [
                {"pod": "site-x", "uid": "uid-x", "node": "lab"},
                {"pod": "site-y", "uid": "uid-y", "node": "lab-m03"},
            ],
            "left_on_node": [],
            "spread": {"before": BEFORE, "after": AFTER, "eligible_nodes": ["lab", "lab-m03"]},
        }

    def pods_at(self, at: float) -> list[str]:
        """Who answers at that time."""
        if at < 6:
            return ["site-a", "site-b", "site-c", "site-d"]
        if at < 14:
            return ["site-x", "site-b", "site-c", "site-d"]
        return ["site-x", "site-y", "site-c", "site-d"]

    def request(self, due: float, kind: str, number: int) -> str:
        """One row."""
        pods = self.pods_at(due)
        pod = pods[number % len(pods)]
        took = 0.0008 + (number * 7919 % 100) / 100_000
        facts: dict[str, Any] = {
            "outcome": "ok",
            "status": 200,
            "pod": pod,
            "node": (BEFORE | AFTER).get(pod, "lab"),
            "took": took,
            "late": 0.4,
            "prior": 0 if kind == "new" else 3,
            "port": 30000 + number % 20000,
            "retransmits": "",
            "connecting": 0.0001,
            "detail": "",
            "opened": "",
            "peer": "",
        }
        if kind == "reused":
            facts["port"] = 20000 + number % 10
        changed = self.differ(due, kind, number)
        if changed.get("outcome", "ok") != "ok":
            facts |= {"pod": "", "node": "", "status": ""}
        facts |= changed
        at = ZERO + due
        sent = instants.text(at + 0.0005)
        connected = instants.text(at + 0.0004 + facts["connecting"]) if kind == "new" else ""
        done = instants.text(at + facts["took"])
        return (
            f"{number},{kind},{instants.text(at)},{connected},{sent},{done},{facts['outcome']},{facts['status']},"
            f"{facts['pod']},{facts['node']},{facts['port']},{facts['prior']},{facts['late']},"
            f"{facts['retransmits']},{facts['detail']},{facts['opened']},{facts['peer']}"
        )

    def record(self) -> tuple[list[str], bytes]:
        """The rows of all requests, and the file that has them."""
        new = ((self.begin + i / self.rate, "new") for i in range(int((self.end - self.begin) * self.rate)))
        reused = (
            (self.begin + i / self.reused_rate, "reused")
            for i in range(int((self.end - self.begin) * self.reused_rate))
        )
        dues = sorted(itertools.chain(new, reused))
        rows = [self.request(due, kind, number) for number, (due, kind) in enumerate(dues, start=1)]
        pieces = [gzip.compress((records.HEADER + "\n").encode(), compresslevel=1, mtime=0)]
        pieces += [
            gzip.compress(("\n".join(part) + "\n").encode(), compresslevel=1, mtime=0)
            for part in itertools.batched(rows, 500)
        ] if hasattr(itertools, "batched") else [
            gzip.compress(("\n".join(rows[i : i + 500]) + "\n").encode(), compresslevel=1, mtime=0)
            for i in range(0, len(rows), 500)
        ]  # fmt: skip
        return rows, b"".join(pieces)

    def write(self) -> Path:
        """Write everything down; gives the directory back."""
        # Most tests change nothing of the requests themselves.
        usual = self.differ is _no_difference and "pods_at" not in vars(self)
        self.rows, recorded = (
            _usual(self.begin, self.end, self.rate, self.reused_rate) if usual else self.record()
        )
        (self.directory / "requests.csv.gz").write_bytes(recorded)
        about = {
            "format": records.FORMAT, "version": "0.1.0", "pid": 1, "url": "http://192.168.49.100/whoami",
            "new_rate": self.rate, "reused_rate": self.reused_rate, "reused_connections": 10,
            "connect_timeout_s": 3.0, "read_timeout_s": 5.0, "scheduling": self.scheduling,
            "began": instants.text(ZERO + self.begin),
            "ended": instants.text(ZERO + self.end) if self.whole else None,
            "end_reason": "stop file" if self.whole else None,
            "recorded": len(self.rows) if self.whole else None,
            "trouble": self.trouble,
            "dropped": [
                {"what": what, "begin": ZERO + begin, "end": ZERO + end, "packets": packets, "most": most}
                for what, begin, end, packets, most in self.dropped
            ],
        }  # fmt: skip
        (self.directory / "probe.json").write_text(json.dumps(about))
        lines = [
            json.dumps({"at": instants.text(ZERO + at), "event": event, **(details[0] if details else {})})
            for at, event, *details in self.marks
        ]
        (self.directory / "marks.jsonl").write_text("".join(f"{line}\n" for line in lines))
        lines = [
            json.dumps({**change, "at": instants.text(ZERO + change["at"])})
            for change in sorted(self.changes, key=lambda change: change["at"])
        ]
        (self.directory / "events.jsonl").write_text("".join(f"{line}\n" for line in lines))
        if self.play is not None:
            (self.directory / "run.json").write_text(json.dumps(self.play))
        return self.directory

    def change(self, at: float, kind: str, name: str, change: str = "MODIFIED", **facts: Any) -> None:
        """Something that the cluster said."""
        self.changes.append({"at": at, "kind": kind, "change": change, "name": name, **facts})

    def endpoints(self, at: float, **pods: str) -> None:
        """The Service's endpoints from then on: pod=ready|stopping, with _ for -."""
        entries = [
            {
                "pod": name.replace("_", "-"),
                "node": (BEFORE | AFTER)[name.replace("_", "-")],
                "ready": state == "ready",
                "serving": True,
                "terminating": state == "stopping",
            }
            for name, state in pods.items()
        ]
        self.change(at, "EndpointSlice", "site-1", endpoints=entries)

    def observed_drain(self) -> None:
        """What the cluster says in a drain that goes well."""
        for node in NODES:
            self.change(-20, "Node", node, "LISTED", ready="True", unschedulable=False)
        self.change(0.2, "Node", "lab-m02", ready="True", unschedulable=True)
        self.change(22.0, "Node", "lab-m02", ready="True", unschedulable=False)
        for pod, node in BEFORE.items():
            self.change(-20, "Pod", pod, "LISTED", uid=f"uid-{pod[-1]}", node=node, ready=True)
        ready = dict.fromkeys(("site_a", "site_b", "site_c", "site_d"), "ready")
        self.endpoints(-20, **ready)
        for old, new, told, up in (("site-a", "site-x", 0.5, 5.0), ("site-b", "site-y", 7.0, 13.0)):
            node = AFTER[new]
            self.change(told, "Pod", old, uid=f"uid-{old[-1]}", node="lab-m02", ready=True, deletion="2026")
            self.change(told + 0.1, "Pod", new, "ADDED", uid=f"uid-{new[-1]}", node=node, ready=False)
            self.change(up, "Pod", new, uid=f"uid-{new[-1]}", node=node, ready=True)
            self.change(told + 6.0, "Pod", old, "DELETED", uid=f"uid-{old[-1]}", node="lab-m02")
            key = old.replace("-", "_")
            ready[key] = "stopping"
            self.endpoints(told, **ready)
            ready[new.replace("-", "_")] = "ready"
            self.endpoints(up, **ready)
            del ready[key]
            self.endpoints(told + 6.0, **ready)
        self.change(-20, "ServiceL2Status", "l2-1", "LISTED", service="site", node="lab-m02")

    def observed_kill(self) -> None:
        """What the cluster says as lab-m02 dies at ZERO."""
        assert self.play is not None
        self.play["fault"]["kind"] = "kill"
        self.endpoints(-20, site_a="ready", site_b="ready", site_c="ready", site_d="ready")
        self.endpoints(6.0, site_c="ready", site_d="ready")
        self.endpoints(12.0, site_c="ready", site_d="ready", site_x="ready", site_y="ready")
        self.change(-20, "Node", "lab-m02", "LISTED", ready="True")
        self.change(5.0, "Node", "lab-m02", ready="Unknown")
        self.change(15.0, "Node", "lab-m02", "DELETED")

    def lose(self, begin: float, end: float, outcome: str = "refused", **more: Any) -> None:
        """Lose all requests of a kind (new unless given) between two times, one in ``every``."""
        kind, every = more.pop("kind", "new"), more.pop("every", 1)
        before = self.differ

        def differ(due: float, of: str, number: int) -> dict[str, Any]:
            if begin <= due < end and of == kind and number % every == 0:
                return {"outcome": outcome, **more}
            return dict(before(due, of, number))

        self.differ = differ

    def content(self) -> dict[str, Any]:
        """The report, checked against its schema."""
        found = build.build(load.load(self.write())).content
        load.validator("report").validate(found)
        return found


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands run within the tests' own process, and must not leave it in a hurry."""
    monkeypatch.setattr(priority, "hasten", lambda _level: "normal")
    # Looking more often changes nothing but the time that the tests take.
    monkeypatch.setattr(engine, "_TICK_S", 0.02)
    monkeypatch.setattr(wait, "_LOOK_EVERY_S", 0.02)
    monkeypatch.setattr(observe_command, "_LOOK_EVERY_S", 0.02)
    monkeypatch.setattr(observe_command, "_STATUS_EVERY_S", 0.05)


@pytest.fixture
def undisturbed() -> Iterator[None]:
    """Where it is permitted, let no other work on the machine come between: these tests look at the clock.

    The threads of a test's own server inherit it.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except (AttributeError, OSError):
        yield
        return
    yield
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


@pytest.fixture
def made_up(tmp_path: Path) -> MadeUpRun:
    """A run that passes unless a test changes it."""
    return MadeUpRun(tmp_path / "with blank é" / "run")
