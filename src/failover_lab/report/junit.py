"""junit.xml: the verdict's questions as test cases, for a CI system to show."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

from failover_lab.report import words


def render(report: dict[str, Any]) -> str:
    """The whole file."""
    fault, verdict = report["fault"], report["verdict"]
    name = f"failover-lab {fault['kind'] or 'probe'} {fault['node'] or ''}".strip()
    checks: dict[str, list[str] | None] = verdict["checks"]
    failures = sum(1 for reasons in checks.values() if reasons)
    skipped = sum(1 for reasons in checks.values() if reasons is None)
    suite = ET.Element(
        "testsuite",
        name=name,
        tests=str(len(checks)),
        failures=str(failures),
        errors="0",
        skipped=str(skipped),
    )
    if report["requests"]["began"]:
        suite.set("timestamp", report["requests"]["began"][:19])
    properties = ET.SubElement(suite, "properties")
    for key, value in (
        ("requests", report["requests"]["total"]),
        ("lost", report["requests"]["failed"]),
        ("lost_upper_bound_95", report["requests"]["lost_upper_bound_95"]),
        ("answered_p99_ms", report["latency_ms"]["p99"]),
        ("slowest_ms", report["latency_ms"]["max"]),
        ("with_lost_p99_ms", report["latency_with_lost_ms"]["p99"]),
        ("outage_longest_s", report["outage_s"]["longest"]),
        ("degraded_total_s", report["degraded_s"]["total"]),
    ):
        ET.SubElement(properties, "property", name=key, value="" if value is None else str(value))
    for question, reasons in checks.items():
        case = ET.SubElement(suite, "testcase", classname=name, name=question)
        if reasons is None:
            ET.SubElement(case, "skipped", message="this run does not ask it")
        elif reasons:
            failure = ET.SubElement(case, "failure", message=reasons[0], type=words.heading(report))
            failure.text = "\n".join(reasons)
    said = (words.sentence(report), words.rule(report))
    ET.SubElement(suite, "system-out").text = "\n".join(filter(None, said))
    suites = ET.Element("testsuites")
    suites.append(suite)
    ET.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, encoding="unicode") + "\n"
