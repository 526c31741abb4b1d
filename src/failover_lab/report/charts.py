"""The timeline as SVG, drawn by Vega-Lite at build time: the page needs no script and prints as it looks.

Colours are placeholders that the page's style sheet gives a meaning to, one for light and one for dark.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from failover_lab.errors import UserError
from failover_lab.report import series, words

if TYPE_CHECKING:
    from failover_lab.report.build import Report

Spec = dict[str, Any]

# Placeholder to CSS variable. Any colours would do that nothing else uses.
COLOURS = {
    "#0a0001": "--ink",
    "#0a0002": "--soft",
    "#0a0003": "--line",
    "#0a0004": "--ok",
    "#0a0005": "--bad",
    "#0a0006": "--warn",
    "#0a0007": "--cool",
    "#0a0008": "--mark",
    "#0a0009": "--pale",
}
_BY_NAME = {variable.removeprefix("--"): colour for colour, variable in COLOURS.items()}
INK, SOFT, LINE = _BY_NAME["ink"], _BY_NAME["soft"], _BY_NAME["line"]
OK, BAD, WARN, COOL, MARK, PALE = (_BY_NAME[name] for name in ("ok", "bad", "warn", "cool", "mark", "pale"))

_STATES = {"ready": OK, "starting": COOL, "stopping": WARN, "cordoned": WARN, "not ready": BAD, "gone": BAD,
           "announces": COOL}  # fmt: skip
# How far apart the labels of a time axis may be, and how many it has at most.
_STEPS_S, _LABELS = (1, 2, 5, 10, 20, 30, 60, 120, 300), 12
_LATENCY = {"median": OK, "99%": COOL, "slowest": WARN}


@dataclass(frozen=True)
class Size:
    """One drawing's measures in CSS pixels."""

    name: str
    width: int
    bars: int
    label: int
    margin: int


SIZES = (Size("wide", 800, 200, 190, 120), Size("narrow", 250, 84, 130, 60))


def _x(axis: series.Span, field: str = "t", *, labels: bool = False) -> Spec:
    return {
        "field": field,
        "type": "quantitative",
        "scale": {"domain": [axis.place(axis.begin), axis.place(axis.end)], "nice": False, "padding": 0},
        "axis": _axis(axis) if labels else {"labels": False, "ticks": False, "title": None},
    }


def _axis(axis: series.Span) -> Spec:
    """The labels of the time axis; where it leaves something out, of what is shown alone."""
    shown: Spec = {"labels": True, "ticks": True, "title": axis.title}
    if not axis.quiet:
        return shown
    # What is drawn at a place is so many seconds later: by as much as was left out before it.
    later = [(axis.place(end), end - axis.place(end)) for _, end in axis.quiet]
    expression = f"datum.value + {0.0:g}"
    for place, seconds in later:
        expression = f"datum.value < {place:g} ? ({expression}) : datum.value + {round(seconds, 3):g}"
    step = next((s for s in _STEPS_S if (axis.place(axis.end) - axis.place(axis.begin)) / s <= _LABELS), 600)
    ticks = range(math.ceil(axis.begin / step), math.floor(axis.end / step) + 1)
    seconds_shown = [tick * step for tick in ticks if not any(b < tick * step < e for b, e in axis.quiet)]
    return shown | {
        "values": [axis.place(second) for second in seconds_shown],
        "labelExpr": f"format(round({expression}), ',')",
    }


def _names(names: list[str], size: Size) -> Spec:
    # Names of pods differ at their end; on a phone that is all there is room for.
    most = size.label // 8
    short = f"length(datum.label) > {most} ? '\u2026' + slice(datum.label, {1 - most}) : datum.label"
    called = {name: words.short(name) for name in names}
    if len({*called.values()}) == len(names) and called != {name: name for name in names}:
        short = f"{json.dumps(called)}[datum.label]"
    return {
        "field": "name",
        "type": "nominal",
        "scale": {"domain": names},
        "axis": {
            "title": None,
            "grid": False,
            "ticks": False,
            "domain": False,
            "labelLimit": 0,
            "labelExpr": short,
        },
    }


def _left_out(axis: series.Span, size: Size | None = None) -> list[Spec]:
    """What the axis leaves out: a pale block, and in one of the charts how long it is."""
    if not axis.quiet:
        return []
    rows = [
        {"t": axis.place(begin), "u": axis.place(end), "middle": (axis.place(begin) + axis.place(end)) / 2,
         "what": f"{end - begin:.0f} s without change"}
        for begin, end in axis.quiet
    ]  # fmt: skip
    block: Spec = {
        "data": {"values": rows},
        "mark": {"type": "rect", "color": PALE, "opacity": 1},
        "encoding": {"x": _x(axis), "x2": {"field": "u"}},
    }
    if size is None:
        return [block]
    text = {"type": "text", "angle": 270, "color": SOFT, "fontSize": 10}
    return [block, {"data": {"values": rows}, "mark": text,
                    "encoding": {"x": _x(axis, "middle"), "text": {"field": "what"}}}]  # fmt: skip


def _rules(axis: series.Span, marks: list[series.Row]) -> Spec:
    return {
        "data": {"values": marks},
        "mark": {"type": "rule", "color": MARK, "strokeDash": [3, 3], "strokeWidth": 1, "opacity": 0.75},
        "encoding": {"x": _x(axis)},
    }


def _title(text: str) -> Spec:
    return {"text": text, "anchor": "start", "frame": "group", "offset": 6}


def _colours(mapping: dict[str, str]) -> Spec:
    return {
        "field": "what",
        "type": "nominal",
        "scale": {"domain": list(mapping), "range": list(mapping.values())},
        "legend": {"title": None, "orient": "top-right", "direction": "horizontal", "offset": -18},
    }


def _marks_lane(axis: series.Span, marks: list[series.Row], size: Size) -> Spec:
    middle = (axis.place(axis.begin) + axis.place(axis.end)) / 2
    right = {"type": "text", "align": "left", "dx": 7, "color": INK}
    left = {"type": "text", "align": "right", "dx": -7, "color": INK}
    y = {"field": "order", "type": "ordinal", "axis": None}
    text = {"x": _x(axis), "y": y, "text": {"field": "what"}}
    return {
        "title": _title("What was done"),
        "width": size.width,
        "height": {"step": 17},
        "data": {"values": marks},
        "layer": [
            {key: value for key, value in _rules(axis, marks).items() if key != "data"},
            {"mark": {"type": "point", "filled": True, "size": 45, "color": MARK, "opacity": 1},
             "encoding": {"x": _x(axis), "y": y}},
            {"mark": right, "transform": [{"filter": f"datum.t <= {middle}"}], "encoding": text},
            {"mark": left, "transform": [{"filter": f"datum.t > {middle}"}], "encoding": text},
        ],
    }  # fmt: skip


def _throughput(requests: series.Requests, axis: series.Span, marks: list[series.Row], size: Size) -> Spec:
    spec: Spec = {
        "title": _title("Requests a second"),
        "width": size.width,
        "height": 110,
        "layer": [
            *_left_out(axis, size),
            {
                "data": {"values": axis.placed(requests.throughput())},
                "mark": {"type": "bar", "binSpacing": 0, "orient": "vertical"},
                "encoding": {
                    "x": _x(axis),
                    "x2": {"field": "u"},
                    "y": {
                        "field": "rate",
                        "type": "quantitative",
                        "stack": "zero",
                        "axis": {"title": None, "tickCount": 4},
                    },
                    "order": {"field": "what", "sort": "descending"},
                    "color": _colours({"answered": OK, "failed": BAD}),
                },
            },
            _rules(axis, marks),
        ],
    }
    # As near to what is looked at as at the bottom of all.
    for layer in spec["layer"]:
        field = layer["encoding"]["x"]["field"]
        layer["encoding"]["x"] = _x(axis, field, labels=True)
        layer["encoding"]["x"]["axis"]["title"] = None
    return spec


def _failures(rows: list[series.Row], axis: series.Span, marks: list[series.Row], size: Size) -> Spec:
    names = sorted({row["what"] for row in rows})
    y = _names(names, Size("", 0, 0, 999, 0)) | {"field": "what"}
    return {
        "title": _title("Failed, by kind"),
        "width": size.width,
        "height": {"step": 26},
        "layer": [
            *_left_out(axis),
            {
                "data": {"values": rows},
                "mark": {"type": "circle", "color": BAD, "opacity": 0.8},
                "encoding": {
                    "x": _x(axis),
                    "y": y,
                    "size": {
                        "field": "n",
                        "type": "quantitative",
                        "scale": {"range": [22, 320]},
                        "legend": None,
                    },
                },
            },
            _rules(axis, marks),
        ],
    }


def _latency(requests: series.Requests, axis: series.Span, marks: list[series.Row], size: Size) -> Spec:
    y = {
        "field": "ms",
        "type": "quantitative",
        "scale": {"type": "log", "nice": True},
        "axis": {"title": None, "values": [0.1, 1, 10, 100, 1000, 10000], "format": "~g"},
    }
    line = {"x": _x(axis), "y": y, "color": _colours(_LATENCY)}
    return {
        "title": _title("Answer time, ms"),
        "width": size.width,
        "height": 130,
        "layer": [
            *_left_out(axis),
            _rules(axis, marks),
            {
                "data": {"values": axis.placed(requests.latencies)},
                "layer": [
                    {"transform": [{"filter": "datum.what != 'slowest'"}],
                     "mark": {"type": "line", "strokeWidth": 1.6}, "encoding": line},
                    {"transform": [{"filter": "datum.what == 'slowest'"}],
                     "mark": {"type": "circle", "size": 14, "opacity": 0.9}, "encoding": line},
                ],
            },
        ],
    }  # fmt: skip


def _states(
    rows: list[series.Row], names: list[str], axis: series.Span, size: Size, *, offset: float
) -> Spec:
    used = {row["state"] for row in rows}
    mapping = {state: colour for state, colour in _STATES.items() if state in used}
    return {
        "data": {"values": rows},
        "mark": {"type": "bar", "height": 4, "yOffset": offset},
        "encoding": {
            "x": _x(axis),
            "x2": {"field": "u"},
            "y": _names(names, size),
            "color": {
                "field": "state",
                "type": "nominal",
                "scale": {"domain": list(mapping), "range": list(mapping.values())},
                "legend": {"title": None, "orient": "top-right", "direction": "horizontal", "offset": -18},
            },
        },
    }


def _strips(rows: list[series.Row], names: list[str], axis: series.Span, size: Size) -> Spec:
    return {
        "data": {"values": rows},
        "mark": {"type": "bar", "height": 13, "yOffset": -3, "color": OK, "binSpacing": 0},
        "encoding": {
            "x": _x(axis),
            "x2": {"field": "u"},
            "y": _names(names, size),
            "opacity": {
                "field": "rate",
                "type": "quantitative",
                "scale": {"domainMin": 0, "range": [0.12, 1]},
                "legend": None,
            },
        },
    }


def _lanes(
    title: str,
    names: list[str],
    strips: list[series.Row],
    states: list[series.Row],
    axis: series.Span,
    *,
    marks: list[series.Row],
    size: Size,
    last: bool = False,
) -> Spec:
    layers = _left_out(axis) if strips or states else []
    layers += [_strips(strips, names, axis, size)] if strips else []
    if states:
        layers.append(_states(states, names, axis, size, offset=8 if strips else 0))
    layers.append(_rules(axis, marks))
    spec: Spec = {
        "title": _title(title),
        "width": size.width,
        # Where nobody answered and nothing was observed there are no rows to have a height.
        "height": {"step": 28 if strips else 20} if strips or states else 20,
        "layer": layers,
        "resolve": {"scale": {"color": "independent", "opacity": "independent"}},
    }
    if last:
        for layer in layers:
            layer["encoding"]["x"] = _x(axis, layer["encoding"]["x"]["field"], labels=True)
    return spec


def _config(size: Size) -> Spec:
    font = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
    return {
        "background": None,
        "font": font,
        "aria": False,
        # Browsers set text wider than the measure it was placed by.
        "padding": {"left": 26, "top": 2, "right": 26, "bottom": 2},
        "view": {"stroke": None},
        "axis": {
            "labelColor": SOFT,
            "titleColor": SOFT,
            "titleFontWeight": "normal",
            "domainColor": LINE,
            "tickColor": LINE,
            "gridColor": LINE,
            "labelFontSize": 11,
            "titleFontSize": 11,
        },
        "axisX": {"grid": False},
        "axisY": {"minExtent": size.margin},
        "title": {"color": INK, "fontSize": 13, "fontWeight": 600},
        "legend": {"labelColor": SOFT, "labelFontSize": 11, "symbolStrokeWidth": 0, "symbolType": "square",
                   "symbolSize": 60, "columnPadding": 10},
        "text": {"fontSize": 11},
        "concat": {"spacing": 16},
    }  # fmt: skip


def timeline_spec(report: Report, size: Size) -> Spec:
    """The whole timeline as a Vega-Lite specification: charts one below the other over one time axis."""
    records = report.data.records
    axis = series.span(report, size.bars)
    requests = series.Requests(records, axis)
    marks = axis.placed(series.marks(report, axis))
    pods = series.pods_in_order(report)
    left_out = len(series.pods(report)) - len(pods)
    of_pods = f" ({left_out} more pods are not shown)" if left_out else ""
    nodes = sorted({r.node for r in records.said if r.node} | set(report.content["lab"]["nodes"]))
    announced = axis.placed(series.announcements(report, axis))
    charts = [_marks_lane(axis, marks, size)] if marks else []
    charts.append(_throughput(requests, axis, marks, size))
    if failed := axis.placed(requests.failures()):
        charts.append(_failures(failed, axis, marks, size))
    charts.append(_latency(requests, axis, marks, size))
    charts.append(
        _lanes(f"Answers by pod, over its state{of_pods}", pods, axis.placed(requests.answers("pod", pods)),
               axis.placed(series.pod_states(report, axis, pods)), axis, marks=marks, size=size)
    )  # fmt: skip
    charts.append(
        _lanes("Answers by node, over its state", nodes, axis.placed(requests.answers("node", nodes)),
               axis.placed(series.node_states(report, axis)), axis, marks=marks, size=size,
               last=not announced)
    )  # fmt: skip
    if announced:
        names = sorted({row["name"] for row in announced})
        charts.append(
            _lanes("Who announces the address", names, [], announced, axis, marks=marks, size=size, last=True)
        )
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "config": _config(size),
        "vconcat": charts,
        "resolve": {"scale": {"color": "independent", "y": "independent", "size": "independent"}},
    }


def draw(spec: Spec) -> str:
    """The specification as an SVG element whose colours follow the page.

    Raises:
        UserError: the drawing package is missing.
    """
    try:
        import vl_convert  # noqa: PLC0415  0.4 s that no other command needs to wait for
    except ImportError as error:
        raise UserError(
            "report.html needs the package vl-convert-python; report.json is there already"
        ) from error
    svg: str = vl_convert.vegalite_to_svg(json.dumps(spec), vl_version="5.20")
    for colour, variable in COLOURS.items():
        svg = svg.replace(f'"{colour}"', f'"var({variable})"')
    # The figure says what it shows; its parts would be pictures without a text each.
    svg = re.sub(r' (?:role="graphics-[a-z]+"|aria-roledescription="[^"]*")', "", svg)
    # Full precision would double the page; coarser than this leaves gaps between neighbouring bars.
    return re.sub(r"(\d+\.\d{3})\d+", r"\1", svg)
