"""report.html: one file that needs nothing else."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup

from failover_lab.report import charts, repeat, strip, words
from failover_lab.run import instants

if TYPE_CHECKING:
    from failover_lab.report.build import Report

_MOST_GROUPS = 60


def _time(day: str, value: str | None) -> str:
    """The time of day; of another day than the run's first, with its date."""
    if value is None:
        return "\u2013"
    return value[11:23] if value[:10] == day else f"{value[5:10]} {value[11:23]}"


def _drawings(report: Report) -> list[dict[str, Any]]:
    if not report.data.records:
        return []
    return [
        {"name": size.name, "svg": Markup(charts.draw(charts.timeline_spec(report, size)))}  # noqa: S704
        for size in charts.SIZES
    ]


def _node_rows(content: dict[str, Any]) -> list[dict[str, Any]]:
    """For each node its pods before and after."""
    before, after = content["spread"]["before"]["pods"], content["spread"]["pods"]
    nodes = list(dict.fromkeys([*content["lab"]["nodes"], *sorted({*before.values(), *after.values()})]))
    return [
        {
            "node": node,
            "before": [pod for pod, on in before.items() if on == node],
            "after": [{"pod": pod, "new": pod not in before} for pod, on in after.items() if on == node],
        }
        for node in nodes
    ]


def _date(content: dict[str, Any]) -> str:
    began = content["requests"]["began"]
    return "" if began is None else instants.text(instants.parse(began))[:16].replace("T", " ") + " UTC"


def render(report: Report) -> str:
    """The page.

    Raises:
        UserError: the drawing package is missing.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("failover_lab.report", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {
        "ms": words.milliseconds,
        "s": words.seconds,
        "n": words.number,
        "bound": words.bound,
    }
    content = report.content
    environment.filters["share"] = functools.partial(repeat.share, content=content)
    environment.filters["time"] = functools.partial(_time, (content["requests"]["began"] or "")[:10])
    replacements = content["replacements"]
    return environment.get_template("page.html.j2").render(
        report=content,
        heading=words.heading(content),
        sentence=words.sentence(content),
        rule=words.rule(content),
        bound_counts=words.bound_counts(content),
        waited=words.waited(content),
        closes=words.closes(content),
        not_observed=words.not_observed(content),
        zero=words.zero(content),
        begun=words.is_begun(content),
        control_plane=words.control_plane(content) + words.zone(content),
        causes=words.CAUSES,
        trace=words.trace(content),
        untraced=words.untraced(content),
        outcomes=words.OUTCOMES,
        groups=content["failures"][:_MOST_GROUPS],
        groups_left=max(0, len(content["failures"]) - _MOST_GROUPS),
        node_rows=_node_rows(content),
        answered=sum(entry["first_answer_at"] is not None for entry in replacements),
        strip=strip.strip(report),
        drawings=_drawings(report),
        again=repeat.command(report),
        next=repeat.suggestions(report),
        composed=repeat.composed(report),
        folder=report.data.directory.name if report.data.directory else "RUN",
        about=report.data.about,
        date=_date(content),
    )
