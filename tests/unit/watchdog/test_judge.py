"""Every edge of the judgement, without waiting: looks are made up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from failover_lab.nodes.driver import NodeState
from failover_lab.nodes.pace import Pace
from failover_lab.watchdog.judge import Ground, Judge, State, Verdict
from failover_lab.watchdog.policy import Member, why_not
from failover_lab.watchdog.sights import Look, Reach, Sight

PACE = Pace()
WELL = Sight(NodeState.RUNNING, Reach.ANSWERS)
STOPPED = Sight(NodeState.STOPPED, Reach.SILENT)
PAUSED = Sight(NodeState.PAUSED, Reach.MUTE)
CUT_OFF = Sight(NodeState.RUNNING, Reach.SILENT, {"lab": Reach.SILENT, "lab-m03": Reach.SILENT}, lease="1")


class Court:
    """A judge of three nodes, of which the second is in question, and the time."""

    def __init__(self, pace: Pace = PACE) -> None:
        self.judge = Judge(pace)
        self.now = 100.0
        self.see(WELL, took=0.125)

    def see(
        self,
        sight: Sight,
        *,
        took: float = 0.1,
        late: float = 0.0,
        api: float | None = 0.0,
        others: Mapping[str, Sight] | None = None,
        control: Reach | None = None,
    ) -> Verdict:
        """One more look; ``api`` is how long before its end the API server was asked."""
        began, self.now = self.now, self.now + took
        asked = None if api is None else self.now - api
        sights = {"lab": WELL, "lab-m03": WELL, **(others or {}), "lab-m02": sight}
        return self.judge.take(Look(began, self.now, late, asked, sights, control))["lab-m02"]

    def states(self, *sights: Sight, **more: Any) -> list[State]:
        return [self.see(sight, **more).state for sight in sights]


def test_all_is_well() -> None:
    assert Court().states(WELL, WELL) == [State.ALIVE, State.ALIVE]


@pytest.mark.parametrize("kubelet", [Reach.SILENT, Reach.MUTE, Reach.REFUSED])
@pytest.mark.parametrize("container", [NodeState.STOPPED, NodeState.ABSENT])
def test_ended_and_silent_twice_is_dead(container: NodeState, kubelet: Reach) -> None:
    court = Court()
    assert court.states(*[Sight(container, kubelet)] * 2) == [State.DOUBT, State.DEAD]


def test_the_dead_stay_dead_and_have_a_ground() -> None:
    court = Court()
    court.states(STOPPED, STOPPED)
    assert court.see(STOPPED) == Verdict(
        State.DEAD, "its container has ended, its kubelet does not answer", Ground.STOPPED
    )


@pytest.mark.parametrize("confirm", [1, 2, 5])
def test_so_many_looks_must_agree(confirm: int) -> None:
    court = Court(Pace(confirm=confirm))
    states = court.states(*[STOPPED] * (confirm + 1))
    assert states == [State.DOUBT] * (confirm - 1) + [State.DEAD] * 2


def test_one_path_only_the_engine() -> None:
    """The engine says it has ended, but its kubelet answers: that is no death."""
    court = Court()
    odd = Sight(NodeState.STOPPED, Reach.ANSWERS)
    assert court.states(*[odd] * 5) == [State.UNCLEAR] * 5


@pytest.mark.parametrize("kubelet", [Reach.SILENT, Reach.MUTE, Reach.REFUSED])
def test_one_path_only_the_kubelet(kubelet: Reach) -> None:
    court = Court()
    alone = Sight(NodeState.RUNNING, kubelet)
    assert court.states(*[alone] * 20) == [State.DOUBT] * 20


def test_a_kubelet_that_is_down_is_no_dead_node() -> None:
    """Its pods go on: the node refuses the connection, and so it is there."""
    court = Court()
    down = Sight(NodeState.RUNNING, Reach.REFUSED, {"lab": Reach.REFUSED, "lab-m03": Reach.SILENT})
    assert {court.see(down).state for _ in range(20)} == {State.DOUBT}
    assert court.see(down).why == "its kubelet is down, but the node is there"


@pytest.mark.parametrize("word", [Reach.ANSWERS, Reach.MUTE, Reach.REFUSED])
def test_one_peer_that_reaches_it_is_enough_for_life(word: Reach) -> None:
    court = Court()
    reached = Sight(NodeState.RUNNING, Reach.SILENT, {"lab": Reach.SILENT, "lab-m03": word})
    assert {court.see(reached).state for _ in range(20)} == {State.DOUBT}
    assert "lab-m03 can reach it" in court.see(reached).why


def test_cut_off_needs_a_second_of_silence() -> None:
    court = Court()
    states = court.states(*[CUT_OFF] * 9, took=0.125)
    assert states == [State.DOUBT] * 7 + [State.DEAD] * 2


def test_cut_off_counts_from_the_last_answer() -> None:
    court = Court()
    assert court.states(*[CUT_OFF] * 3, took=0.4) == [State.DOUBT, State.DOUBT, State.DEAD]


def test_a_frozen_kubelet_on_a_living_kernel_is_not_cut_off() -> None:
    court = Court()
    mute = Sight(NodeState.RUNNING, Reach.MUTE, {"lab": Reach.MUTE, "lab-m03": Reach.MUTE})
    assert {court.see(mute).state for _ in range(20)} == {State.DOUBT}


@pytest.mark.parametrize("kubelet", [Reach.MUTE, Reach.REFUSED])
def test_one_that_is_cut_off_from_its_peers_alone_is_no_dead_node(kubelet: Reach) -> None:
    """This machine reaches it: so its users may, too."""
    court = Court()
    reached = Sight(NodeState.RUNNING, kubelet, CUT_OFF.peers)
    assert {court.see(reached).state for _ in range(20)} == {State.DOUBT}


def test_a_lease_that_is_renewed_is_life() -> None:
    court = Court()
    seen = [
        court.see(Sight(NodeState.RUNNING, Reach.SILENT, CUT_OFF.peers, lease=str(n // 5))).state
        for n in range(30)
    ]
    assert State.DEAD not in seen
    renewed = Sight(NodeState.RUNNING, Reach.SILENT, CUT_OFF.peers, lease="9")
    assert "its lease was renewed" in court.see(renewed).why


def test_a_peer_that_is_cut_off_itself_is_no_witness() -> None:
    court = Court()
    sight = Sight(NodeState.RUNNING, Reach.SILENT, {"lab-m03": Reach.SILENT})
    others = {"lab-m03": Sight(NodeState.RUNNING, Reach.SILENT)}
    assert {court.see(sight, others=others).state for _ in range(20)} == {State.DOUBT}


def test_peers_that_miss_others_as_well_are_no_witnesses() -> None:
    """New connections fail everywhere: those that answer this machine do so on connections that are old."""
    court = Court()
    others = {
        "lab": Sight(NodeState.RUNNING, Reach.ANSWERS, {"lab-m03": Reach.SILENT}),
        "lab-m03": Sight(NodeState.RUNNING, Reach.ANSWERS, {"lab": Reach.SILENT}),
    }
    verdicts = [court.see(CUT_OFF, took=0.4, others=others) for _ in range(20)]
    assert {verdict.state for verdict in verdicts} == {State.DOUBT}
    assert "its peers do not reach others either" in verdicts[-1].why


@pytest.mark.parametrize("word", [Reach.ANSWERS, Reach.MUTE, Reach.REFUSED, Reach.UNKNOWN])
def test_one_peer_that_reaches_the_others_is_enough_of_a_witness(word: Reach) -> None:
    court = Court()
    others = {
        "lab": Sight(NodeState.RUNNING, Reach.ANSWERS, {"lab-m03": word}),
        "lab-m03": Sight(NodeState.RUNNING, Reach.ANSWERS, {"lab": Reach.SILENT}),
    }
    looks = [court.see(CUT_OFF, took=0.4, others=others).state for _ in range(3)]
    assert looks == [State.DOUBT, State.DOUBT, State.DEAD]


@pytest.mark.parametrize("dead", [STOPPED, PAUSED, CUT_OFF])
@pytest.mark.parametrize("control", [Reach.SILENT, Reach.MUTE, Reach.REFUSED, Reach.UNKNOWN])
def test_where_no_new_connection_gets_through_it_cannot_tell(dead: Sight, control: Reach) -> None:
    court = Court()
    assert set(court.states(*[dead] * 20, took=0.4, control=control)) == {State.UNCLEAR}
    assert court.states(*[dead] * 3, took=0.5, control=Reach.ANSWERS)[-1] is State.DEAD


@pytest.mark.parametrize("peers", [{}, {"lab": Reach.UNKNOWN}])
def test_peers_that_say_nothing_are_no_witnesses(peers: Mapping[str, Reach]) -> None:
    court = Court()
    assert {court.see(Sight(NodeState.RUNNING, Reach.SILENT, peers)).state for _ in range(20)} == {
        State.DOUBT
    }


def test_a_peer_that_could_not_ask_does_not_stand_in_the_way() -> None:
    court = Court()
    sight = Sight(NodeState.RUNNING, Reach.SILENT, {"lab": Reach.SILENT, "lab-m03": Reach.UNKNOWN})
    assert court.states(*[sight] * 3, took=0.5)[-1] is State.DEAD


def test_a_pause_counts_after_a_second() -> None:
    court = Court()
    assert court.states(*[PAUSED] * 9, took=0.125) == [State.DOUBT] * 7 + [State.DEAD] * 2


def test_a_short_pause_is_forgotten() -> None:
    court = Court()
    for _ in range(10):
        assert State.DEAD not in court.states(*[PAUSED] * 9, WELL)


def test_flapping_never_counts_up() -> None:
    court = Court()
    assert State.DEAD not in court.states(*[STOPPED, WELL] * 20)
    assert State.DEAD not in court.states(*[STOPPED, Sight(NodeState.PAUSED, Reach.SILENT)] * 20)


def test_paused_and_then_ended_counts_anew() -> None:
    court = Court()
    assert court.states(PAUSED, PAUSED, STOPPED, STOPPED) == [State.DOUBT] * 3 + [State.DEAD]


@pytest.mark.parametrize("dead", [STOPPED, PAUSED, CUT_OFF])
def test_a_late_loop_cannot_tell(dead: Sight) -> None:
    court = Court()
    assert set(court.states(*[dead] * 20, took=0.4, late=0.21)) == {State.UNCLEAR}
    # And what had been counted before is lost: the looks in a row begin anew.
    assert court.see(dead, took=0.4).state is State.DOUBT


def test_a_little_late_is_no_matter() -> None:
    court = Court()
    assert court.states(STOPPED, STOPPED, late=0.2)[-1] is State.DEAD


def test_an_answer_counts_however_late() -> None:
    assert Court().see(WELL, late=9.0).state is State.ALIVE


@pytest.mark.parametrize("dead", [STOPPED, PAUSED, CUT_OFF])
def test_all_silent_at_once_cannot_tell(dead: Sight) -> None:
    court = Court()
    silent = dict.fromkeys(("lab", "lab-m03"), dead)
    assert set(court.states(*[dead] * 20, others=silent)) == {State.UNCLEAR}


@pytest.mark.parametrize("dead", [STOPPED, PAUSED, CUT_OFF])
def test_without_the_api_server_it_cannot_tell(dead: Sight) -> None:
    court = Court()
    assert set(court.states(*[dead] * 20, api=None)) == {State.UNCLEAR}
    court.see(WELL)
    # It answered, but to a question from before.
    first = court.now
    for _ in range(20):
        assert court.see(dead, api=court.now + 0.1 - first + 0.001).state is State.UNCLEAR
    assert court.see(dead, took=0.5).state is State.DOUBT


def test_without_the_engine_it_cannot_tell() -> None:
    court = Court()
    unknown = Sight(NodeState.UNKNOWN, Reach.SILENT, CUT_OFF.peers)
    assert set(court.states(*[unknown] * 20)) == {State.UNCLEAR}
    assert court.see(Sight(NodeState.UNKNOWN, Reach.ANSWERS)).state is State.ALIVE


def test_our_own_trouble_in_asking_cannot_tell() -> None:
    court = Court()
    assert set(court.states(*[Sight(NodeState.STOPPED, Reach.UNKNOWN)] * 20)) == {State.UNCLEAR}


def test_a_doubt_in_between_starts_over() -> None:
    court = Court()
    assert court.see(STOPPED).state is State.DOUBT
    assert court.see(STOPPED, late=1.0).state is State.UNCLEAR
    assert court.states(STOPPED, STOPPED) == [State.DOUBT, State.DEAD]


def test_a_node_never_seen_alive_is_left_alone() -> None:
    judge = Judge(PACE)
    looks = [Look(n, n + 0.1, 0.0, n + 0.1, {"lab": WELL, "lab-m02": STOPPED}) for n in range(20)]
    assert {judge.take(look)["lab-m02"].state for look in looks} == {State.UNSEEN}
    assert not judge.has_seen("lab-m02")
    unknown = Look(30, 30.1, 0.0, 30.1, {"lab-m02": Sight(NodeState.UNKNOWN, Reach.ANSWERS)})
    assert judge.take(unknown)["lab-m02"].state is State.UNSEEN


def test_what_an_earlier_watchdog_saw_counts() -> None:
    judge = Judge(PACE, seen=["lab-m02"])
    looks = [Look(n, n + 0.1, 0.0, n + 0.1, {"lab": WELL, "lab-m02": STOPPED}) for n in range(2)]
    assert [judge.take(look)["lab-m02"].state for look in looks] == [State.DOUBT, State.DEAD]
    judge.forget("lab-m02")
    assert judge.take(looks[0])["lab-m02"].state is State.UNSEEN


ALIVE = Verdict(State.ALIVE)
DEAD = Verdict(State.DEAD, ground=Ground.STOPPED)


def members(workers: int, control_planes: int = 1) -> list[Member]:
    return [Member(f"c{n}", "", True, False) for n in range(control_planes)] + [
        Member(f"w{n}", "", False, False) for n in range(workers)
    ]


def refusal(node: str, of: list[Member], *, out: tuple[str, ...] = (), **states: Verdict) -> str | None:
    verdicts = {m.name: ALIVE for m in of if m.name not in out} | {node: DEAD} | states
    return why_not(node, of, verdicts, out)


def test_a_worker_may_be_given_away() -> None:
    assert refusal("w0", members(2)) is None
    assert refusal("w0", members(1)) is None


def test_never_the_only_control_plane() -> None:
    assert refusal("c0", members(2)) == "it is the only control plane"
    assert refusal("c0", members(5)) == "it is the only control plane"


def test_control_planes_that_are_left_must_be_a_majority() -> None:
    assert refusal("c0", members(2, 2)) == "the control planes that are left are no majority"
    assert refusal("c0", members(2, 3)) is None
    assert refusal("c0", members(4, 3), out=("c1",)) == "the control planes that are left are no majority"


@pytest.mark.parametrize("state", [State.DOUBT, State.UNCLEAR, State.UNSEEN])
def test_nobody_is_given_away_while_another_may_be_dead(state: State) -> None:
    assert "w1 may be dead too" in (refusal("w0", members(6), w1=Verdict(state)) or "")


def test_of_a_zone_that_died_each_has_its_turn() -> None:
    assert refusal("w0", members(5), w1=DEAD) is None
    assert refusal("w1", members(5), w1=DEAD, out=("w0",)) is None
    # All that are dead count, whether or not their work has been given away.
    assert refusal("w0", members(3), w1=DEAD, w2=DEAD) == "3 of 4 nodes would be gone"
    assert refusal("c0", members(4, 3), c1=DEAD) == "the control planes that are left are no majority"


def test_a_node_of_which_nothing_is_known_counts_as_a_second() -> None:
    of = members(6)
    verdicts = {m.name: ALIVE for m in of if m.name != "w1"} | {"w0": DEAD}
    assert "w1 may be dead too" in (why_not("w0", of, verdicts, ()) or "")


def test_never_the_majority() -> None:
    assert refusal("w0", members(2), out=("w1",)) == "2 of 3 nodes would be gone"
    assert refusal("w0", members(3), out=("w1",)) is None
    assert refusal("w0", members(4), out=("w1", "w2")) == "3 of 5 nodes would be gone"
