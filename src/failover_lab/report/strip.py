"""The report's head: the live page's drawing of the cluster, at the few moments that tell the story."""

from __future__ import annotations

import collections
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from failover_lab.report import moments, scene, words
from failover_lab.run.records import counted_as

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from failover_lab.faults.target import Target
    from failover_lab.report.build import Report
    from failover_lab.report.moments import Moment

# Of more than these the drawing says how many there are, and no more.
_MOST_PODS, _MOST_NODES = 12, 8
# Of so many pods at a moment only those of nodes are drawn to which something happens; and two moments, not
# four, stand side by side where a node has more than a few.
_CROWD, _FEW = 60, 4
# Stands for the nodes that are drawn as one; no node is called that.
_REST = "*"
# How wide the line of all requests is, and the narrowest, in CSS pixels.
_WIDEST, _NARROWEST = 6.0, 1.5
_SCHEME, _PATH = re.compile(r"^\w+://"), re.compile(r"/.*$", re.DOTALL)


@dataclass
class _Counted:
    """Requests that were due within a moment, a second's worth."""

    answered: collections.Counter[str] = field(default_factory=collections.Counter)
    lost: collections.Counter[tuple[str, str]] = field(default_factory=collections.Counter)
    nodes: dict[str, str] = field(default_factory=dict)


def strip(report: Report) -> dict[str, Any] | None:
    """The moments as the page has them; None where nobody knows of any node."""
    scenes = scene.Scenes(report.data, report.cluster)
    chosen = moments.chosen(report, scenes)
    shown = [_Moment(report, moment, scenes.at(moment.at)) for moment in chosen]
    names = list(dict.fromkeys(node["name"] for moment in shown for node in moment.nodes.values()))
    if not names:
        return None
    drawn = _drawn(names, report, shown)
    most = max((n for moment in shown for n in moment.counted.answered.values()), default=0) or 1
    summed = _summed_up(drawn, shown, report.fault.target)
    told = [moment.told(drawn, summed, most) for moment in shown]
    chips = [pod for moment in told for node in moment["nodes"] for pod in node["pods"] if not node["summed"]]
    return {
        "moments": told,
        "rows": len(drawn),
        "crowded": any(len(n["pods"]) > _FEW for moment in told for n in moment["nodes"] if not n["summed"]),
        "name": max((len(pod["name"]) for pod in chips), default=1),
        "span_s": max(moment.span_s for moment in chosen),
        "zero": words.zero(report.content),
        "address": _PATH.sub("", _SCHEME.sub("", report.content["address"] or "\u2013")),
        "signs": scene.PODS,
        "lost": scene.LOST,
    }


def _drawn(names: list[str], report: Report, shown: Iterable[_Moment]) -> list[str]:
    """The nodes that have a box each, in their order, and one for all others where they are many."""
    if len(names) <= _MOST_NODES:
        return names
    told = [entry.get("node") for of in ("displaced", "replacements") for entry in report.content[of]]
    rank: dict[str | None, int] = dict.fromkeys(told, 1)
    for moment in shown:
        rank |= {name: 2 for name, node in moment.nodes.items() if node["states"]}
    rank |= dict.fromkeys([*report.fault.target.nodes, *(moment.announcer for moment in shown)], 3)
    best = sorted(names, key=lambda name: -rank.get(name, 0))[: _MOST_NODES - 1]
    return [*(name for name in names if name in best), _REST]


def _summed_up(drawn: list[str], shown: list[_Moment], struck: Target) -> set[str]:
    """The nodes whose pods are not drawn one by one."""
    pods = [moment.by_node() for moment in shown]
    many = {name for name in drawn if any(len(found.get(name, ())) > _MOST_PODS for found in pods)}

    def is_crowd() -> bool:
        alone = [name for name in drawn if name not in many]
        return any(sum(len(found.get(name, ())) for name in alone) > _CROWD for found in pods)

    def is_quiet(name: str) -> bool:
        states = any(moment.nodes[name]["states"] for moment in shown if name in moment.nodes)
        seen = [{(pod["name"], pod["state"]) for pod in found.get(name, ())} for found in pods]
        return name not in struck and not states and all(of == seen[0] for of in seen)

    for fits in (is_quiet, lambda _name: True):
        if is_crowd():
            many |= {name for name in drawn if fits(name)}
    return many


class _Moment:
    """One moment: what there was, and what became of the requests."""

    def __init__(self, report: Report, moment: Moment, there: Mapping[str, Any]) -> None:
        self._report, self._moment = report, moment
        self.counted = _counted(report, moment)
        self.announcer: str = there["announcer"]
        self.pods: list[dict[str, Any]] = list(there["pods"])
        known = {pod["name"] for pod in self.pods}
        # Who answers is there, though the observer had not heard of it by then, or hears of no pod at all.
        self.pods += [
            {"name": pod, "node": self.counted.nodes[pod], "state": "ready"}
            for pod in sorted(self.counted.answered)
            if pod and pod not in known
        ]
        nodes = {node["name"]: node for node in there["nodes"]}
        for name in sorted({pod["node"] for pod in self.pods} - {""}):
            nodes.setdefault(name, {"name": name, "states": [], "lost": False})
        self.nodes = nodes

    def by_node(self) -> dict[str, list[dict[str, Any]]]:
        """The pods of each node; of none, those that wait for one."""
        found: dict[str, list[dict[str, Any]]] = {}
        for pod in self.pods:
            found.setdefault(pod["node"], []).append(pod)
        return found

    def told(self, drawn: list[str], summed: set[str], most: int) -> dict[str, Any]:
        """As the page has it.

        Args:
            drawn: the nodes that have a box.
            summed: those whose pods are not drawn one by one.
            most: how many requests the busiest pod answered at any moment.
        """
        answered, lost = self.counted.answered.total(), self.counted.lost.total()
        spots, pods = self._spots(drawn), self.by_node()
        waiting = pods.pop("", [])
        rest = [name for name in self.nodes if name not in drawn]
        pods[_REST] = [pod for name in rest for pod in pods.get(name, [])]
        boxes = []
        for name in drawn:
            box = self._box(name, pods.get(name, []))
            if name == _REST:
                box["name"] = words.many(len(rest), "more node")
            if name == _REST or name in summed:
                box |= {"summed": True, "pods": self._summed(pods.get(name, []))}
                spots["node", name] += sum(spots["pod", pod["name"]] for pod in pods.get(name, []))
            else:
                box |= {"summed": False, "pods": [self._chip(pod, spots, most) for pod in pods.get(name, [])]}
            box["lost"] = self._lost(spots["node", name])
            boxes.append(box)
        return {
            "title": self._moment.title,
            "at": words.signed(self._moment.at - self._report.zero),
            "answered": self._rate(answered),
            "lost": self._lost(lost),
            "at_address": self._lost(spots["address", ""]),
            "cut": lost > 0 and not answered,
            "nodes": self._flow(drawn, boxes),
            "waiting": self._summed(waiting),
        }

    def _rate(self, count: int) -> str:
        rate = count / self._moment.span_s
        return words.number(rate) if rate >= 10 or rate == round(rate) else f"{rate:.1f}"

    def _lost(self, count: int) -> str:
        return self._rate(count) if count else ""

    def _spots(self, drawn: list[str]) -> collections.Counter[tuple[str, str]]:
        """Where requests were lost: at a pod that is there, at a node, or at the address."""
        there = {pod["name"] for pod in self.pods if pod["node"]}
        spots: collections.Counter[tuple[str, str]] = collections.Counter()
        for (via, pod), count in self.counted.lost.items():
            if pod in there:
                spots["pod", pod] += count
            elif via:
                spots["node", via if via in drawn or _REST not in drawn else _REST] += count
            else:
                spots["address", ""] += count
        return spots

    def _box(self, name: str, pods: list[dict[str, Any]]) -> dict[str, Any]:
        node = self.nodes.get(name) or {"states": [], "lost": False}
        return {
            "name": words.short_node(name, self._report.content["lab"]["profile"]),
            "announces": scene.ANNOUNCES if name == self.announcer else None,
            "states": [(*scene.NODES.get(state, ("!", "bad")), state) for state in node["states"]],
            "look": "lost" if node["lost"] else "away" if node["states"] else "",
            "answered": sum(self.counted.answered[pod["name"]] for pod in pods),
        }

    def _chip(
        self, pod: dict[str, Any], spots: collections.Counter[tuple[str, str]], most: int
    ) -> dict[str, Any]:
        sign, says = scene.PODS[pod["state"]]
        count = self.counted.answered[pod["name"]]
        return {
            "state": pod["state"],
            "sign": sign,
            "name": words.short(pod["name"]),
            "says": f"{self._rate(count)}/s" if pod["state"] == "ready" or count else says,
            "share": round(count / most, 2),
            "lost": self._lost(spots["pod", pod["name"]]),
        }

    def _summed(self, pods: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Of pods that are too many to be drawn: how many there are of each state."""
        found = []
        for state, (sign, _) in scene.PODS.items():
            mine = [pod["name"] for pod in pods if pod["state"] == state]
            if mine:
                count = sum(self.counted.answered[name] for name in mine)
                said = f"{self._rate(count)}/s" if state == "ready" or count else ""
                name = words.many(len(mine), "pod") + ("" if state == "ready" else f" {state}")
                found.append(
                    {"state": state, "sign": sign, "name": name, "says": said, "share": None, "lost": ""}
                )
        return found

    def _flow(self, drawn: list[str], boxes: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """With each box the lines beside it: from the users on the left, on to other nodes on the right.

        Where nobody knows which node receives, the users' line leads to all that answer.
        """
        receives = drawn.index(self.announcer) if self.announcer in drawn else None
        answers = [index for index, box in enumerate(boxes) if box["answered"]]
        into = answers if receives is None else [receives]
        on = [] if receives is None else [index for index in answers if index != receives]
        ends = [*on, receives] if on and receives is not None else []
        total = sum(box["answered"] for box in boxes) or 1
        for index, box in enumerate(boxes):
            lines = {
                "in": into and index <= max(into),
                "in-here": index in into,
                "in-end": into and index == max(into),
                "on": ends and min(ends) <= index <= max(ends),
                "on-here": index in ends,
                "on-begin": ends and index == min(ends),
                "on-end": ends and index == max(ends),
            }
            box["lines"] = " ".join(name for name, is_there in lines.items() if is_there)
            handed = sum(boxes[i]["answered"] for i in on) if index == receives else box["answered"]
            box["width"] = round(max(_NARROWEST, _WIDEST * handed / total), 1) if box["lines"] else None
        return boxes


def _counted(report: Report, moment: Moment) -> _Counted:
    result = _Counted()
    end = moment.begin + moment.span_s
    for record in report.data.records.between(moment.begin, end):
        kind = counted_as(record.outcome)
        if kind is None or record.due >= end:
            continue
        if record.failed:
            announcer = report.cluster.announcer(record.due) or ""
            result.lost[scene.went(record, report.trace, announcer)] += 1
        else:
            result.answered[record.pod] += 1
            result.nodes[record.pod] = record.node
    return result
