"""What the frontier's runs come to: the page ``docs/frontier.md`` and its chart."""

from __future__ import annotations

import itertools
import json
import math
import statistics
from collections.abc import Iterable
from typing import Any

from bench.cases import CASES, ROLES
from bench.goals import Goal, Run, goals, lost_percent

from failover_lab.report.clock_reasons import WORTH_A_REASON

Row = dict[str, Any]

CLOCKS = ("address", "endpoints", "capacity", "stale_flows")
# That read on white as well as on black.
COLOURS = {"address": "#e0a000", "endpoints": "#d1495b", "capacity": "#2e86ab", "stale_flows": "#8a6fb0"}
GREY = "#808080"
LEAST_S = 0.1
NOTHING = "\N{EN DASH}"
SAME = "\N{HORIZONTAL ELLIPSIS}"
# The limits as they are called on the page, in the order of its columns.
LIMITED = {
    "address": "address",
    "endpoints": "endpoints",
    "capacity": "capacity",
    "tail": "tail of stale flows",
    "lost": "lost in 60 s",
}


def spread(values: Iterable[float | None]) -> tuple[float, float, float] | None:
    """Median, least and most of what was measured; None if nothing was."""
    known = [value for value in values if value is not None]
    return (statistics.median(known), min(known), max(known)) if known else None


def cell(values: Iterable[float | None], unit: str = " s", digits: int = 1) -> str:
    """Median and range, as they stand in the table, and of how many runs where not of all."""
    rows = list(values)
    found = spread(rows)
    if found is None:
        return NOTHING
    middle, least, most = (f"{value:.{digits}f}" for value in found)
    seen = sum(value is not None for value in rows)
    share = "" if seen == len(rows) else f" in {seen} of {len(rows)}"
    return middle + unit + ("" if least == most else f" ({least} to {most})") + share


def groups(runs: Iterable[Run]) -> dict[tuple[str, str], list[Run]]:
    """The runs by case and role, in the page's order."""
    rows = list(runs)
    found = {
        (case, role): [run for run in rows if (run["case"], run["role"]) == (case, role)]
        for case in CASES
        for role in ROLES
    }
    return {key: members for key, members in found.items() if members}


def table(runs: list[Run]) -> list[str]:
    """A row for each case and role, and under it what the settings predict."""
    lines = [
        "| case | node | runs | address | endpoints | capacity | stale flows | lost in 60 s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (case, role), members in groups(runs).items():
        clocks = [cell(run["clocks_s"][clock] for run in members) for clock in CLOCKS]
        lost = cell((lost_percent(run) for run in members), "%", digits=2)
        lines.append(f"| {case} | {role} | {len(members)} | {' | '.join(clocks)} | {lost} |")
        # An address that is to move after 0 s is not to move at all.
        predicted = [cell(run["predicted_s"][clock] or None for run in members) for clock in CLOCKS]
        if set(predicted) != {NOTHING}:
            lines.append(f"| | *predicted* | | {' | '.join(f'*{text}*' for text in predicted)} | |")
    return lines


def beside(goal: Goal) -> str:
    """A median beside its limit, with as many digits as it takes to see on which side it is."""
    if goal.kept and not goal.limit:
        return "none"
    if math.isinf(goal.value):
        return f"**not seen, {goal.limit:g}{goal.unit} wanted: missed**"
    texts = (f"{goal.value:.{digits}f}" for digits in range(2 if goal.unit == "%" else 1, 5))
    value = next((text for text in texts if (float(text) <= goal.limit) == goal.kept), str(goal.value))
    if goal.kept:
        return f"{value} \N{LESS-THAN OR EQUAL TO} {goal.limit:g}{goal.unit}"
    return f"**{value} > {goal.limit:g}{goal.unit}: missed**"


def goals_part(runs: list[Run]) -> list[str]:
    """What was wanted, as a table; nothing if there is no limit."""
    found = goals(groups(runs))
    if not found:
        return []
    lines = [f"| case | node | {' | '.join(LIMITED.values())} |", "|---|---|---|---|---|---|---|"]
    for (case, role), row in itertools.groupby(found, lambda goal: (goal.case, goal.role)):
        texts = {goal.what: beside(goal) for goal in row}
        lines.append(f"| {case} | {role} | {' | '.join(texts.get(name, '') for name in LIMITED)} |")
    return [
        "## Goals",
        (
            f"The medians, and the most that they should be: {sum(goal.kept for goal in found)} of "
            f"{len(found)} goals are kept. The tail is how long, once the endpoints were out of the list, "
            "requests still went to a pod that was gone."
        ),
        "\n".join(lines),
    ]


def middle_run(members: list[Run]) -> Run:
    """The one with the median capacity; of an even number, the quicker of the two in the middle."""

    def capacity(run: Run) -> float:
        seconds: float | None = run["clocks_s"]["capacity"]
        return math.inf if seconds is None else seconds

    return sorted(members, key=capacity)[(len(members) - 1) // 2]


def untold(reason: str, before: str) -> str:
    """A reason without the steps with which the one before began as well."""
    steps, told = reason.split(", "), before.split(", ")
    same = sum(
        1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(steps, told, strict=False))
    )
    return ", ".join([SAME, *steps[same:]]) if same else reason


def rest(runs: list[Run]) -> list[str]:
    """What the clocks were made of that were not as predicted."""
    lines = []
    for (case, role), members in groups(runs).items():
        run, before = middle_run(members), ""
        told = [(clock, run["clock_reasons"][clock]) for clock in CLOCKS if run["clock_reasons"][clock]]
        lines += [f"- **{case}, {role}**"] if told else []
        for clock, reason in told:
            seconds, predicted = run["clocks_s"][clock], run["predicted_s"][clock]
            was = "not seen" if seconds is None else f"{seconds:.1f} s"
            should = "" if predicted is None else f" ({predicted:.1f} s predicted)"
            lines.append(f"  - {clock.replace('_', ' ')} {was}{should}: {untold(reason, before)}")
            before = reason
    if not lines:
        return []
    return [
        "## What the rest is made of",
        (
            f"Where a clock is within {WORTH_A_REASON:.0%} of its prediction, "
            "[the settings](explanation/clocks.md#in-a-sudden-loss) say what it is made of. These are the "
            "others, each in the run of its case that had the median capacity. Times are counted from the "
            "fault, and a step is noted once it is done, which may be after others have seen it. "
            f"{SAME} stands for the steps that the line above begins with as well."
        ),
        "\n".join(lines),
    ]


def alarms(found: dict[str, Any]) -> str:
    """What the run under full load came to, in one sentence."""
    return (
        f"With `fast`, during {found['seconds'] / 60:g} minutes in which {found['busy']} busy loops at "
        f"normal priority kept all {found['cores']} cores full, healthy nodes were taken for dead "
        f"{found['events']} times. The longest time without a sign of life from one of them was "
        f"{found['silence_s']:.1f} s, of the {found['grace_s']:g} s allowed. The address, which no node had "
        f"lost, moved {found['moves']} times."
    )


def page(results: dict[str, Any], chart: str) -> str:
    """The whole page.

    Args:
        results: as they are kept: ``conditions``, ``runs`` and, if it was measured, ``false_alarms``.
        chart: the file of the chart, beside the page.
    """
    conditions, runs = results["conditions"], results["runs"]
    how = (
        "A node is lost without a word while users ask the site. Made by "
        f"`make frontier` from real runs of {conditions['measured']}: {conditions['nodes']} nodes on "
        f"{conditions['cores']} cores, Kubernetes {conditions['kubernetes']}, {conditions['rate']:g} "
        "requests a second, each on a new connection. Seconds after the fault: medians, and from the least "
        "to the most where runs differ."
    )
    nothing = (
        f"{NOTHING} means that there was nothing to see: no address had to move, or no request failed after "
        "the dead endpoints were gone. Of a prediction it can also mean that nobody can say when."
    )
    parts = [
        "# The frontier: how long a sudden loss hurts",
        how,
        "\n".join(f"- **{name}**: {case.words}." for name, case in CASES.items()),
        f"![the four clocks and the requests lost]({chart})",
        "\n".join(table(runs)),
        nothing,
    ]
    refused = [run for run in runs if not run["passed"]]
    if refused:
        reasons = sorted({reason for run in refused for reason in run["reasons"]})
        parts.append(
            f"The verdict of {len(refused)} of the {len(runs)} runs was no:\n\n"
            + "\n".join(f"- {reason}" for reason in reasons)
        )
    parts += [*goals_part(runs), *rest(runs)]
    if found := results.get("false_alarms"):
        parts += ["## False alarms", alarms(found)]
    return "\n\n".join(parts) + "\n"


def rows(runs: list[Run]) -> tuple[list[Row], list[Row]]:
    """The data of the chart: clocks, and losses."""
    names = ("middle", "least", "most")
    clocks, losses = [], []
    for (case, role), members in groups(runs).items():
        where = {"case": case, "role": ROLES[role]}
        for clock in CLOCKS:
            if found := spread(run["clocks_s"][clock] for run in members):
                row = where | {"clock": clock} | dict(zip(names, found, strict=True))
                clocks.append(row)
        if found := spread(lost_percent(run) for run in members):
            losses.append(where | dict(zip(names, found, strict=True)))
    return clocks, losses


def specification(runs: list[Run]) -> Row:
    """The chart: for both roles the clocks over a logarithmic axis, and below them the losses."""
    clocks, losses = rows(runs)
    roles = list(ROLES.values())
    # A logarithmic axis has no nought: what is less stands at its beginning.
    for row in clocks:
        row |= {key: max(row[key], LEAST_S) for key in ("middle", "least", "most")}

    def case(role: str) -> Row:
        domain = [name for name, case in CASES.items() if role in {ROLES[key] for key in case.roles}]
        return {
            "field": "case",
            "type": "nominal",
            "scale": {"domain": domain},
            "axis": {"title": None, "ticks": False, "domain": False, "grid": True, "tickBand": "extent"},
        }

    clock = {"field": "clock", "type": "nominal", "scale": {"domain": list(CLOCKS)}}
    colour = {
        "field": "clock",
        "type": "nominal",
        "scale": {"domain": list(COLOURS), "range": list(COLOURS.values())},
        "legend": {"title": None, "orient": "top", "labelExpr": "replace(datum.label, '_', ' ')"},
    }

    seconds = {
        "type": "quantitative",
        "scale": {"type": "log", "domain": [LEAST_S, max([600.0, *(row["most"] for row in clocks)])]},
        "axis": {
            "title": "seconds after the fault",
            "values": [LEAST_S, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500],
            "format": "~g",
            "labelExpr": f"(datum.value > {LEAST_S} ? '' : '\N{LESS-THAN OR EQUAL TO} ') + datum.label",
        },
    }
    # With room for the mark of the greatest.
    most = 1.02 * max([1.0, *(row["most"] for row in losses)])
    percent = {
        "type": "quantitative",
        "scale": {"domain": [0, most]},
        "axis": {"title": "requests lost in 60 s, %", "tickCount": 5},
    }
    point = {"type": "point", "filled": True, "size": 70, "opacity": 1}
    look = {"yOffset": clock, "color": colour}
    tick = {"type": "tick", "thickness": 4, "color": GREY}

    def panel(role: str, values: list[Row], x: Row, mark: Row, look: Row) -> Row:
        rule = {"type": "rule", "strokeWidth": 2, "color": GREY}
        ends = {"x": x | {"field": "least"}, "x2": {"field": "most"}}
        return {
            "title": {"text": f"{'clocks' if look else 'losses'} when {role} is hit", "anchor": "start"},
            "data": {"values": [row for row in values if row["role"] == role]},
            "width": 640,
            "height": {"step": 48 if look else 22, "for": "position"},
            "encoding": {"y": case(role)},
            "layer": [
                {"mark": rule, "encoding": look | ends},
                {"mark": mark, "encoding": look | {"x": x | {"field": "middle"}}},
            ],
        }

    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "vconcat": [
            *(panel(role, clocks, seconds, point, look) for role in roles),
            *(panel(role, losses, percent, tick, {}) for role in roles),
        ],
        "resolve": {"scale": {"x": "independent"}},
        "config": {
            "background": None,
            "font": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif",
            "view": {"stroke": None},
            "axis": {"labelColor": GREY, "titleColor": GREY, "titleFontWeight": "normal", "gridColor": GREY,
                     "gridOpacity": 0.25, "domainColor": GREY, "tickColor": GREY},
            "axisY": {"minExtent": 70, "labelPadding": 8},
            "title": {"color": GREY, "fontSize": 12},
            "legend": {"labelColor": GREY},
        },
    }  # fmt: skip


def chart(runs: list[Run]) -> str:
    """The chart as SVG."""
    import vl_convert

    svg: str = vl_convert.vegalite_to_svg(json.dumps(specification(runs)), vl_version="5.20")
    return svg
