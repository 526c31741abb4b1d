"""Giving away and taking back: the order, what goes wrong in between, and the end of the process anywhere."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import pty
import sys
import termios
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.unit.watchdog.conftest import CrashError, SimNode, World, giving, text, until

from failover_lab.kube.errors import RefusedError
from failover_lab.kube.names import OUT_OF_SERVICE_BY
from failover_lab.nodes.driver import Inspected, NodeState
from failover_lab.watchdog import act
from failover_lab.watchdog.act import Outcome
from failover_lab.watchdog.giveback import GiveBack, why_not_back
from failover_lab.watchdog.journal import Journal, Phase
from failover_lab.watchdog.judge import Ground
from failover_lab.watchdog.recorder import Recorder
from failover_lab.watchdog.sights import Reach

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from failover_lab.kube.objects import Object

NODE = "lab-m02"
OTHERS = ["lab", "lab-m03"]


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.jsonl")


def give(
    world: World, journal: Journal, ground: Ground, *, clear_flows: bool = True
) -> tuple[Outcome, Recorder]:
    giver, recorder = giving(world, journal, clear_flows=clear_flows)
    return asyncio.run(giver.run(NODE, ground, OTHERS)), recorder


def events(recorder: Recorder) -> list[str]:
    return [action["event"] for action in recorder.actions]


@pytest.mark.parametrize("ground", [Ground.PAUSED, Ground.SILENT])
def test_the_order(world: World, journal: Journal, ground: Ground) -> None:
    world.nodes[NODE].container = NodeState.PAUSED if ground is Ground.PAUSED else NodeState.RUNNING
    outcome, recorder = give(world, journal, ground)
    assert outcome is Outcome.GIVEN_AWAY
    assert world.done[:2] == [f"kill {NODE}", f"patch {NODE}"]
    assert sorted(world.done[2:]) == ["clear lab", "clear lab-m03", "delete site-0", "delete site-1"]
    assert events(recorder)[:3] == ["dead", "fenced", "marked"]
    assert sorted(events(recorder)[3:]) == ["flows_cleared", "pods_deleted"]
    assert journal.phases == {NODE: Phase.OUT}
    assert world.taints(NODE) == ["node.kubernetes.io/out-of-service"]
    assert world.nodes[NODE].spec["unschedulable"] is True


def test_one_that_has_ended_is_not_killed(world: World, journal: Journal) -> None:
    world.stop(NODE)
    outcome, recorder = give(world, journal, Ground.STOPPED, clear_flows=False)
    assert outcome is Outcome.GIVEN_AWAY
    assert world.done[0] == f"patch {NODE}"
    assert sorted(world.done[1:]) == ["delete site-0", "delete site-1"]
    assert recorder.actions[1]["killed"] == "false"


def test_it_is_written_down_before_anything_is_done(world: World, journal: Journal, tmp_path: Path) -> None:
    written: list[str] = []
    world.before = lambda step: written.append(f"{step}: {(tmp_path / 'journal.jsonl').read_text()}")
    world.pause(NODE)
    give(world, journal, Ground.PAUSED)
    assert len(written) == 6
    assert all('"node": "lab-m02", "phase": "acting"' in line for line in written)


def test_without_a_journal_nothing_is_done(
    world: World, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_node: str, _phase: Phase) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(journal, "write", full)
    world.pause(NODE)
    with pytest.raises(OSError, match="No space left"):
        give(world, journal, Ground.PAUSED)
    assert world.done == []


def test_what_is_not_fenced_is_not_given_away(
    world: World, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(act, "FENCE_S", 0.1)
    world.pause(NODE)
    world.unkillable = True
    outcome, recorder = give(world, journal, Ground.PAUSED)
    assert outcome is Outcome.NOT_FENCED
    assert set(world.done) == {f"kill {NODE}"}
    assert events(recorder) == ["dead", "not_fenced"]
    assert recorder.actions[-1]["why"] == "it still runs"
    assert world.mark_of(NODE) is None
    assert len(world.pods) == 3
    # Whether it was killed in the end is for the next looks to say.
    assert journal.phases == {NODE: Phase.ACTING}


def test_an_engine_that_does_not_answer_cannot_fence(
    world: World, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(act, "FENCE_S", 0.1)
    world.stop(NODE)
    world.engine_up = False
    outcome, recorder = give(world, journal, Ground.STOPPED)
    assert outcome is Outcome.NOT_FENCED
    assert world.done == []
    assert recorder.actions[-1]["why"] == "the engine is gone"


def test_a_kill_that_failed_is_tried_again(
    world: World, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(act, "_KILL_EVERY_S", 0.05)
    world.pause(NODE)
    world.unkillable = True

    def give_in(_step: str) -> None:
        world.unkillable = world.done.count(f"kill {NODE}") < 2

    world.after = give_in
    assert give(world, journal, Ground.PAUSED)[0] is Outcome.GIVEN_AWAY
    assert world.done.count(f"kill {NODE}") == 3


@pytest.mark.parametrize("ground", [Ground.PAUSED, Ground.STOPPED])
def test_one_that_lives_again_is_left_alone(world: World, journal: Journal, ground: Ground) -> None:
    """The pause was lifted, or the node started, between the judgement and the fence."""
    outcome, recorder = give(world, journal, ground)
    assert outcome is Outcome.ALIVE_AGAIN
    assert world.done == []
    assert events(recorder) == ["dead", "alive_again"]
    assert journal.phases == {}


@pytest.mark.parametrize("ground", Ground)
@pytest.mark.parametrize(
    ("then", "outcome"), [(NodeState.RUNNING, Outcome.ALIVE_AGAIN), (NodeState.STOPPED, Outcome.GIVEN_AWAY)]
)
def test_one_that_is_about_to_be_started_again_is_waited_for(
    world: World, journal: Journal, ground: Ground, then: NodeState, outcome: Outcome
) -> None:
    world.nodes[NODE].container = NodeState.UNKNOWN
    inspect, asked = world.inspect, [0]

    def later(name: str) -> Inspected:
        asked[0] += 1
        if asked[0] == 4:
            world.nodes[NODE].container = then
        return inspect(name)

    world.inspect = later  # type: ignore[method-assign]
    giver, _ = giving(world, journal)
    giver._ask = answering(Reach.ANSWERS)
    assert asyncio.run(giver.run(NODE, ground, OTHERS)) is outcome
    assert f"kill {NODE}" not in world.done


def answering(reach: Reach) -> Callable[[str], Awaitable[Reach]]:
    async def ask(_node: str) -> Reach:
        return reach

    return ask


def test_one_that_is_never_said_to_run_or_to_have_ended_is_not_killed(
    world: World, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(act, "FENCE_S", 0.1)
    world.nodes[NODE].container = NodeState.UNKNOWN
    outcome, recorder = give(world, journal, Ground.STOPPED)
    assert outcome is Outcome.NOT_FENCED
    assert world.done == []
    assert recorder.actions[-1]["why"] == "the engine says neither that it runs nor that it has ended"


@pytest.mark.parametrize(
    ("reach", "why"),
    [
        (Reach.ANSWERS, "answers"),
        (Reach.MUTE, "takes connections"),
        (Reach.REFUSED, "is down, but the node is there"),
        (Reach.UNKNOWN, "could not be asked"),
        (Reach.SILENT, ""),
    ],
)
def test_one_that_was_silent_is_asked_once_more_before_its_end(
    world: World, journal: Journal, reach: Reach, why: str
) -> None:
    giver, recorder = giving(world, journal)
    giver._ask = answering(reach)
    outcome = asyncio.run(giver.run(NODE, Ground.SILENT, OTHERS))
    assert outcome is (Outcome.ALIVE_AGAIN if why else Outcome.GIVEN_AWAY)
    assert (f"kill {NODE}" in world.done) is not bool(why)
    if why:
        assert recorder.actions[-1]["why"] == f"asked once more before its end, its kubelet {why}"
        assert journal.phases == {}


def test_a_container_that_took_its_name_is_not_taken_for_it(world: World, journal: Journal) -> None:
    node = world.nodes[NODE]
    node.id, node.renamed = "its-own", "something-else"
    world.strangers = [SimNode(NODE, "10.0.0.9", container=NodeState.STOPPED, id="another")]
    giver, recorder = giving(world, journal)
    # It has not ended, whatever is said of the one with its name.
    assert asyncio.run(giver.run(NODE, Ground.STOPPED, OTHERS, "its-own")) is Outcome.ALIVE_AGAIN
    assert world.done == []
    # Nor is the one with its name ended for it.
    node.container, world.strangers[0].container = NodeState.STOPPED, NodeState.RUNNING
    assert asyncio.run(giver.run(NODE, Ground.SILENT, OTHERS, "its-own")) is Outcome.ALIVE_AGAIN
    assert world.done == []
    assert recorder.actions[-1]["why"] == "another container has its name now"


def test_what_is_restarting_while_the_api_server_is_away_is_not_back_yet(
    world: World, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(act, "_FIRST_PAUSE_S", 0.01)
    giver, recorder = giving(world, journal)

    async def run() -> Outcome:
        world.stop(NODE)
        world.api_up = False
        task = asyncio.create_task(giver.run(NODE, Ground.STOPPED, OTHERS))
        await until(lambda: "stuck" in events(recorder))
        world.nodes[NODE].container = NodeState.UNKNOWN
        world.api_up = True
        await asyncio.sleep(0.1)
        assert world.done == []
        world.nodes[NODE].container = NodeState.STOPPED
        return await task

    assert asyncio.run(run()) is Outcome.GIVEN_AWAY
    assert "back_early" not in events(recorder)
    assert world.pods_on(NODE) == []


def test_a_terminal_that_was_stopped_does_not_keep_a_node_from_being_fenced(
    world: World, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-S, or a look back in a window of tmux."""
    main, side = pty.openpty()
    with os.fdopen(side, "w") as terminal, os.fdopen(main, "rb", buffering=0) as seen:
        monkeypatch.setattr(sys, "stdout", terminal)
        termios.tcflow(terminal, termios.TCOOFF)
        # Only where it waits for the terminal.
        goes_on = threading.Timer(20.0, termios.tcflow, [terminal, termios.TCOON])
        goes_on.start()
        world.pause(NODE)
        began = time.monotonic()
        outcome, recorder = give(world, journal, Ground.PAUSED)
        took = time.monotonic() - began
        goes_on.cancel()
        assert outcome is Outcome.GIVEN_AWAY
        assert took < 10.0
        termios.tcflow(terminal, termios.TCOON)
        recorder.settle()
        # Whoever looks again has missed nothing.
        said = seen.read(4096).decode()
        assert [line.split()[1] for line in said.splitlines()][:3] == ["dead", "fenced", "marked"]


def test_pods_that_belong_to_the_node_are_left(world: World, journal: Journal) -> None:
    world.add_pod("agent", NODE, owner="DaemonSet")
    world.add_pod("mirror", NODE, owner="Node")
    world.pods["mirror"]["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}
    world.add_pod("bare", NODE)
    del world.pods["bare"]["metadata"]["ownerReferences"]
    world.stop(NODE)
    give(world, journal, Ground.STOPPED)
    assert world.pods_on(NODE) == ["agent", "mirror"]


def test_a_pod_that_came_before_the_mark_goes_too(world: World, journal: Journal) -> None:
    def place(step: str) -> None:
        if step.startswith("patch"):
            world.add_pod("late", NODE)

    world.before = place
    world.stop(NODE)
    _, recorder = give(world, journal, Ground.STOPPED)
    assert world.pods_on(NODE) == []
    told = next(a for a in recorder.actions if a["event"] == "pods_deleted")
    assert told["pods"] == "late site-0 site-1"


def test_a_pod_of_the_same_name_that_is_another_is_left(world: World, journal: Journal) -> None:
    def replace(step: str) -> None:
        if step.startswith("patch"):
            world.pods["site-0"]["metadata"]["uid"] = "another"
            world.pods["site-0"]["spec"]["nodeName"] = "lab-m03"
            del world.pods["site-1"]

    world.after = replace
    world.stop(NODE)
    assert give(world, journal, Ground.STOPPED)[0] is Outcome.GIVEN_AWAY
    assert "delete site-0" not in world.done
    assert world.pods_on("lab-m03") == ["site-0", "site-2"]


def test_flows_to_the_dead_pods_are_cleared_on_the_others(
    world: World, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[tuple[str, list[str]]] = []
    run = world.run

    def note(name: str, argv: list[str]) -> str:
        ran.append((name, argv[4:]))
        if name == "lab":
            return "sh: 1: conntrack: not found\n"
        return run(name, argv)

    monkeypatch.setattr(world, "run", note)
    world.add_pod("agent", NODE, owner="DaemonSet")
    world.stop(NODE)
    _, recorder = give(world, journal, Ground.STOPPED)
    dead = ["10.244.0.1", "10.244.0.2"]
    assert sorted(ran) == [("lab", dead), ("lab-m03", dead)]
    told = next(a for a in recorder.actions if a["event"] == "flows_cleared")
    assert told["failed_on"] == "lab"
    assert told["entries"] == "6"


def test_without_dead_pods_no_flows(world: World, journal: Journal) -> None:
    world.pods.clear()
    world.stop(NODE)
    give(world, journal, Ground.STOPPED)
    assert world.done == [f"patch {NODE}"]


def test_a_node_that_changes_meanwhile_is_read_again(world: World, journal: Journal) -> None:
    send = world.send
    conflicts = [2]

    def change(method: str, path: str, body: Object | None) -> Object:
        if method == "patch" and conflicts[0]:
            conflicts[0] -= 1
            world.nodes[NODE].version += 1
        return send(method, path, body)

    world.api._send = change
    world.stop(NODE)
    _, recorder = give(world, journal, Ground.STOPPED)
    assert world.done[0] == f"patch {NODE}"
    assert conflicts == [0]
    # At once, and not after a pause.
    assert "stuck" not in events(recorder)


def test_a_node_that_never_rests_is_tried_again_later(
    world: World, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(act, "_FIRST_PAUSE_S", 0.01)
    send = world.send
    conflicts = [act._ATTEMPTS]

    def change(method: str, path: str, body: Object | None) -> Object:
        if method == "patch" and conflicts[0]:
            conflicts[0] -= 1
            raise RefusedError(409, "Conflict")
        return send(method, path, body)

    world.api._send = change
    world.stop(NODE)
    _, recorder = give(world, journal, Ground.STOPPED)
    assert events(recorder)[:4] == ["dead", "fenced", "stuck", "marked"]


def test_a_node_that_is_removed_meanwhile(world: World, journal: Journal) -> None:
    world.stop(NODE)
    world.nodes[NODE].listed = False
    outcome, recorder = give(world, journal, Ground.STOPPED)
    assert outcome is Outcome.GIVEN_AWAY
    assert "removed" in events(recorder)
    assert world.pods_on(NODE) == []


def insist(world: World, journal: Journal, meanwhile: str) -> tuple[Outcome, Recorder]:
    """Give away while the API server is gone; then it comes back, or the node does."""
    giver, recorder = giving(world, journal)

    async def run() -> Outcome:
        world.stop(NODE)
        world.api_up = False
        task = asyncio.create_task(giver.run(NODE, Ground.STOPPED, OTHERS))
        await until(lambda: "stuck" in events(recorder))
        if meanwhile == "the node is back":
            world.start(NODE)
        elif meanwhile == "the engine is away for a moment":
            world.engine_up = False
            await asyncio.sleep(0.05)
            # Whether the fence still holds cannot be known, so nothing more is done.
            world.api_up = True
            await asyncio.sleep(0.1)
            assert world.done == []
            world.engine_up = True
        else:
            world.api_up = True
        return await task

    return asyncio.run(run()), recorder


@pytest.mark.parametrize("meanwhile", ["the API server is back", "the engine is away for a moment"])
def test_an_api_server_that_is_away_is_waited_for(
    world: World, journal: Journal, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    monkeypatch.setattr(act, "_FIRST_PAUSE_S", 0.01)
    outcome, recorder = insist(world, journal, meanwhile)
    assert outcome is Outcome.GIVEN_AWAY
    assert world.pods_on(NODE) == []
    # It is told once for each step, not at each attempt.
    assert events(recorder).count("stuck") == 1


def test_a_node_that_is_back_meanwhile_keeps_its_work(
    world: World, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(act, "_FIRST_PAUSE_S", 0.01)
    outcome, recorder = insist(world, journal, "the node is back")
    assert outcome is Outcome.GIVEN_AWAY
    assert world.done == []
    assert events(recorder)[-1] == "back_early"
    assert len(world.pods_on(NODE)) == 2
    # To be looked at, as to whether something must be taken back.
    assert journal.phases == {NODE: Phase.OUT}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(6))
def test_a_crash_at_any_step_is_finished_by_the_next(
    world: World, journal: Journal, tmp_path: Path, when: str, number: int
) -> None:
    world.pause(NODE)
    left = [number]

    def crash(_step: str) -> None:
        if left[0] == 0:
            raise CrashError
        left[0] -= 1

    setattr(world, when, crash)
    with pytest.raises(CrashError):
        give(world, journal, Ground.PAUSED)
    world.before = world.after = lambda _step: None
    again = Journal(tmp_path / "journal.jsonl")
    assert again.phases == {NODE: Phase.ACTING}
    # The next one finds it dead by its own looks, on whichever ground there is by then.
    ground = Ground.STOPPED if world.nodes[NODE].container.is_down else Ground.PAUSED
    outcome, _ = give(world, again, ground)
    assert outcome is Outcome.GIVEN_AWAY
    assert world.nodes[NODE].container is NodeState.STOPPED
    assert world.taints(NODE) == ["node.kubernetes.io/out-of-service"]
    assert world.pods_on(NODE) == []
    assert again.phases == {NODE: Phase.OUT}


# Taking back


def take(world: World, journal: Journal | None, name: str = NODE) -> tuple[str | None, Recorder]:
    recorder = Recorder(None)
    with concurrent.futures.ThreadPoolExecutor(4) as executor:
        taker = GiveBack(api=world.api, engine=world, recorder=recorder, journal=journal, executor=executor)
        return asyncio.run(taker.look(name)), recorder


def given_away(world: World, journal: Journal) -> None:
    world.stop(NODE)
    give(world, journal, Ground.STOPPED)
    world.done.clear()


def test_one_that_is_back_is_taken_back(world: World, journal: Journal) -> None:
    given_away(world, journal)
    world.start(NODE)
    missing, recorder = take(world, journal)
    assert missing is None
    assert events(recorder) == ["released"]
    assert world.nodes[NODE].spec == {}
    assert world.nodes[NODE].labels == {}
    assert world.nodes[NODE].annotations == {}
    assert journal.phases == {}


def test_what_is_not_ours_is_not_taken_back(world: World, journal: Journal) -> None:
    given_away(world, journal)
    del world.nodes[NODE].annotations[OUT_OF_SERVICE_BY]
    world.start(NODE)
    missing, recorder = take(world, journal)
    assert missing is None
    assert events(recorder) == ["closed"]
    assert world.done == []
    assert world.taints(NODE) == ["node.kubernetes.io/out-of-service"]
    assert journal.phases == {}


def test_a_node_that_was_replaced_is_closed(world: World, journal: Journal) -> None:
    given_away(world, journal)
    world.nodes[NODE].listed = False
    assert take(world, journal)[0] is None
    assert journal.phases == {}


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_while_taking_back_is_put_right(
    world: World, journal: Journal, tmp_path: Path, when: str
) -> None:
    given_away(world, journal)
    world.start(NODE)

    def crash(_step: str) -> None:
        raise CrashError

    setattr(world, when, crash)
    with pytest.raises(CrashError):
        take(world, journal)
    world.before = world.after = lambda _step: None
    again = Journal(tmp_path / "journal.jsonl")
    assert again.phases == {NODE: Phase.RETURNING}
    assert take(world, again)[0] is None
    assert world.taints(NODE) == []
    assert again.phases == {}


def test_a_node_that_is_not_back_stays_marked(world: World, journal: Journal) -> None:
    given_away(world, journal)
    assert take(world, journal)[0] == "its container is stopped"
    world.start(NODE)
    world.nodes[NODE].kubelet = False
    assert "has not renewed its lease" in (take(world, journal)[0] or "")
    world.nodes[NODE].renewed = time.time() + 1
    assert take(world, journal)[0] == "its kubelet does not answer"
    world.nodes[NODE].kubelet = True
    world.nodes[NODE].ready = "Unknown"
    assert take(world, journal)[0] == "it is not Ready"
    assert world.done == []
    assert journal.phases == {NODE: Phase.OUT}
    world.nodes[NODE].ready = "True"
    assert take(world, None)[0] is None
    assert world.taints(NODE) == []


HOUR = 3600.0


def looking_back(world: World, journal: Journal) -> Callable[[], str | None]:
    """Looks of one watchdog, one after the other."""
    executor = concurrent.futures.ThreadPoolExecutor(4)
    taker = GiveBack(
        api=world.api, engine=world, recorder=Recorder(None), journal=journal, executor=executor,
        ask=answering(Reach.ANSWERS),
    )  # fmt: skip
    return lambda: asyncio.run(taker.look(NODE))


@pytest.mark.parametrize("seen_down", [True, False])
def test_a_wall_clock_that_was_set_back_keeps_no_node_out_of_service(
    world: World, journal: Journal, *, seen_down: bool
) -> None:
    given_away(world, journal)
    look, node = looking_back(world, journal), world.nodes[NODE]
    node.kubelet = False
    if seen_down:
        look()
    else:
        node.heartbeat = time.time() - 20
    # It was started before the clock was set, so that nothing it says now seems to be said since.
    node.container, node.started, node.renewed = NodeState.RUNNING, time.time() + HOUR, time.time() - 20
    assert "has not renewed its lease" in (look() or "") or seen_down
    node.renewed += 10
    if not seen_down:
        # When its condition was written is not known; one that is not ready would say so by its next renewal.
        assert "was said before" in (look() or "")
        node.renewed += 10
    assert look() is None
    assert world.taints(NODE) == []


def test_a_lease_of_a_time_that_is_yet_to_come_is_no_sign_of_life(world: World, journal: Journal) -> None:
    """The clock was set back while the node was down: what was said before it died seems to be new."""
    given_away(world, journal)
    look, node = looking_back(world, journal), world.nodes[NODE]
    node.kubelet = False
    node.container, node.started, node.renewed = NodeState.RUNNING, time.time() - 20, time.time() + HOUR
    for _ in range(5):
        assert "has not renewed its lease" in (look() or "")
    node.renewed = time.time() - 5
    assert look() is None


def test_a_renewal_from_before_another_start_does_not_count(world: World, journal: Journal) -> None:
    given_away(world, journal)
    look, node = looking_back(world, journal), world.nodes[NODE]
    node.kubelet = False
    node.container, node.started, node.renewed = NodeState.RUNNING, time.time() + HOUR, time.time() - 20
    look()
    # It was renewed, and then the container was started again.
    node.renewed, node.started = node.renewed + 1, node.started + 5
    for _ in range(3):
        assert "has not renewed its lease" in (look() or "")


def test_trouble_in_asking_is_no_return(world: World, journal: Journal) -> None:
    given_away(world, journal)
    world.start(NODE)
    world.engine_up = False
    assert take(world, journal)[0] == "the engine is gone"
    world.engine_up, world.api_up = True, False
    assert take(world, journal)[0] == "the API server does not answer"
    assert journal.phases == {NODE: Phase.OUT}


@pytest.mark.parametrize("conflicts", [1, 99])
def test_a_node_that_changes_while_it_is_taken_back(world: World, journal: Journal, conflicts: int) -> None:
    given_away(world, journal)
    world.start(NODE)
    send = world.send
    left = [conflicts]

    def change(method: str, path: str, body: Object | None) -> Object:
        if method == "patch" and left[0]:
            left[0] -= 1
            raise RefusedError(409, "Conflict")
        return send(method, path, body)

    world.api._send = change
    missing = take(world, journal)[0]
    assert missing == (None if conflicts == 1 else "the node changes faster than its mark can be taken off")


def test_an_unmark_that_is_refused_is_told(world: World, journal: Journal) -> None:
    given_away(world, journal)
    world.start(NODE)
    send = world.send

    def refuse(method: str, path: str, body: Object | None) -> Object:
        if method == "patch":
            raise RefusedError(403, "Forbidden")
        return send(method, path, body)

    world.api._send = refuse
    assert take(world, journal)[0] == "the API server says 403: Forbidden"


def test_a_mark_that_vanishes_while_it_is_taken_back(world: World, journal: Journal) -> None:
    given_away(world, journal)
    world.start(NODE)

    async def ask(_address: str) -> Reach:
        world.nodes[NODE].annotations.clear()
        return Reach.ANSWERS

    with concurrent.futures.ThreadPoolExecutor(4) as executor:
        taker = GiveBack(
            api=world.api, engine=world, recorder=Recorder(None), journal=journal, executor=executor, ask=ask
        )
        assert asyncio.run(taker.look(NODE)) is None
    assert world.done == []


def test_when_a_node_is_back() -> None:
    """Each thing that was said before the container was started does not count."""
    started = 1_700_000_000.7
    inspected = Inspected(NodeState.RUNNING, "2023-11-14T22:13:20.700000123Z")
    node = SimNode(NODE, "10.0.0.2", renewed=started)
    assert why_not_back(node.as_object(), inspected, text(started + 0.1)) is None
    assert "lease" in (why_not_back(node.as_object(), inspected, text(started - 0.1)) or "")
    assert "lease" in (why_not_back(node.as_object(), inspected, "") or "")
    assert "lease" in (why_not_back(node.as_object(), inspected, None) or "")
    node.renewed = started - 1
    assert "said before" in (why_not_back(node.as_object(), inspected, text(started + 0.1)) or "")
    bare = {"metadata": {"name": NODE}}
    assert why_not_back(bare, inspected, text(started + 0.1)) == "it is not Ready"
    assert why_not_back(bare, Inspected(NodeState.PAUSED), None) == "its container is paused"
    assert "when its container was started" in (why_not_back(bare, Inspected(NodeState.RUNNING), None) or "")
