"""The whole watchdog in a small world: what it finds, when it acts and when not, how it takes back."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.watchdog.conftest import FAST, Running, World, make_world, until, watching

from failover_lab.errors import UserError
from failover_lab.kube.errors import RefusedError
from failover_lab.kube.names import OUT_OF_SERVICE_BY
from failover_lab.nodes.docker import EngineError
from failover_lab.nodes.driver import NodeState
from failover_lab.run import files, instants, marks
from failover_lab.watchdog import act, loop, peers, polling
from failover_lab.watchdog.journal import Journal, Phase

NODE = "lab-m02"
Scenario = Callable[[Running], Awaitable[None]]


def play(world: World, directory: Path, scenario: Scenario, **more: Any) -> Running:
    """Let a watchdog run while the scenario goes on."""

    async def run() -> Running:
        async with watching(world, directory, **more) as running:
            await scenario(running)
        return running

    result = asyncio.run(run())
    # One that is woken as the interpreter goes down may take the process with it, and its exit status.
    names = [thread.name for thread in threading.enumerate()]
    assert [name for name in names if name == "news" or name.startswith("peer-")] == []
    return result


async def all_seen(running: Running) -> None:
    await until(lambda: running.watchdog._judge.has_seen(NODE) and running.watchdog._judge.has_seen("lab"))
    await until(lambda: running.watchdog._looker.peers.ready() >= {"lab", "lab-m03"})


def alive(running: Running) -> bool:
    verdict = running.watchdog._verdicts.get(NODE)
    return verdict is not None and verdict.state == "alive"


def in_trouble(running: Running, word: str) -> bool:
    verdict = running.watchdog._verdicts.get(NODE)
    return verdict is not None and word in verdict.why


@pytest.mark.parametrize("fate", ["kill", "freeze", "partition"])
def test_a_dead_node_is_given_away_and_taken_back(world: World, tmp_path: Path, fate: str) -> None:
    async def scenario(running: Running) -> None:
        await all_seen(running)
        if fate == "kill":
            world.stop(NODE)
        elif fate == "freeze":
            world.pause(NODE)
        else:
            world.nodes[NODE].network = False
        await until(lambda: NODE in running.watchdog.given_away)
        assert world.nodes[NODE].container is NodeState.STOPPED
        assert world.taints(NODE) == ["node.kubernetes.io/out-of-service"]
        assert world.pods_on(NODE) == []
        assert world.pods_on("lab-m03") == ["site-2"]
        await until(lambda: world.peek(running)["out"] == {NODE: "its container is stopped"})
        world.start(NODE)
        await until(lambda: world.mark_of(NODE) is None)
        await until(lambda: alive(running))

    running = play(world, tmp_path, scenario, clear_flows=True)
    expected = ["watching", "dead", "fenced", "marked", "pods_deleted", "flows_cleared", "released"]
    assert sorted(running.events()) == sorted(expected)
    assert running.events()[:4] == expected[:4]
    assert running.details("fenced")["killed"] == str(fate != "kill").lower()
    assert world.nodes[NODE].spec == {}
    assert Journal(tmp_path / "journal.jsonl").phases == {}
    status = json.loads(running.status.read_text())
    assert status["state"] == "ended"
    assert status["given_away"] == [NODE]
    assert status["nodes"]["lab"]["state"] == "alive"


def test_it_says_when_it_watches_every_node_by_all_paths(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "_AGAIN_S", 0.02)
    shell = world.shell
    mute = [NODE]

    def some(name: str, argv: list[str]) -> Any:
        if name in mute:
            raise EngineError("no such program")
        return shell(name, argv)

    monkeypatch.setattr(world, "shell", some)

    async def scenario(running: Running) -> None:
        await all_seen(running)
        await until(lambda: all(v.state == "alive" for v in running.watchdog._verdicts.values()))
        # None can ask from there.
        assert world.peek(running)["ready"] is False
        mute.clear()
        await until(lambda: world.peek(running)["ready"])
        world.nodes[NODE].kubelet = False
        await until(lambda: not alive(running))
        assert world.peek(running)["ready"] is False
        world.nodes[NODE].kubelet = True
        await until(lambda: world.peek(running)["ready"])
        world.stop(NODE)
        await until(lambda: running.watchdog.given_away)
        # The others are alive, and that is not all of them.
        assert world.peek(running)["ready"] is False

    running = play(world, tmp_path, scenario)
    assert json.loads(running.status.read_text())["ready"] is False


def test_it_can_die_again(world: World, tmp_path: Path) -> None:
    async def scenario(running: Running) -> None:
        for count in (1, 2):
            await until(lambda: alive(running))
            world.stop(NODE)
            await until(lambda count=count: running.watchdog.given_away == [NODE] * count)  # type: ignore[misc]
            world.start(NODE)
            await until(lambda: world.mark_of(NODE) is None)

    play(world, tmp_path, scenario)


def test_without_news_of_the_engine_it_is_found_too(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none() -> Any:
        raise EngineError("no news")

    monkeypatch.setattr(world, "events", none)

    async def scenario(running: Running) -> None:
        await all_seen(running)
        world.stop(NODE)
        await until(lambda: running.watchdog.given_away)

    play(world, tmp_path, scenario)


def test_news_shorten_the_way(world: World, tmp_path: Path) -> None:
    """In the middle of a look with a long time-out, the engine says that the container has ended."""
    slow = dataclasses.replace(FAST, ask_s=20.0, interval_s=0.1)

    async def scenario(running: Running) -> None:
        await until(lambda: alive(running), 20)
        world.nodes[NODE].network = False
        await asyncio.sleep(0.2)
        began = time.monotonic()
        world.stop(NODE)
        await until(lambda: "dead" in running.events())
        assert time.monotonic() - began < 10.0
        await until(lambda: running.watchdog.given_away)

    play(world, tmp_path, scenario, pace=slow)


def test_a_container_that_is_removed_is_down(world: World, tmp_path: Path) -> None:
    async def scenario(running: Running) -> None:
        await all_seen(running)
        world.nodes[NODE].container = NodeState.ABSENT
        await until(lambda: running.watchdog.given_away)

    running = play(world, tmp_path, scenario)
    assert running.details("fenced")["container"] == "absent"


def test_another_that_dies_meanwhile_has_not_to_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = make_world(monkeypatch, 5)
    go_on = threading.Event()

    async def scenario(running: Running) -> None:
        await all_seen(running)
        await until(lambda: running.watchdog._judge.has_seen("lab-m03"))
        world.before = lambda _step: assert_true(go_on.wait(5))
        world.stop(NODE)
        await until(lambda: "fenced" in running.events())
        world.stop("lab-m03")
        await until(lambda: running.events().count("fenced") == 2)
        assert running.watchdog.given_away == []
        go_on.set()
        await until(lambda: sorted(running.watchdog.given_away) == [NODE, "lab-m03"])

    running = play(world, tmp_path, scenario)
    assert running.events().count("marked") == 2


def assert_true(value: object) -> None:
    assert value


def test_a_flood_of_news_does_not_stop_the_looks(world: World, tmp_path: Path) -> None:
    async def scenario(running: Running) -> None:
        await all_seen(running)
        flood = True

        async def pour() -> None:
            while flood:
                running.watchdog._looker._stir.set()
                await asyncio.sleep(0.001)

        pouring = asyncio.create_task(pour())
        world.stop(NODE)
        await until(lambda: running.watchdog.given_away)
        flood = False
        await pouring

    play(world, tmp_path, scenario)


def quiet(running: Running) -> bool:
    return running.events() == ["watching"]


def test_a_kubelet_alone_is_left(world: World, tmp_path: Path) -> None:
    async def scenario(running: Running) -> None:
        await all_seen(running)
        world.nodes[NODE].kubelet = False
        await until(lambda: in_trouble(running, "its kubelet is down"))
        await asyncio.sleep(0.1)
        world.nodes[NODE].kubelet = True
        await until(lambda: alive(running))

    running = play(world, tmp_path, scenario)
    assert quiet(running)
    assert world.done == []


@pytest.mark.parametrize("count", [2, 3])
def test_a_kubelet_that_starts_again_while_new_connections_fail_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """A full table of connections, a firewall that is loaded again: the old go on, new ones fail."""
    world = make_world(monkeypatch, count)

    async def scenario(running: Running) -> None:
        await until(lambda: world.peek(running)["ready"])
        world.new_connections = False
        world.nodes[NODE].kubelet_started += 1
        await until(lambda: in_trouble(running, "no node answers a new connection of this machine"))
        await asyncio.sleep(10 * FAST.silence_s)
        assert running.watchdog._verdicts["lab"].state == "alive"
        assert quiet(running)
        world.new_connections = True
        await until(lambda: alive(running))
        # And one that is dead then is found.
        world.nodes[NODE].network = False
        await until(lambda: running.watchdog.given_away)

    play(world, tmp_path, scenario)


def test_one_that_is_there_again_while_the_journal_is_written_is_left(world: World, tmp_path: Path) -> None:
    """The disk takes its time, and a cut may be over by then."""

    async def scenario(running: Running) -> None:
        await all_seen(running)
        write = running.journal.write

        def slowly(node: str, phase: Phase) -> None:
            if phase is Phase.ACTING:
                world.nodes[NODE].network = True
                time.sleep(0.1)
            write(node, phase)

        running.journal.write = slowly  # type: ignore[method-assign,assignment]
        world.nodes[NODE].network = False
        await until(lambda: "alive_again" in running.events())
        await until(lambda: alive(running))

    running = play(world, tmp_path, scenario)
    assert running.details("alive_again")["why"] == "asked once more before its end, its kubelet answers"
    assert world.done == []
    assert Journal(tmp_path / "journal.jsonl").phases == {}


def with_ids(world: World) -> World:
    """An engine that tells containers apart by more than their names."""
    for node in world.nodes.values():
        node.id = f"id-{node.name}"
    return world


async def known(running: Running) -> None:
    await all_seen(running)
    await until(lambda: running.watchdog._looker.ids.get(NODE))


@pytest.mark.parametrize("fate", ["freeze", "partition"])
def test_one_that_was_renamed_is_ended_before_it_is_given_away(
    world: World, tmp_path: Path, fate: str
) -> None:
    """By its name it is gone; it might wake up beside its replacements."""

    async def scenario(running: Running) -> None:
        await known(running)
        world.nodes[NODE].renamed = "something-else"
        if fate == "freeze":
            world.nodes[NODE].container = NodeState.PAUSED
        else:
            world.nodes[NODE].network = False
        await until(lambda: running.watchdog.given_away)

    running = play(with_ids(world), tmp_path, scenario)
    assert world.done[:2] == [f"kill {NODE}", f"patch {NODE}"]
    assert running.details("fenced")["killed"] == "true"
    assert world.nodes[NODE].container is NodeState.STOPPED


def test_one_that_was_renamed_and_lives_is_left(world: World, tmp_path: Path) -> None:
    async def scenario(running: Running) -> None:
        await known(running)
        world.nodes[NODE].renamed = "something-else"
        world.nodes[NODE].kubelet = False
        await until(lambda: in_trouble(running, "its kubelet is down, but the node is there"))
        await asyncio.sleep(0.1)

    running = play(with_ids(world), tmp_path, scenario)
    assert quiet(running)
    assert world.done == []


def test_one_that_was_renamed_after_a_crash_is_ended_too(world: World, tmp_path: Path) -> None:
    Journal(tmp_path / "journal.jsonl").write(NODE, Phase.ACTING, f"id-{NODE}")
    with_ids(world).nodes[NODE].renamed = "something-else"
    world.pause(NODE)

    async def scenario(running: Running) -> None:
        await until(lambda: running.watchdog.given_away)

    play(world, tmp_path, scenario)
    assert world.done[:2] == [f"kill {NODE}", f"patch {NODE}"]


def test_a_node_that_was_made_anew_is_known_by_its_new_container(world: World, tmp_path: Path) -> None:
    async def scenario(running: Running) -> None:
        await known(running)
        world.stop(NODE)
        await until(lambda: running.watchdog.given_away)
        world.nodes[NODE].id = "id-of-another"
        world.start(NODE)
        await until(lambda: running.watchdog._looker.ids[NODE] == "id-of-another")
        world.pause(NODE)
        await until(lambda: len(running.watchdog.given_away) == 2)

    play(with_ids(world), tmp_path, scenario)


@pytest.mark.parametrize(
    ("refused", "words"),
    [
        ({"patch nodes"}, "would refuse to patch nodes, and so"),
        ({"list leases"}, "would refuse to list leases in kube-node-lease, and so"),
        ({"delete pods", "get nodes"}, "would refuse to get nodes; delete pods in site, and so"),
    ],
)
def test_what_would_be_refused_is_told_at_the_start(
    world: World, tmp_path: Path, refused: set[str], words: str
) -> None:
    world.refused = refused

    async def nothing(_running: Running) -> None:
        await asyncio.sleep(5)

    with pytest.raises(UserError) as raised:
        play(world, tmp_path, nothing)
    assert words in str(raised.value)
    assert "a ClusterRole to get, list, patch nodes" in str(raised.value)
    assert "a Role in site to list, delete pods" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_rights_that_are_taken_away_later_keep_it_from_ending_a_node(world: World, tmp_path: Path) -> None:
    async def scenario(running: Running) -> None:
        await all_seen(running)
        world.refused = {"delete pods"}
        await until(lambda: running.watchdog._looker.rights.latest.value)  # type: ignore[union-attr]
        world.pause(NODE)
        await until(lambda: "refused" in running.events())
        await asyncio.sleep(0.1)
        assert world.done == []
        world.refused = set()
        await until(lambda: running.watchdog.given_away)

    running = play(world, tmp_path, scenario, pace=dataclasses.replace(FAST, warm_s=0.02))
    assert "would refuse to delete pods in site" in running.details("refused")["why"]


@pytest.mark.parametrize("status", [403, 404, 501])
def test_an_api_server_that_does_not_tell_what_it_grants_is_believed(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    def say_nothing(*_: object) -> bool:
        raise RefusedError(status, "no")

    monkeypatch.setattr(world.api, "may", say_nothing)

    async def scenario(running: Running) -> None:
        await all_seen(running)

    assert quiet(play(world, tmp_path, scenario))


def test_a_short_pause_is_left(world: World, tmp_path: Path) -> None:
    async def scenario(running: Running) -> None:
        await all_seen(running)
        for _ in range(3):
            world.pause(NODE)
            await asyncio.sleep(0.03)
            world.start(NODE)
            await asyncio.sleep(0.05)

    assert quiet(play(world, tmp_path, scenario, pace=dataclasses.replace(FAST, pause_s=10.0)))


def test_the_only_control_plane_is_left(world: World, tmp_path: Path) -> None:
    async def scenario(running: Running) -> None:
        await all_seen(running)
        world.pause("lab")
        await until(lambda: "refused" in running.events())
        await asyncio.sleep(0.1)
        world.start("lab")
        await until(lambda: running.watchdog._verdicts["lab"].state == "alive")
        world.pause("lab")
        await until(lambda: running.events().count("refused") == 2)

    running = play(world, tmp_path, scenario)
    # Told once for each time, not at each look.
    assert running.events() == ["watching", "refused", "refused"]
    assert running.details("refused")["why"] == "it is the only control plane"
    assert world.done == []


def test_two_of_three_at_once_are_left(world: World, tmp_path: Path) -> None:
    async def scenario(running: Running) -> None:
        await all_seen(running)
        world.nodes[NODE].container = world.nodes["lab-m03"].container = NodeState.STOPPED
        world.tell(NODE)
        await until(lambda: running.events().count("refused") == 2)

    running = play(world, tmp_path, scenario)
    assert running.details("refused")["why"] == "2 of 3 nodes would be gone"
    assert world.done == []


def test_a_second_one_is_left_where_the_majority_would_be_gone(world: World, tmp_path: Path) -> None:
    async def scenario(running: Running) -> None:
        await all_seen(running)
        world.stop(NODE)
        await until(lambda: running.watchdog.given_away)
        world.stop("lab-m03")
        await until(lambda: "refused" in running.events())

    running = play(world, tmp_path, scenario)
    assert running.details("refused")["why"] == "2 of 3 nodes would be gone"
    assert running.watchdog.given_away == [NODE]


def test_a_second_one_later_where_there_are_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = make_world(monkeypatch, 5)

    async def scenario(running: Running) -> None:
        await all_seen(running)
        await until(lambda: running.watchdog._judge.has_seen("lab-m03"))
        world.stop(NODE)
        await until(lambda: running.watchdog.given_away == [NODE])
        world.stop("lab-m03")
        await until(lambda: running.watchdog.given_away == [NODE, "lab-m03"])

    play(world, tmp_path, scenario)


def test_all_silent_at_once_cannot_tell(world: World, tmp_path: Path) -> None:
    async def scenario(running: Running) -> None:
        await all_seen(running)
        for node in world.nodes.values():
            node.network = False
        await until(lambda: in_trouble(running, "no other node answers either"))
        await asyncio.sleep(0.1)

    assert quiet(play(world, tmp_path, scenario))


@pytest.mark.parametrize("fate", ["kill", "freeze", "partition"])
def test_without_the_api_server_nothing_is_done(world: World, tmp_path: Path, fate: str) -> None:
    async def scenario(running: Running) -> None:
        await all_seen(running)
        world.api_up = False
        await asyncio.sleep(0.1)
        world.nodes[NODE].network = False
        if fate != "partition":
            world.nodes[NODE].container = NodeState.STOPPED if fate == "kill" else NodeState.PAUSED
            world.tell(NODE)
        await until(lambda: in_trouble(running, "the API server has not answered since"))
        await asyncio.sleep(0.1)
        assert quiet(running)
        await until(lambda: world.peek(running)["api"] == "the API server does not answer")
        # As soon as it can be told, it is.
        world.api_up = True
        await until(lambda: running.watchdog.given_away)

    play(world, tmp_path, scenario)


def test_an_engine_that_goes_away_is_told_and_waited_for(world: World, tmp_path: Path) -> None:
    async def scenario(running: Running) -> None:
        await all_seen(running)
        world.engine_up = False
        world.nodes[NODE].container = NodeState.STOPPED
        await until(lambda: in_trouble(running, "the engine does not answer"))
        await asyncio.sleep(0.1)
        assert quiet(running)
        await until(lambda: world.peek(running)["engine"] == "the engine is gone")
        world.engine_up = True
        await until(lambda: running.watchdog.given_away)

    play(world, tmp_path, scenario)


def test_what_the_engine_said_long_ago_is_not_told_as_news(world: World, tmp_path: Path) -> None:
    async def scenario(running: Running) -> None:
        await all_seen(running)
        world.engine_up = False
        await until(lambda: world.peek(running)["nodes"][NODE]["container"] == "unknown")
        assert alive(running)

    play(world, tmp_path, scenario, pace=dataclasses.replace(FAST, old_s=0.05))


def test_an_engine_that_hangs_is_not_asked_a_second_time(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    containers = world.containers
    hung: list[float] = []
    hang = [False]

    def ask() -> dict[str, NodeState]:
        if hang[0]:
            hung.append(time.monotonic())
            while hang[0]:
                time.sleep(0.01)
        return containers()

    monkeypatch.setattr(world, "containers", ask)

    async def scenario(running: Running) -> None:
        await all_seen(running)
        hang[0] = True
        world.nodes[NODE].container = NodeState.STOPPED
        await until(lambda: in_trouble(running, "the engine does not answer"))
        await asyncio.sleep(0.1)
        assert len(hung) == 1
        hang[0] = False
        await until(lambda: running.watchdog.given_away)

    play(world, tmp_path, scenario)


def test_a_busy_machine_cannot_tell(world: World, tmp_path: Path) -> None:
    """The watchdog's own loop is held up in each look, as a machine under full load would do."""
    pace = dataclasses.replace(FAST, late_s=0.02)

    async def scenario(running: Running) -> None:
        await all_seen(running)
        busy = True

        async def hold_up() -> None:
            while busy:
                time.sleep(0.1)  # noqa: ASYNC251  that is the point
                await asyncio.sleep(0.001)

        holding = asyncio.create_task(hold_up())
        world.stop(NODE)
        await until(lambda: in_trouble(running, "this machine is too busy"))
        await asyncio.sleep(0.2)
        assert quiet(running)
        busy = False
        await holding
        await until(lambda: running.watchdog.given_away)

    play(world, tmp_path, scenario, pace=pace)


def test_a_node_that_was_down_before_is_left(world: World, tmp_path: Path) -> None:
    world.stop(NODE)

    async def scenario(running: Running) -> None:
        await until(lambda: in_trouble(running, "has not answered since the watchdog began"))
        await asyncio.sleep(0.1)
        assert quiet(running)
        # From when it answers, it is watched like the others.
        world.start(NODE)
        await until(lambda: alive(running))
        world.stop(NODE)
        await until(lambda: running.watchdog.given_away)

    play(world, tmp_path, scenario)


def test_not_fenced_is_tried_again_after_a_while(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(act, "FENCE_S", 0.02)
    monkeypatch.setattr(loop, "_AGAIN_S", 0.3)
    world.unkillable = True

    async def scenario(running: Running) -> None:
        await all_seen(running)
        world.pause(NODE)
        await until(lambda: running.events().count("not_fenced") == 2)
        assert world.mark_of(NODE) is None
        world.unkillable = False
        await until(lambda: running.watchdog.given_away)

    running = play(world, tmp_path, scenario)
    times = [instants.parse(a["at"]) for a in running.recorder.actions if a["event"] == "not_fenced"]
    assert times[1] - times[0] > 0.3


def test_not_fenced_and_alive_after_all_is_closed(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(act, "FENCE_S", 0.02)
    world.unkillable = True

    async def scenario(running: Running) -> None:
        await all_seen(running)
        world.pause(NODE)
        await until(lambda: "not_fenced" in running.events())
        world.start(NODE)
        await until(lambda: "closed" in running.events())
        await until(lambda: alive(running))

    play(world, tmp_path, scenario)
    assert world.mark_of(NODE) is None
    assert Journal(tmp_path / "journal.jsonl").phases == {}


def test_a_journal_that_cannot_be_written_keeps_it_from_acting(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "_AGAIN_S", 0.05)

    async def scenario(running: Running) -> None:
        await all_seen(running)
        write = running.journal.write
        full = [True]

        def maybe(node: str, phase: Phase) -> None:
            if full[0]:
                raise OSError(28, "No space left on device")
            write(node, phase)

        running.journal.write = maybe  # type: ignore[method-assign,assignment]
        world.stop(NODE)
        await until(lambda: running.events().count("failed") == 2)
        assert world.done == []
        full[0] = False
        await until(lambda: running.watchdog.given_away)
        full[0] = True
        world.start(NODE)
        await until(lambda: "No space left" in world.peek(running)["out"].get(NODE, ""))
        full[0] = False
        await until(lambda: world.mark_of(NODE) is None)

    play(world, tmp_path, scenario)


# After a crash


def crashed(directory: Path, phase: Phase) -> None:
    Journal(directory / "journal.jsonl").write(NODE, phase)


def test_what_a_crash_left_half_done_is_finished(world: World, tmp_path: Path) -> None:
    """It was fenced and marked, its pods are still there."""
    crashed(tmp_path, Phase.ACTING)
    world.stop(NODE)
    world.nodes[NODE].annotations[OUT_OF_SERVICE_BY] = '{"changed": ["cordon", "taint"]}'
    world.nodes[NODE].spec = {
        "unschedulable": True,
        "taints": [
            {"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"}
        ],
    }

    async def scenario(running: Running) -> None:
        await until(lambda: running.watchdog.given_away)
        assert world.pods_on(NODE) == []
        world.start(NODE)
        await until(lambda: world.mark_of(NODE) is None)

    play(world, tmp_path, scenario)
    assert world.nodes[NODE].spec == {}
    assert world.nodes[NODE].labels == {}


@pytest.mark.parametrize("marked", [True, False])
def test_what_a_crash_left_on_a_node_that_lives_is_put_right(
    world: World, tmp_path: Path, *, marked: bool
) -> None:
    crashed(tmp_path, Phase.ACTING)
    if marked:
        world.nodes[NODE].annotations[OUT_OF_SERVICE_BY] = '{"changed": ["cordon"]}'
        world.nodes[NODE].spec = {"unschedulable": True}

    async def scenario(running: Running) -> None:
        await until(lambda: ("released" if marked else "closed") in running.events())
        await until(lambda: alive(running))

    play(world, tmp_path, scenario)
    assert world.nodes[NODE].spec == {}
    assert len(world.pods) == 3
    assert Journal(tmp_path / "journal.jsonl").phases == {}


@pytest.mark.parametrize("phase", [Phase.OUT, Phase.RETURNING, None])
def test_what_a_crash_left_out_of_service_is_taken_back(
    world: World, tmp_path: Path, phase: Phase | None
) -> None:
    """Also where the journal is lost: the mark on the node says whose it is."""
    if phase is not None:
        crashed(tmp_path, phase)
    world.nodes[NODE].annotations[OUT_OF_SERVICE_BY] = '{"changed": ["cordon"]}'
    world.nodes[NODE].spec = {"unschedulable": True}
    world.stop(NODE)

    async def scenario(running: Running) -> None:
        await until(lambda: world.peek(running)["out"] == {NODE: "its container is stopped"})
        world.start(NODE)
        await until(lambda: world.mark_of(NODE) is None)
        await until(lambda: alive(running))
        await asyncio.sleep(0.1)

    running = play(world, tmp_path, scenario)
    assert running.events() == ["watching", "released"]
    assert world.nodes[NODE].spec == {}


def test_a_node_that_is_removed_is_forgotten(world: World, tmp_path: Path) -> None:
    async def scenario(running: Running) -> None:
        await all_seen(running)
        world.nodes[NODE].listed = False
        await until(lambda: NODE not in running.watchdog._members)
        await until(lambda: NODE not in running.watchdog._verdicts)
        assert not running.watchdog._judge.has_seen(NODE)
        world.stop(NODE)
        await asyncio.sleep(0.1)
        assert quiet(running)

    play(world, tmp_path, scenario)


def test_a_node_that_is_replaced_while_it_is_out(world: World, tmp_path: Path) -> None:
    async def scenario(running: Running) -> None:
        await all_seen(running)
        world.stop(NODE)
        await until(lambda: running.watchdog.given_away)
        world.nodes[NODE].annotations, world.nodes[NODE].spec = {}, {}
        world.start(NODE)
        await until(lambda: "closed" in running.events())
        await until(lambda: alive(running))

    play(world, tmp_path, scenario)


def test_a_list_from_before_the_end_of_a_mark_is_not_believed(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = world.api.nodes

    def slow() -> list[Any]:
        listed = nodes()
        time.sleep(0.1)
        return listed

    monkeypatch.setattr(world.api, "nodes", slow)

    async def scenario(running: Running) -> None:
        await all_seen(running)
        world.stop(NODE)
        await until(lambda: running.watchdog.given_away)
        await until(lambda: running.watchdog._members[NODE].ours)
        world.start(NODE)
        await until(lambda: "released" in running.events())
        await until(lambda: not running.watchdog._members[NODE].ours)
        await until(lambda: alive(running))

    assert play(world, tmp_path, scenario).events()[-1] == "released"


# Beginning and end


def test_a_cluster_that_does_not_answer_is_told(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "_FIRST_ANSWER_S", 0.05)
    world.api_up = False

    async def nothing(_running: Running) -> None: ...

    with pytest.raises(UserError, match="cannot be asked for its nodes: the API server does not answer"):
        play(world, tmp_path, nothing)


def test_an_engine_that_does_not_answer_is_told(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "_FIRST_ANSWER_S", 0.05)
    world.engine_up = False

    async def nothing(_running: Running) -> None: ...

    with pytest.raises(UserError, match="the driver of the nodes does not answer: the engine is gone"):
        play(world, tmp_path, nothing)
    again = tmp_path / "again"
    again.mkdir()
    # Who takes longer to say how the nodes are says so, and by what name it is known.
    for name, value in {"who": "the folder node_tasks", "first_answer_s": 0.1}.items():
        monkeypatch.setattr(World, name, value, raising=False)
    with pytest.raises(UserError, match="the folder node_tasks does not answer: the engine is gone"):
        play(world, again, nothing)


def test_a_profile_that_is_not_this_cluster_is_told(world: World, tmp_path: Path) -> None:
    for node in world.nodes.values():
        node.container = NodeState.ABSENT

    async def nothing(_running: Running) -> None: ...

    with pytest.raises(UserError, match="check --profile and --context"):
        play(world, tmp_path, nothing)


def test_what_is_under_way_is_finished_before_the_end(world: World, tmp_path: Path) -> None:
    async def scenario(running: Running) -> None:
        await all_seen(running)

        def slowly(step: str) -> None:
            if step == f"patch {NODE}":
                running.stop.why = "stop file"
                time.sleep(0.1)

        world.before = slowly
        world.stop(NODE)
        await until(lambda: running.stop.why)

    running = play(world, tmp_path, scenario)
    assert running.watchdog.given_away == [NODE]
    assert world.pods_on(NODE) == []


def test_what_does_not_come_to_an_end_is_left_for_the_next(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "_FINISH_S", 0.05)
    monkeypatch.setattr(act, "_FIRST_PAUSE_S", 0.01)

    async def scenario(running: Running) -> None:
        await all_seen(running)

        def away(_step: str) -> None:
            raise RefusedError(0, "no answer")

        world.before = away
        world.stop(NODE)
        await until(lambda: "stuck" in running.events())

    play(world, tmp_path, scenario)
    assert Journal(tmp_path / "journal.jsonl").phases == {NODE: Phase.ACTING}


def test_a_part_that_breaks_down_ends_the_watchdog(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a watchdog must not look like one."""

    async def scenario(running: Running) -> None:
        await all_seen(running)

        def broken() -> dict[str, str]:
            raise RuntimeError("a bug")

        running.watchdog._looker.leases._ask = broken
        await asyncio.sleep(0.1)

    with pytest.raises(RuntimeError, match="a bug"):
        play(world, tmp_path, scenario)


def test_a_state_that_cannot_be_written_is_told_once(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(loop, "_STATUS_EVERY_S", 0.01)

    def full(_path: Path, _content: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "write_json", full)

    async def scenario(running: Running) -> None:
        await all_seen(running)
        world.stop(NODE)
        await until(lambda: running.watchdog.given_away)

    play(world, tmp_path, scenario)
    assert capsys.readouterr().err.count("No space left on device") == 1


def test_marks_of_the_run(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    run.mkdir()

    async def scenario(running: Running) -> None:
        await all_seen(running)
        world.stop(NODE)
        await until(lambda: running.watchdog.given_away)

    play(world, tmp_path, scenario, out=run)
    lines = [json.loads(line) for line in (run / "marks.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == [
        "watchdog_watching",
        "watchdog_dead",
        "watchdog_fenced",
        "watchdog_marked",
        "watchdog_pods_deleted",
    ]
    assert all(marks.event_name(line["event"]) for line in lines)
    assert lines[1]["node"] == NODE
    assert f"dead node={NODE} why=its container has ended" in capsys.readouterr().out


def test_marks_that_cannot_be_written_do_not_keep_it_from_acting(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    run.mkdir()

    async def scenario(running: Running) -> None:
        await all_seen(running)
        await until((run / "marks.jsonl").exists)
        (run / "marks.jsonl").unlink()
        (run / "marks.jsonl").mkdir()
        world.stop(NODE)
        await until(lambda: running.watchdog.given_away)

    play(world, tmp_path, scenario, out=run)
    assert capsys.readouterr().err.count("cannot write") == 1


# Parts


def test_lateness_is_measured() -> None:
    async def run() -> None:
        lateness = polling.Lateness()
        task = asyncio.create_task(lateness.run())
        await asyncio.sleep(0.12)
        lateness.take()
        time.sleep(0.2)  # noqa: ASYNC251  that is the point
        await asyncio.sleep(0.001)
        assert lateness.take() > 0.1
        assert lateness.take() == 0.0
        task.cancel()

    asyncio.run(run())


def test_an_answer_is_to_a_question_asked_later() -> None:
    """What was asked before does not tell of what is now."""
    import concurrent.futures

    async def run() -> None:
        with concurrent.futures.ThreadPoolExecutor(2) as executor:
            answers = iter(range(100))
            poller = polling.Poller(lambda: next(answers), 60.0, executor)
            assert poller.not_older(60.0) is None
            task = asyncio.create_task(poller.run())
            assert await poller.since(0.0, 1.0) == 0
            assert poller.not_older(60.0) == 0
            now = time.monotonic()
            assert await poller.since(now, 0.02) is None
            assert poller.not_older(0.0) is None
            poller.hurry()
            assert await poller.since(now, 1.0) == 1
            task.cancel()

    asyncio.run(run())
