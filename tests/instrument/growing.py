"""A run's folder that grows as probe, trace and observer write it, at a given rate."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from failover_lab.run import instants, marks
from failover_lab.run.layout import Run
from failover_lab.run.records import HEADER, RecordWriter
from failover_lab.trace.log import About, Span, Writer

# As often as the probe and the trace write.
_RECORDS_S, _TRACE_S = 0.2, 0.5
PODS = [f"site-6b7c7cff57-{name}" for name in ("2t7mj", "6v7qs", "9brnp", "vvw6v")]
NODES = ["lab", "lab-m02", "lab-m03"]


def begin(run: Run, clock: instants.Clock) -> None:
    """What is there before the first request."""
    play = {"schema_version": 1, "lab": {"profile": "lab", "nodes": NODES},
            "fault": {"kind": "kill", "node": "lab-m02"}, "settings": {"expected_replicas": 4}}  # fmt: skip
    run.facts.write_text(json.dumps(play))
    at = instants.text(clock.now())
    lines: list[dict[str, Any]] = [
        {"kind": "Node", "change": "LISTED", "name": name, "ready": "True"} for name in NODES
    ]
    lines += [
        {"kind": "Pod", "change": "LISTED", "name": pod, "uid": pod, "node": NODES[index % 3], "ready": True,
         "address": f"10.0.0.{index}"}
        for index, pod in enumerate(PODS)
    ]  # fmt: skip
    lines.append(
        {"kind": "ServiceL2Status", "change": "LISTED", "name": "l2", "service": "site", "node": "lab"}
    )
    run.events.write_text("".join(json.dumps({"at": at, **line}) + "\n" for line in lines))
    spans = [Span(node, clock.now(), None) for node in NODES]
    about = About("http://192.168.49.200", ["9.9.9.9"], dict.fromkeys(NODES, "netlink"), spans)
    run.trace.write_text(json.dumps(about.as_json() | {"state": "tracing"}))


def grow(directory: Path, rate: float, seconds: float) -> int:
    """Write so many requests a second; gives back how many there were."""
    run = Run(directory)
    clock = instants.shared_clock(directory)
    begin(run, clock)
    writer, trace = RecordWriter(run.probe().records), Writer(directory)
    writer.write(HEADER + "\n")
    began, count, next_trace, connections = clock.now(), 0, 0.0, []
    while (now := clock.now()) < began + seconds:
        rows = []
        while began + count / rate < now:
            at = began + count / rate
            count += 1
            pod = PODS[count % 4]
            lost = count % 50 == 0
            text, done = instants.text(at), instants.text(at + (3.0 if lost else 0.002))
            rows.append(
                f"{count},new,{text},{text},{text},{done},{'connect_timeout' if lost else 'ok'},"
                f"{'' if lost else 200},{'' if lost else pod},{'' if lost else NODES[count % 3]},"
                f"{20000 + count % 40000},0,0.1,,,{text},192.168.49.200"
            )
            connections.append(f"{text},20.0,lab,new,9.9.9.9,{20000 + count % 40000},10.0.0.{count % 4},80\n")
        if rows:
            writer.write("\n".join(rows) + "\n")
        if now >= next_trace:
            next_trace = now + _TRACE_S
            trace._rows += connections
            trace.flush()
            connections = []
        if count > rate * 2 and not marks.has(directory, "fault_begin"):
            marks.append(directory, ["steady_before", "fault_begin", "injected"])
        time.sleep(_RECORDS_S)
    writer.close()
    trace.close()
    return count


if __name__ == "__main__":
    print(grow(Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])))
