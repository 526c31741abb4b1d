"""What is on the page: every chart of the timeline with its lanes, and what the tables tell."""

from __future__ import annotations

import html
import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from failover_lab.report import command, words

NONE = "\u2013"
SVG = "{http://www.w3.org/2000/svg}"


def page(made_up: Any) -> str:
    command.write(made_up.write())
    return str((made_up.directory / "report.html").read_text())


def parts(element: ET.Element, name: str) -> list[ET.Element]:
    """Groups of the drawing by what Vega calls them."""
    return [group for group in element.iter(f"{SVG}g") if name in (group.get("class") or "").split()]


def texts(element: ET.Element, name: str) -> list[str]:
    return [text.text or "" for group in parts(element, name) for text in group.iter(f"{SVG}text")]


def charts(drawing: str) -> dict[str, dict[str, Any]]:
    """Each chart by its title, in order: labels, legends, and how many layers of what kind show something."""
    found = {}
    for chart in parts(ET.fromstring(drawing), "role-scope"):  # noqa: S314  our own page
        if not re.search(r"concat_\d+_group$", chart.get("class") or ""):
            continue
        (title,) = texts(chart, "role-title-text")
        layers = [
            str(group.get("class")).split()[0].removeprefix("mark-")
            for group in parts(chart, "role-mark")
            if len(group)
        ]
        found[title] = {
            "labels": [
                text for text in texts(chart, "role-axis-label") if not text[-1].isdigit() or "-" in text
            ],
            "legend": texts(chart, "role-legend-label"),
            "layers": sorted(layer for layer in layers if layer != "rule"),
            "marks": layers.count("rule"),
        }
    return found


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the table under a heading, as one reads them."""
    section = text.partition(f"<h2>{heading}</h2>")[2].partition("</section>")[0]
    body = re.findall(r"<tr>(.*?)</tr>", section, re.DOTALL)[1:]
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL) for row in body]
    plain = [[html.unescape(re.sub(r"<[^>]*>", " ", cell)) for cell in row] for row in cells]
    return [[re.sub(r"[ \n]+", " ", cell).strip() for cell in row] for row in plain]


def test_every_chart_and_every_lane(made_up: Any) -> None:
    made_up.observed_drain()
    made_up.change(24.3, "ServiceL2Status", "l2-1", service="site", node="lab")
    made_up.lose(7.5, 7.6, "refused")
    made_up.lose(24.2, 24.4, "reset")
    made_up.rate = 50.0
    drawings = re.findall(r"<svg.*?</svg>", page(made_up), re.DOTALL)
    assert len(drawings) == 2
    nodes = ["lab", "lab-m02", "lab-m03"]
    for drawing in drawings:
        assert list(charts(drawing).items()) == [
            ("What was done", {"labels": [], "legend": [], "layers": ["symbol", "text", "text"], "marks": 1}),
            (
                "Requests a second",
                {"labels": [], "legend": ["answered", "failed"], "layers": ["rect"], "marks": 1},
            ),
            (
                "Failed, by kind",
                {"labels": ["refused, new", "reset, new"], "legend": [], "layers": ["symbol"], "marks": 1},
            ),
            (
                "Answer time, ms",
                {
                    "labels": [],
                    "legend": ["median", "99%", "slowest"],
                    "layers": ["line", "line", "symbol"],
                    "marks": 1,
                },
            ),
            # The strips of answers, and under them what the cluster said.
            (
                "Answers by pod, over its state",
                {
                    # As they came, and node by node: those on the drained node, others, replacements.
                    "labels": [f"site-{letter}" for letter in "abdcxy"],
                    "legend": ["ready", "starting", "stopping"],
                    "layers": ["rect", "rect"],
                    "marks": 1,
                },
            ),
            (
                "Answers by node, over its state",
                {"labels": nodes, "legend": ["ready", "cordoned"], "layers": ["rect", "rect"], "marks": 1},
            ),
            (
                "Who announces the address",
                {"labels": ["lab", "lab-m02"], "legend": ["announces"], "layers": ["rect"], "marks": 1},
            ),
        ]
        assert [text for text in texts(ET.fromstring(drawing), "role-mark") if text] == [  # noqa: S314  our own
            words.mark(event) for _, event in made_up.marks
        ]


def test_what_did_not_happen_has_no_chart(made_up: Any) -> None:
    made_up.marks, made_up.play = [], None
    made_up.rate = 50.0
    for drawing in re.findall(r"<svg.*?</svg>", page(made_up), re.DOTALL):
        assert list(charts(drawing)) == [
            "Requests a second",
            "Answer time, ms",
            "Answers by pod, over its state",
            "Answers by node, over its state",
        ]


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longest, and says nothing of the tables."""
    monkeypatch.setattr("failover_lab.report.charts.draw", lambda _spec: "")


@pytest.mark.usefixtures("undrawn")
def test_replacements_and_where_the_pods_are(made_up: Any) -> None:
    text = page(made_up)
    answers = {
        pod: [row.split(",") for row in made_up.rows if row.split(",")[8] == pod]
        for pod in ("site-x", "site-y")
    }
    first = {pod: min(row[5][11:23] for row in found) for pod, found in answers.items()}
    assert first == {"site-x": "19:00:06.020", "site-y": "19:00:14.001"}
    assert rows(text, "Replacements") == [
        ["site-x", "uid-x", "lab", f"{first['site-x']} (6.02\u00a0s)", words.number(len(answers["site-x"]))],
        [
            "site-y",
            "uid-y",
            "lab-m03",
            f"{first['site-y']} (14.0\u00a0s)",
            words.number(len(answers["site-y"])),
        ],
    ]
    assert rows(text, "Where the pods are") == [
        ["lab", "site-d", "site-d site-x"],
        ["lab-m02", "site-a site-b", NONE],
        ["lab-m03", "site-c", "site-c site-y"],
    ]


@pytest.mark.usefixtures("undrawn")
def test_the_clocks_their_reasons_and_the_operator_s_own_time(made_up: Any) -> None:
    made_up.observed_kill()
    made_up.marks += [(1.0, "operator_called"), (4.5, "operator_done")]
    made_up.play["predicted_s"] = {"endpoints": 6.1, "stale_flows": 60.0}
    text = page(made_up)
    found = made_up.content()["clock_reasons"]
    assert rows(text, "The clocks of the recovery") == [
        ["another node announces the address", NONE, NONE],
        ["no endpoint on the node is left", "6.00\u00a0s", "6.10\u00a0s"],
        ["all replicas are ready again", "12.0\u00a0s", NONE],
        [found["capacity"]],
        ["the last stale connection failed", NONE, "60.0\u00a0s"],
        [found["stale_flows"]],
        ["the operator's own time, from the call on", "3.50\u00a0s", NONE],
    ]
