"""What the frontier's runs come to: the page ``docs/frontier.md`` and its chart."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable
from typing import Any

from tests.bench.cases import CASES, ROLES

Run = dict[str, Any]
Row = dict[str, Any]

CLOCKS = ("address", "endpoints", "capacity", "stale_flows")
# That read on white as well as on black.
COLOURS = {"address": "#e0a000", "endpoints": "#d1495b", "capacity": "#2e86ab", "stale_flows": "#8a6fb0"}
GREY = "#808080"
NOTHING = "\N{EN DASH}"


def spread(values: Iterable[float | None]) -> tuple[float, float, float] | None:
    """Median, least and most of what was measured; None if nothing was."""
    known = [value for value in values if value is not None]
    return (statistics.median(known), min(known), max(known)) if known else None


def lost_percent(run: Run) -> float | None:
    """How many of the requests in the minute after the fault failed, in percent; None if cut short."""
    lost = run["lost"]
    return 100.0 * lost["failed"] / lost["total"] if lost["total"] else None


def cell(values: Iterable[float | None], unit: str = "") -> str:
    """Median and range, as they stand in the table, and of how many runs where not of all."""
    rows = list(values)
    found = spread(rows)
    if found is None:
        return NOTHING
    middle, least, most = (f"{value:.1f}{unit}" for value in found)
    seen = sum(value is not None for value in rows)
    share = "" if seen == len(rows) else f" in {seen} of {len(rows)}"
    return (middle if least == most else f"{middle} ({least} to {most})") + share


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
        clocks = [cell((run["clocks_s"][clock] for run in members), " s") for clock in CLOCKS]
        lost = cell((lost_percent(run) for run in members), "%")
        lines.append(f"| {case} | {role} | {len(members)} | {' | '.join(clocks)} | {lost} |")
        predicted = [cell((run["predicted_s"][clock] for run in members), " s") for clock in CLOCKS]
        if set(predicted) != {NOTHING}:
            lines.append(f"| | *predicted* | | {' | '.join(f'*{text}*' for text in predicted)} | |")
    return lines


def alarms(found: dict[str, Any]) -> str:
    """What the run under full load came to, in one sentence."""
    return (
        f"With `fast`, during {found['seconds'] / 60:g} minutes in which {found['busy']} busy loops at "
        f"normal priority kept all {found['cores']} cores full, healthy nodes were taken for dead "
        f"{found['events']} times. The longest time without a sign of life from one of them was "
        f"{found['silence_s']:.1f} s, of the {found['grace_s']:g} s allowed."
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
        f"`make frontier` from real runs on {conditions['measured']}: {conditions['nodes']} nodes on "
        f"{conditions['cores']} cores, Kubernetes {conditions['kubernetes']}, {conditions['rate']:g} "
        "requests a second, each on a new connection. Seconds after the fault: medians, and from the least "
        "to the most where runs differ."
    )
    nothing = (
        f"{NOTHING} means that there was nothing to see: no address had to move, or no request failed after "
        "the dead endpoints were gone."
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
    # A logarithmic axis has no nought.
    for row in clocks:
        row |= {key: max(row[key], 0.1) for key in ("middle", "least", "most")}

    def case(role: str) -> Row:
        domain = [name for name, case in CASES.items() if role in {ROLES[key] for key in case.roles}]
        return {
            "field": "case",
            "type": "nominal",
            "scale": {"domain": domain},
            "axis": {"title": None, "ticks": False, "domain": False},
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
        "scale": {"type": "log", "domain": [0.1, max([600.0, *(row["most"] for row in clocks)])]},
        "axis": {"title": "seconds after the fault", "values": [0.1, 1, 2, 5, 10, 20, 50, 100, 200, 500]}
        | {"format": "~g", "labelExpr": "datum.value < 1 ? '0' : datum.label"},
    }
    most = max([1.0, *(row["most"] for row in losses)])
    percent = {
        "type": "quantitative",
        "scale": {"domain": [0, most]},
        "axis": {"title": "requests lost in 60 s, %", "tickCount": 5},
    }
    point = {"type": "point", "filled": True, "size": 70, "opacity": 1}
    tick = {"type": "tick", "thickness": 4, "color": GREY}

    def panel(role: str, values: list[Row], x: Row, mark: Row, look: Row) -> Row:
        rule = {"type": "rule", "strokeWidth": 2, "color": GREY}
        ends = {"x": x | {"field": "least"}, "x2": {"field": "most"}}
        return {
            "title": {"text": role, "anchor": "start"},
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
            *(panel(role, clocks, seconds, point, {"yOffset": clock, "color": colour}) for role in roles),
            *(panel(role, losses, percent, tick, {}) for role in roles),
        ],
        "resolve": {"scale": {"x": "independent"}},
        "config": {
            "background": None,
            "font": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif",
            "view": {"stroke": None},
            "axis": {"labelColor": GREY, "titleColor": GREY, "titleFontWeight": "normal", "gridColor": GREY,
                     "gridOpacity": 0.25, "domainColor": GREY, "tickColor": GREY},
            "axisY": {"minExtent": 70, "grid": False},
            "title": {"color": GREY, "fontSize": 12},
            "legend": {"labelColor": GREY},
        },
    }  # fmt: skip


def chart(runs: list[Run]) -> str:
    """The chart as SVG."""
    import vl_convert

    svg: str = vl_convert.vegalite_to_svg(json.dumps(specification(runs)), vl_version="5.20")
    return svg
