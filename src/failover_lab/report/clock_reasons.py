"""Why a clock of the recovery is not as predicted: what its time was made of, as far as anybody noted it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from failover_lab.kube.leaders import MANAGER, SCHEDULER
from failover_lab.observe import resources
from failover_lab.report import clocks, control_plane, evidence
from failover_lab.run import instants, marks

if TYPE_CHECKING:
    from failover_lab.report.cluster import Cluster, PodLife
    from failover_lab.report.fault import Fault
    from failover_lab.report.groups import Group
    from failover_lab.report.load import Mark, RunData

# A difference greater than this share of what was predicted is to be explained.
WORTH_A_REASON = 0.3
# A step is noted once the API server has granted it, by when others may have seen it.
_NOTED_S = 0.5
_STEPS = {
    "dead": "found the node dead",
    "fenced": "fenced the node",
    "marked": "marked it out of service",
    "pods_deleted": "deleted its pods",
}
# With these comes why nothing was done.
_REFUSALS = ("refused", "not_fenced", "alive_again", "failed")


@dataclass(frozen=True)
class Run:
    """What there is to go by.

    Attributes:
        clocks: as measured.
        predicted: the same keys.
        failures: each group of lost requests with its cause.
        between: as from ``clocks.between``.
    """

    clocks: dict[str, float | None]
    predicted: dict[str, float | None]
    data: RunData
    seen: Cluster
    fault: Fault
    failures: list[tuple[Group, str]]
    between: dict[str, list[float] | None]

    @property
    def zero(self) -> float:
        """The instant at which it struck."""
        return self.fault.at or 0.0

    @property
    def clean(self) -> float | None:
        """The instant behind the clock ``endpoints``; by that rounded figure what held before might count."""
        if self.clocks["endpoints"] is None:
            return None
        return clocks.clean_since(clocks.lost_endpoints(self.data, self.seen, self.fault))

    def after(self, at: float) -> str:
        """An instant, counted from the fault."""
        return _plus(at - self.zero)

    @property
    def who(self) -> str | None:
        """Who was to give the node's work away; None: Kubernetes."""
        if self.data.mark(marks.OPERATOR_CALLED) is not None:
            return "operator"
        watched = any(mark.event.startswith("watchdog_") for mark in self.data.marks)
        return "watchdog" if watched else None

    def step(self, name: str) -> Mark | None:
        """When whoever it was did this to what was struck; of several nodes, to the last of them."""
        done: dict[str, Mark] = {}
        for mark in self.data.marks:
            if mark.event == f"{self.who}_{name}" and self._of_the_struck(mark):
                done.setdefault(mark.details.get("node", ""), mark)
        return max(done.values(), key=lambda mark: mark.at, default=None)

    def _of_the_struck(self, mark: Mark) -> bool:
        # Of flows that were cleared, no node is told.
        node = mark.details.get("node")
        return node is None or node in self.fault.target

    def steps(self, until: float, last: str = "pods_deleted") -> list[str]:
        """What was done to give the node's work away until then; nothing if it was not marked by then."""
        marked = self.step("marked")
        if marked is None or marked.at > until + _NOTED_S:
            return []
        names = list(_STEPS)[: list(_STEPS).index(last) + 1]
        done = [(self.step(name), _STEPS[name]) for name in names]
        told = [f"{words} at {self.after(m.at)}" for m, words in done if m and m.at <= until + _NOTED_S]
        called = self.data.mark(marks.OPERATOR_CALLED)
        if called is not None:
            told.insert(0, f"was called at {self.after(called)}")
        return [f"the {self.who} {told[0]}", *told[1:]]

    def led(self, program: str, until: float) -> list[str]:
        """That another node had to lead before it could come about; nothing if it came without."""
        taken = control_plane.takeover(self.data, program, self.zero)
        if taken is None or taken.at is None or taken.before not in self.fault.target:
            return []
        if taken.at > until + _NOTED_S:
            return []
        return [f"{taken.after} led the {program} since {self.after(taken.at)}, before it {taken.before}"]

    def too_late(self) -> list[str]:
        """That somebody was to do it, and had not by the time that it came about."""
        marked = self.step("marked")
        if self.who is None:
            return []
        if marked is not None:
            return [f"the {self.who} marked the node only at {self.after(marked.at)}"]
        refusals = (mark for mark in map(self.step, _REFUSALS) if mark is not None)
        why = next((f" ({mark.details.get('why')})" for mark in refusals), "")
        return [f"the {self.who} did not act{why}"]


def reasons(run: Run) -> dict[str, str | None]:
    """For each clock that is not as predicted, by a third or because one of the two is missing: why.

    Args:
        run: what there is to go by.
    """
    tell = {"address": _address, "endpoints": _endpoints, "capacity": _capacity, "stale_flows": _stale_flows}
    found = run.fault.at is not None
    told = {name: tell[name](run) if found and _is_to_be_told(run, name) else None for name in clocks.CLOCKS}
    for name, times in run.between.items():
        if times is not None:
            first, last = map(_plus, times)
            told[name] = f"between {first} and {last}: the observer was cut off from the cluster meanwhile"
    return told


def _is_to_be_told(run: Run, name: str) -> bool:
    was, should = run.clocks[name], run.predicted.get(name)
    if was is None:
        # An address that is to move after 0 s is not to move at all.
        return bool(should)
    if should is None:
        # Whatever is evicted, everybody is told in time: nobody predicts it. But the address is to stay.
        return not run.fault.what.evicts or name == "address"
    return abs(was - should) > WORTH_A_REASON * should


def _plus(seconds: float) -> str:
    return f"{seconds:+.1f}\u00a0s"


def _address(run: Run) -> str:
    struck, move = run.fault.target, clocks.address_move(run.seen, run.fault)
    if run.clocks["address"] is None or move is None:
        before = run.seen.announcer(run.zero)
        if before is None:
            return "who announced the address was not observed"
        if before not in struck:
            return f"{before} announced the address when it struck, not {struck}"
        return f"{before} announced the address, and no other node was seen to take it over"
    at, _, other = move
    announced = f"{other} announced the address at {run.after(at)}"
    if steps := run.steps(at, "marked"):
        return f"{', '.join(steps)}, and at the label exclude-from-external-load-balancers {announced}"
    # Its speaker is silent too, and the others give it up by themselves.
    if run.fault.what.silent:
        told = f"the speakers gave the node up, and {announced}"
    else:
        told = f"{announced}, and nothing that was done to the node says why"
    return ", ".join([told, *run.too_late()])


def _last_sign(run: Run) -> float | None:
    """The last renewal of a lost node's lease."""
    stamps = [
        instants.parse(change.facts["stamped"])
        for change in run.data.changes
        if change.kind == resources.LEASE and change.name in run.fault.target and change.facts.get("stamped")
    ]
    # Once it is back, it renews again.
    return max((stamp for stamp in stamps if stamp <= run.zero + 1.0), default=None)


def _not_ready(run: Run) -> float | None:
    """When the Node's condition said so; a cordon, the watchdog's own for instance, is another matter."""
    found = [run.seen.lost(node, run.zero) for node in run.fault.target.nodes]
    return None if None in found else max(filter(None, found), default=None)


def _stops(run: Run) -> list[str]:
    """Where the pods were told to stop, nobody had to believe in a death."""
    if run.fault.what.in_place:
        return [f"the kubelet found that nobody served in {_struck(run)}"]
    displaced = (run.data.play or {}).get("displaced") or []
    names = sorted(entry["pod"] for entry in displaced)
    lives = [run.seen.life(entry["uid"]) for entry in displaced]
    told = [life.told_to_stop for life in lives if life is not None and life.told_to_stop]
    if not told:
        return ["when the pods were told to stop was not observed"]
    last = ", the last" if len(names) > 1 else ""
    return [f"{', '.join(names)} {'were' if last else 'was'} told to stop{last} at {run.after(max(told))}"]


def _endpoints(run: Run) -> str:
    clean = run.clean
    if clean is None:
        if not run.seen.slices_known:
            return "the Service's endpoints were not observed"
        listed = clocks.lost_endpoints(run.data, run.seen, run.fault)
        left = sorted(listed[-1][1]) if listed else []
        if not left:
            return "none of the pods was in the list of endpoints when it struck"
        return f"{', '.join(left)} stayed in the list of endpoints"
    if not run.fault.what.takes_node:
        return f"{', '.join(_stops(run))}, out of the list of endpoints at {run.after(clean)}"
    out = f"its endpoints were out of the list at {run.after(clean)}"
    led = run.led(MANAGER, clean)
    if steps := run.steps(clean):
        return ", ".join([*steps, *led, out])
    sign, lost = _last_sign(run), _not_ready(run)
    parts = [] if sign is None else [f"the node's last sign of life was at {run.after(sign)}"]
    if lost is None:
        parts.append("it was not declared not ready")
    elif lost <= clean:
        parts.append(f"it was declared not ready at {run.after(lost)}")
    else:
        parts.append("its pods were gone before it was declared not ready")
    return ", ".join([*parts, *led, out, *run.too_late()])


def _capacity(run: Run) -> str:
    names = {entry["pod"] for entry in (run.data.play or {}).get("replacements") or []}
    made: list[PodLife] = [life for life in run.seen.lives if life.name in names and life.seen >= run.zero]
    if run.clocks["capacity"] is None:
        return _never_whole(run, made)
    if run.fault.what.in_place or (run.fault.what.comes_back and not made):
        return f"{_struck(run)} served again at {run.after(run.zero + run.clocks['capacity'])}"
    ready = [life for life in made if life.ready]
    if not ready:
        return "the replacements were not observed"
    last = max(ready, key=lambda life: life.ready or 0.0)
    parts: list[str] = []
    if run.fault.what.takes_node:
        lost = _not_ready(run)
        parts = run.steps(last.seen)
        if not parts and lost is not None and lost <= last.seen:
            parts = [f"the node was declared not ready at {run.after(lost)}"]
    parts += run.led(SCHEDULER, last.ready or last.seen)
    parts.append(f"the last replacement, {last.name}, was made at {run.after(last.seen)}")
    parts.append(f"it was ready {(last.ready or last.seen) - last.seen:.1f}\u00a0s later")
    return ", ".join(parts)


def _struck(run: Run) -> str:
    """The pods whose containers had to start again."""
    return ", ".join(sorted(entry["pod"] for entry in (run.data.play or {}).get("struck") or []))


def _never_whole(run: Run, made: list[PodLife]) -> str:
    expected = run.data.settings["expected_replicas"]
    if not run.seen.slices_known:
        return "the Service's endpoints were not observed"
    if not expected:
        return "how many replicas there should be is not known"
    clean = run.clean
    if clean is None:
        return "it counts from when no pod that was lost is listed, which was not seen"
    states = run.seen.endpoint_states(clean, float("inf"))
    most = max(sum(endpoint.ready for endpoint in state) for _, state in states)
    waiting = sorted(life.name for life in made if not life.ready)
    who = f", {', '.join(waiting)} never" if waiting else ""
    return f"no more than {most} of {expected} replicas were ready at any time after it{who}"


def _stale_flows(run: Run) -> str:
    clean = run.clean
    if clean is None:
        return "it counts from when the endpoints were out of the list, which was not seen"
    late = clocks.late(run.failures, clean)
    if not late:
        return "no request that was due after the endpoints were out of the list met a pod that was gone"
    why = (
        "the rules on the nodes follow the list within about a second"
        if max(late) - clean <= evidence.RULES_S
        else "kernels remembered connections to it"
    )
    many = f"{len(late)} requests" if len(late) > 1 else "1 request"
    told = (
        f"{many} due after the endpoints were out of the list still went to a pod that was gone, the last at "
        f"{run.after(max(late))}: {why}"
    )
    cleared = run.step("flows_cleared")
    if cleared is not None:
        told += f", the {run.who} cleared the other nodes' flows to it at {run.after(cleared.at)}"
        if failed := cleared.details.get("failed_on"):
            told += f", but not on {failed}"
    return told
